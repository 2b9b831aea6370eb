/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an HTTP connection beside evhttp; http_conn.h has its states.
 *
 * The argument of the callbacks that evhttp sets on a bufferevent is its
 * evhttp_connection, and it has no other way of telling us of one before the
 * first request.
 */
#include "src/front/http_conn.h"

#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/bi/bi.h"
#include "src/conf/conf.h"
#include "src/front/parting.h"
#include "src/front/server.h"

/* One request always fits; more, sent ahead, waits in the kernel. */
#define INPUT_HIGH (BI_BODY_MAX + 2U * HTTP_HEADER_MAX)

/* Two for a header line, four for a chunk. */
#define PIECES_MAX 2048U

#define STATUS_CONTINUE 100
#define STATUS_BAD_REQUEST 400
#define STATUS_HEADER_TOO_LARGE 431

/* ---- the end of a connection ---- */

void
http_conn_unref(struct http_conn *c)
{
	if (--c->refs == 0) {
		if (c->has_tls_peer) {
			tls_peer_fini(&c->tls_peer);
		}
		if (c->exchange.body != NULL) {
			evbuffer_free(c->exchange.body);
		}
		c->magic = 0;
		free(c);
	}
}

static void
uncount(struct http_conn *c)
{
	if (c->counted) {
		c->counted = false;
		c->http->count--;
	}
}

static void
conn_gone(struct http_conn *c)
{
	uncount(c);
	TAILQ_REMOVE(&c->http->list, c, link);
	event_free(c->kick);
	c->kick = NULL;
	c->bev = NULL;
	c->evcon = NULL;
	c->exchange.req = NULL;
	c->state = HTTP_GONE;
	http_conn_unref(c);
}

/* evhttp frees the connection, whoever wanted that. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct http_conn *c = arg;
	bool cut = c->state == HTTP_READING && c->slow_since_us != 0;

	(void)evcon;
	jy_assert(c->magic == HTTP_CONN_MAGIC);
	if (cut && c->refusal == 0) {
		log_notice(
		    "http", "connection ended in a request", "%s", c->name);
	}
	if (c->parting != NULL) {
		parting_forget(c->parting);
		c->parting = NULL;
	}
	c->http->by_fd[c->fd] = NULL;
	conn_gone(c);
}

void
http_conn_close(struct http_conn *c)
{
	c->slow_since_us = 0;
	if (c->is_tls && c->state != HTTP_PARTING) {
		tls_close_notify(c->bev);
	}
	evhttp_connection_free(c->evcon);
}

void
http_conn_drop(struct http_conn *c)
{
	struct bufferevent *bev = c->bev;

	jy_assert(c->state == HTTP_FRESH);
	conn_gone(c);
	(void)bufferevent_decref(bev);
}

static void
on_parted(void *arg)
{
	struct http_conn *c = arg;

	c->parting = NULL;
	http_conn_close(c);
}

/* All is written: close it so that our last words arrive. */
static void
conn_part(struct http_conn *c)
{
	if (c->is_tls) {
		tls_close_notify(c->bev);
	}
	uncount(c);
	c->state = HTTP_PARTING;
	c->slow_since_us = 0;
	c->parting = parting_begin(c->server->partings, c->bev, on_parted, c);
	if (c->parting == NULL) {
		http_conn_close(c);
	}
}

static void
on_ending_written(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	jy_assert(c->magic == HTTP_CONN_MAGIC);
	if (evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
		conn_part(c);
	}
}

static void
on_ending_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	(void)bev;
	(void)what;
	jy_assert(c->magic == HTTP_CONN_MAGIC);
	http_conn_close(c);
}

void
http_conn_end(struct http_conn *c)
{
	c->state = HTTP_ENDING;
	c->slow_since_us = sys_mono_us();
	bufferevent_setcb(c->bev, NULL, on_ending_written, on_ending_event, c);
	(void)bufferevent_disable(c->bev, EV_READ);
	(void)bufferevent_enable(c->bev, EV_WRITE);
	on_ending_written(c->bev, c);
}

void
http_conn_finish(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_HANDSHAKE:
		http_conn_close(c);
		break;
	case HTTP_READING:
	case HTTP_WRITING:
		http_conn_end(c);
		break;
	case HTTP_FRESH:   /* is not begun any more */
	case HTTP_WAITING: /* its answer is the last */
	case HTTP_ENDING:
	case HTTP_PARTING:
	case HTTP_GONE:
		break;
	}
}

/* ---- what the client does ---- */

/*
 * Octets of a request have come, or evhttp has taken a piece of them: what it
 * makes of an empty header line is a hundred times as long.
 */
static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct http_conn *c = arg;

	(void)in;
	if (c->state != HTTP_READING) {
		return;
	}
	if (info->n_added > 0 && c->slow_since_us == 0) {
		c->slow_since_us = sys_mono_us();
	}
	if (info->n_deleted > 0 && ++c->pieces == PIECES_MAX &&
	    c->refusal == 0) {
		c->refusal = STATUS_HEADER_TOO_LARGE;
		event_active(c->kick, EV_TIMEOUT, 0);
	}
}

