/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that the front gives itself. */
#ifndef JY_FRONT_RESPOND_H
#define JY_FRONT_RESPOND_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"

struct conn;
struct server;

/* The request that is answered, as far as it is known. */
struct asked {
	struct conn *conn;
	uint64_t seq; /* makes the request_id */
	uint64_t id;
	bool has_id;
};

/* Send a Response, with the asker's id put in. */
void respond(const struct asked *asked, Joinery__V1__Response *response);

/*
 * Refuse: one log line and an Error answer.  todo says to the owner of this
 * server what to do about it.
 */
void respond_error(struct server *s, const struct asked *asked,
    Joinery__V1__ErrorCode code, const char *message, const char *todo);

#endif
