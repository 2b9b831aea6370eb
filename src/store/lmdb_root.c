/* SPDX-License-Identifier: Apache-2.0 */
/* Root keys outside the token, and which storage keys wrap them, in LMDB. */
#include <string.h>

#include "src/store/lmdb_rows.h"
#include "src/store/lmdb_verbs.h"

static enum jy_err
state_get(struct txn *t, struct storage_state *state)
{
	struct slice key = slice_of_text(META_STORAGE), value;
	struct errctx why = ERRCTX_INIT;
	enum jy_err err = txn_get(t, TABLE_META, key, &value);

	if (err == JY_ENOTFOUND) {
		*state = (struct storage_state){ 0 };
		return JY_OK;
	}
	if (err == JY_OK &&
	    storage_state_decode(value.p, value.len, state, &why) != JY_OK) {
		err = txn_corrupt(t, TABLE_META, key, &why);
	}
	return err;
}

/* ---- in the transactions of devices ---- */

enum jy_err
roots_check(struct txn *t, const struct device_change *c)
{
	struct storage_state state;
	enum jy_err err = c->root_count > 0 ? state_get(t, &state) : JY_OK;

	for (size_t i = 0; err == JY_OK && i < c->root_count; i++) {
		err = storage_state_allows(&state, &c->roots[i], t->ec);
	}
	return err;
}

enum jy_err
roots_put(struct txn *t, const struct device_change *c)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < c->root_count; i++) {
		err = root_row_put(t, &c->roots[i]);
	}
	return err;
}

enum jy_err
roots_erase(struct txn *t, const struct device_id *id, struct device_gone *gone)
{
	struct device_key key;
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_ROOTS, &c);

	if (err != JY_OK) {
		return err;
	}
	for (;;) {
		c.key = slice_of_device(id);
		err = cursor_move(&c, MOVE_FROM);
		if (err != JY_OK || c.key.len < sizeof(*id) ||
		    memcmp(c.key.p, id, sizeof(*id)) != 0) {
			break;
		}
		/* What the row says does not matter: it may be damaged. */
		if (root_key_read(c.key, &key)) {
			device_gone_add(gone, &key);
		}
		err = cursor_del(&c);
		if (err != JY_OK) {
			break;
		}
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

/* ---- the verbs ---- */

enum jy_err
lmdb_root_get(struct store_db *db, const struct device_id *device,
    const struct device_key *key, struct root_row *row, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = root_row_get(&t, device, key, row);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
root_erase(struct txn *t, const struct root_ref *ref, bool *found)
{
	const struct root_key key = root_key_of(&ref->device, &ref->key);
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_ROOTS, slice_of_root(&key), &value);

	*found = err == JY_OK;
	if (err == JY_ENOTFOUND) {
		return JY_OK;
	}
	return err == JY_OK ? txn_del(t, TABLE_ROOTS, slice_of_root(&key))
			    : err;
}

static enum jy_err
roots_each_erase(struct txn *t, const void *arg)
{
	const struct root_erasing *erasing = arg;
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < erasing->n; i++) {
		err = root_erase(t, &erasing->refs[i], &erasing->found[i]);
	}
	return err;
}

enum jy_err
lmdb_root_delete(
    struct store_db *db, const struct root_erasing *erasing, struct errctx *ec)
{
	return txn_update(lmdb_of(db), roots_each_erase, erasing, ec);
}

/* To the first row behind after, or the first of all. */
static enum jy_err
seek(struct cursor *c, const struct root_row *after)
{
	struct root_key key;
	enum jy_err err;

	if (after == NULL) {
		return cursor_move(c, MOVE_FIRST);
	}
	key = root_key_of(&after->device, &after->key);
	c->key = slice_of_root(&key);
	err = cursor_move(c, MOVE_FROM);
	return err == JY_OK && c->key.len == sizeof(key) &&
		memcmp(c->key.p, &key, sizeof(key)) == 0
	    ? cursor_move(c, MOVE_NEXT)
	    : err;
}

static enum jy_err
page(struct txn *t, const struct root_row *after, struct root_row *rows,
    size_t cap, size_t *n)
{
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_ROOTS, &c);

	*n = 0;
	if (err != JY_OK) {
		return err;
	}
	err = seek(&c, after);
	while (err == JY_OK && *n < cap) {
		err = root_row_at(&c, &rows[*n]);
		if (err == JY_OK) {
			++*n;
			err = cursor_move(&c, MOVE_NEXT);
		}
	}
	cursor_close(&c);
	return err;
}

