/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transport keys of sealed key files and the keys under them, on SoftHSM and
 * NSS softokn; and, before SoftHSM, what becomes of them when calls fail.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hsm_groups.h"

static const uint8_t block[16] = "joinery-keyfile1";
static const uint8_t digest[32] = { 1, 2, 3 };

/* A file: its transport key, sealed, and one key under it. */
struct file {
	uint8_t transport[32];
	uint8_t import_key[HSM_FINGERPRINT_LEN];
	uint8_t ciphertext[512];
	size_t len;
	uint8_t mac[HSM_MAC_LEN];
	uint8_t wrapped[40];
	uint8_t kcv[16];
	struct hsm_wrapped key;
};

static void
file_make(struct file *f, uint8_t n, size_t key_len)
{
	static const uint8_t zeros[16];
	uint8_t key[32] = { n, 0x22 }, mac_key[16];

	memset(f->transport, n, sizeof(f->transport));
	f->len = seal_transport(hsm, f->transport, sizeof(f->transport),
	    f->import_key, f->ciphertext);
	ossl_ecb_256(f->transport, block, mac_key);
	ossl_cmac(mac_key, 16, digest, sizeof(digest), f->mac);
	ossl_cmac(key, key_len, zeros, sizeof(zeros), f->kcv);
	ossl_wrap(f->transport, 32, key, key_len, f->wrapped);
	f->key = (struct hsm_wrapped){ f->wrapped, key_len + 8, f->kcv };
}

static enum jy_err
get(const struct file *f, struct hsm_transport **out)
{
	return hsm_transport_get(
	    hsm, f->import_key, f->ciphertext, f->len, out, NULL);
}

static enum jy_err
check(const struct file *f, struct hsm_transport *t, struct errctx *ec)
{
	return hsm_transport_check(
	    hsm, t, block, digest, sizeof(digest), f->mac, ec);
}

static enum jy_err
import(const struct file *f, struct hsm_transport *t, const char *name)
{
	struct hsm_id id = id_of(name);

	return hsm_key_import_under(
	    hsm, t, &f->key, 16, HSM_ROOT, &id, name, NULL);
}

static bool
holds(const char *name)
{
	struct hsm_id id = id_of(name);
	struct hsm_key *key = NULL;
	enum jy_err err = hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL);

	hsm_key_put(hsm, key);
	assert_true(err == JY_OK || err == JY_ENOKEY);
	return err == JY_OK;
}

static uint64_t
calls(void)
{
	struct hsm_stats stats;

	hsm_stats(hsm, &stats);
	return stats.calls;
}

static void
test_mac(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_transport *t = NULL;
	struct file f;

	SKIP_WITHOUT_TOKEN();
	file_make(&f, 1, 16);
	assert_int_equal(get(&f, &t), JY_OK);
	assert_int_equal(check(&f, t, &ec), JY_OK);
	f.mac[15] ^= 1;
	assert_int_equal(check(&f, t, &ec), JY_EKCV);
	assert_non_null(strstr(ec.text, "MAC"));
	hsm_transport_put(hsm, t);
	hsm_transport_put(hsm, NULL);
}

static void
test_keys(void **state)
{
	struct hsm_transport *t = NULL;
	struct hsm_key *key = NULL;
	struct hsm_session *s;
	struct hsm_id id = id_of("under");
	uint8_t mic[HSM_MIC_LEN], zeros[16] = { 0 };
	uint64_t before;
	struct file f;

	SKIP_WITHOUT_TOKEN();
	file_make(&f, 2, 16);
	assert_int_equal(get(&f, &t), JY_OK);
	/* Proved only: nothing stays. */
	assert_int_equal(hsm_key_import_under(
			     hsm, t, &f.key, 16, HSM_ROOT, NULL, NULL, NULL),
	    JY_OK);
	assert_int_equal(import(&f, t, "first"), JY_OK);
	before = calls();
	assert_int_equal(import(&f, t, "under"), JY_OK);
	/* Unwrap, CMAC in two, destroy, unwrap. */
	assert_int_equal(calls() - before, 5);
	assert_int_equal(hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL), JY_OK);
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_mic(s, key, zeros, 16, mic, NULL), JY_OK);
	assert_memory_equal(mic, f.kcv, HSM_KCV_LEN);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
	hsm_transport_put(hsm, t);
}

