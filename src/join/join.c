/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join line: LoRaWAN L2 1.0.4 clause 6.2 and 1.1 clause 6.2, as a Join
 * Server sees them.  One function per step, in the order in which they run;
 * a step that fails ends the join, and nothing has changed.
 *
 * Decides who gets a join-accept and what is in it.  Knows no wire format and
 * no socket.  Runs on a token thread.
 */
#include "src/join/join.h"

#include <string.h>

#include "src/base/secret.h"
#include "src/join/keys.h"

/* Octets to fields. */
static enum jy_err
step_parse(struct join *j, struct errctx *ec)
{
	enum jy_err err;

	if (j->in.mac_version == LW_VERSION_NONE) {
		return err_set(ec, JY_EINVAL, "the MAC version is missing");
	}
	err = lw_join_request_parse(j->in.phy, j->in.phy_len, &j->request, ec);
	if (err == JY_OK) {
		j->device.dev_eui = j->request.dev_eui;
		j->device.join_eui = j->request.join_eui;
	}
	return err;
}

/* Device and nonces, in one read transaction. */
static enum jy_err
step_device(struct join *j, struct errctx *ec)
{
	char dev[EUI64_STR_LEN], join[EUI64_STR_LEN];
	enum jy_err err;

	err = store_join_view(
	    j->env->store, &j->device, j->request.dev_nonce, &j->view, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE,
		    "no device with DevEUI %s and JoinEUI %s",
		    eui64_str(&j->device.dev_eui, dev),
		    eui64_str(&j->device.join_eui, join));
	}
	return err;
}

/* May this peer, with this NetID, for this device. */
static enum jy_err
step_access(struct join *j, struct errctx *ec)
{
	return access_network(j->peer, &j->view.device, j->in.net_id, ec);
}

static bool
asks_opt_neg(const struct join *j)
{
	return (j->in.dl_settings & LW_OPT_NEG) != 0;
}

/*
 * OptNeg 1 makes the device derive 1.1 keys, OptNeg 0 1.0 keys: if the
 * Network Server thinks otherwise, the session would be dead.
 */
static enum jy_err
check_opt_neg(const struct join *j, struct errctx *ec)
{
	enum lw_version registered = j->view.device.mac_version;

	if (lw_version_is_1_1(j->in.mac_version) != asks_opt_neg(j)) {
		return err_set(ec, JY_EOPTNEG,
		    "OptNeg %d in DLSettings does not go with MAC version %s",
		    asks_opt_neg(j), lw_version_str(j->in.mac_version));
	}
	if (asks_opt_neg(j) && registered != LW_VERSION_NONE &&
	    !lw_version_is_1_1(registered)) {
		return err_set(ec, JY_EOPTNEG,
		    "MAC version %s asked for, the device is registered as %s",
		    lw_version_str(j->in.mac_version),
		    lw_version_str(registered));
	}
	return JY_OK;
}

/* Choose the root keys; both are known to be there afterwards. */
static enum jy_err
choose_roots(
    const struct join *j, struct session_row *session, struct errctx *ec)
{
	const struct device_row *d = &j->view.device;
	bool app_is_root = d->v10_root_is_app_key || d->nwk_key.generation == 0;

	if (asks_opt_neg(j)) {
		session->nwk_key = d->nwk_key;
		session->app_key = d->app_key;
		if (d->nwk_key.generation == 0 || d->app_key.generation == 0) {
			return err_set(ec, JY_EROOTKEY,
			    "a 1.1 join needs NwkKey and AppKey; %s is missing",
			    d->nwk_key.generation == 0 ? "NwkKey" : "AppKey");
		}
		return JY_OK;
	}
	session->nwk_key = app_is_root ? d->app_key : d->nwk_key;
	session->app_key = session->nwk_key;
	if (session->nwk_key.generation == 0) {
		return err_set(ec, JY_EROOTKEY, "the device has no %s",
		    app_is_root ? "AppKey" : "NwkKey");
	}
	if (session->nwk_key.role == KEY_APP) {
		return err_set(ec, JY_EROOTKEY,
		    "the AppKey was imported for 1.1 only; import it again");
	}
	return JY_OK;
}

/* The peer row of the device's Application Server, by its AS-ID. */
static enum jy_err
find_as(const struct join *j, struct peer_row *as, struct errctx *ec)
{
	const char *as_id = j->view.device.activation.as_id;
	enum jy_err err;

	err = store_peer_by_as_id(j->env->store, as_id, as, ec);
	if (err == JY_ENOTFOUND || (err == JY_OK && as->role != PEER_AS)) {
		return err_replace(ec, JY_EKEK,
		    "the device's Application Server, %s, is no peer", as_id);
	}
	return err;
}

