/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text.  The reader runs without branches on digits: keys too. */
#include "src/base/hex.h"

#include <string.h>

void
hex_format(const uint8_t *in, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

/* 1 if lo <= c <= hi, else 0, without a branch. */
static inline unsigned
in_range(unsigned c, unsigned lo, unsigned hi)
{
	return (((c - lo) | (hi - c)) >> 31) ^ 1U;
}

/* The value of a digit; *bad becomes non-zero if c is none. */
static inline unsigned
digit_value(unsigned char c, unsigned *bad)
{
	unsigned lower = c | 0x20U;
	unsigned is_num = in_range(c, '0', '9');
	unsigned is_let = in_range(lower, 'a', 'f');

	*bad |= (is_num | is_let) ^ 1U;
	return ((0U - is_num) & (c - '0')) |
	    ((0U - is_let) & (lower - 'a' + 10U));
}

bool
hex_parse(const char *text, size_t text_len, uint8_t *out, size_t n)
{
	unsigned bad = 0;

	if (text_len != 2 * n) {
		return false;
	}
	for (size_t i = 0; i < text_len; i++) {
		(void)digit_value((unsigned char)text[i], &bad);
	}
	if (bad != 0) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		out[i] = (uint8_t)(digit_value((unsigned char)text[2 * i], &bad)
			<< 4 |
		    digit_value((unsigned char)text[2 * i + 1], &bad));
	}
	return true;
}

bool
eui64_parse(const char *text, struct eui64 *out)
{
	char digits[16];
	size_t len = strlen(text);

	if (len == 16) {
		return hex_parse(text, 16, out->be, 8);
	}
	if (len != 23) {
		return false;
	}
	for (size_t i = 0; i < 8; i++) {
		if (i > 0 && text[3 * i - 1] != '-' && text[3 * i - 1] != ':') {
			return false;
		}
		memcpy(digits + 2 * i, text + 3 * i, 2);
	}
	return hex_parse(digits, sizeof(digits), out->be, 8);
}

const char *
eui64_str(const struct eui64 *e, char out[EUI64_STR_LEN])
{
	hex_format(e->be, sizeof(e->be), out);
	return out;
}

bool
eui64_eq(const struct eui64 *a, const struct eui64 *b)
{
	return memcmp(a->be, b->be, sizeof(a->be)) == 0;
}

bool
net_id_parse(const char *text, uint32_t *out)
{
	uint8_t b[3];

	if (!hex_parse(text, strlen(text), b, sizeof(b))) {
		return false;
	}
	*out = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
	return true;
}
