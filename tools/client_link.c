/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets to and from the server.  The descriptor does not block; whatever
 * would block is tried again after poll(2) said so, until a deadline.  Sockets
 * with and without TLS differ in move_once() and in how they are opened, in
 * nothing else.
 */
#include "tools/client_link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "src/base/sys.h"

struct link {
	int fd;
	SSL_CTX *ctx; /* NULL without TLS */
	SSL *ssl;
	bool answered; /* the server did, once */
};

/* ---- waiting ---- */

static enum jy_err
wait_for(int fd, short events, uint64_t deadline_us, struct errctx *ec)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		uint64_t now = sys_mono_us();
		uint64_t left_ms =
		    now < deadline_us ? (deadline_us - now + 999) / 1000 : 0;

		n = poll(&p, 1, deadline_us == UINT64_MAX ? -1 : (int)left_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return err_set(ec, JY_EIO, "poll: %s", strerror(errno));
	}
	if (n == 0) {
		return err_set(
		    ec, JY_ETIMEOUT, "the server did not react in time");
	}
	return JY_OK;
}

/* ---- octets ---- */

/* OpenSSL's own word for what went wrong; its queue is empty afterwards. */
static const char *
tls_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	ERR_clear_error();
	return reason != NULL ? reason : "no reason given";
}

/*
 * With TLS 1.3 a server refuses our certificate when we are past the
 * handshake, and what we see of it may be no more than a reset.
 */
static const char *
refusal_doubt(const struct link *l)
{
	return l->answered
	    ? ""
	    : ", before any answer: does the server accept our certificate?";
}

/*
 * What a TLS call that did not succeed wants: events to wait for, or 0 with
 * *err set.  JY_ENOTFOUND: the server said goodbye.
 */
static short
tls_wants(struct link *l, int ret, enum jy_err *err, struct errctx *ec)
{
	int error = errno;

	switch (SSL_get_error(l->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return POLLIN;
	case SSL_ERROR_WANT_WRITE:
		return POLLOUT;
	case SSL_ERROR_ZERO_RETURN:
		*err = JY_ENOTFOUND;
		return 0;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		*err = err_set(ec, JY_EIO, "connection lost: %s%s",
		    error != 0 ? strerror(error) : "closed without notice",
		    refusal_doubt(l));
		return 0;
	default:
		*err = err_set(
		    ec, JY_EIO, "TLS: %s%s", tls_reason(), refusal_doubt(l));
		return 0;
	}
}

/*
 * Move some octets once.  Returns the events to wait for before the next try,
 * or 0 when it is settled: *n octets moved, or *err says why not.
 */
static short
move_once(struct link *l, enum link_way way, uint8_t *p, size_t len, size_t *n,
    enum jy_err *err, struct errctx *ec)
{
	ssize_t ret;

	*err = JY_OK;
	if (l->ssl != NULL) {
		int ok;

		ERR_clear_error();
		errno = 0;
		ok = way == LINK_READ ? SSL_read_ex(l->ssl, p, len, n)
				      : SSL_write_ex(l->ssl, p, len, n);
		return ok == 1 ? 0 : tls_wants(l, ok, err, ec);
	}
	ret = way == LINK_READ ? read(l->fd, p, len) : write(l->fd, p, len);
	if (ret < 0 && (errno == EAGAIN || errno == EINTR)) {
		return way == LINK_READ ? POLLIN : POLLOUT;
	}
	if (ret < 0) {
		*err =
		    err_set(ec, JY_EIO, "connection lost: %s", strerror(errno));
	} else if (ret == 0) {
		*err = JY_ENOTFOUND;
	} else {
		*n = (size_t)ret;
	}
	return 0;
}

enum jy_err
link_move(struct link *l, enum link_way way, struct span *span,
    uint64_t deadline_us, struct errctx *ec)
{
	enum jy_err err;
	short events;
	size_t n = 0;

	while ((events = move_once(
		    l, way, span->at, span->len, &n, &err, ec)) != 0) {
		err = wait_for(l->fd, events, deadline_us, ec);
		if (err != JY_OK) {
			return err;
		}
	}
	if (err == JY_ENOTFOUND) {
		return err_set(ec, JY_EIO, "the server closed the connection");
	}
	if (err != JY_OK) {
		return err;
	}
	l->answered = l->answered || way == LINK_READ;
	span->at += n;
	span->len -= n;
	return JY_OK;
}

/* ---- opening ---- */

static enum jy_err
set_non_blocking(int fd, struct errctx *ec)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
		return err_set(ec, JY_EIO, "fcntl: %s", strerror(errno));
	}
	return JY_OK;
}

