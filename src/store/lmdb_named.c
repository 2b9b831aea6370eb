/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks and pages over tables in LMDB whose key is a name.  These tables are
 * small and seldom written: a walk over one is fine.
 */
#include "src/store/lmdb_named.h"

#include <string.h>

#include "src/store/lmdb_verbs.h"

struct slice
slice_behind(const char *name)
{
	return name != NULL ? slice_of_text(name) : FROM_FIRST;
}

enum jy_err
table_walk(struct txn *t, enum table table, struct slice key, visit_fn *visit,
    const void *arg)
{
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

/* JY_EFULL: one more follows.  The walk hands it to the lister alone. */
static enum jy_err
page_collect(struct cursor *c, const void *arg)
{
	const struct named_page *p = arg;
	enum jy_err err = JY_EFULL;

	if (*p->n < p->cap) {
		err = p->read(c, (uint8_t *)p->rows + *p->n * p->size);
		*p->n += err == JY_OK ? 1 : 0;
	}
	return err;
}

enum jy_err
lmdb_named_list(struct store_db *db, enum table table, struct slice after,
    const struct named_page *page, struct errctx *ec)
{
	struct named_page p = *page;
	size_t n = 0;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	p.n = &n;
	err = table_walk(&t, table, after, page_collect, &p);
	txn_end(&t);
	if (err == JY_OK || err == JY_EFULL) {
		*page->n = n;
		*page->more = err == JY_EFULL;
		err = JY_OK;
	}
	return err;
}

enum jy_err
revision_check(struct txn *t, enum jy_err err, uint32_t stored, uint32_t seen,
    const char *what, const char *name)
{
	if (err == JY_ENOTFOUND || (err == JY_ECORRUPT && txn_usable(t))) {
		/* A damaged row has lost its revision: it may be replaced. */
		err_clear(t->ec);
		stored = 0;
		err = JY_OK;
	}
	if (err == JY_OK && stored != seen) {
		return err_set(t->ec, JY_ECONFLICT,
		    "%s \"%s\" was changed meanwhile", what, name);
	}
	return err;
}
