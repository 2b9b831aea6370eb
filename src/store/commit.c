/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit.  A thread puts its batch into the list of waiting ones.  If
 * nobody is writing it becomes the leader, takes the whole list, runs it as
 * one transaction and wakes the others; while it writes, the next list
 * gathers.  So a lone join waits for nobody, and under load the cost of a
 * flush is shared by all who came during the flush before.
 *
 * Refused joins wait in a small table, the latest of a device each.  Whoever
 * leads takes them along; a tick that finds them old enough leads with nothing
 * but them.
 */
#include "src/store/commit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"

#define REFUSALS_MAX 256

enum slot_state {
	SLOT_FREE,
	SLOT_WAITING,
	SLOT_WRITING /* a copy is in the running transaction */
};

struct slot {
	enum slot_state state;
	struct refusal_row row;
};

struct commit_queue {
	struct store_db *db;
	uint32_t refusal_flush_ms;
	pthread_mutex_t lock;   /* guards all below but writing[] */
	pthread_cond_t changed; /* the leader is done, or gives way */
	bool leading;           /* somebody is writing */
	struct join_group *first;
	struct join_group **last;
	struct slot slots[REFUSALS_MAX];
	size_t n_waiting;          /* slots in SLOT_WAITING */
	size_t victim;             /* who gives way when all slots are taken */
	uint64_t waiting_since_us; /* the first of those that wait */
	uint64_t joins;
	struct refusal_row writing[REFUSALS_MAX]; /* the leader's */
};

/* Copy the waiting refusals for the transaction; returns how many. */
static size_t
refusals_take(struct commit_queue *q)
{
	size_t n = 0;

	for (size_t i = 0; i < REFUSALS_MAX && q->n_waiting > 0; i++) {
		struct slot *s = &q->slots[i];

		if (s->state == SLOT_WAITING) {
			q->writing[n++] = s->row;
			s->state = SLOT_WRITING;
			q->n_waiting--;
		}
	}
	return n;
}

/* They are on disk, or have to wait again. */
static void
refusals_settle(struct commit_queue *q, bool written)
{
	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		struct slot *s = &q->slots[i];

		if (s->state == SLOT_WRITING) {
			s->state = written ? SLOT_FREE : SLOT_WAITING;
			q->n_waiting += written ? 0 : 1;
		}
	}
}

/* An error of the whole transaction goes to everybody in it. */
static void
groups_settle(struct commit_queue *q, struct join_group *list, enum jy_err err,
    const struct errctx *ec)
{
	struct join_group *next;

	for (struct join_group *g = list; g != NULL; g = next) {
		next = g->next; /* g is gone once its thread sees done */
		for (size_t i = 0; i < g->n; i++) {
			if (err != JY_OK) {
				g->batch[i]->err = err;
			}
			q->joins += g->batch[i]->err == JY_OK ? 1 : 0;
		}
		if (err != JY_OK) {
			(void)err_set(g->ec, err, "%s", err_detail(ec, err));
		}
		g->done = true;
	}
}

/* Write all that waits.  Called and left with the lock held. */
static void
lead(struct commit_queue *q)
{
	struct errctx ec = ERRCTX_INIT;
	struct join_work work = {
		.groups = q->first,
		.refusals = q->writing,
		.n_refusals = refusals_take(q),
	};
	enum jy_err err;

	q->first = NULL;
	q->last = &q->first;
	q->leading = true;
	(void)pthread_mutex_unlock(&q->lock);
	err = q->db->ops->join_commit(q->db, &work, &ec);
	(void)pthread_mutex_lock(&q->lock);
	q->leading = false;
	groups_settle(q, work.groups, err, &ec);
	if (work.n_refusals > 0) {
		refusals_settle(q, err == JY_OK);
	}
	(void)pthread_cond_broadcast(&q->changed);
}

void
commit_joins(struct commit_queue *q, struct join_commit *const batch[],
    size_t n, struct errctx *ec)
{
	struct join_group self = { .batch = batch, .n = n, .ec = ec };

	(void)pthread_mutex_lock(&q->lock);
	*q->last = &self;
	q->last = &self.next;
	while (!self.done && q->leading) {
		(void)pthread_cond_wait(&q->changed, &q->lock);
	}
	if (!self.done) {
		lead(q);
	}
	(void)pthread_mutex_unlock(&q->lock);
}

