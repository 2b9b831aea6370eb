/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session keys from session rows: LoRaWAN L2 1.0.4 clause 6.2.3, 1.1 clauses
 * 6.1.2 and 6.2.3; key envelopes: Backend Interfaces clause 17 (RFC 3394).
 * Runs on a token thread.
 */
#include "src/join/session.h"

#include <inttypes.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/base/secret.h"
#include "src/join/device.h"
#include "src/join/kek.h"
#include "src/join/keys.h"

void
session_new_id(const struct sys *sys, uint8_t out[STORE_ID_LEN])
{
	struct writer w;

	writer_init(&w, out, STORE_ID_LEN);
	writer_be(&w, sys->now_ms() & 0xFFFFFFFFFFFFU, 6);
	sys->random(out + w.len, STORE_ID_LEN - w.len);
}

enum jy_err
delivery_choose(const struct join_env *env, const char *device_kek,
    const struct peer_row *peer, struct delivery *out, struct errctx *ec)
{
	const char *label = device_kek;

	memset(out, 0, sizeof(*out));
	if (label[0] == '\0' && peer != NULL) {
		label = peer->kek;
	}
	if (label[0] == '\0') {
		if (peer != NULL && peer->clear_keys) {
			out->clear = true;
			return JY_OK;
		}
		return err_set(ec, JY_EKEK,
		    "%s%s has no KEK and may not get "
		    "keys in clear",
		    peer != NULL ? "peer " : "the receiver",
		    peer != NULL ? peer->name : "");
	}
	return kek_active(env, label, &out->kek, ec);
}

/* The derivation block of one session key. */
static void
session_block(
    const struct session_row *row, enum lw_key key, uint8_t block[LW_BLOCK_LEN])
{
	if (row->opt_neg) {
		lw_block_v11(block, key, row->join_nonce, &row->device.join_eui,
		    row->counter);
	} else {
		lw_block_v10(
		    block, key, row->join_nonce, row->net_id, row->counter);
	}
}

/* Derive one key of the session for its receiver; kek is NULL for clear. */
static enum jy_err
give(struct hsm_session *s, const struct session_row *row, struct hsm_key *root,
    enum lw_key key, struct hsm_key *kek, const struct delivery *to,
    struct key_envelope *out, struct errctx *ec)
{
	uint8_t block[LW_BLOCK_LEN];
	enum jy_err err;

	session_block(row, key, block);
	if (kek == NULL) {
		err = hsm_derive_clear(s, root, block, out->key, ec);
		out->len = err == JY_OK ? 16 : 0;
		return err;
	}
	err = hsm_derive_wrapped(s, root, block, kek, out->key, ec);
	out->len = err == JY_OK ? HSM_WRAPPED_LEN : 0;
	memcpy(out->kek_label, to->kek.wire_label, sizeof(out->kek_label));
	return err;
}

/* Get root key and KEK (none for clear delivery); the caller puts both. */
static enum jy_err
get_keys(const struct join_env *env, const struct session_row *row,
    const struct device_key *root_key, const struct delivery *to,
    struct hsm_key **root, struct hsm_key **kek, struct errctx *ec)
{
	struct hsm_id id;
	enum jy_err err;

	err = keys_get_root(env, &row->device, root_key, root, ec);
	if (err != JY_OK || to->clear) {
		return err;
	}
	keys_kek_id(to->kek.key_id, &id);
	err = hsm_key_get(env->hsm, &id, HSM_KEK, kek, ec);
	if (err == JY_ENOKEY) {
		return err_replace(ec, JY_EKEK,
		    "the token has no object of generation %" PRIu32
		    " of the KEK %s",
		    to->kek.generation, to->kek.label);
	}
	return err;
}

enum jy_err
session_network_keys(const struct join_env *env, struct hsm_session *s,
    const struct session_row *row, const struct delivery *to,
    struct session_keys *out, struct errctx *ec)
{
	const struct {
		enum lw_key key;
		struct key_envelope *envelope;
	} wanted[] = {
		{ LW_F_NWK_S_INT_KEY, &out->f_nwk_s_int_key },
		{ LW_S_NWK_S_INT_KEY, &out->s_nwk_s_int_key },
		{ LW_NWK_S_ENC_KEY, &out->nwk_s_enc_key },
	};
	struct hsm_key *root = NULL, *kek = NULL;
	enum jy_err err;

	out->opt_neg = row->opt_neg;
	err = get_keys(env, row, &row->nwk_key, to, &root, &kek, ec);
	for (size_t i = 0; err == JY_OK && i < (row->opt_neg ? 3U : 1U); i++) {
		err = give(s, row, root, wanted[i].key, kek, to,
		    wanted[i].envelope, ec);
	}
	hsm_key_put(env->hsm, kek);
	hsm_key_put(env->hsm, root);
	return err;
}

