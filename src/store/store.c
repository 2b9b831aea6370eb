/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's verbs: arguments are checked here, once for all backends, then
 * handed on.  Joins and refusals pass through the commit queue.
 */
#include "src/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "src/lorawan/frame.h"
#include "src/store/backend.h"
#include "src/store/commit.h"
#include "src/store/handle.h"

#define ADD_TRIES 1000 /* against others that add at the same time */

static const struct store_ops *const backends[] = {
	&store_lmdb_ops,
	&store_memory_ops,
};

static const struct store_ops *
backend_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (strcmp(backends[i]->name, name) == 0) {
			return backends[i];
		}
	}
	return NULL;
}

enum jy_err
store_open(
    const struct store_config *config, struct store **out, struct errctx *ec)
{
	struct store *s;
	enum jy_err err;

	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return err_set(ec, JY_ENOMEM, "opening the store");
	}
	s->ops = backend_find(config->backend);
	err = s->ops != NULL
	    ? s->ops->open(config, &s->db, ec)
	    : err_set(ec, JY_ECONFIG, "unknown store backend \"%s\"",
		  config->backend);
	if (err == JY_OK) {
		err = commit_queue_new(
		    s->db, config->refusal_flush_ms, &s->queue, ec);
	}
	if (err != JY_OK) {
		store_close(s);
		return err;
	}
	*out = s;
	return JY_OK;
}

void
store_close(struct store *s)
{
	if (s == NULL) {
		return;
	}
	commit_queue_free(s->queue);
	if (s->db != NULL) {
		s->ops->close(s->db);
	}
	free(s);
}

/* ---- arguments ---- */

/* A name that is a key: neither empty nor longer than a row may have it. */
static bool
label_ok(const char *label)
{
	size_t len = strnlen(label, STORE_LABEL_MAX + 1);

	return len > 0 && len <= STORE_LABEL_MAX;
}

static enum jy_err
label_check(const char *label, const char *what, struct errctx *ec)
{
	return label_ok(label)
	    ? JY_OK
	    : err_set(ec, JY_EINVAL, "%s must have 1 to %d octets", what,
		  STORE_LABEL_MAX);
}

/* The name that a page comes behind; NULL or "": the first page. */
static enum jy_err
after_check(const char *after, const char *what, struct errctx *ec)
{
	return after == NULL || after[0] == '\0' ? JY_OK
						 : label_check(after, what, ec);
}

/* What the row of an accepted join must fulfil whatever is stored. */
static bool
join_ok(const struct join_commit *c)
{
	const struct session_row *s = &c->session;

	return s->join_nonce > c->join_nonce_seen && c->keep > 0 &&
	    (c->live < s->join_nonce || s->join_type == LW_JOIN_REQUEST) &&
	    row_check_session(s, NULL) == JY_OK;
}

/* ---- the join line ---- */

enum jy_err
store_join_view(struct store *s, const struct device_id *id, uint16_t dev_nonce,
    struct join_view *view, struct errctx *ec)
{
	return s->ops->join_view(s->db, id, dev_nonce, view, ec);
}

void
store_join_commit(struct store *s, struct join_commit *const batch[], size_t n,
    struct errctx *ec)
{
	for (size_t i = 0; i < n; i++) {
		jy_assert(join_ok(batch[i]));
	}
	if (n > 0) {
		commit_joins(s->queue, batch, n, ec);
	}
}

void
store_tick(struct store *s)
{
	commit_tick(s->queue);
}

void
store_refusal_note(struct store *s, const struct refusal_row *row)
{
	jy_assert(row_check_refusal(row, NULL) == JY_OK);
	commit_refusal_note(s->queue, row);
}

enum jy_err
store_refusal_get(struct store *s, const struct device_id *id,
    struct refusal_row *row, struct errctx *ec)
{
	/* In this order: one that leaves memory is on disk by then. */
	return commit_refusal_find(s->queue, id, row)
	    ? JY_OK
	    : s->ops->refusal_get(s->db, id, row, ec);
}

/* ---- devices ---- */

enum jy_err
store_device_get(struct store *s, const struct device_id *id,
    struct device_row *row, struct errctx *ec)
{
	return s->ops->device_get(s->db, id, row, ec);
}

