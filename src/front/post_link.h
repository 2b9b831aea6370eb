/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a peer's HTTP server, over which requests are POSTed one
 * at a time.  evhttp's client speaks; it is never let to connect a second
 * time, nor to resolve names: it knows one address of a host only.
 */
#ifndef JY_FRONT_POST_LINK_H
#define JY_FRONT_POST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/front/post_site.h"
#include "src/front/tls_client.h"

struct event;
struct event_base;
struct evdns_base;
struct post_link;

/* What all links share. */
struct post_net {
	struct event_base *base;
	struct evdns_base *dns; /* NULL: not needed yet */
	bool dns_stale;   /* read its files anew once nothing is looked up */
	unsigned lookups; /* under way */
	struct tls_clients *tls;
};

/* What is sent; shared with connections that are going down. */
struct post_body {
	unsigned refs;
	size_t len;
	char octets[];
};

/* Let a timer expire in so many microseconds. */
void post_set_timer(struct event *timer, uint64_t us);

/* NULL when memory is short. */
struct post_body *post_body_new(const char *octets, size_t len);
void post_body_unref(struct post_body *body);

struct post_message {
	const char *path;
	const char *host; /* header */
	struct post_body *body;
	unsigned attempt; /* tries another address of the host each time */
	uint64_t timeout_us;
};

/*
 * Called from the event loop, and may free the link.  done: a message has
 * its status, or 0 and why not.  ended: the link is idle and of no more use.
 */
struct post_link_ops {
	void (*done)(
	    void *arg, struct post_link *l, int status, const char *why);
	void (*ended)(void *arg, struct post_link *l);
};

/* Borrows all for its life; NULL when memory is short. */
struct post_link *post_link_new(struct post_net *net,
    const struct post_site *site, const struct post_link_ops *ops, void *arg);
void post_link_free(struct post_link *l);

/* Send over a link that is idle; done will be called. */
void post_link_send(struct post_link *l, const struct post_message *m);

bool post_link_idle(const struct post_link *l);

/* End when idle: its certificates are old. */
void post_link_expire(struct post_link *l);

#endif
