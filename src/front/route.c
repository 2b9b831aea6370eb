/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routing.  One device, one worker: what names a device is hashed by its
 * DevEUI, what names only a session by the session key ID.  A request whose
 * key has the wrong length goes anywhere; the worker refuses it.
 */
#include "src/front/route.h"

#include <string.h>

#include "src/base/arena.h"
#include "src/front/unpack.h"

#define SESSION_KEY_ID_LEN 16U

/* Where the DevEUI of a PHYPayload begins, after the MHDR and ... */
#define JOIN_DEV_EUI_AT 9U      /* JoinEUI 8 */
#define REJOIN_1_DEV_EUI_AT 10U /* type 1, JoinEUI 8 */
#define REJOIN_DEV_EUI_AT 5U    /* type 1, NetID 3: types 0 and 2 */
#define REJOIN_TYPE_AT 1U

/* PeerTestRequest.request. */
#define PEER_TEST_REQUEST_FIELD 2U

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

static enum jy_err
route_call(const Joinery__V1__Request *r, struct route *out)
{
	switch (r->call_case) {
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
	case JOINERY__V1__REQUEST__CALL_APP_SET:
	case JOINERY__V1__REQUEST__CALL_APP_GET:
	case JOINERY__V1__REQUEST__CALL_APP_DELETE:
	case JOINERY__V1__REQUEST__CALL_APP_LIST:
	case JOINERY__V1__REQUEST__CALL_JOIN_EUIS:
	case JOINERY__V1__REQUEST__CALL_PEER_TEST:
#ifdef PROTOBUF_C__FORCE_ENUM_TO_BE_INT_SIZE
	case _JOINERY__V1__REQUEST__CALL__CASE_IS_INT_SIZE:
#endif
		break;
	}
	return JY_OK;
}

/* It goes where the request would go, and is never for the front itself. */
static void
route_peer_test(const Joinery__V1__PeerTestRequest *test, struct route *out)
{
	if (test->request != NULL) {
		(void)route_call(test->request, out);
		out->status = false;
		out->trace = false;
	}
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
	if (r->call_case == JOINERY__V1__REQUEST__CALL_PEER_TEST) {
		route_peer_test(r->peer_test, out);
		return JY_OK;
	}
	return route_call(r, out);
}

/* ---- from octets ---- */

/* What is left of a message that is read field by field. */
struct scan {
	const uint8_t *at;
	const uint8_t *end;
};

/* The next varint of at most 10 octets; false when there is none. */
static bool
scan_varint(struct scan *s, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && s->at < s->end; shift += 7) {
		uint8_t octet = *s->at++;

		v |= (uint64_t)(octet & 0x7fU) << shift;
		if (octet < 0x80) {
			*out = v;
			return true;
		}
	}
	return false;
}

/*
 * The next field; *body is what is in it if it has a length, else empty.
 * False at the end, and where the octets make no sense: unpacking stops there
 * too.
 */
static bool
scan_field(struct scan *s, uint32_t *number, struct scan *body)
{
	uint64_t tag, len = 0;

	if (!scan_varint(s, &tag)) {
		return false;
	}
	*number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		*body = (struct scan){ NULL, NULL };
		return scan_varint(s, &len);
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		len = 8;
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		len = 4;
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!scan_varint(s, &len)) {
			return false;
		}
		break;
	default:
		return false;
	}
	if (len > (uint64_t)(s->end - s->at)) {
		return false;
	}
	*body = (struct scan){ s->at, s->at + len };
	s->at += len;
	return true;
}

static bool
scan_has(struct scan s, uint32_t wanted)
{
	struct scan body;
	uint32_t number;

	while (scan_field(&s, &number, &body)) {
		if (number == wanted) {
			return true;
		}
	}
	return false;
}

/*
 * A Request may hold a PeerTestRequest and that a Request: unpacking follows
 * it as deep as it goes, and a frame has room for more than the stack.  So a
 * test within a test is found before anything is unpacked.
 */
static bool
is_nested(const uint8_t *request, size_t len)
{
	struct scan s = { request, request + len };
	struct scan test, inner;
	uint32_t number;

	while (scan_field(&s, &number, &test)) {
		if (number != JOINERY__V1__REQUEST__CALL_PEER_TEST) {
			continue;
		}
		while (scan_field(&test, &number, &inner)) {
			if (number == PEER_TEST_REQUEST_FIELD &&
			    scan_has(
				inner, JOINERY__V1__REQUEST__CALL_PEER_TEST)) {
				return true;
			}
		}
	}
	return false;
}

enum jy_err
route_read(
    struct arena *arena, const uint8_t *request, size_t len, struct route *out)
{
	const Joinery__V1__Request *r = NULL;
	enum jy_err err = JY_EINVAL;

	*out = (struct route){ .has_id = false };
	if (!is_nested(request, len)) {
		r = (const Joinery__V1__Request *)unpack(
		    arena, &joinery__v1__request__descriptor, request, len);
	}
	if (r != NULL) {
		err = route_of(r, out);
	}
	arena_reset(arena);
	return err;
}
