/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL behind libevent's bufferevents.  Which peers may connect is decided
 * by tls-client-ca alone; which peer it is, by the worker, from the
 * fingerprint and the names handed on from here.
 */
#include "src/front/tls.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/tls_ctx.h"

struct tls {
	SSL_CTX *ctx; /* of the framed protocol; NULL: not listening so */
	SSL_CTX *bi;  /* of Backend Interfaces; NULL: not listening so */
};

/* Whose client certificates are good. */
static enum jy_err
ctx_load_ca(SSL_CTX *ctx, const struct conf *conf, struct errctx *ec)
{
	STACK_OF(X509_NAME) *names =
	    SSL_load_client_CA_file(conf->tls_client_ca);

	if (names == NULL ||
	    SSL_CTX_load_verify_file(ctx, conf->tls_client_ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return tls_ctx_file_error(
		    ec, "tls-client-ca", conf->tls_client_ca);
	}
	SSL_CTX_set_client_CA_list(ctx, names); /* takes names */
	return JY_OK;
}

static enum jy_err
ctx_new(
    const struct conf *conf, bool required, SSL_CTX **out, struct errctx *ec)
{
	/* Without a CA no certificate is asked for: none could be good. */
	bool asked = required || conf->tls_client_ca[0] != '\0';
	int verify = asked ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum jy_err err;

	jy_assert(ctx != NULL);
	if (required) {
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	}
	tls_ctx_restrict(ctx, verify);
	err = tls_ctx_load(ctx, "tls-certificate", conf->tls_certificate,
	    "tls-key", conf->tls_key, ec);
	if (err == JY_OK && asked) {
		err = ctx_load_ca(ctx, conf, ec);
	}
	if (err != JY_OK) {
		SSL_CTX_free(ctx);
		return err;
	}
	*out = ctx;
	return JY_OK;
}

enum jy_err
tls_new(const struct conf *conf, struct tls **out, struct errctx *ec)
{
	struct tls *tls = sys_xcalloc(1, sizeof(*tls));
	bool bi = conf->bi_listen[0] != '\0';
	enum jy_err err = JY_OK;

	if (!bi || conf->tls_listen[0] != '\0') {
		err = ctx_new(conf, true, &tls->ctx, ec);
	}
	if (err == JY_OK && bi) {
		err = ctx_new(conf,
		    strcmp(conf->bi_client_certificate, "required") == 0,
		    &tls->bi, ec);
	}
	if (err != JY_OK) {
		tls_free(tls);
		return err;
	}
	*out = tls;
	return JY_OK;
}

void
tls_free(struct tls *tls)
{
	if (tls != NULL) {
		SSL_CTX_free(tls->ctx);
		SSL_CTX_free(tls->bi);
		free(tls);
	}
}

/* fd -1: to be set later. */
static struct bufferevent *
accepting(SSL_CTX *ctx, struct event_base *base, int fd)
{
	SSL *ssl = SSL_new(ctx);

	if (ssl == NULL) {
		return NULL;
	}
	/*
	 * It fails when memory is out and does not say whether it freed ssl:
	 * better lost than freed twice.
	 */
	return bufferevent_openssl_socket_new(
	    base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

struct bufferevent *
tls_bufferevent_take(struct tls *tls, struct event_base *base, int fd)
{
	return accepting(tls->ctx, base, fd);
}

struct bufferevent *
tls_bi_bufferevent_new(struct tls *tls, struct event_base *base)
{
	return accepting(tls->bi, base, -1);
}

bool
tls_peer_shown(struct bufferevent *bev)
{
	return SSL_get0_peer_certificate(bufferevent_openssl_get_ssl(bev)) !=
	    NULL;
}

/* Copy one DNS name or URI; other kinds of names prove nothing to us. */
static enum jy_err
peer_add_name(
    struct tls_peer *peer, const GENERAL_NAME *name, struct errctx *ec)
{
	const unsigned char *text;
	size_t len;

	if (name->type != GEN_DNS && name->type != GEN_URI) {
		return JY_OK;
	}
	text = ASN1_STRING_get0_data(name->d.ia5);
	len = (size_t)ASN1_STRING_length(name->d.ia5);
	if (peer->n_sans == TLS_SANS_MAX || len > TLS_SAN_LEN_MAX) {
		return err_set(ec, JY_EINVAL,
		    "its certificate has more than %u names or a name "
		    "longer than %u octets",
		    TLS_SANS_MAX, TLS_SAN_LEN_MAX);
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f) {
			return err_set(ec, JY_EINVAL,
			    "a name in its certificate is not plain ASCII");
		}
	}
	peer->sans[peer->n_sans] = sys_xcalloc(1, len + 1);
	memcpy(peer->sans[peer->n_sans], text, len);
	peer->n_sans++;
	return JY_OK;
}

static enum jy_err
peer_add_names(struct tls_peer *peer, X509 *cert, struct errctx *ec)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	enum jy_err err = JY_OK;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && err == JY_OK; i++) {
		err = peer_add_name(peer, sk_GENERAL_NAME_value(names, i), ec);
	}
	GENERAL_NAMES_free(names);
	return err;
}

enum jy_err
tls_peer_init(struct bufferevent *bev, struct tls_peer *out, struct errctx *ec)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	X509 *cert = SSL_get0_peer_certificate(ssl);
	struct tls_peer peer = { .n_sans = 0 };
	unsigned len = sizeof(peer.fingerprint);
	enum jy_err err;

	if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK ||
	    X509_digest(cert, EVP_sha256(), peer.fingerprint, &len) != 1) {
		return err_set(ec, JY_EINVAL, "it has no verified certificate");
	}
	err = peer_add_names(&peer, cert, ec);
	if (err != JY_OK) {
		tls_peer_fini(&peer);
		return err;
	}
	*out = peer;
	return JY_OK;
}

void
tls_peer_fini(struct tls_peer *peer)
{
	for (size_t i = 0; i < peer->n_sans; i++) {
		free(peer->sans[i]);
	}
	peer->n_sans = 0;
}

const char *
tls_error(struct bufferevent *bev, char *text, size_t cap)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	unsigned long error = bufferevent_get_openssl_error(bev);
	long verify = SSL_get_verify_result(ssl);
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

	(void)snprintf(text, cap, "%s%s%s",
	    reason != NULL ? reason : "connection lost",
	    verify != X509_V_OK ? ": " : "",
	    verify != X509_V_OK ? X509_verify_cert_error_string(verify) : "");
	ERR_clear_error();
	if (verify == X509_V_OK && error != 0 &&
	    ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET) {
		return "the peer refused us: does it trust the CA of "
		       "tls-certificate and ask for a name in it?";
	}
	return "give the peer a certificate of tls-client-ca";
}

void
tls_close_notify(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (SSL_is_init_finished(ssl)) {
		/* We do not wait for the peer's half of the good-bye. */
		SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
		(void)SSL_shutdown(ssl);
		ERR_clear_error();
	}
}
