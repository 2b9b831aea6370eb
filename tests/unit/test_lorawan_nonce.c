/* SPDX-License-Identifier: Apache-2.0 */
/* src/lorawan: the nonce rules at their edges, and MAC version spellings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/lorawan/frame.h"
#include "src/lorawan/nonce.h"
#include "src/lorawan/version.h"

static const struct nonce_case {
	enum lw_nonce_rule rule;
	struct lw_nonce_state state;
	uint16_t dev_nonce;
	enum jy_err wanted;
} nonce_cases[] = {
	/* A device that never joined may start at 0, at 1 or anywhere. */
	{ LW_NONCE_COUNTER, { false, 0, false }, 0, JY_OK },
	{ LW_NONCE_COUNTER, { false, 0, false }, 1, JY_OK },
	{ LW_NONCE_COUNTER, { false, 0, false }, 65535, JY_OK },
	/* has_last false: whatever stands in last does not count. */
	{ LW_NONCE_COUNTER, { false, 65535, false }, 0, JY_OK },
	{ LW_NONCE_COUNTER, { true, 0, true }, 0, JY_EREPLAY },
	{ LW_NONCE_COUNTER, { true, 0, false }, 1, JY_OK },
	{ LW_NONCE_COUNTER, { true, 255, false }, 256, JY_OK },
	{ LW_NONCE_COUNTER, { true, 256, false }, 255, JY_EREPLAY },
	{ LW_NONCE_COUNTER, { true, 256, true }, 256, JY_EREPLAY },
	{ LW_NONCE_COUNTER, { true, 256, false }, 0, JY_EREPLAY },
	{ LW_NONCE_COUNTER, { true, 65534, false }, 65535, JY_OK },
	/* At the end the counter does not wrap. */
	{ LW_NONCE_COUNTER, { true, 65535, true }, 65535, JY_EREPLAY },
	{ LW_NONCE_COUNTER, { true, 65535, false }, 0, JY_EREPLAY },
	/* A counter above the last was never used, whatever is remembered. */
	{ LW_NONCE_COUNTER, { true, 7, true }, 8, JY_OK },
	{ LW_NONCE_UNIQUE, { false, 0, false }, 0, JY_OK },
	{ LW_NONCE_UNIQUE, { true, 65535, false }, 0, JY_OK },
	{ LW_NONCE_UNIQUE, { true, 7, false }, 7, JY_OK },
	{ LW_NONCE_UNIQUE, { true, 65535, true }, 0, JY_EREPLAY },
	{ LW_NONCE_UNIQUE, { true, 7, true }, 65535, JY_EREPLAY },
	{ LW_NONCE_UNIQUE, { true, 0, true }, 0, JY_EREPLAY },
	{ LW_NONCE_ANY, { true, 65535, true }, 0, JY_OK },
	{ LW_NONCE_ANY, { true, 7, true }, 7, JY_OK },
	{ LW_NONCE_ANY, { false, 0, false }, 65535, JY_OK },
};

static void
test_nonce_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nonce_cases); i++) {
		const struct nonce_case *c = &nonce_cases[i];
		struct errctx ec = ERRCTX_INIT;

		assert_int_equal(
		    lw_nonce_check(c->rule, &c->state, c->dev_nonce, &ec),
		    c->wanted);
		assert_int_equal(ec.err, c->wanted);
	}
}

/* A refusal names what came, what was last, and the rule. */
static void
test_nonce_detail(void **state)
{
	const struct lw_nonce_state known = { true, 300, true };
	struct errctx counter = ERRCTX_INIT;
	struct errctx unique = ERRCTX_INIT;

	(void)state;
	assert_int_equal(
	    lw_nonce_check(LW_NONCE_COUNTER, &known, 299, &counter),
	    JY_EREPLAY);
	assert_non_null(strstr(counter.text, "299"));
	assert_non_null(strstr(counter.text, "300"));
	assert_non_null(strstr(counter.text, "counter"));
	assert_int_equal(
	    lw_nonce_check(LW_NONCE_UNIQUE, &known, 299, &unique), JY_EREPLAY);
	assert_non_null(strstr(unique.text, "299"));
	assert_non_null(strstr(unique.text, "unique"));
}

static void
test_rj_count(void **state)
{
	static const struct {
		bool has_last;
		uint16_t last, count;
		enum jy_err wanted;
	} cases[] = {
		{ false, 0, 0, JY_OK },
		{ false, 65535, 0, JY_OK }, /* what stands in last is nothing */
		{ true, 0, 0, JY_ERJCOUNT }, { true, 0, 1, JY_OK },
		{ true, 0x00FF, 0x0100, JY_OK },
		{ true, 0x0100, 0x00FF, JY_ERJCOUNT },
		{ true, 0x0100, 0x0100, JY_ERJCOUNT },
		{ true, 65534, 65535, JY_OK },
		{ true, 65535, 65535, JY_ERJCOUNT },
		{ true, 65535, 0, JY_ERJCOUNT }, /* it does not wrap */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct errctx ec = ERRCTX_INIT;

		assert_int_equal(
		    lw_rj_count_check("RJcount1", cases[i].has_last,
			cases[i].last, cases[i].count, &ec),
		    cases[i].wanted);
		assert_int_equal(ec.err, cases[i].wanted);
	}
}

