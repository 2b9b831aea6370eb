/* SPDX-License-Identifier: Apache-2.0 */
/* Backend Interfaces: messages into calls, answers into exact octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "src/base/hex.h"
#include "src/bi/bi.h"

/* ---- messages, one member changed ---- */

enum kind {
	JOIN = 1,
	REJOIN = 2,
	APP = 4,
	HOME = 8
};

#define JOINS (JOIN | REJOIN)
#define ALL (JOINS | APP | HOME)

struct member {
	unsigned kinds;
	const char *name;
	const char *json;
};

/* The version is put in; "%s" stands for the name of the message. */
static const struct member members[] = {
	{ ALL, "TransactionID", "4294967295" },
	{ ALL, "MessageType", NULL },
	{ JOINS | HOME, "SenderID", "\"600013\"" },
	{ APP, "SenderID", "\"as.example.org\"" },
	{ ALL, "ReceiverID", "\"70b3d57ed0001a2b\"" },
	{ JOINS, "MACVersion", "\"1.0.3\"" },
	{ JOIN, "PHYPayload",
	    "\"002b1a00d07ed5b37034120600d6f10d0001ff0102030a\"" },
	{ REJOIN, "PHYPayload", "\"c00013006034120600d6f10d000100aabbccdd\"" },
	{ ALL, "DevEUI", "\"000df1d600061234\"" },
	{ JOINS, "DevAddr", "\"e2601bda\"" },
	{ JOINS, "DLSettings", "\"9a\"" },
	{ JOINS, "RxDelay", "7" },
	{ JOINS, "CFList", "\"184f84e85684b85e84886684586e8400\"" },
	{ APP, "SessionKeyID", "\"0186a0b1c2d3e4f5061728394a5b6c7d\"" },
};

static const struct {
	enum kind kind;
	const char *name;
	const char *ans;
} kinds[] = {
	{ JOIN, "JoinReq", "JoinAns" },
	{ REJOIN, "RejoinReq", "RejoinAns" },
	{ APP, "AppSKeyReq", "AppSKeyAns" },
	{ HOME, "HomeNSReq", "HomeNSAns" },
};

static const char *const versions[] = { "1.0", "1.1" };

struct message {
	char text[BI_BODY_MAX + 64];
	size_t len;
};

static void
add(struct message *m, const char *name, const char *json)
{
	m->len += (size_t)snprintf(m->text + m->len, sizeof(m->text) - m->len,
	    "%s\"%s\":%s", m->len == 0 ? "{" : ",", name, json);
	assert_true(m->len < sizeof(m->text));
}

/* A whole message of kinds[k]; name, if any, says json, or nothing (NULL). */
static void
make(struct message *m, size_t k, const char *version, const char *name,
    const char *json)
{
	bool changed = name == NULL;
	char buf[64];

	m->len = 0;
	(void)snprintf(buf, sizeof(buf), "\"%s\"", version);
	if (name == NULL || strcmp(name, "ProtocolVersion") != 0) {
		add(m, "ProtocolVersion", buf);
	}
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if ((members[i].kinds & kinds[k].kind) == 0) {
			continue;
		}
		if (name != NULL && strcmp(name, members[i].name) == 0) {
			if (json != NULL) {
				add(m, name, json);
			}
			changed = true;
		} else if (members[i].json == NULL) {
			(void)snprintf(
			    buf, sizeof(buf), "\"%s\"", kinds[k].name);
			add(m, members[i].name, buf);
		} else {
			add(m, members[i].name, members[i].json);
		}
	}
	if (!changed && json != NULL) {
		add(m, name, json);
	}
	m->text[m->len++] = '}';
	m->text[m->len] = '\0';
}

/* In memory of just its size, so that ASan sees a read behind it. */
static enum bi_reading
read_octets(
    const void *body, size_t len, struct bi_request *q, struct errctx *ec)
{
	char *copy = malloc(len > 0 ? len : 1);
	struct errctx empty = ERRCTX_INIT;
	enum bi_reading reading;

	assert_non_null(copy);
	memcpy(copy, body, len);
	memset(q, 0xa5, sizeof(*q));
	*ec = empty;
	reading = bi_read(copy, len, q, ec);
	memset(copy, 0xa5, len);
	free(copy);
	if (reading == BI_CALL) {
		assert_string_equal(ec->text, "");
	} else {
		assert_string_not_equal(ec->text, "");
	}
	return reading;
}

static enum bi_reading
read_text(const char *text, struct bi_request *q, struct errctx *ec)
{
	return read_octets(text, strlen(text), q, ec);
}

static enum bi_reading
read_changed(size_t k, const char *version, const char *name, const char *json,
    struct bi_request *q, struct errctx *ec)
{
	static struct message m;

	make(&m, k, version, name, json);
	return read_octets(m.text, m.len, q, ec);
}

static void
print_case(size_t k, const char *version, const char *name, const char *json,
    const struct errctx *ec)
{
	print_message("%s %s, %s: %.60s: %s\n", kinds[k].name, version, name,
	    json != NULL ? json : "(absent)", ec->text);
}

/* The message with this member is refused with result, and ec names it. */
static void
assert_refused(size_t k, const char *version, const char *name,
    const char *json, enum bi_result result)
{
	struct bi_request q;
	struct errctx ec;
	enum bi_reading reading = read_changed(k, version, name, json, &q, &ec);

	if (reading != BI_REFUSED || q.refused != result ||
	    strstr(ec.text, name) == NULL) {
		print_case(k, version, name, json, &ec);
	}
	assert_int_equal(reading, BI_REFUSED);
	assert_int_equal(q.refused, result);
	assert_int_equal(q.call.call_case, JOINERY__V1__REQUEST__CALL__NOT_SET);
	assert_non_null(strstr(ec.text, name));
}

static void
assert_garbage(
    size_t k, const char *version, const char *name, const char *json)
{
	struct bi_request q;
	struct errctx ec;
	enum bi_reading reading = read_changed(k, version, name, json, &q, &ec);

	if (reading != BI_GARBAGE) {
		print_case(k, version, name, json, &ec);
	}
	assert_int_equal(reading, BI_GARBAGE);
	assert_int_equal(
	    q.version, strcmp(version, "1.1") == 0 ? BI_1_1 : BI_1_0);
	assert_non_null(strstr(ec.text, name));
}

static void
assert_call(size_t k, const char *version, const char *name, const char *json,
    struct bi_request *q)
{
	struct errctx ec;
	enum bi_reading reading = read_changed(k, version, name, json, q, &ec);

	if (reading != BI_CALL) {
		print_case(k, version, name, json, &ec);
	}
	assert_int_equal(reading, BI_CALL);
}

static void
assert_octets(const ProtobufCBinaryData *have, const char *want)
{
	char text[256];

	assert_true(have->len < sizeof(text) / 2);
	hex_format(have->data, have->len, text);
	assert_string_equal(text, want);
}

/* ---- calls ---- */

static void
assert_join(const struct bi_request *q, const Joinery__V1__JoinRequest *j,
    const char *phy)
{
	assert_ptr_equal(j, &q->join);
	assert_true(j->has_phy_payload);
	assert_octets(&j->phy_payload, phy);
	assert_true(j->has_mac_version);
	assert_int_equal(j->mac_version, JOINERY__V1__MAC_VERSION__MAC_1_0_3);
	assert_true(j->has_net_id);
	assert_int_equal(j->net_id, 0x600013);
	assert_true(j->has_dev_addr);
	assert_int_equal(j->dev_addr, 0xe2601bda);
	assert_true(j->has_dl_settings);
	assert_int_equal(j->dl_settings, 0x9a);
	assert_true(j->has_rx_delay);
	assert_int_equal(j->rx_delay, 7);
	assert_true(j->has_cf_list);
	assert_octets(&j->cf_list, "184f84e85684b85e84886684586e8400");
	assert_true(j->has_dev_eui);
	assert_octets(&j->dev_eui, "000df1d600061234");
	assert_true(j->has_join_eui);
	assert_octets(&j->join_eui, "70b3d57ed0001a2b");
}

/* What was read goes to a worker packed, and nothing of it may get lost. */
static void
assert_packs(const struct bi_request *q)
{
	uint8_t packed[512];
	size_t len = joinery__v1__request__get_packed_size(&q->call);
	Joinery__V1__Request *back;

	assert_in_range(len, 1, sizeof(packed));
	assert_int_equal(joinery__v1__request__pack(&q->call, packed), len);
	back = joinery__v1__request__unpack(NULL, len, packed);
	assert_non_null(back);
	assert_int_equal(back->call_case, q->call.call_case);
	assert_false(back->has_id);
	assert_non_null(back->sender);
	joinery__v1__request__free_unpacked(back, NULL);
}

static void
assert_net_sender(const struct bi_request *q)
{
	assert_ptr_equal(q->call.sender, &q->sender);
	assert_true(q->sender.has_net_id);
	assert_int_equal(q->sender.net_id, 0x600013);
	assert_false(q->sender.has_ns_id);
	assert_null(q->sender.as_id);
}