static enum jy_err
open_unix(
    struct link *l, const char *path, unsigned timeout_ms, struct errctx *ec)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = (time_t)(timeout_ms / 1000),
		.tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000 };

	if (strlen(path) >= sizeof(sa.sun_path)) {
		return err_set(ec, JY_ECONFIG,
		    "a socket path has at most %zu octets: %s",
		    sizeof(sa.sun_path) - 1, path);
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	/* A full backlog keeps connect waiting; this ends the wait. */
	(void)setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		enum jy_err err = errno == EACCES || errno == EPERM ? JY_EACCESS
		    : errno == EAGAIN ? JY_ETIMEOUT
				      : JY_EIO;

		return err_set(ec, err, "connect to %s: %s", path,
		    err == JY_ETIMEOUT ? "no room in time" : strerror(errno));
	}
	return set_non_blocking(l->fd, ec);
}

/* Split "host:port" or "[address]:port" in place. */
static enum jy_err
split_host_port(char *text, char **host, char **port, struct errctx *ec)
{
	char *colon = strrchr(text, ':');
	size_t len;

	if (colon == NULL || colon == text || colon[1] == '\0') {
		return err_set(ec, JY_ECONFIG, "\"%s\" is not HOST:PORT", text);
	}
	len = (size_t)(colon - text);
	if (text[0] == '[' && len > 2 && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = text + 1;
	} else if (memchr(text, ':', len) != NULL) {
		return err_set(ec, JY_ECONFIG,
		    "\"%s\": an IPv6 address goes into brackets", text);
	} else {
		*colon = '\0';
		*host = text;
	}
	*port = colon + 1;
	return JY_OK;
}

/* Connect to one address; *error is an errno when it did not work. */
static int
connect_one(const struct addrinfo *ai, uint64_t deadline_us, int *error)
{
	int one = 1;
	int fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*error);

	if (fd < 0) {
		*error = errno;
		return -1;
	}
	*error = 0;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		*error = errno;
	}
	if (*error == EINPROGRESS) {
		if (wait_for(fd, POLLOUT, deadline_us, NULL) != JY_OK) {
			*error = ETIMEDOUT;
		} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &len) !=
		    0) {
			*error = errno;
		}
	}
	if (*error != 0) {
		(void)close(fd);
		return -1;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static enum jy_err
open_tcp(struct link *l, const char *host, const char *port,
    uint64_t deadline_us, struct errctx *ec)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int error = getaddrinfo(host, port, &hints, &list);

	if (error != 0) {
		return err_set(ec, JY_EIO, "look up %s port %s: %s", host, port,
		    gai_strerror(error));
	}
	for (struct addrinfo *ai = list; ai != NULL && l->fd < 0;
	     ai = ai->ai_next) {
		l->fd = connect_one(ai, deadline_us, &error);
	}
	freeaddrinfo(list);
	if (l->fd < 0) {
		return err_set(ec, error == ETIMEDOUT ? JY_ETIMEOUT : JY_EIO,
		    "connect to %s port %s: %s", host, port, strerror(error));
	}
	return JY_OK;
}

/* Our certificate and key, and the CA that the server's must come from. */
static enum jy_err
tls_load(struct link *l, const struct client_config *config, struct errctx *ec)
{
	/* Over HTTP there are other credentials than a certificate. */
	bool anonymous = config->bi != NULL && config->cert == NULL;

	if (config->ca == NULL ||
	    (!anonymous && (config->cert == NULL || config->key == NULL))) {
		return err_set(ec, JY_ECONFIG,
		    "TLS needs the server's CA, a certificate and its key");
	}
	ERR_clear_error();
	l->ctx = SSL_CTX_new(TLS_client_method());
	if (l->ctx == NULL ||
	    SSL_CTX_set_min_proto_version(l->ctx, TLS1_2_VERSION) != 1) {
		return err_set(ec, JY_ECONFIG, "TLS: %s", tls_reason());
	}
	SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(l->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_load_verify_file(l->ctx, config->ca) != 1) {
		return err_set(
		    ec, JY_ECONFIG, "CA file %s: %s", config->ca, tls_reason());
	}
	if (anonymous) {
		return JY_OK;
	}
	if (SSL_CTX_use_certificate_chain_file(l->ctx, config->cert) != 1) {
		return err_set(ec, JY_ECONFIG, "certificate file %s: %s",
		    config->cert, tls_reason());
	}
	if (SSL_CTX_use_PrivateKey_file(
		l->ctx, config->key, SSL_FILETYPE_PEM) != 1) {
		return err_set(ec, JY_ECONFIG, "key file %s: %s", config->key,
		    tls_reason());
	}
	return JY_OK;
}

