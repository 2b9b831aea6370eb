/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by OpenSSL. */
#include "tools/seal_digest.h"

#include <openssl/evp.h>

#include "src/base/err.h"

/* Nobody else sees what it is. */
static EVP_MD_CTX *
context(struct seal_digest *d)
{
	return (EVP_MD_CTX *)d;
}

struct seal_digest *
seal_digest_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	jy_assert(ctx != NULL);
	jy_assert(EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) == 1);
	return (struct seal_digest *)ctx;
}

void
seal_digest_add(struct seal_digest *d, const void *p, size_t len)
{
	jy_assert(EVP_DigestUpdate(context(d), p, len) == 1);
}

void
seal_digest_add_keys(struct seal_digest *d, const struct keyfile_device *device)
{
	const struct keyfile_key *keys[] = { &device->nwk, &device->app };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i]->present) {
			seal_digest_add(d, keys[i]->check_value,
			    sizeof(keys[i]->check_value));
		}
	}
}

void
seal_digest_end(struct seal_digest *d, uint8_t out[SEAL_DIGEST_LEN])
{
	jy_assert(EVP_DigestFinal_ex(context(d), out, NULL) == 1);
	EVP_MD_CTX_free(context(d));
}

void
seal_digest_free(struct seal_digest *d)
{
	EVP_MD_CTX_free(context(d));
}

void
seal_digest_of(struct seal_digest *d, const void *p, size_t len,
    uint8_t out[SEAL_DIGEST_LEN])
{
	jy_assert(EVP_DigestInit_ex2(context(d), NULL, NULL) == 1);
	seal_digest_add(d, p, len);
	jy_assert(EVP_DigestFinal_ex(context(d), out, NULL) == 1);
}
