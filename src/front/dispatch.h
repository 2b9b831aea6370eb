/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request to a worker and of its answer back. */
#ifndef JY_FRONT_DISPATCH_H
#define JY_FRONT_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

struct conn;
struct server;
struct worker;

/* A whole frame of a peer. */
void dispatch_request(struct server *s, struct conn *c, const uint8_t *frame,
    size_t len, uint64_t now_us);

/* A frame whose announced length is not allowed; the caller ends c. */
void dispatch_bad_frame(
    struct server *s, struct conn *c, const char *why, bool too_large);

/* A frame of a worker; JY_EINVAL when it is none that a worker may send. */
enum jy_err dispatch_reply(struct worker *w, const uint8_t *frame, size_t len,
    struct errctx *ec) JY_CHECK;

/* Answer TIMEOUT to what has been with the worker for worker-deadline. */
void dispatch_expire(struct worker *w, uint64_t now_us);

/* The worker is dead: answer what it had under way. */
void dispatch_worker_died(struct worker *w);

#endif