enum jy_err
store_device_put_batch(struct store *s, struct device_change *const changes[],
    size_t n, struct errctx *ec)
{
	struct device_change **good =
	    calloc(n + 1, sizeof(struct device_change *));
	struct device_batch batch = { .changes = good };
	enum jy_err err = JY_OK;

	if (good == NULL) {
		return err_set(ec, JY_ENOMEM, "%zu devices", n);
	}
	for (size_t i = 0; i < n; i++) {
		struct device_change *c = changes[i];

		c->err = row_check_device(&c->row, c->ec);
		if (c->err == JY_OK &&
		    c->start.join_nonce > LW_JOIN_NONCE_MAX) {
			c->err = err_set(
			    c->ec, JY_EINVAL, "join_nonce is out of range");
		}
		for (size_t k = 0; c->err == JY_OK && k < c->root_count; k++) {
			jy_assert(
			    device_id_eq(&c->roots[k].device, &c->row.id));
			c->err = row_check_root(&c->roots[k], c->ec);
		}
		if (c->err == JY_OK) {
			good[batch.n++] = c;
		}
	}
	if (batch.n > 0) {
		err = s->ops->device_put_batch(s->db, &batch, ec);
	}
	for (size_t i = 0; i < batch.n && err != JY_OK; i++) {
		good[i]->err = err;
	}
	free(good);
	return err;
}

enum jy_err
store_device_put(
    struct store *s, const struct device_row *row, struct errctx *ec)
{
	struct device_change change = { .row = *row, .ec = ec };
	struct device_change *list[] = { &change };
	enum jy_err err = store_device_put_batch(s, list, 1, ec);

	return err != JY_OK ? err : change.err;
}

void
device_gone_add(struct device_gone *gone, const struct device_key *key)
{
	if (gone->root_count < ARRAY_LEN(gone->roots)) {
		gone->roots[gone->root_count++] = *key;
	}
}

enum jy_err
store_device_delete(struct store *s, const struct device_id *id,
    struct device_gone *gone, struct errctx *ec)
{
	struct device_gone any;
	enum jy_err err =
	    s->ops->device_delete(s->db, id, gone != NULL ? gone : &any, ec);

	if (err == JY_OK) {
		commit_refusal_forget(s->queue, id);
	}
	return err;
}

enum jy_err
store_device_list(struct store *s, const struct device_query *query,
    const struct device_rows *to, struct device_page *page, struct errctx *ec)
{
	jy_assert(to->cap > 0);
	return s->ops->device_list(s->db, query, to, page, ec);
}

enum jy_err
store_device_by_dev_eui(struct store *s, const struct eui64 *dev_eui,
    struct device_id *id, struct errctx *ec)
{
	char text[EUI64_STR_LEN];
	enum jy_err err = s->ops->device_by_dev_eui(s->db, dev_eui, id, ec);

	return err == JY_EEXIST
	    ? err_set(ec, err, "several devices have the DevEUI %s",
		  eui64_str(dev_eui, text))
	    : err;
}

enum jy_err
store_device_by_name(struct store *s, const char *app, const char *name,
    struct device_id *id, struct errctx *ec)
{
	if (!label_ok(name) ||
	    strnlen(app, STORE_LABEL_MAX + 1) > STORE_LABEL_MAX) {
		return JY_ENOTFOUND; /* no row can hold it */
	}
	return s->ops->device_by_name(s->db, app, name, id, ec);
}

enum jy_err
store_nonces_get(struct store *s, const struct device_id *id,
    struct nonce_row *row, size_t *dev_nonces_used, struct errctx *ec)
{
	return s->ops->nonces_get(s->db, id, row, dev_nonces_used, ec);
}

bool
store_nonces_below(const struct nonce_row *row, const struct nonce_start *start)
{
	return row->join_nonce < start->join_nonce ||
	    (start->has_dev_nonce &&
		(!row->has_dev_nonce || row->dev_nonce < start->dev_nonce)) ||
	    (start->has_dev_nonce && start->counted &&
		row->counted <= start->dev_nonce);
}

enum jy_err
store_nonces_reset(
    struct store *s, const struct device_id *id, struct errctx *ec)
{
	return s->ops->nonces_reset(s->db, id, ec);
}

/* ---- sessions ---- */

