/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a client, towards peers that answers are POSTed to.  The server's
 * certificate has to be of the CA and for the host that was asked for.
 */
#ifndef JY_FRONT_TLS_CLIENT_H
#define JY_FRONT_TLS_CLIENT_H

#include <stddef.h>

#include "src/base/err.h"

struct bufferevent;
struct event_base;
struct tls_clients;

/* PEM files; cert and key may be "": show none. */
struct tls_client_files {
	const char *ca;
	const char *cert;
	const char *key;
};

struct tls_clients *tls_clients_new(void);
void tls_clients_free(struct tls_clients *t);

/* Read the files anew when they are next wanted. */
void tls_clients_reload(struct tls_clients *t);

/* Load the files, if they are not; JY_ECONFIG names the one at fault. */
enum jy_err tls_clients_check(struct tls_clients *t,
    const struct tls_client_files *files, struct errctx *ec) JY_CHECK;

/*
 * The client's side of a connection to a host, by its name or numeric
 * address; its descriptor is to be set later.
 */
enum jy_err tls_clients_connect(struct tls_clients *t,
    const struct tls_client_files *files, const char *host,
    struct event_base *base, struct bufferevent **out,
    struct errctx *ec) JY_CHECK;

/* Why a handshake failed; "" if TLS has nothing to say about it. */
void tls_client_error(struct bufferevent *bev, char *text, size_t cap);

#endif
