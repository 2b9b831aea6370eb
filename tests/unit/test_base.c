/* SPDX-License-Identifier: Apache-2.0 */
/* Floor 0: errors, secrets, hexadecimal text, octets, time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/base/bytes.h"
#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/base/secret.h"
#include "src/base/sys.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* Run fn in a child of its own; its wait(2) status. */
static int
run_in_child(void (*fn)(void))
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		(void)dup2(null, STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL); /* not cmocka's handler */
		(void)signal(SIGSEGV, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Sanitizers turn signals into exit statuses, so ask for "not well" only. */
static bool
dies(void (*fn)(void))
{
	int status = run_in_child(fn);

	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* ---- err ---- */

static void
err_names_are_unique_and_texts_there(void **state)
{
	(void)state;
	for (int i = 0; i < JY_ERR_COUNT; i++) {
		const char *name = err_name((enum jy_err)i);

		assert_memory_equal(name, "JY_", 3);
		assert_true(err_text((enum jy_err)i)[0] != '\0');
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(name, err_name((enum jy_err)j));
			assert_string_not_equal(
			    err_text((enum jy_err)i), err_text((enum jy_err)j));
		}
	}
	assert_string_equal(err_name(JY_OK), "JY_OK");
	assert_string_equal(err_name(JY_ERR_COUNT), "JY_E?");
	assert_string_equal(err_text(JY_ERR_COUNT), "unknown error");
}

static void
err_first_failure_wins(void **state)
{
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_string_equal(err_detail(&ec, JY_EMIC), err_text(JY_EMIC));
	assert_string_equal(err_detail(NULL, JY_EMIC), err_text(JY_EMIC));
	assert_int_equal(err_set(&ec, JY_EIO, "read %d", 7), JY_EIO);
	assert_int_equal(err_set(&ec, JY_EMIC, "later"), JY_EMIC);
	assert_int_equal(ec.err, JY_EIO);
	assert_string_equal(err_detail(&ec, JY_EMIC), "read 7");
	assert_int_equal(err_set(NULL, JY_EPIN, "unheard"), JY_EPIN);
}

static void
err_may_be_replaced_and_cleared(void **state)
{
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	(void)err_set(&ec, JY_EIO, "first");
	assert_int_equal(err_replace(&ec, JY_EMIC, "%s", "better"), JY_EMIC);
	assert_int_equal(ec.err, JY_EMIC);
	assert_string_equal(ec.text, "better");
	assert_int_equal(err_replace(NULL, JY_EIO, "unheard"), JY_EIO);
	err_clear(&ec);
	assert_int_equal(ec.err, JY_OK);
	assert_string_equal(ec.text, "");
	err_clear(NULL);
}

static void
err_long_detail_is_cut(void **state)
{
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	(void)err_set(&ec, JY_EIO, "%0500d", 1);
	assert_int_equal(strlen(ec.text), sizeof(ec.text) - 1);
}

static void
set_ok(void)
{
	(void)err_set(NULL, JY_OK, "no error");
}

static void
replace_by_ok(void)
{
	(void)err_replace(NULL, JY_OK, "no error");
}

static void
assert_false_condition(void)
{
	jy_assert(1 == 2);
}

static void
our_own_fault_aborts(void **state)
{
	(void)state;
	assert_true(dies(set_ok));
	assert_true(dies(replace_by_ok));
	assert_true(dies(assert_false_condition));
	jy_assert(1 == 1);
}

/* ---- secret ---- */

static void
secret_holds_octets(void **state)
{
	static const size_t caps[] = { 1, 16, 4095, 4096, 65536 };
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		struct secret *s = NULL;

		assert_int_equal(secret_new(caps[i], &s, &ec), JY_OK);
		assert_int_equal(secret_cap(s), caps[i]);
		assert_int_equal(secret_len(s), 0);
		memset(secret_data(s), 0xa5, caps[i]);
		secret_set_len(s, caps[i]);
		assert_int_equal(secret_len(s), caps[i]);
		assert_int_equal(secret_bytes(s)[caps[i] - 1], 0xa5);
		secret_free(s);
	}
	secret_free(NULL);
}

