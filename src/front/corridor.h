/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front's end of a corridor: frames to and from one worker.  What a turn
 * of the event loop puts in leaves in one write at its end, and one read
 * takes many replies.
 */
#ifndef JY_FRONT_CORRIDOR_H
#define JY_FRONT_CORRIDOR_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

struct corridor;
struct event_base;

struct corridor_calls {
	/* A frame came; an error ends the corridor with ec's text. */
	enum jy_err (*frame)(
	    void *arg, const uint8_t *frame, size_t len, struct errctx *ec);
	/*
	 * Nothing more will come; why is NULL if the worker closed its end in
	 * order.  Called once, and not from corridor_free.
	 */
	void (*ended)(void *arg, const char *why);
};

/* Takes fd, a non-blocking socket; NULL when memory is short. */
struct corridor *corridor_new_take(struct event_base *base, int fd,
    const struct corridor_calls *calls, void *arg);
void corridor_free(struct corridor *c);

/* Room for a message of len octets, or NULL; commit before the next one. */
uint8_t *corridor_reserve(struct corridor *c, size_t len);
void corridor_commit(struct corridor *c);

/* Close our direction when all is written: the worker drains and ends. */
void corridor_finish(struct corridor *c);

/* Take now what the kernel still holds from a worker that died. */
void corridor_drain(struct corridor *c);

#endif
