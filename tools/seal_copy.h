/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KEK under a partner's RSA public key, as a file: PEM with a head that says
 * what it is.  joineryctl(1), "kek generate", shows how it is opened.
 */
#ifndef JY_TOOLS_SEAL_COPY_H
#define JY_TOOLS_SEAL_COPY_H

#include <stdio.h>

#include "tools/seal.h"

#define SEAL_HASH_NAME_MAX 15

struct seal_copy {
	const char *label; /* in envelopes; not read back */
	uint32_t bits;
	uint8_t check_value[4];
	char oaep_hash[SEAL_HASH_NAME_MAX + 1];
	uint8_t public_key[SEAL_FINGERPRINT_LEN];
	uint8_t wrapped_key[SEAL_TRANSPORT_MAX];
	size_t wrapped_key_len;
};

/* JY_EIO when out does not take it. */
enum jy_err seal_copy_write(
    const struct seal_copy *copy, FILE *out, struct errctx *ec) JY_CHECK;

/*
 * The first copy in a file; label is NULL then.  JY_EIO when it cannot be
 * read, JY_EINVAL when it is not one.
 */
enum jy_err seal_copy_read(
    const char *path, struct seal_copy *out, struct errctx *ec) JY_CHECK;

#endif
