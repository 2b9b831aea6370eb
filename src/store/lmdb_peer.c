/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEKs, peers with their credentials, and the installation's own values in
 * LMDB.  These tables are small and seldom written: a walk over one is fine,
 * and so is one over all devices when a KEK is deleted.
 */
#include "src/store/lmdb_verbs.h"

#include <string.h>

#include "src/store/lmdb_rows.h"

/*
 * Walk the rows of a table behind the text after (NULL: all).  visit stops
 * the walk with an error; the end is JY_OK.
 */
typedef enum jy_err visit_fn(struct cursor *c, void *arg);

static enum jy_err
table_walk(struct txn *t, enum table table, const char *after, visit_fn *visit,
    void *arg)
{
	struct slice key = slice_of_text(after != NULL ? after : "");
	struct cursor c;
	enum jy_err err = cursor_open(t, table, &c);

	if (err != JY_OK) {
		return err;
	}
	c.key = key;
	err = cursor_move(&c, key.len > 0 ? MOVE_FROM : MOVE_FIRST);
	if (err == JY_OK && key.len > 0 && c.key.len == key.len &&
	    memcmp(c.key.p, key.p, key.len) == 0) {
		err = cursor_move(&c, MOVE_NEXT);
	}
	while (err == JY_OK) {
		err = visit(&c, arg);
		if (err == JY_OK) {
			err = cursor_move(&c, MOVE_NEXT);
		}
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

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
kek_create(struct txn *t, const struct kek_row *row)
{
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
	struct txn t;
	enum jy_err err;

	do {
		err = txn_write(lmdb_of(db), &t, ec);
		if (err == JY_OK) {
			err = kek_create(&t, row);
		}
	} while (txn_finish(&t, &err));
	return err;
}

static enum jy_err
peer_uses_kek(struct cursor *c, void *arg)
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
device_uses_kek(struct cursor *c, void *arg)
{
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];
	const char *label = arg;
	struct device_row row;
	enum jy_err err = device_row_at(c, &row);

	if (err == JY_OK &&
	    (strcmp(row.activation.ns_kek, label) == 0 ||
		strcmp(row.activation.as_kek, label) == 0)) {
		return err_set(c->txn->ec, JY_EINUSE,
		    "device %s/%s uses the KEK \"%s\"",
		    eui64_str(&row.id.dev_eui, dev_eui),
		    eui64_str(&row.id.join_eui, join_eui), label);
	}
	return err;
}

static enum jy_err
kek_erase(struct txn *t, const char *label)
{
	char copy[STORE_LABEL_MAX + 1] = "";
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_KEKS, slice_of_text(label), &value);

	strncpy(copy, label, STORE_LABEL_MAX);
	if (err == JY_OK) {
		err = table_walk(t, TABLE_PEERS, NULL, peer_uses_kek, copy);
	}
	if (err == JY_OK) {
		err = table_walk(t, TABLE_DEVICES, NULL, device_uses_kek, copy);
	}
	return err == JY_OK ? txn_del(t, TABLE_KEKS, slice_of_text(label))
			    : err;
}

enum jy_err
lmdb_kek_delete(struct store_db *db, const char *label, struct errctx *ec)
{
	struct txn t;
	enum jy_err err;

	do {
		err = txn_write(lmdb_of(db), &t, ec);
		if (err == JY_OK) {
			err = kek_erase(&t, label);
		}
	} while (txn_finish(&t, &err));
	return err;
}

struct kek_page {
	struct kek_row *rows;
	size_t cap;
	size_t n;
};

/* JY_EFULL: one more follows.  The walk hands it to the lister alone. */
static enum jy_err
kek_collect(struct cursor *c, void *arg)
{
	struct kek_page *p = arg;
	enum jy_err err = JY_EFULL;

	if (p->n < p->cap) {
		err = kek_row_at(c, &p->rows[p->n]);
		p->n += err == JY_OK ? 1 : 0;
	}
	return err;
}

enum jy_err
lmdb_kek_list(struct store_db *db, const char *after, struct kek_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct kek_page p = { .rows = rows, .cap = cap };
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = table_walk(&t, TABLE_KEKS, after, kek_collect, &p);
	txn_end(&t);
	if (err == JY_OK || err == JY_EFULL) {
		*n = p.n;
		*more = err == JY_EFULL;
		err = JY_OK;
	}
	return err;
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
credential_forget(struct cursor *c, void *arg)
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

/* JY_ECONFLICT unless the stored row has the revision that was read. */
static enum jy_err
peer_check_revision(struct txn *t, const struct peer_row *row)
{
	struct peer_row stored = { 0 };
	enum jy_err err = peer_row_get(t, row->name, &stored);

	if (err == JY_ENOTFOUND || err == JY_ECORRUPT) {
		/* A damaged row has lost its revision: it may be replaced. */
		err_clear(t->ec);
		err = JY_OK;
	}
	if (err == JY_OK && stored.revision != row->revision) {
		return err_set(t->ec, JY_ECONFLICT,
		    "peer \"%s\" was changed meanwhile", row->name);
	}
	return err;
}

static enum jy_err
peer_write(struct txn *t, const struct peer_row *row)
{
	struct credential all[CREDENTIALS_OF_PEER_MAX];
	size_t n = credentials_of_peer(row, all);
	struct peer_row next = *row;
	enum jy_err err = peer_check_revision(t, row);

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
	struct txn t;
	enum jy_err err;

	do {
		err = txn_write(lmdb_of(db), &t, ec);
		if (err == JY_OK) {
			err = peer_write(&t, row);
		}
	} while (txn_finish(&t, &err));
	return err;
}

static enum jy_err
peer_erase(struct txn *t, const char *name)
{
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
	struct txn t;
	enum jy_err err;

	do {
		err = txn_write(lmdb_of(db), &t, ec);
		if (err == JY_OK) {
			err = peer_erase(&t, name);
		}
	} while (txn_finish(&t, &err));
	return err;
}

struct peer_page {
	struct peer_row *rows;
	size_t cap;
	size_t n;
};

/* As kek_collect(). */
static enum jy_err
peer_collect(struct cursor *c, void *arg)
{
	struct peer_page *p = arg;
	enum jy_err err = JY_EFULL;

	if (p->n < p->cap) {
		err = peer_row_at(c, &p->rows[p->n]);
		p->n += err == JY_OK ? 1 : 0;
	}
	return err;
}

enum jy_err
lmdb_peer_list(struct store_db *db, const char *after, struct peer_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct peer_page p = { .rows = rows, .cap = cap };
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = table_walk(&t, TABLE_PEERS, after, peer_collect, &p);
	txn_end(&t);
	if (err == JY_OK || err == JY_EFULL) {
		*n = p.n;
		*more = err == JY_EFULL;
		err = JY_OK;
	}
	return err;
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

enum jy_err
lmdb_meta_put(struct store_db *db, const char *key, const uint8_t *value,
    size_t len, struct errctx *ec)
{
	struct txn t;
	enum jy_err err;

	do {
		err = txn_write(lmdb_of(db), &t, ec);
		if (err == JY_OK) {
			err = txn_put(&t, TABLE_META, slice_of_text(key),
			    (struct slice){ value, len });
		}
	} while (txn_finish(&t, &err));
	return err;
}