enum jy_err
store_session_get(struct store *s, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec)
{
	return s->ops->session_get(s->db, id, row, ec);
}

enum jy_err
store_session_list(struct store *s, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec)
{
	return s->ops->session_list(s->db, id, rows, cap, n, ec);
}

/* ---- applications ---- */

enum jy_err
store_app_get(
    struct store *s, const char *name, struct app_row *row, struct errctx *ec)
{
	return label_ok(name) ? s->ops->app_get(s->db, name, row, ec)
			      : JY_ENOTFOUND;
}

enum jy_err
store_app_put(struct store *s, const struct app_row *row, struct errctx *ec)
{
	enum jy_err err = label_check(row->name, "an application's name", ec);

	if (err == JY_OK) {
		err = row_check_app(row, ec);
	}
	return err == JY_OK ? s->ops->app_put(s->db, row, ec) : err;
}

enum jy_err
store_app_delete(struct store *s, const char *name, struct errctx *ec)
{
	return label_ok(name) ? s->ops->app_delete(s->db, name, ec)
			      : JY_ENOTFOUND;
}

enum jy_err
store_app_list(struct store *s, const char *after, struct app_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	enum jy_err err = after_check(after, "an application's name", ec);

	return err == JY_OK
	    ? s->ops->app_list(s->db, after, rows, cap, n, more, ec)
	    : err;
}

/* ---- KEKs ---- */

enum jy_err
store_kek_get(
    struct store *s, const char *label, struct kek_set *out, struct errctx *ec)
{
	return label_ok(label) ? s->ops->kek_get(s->db, label, out, ec)
			       : JY_ENOTFOUND;
}

enum jy_err
store_kek_add(struct store *s, const struct kek_row *row, struct errctx *ec)
{
	enum jy_err err = label_check(row->label, "a KEK's label", ec);

	if (err == JY_OK) {
		err = label_check(row->wire_label, "a KEK's wire label", ec);
	}
	if (err == JY_OK && row->generation == 0) {
		err = err_set(ec, JY_EINVAL, "generations count from 1");
	}
	if (err == JY_OK) {
		err = row_check_kek(row, ec);
	}
	return err == JY_OK ? s->ops->kek_add(s->db, row, ec) : err;
}

enum jy_err
store_kek_retire(struct store *s, const struct kek_row *row, struct errctx *ec)
{
	return label_ok(row->label) ? s->ops->kek_retire(s->db, row, ec)
				    : JY_ENOTFOUND;
}

enum jy_err
store_kek_delete(struct store *s, const char *label, struct errctx *ec)
{
	return label_ok(label) ? s->ops->kek_delete(s->db, label, ec)
			       : JY_ENOTFOUND;
}

enum jy_err
store_kek_list(struct store *s, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	enum jy_err err = after != NULL
	    ? after_check(after->label, "a KEK's label", ec)
	    : JY_OK;

	return err == JY_OK
	    ? s->ops->kek_list(s->db, after, rows, cap, n, more, ec)
	    : err;
}

/* ---- peers ---- */

enum jy_err
store_peer_get(
    struct store *s, const char *name, struct peer_row *row, struct errctx *ec)
{
	return label_ok(name) ? s->ops->peer_get(s->db, name, row, ec)
			      : JY_ENOTFOUND;
}

enum jy_err
store_peer_put(struct store *s, const struct peer_row *row, struct errctx *ec)
{
	enum jy_err err = label_check(row->name, "a peer's name", ec);

	if (err == JY_OK) {
		err = row_check_peer(row, ec);
	}
	return err == JY_OK ? s->ops->peer_put(s->db, row, ec) : err;
}

enum jy_err
store_peer_delete(struct store *s, const char *name, struct errctx *ec)
{
	return label_ok(name) ? s->ops->peer_delete(s->db, name, ec)
			      : JY_ENOTFOUND;
}

enum jy_err
store_peer_list(struct store *s, const char *after, struct peer_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	enum jy_err err = after_check(after, "a peer's name", ec);

	return err == JY_OK
	    ? s->ops->peer_list(s->db, after, rows, cap, n, more, ec)
	    : err;
}

