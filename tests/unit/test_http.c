/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server over real sockets, with a bi_request of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/bi/bi.h"
#include "src/conf/conf.h"
#include "src/front/http.h"
#include "src/front/http_conn.h"
#include "src/front/parting.h"
#include "tests/unit/http_fixture.h"

#define PLAIN "bi-plain-listen = '127.0.0.1@:'\n"
#define TLS \
	"tls-listen = '127.0.0.1:1'\n" \
	"bi-listen = '127.0.0.1@:'\n" \
	"tls-certificate = '@/server.pem'\n" \
	"tls-key = '@/server.key'\n" \
	"tls-client-ca = '@/ca.pem'\n"
#define SECOND 1000000ULL

#define HEAD_OF(len) \
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " #len "\r\n\r\n"

/* ---- what takes the requests ---- */

static struct {
	bool hold; /* answer later */
	bool echo; /* the body, else {"n":NUMBER} */
	unsigned requests;
	struct http_exchange *held[16];
	unsigned n_held;
	size_t body_len;
	char name[80];
	char header[80];
	bool from_proxy;
	bool has_tls_peer;
	char san[256];
} bi;

void
bi_request(
    struct server *s, struct http_exchange *x, const void *body, size_t len)
{
	const char *header = http_header(x, "x-joinery-peer");
	const struct tls_peer *peer = http_tls_peer(x);
	char text[32];

	assert_non_null(s);
	bi.requests++;
	bi.body_len = len;
	(void)snprintf(bi.name, sizeof(bi.name), "%s", http_name(x));
	(void)snprintf(bi.header, sizeof(bi.header), "%s",
	    header != NULL ? header : "(none)");
	bi.from_proxy = http_from_proxy(x);
	bi.has_tls_peer = peer != NULL;
	(void)snprintf(bi.san, sizeof(bi.san), "%s",
	    peer != NULL && peer->n_sans > 0 ? peer->sans[0] : "");
	assert_false(http_gone(x));
	if (bi.hold) {
		assert_true(bi.n_held < ARRAY_LEN(bi.held));
		bi.held[bi.n_held++] = x;
	} else if (bi.echo) {
		http_answer(x, 200, body, len);
	} else {
		(void)snprintf(text, sizeof(text), "{\"n\":%u}", bi.requests);
		http_answer(x, 200, text, strlen(text));
	}
}

static void
answer_held(unsigned i, const char *body)
{
	http_answer(bi.held[i], 200, body, strlen(body));
}

/* ---- the server ---- */

static struct fixture *fx;
static struct http *http;

static void
begin(const char *conf)
{
	struct errctx ec = ERRCTX_INIT;

	memset(&bi, 0, sizeof(bi));
	fx = fixture_new(conf);
	if (http_new(&fx->server, &http, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
}

static int
teardown(void **state)
{
	(void)state;
	http_free(http);
	http = NULL;
	if (fx != NULL) {
		fixture_free(fx);
	}
	fx = NULL;
	return 0;
}

static struct client *
plain(void)
{
	return client_tcp(fx, port_of(http->doors[1].bound.fd));
}

static struct client *
tls(void)
{
	return client_tcp(fx, port_of(http->doors[0].bound.fd));
}

static void
await_requests(unsigned n)
{
	for (int i = 0; i < PUMP_MS && bi.requests < n; i++) {
		fixture_turn(fx);
	}
	assert_int_equal(bi.requests, n);
}

static void
await_count(size_t n)
{
	for (int i = 0; i < PUMP_MS && http_count(http) != n; i++) {
		fixture_turn(fx);
	}
	assert_int_equal(http_count(http), n);
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++) {
		fixture_turn(fx);
	}
}

static void
sweep_after(uint64_t seconds)
{
	http_sweep(http, sys_mono_us() + seconds * SECOND);
}

/* A polite end: all was said, nothing was reset. */
static void
assert_ends(struct client *c)
{
	assert_true(client_hears_end(c));
	assert_false(c->reset);
}

/* ---- requests and answers ---- */

static void
test_nowhere(void **state)
{
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	fx = fixture_new("");
	http = (struct http *)(uintptr_t)1;
	assert_int_equal(http_new(&fx->server, &http, &ec), JY_OK);
	assert_null(http);
	assert_int_equal(http_count(http), 0);
	http_sweep(http, 0);
	http_finish(http);
}

static void
test_keep_alive(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	c = plain();
	client_say(c,
	    "POST /any/path?x=y HTTP/1.1\r\nHost: x\r\n"
	    "Content-Type: application/json; charset=utf-8\r\n"
	    "X-Joinery-Peer: ns1\r\nContent-Length: 2\r\n\r\n{}");
	assert_true(client_hears(c, "{\"n\":1}"));
	assert_non_null(strstr(c->in, "HTTP/1.1 200 "));
	assert_non_null(strstr(c->in, "\r\nContent-Length: 7\r\n"));
	assert_non_null(
	    strstr(c->in, "\r\nContent-Type: application/json\r\n"));
	assert_null(strstr(c->in, "Connection:"));
	assert_string_equal(bi.header, "ns1");
	assert_memory_equal(bi.name, "from=[127.0.0.1]:", 17);
	assert_false(bi.has_tls_peer);
	assert_false(bi.from_proxy);
	client_forget(c);
	client_say(c, HEAD_OF(2) "{}");
	assert_true(client_hears(c, "{\"n\":2}"));
	assert_string_equal(bi.header, "(none)");
	assert_int_equal(http_count(http), 1);
	assert_int_equal(fx->server.stats.http_connections, 1);
	client_free(c);
	await_count(0);
}

static void
test_empty_answer(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, "POST / HTTP/1.1\r\nHost: x\r\n\r\n");
	await_requests(1);
	assert_int_equal(bi.body_len, 0);
	http_answer(bi.held[0], 202, NULL, 0);
	assert_true(client_hears(c, "\r\n\r\n"));
	assert_non_null(strstr(c->in, "HTTP/1.1 202 "));
	assert_non_null(strstr(c->in, "\r\nContent-Length: 0\r\n"));
	assert_null(strstr(c->in, "Content-Type"));
	client_forget(c);
	client_say(c, HEAD_OF(1) "1");
	await_requests(2);
	http_answer(bi.held[1], 204, NULL, 0);
	assert_true(client_hears(c, "\r\n\r\n"));
	assert_null(strstr(c->in, "Content-Length"));
	client_free(c);
}