static void
secret_of_nothing(void)
{
	struct secret *s;

	(void)!secret_new(0, &s, NULL);
}

static void
secret_too_large(void)
{
	struct secret *s;

	(void)!secret_new(65537, &s, NULL);
}

static void
secret_len_beyond_cap(void)
{
	struct secret *s;

	if (secret_new(16, &s, NULL) == JY_OK) {
		secret_set_len(s, 17);
	}
}

static void
secret_overrun(void)
{
	struct secret *s;

	if (secret_new(16, &s, NULL) == JY_OK) {
		*(volatile uint8_t *)(secret_data(s) + 16) = 1;
	}
}

static void
secret_misuse_dies(void **state)
{
	(void)state;
	assert_true(dies(secret_of_nothing));
	assert_true(dies(secret_too_large));
	assert_true(dies(secret_len_beyond_cap));
	assert_true(dies(secret_overrun));
}

/* Exit status 3 when the failure was reported as it should be. */
static void
expect_no_secret(const char *detail)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *s = NULL;

	if (secret_new(16, &s, &ec) == JY_ENOMEM && s == NULL &&
	    strstr(ec.text, detail) != NULL) {
		_exit(3);
	}
}

static void
secret_without_memory(void)
{
	static const struct rlimit none = { 1, 1 };

	if (setrlimit(RLIMIT_AS, &none) == 0) {
		expect_no_secret("mmap for a secret");
	}
}

static void
secret_without_lock(void)
{
	static const struct rlimit none = { 1, 1 };

	/* Root may lock without limit, so give that up too. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) == 0 &&
	    (geteuid() != 0 || setuid(65534) == 0)) {
		expect_no_secret("RLIMIT_MEMLOCK");
	}
}

static void
secret_without_memory_is_refused(void **state)
{
	int status = run_in_child(secret_without_memory);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

static void
secret_that_cannot_be_locked_is_refused(void **state)
{
	int status;

	(void)state;
	if (SANITIZED) {
		skip(); /* sanitizers make mlock(2) do nothing */
	}
	status = run_in_child(secret_without_lock);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

static void
secret_eq_and_wipe(void **state)
{
	uint8_t a[16], b[16], zeros[16] = { 0 };

	(void)state;
	memset(a, 7, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(secret_eq(a, b, sizeof(a)));
	assert_true(secret_eq(a, zeros, 0));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_false(secret_eq(a, b, sizeof(a)));
		b[i] ^= 0x80;
	}
	secret_wipe(a, sizeof(a));
	assert_memory_equal(a, zeros, sizeof(a));
}

static void
secret_block_is_wiped(void **state)
{
	struct secret_block block;
	uint8_t zeros[16] = { 0 };

	(void)state;
	memset(block.b, 9, sizeof(block.b));
	secret_block_wipe(&block);
	assert_memory_equal(block.b, zeros, sizeof(zeros));
}

/* Exit status 3 when neither dumps nor core files are possible any more. */
static void
harden(void)
{
	struct rlimit core;

	if (secret_harden_process(NULL) == JY_OK &&
	    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	    getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 &&
	    core.rlim_max == 0) {
		_exit(3);
	}
}

static void
harden_process(void **state)
{
	int status = run_in_child(harden);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

/* ---- hex ---- */

static void
hex_every_octet_round_trips(void **state)
{
	uint8_t in[256], out[256];
	char text[HEX_STR_LEN(256)];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++) {
		in[i] = (uint8_t)i;
	}
	hex_format(in, sizeof(in), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_true(hex_parse(text, 512, out, sizeof(out)));
	assert_memory_equal(in, out, sizeof(in));
	assert_true(hex_parse("aAfF09", 6, out, 3));
	assert_memory_equal(out, "\xaa\xff\x09", 3);
	assert_true(hex_parse("", 0, out, 0));
}

static void
hex_only_digits_are_digits(void **state)
{
	uint8_t out[1] = { 0x5a };
	char text[3] = "0?";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool digit = c < 128 && c != 0 &&
		    strchr("0123456789abcdefABCDEF", c) != NULL;

		text[1] = (char)c;
		assert_int_equal(hex_parse(text, 2, out, 1), digit);
	}
}

