/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated keys with a copy for a partner, copies that are imported, and
 * proofs that two KEKs are one: on both tokens, and when the token fails.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "hsm/internal.h"
#include "tests/unit/hsm_groups.h"

static EVP_PKEY *partner;
static uint8_t partner_der[HSM_PUBLIC_KEY_MAX];
static size_t partner_der_len;

static size_t
der_of(EVP_PKEY *key, uint8_t der[HSM_PUBLIC_KEY_MAX])
{
	uint8_t *p = der;
	int len = i2d_PUBKEY(key, NULL);

	assert_true(len > 0 && len <= HSM_PUBLIC_KEY_MAX);
	assert_int_equal(i2d_PUBKEY(key, &p), len);
	return (size_t)len;
}

static void
begin(void)
{
	partner = EVP_RSA_gen(2048);
	assert_non_null(partner);
	partner_der_len = der_of(partner, partner_der);
}

static void
end(void)
{
	EVP_PKEY_free(partner);
	partner = NULL;
}

static bool
is_there(const struct hsm_id *id)
{
	struct hsm_key *key = NULL;
	enum jy_err err = hsm_key_get(hsm, id, HSM_KEK, &key, NULL);

	assert_true(err == JY_OK || err == JY_ENOKEY);
	hsm_key_put(hsm, key);
	return err == JY_OK;
}

/* The token's KEK is this one. */
static void
expect_kek(const struct hsm_id *id, const uint8_t *key, size_t len)
{
	uint8_t proof[24], want[24];
	struct errctx ec = ERRCTX_INIT;

	if (hsm_kek_prove(hsm, id, proof, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	ossl_wrap(key, len, hsm_test_key, HSM_TEST_KEY_LEN, want);
	assert_memory_equal(proof, want, sizeof(want));
}

static void
kcv_of(const uint8_t *key, size_t len, uint8_t kcv[HSM_KCV_LEN])
{
	static const uint8_t zeros[16];
	uint8_t mac[16];

	ossl_cmac(key, len, zeros, sizeof(zeros), mac);
	memcpy(kcv, mac, HSM_KCV_LEN);
}

static const uint8_t kek_value[32] = { 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6,
	0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2,
	0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde,
	0xdf };
static const size_t sizes[] = { 16, 24, 32 };

static void
import_kek(const struct hsm_id *id, size_t len)
{
	struct sealing s;

	seal_for(hsm, kek_value, len, &s);
	assert_int_equal(
	    hsm_key_import(hsm, &s.sealed, len, HSM_KEK, id, "kek", NULL),
	    JY_OK);
}

/* ---- proofs ---- */

static void
test_proof(void **state)
{
	struct hsm_id id = id_of("proved");
	uint8_t proof[24] = { 0 };
	struct errctx ec = ERRCTX_INIT;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(hsm_kek_prove(hsm, &id, proof, &ec), JY_ENOKEY);
	assert_string_not_equal(ec.text, "");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		import_kek(&id, sizes[i]);
		expect_kek(&id, kek_value, sizes[i]);
		expect_kek(&id, kek_value, sizes[i]);
	}
	/* A key that may not wrap proves nothing. */
	import_kek(&id, 16);
	assert_int_equal(
	    hsm_key_generate(hsm, 16, HSM_DERIVE_ONLY, &id, "no", proof, NULL),
	    JY_OK);
	if (token.kind == TOKEN_SOFTHSM) {
		assert_int_equal(
		    hsm_kek_prove(hsm, &id, proof, NULL), JY_ETOKENREQ);
	}
}

/* An object that goes behind our back is missed, and its copy with it. */
static void
test_vanished(void **state)
{
	struct hsm_id id = id_of("vanishing");
	CK_OBJECT_HANDLE handle;
	uint8_t proof[24];

	SKIP_WITHOUT_TOKEN();
	import_kek(&id, 32);
	assert_true(is_there(&id));
	assert_int_equal(
	    object_find(hsm, hsm->anchor, CKO_SECRET_KEY, &id, &handle),
	    CKR_OK);
	assert_int_equal(hsm->f->C_DestroyObject(hsm->anchor, handle), CKR_OK);
	assert_true(is_there(&id)); /* the copy still is */
	assert_int_equal(hsm_kek_prove(hsm, &id, proof, NULL), JY_ENOKEY);
	assert_false(is_there(&id));
	import_kek(&id, 32);
	expect_kek(&id, kek_value, 32);
}

/* ---- a copy for a partner ---- */

static size_t
open_copy(const struct hsm_copy *copy, uint8_t key[32])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(partner, NULL);
	uint8_t room[HSM_RSA_MAX];
	size_t len = sizeof(room);

	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(
	    EVP_PKEY_decrypt(ctx, room, &len, copy->wrapped, copy->len), 1);
	EVP_PKEY_CTX_free(ctx);
	assert_true(len <= 32);
	memcpy(key, room, len);
	return len;
}

