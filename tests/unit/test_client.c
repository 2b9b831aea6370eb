/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client against small servers in child processes: a TLS one that
 * answers pings, and one on a Unix socket that says what it is told to.
 */
#include "tools/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "proto/frame.h"

#define PATIENCE_S 30

static char directory[64];

static const char *
path_of(const char *name)
{
	static char paths[4][160];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

/* ---- certificates ---- */

/* A certificate that signs itself, so that it is its own CA. */
static void
make_certificate(const char *name, const char *san)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *subject = X509_NAME_new();
	X509_EXTENSION *ext =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	char file[32];
	FILE *f;

	assert_true(key != NULL && x != NULL && ext != NULL);
	(void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	(void)X509_set_version(x, X509_VERSION_3);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	(void)X509_set_subject_name(x, subject);
	(void)X509_set_issuer_name(x, subject);
	(void)X509_set_pubkey(x, key);
	(void)X509_add_ext(x, ext, -1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	(void)snprintf(file, sizeof(file), "%s.pem", name);
	f = fopen(path_of(file), "w");
	assert_true(f != NULL && PEM_write_X509(f, x) == 1);
	assert_int_equal(
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
	X509_EXTENSION_free(ext);
	X509_NAME_free(subject);
	X509_free(x);
	EVP_PKEY_free(key);
}

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/test_client.XXXXXX");
	assert_non_null(mkdtemp(directory));
	make_certificate("here", "DNS:localhost,IP:127.0.0.1");
	make_certificate("elsewhere", "DNS:elsewhere.example");
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r '%s'", directory);
	assert_int_equal(system(command), 0);
	return 0;
}

/* ---- servers ---- */

static pid_t server;

static void
server_end(void)
{
	(void)kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
}

/* SSL_read stops at the end of a record; a frame may go on in the next. */
static bool
tls_read_all(SSL *ssl, uint8_t *out, size_t len)
{
	while (len > 0) {
		int n = SSL_read(ssl, out, (int)len);

		if (n <= 0) {
			return false;
		}
		out += n;
		len -= (size_t)n;
	}
	return true;
}

/* Answer every request, which is a ping here, with its own id. */
static void
tls_echo(SSL *ssl)
{
	static uint8_t buf[FRAME_HEAD_LEN + FRAME_MAX];
	uint8_t head[FRAME_HEAD_LEN];

	while (tls_read_all(ssl, head, sizeof(head))) {
		Joinery__V1__Response r = JOINERY__V1__RESPONSE__INIT;
		Joinery__V1__PingAnswer ping = JOINERY__V1__PING_ANSWER__INIT;
		Joinery__V1__Request *q;
		size_t len = 0;

		if (frame_head_get(head, FRAME_MAX, &len, NULL) != JY_OK ||
		    !tls_read_all(ssl, buf, len)) {
			_exit(1);
		}
		q = joinery__v1__request__unpack(NULL, len, buf);
		r.has_id = 1;
		r.id = q->id;
		r.result_case = JOINERY__V1__RESPONSE__RESULT_PING;
		r.ping = &ping;
		len = joinery__v1__response__pack(&r, buf + FRAME_HEAD_LEN);
		frame_head_put(buf, len);
		(void)SSL_write(ssl, buf, (int)(FRAME_HEAD_LEN + len));
		joinery__v1__request__free_unpacked(q, NULL);
	}
}

static _Noreturn void
tls_serve(int listener, const char *certificate)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	(void)alarm(PATIENCE_S);
	(void)SSL_CTX_use_certificate_chain_file(ctx, path_of(certificate));
	(void)SSL_CTX_use_PrivateKey_file(
	    ctx, path_of(certificate), SSL_FILETYPE_PEM);
	(void)SSL_CTX_load_verify_file(ctx, path_of("here.pem"));
	SSL_CTX_set_verify(
	    ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	for (;;) {
		SSL *ssl = SSL_new(ctx);
		int fd = accept(listener, NULL, NULL);

		(void)SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) == 1) {
			tls_echo(ssl);
		}
		SSL_free(ssl);
		(void)close(fd);
	}
}

/* Start a TLS server, a mute one without certificate; its port. */
static unsigned
tls_start(const char *certificate)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	server = fork();
	if (server == 0 && certificate != NULL) {
		tls_serve(fd, certificate);
	}
	if (server == 0) {
		(void)sleep(PATIENCE_S);
		_exit(0);
	}
	(void)close(fd);
	return ntohs(sa.sin_port);
}

/* A server on a Unix socket that says something, and hangs up or waits. */
static void
unix_start(const void *says, size_t len, bool hangs_up)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", directory);
	(void)unlink(sa.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	server = fork();
	if (server == 0) {
		int c = accept(fd, NULL, NULL);
		bool ok = frame_write_all(c, says, len, NULL) == JY_OK;

		if (!hangs_up) {
			(void)sleep(PATIENCE_S);
		}
		_exit(ok ? 0 : 1);
	}
	(void)close(fd);
}

/* ---- asking ---- */

