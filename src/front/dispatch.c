/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The good path of a request: one unpack, to route it; one Envelope, packed
 * where the corridor will write it from; later one Reply, whose response goes
 * on as it is.  All else is a refusal.
 */
#include "src/front/dispatch.h"

#include <string.h>

#include "proto/frame.h"
#include "proto/joinery.pb-c.h"
#include "proto/unpack.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/corridor.h"
#include "src/front/pending.h"
#include "src/front/respond.h"
#include "src/front/route.h"
#include "src/front/server.h"
#include "src/front/status.h"
#include "src/front/supervisor.h"
#include "src/front/trace.h"
#include "src/front/waiter.h"
#include "src/front/worker.h"

/* ---- to a worker ---- */

static void
refuse_malformed(struct server *s, struct waiter *waiter,
    const struct route *route, enum jy_err err)
{
	struct asked asked = { .waiter = waiter,
		.seq = pending_seq(s->pending),
		.id = route->id,
		.has_id = route->has_id };

	s->stats.malformed++;
	if (err == JY_ECALL) {
		respond_error(s, &asked, JOINERY__V1__ERROR_CODE__UNKNOWN_CALL,
		    "the request holds no call that this server knows",
		    "compare the versions of peer and server");
	} else {
		respond_error(s, &asked,
		    JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST,
		    "the frame does not hold a Request message",
		    "have the peer follow PROTOCOL.md");
	}
}

static void
refuse_busy(struct server *s, struct asked *asked)
{
	asked->seq = pending_seq(s->pending);
	s->stats.refused_busy++;
	respond_error(s, asked, JOINERY__V1__ERROR_CODE__BUSY,
	    "too many requests are waiting; ask again later",
	    "if this lasts, add workers or a faster token, or raise "
	    "worker-queue");
}

static void
refuse_no_worker(struct server *s, struct asked *asked)
{
	asked->seq = pending_seq(s->pending);
	s->stats.refused_no_worker++;
	respond_error(s, asked, JOINERY__V1__ERROR_CODE__TOKEN_UNAVAILABLE,
	    supervisor_trouble(s->supervisor),
	    "see the log lines of the supervisor");
}

/* Pack the Envelope straight into the corridor's output. */
static enum jy_err
envelope_send(
    struct server *s, const struct request *r, const uint8_t *frame, size_t len)
{
	Joinery__Corridor__Envelope e = JOINERY__CORRIDOR__ENVELOPE__INIT;
	Joinery__Corridor__Credential cred =
	    *r->waiter->ops->credential(r->waiter);
	char request_id[REQUEST_ID_STR_LEN];
	uint8_t *to;
	size_t size;

	pending_request_id(s->pending, r->seq, request_id);
	e.seq = r->seq;
	e.credential = &cred;
	e.request_id = request_id;
	e.has_trace = r->traced.call != NULL;
	e.trace = e.has_trace;
	e.has_backend_interfaces = r->waiter->ops->backend_interfaces;
	e.backend_interfaces = e.has_backend_interfaces;
	e.request.len = len;
	/* protobuf-c has no const data; packing does not write to it. */
	e.request.data = (uint8_t *)(uintptr_t)frame;
	size = joinery__corridor__envelope__get_packed_size(&e);
	to = corridor_reserve(r->worker->corridor, size);
	if (to == NULL) {
		return JY_ENOMEM;
	}
	(void)joinery__corridor__envelope__pack(&e, to);
	corridor_commit(r->worker->corridor);
	return JY_OK;
}

/* Put a request under way. */
static void
request_start(struct server *s, struct worker *w, struct asked *asked,
    const uint8_t *frame, size_t len, uint64_t now_us)
{
	struct request *r = pending_take(s->pending);

	if (r == NULL) {
		refuse_busy(s, asked);
		return;
	}
	r->id = asked->id;
	r->has_id = asked->has_id;
	r->waiter = asked->waiter;
	r->traced = asked->traced;
	r->worker = w;
	r->started_us = now_us;
	if (envelope_send(s, r, frame, len) != JY_OK) {
		pending_release(s->pending, r);
		refuse_busy(s, asked);
		return;
	}
	TAILQ_INSERT_TAIL(&w->awaited, r, link);
	if (w->in_flight++ == 0) {
		w->owes_since_us = now_us;
	}
	r->waiter->ops->hold(r->waiter);
}

