/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the LMDB backend has: files, damaged rows, a map that grows,
 * other processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "tests/unit/store_util.h"

/* ---- fixture ---- */

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	util_dir_make(dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	util_dir_remove(dir);
	return 0;
}

static struct store *
open_with(size_t map_first, size_t map_max)
{
	struct store_config config = util_config("lmdb", dir);

	config.map_first = map_first;
	config.map_max = map_max;
	return util_open(&config);
}

/* ---- cases ---- */

static void
test_persistence(void **state)
{
	struct store *s = open_with(0, 64 * MIB);
	struct device_id id = util_device_id(1);
	struct refusal_row refusal = util_refusal(1, 10);
	struct session_row rows[2];
	struct join_view view;
	struct join_commit c;
	size_t n;

	(void)state;
	util_put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 0x0100, &c), JY_OK);
	store_refusal_note(s, &refusal); /* flushed by the close */
	store_close(s);

	s = open_with(0, 64 * MIB);
	assert_true(util_has_device(s, 1));
	assert_int_equal(store_join_view(s, &id, 0x0100, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 1);
	assert_true(view.dev_nonce_seen);
	assert_int_equal(store_session_list(s, &id, rows, 2, &n, NULL), JY_OK);
	assert_int_equal(n, 1);
	ASSERT_SAME_ROW(session, &rows[0], &c.session);
	assert_int_equal(store_refusal_get(s, &id, &refusal, NULL), JY_OK);
	assert_int_equal(refusal.time_ms, 10);
	store_close(s);
}

static void
assert_mode(const char *name, mode_t mode)
{
	struct stat st;
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
assert_open_fails(
    const struct store_config *config, enum jy_err expected, const char *detail)
{
	struct errctx ec = ERRCTX_INIT;
	struct store *s = NULL;

	assert_int_equal(store_open(config, &s, &ec), expected);
	assert_null(s);
	assert_non_null(strstr(ec.text, detail));
}

static void
test_permissions(void **state)
{
	struct store_config config = util_config("lmdb", dir);
	char path[96];

	(void)state;
	assert_int_equal(rmdir(dir), 0); /* the store creates it */
	store_close(util_open(&config));
	assert_mode("", 0700);
	assert_mode("data.mdb", 0600);
	assert_mode("lock.mdb", 0600);

	assert_int_equal(chmod(dir, 0770), 0);
	assert_open_fails(&config, JY_ECONFIG, "written by others");
	assert_int_equal(chmod(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", dir);
	assert_int_equal(chmod(path, 0602), 0);
	assert_open_fails(&config, JY_ECONFIG, "data.mdb");
	assert_int_equal(chmod(path, 0600), 0);
	store_close(util_open(&config));

	config.path = "/nonexistent/joinery";
	assert_open_fails(&config, JY_ECONFIG, "/nonexistent/joinery");
	config.path = path; /* a file */
	assert_open_fails(&config, JY_ECONFIG, path);
	config.path = dir;
	config.map_max = 4096;
	assert_open_fails(&config, JY_ECONFIG, "too small");
}

/* Put a value into a table behind the store's back. */
static void
put_raw(const char *table, const void *key, size_t key_len, const void *value,
    size_t len)
{
	union {
		const void *in;
		void *out;
	} k = { .in = key }, v = { .in = value };
	MDB_val mk = { key_len, k.out };
	MDB_val mv = { len, v.out };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &mk, &mv, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

/* A page of an application's devices; how many are on it. */
static size_t
list_app(struct store *s, const char *app, struct device_row *rows, size_t cap,
    bool *more)
{
	const struct device_query query = { .app = app };
	const struct device_rows to = { rows, cap };
	struct device_page page;

	assert_int_equal(store_device_list(s, &query, &to, &page, NULL), JY_OK);
	*more = page.more;
	return page.n;
}

/* ---- a store of before ---- */

static MDB_env *
raw_open(MDB_txn **txn, unsigned flags)
{
	MDB_env *env;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 1), 0);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, flags, txn), 0);
	return env;
}

