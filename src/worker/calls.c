/* SPDX-License-Identifier: Apache-2.0 */
/* Which calls there are and who may make them. */
#include "src/worker/calls.h"

#include <stdio.h>
#include <string.h>

#include "src/worker/convert.h"

#define CALL(id) JOINERY__V1__REQUEST__CALL_##id

static const struct call_def calls[] = {
	{ CALL(PING), "ping", CALL_ANYBODY, AUDIT_NOTHING, call_ping },
	{ CALL(JOIN), "join", CALL_NS, AUDIT_NOTHING, NULL },
	{ CALL(REJOIN), "rejoin", CALL_NS, AUDIT_NOTHING, NULL },
	{ CALL(HOME_NS), "home_ns", CALL_NS, AUDIT_NOTHING, call_home_ns },
	{ CALL(NETWORK_KEYS), "network_keys", CALL_NS, AUDIT_NOTHING,
	    call_network_keys },
	{ CALL(APP_S_KEY), "app_s_key", CALL_AS, AUDIT_NOTHING,
	    call_app_s_key },
	{ CALL(IMPORT_KEY), "import_key", CALL_ADMIN, AUDIT_NOTHING,
	    call_import_key },
	{ CALL(DEVICE_SET), "device_set", CALL_ADMIN, AUDIT_device_set,
	    call_device_set },
	{ CALL(DEVICE_GET), "device_get", CALL_ADMIN, AUDIT_NOTHING,
	    call_device_get },
	{ CALL(DEVICE_DELETE), "device_delete", CALL_ADMIN, AUDIT_device_delete,
	    call_device_delete },
	{ CALL(DEVICE_LIST), "device_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_device_list },
	{ CALL(NONCES_RESET), "nonces_reset", CALL_ADMIN, AUDIT_nonces_reset,
	    call_nonces_reset },
	{ CALL(SESSION_LIST), "session_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_session_list },
	{ CALL(SESSION_GET), "session_get", CALL_ADMIN, AUDIT_NOTHING,
	    call_session_get },
	{ CALL(KEK_IMPORT), "kek_import", CALL_ADMIN, AUDIT_kek_import,
	    call_kek_import },
	{ CALL(KEK_GENERATE), "kek_generate", CALL_ADMIN, AUDIT_kek_generate,
	    call_kek_generate },
	{ CALL(KEK_LIST), "kek_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_kek_list },
	{ CALL(KEK_DELETE), "kek_delete", CALL_ADMIN, AUDIT_kek_delete,
	    call_kek_delete },
	{ CALL(KEK_ROTATE), "kek_rotate", CALL_ADMIN, AUDIT_kek_rotate,
	    call_kek_rotate },
	{ CALL(KEK_RETIRE), "kek_retire", CALL_ADMIN, AUDIT_kek_retire,
	    call_kek_retire },
	{ CALL(KEK_TEST), "kek_test", CALL_ADMIN, AUDIT_NOTHING,
	    call_kek_test },
	{ CALL(PEER_SET), "peer_set", CALL_ADMIN, AUDIT_peer_set,
	    call_peer_set },
	{ CALL(PEER_GET), "peer_get", CALL_ADMIN, AUDIT_NOTHING,
	    call_peer_get },
	{ CALL(PEER_DELETE), "peer_delete", CALL_ADMIN, AUDIT_peer_delete,
	    call_peer_delete },
	{ CALL(PEER_LIST), "peer_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_peer_list },
	{ CALL(PEER_TEST), "peer_test", CALL_ADMIN, AUDIT_NOTHING,
	    call_peer_test },
	{ CALL(APP_SET), "app_set", CALL_ADMIN, AUDIT_app_set, call_app_set },
	{ CALL(APP_GET), "app_get", CALL_ADMIN, AUDIT_NOTHING, call_app_get },
	{ CALL(APP_DELETE), "app_delete", CALL_ADMIN, AUDIT_app_delete,
	    call_app_delete },
	{ CALL(APP_LIST), "app_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_app_list },
	{ CALL(IMPORT_BEGIN), "import_begin", CALL_ADMIN, AUDIT_import_begin,
	    call_import_begin },
	{ CALL(IMPORT_BATCH), "import_batch", CALL_ADMIN, AUDIT_ELSEWHERE,
	    call_import_batch },
	{ CALL(CUSTODY), "custody", CALL_ADMIN, AUDIT_NOTHING, call_custody },
	{ CALL(STORAGE_REPLACE), "storage_replace", CALL_ADMIN,
	    AUDIT_storage_key_rotate_begin, call_storage_replace },
	{ CALL(STORAGE_MOVE), "storage_move", CALL_ADMIN, AUDIT_NOTHING,
	    call_storage_move },
	{ CALL(STORAGE_FINISH), "storage_finish", CALL_ADMIN,
	    AUDIT_storage_key_rotate_finish, call_storage_finish },
	{ CALL(DEVICE_SETTLE), "device_settle", CALL_ADMIN,
	    AUDIT_root_keys_settled, call_device_settle },
	{ CALL(JOIN_EUIS), "join_euis", CALL_ADMIN, AUDIT_NOTHING,
	    call_join_euis },
	{ CALL(IMPORT_END), "import_end", CALL_ADMIN, AUDIT_import_end,
	    call_import_end },
	{ CALL(IMPORT_KEY_ROTATE), "import_key_rotate", CALL_ADMIN,
	    AUDIT_import_key_rotated, call_import_key_rotate },
	{ CALL(AUDIT_LIST), "audit_list", CALL_ADMIN, AUDIT_NOTHING,
	    call_audit_list },
	{ CALL(AUDIT_VERIFY), "audit_verify", CALL_ADMIN, AUDIT_NOTHING,
	    call_audit_verify },
	{ CALL(RELEASE_BEGIN), "release_begin", CALL_ADMIN, AUDIT_ELSEWHERE,
	    call_release_begin },
	{ CALL(RELEASE_BATCH), "release_batch", CALL_ADMIN,
	    AUDIT_root_keys_released, call_release_batch },
	{ CALL(RELEASE_END), "release_end", CALL_ADMIN, AUDIT_ELSEWHERE,
	    call_release_end },
	{ CALL(TOKEN_ORPHANS), "token_orphans", CALL_ADMIN, AUDIT_NOTHING,
	    call_token_orphans },
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
		return peer_role_is(asker->peer.role, PEER_NS)
		    ? JY_OK
		    : err_set(ec, JY_EACCESS, "%s is not a Network Server",
			  asker->name);
	case CALL_AS:
		return peer_role_is(asker->peer.role, PEER_AS)
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

static void
object_device(const Joinery__V1__DeviceId *id, char out[CALL_OBJECT_MAX])
{
	char dev[EUI64_STR_LEN], join[EUI64_STR_LEN];
	struct device_id device;

	if (convert_device_id(id, &device, NULL) == JY_OK) {
		(void)snprintf(out, CALL_OBJECT_MAX, "dev_eui=%s join_eui=%s",
		    eui64_str(&device.dev_eui, dev),
		    eui64_str(&device.join_eui, join));
	}
}

static void
object_session(const ProtobufCBinaryData *id, char out[CALL_OBJECT_MAX])
{
	char hex[HEX_STR_LEN(STORE_ID_LEN)];

	if (id->len == STORE_ID_LEN) {
		hex_format(id->data, id->len, hex);
		(void)snprintf(out, CALL_OBJECT_MAX, "session=%s", hex);
	}
}

/* As said beside a PHYPayload or alone; those not said are "-". */
static void
object_euis(const ProtobufCBinaryData *dev_eui,
    const ProtobufCBinaryData *join_eui, char out[CALL_OBJECT_MAX])
{
	char dev[HEX_STR_LEN(8)] = "-", join[HEX_STR_LEN(8)] = "-";

	if (dev_eui->len == 8) {
		hex_format(dev_eui->data, dev_eui->len, dev);
	}
	if (join_eui->len == 8) {
		hex_format(join_eui->data, join_eui->len, join);
	}
	(void)snprintf(
	    out, CALL_OBJECT_MAX, "dev_eui=%s join_eui=%s", dev, join);
}

static void
object_name(const char *name, char out[CALL_OBJECT_MAX])
{
	char quoted[STORE_LABEL_MAX + 1];

	if (name == NULL) {
		return;
	}
	(void)snprintf(quoted, sizeof(quoted), "%s", name);
	for (char *c = quoted; *c != '\0'; c++) {
		*c = *c == '"' ? '\'' : *c;
	}
	(void)snprintf(out, CALL_OBJECT_MAX, "name=\"%s\"", quoted);
}

/* The KEK, peer or application that a call is about; NULL: it says none. */
static const char *
name_of(const Joinery__V1__Request *q)
{
	switch ((int)q->call_case) {
	case CALL(KEK_IMPORT):
		return q->kek_import->label;
	case CALL(KEK_GENERATE):
		return q->kek_generate->label;
	case CALL(KEK_DELETE):
		return q->kek_delete->label;
	case CALL(KEK_ROTATE):
		return q->kek_rotate->label;
	case CALL(KEK_RETIRE):
		return q->kek_retire->label;
	case CALL(KEK_TEST):
		return q->kek_test->label;
	case CALL(PEER_GET):
		return q->peer_get->name;
	case CALL(PEER_DELETE):
		return q->peer_delete->name;
	case CALL(PEER_TEST):
		return q->peer_test->name;
	case CALL(APP_GET):
		return q->app_get->name;
	case CALL(APP_DELETE):
		return q->app_delete->name;
	case CALL(PEER_SET):
		return q->peer_set->peer != NULL ? q->peer_set->peer->name
						 : NULL;
	case CALL(APP_SET):
		return q->app_set->app != NULL ? q->app_set->app->name : NULL;
	default:
		return NULL;
	}
}

void
call_object(const Joinery__V1__Request *q, char out[CALL_OBJECT_MAX])
{
	(void)snprintf(out, CALL_OBJECT_MAX, "-");
	switch ((int)q->call_case) {
	case CALL(JOIN):
		object_euis(&q->join->dev_eui, &q->join->join_eui, out);
		break;
	case CALL(REJOIN):
		object_euis(&q->rejoin->dev_eui, &q->rejoin->join_eui, out);
		break;
	case CALL(NETWORK_KEYS):
		object_session(&q->network_keys->session_key_id, out);
		break;
	case CALL(APP_S_KEY):
		object_session(&q->app_s_key->session_key_id, out);
		break;
	case CALL(HOME_NS):
		object_euis(&q->home_ns->dev_eui, &q->home_ns->join_eui, out);
		break;
	case CALL(SESSION_GET):
		object_session(&q->session_get->session_key_id, out);
		break;
	case CALL(DEVICE_SET):
		object_device(q->device_set->id, out);
		break;
	case CALL(DEVICE_GET):
		object_device(q->device_get->id, out);
		break;
	case CALL(DEVICE_DELETE):
		object_device(q->device_delete->id, out);
		break;
	case CALL(DEVICE_SETTLE):
		object_device(q->device_settle->id, out);
		break;
	case CALL(NONCES_RESET):
		object_device(q->nonces_reset->id, out);
		break;
	case CALL(SESSION_LIST):
		object_device(q->session_list->id, out);
		break;
	default:
		object_name(name_of(q), out);
		break;
	}
}

void
call_what(const char *object, const char *note, char out[CALL_NOTE_MAX])
{
	if (note[0] != '\0' && strcmp(object, "-") == 0) {
		(void)snprintf(out, CALL_NOTE_MAX, "%s", note);
		return;
	}
	(void)snprintf(out, CALL_NOTE_MAX, "%s%s%s", object,
	    note[0] != '\0' ? " " : "", note);
}
