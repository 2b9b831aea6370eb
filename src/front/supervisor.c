/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor.  A slot has a worker that serves, or none, and one that
 * starts, or none; a slot with neither is down.  supervisor_fill is the one
 * place where workers are started: whatever may allow a start calls it.
 *
 * At most one worker is starting.  So a PIN that became wrong costs one try,
 * however many workers died: a token counts the tries and locks.
 */
#include "src/front/supervisor.h"

#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/corridor.h"
#include "src/front/dispatch.h"
#include "src/front/route.h"
#include "src/front/server.h"
#include "src/worker/status.h"

#define BACKOFF_MIN_US 100000U
#define BACKOFF_MAX_US 30000000U
#define BACKOFF_DOUBLINGS 9U /* from min to beyond max */

/* Who was ready for so long did not fail at once. */
#define SURVIVED_US 10000000U

struct slot {
	struct worker *serving;
	struct worker *starting;
	unsigned failures; /* in a row */
	uint64_t not_before_us;
};

struct supervisor {
	struct server *server;
	struct worker_list workers;
	unsigned n_slots;
	unsigned next; /* of workers equally busy, it is this one's turn */
	bool ever_ready;
	bool latched; /* the PIN was refused */
	bool stopping;
	const char *trouble; /* of the last failure; NULL: none yet */
	struct slot slots[];
};

enum action {
	ACTION_AGAIN,   /* at once; back-off if it happens again */
	ACTION_BACKOFF, /* after a while, longer each time */
	ACTION_LATCH    /* not before SIGHUP */
};

/*
 * What a worker cannot work with ends joineryd too, but only while none was
 * ever ready: what is missing later was there before and may come back, and
 * other workers serve meanwhile.
 */
static const struct reaction {
	int status;
	enum action action;
	bool ends_start;
	const char *trouble;
	const char *todo;
} reactions[] = {
	{ WORKER_TOKEN_UNFIT, ACTION_BACKOFF, true,
	    "the token lacks a mechanism, a guarantee or its keys",
	    "see the report of the worker above" },
	{ WORKER_UNAVAILABLE, ACTION_BACKOFF, false,
	    "the token or the store is unavailable",
	    "see the line of the worker above" },
	{ WORKER_PIN_REFUSED, ACTION_LATCH, false, "the token refused the PIN",
	    "correct the PIN, then send SIGHUP to joineryd" },
	{ WORKER_CONFIG, ACTION_BACKOFF, true,
	    "the worker does not accept the configuration",
	    "see the line of the worker above" },
};

static const struct reaction crashed = { -1, ACTION_AGAIN, false,
	"a worker crashed", "see the lines of the worker above" };

/* ---- starting ---- */

static bool
may_start(const struct supervisor *sup)
{
	if (sup->latched || sup->stopping) {
		return false;
	}
	for (unsigned i = 0; i < sup->n_slots; i++) {
		if (sup->slots[i].starting != NULL) {
			return false;
		}
	}
	return true;
}

/* How long to wait after so many failures in a row. */
static uint64_t
backoff_us(unsigned failures)
{
	uint64_t us;

	if (failures == 0) {
		return 0;
	}
	if (failures > BACKOFF_DOUBLINGS) {
		failures = BACKOFF_DOUBLINGS + 1;
	}
	us = (uint64_t)BACKOFF_MIN_US << (failures - 1);
	return us < BACKOFF_MAX_US ? us : BACKOFF_MAX_US;
}

static void
slot_start(struct supervisor *sup, unsigned i)
{
	struct slot *slot = &sup->slots[i];
	struct errctx ec = ERRCTX_INIT;
	struct worker *w;

	if (worker_start(sup->server, i, sup->ever_ready, &w, &ec) == JY_OK) {
		TAILQ_INSERT_TAIL(&sup->workers, w, link);
		slot->starting = w;
		return;
	}
	sup->trouble = "a worker cannot be started";
	log_error("supervisor", "cannot start a worker",
	    "slot=%u why=\"%s\" do=\"look at worker-program\"", i, ec.text);
	slot->not_before_us = sys_mono_us() + backoff_us(++slot->failures);
	if (!sup->ever_ready) {
		server_stop(sup->server, WORKER_CONFIG);
	}
}

/* Start what is down and may be started. */
static void
supervisor_fill(struct supervisor *sup)
{
	uint64_t now_us = sys_mono_us();

	for (unsigned i = 0; i < sup->n_slots && may_start(sup); i++) {
		struct slot *slot = &sup->slots[i];

		if (slot->serving == NULL && slot->starting == NULL &&
		    slot->not_before_us <= now_us) {
			slot_start(sup, i);
		}
	}
}

