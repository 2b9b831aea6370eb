/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of Backend Interfaces that go to a peer's own URL.
 *
 * A queue bounded by bi-answer-queue: one answer more, and the server with the
 * most waiting loses its oldest.  Each answer is POSTed until the peer
 * says 2xx, with back-off from 0.25 s doubling to 4 s, at most
 * POST_PER_TARGET at a time to one server, until bi-answer-deadline; then it is
 * lost: counted, and a log line names peer, transaction and reason.  Names
 * are resolved without blocking; the server's certificate has to be good for
 * the URL's host; ours is shown.
 */
#ifndef JY_FRONT_POST_H
#define JY_FRONT_POST_H

#include <stddef.h>
#include <stdint.h>

#include "proto/corridor.pb-c.h"

#define POST_PER_TARGET 8U
#define POST_LINKS_MAX 512U /* connections in all */

struct post;
struct server;

struct post *post_new(struct server *s);

/* Gives up what waits, with a log line if that is something. */
void post_free(struct post *p);

/* Answers that wait or are on their way. */
size_t post_count(const struct post *p);

/*
 * Send a body to a URL (http://, https://); all is copied.  label is for log
 * lines: "peer=... transaction=... request=...".  What cannot be sent at all
 * (no URL, PEM file not readable) is lost at once.
 */
void post_answer(struct post *p, const Joinery__Corridor__AnswerTo *to,
    const char *body, size_t len, const char *label);

/* After SIGHUP: read PEM files and /etc/resolv.conf anew. */
void post_reload(struct post *p);

#endif
