/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEKs, peers with their credentials, and the installation's own values in
 * LMDB.  These tables are small and seldom written: a walk over one is fine,
 * and so is one over all devices when a KEK is deleted.
 */
#include "src/store/lmdb_verbs.h"

#include <string.h>

#include "src/store/lmdb_named.h"
#include "src/store/lmdb_rows.h"

/* ---- KEKs ---- */

enum jy_err
lmdb_kek_get(struct store_db *db, const char *label, struct kek_row *row,
    struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = kek_row_get(&t, label, row);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
kek_create(struct txn *t, const void *arg)
{
	const struct kek_row *row = arg;
	struct slice value;
	enum jy_err err =
	    txn_get(t, TABLE_KEKS, slice_of_text(row->label), &value);

	if (err == JY_OK) {
		return err_set(t->ec, JY_EEXIST,
		    "there is a KEK \"%s\" already", row->label);
	}
	return err == JY_ENOTFOUND ? kek_row_put(t, row) : err;
}

enum jy_err
lmdb_kek_add(struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	return txn_update(lmdb_of(db), kek_create, row, ec);
}

static enum jy_err
peer_uses_kek(struct cursor *c, const void *arg)
{
	const char *label = arg;
	struct peer_row row;
	enum jy_err err = peer_row_at(c, &row);

	if (err == JY_OK && strcmp(row.kek, label) == 0) {
		return err_set(c->txn->ec, JY_EINUSE,
		    "peer \"%s\" uses the KEK \"%s\"", row.name, label);
	}
	return err;
}

static enum jy_err
device_uses_kek(struct cursor *c, const void *arg)
{
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];
	const char *label = arg;
	struct device_row row;
	enum jy_err err = device_row_at(c, &row);

	if (err == JY_OK && activation_uses_kek(&row.activation, label)) {
		return err_set(c->txn->ec, JY_EINUSE,
		    "device %s/%s uses the KEK \"%s\"",
		    eui64_str(&row.id.dev_eui, dev_eui),
		    eui64_str(&row.id.join_eui, join_eui), label);
	}
	return err;
}

static enum jy_err
app_uses_kek(struct cursor *c, const void *arg)
{
	const char *label = arg;
	struct app_row row;
	enum jy_err err = app_row_at(c, &row);

	if (err == JY_OK && activation_uses_kek(&row.activation, label)) {
		return err_set(c->txn->ec, JY_EINUSE,
		    "application \"%s\" uses the KEK \"%s\"", row.name, label);
	}
	return err;
}

static enum jy_err
kek_erase(struct txn *t, const void *arg)
{
	const char *label = arg;
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_KEKS, slice_of_text(label), &value);

	if (err == JY_OK) {
		err = table_walk(t, TABLE_PEERS, NULL, peer_uses_kek, label);
	}
	if (err == JY_OK) {
		err = table_walk(t, TABLE_APPS, NULL, app_uses_kek, label);
	}
	if (err == JY_OK) {
		err =
		    table_walk(t, TABLE_DEVICES, NULL, device_uses_kek, label);
	}
	return err == JY_OK ? txn_del(t, TABLE_KEKS, slice_of_text(label))
			    : err;
}

enum jy_err
lmdb_kek_delete(struct store_db *db, const char *label, struct errctx *ec)
{
	return txn_update(lmdb_of(db), kek_erase, label, ec);
}

static enum jy_err
kek_read(const struct cursor *c, void *row)
{
	return kek_row_at(c, row);
}

enum jy_err
lmdb_kek_list(struct store_db *db, const char *after, struct kek_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	const struct named_page page = { kek_read, rows, sizeof(*rows), cap, n,
		more };

	return lmdb_named_list(db, TABLE_KEKS, after, &page, ec);
}

/* ---- peers ---- */

enum jy_err
lmdb_peer_get(struct store_db *db, const char *name, struct peer_row *row,
    struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = peer_row_get(&t, name, row);
		txn_end(&t);
	}
	return err;
}

/* Delete the credential under the cursor if it is the peer's. */
static enum jy_err
credential_forget(struct cursor *c, const void *arg)
{
	const struct slice *name = arg;

	if (c->value.len == name->len &&
	    memcmp(c->value.p, name->p, name->len) == 0) {
		return cursor_del(c);
	}
	return JY_OK;
}

/*
 * The credentials table is walked, not the old row's credentials: so none
 * can be left behind, even if that row is damaged.
 */
static enum jy_err
credentials_forget(struct txn *t, struct slice name)
{
	return table_walk(t, TABLE_CREDENTIALS, NULL, credential_forget, &name);
}

static enum jy_err
credential_take(
    struct txn *t, const struct credential *c, const struct peer_row *row)
{
	char text[CREDENTIAL_STR_LEN];
	char owner[STORE_LABEL_MAX + 1];
	struct slice key = slice_of_credential(c);
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_CREDENTIALS, key, &value);

	if (err == JY_ENOTFOUND) {
		return txn_put(
		    t, TABLE_CREDENTIALS, key, slice_of_text(row->name));
	}
	if (err == JY_OK) {
		err = label_read(t, TABLE_CREDENTIALS, key, value, owner);
	}
	if (err == JY_OK && strcmp(owner, row->name) != 0) {
		return err_set(t->ec, JY_EEXIST,
		    "peer \"%s\" has the credential %s", owner,
		    credential_str(c, text));
	}
	return err;
}

