/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment of LMDB: its directory, its life and its map.
 *
 * The map starts small and doubles.  LMDB forbids to resize it while this
 * process has a transaction, so every transaction holds map_lock for reading
 * and the resize for writing.  The same lock covers a new start of the
 * environment, which LMDB demands after a failed write of its meta page.
 *
 * Durability is LMDB's default: no flag that relaxes syncing is set, and a
 * commit returns only when its pages and then its meta page are on disk.
 */
#include "src/store/lmdb_env.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

#include "src/base/turn.h"
#include "src/store/lmdb_list.h"

#define MAP_FIRST ((size_t)16 << 20)
#define MAP_LEAST \
	((size_t)256 << 10) /* what the empty tables need, and air \
			     */
#define READERS_MAX 2048U
/* 2: applications; 4: roots, audit log, generations of KEKs; 2..: rows so new
 */
#define SCHEMA_VERSION 5U
#define SCHEMA_KEY "schema"

const struct table_def lmdb_tables[TABLE_COUNT] = {
	[TABLE_META] = { "meta", 0, true },
	[TABLE_DEVICES] = { "devices", 0, false },
	[TABLE_NAMES] = { "names", 0, true },
	[TABLE_NONCES] = { "nonces", 0, false },
	[TABLE_DEVNONCES] = { "devnonces", MDB_DUPSORT | MDB_DUPFIXED, false },
	[TABLE_SESSIONS] = { "sessions", 0, false },
	[TABLE_DEVICE_SESSIONS] = { "device_sessions",
	    MDB_DUPSORT | MDB_DUPFIXED, false },
	[TABLE_REFUSALS] = { "refusals", 0, false },
	[TABLE_APPS] = { "apps", 0, true },
	[TABLE_KEKS] = { "keks", 0, true },
	[TABLE_PEERS] = { "peers", 0, true },
	[TABLE_CREDENTIALS] = { "credentials", 0, false },
	[TABLE_ROOTS] = { "roots", 0, false },
	[TABLE_AUDIT] = { "audit", 0, false },
	[TABLE_APP_DEVICES] = { "app_devices", MDB_DUPSORT | MDB_DUPFIXED,
	    true },
};

/* ---- errors ---- */

static const struct {
	int rc;
	enum jy_err err;
} rc_map[] = {
	{ MDB_MAP_FULL, JY_EFULL },
	{ MDB_TXN_FULL, JY_EFULL },
	{ ENOSPC, JY_EFULL },
	{ EDQUOT, JY_EFULL },
	{ EFBIG, JY_EFULL },
	{ ENOMEM, JY_ENOMEM },
	{ MDB_CORRUPTED, JY_ECORRUPT },
	{ MDB_PAGE_NOTFOUND, JY_ECORRUPT },
	{ MDB_INVALID, JY_ECORRUPT },
	{ MDB_INCOMPATIBLE, JY_ECORRUPT },
	{ MDB_BAD_VALSIZE, JY_ECORRUPT },
	{ MDB_VERSION_MISMATCH, JY_ECONFIG },
	{ ENOENT, JY_ECONFIG },
	{ ENOTDIR, JY_ECONFIG },
	{ EACCES, JY_ECONFIG },
	{ EROFS, JY_ECONFIG },
};

enum jy_err
lmdb_rc_err(int rc)
{
	for (size_t i = 0; i < ARRAY_LEN(rc_map); i++) {
		if (rc_map[i].rc == rc) {
			return rc_map[i].err;
		}
	}
	return JY_EIO;
}

enum jy_err
lmdb_rc_fail(struct errctx *ec, int rc, const char *what)
{
	return err_set(ec, lmdb_rc_err(rc), "%s: %s", what, mdb_strerror(rc));
}

int
lmdb_rc_explain(const struct lmdb *db, int rc)
{
	struct statvfs fs;

	if (rc == EIO && fstatvfs(db->dir_fd, &fs) == 0 && fs.f_bavail == 0) {
		return ENOSPC;
	}
	return rc;
}