void
commit_tick(struct commit_queue *q)
{
	uint64_t wait_us = (uint64_t)q->refusal_flush_ms * 1000U;

	(void)pthread_mutex_lock(&q->lock);
	if (q->n_waiting > 0 && !q->leading &&
	    sys_mono_us() - q->waiting_since_us >= wait_us) {
		lead(q);
	}
	(void)pthread_mutex_unlock(&q->lock);
}

static void
queue_release(struct commit_queue *q)
{
	(void)pthread_cond_destroy(&q->changed);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

enum jy_err
commit_queue_new(struct store_db *db, uint32_t refusal_flush_ms,
    struct commit_queue **out, struct errctx *ec)
{
	struct commit_queue *q = calloc(1, sizeof(*q));

	if (q == NULL) {
		return err_set(ec, JY_ENOMEM, "commit queue");
	}
	q->db = db;
	q->refusal_flush_ms = refusal_flush_ms;
	q->last = &q->first;
	/* Without attributes these cannot fail on Linux. */
	jy_assert(pthread_mutex_init(&q->lock, NULL) == 0 &&
	    pthread_cond_init(&q->changed, NULL) == 0);
	*out = q;
	return JY_OK;
}

void
commit_queue_free(struct commit_queue *q)
{
	if (q == NULL) {
		return;
	}
	(void)pthread_mutex_lock(&q->lock);
	jy_assert(!q->leading && q->first == NULL);
	if (q->n_waiting > 0) {
		lead(q);
	}
	(void)pthread_mutex_unlock(&q->lock);
	queue_release(q);
}

/* The slot of a device, or NULL. */
static struct slot *
slot_find(struct commit_queue *q, const struct device_id *id)
{
	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		struct slot *s = &q->slots[i];

		if (s->state != SLOT_FREE && device_id_eq(&s->row.device, id)) {
			return s;
		}
	}
	return NULL;
}

/* The slot a new refusal goes to: its device's, a free one, the victim's. */
static struct slot *
slot_for(struct commit_queue *q, const struct device_id *id)
{
	struct slot *s = slot_find(q, id);

	for (size_t i = 0; i < REFUSALS_MAX && s == NULL; i++) {
		if (q->slots[i].state == SLOT_FREE) {
			s = &q->slots[i];
		}
	}
	if (s == NULL) {
		s = &q->slots[q->victim];
		q->victim = (q->victim + 1) % REFUSALS_MAX;
	}
	return s;
}

void
commit_refusal_note(struct commit_queue *q, const struct refusal_row *row)
{
	struct slot *s;

	(void)pthread_mutex_lock(&q->lock);
	s = slot_for(q, &row->device);
	q->n_waiting += s->state == SLOT_WAITING ? 0 : 1;
	s->state = SLOT_WAITING;
	s->row = *row;
	if (q->n_waiting == 1) {
		q->waiting_since_us = sys_mono_us();
	}
	(void)pthread_mutex_unlock(&q->lock);
}

bool
commit_refusal_find(
    struct commit_queue *q, const struct device_id *id, struct refusal_row *row)
{
	struct slot *s;

	(void)pthread_mutex_lock(&q->lock);
	s = slot_find(q, id);
	if (s != NULL) {
		*row = s->row;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return s != NULL;
}

void
commit_refusal_forget(struct commit_queue *q, const struct device_id *id)
{
	struct slot *s;

	(void)pthread_mutex_lock(&q->lock);
	s = slot_find(q, id);
	if (s != NULL) {
		q->n_waiting -= s->state == SLOT_WAITING ? 1 : 0;
		s->state = SLOT_FREE;
	}
	(void)pthread_mutex_unlock(&q->lock);
}

uint64_t
commit_count(struct commit_queue *q)
{
	uint64_t joins;

	(void)pthread_mutex_lock(&q->lock);
	joins = q->joins;
	(void)pthread_mutex_unlock(&q->lock);
	return joins;
}