/*
 * How the AppSKey goes to the device's AS inside the join answer, if it does:
 * wrapped under the KEK that the device names for it, else under the AS's.
 * One that may have keys in clear asks for them itself: never through the NS.
 */
static enum jy_err
choose_app_delivery(struct join *j, struct errctx *ec)
{
	const struct device_row *d = &j->view.device;
	bool must = j->env->app_s_key == APP_S_KEY_YES;
	struct peer_row as = { 0 };
	enum jy_err err;

	j->give_app_s_key = false;
	if (j->env->app_s_key == APP_S_KEY_NO) {
		return JY_OK;
	}
	if (d->activation.as_kek[0] == '\0' && d->activation.as_id[0] != '\0') {
		err = find_as(j, &as, ec);
		if (err != JY_OK) {
			return err;
		}
	}
	if (!must && d->activation.as_kek[0] == '\0' &&
	    (d->activation.as_id[0] == '\0' ||
		(as.kek[0] == '\0' && as.clear_keys))) {
		return JY_OK;
	}
	as.clear_keys = false;
	j->give_app_s_key = true;
	return delivery_choose(j->env->store, d->activation.as_kek,
	    as.name[0] != '\0' ? &as : NULL, &j->to_as, ec);
}

/* MAC version, OptNeg, root keys, KEKs. */
static enum jy_err
step_policy(struct join *j, struct errctx *ec)
{
	struct session_row *session = &j->commit.session;
	enum jy_err err;

	memset(session, 0, sizeof(*session));
	session->device = j->device;
	session->mac_version = j->in.mac_version;
	session->opt_neg = asks_opt_neg(j);
	session->join_type = (uint8_t)LW_JOIN_REQUEST;
	session->counter = j->request.dev_nonce;
	session->net_id = j->in.net_id;
	session->dev_addr = j->in.dev_addr;
	session->dl_settings = j->in.dl_settings;
	session->rx_delay = j->in.rx_delay;
	session->has_cf_list = j->in.has_cf_list;
	memcpy(session->cf_list, j->in.cf_list, sizeof(session->cf_list));
	memcpy(session->mic, j->request.mic, sizeof(session->mic));
	memcpy(session->peer, j->peer->name, sizeof(session->peer));

	err = check_opt_neg(j, ec);
	if (err == JY_OK) {
		err = choose_roots(j, session, ec);
	}
	if (err == JY_OK) {
		err = delivery_choose(j->env->store,
		    j->view.device.activation.ns_kek, j->peer, &j->to_ns, ec);
	}
	if (err == JY_OK) {
		err = choose_app_delivery(j, ec);
	}
	return err;
}

