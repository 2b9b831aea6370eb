/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's cryptography against the vectors of its standards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/vectors/vectors.h"
#include "tools/sim_crypto.h"

static struct sim_crypto *crypto;

static int
setup(void **state)
{
	(void)state;
	return sim_crypto_new(&crypto, NULL) == JY_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	sim_crypto_free(crypto);
	return 0;
}

static void
block_from(const struct vector_field *f, struct secret_block *out)
{
	assert_int_equal(f->len, sizeof(out->b));
	memcpy(out->b, f->b, sizeof(out->b));
}

static void
one_ecb(const struct vector_field f[3])
{
	struct secret_block key;
	uint8_t out[16];

	block_from(&f[0], &key);
	sim_crypto_encrypt(crypto, &key, f[1].b, 16, out);
	assert_memory_equal(out, f[2].b, 16);
	sim_crypto_decrypt(crypto, &key, out, 16, out);
	assert_memory_equal(out, f[1].b, 16);
}

static void
test_ecb(void **state)
{
	(void)state;
	assert_int_equal(vectors_each("aes_ecb.txt", one_ecb), 2);
}

static void
one_cmac(const struct vector_field f[3])
{
	struct secret_block key;
	uint8_t mac[16];
	uint8_t mic[SIM_MIC_LEN];

	block_from(&f[0], &key);
	sim_crypto_cmac(crypto, &key, f[1].b, f[1].len, mac);
	assert_memory_equal(mac, f[2].b, 16);
	sim_crypto_mic(crypto, &key, f[1].b, f[1].len, mic);
	assert_memory_equal(mic, f[2].b, sizeof(mic));
}

static void
test_cmac(void **state)
{
	(void)state;
	assert_int_equal(vectors_each("aes_cmac.txt", one_cmac), 4);
}

static void
one_wrap(const struct vector_field f[3])
{
	struct secret *kek;
	struct secret_block key;
	struct secret_block back = { { 0 } };
	uint8_t out[SIM_WRAPPED_LEN];

	assert_int_equal(secret_new(f[0].len, &kek, NULL), JY_OK);
	memcpy(secret_data(kek), f[0].b, f[0].len);
	secret_set_len(kek, f[0].len);
	block_from(&f[1], &key);
	sim_crypto_wrap(crypto, kek, &key, out);
	assert_memory_equal(out, f[2].b, sizeof(out));
	assert_true(sim_crypto_unwrap(crypto, kek, out, &back));
	assert_memory_equal(back.b, key.b, sizeof(key.b));
	/* A wrong octet anywhere is noticed, and nothing is given out. */
	memset(back.b, 0x5A, sizeof(back.b));
	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] ^= 0x10;
		assert_false(sim_crypto_unwrap(crypto, kek, out, &back));
		out[i] ^= 0x10;
	}
	for (size_t i = 0; i < sizeof(back.b); i++) {
		assert_int_equal(back.b[i], 0x5A);
	}
	secret_free(kek);
}

static void
test_wrap(void **state)
{
	(void)state;
	assert_int_equal(vectors_each("aes_wrap.txt", one_wrap), 3);
}

/* AES-CMAC over zeros under the RFC 4493 key. */
static void
test_check_value(void **state)
{
	const struct secret_block key = { { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae,
	    0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c } };
	static const uint8_t zeros[16];
	uint8_t kcv[SIM_KCV_LEN];
	uint8_t mac[16];

	(void)state;
	sim_crypto_cmac(crypto, &key, zeros, sizeof(zeros), mac);
	sim_crypto_check_value(crypto, &key, kcv);
	assert_memory_equal(kcv, mac, sizeof(kcv));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ecb),
		cmocka_unit_test(test_cmac),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_check_value),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
