/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing, seen from the token's side: the private key opens what was sealed.
 */
#include "tools/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "src/base/hex.h"

struct import_pair {
	EVP_PKEY *pair;
	uint8_t *der;
	size_t der_len;
};

static struct import_pair import;

/*
 * The keys of RFC 4493 and SP 800-38B.  The check values were made by hand
 * from single AES blocks: L = AES(0), K1 = L doubled, AES(K1).
 */
static const struct {
	const char *key;
	const char *kcv;
} keys[] = {
	{ "2b7e151628aed2a6abf7158809cf4f3c", "7ad386c3" },
	{ "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "3a072a42" },
	{ "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
	    "1a0b2df2" },
};

static void
public_der(EVP_PKEY *pair, uint8_t **der, size_t *len)
{
	int n;

	*der = NULL;
	n = i2d_PUBKEY(pair, der);
	assert_true(n > 0);
	*len = (size_t)n;
}

static int
setup(void **state)
{
	(void)state;
	import.pair = EVP_RSA_gen(2048);
	assert_non_null(import.pair);
	public_der(import.pair, &import.der, &import.der_len);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	OPENSSL_free(import.der);
	EVP_PKEY_free(import.pair);
	return 0;
}

static struct secret *
secret_of_hex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	struct secret *s = NULL;

	assert_int_equal(secret_new(n, &s, NULL), JY_OK);
	secret_set_len(s, n);
	assert_true(hex_parse(hex, 2 * n, secret_data(s), n));
	return s;
}

/* The clear key, as the token would get it. */
static size_t
unseal(EVP_PKEY *pair, const struct sealed_key *sealed, uint8_t out[40])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
	EVP_CIPHER_CTX *kw = EVP_CIPHER_CTX_new();
	uint8_t transport[512];
	size_t transport_len = sizeof(transport);
	int n = 0;

	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha1()), 1);
	assert_int_equal(EVP_PKEY_decrypt(ctx, transport, &transport_len,
			     sealed->transport_key, sealed->transport_key_len),
	    1);
	assert_int_equal(transport_len, 32);
	EVP_CIPHER_CTX_set_flags(kw, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	assert_int_equal(
	    EVP_DecryptInit_ex2(kw, EVP_aes_256_wrap(), transport, NULL, NULL),
	    1);
	assert_int_equal(EVP_DecryptUpdate(kw, out, &n, sealed->wrapped_key,
			     (int)sealed->wrapped_key_len),
	    1);
	EVP_CIPHER_CTX_free(kw);
	EVP_PKEY_CTX_free(ctx);
	return (size_t)n;
}

static void
test_every_length_opens(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct secret *key = secret_of_hex(keys[i].key);
		struct sealed_key sealed;
		uint8_t expected[SEAL_FINGERPRINT_LEN];
		uint8_t kcv[4];
		uint8_t clear[40];

		assert_int_equal(
		    seal_key(import.der, import.der_len, key, &sealed, NULL),
		    JY_OK);
		assert_int_equal(sealed.transport_key_len, 256);
		assert_int_equal(sealed.wrapped_key_len, secret_len(key) + 8);
		assert_int_equal(
		    unseal(import.pair, &sealed, clear), secret_len(key));
		assert_memory_equal(clear, secret_bytes(key), secret_len(key));
		assert_true(hex_parse(keys[i].kcv, 8, kcv, 4));
		assert_memory_equal(sealed.check_value, kcv, 4);
		assert_int_equal(seal_fingerprint(import.der, import.der_len,
				     expected, NULL),
		    JY_OK);
		assert_memory_equal(sealed.import_key, expected, 32);
		secret_free(key);
	}
}

static void
test_every_sealing_is_fresh(void **state)
{
	struct secret *key = secret_of_hex(keys[0].key);
	struct sealed_key a;
	struct sealed_key b;

	(void)state;
	assert_int_equal(
	    seal_key(import.der, import.der_len, key, &a, NULL), JY_OK);
	assert_int_equal(
	    seal_key(import.der, import.der_len, key, &b, NULL), JY_OK);
	assert_memory_not_equal(a.transport_key, b.transport_key, 256);
	assert_memory_not_equal(a.wrapped_key, b.wrapped_key, 24);
	assert_memory_equal(a.check_value, b.check_value, 4);
	secret_free(key);
}

/* The largest import key there is room for. */
static void
test_rsa_4096(void **state)
{
	EVP_PKEY *pair = EVP_RSA_gen(4096);
	struct secret *key = secret_of_hex(keys[2].key);
	struct sealed_key sealed;
	uint8_t clear[40];
	uint8_t *der;
	size_t len;

	(void)state;
	public_der(pair, &der, &len);
	assert_int_equal(seal_key(der, len, key, &sealed, NULL), JY_OK);
	assert_int_equal(sealed.transport_key_len, SEAL_TRANSPORT_MAX);
	assert_int_equal(unseal(pair, &sealed, clear), 32);
	assert_memory_equal(clear, secret_bytes(key), 32);
	OPENSSL_free(der);
	EVP_PKEY_free(pair);
	secret_free(key);
}

