/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing.  One device, one worker: what names a device is hashed by its
 * DevEUI, what names only a session by the session key ID.  A request whose
 * key has the wrong length goes anywhere; the worker refuses it.
 */
#include "src/front/route.h"

#include "proto/joinery.pb-c.h"
#include "src/base/arena.h"
#include "src/front/unpack.h"

/* A join-request: MHDR 1, JoinEUI 8, DevEUI 8, ... */
#define JOIN_DEV_EUI_AT 9U
#define DEV_EUI_LEN 8U
#define SESSION_KEY_ID_LEN 16U

/* FNV-1a, 64 bits, its halves folded together: "%" looks at low bits. */
static void
route_by(struct route *out, const uint8_t *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < len; i++) {
		h = (h ^ key[i]) * 0x100000001b3U;
	}
	out->hash = h ^ h >> 32;
	out->keyed = true;
}

/* On air the DevEUI is reversed; hash it as other calls write it. */
static void
route_by_join(struct route *out, const Joinery__V1__JoinRequest *join)
{
	const ProtobufCBinaryData *phy = &join->phy_payload;
	uint8_t dev_eui[DEV_EUI_LEN];

	if (!join->has_phy_payload ||
	    phy->len < JOIN_DEV_EUI_AT + DEV_EUI_LEN) {
		return;
	}
	for (size_t i = 0; i < DEV_EUI_LEN; i++) {
		dev_eui[i] = phy->data[JOIN_DEV_EUI_AT + DEV_EUI_LEN - 1 - i];
	}
	route_by(out, dev_eui, DEV_EUI_LEN);
}

static void
route_by_session(struct route *out, const ProtobufCBinaryData *dev_eui,
    const ProtobufCBinaryData *session_key_id)
{
	if (dev_eui != NULL && dev_eui->len == DEV_EUI_LEN) {
		route_by(out, dev_eui->data, dev_eui->len);
	} else if (session_key_id != NULL &&
	    session_key_id->len == SESSION_KEY_ID_LEN) {
		route_by(out, session_key_id->data, session_key_id->len);
	}
}

static void
route_by_device(struct route *out, const Joinery__V1__DeviceId *id)
{
	if (id != NULL && id->dev_eui.len == DEV_EUI_LEN) {
		route_by(out, id->dev_eui.data, id->dev_eui.len);
	}
}

static enum jy_err
route_call(const Joinery__V1__Request *r, struct route *out)
{
	switch (r->call_case) {
	case JOINERY__V1__REQUEST__CALL__NOT_SET:
		return JY_ECALL;
	case JOINERY__V1__REQUEST__CALL_STATUS:
		out->status = true;
		break;
	case JOINERY__V1__REQUEST__CALL_JOIN:
		route_by_join(out, r->join);
		break;
	case JOINERY__V1__REQUEST__CALL_NETWORK_KEYS:
		route_by_session(out, &r->network_keys->dev_eui,
		    &r->network_keys->session_key_id);
		break;
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		route_by_session(
		    out, &r->app_s_key->dev_eui, &r->app_s_key->session_key_id);
		break;
	case JOINERY__V1__REQUEST__CALL_SESSION_GET:
		route_by_session(out, NULL, &r->session_get->session_key_id);
		break;
	case JOINERY__V1__REQUEST__CALL_DEVICE_SET:
		route_by_device(out, r->device_set->id);
		break;
	case JOINERY__V1__REQUEST__CALL_DEVICE_GET:
		route_by_device(out, r->device_get->id);
		break;
	case JOINERY__V1__REQUEST__CALL_DEVICE_DELETE:
		route_by_device(out, r->device_delete->id);
		break;
	case JOINERY__V1__REQUEST__CALL_NONCES_RESET:
		route_by_device(out, r->nonces_reset->id);
		break;
	case JOINERY__V1__REQUEST__CALL_SESSION_LIST:
		route_by_device(out, r->session_list->id);
		break;
	case JOINERY__V1__REQUEST__CALL_PING:
	case JOINERY__V1__REQUEST__CALL_IMPORT_KEY:
	case JOINERY__V1__REQUEST__CALL_DEVICE_LIST:
	case JOINERY__V1__REQUEST__CALL_KEK_IMPORT:
	case JOINERY__V1__REQUEST__CALL_KEK_GENERATE:
	case JOINERY__V1__REQUEST__CALL_KEK_LIST:
	case JOINERY__V1__REQUEST__CALL_KEK_DELETE:
	case JOINERY__V1__REQUEST__CALL_PEER_SET:
	case JOINERY__V1__REQUEST__CALL_PEER_GET:
	case JOINERY__V1__REQUEST__CALL_PEER_DELETE:
	case JOINERY__V1__REQUEST__CALL_PEER_LIST:
	case JOINERY__V1__REQUEST__CALL_REJOIN:
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
	case JOINERY__V1__REQUEST__CALL_APP_SET:
	case JOINERY__V1__REQUEST__CALL_APP_GET:
	case JOINERY__V1__REQUEST__CALL_APP_DELETE:
	case JOINERY__V1__REQUEST__CALL_APP_LIST:
	case JOINERY__V1__REQUEST__CALL_PEER_TEST:
	case JOINERY__V1__REQUEST__CALL_JOIN_EUIS:
	case JOINERY__V1__REQUEST__CALL_TRACE:
#ifdef PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE
	case _JOINERY__V1__REQUEST__CALL__CASE_IS_INT_SIZE:
#endif
		break;
	}
	return JY_OK;
}

enum jy_err
route_read(
    struct arena *arena, const uint8_t *request, size_t len, struct route *out)
{
	const Joinery__V1__Request *r = (const Joinery__V1__Request *)unpack(
	    arena, &joinery__v1__request__descriptor, request, len);
	enum jy_err err = JY_EINVAL;

	*out = (struct route){ .has_id = false };
	if (r != NULL) {
		out->has_id = r->has_id;
		out->id = r->id;
		err = route_call(r, out);
	}
	arena_reset(arena);
	return err;
}
