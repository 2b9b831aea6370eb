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

#include "src/join/device.h"
#include "src/join/keys.h"
#include "src/join/steps.h"

/* What the message says must be what the frame says. */
static enum jy_err
check_said(const char *name, const struct eui64 *said,
    const struct eui64 *frame, struct errctx *ec)
{
	char a[EUI64_STR_LEN], b[EUI64_STR_LEN];

	if (said == NULL || eui64_eq(said, frame)) {
		return JY_OK;
	}
	return err_set(ec, JY_EINVAL,
	    "%s is %s in the message and %s in PHYPayload", name,
	    eui64_str(said, a), eui64_str(frame, b));
}

/* Octets to fields. */
static enum jy_err
step_parse(struct join *j, struct errctx *ec)
{
	const struct join_input *in = &j->in;
	struct lw_request *r = &j->request;
	enum jy_err err;

	if (in->mac_version == LW_VERSION_NONE) {
		return err_set(ec, JY_EINVAL, "the MAC version is missing");
	}
	err = in->rejoin ? lw_rejoin_request_parse(in->phy, in->phy_len, r, ec)
			 : lw_join_request_parse(in->phy, in->phy_len, r, ec);
	if (err == JY_OK) {
		err = check_said("DevEUI", in->dev_eui, &r->dev_eui, ec);
	}
	if (err == JY_OK && r->has_join_eui) {
		err = check_said("JoinEUI", in->join_eui, &r->join_eui, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	return device_of_rejoin(j->env, &r->dev_eui,
	    r->has_join_eui ? &r->join_eui : in->join_eui, &j->device, ec);
}

/* Device and nonces, in one read transaction. */
static enum jy_err
step_device(struct join *j, struct errctx *ec)
{
	return device_view(j->env, &j->device, j->in.mac_version,
	    j->request.counter, &j->view, ec);
}

/* May this peer, with this NetID, for this device. */
static enum jy_err
step_access(struct join *j, struct errctx *ec)
{
	return access_network(j->peer, &j->view.device.activation, j->in.net_id,
	    &j->in.sender, ec);
}

/* The key that makes the join-accept's MIC; the caller puts it. */
static enum jy_err
get_accept_mic_key(const struct join *j, struct hsm_key *root,
    struct hsm_key **out, struct errctx *ec)
{
	const struct device_key *nwk_key = &j->commit.session.nwk_key;

	return steps_opt_neg(j)
	    ? keys_get_lifetime(j->env->hsm, LW_JS_INT_KEY, &j->device, nwk_key,
		  root, out, ec)
	    : keys_get_root(j->env, &j->device, nwk_key, out, ec);
}

/* The key that hides the join-accept; the caller puts it. */
static enum jy_err
get_accept_key(const struct join *j, struct hsm_key *root, struct hsm_key **out,
    struct errctx *ec)
{
	const struct device_key *nwk_key = &j->commit.session.nwk_key;

	return j->in.rejoin
	    ? keys_get_lifetime(j->env->hsm, LW_JS_ENC_KEY, &j->device, nwk_key,
		  root, out, ec)
	    : keys_get_root(j->env, &j->device, nwk_key, out, ec);
}

/* MIC and encryption, under keys that are there. */
static enum jy_err
seal_accept(struct join *j, struct hsm_key *mic_key, struct hsm_key *key,
    struct errctx *ec)
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
	size_t head_len, len, body_len;
	enum jy_err err;

	len = lw_join_accept_input(&fields, j->request.type,
	    &j->device.join_eui, j->request.counter, input, &head_len);
	body_len = len - head_len; /* MHDR and fields */
	memcpy(plain, input + head_len, body_len);
	err = hsm_mic(j->token, mic_key, input, len, plain + body_len, ec);
	if (err != JY_OK) {
		return err;
	}
	j->out.phy[0] = plain[0]; /* the MHDR stays in clear */
	j->out.phy_len = body_len + LW_MIC_LEN;
	return hsm_decrypt(
	    j->token, key, plain + 1, j->out.phy_len - 1, j->out.phy + 1, ec);
}

/* Token: MIC and encryption of the join-accept. */
static enum jy_err
step_accept(struct join *j, struct errctx *ec)
{
	struct hsm_key *root = NULL, *mic_key = NULL, *key = NULL;
	enum jy_err err;

	err = keys_get_root(
	    j->env, &j->device, &j->commit.session.nwk_key, &root, ec);
	if (err == JY_OK) {
		err = get_accept_mic_key(j, root, &mic_key, ec);
	}
	if (err == JY_OK) {
		err = get_accept_key(j, root, &key, ec);
	}
	if (err == JY_OK) {
		err = seal_accept(j, mic_key, key, ec);
	}
	hsm_key_put(j->env->hsm, key);
	hsm_key_put(j->env->hsm, mic_key);
	hsm_key_put(j->env->hsm, root);
	return err;
}

/* Seconds that the session still lasts, at least 1; 0: without end. */
static uint32_t
lifetime_left(const struct join *j)
{
	const struct session_row *session = &j->commit.session;
	uint64_t now =
	    j->repeated ? j->env->sys->now_ms() : session->created_ms;

	if (session->expires_ms == 0) {
		return 0;
	}
	/* The token may have taken its time since is_repetition. */
	return session->expires_ms < now + 2000
	    ? 1
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
		if (round[i]->err == JY_OK && !round[i]->repeated &&
		    !round[i]->in.dry_run) {
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
		run_steps(round[i], JOIN_STEP_device,
		    round[i]->in.dry_run ? JOIN_STEP_accept : JOIN_STEP_commit);
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

/* By DevEUI alone: the JoinEUI may become the default one on the way. */
static bool
has_device(struct join *const joins[], size_t n, const struct device_id *id)
{
	for (size_t i = 0; i < n; i++) {
		if (eui64_eq(&joins[i]->device.dev_eui, &id->dev_eui)) {
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
