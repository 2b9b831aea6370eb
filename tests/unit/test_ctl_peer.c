/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of joineryctl: what is set of them, their secrets, peer test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/base/secret.h"
#include "tests/unit/ctl_fake.h"
#include "tools/seal.h"

#define TOKEN "0123456789abcdefghijklmnopqrstuv"
#define PASSWORD "correct horse battery staple cannot be guessed"

/* hashlib.sha256(b"joinery bearer\0" + token).hexdigest() */
#define TOKEN_HASH \
	"1c7f114832fbe7f59e3304dc06279f15231b038d1cd7cdf532162f6994b8b8d7"
/* hashlib.sha256(b"joinery basic\0" + b"ns1:" + password).hexdigest() */
#define PASSWORD_HASH \
	"e3e7e908ca5ecb02e7909aa4cec7d219c9411d1d3dcf57d98a384bf912ec7be4"

static struct fake_run run;

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int
answer_set(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__PeerSetAnswer a =
	    JOINERY__V1__PEER_SET_ANSWER__INIT;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_PEER_SET);
	a.has_created = 1;
	a.created = 1;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_SET;
	r->peer_set = &a;
	return 1;
}

static int
answer_refused(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;

	(void)q;
	error.has_code = 1;
	error.code = JOINERY__V1__ERROR_CODE__ALREADY_EXISTS;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return 1;
}

static const Joinery__V1__Peer *
set_peer(void)
{
	return fake_last()->peer_set->peer;
}

static void
assert_hash(const ProtobufCBinaryData *got, const char *hex)
{
	char digits[HEX_STR_LEN(SEAL_HASH_LEN)];

	assert_int_equal(got->len, SEAL_HASH_LEN);
	hex_format(got->data, got->len, digits);
	assert_string_equal(digits, hex);
}

static void
assert_not_seen(const char *secret)
{
	assert_null(memmem(run.seen, run.seen_len, secret, strlen(secret)));
	assert_null(strstr(run.out, secret));
	assert_null(strstr(run.err, secret));
}

/* ---- peer set ---- */

static void
test_peer_set(void **state)
{
	const Joinery__V1__Peer *p;

	(void)state;
	fake_ctl(&run, answer_set, NULL,
	    "peer set ns1 --role ns-as --net-id 000013 --as-id as.e "
	    "--ns-id 000000000000002f --ns-id 0000000000000030 "
	    "--answer-url https://ns.e/bi --answer-ca /ca.pem "
	    "--answer-cert /cert.pem --answer-key /key.pem");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "created\n");
	p = set_peer();
	assert_int_equal(p->role, JOINERY__V1__PEER_ROLE__ROLE_NS_AS);
	assert_int_equal(p->n_ns_ids, 2);
	assert_true(p->clear_ns_ids);
	assert_int_equal(p->ns_ids[1].len, 8);
	assert_int_equal(p->ns_ids[1].data[7], 0x30);
	assert_string_equal(p->answer_url, "https://ns.e/bi");
	assert_string_equal(p->answer_ca, "/ca.pem");
	assert_string_equal(p->answer_cert, "/cert.pem");
	assert_string_equal(p->answer_key, "/key.pem");
	assert_false(p->has_bearer_hash || p->has_basic_hash);
	fake_ctl(&run, answer_set, NULL,
	    "peer set ns1 --no-ns-ids --answer-url '' --bearer-token '' "
	    "--basic-user ''");
	assert_int_equal(run.status, 0);
	p = set_peer();
	assert_true(p->clear_ns_ids);
	assert_int_equal(p->n_ns_ids, 0);
	assert_string_equal(p->answer_url, "");
	assert_true(p->has_bearer_hash && p->has_basic_hash);
	assert_int_equal(p->bearer_hash.len, 0);
	assert_int_equal(p->basic_hash.len, 0);
	assert_string_equal(p->basic_user, "");
}

static void
test_given_secrets(void **state)
{
	(void)state;
	(void)fake_file("token", " " TOKEN "\n", 0600);
	fake_ctl(&run, answer_set, PASSWORD "\n",
	    "peer set ns1 --bearer-token @%/token --basic-user ns1 "
	    "--basic-password -");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "created\n");
	assert_hash(&set_peer()->bearer_hash, TOKEN_HASH);
	assert_hash(&set_peer()->basic_hash, PASSWORD_HASH);
	assert_string_equal(set_peer()->basic_user, "ns1");
	assert_not_seen(TOKEN);
	assert_not_seen(PASSWORD);
	assert_string_equal(run.err, "");
	(void)fake_file("open", TOKEN, 0644);
	fake_ctl(&run, answer_set, NULL, "peer set p --bearer-token @%/open");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.err, "others may read"));
}

