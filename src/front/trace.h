/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who watches which device: TraceRequest of the framed protocol.  At most
 * TRACES_MAX at a time; one that does not read its events loses some, and is
 * told how many so far.  A reply that comes after the front has said TIMEOUT
 * makes an event too.
 */
#ifndef JY_FRONT_TRACE_H
#define JY_FRONT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"

#define TRACES_MAX 16U
#define TRACE_DEV_EUI_LEN 8U

struct asked;
struct conn;
struct server;
struct traces;

/* What an event has to say of a request beside its answer. */
struct traced {
	const char *call; /* static; NULL: nobody watches the device */
	uint64_t started_us;
	uint8_t dev_eui[TRACE_DEV_EUI_LEN];
};

struct traces *traces_new(void);
void traces_free(struct traces *t);

/* Answer a TraceRequest: to admins on the Unix socket. */
void trace_begin(
    struct server *s, struct asked *asked, const uint8_t *dev_eui, size_t len);

/* The connection ends: forget what it watches. */
void trace_end(struct traces *t, const struct conn *c);

/* Whether somebody watches this device; dev_eui has 8 octets. */
bool trace_wants(const struct traces *t, const uint8_t *dev_eui);

/*
 * Hand the packed TraceEvent of a worker to who watches the device that the
 * request was about, with the time it took; nothing if nobody does.
 */
void trace_event(struct server *s, const struct traced *traced,
    const uint8_t *event, size_t len);

/* The same, for a refusal that no worker gave. */
void trace_refused(struct server *s, const struct traced *traced,
    const Joinery__V1__Error *error);

#endif
