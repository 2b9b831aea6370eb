/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of EUIs, as "70b3d57ed0000000/40": the first bits are fixed. */
#ifndef JY_BASE_PREFIX_H
#define JY_BASE_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"

struct eui64_prefix {
	struct eui64 eui; /* bits behind the prefix are 0 */
	uint8_t bits;     /* 0..64 */
};

#define EUI64_PREFIX_STR_LEN (EUI64_STR_LEN + 3)

/*
 * Read 16 hexadecimal digits and, behind a slash, the number of bits; without
 * it, 64.  False for anything else, and when a bit behind the prefix is set.
 */
bool eui64_prefix_parse(const char *text, struct eui64_prefix *out) JY_CHECK;

/* As it is read; into out, which is returned. */
const char *eui64_prefix_str(
    const struct eui64_prefix *p, char out[EUI64_PREFIX_STR_LEN]);

bool eui64_prefix_has(const struct eui64_prefix *p, const struct eui64 *eui);

#endif
