/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request to a worker and of its answer back. */
#ifndef JY_FRONT_DISPATCH_H
#define JY_FRONT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

struct server;
struct waiter;
struct worker;

/* A whole frame of a peer. */
void dispatch_request(struct server *s, struct waiter *waiter,
    const uint8_t *frame, size_t len, uint64_t now_us);

/* The same for a request that is no octets yet; nothing of it is kept. */
void dispatch_call(struct server *s, struct waiter *waiter,
    const Joinery__V1__Request *call, uint64_t now_us);

/* A frame whose announced length is not allowed; the caller ends it all. */
void dispatch_bad_frame(
    struct server *s, struct waiter *waiter, const char *why, bool too_large);

/* A frame of a worker; JY_EINVAL when it is none that a worker may send. */
enum jy_err dispatch_reply(struct worker *w, const uint8_t *frame, size_t len,
    struct errctx *ec) JY_CHECK;

/* Answer TIMEOUT to what has been with the worker for worker-deadline. */
void dispatch_expire(struct worker *w, uint64_t now_us);

/* The worker is dead: answer what it had under way. */
void dispatch_worker_died(struct worker *w);

#endif
