/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP Authorization header proves. */
#ifndef JY_FRONT_AUTHORIZATION_H
#define JY_FRONT_AUTHORIZATION_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"

#define AUTHORIZATION_HASH_LEN 32U

/*
 * The hash that the row of a peer holds: SHA-256 of "joinery bearer" NUL
 * token, or of "joinery basic" NUL user ":" password.  False, out untouched,
 * when the value is neither Bearer nor Basic, or nothing comes after that, or
 * it cannot be read; NULL is such a value too.
 */
bool authorization_hash(
    const char *value, uint8_t out[AUTHORIZATION_HASH_LEN]) JY_CHECK;

#endif
