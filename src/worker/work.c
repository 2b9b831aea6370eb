/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request through a token thread.  Here errors are handled: they become
 * the peer's Error answer and one line in the log.
 */
#include "src/worker/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "proto/frame.h"
#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/conf/admin.h"
#include "src/worker/convert.h"

#define JOIN_NONCE_WARN 0xF00000U

#define REASON_MAX 256

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
	return access_find(ctx->env.store, &c,
	    c.has_uid && conf_uid_is_admin(ctx->conf, c.uid), &w->asker, ec);
}

static enum jy_err
run_call(struct work *w, const struct work_ctx *ctx, struct errctx *ec)
{
	struct call call = {
		.env = &ctx->env,
		.asker = &w->asker,
		.request = w->request,
		.response = &w->response,
		.arena = &w->arena,
	};

	return w->def->run(&call, ec);
}

static enum jy_err
begin(struct work *w, const struct work_ctx *ctx, struct errctx *ec)
{
	enum jy_err err;

	w->request = joinery__v1__request__unpack(
	    NULL, w->envelope->request.len, w->envelope->request.data);
	if (w->request == NULL) {
		return err_set(ec, JY_EINVAL, "the request does not parse");
	}
	w->def = call_find(w->request->call_case);
	if (w->def == NULL) {
		return err_set(ec, JY_ECALL, "this server has no such call");
	}
	err = find_asker(w, ctx, ec);
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
	err = call_join_begin(w->request->join, &w->join.in, ec);
	w->joins = err == JY_OK;
	return err;
}

bool
work_open(struct work *w, const uint8_t *frame, size_t len)
{
	w->request = NULL;
	w->def = NULL;
	w->joins = false;
	w->arena = (struct arena){ 0 };
	w->asker.name[0] = '\0';
	err_clear(&w->ec);
	joinery__v1__response__init(&w->response);
	w->envelope = joinery__corridor__envelope__unpack(NULL, len, frame);
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
	w->request = joinery__v1__request__unpack(
	    NULL, w->envelope->request.len, w->envelope->request.data);
	w->err = err_set(
	    &w->ec, JY_ETOKEN, "the token was lost; the worker restarts");
}

enum jy_err *
work_err(struct work *w)
{
	return w->joins ? &w->join.err : &w->err;
}

/* ---- what happened: counters and the log ---- */

static void
count_join(const struct work *w, struct counters *n)
{
	const uint32_t *us = w->join.step_us;

	counters_add(n->joins_rerun, w->join.reran);
	counters_add(n->joins_nonce_any,
	    w->join.err == JY_OK && w->join.view.device.resets_join_nonces);
	counters_add(
	    n->joins_repeated, w->join.err == JY_OK && w->join.repeated);
#define X(name, meaning) \
	counters_add(n->step_##name##_us, us[JOIN_STEP_##name]);
	JOIN_STEPS(X)
#undef X
}

static bool
is_token_error(enum jy_err err)
{
	return err == JY_ETOKEN || err == JY_ENOKEY || err == JY_ETOKENREQ;
}

static void
count(const struct work *w, struct counters *n)
{
	bool ok = w->err == JY_OK;

	counters_add(n->requests, 1);
	counters_add(n->token_errors, is_token_error(w->err));
	if (w->joins) {
		count_join(w, n);
	}
	if (w->def == NULL) {
		return;
	}
	if (w->def->run == NULL) {
		counters_add(n->joins_accepted, ok);
		counters_add(n->joins_refused, !ok);
	} else if (w->def->who == CALL_NS || w->def->who == CALL_AS) {
		counters_add(n->keys_given, ok);
		counters_add(n->keys_refused, !ok);
	} else if (w->def->who == CALL_ADMIN) {
		counters_add(n->admin_calls, ok);
	}
}

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
	row.dev_nonce = w->join.request.dev_nonce;
	memcpy(row.peer, w->asker.name, sizeof(row.peer));
	(void)snprintf(row.reason, sizeof(row.reason), "%.*s", STORE_REASON_MAX,
	    err_detail(&w->ec, w->err));
	store_refusal_note(ctx->env.store, &row);
}

