/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections over libevent's bufferevents.  Life of a conn: open; ending (no
 * more reading, parts when all is answered and written); gone (bev is NULL,
 * kept while requests of it are under way).
 *
 * conn_advance is the one place where frames are taken and where it is
 * decided whether to go on reading; whatever may change the answer calls it.
 */
#include "src/front/conn.h"

#include <sys/queue.h>
#include <sys/time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/frame.h"
#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/dispatch.h"
#include "src/front/parting.h"
#include "src/front/server.h"
#include "src/front/tls.h"
#include "src/front/trace.h"
#include "src/front/waiter.h"

#define CONN_MAGIC 0x636f6e6eU

/* Answers waiting to be read by the peer: pause, and give the peer up. */
#define OUTPUT_PAUSE 262144U
#define OUTPUT_CUT 8388608U

/* Below that, so that events alone do not keep it from asking. */
#define OUTPUT_LAGS (OUTPUT_PAUSE / 2U)

/* One frame always fits. */
#define INPUT_HIGH (2U * (FRAME_HEAD_LEN + FRAME_MAX))

struct conn {
	struct waiter waiter;
	unsigned magic;
	TAILQ_ENTRY(conn) link;
	struct server *server;
	struct bufferevent *bev; /* NULL: gone */
	bool is_tls;
	bool peer_done; /* the peer sends no more */
	bool ending;
	bool kept; /* may be idle */
	bool paused;
	unsigned refs; /* one of its own while open, one per request */
	unsigned in_flight;
	uint64_t slow_since_us; /* a frame or handshake began; 0: none */
	uint64_t active_us;     /* the last request or answer */
	struct tls_peer peer;
	Joinery__Corridor__Credential credential;
	char name[96];
};

struct conns {
	TAILQ_HEAD(, conn) list;
	size_t count;
};

static void conn_advance(struct conn *c);

struct conns *
conns_new(void)
{
	struct conns *conns = sys_xcalloc(1, sizeof(*conns));

	TAILQ_INIT(&conns->list);
	return conns;
}

size_t
conns_count(const struct conns *conns)
{
	return conns->count;
}

/* ---- the end of a connection ---- */

static void
conn_unref(struct conn *c)
{
	if (--c->refs == 0) {
		tls_peer_fini(&c->peer);
		c->magic = 0;
		free(c);
	}
}

static void
conn_forget(struct conn *c)
{
	c->bev = NULL;
	trace_end(c->server->traces, c);
	TAILQ_REMOVE(&c->server->conns->list, c, link);
	c->server->conns->count--;
	conn_unref(c);
}

static void
conn_close(struct conn *c)
{
	if (c->bev == NULL) {
		return;
	}
	if (c->is_tls) {
		tls_close_notify(c->bev);
	}
	bufferevent_free(c->bev);
	conn_forget(c);
}

/* Close it so that our last words arrive. */
static void
conn_part(struct conn *c)
{
	if (!c->is_tls) {
		conn_close(c);
		return;
	}
	parting_begin_take(c->server->partings, c->bev);
	conn_forget(c);
}

/* Close it for a reason that its owner wants to know. */
static void
conn_cut(struct conn *c, const char *why)
{
	log_notice("conn", "cut a connection", "%s why=\"%s\"", c->name, why);
	conn_close(c);
}

/* An ending connection parts once nothing is owed to its peer. */
static void
conn_part_if_served(struct conn *c)
{
	if (c->bev != NULL && c->ending && c->in_flight == 0 &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0) {
		conn_part(c);
	}
}

static void
conn_finish(struct conn *c)
{
	if (c->ending) {
		return;
	}
	c->ending = true;
	trace_end(c->server->traces, c);
	c->slow_since_us = 0;
	(void)bufferevent_disable(c->bev, EV_READ);
	conn_part_if_served(c);
}

void
conns_finish(struct conns *conns)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&conns->list); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		conn_finish(c);
	}
}