/* Take away what version 1 of the schema did not have. */
static void
make_old_raw(void)
{
	static const uint8_t old[] = { 0, 0, 0, 1 };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	env = raw_open(&txn, 0);
	assert_int_equal(mdb_dbi_open(txn, "apps", 0, &dbi), 0);
	assert_int_equal(mdb_drop(txn, dbi, 1), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	put_raw("meta", "schema", 6, old, sizeof(old));
}

static void
assert_schema(uint8_t version)
{
	char name[] = "schema";
	MDB_val key = { 6, name };
	MDB_val value;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	env = raw_open(&txn, MDB_RDONLY);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
	assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
	assert_int_equal(value.mv_size, 4);
	assert_int_equal(((const uint8_t *)value.mv_data)[3], version);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* Rows of version 1: the new fields are not there. */
static void
put_old_rows_raw(unsigned n)
{
	const size_t device_new = 23, nonce_new = 3;
	struct device_row device = util_device(n);
	struct nonce_row nonces = { .join_nonce = 5 };
	uint8_t buf[ROW_MAX];
	size_t len;

	device.revision = 1;
	len = row_encode_device(&device, buf);
	buf[0] = 1;
	put_raw(
	    "devices", &device.id, sizeof(device.id), buf, len - device_new);
	nonces.has_dev_nonce = true;
	nonces.dev_nonce = 0x0100;
	len = row_encode_nonce(&nonces, buf);
	buf[0] = 1;
	put_raw("nonces", &device.id, sizeof(device.id), buf, len - nonce_new);
}

/*
 * A KEK of the time before generations (version 1), or before they were
 * remembered (2).
 */
static void
put_old_kek_raw(const char *label, uint8_t version)
{
	struct kek_row row = util_kek("");
	const size_t new_2 = 1 + 8 + 1 + STORE_PROOF_LEN, new_3 = 4;
	uint8_t buf[ROW_MAX];
	size_t len;

	if (version == 2) {
		(void)strcpy(row.wire_label, label);
	}
	len = row_encode_kek(&row, buf) - new_3;
	buf[0] = version;
	put_raw("keks", label, strlen(label), buf,
	    version == 1 ? len - new_2 : len);
}

/* What is left of one that can be read: that it was there. */
static void
test_keks_raw(void **state)
{
	static const uint8_t bad[] = { 9 };
	static const char bad_key[] = "odd\0\0\1";
	struct kek_row row = util_kek("old");
	struct errctx ec = ERRCTX_INIT;
	struct kek_set set;
	struct store *s = open_with(0, 64 * MIB);

	(void)state;
	store_close(s);
	put_old_kek_raw("old", 1);
	s = open_with(0, 64 * MIB);
	assert_int_equal(store_kek_get(s, "old", &set, NULL), JY_OK);
	assert_int_equal(set.n, 1);
	assert_int_equal(set.rows[0].generation, 1);
	assert_string_equal(set.rows[0].wire_label, "old");
	assert_int_equal(set.rows[0].key_id, row.key_id);
	assert_int_equal(set.rows[0].active_ms, 0);
	assert_false(set.rows[0].has_proof);
	row.generation = 2;
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EEXIST);
	strcpy(row.wire_label, "old-2");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_OK);
	assert_int_equal(store_kek_retire(s, &set.rows[0], NULL), JY_OK);
	assert_int_equal(store_kek_get(s, "old", &set, NULL), JY_OK);
	assert_int_equal(set.n, 1);
	ASSERT_SAME_ROW(kek, &set.rows[0], &row);
	store_close(s);

	put_raw("keks", "bad", 3, bad, sizeof(bad));
	s = open_with(0, 64 * MIB);
	assert_int_equal(store_kek_get(s, "bad", &set, &ec), JY_ECORRUPT);
	assert_string_equal(ec.text, "keks bad: row version 9 is not known");
	assert_int_equal(store_kek_get(s, "old", &set, NULL), JY_OK);
	/* Who knows which wire label it has? */
	row = util_kek("new");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_ECORRUPT);
	assert_int_equal(store_kek_delete(s, "bad", NULL), JY_OK);
	assert_int_equal(store_kek_add(s, &row, NULL), JY_OK);
	store_close(s);

	put_old_kek_raw("odd", 1);
	put_raw("keks", bad_key, 6, bad, sizeof(bad));
	s = open_with(0, 64 * MIB);
	err_clear(&ec);
	assert_int_equal(store_kek_get(s, "odd", &set, &ec), JY_ECORRUPT);
	assert_int_equal(store_kek_delete(s, "odd", NULL), JY_OK);
	assert_int_equal(store_kek_get(s, "odd", &set, NULL), JY_ENOTFOUND);
	store_close(s);
}

