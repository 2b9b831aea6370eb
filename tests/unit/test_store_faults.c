/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails under LMDB.  Faults come from pwrite() and fdatasync()
 * defined here, which stand before libc's for LMDB too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

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

	util_put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 1, &c), JY_OK);
	*fault = code;
	assert_int_equal(store_join_view(s, &id, 2, &view, NULL), JY_OK);
	c = util_join(&view, 2, 5000);
	store_join_commit(s, batch, 1, &ec);
	assert_int_equal(c.err, expected);
	assert_string_not_equal(ec.text, "");
	assert_int_equal(store_device_put(s, &row, NULL), expected);
	assert_true(util_has_device(s, 1)); /* reading goes on */
	*fault = 0;

	assert_int_equal(store_join_view(s, &id, 2, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 1);
	assert_false(view.dev_nonce_seen);
	assert_int_equal(
	    store_device_get(s, &row.id, &row, NULL), JY_ENOTFOUND);
	assert_int_equal(util_join_now(s, 1, 2, &c), JY_OK);
	assert_int_equal(c.session.join_nonce, 2);
	util_put_device(s, 2);
	store_close(s);
	s = open_with(0, 64 * MIB);
	assert_true(util_has_device(s, 2));
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
		assert_true(util_has_device(s, i));
	}
	util_put_device(s, n - 1);
	assert_true(util_has_device(s, n - 1));
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
		assert_true(util_has_device(s, i));
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

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_disk_full),
		CASE(test_disk_error),
		CASE(test_sync_error),
		CASE(test_meta_error),
		CASE(test_meta_full),
		CASE(test_file_size_limit),
		CASE(test_real_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
