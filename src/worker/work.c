/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request through a token thread.  Here errors are handled: they become
 * the peer's Error answer and, in work_log.c, one line in the log.
 */
#include "src/worker/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "proto/frame.h"
#include "proto/unpack.h"
#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/conf/admin.h"
#include "src/worker/convert.h"
#include "src/worker/work_log.h"

/* Who asks, by what the front saw of the connection. */
static enum jy_err
find_asker(struct work *w, const struct work_ctx *ctx, struct errctx *ec)
{
	const Joinery__Corridor__Credential *m = w->envelope->credential;
	struct credential c = { 0 };

	if (m == NULL) {
		return err_set(ec, JY_EPEER, "the connection proves nothing");
	}
	c.has_uid = m->has_uid;
	c.uid = m->uid;
	c.has_fingerprint = m->has_cert_fingerprint &&
	    m->cert_fingerprint.len == sizeof(c.fingerprint);
	if (c.has_fingerprint) {
		memcpy(c.fingerprint, m->cert_fingerprint.data,
		    sizeof(c.fingerprint));
	}
	c.sans = (const char *const *)m->cert_sans;
	c.san_count = m->n_cert_sans;
	c.has_authorization = m->has_authorization_hash &&
	    m->authorization_hash.len == sizeof(c.authorization_hash);
	if (c.has_authorization) {
		memcpy(c.authorization_hash, m->authorization_hash.data,
		    sizeof(c.authorization_hash));
	}
	c.proxied_peer = m->proxied_peer;
	return access_find(ctx->env.store, &c,
	    c.has_uid && conf_uid_is_admin(ctx->conf, c.uid), &w->asker, ec);
}

/*
 * Put what was changed into the audit log.  When that fails the change is
 * there all the same: the asker has to know both.
 */
static enum jy_err
record(struct work *w, struct call *call, struct errctx *ec)
{
	char text[CALL_NOTE_MAX];
	struct errctx why = ERRCTX_INIT;
	struct audit_row row;
	enum jy_err err;

	call_audit_text(call, text);
	err = audit_append(
	    call->env, call->event, w->asker.name, text, &row, &why);
	if (err == JY_OK) {
		w->audit_seq = row.seq;
		call_recorded(call, &row);
		return JY_OK;
	}
	log_error("audit", "a change is not in the audit log",
	    "request=%s call=%s error=\"%s\"", w->envelope->request_id,
	    w->def->name, err_detail(&why, err));
	return err_set(ec, err,
	    "this was done, but it is not in the audit log: %s",
	    err_detail(&why, err));
}

static enum jy_err
run_call(struct work *w, const struct work_ctx *ctx, struct errctx *ec)
{
	struct call call = {
		.env = &ctx->env,
		.asker = &w->asker,
		.sender = &w->sender,
		.request = w->request,
		.response = &w->response,
		.arena = &w->arena,
		.event = w->def->audit,
		.note = w->note,
	};
	enum jy_err err = w->def->run(&call, ec), recorded = JY_OK;

	if ((err == JY_OK || call.changed) && call.event > AUDIT_ELSEWHERE) {
		recorded = record(w, &call, err == JY_OK ? ec : NULL);
	}
	return err == JY_OK ? recorded : err;
}

/* NULL: it does not parse. */
static Joinery__V1__Request *
unpack_request(struct work *w)
{
	const ProtobufCBinaryData *octets = &w->envelope->request;

	return (Joinery__V1__Request *)unpack(&w->request_arena,
	    &joinery__v1__request__descriptor, octets->data, octets->len);
}

