/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/prefix.c: reading, printing, and who lies in a range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/prefix.h"

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		uint8_t bits;
		const char *back;
	} cases[] = {
		{ "70b3d57ed0000000/40", 40, "70b3d57ed0000000/40" },
		{ "70B3D57ED0000000/40", 40, "70b3d57ed0000000/40" },
		{ "70b3d57ed0000000/36", 36, "70b3d57ed0000000/36" },
		{ "70b3d57ed001a24c", 64, "70b3d57ed001a24c/64" },
		{ "70b3d57ed001a24c/64", 64, "70b3d57ed001a24c/64" },
		{ "0000000000000000/0", 0, "0000000000000000/0" },
		{ "8000000000000000/1", 1, "8000000000000000/1" },
		{ "0000000000000002/63", 63, "0000000000000002/63" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[EUI64_PREFIX_STR_LEN];
		struct eui64_prefix p;

		assert_true(eui64_prefix_parse(cases[i].text, &p));
		assert_int_equal(p.bits, cases[i].bits);
		assert_ptr_equal(eui64_prefix_str(&p, text), text);
		assert_string_equal(text, cases[i].back);
	}
}

static void
test_parse_refused(void **state)
{
	static const char *const texts[] = { "", "/", "/40",
		"70b3d57ed0000000/", "70b3d57ed0000000/65",
		"70b3d57ed0000000/100", "70b3d57ed0000000/-1",
		"70b3d57ed0000000/+40", "70b3d57ed0000000/ 40",
		"70b3d57ed0000000/40 ", "70b3d57ed0000000/040",
		"70b3d57ed0000000/00", "70b3d57ed0000000/4a",
		"70b3d57ed0000000/40/40", "70b3d57ed000000/40",
		"70b3d57ed00000000/40", "70b3d57ed000000g/40",
		"70-b3-d5-7e-d0-00-00-00/40", "0x70b3d57ed00000/40",
		" 70b3d57ed0000000/40",
		/* A bit behind the prefix. */
		"70b3d57ed0000001/40", "70b3d57ed0000000/35",
		"0000000000000001/0", "0000000000000001/63",
		"c000000000000000/1" };
	const struct eui64_prefix untouched = { .bits = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct eui64_prefix p = untouched;

		assert_false(eui64_prefix_parse(texts[i], &p));
		assert_memory_equal(&p, &untouched, sizeof(p));
	}
}

/* Every length of prefix: a bit inside tells, a bit behind does not. */
static void
test_has(void **state)
{
	const struct eui64 eui = { { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0x01, 0xa2,
	    0x4c } };

	(void)state;
	for (unsigned bits = 0; bits <= 64; bits++) {
		struct eui64_prefix p = { .bits = (uint8_t)bits };

		for (unsigned i = 0; i < bits; i++) {
			p.eui.be[i / 8] |=
			    (uint8_t)(eui.be[i / 8] & 0x80U >> (i % 8));
		}
		assert_true(eui64_prefix_has(&p, &eui));
		for (unsigned i = 0; i < 64; i++) {
			struct eui64 other = eui;

			other.be[i / 8] ^= (uint8_t)(0x80U >> (i % 8));
			assert_int_equal(
			    eui64_prefix_has(&p, &other), i >= bits);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refused),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
