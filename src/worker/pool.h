/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token threads of a worker and the queue before them.
 *
 * The reader submits frames; a thread takes its fair share of what waits,
 * runs it as one batch and writes the replies.  When the token is lost, the
 * pool stops by itself: what waits is answered TOKEN_UNAVAILABLE, the
 * corridor's reading end is shut, and the worker ends for the front to start
 * another: a fresh process is the recovery that every token library stands.
 */
#ifndef JY_WORKER_POOL_H
#define JY_WORKER_POOL_H

#include "src/worker/status.h"
#include "src/worker/work.h"

struct pool;

/* Start threads; ctx is borrowed until pool_free, fd is the corridor. */
enum jy_err pool_new(const struct work_ctx *ctx, int fd, unsigned threads,
    struct pool **out, struct errctx *ec) JY_CHECK;

/* Queue a frame; it is copied.  Called by the reader only. */
void pool_submit(struct pool *p, const uint8_t *frame, size_t len);

/*
 * Finish what waits, end the threads, give everything back; says why the
 * pool had stopped by itself, else WORKER_DRAINED.
 */
enum worker_status pool_free(struct pool *p);

#endif