static enum jy_err
begin(struct work *w, const struct work_ctx *ctx, struct errctx *ec)
{
	enum jy_err err;

	w->request = unpack_request(w);
	if (w->request == NULL) {
		return err_set(ec, JY_EINVAL, "the request does not parse");
	}
	w->def = call_find(w->request->call_case);
	if (w->def == NULL) {
		return err_set(ec, JY_ECALL, "this server has no such call");
	}
	err = find_asker(w, ctx, ec);
	if (err == JY_OK) {
		err = convert_sender(w->request->sender, &w->sender, ec);
	}
	if (err == JY_OK && w->request->sender != NULL) {
		err = access_sender(&w->asker.peer, &w->sender, ec);
	}
	if (err == JY_OK) {
		err = call_allowed(w->def, &w->asker, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	if (w->def->run != NULL) {
		return run_call(w, ctx, ec);
	}
	w->join.env = &ctx->env;
	w->join.peer = &w->asker.peer;
	err =
	    call_join_begin(w->request, &w->sender, &w->arena, &w->join.in, ec);
	w->joins = err == JY_OK;
	return err;
}

bool
work_open(struct work *w, const uint8_t *frame, size_t len)
{
	w->request = NULL;
	w->def = NULL;
	w->joins = false;
	w->note[0] = '\0';
	w->audit_seq = 0;
	w->envelope_arena = (struct arena){ 0 };
	w->request_arena = (struct arena){ 0 };
	w->arena = (struct arena){ 0 };
	w->asker.name[0] = '\0';
	w->asker.peer.answer_url[0] = '\0';
	err_clear(&w->ec);
	joinery__v1__response__init(&w->response);
	w->envelope = (Joinery__Corridor__Envelope *)unpack(&w->envelope_arena,
	    &joinery__corridor__envelope__descriptor, frame, len);
	if (w->envelope == NULL) {
		arena_reset(&w->envelope_arena);
	}
	return w->envelope != NULL;
}

void
work_begin(struct work *w, const struct work_ctx *ctx)
{
	w->err = begin(w, ctx, &w->ec);
}

void
work_refuse(struct work *w)
{
	w->request = unpack_request(w);
	w->err = err_set(
	    &w->ec, JY_ETOKEN, "the token was lost; the worker restarts");
}

enum jy_err *
work_err(struct work *w)
{
	return w->joins ? &w->join.err : &w->err;
}

/* ---- the reply ---- */

/* A refused join that names its device also stays in the store. */
static void
note_refusal(const struct work *w, const struct work_ctx *ctx)
{
	struct refusal_row row = { 0 };

	if (w->join.step <= JOIN_STEP_device) {
		return;
	}
	row.device = w->join.device;
	row.time_ms = ctx->env.sys->now_ms();
	row.wire_code = (uint16_t)errcode_of(w->err);
	row.counter = w->join.request.counter;
	memcpy(row.peer, w->asker.name, sizeof(row.peer));
	(void)snprintf(row.reason, sizeof(row.reason), "%.*s", STORE_REASON_MAX,
	    err_detail(&w->ec, w->err));
	store_refusal_note(ctx->env.store, &row);
}

static void
put_reply(struct work_replies *r, const Joinery__Corridor__Reply *reply)
{
	size_t len = joinery__corridor__reply__get_packed_size(reply);
	size_t need = r->len + FRAME_HEAD_LEN + len;

	if (need > r->cap) {
		uint8_t *larger = sys_xmalloc(need * 2);

		if (r->len > 0) {
			memcpy(larger, r->buf, r->len);
			secret_wipe(r->buf, r->len); /* keys, perhaps */
		}
		free(r->buf);
		r->buf = larger;
		r->cap = need * 2;
	}
	frame_head_put(r->buf + r->len, len);
	(void)joinery__corridor__reply__pack(
	    reply, r->buf + r->len + FRAME_HEAD_LEN);
	r->len = need;
}

/* Turn the error into the answer. */
static void
answer_error(struct work *w)
{
	Joinery__V1__Error *m =
	    convert_new(&w->arena, &joinery__v1__error__descriptor);

	m->has_code = 1;
	m->code = errcode_of(w->err);
	m->message = arena_text(&w->arena, err_detail(&w->ec, w->err));
	m->request_id = w->envelope->request_id;
	w->response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	w->response.error = m;
}

/* Where a peer of Backend Interfaces wants its answer; NULL: here. */
static Joinery__Corridor__AnswerTo *
answer_to(struct work *w)
{
	const struct peer_row *peer = &w->asker.peer;
	Joinery__Corridor__AnswerTo *m;

	if (!w->envelope->has_backend_interfaces ||
	    !w->envelope->backend_interfaces || peer->answer_url[0] == '\0') {
		return NULL;
	}
	m = convert_new(&w->arena, &joinery__corridor__answer_to__descriptor);
	m->url = convert_to_text(&w->arena, peer->answer_url);
	m->ca = convert_to_text(&w->arena, peer->answer_ca);
	m->cert = convert_to_text(&w->arena, peer->answer_cert);
	m->key = convert_to_text(&w->arena, peer->answer_key);
	m->peer = convert_to_text(&w->arena, peer->name);
	return m;
}

static void
put_response(
    struct work *w, const struct work_ctx *ctx, struct work_replies *replies)
{
	Joinery__Corridor__Reply reply = JOINERY__CORRIDOR__REPLY__INIT;

	w->response.has_id = w->request != NULL && w->request->has_id;
	w->response.id = w->response.has_id ? w->request->id : 0;
	reply.seq = w->envelope->seq;
	reply.has_response = 1;
	reply.response.len =
	    joinery__v1__response__get_packed_size(&w->response);
	jy_assert(reply.response.len <= FRAME_MAX);
	reply.response.data = arena_alloc(&w->arena, reply.response.len);
	(void)joinery__v1__response__pack(&w->response, reply.response.data);
	if (w->envelope->has_trace && w->envelope->trace) {
		reply.has_trace = work_trace(w, ctx, &reply.trace);
	}
	reply.answer_to = answer_to(w);
	put_reply(replies, &reply);
}

void
work_end(
    struct work *w, const struct work_ctx *ctx, struct work_replies *replies)
{
	if (w->joins) {
		w->err = w->join.err;
		w->ec = w->join.ec;
	}
	work_count(w, ctx->counters);
	work_log(w);
	if (w->err != JY_OK) {
		if (w->joins) {
			note_refusal(w, ctx);
		}
		answer_error(w);
	} else if (w->joins) {
		call_join_end(&w->join.out, &w->arena, &w->response);
	}
	put_response(w, ctx, replies);
	secret_wipe(&w->join.out.keys, sizeof(w->join.out.keys));
	arena_reset(&w->arena);
	arena_reset(&w->request_arena);
	arena_reset(&w->envelope_arena);
}
