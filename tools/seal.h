/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing a key to the token's import key, on the admin's side, so that no
 * clear key enters a server: a fresh AES-256 transport key under RSA-OAEP
 * (SHA-1, MGF1-SHA-1), the key under the transport key (RFC 3394), and the
 * first 4 octets of AES-CMAC(key, 16 zero octets) as check value.
 */
#ifndef JY_TOOLS_SEAL_H
#define JY_TOOLS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/secret.h"

#define SEAL_TRANSPORT_MAX 512
#define SEAL_WRAPPED_MAX 40

struct sealed_key {
	uint8_t import_key[32]; /* fingerprint of the import key */
	uint8_t transport_key[SEAL_TRANSPORT_MAX];
	size_t transport_key_len;
	uint8_t wrapped_key[SEAL_WRAPPED_MAX];
	size_t wrapped_key_len;
	uint8_t check_value[4];
};

/*
 * Read a key of 16, 24 or 32 octets as hexadecimal text from a file, or from
 * standard input if path is "-": digits, white space around them, nothing
 * else.  JY_EINVAL for anything else; the detail never shows a digit.
 */
enum jy_err seal_read_key(
    const char *path, struct secret **out, struct errctx *ec) JY_CHECK;

/* public_key: SubjectPublicKeyInfo, DER. */
enum jy_err seal_key(const uint8_t *public_key, size_t public_key_len,
    const struct secret *key, struct sealed_key *out,
    struct errctx *ec) JY_CHECK;

#endif
