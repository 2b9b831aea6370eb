/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backend Interfaces (TS002) from the asking side, written from its text:
 * calls become messages, answers are held against every rule for what a Join
 * Server gives.  Shares nothing with src/bi, which it is there to check.
 */
#include "tools/client_bi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "src/base/hex.h"
#include "src/base/secret.h"
#include "src/base/sys.h"

/*
 * Result codes and what of the framed protocol is nearest: of the rows with a
 * name, the first, but a rejoin has no DevNonce (take_refusal).  Codes without
 * a row become Other.
 */
static const struct result_row {
	const char *v1_0;
	const char *v1_1; /* NULL: the same */
	Joinery__V1__ErrorCode code;
} results[] = {
	{ "MalformedRequest", "MalformedMessage",
	    JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST },
	{ "MalformedRequest", "MalformedMessage",
	    JOINERY__V1__ERROR_CODE__OPTNEG_MISMATCH },
	{ "MalformedRequest", "MalformedMessage",
	    JOINERY__V1__ERROR_CODE__UNKNOWN_CALL },
	{ "MalformedRequest", "MalformedMessage",
	    JOINERY__V1__ERROR_CODE__FRAME_TOO_LARGE },
	{ "InvalidProtocolVersion", NULL,
	    JOINERY__V1__ERROR_CODE__UNKNOWN_CALL },
	{ "UnknownSender", NULL, JOINERY__V1__ERROR_CODE__PEER_UNKNOWN },
	{ "UnkownReceiver", NULL,
	    JOINERY__V1__ERROR_CODE__JOIN_EUI_NOT_SERVED },
	{ "FrameSizeError", NULL, JOINERY__V1__ERROR_CODE__FRAME_SIZE },
	{ "UnknownDevEUI", NULL, JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE },
	{ "UnknownDevEUI", NULL, JOINERY__V1__ERROR_CODE__UNKNOWN_SESSION },
	{ "ActivationDisallowed", NULL, JOINERY__V1__ERROR_CODE__NOT_ALLOWED },
	{ "ActivationDisallowed", NULL,
	    JOINERY__V1__ERROR_CODE__DEVICE_RELEASED },
	{ "NoRoamingAgreement", NULL,
	    JOINERY__V1__ERROR_CODE__NO_ROAMING_AGREEMENT },
	{ "MICFailed", NULL, JOINERY__V1__ERROR_CODE__MIC_FAILED },
	{ "JoinReqFailed", "FrameReplayed",
	    JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED },
	{ "JoinReqFailed", "FrameReplayed",
	    JOINERY__V1__ERROR_CODE__RJ_COUNT_REPLAYED },
	{ "JoinReqFailed", NULL,
	    JOINERY__V1__ERROR_CODE__JOIN_NONCE_EXHAUSTED },
	{ "JoinReqFailed", NULL, JOINERY__V1__ERROR_CODE__NO_ROOT_KEY },
	{ "Other", NULL, JOINERY__V1__ERROR_CODE__INTERNAL },
};

static const char *const mac_versions[] = {
	[JOINERY__V1__MAC_VERSION__MAC_1_0_0] = "1.0.0",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_1] = "1.0.1",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_2] = "1.0.2",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_3] = "1.0.3",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_4] = "1.0.4",
	[JOINERY__V1__MAC_VERSION__MAC_1_1_0] = "1.1",
};

/* ---- result codes ---- */

static const char *
result_name(const struct result_row *row, bool v1_1)
{
	return v1_1 && row->v1_1 != NULL ? row->v1_1 : row->v1_0;
}

/* The code nearest to a name of that version; 0 if it has no such name. */
static Joinery__V1__ErrorCode
code_of(const char *name, bool v1_1)
{
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		if (strcmp(result_name(&results[i], v1_1), name) == 0) {
			return results[i].code;
		}
	}
	return JOINERY__V1__ERROR_CODE__ERROR_UNSPECIFIED;
}

Joinery__V1__ErrorCode
client_bi_code(Joinery__V1__ErrorCode code, bool v1_1)
{
	for (size_t i = 0; i < ARRAY_LEN(results); i++) {
		if (results[i].code == code) {
			return code_of(result_name(&results[i], v1_1), v1_1);
		}
	}
	return JOINERY__V1__ERROR_CODE__INTERNAL;
}

/* ---- messages ---- */

