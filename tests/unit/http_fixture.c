/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/conn.h"
#include "src/front/parting.h"
#include "src/front/tls.h"

/* ---- certificates ---- */

static char certificates[] = "/tmp/joinery-http.XXXXXX";
static bool have_certificates;

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

static const char *const names[] = { "ca", "other-ca", "server", "client",
	"client2", "stranger" };

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static struct identity
make(const char *name, const struct identity *issuer, const char *sans)
{
	struct identity me = { .cert = X509_new(), .key = EVP_EC_gen("P-256") };
	static long serial = 1;
	X509_NAME *subject;

	assert_non_null(me.cert);
	assert_non_null(me.key);
	subject = X509_get_subject_name(me.cert);
	assert_int_equal(X509_set_version(me.cert, X509_VERSION_3), 1);
	assert_int_equal(
	    ASN1_INTEGER_set(X509_get_serialNumber(me.cert), serial++), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(me.cert), -3600));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(me.cert), 86400));
	assert_int_equal(X509_set_pubkey(me.cert, me.key), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
			     (const unsigned char *)name, -1, -1, 0),
	    1);
	assert_int_equal(
	    X509_set_issuer_name(me.cert,
		issuer == NULL ? subject : X509_get_subject_name(issuer->cert)),
	    1);
	if (issuer == NULL) {
		add_extension(
		    me.cert, NID_basic_constraints, "critical,CA:TRUE");
	}
	if (sans != NULL) {
		add_extension(me.cert, NID_subject_alt_name, sans);
	}
	assert_true(X509_sign(me.cert, issuer == NULL ? me.key : issuer->key,
			EVP_sha256()) > 0);
	return me;
}

static void
save(const char *name, const struct identity *me)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s.pem", certificates, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, me->cert), 1);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(path, sizeof(path), "%s/%s.key", certificates, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(
	    PEM_write_PrivateKey(f, me->key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
}

const char *
fixture_certificates(void)
{
	struct identity id[6];

	if (have_certificates) {
		return certificates;
	}
	assert_non_null(mkdtemp(certificates));
	id[0] = make("ca", NULL, NULL);
	id[1] = make("other-ca", NULL, NULL);
	id[2] = make("server", &id[0], "DNS:localhost,IP:127.0.0.1");
	id[3] = make("client", &id[0], "DNS:ns1.example.org");
	id[4] = make("client2", &id[0], "DNS:ns2.example.org");
	id[5] = make("stranger", &id[1], "DNS:ns1.example.org");
	for (size_t i = 0; i < ARRAY_LEN(id); i++) {
		save(names[i], &id[i]);
		X509_free(id[i].cert);
		EVP_PKEY_free(id[i].key);
	}
	have_certificates = true;
	return certificates;
}

