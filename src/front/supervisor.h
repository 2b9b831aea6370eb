/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: started, watched, replaced, stopped.  ARCHITECTURE.md,
 * "Supervision", says what each exit status leads to.
 */
#ifndef JY_FRONT_SUPERVISOR_H
#define JY_FRONT_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/corridor.pb-c.h"
#include "src/base/err.h"
#include "src/front/worker.h"

struct route;
struct supervisor;

struct supervisor *supervisor_new(struct server *s, unsigned slots);

/* Kill and reap every worker that is left. */
void supervisor_free(struct supervisor *sup);

/* Start the first worker; each that is ready lets the next one start. */
void supervisor_start(struct supervisor *sup);

/* At intervals: deadlines, back-off that is over, workers that are old. */
void supervisor_tick(struct supervisor *sup, uint64_t now_us);

/* After SIGCHLD. */
void supervisor_reap(struct supervisor *sup);

/* After SIGHUP: forget the PIN latch and back-off. */
void supervisor_retry(struct supervisor *sup);

/* Drain all workers and start no more. */
void supervisor_stop(struct supervisor *sup);

/* JY_EINVAL when the worker said Hello before. */
enum jy_err supervisor_hello(struct worker *w,
    const Joinery__Corridor__Hello *hello, struct errctx *ec) JY_CHECK;

/* The worker for a request; NULL when none is ready. */
struct worker *supervisor_pick(
    struct supervisor *sup, const struct route *route);

unsigned supervisor_slots(const struct supervisor *sup);
const struct worker_list *supervisor_workers(const struct supervisor *sup);
const struct worker *supervisor_any_ready(const struct supervisor *sup);

/* Why joins fail now, or will soon; NULL when all is well. */
const char *supervisor_trouble(const struct supervisor *sup);

#endif
