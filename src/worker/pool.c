/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token threads.  Lock order: none is ever held together with another; see
 * ARCHITECTURE.md, Locks.
 */
#include "src/worker/pool.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/frame.h"
#include "src/base/log.h"

#define CANARY_S 60 /* of idleness before the token is asked for a sign */

struct job {
	STAILQ_ENTRY(job) link;
	size_t len;
	uint8_t frame[];
};

STAILQ_HEAD(job_list, job);

struct pool {
	const struct work_ctx *ctx;
	int fd;

	pthread_mutex_t lock; /* guards the next four */
	pthread_cond_t wake;
	struct job_list jobs;
	size_t waiting;
	bool stopping;

	pthread_mutex_t write_lock; /* replies of several threads */
	_Atomic int status;         /* enum worker_status; 0: all is well */
	unsigned thread_count;
	pthread_t threads[];
};

/* What a thread needs for one batch; too large for its stack. */
struct bench {
	struct job *jobs[JOIN_BATCH_MAX];
	struct work works[JOIN_BATCH_MAX];
	struct join *joins[JOIN_BATCH_MAX];
	size_t n;
	struct work_replies replies;
};

void
pool_submit(struct pool *p, const uint8_t *frame, size_t len)
{
	struct job *job = malloc(sizeof(*job) + len);

	jy_assert(job != NULL);
	job->len = len;
	memcpy(job->frame, frame, len);
	(void)pthread_mutex_lock(&p->lock);
	STAILQ_INSERT_TAIL(&p->jobs, job, link);
	p->waiting++;
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_cond_signal(&p->wake);
}

/* Wait for work; false: nothing came for CANARY_S, or the end (*end). */
static bool
wait_for_jobs(struct pool *p, bool *end)
{
	struct timespec until;
	int error = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CANARY_S;
	while (p->waiting == 0 && !p->stopping && error != ETIMEDOUT) {
		error = pthread_cond_timedwait(&p->wake, &p->lock, &until);
	}
	*end = p->waiting == 0 && p->stopping;
	return p->waiting > 0;
}

/* Take a fair share of what waits, so that no thread idles beside it. */
static bool
take_jobs(struct pool *p, struct bench *b, bool *end)
{
	size_t share;

	b->n = 0;
	(void)pthread_mutex_lock(&p->lock);
	if (wait_for_jobs(p, end)) {
		share = (p->waiting + p->thread_count - 1) / p->thread_count;
		while (b->n < share && b->n < JOIN_BATCH_MAX) {
			b->jobs[b->n++] = STAILQ_FIRST(&p->jobs);
			STAILQ_REMOVE_HEAD(&p->jobs, link);
		}
		p->waiting -= b->n;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return b->n > 0;
}

/* Stop for good; the reader then sees the end of the corridor. */
static void
pool_fail(struct pool *p, enum worker_status status)
{
	int none = WORKER_DRAINED;

	if (atomic_compare_exchange_strong(&p->status, &none, (int)status)) {
		log_error("worker", "stopping", "status=%d", (int)status);
		(void)shutdown(p->fd, SHUT_RD);
	}
}

/* After trouble with the token: is it there at all? */
static void
check_token(struct pool *p, struct hsm_session *s)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = hsm_canary(p->ctx->env.hsm, s, &ec);

	if (err == JY_OK) {
		return;
	}
	log_error("token", "lost: its canary key does not answer",
	    "error=\"%s\"", err_detail(&ec, err));
	pool_fail(p, err == JY_EPIN ? WORKER_PIN_REFUSED : WORKER_UNAVAILABLE);
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

/* Run a batch: every job begins, the joins go down the line together. */
static void
run_batch(struct pool *p, struct bench *b, struct hsm_session *s)
{
	size_t joins = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct work *w = &b->works[i];

		if (!work_begin(
			w, p->ctx, s, b->jobs[i]->frame, b->jobs[i]->len)) {
			log_error("worker", "front sent no envelope", "%s", "");
			abort();
		}
		if (w->joins) {
			b->joins[joins++] = &w->join;
		}
	}
	if (joins > 0) {
		join_run_batch(b->joins, joins, s);
	}
}

/* After the token is lost: answer without it. */
static void
refuse_batch(struct bench *b)
{
	for (size_t i = 0; i < b->n; i++) {
		if (!work_refuse(
			&b->works[i], b->jobs[i]->frame, b->jobs[i]->len)) {
			abort();
		}
	}
}

static void
end_batch(struct pool *p, struct bench *b)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	b->replies.len = 0;
	for (size_t i = 0; i < b->n; i++) {
		work_end(&b->works[i], p->ctx, &b->replies);
		free(b->jobs[i]);
	}
	copy_counters(p->ctx);
	(void)pthread_mutex_lock(&p->write_lock);
	err = frame_write_all(p->fd, b->replies.buf, b->replies.len, &ec);
	(void)pthread_mutex_unlock(&p->write_lock);
	if (err != JY_OK) {
		log_error("worker", "front is gone", "error=\"%s\"",
		    err_detail(&ec, err));
		pool_fail(p, WORKER_UNAVAILABLE);
	}
}

static bool
had_token_trouble(const struct bench *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct work *w = &b->works[i];
		enum jy_err err = w->joins ? w->join.err : w->err;

		if (err == JY_ETOKEN || err == JY_EPIN || err == JY_ENOKEY) {
			return true;
		}
	}
	return false;
}

static void *
thread_main(void *arg)
{
	struct pool *p = arg;
	struct hsm *hsm = p->ctx->env.hsm;
	struct bench *b = sys_xcalloc(1, sizeof(*b));
	struct hsm_session *s;
	bool end = false;

	while (!end) {
		bool work = take_jobs(p, b, &end);

		if (end) {
			break;
		}
		if (work && atomic_load(&p->status) != WORKER_DRAINED) {
			refuse_batch(b);
			end_batch(p, b);
			continue;
		}
		s = hsm_session_get(hsm);
		if (work) {
			run_batch(p, b, s);
		}
		if (!work || had_token_trouble(b)) {
			check_token(p, s);
		}
		hsm_session_put(hsm, s);
		if (work) {
			end_batch(p, b);
		}
	}
	free(b->replies.buf);
	free(b);
	return NULL;
}

enum jy_err
pool_new(const struct work_ctx *ctx, int fd, unsigned threads,
    struct pool **out, struct errctx *ec)
{
	struct pool *p =
	    sys_xcalloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
	pthread_condattr_t attr;

	p->ctx = ctx;
	p->fd = fd;
	STAILQ_INIT(&p->jobs);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_mutex_init(&p->write_lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	for (unsigned i = 0; i < threads; i++) {
		int error =
		    pthread_create(&p->threads[i], NULL, thread_main, p);

		if (error != 0) {
			(void)pool_free(p);
			return err_set(ec, JY_ENOMEM, "start a thread: %s",
			    strerror(error));
		}
		p->thread_count++;
	}
	*out = p;
	return JY_OK;
}

enum worker_status
pool_free(struct pool *p)
{
	enum worker_status status;

	(void)pthread_mutex_lock(&p->lock);
	p->stopping = true;
	(void)pthread_mutex_unlock(&p->lock);
	(void)pthread_cond_broadcast(&p->wake);
	for (unsigned i = 0; i < p->thread_count; i++) {
		(void)pthread_join(p->threads[i], NULL);
	}
	status = (enum worker_status)atomic_load(&p->status);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_mutex_destroy(&p->write_lock);
	free(p);
	return status;
}
