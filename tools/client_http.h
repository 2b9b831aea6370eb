/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON over HTTP/1.1: POSTs on some keep-alive connections, each with one
 * request at a time.  It reads strictly, since it is there to check a server:
 * a status line, header lines that end with CR LF, one Content-Length, a body
 * of application/json and of that length, nothing behind it.
 *
 * Errors are those of client.h; JY_EINVAL for what breaks these rules.
 */
#ifndef JY_TOOLS_CLIENT_HTTP_H
#define JY_TOOLS_CLIENT_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "tools/client.h"

struct http_pool;

/* An answer; body is valid until the next call. */
struct http_answer {
	size_t connection; /* that http_send chose */
	unsigned status;
	const char *body; /* not if status is other than 200 */
	size_t len;
};

/* As client_open_bi: one connection is made, to see whether it works. */
enum jy_err http_open(const struct client_config *config,
    struct http_pool **out, struct errctx *ec) JY_CHECK;
void http_close(struct http_pool *p);

/* Another time-out for connections and answers from now on. */
void http_set_timeout(struct http_pool *p, unsigned timeout_ms);

/* How many connections there may be. */
size_t http_connections(const struct http_pool *p);

/*
 * POST a body on a connection that is free; *connection says which one, below
 * http_connections.  JY_EBUSY when none is.
 */
enum jy_err http_send(struct http_pool *p, const char *body, size_t len,
    size_t *connection, struct errctx *ec) JY_CHECK;

/* Wait for an answer, on whichever connection. */
enum jy_err http_receive(
    struct http_pool *p, struct http_answer *out, struct errctx *ec) JY_CHECK;

#endif