/* Rows of before say nothing of retired generations, and do from then on. */
static void
test_old_keks_remember(void **state)
{
	static const uint8_t old[] = { 0, 0, 0, 4 };
	struct kek_row row;
	struct kek_set set;
	struct store *s;

	(void)state;
	for (uint8_t version = 1; version <= 2; version++) {
		store_close(open_with(0, 64 * MIB));
		put_old_kek_raw("k", version);
		put_raw("meta", "schema", 6, old, sizeof(old));
		s = open_with(0, 64 * MIB);
		row = util_kek("k");
		for (uint32_t n = 2; n <= 3; n++) {
			row.generation = n;
			row.key_id = n;
			(void)strcpy(row.wire_label, n == 2 ? "k-2" : "k-3");
			assert_int_equal(store_kek_add(s, &row, NULL), JY_OK);
			assert_int_equal(
			    store_kek_retire(s, &row, NULL), JY_OK);
			assert_int_equal(
			    store_kek_add(s, &row, NULL), JY_ECONFLICT);
		}
		store_close(s);
		s = open_with(0, 64 * MIB);
		assert_int_equal(store_kek_get(s, "k", &set, NULL), JY_OK);
		assert_int_equal(set.n, 1);
		assert_int_equal(set.rows[0].generation, 1);
		assert_int_equal(set.rows[0].highest, 3);
		assert_string_equal(set.rows[0].wire_label, "k");
		assert_int_equal(set.rows[0].active_ms, version == 1 ? 0 : 6);
		assert_int_equal(store_kek_delete(s, "k", NULL), JY_OK);
		store_close(s);
		/* The programs of before would give numbers twice. */
		assert_schema(5);
	}
}

