/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backend Interfaces in joineryd: who asks, and how answers go back; with
 * HTTP, the way to a worker and the way to a peer's URL played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/frame.h"
#include "src/base/hex.h"
#include "src/bi/bi.h"
#include "src/conf/conf.h"
#include "src/front/authorization.h"
#include "src/front/dispatch.h"
#include "src/front/http.h"
#include "src/front/pending.h"
#include "src/front/post.h"
#include "src/front/respond.h"
#include "src/front/server.h"
#include "src/front/tls_digest.h"
#include "src/front/trace.h"
#include "src/front/waiter.h"

/* ---- HTTP ---- */

struct http_exchange {
	const char *headers[8]; /* name, value, name, value ... NULL */
	const struct tls_peer *peer;
	bool from_proxy;
	bool gone;
	unsigned answers;
	int status;
	size_t len;
	char body[2048];
};

const char *
http_header(const struct http_exchange *x, const char *name)
{
	for (size_t i = 0; i < 8 && x->headers[i] != NULL; i += 2) {
		if (strcasecmp(x->headers[i], name) == 0) {
			return x->headers[i + 1];
		}
	}
	return NULL;
}

const struct tls_peer *
http_tls_peer(const struct http_exchange *x)
{
	return x->peer;
}

const char *
http_name(const struct http_exchange *x)
{
	assert_int_equal(x->answers, 0);
	return "from=[::1]:4711";
}

bool
http_from_proxy(const struct http_exchange *x)
{
	return x->from_proxy;
}

bool
http_gone(const struct http_exchange *x)
{
	assert_int_equal(x->answers, 0);
	return x->gone;
}

void
http_answer(struct http_exchange *x, int status, const char *body, size_t len)
{
	assert_true(len < sizeof(x->body));
	x->answers++;
	x->status = status;
	x->len = len;
	if (len > 0) {
		memcpy(x->body, body, len);
	}
	x->body[len] = '\0';
}

/* ---- the peer's URL ---- */

static struct {
	unsigned n;
	char url[128];
	char body[2048];
	char label[256];
} posted;

void
post_answer(struct post *p, const Joinery__Corridor__AnswerTo *to,
    const char *body, size_t len, const char *label)
{
	(void)p;
	posted.n++;
	(void)snprintf(posted.url, sizeof(posted.url), "%s", to->url);
	(void)snprintf(
	    posted.body, sizeof(posted.body), "%.*s", (int)len, body);
	(void)snprintf(posted.label, sizeof(posted.label), "%s", label);
}

/* ---- the way to a worker ---- */

static struct {
	unsigned n;
	bool refuse; /* answer at once, as the front does */
	struct waiter *waiter;
	struct server *s;
	uint64_t seq;
	Joinery__V1__Request__CallCase call;
	uint32_t net_id;
	bool has_fingerprint;
	uint8_t fingerprint[32];
	size_t n_sans;
	char san[64];
	bool has_hash;
	uint8_t hash[32];
	char proxied[64]; /* "": none */
} sent;

static void
refuse(Joinery__V1__ErrorCode code)
{
	struct asked asked = { .waiter = sent.waiter, .seq = sent.seq };

	respond_error(sent.s, &asked, code, "why", "todo");
}

void
dispatch_call(struct server *s, struct waiter *waiter,
    const Joinery__V1__Request *call, uint64_t now_us)
{
	const Joinery__Corridor__Credential *cred =
	    waiter->ops->credential(waiter);

	(void)now_us;
	assert_true(waiter->ops->backend_interfaces);
	assert_false(waiter->ops->gone(waiter));
	sent.n++;
	sent.s = s;
	sent.waiter = waiter;
	sent.seq = pending_seq(s->pending);
	sent.call = call->call_case;
	sent.net_id = call->sender != NULL ? call->sender->net_id : 0;
	sent.has_fingerprint = cred->has_cert_fingerprint;
	if (sent.has_fingerprint) {
		assert_int_equal(cred->cert_fingerprint.len, 32);
		memcpy(sent.fingerprint, cred->cert_fingerprint.data, 32);
	}
	sent.n_sans = cred->n_cert_sans;
	if (sent.n_sans > 0) {
		(void)snprintf(sent.san, sizeof(sent.san), "%s",
		    cred->cert_sans[cred->n_cert_sans - 1]);
	}
	sent.has_hash = cred->has_authorization_hash;
	if (sent.has_hash) {
		assert_int_equal(cred->authorization_hash.len, 32);
		memcpy(sent.hash, cred->authorization_hash.data, 32);
	}
	(void)snprintf(sent.proxied, sizeof(sent.proxied), "%s",
	    cred->proxied_peer != NULL ? cred->proxied_peer : "");
	if (sent.refuse) {
		refuse(JOINERY__V1__ERROR_CODE__BUSY);
	} else {
		waiter->ops->hold(waiter);
	}
}

