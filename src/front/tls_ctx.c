/* SPDX-License-Identifier: Apache-2.0 */
#include "src/front/tls_ctx.h"

#include <openssl/err.h>

/* TLS 1.2: forward secrecy and AEAD; TLS 1.3 has nothing else. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum jy_err
tls_ctx_file_error(struct errctx *ec, const char *option, const char *path)
{
	char text[120] = "not usable";
	unsigned long error = ERR_get_error();

	if (error != 0) {
		ERR_error_string_n(error, text, sizeof(text));
	}
	ERR_clear_error();
	return err_set(ec, JY_ECONFIG, "%s %s: %s", option, path, text);
}

/* A daemon has nobody to ask for the passphrase of a key. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

void
tls_ctx_restrict(SSL_CTX *ctx, int verify)
{
	jy_assert(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
	jy_assert(SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) == 1);
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE);
	jy_assert(SSL_CTX_set_num_tickets(ctx, 0) == 1);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, verify, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
}

enum jy_err
tls_ctx_load(SSL_CTX *ctx, const char *cert_option, const char *cert,
    const char *key_option, const char *key, struct errctx *ec)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
		return tls_ctx_file_error(ec, cert_option, cert);
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		return tls_ctx_file_error(ec, key_option, key);
	}
	return JY_OK;
}
