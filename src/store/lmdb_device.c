/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, their names and nonces in LMDB.
 *
 * A damaged device row can be deleted and its EUIs registered again, so its
 * entry in the names table may be left over: a name counts as taken only
 * while the device it leads to is there and bears it.
 */
#include "src/store/lmdb_verbs.h"

#include <string.h>

#include "src/store/advance.h"
#include "src/store/lmdb_list.h"
#include "src/store/lmdb_rows.h"

#define NAME_KEY_MAX (STORE_LABEL_MAX + 1 + STORE_LABEL_MAX)

struct name_key {
	size_t len;
	uint8_t octets[NAME_KEY_MAX];
};

/* app NUL name */
static struct name_key
name_key_of(const char *app, const char *name)
{
	struct name_key k;
	size_t app_len = strnlen(app, STORE_LABEL_MAX);
	size_t name_len = strnlen(name, STORE_LABEL_MAX);

	memcpy(k.octets, app, app_len);
	k.octets[app_len] = '\0';
	memcpy(k.octets + app_len + 1, name, name_len);
	k.len = app_len + 1 + name_len;
	return k;
}

static struct slice
slice_of_name(const struct name_key *k)
{
	return (struct slice){ k->octets, k->len };
}

/* Which device bears the name; JY_ENOTFOUND also for a left-over entry. */
static enum jy_err
name_find(
    struct txn *t, const char *app, const char *name, struct device_id *id)
{
	struct name_key key = name_key_of(app, name);
	struct device_row row;
	struct slice value;
	struct device_id found;
	enum jy_err err = txn_get(t, TABLE_NAMES, slice_of_name(&key), &value);

	if (err == JY_OK) {
		err = device_id_read(
		    t, TABLE_NAMES, slice_of_name(&key), value, &found);
	}
	if (err == JY_OK) {
		err = device_row_get(t, &found, &row);
	}
	if (err != JY_OK) {
		return err;
	}
	if (strcmp(row.app, app) != 0 || strcmp(row.name, name) != 0) {
		return JY_ENOTFOUND;
	}
	*id = found;
	return JY_OK;
}

/* JY_EEXIST when another device bears the name. */
static enum jy_err
name_check(struct txn *t, const struct device_row *new)
{
	struct device_id owner;
	enum jy_err err;

	if (new->name[0] == '\0') {
		return JY_OK;
	}
	err = name_find(t, new->app, new->name, &owner);
	if (err == JY_OK && !device_id_eq(&owner, &new->id)) {
		return err_set(t->ec, JY_EEXIST,
		    "another device of app \"%s\" has the name \"%s\"",
		    new->app, new->name);
	}
	return err == JY_ENOTFOUND ? JY_OK : err;
}

/* Free the old name of a device and take the new one, which is free. */
static enum jy_err
name_change(
    struct txn *t, const struct device_row *old, const struct device_row *new)
{
	struct name_key key = name_key_of(old->app, old->name);
	enum jy_err err = JY_OK;

	if (old->name[0] != '\0') {
		err = txn_del(t, TABLE_NAMES, slice_of_name(&key));
	}
	if (err == JY_OK && new->name[0] != '\0') {
		key = name_key_of(new->app, new->name);
		err = txn_put(t, TABLE_NAMES, slice_of_name(&key),
		    slice_of_device(&new->id));
	}
	return err;
}

enum jy_err
lmdb_device_get(struct store_db *db, const struct device_id *id,
    struct device_row *row, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = device_row_get(&t, id, row);
		txn_end(&t);
	}
	return err;
}

/* Is row made of what is there? */
static enum jy_err
revision_check(
    struct txn *t, const struct device_row *old, const struct device_row *row)
{
	return old->revision == row->revision
	    ? JY_OK
	    : err_set(t->ec, JY_ECONFLICT, "the device has revision %u, not %u",
		  old->revision, row->revision);
}

/* What has passed its checks. */
static enum jy_err
row_write(
    struct txn *t, const struct device_row *old, const struct device_row *row)
{
	struct device_row new = *row;
	enum jy_err err;

	new.revision = row->revision + 1;
	err = name_change(t, old, &new);
	if (err == JY_OK) {
		err = app_index_change(t, old, &new);
	}
	return err == JY_OK ? device_row_put(t, &new) : err;
}