static void
test_pipelined(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1" HEAD_OF(1) "2" HEAD_OF(1) "3");
	await_requests(1);
	turns(20);
	assert_int_equal(bi.requests, 1);
	answer_held(0, "first");
	await_requests(2);
	answer_held(1, "second");
	await_requests(3);
	answer_held(2, "third");
	assert_true(client_hears(c, "third"));
	assert_true(strstr(c->in, "first") < strstr(c->in, "second"));
	assert_true(strstr(c->in, "second") < strstr(c->in, "third"));
	client_forget(c);
	bi.hold = false;
	client_say(c, HEAD_OF(1) "1" HEAD_OF(1) "2" HEAD_OF(1) "3");
	assert_true(client_hears(c, "{\"n\":6}"));
	assert_int_equal(client_count(c, "HTTP/1.1 200"), 3);
	client_free(c);
}

/* More ahead than is read while an answer is awaited. */
static void
send_much(struct client *c)
{
	static char much[400 * 1000];
	char last[16];
	size_t len = 0;
	unsigned n = 0;

	while (len + 1100 < sizeof(much)) {
		len += (size_t)sprintf(much + len, HEAD_OF(1000) "%01000d", 7);
		n++;
	}
	client_send(c, much, len);
	(void)snprintf(last, sizeof(last), "{\"n\":%u}", n);
	assert_true(client_hears(c, last));
	assert_int_equal(client_count(c, "HTTP/1.1 200"), n);
	client_free(c);
}

static void
test_pipelined_much(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	send_much(plain());
	(void)teardown(NULL);
	begin(TLS);
	c = tls();
	assert_true(client_tls(c, "client"));
	send_much(c);
}

static void
test_chunked(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.echo = true;
	c = plain();
	client_say(c,
	    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n");
	turns(5);
	client_say(c, "6\r\n world\r\n0\r\n\r\n");
	assert_true(client_hears(c, "hello world"));
	assert_non_null(strstr(c->in, "Content-Length: 11\r\n"));
	client_forget(c);
	client_say(c, HEAD_OF(4) "more");
	assert_true(client_hears(c, "more"));
	client_free(c);
}

static void
test_expect(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.echo = true;
	c = plain();
	for (int i = 0; i < 20; i++) {
		client_forget(c);
		client_say(c,
		    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
		    "Expect: 100-continue\r\n\r\n");
		assert_true(client_hears(c, "HTTP/1.1 100 Continue\r\n\r\n"));
		client_say(c, "hello");
		assert_true(client_hears(c, "\r\n\r\nhello"));
	}
	assert_int_equal(bi.requests, 20);
	client_forget(c);
	client_say(c,
	    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n"
	    "Expect: 100-continue\r\n\r\n");
	assert_true(client_hears(c, "HTTP/1.1 413 "));
	assert_ends(c);
	client_free(c);
	c = plain();
	client_say(c,
	    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	    "Expect: miracles\r\n\r\nhello");
	assert_true(client_hears(c, "HTTP/1.1 417 "));
	assert_ends(c);
	client_free(c);
}

static void
test_versions(void **state)
{
	static const struct {
		const char *request;
		const char *status;
		const char *connection; /* NULL: kept without a word */
	} cases[] = {
		{ "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n1",
		    "HTTP/1.0 200 ", "Connection: close\r\n" },
		{ "POST / HTTP/1.0\r\nConnection: keep-alive\r\n"
		  "Content-Length: 1\r\n\r\n1",
		    "HTTP/1.0 200 ", "Connection: keep-alive\r\n" },
		{ "POST / HTTP/1.1\r\nConnection: close\r\n"
		  "Content-Length: 1\r\n\r\n1",
		    "HTTP/1.1 200 ", "Connection: close\r\n" },
		{ "POST / HTTP/1.1\r\nConnection: TE, Close\r\n"
		  "Content-Length: 1\r\n\r\n1",
		    "HTTP/1.1 200 ", "Connection: close\r\n" },
		{ "POST / HTTP/1.1\r\nConnection: closed\r\n"
		  "Content-Length: 1\r\n\r\n1",
		    "HTTP/1.1 200 ", NULL },
		{ "POST http://js.example.org/x HTTP/1.1\r\n"
		  "Content-Length: 1\r\n\r\n1",
		    "HTTP/1.1 200 ", NULL },
		{ "POST / HTTP/0.9\r\nContent-Length: 1\r\n\r\n1",
		    "HTTP/1.1 505 ", "Connection: close\r\n" },
		{ "POST / HTTP/2.0\r\nContent-Length: 1\r\n\r\n1",
		    "HTTP/1.1 400 ", "Connection: close\r\n" },
	};

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *connection = cases[i].connection;
		struct client *c = plain();

		client_say(c, cases[i].request);
		assert_true(client_hears(c, "\r\n\r\n"));
		assert_memory_equal(
		    c->in, cases[i].status, strlen(cases[i].status));
		assert_int_equal(
		    client_count(c, "Connection:"), connection != NULL);
		assert_non_null(
		    strstr(c->in, connection != NULL ? connection : ""));
		if (connection != NULL && strstr(connection, "close")) {
			assert_ends(c);
		} else {
			client_forget(c);
			client_say(c, HEAD_OF(1) "1");
			assert_true(client_hears(c, "HTTP/1.1 200 "));
		}
		client_free(c);
	}
}

