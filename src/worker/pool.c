/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token threads.  No lock is held while another is taken; see
 * ARCHITECTURE.md, Locks.
 */
#include "src/worker/pool.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/join/kek_watch.h"

#define TICK_MS 1000 /* of idleness before what waits is looked after */
#define CANARY_US (60 * 1000000ULL) /* before the token is asked for a sign */
#define BATCH_US 20000U             /* of work in a batch, about */
#define KEKS_PART 16 /* KEKs to look at before requests have their turn */
#define KEKS_PART_US 50000U          /* from one part to the next */
#define KEKS_WALK_US (10 * 1000000U) /* from one look at all to the next */

struct pool {
	const struct work_ctx *ctx;
	int fd;
	pthread_mutex_t turn; /* guards the next three */
	struct frame_stream *in;
	bool ended;
	uint64_t busy_us;           /* when there was work last */
	pthread_mutex_t write_lock; /* replies of several threads */
	_Atomic int status;         /* enum worker_status; 0: all is well */
	_Atomic bool keks_taken;    /* a thread has the next one */
	struct kek_watch keks;
	_Atomic uint64_t keks_due_us; /* when they are looked at again */
};

/* What a thread works on; too large for its stack. */
struct batch {
	struct work works[JOIN_BATCH_MAX];
	struct join *joins[JOIN_BATCH_MAX];
	size_t n;
	size_t limit; /* works to take at most, see set_limit */
	struct work_replies replies;
};

/* Stop for good; whoever has the turn then sees the end of the corridor. */
static void
pool_fail(struct pool *p, enum worker_status status)
{
	int none = WORKER_DRAINED;

	if (atomic_compare_exchange_strong(&p->status, &none, (int)status)) {
		log_error("worker", "stopping", "status=%d", (int)status);
		(void)shutdown(p->fd, SHUT_RD);
	}
}

/* Is the token there at all?  Stops the pool if not. */
static bool
token_lives(struct pool *p)
{
	struct hsm *hsm = p->ctx->env.hsm;
	struct hsm_session *s = hsm_session_get(hsm);
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = hsm_canary(hsm, s, &ec);

	hsm_session_put(hsm, s);
	if (err == JY_OK) {
		return true;
	}
	log_error("token", "lost: it does not answer for its canary key",
	    "error=\"%s\"", err_detail(&ec, err));
	pool_fail(p, WORKER_UNAVAILABLE);
	return false;
}

/* ---- looking after KEKs ---- */

/* Look at the next few; false when all have been looked at. */
static bool
look_at_keks(struct pool *p)
{
	struct errctx ec = ERRCTX_INIT;
	bool ended;
	enum jy_err err =
	    kek_watch_some(&p->ctx->env, &p->keks, KEKS_PART, &ended, &ec);

	if (err == JY_OK) {
		if (ended) {
			counters_set(
			    p->ctx->counters->keks_unfit, p->keks.last_unfit);
		}
		return !ended;
	}
	if (err != JY_ETOKEN || token_lives(p)) {
		log_warn("kek", "cannot look after KEKs", "error=\"%s\"",
		    err_detail(&ec, err));
	}
	return false;
}

/* If it is time and no other thread does. */
static void
look_after_keks(struct pool *p)
{
	bool more;

	if (sys_mono_us() < atomic_load(&p->keks_due_us) ||
	    atomic_load(&p->status) != WORKER_DRAINED ||
	    atomic_exchange(&p->keks_taken, true)) {
		return;
	}
	more = look_at_keks(p);
	atomic_store(&p->keks_due_us,
	    sys_mono_us() + (more ? KEKS_PART_US : KEKS_WALK_US));
	atomic_store(&p->keks_taken, false);
}

/* ---- reading, in turn ---- */

/* Wait for a frame, for TICK_MS at most; false: none came. */
static bool
wait_for_frame(struct pool *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };

	return frame_stream_ready(p->in) || poll(&fd, 1, TICK_MS) > 0;
}

/* Read a frame into the batch; at the end of the corridor p->ended is set. */
static void
read_frame(struct pool *p, struct batch *b)
{
	struct errctx ec = ERRCTX_INIT;
	const uint8_t *frame;
	enum jy_err err;
	size_t len;

	err = frame_stream_next(p->in, &frame, &len, &ec);
	if (err == JY_OK && !work_open(&b->works[b->n], frame, len)) {
		err = err_set(&ec, JY_EINVAL, "the front sent no envelope");
	}
	if (err == JY_OK) {
		b->n++;
		return;
	}
	p->ended = true;
	if (err != JY_ENOTFOUND) {
		log_error("worker", "corridor broke", "error=\"%s\"",
		    err_detail(&ec, err));
	}
}

/* Take what is ready; false when the corridor has ended. */
static bool
take_turn(struct pool *p, struct batch *b, bool *ask_canary)
{
	uint64_t now;
	bool go_on;

	b->n = 0;
	(void)pthread_mutex_lock(&p->turn);
	if (!p->ended && wait_for_frame(p)) {
		do {
			read_frame(p, b);
		} while (
		    !p->ended && b->n < b->limit && frame_stream_ready(p->in));
	}
	now = sys_mono_us();
	*ask_canary = b->n == 0 && now - p->busy_us > CANARY_US;
	if (b->n > 0 || *ask_canary) {
		p->busy_us = now;
	}
	go_on = b->n > 0 || !p->ended;
	(void)pthread_mutex_unlock(&p->turn);
	return go_on;
}

