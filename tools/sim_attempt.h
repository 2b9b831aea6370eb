/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of a device: a join-request or a rejoin-request, from its
 * counter to the call that its Network Server makes.
 */
#ifndef JY_TOOLS_SIM_ATTEMPT_H
#define JY_TOOLS_SIM_ATTEMPT_H

#include "tools/client.h"
#include "tools/sim_device.h"
#include "tools/sim_options.h"
#include "tools/sim_report.h"

/* A request that waits for its answer. */
struct sim_attempt {
	uint64_t id; /* of the request; 0: slot is free, and then: */
	struct sim_attempt *next_free;
	struct sim_device *device;
	size_t step;               /* its place in the device's turn */
	bool final;                /* the last of the turn */
	struct sim_join join;      /* its join_nonce is not known yet */
	uint32_t join_nonce_above; /* the answer's must be */
	bool repeat;               /* sent again: same answer, same nonce */
	bool accepted;             /* the answer held every check */
	uint32_t number;           /* its place among the device's joins */
	uint8_t phy[SIM_OCTETS_MAX];
	size_t phy_len;
	uint64_t sent_us;
};

/* Whether the Network Server asks for a session with OptNeg. */
bool sim_attempt_opt_neg(
    const struct sim_options *o, const struct sim_device *d);

/*
 * Make the request of the attempt's device, step and final: type is its
 * JoinReqType.  Uses up a DevNonce or RJcount; JY_EINVAL when there is none
 * left, or no session to rejoin from, or nothing to repeat.  What the command
 * line wants to be wrong is wrong in the final request of a turn.
 */
enum jy_err sim_attempt_make(struct sim_attempt *a, uint8_t type,
    const struct sim_options *o, struct sim_crypto *c,
    struct errctx *ec) JY_CHECK;

/* Send it; sent_us is the time. */
enum jy_err sim_attempt_send(struct sim_attempt *a, const struct sim_options *o,
    struct client *ns, struct errctx *ec) JY_CHECK;

/* Report what was sent. */
void sim_attempt_describe(const struct sim_attempt *a, struct sim_report *r);

/* "DevNonce", "RJcount0" or "RJcount1"; a static string. */
const char *sim_attempt_counter(const struct sim_attempt *a);

bool sim_attempt_is_rejoin(const struct sim_attempt *a);

#endif
