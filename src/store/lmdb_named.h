/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the small tables share whose key is a name: applications, KEKs, peers.
 * Private to the lmdb backend.
 */
#ifndef JY_STORE_LMDB_NAMED_H
#define JY_STORE_LMDB_NAMED_H

#include "src/store/lmdb_txn.h"

/* Where a walk over a table begins: behind a key, or at the first. */
#define FROM_FIRST ((struct slice){ .len = 0 })

/* Behind a name; NULL: at the first. */
struct slice slice_behind(const char *name);

/*
 * Visit the rows of a table behind a key.  visit stops the walk with an error;
 * the end is JY_OK.
 */
typedef enum jy_err visit_fn(struct cursor *c, const void *arg);

enum jy_err table_walk(struct txn *t, enum table table, struct slice after,
    visit_fn *visit, const void *arg) JY_CHECK;

/* Rows of a size go here, decoded from a cursor by read. */
struct named_page {
	enum jy_err (*read)(const struct cursor *c, void *row);
	void *rows;
	size_t size; /* of a row */
	size_t cap;
	size_t *n;
	bool *more;
};

/* A list verb: up to cap rows behind the key after. */
enum jy_err lmdb_named_list(struct store_db *db, enum table table,
    struct slice after, const struct named_page *page,
    struct errctx *ec) JY_CHECK;

/*
 * What reading a row before its replacement gave: err, and if that is JY_OK,
 * the revision stored.  JY_ECONFLICT, naming the row, when that is not the one
 * seen.  No row, or a damaged one, which has lost it, has revision 0.
 */
enum jy_err revision_check(struct txn *t, enum jy_err err, uint32_t stored,
    uint32_t seen, const char *what, const char *name) JY_CHECK;

#endif