void
fixture_certificates_remove(void)
{
	char path[96];

	for (size_t i = 0; have_certificates && i < ARRAY_LEN(names); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s.pem", certificates, names[i]);
		(void)unlink(path);
		(void)snprintf(
		    path, sizeof(path), "%s/%s.key", certificates, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(certificates);
}

/* ---- the server ---- */

/* A port that nobody has, and the next to bind it gets. */
static unsigned
free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	unsigned port;

	assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	port = port_of(fd);
	(void)close(fd);
	return port;
}

static struct conf *
load_conf(const char *text)
{
	char path[] = "/tmp/joinery-test.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	struct errctx ec = ERRCTX_INIT;
	struct conf *conf = NULL;

	assert_non_null(f);
	(void)fprintf(f, "token-uri = 'pkcs11:token=t'\n");
	for (const char *p = text; *p != '\0'; p++) {
		if (p[0] == '@' && p[1] == '/') {
			(void)fputs(fixture_certificates(), f);
		} else if (p[0] == '@' && p[1] == ':') {
			(void)fprintf(f, ":%u", free_port());
			p++;
		} else {
			(void)fputc(*p, f);
		}
	}
	assert_int_equal(fclose(f), 0);
	if (conf_load(path, &conf, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	(void)unlink(path);
	return conf;
}

struct fixture *
fixture_new(const char *conf)
{
	struct fixture *f = sys_xcalloc(1, sizeof(*f));
	struct event_config *config = event_config_new();

	(void)signal(SIGPIPE, SIG_IGN);
	/* As server.c does. */
	(void)event_config_set_flag(config,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	f->conf = load_conf(conf);
	f->server.conf = f->conf;
	f->server.base = event_base_new_with_config(config);
	event_config_free(config);
	f->server.conns = conns_new();
	f->server.partings = partings_new(f->server.base);
	return f;
}

void
fixture_free(struct fixture *f)
{
	conns_free(f->server.conns);
	partings_free(f->server.partings);
	tls_free(f->server.tls);
	event_base_free(f->server.base);
	conf_free(f->conf);
	free(f);
}

void
fixture_turn(struct fixture *f)
{
	(void)event_base_loop(f->server.base, EVLOOP_NONBLOCK);
	(void)poll(NULL, 0, 1);
}

uint16_t
port_of(int fd)
{
	struct sockaddr_in in = { .sin_port = 0 };
	socklen_t len = sizeof(in);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin_port);
}

/* ---- the client ---- */

static struct client *
client_new(struct fixture *f, const struct sockaddr *addr, socklen_t len)
{
	struct client *c = sys_xcalloc(1, sizeof(*c));

	c->f = f;
	c->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, addr, len), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
	return c;
}

struct client *
client_tcp(struct fixture *f, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };

	return client_new(f, (const struct sockaddr *)&in, sizeof(in));
}

struct client *
client_unix(struct fixture *f, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return client_new(f, (const struct sockaddr *)&un, sizeof(un));
}

static bool
ssl_again(struct client *c, int result)
{
	int error = SSL_get_error(c->ssl, result);

	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool
client_tls(struct client *c, const char *name)
{
	char path[96];
	int result = 0;

	c->ctx = SSL_CTX_new(TLS_client_method());
	(void)snprintf(path, sizeof(path), "%s/ca.pem", fixture_certificates());
	assert_int_equal(SSL_CTX_load_verify_file(c->ctx, path), 1);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	if (name != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s.pem",
		    fixture_certificates(), name);
		assert_int_equal(
		    SSL_CTX_use_certificate_chain_file(c->ctx, path), 1);
		(void)snprintf(path, sizeof(path), "%s/%s.key",
		    fixture_certificates(), name);
		assert_int_equal(
		    SSL_CTX_use_PrivateKey_file(c->ctx, path, SSL_FILETYPE_PEM),
		    1);
	}
	c->ssl = SSL_new(c->ctx);
	assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
	for (int i = 0; i < PUMP_MS; i++) {
		result = SSL_connect(c->ssl);
		if (result == 1 || !ssl_again(c, result)) {
			break;
		}
		fixture_turn(c->f);
	}
	return result == 1;
}

void
client_send(struct client *c, const void *data, size_t len)
{
	const char *p = data;

	for (int i = 0; len > 0 && i < PUMP_MS; i++) {
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, p, (int)len)
					   : send(c->fd, p, len, MSG_NOSIGNAL);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (c->ssl != NULL ? !ssl_again(c, (int)n)
					  : errno != EAGAIN) {
			return; /* what comes back says more */
		}
		fixture_turn(c->f);
	}
}

void
client_say(struct client *c, const char *text)
{
	client_send(c, text, strlen(text));
}

static void
client_read(struct client *c)
{
	size_t room = sizeof(c->in) - 1 - c->len;
	ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->len, (int)room)
				   : recv(c->fd, c->in + c->len, room, 0);

	if (n > 0) {
		c->len += (size_t)n;
	} else if (c->ssl != NULL) {
		int error = SSL_get_error(c->ssl, (int)n);

		c->ended = error != SSL_ERROR_WANT_READ;
		c->reset = c->ended && error != SSL_ERROR_ZERO_RETURN;
		ERR_clear_error();
	} else {
		c->ended = n == 0 || errno != EAGAIN;
		c->reset = n < 0 && errno != EAGAIN;
	}
}

bool
client_hears(struct client *c, const char *text)
{
	for (int i = 0; i < PUMP_MS; i++) {
		if (memmem(c->in, c->len, text, strlen(text)) != NULL) {
			return true;
		}
		if (c->ended) {
			return false;
		}
		fixture_turn(c->f);
		client_read(c);
	}
	return false;
}

bool
client_hears_len(struct client *c, size_t len)
{
	for (int i = 0; i < PUMP_MS && !c->ended && c->len < len; i++) {
		fixture_turn(c->f);
		client_read(c);
	}
	return c->len >= len;
}

bool
client_hears_end(struct client *c)
{
	for (int i = 0; i < PUMP_MS && !c->ended; i++) {
		fixture_turn(c->f);
		client_read(c);
	}
	return c->ended;
}

unsigned
client_count(const struct client *c, const char *text)
{
	unsigned n = 0;

	for (const char *p = c->in; (p = strstr(p, text)) != NULL; p++) {
		n++;
	}
	return n;
}

void
client_forget(struct client *c)
{
	memset(c->in, 0, sizeof(c->in));
	c->len = 0;
}

void
client_free(struct client *c)
{
	if (c->ssl != NULL) {
		SSL_free(c->ssl);
		SSL_CTX_free(c->ctx);
	}
	(void)close(c->fd);
	free(c);
}