static void
test_calls(void **state)
{
	struct bi_request q;

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		assert_call(0, versions[v], NULL, NULL, &q);
		assert_int_equal(
		    q.call.call_case, JOINERY__V1__REQUEST__CALL_JOIN);
		assert_join(&q, q.call.join,
		    "002b1a00d07ed5b37034120600d6f10d0001ff0102030a");
		assert_net_sender(&q);
		assert_packs(&q);

		assert_call(1, versions[v], NULL, NULL, &q);
		assert_int_equal(
		    q.call.call_case, JOINERY__V1__REQUEST__CALL_REJOIN);
		assert_join(&q, q.call.rejoin,
		    "c00013006034120600d6f10d000100aabbccdd");
		assert_net_sender(&q);
		assert_packs(&q);

		assert_call(2, versions[v], NULL, NULL, &q);
		assert_int_equal(
		    q.call.call_case, JOINERY__V1__REQUEST__CALL_APP_S_KEY);
		assert_true(q.call.app_s_key->has_session_key_id);
		assert_octets(&q.call.app_s_key->session_key_id,
		    "0186a0b1c2d3e4f5061728394a5b6c7d");
		assert_true(q.call.app_s_key->has_dev_eui);
		assert_octets(&q.call.app_s_key->dev_eui, "000df1d600061234");
		assert_true(q.call.app_s_key->has_join_eui);
		assert_octets(&q.call.app_s_key->join_eui, "70b3d57ed0001a2b");
		assert_ptr_equal(q.call.sender, &q.sender);
		assert_string_equal(q.sender.as_id, "as.example.org");
		assert_false(q.sender.has_net_id);
		assert_packs(&q);

		assert_call(3, versions[v], NULL, NULL, &q);
		assert_int_equal(
		    q.call.call_case, JOINERY__V1__REQUEST__CALL_HOME_NS);
		assert_true(q.call.home_ns->has_dev_eui);
		assert_octets(&q.call.home_ns->dev_eui, "000df1d600061234");
		assert_true(q.call.home_ns->has_join_eui);
		assert_octets(&q.call.home_ns->join_eui, "70b3d57ed0001a2b");
		assert_true(q.call.home_ns->has_net_id);
		assert_int_equal(q.call.home_ns->net_id, 0x600013);
		assert_net_sender(&q);
		assert_packs(&q);
	}
}

static void
test_header(void **state)
{
	struct bi_request q;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
			assert_call(k, versions[v], NULL, NULL, &q);
			assert_int_equal(q.version, v == 0 ? BI_1_0 : BI_1_1);
			assert_int_equal(q.transaction_id, 0xFFFFFFFF);
			assert_string_equal(q.message_type, kinds[k].name);
			assert_string_equal(q.sender_id,
			    kinds[k].kind == APP ? "as.example.org" : "600013");
			assert_string_equal(q.receiver_id, "70b3d57ed0001a2b");
			assert_string_equal(q.sender_token, "");
			assert_string_equal(q.receiver_token, "");
			assert_string_equal(q.sender_ns_id, "");
			assert_string_equal(q.receiver_ns_id, "");
			assert_string_equal(q.dev_eui, "000df1d600061234");
		}
	}
}

/* ---- each member missing, null, of another type ---- */

static bool
is_address(const char *name)
{
	return strcmp(name, "MessageType") == 0 ||
	    strcmp(name, "SenderID") == 0 || strcmp(name, "ReceiverID") == 0;
}

static void
try_wrong_types(size_t k, const char *version, const struct member *m)
{
	static const char *const wrong[] = { NULL, "null", "true", "false",
		"[]", "{}", "[\"00\"]", "1.5", "\"\\u00e9\"", "\"zz\"" };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		if (strcmp(m->name, "CFList") == 0 && i < 2) {
			continue;
		}
		if (is_address(m->name)) {
			if (i == ARRAY_LEN(wrong) - 1) {
				continue;
			}
			assert_garbage(k, version, m->name, wrong[i]);
		} else {
			assert_refused(
			    k, version, m->name, wrong[i], BI_RESULT_MALFORMED);
		}
	}
}

static void
test_wrong_types(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++) {
			if ((members[i].kinds & kinds[k].kind) == 0) {
				continue;
			}
			try_wrong_types(k, "1.0", &members[i]);
			try_wrong_types(k, "1.1", &members[i]);
		}
	}
}

/* ---- each member of a wrong value ---- */

#define ZEROS_8 "00000000"
#define ZEROS_64 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8
#define ZEROS_256 ZEROS_64 ZEROS_64 ZEROS_64 ZEROS_64

static const struct {
	unsigned kinds;
	const char *name;
	const char *json;
	enum bi_result result;
} wrong_values[] = {
	{ ALL, "TransactionID", "-1", BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "4294967296", BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "99999999999999999999999",
	    BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "-99999999999999999999999",
	    BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "4294967294.5", BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "1e300", BI_RESULT_MALFORMED },
	{ ALL, "TransactionID", "\"7\"", BI_RESULT_MALFORMED },

	{ JOINS | HOME, "SenderID", "\"\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\"13\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\"00001g\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\"0000013\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\"0x0x000013\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\"0x0013\"", BI_RESULT_MALFORMED },
	{ JOINS | HOME, "SenderID", "\" 000013\"", BI_RESULT_MALFORMED },
	{ APP, "SenderID", "\"\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverID", "\"\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverID", "\"70b3d57ed0001a2\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverID", "\"70b3d57ed0001a2b0\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverID", "\"70-b3-d5-7e-d0-00-1a-2b\"",
	    BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"0x\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"000df1d60006123\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"000df1d6000612340\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"000df1d6000612340000\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "\"000df1d60006123g\"", BI_RESULT_MALFORMED },
	{ ALL, "DevEUI", "4660", BI_RESULT_MALFORMED },

	{ JOINS, "MACVersion", "\"\"", BI_RESULT_MALFORMED },
	{ JOINS, "MACVersion", "\"1.2\"", BI_RESULT_MALFORMED },
	{ JOINS, "MACVersion", "\"1.0.5\"", BI_RESULT_MALFORMED },
	{ JOINS, "MACVersion", "\"1.0.3.1\"", BI_RESULT_MALFORMED },
	{ JOINS, "MACVersion", "\"V1.0.3\"", BI_RESULT_MALFORMED },
	{ JOINS, "MACVersion", "1.0", BI_RESULT_MALFORMED },
	{ JOINS, "DevAddr", "\"\"", BI_RESULT_MALFORMED },
	{ JOINS, "DevAddr", "\"2601\"", BI_RESULT_MALFORMED },
	{ JOINS, "DevAddr", "\"2601 bda\"", BI_RESULT_MALFORMED },
	{ JOINS, "DevAddr", "\"e2601bda00\"", BI_RESULT_MALFORMED },
	{ JOINS, "DevAddr", "637541338", BI_RESULT_MALFORMED },
	{ JOINS, "DLSettings", "\"\"", BI_RESULT_MALFORMED },
	{ JOINS, "DLSettings", "\"0\"", BI_RESULT_MALFORMED },
	{ JOINS, "DLSettings", "\"000\"", BI_RESULT_MALFORMED },
	{ JOINS, "DLSettings", "\"0000\"", BI_RESULT_MALFORMED },
	{ JOINS, "DLSettings", "0", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "-1", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "16", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "4294967297", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "1099511627776", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "0.5", BI_RESULT_MALFORMED },
	{ JOINS, "RxDelay", "\"1\"", BI_RESULT_MALFORMED },
	{ JOINS, "CFList", "\"00\"", BI_RESULT_MALFORMED },
	{ JOINS, "CFList", "\"184f84e85684b85e84886684586e84\"",
	    BI_RESULT_MALFORMED },
	{ JOINS, "CFList", "\"184f84e85684b85e84886684586e840000\"",
	    BI_RESULT_MALFORMED },
	{ JOINS, "CFList", "0", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"0\"", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"0x0\"", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"00 00\"", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"" ZEROS_256 "0\"", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"" ZEROS_256 "0g\"", BI_RESULT_MALFORMED },
	{ JOINS, "PHYPayload", "\"\"", BI_RESULT_FRAME_SIZE },
	{ JOINS, "PHYPayload", "\"0x\"", BI_RESULT_FRAME_SIZE },
	{ JOINS, "PHYPayload", "\"" ZEROS_64 ZEROS_64 "00\"",
	    BI_RESULT_FRAME_SIZE },
	{ JOINS, "PHYPayload", "\"" ZEROS_256 ZEROS_256 "\"",
	    BI_RESULT_FRAME_SIZE },

	{ APP, "SessionKeyID", "\"\"", BI_RESULT_MALFORMED },
	{ APP, "SessionKeyID", "\"0\"", BI_RESULT_MALFORMED },
	{ APP, "SessionKeyID", "\"0186a0b1c2d3e4f5061728394a5b6c7g\"",
	    BI_RESULT_MALFORMED },
	{ APP, "SessionKeyID", "\"00\"", BI_RESULT_DEVICE },
	{ APP, "SessionKeyID", "\"0186a0b1c2d3e4f5061728394a5b6c\"",
	    BI_RESULT_DEVICE },
	{ APP, "SessionKeyID", "\"0186a0b1c2d3e4f5061728394a5b6c7d00\"",
	    BI_RESULT_DEVICE },
	{ APP, "SessionKeyID", "\"" ZEROS_256 "\"", BI_RESULT_DEVICE },

	{ ALL, "SenderToken", "\"0\"", BI_RESULT_MALFORMED },
	{ ALL, "SenderToken", "\"0x123\"", BI_RESULT_MALFORMED },
	{ ALL, "SenderToken", "\"xx\"", BI_RESULT_MALFORMED },
	{ ALL, "SenderToken", "7", BI_RESULT_MALFORMED },
	{ ALL, "SenderToken", "[]", BI_RESULT_MALFORMED },
	{ ALL, "SenderToken", "\"" ZEROS_256 "00\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverToken", "\"0\"", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverToken", "false", BI_RESULT_MALFORMED },
	{ ALL, "ReceiverToken", "\"" ZEROS_256 "00\"", BI_RESULT_MALFORMED },
};

static void
test_wrong_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong_values); i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			if ((wrong_values[i].kinds & kinds[k].kind) == 0) {
				continue;
			}
			assert_refused(k, "1.0", wrong_values[i].name,
			    wrong_values[i].json, wrong_values[i].result);
			assert_refused(k, "1.1", wrong_values[i].name,
			    wrong_values[i].json, wrong_values[i].result);
		}
	}
}

