/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a request: counted, one line in the log, and, for a device
 * that somebody watches, an event.
 */
#include "src/worker/work_log.h"

#include <stdio.h>
#include <string.h>

#include "proto/errcode.h"
#include "src/base/log.h"
#include "src/worker/convert.h"

#define JOIN_NONCE_WARN 0xF00000U

#define REASON_MAX 256

/* ---- counters ---- */

static void
count_join(const struct work *w, struct counters *n)
{
	const uint32_t *us = w->join.step_us;

	counters_add(n->joins_rerun, w->join.reran);
	counters_add(n->joins_nonce_any,
	    w->join.err == JY_OK && !w->join.in.rejoin &&
		w->join.view.device.resets_join_nonces);
	counters_add(
	    n->joins_repeated, w->join.err == JY_OK && w->join.repeated);
#define X(name, meaning) \
	counters_add(n->step_##name##_us, us[JOIN_STEP_##name]);
	JOIN_STEPS(X)
#undef X
}

static void
count_import(const struct work *w, struct counters *n)
{
	const Joinery__V1__ImportBatchRequest *q = w->request->import_batch;
	struct call_import_counts done = call_import_count(&w->response);

	if (!q->has_dry_run || !q->dry_run) {
		counters_add(n->devices_imported, done.created + done.replaced);
	}
}

static void
count_release(const struct work *w, struct counters *n)
{
	struct call_release_counts done = call_release_count(&w->response);

	counters_add(n->devices_released, done.released);
	counters_add(n->roots_forged, done.forged);
}

static bool
is_token_error(enum jy_err err)
{
	return err == JY_ETOKEN || err == JY_ENOKEY || err == JY_ETOKENREQ;
}

/* Not an admin's call: that names a KEK which is not there yet, perhaps. */
static bool
is_for_peers(const struct work *w)
{
	return w->def != NULL && w->def->who != CALL_ADMIN;
}

void
work_count(const struct work *w, struct counters *n)
{
	bool ok = w->err == JY_OK;

	counters_add(n->requests, 1);
	counters_add(n->token_errors, is_token_error(w->err));
	counters_add(n->kek_missing, w->err == JY_EKEK && is_for_peers(w));
	counters_add(n->roots_forged, w->err == JY_EFORGED);
	if (w->joins) {
		count_join(w, n);
	}
	if (w->def == NULL) {
		return;
	}
	if (w->def->which == JOINERY__V1__REQUEST__CALL_IMPORT_BATCH) {
		count_import(w, n);
	}
	if (w->def->which == JOINERY__V1__REQUEST__CALL_RELEASE_BATCH) {
		count_release(w, n);
	}
	switch ((int)w->def->which) {
	case JOINERY__V1__REQUEST__CALL_JOIN:
		counters_add(n->joins_accepted, ok);
		counters_add(n->joins_refused, !ok);
		break;
	case JOINERY__V1__REQUEST__CALL_REJOIN:
		counters_add(n->rejoins_accepted, ok);
		counters_add(n->rejoins_refused, !ok);
		break;
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
		counters_add(n->homes_told, ok);
		counters_add(n->homes_refused, !ok);
		break;
	case JOINERY__V1__REQUEST__CALL_NETWORK_KEYS:
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		counters_add(n->keys_given, ok);
		counters_add(n->keys_refused, !ok);
		break;
	default:
		counters_add(n->admin_calls, ok && w->def->who == CALL_ADMIN);
	}
}

/* ---- the log ---- */

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

/* Which frame it is, by its JoinReqType. */
static const char *
frame_name(uint8_t join_type)
{
	switch (join_type) {
	case LW_JOIN_REJOIN_0:
		return "rejoin0";
	case LW_JOIN_REJOIN_1:
		return "rejoin1";
	case LW_JOIN_REJOIN_2:
		return "rejoin2";
	default:
		return "join";
	}
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
	    "request=%s peer=\"%s\" frame=%s code=%s step=%s dev_eui=%s "
	    "join_eui=%s mac_version=%s net_id=%06x reason=\"%s\" do=\"%s\"",
	    w->envelope->request_id, w->asker.name,
	    j->step > JOIN_STEP_parse ? frame_name((uint8_t)j->request.type)
				      : w->def->name,
	    errcode_name(code), join_step_name(j->step), dev, join,
	    lw_version_str(j->in.mac_version), j->in.net_id, reason(w, why),
	    errcode_hint(code));
}

/* A batch is one line, whatever is in it. */
static void
import_object(const struct work *w, char out[CALL_OBJECT_MAX])
{
	const Joinery__V1__ImportBatchRequest *q = w->request->import_batch;
	struct call_import_counts n = call_import_count(&w->response);

	(void)snprintf(out, CALL_OBJECT_MAX,
	    "created=%u same=%u replaced=%u refused=%u%s", n.created, n.same,
	    n.replaced, n.refused,
	    q->has_dry_run && q->dry_run ? " dry_run=1" : "");
}

