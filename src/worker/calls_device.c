/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that manage devices. */
#include <string.h>

#include "src/join/keys.h"
#include "src/join/registry.h"
#include "src/join/roots.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define V10_ROOT_LAST JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY
#define DEVICES_PAGE 64 /* so that a page fits in a frame */

enum jy_err
call_apply_settings(const Joinery__V1__DeviceSettings *m,
    struct device_row *row, struct errctx *ec)
{
	const struct {
		const char *field;
		const char *in;
		char *out;
		size_t cap;
	} texts[] = {
		{ "app", m->app, row->app, sizeof(row->app) },
		{ "name", m->name, row->name, sizeof(row->name) },
	};
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < ARRAY_LEN(texts); i++) {
		err = convert_text(texts[i].field, texts[i].in, texts[i].out,
		    texts[i].cap, ec);
	}
	if (err == JY_OK && m->has_mac_version) {
		err =
		    convert_mac_version(m->mac_version, &row->mac_version, ec);
	}
	if (err == JY_OK) {
		err = call_apply_activation(
		    ACTIVATION_MESSAGE(m), &row->activation, ec);
	}
	if (m->has_resets_join_nonces) {
		row->resets_join_nonces = m->resets_join_nonces;
	}
	if (m->has_released) {
		if (row->released != (m->released != 0)) {
			row->released_to[0] = '\0';
		}
		row->released = m->released;
	}
	if (m->has_v10_root && (unsigned)m->v10_root > V10_ROOT_LAST) {
		return err_set(
		    ec, JY_EINVAL, "v10_root %d is unknown", (int)m->v10_root);
	}
	if (m->has_v10_root) {
		row->v10_root_is_app_key =
		    m->v10_root == JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY;
	}
	return err;
}

/* The device as it is, or a new one. */
static enum jy_err
get_or_new(struct call *c, const struct device_id *id, struct device_row *row,
    struct errctx *ec)
{
	enum jy_err err = store_device_get(c->env->store, id, row, ec);

	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		memset(row, 0, sizeof(*row));
		row->id = *id;
		return JY_OK;
	}
	return err;
}