static void
test_wrong_addresses(void **state)
{
	static const struct {
		const char *name;
		const char *json;
	} wrong[] = {
		{ "MessageType", "\"\"" },
		{ "MessageType", "\"Req\"" },
		{ "MessageType", "\"Foo\"" },
		{ "MessageType", "\"JoinAns\"" },
		{ "MessageType", "\"JoinReq \"" },
		{ "MessageType", "\"joinreq\"" },
		{ "MessageType", "\"JoinReqs\"" },
		{ "MessageType", "\"errornotif\"" },
		{ "MessageType", "\"\\u004aoin\\nReq\"" },
		{ "MessageType", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAReq\"" },
		{ "SenderID", "\"000013\\u007f\"" },
		{ "SenderID", "\"\\t000013\"" },
		{ "SenderID", "\"" ZEROS_64 ZEROS_64 "0\"" },
		{ "ReceiverID", "\"" ZEROS_64 ZEROS_64 "0\"" },
		{ "ReceiverID", "\"caf\xc3\xa9\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			assert_garbage(k, "1.0", wrong[i].name, wrong[i].json);
			assert_garbage(k, "1.1", wrong[i].name, wrong[i].json);
		}
	}
}

/* ---- versions ---- */

static void
test_versions(void **state)
{
	static const char *const wrong[] = { NULL, "null", "\"\"", "\"1\"",
		"\"1.\"", "\"1.2\"", "\"2.0\"", "\"1.0 \"", "\"1.1.0\"", "1.0",
		"1.1", "true", "[\"1.0\"]", "{}" };
	struct bi_request q;
	struct errctx ec;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			assert_int_equal(read_changed(k, "", "ProtocolVersion",
					     wrong[i], &q, &ec),
			    BI_REFUSED);
			assert_int_equal(q.refused, BI_RESULT_VERSION);
			assert_int_equal(q.version, BI_1_0);
			assert_int_equal(q.transaction_id, 0xFFFFFFFF);
			assert_non_null(strstr(ec.text, "ProtocolVersion"));
		}
	}
}

/* Whatever else is wrong with a message of a version that nobody knows. */
static void
test_version_first(void **state)
{
	struct bi_request q;
	struct errctx ec;

	(void)state;
	assert_int_equal(
	    read_text("{\"ProtocolVersion\":\"3.0\",\"MessageType\":\"FooReq\","
		      "\"SenderID\":\"x\",\"ReceiverID\":\"y\","
		      "\"SenderToken\":\"ab\",\"SenderNSID\":\"?\"}",
		&q, &ec),
	    BI_REFUSED);
	assert_int_equal(q.refused, BI_RESULT_VERSION);
	assert_string_equal(
	    ec.text, "ProtocolVersion \"3.0\" is not 1.0 or 1.1");
	assert_string_equal(q.sender_token, "ab");
	assert_int_equal(q.transaction_id, 0);
}

/* ---- what is tolerated ---- */

static const struct {
	unsigned kinds;
	const char *name;
	const char *json;
} tolerated[] = {
	{ ALL, "TransactionID", "0" },
	{ ALL, "TransactionID", "-0" },
	{ ALL, "TransactionID", "7.0" },
	{ ALL, "TransactionID", "4.294967295e9" },
	{ JOINS | HOME, "SenderID", "\"0x600013\"" },
	{ JOINS | HOME, "SenderID", "\"0XFFFFFF\"" },
	{ APP, "SenderID", "\"as \\\"1\\\" \\\\ ~\"" },
	{ APP, "SenderID", "\"000013\"" },
	{ APP, "SenderID", "\"0x\"" },
	{ ALL, "ReceiverID", "\"70B3D57ED0001A2B\"" },
	{ ALL, "ReceiverID", "\"0x70b3d57ed0001a2b\"" },
	{ ALL, "ReceiverID", "\"0X70b3d57ED0001a2b\"" },
	{ ALL, "ReceiverID", "\"70b3d57ed000\\u0031a2b\"" },
	{ ALL, "DevEUI", "\"000DF1D600061234\"" },
	{ ALL, "DevEUI", "\"0X000DF1D600061234\"" },
	{ JOINS, "PHYPayload", "\"0x00\"" },
	{ JOINS, "PHYPayload", "\"" ZEROS_64 ZEROS_64 "\"" },
	{ JOINS, "PHYPayload", "\"0X" ZEROS_64 ZEROS_64 "\"" },
	{ JOINS, "DevAddr", "\"0xE2601BDA\"" },
	{ JOINS, "DLSettings", "\"0xfF\"" },
	{ JOINS, "RxDelay", "0" },
	{ JOINS, "RxDelay", "15" },
	{ JOINS, "RxDelay", "15.0" },
	{ JOINS, "CFList", NULL },
	{ JOINS, "CFList", "null" },
	{ JOINS, "CFList", "\"\"" },
	{ JOINS, "CFList", "\"0x\"" },
	{ JOINS, "CFList", "\"0x184F84E85684B85E84886684586E8400\"" },
	{ APP, "SessionKeyID", "\"0x0186A0B1C2D3E4F5061728394A5B6C7D\"" },
	{ ALL, "SenderToken", "null" },
	{ ALL, "SenderToken", "\"\"" },
	{ ALL, "SenderToken", "\"" ZEROS_256 "\"" },
	{ ALL, "ReceiverToken", "null" },
	{ ALL, "ReceiverToken", "\"0xAbCd\"" },
	{ ALL, "SenderNSID", "null" },
	{ ALL, "SenderNSID", "\"\"" },
	{ ALL, "ReceiverNSID", "null" },
	{ ALL, "ReceiverNSID", "\"\"" },
	{ ALL, "VSExtension", "null" },
	{ ALL, "VSExtension", "7" },
	{ ALL, "VSExtension", "{\"VendorID\":\"zz\",\"Object\":{\"a\":[]}}" },
	{ ALL, "VSExtension", "{\"VendorID\":\"\\u00e9\"}" },
	{ ALL, "", "\"\"" },
	{ ALL, "Result", "{\"ResultCode\":\"Success\"}" },
	{ ALL, "devEUI", "17" },
	{ ALL, "Unknown", "[[[[{\"x\":1.5e3}]]],null,true]" },
	{ ALL, "Unknown", "123456789012345678901234567890" },
};

static void
test_tolerated(void **state)
{
	struct bi_request q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			if ((tolerated[i].kinds & kinds[k].kind) == 0) {
				continue;
			}
			assert_call(
			    k, "1.0", tolerated[i].name, tolerated[i].json, &q);
			assert_packs(&q);
			assert_call(
			    k, "1.1", tolerated[i].name, tolerated[i].json, &q);
			assert_packs(&q);
		}
	}
}

