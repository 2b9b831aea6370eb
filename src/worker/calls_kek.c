/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that manage KEKs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/join/import_key.h"
#include "src/join/kek.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define KEKS_PAGE 128 /* so that a page fits in a frame */
#define OAEP_HASH "SHA-1"

/* ---- to messages ---- */

static const Joinery__V1__KekState kek_states[] = {
	[KEK_ACTIVE] = JOINERY__V1__KEK_STATE__KEK_ACTIVE,
	[KEK_RETIRING] = JOINERY__V1__KEK_STATE__KEK_RETIRING,
	[KEK_PLANNED] = JOINERY__V1__KEK_STATE__KEK_PLANNED,
};

/* How a row stands among the others of its label, as they are now. */
static enum jy_err
state_of(struct call *c, const struct kek_row *row, Joinery__V1__Kek *m,
    struct errctx *ec)
{
	uint64_t now = c->env->sys->now_ms();
	struct kek_set set;
	enum jy_err err = store_kek_get(c->env->store, row->label, &set, ec);

	if (err == JY_ENOTFOUND) { /* deleted meanwhile */
		err_clear(ec);
		return JY_OK;
	}
	for (size_t i = 0; err == JY_OK && i < set.n; i++) {
		if (set.rows[i].generation == row->generation) {
			m->has_state = 1;
			m->state = kek_states[kek_state_of(&set, i, now)];
		}
	}
	return err;
}

static enum jy_err
to_kek(struct call *c, const struct kek_row *row, Joinery__V1__Kek **out,
    struct errctx *ec)
{
	Joinery__V1__Kek *m =
	    convert_new(c->arena, &joinery__v1__kek__descriptor);

	m->label = convert_to_text(c->arena, row->label);
	m->has_bits = 1;
	m->bits = row->bits;
	convert_binary(c->arena, row->kcv, sizeof(row->kcv),
	    &m->has_check_value, &m->check_value);
	m->has_created_ms = 1;
	m->created_ms = row->created_ms;
	m->has_generation = 1;
	m->generation = row->generation;
	m->wire_label = convert_to_text(c->arena, row->wire_label);
	m->has_active_ms = row->active_ms != 0;
	m->active_ms = row->active_ms;
	*out = m;
	return state_of(c, row, m, ec);
}

static Joinery__V1__KekCopy *
to_copy(struct arena *arena, const struct kek_made *made)
{
	const struct kek_row *row = &made->row;
	Joinery__V1__KekCopy *m =
	    convert_new(arena, &joinery__v1__kek_copy__descriptor);

	m->wire_label = convert_to_text(arena, row->wire_label);
	m->has_bits = 1;
	m->bits = row->bits;
	convert_binary(arena, row->kcv, sizeof(row->kcv), &m->has_check_value,
	    &m->check_value);
	m->oaep_hash = arena_text(arena, OAEP_HASH);
	convert_binary(arena, made->copy.public_key,
	    sizeof(made->copy.public_key), &m->has_public_key, &m->public_key);
	convert_binary(arena, made->copy.wrapped, made->copy.len,
	    &m->has_wrapped_key, &m->wrapped_key);
	return m;
}

/* ---- from messages ---- */

static enum jy_err
read_copy(
    const Joinery__V1__KekCopy *m, struct kek_copy *out, struct errctx *ec)
{
	enum jy_err err;

	if (m->oaep_hash == NULL || strcmp(m->oaep_hash, OAEP_HASH) != 0) {
		return err_set(ec, JY_EINVAL,
		    "copy.oaep_hash is not " OAEP_HASH
		    ", which is all that is supported");
	}
	if (!m->has_wrapped_key || m->wrapped_key.len == 0 ||
	    m->wrapped_key.len > sizeof(out->key.wrapped)) {
		return err_set(
		    ec, JY_EINVAL, "copy.wrapped_key is missing or too long");
	}
	err =
	    convert_octets("copy.public_key", m->has_public_key, &m->public_key,
		out->key.public_key, sizeof(out->key.public_key), ec);
	if (err == JY_OK) {
		err = convert_octets("copy.check_value", m->has_check_value,
		    &m->check_value, out->kcv, sizeof(out->kcv), ec);
	}
	memcpy(out->key.wrapped, m->wrapped_key.data, m->wrapped_key.len);
	out->key.len = m->wrapped_key.len;
	out->bits = m->has_bits ? m->bits : 0;
	return err;
}