/* What an event will say of it, if somebody watches the device. */
static struct traced
traced_of(const struct server *s, const struct route *route, uint64_t now_us)
{
	struct traced traced = { .call = NULL };

	if (route->has_dev_eui && trace_wants(s->traces, route->dev_eui)) {
		traced.call = route->call;
		traced.started_us = now_us;
		memcpy(traced.dev_eui, route->dev_eui, sizeof(traced.dev_eui));
	}
	return traced;
}

/* To the worker it belongs to, or a refusal. */
static void
request_place(struct server *s, struct asked *asked, const struct route *route,
    const uint8_t *frame, size_t len, uint64_t now_us)
{
	struct worker *w = supervisor_pick(s->supervisor, route);

	asked->traced = traced_of(s, route, now_us);
	if (w != NULL && w->in_flight < (unsigned)s->conf->worker_queue) {
		request_start(s, w, asked, frame, len, now_us);
		return;
	}
	if (w == NULL) {
		refuse_no_worker(s, asked);
	} else {
		refuse_busy(s, asked);
	}
}

void
dispatch_request(struct server *s, struct waiter *waiter, const uint8_t *frame,
    size_t len, uint64_t now_us)
{
	struct asked asked = { .waiter = waiter };
	struct route route;
	enum jy_err err;

	s->stats.requests++;
	err = route_read(&s->arena, frame, len, &route);
	if (err != JY_OK) {
		refuse_malformed(s, waiter, &route, err);
		return;
	}
	asked.id = route.id;
	asked.has_id = route.has_id;
	if (route.status) {
		status_answer(s, &asked);
	} else if (route.trace) {
		trace_begin(s, &asked, route.dev_eui,
		    route.has_dev_eui ? sizeof(route.dev_eui) : 0);
	} else {
		request_place(s, &asked, &route, frame, len, now_us);
	}
}

void
dispatch_call(struct server *s, struct waiter *waiter,
    const Joinery__V1__Request *call, uint64_t now_us)
{
	size_t len = joinery__v1__request__get_packed_size(call);
	struct asked asked = { .waiter = waiter };
	struct arena arena = { .chunks = NULL };
	uint8_t *packed;
	struct route route;

	/* Our own message; status and trace are nothing for who calls this. */
	jy_assert(len > 0 && len <= FRAME_MAX);
	jy_assert(route_of(call, &route) == JY_OK);
	s->stats.requests++;
	packed = arena_try(&arena, len);
	if (packed != NULL) {
		(void)joinery__v1__request__pack(call, packed);
		request_place(s, &asked, &route, packed, len, now_us);
	} else {
		refuse_busy(s, &asked);
	}
	arena_reset(&arena);
}

void
dispatch_bad_frame(
    struct server *s, struct waiter *waiter, const char *why, bool too_large)
{
	struct asked asked = { .waiter = waiter,
		.seq = pending_seq(s->pending) };

	s->stats.malformed++;
	respond_error(s, &asked,
	    too_large ? JOINERY__V1__ERROR_CODE__FRAME_TOO_LARGE
		      : JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST,
	    why, "have the peer follow PROTOCOL.md");
}

/* ---- from a worker ---- */

static void
request_end(struct server *s, struct request *r)
{
	struct worker *w = r->worker;
	struct waiter *waiter = r->waiter;

	if (waiter != NULL) {
		TAILQ_REMOVE(&w->awaited, r, link);
	} else {
		TAILQ_REMOVE(&w->late, r, link);
	}
	w->in_flight--;
	pending_release(s->pending, r);
	if (waiter != NULL) {
		waiter->ops->done(waiter);
	}
}

static struct asked
asked_of(const struct request *r)
{
	return (struct asked){
		.waiter = r->waiter,
		.seq = r->seq,
		.id = r->id,
		.has_id = r->has_id,
		.traced = r->traced,
	};
}