static void
test_tolerated_values(void **state)
{
	struct bi_request q;

	(void)state;
	assert_call(0, "1.0", "TransactionID", "4.294967295e9", &q);
	assert_int_equal(q.transaction_id, 0xFFFFFFFF);
	assert_call(0, "1.0", "TransactionID", "-0", &q);
	assert_int_equal(q.transaction_id, 0);
	assert_call(0, "1.0", "SenderID", "\"0XFFffFE\"", &q);
	assert_int_equal(q.sender.net_id, 0xFFFFFE);
	assert_int_equal(q.join.net_id, 0xFFFFFE);
	assert_string_equal(q.sender_id, "0XFFffFE");
	assert_call(3, "1.0", "ReceiverID", "\"0x70B3D57ED0001A2B\"", &q);
	assert_octets(&q.home_ns.join_eui, "70b3d57ed0001a2b");
	assert_string_equal(q.receiver_id, "0x70B3D57ED0001A2B");
	assert_call(3, "1.0", "DevEUI", "\"0X000DF1D600061234\"", &q);
	assert_octets(&q.home_ns.dev_eui, "000df1d600061234");
	assert_string_equal(q.dev_eui, "000df1d600061234");
	assert_call(0, "1.0", "DevAddr", "\"0X01020304\"", &q);
	assert_int_equal(q.join.dev_addr, 0x01020304);
	assert_call(0, "1.0", "DLSettings", "\"0xfF\"", &q);
	assert_int_equal(q.join.dl_settings, 0xff);
	assert_call(0, "1.0", "PHYPayload", "\"0XaBcD\"", &q);
	assert_octets(&q.join.phy_payload, "abcd");
	assert_call(0, "1.0", "PHYPayload", "\"" ZEROS_64 ZEROS_64 "\"", &q);
	assert_int_equal(q.join.phy_payload.len, BI_PHY_MAX);
	assert_call(0, "1.0", "CFList", "null", &q);
	assert_false(q.join.has_cf_list);
	assert_call(0, "1.0", "CFList", "\"\"", &q);
	assert_false(q.join.has_cf_list);
	assert_call(0, "1.0", "CFList", NULL, &q);
	assert_false(q.join.has_cf_list);
	assert_call(2, "1.0", "SenderID", "\"as \\\"1\\\"\"", &q);
	assert_string_equal(q.sender.as_id, "as \"1\"");
}

static void
test_mac_versions(void **state)
{
	static const struct {
		const char *json;
		Joinery__V1__MacVersion version;
	} spellings[] = {
		{ "\"1.0\"", JOINERY__V1__MAC_VERSION__MAC_1_0_0 },
		{ "\"1.0.0\"", JOINERY__V1__MAC_VERSION__MAC_1_0_0 },
		{ "\"1.0.1\"", JOINERY__V1__MAC_VERSION__MAC_1_0_1 },
		{ "\"1.0.2\"", JOINERY__V1__MAC_VERSION__MAC_1_0_2 },
		{ "\"1.0.2b\"", JOINERY__V1__MAC_VERSION__MAC_1_0_2 },
		{ "\"1.0.2B\"", JOINERY__V1__MAC_VERSION__MAC_1_0_2 },
		{ "\"1.0.3\"", JOINERY__V1__MAC_VERSION__MAC_1_0_3 },
		{ "\"1.0.4\"", JOINERY__V1__MAC_VERSION__MAC_1_0_4 },
		{ "\"1.1\"", JOINERY__V1__MAC_VERSION__MAC_1_1_0 },
		{ "\"1.1.0\"", JOINERY__V1__MAC_VERSION__MAC_1_1_0 },
	};
	struct bi_request q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		assert_call(0, "1.0", "MACVersion", spellings[i].json, &q);
		assert_int_equal(q.join.mac_version, spellings[i].version);
		assert_call(1, "1.1", "MACVersion", spellings[i].json, &q);
		assert_int_equal(q.join.mac_version, spellings[i].version);
	}
}

/* ---- tokens and NSIDs ---- */

static void
test_tokens(void **state)
{
	struct bi_request q;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		assert_call(k, "1.0", "SenderToken", "\"0xAbCd\"", &q);
		assert_string_equal(q.sender_token, "0xAbCd");
		assert_string_equal(q.receiver_token, "");
		assert_call(k, "1.1", "ReceiverToken", "\"AbCd\"", &q);
		assert_string_equal(q.receiver_token, "AbCd");
		assert_string_equal(q.sender_token, "");
	}
}

static void
test_ns_ids(void **state)
{
	static const char *const wrong[] = { "\"00\"", "\"zz\"", "7", "[]",
		"\"0102030405060708090a\"", "\"010203040506070g\"" };
	struct bi_request q;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		assert_call(
		    k, "1.1", "SenderNSID", "\"0x0102030405060AbC\"", &q);
		assert_string_equal(q.sender_ns_id, "0102030405060AbC");
		if (kinds[k].kind == APP) {
			assert_false(q.sender.has_ns_id);
		} else {
			assert_true(q.sender.has_ns_id);
			assert_octets(&q.sender.ns_id, "0102030405060abc");
		}
		assert_packs(&q);
		assert_call(
		    k, "1.1", "ReceiverNSID", "\"1122334455667788\"", &q);
		assert_string_equal(q.receiver_ns_id, "1122334455667788");
		assert_false(q.sender.has_ns_id);
		for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
			assert_refused(k, "1.1", "SenderNSID", wrong[i],
			    BI_RESULT_MALFORMED);
			assert_refused(k, "1.1", "ReceiverNSID", wrong[i],
			    BI_RESULT_MALFORMED);
			/* 1.0 knows no NSIDs, so whatever it is. */
			assert_call(k, "1.0", "SenderNSID", wrong[i], &q);
			assert_call(k, "1.0", "ReceiverNSID", wrong[i], &q);
		}
		assert_call(k, "1.0", "SenderNSID", "\"0102030405060708\"", &q);
		assert_string_equal(q.sender_ns_id, "");
		assert_false(q.sender.has_ns_id);
	}
}

/* ---- no message, another message ---- */

#define ADDRESS \
	"\"MessageType\":\"JoinReq\",\"SenderID\":\"000013\"," \
	"\"ReceiverID\":\"70b3d57ed0001a2b\""

static void
test_garbage(void **state)
{
#define BODY(text) \
	{ \
		text, sizeof(text) - 1 \
	}
	static const struct {
		const char *body;
		size_t len;
	} bodies[] = {
		BODY(""),
		BODY(" "),
		BODY("\0"),
		BODY("{"),
		BODY("{}"),
		BODY("[]"),
		BODY("[{" ADDRESS "}]"),
		BODY("17"),
		BODY("null"),
		BODY("\"JoinReq\""),
		BODY("\xff\xfe{}"),
		BODY("\xef\xbb\xbf{" ADDRESS "}"),
		BODY("{" ADDRESS),
		BODY("{" ADDRESS ",}"),
		BODY("{" ADDRESS "}}"),
		BODY("{" ADDRESS "} x"),
		BODY("{" ADDRESS "}\0"),
		BODY("{" ADDRESS "}{" ADDRESS "}"),
		BODY("{" ADDRESS "}\n{}"),
		BODY("{" ADDRESS ",\"SenderID\":\"000014\"}"),
		BODY("{" ADDRESS ",\"VSExtension\":{\"a\":1,\"a\":2}}"),
		BODY("{" ADDRESS ",\"x\":\"\\u0000\"}"),
		BODY("{" ADDRESS ",\"x\":\"\0\"}"),
		BODY("{" ADDRESS ",\"x\\u0000\":\"\"}"),
		BODY("{" ADDRESS ",\"x\":\"\xc3\x28\"}"),
		BODY("{" ADDRESS ",\"x\":\"\\ud800\"}"),
		BODY("{" ADDRESS ",\"x\":1e999}"),
		BODY("{" ADDRESS ",\"x\":NaN}"),
		BODY("{" ADDRESS ",\"x\":01}"),
		BODY("{" ADDRESS ",x:1}"),
		BODY("{'MessageType':'JoinReq'}"),
	};
	struct bi_request q;
	struct errctx ec;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		enum bi_reading reading =
		    read_octets(bodies[i].body, bodies[i].len, &q, &ec);

		if (reading != BI_GARBAGE) {
			print_message("%s: %d\n", bodies[i].body, reading);
		}
		assert_int_equal(reading, BI_GARBAGE);
		assert_int_equal(q.version, BI_1_0);
	}
	/* Where garbage names a version, its error is of that version. */
	assert_int_equal(
	    read_text("{\"ProtocolVersion\":\"1.1\"}", &q, &ec), BI_GARBAGE);
	assert_int_equal(q.version, BI_1_1);
	assert_string_equal(ec.text, "MessageType is missing");
}

/* Control characters of a peer do not come back in what people read. */
static void
test_garbage_is_shown_clean(void **state)
{
	struct bi_request q;
	struct errctx ec;

	(void)state;
	assert_int_equal(
	    read_text("{\"x\": \x1b[31m\xc3\xa9}", &q, &ec), BI_GARBAGE);
	for (const char *p = ec.text; *p != '\0'; p++) {
		assert_in_range(*p, ' ', '~');
	}
	assert_refused(
	    0, "1.0", "MACVersion", "\"\\u001b[31m\\n\"", BI_RESULT_MALFORMED);
	(void)read_changed(
	    0, "1.0", "MACVersion", "\"\\u001b[31m\\n\"", &q, &ec);
	assert_string_equal(ec.text, "MACVersion \"?[31m?\" is none");
}

