/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text, and the identifiers that people see as hexadecimal. */
#ifndef JY_BASE_HEX_H
#define JY_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

/* An EUI-64 with its octets in printed order (most significant first). */
struct eui64 {
	uint8_t be[8];
};

#define EUI64_STR_LEN 17 /* 16 digits and the NUL */
#define HEX_STR_LEN(n) (2 * (n) + 1)

/* Print n octets as lower-case digits; out has HEX_STR_LEN(n) octets. */
void hex_format(const uint8_t *in, size_t n, char *out);

/*
 * Read exactly 2 * n digits of either case, no prefix, nothing after them.
 * Returns false, out untouched, if text is anything else.  Takes time that
 * does not depend on the digits, so that it may read keys.
 */
bool hex_parse(
    const char *text, size_t text_len, uint8_t *out, size_t n) JY_CHECK;

/* Read 16 digits, with '-' or ':' between octets or without. */
bool eui64_parse(const char *text, struct eui64 *out) JY_CHECK;

/* Print into out and return it; an inline use: eui64_str(&e, buf). */
const char *eui64_str(const struct eui64 *e, char out[EUI64_STR_LEN]);

bool eui64_eq(const struct eui64 *a, const struct eui64 *b);

/* Read a NetID: 6 digits, most significant first. */
bool net_id_parse(const char *text, uint32_t *out) JY_CHECK;

#define NET_ID_MAX 0xFFFFFFU

#endif
