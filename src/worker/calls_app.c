/* SPDX-License-Identifier: Apache-2.0 */
/* Applications' settings, and how devices and applications say theirs. */
#include <string.h>

#include "src/join/registry.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define APPS_PAGE 64 /* so that a page fits in a frame */

enum jy_err
call_apply_activation(const struct activation_message *m,
    struct activation *out, struct errctx *ec)
{
	const struct {
		const char *field;
		const char *in;
		char *out;
		size_t cap;
	} texts[] = {
		{ "as_id", m->as_id, out->as_id, sizeof(out->as_id) },
		{ "ns_kek", m->ns_kek, out->ns_kek, sizeof(out->ns_kek) },
		{ "as_kek", m->as_kek, out->as_kek, sizeof(out->as_kek) },
	};
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < ARRAY_LEN(texts); i++) {
		err = convert_text(texts[i].field, texts[i].in, texts[i].out,
		    texts[i].cap, ec);
	}
	if (m->clear_net_ids) {
		out->net_id_count = 0;
	}
	/* A mode without a list has no use for the one there was. */
	if (m->clear_roaming_net_ids ||
	    (m->has_roaming &&
		m->roaming != JOINERY__V1__ROAMING__ROAMING_LISTED)) {
		out->roaming_net_id_count = 0;
	}
	if (err == JY_OK) {
		err = convert_net_ids(m->net_ids, m->n_net_ids, out->net_ids,
		    &out->net_id_count, ec);
	}
	if (err == JY_OK) {
		err = convert_net_ids(m->roaming_net_ids, m->n_roaming_net_ids,
		    out->roaming_net_ids, &out->roaming_net_id_count, ec);
	}
	if (m->has_roaming) {
		if ((unsigned)m->roaming > ROAMING_ANY) {
			return err_set(ec, JY_EINVAL, "roaming %d is unknown",
			    (int)m->roaming);
		}
		out->roaming = (uint8_t)m->roaming;
	}
	if (err == JY_OK && m->has_ns_id) {
		memset(&out->ns_id, 0, sizeof(out->ns_id));
		out->has_ns_id = m->ns_id.len > 0;
		if (out->has_ns_id) {
			err = convert_octets("ns_id", 1, &m->ns_id,
			    out->ns_id.be, sizeof(out->ns_id.be), ec);
		}
	}
	return err;
}

void
call_fill_activation(struct arena *arena, const struct activation *a,
    struct activation_message *out)
{
	*out = (struct activation_message){
		.n_net_ids = a->net_id_count,
		.net_ids = arena_copy(
		    arena, a->net_ids, a->net_id_count * sizeof(a->net_ids[0])),
		.as_id = convert_to_text(arena, a->as_id),
		.ns_kek = convert_to_text(arena, a->ns_kek),
		.as_kek = convert_to_text(arena, a->as_kek),
		.has_roaming = 1,
		.roaming = (Joinery__V1__Roaming)a->roaming,
		.n_roaming_net_ids = a->roaming_net_id_count,
		.roaming_net_ids = arena_copy(arena, a->roaming_net_ids,
		    a->roaming_net_id_count * sizeof(a->roaming_net_ids[0])),
	};
	if (a->has_ns_id) {
		convert_binary(arena, a->ns_id.be, sizeof(a->ns_id.be),
		    &out->has_ns_id, &out->ns_id);
	}
}

enum jy_err
call_app_set(struct call *c, struct errctx *ec)
{
	const Joinery__V1__App *q = c->request->app_set->app;
	char name[STORE_LABEL_MAX + 1];
	struct app_row row;
	bool created = false;
	enum jy_err err;

	if (q == NULL) {
		return err_set(ec, JY_EINVAL, "app is missing");
	}
	err = convert_name("name", q->name, name, ec);
	if (err != JY_OK) {
		return err;
	}
	err = store_app_get(c->env->store, name, &row, ec);
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		memset(&row, 0, sizeof(row));
		memcpy(row.name, name, sizeof(row.name));
		created = true;
		err = JY_OK;
	}
	if (err == JY_OK) {
		err = call_apply_activation(
		    ACTIVATION_MESSAGE(q), &row.activation, ec);
	}
	if (err == JY_OK) {
		err = registry_app_set(c->env, &row, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_APP_SET;
	c->response->app_set =
	    convert_new(c->arena, &joinery__v1__app_set_answer__descriptor);
	c->response->app_set->has_created = 1;
	c->response->app_set->created = created;
	return JY_OK;
}

static Joinery__V1__App *
to_app(struct arena *arena, const struct app_row *row)
{
	Joinery__V1__App *m = convert_new(arena, &joinery__v1__app__descriptor);
	struct activation_message activation;

	m->name = convert_to_text(arena, row->name);
	call_fill_activation(arena, &row->activation, &activation);
	ACTIVATION_FILL(m, &activation);
	return m;
}

enum jy_err
call_app_get(struct call *c, struct errctx *ec)
{
	char name[STORE_LABEL_MAX + 1];
	struct app_row row;
	enum jy_err err;

	err = convert_known_name("name", c->request->app_get->name, name, ec);
	if (err == JY_OK) {
		err = store_app_get(c->env->store, name, &row, ec);
	}
	if (err != JY_OK) {
		return convert_absent("application", name, err, ec);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_APP_GET;
	c->response->app_get =
	    convert_new(c->arena, &joinery__v1__app_get_answer__descriptor);
	c->response->app_get->app = to_app(c->arena, &row);
	return JY_OK;
}

enum jy_err
call_app_delete(struct call *c, struct errctx *ec)
{
	char name[STORE_LABEL_MAX + 1];
	enum jy_err err;

	err =
	    convert_known_name("name", c->request->app_delete->name, name, ec);
	if (err == JY_OK) {
		err = store_app_delete(c->env->store, name, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return convert_absent("application", name, err, ec);
}

enum jy_err
call_app_list(struct call *c, struct errctx *ec)
{
	const char *after = c->request->app_list->after;
	Joinery__V1__AppListAnswer *m;
	struct app_row *rows;
	enum jy_err err;
	bool more;
	size_t n;

	rows = arena_alloc(c->arena, APPS_PAGE * sizeof(rows[0]));
	err = store_app_list(
	    c->env->store, after, rows, APPS_PAGE, &n, &more, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__app_list_answer__descriptor);
	m->apps = arena_alloc(c->arena, n * sizeof(m->apps[0]));
	m->n_apps = n;
	for (size_t i = 0; i < n; i++) {
		m->apps[i] = to_app(c->arena, &rows[i]);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_APP_LIST;
	c->response->app_list = m;
	return JY_OK;
}