void
trace_refused(struct server *s, const struct traced *traced,
    const Joinery__V1__Error *error)
{
	(void)s;
	(void)error;
	assert_null(traced->call);
}

/* A worker's answer, as dispatch hands it on. */
static void
answer_home(uint32_t net_id, const Joinery__Corridor__AnswerTo *to)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__HomeNsAnswer home = JOINERY__V1__HOME_NS_ANSWER__INIT;
	uint8_t buf[64];

	home.has_net_id = 1;
	home.net_id = net_id;
	response.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
	response.home_ns = &home;
	sent.waiter->ops->answer(sent.waiter, buf,
	    joinery__v1__response__pack(&response, buf), "req-1", to);
	sent.waiter->ops->done(sent.waiter);
}

/* ---- the scene ---- */

static struct server server;
static struct conf conf;
static char header_name[] = "X-Joinery-Peer";

static int
setup(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	memset(&sent, 0, sizeof(sent));
	memset(&posted, 0, sizeof(posted));
	conf.bi_proxy_header = header_name;
	server.conf = &conf;
	server.pending = pending_new(1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pending_free(server.pending);
	return 0;
}

static const char home_ns_req[] =
    "{\"ProtocolVersion\":\"1.0\",\"TransactionID\":77,"
    "\"MessageType\":\"HomeNSReq\",\"SenderID\":\"000013\","
    "\"ReceiverID\":\"a84041000181a1b2\",\"DevEUI\":\"70b3d57ed0061234\"}";

static void
ask(struct http_exchange *x, const char *body)
{
	bi_request(&server, x, body, strlen(body));
}

/* A bearer token proves something; what, other tests look at. */
#define BEARER .headers = { "Authorization", "Bearer x" }

static void
assert_body_has(const struct http_exchange *x, const char *text)
{
	if (strstr(x->body, text) == NULL) {
		fail_msg("%s is not in %s", text, x->body);
	}
}

/* ---- readings ---- */

static void
test_call(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 1);
	assert_int_equal(sent.call, JOINERY__V1__REQUEST__CALL_HOME_NS);
	assert_int_equal(sent.net_id, 0x13);
	assert_int_equal(x.answers, 0);
	assert_string_equal(
	    sent.waiter->ops->name(sent.waiter), "from=[::1]:4711");
	/* What it pointed to may have ended. */
	assert_null(
	    sent.waiter->ops->credential(sent.waiter)->authorization_hash.data);
	answer_home(0x13, NULL);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"HomeNSAns\"");
	assert_body_has(&x, "\"TransactionID\":77");
	assert_body_has(&x, "\"Success\"");
	assert_body_has(&x, "\"HNetID\":\"000013\"");
	assert_int_equal(posted.n, 0);
}

static void
test_refused(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x,
	    "{\"ProtocolVersion\":\"1.0\",\"TransactionID\":5,"
	    "\"MessageType\":\"HomeNSReq\",\"SenderID\":\"000013\","
	    "\"ReceiverID\":\"a84041000181a1b2\",\"DevEUI\":\"\\\"\"}");
	assert_int_equal(sent.n, 0);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"MalformedRequest\"");
	assert_body_has(&x, "\"TransactionID\":5");
	assert_int_equal(server.stats.bi_refused, 1);
}

static void
test_notice(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x,
	    "{\"ProtocolVersion\":\"1.1\",\"TransactionID\":5,"
	    "\"MessageType\":\"ErrorNotif\",\"SenderID\":\"000013\","
	    "\"ReceiverID\":\"a84041000181a1b2\","
	    "\"Result\":{\"ResultCode\":\"Other\","
	    "\"Description\":\"bad\\n\\\" code=\\\"\"}}");
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_int_equal(x.len, 0);
	assert_int_equal(server.stats.bi_notices, 1);
}