static void
test_generate_for(void **state)
{
	struct hsm_id id = id_of("shared");
	uint8_t kcv[4], want[4], key[32], sha[32];
	struct errctx ec = ERRCTX_INIT;
	struct hsm_copy copy;

	SKIP_WITHOUT_TOKEN();
	(void)SHA256(partner_der, partner_der_len, sha);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const struct hsm_target target = { sizes[i], HSM_KEK, &id,
			"shared" };

		if (hsm_key_generate_for(hsm, &target, partner_der,
			partner_der_len, kcv, &copy, &ec) != JY_OK) {
			fail_msg("%s", ec.text);
		}
		assert_memory_equal(copy.public_key, sha, sizeof(sha));
		assert_int_equal(copy.len, 256);
		assert_int_equal(open_copy(&copy, key), sizes[i]);
		kcv_of(key, sizes[i], want);
		assert_memory_equal(kcv, want, sizeof(want));
		expect_kek(&id, key, sizes[i]);
	}
}

static void
expect_no_partner(const uint8_t *der, size_t len)
{
	struct hsm_id id = id_of("unshared");
	const struct hsm_target target = { 16, HSM_KEK, &id, "unshared" };
	struct errctx ec = ERRCTX_INIT;
	struct hsm_copy copy;
	uint8_t kcv[4];

	assert_int_equal(
	    hsm_key_generate_for(hsm, &target, der, len, kcv, &copy, &ec),
	    JY_EINVAL);
	assert_non_null(strstr(ec.text, "RSA of 2048 to 4096 bits"));
	assert_false(is_there(&id));
}

static void
expect_no_partner_key(EVP_PKEY *key)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];

	assert_non_null(key);
	expect_no_partner(der, der_of(key, der));
	EVP_PKEY_free(key);
}

static void
test_partners_refused(void **state)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t len = partner_der_len;
	struct rsa_public rsa;

	SKIP_WITHOUT_TOKEN();
	expect_no_partner_key(EVP_RSA_gen(1024));
	expect_no_partner_key(EVP_RSA_gen(2040));
	expect_no_partner_key(EVP_EC_gen("P-256"));
	expect_no_partner(partner_der, 0);
	for (size_t i = 1; i < len; i += 13) {
		expect_no_partner(partner_der, i);
	}
	memcpy(der, partner_der, len);
	der[len] = 0;
	expect_no_partner(der, len + 1);
	/* Heads, the algorithm, the numbers: one octet other than it is. */
	for (size_t i = 0; i < 33; i++) {
		der[i] ^= 0x40;
		expect_no_partner(der, len);
		der[i] ^= 0x40;
	}
	der[len - 1] ^= 1; /* an even exponent */
	expect_no_partner(der, len);
	der[len - 1] ^= 1;
	der[len - 6] ^= 1; /* an even modulus */
	expect_no_partner(der, len);
	der[len - 6] ^= 1;
	assert_int_equal(rsa_decode(der, len, &rsa, NULL), JY_OK);
}

static void
test_partner_sizes(void **state)
{
	static const unsigned bits[] = { 2048, 2056, 3072, 4096 };
	uint8_t der[HSM_PUBLIC_KEY_MAX], again[HSM_PUBLIC_KEY_MAX];
	struct rsa_public rsa;
	size_t again_len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		EVP_PKEY *key = EVP_RSA_gen(bits[i]);
		size_t len = der_of(key, der);

		assert_int_equal(rsa_decode(der, len, &rsa, NULL), JY_OK);
		assert_int_equal(rsa.modulus_len, bits[i] / 8);
		assert_true(rsa_encode(&rsa, again, &again_len));
		assert_int_equal(again_len, len);
		assert_memory_equal(again, der, len);
		EVP_PKEY_free(key);
	}
}

/* ---- copies that come in ---- */

static void
copy_for(const uint8_t *key, size_t len, struct hsm_copy *out)
{
	out->len = seal_transport(hsm, key, len, out->public_key, out->wrapped);
}

static void
expect_copy(struct hsm_copy *copy, size_t len, const uint8_t kcv[4],
    enum jy_err want, const char *text)
{
	struct hsm_id id = id_of("copied");
	const struct hsm_target target = { len, HSM_KEK, &id, "copied" };
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(
	    hsm_key_import_copy(hsm, &target, copy, kcv, &ec), want);
	if (want == JY_OK) {
		expect_kek(&id, kek_value, len);
		assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_OK);
	} else {
		assert_non_null(strstr(ec.text, text));
		assert_false(is_there(&id));
	}
}

