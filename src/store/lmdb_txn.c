/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions and cursors of LMDB.  It knows tables, keys and octets, no
 * rows.  Keeping transactions that read for the next reader, as LMDB offers,
 * was measured and gained nothing.
 */
#include "src/store/lmdb_txn.h"

#include <string.h>

#include <lmdb.h>

#include "src/store/lmdb_env.h"

/*
 * What an operation within a transaction gave.  MDB_MAP_FULL has no detail
 * yet: the verb may run again and succeed.
 */
static enum jy_err
txn_result(struct txn *t, enum table table, int rc)
{
	if (rc == MDB_SUCCESS) {
		return JY_OK;
	}
	if (rc == MDB_NOTFOUND) {
		return JY_ENOTFOUND;
	}
	t->rc = t->rc == 0 ? rc : t->rc;
	return rc == MDB_MAP_FULL
	    ? JY_EFULL
	    : lmdb_rc_fail(t->ec, rc, lmdb_tables[table].name);
}

bool
txn_usable(const struct txn *t)
{
	return t->rc == 0;
}

/* ---- transactions ---- */

/* Begin under map_lock; on success the lock is kept. */
static int
begin_locked(struct txn *t)
{
	struct lmdb *db = t->db;
	MDB_txn *txn = NULL;
	int rc = MDB_PANIC;

	(void)pthread_rwlock_rdlock(&db->map_lock);
	if (db->env != NULL) {
		rc = mdb_txn_begin(
		    db->env, NULL, t->write ? 0 : MDB_RDONLY, &txn);
	}
	if (rc == 0) {
		t->handle = txn;
		t->map_size = t->write ? lmdb_map_size(db) : 0;
	} else {
		(void)pthread_rwlock_unlock(&db->map_lock);
	}
	return rc;
}

/* Begin; what can be mended first, is mended, a bounded number of times. */
static enum jy_err
txn_begin(struct lmdb *db, struct txn *t, bool write, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	int rc;

	*t = (struct txn){ .db = db, .write = write, .ec = ec };
	rc = begin_locked(t);
	for (int i = 0; i < 8 && rc != 0 && err == JY_OK; i++) {
		if (rc == MDB_PANIC) {
			err = lmdb_restart(db, ec);
		} else if (rc == MDB_MAP_RESIZED) {
			lmdb_map_follow(db);
		} else if (rc == MDB_READERS_FULL) {
			lmdb_readers_sweep(db);
		} else {
			break;
		}
		rc = begin_locked(t);
	}
	if (rc == 0) {
		return JY_OK;
	}
	t->rc = rc;
	return err != JY_OK ? err : lmdb_rc_fail(ec, rc, "begin");
}

enum jy_err
txn_read(struct lmdb *db, struct txn *t, struct errctx *ec)
{
	return txn_begin(db, t, false, ec);
}

void
txn_end(struct txn *t)
{
	mdb_txn_abort(t->handle);
	t->handle = NULL;
	(void)pthread_rwlock_unlock(&t->db->map_lock);
}

/*
 * Commit if *err is JY_OK, else drop the transaction.  Returns true when the
 * map was too small and has grown: run the verb again.
 */
static bool
txn_finish(struct txn *t, enum jy_err *err)
{
	if (t->handle == NULL) {
		return false; /* never began */
	}
	if (*err == JY_OK) {
		t->rc = lmdb_rc_explain(t->db, mdb_txn_commit(t->handle));
	} else {
		mdb_txn_abort(t->handle);
	}
	t->handle = NULL;
	(void)pthread_rwlock_unlock(&t->db->map_lock);
	if (t->rc == MDB_MAP_FULL) {
		if (lmdb_map_grow(t->db, t->map_size)) {
			return true;
		}
		*err = err_set(t->ec, JY_EFULL,
		    "the database has reached its largest size, %zu octets",
		    t->map_size);
	} else if (*err == JY_OK && t->rc != 0) {
		*err = lmdb_rc_fail(t->ec, t->rc, "commit");
	} else if (*err == JY_OK && t->changed) {
		(void)atomic_fetch_add(&t->db->commits, 1);
	}
	return false;
}

enum jy_err
txn_update(struct lmdb *db, txn_fn *write, const void *arg, struct errctx *ec)
{
	struct txn t;
	enum jy_err err;

	do {
		err = txn_begin(db, &t, true, ec);
		if (err == JY_OK) {
			err = write(&t, arg);
		}
	} while (txn_finish(&t, &err));
	return err;
}

static MDB_val
val_of(struct slice s)
{
	/* LMDB reads what it is given, its type merely does not say so. */
	union {
		const uint8_t *in;
		void *out;
	} p = { .in = s.p };

	return (MDB_val){ s.len, p.out };
}

static struct slice
slice_of_val(const MDB_val *v)
{
	return (struct slice){ v->mv_data, v->mv_size };
}

struct slice
slice_of_text(const char *text)
{
	return (struct slice){ (const uint8_t *)text, strlen(text) };
}

enum jy_err
txn_get(struct txn *t, enum table table, struct slice key, struct slice *value)
{
	MDB_val k = val_of(key);
	MDB_val v;
	enum jy_err err =
	    txn_result(t, table, mdb_get(t->handle, t->db->dbi[table], &k, &v));

	if (err == JY_OK) {
		*value = slice_of_val(&v);
	}
	return err;
}

