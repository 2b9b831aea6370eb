/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to joineryd.  The descriptor does not block; whatever would
 * block is tried again after poll(2) said so, until a deadline.  Unix socket
 * and TLS differ in io_try() and in how they are opened, in nothing else.
 *
 * Frames are gathered in one buffer each way, so that many requests in flight
 * cost few system calls.
 */
#include "tools/client.h"

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

#include "proto/frame.h"
#include "src/base/sys.h"

struct buffer {
	size_t start; /* first octet still of use */
	size_t end;   /* behind the last */
	uint8_t data[FRAME_HEAD_LEN + FRAME_MAX];
};

struct client {
	int fd;
	SSL_CTX *ctx; /* NULL on a Unix socket */
	SSL *ssl;
	bool answered; /* the server did, once */
	unsigned timeout_ms;
	uint64_t last_id;
	struct buffer in;
	struct buffer out;
};

enum direction {
	IO_READ,
	IO_WRITE
};

/* ---- waiting ---- */

static uint64_t
deadline_of(const struct client *c)
{
	return sys_mono_us() + (uint64_t)c->timeout_ms * 1000;
}

static enum jy_err
wait_for(int fd, short events, uint64_t deadline_us, struct errctx *ec)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		uint64_t now = sys_mono_us();
		uint64_t left_ms =
		    now < deadline_us ? (deadline_us - now + 999) / 1000 : 0;

		n = poll(&p, 1, (int)left_ms);
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
refusal_doubt(const struct client *c)
{
	return c->answered
	    ? ""
	    : ", before any answer: does the server accept our certificate?";
}

/*
 * What a TLS call that did not succeed wants: events to wait for, or 0 with
 * *err set.  JY_ENOTFOUND: the server said goodbye.
 */
static short
tls_wants(struct client *c, int ret, enum jy_err *err, struct errctx *ec)
{
	int error = errno;

	switch (SSL_get_error(c->ssl, ret)) {
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
		    refusal_doubt(c));
		return 0;
	default:
		*err = err_set(
		    ec, JY_EIO, "TLS: %s%s", tls_reason(), refusal_doubt(c));
		return 0;
	}
}

/*
 * Move some octets once.  Returns the events to wait for before the next try,
 * or 0 when it is settled: *n octets moved, or *err says why not.
 */
static short
io_try(struct client *c, enum direction dir, struct buffer *b, size_t *n,
    enum jy_err *err, struct errctx *ec)
{
	ssize_t ret;

