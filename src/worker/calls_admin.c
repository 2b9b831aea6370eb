/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that manage KEKs and peers, and the import key. */
#include <string.h>

#include "src/join/registry.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define KEKS_PAGE 128 /* so that a page fits in a frame */
#define PEERS_PAGE 32

enum jy_err
call_import_key(struct call *c, struct errctx *ec)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX], fingerprint[HSM_FINGERPRINT_LEN];
	Joinery__V1__ImportKeyAnswer *m;
	enum jy_err err;
	size_t len;

	err = hsm_import_key(c->env->hsm, der, &len, fingerprint, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__import_key_answer__descriptor);
	convert_binary(c->arena, der, len, &m->has_public_key, &m->public_key);
	convert_binary(c->arena, fingerprint, sizeof(fingerprint),
	    &m->has_fingerprint, &m->fingerprint);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY;
	c->response->import_key = m;
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

/* A name that must be there. */
static enum jy_err
take_name(const char *field, const char *in, char out[STORE_LABEL_MAX + 1],
    struct errctx *ec)
{
	if (in == NULL || in[0] == '\0') {
		return err_set(ec, JY_EINVAL, "%s is missing", field);
	}
	return convert_text(field, in, out, STORE_LABEL_MAX + 1, ec);
}

/* The store says only that it found nothing; people want to know what. */
static enum jy_err
say_absent(
    const char *what, const char *name, enum jy_err err, struct errctx *ec)
{
	return err == JY_ENOTFOUND
	    ? err_replace(ec, JY_ENOTFOUND, "no %s is called %s", what, name)
	    : err;
}

