/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: many threads' joins in one transaction, and the refused joins
 * that wait in memory until a transaction takes them along.
 */
#ifndef JY_STORE_COMMIT_H
#define JY_STORE_COMMIT_H

#include "src/store/backend.h"

struct commit_queue;

/* db is borrowed until the free. */
enum jy_err commit_queue_new(struct store_db *db, uint32_t refusal_flush_ms,
    struct commit_queue **out, struct errctx *ec) JY_CHECK;

/* Write what waits; NULL is fine. */
void commit_queue_free(struct commit_queue *q);

/* Returns when every entry of the batch has its err. */
void commit_joins(struct commit_queue *q, struct join_commit *const batch[],
    size_t n, struct errctx *ec);

/* Write refusals that have waited long enough. */
void commit_tick(struct commit_queue *q);

void commit_refusal_note(struct commit_queue *q, const struct refusal_row *row);

/* False when none of the device waits. */
bool commit_refusal_find(struct commit_queue *q, const struct device_id *id,
    struct refusal_row *row) JY_CHECK;

/* Drop the one that waits; for a device that is deleted. */
void commit_refusal_forget(struct commit_queue *q, const struct device_id *id);

/* Joins made durable since the queue is there. */
uint64_t commit_count(struct commit_queue *q);

#endif