	*err = JY_OK;
	if (c->ssl != NULL) {
		int ok;

		ERR_clear_error();
		errno = 0;
		ok = dir == IO_READ ? SSL_read_ex(c->ssl, b->data + b->end,
					  sizeof(b->data) - b->end, n)
				    : SSL_write_ex(c->ssl, b->data + b->start,
					  b->end - b->start, n);
		return ok == 1 ? 0 : tls_wants(c, ok, err, ec);
	}
	ret = dir == IO_READ
	    ? read(c->fd, b->data + b->end, sizeof(b->data) - b->end)
	    : write(c->fd, b->data + b->start, b->end - b->start);
	if (ret < 0 && (errno == EAGAIN || errno == EINTR)) {
		return dir == IO_READ ? POLLIN : POLLOUT;
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

static enum jy_err
io_move(struct client *c, enum direction dir, struct buffer *b,
    uint64_t deadline_us, struct errctx *ec)
{
	enum jy_err err;
	short events;
	size_t n = 0;

	while ((events = io_try(c, dir, b, &n, &err, ec)) != 0) {
		err = wait_for(c->fd, events, deadline_us, ec);
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
	if (dir == IO_READ) {
		b->end += n;
	} else {
		b->start += n;
	}
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
open_unix(struct client *c, const char *path, struct errctx *ec)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = (time_t)(c->timeout_ms / 1000),
		.tv_usec = (suseconds_t)(c->timeout_ms % 1000) * 1000 };

	if (strlen(path) >= sizeof(sa.sun_path)) {
		return err_set(ec, JY_ECONFIG,
		    "a socket path has at most %zu octets: %s",
		    sizeof(sa.sun_path) - 1, path);
	}
	memcpy(sa.sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	/* A full backlog keeps connect waiting; this ends the wait. */
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		enum jy_err err = errno == EACCES || errno == EPERM ? JY_EACCESS
		    : errno == EAGAIN ? JY_ETIMEOUT
				      : JY_EIO;

		return err_set(ec, err, "connect to %s: %s", path,
		    err == JY_ETIMEOUT ? "no room in time" : strerror(errno));
	}
	return set_non_blocking(c->fd, ec);
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
open_tcp(struct client *c, const char *host, const char *port,
    uint64_t deadline_us, struct errctx *ec)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int error = getaddrinfo(host, port, &hints, &list);

	if (error != 0) {
		return err_set(ec, JY_EIO, "look up %s port %s: %s", host, port,
		    gai_strerror(error));
	}
	for (struct addrinfo *ai = list; ai != NULL && c->fd < 0;
	     ai = ai->ai_next) {
		c->fd = connect_one(ai, deadline_us, &error);
	}
	freeaddrinfo(list);
	if (c->fd < 0) {
		return err_set(ec, error == ETIMEDOUT ? JY_ETIMEOUT : JY_EIO,
		    "connect to %s port %s: %s", host, port, strerror(error));
	}
	return JY_OK;
}

/* Our certificate and key, and the CA that the server's must come from. */
static enum jy_err
tls_load(
    struct client *c, const struct client_config *config, struct errctx *ec)
{
	if (config->ca == NULL || config->cert == NULL || config->key == NULL) {
		return err_set(ec, JY_ECONFIG,
		    "TLS needs the server's CA, a certificate and its key");
	}
	ERR_clear_error();
	c->ctx = SSL_CTX_new(TLS_client_method());
	if (c->ctx == NULL ||
	    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1) {
		return err_set(ec, JY_ECONFIG, "TLS: %s", tls_reason());
	}
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(c->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_load_verify_file(c->ctx, config->ca) != 1) {
		return err_set(
		    ec, JY_ECONFIG, "CA file %s: %s", config->ca, tls_reason());
	}
	if (SSL_CTX_use_certificate_chain_file(c->ctx, config->cert) != 1) {
		return err_set(ec, JY_ECONFIG, "certificate file %s: %s",
		    config->cert, tls_reason());
	}
	if (SSL_CTX_use_PrivateKey_file(
		c->ctx, config->key, SSL_FILETYPE_PEM) != 1) {
		return err_set(ec, JY_ECONFIG, "key file %s: %s", config->key,
		    tls_reason());
	}
	return JY_OK;
}

/* The server's certificate must name host: an address as such, or a name. */
static enum jy_err
tls_expect_host(struct client *c, char *host, struct errctx *ec)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
		return JY_OK;
	}
	ERR_clear_error();
	SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(c->ssl, host) != 1 ||
	    SSL_set_tlsext_host_name(c->ssl, host) != 1) {
		return err_set(
		    ec, JY_ECONFIG, "host name %s: %s", host, tls_reason());
	}
	return JY_OK;
}