static void
test_body_size(void **state)
{
	static char body[BI_BODY_MAX + 1];
	static struct message m;
	struct bi_request q;
	struct errctx ec;

	(void)state;
	make(&m, 0, "1.0", NULL, NULL);
	memset(body, ' ', sizeof(body));
	memcpy(body, m.text, m.len);
	assert_int_equal(read_octets(body, BI_BODY_MAX, &q, &ec), BI_CALL);
	assert_int_equal(
	    read_octets(body, BI_BODY_MAX + 1, &q, &ec), BI_GARBAGE);
	assert_string_equal(ec.text, "more than 32768 octets");
	/* Nesting as deep as there is room for. */
	memset(body, '[', sizeof(body));
	memcpy(body, "{\"x\":", 5);
	assert_int_equal(read_octets(body, BI_BODY_MAX, &q, &ec), BI_GARBAGE);
	assert_int_equal(bi_read(NULL, 0, &q, NULL), BI_GARBAGE);
}

static void
test_other_requests(void **state)
{
	static const char *const types[] = { "PRStartReq", "PRStopReq",
		"HRStartReq", "HRStopReq", "ProfileReq", "XmitDataReq",
		"XmitLocReq", "FooReq", "joinReq",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAReq" };
	struct bi_request q;
	struct errctx ec;
	char json[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
			(void)snprintf(json, sizeof(json), "\"%s\"", types[i]);
			assert_int_equal(read_changed(0, versions[v],
					     "MessageType", json, &q, &ec),
			    BI_REFUSED);
			assert_int_equal(q.refused, BI_RESULT_MALFORMED);
			assert_string_equal(q.message_type, types[i]);
			assert_non_null(strstr(ec.text, types[i]));
		}
	}
}

static void
test_notices(void **state)
{
	struct bi_request q;
	struct errctx ec;

	(void)state;
	assert_int_equal(
	    read_text(
		"{\"ProtocolVersion\":\"1.1\",\"MessageType\":\"ErrorNotif\","
		"\"SenderID\":\"000013\",\"ReceiverID\":\"70b3d57ed0001a2b\","
		"\"TransactionID\":9,\"Result\":{\"ResultCode\":\"Other\","
		"\"Description\":\"too\\nlate\"}}",
		&q, &ec),
	    BI_NOTICE);
	assert_string_equal(
	    ec.text, "ErrorNotif from 000013: Other (too?late)");
	assert_int_equal(q.version, BI_1_1);
	assert_int_equal(q.transaction_id, 9);
	assert_string_equal(q.sender_id, "000013");
	/* Of any version, with nothing in it, or rubbish. */
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		assert_int_equal(read_changed(0, versions[v], "MessageType",
				     "\"ErrorNotif\"", &q, &ec),
		    BI_NOTICE);
		assert_string_equal(
		    ec.text, "ErrorNotif from 600013: no ResultCode ()");
	}
	assert_int_equal(
	    read_text("{\"MessageType\":\"ErrorNotif\",\"SenderID\":\"\","
		      "\"ReceiverID\":\"\",\"Result\":[{}],"
		      "\"TransactionID\":\"x\"}",
		&q, &ec),
	    BI_NOTICE);
	assert_string_equal(ec.text, "ErrorNotif from : no ResultCode ()");
	assert_garbage(0, "1.1", "SenderID", NULL);
	assert_int_equal(
	    read_text(
		"{\"MessageType\":\"ErrorNotif\",\"SenderID\":\"\"}", &q, &ec),
	    BI_GARBAGE);
}

/* ---- which of several wrong things is named ---- */

static void
test_order(void **state)
{
	static const struct {
		const char *text;
		enum bi_result result;
		const char *why;
	} cases[] = {
		{ "{\"ProtocolVersion\":\"1.1\"," ADDRESS
		  ",\"PHYPayload\":\"\"}",
		    BI_RESULT_MALFORMED, "TransactionID is missing" },
		{ "{\"ProtocolVersion\":\"1.0\",\"TransactionID\":1," ADDRESS
		  ",\"PHYPayload\":\"\"}",
		    BI_RESULT_MALFORMED, "DevEUI is missing" },
		{ "{\"ProtocolVersion\":\"1.0\",\"TransactionID\":1,"
		  "\"MessageType\":\"AppSKeyReq\",\"SenderID\":\"as\","
		  "\"ReceiverID\":\"1\",\"SessionKeyID\":\"00\"}",
		    BI_RESULT_MALFORMED,
		    "ReceiverID is not 16 hexadecimal digits" },
	};
	struct bi_request q;
	struct errctx ec;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(read_text(cases[i].text, &q, &ec), BI_REFUSED);
		assert_int_equal(q.refused, cases[i].result);
		assert_string_equal(ec.text, cases[i].why);
	}
}

/* What can be echoed is, although something else is wrong. */
static void
test_refused_header(void **state)
{
	struct bi_request q;
	struct errctx ec;

	(void)state;
	assert_int_equal(
	    read_text("{\"ProtocolVersion\":\"1.1\"," ADDRESS
		      ",\"TransactionID\":-1,\"SenderToken\":\"0\","
		      "\"ReceiverToken\":\"aB\",\"SenderNSID\":\"?\","
		      "\"ReceiverNSID\":\"0102030405060708\","
		      "\"DevEUI\":\"000DF1D600061234\"}",
		&q, &ec),
	    BI_REFUSED);
	assert_string_equal(
	    ec.text, "TransactionID is not a number from 0 to 4294967295");
	assert_int_equal(q.transaction_id, 0);
	assert_string_equal(q.sender_token, "");
	assert_string_equal(q.receiver_token, "aB");
	assert_string_equal(q.sender_ns_id, "");
	assert_string_equal(q.receiver_ns_id, "0102030405060708");
	assert_string_equal(q.dev_eui, "000df1d600061234");
}

/* ---- results ---- */

static void
test_results_of_codes(void **state)
{
#define CODE(id, result) \
	{ \
		JOINERY__V1__ERROR_CODE__##id, BI_RESULT_##result \
	}
	static const struct {
		Joinery__V1__ErrorCode code;
		enum bi_result result;
	} want[] = {
		CODE(ERROR_UNSPECIFIED, OTHER),
		CODE(MALFORMED_REQUEST, MALFORMED),
		CODE(UNKNOWN_CALL, MALFORMED),
		CODE(FRAME_TOO_LARGE, MALFORMED),
		CODE(FRAME_SIZE, FRAME_SIZE),
		CODE(PEER_UNKNOWN, SENDER),
		CODE(NOT_ALLOWED, DISALLOWED),
		CODE(UNKNOWN_DEVICE, DEVICE),
		CODE(UNKNOWN_SESSION, DEVICE),
		CODE(MIC_FAILED, MIC),
		CODE(DEV_NONCE_REPLAYED, REPLAYED),
		CODE(OPTNEG_MISMATCH, MALFORMED),
		CODE(NOT_FOUND, OTHER),
		CODE(ALREADY_EXISTS, OTHER),
		CODE(IN_USE, OTHER),
		CODE(KEY_CHECK_FAILED, OTHER),
		CODE(JOIN_EUI_NOT_SERVED, RECEIVER),
		CODE(RJ_COUNT_REPLAYED, REPLAYED),
		CODE(NO_ROAMING_AGREEMENT, ROAMING),
		CODE(JOIN_NONCE_EXHAUSTED, FAILED),
		CODE(NO_ROOT_KEY, FAILED),
		CODE(KEK_MISSING, OTHER),
		CODE(ROOT_KEY_FORGED, OTHER),
		CODE(DEVICE_RELEASED, DISALLOWED),
		CODE(CONFLICT, OTHER),
		CODE(STORE_UNAVAILABLE, OTHER),
		CODE(STORE_FULL, OTHER),
		CODE(STORE_CORRUPT, OTHER),
		CODE(TOKEN_UNAVAILABLE, OTHER),
		CODE(TOKEN_REFUSED, OTHER),
		CODE(TOKEN_KEY_MISSING, OTHER),
		CODE(BUSY, OTHER),
		CODE(TIMEOUT, OTHER),
		CODE(INTERNAL, OTHER),
		CODE(TOKEN_FULL, OTHER),
	};
	const ProtobufCEnumDescriptor *d = &joinery__v1__error_code__descriptor;

	(void)state;
	/* A code that is new has to be thought of here too. */
	assert_int_equal(d->n_values, ARRAY_LEN(want));
	for (unsigned i = 0; i < d->n_values; i++) {
		assert_int_equal(d->values[i].value, want[i].code);
		assert_int_equal(bi_result_of(want[i].code), want[i].result);
	}
	assert_int_equal(
	    bi_result_of((Joinery__V1__ErrorCode)9999), BI_RESULT_OTHER);
}

