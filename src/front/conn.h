/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer's connection: frames in, answers out, and its limits.
 *
 * Back-pressure, not errors: a peer with max-in-flight requests under way, or
 * one that lets its answers pile up, is not read from until that is better.
 * A frame's size is checked before its octets are waited for.
 */
#ifndef JY_FRONT_CONN_H
#define JY_FRONT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct conn;
struct conns;
struct server;
struct waiter;

struct conns *conns_new(void);
/* Close all of them at once. */
void conns_free(struct conns *conns);
size_t conns_count(const struct conns *conns);

/* Close those that were idle, or slow with a frame, for too long. */
void conns_sweep(struct conns *conns, uint64_t now_us);

/* Read no more; each closes when its answers are out. */
void conns_finish(struct conns *conns);

/*
 * Begin to serve a connection, which it takes.  name is for log lines:
 * "uid=1000" or "from=[::1]:4711"; uid is who is at the other end of a Unix
 * socket, NULL: TLS, of which the handshake is to come.
 */
void conn_begin_take(struct server *s, struct bufferevent *bev,
    const char *name, const uint32_t *uid);

/* The connection that waits; NULL when it is none but something else. */
struct conn *conn_of(struct waiter *waiter);

/* From now on it may be idle, and may be slow to read what it is sent. */
void conn_keep(struct conn *c);

/* So much waits to be read by the peer that less important things should not.
 */
bool conn_lags(const struct conn *c);
#endif