static void
log_call(const struct work *w)
{
	const Joinery__V1__ErrorCode code = errcode_of(w->err);
	char object[CALL_OBJECT_MAX] = "-", why[REASON_MAX];
	char what[CALL_NOTE_MAX];

	if (w->def != NULL) {
		call_object(w->request, object);
	}
	if (w->response.result_case ==
	    JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH) {
		import_object(w, object);
	}
	call_what(object, w->note, what);
	if (w->err == JY_OK) {
		log_notice("admin", "done",
		    "request=%s peer=\"%s\" call=%s %s audit=%llu",
		    w->envelope->request_id, w->asker.name, w->def->name, what,
		    (unsigned long long)w->audit_seq);
		return;
	}
	log_notice("call", "refused",
	    "request=%s peer=\"%s\" call=%s %s code=%s reason=\"%s\" do=\"%s\"",
	    w->envelope->request_id, w->asker.name,
	    w->def != NULL ? w->def->name : "unknown", what, errcode_name(code),
	    reason(w, why), errcode_hint(code));
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
		    "request=%s peer=\"%s\" frame=%s dev_eui=%s "
		    "join_nonce=%06x session=%s repeated=%d",
		    w->envelope->request_id, w->asker.name,
		    frame_name(session->join_type),
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

void
work_log(const struct work *w)
{
	char object[CALL_OBJECT_MAX];

	if (w->err == JY_EFORGED ||
	    call_release_count(&w->response).forged > 0) {
		call_object(w->request, object);
		log_error("store",
		    "a root key belongs elsewhere: somebody changed the "
		    "database",
		    "request=%s %s", w->envelope->request_id, object);
	}
	if (w->joins && w->err == JY_OK) {
		log_accepted_join(w);
	} else if (w->joins) {
		log_refused_join(w);
	} else if (w->err != JY_OK || w->def->audit != AUDIT_NOTHING) {
		log_call(w);
	}
}

/* ---- the event ---- */

static void
trace_steps(
    const struct work *w, struct arena *arena, Joinery__V1__TraceEvent *m)
{
	m->steps_us = arena_alloc(
	    arena, ((size_t)w->join.step + 1) * sizeof(m->steps_us[0]));
	for (int i = 0; i <= (int)w->join.step; i++) {
		Joinery__V1__Counter *c =
		    convert_new(arena, &joinery__v1__counter__descriptor);

		c->name =
		    arena_text(arena, join_step_name((enum join_step_id)i));
		c->has_value = 1;
		c->value = w->join.step_us[i];
		m->steps_us[m->n_steps_us++] = c;
	}
}

/* What a join knows of its frame and, if it was accepted, its session. */
static void
trace_join(
    const struct work *w, struct arena *arena, Joinery__V1__TraceEvent *m)
{
	const struct join *j = &w->join;
	const struct session_row *session = &j->commit.session;

	m->step = arena_text(arena, join_step_name(j->step));
	trace_steps(w, arena, m);
	m->has_mac_version = m->has_net_id = 1;
	m->mac_version = (Joinery__V1__MacVersion)j->in.mac_version;
	m->net_id = j->in.net_id;
	if (j->step > JOIN_STEP_parse) {
		m->device = convert_to_device_id(arena, &j->device);
		m->has_counter = m->has_join_type = 1;
		m->counter = j->request.counter;
		m->join_type = (uint32_t)j->request.type;
	}
	if (w->err == JY_OK) {
		m->has_join_nonce = m->has_repeated_answer = 1;
		m->join_nonce = session->join_nonce;
		m->repeated_answer = j->repeated;
		convert_binary(arena, session->id, sizeof(session->id),
		    &m->has_session_key_id, &m->session_key_id);
	}
}

/* Device, session and NetID that a call names by fields of its own. */
static void
trace_call(const Joinery__V1__Request *q, struct arena *arena,
    Joinery__V1__TraceEvent *m)
{
	const ProtobufCBinaryData *dev_eui = NULL, *session = NULL;

	switch ((int)q->call_case) {
	case JOINERY__V1__REQUEST__CALL_NETWORK_KEYS:
		dev_eui = &q->network_keys->dev_eui;
		session = &q->network_keys->session_key_id;
		break;
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		dev_eui = &q->app_s_key->dev_eui;
		session = &q->app_s_key->session_key_id;
		break;
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
		dev_eui = &q->home_ns->dev_eui;
		m->has_net_id = q->home_ns->has_net_id;
		m->net_id = q->home_ns->net_id;
		break;
	case JOINERY__V1__REQUEST__CALL_JOIN:
		dev_eui = &q->join->dev_eui;
		break;
	case JOINERY__V1__REQUEST__CALL_REJOIN:
		dev_eui = &q->rejoin->dev_eui;
		break;
	default:
		break;
	}
	if (dev_eui != NULL && dev_eui->len == 8) {
		m->device =
		    convert_new(arena, &joinery__v1__device_id__descriptor);
		convert_binary(arena, dev_eui->data, dev_eui->len,
		    &m->device->has_dev_eui, &m->device->dev_eui);
	}
	if (session != NULL && session->len > 0) {
		convert_binary(arena, session->data, session->len,
		    &m->has_session_key_id, &m->session_key_id);
	}
}

bool
work_trace(struct work *w, const struct work_ctx *ctx, ProtobufCBinaryData *out)
{
	Joinery__V1__TraceEvent *m;

	if (w->def == NULL) {
		return false;
	}
	m = convert_new(&w->arena, &joinery__v1__trace_event__descriptor);
	m->has_time_ms = 1;
	m->time_ms = ctx->env.sys->now_ms();
	m->call = arena_text(&w->arena, w->def->name);
	m->peer = arena_text(&w->arena, w->asker.name);
	m->request_id = w->envelope->request_id;
	if (w->err != JY_OK) {
		m->has_code = 1;
		m->code = errcode_of(w->err);
		m->reason = arena_text(&w->arena, err_detail(&w->ec, w->err));
	}
	trace_call(w->request, &w->arena, m);
	if (w->joins) {
		trace_join(w, &w->arena, m);
	}
	out->len = joinery__v1__trace_event__get_packed_size(m);
	out->data = arena_alloc(&w->arena, out->len);
	(void)joinery__v1__trace_event__pack(m, out->data);
	return true;
}
