/* SPDX-License-Identifier: Apache-2.0 */
/* Finding what is there twice, also when the table has grown many times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/eui_set.h"

#define MANY 20000U

static struct eui64
eui(uint64_t n)
{
	struct eui64 e;

	for (size_t i = 0; i < sizeof(e.be); i++) {
		e.be[i] = (uint8_t)(n >> (56 - 8 * i));
	}
	return e;
}

static void
test_added_once(void **state)
{
	struct eui_set *set = eui_set_new();
	struct eui64 join = eui(1);

	(void)state;
	for (uint64_t i = 0; i < MANY; i++) {
		struct eui64 dev = eui(i);

		assert_int_equal(eui_set_add(set, &join, &dev, i + 1), 0);
	}
	for (uint64_t i = 0; i < MANY; i++) {
		struct eui64 dev = eui(i);

		assert_int_equal(eui_set_add(set, &join, &dev, 7), i + 1);
	}
	eui_set_free(set);
	eui_set_free(NULL);
}

/* A device is the pair; which EUI is which matters. */
static void
test_pairs(void **state)
{
	struct eui_set *set = eui_set_new();
	struct eui64 a = eui(1);
	struct eui64 b = eui(2);

	(void)state;
	assert_int_equal(eui_set_add(set, &a, &b, 1), 0);
	assert_int_equal(eui_set_add(set, &b, &a, 2), 0);
	assert_int_equal(eui_set_add(set, &a, &a, 3), 0);
	assert_int_equal(eui_set_add(set, &a, &b, 4), 1);
	eui_set_free(set);
}

static void
test_large_line(void **state)
{
	struct eui_set *set = eui_set_new();
	struct eui64 a = eui(1);

	(void)state;
	assert_int_equal(eui_set_add(set, &a, &a, UINT64_C(1) << 40), 0);
	assert_int_equal(eui_set_add(set, &a, &a, 1), UINT32_MAX);
	eui_set_free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added_once),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_large_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