/* ---- the environment ---- */

static size_t
page_align(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return size / page * page;
}

/* Nobody but us may be able to write what lies at path. */
static enum jy_err
path_check_one(int dir_fd, const char *name, struct errctx *ec)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_EMPTY_PATH) != 0) {
		return errno == ENOENT ? JY_OK : lmdb_rc_fail(ec, errno, name);
	}
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
	    (st.st_uid != geteuid() && st.st_uid != 0)) {
		return err_set(ec, JY_ECONFIG,
		    "%s of the store can be written by others (uid %u, mode "
		    "%04o)",
		    name[0] == '\0' ? "the directory" : name,
		    (unsigned)st.st_uid, (unsigned)st.st_mode & 07777U);
	}
	return JY_OK;
}

static enum jy_err
path_open(struct lmdb *db, bool must_exist, struct errctx *ec)
{
	static const char *const names[] = { "", "data.mdb", "lock.mdb" };
	enum jy_err err = JY_OK;

	if (!must_exist && mkdir(db->path, S_IRWXU) != 0 && errno != EEXIST) {
		return err_set(ec, lmdb_rc_err(errno), "cannot create %s: %s",
		    db->path, strerror(errno));
	}
	db->dir_fd = open(db->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (db->dir_fd < 0) {
		return err_set(ec, lmdb_rc_err(errno), "cannot open %s: %s",
		    db->path, strerror(errno));
	}
	for (size_t i = 0; i < ARRAY_LEN(names) && err == JY_OK; i++) {
		err = path_check_one(db->dir_fd, names[i], ec);
	}
	if (err == JY_OK && must_exist &&
	    faccessat(db->dir_fd, "data.mdb", F_OK, 0) != 0) {
		return err_set(ec, JY_EIO,
		    "the store is gone: there is no data.mdb in %s", db->path);
	}
	return err;
}

/*
 * LMDB may fail when two processes open and close an environment at the same
 * time; they take turns by locking the directory.
 */
static void
env_close(struct lmdb *db)
{
	if (db->env != NULL) {
		(void)turn_take_fd(db->dir_fd);
		mdb_env_close(db->env);
		turn_leave_fd(db->dir_fd);
		db->env = NULL;
	}
}

size_t
lmdb_map_size(struct lmdb *db)
{
	MDB_envinfo info = { 0 };

	(void)mdb_env_info(db->env, &info);
	return info.me_mapsize;
}

/*
 * A new database gets our first map size; one that is there keeps its own
 * (size 0 says so), unless it is smaller.
 */
static int
env_start(struct lmdb *db, MDB_env *env)
{
	int dead;
	int rc = mdb_env_set_maxdbs(env, TABLE_COUNT);

	if (rc == 0) {
		rc = mdb_env_set_maxreaders(env, READERS_MAX);
	}
	if (rc == 0) {
		rc = mdb_env_set_mapsize(env, db->map_first);
	}
	if (rc == 0) {
		rc = mdb_env_open(env, db->path, MDB_NOTLS, S_IRUSR | S_IWUSR);
	}
	if (rc == 0) {
		rc = mdb_env_set_mapsize(env, 0);
	}
	if (rc == 0 && lmdb_map_size(db) < db->map_first) {
		rc = mdb_env_set_mapsize(env, db->map_first);
	}
	/* A killed process left its readers behind: they pin old pages. */
	return rc == 0 ? mdb_reader_check(env, &dead) : rc;
}

/* False: the map is as large as it may be.  No transaction may be running. */
static bool
map_double(struct lmdb *db)
{
	size_t size = lmdb_map_size(db);
	size_t next = size > db->map_max / 2 ? db->map_max : size * 2;

	return next > size && mdb_env_set_mapsize(db->env, next) == 0;
}

/*
 * Compare the schema version; returns what LMDB said, or 0 and *err.  A new
 * database gets ours, and so does an older one: its rows stay readable, but
 * those written from now on are not for the programs of before.
 */
static int
schema_check(MDB_txn *txn, MDB_dbi meta, bool *older, enum jy_err *err,
    struct errctx *ec)
{
	char name[] = SCHEMA_KEY;
	uint8_t ours[] = { 0, 0, 0, SCHEMA_VERSION };
	MDB_val key = { sizeof(name) - 1, name };
	MDB_val value;
	int rc = mdb_get(txn, meta, &key, &value);
	int order = -1;

	if (rc == 0 && value.mv_size != sizeof(ours)) {
		*err = err_set(ec, JY_ECORRUPT, "meta %s: length %zu",
		    SCHEMA_KEY, value.mv_size);
		return 0;
	}
	if (rc == 0) {
		order = memcmp(value.mv_data, ours, sizeof(ours));
	}
	if (order > 0) {
		*err = err_set(
		    ec, JY_ECONFIG, "the store was written by a newer version");
	}
	*older = rc == 0 && order < 0;
	if (*older || rc == MDB_NOTFOUND) {
		value = (MDB_val){ sizeof(ours), ours };
		rc = mdb_put(txn, meta, &key, &value, 0);
	}
	return rc;
}

/* Make what an older store lacks of what its rows say; what LMDB said. */
static int
upgrade(struct lmdb *db, MDB_txn *txn)
{
	struct txn t = { .db = db, .handle = txn, .write = true };

	if (app_index_fill(&t) == JY_OK) {
		return 0;
	}
	return t.rc != 0 ? t.rc : MDB_CORRUPTED;
}

/* Returns what LMDB said, or 0 and *err. */
static int
tables_try(struct lmdb *db, enum jy_err *err, struct errctx *ec)
{
	MDB_txn *txn = NULL;
	bool older = false;
	int rc = mdb_txn_begin(db->env, NULL, 0, &txn);

	*err = JY_OK;
	while (rc == MDB_MAP_RESIZED) { /* by another process, just now */
		rc = mdb_env_set_mapsize(db->env, 0);
		if (rc == 0) {
			rc = mdb_txn_begin(db->env, NULL, 0, &txn);
		}
	}
	for (size_t i = 0; i < TABLE_COUNT && rc == 0; i++) {
		rc = mdb_dbi_open(txn, lmdb_tables[i].name,
		    lmdb_tables[i].flags | MDB_CREATE, &db->dbi[i]);
	}
	if (rc == 0) {
		rc = schema_check(txn, db->dbi[TABLE_META], &older, err, ec);
	}
	if (rc == 0 && older) {
		rc = upgrade(db, txn);
	}
	if (rc == 0 && *err == JY_OK) {
		rc = mdb_txn_commit(txn);
	} else if (txn != NULL) {
		mdb_txn_abort(txn);
	}
	return rc;
}

/*
 * Open or create all tables.  The smallest map has room for them, but an older
 * database may be full to the brim.
 */
static enum jy_err
tables_open(struct lmdb *db, struct errctx *ec)
{
	enum jy_err err;
	int rc;

	do {
		rc = tables_try(db, &err, ec);
	} while (rc == MDB_MAP_FULL && map_double(db));
	return rc == 0 ? err : lmdb_rc_fail(ec, rc, "opening the tables");
}

/* On failure there is no environment.  No transaction may be running. */
static enum jy_err
env_open(struct lmdb *db, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	int rc = mdb_env_create(&db->env);

	if (rc == 0) {
		(void)turn_take_fd(db->dir_fd);
		rc = env_start(db, db->env);
		turn_leave_fd(db->dir_fd);
	}
	err = rc == 0 ? tables_open(db, ec) : lmdb_rc_fail(ec, rc, db->path);
	if (err != JY_OK) {
		env_close(db);
	}
	return err;
}

/* ---- the map ---- */

static bool
env_alive(struct lmdb *db)
{
	MDB_txn *probe = NULL;
	int rc = MDB_PANIC;

	if (db->env != NULL) {
		rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &probe);
	}
	if (rc == 0) {
		mdb_txn_abort(probe);
	}
	return rc != MDB_PANIC;
}