void
supervisor_start(struct supervisor *sup)
{
	/*
	 * A token library in software takes and gives back hundreds of small
	 * pieces of memory a join: with a larger cache of malloc's that is a
	 * tenth of a worker's time less.  Only programs started now see it.
	 */
	(void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=500", 0);
	supervisor_fill(sup);
}

void
supervisor_retry(struct supervisor *sup)
{
	sup->latched = false;
	for (unsigned i = 0; i < sup->n_slots; i++) {
		sup->slots[i].failures = 0;
		sup->slots[i].not_before_us = 0;
	}
	supervisor_fill(sup);
}

enum jy_err
supervisor_hello(
    struct worker *w, const Joinery__Corridor__Hello *hello, struct errctx *ec)
{
	struct supervisor *sup = w->server->supervisor;
	struct slot *slot = &sup->slots[w->slot];
	struct worker *old = slot->serving;

	if (w->ready_us != 0) {
		return err_set(ec, JY_EINVAL, "it says Hello twice");
	}
	w->ready_us = sys_mono_us();
	(void)snprintf(w->token, sizeof(w->token), "%s",
	    hello->token != NULL ? hello->token : "");
	if (w->state != WORKER_STARTING) {
		return JY_OK; /* told to end meanwhile */
	}
	worker_set_state(w, WORKER_READY);
	slot->serving = w;
	slot->starting = NULL;
	sup->ever_ready = true;
	sup->trouble = NULL;
	log_notice("supervisor", "a worker is ready",
	    "slot=%u pid=%d token=\"%s\"", w->slot, (int)w->pid, w->token);
	if (old != NULL) {
		worker_drain(old);
	}
	supervisor_fill(sup);
	return JY_OK;
}

/* ---- ends ---- */

static const struct reaction *
reaction_to(int wait_status)
{
	for (size_t i = 0; i < ARRAY_LEN(reactions); i++) {
		if (WIFEXITED(wait_status) &&
		    WEXITSTATUS(wait_status) == reactions[i].status) {
			return &reactions[i];
		}
	}
	return &crashed;
}

/* Wait, latch or give up, as the table says. */
static void
slot_react(
    struct supervisor *sup, struct slot *slot, const struct reaction *reaction)
{
	uint64_t wait_us = 0;
	bool ends;

	sup->trouble = reaction->trouble;
	switch (reaction->action) {
	case ACTION_AGAIN:
		wait_us = backoff_us(slot->failures++);
		break;
	case ACTION_BACKOFF:
		wait_us = backoff_us(++slot->failures);
		break;
	case ACTION_LATCH:
		sup->latched = true;
		break;
	}
	slot->not_before_us = sys_mono_us() + wait_us;
	ends = reaction->ends_start && !sup->ever_ready;
	if (ends || sup->latched) {
		log_notice("supervisor", "what to do",
		    "trouble=\"%s\" do=\"%s\"", reaction->trouble,
		    reaction->todo);
	} else {
		log_notice("supervisor", "what to do",
		    "trouble=\"%s\" do=\"%s\" restart_in_ms=%" PRIu64,
		    reaction->trouble, reaction->todo, wait_us / 1000U);
	}
	if (ends) {
		server_stop(sup->server, reaction->status);
	}
}

static void
log_end(const struct worker *w, int wait_status, bool expected)
{
	log_write(expected ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "supervisor",
	    "a worker ended", "slot=%u pid=%d %s=%d in_flight=%u", w->slot,
	    (int)w->pid, WIFSIGNALED(wait_status) ? "signal" : "status",
	    WIFSIGNALED(wait_status) ? WTERMSIG(wait_status)
				     : WEXITSTATUS(wait_status),
	    w->in_flight);
}

static void
worker_ended(struct supervisor *sup, struct worker *w, int wait_status)
{
	struct slot *slot = &sup->slots[w->slot];
	bool served = slot->serving == w;
	bool mattered = served || slot->starting == w;

	w->killed = true; /* its pid may be another's from now on */
	/*
	 * What it answered before it died is an answer.  But a Hello is no
	 * readiness any more, and what such an answer lets a peer ask next
	 * must not go to the dead.
	 */
	worker_set_state(w, WORKER_ENDING);
	corridor_drain(w->corridor);
	log_end(w, wait_status, w->asked_to_end);
	sup->server->stats.worker_ends++;
	TAILQ_REMOVE(&sup->workers, w, link);
	slot->serving = served ? NULL : slot->serving;
	slot->starting = slot->starting == w ? NULL : slot->starting;
	dispatch_worker_died(w);
	if (w->ready_us != 0 && sys_mono_us() - w->ready_us > SURVIVED_US) {
		slot->failures = 0;
	}
	if (mattered && !w->asked_to_end) {
		slot_react(sup, slot, reaction_to(wait_status));
	}
	worker_free(w);
}

void
supervisor_reap(struct supervisor *sup)
{
	struct worker *w, *next;
	int wait_status;

	for (w = TAILQ_FIRST(&sup->workers); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (waitpid(w->pid, &wait_status, WNOHANG) == w->pid) {
			worker_ended(sup, w, wait_status);
		}
	}
	supervisor_fill(sup);
}

void
supervisor_stop(struct supervisor *sup)
{
	struct worker *w;

	sup->stopping = true;
	TAILQ_FOREACH(w, &sup->workers, link)
	{
		worker_drain(w);
	}
}

/* ---- watching ---- */

/* Start a successor for a worker that is old. */
static void
replace_old(struct supervisor *sup, uint64_t now_us)
{
	for (unsigned i = 0; i < sup->n_slots && may_start(sup); i++) {
		const struct slot *slot = &sup->slots[i];

		if (slot->serving != NULL &&
		    slot->serving->state == WORKER_READY &&
		    slot->not_before_us <= now_us &&
		    worker_is_old(slot->serving)) {
			slot_start(sup, i);
		}
	}
}

void
supervisor_tick(struct supervisor *sup, uint64_t now_us)
{
	struct worker *w;

	TAILQ_FOREACH(w, &sup->workers, link)
	{
		const char *why = worker_overdue(w, now_us);

		if (why != NULL) {
			worker_kill(w, why);
		} else {
			dispatch_expire(w, now_us);
		}
	}
	supervisor_fill(sup); /* first: an old worker serves, none does not */
	replace_old(sup, now_us);
}

/* ---- asking ---- */

struct worker *
supervisor_pick(struct supervisor *sup, const struct route *route)
{
	uint64_t first = route->keyed ? route->hash : sup->next++;
	struct worker *pick = NULL;

	for (unsigned i = 0; i < sup->n_slots; i++) {
		struct worker *w =
		    sup->slots[(first % sup->n_slots + i) % sup->n_slots]
			.serving;

		if (w == NULL || w->state != WORKER_READY) {
			continue;
		}
		if (route->keyed) {
			return w;
		}
		if (pick == NULL || w->in_flight < pick->in_flight) {
			pick = w;
		}
	}
	return pick;
}

unsigned
supervisor_slots(const struct supervisor *sup)
{
	return sup->n_slots;
}

const struct worker_list *
supervisor_workers(const struct supervisor *sup)
{
	return &sup->workers;
}

const struct worker *
supervisor_any_ready(const struct supervisor *sup)
{
	for (unsigned i = 0; i < sup->n_slots; i++) {
		const struct worker *w = sup->slots[i].serving;

		if (w != NULL && w->state == WORKER_READY) {
			return w;
		}
	}
	return NULL;
}

const char *
supervisor_trouble(const struct supervisor *sup)
{
	if (sup->stopping) {
		return "the server is being stopped";
	}
	if (sup->latched) {
		return "the token refused the PIN; no worker is started until "
		       "joineryd gets SIGHUP";
	}
	if (supervisor_any_ready(sup) != NULL) {
		return NULL;
	}
	return sup->trouble != NULL ? sup->trouble : "no worker is ready yet";
}

/* ---- life ---- */

struct supervisor *
supervisor_new(struct server *s, unsigned slots)
{
	struct supervisor *sup =
	    sys_xcalloc(1, sizeof(*sup) + slots * sizeof(sup->slots[0]));

	sup->server = s;
	sup->n_slots = slots;
	TAILQ_INIT(&sup->workers);
	return sup;
}

void
supervisor_free(struct supervisor *sup)
{
	struct worker *w;
	int wait_status;

	if (sup == NULL) {
		return;
	}
	sup->stopping = true;
	while ((w = TAILQ_FIRST(&sup->workers)) != NULL) {
		w->asked_to_end = true;
		worker_kill(w, "it did not drain in time");
		while (waitpid(w->pid, &wait_status, 0) < 0 && errno == EINTR) {
		}
		worker_ended(sup, w, wait_status);
	}
	free(sup);
}
