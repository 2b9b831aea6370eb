/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that the front gives itself. */
#ifndef JY_FRONT_RESPOND_H
#define JY_FRONT_RESPOND_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"

#include "src/front/trace.h"

struct server;
struct waiter;

/* The request that is answered, as far as it is known. */
struct asked {
	struct waiter *waiter;
	uint64_t seq; /* makes the request_id */
	uint64_t id;
	bool has_id;
	struct traced traced;
};

/* Whether an admin on the Unix socket asks: no worker is needed to tell. */
bool respond_asked_by_admin(const struct server *s, const struct asked *asked);

/*
 * Send a Response, with the asker's id put in; request_id is what a log line
 * about it shows, "" for none.
 */
void respond(const struct asked *asked, Joinery__V1__Response *response,
    const char *request_id);

/*
 * Refuse: one log line, an Error answer, and an event to who watches.  todo
 * says to the owner of this server what to do about it.
 */
void respond_error(struct server *s, const struct asked *asked,
    Joinery__V1__ErrorCode code, const char *message, const char *todo);

#endif