/* A message that orders a KEK, whichever it is; absent parts are zero. */
struct asked {
	const char *label;
	const char *wire_label;
	const Joinery__V1__SealedKey *key;
	const Joinery__V1__KekCopy *copy;
	uint32_t bits;
	const ProtobufCBinaryData *for_peer;
	uint64_t switch_ms;
};

/* An order, and what it borrows. */
struct ordered {
	struct kek_order order;
	char label[STORE_LABEL_MAX + 1];
	char wire_label[STORE_LABEL_MAX + 1];
	struct hsm_sealed sealed;
	struct kek_copy copy;
};

static enum jy_err
read_order(struct call *c, const struct asked *a, struct ordered *out,
    struct errctx *ec)
{
	struct kek_order *o = &out->order;
	enum jy_err err;

	*out = (struct ordered){ .order = { .bits = a->bits,
				     .switch_ms = a->switch_ms } };
	o->label = out->label;
	o->wire_label = out->wire_label;
	err = convert_name("label", a->label, out->label, ec);
	if (err == JY_OK) {
		err = convert_text("wire_label", a->wire_label, out->wire_label,
		    sizeof(out->wire_label), ec);
	}
	if (err == JY_OK && a->key != NULL) {
		o->sealed = &out->sealed;
		err = call_sealed(c, "key", a->key, &out->sealed, ec);
	}
	if (err == JY_OK && a->copy != NULL) {
		o->copy = &out->copy;
		err = read_copy(a->copy, &out->copy, ec);
		if (err == JY_OK) {
			err = import_key_check(
			    c->env, out->copy.key.public_key, ec);
		}
	}
	if (a->for_peer != NULL) {
		/* An empty one is a wrong one, not none. */
		o->for_peer = a->for_peer->len > 0 ? a->for_peer->data
						   : (const uint8_t *)"";
		o->for_peer_len = a->for_peer->len;
	}
	return err;
}

/* ---- making one ---- */

/* For the audit log: which key it is, and who was given a copy. */
static void
note_made(struct call *c, const struct kek_made *made)
{
	const struct kek_row *row = &made->row;
	char kcv[HEX_STR_LEN(STORE_KCV_LEN)],
	    to[HEX_STR_LEN(HSM_FINGERPRINT_LEN)];
	char active[40] = "", wire_label[sizeof(row->wire_label)];

	memcpy(wire_label, row->wire_label, sizeof(wire_label));
	for (char *p = wire_label; (p = strchr(p, '"')) != NULL;) {
		*p = '?'; /* so that it ends where it seems to */
	}
	hex_format(row->kcv, sizeof(row->kcv), kcv);
	hex_format(made->copy.public_key, sizeof(made->copy.public_key), to);
	if (row->active_ms != 0) {
		(void)snprintf(active, sizeof(active), " active_ms=%" PRIu64,
		    row->active_ms);
	}
	(void)snprintf(c->note, CALL_NOTE_MAX,
	    "generation=%" PRIu32 " bits=%u check_value=%s%s%s%s"
	    " wire_label=\"%s\"",
	    row->generation, row->bits, kcv,
	    made->copy.len > 0 ? " for_peer=" : "",
	    made->copy.len > 0 ? to : "", active, wire_label);
}

typedef enum jy_err kek_maker(const struct join_env *env,
    const struct kek_order *order, struct kek_made *out, struct errctx *ec);

static enum jy_err
make(struct call *c, const struct asked *asked, kek_maker *maker,
    struct errctx *ec)
{
	Joinery__V1__KekAnswer *m;
	struct ordered ordered;
	struct kek_made made;
	enum jy_err err = read_order(c, asked, &ordered, ec);

	if (err == JY_OK) {
		err = maker(c->env, &ordered.order, &made, ec);
	}
	if (err != JY_OK) {
		return convert_absent("KEK", ordered.label, err, ec);
	}
	note_made(c, &made);
	m = convert_new(c->arena, &joinery__v1__kek_answer__descriptor);
	if (made.copy.len > 0) {
		m->copy = to_copy(c->arena, &made);
	}
	/* It is made: that it cannot be looked at again is no failure. */
	(void)to_kek(c, &made.row, &m->kek, NULL);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_KEK;
	c->response->kek = m;
	return JY_OK;
}

enum jy_err
call_kek_import(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekImportRequest *q = c->request->kek_import;
	const struct asked asked = { .label = q->label,
		.wire_label = q->wire_label,
		.key = q->key,
		.copy = q->copy };

	return make(c, &asked, kek_create, ec);
}

