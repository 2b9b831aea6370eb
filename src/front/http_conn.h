/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http*.c share: connections of HTTP and the exchange that each may have
 * under way.
 *
 * evhttp accepts, reads requests and writes answers that others follow.  It
 * does not bound a request as a whole, takes no notice of a client while a
 * request waits, and resets connections whose last answer the client has not
 * read.  So at those times the bufferevent calls us instead:
 *
 *   FRESH      accepted, until the event loop comes round
 *   HANDSHAKE  ours      TLS only
 *   READING    evhttp's  idle, or a request has begun (slow_since_us)
 *   WAITING    ours      a whole request is with bi.c
 *   WRITING    evhttp's  an answer; then READING
 *   ENDING     ours      the last answer
 *   PARTING    ours      parting.c waits for the client to close
 *   GONE                 bev and evcon are freed; an exchange holds the rest
 */
#ifndef JY_FRONT_HTTP_CONN_H
#define JY_FRONT_HTTP_CONN_H

#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/front/http.h"
#include "src/front/listener.h"
#include "src/front/tls.h"

#define HTTP_MAGIC 0x68747470U
#define HTTP_CONN_MAGIC 0x68636f6eU

struct event;
struct evbuffer;
struct evconnlistener;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_connection;
struct evhttp_request;
struct parting;

enum http_state {
	HTTP_FRESH,
	HTTP_HANDSHAKE,
	HTTP_READING,
	HTTP_WAITING,
	HTTP_WRITING,
	HTTP_ENDING,
	HTTP_PARTING,
	HTTP_GONE
};

/* Whose connection: a certificate, an IPv6 (or mapped) address, or "unix". */
struct http_peer {
	char kind; /* 'c', 'a', 'u' */
	uint8_t octets[TLS_FINGERPRINT_LEN];
};

struct http_exchange {
	struct http_conn *conn;
	struct evhttp_request *req; /* NULL: gone with the connection */
	bool in_call;               /* bi_request has not returned */
	bool refused;               /* without a look at its body */
	int status;                 /* 0: no answer yet */
	struct evbuffer *body;
};

struct http_conn {
	unsigned magic;
	TAILQ_ENTRY(http_conn) link;
	struct http *http; /* not to be used when GONE */
	struct server *server;
	enum http_state state;
	unsigned refs; /* one of its own until GONE, one of the exchange */
	bool is_tls;
	bool refused;   /* could not be set up: never serve it */
	bool counted;   /* against the limits */
	bool peer_done; /* the client sends no more */
	bool from_proxy;
	bool has_tls_peer;
	int fd; /* -1: FRESH */
	struct bufferevent *bev;
	struct evhttp_connection *evcon;
	struct event *kick; /* go on soon, from the event loop */
	struct parting *parting;
	bufferevent_data_cb on_read; /* evhttp's, kept during HANDSHAKE */
	bufferevent_data_cb on_write;
	bufferevent_event_cb on_event;
	int refusal;            /* status, decided while it was read */
	unsigned pieces;        /* that evhttp took of this request */
	uint64_t slow_since_us; /* it is the client's turn; 0: it is not */
	uint64_t active_us;     /* the last request or answer */
	struct tls_peer tls_peer;
	struct http_peer peer;
	struct http_exchange exchange;
	char name[80];
};

/* One address that is listened on. */
struct http_door {
	struct http *http;
	bool is_tls;
	struct evhttp *ev; /* NULL: not this one */
	struct evhttp_bound_socket *socket;
	struct evconnlistener *listener;
	struct bound bound;
};

struct http {
	unsigned magic;
	struct server *server;
	bool finishing;
	struct http_door doors[2];
	size_t n_proxies;
	struct http_peer *proxies;
	TAILQ_HEAD(, http_conn) list;
	size_t count;             /* of those that are counted */
	struct http_conn **by_fd; /* those that evhttp calls back about */
	size_t by_fd_len;
};

/* ---- http.c ---- */

/* Who it is by address; and whether that is one of bi-proxies. */
void http_name_peer(struct http_conn *c);

/* Whether the limits allow this connection; if not, says so in the log. */
bool http_admits(struct http_conn *c);

/* ---- http_conn.c ---- */

/* For evhttp: the bufferevent of a connection it has just accepted. */
struct bufferevent *http_conn_bufferevent(struct http_door *door);

/* The connection that evhttp speaks of; NULL: none that we know. */
struct http_conn *http_conn_of(struct http *h, struct evhttp_connection *evcon);

void http_conn_unref(struct http_conn *c);

/* A whole request is there: until it is answered we watch the client. */
void http_conn_await_answer(struct http_conn *c);

/* An answer is written and another request may come. */
void http_conn_read_on(struct http_conn *c);

/* Part when all is written. */
void http_conn_end(struct http_conn *c);

/* Close now. */
void http_conn_close(struct http_conn *c);

/* Close when nothing is owed any more: http_finish. */
void http_conn_finish(struct http_conn *c);

/* Close it if it is overdue. */
void http_conn_sweep(struct http_conn *c, uint64_t now_us);

/* evhttp is being freed and never spoke of it: forget it. */
void http_conn_drop(struct http_conn *c);

/* ---- http_exchange.c ---- */

/* evhttp's callback: a whole request; arg is a struct http_door. */
void http_on_request(struct evhttp_request *req, void *arg);

/* Send the answer that is there. */
void http_exchange_send(struct http_exchange *x);

#endif