static void
test_garbage(void **state)
{
	static const char *const bodies[] = { "", "{", "[]", "\"x\"", "{} {}",
		"{}", "{\"MessageType\":\"JoinReq\"}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct http_exchange x = { BEARER };

		ask(&x, bodies[i]);
		assert_int_equal(x.answers, 1);
		assert_int_equal(x.status, 400);
		assert_body_has(&x, "\"Malformed");
		assert_int_equal(server.stats.bi_garbage, i + 1);
	}
	assert_int_equal(sent.n, 0);
}

static void
test_content_type(void **state)
{
	static const struct {
		const char *type;
		bool fine;
	} cases[] = {
		{ "application/json", true },
		{ "Application/JSON; charset=utf-8", true },
		{ "application/json;charset=\"utf-8\"", true },
		{ "application/json ; x=y", true },
		{ "", true },
		{ "application/jsonp", false },
		{ "application/json-patch+json", false },
		{ "application/jso", false },
		{ "text/plain", false },
		{ "application/x-www-form-urlencoded", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_exchange x = { .headers = { "Content-Type",
					       cases[i].type, "Authorization",
					       "Bearer x" } };

		sent.refuse = true;
		ask(&x, home_ns_req);
		assert_int_equal(x.answers, 1);
		assert_int_equal(x.status, cases[i].fine ? 200 : 415);
		assert_int_equal(x.len > 0, cases[i].fine);
	}
	assert_int_equal(sent.n, 5);
	assert_int_equal(server.stats.bi_requests, 10);
	assert_int_equal(server.stats.bi_garbage, 5);
}

/* ---- credentials ---- */

static void
hash_of(const char *domain, const char *text, uint8_t out[32])
{
	assert_true(tls_digest(domain, text, strlen(text), out));
}

static void
test_certificate(void **state)
{
	char san_a[] = "ns1.example.org", san_b[] = "urn:ns1";
	struct tls_peer peer = { .fingerprint = { 1, 2, 3 },
		.n_sans = 2,
		.sans = { san_a, san_b } };
	struct http_exchange x = { .peer = &peer };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 1);
	assert_true(sent.has_fingerprint && !sent.has_hash);
	assert_memory_equal(sent.fingerprint, peer.fingerprint, 32);
	assert_int_equal(sent.n_sans, 2);
	assert_string_equal(sent.san, "urn:ns1");
	assert_string_equal(sent.proxied, "");
	answer_home(1, NULL);
}

