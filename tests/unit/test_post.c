/* SPDX-License-Identifier: Apache-2.0 */
/* Answers POSTed to a peer's server, which is evhttp in the same thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/post.h"
#include "tests/unit/http_fixture.h"

#define ONE_SECOND "bi-answer-deadline = 1\n"
#define CLIENT_CA \
	"tls-listen = '127.0.0.1:1'\ntls-client-ca = '@/ca.pem'\n" \
	"tls-certificate = '@/client.pem'\ntls-key = '@/client.key'\n"

static struct fixture *fx;
static struct post *post;

/* ---- the peer's server ---- */

static struct {
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	SSL_CTX *ctx; /* NULL: plain */
	uint16_t port;
	int statuses[8]; /* of the next answers, then 200 */
	unsigned next;
	bool hold;
	bool close;
	bool endless; /* announce a body and do not send it */
	struct evhttp_request *held[600];
	unsigned n_held;
	unsigned requests;
	unsigned connections;
	char body[64];
	char uri[64];
	char host[64];
	char type[64];
	bool certificate;
} peer;

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(body);
	int status = 200;

	(void)arg;
	peer.requests++;
	memset(peer.body, 0, sizeof(peer.body));
	if (len < sizeof(peer.body)) {
		(void)evbuffer_copyout(body, peer.body, len);
	}
	(void)snprintf(
	    peer.uri, sizeof(peer.uri), "%s", evhttp_request_get_uri(req));
	(void)snprintf(
	    peer.host, sizeof(peer.host), "%s", evhttp_find_header(in, "Host"));
	(void)snprintf(peer.type, sizeof(peer.type), "%s",
	    evhttp_find_header(in, "Content-Type"));
	assert_int_equal(evhttp_request_get_command(req), EVHTTP_REQ_POST);
	if (peer.ctx != NULL) {
		struct bufferevent *bev = evhttp_connection_get_bufferevent(
		    evhttp_request_get_connection(req));

		peer.certificate =
		    SSL_get0_peer_certificate(
			bufferevent_openssl_get_ssl(bev)) != NULL;
	}
	if (peer.hold) {
		assert_true(peer.n_held < ARRAY_LEN(peer.held));
		peer.held[peer.n_held++] = req;
		return;
	}
	if (peer.next < ARRAY_LEN(peer.statuses) &&
	    peer.statuses[peer.next] != 0) {
		status = peer.statuses[peer.next++];
	}
	if (peer.endless) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Content-Length", "10");
		evhttp_send_reply_start(req, 200, NULL);
		peer.held[peer.n_held++] = req;
		return;
	}
	if (peer.close) {
		(void)evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Connection", "close");
	}
	evhttp_send_reply(req, status, NULL, NULL);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	(void)arg;
	peer.connections++;
	return peer.ctx == NULL
	    ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE)
	    : bufferevent_openssl_socket_new(base, -1, SSL_new(peer.ctx),
		  BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
peer_start(void)
{
	peer.http = evhttp_new(fx->server.base);
	evhttp_set_gencb(peer.http, on_request, NULL);
	evhttp_set_bevcb(peer.http, on_connection, NULL);
	peer.socket =
	    evhttp_bind_socket_with_handle(peer.http, "0.0.0.0", peer.port);
	assert_non_null(peer.socket);
	peer.port = port_of(evhttp_bound_socket_get_fd(peer.socket));
}

/* With a certificate of that name. */
static void
peer_start_tls(const char *name)
{
	char path[96];

	peer.ctx = SSL_CTX_new(TLS_server_method());
	(void)snprintf(
	    path, sizeof(path), "%s/%s.pem", fixture_certificates(), name);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(peer.ctx, path), 1);
	(void)snprintf(
	    path, sizeof(path), "%s/%s.key", fixture_certificates(), name);
	assert_int_equal(
	    SSL_CTX_use_PrivateKey_file(peer.ctx, path, SSL_FILETYPE_PEM), 1);
	(void)snprintf(path, sizeof(path), "%s/ca.pem", fixture_certificates());
	assert_int_equal(SSL_CTX_load_verify_file(peer.ctx, path), 1);
	SSL_CTX_set_verify(peer.ctx, SSL_VERIFY_PEER, NULL);
	peer_start();
}

static void
peer_stop(void)
{
	if (peer.http != NULL) {
		evhttp_free(peer.http);
		peer.http = NULL;
	}
}

/* ---- the log ---- */

static int log_fd;
static off_t log_from;

