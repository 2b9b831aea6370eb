/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL for joinery-sim: FIPS-197, RFC 4493, RFC 3394.  Knows blocks and
 * keys, nothing of LoRaWAN.  Shares no code with the token's side, so that a
 * mistake there cannot be made here as well.
 */
#include "tools/sim_crypto.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "src/base/sys.h"

struct sim_crypto {
	EVP_CIPHER_CTX *ecb;
	EVP_CIPHER_CTX *kw;
	EVP_MAC *mac;
	EVP_MAC_CTX *cmac;
};

enum jy_err
sim_crypto_new(struct sim_crypto **out, struct errctx *ec)
{
	struct sim_crypto *c = sys_xcalloc(1, sizeof(*c));

	c->ecb = EVP_CIPHER_CTX_new();
	c->kw = EVP_CIPHER_CTX_new();
	c->mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	c->cmac = c->mac != NULL ? EVP_MAC_CTX_new(c->mac) : NULL;
	if (c->ecb == NULL || c->kw == NULL || c->cmac == NULL) {
		sim_crypto_free(c);
		return err_set(ec, JY_ENOMEM, "OpenSSL lacks AES or CMAC");
	}
	*out = c;
	return JY_OK;
}

void
sim_crypto_free(struct sim_crypto *c)
{
	if (c == NULL) {
		return;
	}
	EVP_MAC_CTX_free(c->cmac);
	EVP_MAC_free(c->mac);
	EVP_CIPHER_CTX_free(c->kw);
	EVP_CIPHER_CTX_free(c->ecb);
	free(c);
}

static void
ecb_run(struct sim_crypto *c, const struct secret_block *key, int encrypt,
    const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	jy_assert(len % 16 == 0 && len <= INT_MAX);
	jy_assert(EVP_CipherInit_ex2(c->ecb, EVP_aes_128_ecb(), key->b, NULL,
		      encrypt, NULL) == 1);
	jy_assert(EVP_CIPHER_CTX_set_padding(c->ecb, 0) == 1);
	jy_assert(EVP_CipherUpdate(c->ecb, out, &n, in, (int)len) == 1);
	jy_assert((size_t)n == len);
	jy_assert(EVP_CIPHER_CTX_reset(c->ecb) == 1);
}

void
sim_crypto_encrypt(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *in, size_t len, uint8_t *out)
{
	ecb_run(c, key, 1, in, len, out);
}

void
sim_crypto_decrypt(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *in, size_t len, uint8_t *out)
{
	ecb_run(c, key, 0, in, len, out);
}

void
sim_crypto_cmac(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *data, size_t len, uint8_t mac[16])
{
	char cipher[] = "AES-128-CBC";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_MAC_PARAM_CIPHER, cipher, 0),
		OSSL_PARAM_construct_end(),
	};
	size_t n = 0;

	jy_assert(EVP_MAC_init(c->cmac, key->b, sizeof(key->b), params) == 1);
	jy_assert(EVP_MAC_update(c->cmac, data, len) == 1);
	jy_assert(EVP_MAC_final(c->cmac, mac, &n, 16) == 1);
	jy_assert(n == 16);
}

void
sim_crypto_mic(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *data, size_t len, uint8_t mic[SIM_MIC_LEN])
{
	AUTO_WIPE struct secret_block mac;

	sim_crypto_cmac(c, key, data, len, mac.b);
	memcpy(mic, mac.b, SIM_MIC_LEN);
}

void
sim_crypto_check_value(struct sim_crypto *c, const struct secret_block *key,
    uint8_t out[SIM_KCV_LEN])
{
	static const uint8_t zeros[16];

	sim_crypto_mic(c, key, zeros, sizeof(zeros), out);
}

static const EVP_CIPHER *
wrap_cipher(const struct secret *kek)
{
	switch (secret_len(kek)) {
	case 16:
		return EVP_aes_128_wrap();
	case 24:
		return EVP_aes_192_wrap();
	case 32:
		return EVP_aes_256_wrap();
	default:
		return NULL;
	}
}

/* One call of the key wrap; true if it gave out_len octets. */
static bool
wrap_run(struct sim_crypto *c, const struct secret *kek, int encrypt,
    const uint8_t *in, int len, uint8_t *out, int out_len)
{
	const EVP_CIPHER *cipher = wrap_cipher(kek);
	int n = 0;
	bool ok;

	jy_assert(cipher != NULL);
	EVP_CIPHER_CTX_set_flags(c->kw, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	jy_assert(EVP_CipherInit_ex2(c->kw, cipher, secret_bytes(kek), NULL,
		      encrypt, NULL) == 1);
	ok = EVP_CipherUpdate(c->kw, out, &n, in, len) == 1 && n == out_len;
	jy_assert(EVP_CIPHER_CTX_reset(c->kw) == 1);
	return ok;
}

void
sim_crypto_wrap(struct sim_crypto *c, const struct secret *kek,
    const struct secret_block *key, uint8_t out[SIM_WRAPPED_LEN])
{
	jy_assert(
	    wrap_run(c, kek, 1, key->b, sizeof(key->b), out, SIM_WRAPPED_LEN));
}

bool
sim_crypto_unwrap(struct sim_crypto *c, const struct secret *kek,
    const uint8_t in[SIM_WRAPPED_LEN], struct secret_block *out)
{
	/* OpenSSL asks for room of the wrapped length. */
	uint8_t room[SIM_WRAPPED_LEN];
	bool ok;

	ok = wrap_run(c, kek, 0, in, SIM_WRAPPED_LEN, room, sizeof(out->b));
	if (ok) {
		memcpy(out->b, room, sizeof(out->b));
	}
	secret_wipe(room, sizeof(room));
	return ok;
}