static void
put_text(json_t *m, const char *name, const char *text)
{
	int bad = json_object_set_new(m, name, json_string(text));

	jy_assert(bad == 0);
}

static void
put_number(json_t *m, const char *name, uint32_t n)
{
	int bad = json_object_set_new(m, name, json_integer(n));

	jy_assert(bad == 0);
}

static void
put_octets(json_t *m, const char *name, const ProtobufCBinaryData *b)
{
	char *hex = sys_xmalloc(2 * b->len + 1);

	hex_format(b->data, b->len, hex);
	put_text(m, name, hex);
	free(hex);
}

/* A number as so many hexadecimal digits. */
static void
put_hex(json_t *m, const char *name, uint32_t n, int digits)
{
	char hex[16];

	(void)snprintf(hex, sizeof(hex), "%0*x", digits, n);
	put_text(m, name, hex);
}

static bool
eui_text(
    protobuf_c_boolean has, const ProtobufCBinaryData *eui, char out[static 17])
{
	if (!has || eui->len != 8) {
		return false;
	}
	hex_format(eui->data, 8, out);
	return true;
}

static enum jy_err
put_join(json_t *m, struct client_bi_pending *p,
    const Joinery__V1__Request *request, struct errctx *ec)
{
	const Joinery__V1__JoinRequest *q =
	    request->call_case == JOINERY__V1__REQUEST__CALL_JOIN
	    ? request->join
	    : request->rejoin;

	if (!eui_text(q->has_dev_eui, &q->dev_eui, p->dev_eui) ||
	    !eui_text(q->has_join_eui, &q->join_eui, p->receiver) ||
	    q->mac_version == 0) {
		return err_set(ec, JY_EINVAL,
		    "DevEUI, JoinEUI and MAC version are wanted");
	}
	(void)snprintf(p->sender, sizeof(p->sender), "%06x", q->net_id);
	put_text(m, "MACVersion", mac_versions[q->mac_version]);
	put_octets(m, "PHYPayload", &q->phy_payload);
	put_text(m, "DevEUI", p->dev_eui);
	put_hex(m, "DevAddr", q->dev_addr, 8);
	put_hex(m, "DLSettings", q->dl_settings, 2);
	put_number(m, "RxDelay", q->rx_delay);
	if (q->has_cf_list) {
		put_octets(m, "CFList", &q->cf_list);
	}
	return JY_OK;
}

static enum jy_err
put_app_s_key(json_t *m, struct client_bi_pending *p,
    const Joinery__V1__Request *q, struct errctx *ec)
{
	const Joinery__V1__AppSKeyRequest *call = q->app_s_key;

	if (!eui_text(call->has_dev_eui, &call->dev_eui, p->dev_eui) ||
	    !eui_text(call->has_join_eui, &call->join_eui, p->receiver) ||
	    call->session_key_id.len > CLIENT_BI_OCTETS_MAX ||
	    q->sender == NULL || q->sender->as_id == NULL) {
		return err_set(ec, JY_EINVAL,
		    "DevEUI, JoinEUI, session key ID and AS-ID are wanted");
	}
	(void)snprintf(p->sender, sizeof(p->sender), "%s", q->sender->as_id);
	hex_format(
	    call->session_key_id.data, call->session_key_id.len, p->session);
	put_text(m, "DevEUI", p->dev_eui);
	put_text(m, "SessionKeyID", p->session);
	return JY_OK;
}

static enum jy_err
put_home_ns(json_t *m, struct client_bi_pending *p,
    const Joinery__V1__Request *request, struct errctx *ec)
{
	const Joinery__V1__HomeNsRequest *q = request->home_ns;

	if (!eui_text(q->has_dev_eui, &q->dev_eui, p->dev_eui) ||
	    !eui_text(q->has_join_eui, &q->join_eui, p->receiver)) {
		return err_set(ec, JY_EINVAL, "DevEUI and JoinEUI are wanted");
	}
	(void)snprintf(p->sender, sizeof(p->sender), "%06x", q->net_id);
	put_text(m, "DevEUI", p->dev_eui);
	return JY_OK;
}

/* ---- answers ---- */

struct call_row;