/*
 * Start the environment anew: after a failed write of its meta page LMDB
 * does nothing else.  What was committed before is there.
 */
enum jy_err
lmdb_restart(struct lmdb *db, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	(void)pthread_rwlock_wrlock(&db->map_lock);
	if (!env_alive(db)) { /* no other thread was faster */
		env_close(db);
		err = env_open(db, ec);
	}
	(void)pthread_rwlock_unlock(&db->map_lock);
	return err;
}

/* Another process has grown the map: follow. */
void
lmdb_map_follow(struct lmdb *db)
{
	(void)pthread_rwlock_wrlock(&db->map_lock);
	if (db->env != NULL) {
		(void)mdb_env_set_mapsize(db->env, 0);
	}
	(void)pthread_rwlock_unlock(&db->map_lock);
}

void
lmdb_readers_sweep(struct lmdb *db)
{
	int dead;

	(void)pthread_rwlock_rdlock(&db->map_lock);
	if (db->env != NULL) {
		(void)mdb_reader_check(db->env, &dead);
	}
	(void)pthread_rwlock_unlock(&db->map_lock);
}

/* Double the map that was too small.  False: it is as large as it may be. */
bool
lmdb_map_grow(struct lmdb *db, size_t too_small)
{
	size_t size;
	bool grown = true;

	(void)pthread_rwlock_wrlock(&db->map_lock);
	size = db->env != NULL ? lmdb_map_size(db) : 0;
	if (size > 0 && size <= too_small) { /* no other thread was faster */
		grown = map_double(db);
	}
	(void)pthread_rwlock_unlock(&db->map_lock);
	return grown;
}