static void
log_begin(void)
{
	log_from = lseek(log_fd, 0, SEEK_END);
}

static bool
log_says(const char *text)
{
	static char lines[16384];
	ssize_t n = pread(log_fd, lines, sizeof(lines) - 1, log_from);

	lines[n > 0 ? n : 0] = '\0';
	return strstr(lines, text) != NULL;
}

/* ---- the rest ---- */

static void
begin(const char *conf)
{
	memset(&peer, 0, sizeof(peer));
	log_begin();
	fx = fixture_new(conf);
	post = post_new(&fx->server);
}

static int
teardown(void **state)
{
	(void)state;
	post_free(post);
	post = NULL;
	peer_stop();
	if (peer.ctx != NULL) {
		SSL_CTX_free(peer.ctx);
		peer.ctx = NULL;
	}
	if (fx != NULL) {
		for (int i = 0; i < 5; i++) {
			fixture_turn(fx);
		}
		fixture_free(fx);
	}
	fx = NULL;
	return 0;
}

static void
send_to(Joinery__Corridor__AnswerTo *to, const char *host, const char *path)
{
	static char url[128];

	(void)snprintf(url, sizeof(url), "%s:%u%s", host, peer.port, path);
	to->url = url;
	post_answer(
	    post, to, "{\"a\":1}", 7, "peer=ns1 transaction=7 request=abc");
}

static void
send_one(const char *host, const char *path)
{
	Joinery__Corridor__AnswerTo to = JOINERY__CORRIDOR__ANSWER_TO__INIT;

	send_to(&to, host, path);
}

static void
send_with(const char *host, const char *path, const char *ca, const char *cert)
{
	Joinery__Corridor__AnswerTo to = JOINERY__CORRIDOR__ANSWER_TO__INIT;
	char ca_path[96], cert_path[96], key_path[96];

	(void)snprintf(
	    ca_path, sizeof(ca_path), "%s/%s.pem", fixture_certificates(), ca);
	(void)snprintf(cert_path, sizeof(cert_path), "%s/%s.pem",
	    fixture_certificates(), cert);
	(void)snprintf(key_path, sizeof(key_path), "%s/%s.key",
	    fixture_certificates(), cert);
	to.ca = ca_path;
	to.cert = cert_path;
	to.key = key_path;
	send_to(&to, host, path);
}

static void
await_none(void)
{
	for (int i = 0; i < PUMP_MS && post_count(post) > 0; i++) {
		fixture_turn(fx);
	}
	assert_int_equal(post_count(post), 0);
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++) {
		fixture_turn(fx);
	}
}

static void
assert_stats(unsigned posted, unsigned retried, unsigned lost)
{
	assert_int_equal(fx->server.stats.answers_posted, posted);
	assert_int_equal(fx->server.stats.answers_retried, retried);
	assert_int_equal(fx->server.stats.answers_lost, lost);
}

/* ---- delivered ---- */

static void
test_delivered(void **state)
{
	char host[32];

	(void)state;
	begin("");
	peer_start();
	send_one("http://127.0.0.1", "/path/to?x=y");
	assert_int_equal(post_count(post), 1);
	await_none();
	assert_stats(1, 0, 0);
	assert_string_equal(peer.body, "{\"a\":1}");
	assert_string_equal(peer.uri, "/path/to?x=y");
	assert_string_equal(peer.type, "application/json");
	(void)snprintf(host, sizeof(host), "127.0.0.1:%u", peer.port);
	assert_string_equal(peer.host, host);
	send_one("http://127.0.0.1", "");
	await_none();
	assert_string_equal(peer.uri, "/");
}

static void
test_localhost(void **state)
{
	(void)state;
	begin("");
	peer_start();
	send_one("http://localhost", "/");
	await_none();
	/* If it has an address of IPv6 too, that is refused first. */
	assert_int_equal(fx->server.stats.answers_posted, 1);
}

static void
test_keep_alive(void **state)
{
	(void)state;
	begin("");
	peer_start();
	for (int i = 0; i < 5; i++) {
		send_one("http://127.0.0.1", "/");
		await_none();
	}
	assert_stats(5, 0, 0);
	assert_int_equal(peer.connections, 1);
	peer.close = true;
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_int_equal(peer.connections, 1);
	turns(10);
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_int_equal(peer.connections, 2);
	assert_stats(7, 0, 0);
}

