/* SPDX-License-Identifier: Apache-2.0 */
/* The log: what its lines look like, what it leaves out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/base/log.h"

/* Put what fn logs into out, as text. */
static void
capture(void (*fn)(void), char *out, size_t cap)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t len;

	assert_non_null(file);
	assert_true(saved >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	fn();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	rewind(file);
	len = fread(out, 1, cap - 1, file);
	out[len] = '\0';
	(void)fclose(file);
}

static unsigned
count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		n += *text == '\n';
	}
	return n;
}

static void
log_one_of_each(void)
{
	log_error("area", "bad", "n=%d", 1);
	log_info("area", "plain", "%s", "");
	log_debug("area", "hidden", "%s", "");
}

static void
log_forged(void)
{
	log_warn("area", "peer", "name=%s", "x\nforged line\x1b[0m\x7f");
}

/* The controls of C1 as one octet and as UTF-8; names may be UTF-8. */
static void
log_coloured(void)
{
	log_warn("area", "peer", "name=%s",
	    "M\xc3\xbcller \xe2\x82\xac \x9b"
	    "31m\xc2\x9b[31m \xff\xc3");
}

static void
log_too_long(void)
{
	log_warn("area", "long", "%04000d", 1);
}

static void
log_lines(void **state)
{
	char text[4096];

	(void)state;
	(void)unsetenv("JOURNAL_STREAM");
	log_init("prog", LOG_LEVEL_INFO);
	capture(log_one_of_each, text, sizeof(text));
	assert_int_equal(count_lines(text), 2);
	assert_int_equal(text[10], 'T'); /* 2024-02-29T00:00:00Z */
	assert_int_equal(text[19], 'Z');
	assert_non_null(strstr(text, "] error area: bad n=1\n"));
	assert_non_null(strstr(text, "] info area: plain\n"));
	assert_null(strstr(text, "hidden"));
}

static void
log_for_the_journal(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(setenv("JOURNAL_STREAM", "8:1", 1), 0);
	log_init("prog", LOG_LEVEL_ERROR);
	capture(log_one_of_each, text, sizeof(text));
	(void)unsetenv("JOURNAL_STREAM");
	assert_int_equal(count_lines(text), 1);
	assert_memory_equal(text, "<3>prog[", 8);
}

static void
log_cannot_be_forged(void **state)
{
	char text[4096];

	(void)state;
	log_init("prog", LOG_LEVEL_INFO);
	capture(log_forged, text, sizeof(text));
	assert_int_equal(count_lines(text), 1);
	assert_non_null(strstr(text, "name=x\\x0aforged line\\x1b[0m\\x7f\n"));
	capture(log_coloured, text, sizeof(text));
	assert_non_null(strstr(text,
	    "name=M\xc3\xbcller \xe2\x82\xac \\x9b31m\\xc2\\x9b[31m "
	    "\\xff\xc3\n"));
	capture(log_too_long, text, sizeof(text));
	assert_int_equal(count_lines(text), 1);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

/* Log until the clock has ticked, then once more in the new second. */
static void
log_flood(void)
{
	time_t second = time(NULL) + 1;

	while (time(NULL) <= second) {
		log_notice("area", "flood", "%s", "");
	}
	log_notice("area", "after", "%s", "");
}

static void
log_flood_is_cut(void **state)
{
	static char text[128 * 1024];
	const char *left_out;

	(void)state;
	log_init("prog", LOG_LEVEL_INFO);
	capture(log_flood, text, sizeof(text));
	/* Three seconds are touched at most, 200 lines each. */
	assert_true(count_lines(text) >= 200);
	assert_true(count_lines(text) <= 600);
	left_out = strstr(text, " lines_left_out=");
	assert_non_null(left_out);
	assert_true(strtoul(strchr(left_out, '=') + 1, NULL, 10) > 0);
}

static void
log_level_names(void **state)
{
	enum log_level level = LOG_LEVEL_WARN;

	(void)state;
	assert_false(log_level_parse("loud", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("error", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_lines),
		cmocka_unit_test(log_for_the_journal),
		cmocka_unit_test(log_cannot_be_forged),
		cmocka_unit_test(log_flood_is_cut),
		cmocka_unit_test(log_level_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