/* ---- open, close ---- */

static void
map_lock_init(struct lmdb *db)
{
	pthread_rwlockattr_t attr;

	/* A thread that grows the map must not starve behind readers. */
	(void)pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(
	    &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	jy_assert(pthread_rwlock_init(&db->map_lock, &attr) == 0);
	(void)pthread_rwlockattr_destroy(&attr);
}

void
lmdb_close(struct store_db *store)
{
	struct lmdb *db = lmdb_of(store);

	env_close(db);
	if (db->dir_fd >= 0) {
		(void)close(db->dir_fd);
	}
	(void)pthread_rwlock_destroy(&db->map_lock);
	free(db->path);
	free(db);
}

enum jy_err
lmdb_open(
    const struct store_config *config, struct store_db **out, struct errctx *ec)
{
	size_t first = config->map_first > 0 ? config->map_first : MAP_FIRST;
	struct lmdb *db;
	enum jy_err err;

	if (page_align(config->map_max) < MAP_LEAST) {
		return err_set(ec, JY_ECONFIG,
		    "the largest size of the store is too small: %zu",
		    config->map_max);
	}
	db = calloc(1, sizeof(*db));
	if (db == NULL || (db->path = strdup(config->path)) == NULL) {
		free(db);
		return err_set(ec, JY_ENOMEM, "opening the store");
	}
	db->base.ops = &store_lmdb_ops;
	db->dir_fd = -1;
	db->map_max = page_align(config->map_max);
	db->map_first = page_align(first > MAP_LEAST ? first : MAP_LEAST);
	if (db->map_first > db->map_max) {
		db->map_first = db->map_max;
	}
	map_lock_init(db);
	err = path_open(db, config->must_exist, ec);
	if (err == JY_OK) {
		err = env_open(db, ec);
	}
	if (err != JY_OK) {
		lmdb_close(&db->base);
		return err;
	}
	*out = &db->base;
	return JY_OK;
}

void
lmdb_stats(struct store_db *store, struct store_stats *out)
{
	struct lmdb *db = lmdb_of(store);

	/*
	 * A commit syncs twice: fdatasync for its pages, then a write to a
	 * descriptor with O_DSYNC for the meta page that makes them valid.
	 */
	out->commits = atomic_load(&db->commits);
	out->syncs = 2 * out->commits;
}