/* ---- what is refused ---- */

static void
test_methods(void **state)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT",
		"DELETE", "TRACE", "PATCH", "FOO", "post" };

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct client *c = plain();
		char text[128];

		(void)snprintf(text, sizeof(text),
		    "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: "
		    "5\r\n\r\nhello",
		    methods[i]);
		client_say(c, text);
		assert_true(client_hears(c, "HTTP/1.1 405 "));
		assert_ends(c);
		assert_non_null(strstr(c->in, "\r\nAllow: POST\r\n"));
		assert_int_equal(client_count(c, "HTTP/1.1"), 1);
		client_free(c);
	}
	assert_int_equal(bi.requests, 0);
}

static void
test_large_bodies(void **state)
{
	static char large[BI_BODY_MAX + 1];
	static const char *const heads[] = {
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 32769\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"9999999999\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n8001\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\n"
		"5\r\nhello\r\n8000\r\n",
	};
	struct client *c;

	(void)state;
	begin(PLAIN);
	memset(large, 'x', sizeof(large));
	bi.echo = true;
	c = plain();
	client_say(c, HEAD_OF(32768));
	client_send(c, large, sizeof(large) - 1);
	assert_true(client_hears(c, "\r\nContent-Length: 32768\r\n"));
	assert_int_equal(bi.body_len, BI_BODY_MAX);
	client_free(c);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		c = plain();
		client_say(c, heads[i]);
		client_send(c, large, sizeof(large));
		assert_true(client_hears(c, "HTTP/1.1 413 "));
		assert_ends(c);
		assert_non_null(strstr(c->in, "Connection: close\r\n"));
		client_free(c);
	}
	assert_int_equal(bi.requests, 1);
	await_count(0);
}

static void
test_headers(void **state)
{
	static char line[HTTP_HEADER_MAX + 100];
	struct client *c;

	(void)state;
	begin(PLAIN);
	memset(line, 'x', sizeof(line));
	c = plain();
	client_say(c, "POST / HTTP/1.1\r\nContent-Length: 1\r\nX: ");
	client_send(c, line, HTTP_HEADER_MAX - 100);
	client_say(c, "\r\n\r\n1");
	assert_true(client_hears(c, "HTTP/1.1 200 "));
	client_free(c);
	c = plain();
	client_say(c, "POST / HTTP/1.1\r\nContent-Length: 1\r\nX: ");
	client_send(c, line, sizeof(line)); /* no end of line */
	assert_true(client_hears(c, "HTTP/1.1 400 "));
	assert_ends(c);
	client_free(c);
	c = plain();
	client_say(c, "POST /");
	client_send(c, line, sizeof(line));
	assert_true(client_hears(c, "HTTP/1.1 400 "));
	assert_ends(c);
	client_free(c);
}

/* Each costs evhttp a hundred times its two octets. */
static void
test_empty_headers(void **state)
{
	static const char *const ends[] = { "", "\r\n" };
	static char lines[2 * 8000 + 1];
	struct client *c;

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i + 1 < sizeof(lines); i += 2) {
		memcpy(lines + i, ":\n", 2);
	}
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		c = plain();
		client_say(c, "POST / HTTP/1.1\r\n");
		client_say(c, lines);
		client_say(c, ends[i]);
		assert_ends(c);
		client_free(c);
		await_count(0);
	}
	assert_int_equal(bi.requests, 0);
	/* A hundred are none too many, nor is a request after others. */
	c = plain();
	for (unsigned i = 0; i < 30; i++) {
		client_say(c, "POST / HTTP/1.1\r\nContent-Length: 1\r\n");
		for (unsigned j = 0; j < 100; j++) {
			client_say(c, "X: y\r\n");
		}
		client_say(c, "\r\n1");
		assert_true(client_hears(c, "HTTP/1.1 200 "));
		client_forget(c);
	}
	assert_int_equal(bi.requests, 30);
	client_free(c);
}

static void
test_malformed(void **state)
{
	static const char *const requests[] = {
		"hello, who is there?\r\n\r\n",
		"POST / HTTP/1.1\r\nno colon\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n1",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Content-Length: 1\r\n\r\n1",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
		"Transfer-Encoding: chunked\r\n\r\n1",
	};

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct client *c = plain();

		client_say(c, requests[i]);
		assert_true(client_hears(c, "HTTP/1.1 400 "));
		assert_ends(c);
		client_free(c);
	}
	assert_int_equal(bi.requests, 0);
}