/* Raise the nonces of a device. */
static enum jy_err
nonces_start(struct txn *t, const struct device_change *c)
{
	const struct nonce_start *start = &c->start;
	struct slice key = slice_of_device(&c->row.id);
	uint8_t be[2];
	struct nonce_row row;
	enum jy_err err;

	if (start->join_nonce == 0 && !start->has_dev_nonce) {
		return JY_OK;
	}
	err = nonce_row_get(t, &c->row.id, &row);
	if (err != JY_OK) {
		return err;
	}
	nonces_raise(&row, start);
	err = nonce_row_put(t, &c->row.id, &row);
	if (err == JY_OK && start->has_dev_nonce && !start->counted) {
		be[0] = (uint8_t)(start->dev_nonce >> 8);
		be[1] = (uint8_t)start->dev_nonce;
		err = txn_put(
		    t, TABLE_DEVNONCES, key, (struct slice){ be, sizeof(be) });
	}
	return err;
}

/* What is wrong with an entry, found before anything of it is written. */
static enum jy_err
change_check(
    struct txn *t, const struct device_change *c, struct device_row *old)
{
	struct nonce_row nonces;
	enum jy_err err;

	*old = (struct device_row){ 0 };
	err = device_row_get(t, &c->row.id, old);
	if (err != JY_OK && err != JY_ENOTFOUND) {
		return err;
	}
	err = revision_check(t, old, &c->row);
	if (err == JY_OK) {
		err = name_check(t, &c->row);
	}
	if (err == JY_OK) {
		err = roots_check(t, c);
	}
	return err == JY_OK ? nonce_row_get(t, &c->row.id, &nonces) : err;
}

/*
 * An entry that fails its checks fails alone; what breaks the transaction is
 * returned.
 */
static enum jy_err
changes_write(struct txn *t, const void *arg)
{
	const struct device_batch *batch = arg;
	struct errctx *ec = t->ec;
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < batch->n && err == JY_OK; i++) {
		struct device_change *c = batch->changes[i];
		struct device_row old;

		t->ec = c->ec;
		c->err = change_check(t, c, &old);
		t->ec = ec;
		if (c->err == JY_OK) {
			err = row_write(t, &old, &c->row);
			if (err == JY_OK) {
				err = nonces_start(t, c);
			}
			if (err == JY_OK) {
				err = roots_put(t, c);
			}
		} else if (!txn_usable(t)) {
			err = c->err;
		}
	}
	return err;
}

enum jy_err
lmdb_device_put_batch(
    struct store_db *db, const struct device_batch *batch, struct errctx *ec)
{
	return txn_update(lmdb_of(db), changes_write, batch, ec);
}

static enum jy_err
sessions_delete(struct txn *t, const struct device_id *id)
{
	struct listed_session session;
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_DEVICE_SESSIONS, &c);

	if (err != JY_OK) {
		return err;
	}
	c.key = slice_of_device(id);
	err = cursor_move(&c, MOVE_KEY);
	while (err == JY_OK) {
		err = listed_session_at(&c, &session);
		if (err == JY_OK) {
			err = txn_del(
			    t, TABLE_SESSIONS, slice_of_session(session.id));
		}
		if (err == JY_OK) {
			err = cursor_move(&c, MOVE_NEXT_PAIR);
		}
	}
	cursor_close(&c);
	if (err != JY_ENOTFOUND) {
		return err;
	}
	return txn_del(t, TABLE_DEVICE_SESSIONS, slice_of_device(id));
}

struct erasure {
	const struct device_id *id;
	struct device_gone *gone;
};

