/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a request: counters, log, event.  Private to the worker. */
#ifndef JY_WORKER_WORK_LOG_H
#define JY_WORKER_WORK_LOG_H

#include "src/worker/work.h"

void work_count(const struct work *w, struct counters *n);

/* One line for what is refused or changes something. */
void work_log(const struct work *w);

/*
 * A packed TraceEvent in the work's arena; false when there is nothing to
 * say, because the request was none.
 */
bool work_trace(struct work *w, const struct work_ctx *ctx,
    ProtobufCBinaryData *out) JY_CHECK;

#endif