enum jy_err
call_kek_generate(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekGenerateRequest *q = c->request->kek_generate;
	const struct asked asked = { .label = q->label,
		.wire_label = q->wire_label,
		.bits = q->has_bits ? q->bits : 0,
		.for_peer = q->has_for_peer ? &q->for_peer : NULL };

	return make(c, &asked, kek_create, ec);
}

enum jy_err
call_kek_rotate(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekRotateRequest *q = c->request->kek_rotate;
	const struct asked asked = { .label = q->label,
		.wire_label = q->wire_label,
		.key = q->key,
		.copy = q->copy,
		.bits = q->has_bits ? q->bits : 0,
		.for_peer = q->has_for_peer ? &q->for_peer : NULL,
		.switch_ms = q->has_switch_at_ms ? q->switch_at_ms : 0 };

	return make(c, &asked, kek_rotate, ec);
}

/* ---- the rest ---- */

enum jy_err
call_kek_test(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekTestRequest *q = c->request->kek_test;
	char label[STORE_LABEL_MAX + 1];
	uint8_t proof[STORE_PROOF_LEN];
	Joinery__V1__KekTestAnswer *m;
	struct kek_row row;
	enum jy_err err;

	err = convert_known_name("label", q->label, label, ec);
	if (err != JY_OK) {
		return err;
	}
	err = kek_test(c->env, label, q->has_generation ? q->generation : 0,
	    &row, proof, ec);
	if (err != JY_OK) {
		return err == JY_ENOTFOUND && !q->has_generation
		    ? convert_absent("KEK", label, err, ec)
		    : err;
	}
	m = convert_new(c->arena, &joinery__v1__kek_test_answer__descriptor);
	convert_binary(c->arena, hsm_test_key, HSM_TEST_KEY_LEN,
	    &m->has_test_key, &m->test_key);
	convert_binary(c->arena, proof, sizeof(proof), &m->has_wrapped_key,
	    &m->wrapped_key);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_KEK_TEST;
	c->response->kek_test = m;
	return to_kek(c, &row, &m->kek, ec);
}

enum jy_err
call_kek_list(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekListRequest *q = c->request->kek_list;
	struct kek_place after = { .generation = q->has_after_generation
		    ? q->after_generation
		    : UINT32_MAX };
	struct kek_row rows[KEKS_PAGE];
	Joinery__V1__KekListAnswer *m;
	enum jy_err err;
	bool more;
	size_t n;

	err = convert_known_text(
	    "after", q->after, after.label, sizeof(after.label), ec);
	if (err == JY_OK) {
		err = store_kek_list(c->env->store,
		    after.label[0] != '\0' ? &after : NULL, rows, KEKS_PAGE, &n,
		    &more, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__kek_list_answer__descriptor);
	m->keks = arena_alloc(c->arena, n * sizeof(m->keks[0]));
	m->n_keks = n;
	for (size_t i = 0; i < n && err == JY_OK; i++) {
		err = to_kek(c, &rows[i], &m->keks[i], ec);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_KEK_LIST;
	c->response->kek_list = m;
	return err;
}

enum jy_err
call_kek_retire(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekRetireRequest *q = c->request->kek_retire;
	bool at_once = q->has_at_once && q->at_once;
	char label[STORE_LABEL_MAX + 1];
	struct kek_row retired = { .generation = 0 };
	enum jy_err err;

	err = convert_known_name("label", q->label, label, ec);
	if (err == JY_OK) {
		err = kek_retire(c->env, label,
		    q->has_generation ? q->generation : 0, at_once, &retired,
		    ec);
	}
	c->changed = retired.generation != 0;
	if (c->changed) {
		(void)snprintf(c->note, CALL_NOTE_MAX,
		    "generation=%" PRIu32 "%s", retired.generation,
		    at_once ? " at_once" : "");
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return err;
}

enum jy_err
call_kek_delete(struct call *c, struct errctx *ec)
{
	char label[STORE_LABEL_MAX + 1];
	enum jy_err err;

	err = convert_known_name(
	    "label", c->request->kek_delete->label, label, ec);
	if (err == JY_OK) {
		err = kek_delete(c->env, label, ec);
		/* The token is asked last. */
		c->changed = err == JY_ETOKEN || err == JY_ETOKENREQ;
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return convert_absent("KEK", label, err, ec);
}
