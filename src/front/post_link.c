/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link resolves, connects, sends, and is told the end of each by evhttp or
 * evdns; whatever they say is only noted, and dealt with in on_kick, where
 * they may be freed.
 */
#include "src/front/post_link.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/secret.h"
#include "src/base/sys.h"

#define LINK_MAGIC 0x6c696e6bU

/* What a peer's answer may have; nobody reads it. */
#define ANSWER_HEADER_MAX 16384
#define ANSWER_BODY_MAX 65536

/* A link without a message is closed after. */
#define IDLE_US 30000000U

/* A name being resolved; outlives its link, as evdns wants to call back. */
struct lookup {
	struct post_link *link; /* NULL: gone */
	struct post_net *net;
	struct evdns_getaddrinfo_request *req;
};

struct post_link {
	unsigned magic;
	struct post_net *net;
	const struct post_site *site;
	const struct post_link_ops *ops;
	void *arg;
	struct event *kick;
	struct event *timer; /* of the message, or of idleness */
	struct lookup *lookup;
	struct evhttp_connection *evcon;
	struct post_message message;
	bool busy;
	bool resolved;
	bool finished;
	bool dead;
	enum evhttp_request_error error;
	int status;
	char address[INET6_ADDRSTRLEN];
	char why[200];
};

/* ---- bodies ---- */

struct post_body *
post_body_new(const char *octets, size_t len)
{
	struct post_body *body = malloc(sizeof(*body) + len);

	if (body != NULL) {
		body->refs = 1;
		body->len = len;
		memcpy(body->octets, octets, len);
	}
	return body;
}

void
post_body_unref(struct post_body *body)
{
	if (--body->refs == 0) {
		secret_wipe(body->octets, body->len);
		free(body);
	}
}

static void
body_done(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	post_body_unref(arg);
}

/* ---- the end ---- */

void
post_set_timer(struct event *timer, uint64_t us)
{
	struct timeval tv = {
		.tv_sec = (time_t)(us / 1000000U),
		.tv_usec = (suseconds_t)(us % 1000000U),
	};

	(void)event_add(timer, &tv);
}

/* Leave alone what still wants to call back. */
static void
disconnect(struct post_link *l)
{
	struct lookup *lookup = l->lookup;

	if (lookup != NULL) {
		l->lookup = NULL;
		lookup->link = NULL;
		evdns_getaddrinfo_cancel(lookup->req);
	}
	if (l->evcon != NULL) {
		evhttp_connection_set_closecb(l->evcon, NULL, NULL);
		evhttp_connection_free(l->evcon);
		l->evcon = NULL;
	}
	l->dead = true;
}

void
post_link_free(struct post_link *l)
{
	jy_assert(l->magic == LINK_MAGIC);
	disconnect(l);
	event_free(l->kick);
	event_free(l->timer);
	l->magic = 0;
	free(l);
}

bool
post_link_idle(const struct post_link *l)
{
	return !l->busy && !l->dead;
}

void
post_link_expire(struct post_link *l)
{
	l->dead = true;
	event_active(l->kick, EV_TIMEOUT, 0);
}

/* The message has its end: tell, as the last thing. */
static void
report(struct post_link *l)
{
	char why[sizeof(l->why)];

	(void)snprintf(why, sizeof(why), "%s", l->why);
	l->busy = false;
	if (l->status == 0 || l->dead) {
		disconnect(l);
		(void)event_del(l->timer);
	} else {
		post_set_timer(l->timer, IDLE_US);
	}
	l->ops->done(l->arg, l, l->status, why);
}

static void
finish(struct post_link *l)
{
	l->finished = true;
	event_active(l->kick, EV_TIMEOUT, 0);
}

/* ---- what evhttp calls ---- */

static void
on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct post_link *l = arg;

	(void)evcon;
	l->dead = true;
	event_active(l->kick, EV_TIMEOUT, 0);
}

static void
on_error(enum evhttp_request_error error, void *arg)
{
	struct post_link *l = arg;

	l->error = error;
}

/* The status counts, whatever becomes of what follows it. */
static int
on_header(struct evhttp_request *req, void *arg)
{
	struct post_link *l = arg;

	l->status = evhttp_request_get_response_code(req);
	if (l->status < 200) {
		l->status = 0; /* and another one follows */
	}
	return 0;
}

