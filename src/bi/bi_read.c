/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of Backend Interfaces into calls.  This file decides what is well
 * formed; who asks, and whether they may, it does not know.
 *
 * Two stages.  Until MessageType, SenderID and ReceiverID are read there is
 * nobody to answer to, and the message is garbage.  From then on whatever is
 * wrong is refused, the first thing wrong says how, and reading goes on so that
 * the answer echoes what can be echoed.
 */
#include "src/bi/bi.h"

#include <string.h>

#include "src/base/hex.h"
#include "src/bi/member.h"
#include "src/lorawan/version.h"

static uint32_t
be_value(const uint8_t *be, size_t n)
{
	uint32_t value = 0;

	for (size_t i = 0; i < n; i++) {
		value = value << 8 | be[i];
	}
	return value;
}

static ProtobufCBinaryData
octets(uint8_t *data, size_t len)
{
	ProtobufCBinaryData out = { .len = len, .data = data };

	return out;
}

/* ---- the header ---- */

/* What is wrong with a part of the address of an answer; NULL: nothing. */
static const char *
address_fault(const json_t *value, size_t max_len)
{
	if (value == NULL) {
		return "missing";
	}
	if (!json_is_string(value)) {
		return "not a string";
	}
	if (json_string_length(value) > max_len) {
		return "too long";
	}
	return member_is_printable(json_string_value(value))
	    ? NULL
	    : "not printable ASCII";
}

static bool
read_address(struct reading *r, const char *name, char *out, size_t max_len)
{
	const json_t *value = json_object_get(r->msg, name);
	const char *fault = address_fault(value, max_len);

	if (fault != NULL) {
		(void)err_set(r->ec, JY_EINVAL, "%s is %s", name, fault);
		return false;
	}
	memcpy(out, json_string_value(value), json_string_length(value) + 1);
	return true;
}

static bool
ends_in_req(const char *type)
{
	size_t len = strlen(type);

	return len > 3 && strcmp(type + len - 3, "Req") == 0;
}

static void
read_token(struct reading *r, const char *name, char *out)
{
	const char *text = member_optional_text(r, name);

	if (text == NULL) {
		return;
	}
	if (!member_is_hex(member_digits(text))) {
		MEMBER_REFUSE(
		    r, MALFORMED, "%s is not hexadecimal octets", name);
	} else if (strlen(text) > BI_TOKEN_MAX) {
		MEMBER_REFUSE(r, MALFORMED, "%s is too long", name);
	} else {
		memcpy(out, text, strlen(text) + 1);
	}
}

/* The digits as they were written into out, the octets into be. */
static void
read_ns_id(struct reading *r, const char *name, char out[17], uint8_t be[8])
{
	const char *text = member_optional_text(r, name);

	if (text == NULL || text[0] == '\0') {
		return;
	}
	if (member_parse_octets(r, name, text, be, 8)) {
		memcpy(out, member_digits(text), 17);
	}
}

/*
 * The version first: it names the errors of everything else.  Under one that
 * we do not speak, the answer is of 1.0.
 */
static void
read_header(struct reading *r)
{
	struct bi_request *q = r->q;
	const json_t *version = member_get(r, "ProtocolVersion");
	const char *text = json_string_value(version);
	char buf[MEMBER_SHOWN_MAX + 1];
	uint8_t unused[8];

	if (version == NULL) {
		MEMBER_REFUSE(r, VERSION, "ProtocolVersion is missing");
	} else if (text == NULL) {
		MEMBER_REFUSE(r, VERSION, "ProtocolVersion is not a string");
	} else if (strcmp(text, "1.0") != 0 && strcmp(text, "1.1") != 0) {
		MEMBER_REFUSE(r, VERSION,
		    "ProtocolVersion \"%s\" is not 1.0 or 1.1",
		    member_shown(text, buf));
	}
	(void)member_number(r, "TransactionID", UINT32_MAX, &q->transaction_id);
	read_token(r, "SenderToken", q->sender_token);
	read_token(r, "ReceiverToken", q->receiver_token);
	if (q->version == BI_1_1) {
		read_ns_id(r, "SenderNSID", q->sender_ns_id, q->ns_id_be);
		read_ns_id(r, "ReceiverNSID", q->receiver_ns_id, unused);
	}
}

/* ---- members of several messages ---- */

/* ReceiverID is the JoinEUI, and DevEUI is in each message. */
static void
read_euis(struct reading *r)
{
	struct bi_request *q = r->q;

	(void)member_parse_octets(r, "ReceiverID", q->receiver_id,
	    q->join_eui_be, sizeof(q->join_eui_be));
	if (member_octets(r, "DevEUI", q->dev_eui_be, sizeof(q->dev_eui_be))) {
		hex_format(q->dev_eui_be, sizeof(q->dev_eui_be), q->dev_eui);
	}
}

