/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls there are and who may make them. */
#include "src/worker/calls.h"

#include "src/worker/convert.h"

#define CALL(id) JOINERY__V1__REQUEST__CALL_##id

static const struct call_def calls[] = {
	{ CALL(PING), "ping", CALL_ANYBODY, false, call_ping },
	{ CALL(JOIN), "join", CALL_NS, false, NULL },
	{ CALL(NETWORK_KEYS), "network_keys", CALL_NS, false,
	    call_network_keys },
	{ CALL(APP_S_KEY), "app_s_key", CALL_AS, false, call_app_s_key },
	{ CALL(IMPORT_KEY), "import_key", CALL_ADMIN, false, call_import_key },
	{ CALL(DEVICE_SET), "device_set", CALL_ADMIN, true, call_device_set },
	{ CALL(DEVICE_GET), "device_get", CALL_ADMIN, false, call_device_get },
	{ CALL(DEVICE_DELETE), "device_delete", CALL_ADMIN, true,
	    call_device_delete },
	{ CALL(DEVICE_LIST), "device_list", CALL_ADMIN, false,
	    call_device_list },
	{ CALL(NONCES_RESET), "nonces_reset", CALL_ADMIN, true,
	    call_nonces_reset },
	{ CALL(SESSION_LIST), "session_list", CALL_ADMIN, false,
	    call_session_list },
	{ CALL(SESSION_GET), "session_get", CALL_ADMIN, false,
	    call_session_get },
	{ CALL(KEK_IMPORT), "kek_import", CALL_ADMIN, true, call_kek_import },
	{ CALL(KEK_GENERATE), "kek_generate", CALL_ADMIN, true,
	    call_kek_generate },
	{ CALL(KEK_LIST), "kek_list", CALL_ADMIN, false, call_kek_list },
	{ CALL(KEK_DELETE), "kek_delete", CALL_ADMIN, true, call_kek_delete },
	{ CALL(PEER_SET), "peer_set", CALL_ADMIN, true, call_peer_set },
	{ CALL(PEER_GET), "peer_get", CALL_ADMIN, false, call_peer_get },
	{ CALL(PEER_DELETE), "peer_delete", CALL_ADMIN, true,
	    call_peer_delete },
	{ CALL(PEER_LIST), "peer_list", CALL_ADMIN, false, call_peer_list },
};

const struct call_def *
call_find(Joinery__V1__Request__CallCase which)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].which == which) {
			return &calls[i];
		}
	}
	return NULL;
}

enum jy_err
call_allowed(
    const struct call_def *def, const struct asker *asker, struct errctx *ec)
{
	switch (def->who) {
	case CALL_ANYBODY:
		return JY_OK;
	case CALL_NS:
		return asker->peer.role == PEER_NS
		    ? JY_OK
		    : err_set(ec, JY_EACCESS, "%s is not a Network Server",
			  asker->name);
	case CALL_AS:
		return asker->peer.role == PEER_AS
		    ? JY_OK
		    : err_set(ec, JY_EACCESS, "%s is not an Application Server",
			  asker->name);
	case CALL_ADMIN:
		return access_admin(asker, ec);
	}
	return JY_EACCESS;
}

void
call_answer_done(struct call *c)
{
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_DONE;
	c->response->done =
	    convert_new(c->arena, &joinery__v1__done_answer__descriptor);
}
