/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "src/base/arena.h"

static bool
is_zero(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != 0) {
			return false;
		}
	}
	return true;
}

/* Pieces of every size: aligned, zeroed, and none touches another. */
static void
test_pieces(void **state)
{
	struct arena a = { 0 };
	unsigned char *pieces[300];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 300; i++) {
			pieces[i] = arena_try(&a, i);
			assert_non_null(pieces[i]);
			assert_int_equal(
			    (uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
			assert_true(is_zero(pieces[i], i));
			memset(pieces[i], 0xA5, i);
		}
		for (size_t i = 1; i < 300; i++) {
			assert_int_equal(pieces[i][0], 0xA5);
			memset(pieces[i], 0, i);
		}
		arena_reset(&a);
		assert_null(a.chunks);
		assert_int_equal(a.used, 0);
	}
	arena_reset(&a);
}

static void
test_copies(void **state)
{
	static const char octets[] = { 'a', 0, 'b' };
	struct arena a = { 0 };
	const char *copy, *text;

	(void)state;
	copy = arena_copy(&a, octets, sizeof(octets));
	text = arena_text(&a, "text");
	assert_memory_equal(copy, octets, sizeof(octets));
	assert_string_equal(text, "text");
	assert_non_null(arena_copy(&a, NULL, 0));
	assert_string_equal(arena_text(&a, ""), "");
	arena_reset(&a);
}

static void
test_bound(void **state)
{
	struct arena a = { 0 };

	(void)state;
	assert_null(arena_try(&a, ARENA_MAX + 1));
	assert_null(arena_try(&a, SIZE_MAX));
	assert_null(a.chunks);
	assert_non_null(arena_try(&a, ARENA_MAX / 2));
	assert_null(arena_try(&a, ARENA_MAX / 2 + 1));
	assert_non_null(arena_try(&a, ARENA_MAX / 2));
	assert_null(arena_try(&a, 1));
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, ARENA_MAX));
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
