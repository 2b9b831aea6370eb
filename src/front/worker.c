/* SPDX-License-Identifier: Apache-2.0 */
/* One worker process: its life from start to kill, and its limits. */
#include "src/front/worker.h"

#include <signal.h>
#include <stdlib.h>

#include "proto/counters.h"
#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/corridor.h"
#include "src/front/dispatch.h"
#include "src/front/server.h"
#include "src/front/spawn.h"

#define WORKER_MAGIC 0x776f726bU

/* Nothing is overtaken by so many deadlines but by a call that hangs. */
#define STUCK_DEADLINES 3U

static const char *const state_names[] = {
	[WORKER_STARTING] = "starting",
	[WORKER_READY] = "ready",
	[WORKER_DRAINING] = "draining",
	[WORKER_ENDING] = "ending",
};

const char *
worker_state_name(enum worker_state state)
{
	return state_names[state];
}

void
worker_set_state(struct worker *w, enum worker_state state)
{
	w->state = state;
	w->since_us = sys_mono_us();
}

/* ---- what the corridor calls ---- */

static enum jy_err
on_frame(void *arg, const uint8_t *frame, size_t len, struct errctx *ec)
{
	struct worker *w = arg;

	jy_assert(w->magic == WORKER_MAGIC);
	return dispatch_reply(w, frame, len, ec);
}

/* Its exit status, which follows, tells what to do. */
static void
on_ended(void *arg, const char *why)
{
	struct worker *w = arg;

	jy_assert(w->magic == WORKER_MAGIC);
	if (why != NULL && !w->killed) {
		worker_kill(w, why);
	}
	worker_set_state(w, WORKER_ENDING);
}

static const struct corridor_calls corridor_calls = {
	.frame = on_frame,
	.ended = on_ended,
};

/* ---- life ---- */

enum jy_err
worker_start(struct server *s, unsigned slot, bool later, struct worker **out,
    struct errctx *ec)
{
	struct worker *w = sys_xcalloc(1, sizeof(*w));
	struct spawned spawned;
	enum jy_err err = spawn_worker(s->conf, later, &spawned, ec);

	if (err != JY_OK) {
		free(w);
		return err;
	}
	w->magic = WORKER_MAGIC;
	w->server = s;
	w->slot = slot;
	w->pid = spawned.pid;
	w->counters = spawned.counters;
	w->started_us = sys_mono_us();
	TAILQ_INIT(&w->awaited);
	TAILQ_INIT(&w->late);
	worker_set_state(w, WORKER_STARTING);
	w->corridor =
	    corridor_new_take(s->base, spawned.fd, &corridor_calls, w);
	jy_assert(w->corridor != NULL);
	s->stats.worker_starts++;
	log_info("supervisor", "started a worker", "slot=%u pid=%d", slot,
	    (int)w->pid);
	*out = w;
	return JY_OK;
}

void
worker_free(struct worker *w)
{
	jy_assert(w->in_flight == 0);
	corridor_free(w->corridor);
	spawn_unmap(w->counters);
	w->magic = 0;
	free(w);
}

void
worker_drain(struct worker *w)
{
	w->asked_to_end = true;
	if (w->state == WORKER_STARTING || w->state == WORKER_READY) {
		worker_set_state(w, WORKER_DRAINING);
		corridor_finish(w->corridor);
	}
}

void
worker_kill(struct worker *w, const char *why)
{
	log_error("supervisor", "killed a worker",
	    "slot=%u pid=%d in_flight=%u why=\"%s\"", w->slot, (int)w->pid,
	    w->in_flight, why);
	w->killed = true;
	w->server->stats.worker_kills++;
	worker_set_state(w, WORKER_ENDING);
	(void)kill(w->pid, SIGKILL);
}

/* ---- limits ---- */

/*
 * One of several token calls hangs while the others answer.  Requests wait in
 * order: under overload the younger ones are late too, and nothing is stuck.
 */
static bool
worker_is_stuck(const struct worker *w, uint64_t deadline_us)
{
	const struct request *oldest = TAILQ_FIRST(&w->late);

	return oldest != NULL &&
	    w->answered_us > oldest->started_us + STUCK_DEADLINES * deadline_us;
}

const char *
worker_overdue(const struct worker *w, uint64_t now_us)
{
	const struct conf *conf = w->server->conf;
	uint64_t deadline_us = (uint64_t)conf->worker_deadline_ms * 1000U;
	uint64_t start_us = (uint64_t)conf->worker_start_timeout_s * 1000000U;
	uint64_t in_state_us = now_us > w->since_us ? now_us - w->since_us : 0;

	if (w->killed) {
		return NULL;
	}
	if (w->in_flight > 0 && now_us > w->owes_since_us + deadline_us) {
		return "no reply within worker-deadline";
	}
	if (worker_is_stuck(w, deadline_us)) {
		return "a request is stuck, much younger ones are answered";
	}
	if (w->state == WORKER_STARTING && in_state_us > start_us) {
		return "not ready within worker-start-timeout";
	}
	if ((w->state == WORKER_DRAINING || w->state == WORKER_ENDING) &&
	    w->in_flight == 0 && in_state_us > deadline_us) {
		return "did not end within worker-deadline";
	}
	return NULL;
}

bool
worker_is_old(const struct worker *w)
{
	const struct counters *c = w->counters;
	uint64_t max = (uint64_t)w->server->conf->worker_max_joins;

	/* To give keys derives them again; an import makes one to prove it. */
	return max > 0 &&
	    counters_get(c->joins_accepted) + counters_get(c->joins_refused) +
		counters_get(c->keys_given) +
		counters_get(c->devices_imported) >=
	    max;
}
