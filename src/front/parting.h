/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that we have closed and their peers have not yet.
 *
 * A stream that is closed with octets unread is reset, and a reset takes back
 * what the peer has not read yet: the answer to a frame that is too large, or
 * the alert that says why a certificate is refused.  So only our direction is
 * closed, and what comes is thrown away until the peer closes too.
 */
#ifndef JY_FRONT_PARTING_H
#define JY_FRONT_PARTING_H

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct event_base;
struct parting;
struct partings;

struct partings *partings_new(struct event_base *base);

/* Close all of them at once. */
void partings_free(struct partings *p);
size_t partings_count(const struct partings *p);

/* Close those whose peer took too long. */
void partings_sweep(struct partings *p, uint64_t now_us);

/*
 * Close our direction of bev, of which nothing is left to write.  done is
 * called once, and frees bev: when the peer has closed too, took too long, or
 * all are closed.  NULL, and nothing is done, when there are too many already.
 */
struct parting *parting_begin(struct partings *p, struct bufferevent *bev,
    void (*done)(void *arg), void *arg);

/* bev is being freed otherwise: done is not called. */
void parting_forget(struct parting *one);

/* The same for TLS with its good-bye; takes bev. */
void parting_begin_take(struct partings *p, struct bufferevent *bev);

#endif