enum jy_err
store_peer_by_uid(
    struct store *s, uint32_t uid, struct peer_row *row, struct errctx *ec)
{
	struct credential c = credential_of_uid(uid);

	return s->ops->peer_by_credential(s->db, &c, row, ec);
}

enum jy_err
store_peer_by_fingerprint(struct store *s,
    const uint8_t fingerprint[STORE_FINGERPRINT_LEN], struct peer_row *row,
    struct errctx *ec)
{
	struct credential c = credential_of_fingerprint(fingerprint);

	return s->ops->peer_by_credential(s->db, &c, row, ec);
}

enum jy_err
store_peer_by_san(
    struct store *s, const char *san, struct peer_row *row, struct errctx *ec)
{
	struct credential c;

	if (san[0] == '\0' || strnlen(san, STORE_SAN_MAX + 1) > STORE_SAN_MAX) {
		return JY_ENOTFOUND;
	}
	c = credential_of_san(san);
	return s->ops->peer_by_credential(s->db, &c, row, ec);
}

enum jy_err
store_peer_by_authorization(struct store *s, const uint8_t hash[STORE_HASH_LEN],
    struct peer_row *row, struct errctx *ec)
{
	struct credential c = credential_of_authorization(hash);

	return s->ops->peer_by_credential(s->db, &c, row, ec);
}

enum jy_err
store_peer_by_as_id(
    struct store *s, const char *as_id, struct peer_row *row, struct errctx *ec)
{
	struct credential c;

	if (as_id[0] == '\0' ||
	    strnlen(as_id, STORE_AS_ID_MAX + 1) > STORE_AS_ID_MAX) {
		return JY_ENOTFOUND;
	}
	c = credential_of_as_id(as_id);
	return s->ops->peer_by_credential(s->db, &c, row, ec);
}

/* ---- the rest ---- */

enum jy_err
store_meta_get(struct store *s, const char *key, uint8_t out[STORE_META_MAX],
    size_t *len, struct errctx *ec)
{
	return label_ok(key) ? s->ops->meta_get(s->db, key, out, len, ec)
			     : JY_ENOTFOUND;
}

/* A key that the store does not keep for itself. */
static enum jy_err
meta_check(const char *key, size_t len, struct errctx *ec)
{
	if (!label_ok(key) || len > STORE_META_MAX ||
	    strcmp(key, META_SCHEMA) == 0 || strcmp(key, META_AUDIT) == 0 ||
	    strcmp(key, META_STORAGE) == 0) {
		return err_set(ec, JY_EINVAL, "not a value to keep: \"%.*s\"",
		    STORE_LABEL_MAX, key);
	}
	return JY_OK;
}

enum jy_err
store_meta_put(struct store *s, const char *key, const uint8_t *value,
    size_t len, struct errctx *ec)
{
	enum jy_err err = meta_check(key, len, ec);

	return err == JY_OK ? s->ops->meta_put(s->db, key, value, len, ec)
			    : err;
}

enum jy_err
store_meta_swap(struct store *s, const char *key, const struct meta_value *seen,
    const struct meta_value *next, struct errctx *ec)
{
	enum jy_err err = meta_check(key, next->len, ec);

	return err == JY_OK ? s->ops->meta_swap(s->db, key, seen, next, ec)
			    : err;
}

enum jy_err
store_meta_add(struct store *s, const char *key, int64_t delta, uint64_t max,
    uint64_t *now, struct errctx *ec)
{
	struct meta_value seen, next = { .len = META_NUMBER_LEN };
	enum jy_err err = JY_ECONFLICT;

	for (int i = 0; i < ADD_TRIES && err == JY_ECONFLICT; i++) {
		seen.len = 0;
		err = store_meta_get(s, key, seen.octets, &seen.len, ec);
		if (err == JY_ENOTFOUND) {
			err = JY_OK;
		}
		if (err == JY_OK) {
			memcpy(next.octets, seen.octets, seen.len);
			err = meta_number_add(
			    next.octets, seen.len, delta, max, now, ec);
		}
		if (err == JY_OK && delta != 0) {
			err = store_meta_swap(s, key, &seen, &next, ec);
		}
	}
	return err;
}

void
store_stats(struct store *s, struct store_stats *out)
{
	s->ops->stats(s->db, out);
	out->joins = commit_count(s->queue);
}
