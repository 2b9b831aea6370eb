/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of LMDB, private to lmdb_env.c and lmdb_txn.c. */
#ifndef JY_STORE_LMDB_ENV_H
#define JY_STORE_LMDB_ENV_H

#include <pthread.h>
#include <stdatomic.h>

#include "src/store/lmdb_txn.h"
#include "src/store/lmdb_verbs.h"

struct MDB_env;

struct lmdb {
	struct store_db base; /* first: lmdb_of() casts */
	char *path;
	int dir_fd; /* locked while an environment opens or closes */
	size_t map_first;
	size_t map_max;
	pthread_rwlock_t map_lock; /* env: its map, its life */
	struct MDB_env *env;       /* NULL after a failed new start */
	unsigned dbi[TABLE_COUNT];
	atomic_uint_fast64_t commits;
};

struct table_def {
	const char *name;
	unsigned flags;
	bool text_key; /* for people, in details */
};

extern const struct table_def lmdb_tables[TABLE_COUNT];

/* An error of LMDB, or an errno, as ours. */
enum jy_err lmdb_rc_err(int rc);
enum jy_err lmdb_rc_fail(struct errctx *ec, int rc, const char *what);

/* LMDB calls a write cut short EIO; say ENOSPC when the disk is full. */
int lmdb_rc_explain(const struct lmdb *db, int rc);

/* The size of the map of an open environment. */
size_t lmdb_map_size(struct lmdb *db);

/*
 * These mend what a transaction met; the caller has none and does not hold
 * map_lock.  Several threads may meet the same: one mends, all go on.
 */
enum jy_err lmdb_restart(struct lmdb *db, struct errctx *ec) JY_CHECK;
int lmdb_map_follow(struct lmdb *db);
int lmdb_readers_sweep(struct lmdb *db);

/* False: the map is as large as it may be. */
bool lmdb_map_grow(struct lmdb *db, size_t too_small) JY_CHECK;

#endif