/* Copy n octets out of a buffer that libevent has frozen against draining. */
static void
look_at(struct evbuffer *buf, size_t from, char *out, size_t n)
{
	struct evbuffer_iovec part[4];
	struct evbuffer_ptr at;
	int parts;

	if (evbuffer_ptr_set(buf, &at, from, EVBUFFER_PTR_SET) != 0) {
		return;
	}
	parts = evbuffer_peek(buf, (ev_ssize_t)n, &at, part, ARRAY_LEN(part));
	for (int i = 0; i < parts && i < (int)ARRAY_LEN(part); i++) {
		size_t len = part[i].iov_len < n ? part[i].iov_len : n;

		memcpy(out, part[i].iov_base, len);
		out += len;
		n -= len;
	}
}

/*
 * evhttp says something without having asked us: "100 Continue", or that the
 * request is not to its liking, and then it would close at once.
 */
static void
on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
	static const char before_status[] = "HTTP/1.1 ";
	char start[sizeof(before_status) + 3] = "";
	struct http_conn *c = arg;
	int status;

	if (info->n_added < sizeof(start) || c->state != HTTP_READING ||
	    c->refusal != 0) {
		return;
	}
	look_at(out, info->orig_size, start, sizeof(start) - 1);
	status = atoi(start + sizeof(before_status) - 1);
	if (status != STATUS_CONTINUE) {
		c->refusal = status > 0 ? status : STATUS_BAD_REQUEST;
		event_active(c->kick, EV_TIMEOUT, 0);
	}
}

static void
on_waiting_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	jy_assert(c->magic == HTTP_CONN_MAGIC);
	if ((what & BEV_EVENT_EOF) != 0) {
		/* It may still want the answer, and asks nothing more. */
		c->peer_done = true;
		(void)bufferevent_disable(bev, EV_READ);
		return;
	}
	log_debug(
	    "http", "the client has gone before its answer", "%s", c->name);
	http_conn_close(c);
}

/* A write callback that was due before the state changed. */
static void
on_nothing(struct bufferevent *bev, void *arg)
{
	(void)bev;
	(void)arg;
}

void
http_conn_await_answer(struct http_conn *c)
{
	c->state = HTTP_WAITING;
	c->slow_since_us = 0;
	c->active_us = sys_mono_us();
	bufferevent_setcb(c->bev, NULL, on_nothing, on_waiting_event, c);
	(void)bufferevent_enable(c->bev, EV_READ);
}

void
http_conn_read_on(struct http_conn *c)
{
	c->state = HTTP_READING;
	c->pieces = 0;
	c->active_us = sys_mono_us();
	c->slow_since_us =
	    evbuffer_get_length(bufferevent_get_input(c->bev)) > 0
	    ? c->active_us
	    : 0;
}

/* ---- limits ---- */

void
http_conn_sweep(struct http_conn *c, uint64_t now_us)
{
	static const char *const slow[] = {
		[HTTP_HANDSHAKE] = "a handshake took longer than frame-timeout",
		[HTTP_READING] = "a request took longer than frame-timeout",
		[HTTP_WRITING] = "the client does not read its answer",
		[HTTP_ENDING] = "the client does not read its answer",
	};
	const struct conf *conf = c->server->conf;
	uint64_t frame_us = (uint64_t)conf->frame_timeout_s * 1000000U;
	uint64_t idle_us = (uint64_t)conf->idle_timeout_s * 1000000U;
	const char *why = NULL;

	if (c->slow_since_us != 0) {
		why = now_us > c->slow_since_us + frame_us ? slow[c->state]
							   : NULL;
	} else if (c->state == HTTP_READING &&
	    now_us > c->active_us + idle_us) {
		why = "no request within idle-timeout";
	}
	if (why != NULL) {
		log_notice(
		    "http", "cut a connection", "%s why=\"%s\"", c->name, why);
		http_conn_close(c);
	}
}

/* ---- TLS ---- */

static void
on_handshake_done(struct http_conn *c)
{
	struct errctx ec = ERRCTX_INIT;

	if (tls_peer_shown(c->bev)) {
		if (tls_peer_init(c->bev, &c->tls_peer, &ec) != JY_OK) {
			log_notice("http", "cut a connection", "%s why=\"%s\"",
			    c->name, ec.text);
			http_conn_close(c);
			return;
		}
		c->has_tls_peer = true;
		c->peer.kind = 'c';
		memcpy(c->peer.octets, c->tls_peer.fingerprint,
		    sizeof(c->peer.octets));
		if (!http_admits(c)) {
			http_conn_close(c);
			return;
		}
	}
	bufferevent_setcb(
	    c->bev, c->on_read, c->on_write, c->on_event, c->evcon);
	http_conn_read_on(c);
}