static enum jy_err
tls_handshake(struct client *c, uint64_t deadline_us, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	long verify;
	int ret;

	for (;;) {
		short events;

		ERR_clear_error();
		errno = 0;
		ret = SSL_connect(c->ssl);
		if (ret == 1) {
			return JY_OK;
		}
		verify = SSL_get_verify_result(c->ssl);
		if (verify != X509_V_OK) {
			ERR_clear_error();
			return err_set(ec, JY_EPEER,
			    "server certificate refused: %s",
			    X509_verify_cert_error_string(verify));
		}
		events = tls_wants(c, ret, &err, ec);
		if (events != 0) {
			err = wait_for(c->fd, events, deadline_us, ec);
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
open_tls(
    struct client *c, const struct client_config *config, struct errctx *ec)
{
	uint64_t deadline_us = deadline_of(c);
	char *text = sys_xstrdup(config->tcp);
	char *host;
	char *port;
	enum jy_err err;

	err = split_host_port(text, &host, &port, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = tls_load(c, config, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = open_tcp(c, host, port, deadline_us, ec);
	if (err != JY_OK) {
		goto out;
	}
	c->ssl = SSL_new(c->ctx);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
		err = err_set(ec, JY_EIO, "TLS: %s", tls_reason());
		goto out;
	}
	err = tls_expect_host(c, host, ec);
	if (err == JY_OK) {
		err = tls_handshake(c, deadline_us, ec);
	}
out:
	free(text);
	return err;
}

enum jy_err
client_open(
    const struct client_config *config, struct client **out, struct errctx *ec)
{
	struct client *c = sys_xcalloc(1, sizeof(*c));
	enum jy_err err;

	jy_assert(config->socket != NULL || config->tcp != NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	c->fd = -1;
	c->timeout_ms = config->timeout_ms;
	err = config->socket != NULL ? open_unix(c, config->socket, ec)
				     : open_tls(c, config, ec);
	if (err != JY_OK) {
		client_close(c);
		return err;
	}
	*out = c;
	return JY_OK;
}

void
client_close(struct client *c)
{
	if (c == NULL) {
		return;
	}
	if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
		(void)SSL_shutdown(c->ssl);
		ERR_clear_error();
	}
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	if (c->fd >= 0) {
		(void)close(c->fd);
	}
	free(c);
}

/* ---- frames ---- */

enum jy_err
client_flush(struct client *c, struct errctx *ec)
{
	uint64_t deadline_us = deadline_of(c);

	while (c->out.start < c->out.end) {
		enum jy_err err =
		    io_move(c, IO_WRITE, &c->out, deadline_us, ec);

		if (err != JY_OK) {
			return err;
		}
	}
	c->out.start = 0;
	c->out.end = 0;
	return JY_OK;
}

enum jy_err
client_send(
    struct client *c, const Joinery__V1__Request *request, struct errctx *ec)
{
	size_t len = joinery__v1__request__get_packed_size(request);

	if (len == 0 || len > FRAME_MAX) {
		return err_set(ec, JY_EINVAL,
		    "request of %zu octets, 1 to %u fit into a frame", len,
		    FRAME_MAX);
	}
	if (sizeof(c->out.data) - c->out.end < FRAME_HEAD_LEN + len) {
		enum jy_err err = client_flush(c, ec);

		if (err != JY_OK) {
			return err;
		}
	}
	frame_head_put(c->out.data + c->out.end, len);
	(void)joinery__v1__request__pack(
	    request, c->out.data + c->out.end + FRAME_HEAD_LEN);
	c->out.end += FRAME_HEAD_LEN + len;
	return JY_OK;
}

/*
 * Take the next frame out of what was read; *frame NULL when it is not all
 * there.  Then what is there starts at the front of the buffer, and the rest
 * of the frame has room behind it.
 */
static enum jy_err
take_frame(
    struct buffer *in, const uint8_t **frame, size_t *len, struct errctx *ec)
{
	size_t have = in->end - in->start;

	*frame = NULL;
	if (have >= FRAME_HEAD_LEN) {
		enum jy_err err =
		    frame_head_get(in->data + in->start, FRAME_MAX, len, ec);

		if (err != JY_OK) {
			return err;
		}
		if (have - FRAME_HEAD_LEN >= *len) {
			*frame = in->data + in->start + FRAME_HEAD_LEN;
			in->start += FRAME_HEAD_LEN + *len;
			return JY_OK;
		}
	}
	memmove(in->data, in->data + in->start, have);
	in->start = 0;
	in->end = have;
	return JY_OK;
}

static enum jy_err
next_frame(
    struct client *c, const uint8_t **frame, size_t *len, struct errctx *ec)
{
	uint64_t deadline_us = deadline_of(c);
	struct errctx flush_ec = ERRCTX_INIT;
	enum jy_err flush_err = JY_OK;
	enum jy_err err;

	while ((err = take_frame(&c->in, frame, len, ec)) == JY_OK &&
	    *frame == NULL) {
		/*
		 * A server that hung up on us may have said why: look for
		 * that before the failed write is reported.
		 */
		if (flush_err == JY_OK) {
			flush_err = client_flush(c, &flush_ec);
		}
		err = io_move(c, IO_READ, &c->in, deadline_us,
		    flush_err == JY_OK ? ec : NULL);
		if (err != JY_OK && flush_err != JY_OK) {
			return err_set(ec, flush_err, "%s",
			    err_detail(&flush_ec, flush_err));
		}
		if (err != JY_OK) {
			return err;
		}
	}
	return err;
}

enum jy_err
client_receive(struct client *c, Joinery__V1__Response **out, struct errctx *ec)
{
	Joinery__V1__Response *response;
	const uint8_t *frame;
	size_t len;
	enum jy_err err = next_frame(c, &frame, &len, ec);

	if (err != JY_OK) {
		return err;
	}
	response = joinery__v1__response__unpack(NULL, len, frame);
	if (response == NULL) {
		return err_set(ec, JY_EINVAL,
		    "an answer of %zu octets is not of this protocol", len);
	}
	c->answered = true;
	*out = response;
	return JY_OK;
}

enum jy_err
client_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec)
{
	enum jy_err err;

	if (!request->has_id) {
		request->has_id = 1;
		request->id = ++c->last_id;
	}
	err = client_send(c, request, ec);
	while (err == JY_OK) {
		Joinery__V1__Response *r;

		err = client_receive(c, &r, ec);
		if (err != JY_OK) {
			break;
		}
		if (r->has_id ? r->id == request->id
			      : r->result_case ==
			    JOINERY__V1__RESPONSE__RESULT_ERROR) {
			*out = r;
			break;
		}
		client_free(r);
	}
	return err;
}

void
client_free(Joinery__V1__Response *response)
{
	if (response != NULL) {
		joinery__v1__response__free_unpacked(response, NULL);
	}
}
