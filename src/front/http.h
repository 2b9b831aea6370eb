/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 over libevent's evhttp: HTTPS on bi-listen, plain HTTP on
 * bi-plain-listen.  Knows requests and limits, not what is in a body; bi.c
 * does.
 *
 * Limits: header HTTP_HEADER_MAX, body BI_BODY_MAX (413), POST only (405),
 * nothing that another server may read otherwise (400, 411),
 * max-connections together with the framed protocol, bi-peer-connections of
 * one peer (by certificate, else by address, of IPv6 by its /64; not of a
 * proxy without one, which stands for many), idle-timeout between requests,
 * frame-timeout for a handshake and for a request from its first octet to its
 * last, and for an answer to be read.
 *
 * http.c has the doors and who may enter, http_conn.c the life of a
 * connection, http_exchange.c requests and answers.
 */
#ifndef JY_FRONT_HTTP_H
#define JY_FRONT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/front/tls.h"

#define HTTP_HEADER_MAX 8192U

struct http;
struct http_exchange;
struct server;

/*
 * Listen where the configuration says; *out is NULL if it says nowhere.
 * JY_ECONFIG names the option at fault: an address that is not loopback for
 * bi-plain-listen, a path where somebody listens already.
 */
enum jy_err http_new(
    struct server *s, struct http **out, struct errctx *ec) JY_CHECK;

/* Close all at once; NULL is fine, also for the calls below. */
void http_free(struct http *h);

/* Take no more requests; connections close when they have their answers. */
void http_finish(struct http *h);

/* Connections that are open. */
size_t http_count(const struct http *h);

/* At intervals: cut connections that are too slow or idle, accept again. */
void http_sweep(struct http *h, uint64_t now_us);

/* ---- an exchange: a whole request that waits for its answer ---- */

/*
 * http.c calls this for each whole POST, with its body; the callee calls
 * http_answer once, at once or later, also when the client has gone.
 */
void bi_request(
    struct server *s, struct http_exchange *x, const void *body, size_t len);

/* The value of a request header; NULL when there is none, or it is gone. */
const char *http_header(const struct http_exchange *x, const char *name);

/* What the client's certificate says; NULL: it has none. */
const struct tls_peer *http_tls_peer(const struct http_exchange *x);

/* For log lines: "from=[::1]:4711" or "from=unix". */
const char *http_name(const struct http_exchange *x);

/* Whether it comes from an address of bi-proxies. */
bool http_from_proxy(const struct http_exchange *x);

/*
 * The client cannot be answered any more.  One that only sends no more, or
 * has closed TCP politely, may still want its answer: that is not gone.
 */
bool http_gone(const struct http_exchange *x);

/*
 * Answer with a status and a body of application/json (len 0: none), and end
 * the exchange: x is not valid any more.
 */
void http_answer(
    struct http_exchange *x, int status, const char *body, size_t len);

#endif