static void
on_handshake_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;
	const char *todo;
	char why[160];

	jy_assert(c->magic == HTTP_CONN_MAGIC);
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		on_handshake_done(c);
		return;
	}
	todo = tls_error(bev, why, sizeof(why));
	c->server->stats.tls_failures++;
	log_notice("http", "TLS handshake failed", "%s why=\"%s\" do=\"%s\"",
	    c->name, why, todo);
	conn_part(c);
}

/* ---- the beginning of a connection ---- */

struct http_conn *
http_conn_of(struct http *h, struct evhttp_connection *evcon)
{
	int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
	struct http_conn *c =
	    fd >= 0 && (size_t)fd < h->by_fd_len ? h->by_fd[fd] : NULL;

	return c != NULL && c->evcon == evcon ? c : NULL;
}

static bool
by_fd_put(struct http *h, int fd, struct http_conn *c)
{
	size_t len = h->by_fd_len;
	struct http_conn **fresh;

	if ((size_t)fd >= len) {
		len = ((size_t)fd + 1) * 2;
		fresh = reallocarray(h->by_fd, len, sizeof(struct http_conn *));
		if (fresh == NULL) {
			return false;
		}
		for (size_t i = h->by_fd_len; i < len; i++) {
			fresh[i] = NULL;
		}
		h->by_fd = fresh;
		h->by_fd_len = len;
	}
	h->by_fd[fd] = c;
	return true;
}

/* evhttp has made its part of the connection: now look at it. */
static void
conn_begin(struct http_conn *c)
{
	struct bufferevent *bev = c->bev;
	void *evcon = NULL;
	int on = 1;

	bufferevent_getcb(bev, &c->on_read, &c->on_write, &c->on_event, &evcon);
	c->fd = bufferevent_getfd(bev);
	if (evcon == NULL || c->fd < 0 || !by_fd_put(c->http, c->fd, c)) {
		if (evcon != NULL) {
			evhttp_connection_free(evcon);
		}
		http_conn_drop(c);
		return;
	}
	c->evcon = evcon;
	evhttp_connection_set_closecb(c->evcon, on_close, c);
	(void)bufferevent_decref(bev); /* on_close will tell of its end */
	http_name_peer(c);
	c->active_us = sys_mono_us();
	c->state = c->is_tls ? HTTP_HANDSHAKE : HTTP_READING;
	if (c->refused || c->http->finishing || !http_admits(c)) {
		evhttp_connection_free(c->evcon);
		return;
	}
	c->server->stats.http_connections++;
	/* Answers are small and each is waited for. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (c->is_tls) {
		c->slow_since_us = c->active_us;
		bufferevent_setcb(bev, NULL, NULL, on_handshake_event, c);
	}
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct http_conn *c = arg;

	(void)fd;
	(void)what;
	jy_assert(c->magic == HTTP_CONN_MAGIC);
	if (c->state == HTTP_FRESH) {
		conn_begin(c);
	} else if (c->state == HTTP_WAITING && c->exchange.status != 0) {
		http_exchange_send(&c->exchange);
	} else if (c->state == HTTP_READING && c->refusal != 0) {
		log_notice("http", "refused a request", "%s status=%d", c->name,
		    c->refusal);
		http_conn_end(c);
	}
}

/* NULL when memory is short. */
static struct http_conn *
conn_new(struct http_door *door)
{
	struct server *s = door->http->server;
	struct http_conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return NULL;
	}
	c->magic = HTTP_CONN_MAGIC;
	c->http = door->http;
	c->server = s;
	c->is_tls = door->is_tls;
	c->refs = 1;
	c->fd = -1;
	c->kick = event_new(s->base, -1, 0, on_kick, c);
	if (c->is_tls) {
		c->bev = tls_bi_bufferevent_new(s->tls, s->base);
	}
	if (c->bev == NULL) {
		c->refused = c->is_tls;
		c->is_tls = false;
		c->bev =
		    bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
	}
	if (c->kick == NULL || c->bev == NULL ||
	    evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c) ==
		NULL ||
	    evbuffer_add_cb(bufferevent_get_output(c->bev), on_output, c) ==
		NULL) {
		if (c->kick != NULL) {
			event_free(c->kick);
		}
		if (c->bev != NULL) {
			bufferevent_free(c->bev);
		}
		free(c);
		return NULL;
	}
	return c;
}

struct bufferevent *
http_conn_bufferevent(struct http_door *door)
{
	struct http_conn *c = conn_new(door);

	if (c == NULL) {
		/*
		 * evhttp takes a plain one of its own, also for TLS; what
		 * comes by it is of no connection we know, and not answered.
		 */
		return NULL;
	}
	bufferevent_setwatermark(c->bev, EV_READ, 0, INPUT_HIGH);
	/* evhttp may free it before it is begun. */
	bufferevent_incref(c->bev);
	TAILQ_INSERT_TAIL(&c->http->list, c, link);
	event_active(c->kick, EV_TIMEOUT, 0);
	return c->bev;
}
