/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for the answer to a request: a connection of the framed protocol
 * (conn.c) or an HTTP exchange of Backend Interfaces (bi.c).  First member of
 * each; dispatch knows no more of them.
 */
#ifndef JY_FRONT_WAITER_H
#define JY_FRONT_WAITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/corridor.pb-c.h"

struct waiter;

struct waiter_ops {
	/* For log lines: "uid=1000" or "from=[::1]:4711". */
	const char *(*name)(const struct waiter *w);
	const Joinery__Corridor__Credential *(*credential)(
	    const struct waiter *w);
	/* Nobody is there any more: an answer would be for nothing. */
	bool (*gone)(const struct waiter *w);
	/*
	 * Take a packed joinery.v1.Response of at most FRAME_MAX octets;
	 * request_id is the one in its log lines, to is where the asker wants
	 * the answer instead, or NULL.  Dropped when it is gone.
	 */
	void (*answer)(struct waiter *w, const uint8_t *response, size_t len,
	    const char *request_id, const Joinery__Corridor__AnswerTo *to);
	/* A request is under way; the waiter lives until done is called. */
	void (*hold)(struct waiter *w);
	void (*done)(struct waiter *w);
	bool backend_interfaces;
};

struct waiter {
	const struct waiter_ops *ops;
};

#endif