/* The peer has closed a connection that was kept. */
static void
test_restarted(void **state)
{
	(void)state;
	begin("");
	peer_start();
	send_one("http://127.0.0.1", "/");
	await_none();
	peer_stop();
	turns(10);
	peer_start();
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_stats(2, 0, 0);
}

static void
test_many(void **state)
{
	(void)state;
	begin("");
	peer_start();
	peer.hold = true;
	for (int i = 0; i < 20; i++) {
		send_one("http://127.0.0.1", "/");
	}
	for (int i = 0; i < PUMP_MS && peer.n_held < POST_PER_TARGET; i++) {
		fixture_turn(fx);
	}
	turns(20);
	assert_int_equal(peer.n_held, POST_PER_TARGET);
	assert_int_equal(peer.connections, POST_PER_TARGET);
	peer.hold = false;
	for (unsigned i = 0; i < peer.n_held; i++) {
		evhttp_send_reply(peer.held[i], 202, NULL, NULL);
	}
	await_none();
	assert_stats(20, 0, 0);
	assert_int_equal(peer.connections, POST_PER_TARGET);
}

/* More targets than there may be connections: each gets its turn. */
static void
test_many_targets(void **state)
{
	struct rlimit limit;
	unsigned n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 3 * POST_LINKS_MAX) {
		skip();
	}
	begin("");
	peer_start();
	send_one("http://127.0.1.1", "/"); /* will idle, and be reclaimed */
	await_none();
	peer.hold = true;
	for (unsigned i = 0; i < 70; i++) {
		char host[32];

		(void)snprintf(host, sizeof(host), "http://127.0.0.%u", i + 1);
		for (unsigned j = 0; j < POST_PER_TARGET; j++) {
			send_one(host, "/");
			n++;
		}
	}
	assert_true(n > POST_LINKS_MAX);
	for (int i = 0; i < PUMP_MS && peer.n_held < POST_LINKS_MAX; i++) {
		fixture_turn(fx);
	}
	turns(20);
	assert_int_equal(peer.n_held, POST_LINKS_MAX);
	peer.hold = false;
	for (unsigned i = 0; i < peer.n_held; i++) {
		evhttp_send_reply(peer.held[i], 202, NULL, NULL);
	}
	await_none();
	assert_stats(n + 1, 0, 0);
}

/* ---- retried ---- */

static void
test_retried(void **state)
{
	(void)state;
	begin("");
	peer_start();
	peer.statuses[0] = 503;
	peer.statuses[1] = 429;
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_stats(1, 2, 0);
	assert_int_equal(peer.requests, 3);
}

/* One that rests does not hold up another. */
static void
test_retried_beside_others(void **state)
{
	(void)state;
	begin("");
	peer_start();
	peer.statuses[0] = 500;
	send_one("http://127.0.0.1", "/");
	for (int i = 0; i < PUMP_MS && peer.requests < 1; i++) {
		fixture_turn(fx);
	}
	turns(5);
	send_one("http://127.0.0.1", "/");
	for (int i = 0; i < PUMP_MS && fx->server.stats.answers_posted < 1;
	     i++) {
		fixture_turn(fx);
	}
	assert_stats(1, 0, 0);
	await_none();
	assert_stats(2, 1, 0);
}

static void
test_late_server(void **state)
{
	(void)state;
	begin("");
	peer_start();
	peer_stop();
	send_one("http://127.0.0.1", "/");
	turns(50);
	assert_int_equal(post_count(post), 1);
	peer_start();
	await_none();
	assert_int_equal(fx->server.stats.answers_posted, 1);
	assert_true(fx->server.stats.answers_retried >= 1);
}

/* ---- lost ---- */

static void
test_lost_at_once(void **state)
{
	static const int statuses[] = { 400, 401, 404, 410, 499 };

	(void)state;
	begin("");
	peer_start();
	for (unsigned i = 0; i < ARRAY_LEN(statuses); i++) {
		peer.next = 0;
		peer.statuses[0] = statuses[i];
		send_one("http://127.0.0.1", "/");
		await_none();
		assert_stats(0, 0, i + 1);
	}
	assert_true(log_says("peer=ns1 transaction=7 request=abc"));
	assert_true(log_says("why=\"HTTP status 404\""));
}

static void
test_lost_by_deadline(void **state)
{
	uint64_t begun;

	(void)state;
	begin(ONE_SECOND);
	peer_start();
	for (unsigned i = 0; i < ARRAY_LEN(peer.statuses); i++) {
		peer.statuses[i] = 503;
	}
	begun = sys_mono_us();
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_true(sys_mono_us() - begun < 1500000);
	assert_int_equal(fx->server.stats.answers_lost, 1);
	assert_true(peer.requests == 2 || peer.requests == 3);
	assert_true(log_says("why=\"HTTP status 503\""));
}