static void
test_rj_count_detail(void **state)
{
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(
	    lw_rj_count_check("RJcount0", true, 300, 299, &ec), JY_ERJCOUNT);
	assert_non_null(strstr(ec.text, "RJcount0"));
	assert_non_null(strstr(ec.text, "299"));
	assert_non_null(strstr(ec.text, "300"));
	assert_non_null(strstr(ec.text, "counter"));
}

static void
test_nonce_rule_str(void **state)
{
	(void)state;
	assert_string_equal(lw_nonce_rule_str(LW_NONCE_UNIQUE), "unique");
	assert_string_equal(lw_nonce_rule_str(LW_NONCE_COUNTER), "counter");
	assert_string_equal(lw_nonce_rule_str(LW_NONCE_ANY), "any");
}

static void
test_join_nonce(void **state)
{
	static const uint32_t lasts[] = { 0, 1, 0xFE, 0xFF, 0xFFFF, 0xFFFFFE };
	struct errctx ec = ERRCTX_INIT;
	uint32_t next = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		assert_int_equal(
		    lw_join_nonce_next(lasts[i], &next, NULL), JY_OK);
		assert_int_equal(next, lasts[i] + 1);
	}
	assert_int_equal(next, LW_JOIN_NONCE_MAX);
	next = 42;
	assert_int_equal(
	    lw_join_nonce_next(0xFFFFFF, &next, &ec), JY_EEXHAUSTED);
	assert_int_equal(
	    lw_join_nonce_next(0xFFFFFFFF, &next, NULL), JY_EEXHAUSTED);
	assert_int_equal(next, 42);
	assert_int_equal(ec.err, JY_EEXHAUSTED);
}

static void
test_version_spellings(void **state)
{
	static const struct {
		const char *text;
		enum lw_version wanted;
	} cases[] = {
		{ "1.0", LW_VERSION_1_0_0 },
		{ "1.0.0", LW_VERSION_1_0_0 },
		{ "1.0.1", LW_VERSION_1_0_1 },
		{ "1.0.2", LW_VERSION_1_0_2 },
		{ "1.0.2b", LW_VERSION_1_0_2 },
		{ "1.0.2B", LW_VERSION_1_0_2 },
		{ "1.0.3", LW_VERSION_1_0_3 },
		{ "1.0.3a", LW_VERSION_1_0_3 },
		{ "1.0.4", LW_VERSION_1_0_4 },
		{ "1.1", LW_VERSION_1_1_0 },
		{ "1.1.0", LW_VERSION_1_1_0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum lw_version v = LW_VERSION_NONE;

		assert_true(lw_version_parse(cases[i].text, &v));
		assert_int_equal(v, cases[i].wanted);
	}
}

static void
test_version_refused(void **state)
{
	static const char *const texts[] = { "", "1", "1.", "1.0.", "1.0.5",
		"1.1.1", "1.2", "2.0.0", "1.0.2bb", "1.0.22", "1.0.2-",
		" 1.0.3", "1.0.3 ", "1.0.3\n", "v1.0.3", "1,0,3", "01.0.3",
		"1.0.2[", "1.0.2`", "1.0b", "1.1b", "MAC_1_0_3",
		"1.0.3aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		enum lw_version v = LW_VERSION_1_0_4;

		assert_false(lw_version_parse(texts[i], &v));
		assert_int_equal(v, LW_VERSION_1_0_4);
	}
}

static void
test_version_properties(void **state)
{
	static const char *const names[] = { "", "1.0.0", "1.0.1", "1.0.2",
		"1.0.3", "1.0.4", "1.1.0" };

	(void)state;
	for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
		enum lw_version v = (enum lw_version)i;

		assert_string_equal(lw_version_str(v), names[i]);
		assert_int_equal(lw_version_is_1_1(v), i == 6);
		assert_int_equal(lw_version_counts_dev_nonce(v), i >= 5);
	}
	assert_string_equal(lw_version_str((enum lw_version)7), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nonce_check),
		cmocka_unit_test(test_nonce_detail),
		cmocka_unit_test(test_rj_count),
		cmocka_unit_test(test_rj_count_detail),
		cmocka_unit_test(test_nonce_rule_str),
		cmocka_unit_test(test_join_nonce),
		cmocka_unit_test(test_version_spellings),
		cmocka_unit_test(test_version_refused),
		cmocka_unit_test(test_version_properties),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
