/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that read the audit log, and what it says of the others. */
#include <stdio.h>
#include <string.h>

#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define EVENTS_PAGE 64 /* so that a page fits in a frame */

/* ---- what is said of a call ---- */

static bool
is_given(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const uint8_t *base = (const uint8_t *)m;
	protobuf_c_boolean has;
	const void *pointer;
	size_t n;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&n, base + f->quantifier_offset, sizeof(n));
		return n > 0;
	}
	if (f->type == PROTOBUF_C_TYPE_MESSAGE ||
	    f->type == PROTOBUF_C_TYPE_STRING) {
		memcpy(&pointer, base + f->offset, sizeof(pointer));
		return pointer != NULL;
	}
	memcpy(&has, base + f->quantifier_offset, sizeof(has));
	return has != 0;
}

/* What matters most of a yes or no is which. */
static const char *
answer_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	protobuf_c_boolean yes;

	if (f->type != PROTOBUF_C_TYPE_BOOL ||
	    f->label == PROTOBUF_C_LABEL_REPEATED) {
		return "";
	}
	memcpy(&yes, (const uint8_t *)m + f->offset, sizeof(yes));
	return yes ? "=yes" : "=no";
}

/* Names of the fields that a message has, but of those that name a thing. */
static void
put_names(const ProtobufCMessage *m, char out[CALL_NOTE_MAX])
{
	static const char before[] = " set=";

	for (unsigned i = 0; m != NULL && i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		size_t len = strlen(out);

		if (!is_given(m, f) || strcmp(f->name, "settings") == 0 ||
		    strcmp(f->name, "id") == 0) {
			continue;
		}
		(void)snprintf(out + len, CALL_NOTE_MAX - len, "%s%s%s",
		    strstr(out, before) == NULL ? before : ",", f->name,
		    answer_of(m, f));
	}
}

void
call_audit_text(const struct call *c, char out[CALL_NOTE_MAX])
{
	const Joinery__V1__Request *q = c->request;
	char object[CALL_OBJECT_MAX];

	call_object(q, object);
	call_what(object, c->note, out);
	switch ((int)q->call_case) {
	case JOINERY__V1__REQUEST__CALL_DEVICE_SET:
		put_names(&q->device_set->base, out);
		if (q->device_set->settings != NULL) {
			put_names(&q->device_set->settings->base, out);
		}
		break;
	case JOINERY__V1__REQUEST__CALL_APP_SET:
		put_names((const ProtobufCMessage *)q->app_set->app, out);
		break;
	case JOINERY__V1__REQUEST__CALL_PEER_SET:
		put_names((const ProtobufCMessage *)q->peer_set->peer, out);
		break;
	default:
		break;
	}
}

/* ---- the calls ---- */

static Joinery__V1__AuditEvent *
to_event(struct arena *arena, const struct audit_row *row)
{
	Joinery__V1__AuditEvent *m =
	    convert_new(arena, &joinery__v1__audit_event__descriptor);

	m->has_seq = m->has_time_ms = 1;
	m->seq = row->seq;
	m->time_ms = row->time_ms;
	m->event = arena_text(arena, audit_event_name(row->event));
	m->who = arena_text(arena, row->who);
	m->text = arena_text(arena, row->text);
	convert_binary(arena, row->mac, sizeof(row->mac), &m->has_mac, &m->mac);
	return m;
}

enum jy_err
call_audit_list(struct call *c, struct errctx *ec)
{
	const Joinery__V1__AuditListRequest *q = c->request->audit_list;
	struct audit_row rows[EVENTS_PAGE];
	Joinery__V1__AuditListAnswer *m;
	enum jy_err err;
	bool more;
	size_t n;

	err = store_audit_list(c->env->store, q->has_after ? q->after : 0, rows,
	    EVENTS_PAGE, &n, &more, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__audit_list_answer__descriptor);
	m->events = arena_alloc(c->arena, n * sizeof(m->events[0]));
	m->n_events = n;
	for (size_t i = 0; i < n; i++) {
		m->events[i] = to_event(c->arena, &rows[i]);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_AUDIT_LIST;
	c->response->audit_list = m;
	return JY_OK;
}

enum jy_err
call_audit_verify(struct call *c, struct errctx *ec)
{
	const Joinery__V1__AuditVerifyRequest *q = c->request->audit_verify;
	Joinery__V1__AuditVerifyAnswer *m;
	struct audit_verdict v;
	enum jy_err err =
	    audit_verify(c->env, q->has_after ? q->after : 0, &v, ec);

	if (err != JY_OK) {
		return err;
	}
	m = convert_new(
	    c->arena, &joinery__v1__audit_verify_answer__descriptor);
	m->has_last = m->has_more = 1;
	m->last = v.last;
	m->more = v.more;
	if (v.bad != 0) {
		m->has_bad = 1;
		m->bad = v.bad;
		m->reason = arena_text(c->arena, v.why);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_AUDIT_VERIFY;
	c->response->audit_verify = m;
	return JY_OK;
}
