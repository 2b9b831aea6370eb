/* SPDX-License-Identifier: Apache-2.0 */
/* What contexts of OpenSSL have in common, as a server and as a client. */
#ifndef JY_FRONT_TLS_CTX_H
#define JY_FRONT_TLS_CTX_H

#include <openssl/ssl.h>

#include "src/base/err.h"

/* TLS 1.2 or later, no resumption, no renegotiation, nobody to ask. */
void tls_ctx_restrict(SSL_CTX *ctx, int verify);

/* Load a certificate chain and its key; JY_ECONFIG names option and file. */
enum jy_err tls_ctx_load(SSL_CTX *ctx, const char *cert_option,
    const char *cert, const char *key_option, const char *key,
    struct errctx *ec) JY_CHECK;

/* JY_ECONFIG with what OpenSSL has against a file. */
enum jy_err tls_ctx_file_error(
    struct errctx *ec, const char *option, const char *path);

#endif
