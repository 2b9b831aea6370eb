/* SPDX-License-Identifier: Apache-2.0 */
/* Which texts every peer, log and file can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/base/text.h"

static void
test_clean(void **state)
{
	static const char *const texts[] = {
		"", "a", " ~\"\\%", "\xc2\xa0", /* the first behind C1 */
		"Z\xc3\xa4hler 1",              /* two octets */
		"\xdf\xbf\xe0\xa0\x80",
		"\xed\x9f\xbf\xee\x80\x80", /* around the surrogates */
		"\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf", /* the last one */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!text_is_clean(texts[i])) {
			fail_msg("text %zu", i);
		}
	}
}

static void
test_not_clean(void **state)
{
	static const char *const texts[] = {
		"\x01", "a\tb", "a\x1f", "\x7f", "\xc2\x80", /* C1 */
		"a\xc2\x9f", "\x80",         /* none that begins */
		"a\xbf", "\xff", "\xc0\xaf", /* overlong */
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80",             /* a surrogate */
		"\xf4\x90\x80\x80",         /* beyond the last */
		"\xf5\x80\x80\x80", "\xc3", /* cut */
		"a\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2\x82(",
		"Z\xe4hler", /* of another encoding */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (text_is_clean(texts[i])) {
			fail_msg("text %zu", i);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