/* Nobody is there any more to take it; an answer_to waits for no one. */
static bool
reply_is_late(const struct request *r, const Joinery__Corridor__Reply *reply)
{
	return r->waiter == NULL ||
	    (reply->answer_to == NULL && r->waiter->ops->gone(r->waiter));
}

/* Forward a response; *answered is the request that it ends. */
static enum jy_err
reply_take(struct worker *w, const Joinery__Corridor__Reply *reply,
    struct request **answered, struct errctx *ec)
{
	struct server *s = w->server;
	struct request *r;

	if (reply->hello != NULL) {
		return supervisor_hello(w, reply->hello, ec);
	}
	r = pending_find(s->pending, reply->seq);
	if (r == NULL || r->worker != w) {
		return err_set(
		    ec, JY_EINVAL, "it answers what nobody asked it");
	}
	w->owes_since_us = sys_mono_us();
	if (r->started_us > w->answered_us) {
		w->answered_us = r->started_us;
	}
	if (reply_is_late(r, reply)) {
		s->stats.dropped++;
	} else if (!reply->has_response || reply->response.len == 0 ||
	    reply->response.len > FRAME_MAX) {
		struct asked asked = asked_of(r);

		respond_error(s, &asked, JOINERY__V1__ERROR_CODE__INTERNAL,
		    "the answer does not fit into a frame",
		    "report it as a bug of joinery-worker");
	} else {
		char request_id[REQUEST_ID_STR_LEN];

		pending_request_id(s->pending, r->seq, request_id);
		r->waiter->ops->answer(r->waiter, reply->response.data,
		    reply->response.len, request_id, reply->answer_to);
	}
	if (reply->has_trace) {
		trace_event(s, &r->traced, reply->trace.data, reply->trace.len);
	}
	*answered = r;
	return JY_OK;
}

enum jy_err
dispatch_reply(
    struct worker *w, const uint8_t *frame, size_t len, struct errctx *ec)
{
	struct arena *arena = &w->server->arena;
	const Joinery__Corridor__Reply *reply =
	    (const Joinery__Corridor__Reply *)unpack(
		arena, &joinery__corridor__reply__descriptor, frame, len);
	struct request *answered = NULL;
	enum jy_err err;

	err = reply != NULL
	    ? reply_take(w, reply, &answered, ec)
	    : err_set(ec, JY_EINVAL, "it sends what does not parse");
	arena_reset(arena);
	/* This may take the connection's next request: the arena is free. */
	if (answered != NULL) {
		request_end(w->server, answered);
	}
	return err;
}

static void
answer_timeout(struct server *s, const struct request *r, const char *why,
    const char *todo)
{
	struct asked asked = asked_of(r);

	/* The analyzer does not follow TAILQ_REMOVE. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (!r->waiter->ops->gone(r->waiter)) {
		respond_error(
		    s, &asked, JOINERY__V1__ERROR_CODE__TIMEOUT, why, todo);
	}
}

void
dispatch_expire(struct worker *w, uint64_t now_us)
{
	struct server *s = w->server;
	uint64_t deadline_us = (uint64_t)s->conf->worker_deadline_ms * 1000U;
	struct request *r;
	struct waiter *waiter;

	while ((r = TAILQ_FIRST(&w->awaited)) != NULL &&
	    now_us > r->started_us + deadline_us) {
		s->stats.timed_out++;
		answer_timeout(s, r,
		    "outcome unknown: no answer within worker-deadline",
		    "if this lasts, add workers or a faster token");
		TAILQ_REMOVE(&w->awaited, r, link);
		TAILQ_INSERT_TAIL(&w->late, r, link);
		waiter = r->waiter;
		r->waiter = NULL;
		waiter->ops->done(waiter);
	}
}

void
dispatch_worker_died(struct worker *w)
{
	struct server *s = w->server;
	struct request *r;

	while ((r = TAILQ_FIRST(&w->late)) != NULL) {
		request_end(s, r);
	}
	while ((r = TAILQ_FIRST(&w->awaited)) != NULL) {
		s->stats.lost++;
		answer_timeout(s, r, "outcome unknown: the worker died",
		    "see why the worker died");
		request_end(s, r);
	}
}