static void
explain(struct post_link *l)
{
	static const char *const texts[] = {
		[EVREQ_HTTP_TIMEOUT] = "no answer in time",
		[EVREQ_HTTP_EOF] = "connection closed before an answer",
		[EVREQ_HTTP_INVALID_HEADER] = "its answer is not HTTP",
		[EVREQ_HTTP_BUFFER_ERROR] = "connection lost",
		[EVREQ_HTTP_REQUEST_CANCEL] = "given up",
		[EVREQ_HTTP_DATA_TOO_LONG] = "its answer is too long",
	};

	if (l->site->is_tls) {
		tls_client_error(evhttp_connection_get_bufferevent(l->evcon),
		    l->why, sizeof(l->why));
	}
	if (l->why[0] == '\0') {
		/* on_closed is called for those that were connected. */
		(void)snprintf(l->why, sizeof(l->why), "%s",
		    l->dead ? texts[l->error] : "cannot connect");
	}
}

/* req is NULL, or without a status, when there was no answer. */
static void
on_response(struct evhttp_request *req, void *arg)
{
	struct post_link *l = arg;

	jy_assert(l->magic == LINK_MAGIC);
	if (l->finished) {
		return;
	}
	if (req != NULL) {
		l->status = evhttp_request_get_response_code(req);
	} else if (l->status != 0) {
		l->dead = true;
	}
	if (l->status == 0) {
		explain(l);
	}
	finish(l);
}

/* ---- sending ---- */

static bool
fill(const struct post_link *l, struct evhttp_request *req)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	struct post_body *body = l->message.body;

	evhttp_request_set_error_cb(req, on_error);
	evhttp_request_set_header_cb(req, on_header);
	if (evhttp_add_header(headers, "Host", l->message.host) != 0 ||
	    evhttp_add_header(headers, "Content-Type", "application/json") !=
		0 ||
	    evbuffer_add_reference(
		out, body->octets, body->len, body_done, body) != 0) {
		return false;
	}
	body->refs++;
	return true;
}

static void
request(struct post_link *l)
{
	struct evhttp_request *req = evhttp_request_new(on_response, l);

	l->error = EVREQ_HTTP_BUFFER_ERROR;
	if (req != NULL && fill(l, req)) {
		/* It takes req, and calls back when it fails later. */
		if (evhttp_make_request(
			l->evcon, req, EVHTTP_REQ_POST, l->message.path) == 0) {
			return;
		}
	} else if (req != NULL) {
		evhttp_request_free(req);
	}
	l->status = 0;
	(void)snprintf(l->why, sizeof(l->why), "out of memory");
	finish(l);
}

static void
fail(struct post_link *l, const char *text)
{
	l->status = 0;
	(void)snprintf(l->why, sizeof(l->why), "%s", text);
	finish(l);
}

static void
connect_and_request(struct post_link *l)
{
	struct bufferevent *bev = NULL;
	struct errctx ec = ERRCTX_INIT;

	if (!l->site->is_tls) {
		bev = bufferevent_socket_new(
		    l->net->base, -1, BEV_OPT_CLOSE_ON_FREE);
	} else if (tls_clients_connect(l->net->tls, &l->site->files,
		       l->site->host, l->net->base, &bev, &ec) != JY_OK) {
		fail(l, ec.text);
		return;
	}
	if (bev != NULL) {
		l->evcon = evhttp_connection_base_bufferevent_new(
		    l->net->base, NULL, bev, l->address, l->site->port);
	}
	if (l->evcon == NULL) {
		fail(l, "out of memory");
		return;
	}
	evhttp_connection_set_max_headers_size(l->evcon, ANSWER_HEADER_MAX);
	evhttp_connection_set_max_body_size(l->evcon, ANSWER_BODY_MAX);
	evhttp_connection_set_closecb(l->evcon, on_closed, l);
	request(l);
}

/* ---- names ---- */

/* Another one each time: not all may answer. */
static const struct evutil_addrinfo *
pick(const struct evutil_addrinfo *list, unsigned attempt)
{
	const struct evutil_addrinfo *one;
	unsigned n = 0;

	for (one = list; one != NULL; one = one->ai_next) {
		n++;
	}
	one = list;
	for (unsigned i = attempt % n; i > 0; i--) {
		one = one->ai_next;
	}
	return one;
}

static void
print_address(struct post_link *l, const struct evutil_addrinfo *one)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (one->ai_family == AF_INET) {
		memcpy(&in, one->ai_addr, sizeof(in));
		(void)inet_ntop(
		    AF_INET, &in.sin_addr, l->address, sizeof(l->address));
	} else {
		memcpy(&in6, one->ai_addr, sizeof(in6));
		(void)inet_ntop(
		    AF_INET6, &in6.sin6_addr, l->address, sizeof(l->address));
	}
}

