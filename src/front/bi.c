/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backend Interfaces: who asks by an HTTP request, and how the answer goes
 * back to it.  What is in a message src/bi knows; a worker answers it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/joinery.pb-c.h"
#include "proto/unpack.h"
#include "src/base/arena.h"
#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/bi/bi.h"
#include "src/conf/conf.h"
#include "src/front/authorization.h"
#include "src/front/dispatch.h"
#include "src/front/http.h"
#include "src/front/pending.h"
#include "src/front/post.h"
#include "src/front/server.h"
#include "src/front/waiter.h"

#define BI_ASK_MAGIC 0x62696173U

/* A message and who waits for its answer. */
struct bi_ask {
	struct waiter waiter;
	unsigned magic;
	unsigned refs;
	struct server *server;
	struct http_exchange *exchange; /* NULL: it is answered */
	Joinery__Corridor__Credential credential;
	uint8_t authorization_hash[AUTHORIZATION_HASH_LEN];
	struct bi_request message;
	char name[96];
};

/* ---- the answer goes back ---- */

/* End the exchange with a message, or acknowledge it and post that. */
static void
ask_give(struct bi_ask *a, const char *text, size_t len, const char *request_id,
    const Joinery__Corridor__AnswerTo *to)
{
	struct http_exchange *x = a->exchange;
	char label[256];

	jy_assert(x != NULL);
	a->exchange = NULL;
	if (to == NULL) {
		http_answer(x, 200, text, len);
		return;
	}
	http_answer(x, 200, NULL, 0);
	(void)snprintf(label, sizeof(label),
	    "peer=%s transaction=%" PRIu32 " request=%s",
	    to->peer != NULL ? to->peer : "?", a->message.transaction_id,
	    request_id);
	post_answer(a->server->post, to, text, len, label);
}

/* There was no memory to write an answer. */
static void
ask_give_up(struct bi_ask *a, const char *request_id,
    const Joinery__Corridor__AnswerTo *to)
{
	struct http_exchange *x = a->exchange;

	log_error("bi", "out of memory for an answer", "%s request_id=%s",
	    a->name, request_id);
	if (to != NULL) {
		a->server->stats.answers_lost++;
	}
	a->exchange = NULL;
	http_answer(x, 503, NULL, 0);
}

/* Takes text, which may be NULL. */
static void
ask_answer_take(struct bi_ask *a, char *text, size_t len,
    const char *request_id, const Joinery__Corridor__AnswerTo *to)
{
	if (text == NULL) {
		ask_give_up(a, request_id, to);
		return;
	}
	ask_give(a, text, len, request_id, to);
	bi_free(text, len);
}

/* ---- as a waiter ---- */

static struct bi_ask *
ask_cast(const struct waiter *waiter)
{
	struct bi_ask *a = (struct bi_ask *)(uintptr_t)waiter;

	jy_assert(a->magic == BI_ASK_MAGIC);
	return a;
}

static const char *
ask_name(const struct waiter *waiter)
{
	return ask_cast(waiter)->name;
}

static const Joinery__Corridor__Credential *
ask_credential(const struct waiter *waiter)
{
	return &ask_cast(waiter)->credential;
}

static bool
ask_gone(const struct waiter *waiter)
{
	const struct bi_ask *a = ask_cast(waiter);

	return a->exchange == NULL || http_gone(a->exchange);
}

/* The keys in it may be in clear: no copy of it stays behind. */
static void
ask_answer(struct waiter *waiter, const uint8_t *response, size_t len,
    const char *request_id, const Joinery__Corridor__AnswerTo *to)
{
	struct bi_ask *a = ask_cast(waiter);
	struct arena arena = { .chunks = NULL };
	const Joinery__V1__Response *r = (const Joinery__V1__Response *)unpack(
	    &arena, &joinery__v1__response__descriptor, response, len);
	size_t text_len = 0;
	char *text;

	if (r != NULL) {
		text = bi_write_answer(&a->message, r, request_id, &text_len);
	} else {
		log_error("bi", "an answer does not parse",
		    "%s request_id=%s do=\"report it as a bug of "
		    "joinery-worker\"",
		    a->name, request_id);
		text = bi_write_refusal(
		    &a->message, BI_RESULT_OTHER, request_id, &text_len);
	}
	arena_reset(&arena);
	ask_answer_take(a, text, text_len, request_id, to);
}