/* Token: CMAC over the raw octets, compared in constant time. */
static enum jy_err
step_mic(struct join *j, struct errctx *ec)
{
	struct hsm_key *root = NULL;
	uint8_t mic[HSM_MIC_LEN];
	enum jy_err err;

	err = keys_get_root(
	    j->env->hsm, &j->device, &j->commit.session.nwk_key, &root, ec);
	if (err == JY_OK) {
		err = hsm_mic(j->token, root, j->request.mic_input,
		    sizeof(j->request.mic_input), mic, ec);
	}
	hsm_key_put(j->env->hsm, root);
	if (err == JY_OK && !secret_eq(mic, j->request.mic, sizeof(mic))) {
		return err_set(ec, JY_EMIC,
		    "the MIC of the join-request is wrong: another root key "
		    "than the device's, or a forged frame");
	}
	return err;
}

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
	size_t n;

	if (j->env->repeat_window_ms == 0 ||
	    store_session_list(j->env->store, &j->device, &last, 1, &n, NULL) !=
		JY_OK ||
	    n == 0 || now < last.created_ms ||
	    now - last.created_ms > j->env->repeat_window_ms ||
	    (last.expires_ms != 0 && now + 1000 > last.expires_ms)) {
		return false;
	}
	if (last.join_type != mine->join_type ||
	    last.mac_version != mine->mac_version ||
	    last.counter != mine->counter || last.net_id != mine->net_id ||
	    last.dev_addr != mine->dev_addr ||
	    last.dl_settings != mine->dl_settings ||
	    last.rx_delay != mine->rx_delay ||
	    last.has_cf_list != mine->has_cf_list ||
	    memcmp(last.cf_list, mine->cf_list, sizeof(last.cf_list)) != 0 ||
	    memcmp(last.mic, mine->mic, sizeof(last.mic)) != 0 ||
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

/* DevNonce rule, next JoinNonce; what the commit will compare and set. */
static enum jy_err
step_nonce(struct join *j, struct errctx *ec)
{
	const struct nonce_row *n = &j->view.nonces;
	const struct lw_nonce_state state = {
		.has_last = n->has_dev_nonce,
		.last = n->dev_nonce,
		.seen = j->view.dev_nonce_seen,
	};
	struct join_commit *c = &j->commit;
	enum jy_err err;

	j->repeated = j->view.dev_nonce_seen && is_repetition(j);
	if (j->repeated) {
		return JY_OK;
	}
	err = lw_nonce_check(nonce_rule(j), &state, j->request.dev_nonce, ec);
	if (err == JY_OK) {
		err = lw_join_nonce_next(
		    n->join_nonce, &c->session.join_nonce, ec);
	}
	if (err == JY_OK) {
		new_session(j);
	}
	c->revision_seen = j->view.device.revision;
	c->join_nonce_seen = n->join_nonce;
	c->keep = j->env->session_keep;
	c->counted = nonce_rule(j) == LW_NONCE_COUNTER;
	return err;
}

/* The key that makes the join-accept's MIC; the caller puts it. */
static enum jy_err
get_accept_mic_key(const struct join *j, struct hsm_key *root,
    struct hsm_key **out, struct errctx *ec)
{
	if (asks_opt_neg(j)) {
		return keys_get_lifetime(j->env->hsm, LW_JS_INT_KEY, &j->device,
		    &j->commit.session.nwk_key, root, out, ec);
	}
	return keys_get_root(
	    j->env->hsm, &j->device, &j->commit.session.nwk_key, out, ec);
}

/* Token: MIC and encryption of the join-accept. */
static enum jy_err
step_accept(struct join *j, struct errctx *ec)
{
	uint8_t input[LW_ACCEPT_INPUT_MAX], plain[LW_JOIN_ACCEPT_MAX];
	const struct lw_join_accept fields = {
		.join_nonce = j->commit.session.join_nonce,
		.net_id = j->in.net_id,
		.dev_addr = j->in.dev_addr,
		.dl_settings = j->in.dl_settings,
		.rx_delay = j->in.rx_delay,
		.has_cf_list = j->in.has_cf_list,
		.cf_list = j->in.cf_list,
	};
	struct hsm_key *root = NULL, *mic_key = NULL;
	size_t head_len, len, body_len;
	enum jy_err err;

	len = lw_join_accept_input(&fields, LW_JOIN_REQUEST,
	    &j->device.join_eui, j->request.dev_nonce, input, &head_len);
	body_len = len - head_len; /* MHDR and fields */

	err = keys_get_root(
	    j->env->hsm, &j->device, &j->commit.session.nwk_key, &root, ec);
	if (err == JY_OK) {
		err = get_accept_mic_key(j, root, &mic_key, ec);
	}
	if (err == JY_OK) {
		memcpy(plain, input + head_len, body_len);
		err = hsm_mic(
		    j->token, mic_key, input, len, plain + body_len, ec);
	}
	if (err == JY_OK) {
		j->out.phy[0] = plain[0]; /* the MHDR stays in clear */
		j->out.phy_len = body_len + LW_MIC_LEN;
		err = hsm_decrypt(j->token, root, plain + 1, j->out.phy_len - 1,
		    j->out.phy + 1, ec);
	}
	hsm_key_put(j->env->hsm, mic_key);
	hsm_key_put(j->env->hsm, root);
	return err;
}

/* Seconds that the session still lasts; 0: without end. */
static uint32_t
lifetime_left(const struct join *j)
{
	const struct session_row *session = &j->commit.session;
	uint64_t now =
	    j->repeated ? j->env->sys->now_ms() : session->created_ms;

	return session->expires_ms == 0
	    ? 0
	    : (uint32_t)((session->expires_ms - now) / 1000U);
}

/* Token: derive session keys, wrap them. */
static enum jy_err
step_keys(struct join *j, struct errctx *ec)
{
	struct session_row *session = &j->commit.session;
	enum jy_err err;

	memcpy(j->out.session_id, session->id, sizeof(j->out.session_id));
	j->out.lifetime_s = lifetime_left(j);

	memset(&j->out.keys, 0, sizeof(j->out.keys));
	err = session_network_keys(
	    j->env, j->token, session, &j->to_ns, &j->out.keys, ec);
	if (err == JY_OK && j->give_app_s_key) {
		err = session_app_s_key(j->env, j->token, session, &j->to_as,
		    &j->out.keys.app_s_key, ec);
	}
	return err;
}

/* The line.  The last step, commit, is a whole round's: commit_round. */
static const struct join_step {
	const char *name;
	enum jy_err (*run)(struct join *j, struct errctx *ec);
} join_steps[] = {
	[JOIN_STEP_parse] = { "parse", step_parse },
	[JOIN_STEP_device] = { "device", step_device },
	[JOIN_STEP_access] = { "access", step_access },
	[JOIN_STEP_policy] = { "policy", step_policy },
	[JOIN_STEP_mic] = { "mic", step_mic },
	[JOIN_STEP_nonce] = { "nonce", step_nonce },
	[JOIN_STEP_accept] = { "accept", step_accept },
	[JOIN_STEP_keys] = { "keys", step_keys },
	[JOIN_STEP_commit] = { "commit", NULL },
};

const char *
join_step_name(enum join_step_id step)
{
	return join_steps[step].name;
}

/* Run the steps from the first to the one before the end. */
static void
run_steps(struct join *j, enum join_step_id first, enum join_step_id end)
{
	uint64_t then = sys_mono_us(), now;

	for (int i = (int)first; i < (int)end && j->err == JY_OK; i++) {
		j->step = (enum join_step_id)i;
		j->err = join_steps[i].run(j, &j->ec);
		now = sys_mono_us();
		j->step_us[i] += (uint32_t)(now - then);
		then = now;
	}
}

/* Commit those of a round that made a session. */
static void
commit_round(struct join *const round[], size_t n)
{
	struct join_commit *commits[JOIN_BATCH_MAX];
	struct join *joins[JOIN_BATCH_MAX];
	struct errctx ec = ERRCTX_INIT;
	uint64_t start = sys_mono_us();
	size_t ready = 0;
	uint32_t share;

	for (size_t i = 0; i < n; i++) {
		if (round[i]->err == JY_OK && !round[i]->repeated) {
			joins[ready] = round[i];
			commits[ready++] = &round[i]->commit;
		}
	}
	if (ready == 0) {
		return;
	}
	store_join_commit(round[0]->env->store, commits, ready, &ec);
	share = (uint32_t)((sys_mono_us() - start) / ready);
	for (size_t i = 0; i < ready; i++) {
		struct join *j = joins[i];

		j->step = JOIN_STEP_commit;
		j->step_us[JOIN_STEP_commit] += share;
		j->err = commits[i]->err;
		if (j->err != JY_OK) {
			(void)err_set(
			    &j->ec, j->err, "%s", err_detail(&ec, j->err));
		}
	}
}

/*
 * Run joins of different devices from the read of their rows to the end.  The
 * token session is given back before the commit, so that another thread can
 * use it while this one waits for the disk.
 */
static void
run_round(struct join *const round[], size_t n)
{
	struct hsm *hsm = round[0]->env->hsm;
	struct hsm_session *s = hsm_session_get(hsm);

	for (size_t i = 0; i < n; i++) {
		round[i]->token = s;
		run_steps(round[i], JOIN_STEP_device, JOIN_STEP_commit);
	}
	hsm_session_put(hsm, s);
	commit_round(round, n);
}

/* A commit that lost a race changed nothing: once more, from the rows. */
static void
rerun_losers(struct join *const round[], size_t n)
{
	struct join *losers[JOIN_BATCH_MAX];
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (round[i]->err == JY_ECONFLICT) {
			round[i]->reran = true;
			round[i]->err = JY_OK;
			err_clear(&round[i]->ec);
			losers[count++] = round[i];
		}
	}
	if (count > 0) {
		run_round(losers, count);
	}
}