/*
 * What a proxy before us may read otherwise than evhttp does: where the body
 * ends, or which of two fields counts.
 */
static void
test_ambiguous(void **state)
{
	static const struct {
		const char *fields;
		const char *status;
	} cases[] = {
		{ "Content-Length: 5\r\nContent-Length: 5", "400" },
		{ "Content-Length: +5", "400" },
		{ "Content-Length:", "400" },
		{ "Content-Length: 5, 5", "400" },
		{ "Content-Length : 5", "400" },
		{ "Content-Length: 5\r\nTransfer-Encoding: identity", "400" },
		{ "Content-Length: 5\r\nTransfer-Encoding: chunked", "400" },
		{ "Transfer-Encoding: gzip, chunked", "400" },
		{ "Transfer-Encoding:\tchunked", "400" },
		{ "Transfer-Encoding: identity\r\n"
		  "Transfer-Encoding: chunked",
		    "400" },
		{ "Transfer-Encoding: chunked\r\n"
		  "Transfer-Encoding: chunked",
		    "400" },
		{ "Transfer-Encoding : chunked", "400" },
		{ "Content-Length: 5\r\nAuthorization: Bearer a\r\n"
		  "authorization: Bearer b",
		    "400" },
		{ "Content-Length: 5\r\nX-Joinery-Peer: a\r\n"
		  "x-joinery-peer: b",
		    "400" },
		{ "Content-Length: 5\r\nX-Joinery-Peer:\r\n"
		  "X-Joinery-Peer: b",
		    "400" },
		{ "Content-Length: 5\r\nX-Joinery-Peer : a", "400" },
		{ "Content-Length: 5\r\nContent-Type: application/json\r\n"
		  "Content-Type: text/plain",
		    "400" },
		{ "Content-Length: 5\r\nHost: y", "400" },
		{ "Content-Length: 5\r\n: a", "400" },
		{ "Transfer-Encoding: chunked\r\nX-Joinery-Peer: a", "411" },
	};

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client *c = plain();
		char text[300], status[32];

		(void)snprintf(text, sizeof(text),
		    "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"
		    "0\r\n\r\n" HEAD_OF(1) "1",
		    cases[i].fields);
		client_say(c, text);
		(void)snprintf(
		    status, sizeof(status), "HTTP/1.1 %s ", cases[i].status);
		assert_true(client_hears(c, status));
		assert_ends(c);
		assert_int_equal(client_count(c, "HTTP/1."), 1);
		client_free(c);
	}
	assert_int_equal(bi.requests, 0);
}

static void
test_not_ambiguous(void **state)
{
	static const char *const fields[] = {
		"Content-Length:\t1\r\nX-Joinery-Peer: a",
		"Content-Length: 1\r\nX: a\r\nX: b\r\nContent-Length-: 7",
	};

	(void)state;
	begin(PLAIN);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct client *c = plain();
		char text[300];

		(void)snprintf(text, sizeof(text),
		    "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n1", fields[i]);
		client_say(c, text);
		assert_true(client_hears(c, "HTTP/1.1 200 "));
		client_free(c);
	}
}

/* What trails a body is no word of a proxy. */
static void
test_trailer(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	c = plain();
	client_say(c,
	    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
	    "\r\n1\r\n7\r\n0\r\nX-Joinery-Peer: a\r\n\r\n");
	/* Some versions of evhttp drop it. */
	assert_true(client_hears(c, "HTTP/1.1 "));
	assert_true(bi.requests == 0 || strcmp(bi.header, "(none)") == 0);
	client_free(c);
	bi.requests = 0;
	c = plain();
	client_say(c,
	    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "1\r\n7\r\n0\r\n\r\n");
	assert_true(client_hears(c, " 400 "));
	assert_ends(c);
	client_free(c);
	assert_int_equal(bi.requests, 0);
}

/* ---- time ---- */

static void
test_slow_request(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN "frame-timeout = 5\nidle-timeout = 60\n");
	c = plain();
	client_say(c, "POST / HTTP/1.1\r\nConte");
	turns(5);
	sweep_after(4);
	turns(5);
	assert_int_equal(http_count(http), 1);
	/* More octets do not buy more time. */
	http->server->stats.http_refused = 0;
	TAILQ_FIRST(&http->list)->slow_since_us -= 3 * SECOND;
	client_say(c, "nt-Length: 10\r\n\r\n1");
	turns(5);
	sweep_after(1);
	assert_int_equal(http_count(http), 1);
	sweep_after(3);
	assert_int_equal(http_count(http), 0);
	assert_true(client_hears_end(c));
	client_free(c);
	assert_int_equal(bi.requests, 0);
}

static void
test_frame_timeout_starts_anew(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN "frame-timeout = 2\nidle-timeout = 60\n");
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	assert_true(client_hears(c, "{\"n\":1}"));
	turns(3);
	sweep_after(3); /* idle now */
	assert_int_equal(http_count(http), 1);
	client_say(c, "P");
	turns(5);
	sweep_after(3);
	assert_int_equal(http_count(http), 0);
	client_free(c);
}

static void
test_idle(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN "frame-timeout = 1\nidle-timeout = 7\n");
	c = plain();
	await_count(1);
	sweep_after(6);
	assert_int_equal(http_count(http), 1);
	sweep_after(8);
	assert_int_equal(http_count(http), 0);
	assert_true(client_hears_end(c));
	client_free(c);
}