enum jy_err
session_app_s_key(const struct join_env *env, struct hsm_session *s,
    const struct session_row *row, const struct delivery *to,
    struct key_envelope *out, struct errctx *ec)
{
	struct hsm_key *root = NULL, *kek = NULL;
	enum jy_err err;

	err = get_keys(env, row, &row->app_key, to, &root, &kek, ec);
	if (err == JY_OK) {
		err = give(s, row, root, LW_APP_S_KEY, kek, to, out, ec);
	}
	hsm_key_put(env->hsm, kek);
	hsm_key_put(env->hsm, root);
	return err;
}

enum jy_err
session_mic(const struct join_env *env, struct hsm_session *s,
    const struct session_row *row, const uint8_t *data, size_t len,
    uint8_t mic[HSM_MIC_LEN], struct errctx *ec)
{
	uint8_t block[LW_BLOCK_LEN];
	struct hsm_key *root = NULL;
	enum jy_err err;

	session_block(row, LW_S_NWK_S_INT_KEY, block);
	err = keys_get_root(env, &row->device, &row->nwk_key, &root, ec);
	if (err == JY_OK) {
		err = hsm_derive_mic(s, root, block, data, len, mic, ec);
	}
	hsm_key_put(env->hsm, root);
	return err;
}

/* Is the session of the device that the query is about? */
static enum jy_err
check_device(const struct join_env *env, const struct session_query *query,
    const struct session_row *row, struct errctx *ec)
{
	bool fits = true;
	enum jy_err err = JY_OK;

	if (query->join_eui != NULL) {
		err = device_fits(env, &row->device, row->opt_neg,
		    query->join_eui, &fits, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	if (!fits ||
	    (query->dev_eui != NULL &&
		!eui64_eq(query->dev_eui, &row->device.dev_eui))) {
		return err_set(
		    ec, JY_ESESSION, "the session is another device's");
	}
	return JY_OK;
}

/* The session of that ID, if it is this device's and still runs. */
static enum jy_err
find_session(const struct join_env *env, const struct session_query *query,
    struct session_row *row, struct errctx *ec)
{
	enum jy_err err;

	err = store_session_get(env->store, query->id, row, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_ESESSION, "no session has this ID");
	}
	if (err == JY_OK) {
		err = check_device(env, query, row, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	if (row->expires_ms != 0 && env->sys->now_ms() >= row->expires_ms) {
		return err_set(ec, JY_ESESSION, "the session has expired");
	}
	return JY_OK;
}

/* What holds for the device of a session. */
static enum jy_err
find_activation(const struct join_env *env, const struct device_id *id,
    struct activation *out, struct errctx *ec)
{
	struct join_view view;
	enum jy_err err;

	err = store_join_view(env->store, id, 0, &view, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(
		    ec, JY_ESESSION, "the session's device is gone");
	}
	if (err == JY_OK) {
		access_inherit(&view.device.activation, &view.app.activation);
		*out = view.device.activation;
	}
	return err;
}

/* May the peer have the keys, and how do they go to it? */
static enum jy_err
check_query(const struct join_env *env, const struct session_query *query,
    const struct session_row *row, struct delivery *to, struct errctx *ec)
{
	struct activation a;
	enum jy_err err;

	err = find_activation(env, &row->device, &a, ec);
	if (err != JY_OK) {
		return err;
	}
	err = query->as == PEER_NS
	    ? access_network(query->peer, &a, row->net_id, query->sender, ec)
	    : access_app(query->peer, &a, query->sender, ec);
	if (err != JY_OK) {
		return err;
	}
	return delivery_choose(env, query->as == PEER_NS ? a.ns_kek : a.as_kek,
	    query->peer, to, ec);
}

enum jy_err
session_retrieve(const struct join_env *env, const struct session_query *query,
    struct session_keys *out, struct errctx *ec)
{
	struct hsm_session *s;
	struct session_row row;
	struct delivery to;
	enum jy_err err;

	memset(out, 0, sizeof(*out));
	err = find_session(env, query, &row, ec);
	if (err == JY_OK) {
		err = check_query(env, query, &row, &to, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	if (query->dry_run) {
		memcpy(query->as == PEER_NS ? out->f_nwk_s_int_key.kek_label
					    : out->app_s_key.kek_label,
		    to.kek.wire_label, sizeof(to.kek.wire_label));
		return JY_OK;
	}
	s = hsm_session_get(env->hsm);
	err = query->as == PEER_NS
	    ? session_network_keys(env, s, &row, &to, out, ec)
	    : session_app_s_key(env, s, &row, &to, &out->app_s_key, ec);
	hsm_session_put(env->hsm, s);
	return err;
}