static void
test_lost_for_want_of_answer(void **state)
{
	uint64_t begun;

	(void)state;
	begin(ONE_SECOND);
	peer_start();
	peer.hold = true;
	begun = sys_mono_us();
	for (int i = 0; i < 10; i++) {
		send_one("http://127.0.0.1", "/");
	}
	await_none();
	assert_true(sys_mono_us() - begun > 900000);
	assert_true(sys_mono_us() - begun < 1900000);
	assert_stats(0, 0, 10);
	assert_true(log_says("why=\"no answer within 9") ||
	    log_says("why=\"no answer within 1000"));
	assert_true(log_says("no connection was free"));
	turns(10);
}

static void
test_refused_connection(void **state)
{
	(void)state;
	begin(ONE_SECOND);
	peer_start();
	peer_stop();
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_int_equal(fx->server.stats.answers_lost, 1);
	assert_true(fx->server.stats.answers_retried >= 1);
	assert_true(log_says("why=\"cannot connect\""));
}

static void
test_unusable(void **state)
{
	static const char *const urls[] = { "", "js.example.org", "ftp://x/",
		"http:///path", "http://a b/", "http://x:99999/" };

	(void)state;
	begin("");
	for (unsigned i = 0; i < ARRAY_LEN(urls); i++) {
		Joinery__Corridor__AnswerTo to =
		    JOINERY__CORRIDOR__ANSWER_TO__INIT;

		to.url = (char *)(uintptr_t)urls[i];
		post_answer(post, &to, "{}", 2, "peer=x");
		assert_int_equal(post_count(post), 0);
		assert_stats(0, 0, i + 1);
	}
	send_one("https://127.0.0.1", "/");
	assert_stats(0, 0, ARRAY_LEN(urls) + 1);
	assert_true(log_says("no CA for the server"));
	send_with("https://127.0.0.1", "/", "missing", "client");
	assert_stats(0, 0, ARRAY_LEN(urls) + 2);
	assert_true(log_says("missing.pem"));
	send_with("https://127.0.0.1", "/", "ca", "missing");
	assert_stats(0, 0, ARRAY_LEN(urls) + 3);
}

static void
test_queue_full(void **state)
{
	(void)state;
	begin("bi-answer-queue = 2\n");
	peer_start();
	peer.hold = true;
	send_one("http://127.0.0.1", "/");
	send_one("http://127.0.0.1", "/other");
	assert_stats(0, 0, 0);
	send_one("http://127.0.0.1", "/");
	assert_stats(0, 0, 1);
	assert_true(log_says("the queue is full"));
	turns(10);
	/* Those that are under way are given up with the server. */
	post_free(post);
	post = NULL;
	assert_stats(0, 0, 3);
	turns(5);
}

/* A server that is down does not fill the queue of the others. */
static void
test_queue_fair(void **state)
{
	uint16_t up;

	(void)state;
	begin("bi-answer-queue = 20\n");
	peer_start();
	up = peer.port;
	peer.port = 1;
	for (int i = 0; i < 30; i++) {
		send_one("http://127.0.0.1", "/");
	}
	assert_stats(0, 0, 10);
	turns(5);
	peer.port = up;
	peer.hold = true;
	for (int i = 0; i < 10; i++) {
		send_one("http://127.0.0.1", "/");
	}
	assert_stats(0, 0, 20);
	assert_int_equal(post_count(post), 20);
	send_one("http://127.0.0.1", "/");
	assert_stats(0, 0, 21);
	for (int i = 0; i < PUMP_MS && peer.n_held < 8; i++) {
		fixture_turn(fx);
	}
	peer.hold = false;
	for (unsigned i = 0; i < peer.n_held; i++) {
		evhttp_send_reply(peer.held[i], 200, NULL, NULL);
	}
	for (int i = 0; i < PUMP_MS && fx->server.stats.answers_posted < 10;
	     i++) {
		fixture_turn(fx);
	}
	assert_int_equal(fx->server.stats.answers_posted, 10);
	peer.port = 0;
}

/* The status counts, also of an answer that does not end. */
static void
test_endless(void **state)
{
	(void)state;
	begin(ONE_SECOND);
	peer_start();
	peer.endless = true;
	send_one("http://127.0.0.1", "/");
	await_none();
	assert_stats(1, 0, 0);
	assert_int_equal(peer.requests, 1);
	turns(5);
	evhttp_send_reply_end(peer.held[0]);
}

