/* SPDX-License-Identifier: Apache-2.0 */
/* What a Network Server and an Application Server ask after a join. */
#include "tools/sim_fetch.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"

/* protobuf-c does not know const: what it reads is copied here. */
struct parts {
	uint8_t id[SIM_SESSION_ID_LEN];
	struct eui64 dev_eui;
};

static void
parts_init(struct parts *p, const uint8_t id[SIM_SESSION_ID_LEN],
    const struct eui64 *dev_eui)
{
	static const struct eui64 none;

	memcpy(p->id, id, sizeof(p->id));
	p->dev_eui = dev_eui != NULL ? *dev_eui : none;
}

enum jy_err
sim_fetch_network_keys(struct client *c, const uint8_t id[SIM_SESSION_ID_LEN],
    const struct eui64 *dev_eui, Joinery__V1__Response **out, struct errctx *ec)
{
	Joinery__V1__NetworkKeysRequest call =
	    JOINERY__V1__NETWORK_KEYS_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	struct parts parts;

	parts_init(&parts, id, dev_eui);
	call.has_session_key_id = true;
	call.session_key_id.data = parts.id;
	call.session_key_id.len = sizeof(parts.id);
	call.has_dev_eui = dev_eui != NULL;
	call.dev_eui.data = parts.dev_eui.be;
	call.dev_eui.len = sizeof(parts.dev_eui.be);
	request.call_case = JOINERY__V1__REQUEST__CALL_NETWORK_KEYS;
	request.network_keys = &call;
	return client_call(c, &request, out, ec);
}

enum jy_err
sim_fetch_app_s_key(struct client *c, const uint8_t id[SIM_SESSION_ID_LEN],
    const struct eui64 *dev_eui, const struct eui64 *join_eui,
    const char *as_id, Joinery__V1__Response **out, struct errctx *ec)
{
	Joinery__V1__AppSKeyRequest call = JOINERY__V1__APP_SKEY_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Sender sender = JOINERY__V1__SENDER__INIT;
	char *name = as_id != NULL ? sys_xstrdup(as_id) : NULL;
	struct eui64 join = { { 0 } };
	struct parts parts;
	enum jy_err err;

	parts_init(&parts, id, dev_eui);
	if (join_eui != NULL) {
		join = *join_eui;
	}
	call.has_session_key_id = true;
	call.session_key_id.data = parts.id;
	call.session_key_id.len = sizeof(parts.id);
	call.has_dev_eui = dev_eui != NULL;
	call.dev_eui.data = parts.dev_eui.be;
	call.dev_eui.len = sizeof(parts.dev_eui.be);
	call.has_join_eui = join_eui != NULL;
	call.join_eui.data = join.be;
	call.join_eui.len = sizeof(join.be);
	sender.as_id = name;
	request.sender = name != NULL ? &sender : NULL;
	request.call_case = JOINERY__V1__REQUEST__CALL_APP_S_KEY;
	request.app_s_key = &call;
	err = client_call(c, &request, out, ec);
	free(name);
	return err;
}

static enum jy_err
fetch_network_keys(struct client *ns, const struct sim_verifier *v,
    const struct sim_device *d, enum sim_status *status, struct errctx *ec)
{
	Joinery__V1__Response *response;
	enum jy_err err = sim_fetch_network_keys(
	    ns, d->latest.id, &d->dev_eui, &response, ec);

	if (err != JY_OK) {
		return err;
	}
	sim_report_title(v->report, "network keys by session key ID");
	if (response->result_case !=
	    JOINERY__V1__RESPONSE__RESULT_NETWORK_KEYS) {
		*status = sim_refused(v->report, response);
	} else if (!sim_verify_network_keys(v, d, response->network_keys)) {
		*status = SIM_FAILED;
	}
	client_free(response);
	return JY_OK;
}

enum jy_err
sim_fetch_session(const struct sim_options *o, struct client *ns,
    struct client *as, const struct sim_verifier *v, const struct sim_device *d,
    enum sim_status *status, struct errctx *ec)
{
	Joinery__V1__Response *response;
	enum jy_err err = JY_OK;

	if (o->bi == NULL) {
		err = fetch_network_keys(ns, v, d, status, ec);
	}
	if (err != JY_OK || as == NULL) {
		return err;
	}
	err = sim_fetch_app_s_key(as, d->latest.id, &d->dev_eui,
	    o->bi != NULL ? &d->join_eui : NULL, o->as_id, &response, ec);
	if (err != JY_OK) {
		return err;
	}
	sim_report_title(v->report, "AppSKey by session key ID");
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_APP_S_KEY) {
		*status = sim_refused(v->report, response);
	} else if (!sim_verify_app_s_key(v, d, response->app_s_key)) {
		*status = SIM_FAILED;
	}
	client_free(response);
	return JY_OK;
}