static void
test_old_store(void **state)
{
	struct store_config config = util_config("lmdb", dir);
	struct device_id id = util_device_id(1);
	struct app_row app = util_app("meters");
	struct join_view view;
	struct join_commit c;
	struct store *s;

	(void)state;
	store_close(util_open(&config));
	make_old_raw();
	put_old_rows_raw(1);

	config.must_exist = true; /* a later worker may be first to see it */
	s = util_open(&config);
	assert_true(util_has_device(s, 1));
	assert_int_equal(store_app_put(s, &app, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	assert_string_equal(view.app.name, "meters");
	assert_int_equal(view.nonces.join_nonce, 5);
	assert_int_equal(view.nonces.dev_nonce, 0x0100);
	assert_int_equal(view.nonces.live, 0);
	assert_int_equal(util_join_now(s, 1, 0x0101, &c), JY_OK);
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.live, 6);
	store_close(s);

	/* The programs of before would take its rows for damaged. */
	assert_schema(5);
}

/* Many devices of one app, one of another behind them, as of before. */
static void
put_many_raw(unsigned count)
{
	static const uint8_t old[] = { 0, 0, 0, 3 };
	uint8_t buf[ROW_MAX];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	env = raw_open(&txn, 0);
	assert_int_equal(mdb_dbi_open(txn, "devices", 0, &dbi), 0);
	for (unsigned n = 0; n < count; n++) {
		struct device_row row = util_device(n);
		MDB_val k = { sizeof(row.id), &row.id };
		MDB_val v = { 0, buf };

		row.revision = 1;
		(void)strcpy(row.app, n + 1 < count ? "many" : "one");
		v.mv_size = row_encode_device(&row, buf);
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	put_raw("meta", "schema", 6, old, sizeof(old));
}

/*
 * A store of before had no list of an application's devices: it gets one when
 * it is opened, though the map has no room for it, and a damaged row is in
 * nobody's way.
 */
static void
test_old_store_lists(void **state)
{
	const unsigned count = 3000;
	struct store *s = open_with(0, 64 * MIB);
	struct device_id bad = util_device_id(7);
	struct device_row row, rows[3000];
	bool more;

	(void)state;
	store_close(s);
	put_many_raw(count);
	put_raw("devices", &bad, sizeof(bad), "\x01", 1);
	s = open_with(0, 64 * MIB);
	assert_int_equal(list_app(s, "one", &row, 1, &more), 1);
	assert_false(more);
	assert_string_equal(row.app, "one");
	assert_int_equal(list_app(s, "many", rows, count, &more), count - 2);
	assert_false(more);

	/* Once; what is entered later is not entered twice. */
	strcpy(row.app, "few");
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	store_close(s);
	s = open_with(0, 64 * MIB);
	assert_int_equal(list_app(s, "one", &row, 1, &more), 0);
	assert_int_equal(list_app(s, "few", &row, 1, &more), 1);
	store_close(s);
	assert_schema(5);
}

/* What a damaged row leaves in the list of its application counts not. */
static void
test_list_left_over(void **state)
{
	struct store_config config = util_config("lmdb", dir);
	struct device_row rows[4], row = util_device(2);
	struct app_row app = util_app(row.app);
	struct device_id bad = util_device_id(1), last = util_device_id(3);
	struct store *s = util_open(&config);
	bool more;

	(void)state;
	for (unsigned n = 1; n < 4; n++) {
		util_put_device(s, n);
	}
	assert_int_equal(store_app_put(s, &app, NULL), JY_OK);
	store_close(s);
	put_raw("devices", &bad, sizeof(bad), "\x01", 1);
	put_raw("devices", &last, sizeof(last), "\x01", 1);
	s = util_open(&config);
	assert_int_equal(store_device_delete(s, &bad, NULL, NULL), JY_OK);
	assert_int_equal(store_device_delete(s, &last, NULL, NULL), JY_OK);
	assert_int_equal(list_app(s, row.app, rows, 4, &more), 1);
	assert_false(more);
	assert_true(device_id_eq(&rows[0].id, &row.id));
	assert_int_equal(store_app_delete(s, app.name, NULL), JY_EINUSE);

	/* The EUIs again, elsewhere. */
	row = util_device(1);
	strcpy(row.app, "elsewhere");
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_int_equal(list_app(s, app.name, rows, 4, &more), 1);
	row = util_device(2);
	assert_int_equal(store_device_delete(s, &row.id, NULL, NULL), JY_OK);
	assert_int_equal(list_app(s, app.name, rows, 4, &more), 0);
	assert_int_equal(store_app_delete(s, app.name, NULL), JY_OK);
	store_close(s);
}

/* One value more or less; what LMDB said. */
static int
touch_raw(size_t len)
{
	static uint8_t value[2048];
	char name[] = "filler";
	MDB_val k = { 6, name };
	MDB_val v = { len, value };
	MDB_txn *txn;
	MDB_env *env = raw_open(&txn, 0);
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, "meta", 0, &dbi);

	value[0]++;
	if (rc == 0) {
		rc = mdb_put(txn, dbi, &k, &v, 0);
	}
	if (rc == 0) {
		rc = mdb_txn_commit(txn);
	} else {
		mdb_txn_abort(txn);
	}
	mdb_env_close(env);
	return rc;
}

/* Fill the map, in ever smaller steps; a reader must pin its old pages. */
static void
fill_raw(void)
{
	static const size_t steps[] = { 2048, 1 };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		rc = 0;
		for (int n = 0; n < 1000 && rc == 0; n++) {
			rc = touch_raw(steps[i]);
		}
		assert_int_equal(rc, MDB_MAP_FULL);
	}
}

