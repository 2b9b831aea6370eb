/* SPDX-License-Identifier: Apache-2.0 */
/* What a Network Server and an Application Server ask after a join. */
#include "tools/sim_fetch.h"

#include <string.h>

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
    const struct eui64 *dev_eui, Joinery__V1__Response **out, struct errctx *ec)
{
	Joinery__V1__AppSKeyRequest call = JOINERY__V1__APP_SKEY_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	struct parts parts;

	parts_init(&parts, id, dev_eui);
	call.has_session_key_id = true;
	call.session_key_id.data = parts.id;
	call.session_key_id.len = sizeof(parts.id);
	call.has_dev_eui = dev_eui != NULL;
	call.dev_eui.data = parts.dev_eui.be;
	call.dev_eui.len = sizeof(parts.dev_eui.be);
	request.call_case = JOINERY__V1__REQUEST__CALL_APP_S_KEY;
	request.app_s_key = &call;
	return client_call(c, &request, out, ec);
}
