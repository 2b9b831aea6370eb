/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cryptography of a simulated device, by OpenSSL: AES-128 ECB (FIPS-197),
 * AES-CMAC (RFC 4493) and the AES key wrap (RFC 3394).
 *
 * Keys are borrowed.  Nothing here fails once sim_crypto_new() succeeded: the
 * lengths are fixed by the types, and running out of memory ends a tool.
 */
#ifndef JY_TOOLS_SIM_CRYPTO_H
#define JY_TOOLS_SIM_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/secret.h"

#define SIM_MIC_LEN 4
#define SIM_KCV_LEN 4
#define SIM_WRAPPED_LEN 24

/* Algorithms and contexts, fetched once.  One thread at a time. */
struct sim_crypto;

/* JY_ENOMEM when OpenSSL lacks an algorithm or memory.  The caller frees. */
enum jy_err sim_crypto_new(struct sim_crypto **out, struct errctx *ec) JY_CHECK;
void sim_crypto_free(struct sim_crypto *c);

/* AES-128 ECB over len octets, a multiple of 16; out may be in. */
void sim_crypto_encrypt(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *in, size_t len, uint8_t *out);
void sim_crypto_decrypt(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *in, size_t len, uint8_t *out);

void sim_crypto_cmac(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *data, size_t len, uint8_t mac[16]);

/* The first 4 octets of the CMAC. */
void sim_crypto_mic(struct sim_crypto *c, const struct secret_block *key,
    const uint8_t *data, size_t len, uint8_t mic[SIM_MIC_LEN]);

/* What stands for a key in print: its MIC over 16 zero octets. */
void sim_crypto_check_value(struct sim_crypto *c,
    const struct secret_block *key, uint8_t out[SIM_KCV_LEN]);

/* The KEK has 16, 24 or 32 octets. */
void sim_crypto_wrap(struct sim_crypto *c, const struct secret *kek,
    const struct secret_block *key, uint8_t out[SIM_WRAPPED_LEN]);

/* False, *out untouched, when it was not wrapped under this KEK. */
bool sim_crypto_unwrap(struct sim_crypto *c, const struct secret *kek,
    const uint8_t in[SIM_WRAPPED_LEN], struct secret_block *out) JY_CHECK;

#endif