static void
test_refused_keys(void **state)
{
	struct hsm_transport *t = NULL;
	struct file f;

	SKIP_WITHOUT_TOKEN();
	file_make(&f, 3, 16);
	assert_int_equal(get(&f, &t), JY_OK);
	f.kcv[0] ^= 1;
	assert_int_equal(import(&f, t, "refused"), JY_EKCV);
	f.kcv[0] ^= 1;
	f.wrapped[7] ^= 1;
	assert_int_equal(import(&f, t, "refused"), JY_ETOKENREQ);
	hsm_transport_put(hsm, t);
	for (size_t len = 24; len <= 32; len += 8) {
		file_make(&f, 3, len);
		assert_int_equal(get(&f, &t), JY_OK);
		assert_int_equal(import(&f, t, "refused"), JY_EINVAL);
		hsm_transport_put(hsm, t);
	}
	assert_false(holds("refused"));
}

static void
test_refused_files(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_transport *t = NULL;
	struct file f;

	SKIP_WITHOUT_TOKEN();
	file_make(&f, 4, 16);
	f.import_key[0] ^= 1;
	assert_int_equal(
	    hsm_transport_get(hsm, f.import_key, f.ciphertext, f.len, &t, &ec),
	    JY_EINVAL);
	assert_non_null(strstr(ec.text, "import key"));
	f.import_key[0] ^= 1;
	f.len--;
	assert_int_equal(get(&f, &t), JY_EINVAL);
	f.len++;
	f.ciphertext[9] ^= 1;
	assert_int_equal(get(&f, &t), JY_ETOKENREQ);
	assert_null(t);
}

/* Two are kept; one more needs the place of one that nobody uses. */
static void
test_places(void **state)
{
	struct hsm_transport *t[3] = { NULL }, *again = NULL;
	struct file f[3];
	uint64_t before;

	SKIP_WITHOUT_TOKEN();
	for (uint8_t i = 0; i < 3; i++) {
		file_make(&f[i], i + 5, 16);
	}
	assert_int_equal(get(&f[0], &t[0]), JY_OK);
	assert_int_equal(get(&f[1], &t[1]), JY_OK);
	assert_int_equal(get(&f[2], &t[2]), JY_EBUSY);
	before = calls();
	assert_int_equal(get(&f[0], &again), JY_OK);
	assert_int_equal(calls(), before);
	assert_ptr_equal(again, t[0]);
	hsm_transport_put(hsm, again);
	hsm_transport_put(hsm, t[0]);
	assert_int_equal(get(&f[2], &t[2]), JY_OK);
	assert_int_equal(check(&f[2], t[2], NULL), JY_OK);
	assert_int_equal(check(&f[1], t[1], NULL), JY_OK);
	hsm_transport_put(hsm, t[1]);
	hsm_transport_put(hsm, t[2]);
}

static void
test_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_UnwrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#2=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#2+=CKR_GENERAL_ERROR", JY_ETOKENREQ },
		{ "C_Sign#1=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_UnwrapKey#1=0xF0", JY_OK },
		{ "C_SignInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
	};
	struct hsm_transport *t = NULL;
	struct file f;

	SKIP_WITHOUT_TOKEN();
	file_make(&f, 9, 16);
	script("C_UnwrapKey#1=CKR_DEVICE_ERROR");
	assert_int_equal(get(&f, &t), JY_ETOKEN);
	script("");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "fault-%zu", i);
		assert_int_equal(get(&f, &t), JY_OK);
		script(cases[i].script);
		assert_int_equal(import(&f, t, name), cases[i].want);
		script("");
		hsm_transport_put(hsm, t);
		assert_int_equal(holds(name), cases[i].want == JY_OK);
	}
	assert_int_equal(get(&f, &t), JY_OK);
	script("C_DeriveKey#1=CKR_KEY_HANDLE_INVALID");
	assert_int_equal(check(&f, t, NULL), JY_OK);
	script("C_DeriveKey#1=CKR_DEVICE_REMOVED");
	assert_int_equal(check(&f, t, NULL), JY_ETOKEN);
	script("");
	assert_int_equal(check(&f, t, NULL), JY_OK);
	hsm_transport_put(hsm, t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refused_keys),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_places),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_faults),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
		.faults = faults,
		.fault_count = ARRAY_LEN(faults),
	};

	return hsm_groups_run(&groups);
}
