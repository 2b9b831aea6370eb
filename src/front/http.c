/* SPDX-License-Identifier: Apache-2.0 */
/* Where HTTP is listened on, and who may connect how often. */
#include "src/front/http.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/bi/bi.h"
#include "src/conf/conf.h"
#include "src/front/conn.h"
#include "src/front/http_conn.h"
#include "src/front/server.h"

#define BACKLOG 512
#define V6_NETWORK_LEN 8

/* ---- who it is ---- */

static void
peer_of_v4(struct http_peer *peer, const struct in_addr *in)
{
	*peer = (struct http_peer){ .kind = 'a' };
	peer->octets[10] = 0xff;
	peer->octets[11] = 0xff;
	memcpy(peer->octets + 12, in, sizeof(*in));
}

static void
peer_of_v6(struct http_peer *peer, const struct in6_addr *in)
{
	*peer = (struct http_peer){ .kind = 'a' };
	memcpy(peer->octets, in, sizeof(*in));
}

static bool
peer_eq(const struct http_peer *a, const struct http_peer *b)
{
	return a->kind == b->kind &&
	    memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

static bool
is_v4(const struct http_peer *peer)
{
	struct in6_addr in6;

	memcpy(&in6, peer->octets, sizeof(in6));
	return IN6_IS_ADDR_V4MAPPED(&in6);
}

/* Of IPv6, whoever has one address has the other 2^64 of its network. */
static bool
peer_shares_limit(const struct http_peer *a, const struct http_peer *b)
{
	bool v6 = a->kind == 'a' && b->kind == 'a' && !is_v4(a) && !is_v4(b);

	return peer_eq(a, b) ||
	    (v6 && memcmp(a->octets, b->octets, V6_NETWORK_LEN) == 0);
}

void
http_name_peer(struct http_conn *c)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(addr);
	char from[64];

	(void)getpeername(c->fd, (struct sockaddr *)&addr, &len);
	if (addr.ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &addr, sizeof(in));
		peer_of_v4(&c->peer, &in.sin_addr);
	} else if (addr.ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, &addr, sizeof(in6));
		peer_of_v6(&c->peer, &in6.sin6_addr);
	} else if (addr.ss_family == AF_UNIX) {
		c->peer = (struct http_peer){ .kind = 'u' };
	}
	if (c->peer.kind == 'u') {
		(void)snprintf(from, sizeof(from), "unix");
	} else {
		listener_print_address(
		    (const struct sockaddr *)&addr, from, sizeof(from));
	}
	(void)snprintf(c->name, sizeof(c->name), "from=%s", from);
	for (size_t i = 0; i < c->http->n_proxies; i++) {
		if (peer_eq(&c->peer, &c->http->proxies[i])) {
			c->from_proxy = true;
		}
	}
}

/* ---- limits ---- */

/* Other connections of the same peer over which requests may come. */
static size_t
others_of(const struct http_conn *c)
{
	const struct http_conn *one;
	size_t n = 0;

	TAILQ_FOREACH(one, &c->http->list, link)
	{
		n += one != c && one->counted && !one->peer_done &&
		    peer_shares_limit(&one->peer, &c->peer);
	}
	return n;
}

static void
say_refused(
    struct http_conn *c, size_t open, const char *whose, const char *option)
{
	c->server->stats.http_refused++;
	log_warn("http", "refused a connection",
	    "%s why=\"%zu %s are open\" do=\"raise %s\"", c->name, open, whose,
	    option);
}

bool
http_admits(struct http_conn *c)
{
	const struct conf *conf = c->server->conf;
	size_t all = c->http->count + conns_count(c->server->conns);
	size_t others;

	if (!c->counted) {
		if (all >= (size_t)conf->max_connections) {
			say_refused(c, all, "in all", "max-connections");
			return false;
		}
		c->counted = true;
		c->http->count++;
	}
	if (c->from_proxy && c->peer.kind != 'c') {
		return true;
	}
	others = others_of(c);
	if (others >= (size_t)conf->bi_peer_connections) {
		say_refused(c, others, "of this peer", "bi-peer-connections");
		return false;
	}
	return true;
}

size_t
http_count(const struct http *h)
{
	return h == NULL ? 0 : h->count;
}

void
http_sweep(struct http *h, uint64_t now_us)
{
	struct http_conn *c, *next;

	if (h == NULL) {
		return;
	}
	for (c = TAILQ_FIRST(&h->list); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		http_conn_sweep(c, now_us);
	}
	for (size_t i = 0; i < ARRAY_LEN(h->doors); i++) {
		if (h->doors[i].listener != NULL) {
			(void)evconnlistener_enable(h->doors[i].listener);
		}
	}
}

/* ---- listening ---- */

/* evhttp calls back for each connection that it has accepted. */
static struct bufferevent *
on_accept(struct event_base *base, void *arg)
{
	(void)base;
	return http_conn_bufferevent(arg);
}

/* Mostly EMFILE: accepting again at once would spin. */
static void
on_accept_error(struct evconnlistener *ev, void *arg)
{
	/* evhttp made itself the argument. */
	(void)arg;
	log_error("http", "cannot accept a connection",
	    "why=\"%s\" do=\"raise the limit of open files, or lower "
	    "max-connections\"",
	    strerror(errno));
	(void)evconnlistener_disable(ev);
}