enum jy_err
call_device_set(struct call *c, struct errctx *ec)
{
	const Joinery__V1__DeviceSetRequest *q = c->request->device_set;
	struct hsm_sealed nwk = { 0 }, app = { 0 };
	struct device_row row;
	struct device_id id;
	enum jy_err err;
	bool created;

	err = convert_device_id(q->id, &id, ec);
	if (err == JY_OK) {
		err = get_or_new(c, &id, &row, ec);
	}
	if (err == JY_OK && q->settings != NULL) {
		err = call_apply_settings(q->settings, &row, ec);
	}
	if (err == JY_OK && q->nwk_key != NULL) {
		err = call_sealed(c, "nwk_key", q->nwk_key, &nwk, ec);
	}
	if (err == JY_OK && q->app_key != NULL) {
		err = call_sealed(c, "app_key", q->app_key, &app, ec);
	}
	if (err == JY_OK && q->app_key != NULL && q->nwk_key == NULL) {
		err = roots_check_app_alone(
		    &row, q->settings != NULL && q->settings->has_v10_root, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	created = row.revision == 0;
	err =
	    registry_device_set(c->env, &row, q->nwk_key != NULL ? &nwk : NULL,
		q->app_key != NULL ? &app : NULL, ec);
	if (err != JY_OK) {
		return err;
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_SET;
	c->response->device_set =
	    convert_new(c->arena, &joinery__v1__device_set_answer__descriptor);
	c->response->device_set->has_created = 1;
	c->response->device_set->created = created;
	return JY_OK;
}

Joinery__V1__DeviceSettings *
call_to_settings(struct arena *arena, const struct device_row *row)
{
	Joinery__V1__DeviceSettings *m =
	    convert_new(arena, &joinery__v1__device_settings__descriptor);
	struct activation_message activation;

	m->has_mac_version = 1;
	m->mac_version = (Joinery__V1__MacVersion)row->mac_version;
	call_fill_activation(arena, &row->activation, &activation);
	ACTIVATION_FILL(m, &activation);
	m->app = convert_to_text(arena, row->app);
	m->name = convert_to_text(arena, row->name);
	m->has_resets_join_nonces = 1;
	m->resets_join_nonces = row->resets_join_nonces;
	m->has_v10_root = 1;
	m->v10_root = row->v10_root_is_app_key
	    ? JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY
	    : JOINERY__V1__V10_ROOT__V10_ROOT_DEFAULT;
	m->has_released = row->released;
	m->released = row->released;
	return m;
}

/* What the device row says; nonces and sessions come beside. */
static Joinery__V1__Device *
to_device(struct arena *arena, const struct device_row *row)
{
	Joinery__V1__Device *m =
	    convert_new(arena, &joinery__v1__device__descriptor);

	m->id = convert_to_device_id(arena, &row->id);
	m->settings = call_to_settings(arena, row);
	m->has_has_nwk_key = 1;
	m->has_nwk_key = row->nwk_key.generation != 0;
	m->has_has_app_key = 1;
	m->has_app_key = row->app_key.generation != 0;
	m->has_nwk_key_generation = m->has_nwk_key;
	m->nwk_key_generation = row->nwk_key.generation;
	m->has_app_key_generation = m->has_app_key;
	m->app_key_generation = row->app_key.generation;
	if (row->nwk_check.known) {
		convert_binary(arena, row->nwk_check.value,
		    sizeof(row->nwk_check.value), &m->has_nwk_key_check_value,
		    &m->nwk_key_check_value);
	}
	if (row->app_check.known) {
		convert_binary(arena, row->app_check.value,
		    sizeof(row->app_check.value), &m->has_app_key_check_value,
		    &m->app_key_check_value);
	}
	m->has_created_ms = 1;
	m->created_ms = row->created_ms;
	m->has_changed_ms = 1;
	m->changed_ms = row->changed_ms;
	return m;
}

static enum jy_err
add_nonces(struct call *c, const struct device_id *id, Joinery__V1__Device *m,
    struct errctx *ec)
{
	Joinery__V1__Nonces *nonces;
	struct nonce_row row;
	enum jy_err err;
	size_t used;

	err = store_nonces_get(c->env->store, id, &row, &used, ec);
	if (err != JY_OK) {
		return err;
	}
	nonces = convert_new(c->arena, &joinery__v1__nonces__descriptor);
	nonces->has_join_nonce = row.join_nonce != 0;
	nonces->join_nonce = row.join_nonce;
	nonces->has_dev_nonce = row.has_dev_nonce;
	nonces->dev_nonce = row.dev_nonce;
	nonces->has_dev_nonces_used = used > 0;
	nonces->dev_nonces_used = (uint32_t)used;
	nonces->has_rj_count0 = row.has_rj_count0;
	nonces->rj_count0 = row.rj_count0;
	nonces->has_rj_count1 = row.has_rj_count1;
	nonces->rj_count1 = row.rj_count1;
	m->nonces = nonces;
	return JY_OK;
}

static enum jy_err
add_sessions(struct call *c, const struct device_id *id, Joinery__V1__Device *m,
    struct errctx *ec)
{
	struct session_row rows[STORE_SESSIONS_MAX];
	enum jy_err err;
	size_t n;

	err = store_session_list(
	    c->env->store, id, rows, STORE_SESSIONS_MAX, &n, ec);
	if (err != JY_OK) {
		return err;
	}
	m->sessions = convert_to_sessions(c->arena, rows, n);
	m->n_sessions = n;
	return JY_OK;
}

/* The newest session or the last refusal, whichever is later. */
static enum jy_err
add_last_join(struct call *c, const struct device_id *id,
    Joinery__V1__Device *m, struct errctx *ec)
{
	struct refusal_row row = { 0 };
	Joinery__V1__LastJoin *last;
	enum jy_err err;
	bool accepted;

	err = store_refusal_get(c->env->store, id, &row, ec);
	if (err != JY_OK && err != JY_ENOTFOUND) {
		return err;
	}
	err_clear(ec);
	accepted =
	    m->n_sessions > 0 && m->sessions[0]->created_ms >= row.time_ms;
	if (err == JY_ENOTFOUND && !accepted) {
		return JY_OK; /* it never joined */
	}
	last = convert_new(c->arena, &joinery__v1__last_join__descriptor);
	last->has_time_ms = last->has_accepted = last->has_counter = 1;
	last->accepted = accepted;
	if (accepted) {
		last->time_ms = m->sessions[0]->created_ms;
		last->counter = m->sessions[0]->counter;
		last->peer = m->sessions[0]->peer;
	} else {
		last->time_ms = row.time_ms;
		last->counter = row.counter;
		last->peer = convert_to_text(c->arena, row.peer);
		last->has_refused = 1;
		last->refused = (Joinery__V1__ErrorCode)row.wire_code;
		last->reason = convert_to_text(c->arena, row.reason);
	}
	m->last_join = last;
	return JY_OK;
}

/* The device with that name in its application. */
static enum jy_err
find_named(struct call *c, const Joinery__V1__DeviceGetRequest *q,
    struct device_id *id, struct errctx *ec)
{
	char app[STORE_LABEL_MAX + 1] = "", name[STORE_LABEL_MAX + 1];
	enum jy_err err;

	if (q->id != NULL) {
		return err_set(ec, JY_EINVAL, "id and name exclude each other");
	}
	err = convert_known_text("app", q->app, app, sizeof(app), ec);
	if (err == JY_OK) {
		err = convert_known_name("name", q->name, name, ec);
	}
	if (err == JY_OK) {
		err = store_device_by_name(c->env->store, app, name, id, ec);
	}
	return err == JY_ENOTFOUND
	    ? err_replace(ec, JY_EDEVICE,
		  "no device of app \"%s\" has the name \"%s\"", app, name)
	    : err;
}

enum jy_err
call_device_get(struct call *c, struct errctx *ec)
{
	const Joinery__V1__DeviceGetRequest *q = c->request->device_get;
	Joinery__V1__DeviceGetAnswer *m;
	struct device_row row;
	struct device_id id;
	enum jy_err err;

	err = q->name != NULL || q->app != NULL
	    ? find_named(c, q, &id, ec)
	    : convert_device_id(q->id, &id, ec);
	if (err == JY_OK) {
		err = store_device_get(c->env->store, &id, &row, ec);
	}
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__device_get_answer__descriptor);
	m->device = to_device(c->arena, &row);
	err = add_nonces(c, &id, m->device, ec);
	if (err == JY_OK) {
		err = add_sessions(c, &id, m->device, ec);
	}
	if (err == JY_OK) {
		err = add_last_join(c, &id, m->device, ec);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_GET;
	c->response->device_get = m;
	return err;
}

enum jy_err
call_device_delete(struct call *c, struct errctx *ec)
{
	struct device_id id;
	enum jy_err err;

	err = convert_device_id(c->request->device_delete->id, &id, ec);
	if (err == JY_OK) {
		err = registry_device_delete(c->env, &id, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return err;
}

/* What a list is asked for; app has room for its text, after for the EUIs. */
static enum jy_err
convert_query(const Joinery__V1__DeviceListRequest *q,
    char app[STORE_LABEL_MAX + 1], struct device_id *after,
    struct device_query *out, struct errctx *ec)
{
	enum jy_err err =
	    convert_known_text("app", q->app, app, STORE_LABEL_MAX + 1, ec);

	*out = (struct device_query){ .app = app };
	if (err == JY_OK && q->after != NULL) {
		err = convert_device_id(q->after, after, ec);
		out->after = after;
	}
	if (err == JY_OK && q->dev_eui_prefix != NULL &&
	    !eui64_prefix_parse(q->dev_eui_prefix, &out->prefix)) {
		return err_set(ec, JY_EINVAL,
		    "dev_eui_prefix is not 16 digits, '/' and 0 to 64 bits, "
		    "those behind them 0");
	}
	return err;
}

enum jy_err
call_device_list(struct call *c, struct errctx *ec)
{
	const Joinery__V1__DeviceListRequest *q = c->request->device_list;
	struct device_rows to = { .cap = DEVICES_PAGE };
	char app[STORE_LABEL_MAX + 1] = "";
	Joinery__V1__DeviceListAnswer *m;
	struct device_query query;
	struct device_page page;
	struct device_id after;
	enum jy_err err = convert_query(q, app, &after, &query, ec);

	if (err != JY_OK) {
		return err;
	}
	if (q->has_limit && q->limit > 0 && q->limit < DEVICES_PAGE) {
		to.cap = q->limit;
	}
	to.rows = arena_alloc(c->arena, to.cap * sizeof(to.rows[0]));
	err = store_device_list(c->env->store, &query, &to, &page, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__device_list_answer__descriptor);
	m->devices = arena_alloc(c->arena, page.n * sizeof(m->devices[0]));
	m->n_devices = page.n;
	for (size_t i = 0; i < page.n; i++) {
		m->devices[i] = to_device(c->arena, &to.rows[i]);
	}
	m->has_more = 1;
	m->more = page.more;
	m->next = page.more ? convert_to_device_id(c->arena, &page.last) : NULL;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST;
	c->response->device_list = m;
	return JY_OK;
}

enum jy_err
call_nonces_reset(struct call *c, struct errctx *ec)
{
	struct device_id id;
	enum jy_err err;

	err = convert_device_id(c->request->nonces_reset->id, &id, ec);
	if (err == JY_OK) {
		err = store_nonces_reset(c->env->store, &id, ec);
	}
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return err;
}
