/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of EUIs: text to first bits, and who lies in them. */
#include "src/base/prefix.h"

#include <stdio.h>
#include <string.h>

#define EUI_BITS 64
#define EUI_DIGITS (EUI64_STR_LEN - 1)

/* One or two digits and nothing else, no leading zero: 0..64. */
static bool
bits_parse(const char *text, uint8_t *out)
{
	unsigned bits = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 2 || (len == 2 && text[0] == '0')) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
		bits = 10 * bits + (unsigned)(text[i] - '0');
	}
	if (bits > EUI_BITS) {
		return false;
	}
	*out = (uint8_t)bits;
	return true;
}

/* Which bits of octet i are fixed. */
static unsigned
octet_mask(uint8_t bits, size_t i)
{
	size_t fixed = bits <= 8 * i ? 0 : bits - 8 * i;

	return fixed >= 8 ? 0xFFU : 0xFF00U >> fixed & 0xFFU;
}

bool
eui64_prefix_parse(const char *text, struct eui64_prefix *out)
{
	struct eui64_prefix p = { .bits = EUI_BITS };
	const char *slash = strchr(text, '/');
	size_t digits = slash != NULL ? (size_t)(slash - text) : strlen(text);

	if (digits != EUI_DIGITS ||
	    !hex_parse(text, digits, p.eui.be, sizeof(p.eui.be)) ||
	    (slash != NULL && !bits_parse(slash + 1, &p.bits))) {
		return false;
	}
	for (size_t i = 0; i < sizeof(p.eui.be); i++) {
		if ((p.eui.be[i] & ~octet_mask(p.bits, i)) != 0) {
			return false;
		}
	}
	*out = p;
	return true;
}

const char *
eui64_prefix_str(const struct eui64_prefix *p, char out[EUI64_PREFIX_STR_LEN])
{
	char eui[EUI64_STR_LEN];

	(void)snprintf(out, EUI64_PREFIX_STR_LEN, "%s/%u",
	    eui64_str(&p->eui, eui), (unsigned)(p->bits % 100));
	return out;
}

bool
eui64_prefix_has(const struct eui64_prefix *p, const struct eui64 *eui)
{
	for (size_t i = 0; i < sizeof(eui->be); i++) {
		if (((p->eui.be[i] ^ eui->be[i]) & octet_mask(p->bits, i)) !=
		    0) {
			return false;
		}
	}
	return true;
}
