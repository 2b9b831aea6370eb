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

#include "proto/corridor.pb-c.h"

struct conn;
struct conns;
struct server;

struct conns *conns_new(void);
/* Close all of them at once. */
void conns_free(struct conns *conns);
size_t conns_count(const struct conns *conns);

/* Close those that were idle, or slow with a frame, for too long. */
void conns_sweep(struct conns *conns, uint64_t now_us);

/* Read no more; each closes when its answers are out. */
void conns_finish(struct conns *conns);

/* Begin to serve an accepted socket, which it takes. */
void conn_accept_unix(struct server *s, int fd);
void conn_accept_tls(struct server *s, int fd, const char *from);

/* For log lines: "uid=1000" or "from=[::1]:4711". */
const char *conn_name(const struct conn *c);
const Joinery__Corridor__Credential *conn_credential(const struct conn *c);

/*
 * Send a message as a frame; dropped when the peer has gone.  len is at most
 * FRAME_MAX.
 */
void conn_send(struct conn *c, const void *message, size_t len);

/* A request of this connection is under way; c lives until it is done. */
void conn_hold(struct conn *c);
void conn_done(struct conn *c);
bool conn_gone(const struct conn *c);

#endif
