/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps "mic" and "nonce" of the join line: whether the device sent this
 * frame, and whether it is new.  What differs between a join-request and the
 * types of rejoin-requests is which key proves it and which counter counts it:
 * the table proofs[].
 */
#include <string.h>

#include "src/base/secret.h"
#include "src/join/keys.h"
#include "src/join/steps.h"

/* One more than are retained: the live session may outlast them. */

/* ---- mic ---- */

static bool
fits(const struct join *j, const uint8_t mic[HSM_MIC_LEN])
{
	return secret_eq(mic, j->request.mic, HSM_MIC_LEN);
}

/* Under a key of the device; the key is put. */
static enum jy_err
check_mic(
    struct join *j, struct hsm_key *key, const char *what, struct errctx *ec)
{
	uint8_t mic[HSM_MIC_LEN];
	enum jy_err err;

	err = hsm_mic(j->token, key, j->request.mic_input,
	    j->request.mic_input_len, mic, ec);
	if (err == JY_OK && !fits(j, mic)) {
		err = err_set(ec, JY_EMIC,
		    "the MIC of the %s is wrong: another root key than the "
		    "device's, or a forged frame",
		    what);
	}
	return err;
}

/* A join-request: under the root key. */
static enum jy_err
mic_by_root(struct join *j, struct errctx *ec)
{
	struct hsm_key *root = NULL;
	enum jy_err err;

	err = keys_get_root(
	    j->env, &j->device, &j->commit.session.nwk_key, &root, ec);
	if (err == JY_OK) {
		err = check_mic(j, root, "join-request", ec);
	}
	hsm_key_put(j->env->hsm, root);
	return err;
}

/* Type 1: under JSIntKey. */
static enum jy_err
mic_by_js_int_key(struct join *j, struct errctx *ec)
{
	const struct device_key *nwk_key = &j->commit.session.nwk_key;
	struct hsm_key *root = NULL, *js_int = NULL;
	struct hsm *hsm = j->env->hsm;
	enum jy_err err;

	err = keys_get_root(j->env, &j->device, nwk_key, &root, ec);
	if (err == JY_OK) {
		err = keys_get_lifetime(
		    hsm, LW_JS_INT_KEY, &j->device, nwk_key, root, &js_int, ec);
	}
	if (err == JY_OK) {
		err = check_mic(j, js_int, "rejoin-request", ec);
	}
	hsm_key_put(hsm, js_int);
	hsm_key_put(hsm, root);
	return err;
}

/* May the device still be in this session, under the NetID of the frame? */
static bool
is_candidate(
    const struct join *j, const struct session_row *session, uint64_t now)
{
	return session->opt_neg && session->join_nonce >= j->view.nonces.live &&
	    session->net_id == j->request.net_id &&
	    (session->expires_ms == 0 || now < session->expires_ms);
}

/*
 * Types 0 and 2: under SNwkSIntKey of the session that the device is in.  That
 * is the live one, or one after it whose join-accept it has heard meanwhile.
 */
static enum jy_err
mic_by_session(struct join *j, struct errctx *ec)
{
	struct session_row sessions[STORE_SESSIONS_MAX];
	uint64_t now = j->env->sys->now_ms();
	uint8_t mic[HSM_MIC_LEN];
	unsigned tried = 0;
	size_t n = 0;
	enum jy_err err;

	if (j->env->rejoin_mic_by_ns) {
		return JY_OK;
	}
	err = store_session_list(
	    j->env->store, &j->device, sessions, STORE_SESSIONS_MAX, &n, ec);
	if (err == JY_OK && n > 0 &&
	    sessions[0].join_nonce > j->view.nonces.join_nonce) {
		/* Read after another worker's commit, the nonces before it. */
		return err_set(ec, JY_ECONFLICT,
		    "another join or rejoin of the device came first");
	}
	for (size_t i = 0; err == JY_OK && i < n; i++) {
		if (!is_candidate(j, &sessions[i], now)) {
			continue;
		}
		tried++;
		err = session_mic(j->env, j->token, &sessions[i],
		    j->request.mic_input, j->request.mic_input_len, mic, ec);
		if (err == JY_OK && fits(j, mic)) {
			j->commit.live = sessions[i].join_nonce;
			return JY_OK;
		}
	}
	if (err != JY_OK) {
		return err;
	}
	if (tried == 0) {
		return err_set(ec, JY_EMIC,
		    "the MIC of the rejoin-request cannot be checked: none of "
		    "%zu sessions that are retained is one of MAC version 1.1 "
		    "under NetID %06x that lasts",
		    n, j->request.net_id);
	}
	return err_set(ec, JY_EMIC,
	    "the MIC of the rejoin-request is wrong: it fits none of %u "
	    "sessions, JoinNonce %u and after, under NetID %06x",
	    tried, j->view.nonces.live, j->request.net_id);
}

/* ---- nonce ---- */

static enum lw_nonce_rule
nonce_rule(const struct join *j)
{
	enum lw_version v = j->view.device.mac_version;

	if (j->view.device.resets_join_nonces) {
		return LW_NONCE_ANY;
	}
	if (v == LW_VERSION_NONE) {
		v = j->in.mac_version;
	}
	return lw_version_counts_dev_nonce(v) ? LW_NONCE_COUNTER
					      : LW_NONCE_UNIQUE;
}

static enum jy_err
check_dev_nonce(const struct join *j, struct errctx *ec)
{
	const struct nonce_row *n = &j->view.nonces;
	const struct lw_nonce_state state = {
		.has_last = n->has_dev_nonce,
		.last = n->dev_nonce,
		.seen = j->view.dev_nonce_seen,
	};

	return lw_nonce_check(nonce_rule(j), &state, j->request.counter, ec);
}

