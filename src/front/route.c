/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing.  One device, one worker: what names a device is hashed by its
 * DevEUI, what names only a session by the session key ID.  A request whose
 * key has the wrong length goes anywhere; the worker refuses it.
 */
#include "src/front/route.h"

#include <string.h>

#include "proto/unpack.h"
#include "src/base/arena.h"

#define SESSION_KEY_ID_LEN 16U

/* Where the DevEUI of a PHYPayload begins, after the MHDR and ... */
#define JOIN_DEV_EUI_AT 9U      /* JoinEUI 8 */
#define REJOIN_1_DEV_EUI_AT 10U /* type 1, JoinEUI 8 */
#define REJOIN_DEV_EUI_AT 5U    /* type 1, NetID 3: types 0 and 2 */
#define REJOIN_TYPE_AT 1U

/* ---- by what ---- */

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

static void
route_by_dev_eui(struct route *out, const uint8_t dev_eui[ROUTE_DEV_EUI_LEN])
{
	memcpy(out->dev_eui, dev_eui, ROUTE_DEV_EUI_LEN);
	out->has_dev_eui = true;
	route_by(out, dev_eui, ROUTE_DEV_EUI_LEN);
}

/* On air the DevEUI is reversed; hash it as other calls write it. */
static void
route_by_phy(struct route *out, const ProtobufCBinaryData *phy, size_t at)
{
	uint8_t dev_eui[ROUTE_DEV_EUI_LEN];

	if (phy->len < at + ROUTE_DEV_EUI_LEN) {
		return;
	}
	for (size_t i = 0; i < ROUTE_DEV_EUI_LEN; i++) {
		dev_eui[i] = phy->data[at + ROUTE_DEV_EUI_LEN - 1 - i];
	}
	route_by_dev_eui(out, dev_eui);
}

static void
route_by_join(struct route *out, const Joinery__V1__JoinRequest *join)
{
	route_by_phy(out, &join->phy_payload, JOIN_DEV_EUI_AT);
}

static void
route_by_rejoin(struct route *out, const Joinery__V1__JoinRequest *rejoin)
{
	const ProtobufCBinaryData *phy = &rejoin->phy_payload;

	if (phy->len > REJOIN_TYPE_AT) {
		route_by_phy(out, phy,
		    phy->data[REJOIN_TYPE_AT] == 1 ? REJOIN_1_DEV_EUI_AT
						   : REJOIN_DEV_EUI_AT);
	}
}

static void
route_by_session(struct route *out, const ProtobufCBinaryData *dev_eui,
    const ProtobufCBinaryData *session_key_id)
{
	if (dev_eui != NULL && dev_eui->len == ROUTE_DEV_EUI_LEN) {
		route_by_dev_eui(out, dev_eui->data);
	} else if (session_key_id != NULL &&
	    session_key_id->len == SESSION_KEY_ID_LEN) {
		route_by(out, session_key_id->data, session_key_id->len);
	}
}

static void
route_by_device(struct route *out, const Joinery__V1__DeviceId *id)
{
	if (id != NULL) {
		route_by_session(out, &id->dev_eui, NULL);
	}
}

/* ---- by which call ---- */

/* The device that a call of admins is about; NULL: it does not say. */
static const Joinery__V1__DeviceId *
device_of(const Joinery__V1__Request *r)
{
	switch ((int)r->call_case) {
	case JOINERY__V1__REQUEST__CALL_DEVICE_SET:
		return r->device_set->id;
	case JOINERY__V1__REQUEST__CALL_DEVICE_GET:
		return r->device_get->id;
	case JOINERY__V1__REQUEST__CALL_DEVICE_DELETE:
		return r->device_delete->id;
	case JOINERY__V1__REQUEST__CALL_DEVICE_SETTLE:
		return r->device_settle->id;
	case JOINERY__V1__REQUEST__CALL_NONCES_RESET:
		return r->nonces_reset->id;
	case JOINERY__V1__REQUEST__CALL_SESSION_LIST:
		return r->session_list->id;
	default:
		return NULL;
	}
}

static enum jy_err
route_call(const Joinery__V1__Request *r, struct route *out)
{
	switch ((int)r->call_case) {
	case JOINERY__V1__REQUEST__CALL__NOT_SET:
		return JY_ECALL;
	case JOINERY__V1__REQUEST__CALL_REJOIN:
		route_by_rejoin(out, r->rejoin);
		break;
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
		route_by_session(out, &r->home_ns->dev_eui, NULL);
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
	case JOINERY__V1__REQUEST__CALL_STATUS:
		out->status = true;
		break;
	case JOINERY__V1__REQUEST__CALL_TRACE:
		out->trace = true;
		route_by_session(out, &r->trace->dev_eui, NULL);
		break;
	case JOINERY__V1__REQUEST__CALL_SESSION_GET:
		route_by_session(out, NULL, &r->session_get->session_key_id);
		break;
	case JOINERY__V1__REQUEST__CALL_DEVICE_SET:
	case JOINERY__V1__REQUEST__CALL_DEVICE_GET:
	case JOINERY__V1__REQUEST__CALL_DEVICE_DELETE:
	case JOINERY__V1__REQUEST__CALL_DEVICE_SETTLE:
	case JOINERY__V1__REQUEST__CALL_NONCES_RESET:
	case JOINERY__V1__REQUEST__CALL_SESSION_LIST:
		route_by_device(out, device_of(r));
		break;
	default: /* of no device, or of many: who has least to do */
		break;
	}
	return JY_OK;
}

enum jy_err
route_of(const Joinery__V1__Request *r, struct route *out)
{
	const ProtobufCFieldDescriptor *call =
	    protobuf_c_message_descriptor_get_field(
		&joinery__v1__request__descriptor, (unsigned)r->call_case);

	*out = (struct route){ .has_id = r->has_id,
		.id = r->id,
		.call = call != NULL ? call->name : NULL };
	return route_call(r, out);
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
		err = route_of(r, out);
	}
	arena_reset(arena);
	return err;
}