static struct evhttp *
evhttp_of(struct http_door *door, struct event_base *base)
{
	struct evhttp *ev = evhttp_new(base);

	jy_assert(ev != NULL);
	evhttp_set_bevcb(ev, on_accept, door);
	evhttp_set_gencb(ev, http_on_request, door);
	evhttp_set_max_headers_size(ev, HTTP_HEADER_MAX);
	evhttp_set_max_body_size(ev, BI_BODY_MAX);
	/* Those that are not, evhttp would answer 501. */
	evhttp_set_allowed_methods(ev, UINT16_MAX);
	evhttp_set_default_content_type(ev, NULL);
	return ev;
}

static enum jy_err
door_open(struct http_door *door, const char *option, const char *where,
    struct errctx *ec)
{
	struct server *s = door->http->server;
	enum jy_err err;

	err = where[0] == '/'
	    ? bound_unix(
		  option, where, (mode_t)s->conf->socket_mode, &door->bound, ec)
	    : bound_tcp(option, where, !door->is_tls, &door->bound, ec);
	if (err != JY_OK) {
		return err;
	}
	door->listener = evconnlistener_new(s->base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG,
	    door->bound.fd);
	if (door->listener == NULL) {
		(void)err_set(ec, JY_ECONFIG, "%s %s: %s", option, where,
		    strerror(errno));
		bound_unlink(&door->bound);
		(void)close(door->bound.fd);
		return JY_ECONFIG;
	}
	door->ev = evhttp_of(door, s->base);
	door->socket = evhttp_bind_listener(door->ev, door->listener);
	jy_assert(door->socket != NULL);
	evconnlistener_set_error_cb(door->listener, on_accept_error);
	return JY_OK;
}

static void
door_close(struct http_door *door)
{
	if (door->socket != NULL) {
		evhttp_del_accept_socket(door->ev, door->socket);
		bound_unlink(&door->bound);
		door->socket = NULL;
		door->listener = NULL;
	}
}

/* ---- starting and stopping ---- */

static enum jy_err
load_proxies(struct http *h, const struct conf_list *list, struct errctx *ec)
{
	h->proxies = sys_xcalloc(list->count + 1, sizeof(h->proxies[0]));
	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i];
		struct in6_addr in6;
		struct in_addr in;

		if (strcmp(text, "unix") == 0) {
			h->proxies[i].kind = 'u';
		} else if (inet_pton(AF_INET, text, &in) == 1) {
			peer_of_v4(&h->proxies[i], &in);
		} else if (inet_pton(AF_INET6, text, &in6) == 1) {
			peer_of_v6(&h->proxies[i], &in6);
		} else {
			return err_set(ec, JY_ECONFIG,
			    "bi-proxies %s: neither a numeric address nor unix",
			    text);
		}
	}
	h->n_proxies = list->count;
	return JY_OK;
}

static enum jy_err
open_doors(struct http *h, struct errctx *ec)
{
	struct server *s = h->server;
	const struct conf *conf = s->conf;
	enum jy_err err = JY_OK;

	if (conf->bi_listen[0] != '\0') {
		h->doors[0].is_tls = true;
		if (s->tls == NULL) {
			err = tls_new(conf, &s->tls, ec);
		}
		if (err == JY_OK) {
			err = door_open(
			    &h->doors[0], "bi-listen", conf->bi_listen, ec);
		}
	}
	if (err == JY_OK && conf->bi_plain_listen[0] != '\0') {
		err = door_open(
		    &h->doors[1], "bi-plain-listen", conf->bi_plain_listen, ec);
	}
	return err;
}

enum jy_err
http_new(struct server *s, struct http **out, struct errctx *ec)
{
	struct http *h;
	enum jy_err err;

	if (s->conf->bi_listen[0] == '\0' &&
	    s->conf->bi_plain_listen[0] == '\0') {
		*out = NULL;
		return JY_OK;
	}
	h = sys_xcalloc(1, sizeof(*h));
	h->magic = HTTP_MAGIC;
	h->server = s;
	TAILQ_INIT(&h->list);
	for (size_t i = 0; i < ARRAY_LEN(h->doors); i++) {
		h->doors[i].http = h;
	}
	err = load_proxies(h, &s->conf->bi_proxies, ec);
	if (err == JY_OK) {
		err = open_doors(h, ec);
	}
	if (err != JY_OK) {
		http_free(h);
		return err;
	}
	*out = h;
	return JY_OK;
}

void
http_finish(struct http *h)
{
	struct http_conn *c, *next;

	if (h == NULL || h->finishing) {
		return;
	}
	h->finishing = true;
	for (size_t i = 0; i < ARRAY_LEN(h->doors); i++) {
		door_close(&h->doors[i]);
	}
	for (c = TAILQ_FIRST(&h->list); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		http_conn_finish(c);
	}
}

void
http_free(struct http *h)
{
	struct http_conn *c;

	if (h == NULL) {
		return;
	}
	jy_assert(h->magic == HTTP_MAGIC);
	for (size_t i = 0; i < ARRAY_LEN(h->doors); i++) {
		door_close(&h->doors[i]);
		if (h->doors[i].ev != NULL) {
			evhttp_free(h->doors[i].ev);
		}
	}
	/* What evhttp had not told us of. */
	while ((c = TAILQ_FIRST(&h->list)) != NULL) {
		http_conn_drop(c); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	free(h->by_fd);
	free(h->proxies);
	h->magic = 0;
	free(h);
}
