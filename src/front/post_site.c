/* SPDX-License-Identifier: Apache-2.0 */
#include "src/front/post_site.h"

#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/conf/conf.h"

void
post_site_fini(struct post_site *copy)
{
	free(copy->host);
	free((char *)(uintptr_t)copy->files.ca);
	free((char *)(uintptr_t)copy->files.cert);
	free((char *)(uintptr_t)copy->files.key);
	*copy = (struct post_site){ .host = NULL };
}

bool
post_site_copy(const struct post_site *site, struct post_site *out)
{
	*out = *site;
	out->host = strdup(site->host);
	out->files.ca = strdup(site->files.ca);
	out->files.cert = strdup(site->files.cert);
	out->files.key = strdup(site->files.key);
	if (out->host == NULL || out->files.ca == NULL ||
	    out->files.cert == NULL || out->files.key == NULL) {
		post_site_fini(out);
		return false;
	}
	return true;
}

bool
post_site_eq(const struct post_site *a, const struct post_site *b)
{
	return a->is_tls == b->is_tls && a->port == b->port &&
	    strcasecmp(a->host, b->host) == 0 &&
	    strcmp(a->files.ca, b->files.ca) == 0 &&
	    strcmp(a->files.cert, b->files.cert) == 0 &&
	    strcmp(a->files.key, b->files.key) == 0;
}

char *
post_site_host_header(const struct post_site *site)
{
	bool v6 = strchr(site->host, ':') != NULL;
	size_t cap = strlen(site->host) + 16;
	char *text = malloc(cap);
	char port[8] = "";

	if (text == NULL) {
		return NULL;
	}
	if (site->port != (site->is_tls ? 443 : 80)) {
		(void)snprintf(port, sizeof(port), ":%u", site->port);
	}
	(void)snprintf(text, cap, "%s%s%s%s", v6 ? "[" : "", site->host,
	    v6 ? "]" : "", port);
	return text;
}

static const char *
or_else(const char *value, const char *otherwise)
{
	return value != NULL && value[0] != '\0' ? value : otherwise;
}

static void
choose_files(const struct conf *conf, const Joinery__Corridor__AnswerTo *to,
    struct tls_client_files *out)
{
	bool own = to->cert == NULL || to->cert[0] == '\0';

	out->ca = or_else(to->ca, conf->tls_client_ca);
	out->cert = own ? conf->tls_certificate : to->cert;
	/* One file may hold both. */
	out->key = own ? conf->tls_key : or_else(to->key, to->cert);
}

static enum jy_err
read_uri(const struct evhttp_uri *uri, struct post_site *out, char **path,
    struct errctx *ec)
{
	const char *scheme = uri != NULL ? evhttp_uri_get_scheme(uri) : NULL;
	const char *host = uri != NULL ? evhttp_uri_get_host(uri) : NULL;
	const char *query;
	size_t len;
	int port;

	if (scheme == NULL || host == NULL || host[0] == '\0' ||
	    (strcasecmp(scheme, "http") != 0 &&
		strcasecmp(scheme, "https") != 0)) {
		return err_set(
		    ec, JY_EINVAL, "not a URL of http:// or https://");
	}
	port = evhttp_uri_get_port(uri);
	query = evhttp_uri_get_query(uri);
	len = strlen(host);
	*out = (struct post_site){ .files = { "", "", "" } };
	out->is_tls = strcasecmp(scheme, "https") == 0;
	out->port = (uint16_t)(port > 0 ? port : out->is_tls ? 443 : 80);
	out->host = host[0] == '[' ? strndup(host + 1, len - 2) : strdup(host);
	if (asprintf(path, "%s%s%s", or_else(evhttp_uri_get_path(uri), "/"),
		query != NULL ? "?" : "", query != NULL ? query : "") < 0) {
		*path = NULL;
	}
	if (out->host == NULL || *path == NULL) {
		free(out->host);
		free(*path);
		*path = NULL;
		return err_set(ec, JY_ENOMEM, "out of memory");
	}
	return JY_OK;
}

enum jy_err
post_site_read(const struct conf *conf, const Joinery__Corridor__AnswerTo *to,
    struct post_site *out, char **path, struct errctx *ec)
{
	struct evhttp_uri *uri = evhttp_uri_parse(or_else(to->url, ""));
	enum jy_err err = read_uri(uri, out, path, ec);

	if (uri != NULL) {
		evhttp_uri_free(uri);
	}
	if (err == JY_OK && out->is_tls) {
		choose_files(conf, to, &out->files);
	}
	return err;
}