/* Reads from when it says so on ready until the end of hold. */
static void
pin_pages(int ready, int hold)
{
	MDB_txn *txn;
	MDB_env *env = raw_open(&txn, MDB_RDONLY);
	char octet = 'r';

	jy_assert(write(ready, &octet, 1) == 1);
	jy_assert(read(hold, &octet, 1) == 0);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* There is no room for another table in the map, but there may be. */
static void
test_old_store_full(void **state)
{
	struct store_config config = util_config("lmdb", dir);
	struct app_row app = util_app("meters");
	struct store *s;
	int ready[2];
	int hold[2];
	int status;
	char octet;
	pid_t pid;

	(void)state;
	config.map_first = 256 * 1024;
	config.map_max = 256 * 1024;
	store_close(util_open(&config));
	make_old_raw();
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(hold[1]);
		pin_pages(ready[1], hold[0]);
		_exit(0);
	}
	(void)close(hold[0]);
	assert_int_equal(read(ready[0], &octet, 1), 1);
	fill_raw();
	assert_open_fails(&config, JY_EFULL, "opening the tables");
	config.map_max = MIB;
	s = util_open(&config);
	assert_int_equal(store_app_put(s, &app, NULL), JY_OK);
	store_close(s);
	assert_schema(5);
	(void)close(hold[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void
test_corrupt_app(void **state)
{
	static const uint8_t bad[] = { 1, 0 };
	struct store *s = open_with(0, 64 * MIB);
	struct device_id id = util_device_id(1);
	struct app_row app = util_app("meters");
	struct kek_row kek = util_kek("kek1");
	struct errctx ec = ERRCTX_INIT;
	struct join_view view;
	struct join_commit c;
	size_t n;
	bool more;

	(void)state;
	util_put_device(s, 1);
	assert_int_equal(store_kek_add(s, &kek, NULL), JY_OK);
	store_close(s);
	put_raw("apps", "meters", 6, bad, sizeof(bad));

	s = open_with(0, 64 * MIB);
	assert_int_equal(store_app_get(s, "meters", &app, &ec), JY_ECORRUPT);
	assert_string_equal(ec.text, "apps meters: row is too short: 2");
	assert_int_equal(
	    store_app_list(s, NULL, &app, 1, &n, &more, NULL), JY_ECORRUPT);
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_ECORRUPT);
	/* Who knows whether it uses it? */
	assert_int_equal(store_kek_delete(s, "kek1", NULL), JY_ECORRUPT);
	/* It is in use all the same, and can be replaced. */
	assert_int_equal(store_app_delete(s, "meters", NULL), JY_EINUSE);
	app = util_app("meters");
	err_clear(&ec);
	assert_int_equal(store_app_put(s, &app, &ec), JY_OK);
	assert_int_equal(ec.text[0], '\0');
	assert_int_equal(store_kek_delete(s, "kek1", NULL), JY_OK);
	assert_int_equal(util_join_now(s, 1, 1, &c), JY_OK);
	store_close(s);
}

static void
test_newer_schema(void **state)
{
	static const uint8_t newer[] = { 0, 0, 0, 6 };
	struct store_config config = util_config("lmdb", dir);

	(void)state;
	store_close(util_open(&config));
	put_raw("meta", "schema", 6, newer, sizeof(newer));
	assert_open_fails(&config, JY_ECONFIG, "newer version");
	put_raw("meta", "schema", 6, newer, 3);
	assert_open_fails(&config, JY_ECORRUPT, "schema");
}

static void
test_corrupt_device(void **state)
{
	static const uint8_t bad[] = { 1, 0, 0 };
	struct device_id id = util_device_id(2);
	struct store *s = open_with(0, 64 * MIB);
	struct errctx ec = ERRCTX_INIT;
	struct device_row row = util_device(2);
	struct join_view view;
	struct join_commit c[2];
	struct join_commit *batch[2] = { &c[0], &c[1] };

	(void)state;
	util_put_device(s, 1);
	util_put_device(s, 2);
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	c[0] = util_join(&view, 0, 1000);
	id = util_device_id(1);
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	c[1] = util_join(&view, 0, 1000);
	store_close(s);
	id = util_device_id(2);
	put_raw("devices", &id, sizeof(id), bad, sizeof(bad));

	s = open_with(0, 64 * MIB);
	assert_int_equal(store_device_get(s, &id, &row, &ec), JY_ECORRUPT);
	assert_non_null(
	    strstr(ec.text, "devices 001122334455000270b3d57ed0010203"));
	assert_non_null(strstr(ec.text, "too short"));
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_ECORRUPT);
	row = util_device(2);
	assert_int_equal(store_device_put(s, &row, NULL), JY_ECORRUPT);

	/* The other row is fine, also in one batch with the damaged one. */
	assert_true(util_has_device(s, 1));
	ec = (struct errctx)ERRCTX_INIT;
	store_join_commit(s, batch, 2, &ec);
	assert_int_equal(c[0].err, JY_ECORRUPT);
	assert_int_equal(c[1].err, JY_OK);
	assert_non_null(strstr(ec.text, "devices"));

	/* It can be deleted and made anew, with its old name. */
	assert_int_equal(store_device_delete(s, &id, NULL, NULL), JY_OK);
	util_put_device(s, 2);
	assert_true(util_has_device(s, 2));
	store_close(s);
}

static void
test_corrupt_others(void **state)
{
	static const uint8_t bad[] = { 9 };
	struct store *s = open_with(0, 64 * MIB);
	struct device_id id = util_device_id(1);
	struct errctx ec = ERRCTX_INIT;
	struct peer_row peer = util_peer("ns1");
	struct kek_row kek = util_kek("kek1");
	struct nonce_row nonces;
	size_t used;

	(void)state;
	peer.has_uid = true;
	peer.uid = 7;
	assert_int_equal(store_peer_put(s, &peer, NULL), JY_OK);
	assert_int_equal(store_kek_add(s, &kek, NULL), JY_OK);
	store_close(s);
	put_raw("peers", "ns1", 3, bad, sizeof(bad));
	put_raw("nonces", &id, sizeof(id), bad, sizeof(bad));

	s = open_with(0, 64 * MIB);
	assert_int_equal(store_peer_by_uid(s, 7, &peer, &ec), JY_ECORRUPT);
	assert_string_equal(ec.text, "peers ns1: row version 9 is not known");
	ec = (struct errctx)ERRCTX_INIT;
	assert_int_equal(
	    store_nonces_get(s, &id, &nonces, &used, &ec), JY_ECORRUPT);
	assert_non_null(strstr(ec.text, "nonces 0011"));
	/* Who knows whether the damaged peer uses it? */
	assert_int_equal(store_kek_delete(s, "kek1", NULL), JY_ECORRUPT);
	assert_int_equal(store_peer_delete(s, "ns1", NULL), JY_OK);
	assert_int_equal(store_peer_by_uid(s, 7, &peer, NULL), JY_ENOTFOUND);
	assert_int_equal(store_kek_delete(s, "kek1", NULL), JY_OK);
	store_close(s);
}

static void
test_map_grows(void **state)
{
	struct store *s = open_with(256 * 1024, 64 * MIB);
	const unsigned count = 3000;

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		util_put_device(s, i);
	}
	for (unsigned i = 0; i < count; i++) {
		assert_true(util_has_device(s, i));
	}
	store_close(s);
	s = open_with(256 * 1024, 64 * MIB);
	assert_true(util_has_device(s, count - 1));
	util_put_device(s, count);
	store_close(s);
}