static struct client_config
tls_config(char text[32], const char *host, unsigned port)
{
	(void)snprintf(text, 32, "%s:%u", host, port);
	return (struct client_config){ .tcp = text,
		.ca = path_of("here.pem"),
		.cert = path_of("here.pem"),
		.key = path_of("here.pem"),
		.timeout_ms = 5000 };
}

static struct client_config
unix_config(void)
{
	return (struct client_config){ .socket = path_of("sock"),
		.timeout_ms = 5000 };
}

static void
init_ping(Joinery__V1__Request *q)
{
	static Joinery__V1__PingRequest ping = JOINERY__V1__PING_REQUEST__INIT;

	joinery__v1__request__init(q);
	q->call_case = JOINERY__V1__REQUEST__CALL_PING;
	q->ping = &ping;
}

static enum jy_err
ping(struct client *c, struct errctx *ec)
{
	Joinery__V1__Request q;
	Joinery__V1__Response *r = NULL;
	enum jy_err err;

	init_ping(&q);
	err = client_call(c, &q, &r, ec);
	if (err == JY_OK) {
		assert_true(r->has_id ? r->id == q.id
				      : r->result_case ==
			    JOINERY__V1__RESPONSE__RESULT_ERROR);
	}
	client_free(r);
	return err;
}

/* Opening fails so, and the detail says why. */
static void
assert_not_opened(
    const struct client_config *config, enum jy_err err, const char *why)
{
	struct errctx ec = ERRCTX_INIT;
	struct client *c = NULL;

	assert_int_equal(client_open(config, &c, &ec), err);
	assert_null(c);
	if (strstr(ec.text, why) == NULL) {
		fail_msg("\"%s\" is not in: %s", why, ec.text);
	}
}

/* ---- TLS ---- */

static void
test_tls_call(void **state)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1" };
	unsigned port = tls_start("here.pem");
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct client_config config = tls_config(text, hosts[i], port);
		struct client *c = NULL;

		assert_int_equal(client_open(&config, &c, NULL), JY_OK);
		assert_int_equal(ping(c, NULL), JY_OK);
		assert_int_equal(ping(c, NULL), JY_OK);
		client_close(c);
	}
	server_end();
}

/* More in flight than a buffer holds; every answer comes, in order here. */
static void
test_tls_many_in_flight(void **state)
{
	char text[32];
	struct client_config config =
	    tls_config(text, "localhost", tls_start("here.pem"));
	struct client *c = NULL;
	Joinery__V1__Request q;

	(void)state;
	assert_int_equal(client_open(&config, &c, NULL), JY_OK);
	init_ping(&q);
	q.has_id = 1;
	for (q.id = 1; q.id <= 10000; q.id++) {
		assert_int_equal(client_send(c, &q, NULL), JY_OK);
	}
	for (uint64_t id = 1; id <= 10000; id++) {
		Joinery__V1__Response *r = NULL;

		assert_int_equal(client_receive(c, &r, NULL), JY_OK);
		assert_true(r->id == id);
		client_free(r);
	}
	client_close(c);
	server_end();
}

static void
test_tls_server_not_trusted(void **state)
{
	char text[32];
	unsigned port = tls_start("elsewhere.pem");
	struct client_config config = tls_config(text, "localhost", port);

	(void)state;
	assert_not_opened(&config, JY_EPEER, "self-signed certificate");
	config.ca = path_of("elsewhere.pem");
	assert_not_opened(&config, JY_EPEER, "hostname mismatch");
	config = tls_config(text, "127.0.0.1", port);
	config.ca = path_of("elsewhere.pem");
	assert_not_opened(&config, JY_EPEER, "IP address mismatch");
	server_end();
}

/* With TLS 1.3 a client learns that it was refused when it reads. */
static void
test_tls_client_not_trusted(void **state)
{
	char text[32];
	struct client_config config =
	    tls_config(text, "localhost", tls_start("here.pem"));
	struct errctx ec = ERRCTX_INIT;
	struct client *c = NULL;

	(void)state;
	config.cert = path_of("elsewhere.pem");
	config.key = config.cert;
	if (client_open(&config, &c, &ec) == JY_OK) {
		assert_int_equal(ping(c, &ec), JY_EIO);
	}
	assert_non_null(strstr(ec.text, "accept our certificate?"));
	client_close(c);
	server_end();
}

static void
test_tls_files(void **state)
{
	char text[32];
	struct client_config config = tls_config(text, "localhost", 1);

	(void)state;
	config.ca = "/nonexistent/ca";
	assert_not_opened(&config, JY_ECONFIG, "CA file /nonexistent/ca");
	config.ca = path_of("here.pem");
	config.cert = "/nonexistent/cert";
	assert_not_opened(&config, JY_ECONFIG, "certificate file /nonex");
	config.cert = path_of("here.pem");
	config.key = "/nonexistent/key";
	assert_not_opened(&config, JY_ECONFIG, "key file /nonexistent/key");
	config.key = path_of("elsewhere.pem");
	assert_not_opened(&config, JY_ECONFIG, "mismatch");
	config.key = NULL;
	assert_not_opened(&config, JY_ECONFIG, "TLS needs");
}

