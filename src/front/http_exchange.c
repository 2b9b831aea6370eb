/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole request and its answer.
 *
 * The request belongs to evhttp's connection and is freed with it, but never
 * while it waits without on_close of http_conn.c being told: it makes req
 * NULL.  Once the answer is handed over, evhttp frees it in any case.
 */
#include <sys/queue.h>

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/http_conn.h"
#include "src/front/server.h"

#define STATUS_NO_CONTENT 204
#define STATUS_BAD_REQUEST 400
#define STATUS_METHOD_NOT_ALLOWED 405
#define STATUS_LENGTH_REQUIRED 411
#define STATUS_INTERNAL 500
#define STATUS_VERSION 505

/* ---- what bi.c may ask ---- */

const char *
http_header(const struct http_exchange *x, const char *name)
{
	return x->req == NULL
	    ? NULL
	    : evhttp_find_header(
		  evhttp_request_get_input_headers(x->req), name);
}

const struct tls_peer *
http_tls_peer(const struct http_exchange *x)
{
	return x->conn->has_tls_peer ? &x->conn->tls_peer : NULL;
}

const char *
http_name(const struct http_exchange *x)
{
	return x->conn->name;
}

bool
http_from_proxy(const struct http_exchange *x)
{
	return x->conn->from_proxy;
}

bool
http_gone(const struct http_exchange *x)
{
	return x->req == NULL;
}

/* ---- answers ---- */

/* Whether one of the words of a header, with commas between them, is word. */
static bool
has_word(const char *value, const char *word)
{
	size_t len = strlen(word);

	while (value != NULL && *value != '\0') {
		size_t n;

		value += strspn(value, " \t,");
		n = strcspn(value, " \t,");
		if (n == len && strncasecmp(value, word, len) == 0) {
			return true;
		}
		value += n;
	}
	return false;
}

/* Whether the connection ends with this answer. */
static bool
is_last(const struct http_exchange *x)
{
	const struct http_conn *c = x->conn;
	const char *connection = evhttp_find_header(
	    evhttp_request_get_input_headers(x->req), "Connection");
	bool drained = evbuffer_get_length(bufferevent_get_input(c->bev)) == 0;

	return x->refused || c->http->finishing || (c->peer_done && drained) ||
	    has_word(connection, "close") ||
	    (x->req->minor == 0 && !has_word(connection, "keep-alive"));
}

static void
add_headers(struct evhttp_request *req, int status, size_t len, bool last)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	char text[24];

	if (status != STATUS_NO_CONTENT) {
		(void)snprintf(text, sizeof(text), "%zu", len);
		(void)evhttp_add_header(headers, "Content-Length", text);
	}
	if (len > 0) {
		(void)evhttp_add_header(
		    headers, "Content-Type", "application/json");
	}
	if (status == STATUS_METHOD_NOT_ALLOWED) {
		(void)evhttp_add_header(headers, "Allow", "POST");
	}
	if (last) {
		/* Or evhttp adds its own words about it. */
		(void)evhttp_remove_header(
		    evhttp_request_get_input_headers(req), "Connection");
		(void)evhttp_add_header(headers, "Connection", "close");
	}
}

static void
on_answered(struct evhttp_request *req, void *arg)
{
	struct http_conn *c = arg;

	(void)req;
	jy_assert(c->magic == HTTP_CONN_MAGIC);
	http_conn_read_on(c);
}

void
http_exchange_send(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	struct evhttp_request *req = x->req;
	struct evbuffer *body = x->body;
	int status = x->status;
	bool last = is_last(x);

	x->req = NULL;
	x->body = NULL;
	x->status = 0;
	c->state = HTTP_WRITING;
	c->active_us = sys_mono_us();
	c->slow_since_us = c->active_us;
	add_headers(req, status, evbuffer_get_length(body), last);
	evhttp_request_set_on_complete_cb(req, on_answered, c);
	evhttp_send_reply(req, status, NULL, body);
	evbuffer_free(body);
	if (last) {
		http_conn_end(c);
	} else {
		/* Or evhttp gives up when the client has closed its half. */
		(void)bufferevent_disable(c->bev, EV_READ);
	}
}

static void
wipe_body(const void *data, size_t len, void *arg)
{
	(void)data;
	secret_wipe(arg, len);
	free(arg);
}

/* A copy that wipes itself; NULL when memory is short. */
static struct evbuffer *
body_new(const char *body, size_t len)
{
	struct evbuffer *out = evbuffer_new();
	char *copy = len > 0 ? malloc(len) : NULL;

	if (out == NULL || len == 0) {
		free(copy);
		return out;
	}
	if (copy == NULL) {
		evbuffer_free(out);
		return NULL;
	}
	memcpy(copy, body, len);
	if (evbuffer_add_reference(out, copy, len, wipe_body, copy) != 0) {
		wipe_body(copy, len, copy);
		evbuffer_free(out);
		return NULL;
	}
	return out;
}

