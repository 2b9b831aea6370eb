/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEKs and their generations in LMDB.  The table is small and seldom written:
 * a walk over it is fine, and so is one over all devices when a KEK is
 * deleted.
 */
#include "src/store/lmdb_verbs.h"

#include <string.h>

#include "src/store/generation.h"
#include "src/store/lmdb_named.h"
#include "src/store/lmdb_rows.h"

/* ---- the generations of a label ---- */

/* Whether a key is one of a generation of the label. */
static bool
is_of_label(const struct cursor *c, const char *label)
{
	size_t len = strlen(label);

	return c->key.len >= len && memcmp(c->key.p, label, len) == 0 &&
	    (c->key.len == len || c->key.p[len] == '\0');
}

/* Visit the generations of a label, oldest first. */
static enum jy_err
label_walk(struct txn *t, const char *label, visit_fn *visit, const void *arg)
{
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_KEKS, &c);

	if (err != JY_OK) {
		return err;
	}
	c.key = slice_of_text(label);
	err = cursor_move(&c, MOVE_FROM);
	while (err == JY_OK && is_of_label(&c, label)) {
		err = visit(&c, arg);
		if (err == JY_OK) {
			err = cursor_move(&c, MOVE_NEXT);
		}
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

/* Where a visit puts what it reads. */
struct collected {
	struct kek_set *set;
};

static enum jy_err
collect(struct cursor *c, const void *arg)
{
	const struct collected *to = arg;
	struct kek_set *set = to->set;
	enum jy_err err;

	if (set->n == STORE_KEK_GENERATIONS_MAX) {
		return err_set(c->txn->ec, JY_ECORRUPT,
		    "keks: too many generations of a label");
	}
	err = kek_row_at(c, &set->rows[set->n]);
	set->n += err == JY_OK ? 1 : 0;
	return err;
}

/* JY_ENOTFOUND when there is none. */
static enum jy_err
label_read_all(struct txn *t, const char *label, struct kek_set *out)
{
	const struct collected to = { out };
	enum jy_err err;

	out->n = 0;
	err = label_walk(t, label, collect, &to);
	return err == JY_OK && out->n == 0 ? JY_ENOTFOUND : err;
}

enum jy_err
lmdb_kek_get(struct store_db *db, const char *label, struct kek_set *out,
    struct errctx *ec)
{
	struct kek_set set = { .n = 0 };
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = label_read_all(&t, label, &set);
	txn_end(&t);
	if (err == JY_OK) {
		*out = set;
	}
	return err;
}

/* ---- adding ---- */

static enum jy_err
wire_label_free(struct cursor *c, const void *arg)
{
	const struct kek_row *wanted = arg;
	struct kek_row row;
	enum jy_err err = kek_row_at(c, &row);

	if (err == JY_OK && strcmp(row.wire_label, wanted->wire_label) == 0) {
		return kek_wire_label_taken(&row, c->txn->ec);
	}
	return err;
}

static enum jy_err
kek_create(struct txn *t, const void *arg)
{
	const struct kek_row *row = arg;
	struct kek_set set = { .n = 0 };
	enum jy_err err = label_read_all(t, row->label, &set);

	if (err == JY_OK || err == JY_ENOTFOUND) {
		err = kek_may_follow(&set, row, t->ec);
	}
	if (err == JY_OK) {
		err =
		    table_walk(t, TABLE_KEKS, FROM_FIRST, wire_label_free, row);
	}
	return err == JY_OK ? kek_row_put(t, row) : err;
}

enum jy_err
lmdb_kek_add(struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	return txn_update(lmdb_of(db), kek_create, row, ec);
}

/* ---- removing ---- */

static enum jy_err
kek_drop(struct txn *t, const void *arg)
{
	const struct kek_row *row = arg;
	struct kek_key key;
	struct slice at = kek_key_make(&key, row->label, row->generation);
	struct kek_set set = { .n = 0 };
	struct kek_row heir;
	enum jy_err err = label_read_all(t, row->label, &set);

	if (err == JY_OK) {
		err = kek_may_retire(&set, row, t->ec);
	}
	if (err == JY_OK) {
		err = txn_del(t, TABLE_KEKS, at);
	}
	return err == JY_OK && kek_heir(&set, row, &heir)
	    ? kek_row_put(t, &heir)
	    : err;
}

enum jy_err
lmdb_kek_retire(
    struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	return txn_update(lmdb_of(db), kek_drop, row, ec);
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

/* JY_EINUSE when there is one: a damaged row goes with the others. */
static enum jy_err
is_there(struct cursor *c, const void *arg)
{
	(void)c;
	(void)arg;
	return JY_EINUSE;
}

static enum jy_err
erase(struct cursor *c, const void *arg)
{
	(void)arg;
	return cursor_del(c);
}

static enum jy_err
kek_erase(struct txn *t, const void *arg)
{
	static const struct {
		enum table table;
		visit_fn *uses;
	} users[] = {
		{ TABLE_PEERS, peer_uses_kek },
		{ TABLE_APPS, app_uses_kek },
		{ TABLE_DEVICES, device_uses_kek },
	};
	enum jy_err err = label_walk(t, arg, is_there, NULL);

	if (err != JY_EINUSE) {
		return err == JY_OK ? JY_ENOTFOUND : err;
	}
	err = JY_OK;
	for (size_t i = 0; i < ARRAY_LEN(users) && err == JY_OK; i++) {
		err = table_walk(
		    t, users[i].table, FROM_FIRST, users[i].uses, arg);
	}
	return err == JY_OK ? label_walk(t, arg, erase, NULL) : err;
}

enum jy_err
lmdb_kek_delete(struct store_db *db, const char *label, struct errctx *ec)
{
	return txn_update(lmdb_of(db), kek_erase, label, ec);
}

/* ---- listing ---- */

static enum jy_err
kek_read(const struct cursor *c, void *row)
{
	return kek_row_at(c, row);
}

enum jy_err
lmdb_kek_list(struct store_db *db, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	const struct named_page page = { kek_read, rows, sizeof(*rows), cap, n,
		more };
	struct kek_key key;

	return lmdb_named_list(db, TABLE_KEKS,
	    after != NULL ? kek_key_make(&key, after->label, after->generation)
			  : FROM_FIRST,
	    &page, ec);
}
