/* SPDX-License-Identifier: Apache-2.0 */
/* Applications in LMDB. */
#include "src/store/lmdb_list.h"
#include "src/store/lmdb_named.h"
#include "src/store/lmdb_rows.h"
#include "src/store/lmdb_verbs.h"

enum jy_err
lmdb_app_get(struct store_db *db, const char *name, struct app_row *row,
    struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = app_row_get(&t, name, row);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
app_write(struct txn *t, const void *arg)
{
	const struct app_row *row = arg;
	struct app_row stored = { 0 };
	struct app_row next = *row;
	enum jy_err err = app_row_get(t, row->name, &stored);

	err = revision_check(
	    t, err, stored.revision, row->revision, "application", row->name);
	next.revision++;
	return err == JY_OK ? app_row_put(t, &next) : err;
}

enum jy_err
lmdb_app_put(struct store_db *db, const struct app_row *row, struct errctx *ec)
{
	return txn_update(lmdb_of(db), app_write, row, ec);
}

/* JY_EINUSE when a device belongs to the application. */
static enum jy_err
check_empty(struct txn *t, const char *name)
{
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];
	struct device_id id;
	enum jy_err err = app_index_any(t, name, &id);

	if (err == JY_OK) {
		return err_set(t->ec, JY_EINUSE,
		    "device %s/%s belongs to the application \"%s\"",
		    eui64_str(&id.dev_eui, dev_eui),
		    eui64_str(&id.join_eui, join_eui), name);
	}
	return err == JY_ENOTFOUND ? JY_OK : err;
}

static enum jy_err
app_erase(struct txn *t, const void *arg)
{
	struct slice key = slice_of_text(arg);
	struct slice value;
	enum jy_err err = txn_get(t, TABLE_APPS, key, &value);

	if (err == JY_OK) {
		err = check_empty(t, arg);
	}
	return err == JY_OK ? txn_del(t, TABLE_APPS, key) : err;
}

enum jy_err
lmdb_app_delete(struct store_db *db, const char *name, struct errctx *ec)
{
	return txn_update(lmdb_of(db), app_erase, name, ec);
}

static enum jy_err
app_read(const struct cursor *c, void *row)
{
	return app_row_at(c, row);
}

enum jy_err
lmdb_app_list(struct store_db *db, const char *after, struct app_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	const struct named_page page = { app_read, rows, sizeof(*rows), cap, n,
		more };

	return lmdb_named_list(db, TABLE_APPS, slice_behind(after), &page, ec);
}
