/* SPDX-License-Identifier: Apache-2.0 */
/* Where PINs come from, and which sources are refused. */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "hsm/internal.h"

static char dir[] = "/tmp/joinery-pin-XXXXXX";

static const char *
write_pin(const char *name, const char *text, size_t len, mode_t mode)
{
	static char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
	return path;
}

static void
expect_pin(const char *source, const char *want)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *pin = NULL;

	assert_int_equal(pin_read(source, &pin, &ec), JY_OK);
	assert_int_equal(secret_len(pin), strlen(want));
	assert_memory_equal(secret_bytes(pin), want, strlen(want));
	secret_free(pin);
}

static void
expect_refused(const char *source, const char *detail)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *pin = NULL;

	assert_int_equal(pin_read(source, &pin, &ec), JY_ECONFIG);
	assert_null(pin);
	if (strstr(ec.text, detail) == NULL) {
		print_error("%s: %s\n", source, ec.text);
	}
	assert_non_null(strstr(ec.text, detail));
}

static void
expect_file(const char *text, size_t len, const char *want)
{
	char source[160];

	(void)snprintf(source, sizeof(source), "file:%s",
	    write_pin("pin", text, len, 0600));
	expect_pin(source, want);
}

static void
test_file(void **state)
{
	(void)state;
	expect_file("1234", 4, "1234");
	expect_file("1234\n", 5, "1234");
	expect_file("1234\n\n", 6, "1234\n");
	expect_file("12 34 \n", 7, "12 34 ");
	expect_file("", 0, "");
}

static void
test_file_length(void **state)
{
	char text[PIN_MAX + 8], want[PIN_MAX + 1], source[160];

	(void)state;
	memset(text, 'x', sizeof(text));
	memset(want, 'x', PIN_MAX);
	want[PIN_MAX] = '\0';
	expect_file(text, PIN_MAX, want);
	text[PIN_MAX] = '\n';
	expect_file(text, PIN_MAX + 1, want);
	text[PIN_MAX] = 'x';
	(void)snprintf(source, sizeof(source), "file:%s",
	    write_pin("pin", text, PIN_MAX + 1, 0600));
	expect_refused(source, "longer than");
	(void)snprintf(source, sizeof(source), "file:%s",
	    write_pin("pin", text, sizeof(text), 0600));
	expect_refused(source, "longer than");
}

static void
test_file_mode(void **state)
{
	static const mode_t bad[] = { 0640, 0604, 0620, 0602, 0610, 0666 };
	char source[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(source, sizeof(source), "file:%s",
		    write_pin("pin", "1234", 4, bad[i]));
		expect_refused(source, "others may read it");
	}
	(void)snprintf(source, sizeof(source), "file:%s",
	    write_pin("pin", "1234", 4, 0400));
	expect_pin(source, "1234");
}

static void
test_file_kind(void **state)
{
	char source[160], path[128];

	(void)state;
	(void)snprintf(source, sizeof(source), "file:%s", dir);
	expect_refused(source, "not a regular file");
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(source, sizeof(source), "file:%s", path);
	expect_refused(source, "not a regular file");
	(void)unlink(path);
	(void)snprintf(source, sizeof(source), "file:%s/none", dir);
	expect_refused(source, "No such file");
}

static void
test_file_owner(void **state)
{
	char source[160];
	const char *path;

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	path = write_pin("pin", "1234", 4, 0600);
	assert_int_equal(chown(path, 12345, 12345), 0);
	(void)snprintf(source, sizeof(source), "file:%s", path);
	expect_refused(source, "belongs to another user");
}

static void
test_fd(void **state)
{
	char source[32];
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "4321\n", 5), 5);
	(void)close(fds[1]);
	(void)snprintf(source, sizeof(source), "fd:%d", fds[0]);
	expect_pin(source, "4321");
	/* It is closed, so nobody reads it twice. */
	expect_refused(source, "read the PIN");
	expect_refused("fd:", "no descriptor");
	expect_refused("fd:3x", "no descriptor");
	expect_refused("fd:-1", "no descriptor");
}

static void
test_credential(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	expect_refused("credential:pin", "no CREDENTIALS_DIRECTORY");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	(void)write_pin("credential", "5678\n", 5, 0400);
	expect_pin("credential:credential", "5678");
	expect_refused("credential:", "not a credential's name");
	expect_refused("credential:../pin", "not a credential's name");
	expect_refused("credential:none", "No such file");
}

static void
test_unknown(void **state)
{
	(void)state;
	expect_refused("/etc/pin", "want file:");
	expect_refused("", "want file:");
	expect_refused("prompt:now", "after prompt:");
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "pin", "credential" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_length),
		cmocka_unit_test(test_file_mode),
		cmocka_unit_test(test_file_kind),
		cmocka_unit_test(test_file_owner),
		cmocka_unit_test(test_fd),
		cmocka_unit_test(test_credential),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