void
conns_free(struct conns *conns)
{
	struct conn *c;

	if (conns == NULL) {
		return;
	}
	while ((c = TAILQ_FIRST(&conns->list)) != NULL) {
		/* The analyzer does not follow TAILQ_REMOVE. */
		conn_close(c); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	free(conns);
}

/* ---- frames in ---- */

static bool
conn_may_take(const struct conn *c)
{
	return !c->ending &&
	    c->in_flight < (unsigned)c->server->conf->max_in_flight &&
	    evbuffer_get_length(bufferevent_get_output(c->bev)) < OUTPUT_PAUSE;
}

/* The beginning of a frame is here and its end is not. */
static bool
conn_await_rest(struct conn *c, uint64_t now_us)
{
	if (c->peer_done) {
		log_notice(
		    "conn", "connection ended in a frame", "%s", c->name);
	} else if (c->slow_since_us == 0) {
		c->slow_since_us = now_us;
	}
	return false;
}

/* After a length that is not allowed nothing can be made out any more. */
static void
conn_refuse_frame(
    struct conn *c, const uint8_t head[FRAME_HEAD_LEN], const char *why)
{
	bool zero = (head[0] | head[1] | head[2] | head[3]) == 0;

	dispatch_bad_frame(c->server, &c->waiter, why, !zero);
	if (c->bev != NULL) {
		conn_finish(c);
	}
}

/* Take one frame, if there is a whole one; true if there may be another. */
static bool
conn_take_frame(struct conn *c, uint64_t now_us)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t have = evbuffer_get_length(in);
	struct errctx ec = ERRCTX_INIT;
	uint8_t head[FRAME_HEAD_LEN];
	uint8_t *frame;
	size_t len;

	if (have == 0) {
		c->slow_since_us = 0;
		return false;
	}
	if (have < FRAME_HEAD_LEN) {
		return conn_await_rest(c, now_us);
	}
	(void)evbuffer_copyout(in, head, sizeof(head));
	if (frame_head_get(head, FRAME_MAX, &len, &ec) != JY_OK) {
		conn_refuse_frame(c, head, ec.text);
		return false;
	}
	if (have - FRAME_HEAD_LEN < len) {
		return conn_await_rest(c, now_us);
	}
	frame = evbuffer_pullup(in, (ev_ssize_t)(FRAME_HEAD_LEN + len));
	if (frame == NULL) {
		conn_cut(c, "out of memory");
		return false;
	}
	c->slow_since_us = 0;
	c->active_us = now_us;
	dispatch_request(
	    c->server, &c->waiter, frame + FRAME_HEAD_LEN, len, now_us);
	if (c->bev == NULL) {
		return false;
	}
	(void)evbuffer_drain(in, FRAME_HEAD_LEN + len);
	return true;
}

static void
conn_pause(struct conn *c, bool pause)
{
	if (c->paused == pause) {
		return;
	}
	c->paused = pause;
	if (pause) {
		c->slow_since_us = 0;
		(void)bufferevent_disable(c->bev, EV_READ);
	} else {
		(void)bufferevent_enable(c->bev, EV_READ);
	}
}

/* Take the frames that are here and may be taken, then read on or pause. */
static void
conn_advance(struct conn *c)
{
	uint64_t now_us = sys_mono_us();
	bool may = true;

	c->refs++;
	while (c->bev != NULL && (may = conn_may_take(c)) &&
	    conn_take_frame(c, now_us)) {
	}
	if (c->bev != NULL && !c->ending) {
		if (c->peer_done && may) {
			/* It may still want answers to what it asked. */
			conn_finish(c);
		} else {
			conn_pause(c, !may);
		}
	}
	conn_unref(c);
}

/* ---- as a waiter ---- */

/* A waiter is the first member of its conn. */
static struct conn *
conn_cast(const struct waiter *waiter)
{
	struct conn *c = (struct conn *)(uintptr_t)waiter;

	jy_assert(c->magic == CONN_MAGIC);
	return c;
}

static const char *
conn_name(const struct waiter *waiter)
{
	return conn_cast(waiter)->name;
}

static const Joinery__Corridor__Credential *
conn_credential(const struct waiter *waiter)
{
	return &conn_cast(waiter)->credential;
}

static bool
conn_gone(const struct waiter *waiter)
{
	return conn_cast(waiter)->bev == NULL;
}

/* Send it as a frame; answers go nowhere else. */
static void
conn_answer(struct waiter *waiter, const uint8_t *response, size_t len,
    const char *request_id, const Joinery__Corridor__AnswerTo *to)
{
	struct conn *c = conn_cast(waiter);
	uint8_t head[FRAME_HEAD_LEN];
	struct evbuffer *out;

	(void)request_id;
	(void)to;
	jy_assert(len > 0 && len <= FRAME_MAX);
	if (c->bev == NULL) {
		return;
	}
	out = bufferevent_get_output(c->bev);
	frame_head_put(head, len);
	if (evbuffer_add(out, head, sizeof(head)) != 0 ||
	    evbuffer_add(out, response, len) != 0) {
		conn_cut(c, "out of memory");
	} else if (evbuffer_get_length(out) > OUTPUT_CUT) {
		conn_cut(c, "the peer does not read its answers");
	}
}

static void
conn_hold(struct waiter *waiter)
{
	struct conn *c = conn_cast(waiter);

	c->refs++;
	c->in_flight++;
}

static void
conn_done(struct waiter *waiter)
{
	struct conn *c = conn_cast(waiter);

	jy_assert(c->in_flight > 0);
	c->in_flight--;
	if (c->bev != NULL && c->paused) {
		conn_advance(c);
	}
	conn_part_if_served(c);
	/* Nor that a request in flight holds a reference. */
	conn_unref(c); /* NOLINT(clang-analyzer-unix.Malloc) */
}

static const struct waiter_ops conn_ops = {
	.name = conn_name,
	.credential = conn_credential,
	.gone = conn_gone,
	.answer = conn_answer,
	.hold = conn_hold,
	.done = conn_done,
	.backend_interfaces = false,
};

struct conn *
conn_of(struct waiter *waiter)
{
	return waiter->ops == &conn_ops ? conn_cast(waiter) : NULL;
}