static void
hex_refusal_leaves_result_untouched(void **state)
{
	static const char *const bad[] = { "", "00", "0011", "00112", "001g22",
		"0x1122", "00112233", " 01122", "00 122" };
	uint8_t out[3] = { 1, 2, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(hex_parse(bad[i], strlen(bad[i]), out, 3));
		assert_memory_equal(out, "\1\2\3", 3);
	}
}

static void
eui64_texts(void **state)
{
	static const char *const good[] = { "0011223344aAbBcC",
		"00-11-22-33-44-aa-bb-cc", "00:11:22:33:44:AA:BB:CC" };
	static const char *const bad[] = { "", "0011223344aabbc",
		"0011223344aabbccd", "00.11.22.33.44.aa.bb.cc",
		"00-11-22-33-44-aa-bb-cg", "001122-33-44-aa-bb-cc--" };
	struct eui64 e, first, other = { { 0 } };
	char text[EUI64_STR_LEN];

	(void)state;
	assert_true(eui64_parse(good[0], &first));
	assert_string_equal(eui64_str(&first, text), "0011223344aabbcc");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(eui64_parse(good[i], &e));
		assert_true(eui64_eq(&e, &first));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(eui64_parse(bad[i], &e));
		assert_true(eui64_eq(&e, &first));
	}
	assert_false(eui64_eq(&e, &other));
}

static void
net_id_texts(void **state)
{
	static const char *const bad[] = { "", "13", "00013", "0000013",
		"00001g" };
	uint32_t id = 5;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(net_id_parse(bad[i], &id));
		assert_int_equal(id, 5);
	}
	assert_true(net_id_parse("600013", &id));
	assert_int_equal(id, 0x600013);
	assert_true(net_id_parse("FFffff", &id));
	assert_int_equal(id, NET_ID_MAX);
}

/* ---- bytes ---- */

static void
reader_takes_apart(void **state)
{
	static const uint8_t in[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11 };
	struct reader r;
	struct eui64 e;
	uint8_t two[2];

	(void)state;
	reader_init(&r, in, sizeof(in));
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_le(&r, 2), 0x0302);
	assert_int_equal(reader_be(&r, 4), 0x04050607);
	reader_eui_le(&r, &e);
	assert_memory_equal(e.be, "\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08", 8);
	assert_false(reader_done(&r));
	reader_copy(&r, two, 2);
	assert_memory_equal(two, "\x10\x11", 2);
	assert_true(reader_done(&r));
	reader_init(&r, in, 8);
	assert_true(reader_be(&r, 8) == 0x0102030405060708U);
	reader_init(&r, in, 8);
	assert_true(reader_le(&r, 8) == 0x0807060504030201U);
}

static void
reader_past_the_end_gives_zeros(void **state)
{
	static const uint8_t in[3] = { 1, 2, 3 };
	uint8_t out[4] = { 9, 9, 9, 9 }, zeros[8] = { 0 };
	struct eui64 e;
	struct reader r;

	(void)state;
	reader_init(&r, in, sizeof(in));
	reader_copy(&r, out, 4);
	assert_memory_equal(out, zeros, 4);
	assert_int_equal(reader_u8(&r), 0); /* sticky, though 3 are left */
	reader_eui_le(&r, &e);
	assert_memory_equal(e.be, zeros, 8);
	assert_int_equal(reader_le(&r, 8), 0);
	assert_int_equal(reader_be(&r, 1), 0);
	assert_false(reader_done(&r));
	reader_init(&r, NULL, 0);
	reader_copy(&r, out, 0);
	assert_true(reader_done(&r));
}

