/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process as the front sees it. */
#ifndef JY_FRONT_WORKER_H
#define JY_FRONT_WORKER_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/front/pending.h"

struct corridor;
struct counters;
struct server;

enum worker_state {
	WORKER_STARTING, /* has not said Hello */
	WORKER_READY,
	WORKER_DRAINING, /* gets no more; ends when it has answered */
	WORKER_ENDING    /* its corridor is closed, or it was killed */
};

struct worker {
	TAILQ_ENTRY(worker) link; /* of the supervisor */
	unsigned magic;
	struct server *server;
	unsigned slot;
	enum worker_state state;
	pid_t pid;
	bool killed;
	bool asked_to_end; /* by us: its end is no failure */
	uint64_t started_us;
	uint64_t ready_us; /* 0: never was */
	uint64_t since_us; /* in this state */
	const struct counters *counters;
	struct corridor *corridor;
	struct request_list awaited; /* under way, oldest first */
	struct request_list late;    /* answered TIMEOUT, but still under way */
	unsigned in_flight;          /* both */
	uint64_t owes_since_us;      /* its last reply, or the first request */
	uint64_t answered_us; /* start of the youngest request it answered */
	char token[96];
};

TAILQ_HEAD(worker_list, worker);

/* Start a process for a slot; worker_free when it is dead and reaped. */
enum jy_err worker_start(struct server *s, unsigned slot, bool later,
    struct worker **out, struct errctx *ec) JY_CHECK;
void worker_free(struct worker *w);

const char *worker_state_name(enum worker_state state);
void worker_set_state(struct worker *w, enum worker_state state);

/* Let it answer what it has, and end. */
void worker_drain(struct worker *w);
void worker_kill(struct worker *w, const char *why);

/* Why it must be killed now; NULL while it must not. */
const char *worker_overdue(const struct worker *w, uint64_t now_us);

/* Whether it made so many token objects that it should be replaced. */
bool worker_is_old(const struct worker *w);

#endif