/* ---- working ---- */

/*
 * The first of a batch waits for the last: with a slow token batches are
 * small, so that none takes much longer than BATCH_US.
 */
static void
set_limit(struct batch *b, uint64_t took_us)
{
	uint64_t limit = BATCH_US / (took_us / b->n + 1) + 1;

	b->limit = limit < JOIN_BATCH_MAX ? (size_t)limit : JOIN_BATCH_MAX;
}

static bool
had_token_trouble(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		enum jy_err err = *work_err(&b->works[i]);

		if (err == JY_ETOKEN || err == JY_ENOKEY || err == JY_EKEK) {
			return true;
		}
	}
	return false;
}

/* A token that is gone holds nothing: that says nothing about its keys. */
static void
blame_token(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		enum jy_err *err = work_err(&b->works[i]);

		if (*err == JY_ENOKEY || *err == JY_EKEK) {
			*err = JY_ETOKEN;
		}
	}
}

/* Every request begins, the joins go down the line together. */
static void
run_batch(struct pool *p, struct batch *b)
{
	uint64_t start = sys_mono_us();
	size_t joins = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct work *w = &b->works[i];

		work_begin(w, p->ctx);
		if (w->joins) {
			b->joins[joins++] = &w->join;
		}
	}
	join_run_batch(b->joins, joins);
	set_limit(b, sys_mono_us() - start);
	if (had_token_trouble(b) && !token_lives(p)) {
		blame_token(b);
	}
}

/* After the token is lost: answer without it. */
static void
refuse_batch(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		work_refuse(&b->works[i]);
	}
}

static void
copy_counters(const struct work_ctx *ctx)
{
	struct counters *n = ctx->counters;
	struct store_stats store;
	struct hsm_stats hsm;

	hsm_stats(ctx->env.hsm, &hsm);
	store_stats(ctx->env.store, &store);
	counters_set(n->pkcs11_calls, hsm.calls);
	counters_set(n->key_misses, hsm.cache_misses);
	counters_set(n->store_commits, store.commits);
	counters_set(n->store_joins, store.joins);
	counters_set(n->store_syncs, store.syncs);
}

static void
answer_batch(struct pool *p, struct batch *b)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	b->replies.len = 0;
	for (size_t i = 0; i < b->n; i++) {
		work_end(&b->works[i], p->ctx, &b->replies);
	}
	copy_counters(p->ctx);
	(void)pthread_mutex_lock(&p->write_lock);
	err = frame_write_all(p->fd, b->replies.buf, b->replies.len, &ec);
	(void)pthread_mutex_unlock(&p->write_lock);
	secret_wipe(
	    b->replies.buf, b->replies.len); /* keys in clear, perhaps */
	if (err != JY_OK) {
		log_error("worker", "front is gone", "error=\"%s\"",
		    err_detail(&ec, err));
		pool_fail(p, WORKER_UNAVAILABLE);
	}
}

static void *
thread_main(void *arg)
{
	struct pool *p = arg;
	struct batch *b = sys_xcalloc(1, sizeof(*b));
	bool ask_canary;

	b->limit = 1;
	while (take_turn(p, b, &ask_canary)) {
		if (b->n > 0) {
			if (atomic_load(&p->status) == WORKER_DRAINED) {
				run_batch(p, b);
			} else {
				refuse_batch(b);
			}
			answer_batch(p, b);
		} else if (ask_canary) {
			(void)token_lives(p);
		}
		look_after_keks(p);
		store_tick(p->ctx->env.store);
	}
	free(b->replies.buf);
	free(b);
	return NULL;
}

enum worker_status
pool_run(const struct work_ctx *ctx, int corridor, unsigned threads)
{
	struct pool p = {
		.ctx = ctx,
		.fd = corridor,
		.turn = PTHREAD_MUTEX_INITIALIZER,
		.in = frame_stream_new(corridor, FRAME_CORRIDOR_MAX),
		.busy_us = sys_mono_us(),
		.write_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	pthread_t *others = sys_xcalloc(threads, sizeof(others[0]));

	/* All of them before there is work, and other threads. */
	while (look_at_keks(&p)) {
	}
	atomic_store(&p.keks_due_us, sys_mono_us() + KEKS_WALK_US);
	for (unsigned i = 1; i < threads; i++) {
		int error = pthread_create(&others[i], NULL, thread_main, &p);

		if (error != 0) {
			log_error("worker", "cannot start a thread",
			    "error=\"%s\"", strerror(error));
			pool_fail(&p, WORKER_UNAVAILABLE);
			threads = i;
		}
	}
	(void)thread_main(&p);
	for (unsigned i = 1; i < threads; i++) {
		(void)pthread_join(others[i], NULL);
	}
	free(others);
	frame_stream_free(p.in);
	return (enum worker_status)atomic_load(&p.status);
}