static void
assert_not_sealed(
    const uint8_t *der, size_t len, const struct secret *key, const char *why)
{
	struct errctx ec = ERRCTX_INIT;
	struct sealed_key sealed;
	struct sealed_key before;

	memset(&sealed, 0xa5, sizeof(sealed));
	before = sealed;
	assert_int_equal(seal_key(der, len, key, &sealed, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, why));
	assert_memory_equal(&sealed, &before, sizeof(sealed));
}

static void
test_import_keys_refused(void **state)
{
	struct secret *key = secret_of_hex(keys[0].key);
	EVP_PKEY *small = EVP_RSA_gen(1024);
	EVP_PKEY *curve = EVP_EC_gen("P-256");
	uint8_t *longer = malloc(import.der_len + 1);
	uint8_t *der;
	size_t len;

	(void)state;
	assert_non_null(longer);
	memcpy(longer, import.der, import.der_len);
	longer[import.der_len] = 0;
	assert_not_sealed(longer, import.der_len + 1, key, "malformed");
	assert_not_sealed(import.der, import.der_len - 1, key, "malformed");
	assert_not_sealed(import.der, 0, key, "malformed");
	free(longer);
	public_der(small, &der, &len);
	assert_not_sealed(der, len, key, "not RSA of 2048 to 4096 bits");
	OPENSSL_free(der);
	public_der(curve, &der, &len);
	assert_not_sealed(der, len, key, "not RSA of 2048 to 4096 bits");
	OPENSSL_free(der);
	EVP_PKEY_free(small);
	EVP_PKEY_free(curve);
	secret_free(key);
}

static void
test_key_sizes_refused(void **state)
{
	static const size_t sizes[] = { 0, 1, 8, 15, 17, 31, 33 };
	struct secret *key = NULL;

	(void)state;
	assert_int_equal(secret_new(64, &key, NULL), JY_OK);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		secret_set_len(key, sizes[i]);
		assert_not_sealed(
		    import.der, import.der_len, key, "16, 24 or 32 octets");
	}
	secret_free(key);
}

/* ---- key files ---- */

static const char *
file_with(const void *text, size_t len)
{
	static char path[] = "/tmp/test_seal.XXXXXX";
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(close(fd), 0);
	return path;
}

static void
test_key_file_read(void **state)
{
	static const char *const around[] = { "%s", "%s\n", "  %s\r\n",
		"\n\t%s \n\n" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys) * ARRAY_LEN(around); i++) {
		const char *digits = keys[i % ARRAY_LEN(keys)].key;
		struct secret *want = secret_of_hex(digits);
		struct secret *got = NULL;
		const char *a = around[i / ARRAY_LEN(keys)];
		const char *hole = strstr(a, "%s");
		const char *path;

		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - a),
		    a, digits, hole + 2);
		path = file_with(text, strlen(text));
		assert_int_equal(seal_read_key(path, &got, NULL), JY_OK);
		assert_int_equal(secret_len(got), secret_len(want));
		assert_memory_equal(
		    secret_bytes(got), secret_bytes(want), secret_len(want));
		assert_int_equal(unlink(path), 0);
		secret_free(got);
		secret_free(want);
	}
}

static void
assert_key_text_refused(const char *text, size_t len)
{
	const char *path = file_with(text, len);
	struct errctx ec = ERRCTX_INIT;
	struct secret *key = NULL;

	assert_int_equal(seal_read_key(path, &key, &ec), JY_EINVAL);
	assert_null(key);
	assert_non_null(strstr(ec.text, path));
	/* Nothing of the text, not even a few digits of it. */
	assert_null(strstr(ec.text, "c0ffee"));
	assert_int_equal(unlink(path), 0);
}

static void
test_key_file_refused(void **state)
{
	static const char *const texts[] = { "", "\n", "c0ffee",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec0f",
		"c0ffeec0ffeec0ffeec0ffeec0ffeecg",
		"0xc0ffeec0ffeec0ffeec0ffeec0ffee",
		"c0ffeec0ffeec0ff eec0ffeec0ffeec",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec0\nc0ffeec0ffeec0f",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec0c0ffeec0ffeec0ff0" };
	char much[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_key_text_refused(texts[i], strlen(texts[i]));
	}
	assert_key_text_refused("c0ffeec0ffeec0ff\0c0ffeec0ffeec0", 32);
	memset(much, ' ', sizeof(much));
	assert_key_text_refused(much, sizeof(much));
}