void
http_answer(struct http_exchange *x, int status, const char *body, size_t len)
{
	struct http_conn *c = x->conn;

	jy_assert(c->magic == HTTP_CONN_MAGIC && x->status == 0);
	if (x->req != NULL) {
		x->body = body_new(body, len);
		x->status = status;
		if (x->body == NULL) {
			log_error("http", "cut a connection",
			    "%s why=\"out of memory\"", c->name);
			http_conn_close(c);
		} else if (x->in_call) {
			/* Callbacks of what evhttp wrote before come first. */
			event_active(c->kick, EV_TIMEOUT, 0);
		} else {
			http_exchange_send(x);
		}
	}
	http_conn_unref(c);
}

/* ---- requests ---- */

static void
hand_over(struct http_exchange *x)
{
	struct http_conn *c = x->conn;
	struct evbuffer *in = evhttp_request_get_input_buffer(x->req);
	size_t len = evbuffer_get_length(in);
	const void *body = evbuffer_pullup(in, -1);

	if (body == NULL && len > 0) {
		http_answer(x, STATUS_INTERNAL, NULL, 0);
		return;
	}
	bi_request(c->server, x, len > 0 ? body : "", len);
}

/* How often a request has a field; value is of the last one. */
static unsigned
count_field(
    const struct evhttp_request *req, const char *name, const char **value)
{
	const struct evkeyval *field;
	unsigned n = 0;

	TAILQ_FOREACH(field, req->input_headers, next)
	{
		if (strcasecmp(field->key, name) == 0) {
			*value = field->value;
			n++;
		}
	}
	return n;
}

/* evhttp also takes "Content-Length : 1", as a field of another name. */
static bool
names_are_tokens(const struct evhttp_request *req)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	const struct evkeyval *field;

	TAILQ_FOREACH(field, req->input_headers, next)
	{
		const char *p = field->key;

		while (isalnum((unsigned char)*p) ||
		    (*p != '\0' && strchr(others, *p) != NULL)) {
			p++;
		}
		if (*p != '\0' || p == field->key) {
			return false;
		}
	}
	return true;
}

static bool
is_decimal(const char *value)
{
	value += strspn(value, " \t");
	return value[0] != '\0' && strspn(value, "0123456789") == strlen(value);
}

/*
 * A proxy before us has to have read the same request: where it ends, and
 * which of two fields counts.  evhttp takes the first of two, leaves alone a
 * Transfer-Encoding that it does not know, and puts what trails a body to
 * the header, where a proxy would not have looked for the name of a peer.
 */
static int
ambiguity_of(const struct http_conn *c, const struct evhttp_request *req)
{
	const char *peer_header = c->server->conf->bi_proxy_header;
	const char *const once[] = { "Authorization", "Content-Type", "Host",
		peer_header };
	const char *value = "", *coding = "chunked", *length = "0";
	unsigned codings = count_field(req, "Transfer-Encoding", &coding);
	unsigned lengths = count_field(req, "Content-Length", &length);

	for (size_t i = 0; i < ARRAY_LEN(once); i++) {
		if (count_field(req, once[i], &value) > 1) {
			return STATUS_BAD_REQUEST;
		}
	}
	if (codings + lengths > 1 || !is_decimal(length) ||
	    strcasecmp(coding, "chunked") != 0 ||
	    (codings > 0 && req->minor == 0) || !names_are_tokens(req)) {
		return STATUS_BAD_REQUEST;
	}
	if (codings > 0 && count_field(req, peer_header, &value) > 0) {
		return STATUS_LENGTH_REQUIRED;
	}
	return 0;
}

/* The status of a request that bi.c does not get to see; 0 if it does. */
static int
refusal_of(const struct http_conn *c, struct evhttp_request *req)
{
	if (c->refusal != 0) {
		return c->refusal;
	}
	if (req->major != 1 || req->minor < 0) {
		req->major = 1;
		req->minor = 1;
		return STATUS_VERSION;
	}
	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST) {
		return STATUS_METHOD_NOT_ALLOWED;
	}
	return ambiguity_of(c, req);
}

void
http_on_request(struct evhttp_request *req, void *arg)
{
	struct http_door *door = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct http_conn *c = http_conn_of(door->http, evcon);
	struct http_exchange *x;
	int status;

	if (c == NULL) {
		evhttp_connection_free(evcon);
		return;
	}
	/* That it came through a proxy, as evhttp says, changes nothing. */
	req->flags &= ~EVHTTP_PROXY_REQUEST;
	x = &c->exchange;
	*x = (struct http_exchange){ .conn = c, .req = req, .in_call = true };
	c->refs += 2; /* the exchange's, and ours */
	http_conn_await_answer(c);
	status = refusal_of(c, req);
	if (status == 0) {
		hand_over(x);
	} else {
		log_notice("http", "refused a request", "%s status=%d", c->name,
		    status);
		/* What follows may be its body and no request. */
		x->refused = true;
		http_answer(x, status, NULL, 0);
	}
	x->in_call = false;
	http_conn_unref(c);
}