static void
ask_hold(struct waiter *waiter)
{
	ask_cast(waiter)->refs++;
}

static void
ask_done(struct waiter *waiter)
{
	struct bi_ask *a = ask_cast(waiter);

	if (--a->refs > 0) {
		return;
	}
	if (a->exchange != NULL) {
		/* Its client has gone, so nobody answered; it has to end. */
		http_answer(a->exchange, 503, NULL, 0);
	}
	a->magic = 0;
	free(a);
}

static const struct waiter_ops ask_ops = {
	.name = ask_name,
	.credential = ask_credential,
	.gone = ask_gone,
	.answer = ask_answer,
	.hold = ask_hold,
	.done = ask_done,
	.backend_interfaces = true,
};

static struct bi_ask *
ask_new(struct server *s, struct http_exchange *x)
{
	struct bi_ask *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		return NULL;
	}
	a->waiter.ops = &ask_ops;
	a->magic = BI_ASK_MAGIC;
	a->refs = 1;
	a->server = s;
	a->exchange = x;
	joinery__corridor__credential__init(&a->credential);
	(void)snprintf(a->name, sizeof(a->name), "%s", http_name(x));
	return a;
}

/* ---- refusals of the front ---- */

/* So that a peer's text cannot look like another part of the log line. */
static void
tame(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '"') {
			*text = '\'';
		}
	}
}

/* "JoinReq 77 from 000013 to a84041000181a1b2". */
static void
describe(const struct bi_request *q, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s %" PRIu32 " from %s to %s",
	    q->message_type, q->transaction_id, q->sender_id, q->receiver_id);
	tame(out);
}

/* Refuse a message of which the header could be read. */
static void
ask_refuse(struct bi_ask *a, enum bi_result result, char *why, const char *todo)
{
	struct pending *pending = a->server->pending;
	const struct bi_request *q = &a->message;
	char request_id[REQUEST_ID_STR_LEN];
	char message[2 * BI_ID_MAX + 80];
	size_t len = 0;
	char *text;

	pending_request_id(pending, pending_seq(pending), request_id);
	describe(q, message, sizeof(message));
	tame(why);
	log_notice("bi", "refused a request",
	    "%s message=\"%s\" code=%s request_id=%s why=\"%s\" do=\"%s\"",
	    a->name, message, bi_result_name(result, q->version), request_id,
	    why, todo);
	text = bi_write_refusal(q, result, request_id, &len);
	ask_answer_take(a, text, len, request_id, NULL);
}

/* Refuse what nobody can be addressed about. */
static void
ask_refuse_garbage(struct bi_ask *a, char *why)
{
	struct pending *pending = a->server->pending;
	struct http_exchange *x = a->exchange;
	char request_id[REQUEST_ID_STR_LEN];
	size_t len = 0;
	char *text;

	a->server->stats.bi_garbage++;
	pending_request_id(pending, pending_seq(pending), request_id);
	tame(why);
	log_notice("bi", "refused a request",
	    "%s status=400 request_id=%s why=\"%s\" do=\"%s\"", a->name,
	    request_id, why, "see whether this is a peer at all");
	text = bi_write_garbage(a->message.version, request_id, &len);
	if (text == NULL) {
		ask_give_up(a, request_id, NULL);
		return;
	}
	a->exchange = NULL;
	http_answer(x, 400, text, len);
	bi_free(text, len);
}

/* ---- what comes ---- */

