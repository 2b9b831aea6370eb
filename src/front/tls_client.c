/* SPDX-License-Identifier: Apache-2.0 */
/* A few contexts by their files; connections outlive them. */
#include "src/front/tls_client.h"

#include <sys/queue.h>

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "src/front/tls_ctx.h"

#define CONTEXTS_MAX 256U

struct context {
	TAILQ_ENTRY(context) link; /* the oldest first */
	SSL_CTX *ctx;
	char *ca;
	char *cert;
	char *key;
};

struct tls_clients {
	TAILQ_HEAD(, context) list;
	size_t count;
};

struct tls_clients *
tls_clients_new(void)
{
	struct tls_clients *t = sys_xcalloc(1, sizeof(*t));

	TAILQ_INIT(&t->list);
	return t;
}

static void
context_free(struct context *one)
{
	SSL_CTX_free(one->ctx);
	free(one->ca);
	free(one->cert);
	free(one->key);
	free(one);
}

static void
drop_oldest(struct tls_clients *t)
{
	struct context *one = TAILQ_FIRST(&t->list);

	TAILQ_REMOVE(&t->list, one, link);
	t->count--;
	context_free(one);
}

void
tls_clients_reload(struct tls_clients *t)
{
	while (t->count > 0) {
		drop_oldest(t);
	}
}

void
tls_clients_free(struct tls_clients *t)
{
	if (t != NULL) {
		tls_clients_reload(t);
		free(t);
	}
}

static enum jy_err
context_load(
    SSL_CTX *ctx, const struct tls_client_files *files, struct errctx *ec)
{
	tls_ctx_restrict(ctx, SSL_VERIFY_PEER);
	if (files->ca[0] == '\0') {
		return err_set(ec, JY_ECONFIG,
		    "no CA for the server: neither of the peer nor "
		    "tls-client-ca");
	}
	if (SSL_CTX_load_verify_file(ctx, files->ca) != 1) {
		return tls_ctx_file_error(ec, "CA", files->ca);
	}
	if (files->cert[0] == '\0') {
		return JY_OK;
	}
	return tls_ctx_load(
	    ctx, "certificate", files->cert, "key", files->key, ec);
}

static struct context *
context_find(struct tls_clients *t, const struct tls_client_files *files)
{
	struct context *one;

	TAILQ_FOREACH(one, &t->list, link)
	{
		if (strcmp(one->ca, files->ca) == 0 &&
		    strcmp(one->cert, files->cert) == 0 &&
		    strcmp(one->key, files->key) == 0) {
			return one;
		}
	}
	return NULL;
}

static enum jy_err
context_get(struct tls_clients *t, const struct tls_client_files *files,
    SSL_CTX **out, struct errctx *ec)
{
	struct context *one = context_find(t, files);
	enum jy_err err;

	if (one != NULL) {
		*out = one->ctx;
		return JY_OK;
	}
	one = calloc(1, sizeof(*one));
	if (one == NULL) {
		return err_set(ec, JY_ENOMEM, "out of memory");
	}
	one->ctx = SSL_CTX_new(TLS_client_method());
	one->ca = strdup(files->ca);
	one->cert = strdup(files->cert);
	one->key = strdup(files->key);
	if (one->ctx == NULL || one->ca == NULL || one->cert == NULL ||
	    one->key == NULL) {
		err = err_set(ec, JY_ENOMEM, "out of memory");
	} else {
		err = context_load(one->ctx, files, ec);
	}
	if (err != JY_OK) {
		context_free(one);
		return err;
	}
	if (t->count == CONTEXTS_MAX) {
		drop_oldest(t);
	}
	TAILQ_INSERT_TAIL(&t->list, one, link);
	t->count++;
	*out = one->ctx;
	return JY_OK;
}

enum jy_err
tls_clients_check(struct tls_clients *t, const struct tls_client_files *files,
    struct errctx *ec)
{
	SSL_CTX *ctx;

	return context_get(t, files, &ctx, ec);
}

/* Whom the certificate has to be for. */
static bool
expect_host(SSL *ssl, const char *host)
{
	struct in6_addr in6;
	struct in_addr in;

	if (inet_pton(AF_INET, host, &in) == 1 ||
	    inet_pton(AF_INET6, host, &in6) == 1) {
		return X509_VERIFY_PARAM_set1_ip_asc(
			   SSL_get0_param(ssl), host) == 1;
	}
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* What the macro SSL_set_tlsext_host_name does, but for a cast. */
	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
		   TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)host) == 1 &&
	    SSL_set1_host(ssl, host) == 1;
}

enum jy_err
tls_clients_connect(struct tls_clients *t, const struct tls_client_files *files,
    const char *host, struct event_base *base, struct bufferevent **out,
    struct errctx *ec)
{
	struct bufferevent *bev = NULL;
	SSL_CTX *ctx = NULL;
	enum jy_err err = context_get(t, files, &ctx, ec);
	SSL *ssl;

	if (err != JY_OK) {
		return err;
	}
	ssl = SSL_new(ctx);
	if (ssl != NULL && !expect_host(ssl, host)) {
		SSL_free(ssl);
		ERR_clear_error();
		return err_set(
		    ec, JY_EINVAL, "no certificate can be for %s", host);
	}
	if (ssl != NULL) {
		/* Deferred: evhttp may reset it from within a callback. */
		bev = bufferevent_openssl_socket_new(base, -1, ssl,
		    BUFFEREVENT_SSL_CONNECTING,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	}
	if (bev == NULL) {
		return err_set(ec, JY_ENOMEM, "out of memory");
	}
	*out = bev;
	return JY_OK;
}

void
tls_client_error(struct bufferevent *bev, char *text, size_t cap)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	long verify = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
	unsigned long error =
	    ssl != NULL ? bufferevent_get_openssl_error(bev) : 0;
	const char *reason = NULL;

	/* What comes with SSL_ERROR_SYSCALL or SSL_ERROR_SSL says no more. */
	while (error != 0 && reason == NULL) {
		reason = ERR_reason_error_string(error);
		error = bufferevent_get_openssl_error(bev);
	}
	if (verify != X509_V_OK) {
		reason = X509_verify_cert_error_string(verify);
	}
	(void)snprintf(text, cap, "%s%s",
	    verify != X509_V_OK ? "its certificate: " : "",
	    reason != NULL ? reason : "");
	ERR_clear_error();
}