static void
test_bearer_and_basic(void **state)
{
	static const struct {
		const char *value, *domain, *text;
	} cases[] = {
		{ "Bearer s3cret", "joinery bearer", "s3cret" },
		{ "bEARER \t s3cret \t", "joinery bearer", "s3cret" },
		{ "Bearer a b", "joinery bearer", "a b" },
		{ "Basic dXNlcjpwYXNz", "joinery basic", "user:pass" },
		{ "basic dXNlcjpwYXNzMQ==", "joinery basic", "user:pass1" },
		{ "BASIC Og==", "joinery basic", ":" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_exchange x = { .headers = { "authorization",
					       cases[i].value } };
		uint8_t hash[32];

		ask(&x, home_ns_req);
		assert_true(sent.has_hash && !sent.has_fingerprint);
		hash_of(cases[i].domain, cases[i].text, hash);
		assert_memory_equal(sent.hash, hash, sizeof(hash));
		answer_home(1, NULL);
	}
}

/* As a peer row holds it: known from outside of this program. */
static void
test_hash_known(void **state)
{
	static const char known[] =
	    "94bea4ff48a5893a5e2e0f269d4d6633f7a8a08c497ef31d42a7f6436aaca360";
	uint8_t hash[32];
	char text[65];

	(void)state;
	assert_true(authorization_hash("Bearer token", hash));
	hex_format(hash, sizeof(hash), text);
	assert_string_equal(text, known);
	assert_true(authorization_hash("Basic dXNlcjpwYXNz", hash));
	hex_format(hash, sizeof(hash), text);
	assert_string_equal(text,
	    "143dabc6224bf8791845f3ab7a47f471ebb66f5020984f38850a40ddbbd73843");
}

static void
test_unreadable_authorization(void **state)
{
	static const char *const values[] = { "", " ", "Bearer", "Bearer ",
		"Bearerx", "Bear er", " Bearer x", "Basic", "Basic ",
		"Basic !!!!", "Basic dXNlcg==", "Basic dXNlcjpwYXNzMQ",
		"Basic dXNlcjpwYXNzMQ=", "Basic dXNl=jpwYXNzMQ==",
		"Basic dXNlcjpwYXNzMQ===", "Basic ====", "Basic dXNl cjpw",
		"Digest x", "token" };
	uint8_t hash[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct http_exchange x = { .headers = {
					       "Authorization", values[i] } };

		assert_false(authorization_hash(values[i], hash));
		ask(&x, home_ns_req);
		assert_int_equal(x.status, 200);
		assert_body_has(&x, "\"UnknownSender\"");
		assert_int_equal(server.stats.bi_unproved, i + 1);
	}
	assert_false(authorization_hash(NULL, hash));
	assert_int_equal(sent.n, 0);
}

/* The longest that a header can be, and one that never comes. */
static void
test_long_authorization(void **state)
{
	static char value[2 * HTTP_HEADER_MAX];
	uint8_t hash[32];

	(void)state;
	memset(value, 'A', sizeof(value) - 1);
	memcpy(value, "Basic Ojo6", 10);
	value[HTTP_HEADER_MAX - 2] = '\0'; /* 6 and a multiple of 4 */
	assert_true(authorization_hash(value, hash));
	value[HTTP_HEADER_MAX - 2] = 'A';
	value[HTTP_HEADER_MAX + 10] = '\0';
	assert_false(authorization_hash(value, hash));
}

/* It may be shown beside a certificate; one that means nothing is nothing. */
static void
test_certificate_and_authorization(void **state)
{
	struct tls_peer peer = { .fingerprint = { 1 } };
	struct http_exchange x = { BEARER, .peer = &peer };
	struct http_exchange y = { .headers = { "Authorization", "Digest z" },
		.peer = &peer };

	(void)state;
	ask(&x, home_ns_req);
	assert_true(sent.has_fingerprint && sent.has_hash);
	answer_home(1, NULL);
	ask(&y, home_ns_req);
	assert_int_equal(sent.n, 2);
	assert_true(sent.has_fingerprint && !sent.has_hash);
	answer_home(1, NULL);
}

static void
test_proxy(void **state)
{
	struct tls_peer peer = { .fingerprint = { 1 } };
	struct http_exchange x = { .headers = { "x-joinery-peer", "ns1" },
		.from_proxy = true,
		.peer = &peer };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 1);
	assert_string_equal(sent.proxied, "ns1");
	assert_false(sent.has_fingerprint); /* the proxy's own */
	answer_home(1, NULL);
}

/* Whatever else it proves. */
static void
test_proxy_header_of_a_stranger(void **state)
{
	struct tls_peer peer = { .fingerprint = { 1 } };
	struct http_exchange x = { .headers = { "X-Joinery-Peer", "ns1",
				       "Authorization", "Bearer x" },
		.peer = &peer };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 0);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"UnknownSender\"");
	assert_int_equal(server.stats.bi_unproved, 1);
}

/* A proxy that has not seen a certificate names nobody. */
static void
test_proxy_names_nobody(void **state)
{
	struct http_exchange x = { .headers = { "X-Joinery-Peer", "" },
		.from_proxy = true };
	struct http_exchange y = { .headers = { "X-Joinery-Peer", "",
				       "Authorization", "Bearer x" } };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 0);
	assert_body_has(&x, "\"UnknownSender\"");
	ask(&y, home_ns_req);
	assert_int_equal(sent.n, 1);
	answer_home(1, NULL);
}

static void
test_no_credential(void **state)
{
	struct http_exchange x = { .headers = { NULL } };

	(void)state;
	ask(&x, home_ns_req);
	assert_int_equal(sent.n, 0);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"UnknownSender\"");
	assert_body_has(&x, "\"HomeNSAns\"");
}