/* What the connection and the header of the request prove about the peer. */
static bool
ask_prove(struct bi_ask *a, char *why, size_t why_cap, const char **todo)
{
	const char *header = a->server->conf->bi_proxy_header;
	const char *proxied = http_header(a->exchange, header);
	const struct tls_peer *peer = http_tls_peer(a->exchange);
	Joinery__Corridor__Credential *cred = &a->credential;

	if (proxied != NULL && proxied[0] != '\0') {
		if (!http_from_proxy(a->exchange)) {
			(void)snprintf(why, why_cap,
			    "%s names %s, and comes from nobody of bi-proxies",
			    header, proxied);
			*todo = "add it to bi-proxies if it is ours; else it "
				"claims to be what it is not";
			return false;
		}
		/* A certificate would be the proxy's. */
		cred->proxied_peer = (char *)(uintptr_t)proxied;
	} else if (peer != NULL) {
		cred->has_cert_fingerprint = 1;
		/* protobuf-c has no const data; packing does not write. */
		cred->cert_fingerprint.data =
		    (uint8_t *)(uintptr_t)peer->fingerprint;
		cred->cert_fingerprint.len = sizeof(peer->fingerprint);
		cred->n_cert_sans = peer->n_sans;
		cred->cert_sans = (char **)(uintptr_t)peer->sans;
	}
	if (authorization_hash(http_header(a->exchange, "Authorization"),
		a->authorization_hash)) {
		cred->has_authorization_hash = 1;
		cred->authorization_hash.data = a->authorization_hash;
		cred->authorization_hash.len = sizeof(a->authorization_hash);
	}
	(void)snprintf(
	    why, why_cap, "the request proves nothing about its sender");
	*todo = "give the peer a certificate, or a token or password that the "
		"server can read";
	return cred->proxied_peer != NULL || cred->has_cert_fingerprint ||
	    cred->has_authorization_hash;
}

static void
ask_call(struct bi_ask *a)
{
	const char *todo;
	char why[240];

	if (!ask_prove(a, why, sizeof(why), &todo)) {
		a->server->stats.bi_unproved++;
		ask_refuse(a, BI_RESULT_SENDER, why, todo);
		return;
	}
	dispatch_call(a->server, &a->waiter, &a->message.call, sys_mono_us());
	/* It points to what may end before the answer comes. */
	joinery__corridor__credential__init(&a->credential);
}

static void
ask_notice(struct bi_ask *a, char *what)
{
	struct http_exchange *x = a->exchange;
	char message[2 * BI_ID_MAX + 80];

	a->server->stats.bi_notices++;
	describe(&a->message, message, sizeof(message));
	tame(what);
	log_notice("bi", "a peer notifies an error",
	    "%s message=\"%s\" what=\"%s\"", a->name, message, what);
	a->exchange = NULL;
	http_answer(x, 200, NULL, 0);
}

/* "application/json", perhaps with parameters; who says nothing means it. */
static bool
is_json(const char *type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	if (type == NULL || type[0] == '\0') {
		return true;
	}
	return strncasecmp(type, json, len) == 0 &&
	    strchr("; \t", type[len]) != NULL;
}

void
bi_request(
    struct server *s, struct http_exchange *x, const void *body, size_t len)
{
	struct errctx ec = ERRCTX_INIT;
	struct bi_ask *a;

	s->stats.bi_requests++;
	if (!is_json(http_header(x, "Content-Type"))) {
		s->stats.bi_garbage++;
		log_notice("bi", "refused a request",
		    "%s status=415 why=\"Content-Type is not "
		    "application/json\" do=\"see whether this is a peer at "
		    "all\"",
		    http_name(x));
		http_answer(x, 415, NULL, 0);
		return;
	}
	a = ask_new(s, x);
	if (a == NULL) {
		log_error(
		    "bi", "out of memory for a request", "%s", http_name(x));
		http_answer(x, 503, NULL, 0);
		return;
	}
	switch (bi_read(body, len, &a->message, &ec)) {
	case BI_CALL:
		ask_call(a);
		break;
	case BI_REFUSED:
		s->stats.bi_refused++;
		ask_refuse(a, a->message.refused, ec.text,
		    "have the peer follow Backend Interfaces 1.0 or 1.1");
		break;
	case BI_NOTICE:
		ask_notice(a, ec.text);
		break;
	case BI_GARBAGE:
		ask_refuse_garbage(a, ec.text);
		break;
	}
	ask_done(&a->waiter);
}