/* Are these the octets that made this session? */
static bool
same_frame(const struct session_row *a, const struct session_row *b)
{
	return a->join_type == b->join_type && a->counter == b->counter &&
	    memcmp(a->mic, b->mic, sizeof(a->mic)) == 0;
}

/* The newest session of the device; false if there is none, or no store. */
static bool
newest_session(const struct join *j, struct session_row *out)
{
	size_t n = 0;

	return store_session_list(
		   j->env->store, &j->device, out, 1, &n, NULL) == JY_OK &&
	    n > 0;
}

/*
 * RJcount0 counts within a session: it starts anew when the device has heard
 * a join-accept, and then another session than the live one made the MIC.
 */
static enum jy_err
check_rj_count0(const struct join *j, struct errctx *ec)
{
	const struct nonce_row *n = &j->view.nonces;
	struct session_row last;

	if (!j->env->rejoin_mic_by_ns) {
		return lw_rj_count_check("RJcount0",
		    n->has_rj_count0 && j->commit.live == n->live, n->rj_count0,
		    j->request.counter, ec);
	}
	if (newest_session(j, &last) && same_frame(&last, &j->commit.session)) {
		return err_set(ec, JY_ERJCOUNT,
		    "RJcount0 %u was used before, last %u (rule: not the "
		    "frame of the newest session; the Network Server counts)",
		    j->request.counter, last.counter);
	}
	return JY_OK;
}

static enum jy_err
check_rj_count1(const struct join *j, struct errctx *ec)
{
	const struct nonce_row *n = &j->view.nonces;

	return lw_rj_count_check(
	    "RJcount1", n->has_rj_count1, n->rj_count1, j->request.counter, ec);
}

static const struct proof {
	enum lw_join_type type;
	enum jy_err (*mic)(struct join *j, struct errctx *ec);
	enum jy_err (*counter)(const struct join *j, struct errctx *ec);
} proofs[] = {
	{ LW_JOIN_REQUEST, mic_by_root, check_dev_nonce },
	{ LW_JOIN_REJOIN_0, mic_by_session, check_rj_count0 },
	{ LW_JOIN_REJOIN_1, mic_by_js_int_key, check_rj_count1 },
	{ LW_JOIN_REJOIN_2, mic_by_session, check_rj_count0 },
};

static const struct proof *
proof_of(const struct join *j)
{
	size_t i = 0;

	while (proofs[i].type != j->request.type) {
		i++;
		jy_assert(i < ARRAY_LEN(proofs));
	}
	return &proofs[i];
}

enum jy_err
step_mic(struct join *j, struct errctx *ec)
{
	j->commit.live = 0;
	return proof_of(j)->mic(j, ec);
}

/*
 * Is this the very request that made the device's newest session, repeated by
 * the same Network Server because our answer was lost?  Then it gets the same
 * answer: the session is taken from the store, and nothing is committed.
 * The MIC has been checked, so octets with the same MIC are the same octets.
 */
static bool
is_repetition(struct join *j)
{
	struct session_row *mine = &j->commit.session;
	uint64_t now = j->env->sys->now_ms();
	struct session_row last;

	if (j->env->repeat_window_ms == 0 || !newest_session(j, &last) ||
	    now < last.created_ms ||
	    now - last.created_ms > j->env->repeat_window_ms ||
	    (last.expires_ms != 0 && now + 1000 > last.expires_ms)) {
		return false;
	}
	if (!same_frame(&last, mine) || last.mac_version != mine->mac_version ||
	    last.net_id != mine->net_id || last.dev_addr != mine->dev_addr ||
	    last.dl_settings != mine->dl_settings ||
	    last.rx_delay != mine->rx_delay ||
	    last.has_cf_list != mine->has_cf_list ||
	    memcmp(last.cf_list, mine->cf_list, sizeof(last.cf_list)) != 0 ||
	    strcmp(last.peer, mine->peer) != 0 ||
	    last.nwk_key.generation != mine->nwk_key.generation ||
	    last.app_key.generation != mine->app_key.generation) {
		return false;
	}
	*mine = last;
	return true;
}

/* Name and date the session that this join makes. */
static void
new_session(struct join *j)
{
	struct session_row *session = &j->commit.session;

	session->created_ms = j->env->sys->now_ms();
	session->expires_ms = j->env->session_lifetime_s == 0
	    ? 0
	    : session->created_ms + 1000ULL * j->env->session_lifetime_s;
	session_new_id(j->env->sys, session->id);
}

/* What the commit will compare and set beside the session. */
static void
fill_commit(struct join *j)
{
	struct join_commit *c = &j->commit;

	c->revision_seen = j->view.device.revision;
	c->join_nonce_seen = j->view.nonces.join_nonce;
	c->keep = j->env->session_keep;
	c->counted = nonce_rule(j) == LW_NONCE_COUNTER;
}

enum jy_err
step_nonce(struct join *j, struct errctx *ec)
{
	struct join_commit *c = &j->commit;
	struct errctx used = ERRCTX_INIT;
	enum jy_err err;

	/* A device that may use a DevNonce again is heard again, too. */
	err = proof_of(j)->counter(j, &used);
	j->repeated = (err == JY_EREPLAY || err == JY_ERJCOUNT ||
			  (!j->in.rejoin && j->view.dev_nonce_seen)) &&
	    is_repetition(j);
	if (j->repeated) {
		return JY_OK;
	}
	if (err != JY_OK) {
		return err_set(ec, err, "%s", err_detail(&used, err));
	}
	fill_commit(j);
	err = lw_join_nonce_next(
	    j->view.nonces.join_nonce, &c->session.join_nonce, ec);
	if (err == JY_OK) {
		new_session(j);
	}
	return err;
}