static bool
has_device(struct join *const joins[], size_t n, const struct device_id *id)
{
	for (size_t i = 0; i < n; i++) {
		if (device_id_eq(&joins[i]->device, id)) {
			return true;
		}
	}
	return false;
}

/*
 * Take the joins of the next round out of those that wait: in their order,
 * one of each device, for the next one must see what the first has committed.
 */
static size_t
next_round(struct join *waiting[], size_t *n, struct join *round[])
{
	size_t taken = 0, left = 0;

	for (size_t i = 0; i < *n; i++) {
		if (has_device(round, taken, &waiting[i]->device)) {
			waiting[left++] = waiting[i];
		} else {
			round[taken++] = waiting[i];
		}
	}
	*n = left;
	return taken;
}

void
join_run_batch(struct join *const batch[], size_t n)
{
	struct join *waiting[JOIN_BATCH_MAX], *round[JOIN_BATCH_MAX];
	size_t left = 0, taken;

	jy_assert(n <= JOIN_BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		struct join *j = batch[i];

		j->err = JY_OK;
		j->reran = j->repeated = false;
		memset(j->step_us, 0, sizeof(j->step_us));
		err_clear(&j->ec);
		run_steps(j, JOIN_STEP_parse, JOIN_STEP_device);
		if (j->err == JY_OK) {
			waiting[left++] = j;
		}
	}
	while (left > 0) {
		taken = next_round(waiting, &left, round);
		run_round(round, taken);
		rerun_losers(round, taken);
	}
}
