/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections that we have closed and their peers have not yet.
 *
 * TCP that is closed with octets unread is reset, and a reset takes back what
 * the peer has not read yet: the answer to a frame that is too large, or the
 * alert that says why a certificate is refused.  So only our direction is
 * closed, and what comes is thrown away until the peer closes too.
 */
#ifndef JY_FRONT_PARTING_H
#define JY_FRONT_PARTING_H

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct event_base;
struct partings;

struct partings *partings_new(struct event_base *base);

/* Close all of them at once. */
void partings_free(struct partings *p);
size_t partings_count(const struct partings *p);

/* Close those whose peer took too long. */
void partings_sweep(struct partings *p, uint64_t now_us);

/*
 * Say good-bye and close our direction.  Takes bev, of which nothing is left
 * to write; with too many already, it is closed at once.
 */
void parting_begin_take(struct partings *p, struct bufferevent *bev);

#endif
