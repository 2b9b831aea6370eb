/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import keys of several generations and the audit key, on SoftHSM and NSS
 * softokn; and, before SoftHSM, what becomes of them when calls fail.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hsm_groups.h"

static size_t
count(void)
{
	uint32_t generations[HSM_IMPORT_KEYS_MAX];
	struct errctx ec = ERRCTX_INIT;
	size_t n = 0;

	if (hsm_import_keys(hsm, true, generations, &n, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	for (size_t i = 1; i < n; i++) {
		assert_true(generations[i - 1] < generations[i]);
	}
	return n;
}

static enum jy_err
fingerprint_of(uint32_t generation, uint8_t fingerprint[HSM_FINGERPRINT_LEN])
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t len;

	return hsm_import_key(hsm, generation, der, &len, fingerprint, NULL);
}

static enum jy_err
import(const struct sealing *s, const char *name)
{
	struct hsm_id id = id_of(name);

	return hsm_key_import(hsm, &s->sealed, 16, HSM_ROOT, &id, name, NULL);
}

/* What is sealed for the first opens beside a second, and after it. */
static void
test_generations(void **state)
{
	static const uint8_t key[16] = { 1, 2, 3 };
	uint8_t first[HSM_FINGERPRINT_LEN], second[HSM_FINGERPRINT_LEN];
	struct sealing s;

	SKIP_WITHOUT_TOKEN();
	seal_for(hsm, key, sizeof(key), &s); /* for generation 1 */
	assert_int_equal(count(), 1);
	assert_int_equal(fingerprint_of(2, second), JY_ENOKEY);
	assert_int_equal(hsm_import_key_make(hsm, 2, NULL), JY_OK);
	assert_int_equal(hsm_import_key_make(hsm, 4000000000U, NULL), JY_OK);
	assert_int_equal(count(), 3);
	assert_int_equal(fingerprint_of(1, first), JY_OK);
	assert_int_equal(fingerprint_of(2, second), JY_OK);
	assert_memory_not_equal(first, second, sizeof(first));
	assert_int_equal(import(&s, "old"), JY_OK);
	assert_int_equal(hsm_import_key_destroy(hsm, 4000000000U, NULL), JY_OK);
	assert_int_equal(
	    hsm_import_key_destroy(hsm, 4000000000U, NULL), JY_ENOKEY);
	assert_int_equal(import(&s, "old"), JY_OK);
	assert_int_equal(hsm_import_key_destroy(hsm, 2, NULL), JY_OK);
	assert_int_equal(count(), 1);
}

/* Another process made one, and destroyed one. */
static void
test_elsewhere(void **state)
{
	static const uint8_t key[16] = { 4, 5, 6 };
	uint8_t transport[32] = { 7 }, ciphertext[512];
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
	struct hsm_transport *t = NULL;
	struct errctx ec = ERRCTX_INIT;
	struct sealing s;
	size_t len;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(hsm_import_key_make(hsm, 3, NULL), JY_OK);
	seal_for(hsm, key, sizeof(key), &s);
	len = seal_transport(
	    hsm, transport, sizeof(transport), fingerprint, ciphertext);
	/* As if this process had not seen it: an unknown fingerprint. */
	s.import_key[0] ^= 1;
	assert_int_equal(import(&s, "elsewhere"), JY_EINVAL);
	s.import_key[0] ^= 1;
	assert_int_equal(import(&s, "elsewhere"), JY_OK);
	fingerprint[5] ^= 1;
	assert_int_equal(
	    hsm_transport_get(hsm, fingerprint, ciphertext, len, &t, &ec),
	    JY_EINVAL);
	assert_non_null(strstr(ec.text, "this token has"));
	assert_int_equal(hsm_import_key_destroy(hsm, 3, NULL), JY_OK);
}

static void
test_audit(void **state)
{
	static const uint8_t data[] = "an event";
	uint8_t one[HSM_MAC_LEN], two[HSM_MAC_LEN];

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(
	    hsm_audit_mac(hsm, data, sizeof(data), one, NULL), JY_OK);
	assert_int_equal(
	    hsm_audit_mac(hsm, data, sizeof(data), two, NULL), JY_OK);
	assert_memory_equal(one, two, sizeof(one));
	assert_int_equal(
	    hsm_audit_mac(hsm, data, sizeof(data) - 1, two, NULL), JY_OK);
	assert_memory_not_equal(one, two, sizeof(one));
}

/* A token of an older version: it says what to do, and that does it. */
static void
test_unprepared(void **state)
{
	const struct hsm_setup setup = { .config = &token.config };
	struct hsm_id id = id_of("joinery-audit");
	struct hsm_report report = { 0 };
	struct errctx ec = ERRCTX_INIT;
	bool created = true;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_OK);
	hsm_close(hsm);
	hsm = NULL;
	assert_int_equal(
	    hsm_open(&token.config, &hsm, &report, &ec), JY_ENOKEY);
	assert_non_null(strstr(ec.text, "audit key"));
	assert_non_null(strstr(ec.text, "token init"));
	assert_int_equal(hsm_setup(&setup, &created, NULL), JY_OK);
	assert_false(created);
	hsm = token_open(&token);
	test_audit(state);
}

static void
test_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err mac, look, make;
	} cases[] = {
		{ "C_Sign#1=CKR_DEVICE_ERROR C_FindObjectsInit#1="
		  "CKR_DEVICE_ERROR C_GenerateKeyPair#1=CKR_DEVICE_ERROR",
		    JY_ETOKEN, JY_ETOKEN, JY_ETOKEN },
		{ "C_SignInit#1=CKR_KEY_HANDLE_INVALID", JY_OK, JY_OK, JY_OK },
		{ "C_SignInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK, JY_OK,
		    JY_OK },
		{ "C_GenerateKeyPair*=CKR_KEY_SIZE_RANGE", JY_OK, JY_OK,
		    JY_ETOKENREQ },
		{ "C_FindObjectsInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK,
		    JY_OK, JY_OK },
	};
	uint32_t generations[HSM_IMPORT_KEYS_MAX], next = 10;
	uint8_t mac[HSM_MAC_LEN];
	size_t n;

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		script(cases[i].script);
		assert_int_equal(
		    hsm_audit_mac(hsm, mac, sizeof(mac), mac, NULL),
		    cases[i].mac);
		script("");
		script(cases[i].script);
		assert_int_equal(
		    hsm_import_keys(hsm, true, generations, &n, NULL),
		    cases[i].look);
		script("");
		script(cases[i].script);
		assert_int_equal(
		    hsm_import_key_make(hsm, ++next, NULL), cases[i].make);
		script("");
		if (cases[i].make == JY_OK) {
			assert_int_equal(
			    hsm_import_key_destroy(hsm, next, NULL), JY_OK);
		}
		assert_int_equal(count(), 1);
	}
}

/* A handle that went stale is found anew, once. */
static void
test_stale(void **state)
{
	static const uint8_t key[16] = { 9 };
	struct sealing s;

	SKIP_WITHOUT_TOKEN();
	seal_for(hsm, key, sizeof(key), &s);
	script("C_UnwrapKey#1=0xF0");
	assert_int_equal(import(&s, "stale"), JY_OK);
	script("");
	script("C_UnwrapKey#1=0xF0 "
	       "C_UnwrapKey#2=0xF0");
	assert_int_equal(import(&s, "stale"), JY_ETOKENREQ);
	script("");
	assert_int_equal(import(&s, "stale"), JY_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_unprepared),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_stale),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
		.faults = faults,
		.fault_count = ARRAY_LEN(faults),
	};

	return hsm_groups_run(&groups);
}