static void
test_result_names(void **state)
{
	static const struct {
		enum bi_result result;
		const char *name[2];
	} want[] = {
		{ BI_RESULT_SUCCESS, { "Success", "Success" } },
		{ BI_RESULT_VERSION,
		    { "InvalidProtocolVersion", "InvalidProtocolVersion" } },
		{ BI_RESULT_SENDER, { "UnknownSender", "UnknownSender" } },
		{ BI_RESULT_RECEIVER, { "UnkownReceiver", "UnkownReceiver" } },
		{ BI_RESULT_MALFORMED,
		    { "MalformedRequest", "MalformedMessage" } },
		{ BI_RESULT_FRAME_SIZE,
		    { "FrameSizeError", "FrameSizeError" } },
		{ BI_RESULT_DEVICE, { "UnknownDevEUI", "UnknownDevEUI" } },
		{ BI_RESULT_DISALLOWED,
		    { "ActivationDisallowed", "ActivationDisallowed" } },
		{ BI_RESULT_ROAMING,
		    { "NoRoamingAgreement", "NoRoamingAgreement" } },
		{ BI_RESULT_MIC, { "MICFailed", "MICFailed" } },
		{ BI_RESULT_REPLAYED, { "JoinReqFailed", "FrameReplayed" } },
		{ BI_RESULT_FAILED, { "JoinReqFailed", "JoinReqFailed" } },
		{ BI_RESULT_OTHER, { "Other", "Other" } },
	};

	(void)state;
	assert_int_equal(ARRAY_LEN(want), BI_RESULT_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_string_equal(bi_result_name(want[i].result, BI_1_0),
		    want[i].name[BI_1_0]);
		assert_string_equal(bi_result_name(want[i].result, BI_1_1),
		    want[i].name[BI_1_1]);
	}
}

/* ---- answers ---- */

static ProtobufCBinaryData
octets(const char *hex, uint8_t *room)
{
	ProtobufCBinaryData out = { strlen(hex) / 2, room };

	assert_true(hex_parse(hex, strlen(hex), room, out.len));
	return out;
}

/* Everything that a worker may say, in memory that lives with the test. */
struct said {
	Joinery__V1__Response response;
	Joinery__V1__Error error;
	Joinery__V1__JoinAnswer join;
	Joinery__V1__AppSKeyAnswer app;
	Joinery__V1__HomeNsAnswer home;
	Joinery__V1__PingAnswer ping;
	Joinery__V1__KeyEnvelope wrapped;
	Joinery__V1__KeyEnvelope other;
	Joinery__V1__KeyEnvelope clear;
	Joinery__V1__KeyEnvelope app_key;
	char ns_label[8];
	char as_label[24];
	char reason[16];
	uint8_t room[7][64];
};

static void
said_init(struct said *s)
{
	memset(s, 0, sizeof(*s));
	joinery__v1__response__init(&s->response);
	joinery__v1__error__init(&s->error);
	joinery__v1__join_answer__init(&s->join);
	joinery__v1__app_skey_answer__init(&s->app);
	joinery__v1__home_ns_answer__init(&s->home);
	joinery__v1__ping_answer__init(&s->ping);
	joinery__v1__key_envelope__init(&s->wrapped);
	joinery__v1__key_envelope__init(&s->other);
	joinery__v1__key_envelope__init(&s->clear);
	joinery__v1__key_envelope__init(&s->app_key);
	strcpy(s->ns_label, "ns-kek");
	strcpy(s->as_label, "as \"kek\" \\ \x01\n");
	strcpy(s->reason, "in confidence");
	s->wrapped.kek_label = s->ns_label;
	s->wrapped.has_aes_key = true;
	s->wrapped.aes_key = octets(
	    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7", s->room[0]);
	s->other.kek_label = s->ns_label;
	s->other.has_aes_key = true;
	s->other.aes_key = octets(
	    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7", s->room[1]);
	s->clear.has_aes_key = true;
	s->clear.aes_key =
	    octets("000102030405060708090a0b0c0d0e0f", s->room[2]);
	s->app_key.kek_label = s->as_label;
	s->app_key.has_aes_key = true;
	s->app_key.aes_key = octets("ff", s->room[3]);
	s->join.has_phy_payload = true;
	s->join.phy_payload =
	    octets("20112233445566778899aabbccddeeff00", s->room[4]);
	s->join.has_session_key_id = true;
	s->join.session_key_id =
	    octets("0186a0b1c2d3e4f5061728394a5b6c7d", s->room[5]);
	s->app.has_session_key_id = true;
	s->app.session_key_id = s->join.session_key_id;
	s->app.app_s_key = &s->clear;
	s->home.has_net_id = true;
	s->home.net_id = 0x00ab0c;
	s->home.has_ns_id = true;
	s->home.ns_id = octets("0102030405060abc", s->room[6]);
	s->error.request_id = s->reason;
	s->error.message = s->reason;
}

static void
say_error(struct said *s, Joinery__V1__ErrorCode code)
{
	s->response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	s->response.error = &s->error;
	s->error.has_code = true;
	s->error.code = code;
}

static void
say_join(struct said *s)
{
	s->response.result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
	s->response.join = &s->join;
}

static void
say_app(struct said *s)
{
	s->response.result_case = JOINERY__V1__RESPONSE__RESULT_APP_S_KEY;
	s->response.app_s_key = &s->app;
}

static void
say_home(struct said *s)
{
	s->response.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
	s->response.home_ns = &s->home;
}

static void
assert_text(char *text, size_t len, const char *want)
{
	json_error_t error;
	json_t *value;

	assert_non_null(text);
	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
	value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	assert_true(json_is_object(value));
	json_decref(value);
	bi_free(text, len);
}

static void
assert_answer(
    const struct bi_request *q, const struct said *s, const char *want)
{
	size_t len = 0;
	char *text = bi_write_answer(q, &s->response, "a1b2-7", &len);

	assert_text(text, len, want);
}

#define HEADER(version, sender, receiver, id, type) \
	"{\"ProtocolVersion\":\"" version "\",\"SenderID\":\"" sender \
	"\",\"ReceiverID\":\"" receiver "\",\"TransactionID\":" id \
	",\"MessageType\":\"" type "\""
#define NS_HEADER(version, type) \
	HEADER(version, "70b3d57ed0001a2b", "600013", "4294967295", type)
#define SUCCESS ",\"Result\":{\"ResultCode\":\"Success\",\"Description\":\"\"}"
#define RESULT(code, text) \
	",\"Result\":{\"ResultCode\":\"" code "\",\"Description\":\"" text \
	"; request a1b2-7\"}"
#define KEY(name, label, key) \
	",\"" name "\":{\"KEKLabel\":\"" label "\",\"AESKey\":\"" key "\"}"
#define WRAPPED "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
#define OTHER_WRAPPED "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7"
#define CLEAR "000102030405060708090a0b0c0d0e0f"
#define ACCEPT ",\"PHYPayload\":\"20112233445566778899aabbccddeeff00\""
#define SESSION ",\"SessionKeyID\":\"0186a0b1c2d3e4f5061728394a5b6c7d\""

static void
test_join_answers(void **state)
{
	struct bi_request q;
	struct said s;

	(void)state;
	said_init(&s);
	say_join(&s);
	s.join.nwk_s_key = &s.wrapped;
	assert_call(0, "1.0", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.0", "JoinAns") SUCCESS ACCEPT
	    ",\"Lifetime\":0" KEY("NwkSKey", "ns-kek", WRAPPED) SESSION "}");
	/* The key of the Application Server too, and in clear. */
	s.join.app_s_key = &s.clear;
	s.join.has_lifetime_s = true;
	s.join.lifetime_s = 4294967295;
	assert_call(0, "1.1", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "JoinAns") SUCCESS ACCEPT
	    ",\"Lifetime\":4294967295" KEY("NwkSKey", "ns-kek", WRAPPED)
		KEY("AppSKey", "", CLEAR) SESSION "}");
	/* A label is free text. */
	s.join.app_s_key = &s.app_key;
	s.join.lifetime_s = 86400;
	s.join.nwk_s_key = NULL;
	s.join.has_session_key_id = false;
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "JoinAns") SUCCESS ACCEPT
	    ",\"Lifetime\":86400" KEY(
		"AppSKey", "as \\\"kek\\\" \\\\ \\u0001\\u000a", "ff") "}");
}

static void
test_rejoin_answers(void **state)
{
	struct bi_request q;
	struct said s;

	(void)state;
	said_init(&s);
	say_join(&s);
	s.join.f_nwk_s_int_key = &s.wrapped;
	s.join.s_nwk_s_int_key = &s.other;
	s.join.nwk_s_enc_key = &s.clear;
	assert_call(1, "1.0", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.0", "RejoinAns") SUCCESS ACCEPT
	    ",\"Lifetime\":0" KEY("SNwkSIntKey", "ns-kek", OTHER_WRAPPED)
		KEY("FNwkSIntKey", "ns-kek", WRAPPED)
		    KEY("NwkSEncKey", "", CLEAR) SESSION "}");
	assert_call(1, "1.1", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "RejoinAns") SUCCESS ACCEPT
	    ",\"Lifetime\":0" KEY("SNwkSIntKey", "ns-kek", OTHER_WRAPPED)
		KEY("FNwkSIntKey", "ns-kek", WRAPPED)
		    KEY("NwkSEncKey", "", CLEAR) SESSION "}");
}