/* What was read of an answer, in the terms of the framed protocol. */
struct reading {
	const struct client_bi_pending *p;
	const struct call_row *row;
	bool v1_1;
	struct errctx *ec;
	Joinery__V1__Response response;
	Joinery__V1__Error error;
	Joinery__V1__JoinAnswer join;
	Joinery__V1__AppSKeyAnswer app_s_key;
	Joinery__V1__HomeNsAnswer home_ns;
	Joinery__V1__KeyEnvelope keys[5];
	uint8_t octets[8][CLIENT_BI_OCTETS_MAX]; /* of what keys and answers
						    point to */
	size_t octets_used;
	char text[512];
};

static bool
wrong(struct reading *r, const char *member, const char *why)
{
	(void)err_set(r->ec, JY_EINVAL, "%s: %s %s", r->p->type, member, why);
	return false;
}

/* CS chokes on null, wherever it stands. */
static bool
has_null(const json_t *value)
{
	const char *name;
	json_t *item;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, name, item)
		{
			if (has_null(item)) {
				return true;
			}
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			if (has_null(item)) {
				return true;
			}
		}
	}
	return json_is_null(value);
}

/* A member must be this text; or, if wanted is "", not be there. */
static bool
check_text(
    struct reading *r, const json_t *m, const char *name, const char *wanted)
{
	const json_t *value = json_object_get(m, name);

	if (wanted[0] == '\0') {
		return value == NULL || wrong(r, name, "is there");
	}
	return (json_is_string(value) &&
		   strcmp(json_string_value(value), wanted) == 0) ||
	    wrong(r, name, "is not what it has to be");
}

static bool
check_header(struct reading *r, const json_t *m)
{
	const struct client_bi_pending *p = r->p;
	const json_t *transaction = json_object_get(m, "TransactionID");

	if (!json_is_integer(transaction) ||
	    json_integer_value(transaction) != (json_int_t)p->transaction) {
		return wrong(r, "TransactionID", "is not that of the request");
	}
	return check_text(r, m, "ProtocolVersion", r->v1_1 ? "1.1" : "1.0") &&
	    check_text(r, m, "MessageType", p->type) &&
	    check_text(r, m, "SenderID", p->receiver) &&
	    check_text(r, m, "ReceiverID", p->sender) &&
	    check_text(r, m, "ReceiverToken", p->token) &&
	    check_text(r, m, "SenderToken", "") &&
	    check_text(r, m, "ReceiverNSID", p->ns_id) &&
	    check_text(r, m, "SenderNSID", "");
}

/*
 * Digits of one of two numbers of octets (0: of one), and nothing else.
 * *out points to octets of the reading.
 */
static bool
take_hex(struct reading *r, const json_t *m, const char *name, size_t len,
    size_t or_len, ProtobufCBinaryData *out)
{
	const json_t *value = json_object_get(m, name);
	size_t digits = json_string_length(value);

	jy_assert(r->octets_used < ARRAY_LEN(r->octets));
	if (digits != 2 * len && (or_len == 0 || digits != 2 * or_len)) {
		return wrong(r, name, "is missing or has a wrong length");
	}
	out->data = r->octets[r->octets_used++];
	out->len = digits / 2;
	return hex_parse(
		   json_string_value(value), digits, out->data, out->len) ||
	    wrong(r, name, "has something else than hexadecimal digits");
}

/* A KeyEnvelope; true without *out when there is none. */
static bool
take_key(struct reading *r, const json_t *m, const char *name,
    Joinery__V1__KeyEnvelope *e, Joinery__V1__KeyEnvelope **out)
{
	const json_t *value = json_object_get(m, name);
	const json_t *label = json_object_get(value, "KEKLabel");
	bool wrapped = json_string_length(label) > 0;

	if (value == NULL) {
		return true;
	}
	if (!json_is_object(value) ||
	    (label != NULL && !json_is_string(label))) {
		return wrong(r, name, "is no KeyEnvelope");
	}
	joinery__v1__key_envelope__init(e);
	e->kek_label = (char *)(uintptr_t)json_string_value(label);
	e->has_aes_key = true;
	*out = e;
	return take_hex(r, value, "AESKey", wrapped ? 24 : 16, 0, &e->aes_key);
}