static void
test_import_copy(void **state)
{
	struct hsm_copy copy;
	uint8_t kcv[4];

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		copy_for(kek_value, sizes[i], &copy);
		kcv_of(kek_value, sizes[i], kcv);
		expect_copy(&copy, sizes[i], kcv, JY_OK, "");
	}
	/* A key of 256 bits that says it has 128 or 192. */
	expect_copy(&copy, 16, kcv, JY_EINVAL, "has not 128 bits");
	expect_copy(&copy, 24, kcv, JY_EINVAL, "has not 192 bits");
	kcv[3] ^= 1;
	expect_copy(&copy, 32, kcv, JY_EKCV, "check value");
	kcv[3] ^= 1;
	copy.public_key[0] ^= 1;
	expect_copy(&copy, 32, kcv, JY_EINVAL, "sealed for import key");
	copy.public_key[0] ^= 1;
	copy.len--;
	expect_copy(&copy, 32, kcv, JY_EINVAL, "383 octets, not 384");
	copy.len++;
	copy.wrapped[17] ^= 1;
	expect_copy(&copy, 32, kcv, JY_ETOKENREQ, "import a copy");
}

/* ---- a token that fails ---- */

struct fault {
	const char *script;
	enum jy_err want;
};

/* Whatever fails half-way, no key is left and the next one is made. */
static void
test_generate_faults(void **state)
{
	static const struct fault faults[] = {
		{ "C_Digest#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_CreateObject#1=CKR_TEMPLATE_INCONSISTENT", JY_ETOKENREQ },
		{ "C_GenerateKey#1=CKR_DEVICE_MEMORY", JY_ETOKEN },
		{ "C_WrapKey#1=CKR_KEY_UNEXTRACTABLE", JY_ETOKENREQ },
		{ "C_WrapKey#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "C_GenerateKey#2=CKR_DEVICE_MEMORY", JY_ETOKEN },
		{ "C_WrapKey#2=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_UnwrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_Sign#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#2=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_WrapKey#1=CKR_SESSION_CLOSED", JY_OK },
	};
	struct hsm_id id = id_of("halfway");
	const struct hsm_target target = { 16, HSM_KEK, &id, "halfway" };
	struct hsm_copy copy;
	uint8_t kcv[4];

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		enum jy_err err;

		copy.len = 0;
		script(faults[i].script);
		err = hsm_key_generate_for(hsm, &target, partner_der,
		    partner_der_len, kcv, &copy, NULL);
		script("");
		if (err != faults[i].want) {
			fail_msg("%s: %s", faults[i].script, err_name(err));
		}
		assert_int_equal(is_there(&id), err == JY_OK);
		assert_int_equal(copy.len, err == JY_OK ? 256 : 0);
	}
	assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_OK);
}

static void
test_proof_faults(void **state)
{
	static const struct fault faults[] = {
		{ "C_WrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_WrapKey#1=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_WrapKey#1=0x113" /* WRAPPING_KEY_HANDLE_INVALID */,
		    JY_OK },
		{ "C_WrapKey#1=CKR_KEY_HANDLE_INVALID C_Encrypt#1="
		  "CKR_DEVICE_ERROR",
		    JY_ETOKEN },
		{ "C_WrapKey*=CKR_GENERAL_ERROR", JY_ETOKENREQ },
		{ "C_WrapKey#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
	};
	struct hsm_id id = id_of("proved");
	uint8_t proof[24];

	SKIP_WITHOUT_TOKEN();
	import_kek(&id, 16);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		enum jy_err err;

		script(faults[i].script);
		err = hsm_kek_prove(hsm, &id, proof, NULL);
		script("");
		if (err != faults[i].want) {
			fail_msg("%s: %s", faults[i].script, err_name(err));
		}
		expect_kek(&id, kek_value, 16);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_generate_for),
		cmocka_unit_test(test_partners_refused),
		cmocka_unit_test(test_partner_sizes),
		cmocka_unit_test(test_import_copy),
	};
	const struct CMUnitTest fault_tests[] = {
		cmocka_unit_test(test_generate_faults),
		cmocka_unit_test(test_proof_faults),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
		.faults = fault_tests,
		.fault_count = ARRAY_LEN(fault_tests),
		.begin = begin,
		.end = end,
	};

	return hsm_groups_run(&groups);
}