static void
test_not_http(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)state;
	begin(ONE_SECOND);
	assert_int_equal(listen(fd, 5), 0);
	peer.port = port_of(fd);
	send_one("http://127.0.0.1", "/");
	for (int i = 0; i < 3 && post_count(post) > 0; i++) {
		int one;

		turns(20);
		one = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
		if (one >= 0) {
			assert_int_equal(write(one, "SSH-2.0-x\r\n", 11), 11);
			turns(20);
			(void)close(one);
		}
		turns(300);
	}
	await_none();
	assert_int_equal(fx->server.stats.answers_lost, 1);
	(void)close(fd);
}

/* ---- TLS ---- */

static void
test_tls(void **state)
{
	(void)state;
	begin(CLIENT_CA);
	peer_start_tls("server");
	send_one("https://127.0.0.1", "/");
	await_none();
	assert_stats(1, 0, 0);
	assert_true(peer.certificate);
	send_one("https://127.0.0.1", "/");
	await_none();
	assert_int_equal(peer.connections, 1);
	send_one("https://localhost", "/");
	await_none();
	assert_int_equal(fx->server.stats.answers_posted, 3);
	/* Other files: another target. */
	send_with("https://127.0.0.1", "/", "ca", "client2");
	await_none();
	assert_int_equal(fx->server.stats.answers_posted, 4);
	assert_int_equal(fx->server.stats.answers_lost, 0);
}

static void
tls_fails(const char *server, const char *host, const char *path,
    const char *ca, const char *why)
{
	begin(ONE_SECOND);
	peer_start_tls(server);
	send_with(host, path, ca, "client");
	await_none();
	assert_int_equal(fx->server.stats.answers_lost, 1);
	assert_int_equal(peer.requests, 0);
	if (!log_says(why)) {
		fail_msg("the log does not say %s", why);
	}
	(void)teardown(NULL);
}

static void
test_tls_wrong_peer(void **state)
{
	(void)state;
	tls_fails("client", "https://localhost", "/", "ca",
	    "its certificate: hostname mismatch");
	tls_fails("server", "https://127.0.0.2", "/", "ca",
	    "its certificate: IP address mismatch");
	tls_fails("server", "https://127.0.0.1", "/", "other-ca",
	    "its certificate: self-signed certificate in certificate chain");
}

static void
test_reload(void **state)
{
	(void)state;
	begin(CLIENT_CA);
	peer_start_tls("server");
	send_one("https://localhost", "/");
	await_none();
	post_reload(post);
	turns(5);
	send_one("https://localhost", "/");
	peer.hold = true;
	for (int i = 0; i < PUMP_MS && peer.n_held < 1; i++) {
		fixture_turn(fx);
	}
	assert_int_equal(peer.n_held, 1);
	assert_true(peer.connections >= 2);
	/* What is under way ends as it began. */
	post_reload(post);
	evhttp_send_reply(peer.held[0], 200, NULL, NULL);
	await_none();
	assert_int_equal(fx->server.stats.answers_posted, 2);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_delivered),
		TEST(test_localhost),
		TEST(test_keep_alive),
		TEST(test_restarted),
		TEST(test_many),
		TEST(test_many_targets),
		TEST(test_retried),
		TEST(test_retried_beside_others),
		TEST(test_late_server),
		TEST(test_lost_at_once),
		TEST(test_lost_by_deadline),
		TEST(test_lost_for_want_of_answer),
		TEST(test_refused_connection),
		TEST(test_unusable),
		TEST(test_queue_full),
		TEST(test_queue_fair),
		TEST(test_endless),
		TEST(test_not_http),
		TEST(test_tls),
		TEST(test_tls_wrong_peer),
		TEST(test_reload),
	};
	FILE *lines = tmpfile();
	int err = dup(STDERR_FILENO);
	char text[4096];
	ssize_t n;
	int failed;

	/* The log goes into a file, in which the tests look for reasons. */
	log_fd = fileno(lines);
	(void)dup2(log_fd, STDERR_FILENO);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)dup2(err, STDERR_FILENO);
	for (off_t at = 0; (n = pread(log_fd, text, sizeof(text), at)) > 0;
	     at += n) {
		(void)fwrite(text, 1, (size_t)n, stderr);
	}
	fixture_certificates_remove();
	return failed;
}