static void
test_bad_secrets(void **state)
{
	static const struct {
		const char *input;
		const char *option;
		const char *says;
	} cases[] = {
		{ "0123456789abcdefghijklmnopqrstu", "--bearer-token -",
		    "32 to 1024 characters are needed, here are 31" },
		{ "", "--bearer-token -", "here are 0" },
		{ "0123456789abcdefghijklmno\tpqrstuvw", "--bearer-token -",
		    "not printable ASCII" },
		{ "0123456789abcdefghijklmno pqrstuvw", "--bearer-token -",
		    "a token has no blanks" },
		{ "short", "--basic-user u --basic-password -",
		    "plain SHA-256" },
		{ "0123456789abcdefghijklmnopqrstuv\xc3\xa9",
		    "--basic-user u --basic-password -",
		    "not printable ASCII" },
		{ NULL, "--bearer-token @%/none", "none: No such file" },
	};
	char line[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(
		    line, sizeof(line), "peer set p %s", cases[i].option);
		fake_ctl(&run, fake_nobody, cases[i].input, line);
		if (run.status != 5 || strstr(run.err, cases[i].says) == NULL) {
			fail_msg("%zu: %d %s", i, run.status, run.err);
		}
		assert_null(strstr(run.err, "0123456789"));
	}
}

/* The hash that was sent is that of what was printed. */
static void
assert_hash_of(
    const ProtobufCBinaryData *got, const char *user, const char *secret)
{
	struct secret *s = NULL;
	uint8_t hash[SEAL_HASH_LEN];

	assert_int_equal(secret_new(strlen(secret), &s, NULL), JY_OK);
	memcpy(secret_data(s), secret, strlen(secret));
	secret_set_len(s, strlen(secret));
	assert_int_equal(seal_hash_token(user, s, hash, NULL), JY_OK);
	secret_free(s);
	assert_int_equal(got->len, sizeof(hash));
	assert_memory_equal(got->data, hash, sizeof(hash));
}

static void
test_new_secrets(void **state)
{
	const char *token;
	const char *password;
	char first[64];
	json_t *j;

	(void)state;
	fake_ctl(&run, answer_set, NULL,
	    "peer set p --bearer-token new --basic-user u "
	    "--basic-password new --json");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	token = json_string_value(json_object_get(j, "bearer_token"));
	password = json_string_value(json_object_get(j, "basic_password"));
	assert_int_equal(strlen(token), 43);
	assert_int_equal(strlen(password), 43);
	assert_int_equal(strspn(token,
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
			     "uvwxyz0123456789-_"),
	    43);
	assert_string_not_equal(token, password);
	assert_hash_of(&set_peer()->bearer_hash, NULL, token);
	assert_hash_of(&set_peer()->basic_hash, "u", password);
	(void)snprintf(first, sizeof(first), "%s", token);
	json_decref(j);
	fake_ctl(&run, answer_set, NULL, "peer set p --bearer-token new");
	assert_non_null(strstr(run.out, "created\nbearer-token          "));
	assert_null(strstr(run.out, first));
	/* One that was not stored is nobody's. */
	fake_ctl(&run, answer_refused, NULL, "peer set p --bearer-token new");
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "");
}

static int
answer_get(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static uint8_t hash[32] = { 0x1c, 0x7f, 0x11, 0x48, 0x32, 0xfb };
	static uint8_t ns_id[8] = { 0, 0, 0, 0, 0, 0, 0, 0x2f };
	static ProtobufCBinaryData ns_ids[2] = { { 8, ns_id }, { 8, ns_id } };
	static Joinery__V1__Peer p = JOINERY__V1__PEER__INIT;
	static Joinery__V1__PeerGetAnswer a =
	    JOINERY__V1__PEER_GET_ANSWER__INIT;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_PEER_GET);
	p.name = q->peer_get->name;
	p.has_role = 1;
	p.role = JOINERY__V1__PEER_ROLE__ROLE_NS_AS;
	p.n_ns_ids = 2;
	p.ns_ids = ns_ids;
	p.has_bearer_hash = 1;
	p.bearer_hash = (ProtobufCBinaryData){ sizeof(hash), hash };
	p.basic_user = text("u");
	p.has_basic_hash = 1;
	p.basic_hash = p.bearer_hash;
	p.answer_url = text("https://ns.e/bi");
	a.peer = &p;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_GET;
	r->peer_get = &a;
	return 1;
}