static void
test_host_and_port(void **state)
{
	static const struct {
		const char *tcp;
		enum jy_err err;
		const char *why;
	} cases[] = {
		{ "", JY_ECONFIG, "is not HOST:PORT" },
		{ "host", JY_ECONFIG, "is not HOST:PORT" },
		{ "host:", JY_ECONFIG, "is not HOST:PORT" },
		{ ":1", JY_ECONFIG, "is not HOST:PORT" },
		{ "::1:1", JY_ECONFIG, "brackets" },
		{ "127.0.0.1:1", JY_EIO, "connect to 127.0.0.1 port 1: " },
		{ "127.0.0.1:nope", JY_EIO, "look up 127.0.0.1 port nope" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client_config config = tls_config(text, "", 0);

		config.tcp = cases[i].tcp;
		assert_not_opened(&config, cases[i].err, cases[i].why);
	}
}

static void
test_tls_time_out(void **state)
{
	char text[32];
	struct client_config config =
	    tls_config(text, "localhost", tls_start(NULL));

	(void)state;
	config.timeout_ms = 50;
	assert_not_opened(&config, JY_ETIMEOUT, "in time");
	server_end();
}

/* ---- Unix ---- */

static void
test_unix_not_there(void **state)
{
	struct client_config config = unix_config();
	char longer[200];

	(void)state;
	config.socket = "/nonexistent/sock";
	assert_not_opened(&config, JY_EIO, "/nonexistent/sock");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	config.socket = longer;
	assert_not_opened(&config, JY_ECONFIG, "socket path");
}

static void
assert_ping_fails(const void *says, size_t len, bool hangs_up,
    unsigned timeout_ms, enum jy_err err)
{
	struct client_config config = unix_config();
	struct errctx ec = ERRCTX_INIT;
	struct client *c = NULL;

	unix_start(says, len, hangs_up);
	config.timeout_ms = timeout_ms;
	assert_int_equal(client_open(&config, &c, NULL), JY_OK);
	assert_int_equal(ping(c, &ec), err);
	assert_string_not_equal(ec.text, "");
	client_close(c);
	server_end();
}

static void
test_bad_answers(void **state)
{
	(void)state;
	assert_ping_fails("", 0, true, 5000, JY_EIO);
	assert_ping_fails("", 0, false, 50, JY_ETIMEOUT);
	assert_ping_fails("\0\0\0", 3, true, 5000, JY_EIO);
	assert_ping_fails("\0\0\0\5ab", 6, true, 5000, JY_EIO);
	assert_ping_fails("\0\0\0\5ab", 6, false, 50, JY_ETIMEOUT);
	assert_ping_fails("\0\0\0\0", 4, false, 5000, JY_EINVAL);
	assert_ping_fails("\0\1\0\1", 4, false, 5000, JY_EINVAL);
	assert_ping_fails(
	    "\0\0\0\4\xff\xff\xff\xff", 8, false, 5000, JY_EINVAL);
	/* An answer to somebody else, and then nothing. */
	assert_ping_fails("\0\0\0\2\x08\x63", 6, false, 50, JY_ETIMEOUT);
}

/* A server that refuses us says so and hangs up before it is asked. */
static void
test_error_before_the_question(void **state)
{
	/* Response { error { code: PEER_UNKNOWN } } */
	static const uint8_t says[] = { 0, 0, 0, 4, 0x12, 2, 0x08, 5 };
	struct client_config config = unix_config();
	Joinery__V1__Request q;
	Joinery__V1__Response *r = NULL;
	struct client *c = NULL;

	(void)state;
	unix_start(says, sizeof(says), true);
	assert_int_equal(client_open(&config, &c, NULL), JY_OK);
	assert_int_equal(waitpid(server, NULL, 0), server);
	init_ping(&q);
	assert_int_equal(client_call(c, &q, &r, NULL), JY_OK);
	assert_int_equal(r->result_case, JOINERY__V1__RESPONSE__RESULT_ERROR);
	assert_int_equal(r->error->code, JOINERY__V1__ERROR_CODE__PEER_UNKNOWN);
	client_free(r);
	client_close(c);
}

static void
test_request_too_large(void **state)
{
	static uint8_t much[FRAME_MAX];
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	struct client_config config = unix_config();
	struct client *c = NULL;

	(void)state;
	unix_start("", 0, false);
	assert_int_equal(client_open(&config, &c, NULL), JY_OK);
	join.has_phy_payload = 1;
	join.phy_payload = (ProtobufCBinaryData){ sizeof(much), much };
	q.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	q.join = &join;
	assert_int_equal(client_send(c, &q, NULL), JY_EINVAL);
	client_close(c);
	server_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_call),
		cmocka_unit_test(test_tls_many_in_flight),
		cmocka_unit_test(test_tls_server_not_trusted),
		cmocka_unit_test(test_tls_client_not_trusted),
		cmocka_unit_test(test_tls_files),
		cmocka_unit_test(test_host_and_port),
		cmocka_unit_test(test_tls_time_out),
		cmocka_unit_test(test_unix_not_there),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_error_before_the_question),
		cmocka_unit_test(test_request_too_large),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
