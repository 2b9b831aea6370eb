/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that manage KEKs, and the one that shows the JoinEUIs. */
#include <string.h>

#include "src/join/registry.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define KEKS_PAGE 128 /* so that a page fits in a frame */

enum jy_err
call_join_euis(struct call *c, struct errctx *ec)
{
	const struct join_euis *served = &c->env->join_euis;
	char text[EUI64_PREFIX_STR_LEN];
	Joinery__V1__JoinEuisAnswer *m;

	(void)ec;
	m = convert_new(c->arena, &joinery__v1__join_euis_answer__descriptor);
	m->n_prefixes = served->count;
	m->prefixes =
	    arena_alloc(c->arena, served->count * sizeof(m->prefixes[0]));
	for (size_t i = 0; i < served->count; i++) {
		m->prefixes[i] = arena_text(
		    c->arena, eui64_prefix_str(&served->prefixes[i], text));
	}
	if (served->has_default) {
		convert_binary(c->arena, served->default_eui.be,
		    sizeof(served->default_eui.be), &m->has_default_join_eui,
		    &m->default_join_eui);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS;
	c->response->join_euis = m;
	return JY_OK;
}

/* ---- KEKs ---- */

static Joinery__V1__Kek *
to_kek(struct arena *arena, const struct kek_row *row)
{
	Joinery__V1__Kek *m = convert_new(arena, &joinery__v1__kek__descriptor);

	m->label = convert_to_text(arena, row->label);
	m->has_bits = 1;
	m->bits = row->bits;
	convert_binary(arena, row->kcv, sizeof(row->kcv), &m->has_check_value,
	    &m->check_value);
	m->has_created_ms = 1;
	m->created_ms = row->created_ms;
	return m;
}

static void
answer_kek(struct call *c, const struct kek_row *row)
{
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_KEK;
	c->response->kek =
	    convert_new(c->arena, &joinery__v1__kek_answer__descriptor);
	c->response->kek->kek = to_kek(c->arena, row);
}

enum jy_err
call_kek_import(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekImportRequest *q = c->request->kek_import;
	char label[STORE_LABEL_MAX + 1];
	struct hsm_sealed key;
	struct kek_row row;
	enum jy_err err;

	err = convert_name("label", q->label, label, ec);
	if (err == JY_OK) {
		err = call_sealed(c, "key", q->key, &key, ec);
	}
	if (err == JY_OK) {
		err = registry_kek_import(c->env, label, &key, &row, ec);
	}
	if (err == JY_OK) {
		answer_kek(c, &row);
	}
	return err;
}

enum jy_err
call_kek_generate(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekGenerateRequest *q = c->request->kek_generate;
	char label[STORE_LABEL_MAX + 1];
	struct kek_row row;
	enum jy_err err;

	err = convert_name("label", q->label, label, ec);
	if (err == JY_OK) {
		err = registry_kek_generate(
		    c->env, label, q->has_bits ? q->bits : 0, &row, ec);
	}
	if (err == JY_OK) {
		answer_kek(c, &row);
	}
	return err;
}

enum jy_err
call_kek_list(struct call *c, struct errctx *ec)
{
	const char *after = c->request->kek_list->after;
	struct kek_row rows[KEKS_PAGE];
	Joinery__V1__KekListAnswer *m;
	enum jy_err err;
	bool more;
	size_t n;

	err = store_kek_list(
	    c->env->store, after, rows, KEKS_PAGE, &n, &more, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__kek_list_answer__descriptor);
	m->keks = arena_alloc(c->arena, n * sizeof(m->keks[0]));
	m->n_keks = n;
	for (size_t i = 0; i < n; i++) {
		m->keks[i] = to_kek(c->arena, &rows[i]);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_KEK_LIST;
	c->response->kek_list = m;
	return JY_OK;
}

enum jy_err
call_kek_delete(struct call *c, struct errctx *ec)
{
	char label[STORE_LABEL_MAX + 1];
	enum jy_err err;

	err = convert_name("label", c->request->kek_delete->label, label, ec);
	if (err == JY_OK) {
		err = registry_kek_delete(c->env, label, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return convert_absent("KEK", label, err, ec);
}
