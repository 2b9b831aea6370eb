/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that peers connect to. */
#ifndef JY_FRONT_LISTENER_H
#define JY_FRONT_LISTENER_H

#include <sys/types.h>

#include <stdbool.h>

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

/* A socket that is bound; for those who listen on it themselves. */
struct bound {
	int fd;
	const char *path; /* of a Unix socket, borrowed; NULL: TCP */
	dev_t dev;
	ino_t ino;
};

/*
 * Bind to a numeric address and port, with "loopback" to no other; or to the
 * path of a Unix socket with exactly that mode, in place of a socket file
 * that nobody answers on.  JY_ECONFIG names the option.
 */
enum jy_err bound_tcp(const char *option, const char *where, bool loopback,
    struct bound *out, struct errctx *ec) JY_CHECK;
enum jy_err bound_unix(const char *option, const char *path, mode_t mode,
    struct bound *out, struct errctx *ec) JY_CHECK;

/* Remove the file of the socket, if it is still ours; fd is the caller's. */
void bound_unlink(const struct bound *b);

/* The address of a peer: "[::1]:4711". */
struct sockaddr;
void listener_print_address(
    const struct sockaddr *addr, char *text, size_t cap);

/* Close, and remove our socket file; NULL is fine. */
void listener_free(struct listener *l);

/* At intervals: accept again after descriptors had run out. */
void listener_tick(struct listener *l);

#endif
