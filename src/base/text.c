/* SPDX-License-Identifier: Apache-2.0 */
#include "src/base/text.h"

#include <stddef.h>

/*
 * Octets of the UTF-8 character at p, 0 if there is none: by the table of
 * well-formed sequences, so nothing overlong, no surrogate, nothing beyond
 * U+10FFFF.  A NUL ends each sequence too early.
 */
static size_t
utf8_len(const unsigned char *p)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, len;
	} rows[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t n = 2;

	if (p[0] < 0x80) {
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (p[0] < rows[i].first_min || p[0] > rows[i].first_max ||
		    p[1] < rows[i].second_min || p[1] > rows[i].second_max) {
			continue;
		}
		while (n < rows[i].len && (p[n] & 0xc0U) == 0x80) {
			n++;
		}
		return n == rows[i].len ? n : 0;
	}
	return 0;
}

bool
text_is_clean(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (; *p != '\0'; p += n) {
		n = utf8_len(p);
		/* C0, DEL and C1. */
		if (n == 0 || *p < 0x20 || *p == 0x7f ||
		    (p[0] == 0xc2 && p[1] < 0xa0)) {
			return false;
		}
	}
	return true;
}
