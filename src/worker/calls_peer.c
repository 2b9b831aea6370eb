/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that manage peers. */
#include <string.h>

#include "src/join/registry.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define PEERS_PAGE 20 /* so that a page fits in a frame */
#define HASH_SHOWN 4U /* octets of a hash that answers show */

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

static enum jy_err
add_ns_ids(const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	for (size_t i = 0; i < m->n_ns_ids; i++) {
		struct eui64 ns_id;
		bool known = false;
		enum jy_err err;

		err = convert_octets(
		    "ns_ids", 1, &m->ns_ids[i], ns_id.be, sizeof(ns_id.be), ec);
		if (err != JY_OK) {
			return err;
		}
		for (size_t k = 0; k < row->ns_id_count; k++) {
			known |= eui64_eq(&row->ns_ids[k], &ns_id);
		}
		if (known) {
			continue;
		}
		if (row->ns_id_count == STORE_NS_IDS_MAX) {
			return err_set(ec, JY_EINVAL, "more than %d NSIDs",
			    STORE_NS_IDS_MAX);
		}
		row->ns_ids[row->ns_id_count++] = ns_id;
	}
	return JY_OK;
}

/* A hash of an HTTP Authorization; empty: none. */
static enum jy_err
take_hash(const char *field, const ProtobufCBinaryData *in, bool *has,
    uint8_t out[STORE_HASH_LEN], struct errctx *ec)
{
	*has = in->len > 0;
	if (!*has) {
		memset(out, 0, STORE_HASH_LEN);
		return JY_OK;
	}
	return convert_octets(field, 1, in, out, STORE_HASH_LEN, ec);
}

static enum jy_err
apply_authorization(
    const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	bool has_basic;

	if (m->has_bearer_hash) {
		err = take_hash("bearer_hash", &m->bearer_hash,
		    &row->has_bearer, row->bearer_hash, ec);
	}
	if (err == JY_OK && m->has_basic_hash) {
		err = take_hash("basic_hash", &m->basic_hash, &has_basic,
		    row->basic_hash, ec);
		if (err == JY_OK &&
		    has_basic !=
			(m->basic_user != NULL && m->basic_user[0] != '\0')) {
			return err_set(ec, JY_EINVAL,
			    "basic_user and basic_hash go together");
		}
	}
	return err == JY_OK ? convert_text("basic_user", m->basic_user,
				  row->basic_user, sizeof(row->basic_user), ec)
			    : err;
}

static enum jy_err
apply_answer_to(
    const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	const struct {
		const char *field;
		const char *in;
		char *out;
		size_t cap;
	} texts[] = {
		{ "answer_url", m->answer_url, row->answer_url,
		    sizeof(row->answer_url) },
		{ "answer_ca", m->answer_ca, row->answer_ca,
		    sizeof(row->answer_ca) },
		{ "answer_cert", m->answer_cert, row->answer_cert,
		    sizeof(row->answer_cert) },
		{ "answer_key", m->answer_key, row->answer_key,
		    sizeof(row->answer_key) },
	};
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < ARRAY_LEN(texts); i++) {
		err = convert_text(texts[i].field, texts[i].in, texts[i].out,
		    texts[i].cap, ec);
	}
	return err;
}

/* A given credential of a socket replaces those that the peer had. */
static enum jy_err
apply_credential(
    const Joinery__V1__Peer *m, struct peer_row *row, struct errctx *ec)
{
	if (m->cert_san == NULL && !m->has_cert_fingerprint && !m->has_uid) {
		return JY_OK;
	}
	row->cert_san[0] = '\0';
	row->has_fingerprint =
	    m->has_cert_fingerprint && m->cert_fingerprint.len > 0;
	row->has_uid = m->has_uid;
	row->uid = m->uid;
	if (row->has_fingerprint) {
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
		if ((int)m->role < PEER_NONE || (int)m->role > PEER_NS_AS) {
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
	if (m->has_clear_ns_ids && m->clear_ns_ids) {
		row->ns_id_count = 0;
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
	if (err == JY_OK) {
		err = add_ns_ids(m, row, ec);
	}
	if (err == JY_OK) {
		err = apply_credential(m, row, ec);
	}
	if (err == JY_OK) {
		err = apply_authorization(m, row, ec);
	}
	return err == JY_OK ? apply_answer_to(m, row, ec) : err;
}

enum jy_err
call_peer_set(struct call *c, struct errctx *ec)
{
	const Joinery__V1__Peer *q = c->request->peer_set->peer;
	char name[STORE_LABEL_MAX + 1];
	struct peer_row row;
	bool created = false;
	enum jy_err err;

	if (q == NULL) {
		return err_set(ec, JY_EINVAL, "peer is missing");
	}
	err = convert_name("name", q->name, name, ec);
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

/* What only peers that come by HTTP have. */
static void
to_http(struct arena *arena, const struct peer_row *row, Joinery__V1__Peer *m)
{
	m->n_ns_ids = row->ns_id_count;
	m->ns_ids = arena_alloc(arena, row->ns_id_count * sizeof(m->ns_ids[0]));
	for (size_t i = 0; i < row->ns_id_count; i++) {
		m->ns_ids[i].len = sizeof(row->ns_ids[i].be);
		m->ns_ids[i].data = arena_copy(
		    arena, row->ns_ids[i].be, sizeof(row->ns_ids[i].be));
	}
	if (row->has_bearer) {
		convert_binary(arena, row->bearer_hash, HASH_SHOWN,
		    &m->has_bearer_hash, &m->bearer_hash);
	}
	m->basic_user = convert_to_text(arena, row->basic_user);
	if (row->basic_user[0] != '\0') {
		convert_binary(arena, row->basic_hash, HASH_SHOWN,
		    &m->has_basic_hash, &m->basic_hash);
	}
	m->answer_url = convert_to_text(arena, row->answer_url);
	m->answer_ca = convert_to_text(arena, row->answer_ca);
	m->answer_cert = convert_to_text(arena, row->answer_cert);
	m->answer_key = convert_to_text(arena, row->answer_key);
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
	to_http(arena, row, m);
	return m;
}

enum jy_err
call_peer_get(struct call *c, struct errctx *ec)
{
	char name[STORE_LABEL_MAX + 1];
	struct peer_row row;
	enum jy_err err;

	err = convert_known_name("name", c->request->peer_get->name, name, ec);
	if (err == JY_OK) {
		err = store_peer_get(c->env->store, name, &row, ec);
	}
	if (err != JY_OK) {
		return convert_absent("peer", name, err, ec);
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

	err =
	    convert_known_name("name", c->request->peer_delete->name, name, ec);
	if (err == JY_OK) {
		err = store_peer_delete(c->env->store, name, ec);
	}
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return convert_absent("peer", name, err, ec);
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