/* ---- answers ---- */

static void
test_posted(void **state)
{
	Joinery__Corridor__AnswerTo to = JOINERY__CORRIDOR__ANSWER_TO__INIT;
	char url[] = "https://ns1.example.org/answers", peer[] = "ns1";
	struct http_exchange x = { BEARER };

	(void)state;
	to.url = url;
	to.peer = peer;
	ask(&x, home_ns_req);
	answer_home(0x13, &to);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_int_equal(x.len, 0);
	assert_int_equal(posted.n, 1);
	assert_string_equal(posted.url, url);
	assert_non_null(strstr(posted.body, "\"HNetID\":\"000013\""));
	assert_string_equal(
	    posted.label, "peer=ns1 transaction=77 request=req-1");
}

/* It gets its answer elsewhere, so it need not wait here. */
static void
test_posted_though_gone(void **state)
{
	Joinery__Corridor__AnswerTo to = JOINERY__CORRIDOR__ANSWER_TO__INIT;
	struct http_exchange x = { BEARER };
	char url[] = "http://h/";

	(void)state;
	to.url = url;
	ask(&x, home_ns_req);
	x.gone = true;
	assert_true(sent.waiter->ops->gone(sent.waiter));
	answer_home(0x13, &to);
	assert_int_equal(x.answers, 1);
	assert_int_equal(posted.n, 1);
	assert_string_equal(
	    posted.label, "peer=? transaction=77 request=req-1");
}

/* Dispatch answers nobody then; the exchange ends all the same. */
static void
test_gone(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x, home_ns_req);
	x.gone = true;
	assert_true(sent.waiter->ops->gone(sent.waiter));
	sent.waiter->ops->done(sent.waiter);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.len, 0);
}

static void
test_busy(void **state)
{
	struct http_exchange x = { BEARER };
	char request_id[REQUEST_ID_STR_LEN];

	(void)state;
	sent.refuse = true;
	ask(&x, home_ns_req);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"Other\"");
	pending_request_id(server.pending, sent.seq, request_id);
	assert_body_has(&x, request_id);
}

/* A worker dies, or takes too long: dispatch says TIMEOUT for it. */
static void
test_timeout(void **state)
{
	struct http_exchange x = { BEARER };
	char request_id[REQUEST_ID_STR_LEN];

	(void)state;
	ask(&x, home_ns_req);
	refuse(JOINERY__V1__ERROR_CODE__TIMEOUT);
	sent.waiter->ops->done(sent.waiter);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"Other\"");
	pending_request_id(server.pending, sent.seq, request_id);
	assert_body_has(&x, request_id);
}

static void
test_error_of_a_worker(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x, home_ns_req);
	refuse(JOINERY__V1__ERROR_CODE__PEER_UNKNOWN);
	sent.waiter->ops->done(sent.waiter);
	assert_body_has(&x, "\"UnknownSender\"");
}

static void
test_answer_that_does_not_parse(void **state)
{
	struct http_exchange x = { BEARER };

	(void)state;
	ask(&x, home_ns_req);
	sent.waiter->ops->answer(
	    sent.waiter, (const uint8_t *)"\xff\xff", 2, "req-9", NULL);
	sent.waiter->ops->done(sent.waiter);
	assert_int_equal(x.answers, 1);
	assert_int_equal(x.status, 200);
	assert_body_has(&x, "\"Other\"");
	assert_body_has(&x, "req-9");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call),
		TEST(test_refused),
		TEST(test_notice),
		TEST(test_garbage),
		TEST(test_content_type),
		TEST(test_certificate),
		TEST(test_bearer_and_basic),
		TEST(test_hash_known),
		TEST(test_unreadable_authorization),
		TEST(test_long_authorization),
		TEST(test_certificate_and_authorization),
		TEST(test_proxy),
		TEST(test_proxy_header_of_a_stranger),
		TEST(test_proxy_names_nobody),
		TEST(test_no_credential),
		TEST(test_posted),
		TEST(test_posted_though_gone),
		TEST(test_gone),
		TEST(test_busy),
		TEST(test_timeout),
		TEST(test_error_of_a_worker),
		TEST(test_answer_that_does_not_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