/* What is with the workers is not the client's slowness. */
static void
test_waiting_is_not_slow(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN "frame-timeout = 1\nidle-timeout = 2\n");
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	await_requests(1);
	sweep_after(100);
	assert_int_equal(http_count(http), 1);
	answer_held(0, "late");
	assert_true(client_hears(c, "late"));
	client_free(c);
}

static void
test_unread_answer(void **state)
{
	static char large[8000000];
	struct client *c;

	(void)state;
	begin(PLAIN "frame-timeout = 3\n");
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	await_requests(1);
	memset(large, 'y', sizeof(large));
	http_answer(bi.held[0], 200, large, sizeof(large));
	turns(50);
	sweep_after(2);
	assert_int_equal(http_count(http), 1);
	sweep_after(4);
	assert_int_equal(http_count(http), 0);
	client_free(c);
}

/* One that drips holds up nobody else. */
static void
test_slow_beside_fast(void **state)
{
	struct client *slow, *fast;

	(void)state;
	begin(PLAIN);
	slow = plain();
	client_say(slow, "POST / HT");
	fast = plain();
	client_say(fast, HEAD_OF(1) "1");
	assert_true(client_hears(fast, "{\"n\":1}"));
	client_say(slow, "TP/1.1\r\nContent-Length: 1\r\n\r\n1");
	assert_true(client_hears(slow, "{\"n\":2}"));
	client_free(slow);
	client_free(fast);
}

/* ---- clients that go ---- */

