/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's report: what is said, to whom, and nothing unsafe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/sim_report.h"

/* A block of one fact, a check that held and, if asked, one that did not. */
static char *
block(enum sim_format format, bool brief, bool fail, const char *text)
{
	struct sim_report r;
	char *out = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&out, &len);

	assert_non_null(mem);
	sim_report_init(&r, mem, format);
	r.brief = brief;
	sim_report_begin(&r);
	sim_report_title(&r, "part");
	sim_report_fact(&r, "fact", "%s", text);
	assert_true(sim_report_check(&r, true, "good", "%s", text));
	assert_false(r.failed);
	if (fail) {
		assert_false(sim_report_check(&r, false, "bad", "%s", text));
		assert_false(sim_report_check(&r, false, "later", "%s", text));
		assert_true(r.failed);
		assert_memory_equal(r.why, "bad: ", 5);
	}
	sim_report_end(&r, "end");
	assert_int_equal(fclose(mem), 0);
	return out;
}

static void
expect(char *got, const char *wanted)
{
	assert_string_equal(got, wanted);
	free(got);
}

static void
test_human(void **state)
{
	(void)state;
	expect(block(SIM_HUMAN, false, true, "x"),
	    "part\n"
	    "          fact            x\n"
	    "  ok      good            x\n"
	    "  FAILED  bad             x\n"
	    "  FAILED  later           x\n"
	    "end\n");
	expect(block(SIM_HUMAN, true, false, "x"), "");
	expect(block(SIM_HUMAN, true, true, "x"),
	    "  FAILED  bad             x\n"
	    "  FAILED  later           x\n"
	    "end\n");
}

static void
test_json(void **state)
{
	(void)state;
	expect(block(SIM_JSON, false, true, "a\"\\\n\x1b\x80z"),
	    "{\"fact\":\"a\\\"\\\\???z\",\"checks\":["
	    "{\"part\":\"part\",\"check\":\"good\",\"ok\":true,"
	    "\"detail\":\"a\\\"\\\\???z\"},"
	    "{\"part\":\"part\",\"check\":\"bad\",\"ok\":false,"
	    "\"detail\":\"a\\\"\\\\???z\"},"
	    "{\"part\":\"part\",\"check\":\"later\",\"ok\":false,"
	    "\"detail\":\"a\\\"\\\\???z\"}],"
	    "\"ok\":false,\"result\":\"end\"}\n");
	expect(block(SIM_JSON, true, false, "x"),
	    "{\"fact\":\"x\",\"checks\":[],\"ok\":true,\"result\":\"end\"}\n");
}

static void
test_quiet(void **state)
{
	(void)state;
	expect(block(SIM_QUIET, false, true, "x"), "");
}

/* Too much is cut off in whole lines; the verdict always comes. */
static void
test_overflow(void **state)
{
	struct sim_report r;
	char *out = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&out, &len);

	(void)state;
	assert_non_null(mem);
	sim_report_init(&r, mem, SIM_JSON);
	sim_report_begin(&r);
	for (int i = 0; i < 1000; i++) {
		(void)sim_report_check(&r, false, "bad", "%0500d", i);
		sim_report_fact(&r, "fact", "%0500d", i);
	}
	sim_report_end(&r, "end");
	(void)fclose(mem);
	assert_true(len < sizeof(r.facts) + sizeof(r.checks) + 100);
	assert_non_null(strstr(out, "\"}],\"ok\":false,\"result\":\"end\"}\n"));
	free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_human),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