static bool
take_join(struct reading *r, const json_t *m)
{
	const json_t *lifetime = json_object_get(m, "Lifetime");
	Joinery__V1__JoinAnswer *a = &r->join;

	joinery__v1__join_answer__init(a);
	r->response.result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
	r->response.join = a;
	if (!json_is_integer(lifetime) || json_integer_value(lifetime) < 0 ||
	    json_integer_value(lifetime) > (json_int_t)UINT32_MAX) {
		return wrong(r, "Lifetime", "is no number of seconds");
	}
	a->has_lifetime_s = true;
	a->lifetime_s = (uint32_t)json_integer_value(lifetime);
	a->has_phy_payload = true;
	a->has_session_key_id = json_object_get(m, "SessionKeyID") != NULL;
	return take_hex(r, m, "PHYPayload", 17, 33, &a->phy_payload) &&
	    (!a->has_session_key_id ||
		take_hex(r, m, "SessionKeyID", 16, 0, &a->session_key_id)) &&
	    take_key(r, m, "NwkSKey", &r->keys[0], &a->nwk_s_key) &&
	    take_key(r, m, "FNwkSIntKey", &r->keys[1], &a->f_nwk_s_int_key) &&
	    take_key(r, m, "SNwkSIntKey", &r->keys[2], &a->s_nwk_s_int_key) &&
	    take_key(r, m, "NwkSEncKey", &r->keys[3], &a->nwk_s_enc_key) &&
	    take_key(r, m, "AppSKey", &r->keys[4], &a->app_s_key);
}

static bool
take_app_s_key(struct reading *r, const json_t *m)
{
	Joinery__V1__AppSKeyAnswer *a = &r->app_s_key;

	joinery__v1__app_skey_answer__init(a);
	r->response.result_case = JOINERY__V1__RESPONSE__RESULT_APP_S_KEY;
	r->response.app_s_key = a;
	a->has_session_key_id = true;
	return check_text(r, m, "DevEUI", r->p->dev_eui) &&
	    take_hex(r, m, "SessionKeyID", 16, 0, &a->session_key_id) &&
	    take_key(r, m, "AppSKey", &r->keys[4], &a->app_s_key);
}

static bool
take_home_ns(struct reading *r, const json_t *m)
{
	Joinery__V1__HomeNsAnswer *a = &r->home_ns;
	ProtobufCBinaryData net_id;

	joinery__v1__home_ns_answer__init(a);
	r->response.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
	r->response.home_ns = a;
	a->has_ns_id = json_object_get(m, "HNSID") != NULL;
	if (a->has_ns_id && !r->v1_1) {
		return wrong(r, "HNSID", "is not of version 1.0");
	}
	if (!take_hex(r, m, "HNetID", 3, 0, &net_id)) {
		return false;
	}
	a->has_net_id = true;
	a->net_id = (uint32_t)net_id.data[0] << 16 |
	    (uint32_t)net_id.data[1] << 8 | net_id.data[2];
	return !a->has_ns_id || take_hex(r, m, "HNSID", 8, 0, &a->ns_id);
}

/* A refusal: its code and nothing that belongs to success. */
static bool
take_refusal(struct reading *r, const json_t *m, const char *code,
    const char *description)
{
	Joinery__V1__Error *e = &r->error;

	joinery__v1__error__init(e);
	r->response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->response.error = e;
	(void)snprintf(r->text, sizeof(r->text), "%s: %s", code,
	    description != NULL ? description : "");
	e->message = r->text;
	e->has_code = true;
	e->code = code_of(code, r->v1_1);
	if (e->code == JOINERY__V1__ERROR_CODE__ERROR_UNSPECIFIED) {
		return wrong(r, "ResultCode", "is none of this version");
	}
	if (e->code == JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED &&
	    r->p->call == JOINERY__V1__REQUEST__CALL_REJOIN) {
		e->code = JOINERY__V1__ERROR_CODE__RJ_COUNT_REPLAYED;
	}
	return check_text(r, m, "PHYPayload", "") &&
	    check_text(r, m, "AppSKey", "") && check_text(r, m, "HNetID", "");
}

/* ---- whole messages ---- */

static const struct call_row {
	Joinery__V1__Request__CallCase call;
	const char *type; /* MessageType without Req */
	enum jy_err (*put)(json_t *m, struct client_bi_pending *p,
	    const Joinery__V1__Request *q, struct errctx *ec);
	bool (*take)(struct reading *r, const json_t *m);
} calls[] = {
	{ JOINERY__V1__REQUEST__CALL_JOIN, "Join", put_join, take_join },
	{ JOINERY__V1__REQUEST__CALL_REJOIN, "Rejoin", put_join, take_join },
	{ JOINERY__V1__REQUEST__CALL_APP_S_KEY, "AppSKey", put_app_s_key,
	    take_app_s_key },
	{ JOINERY__V1__REQUEST__CALL_HOME_NS, "HomeNS", put_home_ns,
	    take_home_ns },
};