static void
test_app_s_key_answers(void **state)
{
	struct bi_request q;
	struct said s;

	(void)state;
	said_init(&s);
	say_app(&s);
	assert_call(2, "1.0", "DevEUI", "\"0x000DF1D600061234\"", &q);
	assert_answer(&q, &s,
	    HEADER("1.0", "70b3d57ed0001a2b", "as.example.org", "4294967295",
		"AppSKeyAns") SUCCESS
	    ",\"DevEUI\":\"000df1d600061234\"" KEY("AppSKey", "", CLEAR) SESSION
	    "}");
	s.app.app_s_key = &s.wrapped;
	assert_call(2, "1.1", "SenderID", "\"a\\\"s\\\\\\u002f\"", &q);
	assert_answer(&q, &s,
	    HEADER("1.1", "70b3d57ed0001a2b", "a\\\"s\\\\/", "4294967295",
		"AppSKeyAns") SUCCESS
	    ",\"DevEUI\":\"000df1d600061234\"" KEY("AppSKey", "ns-kek", WRAPPED)
		SESSION "}");
}

static void
test_home_ns_answers(void **state)
{
	struct bi_request q;
	struct said s;

	(void)state;
	said_init(&s);
	say_home(&s);
	assert_call(3, "1.0", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.0", "HomeNSAns") SUCCESS ",\"HNetID\":\"00ab0c\"}");
	assert_call(3, "1.1", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "HomeNSAns") SUCCESS
	    ",\"HNetID\":\"00ab0c\",\"HNSID\":\"0102030405060abc\""
	    "}");
	s.home.has_ns_id = false;
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "HomeNSAns") SUCCESS ",\"HNetID\":\"00ab0c\"}");
	/* Empty means none. */
	s.home.has_ns_id = true;
	s.home.ns_id.len = 0;
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "HomeNSAns") SUCCESS ",\"HNetID\":\"00ab0c\"}");
}

/* Tokens, NSIDs, and ids as they were written, all turned round. */
static void
test_echoes(void **state)
{
	struct bi_request q;
	struct errctx ec;
	struct said s;

	(void)state;
	said_init(&s);
	say_home(&s);
	s.home.has_ns_id = false;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		char text[512];

		(void)snprintf(text, sizeof(text),
		    "{\"ProtocolVersion\":\"%s\",\"TransactionID\":10,"
		    "\"MessageType\":\"HomeNSReq\",\"SenderID\":\"0X60001F\","
		    "\"ReceiverID\":\"0x70B3D57ED0001A2B\","
		    "\"SenderToken\":\"0xAbCd\",\"ReceiverToken\":\"0012\","
		    "\"SenderNSID\":\"0102030405060A0b\","
		    "\"ReceiverNSID\":\"0xffEE030405060708\","
		    "\"VSExtension\":{},\"DevEUI\":\"000DF1D600061234\"}",
		    versions[v]);
		assert_int_equal(read_text(text, &q, &ec), BI_CALL);
		assert_answer(&q, &s,
		    v == 0
			? HEADER("1.0", "0x70B3D57ED0001A2B", "0X60001F", "10",
			      "HomeNSAns") ",\"SenderToken\":\"0012\","
					   "\"ReceiverToken\":"
					   "\"0xAbCd\"" SUCCESS
					   ",\"HNetID\":\"00ab0c\"}"
			: HEADER("1.1", "0x70B3D57ED0001A2B", "0X60001F", "10",
			      "HomeNSAns") ",\"SenderToken\":\"0012\","
					   "\"ReceiverToken\":\"0xAbCd\","
					   "\"SenderNSID\":"
					   "\"ffEE030405060708\","
					   "\"ReceiverNSID\":"
					   "\"0102030405060A0b\"" SUCCESS
					   ",\"HNetID\":\"00ab0c\"}");
	}
}

/* ---- refusals ---- */

static void
assert_result_text(size_t k, size_t v, Joinery__V1__ErrorCode code,
    enum bi_result result, const char *description)
{
	struct bi_request q;
	struct said s;
	char want[512];

	said_init(&s);
	say_error(&s, code);
	assert_call(k, versions[v], NULL, NULL, &q);
	(void)snprintf(want, sizeof(want),
	    "{\"ProtocolVersion\":\"%s\",\"SenderID\":\"70b3d57ed0001a2b\","
	    "\"ReceiverID\":\"%s\",\"TransactionID\":4294967295,"
	    "\"MessageType\":\"%s\",\"Result\":{\"ResultCode\":\"%s\","
	    "\"Description\":\"%s; request a1b2-7\"}}",
	    versions[v], kinds[k].kind == APP ? "as.example.org" : "600013",
	    kinds[k].ans, bi_result_name(result, v == 0 ? BI_1_0 : BI_1_1),
	    description);
	assert_answer(&q, &s, want);
	assert_null(strstr(want, s.reason));
}

/* Each error of a call, in each answer, under each version. */
static void
test_errors(void **state)
{
	static const struct {
		enum bi_result result;
		const char *text;
	} texts[BI_RESULT_COUNT] = {
#define X(id, name_1_0, name_1_1, description) { BI_RESULT_##id, description },
#include "src/bi/bi_result.def"
#undef X
	};
	const ProtobufCEnumDescriptor *d = &joinery__v1__error_code__descriptor;

	(void)state;
	for (unsigned i = 0; i < d->n_values; i++) {
		Joinery__V1__ErrorCode code =
		    (Joinery__V1__ErrorCode)d->values[i].value;

		for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
			enum bi_result result = bi_result_of(code);

			if (kinds[k].kind == HOME &&
			    result == BI_RESULT_DISALLOWED) {
				result = BI_RESULT_ROAMING;
			}
			assert_int_equal(texts[result].result, result);
			assert_result_text(
			    k, 0, code, result, texts[result].text);
			assert_result_text(
			    k, 1, code, result, texts[result].text);
		}
	}
}

static void
test_error_texts(void **state)
{
	struct bi_request q;
	struct said s;

	(void)state;
	said_init(&s);
	assert_call(0, "1.0", NULL, NULL, &q);
	say_error(&s, JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED);
	assert_answer(&q, &s,
	    NS_HEADER("1.0", "JoinAns") RESULT(
		"JoinReqFailed", "DevNonce or RJcount was used before") "}");
	assert_call(0, "1.1", NULL, NULL, &q);
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "JoinAns") RESULT(
		"FrameReplayed", "DevNonce or RJcount was used before") "}");
	s.error.has_code = false;
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "JoinAns")
		RESULT("Other", "not possible at the moment") "}");
	assert_call(3, "1.1", NULL, NULL, &q);
	say_error(&s, JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
	assert_answer(&q, &s,
	    NS_HEADER("1.1", "HomeNSAns") RESULT("NoRoamingAgreement",
		"no roaming agreement for this device") "}");
}

/* What does not belong to the call, or has not what it is about. */
static void
test_wrong_responses(void **state)
{
	static void (*const says[])(
	    struct said *) = { say_join, say_join, say_app, say_home };
	struct bi_request q;
	struct said s;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		char want[512];

		assert_call(k, "1.0", NULL, NULL, &q);
		(void)snprintf(want, sizeof(want),
		    "{\"ProtocolVersion\":\"1.0\","
		    "\"SenderID\":\"70b3d57ed0001a2b\",\"ReceiverID\":\"%s\","
		    "\"TransactionID\":4294967295,\"MessageType\":\"%"
		    "s\"" RESULT("Other", "not possible at the moment") "}",
		    kinds[k].kind == APP ? "as.example.org" : "600013",
		    kinds[k].ans);
		for (size_t i = 0; i < ARRAY_LEN(says); i++) {
			said_init(&s);
			says[i](&s);
			if (says[i] == says[k]) {
				s.join.has_phy_payload = false;
				s.app.app_s_key = NULL;
				s.home.has_net_id = false;
			}
			assert_answer(&q, &s, want);
		}
		said_init(&s);
		assert_answer(&q, &s, want);
		s.response.result_case = JOINERY__V1__RESPONSE__RESULT_PING;
		s.response.ping = &s.ping;
		assert_answer(&q, &s, want);
	}
}

