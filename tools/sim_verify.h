/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking what a Join Server answered: the join-accept as the device would,
 * the keys as the Network Server and the Application Server would.  Each
 * check becomes a line of the report.
 */
#ifndef JY_TOOLS_SIM_VERIFY_H
#define JY_TOOLS_SIM_VERIFY_H

#include "proto/joinery.pb-c.h"
#include "tools/sim_attempt.h"
#include "tools/sim_device.h"
#include "tools/sim_options.h"
#include "tools/sim_report.h"

struct sim_verifier {
	struct sim_crypto *crypto;
	const struct sim_keks *ns_keks; /* for network keys */
	const struct sim_keks *as_keks; /* for the AppSKey */
	enum sim_choice app_s_key;      /* in the join answer; unset: may be */
	bool no_switch; /* the device hears no accept of a rejoin */
	bool show_keys;
	struct sim_report *report;
};

/*
 * Check the answer to a join or rejoin.  True when every check held; then the
 * device has the new session and its JoinNonce.
 */
bool sim_verify_join(const struct sim_verifier *v, struct sim_attempt *a,
    const Joinery__V1__JoinAnswer *answer);

/* Check the keys fetched by session key ID for the device's latest session. */
bool sim_verify_network_keys(const struct sim_verifier *v,
    const struct sim_device *d, const Joinery__V1__NetworkKeysAnswer *answer);
bool sim_verify_app_s_key(const struct sim_verifier *v,
    const struct sim_device *d, const Joinery__V1__AppSKeyAnswer *answer);

/*
 * Open an envelope with the KEKs at hand.  NULL and *key set when that
 * worked, else a static text that says why not.
 */
const char *sim_verify_open(struct sim_crypto *c, const struct sim_keks *keks,
    const Joinery__V1__KeyEnvelope *e, struct secret_block *key);

#endif