static void
on_resolved(int result, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *lookup = arg;
	struct post_link *l = lookup->link;

	lookup->net->lookups--;
	if (l != NULL) {
		l->lookup = NULL;
		if (result == 0 && list != NULL) {
			print_address(l, pick(list, l->message.attempt));
			l->resolved = true;
			event_active(l->kick, EV_TIMEOUT, 0);
		} else {
			(void)snprintf(l->why, sizeof(l->why),
			    "cannot resolve %s: %s", l->site->host,
			    evutil_gai_strerror(result));
			finish(l);
		}
	}
	if (list != NULL) {
		evutil_freeaddrinfo(list);
	}
	free(lookup);
}

/* With what /etc/resolv.conf and /etc/hosts say now. */
static struct evdns_base *
dns_of(struct post_net *net)
{
	if (net->dns != NULL && net->dns_stale && net->lookups == 0) {
		evdns_base_free(net->dns, 0);
		net->dns = NULL;
	}
	if (net->dns == NULL) {
		net->dns_stale = false;
		net->dns = evdns_base_new(net->base,
		    EVDNS_BASE_INITIALIZE_NAMESERVERS |
			EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	}
	if (net->dns == NULL) {
		/* No name server; names in /etc/hosts work without. */
		net->dns =
		    evdns_base_new(net->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (net->dns != NULL) {
			(void)evdns_base_load_hosts(net->dns, "/etc/hosts");
		}
	}
	return net->dns;
}

static void
resolve(struct post_link *l)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
		.ai_flags = EVUTIL_AI_ADDRCONFIG };
	struct evdns_base *dns = dns_of(l->net);
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	struct evdns_getaddrinfo_request *req;
	char port[8];

	if (dns == NULL || lookup == NULL) {
		free(lookup);
		fail(l, "out of memory");
		return;
	}
	lookup->link = l;
	lookup->net = l->net;
	l->lookup = lookup;
	l->net->lookups++;
	(void)snprintf(port, sizeof(port), "%u", l->site->port);
	req = evdns_getaddrinfo(
	    dns, l->site->host, port, &hints, on_resolved, lookup);
	if (req != NULL) {
		lookup->req = req; /* else it has called back already */
	}
}

void
post_link_send(struct post_link *l, const struct post_message *m)
{
	struct in6_addr in;

	jy_assert(post_link_idle(l));
	l->message = *m;
	l->busy = true;
	l->resolved = false;
	l->finished = false;
	l->status = 0;
	l->why[0] = '\0';
	post_set_timer(l->timer, m->timeout_us);
	if (l->evcon != NULL) {
		request(l);
	} else if (inet_pton(AF_INET, l->site->host, &in) == 1 ||
	    inet_pton(AF_INET6, l->site->host, &in) == 1) {
		(void)snprintf(
		    l->address, sizeof(l->address), "%s", l->site->host);
		l->resolved = true;
		event_active(l->kick, EV_TIMEOUT, 0);
	} else {
		resolve(l);
	}
}

/* ---- the event loop ---- */

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct post_link *l = arg;

	(void)fd;
	(void)what;
	jy_assert(l->magic == LINK_MAGIC);
	if (l->busy && l->finished) {
		report(l);
	} else if (l->busy && l->resolved && l->evcon == NULL) {
		connect_and_request(l);
	} else if (!l->busy && l->dead) {
		l->ops->ended(l->arg, l);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct post_link *l = arg;

	(void)fd;
	(void)what;
	jy_assert(l->magic == LINK_MAGIC);
	if (!l->busy) {
		post_link_expire(l);
	} else if (!l->finished) {
		(void)snprintf(l->why, sizeof(l->why),
		    "no answer within %" PRIu64 " ms",
		    l->message.timeout_us / 1000U);
		l->finished = true;
		l->dead = true;
		report(l);
	}
}

struct post_link *
post_link_new(struct post_net *net, const struct post_site *site,
    const struct post_link_ops *ops, void *arg)
{
	struct post_link *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		return NULL;
	}
	l->magic = LINK_MAGIC;
	l->net = net;
	l->site = site;
	l->ops = ops;
	l->arg = arg;
	l->kick = event_new(net->base, -1, 0, on_kick, l);
	l->timer = event_new(net->base, -1, 0, on_timer, l);
	jy_assert(l->kick != NULL && l->timer != NULL);
	return l;
}