enum jy_err
lmdb_root_list(struct store_db *db, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = page(&t, after, rows, cap, n);
	txn_end(&t);
	*more = err == JY_OK;
	return err == JY_ENOTFOUND ? JY_OK : err;
}

enum jy_err
lmdb_root_count(struct store_db *db, uint64_t *n, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = txn_count(&t, TABLE_ROOTS, n);
		txn_end(&t);
	}
	return err;
}

static bool
same_root(const struct root_row *a, const struct root_row *b)
{
	return a->storage == b->storage &&
	    memcmp(a->blob, b->blob, sizeof(a->blob)) == 0 &&
	    memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static enum jy_err
root_swap(struct txn *t, const struct root_change *c, size_t *replaced)
{
	struct root_row now;
	enum jy_err err = root_row_get(t, &c->seen.device, &c->seen.key, &now);

	if (err == JY_ENOTFOUND ||
	    (err == JY_OK && !same_root(&now, &c->seen))) {
		return JY_OK; /* somebody else was faster */
	}
	if (err == JY_OK) {
		err = root_row_put(t, &c->row);
	}
	if (err == JY_OK) {
		++*replaced;
	}
	return err;
}

static enum jy_err
roots_swap(struct txn *t, const void *arg)
{
	const struct root_batch *batch = arg;
	struct storage_state state;
	size_t replaced = 0;
	enum jy_err err = state_get(t, &state);

	state.old = 0; /* away from it, never back to it */
	for (size_t i = 0; err == JY_OK && i < batch->n; i++) {
		err =
		    storage_state_allows(&state, &batch->changes[i].row, t->ec);
		if (err == JY_OK) {
			err = root_swap(t, &batch->changes[i], &replaced);
		}
	}
	*batch->replaced = err == JY_OK ? replaced : 0;
	return err;
}

enum jy_err
lmdb_root_replace(
    struct store_db *db, const struct root_batch *batch, struct errctx *ec)
{
	return txn_update(lmdb_of(db), roots_swap, batch, ec);
}

enum jy_err
lmdb_storage_get(
    struct store_db *db, struct storage_state *state, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = state_get(&t, state);
		txn_end(&t);
	}
	return err;
}

struct state_change {
	const struct storage_state *seen;
	const struct storage_state *state;
};

/* JY_EINUSE when a row needs a storage key that the state forgets. */
static enum jy_err
check_needed(struct txn *t, const struct storage_state *state)
{
	struct root_row row;
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_ROOTS, &c);

	if (err != JY_OK) {
		return err;
	}
	err = cursor_move(&c, MOVE_FIRST);
	while (err == JY_OK) {
		err = root_row_at(&c, &row);
		if (err == JY_OK &&
		    storage_state_allows(state, &row, NULL) != JY_OK) {
			err = err_set(t->ec, JY_EINUSE,
			    "root keys are still wrapped under storage key "
			    "%08x",
			    row.storage);
		}
		if (err == JY_OK) {
			err = cursor_move(&c, MOVE_NEXT);
		}
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

static enum jy_err
state_write(struct txn *t, const void *arg)
{
	const struct state_change *c = arg;
	uint8_t octets[STORAGE_STATE_LEN];
	struct storage_state now;
	enum jy_err err = state_get(t, &now);

	if (err == JY_OK &&
	    (now.current != c->seen->current || now.old != c->seen->old)) {
		return err_set(t->ec, JY_ECONFLICT,
		    "somebody else replaces the storage key");
	}
	if (err == JY_OK && !storage_state_keeps(c->seen, c->state)) {
		err = check_needed(t, c->state);
	}
	if (err != JY_OK) {
		return err;
	}
	storage_state_encode(c->state, octets);
	return txn_put(t, TABLE_META, slice_of_text(META_STORAGE),
	    (struct slice){ octets, sizeof(octets) });
}

enum jy_err
lmdb_storage_set(struct store_db *db, const struct storage_state *seen,
    const struct storage_state *state, struct errctx *ec)
{
	const struct state_change c = { seen, state };

	return txn_update(lmdb_of(db), state_write, &c, ec);
}