static void
writer_puts_together(void **state)
{
	static const uint8_t want[] = { 1, 0x34, 0x12, 0x12, 0x34, 8, 7, 6, 5,
		4, 3, 2, 1, 'a', 'b', 0, 0 };
	struct eui64 e = { { 1, 2, 3, 4, 5, 6, 7, 8 } };
	uint8_t out[sizeof(want)];
	struct writer w;

	(void)state;
	writer_init(&w, out, sizeof(out));
	writer_u8(&w, 1);
	writer_le(&w, 0x1234, 2);
	writer_be(&w, 0x1234, 2);
	writer_eui_le(&w, &e);
	writer_copy(&w, "ab", 2);
	writer_copy(&w, NULL, 0);
	writer_zeros(&w, 2);
	assert_true(writer_ok(&w));
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

static void
writer_past_the_end_writes_nothing(void **state)
{
	uint8_t out[4] = { 9, 9, 9, 9 };
	struct eui64 e = { { 0 } };
	struct writer w;

	(void)state;
	writer_init(&w, out, 3);
	writer_be(&w, 0x01020304, 4);
	assert_false(writer_ok(&w));
	writer_u8(&w, 1); /* sticky, though it would fit */
	writer_eui_le(&w, &e);
	writer_copy(&w, "x", 1);
	writer_zeros(&w, 1);
	assert_int_equal(w.len, 0);
	assert_memory_equal(out, "\x9\x9\x9\x9", 4);
}

static void
read_of_nine(void)
{
	struct reader r;

	reader_init(&r, "0123456789", 10);
	(void)reader_be(&r, 9);
}

static void
write_of_none(void)
{
	uint8_t out[1];
	struct writer w;

	writer_init(&w, out, sizeof(out));
	writer_le(&w, 1, 0);
}

static void
bytes_misuse_dies(void **state)
{
	(void)state;
	assert_true(dies(read_of_nine));
	assert_true(dies(write_of_none));
}

/* ---- sys ---- */

static void
sys_time_and_randomness(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	uint64_t before = (uint64_t)time(NULL);
	uint64_t mono = sys_mono_us();

	(void)state;
	assert_true(sys_real.now_ms() / 1000 - before <= 5);
	assert_true(sys_mono_us() >= mono);
	sys_real.random(a, sizeof(a));
	sys_real.random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	sys_real.random(a, 0);
}

static void
sys_allocation(void **state)
{
	char *copy = sys_xstrdup("text");
	uint8_t *zeros = sys_xcalloc(4, 4);
	uint8_t *p = sys_xmalloc(16);

	(void)state;
	assert_string_equal(copy, "text");
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(zeros[i], 0);
		p[i] = 1;
	}
	free(copy);
	free(zeros);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_names_are_unique_and_texts_there),
		cmocka_unit_test(err_first_failure_wins),
		cmocka_unit_test(err_may_be_replaced_and_cleared),
		cmocka_unit_test(err_long_detail_is_cut),
		cmocka_unit_test(our_own_fault_aborts),
		cmocka_unit_test(secret_holds_octets),
		cmocka_unit_test(secret_misuse_dies),
		cmocka_unit_test(secret_without_memory_is_refused),
		cmocka_unit_test(secret_that_cannot_be_locked_is_refused),
		cmocka_unit_test(secret_eq_and_wipe),
		cmocka_unit_test(secret_block_is_wiped),
		cmocka_unit_test(harden_process),
		cmocka_unit_test(hex_every_octet_round_trips),
		cmocka_unit_test(hex_only_digits_are_digits),
		cmocka_unit_test(hex_refusal_leaves_result_untouched),
		cmocka_unit_test(eui64_texts),
		cmocka_unit_test(net_id_texts),
		cmocka_unit_test(reader_takes_apart),
		cmocka_unit_test(reader_past_the_end_gives_zeros),
		cmocka_unit_test(writer_puts_together),
		cmocka_unit_test(writer_past_the_end_writes_nothing),
		cmocka_unit_test(bytes_misuse_dies),
		cmocka_unit_test(sys_time_and_randomness),
		cmocka_unit_test(sys_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