static void
test_refusals(void **state)
{
	struct bi_request q;
	struct errctx ec;
	struct said s;
	size_t len = 0;
	char *text;

	(void)state;
	assert_int_equal(
	    read_changed(0, "1.1", "MessageType", "\"XmitDataReq\"", &q, &ec),
	    BI_REFUSED);
	text = bi_write_refusal(&q, q.refused, "a1b2-7", &len);
	assert_text(text, len,
	    NS_HEADER("1.1", "XmitDataAns") RESULT("MalformedMessage",
		"a member is missing, wrong or contradicts another") "}");
	assert_int_equal(
	    read_changed(0, "1.0", "MessageType", "\"A\\\"\\\\Req\"", &q, &ec),
	    BI_REFUSED);
	text = bi_write_refusal(&q, q.refused, "a1b2-7", &len);
	assert_text(text, len,
	    NS_HEADER("1.0", "A\\\"\\\\Ans") RESULT("MalformedRequest",
		"a member is missing, wrong or contradicts another") "}");
	assert_int_equal(
	    read_changed(3, "", "ProtocolVersion", "\"2.0\"", &q, &ec),
	    BI_REFUSED);
	text = bi_write_refusal(&q, q.refused, "a1b2-7", &len);
	assert_text(text, len,
	    NS_HEADER("1.0", "HomeNSAns") RESULT("InvalidProtocolVersion",
		"ProtocolVersion has to be 1.0 or 1.1") "}");
	/* No call was made, so nothing can be the answer to it. */
	said_init(&s);
	say_join(&s);
	assert_answer(&q, &s,
	    NS_HEADER("1.0", "HomeNSAns")
		RESULT("Other", "not possible at the moment") "}");
	/* The caller may refuse what could be read. */
	assert_call(3, "1.1", NULL, NULL, &q);
	text = bi_write_refusal(&q, BI_RESULT_SENDER, "a1b2-7", &len);
	assert_text(text, len,
	    NS_HEADER("1.1", "HomeNSAns") RESULT("UnknownSender",
		"the credentials do not go with SenderID") "}");
}

static void
test_answers_to_garbage(void **state)
{
	size_t len = 0;
	char *text = bi_write_garbage(BI_1_0, "a1\"b2", &len);

	(void)state;
	assert_text(text, len,
	    "{\"Result\":{\"ResultCode\":\"MalformedRequest\","
	    "\"Description\":\"a member is missing, wrong or contradicts "
	    "another; request a1\\\"b2\"}}");
	text = bi_write_garbage(BI_1_1, "", &len);
	assert_text(text, len,
	    "{\"Result\":{\"ResultCode\":\"MalformedMessage\","
	    "\"Description\":\"a member is missing, wrong or contradicts "
	    "another; request \"}}");
	bi_free(NULL, 0);
}

/* ---- as peers write ---- */

/* Members in alphabetical order, lower case, null for what is not there. */
static void
test_like_chirpstack(void **state)
{
	struct bi_request q;
	struct errctx ec;
	struct said s;

	(void)state;
	assert_int_equal(
	    read_text(
		"{\"CFList\":\"\",\"DLSettings\":\"00\","
		"\"DevAddr\":\"01020304\",\"DevEUI\":\"70b3d57ed0061234\","
		"\"MACVersion\":\"1.0.2\",\"MessageType\":\"JoinReq\","
		"\"PHYPayload\":"
		"\"00b2a1811000414008a434120600d6f10d000100aabbccdd\","
		"\"ProtocolVersion\":\"1.0\",\"ReceiverID\":"
		"\"a84041000181a1b2\",\"ReceiverToken\":null,\"RxDelay\":1,"
		"\"SenderID\":\"000000\",\"SenderToken\":\"1f2e3d4c\","
		"\"TransactionID\":3214567890,\"VSExtension\":{\"VendorID\":"
		"\"\",\"Object\":null}}",
		&q, &ec),
	    BI_CALL);
	assert_int_equal(q.join.phy_payload.len, 24);
	assert_false(q.join.has_cf_list);
	said_init(&s);
	say_join(&s);
	s.join.nwk_s_key = &s.wrapped;
	s.join.app_s_key = &s.other;
	assert_answer(&q, &s,
	    HEADER("1.0", "a84041000181a1b2", "000000", "3214567890",
		"JoinAns") ",\"ReceiverToken\":\"1f2e3d4c\"" SUCCESS ACCEPT
			   ",\"Lifetime\":0" KEY("NwkSKey", "ns-kek", WRAPPED)
			       KEY("AppSKey", "ns-kek", OTHER_WRAPPED) SESSION
	    "}");
}

/* Upper case, TransactionID 0, SenderNSID, members of its own. */
static void
test_like_the_things_stack(void **state)
{
	struct bi_request q;
	struct errctx ec;
	struct said s;

	(void)state;
	said_init(&s);
	assert_int_equal(
	    read_text(
		"{ \"ProtocolVersion\" : \"1.1\", \"TransactionID\" : 0,\n"
		"  \"MessageType\" : \"JoinReq\", \"SenderID\" : \"000013\",\n"
		"  \"ReceiverID\" : \"70B3D57ED0001A2B\",\n"
		"  \"SenderNSID\" : \"EC656E0000000181\",\n"
		"  \"MACVersion\" : \"1.1\", \"PHYPayload\" :\n"
		"  \"002B1A00D07ED5B37034120600D6F10D0001FF0102030A\",\n"
		"  \"DevEUI\" : \"000DF1D600061234\", \"DevAddr\" :\n"
		"  \"26011BDA\", \"DLSettings\" : \"80\", \"RxDelay\" : 5,\n"
		"  \"CFList\" : \"184F84E85684B85E84886684586E8400\" }\n",
		&q, &ec),
	    BI_CALL);
	assert_octets(&q.sender.ns_id, "ec656e0000000181");
	say_join(&s);
	s.join.f_nwk_s_int_key = &s.wrapped;
	s.join.s_nwk_s_int_key = &s.wrapped;
	s.join.nwk_s_enc_key = &s.other;
	assert_answer(&q, &s,
	    HEADER("1.1", "70B3D57ED0001A2B", "000013", "0",
		"JoinAns") ",\"ReceiverNSID\":\"EC656E0000000181\"" SUCCESS
		ACCEPT ",\"Lifetime\":0" KEY("SNwkSIntKey", "ns-kek", WRAPPED)
		    KEY("FNwkSIntKey", "ns-kek", WRAPPED)
			KEY("NwkSEncKey", "ns-kek", OTHER_WRAPPED) SESSION "}");
	assert_int_equal(
	    read_text("{\"ProtocolVersion\":\"1.0\",\"TransactionID\":0,"
		      "\"MessageType\":\"AppSKeyReq\",\"SenderID\":"
		      "\"tts.example.org:8884\",\"ReceiverID\":"
		      "\"70B3D57ED0001A2B\",\"SenderNSID\":"
		      "\"EC656E0000000181\",\"DevEUI\":\"000DF1D600061234\","
		      "\"SessionKeyID\":"
		      "\"0186A0B1C2D3E4F5061728394A5B6C7D\"}",
		&q, &ec),
	    BI_CALL);
	say_app(&s);
	s.app.app_s_key = &s.wrapped;
	assert_answer(&q, &s,
	    HEADER("1.0", "70B3D57ED0001A2B", "tts.example.org:8884", "0",
		"AppSKeyAns") SUCCESS
	    ",\"DevEUI\":\"000df1d600061234\"" KEY("AppSKey", "ns-kek", WRAPPED)
		SESSION "}");
}

/* ---- no memory ---- */

static size_t mallocs_left;

static void *
scarce_malloc(size_t len)
{
	if (mallocs_left == 0) {
		return NULL;
	}
	mallocs_left--;
	return malloc(len);
}

/* Wherever memory ends the message is refused whole, and nothing leaks. */
static void
test_no_memory(void **state)
{
	static struct message m;
	struct bi_request q;
	struct errctx ec;
	enum bi_reading reading = BI_GARBAGE;
	size_t n;

	(void)state;
	make(&m, 0, "1.1", "VSExtension", "{\"a\":[1,\"b\"]}");
	json_set_alloc_funcs(scarce_malloc, free);
	for (n = 0; n < 10000 && reading != BI_CALL; n++) {
		mallocs_left = n;
		reading = read_octets(m.text, m.len, &q, &ec);
		assert_true(reading == BI_GARBAGE || reading == BI_CALL);
	}
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(reading, BI_CALL);
	assert_in_range(n, 10, 9999);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_wrong_addresses),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_version_first),
		cmocka_unit_test(test_tolerated),
		cmocka_unit_test(test_tolerated_values),
		cmocka_unit_test(test_mac_versions),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_ns_ids),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_garbage_is_shown_clean),
		cmocka_unit_test(test_body_size),
		cmocka_unit_test(test_other_requests),
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused_header),
		cmocka_unit_test(test_results_of_codes),
		cmocka_unit_test(test_result_names),
		cmocka_unit_test(test_join_answers),
		cmocka_unit_test(test_rejoin_answers),
		cmocka_unit_test(test_app_s_key_answers),
		cmocka_unit_test(test_home_ns_answers),
		cmocka_unit_test(test_echoes),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_error_texts),
		cmocka_unit_test(test_wrong_responses),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_answers_to_garbage),
		cmocka_unit_test(test_like_chirpstack),
		cmocka_unit_test(test_like_the_things_stack),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