static void
test_gone_while_waiting(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1" HEAD_OF(1) "2");
	await_requests(1);
	assert_int_equal(
	    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	client_free(c);
	await_count(0);
	assert_true(http_gone(bi.held[0]));
	assert_null(http_header(bi.held[0], "Host"));
	assert_memory_equal(http_name(bi.held[0]), "from=[127.0.0.1]:", 17);
	answer_held(0, "for nobody");
	turns(5);
	assert_int_equal(bi.requests, 1);
}

static void
test_gone_when_answered(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	await_requests(1);
	client_free(c);
	turns(5);
	answer_held(0, "for nobody");
	await_count(0);
}

static void
test_half_closed(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1" HEAD_OF(1) "2");
	await_requests(1);
	assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
	turns(10);
	assert_false(http_gone(bi.held[0]));
	answer_held(0, "one");
	await_requests(2);
	answer_held(1, "two");
	assert_true(client_hears(c, "two"));
	assert_non_null(strstr(c->in, "one"));
	assert_ends(c);
	client_free(c);
	await_count(0);
}

static void
test_free_while_waiting(void **state)
{
	struct client *c, *fresh;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	await_requests(1);
	fresh = plain();
	http_free(http);
	http = NULL;
	assert_true(http_gone(bi.held[0]));
	answer_held(0, "for nobody");
	client_free(c);
	client_free(fresh);
}

/* ---- stopping ---- */

static void
test_finish(void **state)
{
	struct client *idle, *begun, *waiting, *late;
	uint16_t port;

	(void)state;
	begin(PLAIN);
	bi.hold = true;
	port = port_of(http->doors[1].bound.fd);
	idle = plain();
	begun = plain();
	client_say(begun, "POST");
	waiting = plain();
	client_say(waiting, HEAD_OF(1) "1" HEAD_OF(1) "2");
	await_requests(1);
	late = plain(); /* not accepted yet */
	http_finish(http);
	http_finish(http);
	assert_ends(idle);
	assert_true(client_hears_end(begun));
	assert_true(client_hears_end(late));
	assert_int_equal(http_count(http), 1);
	answer_held(0, "last");
	assert_true(client_hears(waiting, "last"));
	assert_ends(waiting);
	assert_non_null(strstr(waiting->in, "Connection: close\r\n"));
	assert_int_equal(bi.requests, 1);
	assert_int_equal(http_count(http), 0);
	client_free(idle);
	client_free(begun);
	client_free(waiting);
	client_free(late);
	for (int i = 0; i < PUMP_MS && partings_count(fx->server.partings) > 0;
	     i++) {
		fixture_turn(fx);
	}
	assert_int_equal(partings_count(fx->server.partings), 0);
	assert_int_not_equal(port, 0);
}

static void
test_free_while_parting(void **state)
{
	struct client *c;

	(void)state;
	begin(PLAIN);
	c = plain();
	client_say(c, "GET / HTTP/1.1\r\n\r\n");
	assert_true(client_hears(c, "405"));
	assert_true(client_hears_end(c));
	assert_int_equal(http_count(http), 0);
	assert_int_equal(partings_count(fx->server.partings), 1);
	http_free(http);
	http = NULL;
	assert_int_equal(partings_count(fx->server.partings), 0);
	client_free(c);
}

/* ---- how many ---- */

static void
one_too_many(const char *conf, unsigned n)
{
	struct client *c[8];
	struct client *refused;

	begin(conf);
	for (unsigned i = 0; i < n; i++) {
		c[i] = plain();
		client_say(c[i], HEAD_OF(1) "1");
		assert_true(client_hears(c[i], "{\"n\":"));
	}
	refused = plain();
	assert_true(client_hears_end(refused));
	assert_int_equal(refused->len, 0);
	assert_int_equal(fx->server.stats.http_refused, 1);
	assert_int_equal(http_count(http), n);
	client_free(refused);
	client_free(c[0]);
	await_count(n - 1);
	c[0] = plain();
	client_say(c[0], HEAD_OF(1) "1");
	assert_true(client_hears(c[0], "{\"n\":"));
	for (unsigned i = 0; i < n; i++) {
		client_free(c[i]);
	}
	assert_int_equal(teardown(NULL), 0);
}

static void
test_limits(void **state)
{
	(void)state;
	one_too_many(PLAIN "max-connections = 2\n", 2);
	one_too_many(PLAIN "max-connections = 5\n", 5);
	one_too_many(PLAIN "bi-peer-connections = 1\n", 1);
	one_too_many(PLAIN "bi-peer-connections = 3\n", 3);
}

static bool
limits_together(const char *a, const char *b)
{
	struct http_conn one = { .http = http, .server = &fx->server };
	struct http_conn other = one;
	bool admitted;

	one.peer.kind = other.peer.kind = 'a';
	assert_int_equal(inet_pton(AF_INET6, a, one.peer.octets), 1);
	assert_int_equal(inet_pton(AF_INET6, b, other.peer.octets), 1);
	one.counted = other.counted = true;
	TAILQ_INSERT_TAIL(&http->list, &one, link);
	admitted = http_admits(&other);
	TAILQ_REMOVE(&http->list, &one, link);
	return !admitted;
}

static void
test_limit_of_networks(void **state)
{
	(void)state;
	begin(PLAIN "bi-peer-connections = 1\n");
	assert_true(limits_together("2001:db8::1", "2001:db8::1"));
	assert_true(limits_together("2001:db8::1", "2001:db8::ffff:0:0:2"));
	assert_false(limits_together("2001:db8::1", "2001:db8:0:1::1"));
	assert_true(limits_together("::ffff:192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(limits_together("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
	assert_false(limits_together("::ffff:192.0.2.1", "::1"));
}

/* A proxy stands for many peers. */
static void
test_limit_and_proxy(void **state)
{
	struct client *a, *b;

	(void)state;
	begin(PLAIN "bi-peer-connections = 1\nbi-proxies = {'127.0.0.1'}\n");
	a = plain();
	b = plain();
	await_count(2);
	assert_int_equal(fx->server.stats.http_refused, 0);
	client_free(a);
	client_free(b);
}

/* ---- who ---- */

static bool
seen_as_proxy(const char *conf)
{
	struct client *c;
	bool answer;

	begin(conf);
	c = plain();
	client_say(c, HEAD_OF(1) "1");
	assert_true(client_hears(c, "{\"n\":1}"));
	answer = bi.from_proxy;
	client_free(c);
	(void)teardown(NULL);
	return answer;
}

static void
test_proxies(void **state)
{
	(void)state;
	assert_false(seen_as_proxy(PLAIN));
	assert_false(
	    seen_as_proxy(PLAIN "bi-proxies = {'127.0.0.2', 'unix'}\n"));
	assert_true(seen_as_proxy(PLAIN "bi-proxies = {'::1', '127.0.0.1'}\n"));
	assert_true(seen_as_proxy(PLAIN "bi-proxies = {'::ffff:127.0.0.1'}\n"));
}

static void
test_unix(void **state)
{
	char conf[200], path[64];
	struct errctx ec = ERRCTX_INIT;
	struct http *second = NULL;
	struct stat st;
	struct client *c;

	(void)state;
	(void)snprintf(
	    path, sizeof(path), "%s/http.sock", fixture_certificates());
	(void)snprintf(conf, sizeof(conf),
	    "bi-plain-listen = '%s'\nsocket-mode = %d\n"
	    "bi-proxies = {'unix'}\nbi-peer-connections = 64\n",
	    path, 0600);
	begin(conf);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	c = client_unix(fx, path);
	client_say(c, HEAD_OF(1) "1");
	assert_true(client_hears(c, "{\"n\":1}"));
	assert_string_equal(bi.name, "from=unix");
	assert_true(bi.from_proxy);
	client_free(c);
	await_count(0);
	assert_int_equal(http_new(&fx->server, &second, &ec), JY_ECONFIG);
	assert_non_null(strstr(ec.text, "bi-plain-listen"));
	assert_non_null(strstr(ec.text, "another server listens there"));
	(void)teardown(NULL);
	assert_int_not_equal(stat(path, &st), 0);
}

static void
test_unix_stale(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char conf[200];
	struct client *c;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/stale.sock",
	    fixture_certificates());
	assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	(void)close(fd);
	(void)snprintf(
	    conf, sizeof(conf), "bi-plain-listen = '%s'\n", un.sun_path);
	begin(conf);
	c = client_unix(fx, un.sun_path);
	client_say(c, HEAD_OF(1) "1");
	assert_true(client_hears(c, "{\"n\":1}"));
	assert_false(bi.from_proxy);
	client_free(c);
}

static void
test_bad_configuration(void **state)
{
	static const struct {
		const char *conf;
		const char *option;
	} cases[] = {
		{ "bi-plain-listen = '/nowhere/at/all'\n", "bi-plain-listen" },
		{ "tls-listen = '127.0.0.1:1'\n"
		  "bi-listen = '192.0.2.1:443'\n"
		  "tls-certificate = '@/server.pem'\n"
		  "tls-key = '@/server.key'\ntls-client-ca = '@/ca.pem'\n",
		    "bi-listen" },
		{ "tls-listen = '127.0.0.1:1'\nbi-listen = '127.0.0.1@:'\n"
		  "tls-certificate = '@/server.pem'\n"
		  "tls-key = '@/client.key'\ntls-client-ca = '@/ca.pem'\n",
		    "tls-key" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct errctx ec = ERRCTX_INIT;

		fx = fixture_new(cases[i].conf);
		assert_int_equal(http_new(&fx->server, &http, &ec), JY_ECONFIG);
		assert_memory_equal(
		    ec.text, cases[i].option, strlen(cases[i].option));
		(void)teardown(NULL);
	}
}

/* ---- TLS ---- */

static void
test_tls(void **state)
{
	struct client *c;

	(void)state;
	begin(TLS "bi-client-certificate = 'required'\n");
	bi.echo = true;
	c = tls();
	assert_true(client_tls(c, "client"));
	for (int i = 0; i < 3; i++) {
		client_forget(c);
		client_say(c, HEAD_OF(5) "hello");
		assert_true(client_hears(c, "\r\n\r\nhello"));
		assert_true(bi.has_tls_peer);
		assert_string_equal(bi.san, "ns1.example.org");
	}
	client_forget(c);
	client_say(c,
	    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
	    "Expect: 100-continue\r\n\r\n");
	assert_true(client_hears(c, "HTTP/1.1 100 Continue\r\n\r\n"));
	client_say(c, "hello");
	assert_true(client_hears(c, "\r\n\r\nhello"));
	client_forget(c);
	client_say(c, "GET / HTTP/1.1\r\n\r\n");
	assert_true(client_hears(c, "405"));
	assert_ends(c);
	client_free(c);
	await_count(0);
	assert_int_equal(fx->server.stats.tls_failures, 0);
}

/* The client has finished its handshake when ours fails: it reads why. */
static void
refuses(const char *certificate)
{
	uint64_t before = fx->server.stats.tls_failures;
	struct client *c = tls();

	if (client_tls(c, certificate)) {
		client_say(c, HEAD_OF(5) "hello");
		assert_true(client_hears_end(c));
		assert_int_equal(c->len, 0);
	}
	turns(5);
	assert_int_equal(fx->server.stats.tls_failures, before + 1);
	client_free(c);
	await_count(0);
}

static void
test_tls_required(void **state)
{
	(void)state;
	begin(TLS "bi-client-certificate = 'required'\n");
	refuses(NULL);
	refuses("stranger");
	assert_int_equal(bi.requests, 0);
}

static void
test_tls_optional(void **state)
{
	struct client *c;

	(void)state;
	begin(TLS "bi-client-certificate = 'optional'\n");
	c = tls();
	assert_true(client_tls(c, NULL));
	client_say(c, HEAD_OF(5) "hello");
	assert_true(client_hears(c, "{\"n\":1}"));
	assert_false(bi.has_tls_peer);
	client_free(c);
	c = tls();
	assert_true(client_tls(c, "client2"));
	client_say(c, HEAD_OF(5) "hello");
	assert_true(client_hears(c, "{\"n\":2}"));
	assert_string_equal(bi.san, "ns2.example.org");
	client_free(c);
	refuses("stranger");
}

static void
test_not_tls(void **state)
{
	struct client *c;

	(void)state;
	begin(TLS);
	c = tls();
	client_say(c, HEAD_OF(5) "hello");
	assert_true(client_hears_end(c));
	assert_null(strstr(c->in, "HTTP"));
	client_free(c);
	await_count(0);
	assert_int_equal(bi.requests, 0);
	assert_int_equal(fx->server.stats.tls_failures, 1);
	c = tls(); /* says nothing at all */
	await_count(1);
	sweep_after(5);
	assert_int_equal(http_count(http), 1);
	sweep_after(20);
	assert_int_equal(http_count(http), 0);
	client_free(c);
}

static void
test_tls_peer_limit(void **state)
{
	struct client *a, *b, *other;

	(void)state;
	begin(TLS "bi-peer-connections = 1\n");
	a = tls();
	assert_true(client_tls(a, "client"));
	client_say(a, HEAD_OF(1) "1");
	assert_true(client_hears(a, "{\"n\":1}"));
	b = tls();
	if (client_tls(b, "client")) {
		client_say(b, HEAD_OF(1) "1");
		assert_true(client_hears_end(b));
		assert_int_equal(b->len, 0);
	}
	other = tls();
	assert_true(client_tls(other, "client2"));
	client_say(other, HEAD_OF(1) "1");
	assert_true(client_hears(other, "{\"n\":2}"));
	assert_int_equal(fx->server.stats.http_refused, 1);
	client_free(a);
	client_free(b);
	client_free(other);
}

static void
test_tls_large(void **state)
{
	static char large[BI_BODY_MAX + 1];
	struct client *c;

	(void)state;
	begin(TLS);
	bi.echo = true;
	memset(large, 'x', sizeof(large));
	c = tls();
	assert_true(client_tls(c, NULL));
	client_say(c, HEAD_OF(32768));
	client_send(c, large, sizeof(large) - 1);
	assert_true(client_hears(c, "\r\nContent-Length: 32768\r\n"));
	assert_true(client_hears_len(c, BI_BODY_MAX + 50));
	client_forget(c);
	client_say(c, HEAD_OF(40000));
	client_send(c, large, sizeof(large));
	assert_true(client_hears(c, "HTTP/1.1 413 "));
	assert_ends(c);
	client_free(c);
}

static void
test_tls_gone(void **state)
{
	struct client *c;

	(void)state;
	begin(TLS);
	bi.hold = true;
	c = tls();
	assert_true(client_tls(c, "client"));
	client_say(c, HEAD_OF(1) "1");
	await_requests(1);
	client_free(c); /* without good-bye */
	await_count(0);
	assert_true(http_gone(bi.held[0]));
	assert_non_null(http_tls_peer(bi.held[0]));
	answer_held(0, "for nobody");
	c = tls();
	assert_true(client_tls(c, "client"));
	client_say(c, HEAD_OF(1) "1");
	await_requests(2);
	(void)SSL_shutdown(c->ssl);
	turns(10);
	assert_false(http_gone(bi.held[1]));
	answer_held(1, "for one who may still read");
	assert_true(client_hears(c, "may still read"));
	assert_ends(c);
	client_free(c);
}

/* ---- everything at once ---- */

static uint32_t seed;

static uint32_t
dice(uint32_t sides)
{
	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % sides;
}

/* Each head stands before its body. */
/* NOLINTBEGIN(bugprone-suspicious-missing-comma) */
static const char *const pieces[] = {
	HEAD_OF(3) "abc",
	HEAD_OF(3) "a",
	"bc",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	"0\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
	"abc",
	"GET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n1",
	"POST / HT",
	"\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\nxyz",
	"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

/* One thing that a client may do; false: it is gone. */
static bool
something(struct client **at)
{
	struct linger hard = { .l_onoff = 1 };
	struct client *c = *at;

	switch (dice(12)) {
	case 0:
		(void)setsockopt(
		    c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		client_free(c);
		*at = NULL;
		return false;
	case 1:
		client_free(c);
		*at = NULL;
		return false;
	case 2:
		if (c->ssl != NULL) {
			(void)SSL_shutdown(c->ssl);
		} else {
			(void)shutdown(c->fd, SHUT_WR);
		}
		break;
	default:
		if (c->ssl == NULL || SSL_is_init_finished(c->ssl)) {
			client_say(c, pieces[dice(ARRAY_LEN(pieces))]);
		}
		break;
	}
	return true;
}

static void
some_answer(void)
{
	if (bi.n_held > 0) {
		unsigned i = dice(bi.n_held);
		struct http_exchange *x = bi.held[i];

		bi.held[i] = bi.held[--bi.n_held];
		http_answer(x, dice(2) ? 200 : 202, "{}", dice(2) ? 2 : 0);
	}
}

static void
chaos(bool with_tls, bool finish)
{
	struct client *c[12] = { NULL };

	begin(with_tls ? TLS : PLAIN);
	for (int i = 0; i < 400; i++) {
		unsigned who = dice(ARRAY_LEN(c));

		bi.hold = bi.n_held < 12 && dice(2) != 0;
		if (c[who] == NULL) {
			c[who] = with_tls ? tls() : plain();
			if (with_tls && dice(8) != 0) {
				(void)client_tls(c[who], "client");
			}
		} else {
			(void)something(&c[who]);
		}
		if (dice(2)) {
			some_answer();
		}
		if (dice(4) == 0) {
			fixture_turn(fx);
		}
		if (dice(200) == 0) {
			sweep_after(11);
		}
	}
	if (finish) {
		http_finish(http);
		while (bi.n_held > 0) {
			some_answer();
		}
		for (int i = 0; i < 100; i++) {
			fixture_turn(fx);
		}
		sweep_after(11);
		assert_int_equal(http_count(http), 0);
	} else {
		http_free(http);
		http = NULL;
		while (bi.n_held > 0) {
			some_answer();
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		if (c[i] != NULL) {
			client_free(c[i]);
		}
	}
	(void)teardown(NULL);
}

static void
test_chaos(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		seed = i;
		chaos(false, (i & 1) != 0);
		chaos(true, (i & 1) == 0);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nowhere),
		TEST(test_keep_alive),
		TEST(test_empty_answer),
		TEST(test_pipelined),
		TEST(test_pipelined_much),
		TEST(test_chunked),
		TEST(test_expect),
		TEST(test_versions),
		TEST(test_methods),
		TEST(test_large_bodies),
		TEST(test_headers),
		TEST(test_empty_headers),
		TEST(test_malformed),
		TEST(test_ambiguous),
		TEST(test_not_ambiguous),
		TEST(test_trailer),
		TEST(test_slow_request),
		TEST(test_frame_timeout_starts_anew),
		TEST(test_idle),
		TEST(test_waiting_is_not_slow),
		TEST(test_unread_answer),
		TEST(test_slow_beside_fast),
		TEST(test_gone_while_waiting),
		TEST(test_gone_when_answered),
		TEST(test_half_closed),
		TEST(test_free_while_waiting),
		TEST(test_finish),
		TEST(test_free_while_parting),
		TEST(test_limits),
		TEST(test_limit_of_networks),
		TEST(test_limit_and_proxy),
		TEST(test_proxies),
		TEST(test_unix),
		TEST(test_unix_stale),
		TEST(test_bad_configuration),
		TEST(test_tls),
		TEST(test_tls_required),
		TEST(test_tls_optional),
		TEST(test_not_tls),
		TEST(test_tls_peer_limit),
		TEST(test_tls_large),
		TEST(test_tls_gone),
		TEST(test_chaos),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	fixture_certificates_remove();
	return failed;
}