static void
test_map_max(void **state)
{
	struct store *s = open_with(256 * 1024, 512 * 1024);
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = JY_OK;
	struct join_commit c;
	unsigned n = 0;

	(void)state;
	for (; err == JY_OK && n < 10000; n++) {
		struct device_row row = util_device(n);

		err = store_device_put(s, &row, &ec);
	}
	assert_int_equal(err, JY_EFULL);
	assert_non_null(strstr(ec.text, "largest size, 524288"));
	for (unsigned i = 0; i < n - 1; i++) {
		assert_true(util_has_device(s, i));
	}
	/* Joins fill what is left, then get the same error. */
	for (unsigned i = 0; i < 10000 && err == JY_OK; i++) {
		err = util_join_now(s, i % (n - 1), (uint16_t)i, &c);
	}
	assert_int_equal(err, JY_EFULL);
	store_close(s);

	/* More room, and it goes on. */
	s = open_with(0, MIB);
	util_put_device(s, n);
	assert_int_equal(util_join_now(s, n, 1, &c), JY_OK);
	store_close(s);
}

/* ---- several processes ---- */

#define PROCESSES 3
#define JOINS 80

/* A worker: joins one device in a race with its siblings. */
static void
race(int report_fd)
{
	struct store *s = open_with(256 * 1024, 64 * MIB);
	struct join_commit c;

	for (unsigned i = 0; i < JOINS; i++) {
		enum jy_err err = util_join_now(s, 1, (uint16_t)i, &c);

		jy_assert(err == JY_OK || err == JY_ECONFLICT);
		if (err == JY_OK) {
			jy_assert(write(report_fd, &c.session.join_nonce,
				      sizeof(uint32_t)) == sizeof(uint32_t));
		}
	}
	store_close(s);
}