static void
test_peer_get(void **state)
{
	(void)state;
	fake_ctl(&run, answer_get, NULL, "peer get ns1");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "role                  ns-as\n"));
	assert_non_null(strstr(run.out, "000000000000002f, 0000"));
	assert_non_null(strstr(run.out, "bearer-hash           1c7f1148...\n"));
	assert_non_null(strstr(run.out, "basic-hash            1c7f1148...\n"));
	assert_non_null(strstr(run.out, "https://ns.e/bi\n"));
	fake_ctl(&run, answer_get, NULL, "peer get ns1 --json");
	assert_non_null(strstr(run.out, "\"bearer_hash\":\"1c7f1148...\""));
	assert_null(strstr(run.out, "1c7f114832"));
}

/* ---- peer test ---- */

#define HEAD(version, type) \
	"{\"ProtocolVersion\":\"" version "\",\"MessageType\":\"" type "\"," \
	"\"SenderID\":\"000013\",\"ReceiverID\":\"70b3d57ed0000001\"," \
	"\"TransactionID\":7"
#define JOIN_BODY \
	",\"MACVersion\":\"1.0.3\",\"DevEUI\":\"0011223344556677\"," \
	"\"PHYPayload\":" \
	"\"00010000d07ed5b37077665544332211000100deadbeef\"," \
	"\"DevAddr\":\"26011234\",\"DLSettings\":\"00\",\"RxDelay\":1}"
#define JOIN(version) HEAD(version, "JoinReq") JOIN_BODY

static Joinery__V1__PeerTestAnswer test_answer;
static Joinery__V1__DeviceId test_device;
static uint8_t tested_dev_eui[] = { 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
	0x77 };

static int
answer_test(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	const ProtobufCBinaryData *packed = &q->peer_test->request;
	Joinery__V1__Request *inner;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_PEER_TEST);
	assert_string_equal(q->peer_test->name, "ns1");
	inner = joinery__v1__request__unpack(NULL, packed->len, packed->data);
	assert_non_null(inner);
	assert_int_equal(inner->call_case, JOINERY__V1__REQUEST__CALL_JOIN);
	assert_int_equal(inner->sender->net_id, 0x13);
	assert_int_equal(inner->join->phy_payload.len, 23);
	assert_int_equal(inner->join->dev_addr, 0x26011234);
	joinery__v1__device_id__init(&test_device);
	test_device.has_dev_eui = 1;
	test_device.dev_eui.data = tested_dev_eui;
	test_device.dev_eui.len = 8;
	assert_memory_equal(inner->join->dev_eui.data, tested_dev_eui, 8);
	joinery__v1__request__free_unpacked(inner, NULL);
	test_answer.device = &test_device;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_TEST;
	r->peer_test = &test_answer;
	return 1;
}

static void
test_peer_test_success(void **state)
{
	json_t *j;

	(void)state;
	joinery__v1__peer_test_answer__init(&test_answer);
	test_answer.step = text("done");
	test_answer.has_join_nonce = 1;
	test_answer.join_nonce = 9;
	test_answer.ns_kek = text("");
	fake_ctl(&run, answer_test, JOIN("1.0"), "peer test ns1");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "peer                  ns1\n"));
	assert_non_null(strstr(run.out, "message-type          JoinReq\n"));
	assert_non_null(strstr(run.out, "sender-id             000013\n"));
	assert_non_null(strstr(run.out, "result                Success\n"));
	assert_non_null(strstr(run.out, "step                  done\n"));
	assert_non_null(strstr(run.out, "join-nonce            9\n"));
	assert_non_null(
	    strstr(run.out, "ns-kek                none: keys in clear\n"));
	assert_non_null(
	    strstr(run.out, "as-kek                none: no AppSKey"));
	test_answer.as_kek = text("as1");
	(void)fake_file("join.json", JOIN("1.1"), 0600);
	fake_ctl(&run, answer_test, NULL,
	    "peer test ns1 --json --message %/join.json");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	assert_string_equal(
	    json_string_value(json_object_get(j, "result")), "Success");
	assert_string_equal(
	    json_string_value(json_object_get(j, "protocol_version")), "1.1");
	assert_string_equal(
	    json_string_value(json_object_get(j, "as_kek")), "as1");
	assert_string_equal(
	    json_string_value(json_object_get(j, "ns_kek")), "");
	json_decref(j);
}

