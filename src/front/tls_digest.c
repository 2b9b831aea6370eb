/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and base64, from libcrypto. */
#include "src/front/tls_digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

bool
tls_digest(
    const char *domain, const void *in, size_t len, uint8_t out[TLS_DIGEST_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	bool ok = ctx != NULL &&
	    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, domain, strlen(domain) + 1) == 1 &&
	    EVP_DigestUpdate(ctx, in, len) == 1 &&
	    EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

	/* It wipes what it holds of the text. */
	EVP_MD_CTX_free(ctx);
	if (ok) {
		memcpy(out, digest, TLS_DIGEST_LEN);
	}
	return ok;
}

bool
tls_digest_base64(
    const char *text, size_t len, uint8_t *out, size_t cap, size_t *out_len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	size_t padding = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
		padding++;
	}
	/* OpenSSL takes blanks around it, and '=' anywhere. */
	if (len == 0 || len > INT_MAX || len % 4 != 0 || len / 4 * 3 > cap ||
	    strspn(text, digits) < len - padding ||
	    EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) < 0) {
		return false;
	}
	*out_len = len / 4 * 3 - padding;
	return true;
}