/* Why, as it may stand in quotes: a reason may quote names. */
static const char *
reason(const struct work *w, char out[REASON_MAX])
{
	(void)snprintf(out, REASON_MAX, "%s", err_detail(&w->ec, w->err));
	for (char *p = out; *p != '\0'; p++) {
		*p = *p == '"' ? '\'' : *p;
	}
	return out;
}

static void
log_refused_join(const struct work *w)
{
	const Joinery__V1__ErrorCode code = errcode_of(w->err);
	const struct join *j = &w->join;
	char dev[EUI64_STR_LEN] = "-", join[EUI64_STR_LEN] = "-";
	char why[REASON_MAX];

	if (j->step > JOIN_STEP_parse) {
		(void)eui64_str(&j->device.dev_eui, dev);
		(void)eui64_str(&j->device.join_eui, join);
	}
	log_notice("join", "refused",
	    "request=%s peer=\"%s\" code=%s step=%s dev_eui=%s join_eui=%s "
	    "mac_version=%s net_id=%06x reason=\"%s\" do=\"%s\"",
	    w->envelope->request_id, w->asker.name, errcode_name(code),
	    join_step_name(j->step), dev, join,
	    lw_version_str(j->in.mac_version), j->in.net_id, reason(w, why),
	    errcode_hint(code));
}

static void
log_call(const struct work *w)
{
	const Joinery__V1__ErrorCode code = errcode_of(w->err);
	char object[CALL_OBJECT_MAX] = "-", why[REASON_MAX];

	if (w->def != NULL) {
		call_object(w->request, object);
	}
	if (w->err == JY_OK) {
		log_notice("admin", "done", "request=%s peer=\"%s\" call=%s %s",
		    w->envelope->request_id, w->asker.name, w->def->name,
		    object);
		return;
	}
	log_notice("call", "refused",
	    "request=%s peer=\"%s\" call=%s %s code=%s reason=\"%s\" do=\"%s\"",
	    w->envelope->request_id, w->asker.name,
	    w->def != NULL ? w->def->name : "unknown", object,
	    errcode_name(code), reason(w, why), errcode_hint(code));
}

/* A line at debug level only; but a warning long before a device is done. */
static void
log_accepted_join(const struct work *w)
{
	const struct session_row *session = &w->join.commit.session;
	char dev[EUI64_STR_LEN], id[HEX_STR_LEN(STORE_ID_LEN)];

	if (log_wants(LOG_LEVEL_DEBUG)) {
		hex_format(session->id, sizeof(session->id), id);
		log_debug("join", "accepted",
		    "request=%s peer=\"%s\" dev_eui=%s join_nonce=%06x "
		    "session=%s repeated=%d",
		    w->envelope->request_id, w->asker.name,
		    eui64_str(&session->device.dev_eui, dev),
		    session->join_nonce, id, w->join.repeated);
	}
	if (session->join_nonce >= JOIN_NONCE_WARN) {
		log_warn("join", "JoinNonce runs out",
		    "dev_eui=%s join_nonce=%06x last=%06x do=\"give the "
		    "device another JoinEUI in time\"",
		    eui64_str(&session->device.dev_eui, dev),
		    session->join_nonce, LW_JOIN_NONCE_MAX);
	}
}

static void
log_outcome(const struct work *w)
{
	if (w->joins && w->err == JY_OK) {
		log_accepted_join(w);
	} else if (w->joins) {
		log_refused_join(w);
	} else if (w->err != JY_OK || w->def->changes) {
		log_call(w);
	}
}

/* ---- the reply ---- */

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

static void
put_response(struct work *w, struct work_replies *replies)
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
	count(w, ctx->counters);
	log_outcome(w);
	if (w->err != JY_OK) {
		if (w->joins) {
			note_refusal(w, ctx);
		}
		answer_error(w);
	} else if (w->joins) {
		call_join_end(&w->join.out, &w->arena, &w->response);
	}
	put_response(w, replies);
	secret_wipe(&w->join.out.keys, sizeof(w->join.out.keys));
	arena_reset(&w->arena);
	if (w->request != NULL) {
		joinery__v1__request__free_unpacked(w->request, NULL);
	}
	joinery__corridor__envelope__free_unpacked(w->envelope, NULL);
}
