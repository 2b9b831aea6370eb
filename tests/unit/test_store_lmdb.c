/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the LMDB backend has: files, a map that grows, a disk that fails,
 * other processes.  Disk faults come from pwrite() and fdatasync() defined
 * here, which stand before libc's for LMDB too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "tests/unit/store_util.h"

/* ---- faults ---- */

#define EXPORT __attribute__((visibility("default")))

static atomic_int fail_pages; /* errno for writes of data pages */
static atomic_int fail_meta;  /* errno for writes of the meta page */
static atomic_int fail_sync;

EXPORT ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset);
EXPORT ssize_t pwritev(
    int fd, const struct iovec *iov, int iov_len, off_t offset);
EXPORT int fdatasync(int fd);

/* LMDB writes whole pages but for the end of its meta page. */
ssize_t
pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	int fail = n < 4096 ? fail_meta : fail_pages;

	if (fail != 0) {
		errno = fail;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, buf, n, offset);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int iov_len, off_t offset)
{
	if (fail_pages != 0) {
		errno = fail_pages;
		return -1;
	}
	return syscall(SYS_pwritev, fd, iov, iov_len, offset, 0);
}

int
fdatasync(int fd)
{
	if (fail_sync != 0) {
		errno = fail_sync;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

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

static void
put_device(struct store *s, unsigned n)
{
	struct device_row row = util_device(n);

	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
}

static void
assert_device(struct store *s, unsigned n)
{
	struct device_row row = util_device(n);
	struct device_row got;

	row.revision = 1;
	assert_int_equal(store_device_get(s, &row.id, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(device, &row, &got);
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
	put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 0x0100, &c), JY_OK);
	store_refusal_note(s, &refusal); /* flushed by the close */
	store_close(s);

	s = open_with(0, 64 * MIB);
	assert_device(s, 1);
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

static void
test_newer_schema(void **state)
{
	static const uint8_t newer[] = { 0, 0, 0, 2 };
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
	put_device(s, 1);
	put_device(s, 2);
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
	assert_device(s, 1);
	ec = (struct errctx)ERRCTX_INIT;
	store_join_commit(s, batch, 2, &ec);
	assert_int_equal(c[0].err, JY_ECORRUPT);
	assert_int_equal(c[1].err, JY_OK);
	assert_non_null(strstr(ec.text, "devices"));

	/* It can be deleted and made anew, with its old name. */
	assert_int_equal(store_device_delete(s, &id, NULL), JY_OK);
	put_device(s, 2);
	assert_device(s, 2);
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
		put_device(s, i);
	}
	for (unsigned i = 0; i < count; i++) {
		assert_device(s, i);
	}
	store_close(s);
	s = open_with(256 * 1024, 64 * MIB);
	assert_device(s, count - 1);
	put_device(s, count);
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
		assert_device(s, i);
	}
	/* Joins fill what is left, then get the same error. */
	for (unsigned i = 0; i < 10000 && err == JY_OK; i++) {
		err = util_join_now(s, i % (n - 1), (uint16_t)i, &c);
	}
	assert_int_equal(err, JY_EFULL);
	store_close(s);

	/* More room, and it goes on. */
	s = open_with(0, MIB);
	put_device(s, n);
	assert_int_equal(util_join_now(s, n, 1, &c), JY_OK);
	store_close(s);
}

/* A commit that fails leaves the store as it was, and usable. */
static void
failed_commit(atomic_int *fault, int code, enum jy_err expected)
{
	struct store *s = open_with(0, 64 * MIB);
	struct device_id id = util_device_id(1);
	struct device_row row = util_device(2);
	struct errctx ec = ERRCTX_INIT;
	struct join_view view;
	struct join_commit c;
	struct join_commit *batch[1] = { &c };

	put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 1, &c), JY_OK);
	*fault = code;
	assert_int_equal(store_join_view(s, &id, 2, &view, NULL), JY_OK);
	c = util_join(&view, 2, 5000);
	store_join_commit(s, batch, 1, &ec);
	assert_int_equal(c.err, expected);
	assert_string_not_equal(ec.text, "");
	assert_int_equal(store_device_put(s, &row, NULL), expected);
	assert_device(s, 1); /* reading goes on */
	*fault = 0;

	assert_int_equal(store_join_view(s, &id, 2, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 1);
	assert_false(view.dev_nonce_seen);
	assert_int_equal(
	    store_device_get(s, &row.id, &row, NULL), JY_ENOTFOUND);
	assert_int_equal(util_join_now(s, 1, 2, &c), JY_OK);
	assert_int_equal(c.session.join_nonce, 2);
	put_device(s, 2);
	store_close(s);
	s = open_with(0, 64 * MIB);
	assert_device(s, 2);
	assert_int_equal(store_join_view(s, &id, 2, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 2);
	store_close(s);
}

static void
test_disk_full(void **state)
{
	(void)state;
	failed_commit(&fail_pages, ENOSPC, JY_EFULL);
}

static void
test_disk_error(void **state)
{
	(void)state;
	failed_commit(&fail_pages, EIO, JY_EIO);
}

static void
test_sync_error(void **state)
{
	(void)state;
	failed_commit(&fail_sync, EIO, JY_EIO);
}

/* After this LMDB wants a new environment; the store gets it one. */
static void
test_meta_error(void **state)
{
	(void)state;
	failed_commit(&fail_meta, EIO, JY_EIO);
}

static void
test_meta_full(void **state)
{
	(void)state;
	failed_commit(&fail_meta, ENOSPC, JY_EFULL);
}

/* The real thing: the kernel refuses to let the file grow. */
static void
test_file_size_limit(void **state)
{
	struct store *s = open_with(0, 64 * MIB);
	struct rlimit old;
	struct rlimit tight;
	enum jy_err err = JY_OK;
	unsigned n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = (struct rlimit){ 512 * 1024, old.rlim_max };
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	for (; err == JY_OK && n < 10000; n++) {
		struct device_row row = util_device(n);

		err = store_device_put(s, &row, NULL);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	/* LMDB says EIO for a write cut short, so either may come. */
	assert_true(err == JY_EFULL || err == JY_EIO);
	for (unsigned i = 0; i < n - 1; i++) {
		assert_device(s, i);
	}
	put_device(s, n - 1);
	assert_device(s, n - 1);
	store_close(s);
}

#define CANNOT_MOUNT 77

/* In a mount namespace of its own: fill a disk of 1 MiB. */
static int
fill_disk(void)
{
	struct store *s;
	enum jy_err err = JY_OK;
	unsigned n = 0;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, "size=1m,mode=0700") != 0) {
		return CANNOT_MOUNT;
	}
	s = open_with(0, 64 * MIB);
	for (; err == JY_OK && n < 10000; n++) {
		struct device_row row = util_device(n);

		err = store_device_put(s, &row, NULL);
	}
	jy_assert(err == JY_EFULL);
	for (unsigned i = 0; i < n - 1; i++) {
		assert_device(s, i);
	}
	store_close(s);
	return 0;
}

static void
test_real_disk_full(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(fill_disk());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT_MOUNT) {
		skip(); /* root may */
	}
	assert_int_equal(WEXITSTATUS(status), 0);
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
	put_device(s, 1);
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
			put_device(s, i);
		}
		store_close(s);
		_exit(0);
	}
	s = open_with(256 * 1024, 64 * MIB);
	put_device(s, count);
	assert_device(s, count);
	assert_int_equal(write(ready[1], &go, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (unsigned i = 0; i <= count; i++) {
		assert_device(s, i);
	}
	put_device(s, count + 1);
	store_close(s);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_persistence),
		CASE(test_permissions),
		CASE(test_newer_schema),
		CASE(test_corrupt_device),
		CASE(test_corrupt_others),
		CASE(test_map_grows),
		CASE(test_map_max),
		CASE(test_disk_full),
		CASE(test_disk_error),
		CASE(test_sync_error),
		CASE(test_meta_error),
		CASE(test_meta_full),
		CASE(test_file_size_limit),
		CASE(test_real_disk_full),
		CASE(test_processes_race),
		CASE(test_growth_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
