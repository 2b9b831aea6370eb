/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The step "policy" of the join line: whether the join can be had at all, by
 * which root keys, and how its session keys go to their receivers.
 */
#include <string.h>

#include "src/join/keys.h"
#include "src/join/steps.h"

bool
steps_opt_neg(const struct join *j)
{
	return (j->in.dl_settings & LW_OPT_NEG) != 0;
}

/*
 * OptNeg 1 makes the device derive 1.1 keys, OptNeg 0 1.0 keys: if the
 * Network Server thinks otherwise, the session would be dead.  Only a 1.1
 * device sends rejoin-requests.
 */
static enum jy_err
check_opt_neg(const struct join *j, struct errctx *ec)
{
	enum lw_version registered = j->view.device.mac_version;
	bool opt_neg = steps_opt_neg(j);

	if (lw_version_is_1_1(j->in.mac_version) != opt_neg) {
		return err_set(ec, JY_EOPTNEG,
		    "OptNeg %d in DLSettings does not go with MAC version %s",
		    opt_neg, lw_version_str(j->in.mac_version));
	}
	if (j->in.rejoin && !opt_neg) {
		return err_set(ec, JY_EOPTNEG,
		    "a rejoin-request needs MAC version 1.1 and OptNeg 1, "
		    "not %s and OptNeg 0",
		    lw_version_str(j->in.mac_version));
	}
	if (opt_neg && registered != LW_VERSION_NONE &&
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

	if (steps_opt_neg(j)) {
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
	if (err == JY_ENOTFOUND ||
	    (err == JY_OK && !peer_role_is(as->role, PEER_AS))) {
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
	return delivery_choose(j->env, d->activation.as_kek,
	    as.name[0] != '\0' ? &as : NULL, &j->to_as, ec);
}

/* The session that this join makes, as far as the request says. */
static void
fill_session(const struct join *j, struct session_row *session)
{
	memset(session, 0, sizeof(*session));
	session->device = j->device;
	session->mac_version = j->in.mac_version;
	session->opt_neg = steps_opt_neg(j);
	session->join_type = (uint8_t)j->request.type;
	session->counter = j->request.counter;
	session->net_id = j->in.net_id;
	session->dev_addr = j->in.dev_addr;
	session->dl_settings = j->in.dl_settings;
	session->rx_delay = j->in.rx_delay;
	session->has_cf_list = j->in.has_cf_list;
	memcpy(session->cf_list, j->in.cf_list, sizeof(session->cf_list));
	memcpy(session->mic, j->request.mic, sizeof(session->mic));
	memcpy(session->peer, j->peer->name, sizeof(session->peer));
}

enum jy_err
step_policy(struct join *j, struct errctx *ec)
{
	struct session_row *session = &j->commit.session;
	enum jy_err err;

	if (j->view.device.released) {
		return err_set(ec, JY_ERELEASED,
		    "the device was released to another Join Server");
	}
	fill_session(j, session);
	err = check_opt_neg(j, ec);
	if (err == JY_OK) {
		err = choose_roots(j, session, ec);
	}
	if (err == JY_OK) {
		err = delivery_choose(j->env, j->view.device.activation.ns_kek,
		    j->peer, &j->to_ns, ec);
	}
	if (err == JY_OK) {
		err = choose_app_delivery(j, ec);
	}
	return err;
}