/* SenderID of a Network Server. */
static void
read_net_id(struct reading *r)
{
	struct bi_request *q = r->q;
	uint8_t be[3];

	if (member_parse_octets(r, "SenderID", q->sender_id, be, sizeof(be))) {
		q->sender.has_net_id = true;
		q->sender.net_id = be_value(be, sizeof(be));
	}
	if (q->sender_ns_id[0] != '\0') {
		q->sender.has_ns_id = true;
		q->sender.ns_id = octets(q->ns_id_be, sizeof(q->ns_id_be));
	}
}

/* ---- JoinReq, RejoinReq ---- */

static void
read_mac_version(struct reading *r)
{
	const char *text = member_text(r, "MACVersion");
	char buf[MEMBER_SHOWN_MAX + 1];
	enum lw_version version;

	if (text == NULL) {
		return;
	}
	if (!lw_version_parse(text, &version)) {
		MEMBER_REFUSE(r, MALFORMED, "MACVersion \"%s\" is none",
		    member_shown(text, buf));
		return;
	}
	r->q->join.has_mac_version = true;
	r->q->join.mac_version = (Joinery__V1__MacVersion)version;
}

static void
read_cf_list(struct reading *r)
{
	struct bi_request *q = r->q;
	const char *text = member_optional_text(r, "CFList");

	if (text == NULL || member_digits(text)[0] == '\0') {
		return;
	}
	if (member_parse_octets(
		r, "CFList", text, q->cf_list, sizeof(q->cf_list))) {
		q->join.has_cf_list = true;
		q->join.cf_list = octets(q->cf_list, sizeof(q->cf_list));
	}
}

/* Which length is right depends on the frame, so that is not seen to here. */
static void
read_phy_payload(struct reading *r)
{
	struct bi_request *q = r->q;
	const char *text = member_text(r, "PHYPayload");
	size_t len;

	if (text == NULL) {
		return;
	}
	text = member_digits(text);
	len = strlen(text) / 2;
	if (!member_is_hex(text)) {
		MEMBER_REFUSE(
		    r, MALFORMED, "PHYPayload is not hexadecimal octets");
	} else if (len == 0 || len > sizeof(q->phy)) {
		MEMBER_REFUSE(r, FRAME_SIZE, "PHYPayload has %zu octets", len);
	} else if (hex_parse(text, 2 * len, q->phy, len)) {
		q->join.has_phy_payload = true;
		q->join.phy_payload = octets(q->phy, len);
	}
}

static void
read_join(struct reading *r)
{
	struct bi_request *q = r->q;
	Joinery__V1__JoinRequest *j = &q->join;
	uint8_t dev_addr[4] = { 0 };
	uint8_t dl_settings = 0;

	read_euis(r);
	read_net_id(r);
	read_mac_version(r);
	j->has_dev_addr =
	    member_octets(r, "DevAddr", dev_addr, sizeof(dev_addr));
	j->has_dl_settings = member_octets(r, "DLSettings", &dl_settings, 1);
	j->has_rx_delay = member_number(r, "RxDelay", 15, &j->rx_delay);
	read_cf_list(r);
	/* The last: MalformedRequest goes before FrameSizeError. */
	read_phy_payload(r);

	j->has_net_id = true;
	j->net_id = q->sender.net_id;
	j->dev_addr = be_value(dev_addr, sizeof(dev_addr));
	j->dl_settings = dl_settings;
	j->has_dev_eui = j->has_join_eui = true;
	j->dev_eui = octets(q->dev_eui_be, sizeof(q->dev_eui_be));
	j->join_eui = octets(q->join_eui_be, sizeof(q->join_eui_be));
}

static void
read_join_req(struct reading *r)
{
	read_join(r);
	r->q->call.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	r->q->call.join = &r->q->join;
}

static void
read_rejoin_req(struct reading *r)
{
	read_join(r);
	r->q->call.call_case = JOINERY__V1__REQUEST__CALL_REJOIN;
	r->q->call.rejoin = &r->q->join;
}

/* ---- AppSKeyReq ---- */

/* One of another length is well formed, but never was one of ours. */
static void
read_session_key_id(struct reading *r)
{
	struct bi_request *q = r->q;
	const char *text = member_text(r, "SessionKeyID");

	if (text == NULL) {
		return;
	}
	text = member_digits(text);
	if (!member_is_hex(text) || text[0] == '\0') {
		MEMBER_REFUSE(
		    r, MALFORMED, "SessionKeyID is not hexadecimal octets");
	} else if (!hex_parse(text, strlen(text), q->session_key_id,
		       sizeof(q->session_key_id))) {
		MEMBER_REFUSE(
		    r, DEVICE, "SessionKeyID has %zu octets", strlen(text) / 2);
	}
}

static void
read_app_s_key_req(struct reading *r)
{
	struct bi_request *q = r->q;
	Joinery__V1__AppSKeyRequest *k = &q->app_s_key;

	read_euis(r);
	if (q->sender_id[0] == '\0') {
		MEMBER_REFUSE(r, MALFORMED, "SenderID is empty");
	}
	q->sender.as_id = q->sender_id;
	read_session_key_id(r);
	k->has_dev_eui = k->has_join_eui = k->has_session_key_id = true;
	k->dev_eui = octets(q->dev_eui_be, sizeof(q->dev_eui_be));
	k->join_eui = octets(q->join_eui_be, sizeof(q->join_eui_be));
	k->session_key_id =
	    octets(q->session_key_id, sizeof(q->session_key_id));
	q->call.call_case = JOINERY__V1__REQUEST__CALL_APP_S_KEY;
	q->call.app_s_key = k;
}