static void
test_processes_race(void **state)
{
	struct store *s = open_with(256 * 1024, 64 * MIB);
	struct device_id id = util_device_id(1);
	bool seen[PROCESSES * JOINS + 1] = { false };
	struct nonce_row nonces;
	uint32_t join_nonce;
	unsigned total = 0;
	size_t used;
	int status;
	int fds[2];

	(void)state;
	util_put_device(s, 1);
	store_close(s);
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			race(fds[1]);
			_exit(0);
		}
		assert_true(pid > 0);
	}
	(void)close(fds[1]);
	while (read(fds[0], &join_nonce, sizeof(join_nonce)) ==
	    sizeof(join_nonce)) {
		assert_in_range(join_nonce, 1, PROCESSES * JOINS);
		assert_false(seen[join_nonce]);
		seen[join_nonce] = true;
		total++;
	}
	(void)close(fds[0]);
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	s = open_with(256 * 1024, 64 * MIB);
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, total);
	assert_true(total >= JOINS);
	store_close(s);
}

/* Another process grows the map; this one reads and writes on. */
static void
test_growth_elsewhere(void **state)
{
	const unsigned count = 2000;
	struct store *s;
	int status;
	int ready[2];
	char go = 'g';
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Not before the parent has it open with a small map. */
		jy_assert(read(ready[0], &go, 1) == 1);
		s = open_with(256 * 1024, 64 * MIB);
		for (unsigned i = 0; i < count; i++) {
			util_put_device(s, i);
		}
		store_close(s);
		_exit(0);
	}
	s = open_with(256 * 1024, 64 * MIB);
	util_put_device(s, count);
	assert_true(util_has_device(s, count));
	assert_int_equal(write(ready[1], &go, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (unsigned i = 0; i <= count; i++) {
		assert_true(util_has_device(s, i));
	}
	util_put_device(s, count + 1);
	store_close(s);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* What vanished is not made anew behind the back of those who use it. */
static void
test_must_exist(void **state)
{
	struct store_config config = util_config("lmdb", dir);
	char missing[300], empty[300];
	struct errctx ec = ERRCTX_INIT;
	struct store *s;

	(void)state;
	(void)snprintf(missing, sizeof(missing), "%s/missing", dir);
	(void)snprintf(empty, sizeof(empty), "%s/empty", dir);
	assert_int_equal(mkdir(empty, 0700), 0);
	config.must_exist = true;
	config.path = missing;
	assert_true(store_open(&config, &s, &ec) != JY_OK);
	assert_int_not_equal(access(missing, F_OK), 0);
	config.path = empty;
	err_clear(&ec);
	assert_int_equal(store_open(&config, &s, &ec), JY_EIO);
	assert_non_null(strstr(ec.text, "data.mdb"));
	assert_int_equal(rmdir(empty), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_persistence),
		CASE(test_permissions),
		CASE(test_keks_raw),
		CASE(test_newer_schema),
		CASE(test_old_keks_remember),
		CASE(test_old_store),
		CASE(test_old_store_full),
		CASE(test_corrupt_app),
		CASE(test_old_store_lists),
		CASE(test_list_left_over),
		CASE(test_corrupt_device),
		CASE(test_corrupt_others),
		CASE(test_map_grows),
		CASE(test_map_max),
		CASE(test_processes_race),
		CASE(test_growth_elsewhere),
		CASE(test_must_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