static void
test_key_file_missing(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *key = NULL;

	(void)state;
	assert_int_equal(seal_read_key("/nonexistent/key", &key, &ec), JY_EIO);
	assert_non_null(strstr(ec.text, "/nonexistent/key: "));
	assert_null(key);
	assert_int_equal(seal_read_key("/", &key, NULL), JY_EIO);
}

/* "-" is standard input, and it may come in pieces. */
static void
test_key_from_stdin(void **state)
{
	int ends[2];
	int saved = dup(STDIN_FILENO);
	struct secret *got = NULL;
	struct secret *want = secret_of_hex(keys[0].key);
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		bool ok = write(ends[1], keys[0].key, 10) == 10 &&
		    usleep(20000) == 0 &&
		    write(ends[1], keys[0].key + 10, 22) == 22;

		_exit(ok ? 0 : 1);
	}
	(void)close(ends[1]);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(seal_read_key("-", &got, NULL), JY_OK);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	(void)close(saved);
	(void)close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_memory_equal(secret_bytes(got), secret_bytes(want), 16);
	secret_free(got);
	secret_free(want);
}

/* ---- PEM ---- */

static void
test_pem_there_and_back(void **state)
{
	char *pem = NULL;
	uint8_t *der = NULL;
	size_t len = 0;
	const char *path;

	(void)state;
	assert_int_equal(
	    seal_format_pem(import.der, import.der_len, &pem, NULL), JY_OK);
	assert_ptr_equal(strstr(pem, "-----BEGIN PUBLIC KEY-----\n"), pem);
	path = file_with(pem, strlen(pem));
	assert_int_equal(seal_read_pem(path, &der, &len, NULL), JY_OK);
	assert_int_equal(len, import.der_len);
	assert_memory_equal(der, import.der, len);
	assert_int_equal(unlink(path), 0);
	free(der);
	free(pem);
}

static void
test_pem_refused(void **state)
{
	static const char *const texts[] = { "", "hello\n",
		"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
		"-----BEGIN DATA-----\nMAA=\n-----END DATA-----\n" };
	struct errctx ec = ERRCTX_INIT;
	uint8_t *der = NULL;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *path = file_with(texts[i], strlen(texts[i]));

		assert_int_equal(
		    seal_read_pem(path, &der, &len, NULL), JY_EINVAL);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(
	    seal_read_pem("/nonexistent/pem", &der, &len, &ec), JY_EIO);
	assert_non_null(strstr(ec.text, "/nonexistent/pem"));
	assert_null(der);
}

/* ---- tokens ---- */

static void
test_tokens(void **state)
{
	struct secret *a = NULL;
	struct secret *b = NULL;

	(void)state;
	assert_int_equal(seal_new_token(&a, NULL), JY_OK);
	assert_int_equal(seal_new_token(&b, NULL), JY_OK);
	assert_int_equal(secret_len(a), 43);
	assert_false(secret_eq(secret_bytes(a), secret_bytes(b), 43));
	for (size_t i = 0; i < 43; i++) {
		assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijk"
				       "lmnopqrstuvwxyz0123456789-_",
		    secret_bytes(a)[i]));
	}
	secret_free(a);
	secret_free(b);
}

/* Made by Python's hashlib, with a NUL behind each first word. */
static void
test_token_hashes(void **state)
{
	static const char token[] = "0123456789abcdefghijklmnopqrstuv";
	static const struct {
		const char *user;
		const char *hash;
	} cases[] = {
		{ NULL,
		    "1c7f114832fbe7f59e3304dc06279f15231b038d1cd7cdf532162f6994"
		    "b8b8d7" },
		{ "ns1",
		    "3b0e742f5c7ea64f385b8f3615686419e8ca53b8f6a0108316a084d31f"
		    "58e52a" },
	};
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(sizeof(token), &s, NULL), JY_OK);
	memcpy(secret_data(s), token, sizeof(token) - 1);
	secret_set_len(s, sizeof(token) - 1);
	for (size_t i = 0; i < 2; i++) {
		uint8_t hash[SEAL_HASH_LEN];
		char hex[HEX_STR_LEN(SEAL_HASH_LEN)];

		assert_int_equal(
		    seal_hash_token(cases[i].user, s, hash, NULL), JY_OK);
		hex_format(hash, sizeof(hash), hex);
		assert_string_equal(hex, cases[i].hash);
	}
	secret_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_opens),
		cmocka_unit_test(test_every_sealing_is_fresh),
		cmocka_unit_test(test_rsa_4096),
		cmocka_unit_test(test_import_keys_refused),
		cmocka_unit_test(test_key_sizes_refused),
		cmocka_unit_test(test_key_file_read),
		cmocka_unit_test(test_key_file_refused),
		cmocka_unit_test(test_key_file_missing),
		cmocka_unit_test(test_key_from_stdin),
		cmocka_unit_test(test_pem_there_and_back),
		cmocka_unit_test(test_pem_refused),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_token_hashes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