/* A refusal has the name that the message's version gives it. */
static void
test_peer_test_refusal(void **state)
{
	json_t *j;

	(void)state;
	joinery__v1__peer_test_answer__init(&test_answer);
	test_answer.has_code = 1;
	test_answer.code = JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED;
	test_answer.reason = text("DevNonce 1 was used");
	test_answer.step = text("nonces");
	fake_ctl(&run, answer_test, JOIN("1.0"), "peer test ns1");
	assert_int_equal(run.status, 1);
	assert_non_null(
	    strstr(run.out, "result                JoinReqFailed\n"));
	assert_non_null(
	    strstr(run.out, "code                  DEV_NONCE_REPLAYED\n"));
	assert_non_null(strstr(run.out, "DevNonce 1 was used\n"));
	assert_non_null(strstr(run.err, "answered JoinReqFailed: DEV_NONCE"));
	fake_ctl(&run, answer_test, JOIN("1.1"), "peer test ns1 --json");
	assert_int_equal(run.status, 1);
	j = fake_json(&run);
	assert_string_equal(
	    json_string_value(json_object_get(j, "result")), "FrameReplayed");
	assert_string_equal(json_string_value(json_object_get(j, "code")),
	    "DEV_NONCE_REPLAYED");
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(j, "error"), "code")),
	    "REFUSED");
	json_decref(j);
}

/* What the codec refuses asks no server. */
static void
test_peer_test_malformed(void **state)
{
	static const struct {
		const char *message;
		const char *says;
		const char *result;
	} cases[] = {
		{ "no JSON", "not JSON", "MalformedRequest" },
		{ "[]", "no object", "MalformedRequest" },
		{ "", "not JSON", "MalformedRequest" },
		{ "{\"ProtocolVersion\":\"1.1\"}", "MessageType",
		    "MalformedMessage" },
		{ HEAD("1.0", "JoinReq") "}", "", "MalformedRequest" },
		{ HEAD("1.1", "JoinReq") "}", "", "MalformedMessage" },
		{ HEAD("1.0", "JoinAns") "}", "no request",
		    "MalformedRequest" },
		{ HEAD("2.0", "JoinReq") JOIN_BODY, "",
		    "InvalidProtocolVersion" },
		{ HEAD("1.0", "PRStartReq") "}", "not for a Join Server",
		    "MalformedRequest" },
	};
	char line[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(line, sizeof(line), "result                %s\n",
		    cases[i].result);
		fake_ctl(&run, fake_nobody, cases[i].message, "peer test ns1");
		if (run.status != 1 || strstr(run.out, line) == NULL ||
		    strstr(run.out, cases[i].says) == NULL ||
		    strstr(run.out, "\nreason  ") == NULL) {
			fail_msg(
			    "%zu: %d %s%s", i, run.status, run.out, run.err);
		}
	}
	fake_ctl(&run, fake_nobody,
	    HEAD("1.0", "ErrorNotif") ",\"Result\":{\"ResultCode\":\"Other\"}}",
	    "peer test ns1");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "a notification"));
	assert_null(strstr(run.out, "\nresult "));
	fake_ctl(&run, fake_nobody, HEAD("2.0", "JoinReq") JOIN_BODY,
	    "peer test ns1");
	assert_null(strstr(run.out, "protocol-version"));
	fake_ctl(&run, fake_nobody, "[]", "peer test ns1");
	assert_non_null(strstr(run.out, "http-status           400\n"));
	assert_null(strstr(run.out, "protocol-version"));
	fake_ctl(&run, fake_nobody, NULL, "peer test ns1 --message %/nothing");
	assert_int_equal(run.status, 5);
}

static void
test_peer_test_too_long(void **state)
{
	static char message[33 * 1024 + 1];

	(void)state;
	memset(message, ' ', sizeof(message) - 1);
	fake_ctl(&run, fake_nobody, message, "peer test ns1");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.out, "more than 32768 octets"));
	assert_non_null(strstr(run.out, "http-status           413\n"));
	assert_null(strstr(run.out, "\nresult "));
	assert_null(strstr(run.out, "protocol-version"));
}

static void
test_peer_test_unknown_peer(void **state)
{
	(void)state;
	fake_ctl(&run, answer_refused, JOIN("1.0"), "peer test ns1");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "ALREADY_EXISTS"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peer_set),
		cmocka_unit_test(test_given_secrets),
		cmocka_unit_test(test_bad_secrets),
		cmocka_unit_test(test_new_secrets),
		cmocka_unit_test(test_peer_get),
		cmocka_unit_test(test_peer_test_success),
		cmocka_unit_test(test_peer_test_refusal),
		cmocka_unit_test(test_peer_test_malformed),
		cmocka_unit_test(test_peer_test_too_long),
		cmocka_unit_test(test_peer_test_unknown_peer),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