enum jy_err
txn_get_pair(
    struct txn *t, enum table table, struct slice key, struct slice value)
{
	MDB_cursor *c = NULL;
	MDB_val k = val_of(key);
	MDB_val v = val_of(value);
	int rc = mdb_cursor_open(t->handle, t->db->dbi[table], &c);

	if (rc == 0) {
		rc = mdb_cursor_get(c, &k, &v, MDB_GET_BOTH);
		mdb_cursor_close(c);
	}
	return txn_result(t, table, rc);
}

enum jy_err
txn_put(struct txn *t, enum table table, struct slice key, struct slice value)
{
	bool pairs = (lmdb_tables[table].flags & MDB_DUPSORT) != 0;
	MDB_val k = val_of(key);
	MDB_val v = val_of(value);
	int rc = mdb_put(
	    t->handle, t->db->dbi[table], &k, &v, pairs ? MDB_NODUPDATA : 0);

	if (rc == MDB_KEYEXIST) {
		return JY_OK;
	}
	t->changed = true;
	return txn_result(t, table, rc);
}

static enum jy_err
txn_del_val(struct txn *t, enum table table, struct slice key, MDB_val *v)
{
	MDB_val k = val_of(key);
	int rc = mdb_del(t->handle, t->db->dbi[table], &k, v);

	if (rc == MDB_NOTFOUND) {
		return JY_OK;
	}
	t->changed = true;
	return txn_result(t, table, rc);
}

enum jy_err
txn_del(struct txn *t, enum table table, struct slice key)
{
	return txn_del_val(t, table, key, NULL);
}

enum jy_err
txn_del_pair(
    struct txn *t, enum table table, struct slice key, struct slice value)
{
	MDB_val v = val_of(value);

	return txn_del_val(t, table, key, &v);
}

/* ---- cursors ---- */

enum jy_err
cursor_open(struct txn *t, enum table table, struct cursor *c)
{
	*c = (struct cursor){ .txn = t, .table = table };
	return txn_result(t, table,
	    mdb_cursor_open(t->handle, t->db->dbi[table], &c->handle));
}

void
cursor_close(struct cursor *c)
{
	if (c->handle != NULL) {
		mdb_cursor_close(c->handle);
		c->handle = NULL;
	}
}

enum jy_err
cursor_move(struct cursor *c, enum move move)
{
	static const MDB_cursor_op ops[] = {
		[MOVE_FIRST] = MDB_FIRST,
		[MOVE_FROM] = MDB_SET_RANGE,
		[MOVE_NEXT] = MDB_NEXT,
		[MOVE_PAIR_FROM] = MDB_GET_BOTH_RANGE,
		[MOVE_KEY] = MDB_SET_KEY,
		[MOVE_NEXT_PAIR] = MDB_NEXT_DUP,
		[MOVE_LAST_PAIR] = MDB_LAST_DUP,
		[MOVE_PREV_PAIR] = MDB_PREV_DUP,
	};
	MDB_val k = val_of(c->key);
	MDB_val v = val_of(c->value);
	int rc = mdb_cursor_get(c->handle, &k, &v, ops[move]);

	if (rc == 0) {
		/* A move within a key leaves k alone. */
		c->key = slice_of_val(&k);
		c->value = slice_of_val(&v);
	}
	return txn_result(c->txn, c->table, rc);
}

enum jy_err
txn_count(struct txn *t, enum table table, uint64_t *n)
{
	MDB_stat stat;
	enum jy_err err =
	    txn_result(t, table, mdb_stat(t->handle, t->db->dbi[table], &stat));

	if (err == JY_OK) {
		*n = stat.ms_entries;
	}
	return err;
}

enum jy_err
cursor_count(struct cursor *c, size_t *n)
{
	return txn_result(c->txn, c->table, mdb_cursor_count(c->handle, n));
}

enum jy_err
cursor_del(struct cursor *c)
{
	c->txn->changed = true;
	return txn_result(c->txn, c->table, mdb_cursor_del(c->handle, 0));
}

/* ---- damage ---- */

#define KEY_SHOWN 64U

static void
key_print(enum table table, struct slice key, char *out, size_t cap)
{
	size_t n = key.len < KEY_SHOWN ? key.len : KEY_SHOWN;

	if (!lmdb_tables[table].text_key) {
		jy_assert(cap >= HEX_STR_LEN(KEY_SHOWN));
		hex_format(key.p, n, out);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		out[i] = (char)key.p[i];
		if (key.p[i] == '\0') {
			out[i] = '/'; /* between app and name */
		} else if (key.p[i] < ' ' || key.p[i] == 0x7F) {
			out[i] = '?';
		}
	}
	out[n] = '\0';
}

enum jy_err
txn_corrupt(
    struct txn *t, enum table table, struct slice key, const struct errctx *why)
{
	char text[HEX_STR_LEN(KEY_SHOWN)];

	key_print(table, key, text, sizeof(text));
	return err_set(t->ec, JY_ECORRUPT, "%s %s: %s", lmdb_tables[table].name,
	    text, err_detail(why, JY_ECORRUPT));
}