enum jy_err
call_kek_import(struct call *c, struct errctx *ec)
{
	const Joinery__V1__KekImportRequest *q = c->request->kek_import;
	char label[STORE_LABEL_MAX + 1];
	struct hsm_sealed key;
	struct kek_row row;
	enum jy_err err;

	err = take_name("label", q->label, label, ec);
	if (err == JY_OK) {
		err = convert_sealed("key", q->key, &key, ec);
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

	err = take_name("label", q->label, label, ec);
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

	err = take_name("label", c->request->kek_delete->label, label, ec);
	if (err == JY_OK) {
		err = registry_kek_delete(c->env, label, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return say_absent("KEK", label, err, ec);
}

/* ---- peers ---- */

static enum jy_err
add_as_ids(const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < m->n_as_ids; i++) {
		bool known = false;

		for (size_t k = 0; k < row->as_id_count; k++) {
			known |= strcmp(row->as_ids[k], m->as_ids[i]) == 0;
		}
		if (known) {
			continue;
		}
		if (row->as_id_count == STORE_AS_IDS_MAX) {
			return err_set(ec, JY_EINVAL, "more than %d AS-IDs",
			    STORE_AS_IDS_MAX);
		}
		if (m->as_ids[i][0] == '\0') {
			return err_set(ec, JY_EINVAL, "an AS-ID is empty");
		}
		err = convert_text("as_id", m->as_ids[i],
		    row->as_ids[row->as_id_count], sizeof(row->as_ids[0]), ec);
		row->as_id_count++;
	}
	return err;
}

/* A given credential replaces all that the peer had. */
static enum jy_err
apply_credential(
    const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	if (m->cert_san == NULL && !m->has_cert_fingerprint && !m->has_uid) {
		return JY_OK;
	}
	row->cert_san[0] = '\0';
	row->has_fingerprint = m->has_cert_fingerprint;
	row->has_uid = m->has_uid;
	row->uid = m->uid;
	if (m->has_cert_fingerprint) {
		enum jy_err err =
		    convert_octets("cert_fingerprint", 1, &m->cert_fingerprint,
			row->fingerprint, sizeof(row->fingerprint), ec);

		if (err != JY_OK) {
			return err;
		}
	}
	return convert_text(
	    "cert_san", m->cert_san, row->cert_san, sizeof(row->cert_san), ec);
}

/* Lay the given settings over a row. */
static enum jy_err
apply_peer(const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	enum jy_err err;

	if (m->has_role) {
		if ((int)m->role < PEER_NONE || (int)m->role > PEER_ADMIN) {
			return err_set(
			    ec, JY_EINVAL, "role %d is unknown", (int)m->role);
		}
		row->role = (enum peer_role)m->role;
	}
	if (m->has_clear_net_ids && m->clear_net_ids) {
		row->net_id_count = 0;
	}
	if (m->has_clear_as_ids && m->clear_as_ids) {
		row->as_id_count = 0;
	}
	if (m->has_clear_keys) {
		row->clear_keys = m->clear_keys;
	}
	err = convert_net_ids(
	    m->net_ids, m->n_net_ids, row->net_ids, &row->net_id_count, ec);
	if (err == JY_OK) {
		err = add_as_ids(m, row, ec);
	}
	if (err == JY_OK) {
		err =
		    convert_text("kek", m->kek, row->kek, sizeof(row->kek), ec);
	}
	return err == JY_OK ? apply_credential(m, row, ec) : err;
}

enum jy_err
call_peer_set(struct call *c, struct errctx *ec)
{
	const Joinery__V1__Peer *q = c->request->peer_set->peer;
	char name[STORE_LABEL_MAX + 1];
	struct peer_row row;
	bool created = false;
	enum jy_err err;

	err = take_name("name", q != NULL ? q->name : NULL, name, ec);
	if (err != JY_OK) {
		return err;
	}
	err = store_peer_get(c->env->store, name, &row, ec);
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		memset(&row, 0, sizeof(row));
		memcpy(row.name, name, sizeof(row.name));
		created = true;
		err = JY_OK;
	}
	if (err == JY_OK) {
		err = apply_peer(q, &row, ec);
	}
	if (err == JY_OK) {
		err = registry_peer_set(c->env, &row, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_SET;
	c->response->peer_set =
	    convert_new(c->arena, &joinery__v1__peer_set_answer__descriptor);
	c->response->peer_set->has_created = 1;
	c->response->peer_set->created = created;
	return JY_OK;
}

static Joinery__V1__Peer *
to_peer(struct arena *arena, const struct peer_row *row)
{
	Joinery__V1__Peer *m =
	    convert_new(arena, &joinery__v1__peer__descriptor);

	m->name = convert_to_text(arena, row->name);
	m->has_role = 1;
	m->role = (Joinery__V1__PeerRole)row->role;
	m->n_net_ids = row->net_id_count;
	m->net_ids = arena_copy(
	    arena, row->net_ids, row->net_id_count * sizeof(row->net_ids[0]));
	m->n_as_ids = row->as_id_count;
	m->as_ids = arena_alloc(arena, row->as_id_count * sizeof(m->as_ids[0]));
	for (size_t i = 0; i < row->as_id_count; i++) {
		m->as_ids[i] = arena_text(arena, row->as_ids[i]);
	}
	m->cert_san = convert_to_text(arena, row->cert_san);
	if (row->has_fingerprint) {
		convert_binary(arena, row->fingerprint,
		    sizeof(row->fingerprint), &m->has_cert_fingerprint,
		    &m->cert_fingerprint);
	}
	m->has_uid = row->has_uid;
	m->uid = row->uid;
	m->kek = convert_to_text(arena, row->kek);
	m->has_clear_keys = 1;
	m->clear_keys = row->clear_keys;
	return m;
}

enum jy_err
call_peer_get(struct call *c, struct errctx *ec)
{
	char name[STORE_LABEL_MAX + 1];
	struct peer_row row;
	enum jy_err err;

	err = take_name("name", c->request->peer_get->name, name, ec);
	if (err == JY_OK) {
		err = store_peer_get(c->env->store, name, &row, ec);
	}
	if (err != JY_OK) {
		return say_absent("peer", name, err, ec);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_GET;
	c->response->peer_get =
	    convert_new(c->arena, &joinery__v1__peer_get_answer__descriptor);
	c->response->peer_get->peer = to_peer(c->arena, &row);
	return JY_OK;
}

enum jy_err
call_peer_delete(struct call *c, struct errctx *ec)
{
	char name[STORE_LABEL_MAX + 1];
	enum jy_err err;

	err = take_name("name", c->request->peer_delete->name, name, ec);
	if (err == JY_OK) {
		err = store_peer_delete(c->env->store, name, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return say_absent("peer", name, err, ec);
}

enum jy_err
call_peer_list(struct call *c, struct errctx *ec)
{
	const char *after = c->request->peer_list->after;
	Joinery__V1__PeerListAnswer *m;
	struct peer_row *rows;
	enum jy_err err;
	bool more;
	size_t n;

	rows = arena_alloc(c->arena, PEERS_PAGE * sizeof(rows[0]));
	err = store_peer_list(
	    c->env->store, after, rows, PEERS_PAGE, &n, &more, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__peer_list_answer__descriptor);
	m->peers = arena_alloc(c->arena, n * sizeof(m->peers[0]));
	m->n_peers = n;
	for (size_t i = 0; i < n; i++) {
		m->peers[i] = to_peer(c->arena, &rows[i]);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_LIST;
	c->response->peer_list = m;
	return JY_OK;
}
