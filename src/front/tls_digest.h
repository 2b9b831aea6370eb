/* SPDX-License-Identifier: Apache-2.0 */
/* Two small things that OpenSSL does better than we would. */
#ifndef JY_FRONT_TLS_DIGEST_H
#define JY_FRONT_TLS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

#define TLS_DIGEST_LEN 32U

/*
 * SHA-256 of the text domain, a NUL and len octets; what else is hashed
 * under another domain never gives the same.  False when memory is short.
 */
bool tls_digest(const char *domain, const void *in, size_t len,
    uint8_t out[TLS_DIGEST_LEN]) JY_CHECK;

/*
 * Octets of padded base64 (RFC 4648, section 4) and nothing else; false, and
 * out may have been written to, for any other text or when cap is too small:
 * 3 octets for 4 characters are always enough.
 */
bool tls_digest_base64(const char *text, size_t len, uint8_t *out, size_t cap,
    size_t *out_len) JY_CHECK;

#endif
