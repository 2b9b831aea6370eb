/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that peers connect to. */
#ifndef JY_FRONT_LISTENER_H
#define JY_FRONT_LISTENER_H

#include "src/base/err.h"

struct listener;
struct server;

/*
 * Listen on the Unix socket of the configuration, with exactly its mode.  A
 * socket file that nobody answers on is replaced; JY_ECONFIG when somebody
 * does, or the file is something else.
 */
enum jy_err listener_new_unix(
    struct server *s, struct listener **out, struct errctx *ec) JY_CHECK;

/* Listen on tls-listen, a numeric address. */
enum jy_err listener_new_tls(
    struct server *s, struct listener **out, struct errctx *ec) JY_CHECK;

/* Close, and remove our socket file; NULL is fine. */
void listener_free(struct listener *l);

/* At intervals: accept again after descriptors had run out. */
void listener_tick(struct listener *l);

#endif