static enum jy_err
peer_write(struct txn *t, const void *arg)
{
	const struct peer_row *row = arg;
	struct credential all[CREDENTIALS_OF_PEER_MAX];
	size_t n = credentials_of_peer(row, all);
	struct peer_row next = *row;
	struct peer_row stored = { 0 };
	enum jy_err err = peer_row_get(t, row->name, &stored);

	err = revision_check(
	    t, err, stored.revision, row->revision, "peer", row->name);
	next.revision++;
	if (err == JY_OK) {
		err = credentials_forget(t, slice_of_text(row->name));
	}
	for (size_t i = 0; i < n && err == JY_OK; i++) {
		err = credential_take(t, &all[i], row);
	}
	return err == JY_OK ? peer_row_put(t, &next) : err;
}

enum jy_err
lmdb_peer_put(
    struct store_db *db, const struct peer_row *row, struct errctx *ec)
{
	return txn_update(lmdb_of(db), peer_write, row, ec);
}

static enum jy_err
peer_erase(struct txn *t, const void *arg)
{
	const char *name = arg;
	struct slice key = slice_of_text(name);
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_PEERS, key, &value);

	if (err == JY_OK) {
		err = credentials_forget(t, key);
	}
	return err == JY_OK ? txn_del(t, TABLE_PEERS, key) : err;
}

enum jy_err
lmdb_peer_delete(struct store_db *db, const char *name, struct errctx *ec)
{
	return txn_update(lmdb_of(db), peer_erase, name, ec);
}

static enum jy_err
peer_read(const struct cursor *c, void *row)
{
	return peer_row_at(c, row);
}

enum jy_err
lmdb_peer_list(struct store_db *db, const char *after, struct peer_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	const struct named_page page = { peer_read, rows, sizeof(*rows), cap, n,
		more };

	return lmdb_named_list(db, TABLE_PEERS, after, &page, ec);
}

enum jy_err
lmdb_peer_by_credential(struct store_db *db, const struct credential *c,
    struct peer_row *row, struct errctx *ec)
{
	struct slice key = slice_of_credential(c);
	char name[STORE_LABEL_MAX + 1];
	struct slice value;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = txn_get(&t, TABLE_CREDENTIALS, key, &value);
	if (err == JY_OK) {
		err = label_read(&t, TABLE_CREDENTIALS, key, value, name);
	}
	if (err == JY_OK) {
		err = peer_row_get(&t, name, row);
	}
	txn_end(&t);
	return err;
}

/* ---- the rest ---- */

enum jy_err
lmdb_meta_get(struct store_db *db, const char *key, uint8_t out[STORE_META_MAX],
    size_t *len, struct errctx *ec)
{
	struct slice value;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = txn_get(&t, TABLE_META, slice_of_text(key), &value);
	if (err == JY_OK && value.len > STORE_META_MAX) {
		err = txn_corrupt(&t, TABLE_META, slice_of_text(key), NULL);
	}
	if (err == JY_OK) {
		memcpy(out, value.p, value.len);
		*len = value.len;
	}
	txn_end(&t);
	return err;
}

struct meta {
	struct slice key;
	struct slice value;
};

static enum jy_err
meta_write(struct txn *t, const void *arg)
{
	const struct meta *m = arg;

	return txn_put(t, TABLE_META, m->key, m->value);
}

enum jy_err
lmdb_meta_put(struct store_db *db, const char *key, const uint8_t *value,
    size_t len, struct errctx *ec)
{
	const struct meta m = { slice_of_text(key), { value, len } };

	return txn_update(lmdb_of(db), meta_write, &m, ec);
}

struct meta_change {
	struct slice key;
	const struct meta_value *seen;
	const struct meta_value *next;
};

static enum jy_err
meta_change(struct txn *t, const void *arg)
{
	const struct meta_change *m = arg;
	struct slice there = { NULL, 0 };
	enum jy_err err = txn_get(t, TABLE_META, m->key, &there);

	if (err != JY_OK && err != JY_ENOTFOUND) {
		return err;
	}
	if (there.len != m->seen->len ||
	    (there.len > 0 &&
		memcmp(there.p, m->seen->octets, there.len) != 0)) {
		return JY_ECONFLICT;
	}
	return txn_put(t, TABLE_META, m->key,
	    (struct slice){ m->next->octets, m->next->len });
}

enum jy_err
lmdb_meta_swap(struct store_db *db, const char *key,
    const struct meta_value *seen, const struct meta_value *next,
    struct errctx *ec)
{
	const struct meta_change m = { slice_of_text(key), seen, next };

	return txn_update(lmdb_of(db), meta_change, &m, ec);
}