/* A damaged row must not keep a device from being deleted. */
static enum jy_err
device_erase(struct txn *t, const void *arg)
{
	const struct erasure *e = arg;
	struct slice key = slice_of_device(e->id);
	struct device_row *old = &e->gone->row;
	struct device_row none = { 0 };
	struct errctx *ec = t->ec;
	enum jy_err err;

	*e->gone = (struct device_gone){ 0 };
	t->ec = NULL;
	err = device_row_get(t, e->id, old);
	t->ec = ec;
	if (err == JY_ECORRUPT && txn_usable(t)) {
		*old = none;
		err = JY_OK;
	}
	if (err == JY_OK) {
		err = name_change(t, old, &none);
	}
	if (err == JY_OK) {
		err = app_index_change(t, old, &none);
	}
	if (err == JY_OK) {
		err = sessions_delete(t, e->id);
	}
	if (err == JY_OK) {
		err = roots_erase(t, e->id, e->gone);
	}
	if (err == JY_OK) {
		err = txn_del(t, TABLE_REFUSALS, key);
	}
	return err == JY_OK ? txn_del(t, TABLE_DEVICES, key) : err;
}

enum jy_err
lmdb_device_delete(struct store_db *db, const struct device_id *id,
    struct device_gone *gone, struct errctx *ec)
{
	const struct erasure e = { id, gone };

	return txn_update(lmdb_of(db), device_erase, &e, ec);
}

/* Move on; the device there if its DevEUI is that one, else JY_ENOTFOUND. */
static enum jy_err
dev_eui_at(struct cursor *c, enum move move, const struct eui64 *dev_eui,
    struct device_id *id)
{
	enum jy_err err = cursor_move(c, move);

	if (err == JY_OK) {
		err = device_id_read(c->txn, c->table, c->key, c->key, id);
	}
	return err == JY_OK && !eui64_eq(&id->dev_eui, dev_eui) ? JY_ENOTFOUND
								: err;
}

enum jy_err
lmdb_device_by_dev_eui(struct store_db *db, const struct eui64 *dev_eui,
    struct device_id *id, struct errctx *ec)
{
	struct device_id found;
	struct device_id other;
	struct cursor c;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = cursor_open(&t, TABLE_DEVICES, &c);
	if (err == JY_OK) {
		c.key = (struct slice){ dev_eui->be, sizeof(dev_eui->be) };
		err = dev_eui_at(&c, MOVE_FROM, dev_eui, &found);
		if (err == JY_OK) {
			err = dev_eui_at(&c, MOVE_NEXT, dev_eui, &other);
			if (err == JY_OK) {
				err = JY_EEXIST;
			} else if (err == JY_ENOTFOUND) {
				err = JY_OK;
			}
		}
		cursor_close(&c);
	}
	txn_end(&t);
	if (err == JY_OK) {
		*id = found;
	}
	return err;
}

enum jy_err
lmdb_device_by_name(struct store_db *db, const char *app, const char *name,
    struct device_id *id, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = name_find(&t, app, name, id);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
dev_nonces_count(struct txn *t, const struct device_id *id, size_t *n)
{
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_DEVNONCES, &c);

	if (err != JY_OK) {
		return err;
	}
	*n = 0;
	c.key = slice_of_device(id);
	err = cursor_move(&c, MOVE_KEY);
	if (err == JY_OK) {
		err = cursor_count(&c, n);
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

enum jy_err
lmdb_nonces_get(struct store_db *db, const struct device_id *id,
    struct nonce_row *row, size_t *used, struct errctx *ec)
{
	struct nonce_row nonces;
	size_t n;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = nonce_row_get(&t, id, &nonces);
	if (err == JY_OK) {
		err = dev_nonces_count(&t, id, &n);
	}
	txn_end(&t);
	if (err == JY_OK) {
		*row = nonces;
		*used = n;
	}
	return err;
}

static enum jy_err
nonces_clear(struct txn *t, const void *arg)
{
	const struct device_id *id = arg;
	struct nonce_row row;
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_NONCES, slice_of_device(id), &value);

	if (err == JY_ENOTFOUND) {
		/* A device that never joined has nothing to forget. */
		return txn_get(t, TABLE_DEVICES, slice_of_device(id), &value);
	}
	if (err == JY_OK) {
		err = nonce_row_get(t, id, &row);
	}
	if (err == JY_OK) {
		nonces_forget(&row);
		err = nonce_row_put(t, id, &row);
	}
	return err == JY_OK ? txn_del(t, TABLE_DEVNONCES, slice_of_device(id))
			    : err;
}

enum jy_err
lmdb_nonces_reset(
    struct store_db *db, const struct device_id *id, struct errctx *ec)
{
	return txn_update(lmdb_of(db), nonces_clear, id, ec);
}
