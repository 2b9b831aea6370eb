/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token threads of a worker: as many as it has token sessions.
 *
 * The threads take turns in reading the corridor: whoever reads takes all
 * that is ready, up to what a batch may hold, and gives the turn away before
 * it starts to work.  The corridor itself is the queue.  With one session
 * there is one thread, the process's first, and so no locking anywhere, also
 * not inside the token library and malloc, where most of the time goes.
 *
 * When the token is lost, the pool stops by itself: what was read is answered
 * TOKEN_UNAVAILABLE, and the worker ends for the front to start another: a
 * fresh process is the recovery that every token library stands.
 */
#ifndef JY_WORKER_POOL_H
#define JY_WORKER_POOL_H

#include "src/worker/status.h"
#include "src/worker/work.h"

/*
 * Serve until the front closes the corridor (WORKER_DRAINED) or the token is
 * lost (why).  Everything that was read has been answered then.
 */
enum worker_status pool_run(
    const struct work_ctx *ctx, int corridor, unsigned threads);

#endif
