/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who watches which device: TraceRequest of the framed protocol.  At most
 * TRACES_MAX at a time; one that does not read its events loses some, and is
 * told how many.
 */
#ifndef JY_FRONT_TRACE_H
#define JY_FRONT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACES_MAX 16U

struct asked;
struct conn;
struct server;
struct traces;

struct traces *traces_new(void);
void traces_free(struct traces *t);

/* Answer a TraceRequest: to admins on the Unix socket. */
void trace_begin(struct server *s, const struct asked *asked, struct conn *c,
    const uint8_t *dev_eui, size_t len);

/* The connection ends: forget what it watches. */
void trace_end(struct traces *t, const struct conn *c);

/* Whether somebody watches this device; dev_eui has 8 octets. */
bool trace_wants(const struct traces *t, const uint8_t *dev_eui);

/* Hand a packed TraceEvent of a worker to who watches the device in it. */
void trace_event(
    struct server *s, const uint8_t *event, size_t len, uint64_t total_us);

#endif