/* The server's certificate must name host: an address as such, or a name. */
static enum jy_err
tls_expect_host(struct link *l, char *host, struct errctx *ec)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(l->ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
		return JY_OK;
	}
	ERR_clear_error();
	SSL_set_hostflags(l->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(l->ssl, host) != 1 ||
	    SSL_set_tlsext_host_name(l->ssl, host) != 1) {
		return err_set(
		    ec, JY_ECONFIG, "host name %s: %s", host, tls_reason());
	}
	return JY_OK;
}

static enum jy_err
tls_handshake(struct link *l, uint64_t deadline_us, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	long verify;
	int ret;

	for (;;) {
		short events;

		ERR_clear_error();
		errno = 0;
		ret = SSL_connect(l->ssl);
		if (ret == 1) {
			return JY_OK;
		}
		verify = SSL_get_verify_result(l->ssl);
		if (verify != X509_V_OK) {
			ERR_clear_error();
			return err_set(ec, JY_EPEER,
			    "server certificate refused: %s",
			    X509_verify_cert_error_string(verify));
		}
		events = tls_wants(l, ret, &err, ec);
		if (events != 0) {
			err = wait_for(l->fd, events, deadline_us, ec);
		}
		if (err == JY_ENOTFOUND) {
			return err_set(
			    ec, JY_EIO, "the server closed the connection");
		}
		if (err != JY_OK) {
			return err;
		}
	}
}

static enum jy_err
open_tls(struct link *l, const struct client_config *config,
    uint64_t deadline_us, struct errctx *ec)
{
	char *text = sys_xstrdup(config->tcp);
	char *host;
	char *port;
	enum jy_err err;

	err = split_host_port(text, &host, &port, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = tls_load(l, config, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = open_tcp(l, host, port, deadline_us, ec);
	if (err != JY_OK) {
		goto out;
	}
	l->ssl = SSL_new(l->ctx);
	if (l->ssl == NULL || SSL_set_fd(l->ssl, l->fd) != 1) {
		err = err_set(ec, JY_EIO, "TLS: %s", tls_reason());
		goto out;
	}
	err = tls_expect_host(l, host, ec);
	if (err == JY_OK) {
		err = tls_handshake(l, deadline_us, ec);
	}
out:
	free(text);
	return err;
}

enum jy_err
link_open(
    const struct client_config *config, struct link **out, struct errctx *ec)
{
	struct link *l = sys_xcalloc(1, sizeof(*l));
	enum jy_err err;

	jy_assert(config->socket != NULL || config->tcp != NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	l->fd = -1;
	err = config->socket != NULL
	    ? open_unix(l, config->socket, config->timeout_ms, ec)
	    : open_tls(l, config, link_deadline(config->timeout_ms), ec);
	if (err != JY_OK) {
		link_close(l);
		return err;
	}
	*out = l;
	return JY_OK;
}

enum jy_err
link_open_plain(
    const char *tcp, unsigned timeout_ms, struct link **out, struct errctx *ec)
{
	struct link *l = sys_xcalloc(1, sizeof(*l));
	char *text = sys_xstrdup(tcp);
	char *host;
	char *port;
	enum jy_err err;

	(void)signal(SIGPIPE, SIG_IGN);
	l->fd = -1;
	l->answered = true; /* there is no certificate to doubt */
	err = split_host_port(text, &host, &port, ec);
	if (err == JY_OK) {
		err = open_tcp(l, host, port, link_deadline(timeout_ms), ec);
	}
	free(text);
	if (err != JY_OK) {
		link_close(l);
		return err;
	}
	*out = l;
	return JY_OK;
}

int
link_fd(const struct link *l)
{
	return l->fd;
}

bool
link_has_pending(const struct link *l)
{
	return l->ssl != NULL && SSL_has_pending(l->ssl) == 1;
}

uint64_t
link_deadline(unsigned timeout_ms)
{
	return timeout_ms == CLIENT_FOREVER
	    ? UINT64_MAX
	    : sys_mono_us() + (uint64_t)timeout_ms * 1000;
}

void
link_close(struct link *l)
{
	if (l == NULL) {
		return;
	}
	if (l->ssl != NULL && SSL_is_init_finished(l->ssl)) {
		(void)SSL_shutdown(l->ssl);
		ERR_clear_error();
	}
	SSL_free(l->ssl);
	SSL_CTX_free(l->ctx);
	if (l->fd >= 0) {
		(void)close(l->fd);
	}
	free(l);
}
