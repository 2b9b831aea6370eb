/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions on LMDB, private to the lmdb backend: what its verbs are
 * written with.  lmdb.c implements it and alone sees LMDB itself.
 *
 * A verb that reads:
 *
 *	err = txn_read(db, &t, ec);
 *	if (err != JY_OK) return err;
 *	...
 *	txn_end(&t);
 *
 * A verb that writes may have to run again, with a larger map, so it is a
 * function that txn_update() calls.
 *
 * A transaction belongs to the thread that began it.  Slices that point into
 * the database are valid until the next write or the end.
 */
#ifndef JY_STORE_LMDB_TXN_H
#define JY_STORE_LMDB_TXN_H

#include "src/store/backend.h"

struct lmdb;
struct MDB_txn;
struct MDB_cursor;

enum table {
	TABLE_META,
	TABLE_DEVICES,
	TABLE_NAMES,
	TABLE_NONCES,
	TABLE_DEVNONCES,
	TABLE_SESSIONS,
	TABLE_DEVICE_SESSIONS,
	TABLE_REFUSALS,
	TABLE_APPS,
	TABLE_KEKS,
	TABLE_PEERS,
	TABLE_CREDENTIALS,
	TABLE_ROOTS,
	TABLE_AUDIT,
	TABLE_APP_DEVICES,
	TABLE_COUNT
};

struct slice {
	const uint8_t *p;
	size_t len;
};

struct slice slice_of_text(const char *text);

struct txn {
	struct lmdb *db;
	struct MDB_txn *handle; /* NULL: it did not begin */
	struct errctx *ec;
	bool write;
	bool changed;    /* something was written */
	int rc;          /* what LMDB said first, if it failed */
	size_t map_size; /* under which it began */
};

enum jy_err txn_read(
    struct lmdb *db, struct txn *t, struct errctx *ec) JY_CHECK;
void txn_end(struct txn *t);

/* What a verb writes; on an error all of it is dropped. */
typedef enum jy_err txn_fn(struct txn *t, const void *arg);

/*
 * Run write in a transaction and commit it; once more each time the map was
 * too small and has grown.
 */
enum jy_err txn_update(struct lmdb *db, txn_fn *write, const void *arg,
    struct errctx *ec) JY_CHECK;

/* True while the transaction can go on: an error was the row's, not its. */
bool txn_usable(const struct txn *t) JY_CHECK;

/* JY_ENOTFOUND, without a detail, when there is no such key (or pair). */
enum jy_err txn_get(struct txn *t, enum table table, struct slice key,
    struct slice *value) JY_CHECK;
enum jy_err txn_get_pair(struct txn *t, enum table table, struct slice key,
    struct slice value) JY_CHECK;

/* Replace; in a table of pairs: add, and a pair that is there is fine. */
enum jy_err txn_put(struct txn *t, enum table table, struct slice key,
    struct slice value) JY_CHECK;

/* What is not there is fine; in a table of pairs every pair of the key. */
enum jy_err txn_del(struct txn *t, enum table table, struct slice key) JY_CHECK;
enum jy_err txn_del_pair(struct txn *t, enum table table, struct slice key,
    struct slice value) JY_CHECK;

/* How many entries the table has. */
enum jy_err txn_count(struct txn *t, enum table table, uint64_t *n) JY_CHECK;

/* A walk over a table; close before the transaction ends. */
struct cursor {
	struct txn *txn;
	enum table table;
	struct MDB_cursor *handle;
	struct slice key;
	struct slice value;
};

enum move {
	MOVE_FIRST,
	MOVE_FROM, /* to cursor->key, else the next behind it */
	MOVE_NEXT,
	MOVE_PAIR_FROM, /* cursor->key; to cursor->value, else the next pair */
	MOVE_KEY,       /* to cursor->key and the first of its pairs */
	MOVE_NEXT_PAIR, /* within the key */
	MOVE_LAST_PAIR,
	MOVE_PREV_PAIR
};

enum jy_err cursor_open(
    struct txn *t, enum table table, struct cursor *c) JY_CHECK;
void cursor_close(struct cursor *c);

/* Fill in key and value; JY_ENOTFOUND at the end. */
enum jy_err cursor_move(struct cursor *c, enum move move) JY_CHECK;

/* How many pairs the key has, after a move to one of them. */
enum jy_err cursor_count(struct cursor *c, size_t *n) JY_CHECK;
enum jy_err cursor_del(struct cursor *c) JY_CHECK;

/* JY_ECORRUPT with table, key and what is wrong as detail. */
enum jy_err txn_corrupt(struct txn *t, enum table table, struct slice key,
    const struct errctx *why);

#endif
