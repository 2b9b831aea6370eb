/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of devices in LMDB: a range of the devices' keys, or of those that
 * the table app_devices has for an application.  Either costs what it gives,
 * however many devices there are.
 */
#include "src/store/lmdb_list.h"

#include <string.h>

#include "src/store/lmdb_rows.h"
#include "src/store/lmdb_verbs.h"

/* ---- the devices of applications ---- */

static enum jy_err
app_index_put(struct txn *t, const struct device_row *row)
{
	return row->app[0] != '\0'
	    ? txn_put(t, TABLE_APP_DEVICES, slice_of_text(row->app),
		  slice_of_device(&row->id))
	    : JY_OK;
}

enum jy_err
app_index_change(
    struct txn *t, const struct device_row *old, const struct device_row *new)
{
	enum jy_err err = JY_OK;

	if (strcmp(old->app, new->app) == 0) {
		return JY_OK;
	}
	if (old->app[0] != '\0') {
		err = txn_del_pair(t, TABLE_APP_DEVICES,
		    slice_of_text(old->app), slice_of_device(&old->id));
	}
	return err == JY_OK ? app_index_put(t, new) : err;
}

enum jy_err
app_index_fill(struct txn *t)
{
	struct device_row row;
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_DEVICES, &c);

	if (err == JY_OK) {
		err = cursor_move(&c, MOVE_FIRST);
	}
	while (err == JY_OK) {
		err = device_row_at(&c, &row);
		if (err == JY_OK) {
			err = app_index_put(t, &row);
		} else if (err == JY_ECORRUPT && txn_usable(t)) {
			err = JY_OK;
		}
		if (err == JY_OK) {
			err = cursor_move(&c, MOVE_NEXT);
		}
	}
	cursor_close(&c);
	return err == JY_ENOTFOUND ? JY_OK : err;
}

/* ---- a walk ---- */

/* Over all devices, or those of an application, in the same order. */
struct walk {
	struct cursor c;
	const struct device_query *query;
	bool by_app;
	struct device_id id; /* where it is */
};

/* Move; JY_ENOTFOUND also when what comes is behind the prefix. */
static enum jy_err
walk_move(struct walk *w, enum move move)
{
	enum jy_err err = cursor_move(&w->c, move);

	if (err == JY_OK) {
		err = device_id_read(w->c.txn, w->c.table, w->c.key,
		    w->by_app ? w->c.value : w->c.key, &w->id);
	}
	return err == JY_OK &&
		!eui64_prefix_has(&w->query->prefix, &w->id.dev_eui)
	    ? JY_ENOTFOUND
	    : err;
}

static enum jy_err
walk_next(struct walk *w)
{
	return walk_move(w, w->by_app ? MOVE_NEXT_PAIR : MOVE_NEXT);
}

/* To the first device of the prefix that lies behind query->after. */
static enum jy_err
walk_first(struct walk *w)
{
	const struct device_query *q = w->query;
	struct device_id from = { .dev_eui = q->prefix.eui };
	bool behind =
	    q->after != NULL && memcmp(q->after, &from, sizeof(from)) >= 0;
	enum jy_err err;

	if (behind) {
		from = *q->after;
	}
	if (w->by_app) {
		w->c.key = slice_of_text(q->app);
		w->c.value = slice_of_device(&from);
		err = walk_move(w, MOVE_PAIR_FROM);
	} else {
		w->c.key = slice_of_device(&from);
		err = walk_move(w, MOVE_FROM);
	}
	return err == JY_OK && behind && device_id_eq(&w->id, &from)
	    ? walk_next(w)
	    : err;
}

static enum jy_err
walk_open(struct walk *w, struct txn *t, const struct device_query *query)
{
	*w = (struct walk){ .query = query,
		.by_app = query->app != NULL && query->app[0] != '\0' };
	return cursor_open(
	    t, w->by_app ? TABLE_APP_DEVICES : TABLE_DEVICES, &w->c);
}

/* The row of the device there; JY_ENOTFOUND for an entry that is left over. */
static enum jy_err
walk_row(struct walk *w, struct device_row *row)
{
	enum jy_err err;

	if (!w->by_app) {
		return device_row_at(&w->c, row);
	}
	err = device_row_get(w->c.txn, &w->id, row);
	return err == JY_OK && strcmp(row->app, w->query->app) != 0
	    ? JY_ENOTFOUND
	    : err;
}

/* ---- what is asked for ---- */

enum jy_err
app_index_any(struct txn *t, const char *app, struct device_id *id)
{
	const struct device_query query = { .app = app };
	struct device_row row;
	struct walk w;
	enum jy_err err = walk_open(&w, t, &query);

	if (err == JY_OK) {
		err = walk_first(&w);
	}
	while (err == JY_OK) {
		err = walk_row(&w, &row);
		if (err != JY_ENOTFOUND) {
			break;
		}
		err = walk_next(&w);
	}
	cursor_close(&w.c);
	if (err == JY_OK) {
		*id = row.id;
	}
	return err;
}

/* Fill the page; JY_ENOTFOUND when there is no more. */
static enum jy_err
page_fill(struct walk *w, const struct device_rows *to, struct device_page *p)
{
	enum jy_err err = walk_first(w);

	while (err == JY_OK && p->n < to->cap) {
		err = walk_row(w, &to->rows[p->n]);
		if (err == JY_OK) {
			p->last = w->id;
			p->n++;
		}
		if (err == JY_OK || err == JY_ENOTFOUND) {
			err = walk_next(w);
		}
	}
	return err;
}

enum jy_err
lmdb_device_list(struct store_db *db, const struct device_query *query,
    const struct device_rows *to, struct device_page *page, struct errctx *ec)
{
	struct device_page p = { .n = 0 };
	struct walk w;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = walk_open(&w, &t, query);
	if (err == JY_OK) {
		err = page_fill(&w, to, &p);
		cursor_close(&w.c);
	}
	txn_end(&t);
	if (err != JY_OK && err != JY_ENOTFOUND) {
		return err;
	}
	p.more = err == JY_OK;
	*page = p;
	return JY_OK;
}
