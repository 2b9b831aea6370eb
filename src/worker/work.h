/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request on its way through a token thread: from the envelope off the
 * corridor to the reply onto it.
 */
#ifndef JY_WORKER_WORK_H
#define JY_WORKER_WORK_H

#include "proto/corridor.pb-c.h"
#include "proto/counters.h"
#include "src/conf/conf.h"
#include "src/worker/calls.h"

/* What every request works with. */
struct work_ctx {
	struct join_env env;
	const struct conf *conf;
	struct counters *counters;
};

struct work {
	Joinery__Corridor__Envelope *envelope;
	Joinery__V1__Request *request;
	struct arena envelope_arena, request_arena; /* what these two are in */
	const struct call_def *def;                 /* NULL: no such call */
	struct asker asker;
	struct sender sender; /* borrows request */
	struct arena arena;   /* the answer */
	Joinery__V1__Response response;
	char note[CALL_NOTE_MAX]; /* the call's */
	uint64_t audit_seq;       /* its event in the audit log; 0: none */
	struct join join;         /* if def->run is NULL */
	bool joins;               /* join is ready to go down the line */
	enum jy_err err;
	struct errctx ec;
};

/* Replies of one batch, ready to be written. */
struct work_replies {
	uint8_t *buf; /* given to free() by whoever owns the struct */
	size_t len;
	size_t cap;
};

/*
 * Take an envelope off the corridor; frame is copied.  False when it is none:
 * the front is broken.
 */
bool work_open(struct work *w, const uint8_t *frame, size_t len) JY_CHECK;

/*
 * Find the asker and answer the call, or, for a join, make w->join ready for
 * join_run_batch.
 */
void work_begin(struct work *w, const struct work_ctx *ctx);

/* Instead of work_begin, without a token: it will be TOKEN_UNAVAILABLE. */
void work_refuse(struct work *w);

/* What became of it, before work_end; the caller may change it. */
enum jy_err *work_err(struct work *w);

/*
 * Put the framed reply behind the others, count and log what happened, and
 * give everything back.
 */
void work_end(
    struct work *w, const struct work_ctx *ctx, struct work_replies *replies);

#endif