void
conn_keep(struct conn *c)
{
	c->kept = true;
	if (c->bev != NULL) {
		(void)bufferevent_set_timeouts(c->bev, NULL, NULL);
	}
}

bool
conn_lags(const struct conn *c)
{
	return c->bev == NULL ||
	    evbuffer_get_length(bufferevent_get_output(c->bev)) > OUTPUT_LAGS;
}

/* ---- what libevent calls ---- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	jy_assert(c->magic == CONN_MAGIC);
	conn_advance(c);
}

/* All answers so far are written. */
static void
on_written(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	jy_assert(c->magic == CONN_MAGIC);
	c->active_us = sys_mono_us();
	if (c->ending) {
		conn_part_if_served(c);
	} else if (c->paused) {
		conn_advance(c);
	}
}

/* Whether the connection has proved who the peer is. */
static bool
conn_is_known(const struct conn *c)
{
	return c->credential.has_uid || c->credential.has_cert_fingerprint;
}

/* The handshake is done: who is it? */
static void
on_handshake(struct conn *c)
{
	struct errctx ec = ERRCTX_INIT;
	Joinery__Corridor__Credential *cred = &c->credential;

	if (tls_peer_init(c->bev, &c->peer, &ec) != JY_OK) {
		conn_cut(c, ec.text);
		return;
	}
	cred->has_cert_fingerprint = 1;
	cred->cert_fingerprint.data = c->peer.fingerprint;
	cred->cert_fingerprint.len = sizeof(c->peer.fingerprint);
	cred->n_cert_sans = c->peer.n_sans;
	cred->cert_sans = c->peer.sans;
	c->slow_since_us = 0;
	c->active_us = sys_mono_us();
}

/* The peer has closed its direction. */
static void
on_peer_done(struct conn *c)
{
	c->peer_done = true;
	/* libevent stops a TLS connection's writing too. */
	(void)bufferevent_enable(c->bev, EV_WRITE);
	conn_advance(c);
}

static void
on_failure(struct conn *c)
{
	const char *todo;
	char why[160];

	if (!c->is_tls) {
		conn_close(c);
		return;
	}
	todo = tls_error(c->bev, why, sizeof(why));
	if (conn_is_known(c)) {
		bool cut = c->slow_since_us != 0;

		log_write(cut ? LOG_LEVEL_NOTICE : LOG_LEVEL_DEBUG, "conn",
		    cut ? "connection ended in a frame" : "connection ended",
		    "%s why=\"%s\"", c->name, why);
		conn_close(c);
		return;
	}
	c->server->stats.tls_failures++;
	log_notice("conn", "TLS handshake failed", "%s why=\"%s\" do=\"%s\"",
	    c->name, why, todo);
	conn_part(c);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	jy_assert(c->magic == CONN_MAGIC);
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		on_handshake(c);
	} else if ((what & BEV_EVENT_TIMEOUT) != 0) {
		conn_cut(c, "the peer does not read its answers");
	} else if ((what & BEV_EVENT_EOF) != 0 && conn_is_known(c)) {
		on_peer_done(c);
	} else {
		on_failure(c);
	}
}

/* ---- limits ---- */

/* What is too slow about a connection; NULL if nothing is. */
static const char *
conn_overdue(const struct conn *c, uint64_t now_us)
{
	const struct conf *conf = c->server->conf;
	uint64_t frame_us = (uint64_t)conf->frame_timeout_s * 1000000U;
	uint64_t idle_us = (uint64_t)conf->idle_timeout_s * 1000000U;

	if (c->slow_since_us != 0 && now_us - c->slow_since_us > frame_us) {
		return "a frame or handshake took longer than frame-timeout";
	}
	if (c->in_flight == 0 && !c->kept && now_us > c->active_us + idle_us) {
		return "no request within idle-timeout";
	}
	return NULL;
}

void
conns_sweep(struct conns *conns, uint64_t now_us)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&conns->list); c != NULL; c = next) {
		const char *why = conn_overdue(c, now_us);

		next = TAILQ_NEXT(c, link);
		if (why != NULL) {
			conn_cut(c, why);
		}
	}
}

/* ---- the beginning of a connection ---- */

void
conn_begin_take(struct server *s, struct bufferevent *bev, const char *name,
    const uint32_t *uid)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct timeval write_tv = { .tv_sec = s->conf->frame_timeout_s };

	if (c == NULL) {
		bufferevent_free(bev);
		return;
	}
	c->waiter.ops = &conn_ops;
	c->magic = CONN_MAGIC;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->server = s;
	c->bev = bev;
	c->refs = 1;
	c->active_us = sys_mono_us();
	joinery__corridor__credential__init(&c->credential);
	if (uid != NULL) {
		c->credential.has_uid = 1;
		c->credential.uid = *uid;
	} else {
		c->is_tls = true;
		c->slow_since_us = c->active_us;
	}
	TAILQ_INSERT_TAIL(&s->conns->list, c, link);
	s->conns->count++;
	s->stats.connections++;
	bufferevent_setcb(bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, INPUT_HIGH);
	(void)bufferevent_set_timeouts(bev, NULL, &write_tv);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}