/* ---- HomeNSReq ---- */

static void
read_home_ns_req(struct reading *r)
{
	struct bi_request *q = r->q;
	Joinery__V1__HomeNsRequest *h = &q->home_ns;

	read_euis(r);
	read_net_id(r);
	h->has_dev_eui = h->has_join_eui = h->has_net_id = true;
	h->dev_eui = octets(q->dev_eui_be, sizeof(q->dev_eui_be));
	h->join_eui = octets(q->join_eui_be, sizeof(q->join_eui_be));
	h->net_id = q->sender.net_id;
	q->call.call_case = JOINERY__V1__REQUEST__CALL_HOME_NS;
	q->call.home_ns = h;
}

/* ---- whole messages ---- */

static const struct {
	const char *type;
	void (*read)(struct reading *r);
} requests[] = {
	{ "JoinReq", read_join_req },
	{ "RejoinReq", read_rejoin_req },
	{ "AppSKeyReq", read_app_s_key_req },
	{ "HomeNSReq", read_home_ns_req },
};

static void
read_request(struct reading *r)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (strcmp(requests[i].type, r->q->message_type) == 0) {
			requests[i].read(r);
			return;
		}
	}
	MEMBER_REFUSE(r, MALFORMED, "MessageType %s is not for a Join Server",
	    r->q->message_type);
}

/* Who notified what. */
static void
read_notice(struct reading *r)
{
	const json_t *result = json_object_get(r->msg, "Result");
	const char *code =
	    json_string_value(json_object_get(result, "ResultCode"));
	const char *text =
	    json_string_value(json_object_get(result, "Description"));
	char sender[MEMBER_SHOWN_MAX + 1];
	char code_buf[MEMBER_SHOWN_MAX + 1];
	char text_buf[MEMBER_SHOWN_MAX + 1];

	(void)member_number(
	    r, "TransactionID", UINT32_MAX, &r->q->transaction_id);
	(void)err_replace(r->ec, JY_EINVAL, "ErrorNotif from %s: %s (%s)",
	    member_shown(r->q->sender_id, sender),
	    member_shown(code != NULL ? code : "no ResultCode", code_buf),
	    member_shown(text != NULL ? text : "", text_buf));
}

static enum bi_reading
read_message(struct reading *r)
{
	struct bi_request *q = r->q;
	const char *version =
	    json_string_value(json_object_get(r->msg, "ProtocolVersion"));

	if (version != NULL && strcmp(version, "1.1") == 0) {
		q->version = BI_1_1;
	}
	if (!read_address(r, "MessageType", q->message_type, BI_TYPE_MAX) ||
	    !read_address(r, "SenderID", q->sender_id, BI_ID_MAX) ||
	    !read_address(r, "ReceiverID", q->receiver_id, BI_ID_MAX)) {
		return BI_GARBAGE;
	}
	if (strcmp(q->message_type, "ErrorNotif") == 0) {
		read_notice(r);
		return BI_NOTICE;
	}
	if (!ends_in_req(q->message_type)) {
		(void)err_set(r->ec, JY_EINVAL,
		    "MessageType \"%s\" is no request", q->message_type);
		return BI_GARBAGE;
	}
	read_header(r);
	read_request(r);
	if (r->refused) {
		q->call.call_case = JOINERY__V1__REQUEST__CALL__NOT_SET;
		return BI_REFUSED;
	}
	q->call.sender = &q->sender;
	return BI_CALL;
}

enum bi_reading
bi_read(const void *body, size_t len, struct bi_request *out, struct errctx *ec)
{
	struct reading r = { NULL, out, ec, false };
	enum bi_reading reading = BI_GARBAGE;
	char buf[MEMBER_SHOWN_MAX + 1];
	json_error_t error;
	json_t *msg;

	memset(out, 0, sizeof(*out));
	joinery__v1__request__init(&out->call);
	joinery__v1__sender__init(&out->sender);
	joinery__v1__join_request__init(&out->join);
	joinery__v1__app_skey_request__init(&out->app_s_key);
	joinery__v1__home_ns_request__init(&out->home_ns);
	if (len > BI_BODY_MAX) {
		(void)err_set(
		    ec, JY_EINVAL, "more than %u octets", BI_BODY_MAX);
		return BI_GARBAGE;
	}
	msg = json_loadb(body, len, MEMBER_LOAD_FLAGS, &error);
	r.msg = msg;
	if (msg == NULL) {
		(void)err_set(ec, JY_EINVAL, "not JSON: %s, line %d column %d",
		    member_shown(error.text, buf), error.line, error.column);
	} else if (!json_is_object(msg)) {
		(void)err_set(ec, JY_EINVAL, "JSON, but no object");
	} else {
		reading = read_message(&r);
	}
	json_decref(msg);
	return reading;
}