static const struct call_row *
call_find(Joinery__V1__Request__CallCase call)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].call == call) {
			return &calls[i];
		}
	}
	return NULL;
}

enum jy_err
client_bi_build(bool v1_1, uint32_t transaction, const Joinery__V1__Request *q,
    struct client_bi_pending *p, char **out, struct errctx *ec)
{
	const Joinery__V1__Sender *s = q->sender;
	json_t *m;
	const struct call_row *row = call_find(q->call_case);
	char text[16];
	enum jy_err err;

	if (row == NULL) {
		return err_set(ec, JY_EINVAL,
		    "Backend Interfaces has no message for this call");
	}
	m = json_object();
	jy_assert(m != NULL);
	memset(p, 0, sizeof(*p));
	p->id = q->id;
	p->has_id = q->has_id;
	p->call = q->call_case;
	p->transaction = transaction;
	err = row->put(m, p, q, ec);
	(void)snprintf(text, sizeof(text), "%sReq", row->type);
	(void)snprintf(p->type, sizeof(p->type), "%sAns", row->type);
	/* Something to be given back. */
	(void)snprintf(p->token, sizeof(p->token), "%08x%08x",
	    p->transaction * 0x9E3779B1U, p->transaction);
	put_text(m, "ProtocolVersion", v1_1 ? "1.1" : "1.0");
	put_number(m, "TransactionID", p->transaction);
	put_text(m, "MessageType", text);
	put_text(m, "SenderID", p->sender);
	put_text(m, "ReceiverID", p->receiver);
	put_text(m, "SenderToken", p->token);
	if (v1_1 && s != NULL && eui_text(s->has_ns_id, &s->ns_id, p->ns_id)) {
		put_text(m, "SenderNSID", p->ns_id);
	}
	if (err == JY_OK) {
		*out = json_dumps(m, JSON_COMPACT);
		jy_assert(*out != NULL);
	}
	json_decref(m);
	return err;
}

static bool
take_result(struct reading *r, const json_t *m, bool escapes)
{
	const json_t *result = json_object_get(m, "Result");
	const json_t *code = json_object_get(result, "ResultCode");
	const json_t *description = json_object_get(result, "Description");

	if (!json_is_string(code) ||
	    (description != NULL && !json_is_string(description))) {
		return wrong(r, "Result", "is missing or no Result");
	}
	if (strcmp(json_string_value(code), "Success") != 0) {
		return take_refusal(r, m, json_string_value(code),
		    json_string_value(description));
	}
	if (escapes) {
		return wrong(r, "a text", "has an escape in it");
	}
	return r->row->take(r, m);
}

/* A Response of its own memory, as client_free wants it. */
Joinery__V1__Response *
client_bi_copy(const Joinery__V1__Response *response)
{
	size_t len = joinery__v1__response__get_packed_size(response);
	uint8_t *packed = sys_xmalloc(len);
	Joinery__V1__Response *copy;

	(void)joinery__v1__response__pack(response, packed);
	copy = joinery__v1__response__unpack(NULL, len, packed);
	jy_assert(copy != NULL);
	secret_wipe(packed, len);
	free(packed);
	return copy;
}

enum jy_err
client_bi_read(bool v1_1, const struct client_bi_pending *p, const char *body,
    size_t len, Joinery__V1__Response **out, struct errctx *ec)
{
	struct reading r = {
		.p = p,
		.row = call_find(p->call),
		.v1_1 = v1_1,
		.ec = ec,
	};
	json_error_t error;
	json_t *m = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
	bool ok;

	jy_assert(r.row != NULL); /* client_bi_build found it */
	joinery__v1__response__init(&r.response);
	r.response.has_id = p->has_id;
	r.response.id = p->id;
	if (!json_is_object(m)) {
		ok = wrong(&r, "body", "is not one JSON object");
	} else if (has_null(m)) {
		ok = wrong(&r, "a member", "is null");
	} else {
		ok = check_header(&r, m) &&
		    take_result(&r, m, memchr(body, '\\', len) != NULL);
	}
	if (ok) {
		*out = client_bi_copy(&r.response);
	}
	json_decref(m);
	secret_wipe(&r, sizeof(r));
	return ok ? JY_OK : JY_EINVAL;
}
