/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards peers; only tls*.c of joineryd know OpenSSL.  TLS 1.2 or later,
 * no resumption (a session must not outlive the check of its certificate).
 * The framed protocol requires a client certificate; Backend Interfaces
 * require one or not (bi-client-certificate), but one that is shown has to be
 * good in any case.
 */
#ifndef JY_FRONT_TLS_H
#define JY_FRONT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

struct bufferevent;
struct conf;
struct event_base;
struct tls;

#define TLS_FINGERPRINT_LEN 32U
#define TLS_SANS_MAX 16U
#define TLS_SAN_LEN_MAX 255U

/* What a client certificate says. */
struct tls_peer {
	uint8_t fingerprint[TLS_FINGERPRINT_LEN]; /* SHA-256 of its DER */
	size_t n_sans;
	char *sans[TLS_SANS_MAX]; /* DNS names and URIs */
};

/*
 * Load the files of the configuration; JY_ECONFIG names the one at fault.
 * Connections outlive the tls that they were taken with.
 */
enum jy_err tls_new(
    const struct conf *conf, struct tls **out, struct errctx *ec) JY_CHECK;
void tls_free(struct tls *tls);

/* The server's side of a connection; takes fd if it does not return NULL. */
struct bufferevent *tls_bufferevent_take(
    struct tls *tls, struct event_base *base, int fd);

/*
 * The server's side of a connection of Backend Interfaces, its descriptor to
 * be set later; NULL when memory is short.
 */
struct bufferevent *tls_bi_bufferevent_new(
    struct tls *tls, struct event_base *base);

/* Whether the peer of a finished handshake has shown a certificate. */
bool tls_peer_shown(struct bufferevent *bev);

/*
 * The peer of a finished handshake; JY_EINVAL when its certificate has too
 * many names or an impossible one.  The caller calls tls_peer_fini.
 */
enum jy_err tls_peer_init(
    struct bufferevent *bev, struct tls_peer *out, struct errctx *ec) JY_CHECK;
void tls_peer_fini(struct tls_peer *peer);

/*
 * Why the handshake or the connection failed; into text, for a log line.
 * Returns what to do about a handshake, a static text.
 */
const char *tls_error(struct bufferevent *bev, char *text, size_t cap);

/* Say good-bye before the connection is freed. */
void tls_close_notify(struct bufferevent *bev);

#endif
