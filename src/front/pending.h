/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests under way: who waits for the reply that will come
 * with a sequence number.  A slab of fixed size, so that no peer can make it
 * grow.  A request that nobody waits for any more stays here until its reply
 * comes, because the worker is at it anyhow.
 */
#ifndef JY_FRONT_PENDING_H
#define JY_FRONT_PENDING_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/front/trace.h"

struct pending;
struct waiter;
struct worker;

struct request {
	TAILQ_ENTRY(request) link; /* in one of its worker's lists */
	uint64_t seq;
	uint64_t id; /* the asker's */
	uint64_t started_us;
	struct waiter *waiter; /* NULL: answered already */
	struct worker *worker;
	struct traced traced;
	uint32_t next_free;
	bool has_id;
	bool used;
};

TAILQ_HEAD(request_list, request);

#define REQUEST_ID_STR_LEN 25

/* Room for cap requests, at most PENDING_MAX. */
#define PENDING_MAX (1U << 24)
struct pending *pending_new(size_t cap);
void pending_free(struct pending *p);

/* A free request with a new sequence number; NULL when all are under way. */
struct request *pending_take(struct pending *p);
void pending_release(struct pending *p, struct request *r);

/* The request under way with that number; NULL when there is none. */
struct request *pending_find(struct pending *p, uint64_t seq);

/* How many are under way. */
size_t pending_count(const struct pending *p);

/* A number for a request that is refused before it is under way. */
uint64_t pending_seq(struct pending *p);

/* The request_id that answers and log lines show; unique over restarts. */
void pending_request_id(
    const struct pending *p, uint64_t seq, char out[REQUEST_ID_STR_LEN]);

#endif
