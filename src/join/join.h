/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join line: from a join-request or rejoin-request to the join-accept and
 * its session keys.
 * join_steps[] in join.c lists the steps; ARCHITECTURE.md explains them.
 */
#ifndef JY_JOIN_JOIN_H
#define JY_JOIN_JOIN_H

#include "src/join/session.h"
#include "src/lorawan/frame.h"

/* X(name, meaning), in the order in which they run. */
#define JOIN_STEPS(X) \
	X(parse, "octets to fields") \
	X(device, "device and nonces, in one read transaction") \
	X(access, "may this peer, with this NetID, for this device") \
	X(policy, "MAC version, OptNeg, root keys, KEKs") \
	X(mic, "token: CMAC over the raw octets") \
	X(nonce, "DevNonce or RJcount rule, next JoinNonce") \
	X(accept, "token: MIC and encryption of the join-accept") \
	X(keys, "token: derive session keys, wrap them") \
	X(commit, "nonces and session, one durable transaction")

enum join_step_id {
#define X(name, meaning) JOIN_STEP_##name,
	JOIN_STEPS(X)
#undef X
	JOIN_STEP_COUNT
};

/* "parse" ...; a static string. */
const char *join_step_name(enum join_step_id step);

/* What a Network Server asks for. */
struct join_input {
	const uint8_t *phy; /* PHYPayload as received; borrowed */
	size_t phy_len;
	enum lw_version mac_version;
	uint32_t net_id;
	uint32_t dev_addr;
	uint8_t dl_settings;
	uint8_t rx_delay;
	bool has_cf_list;
	uint8_t cf_list[LW_CF_LIST_LEN];
	bool rejoin; /* the PHYPayload has to be a rejoin-request */
	/* If said, they have to agree with the PHYPayload. */
	const struct eui64 *dev_eui;  /* borrowed; NULL: not said */
	const struct eui64 *join_eui; /* likewise */
	struct sender sender;
	/*
	 * End before the join-accept is made: nothing is derived or committed,
	 * and err says what would be answered.  Not for join_run_batch's
	 * callers that answer.
	 */
	bool dry_run;
};

struct join_output {
	uint8_t phy[LW_JOIN_ACCEPT_MAX];
	size_t phy_len;
	uint8_t session_id[STORE_ID_LEN];
	uint32_t lifetime_s;
	struct session_keys keys;
};

/* One join on its way down the line; visible so that callers can embed it. */
struct join {
	/* Set by the caller. */
	const struct join_env *env;
	const struct peer_row *peer; /* who asks; role PEER_NONE is refused */
	struct join_input in;

	/* Found out by the steps. */
	struct hsm_session *token;
	struct lw_request request;
	struct device_id device;
	struct join_view view;
	struct delivery to_ns;
	struct delivery to_as;
	bool give_app_s_key;
	struct join_commit commit;

	/* The result. */
	enum jy_err err;
	struct errctx ec;
	enum join_step_id step; /* the last one that ran */
	bool reran;             /* lost a race once */
	bool repeated;          /* gets the answer it was given before */
	uint32_t step_us[JOIN_STEP_COUNT]; /* time each took */
	struct join_output out;            /* if err is JY_OK */
};

/*
 * Run n joins in rounds, one join of each device in a round: each up to its
 * commit, then one durable transaction for the round.  A join that lost a
 * race runs once more.  Every join has its own err; when this returns, what
 * may be answered is on disk.  Runs on a token thread that holds no session.
 */
void join_run_batch(struct join *const batch[], size_t n);

#define JOIN_BATCH_MAX 128

#endif
