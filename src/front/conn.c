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
#include <sys/socket.h>
#include <sys/time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/frame.h"
#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/dispatch.h"
#include "src/front/parting.h"
#include "src/front/server.h"
#include "src/front/tls.h"

#define CONN_MAGIC 0x636f6e6eU

/* Answers waiting to be read by the peer: pause, and give the peer up. */
#define OUTPUT_PAUSE 262144U
#define OUTPUT_CUT 8388608U

/* One frame always fits. */
#define INPUT_HIGH (2U * (FRAME_HEAD_LEN + FRAME_MAX))

struct conn {
	unsigned magic;
	TAILQ_ENTRY(conn) link;
	struct server *server;
	struct bufferevent *bev; /* NULL: gone */
	bool is_tls;
	bool peer_done; /* the peer sends no more */
	bool ending;
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

const char *
conn_name(const struct conn *c)
{
	return c->name;
}

const Joinery__Corridor__Credential *
conn_credential(const struct conn *c)
{
	return &c->credential;
}

bool
conn_gone(const struct conn *c)
{
	return c->bev == NULL;
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

	dispatch_bad_frame(c->server, c, why, !zero);
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
	dispatch_request(c->server, c, frame + FRAME_HEAD_LEN, len, now_us);
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

/* ---- answers out ---- */

void
conn_send(struct conn *c, const void *message, size_t len)
{
	uint8_t head[FRAME_HEAD_LEN];
	struct evbuffer *out;

	jy_assert(len > 0 && len <= FRAME_MAX);
	if (c->bev == NULL) {
		return;
	}
	out = bufferevent_get_output(c->bev);
	frame_head_put(head, len);
	if (evbuffer_add(out, head, sizeof(head)) != 0 ||
	    evbuffer_add(out, message, len) != 0) {
		conn_cut(c, "out of memory");
	} else if (evbuffer_get_length(out) > OUTPUT_CUT) {
		conn_cut(c, "the peer does not read its answers");
	}
}

void
conn_hold(struct conn *c)
{
	c->refs++;
	c->in_flight++;
}

void
conn_done(struct conn *c)
{
	jy_assert(c->magic == CONN_MAGIC && c->in_flight > 0);
	c->in_flight--;
	if (c->bev != NULL && c->paused) {
		conn_advance(c);
	}
	conn_part_if_served(c);
	/* Nor that a request in flight holds a reference. */
	conn_unref(c); /* NOLINT(clang-analyzer-unix.Malloc) */
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
	if (c->in_flight == 0 && now_us > c->active_us + idle_us) {
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

/* Takes bev. */
static struct conn *
conn_new(struct server *s, struct bufferevent *bev, const char *name)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct timeval write_tv = { .tv_sec = s->conf->frame_timeout_s };

	if (c == NULL) {
		bufferevent_free(bev);
		return NULL;
	}
	c->magic = CONN_MAGIC;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	c->server = s;
	c->bev = bev;
	c->refs = 1;
	c->active_us = sys_mono_us();
	joinery__corridor__credential__init(&c->credential);
	TAILQ_INSERT_TAIL(&s->conns->list, c, link);
	s->conns->count++;
	s->stats.connections++;
	bufferevent_setcb(bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, INPUT_HIGH);
	(void)bufferevent_set_timeouts(bev, NULL, &write_tv);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
	return c;
}

/* Whether there is room for one more; says so in the log if not. */
static bool
room_for_one(struct server *s, const char *who)
{
	if (s->conns->count < (size_t)s->conf->max_connections) {
		return true;
	}
	s->stats.connections_refused++;
	log_warn("conn", "refused a connection",
	    "%s why=\"%" PRId64 " are open\" do=\"raise max-connections\"", who,
	    s->conf->max_connections);
	return false;
}

void
conn_accept_unix(struct server *s, int fd)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);
	struct bufferevent *bev = NULL;
	struct conn *c;
	char name[32];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		(void)close(fd);
		return;
	}
	(void)snprintf(name, sizeof(name), "uid=%u", (unsigned)cred.uid);
	if (room_for_one(s, name)) {
		bev =
		    bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	}
	if (bev == NULL) {
		(void)close(fd);
		return;
	}
	c = conn_new(s, bev, name);
	if (c != NULL) {
		c->credential.has_uid = 1;
		c->credential.uid = (uint32_t)cred.uid;
	}
}

void
conn_accept_tls(struct server *s, int fd, const char *from)
{
	struct bufferevent *bev = NULL;
	struct conn *c;
	char name[80];
	int on = 1;

	(void)snprintf(name, sizeof(name), "from=%s", from);
	if (room_for_one(s, name)) {
		bev = tls_bufferevent_take(s->tls, s->base, fd);
	}
	if (bev == NULL) {
		(void)close(fd);
		return;
	}
	/* Answers are small and each is waited for. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = conn_new(s, bev, name);
	if (c != NULL) {
		c->is_tls = true;
		c->slow_since_us = c->active_us;
	}
}
