/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys outside the token: kept under a storage key, used, moved to another
 * one, settled in the token; and that none is taken for another.  On SoftHSM
 * and NSS softokn; and, before SoftHSM, what becomes of it when calls fail.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "hsm/internal.h"
#include "tests/unit/hsm_groups.h"

#define STORAGE 0x11223344U
#define OTHER 0x11223345U

static const uint8_t key_value[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2,
	0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };
static const uint8_t zeros[16];

static enum jy_err
keep(const char *name, uint32_t storage, struct hsm_stored *out)
{
	struct hsm_id id = id_of(name);
	struct sealing s;

	seal_for(hsm, key_value, sizeof(key_value), &s);
	*out = (struct hsm_stored){ .storage = storage };
	return hsm_key_store(hsm, &s.sealed, &id, out, NULL);
}

/* Does the stored key do what the key does? */
static enum jy_err
use(const char *name, const struct hsm_stored *stored, struct errctx *ec)
{
	uint8_t mic[HSM_MIC_LEN], want[16];
	struct hsm_id id = id_of(name);
	struct hsm_key *key = NULL;
	struct hsm_session *s;
	enum jy_err err =
	    hsm_key_get_stored(hsm, &id, HSM_ROOT, stored, &key, ec);

	if (err != JY_OK) {
		return err;
	}
	s = hsm_session_get(hsm);
	err = hsm_mic(s, key, zeros, sizeof(zeros), mic, ec);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
	if (err == JY_OK) {
		ossl_cmac(key_value, 16, zeros, sizeof(zeros), want);
		assert_memory_equal(mic, want, sizeof(mic));
	}
	return err;
}

/* As by a process that has just started. */
static enum jy_err
use_anew(const char *name, const struct hsm_stored *stored, struct errctx *ec)
{
	struct hsm_id id = id_of(name);

	hsm_key_forget(hsm, &id);
	return use(name, stored, ec);
}

static uint64_t
calls(void)
{
	struct hsm_stats stats;

	hsm_stats(hsm, &stats);
	return stats.calls;
}

static void
begin(void)
{
	assert_int_equal(hsm_storage_make(hsm, STORAGE, NULL), JY_OK);
	assert_int_equal(hsm_storage_make(hsm, OTHER, NULL), JY_OK);
}

static void
test_use(void **state)
{
	struct hsm_stored stored;
	uint64_t before;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("one", STORAGE, &stored), JY_OK);
	assert_int_equal(use("one", &stored, NULL), JY_OK);
	/* At hand: the MIC's two calls, and none else. */
	before = calls();
	assert_int_equal(use("one", &stored, NULL), JY_OK);
	assert_int_equal(calls() - before, 2);
	/* Forgotten: destroy, MAC in two, unwrap; the MIC. */
	before = calls();
	assert_int_equal(use_anew("one", &stored, NULL), JY_OK);
	assert_int_equal(calls() - before, 1 + 2 + 1 + 2);
}

/* Another process finds the storage key in the token. */
static void
test_reopen(void **state)
{
	struct hsm_stored stored;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("kept", STORAGE, &stored), JY_OK);
	hsm_close(hsm);
	hsm = token_open(&token);
	assert_int_equal(hsm_storage_check(hsm, STORAGE, NULL), JY_OK);
	assert_int_equal(use("kept", &stored, NULL), JY_OK);
}

/* Under another ID, from another storage key, changed: refused. */
static void
test_binding(void **state)
{
	struct hsm_stored stored, other, bad;
	struct errctx ec = ERRCTX_INIT;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("mine", STORAGE, &stored), JY_OK);
	assert_int_equal(keep("mine", OTHER, &other), JY_OK);
	assert_memory_not_equal(stored.blob, other.blob, sizeof(other.blob));
	assert_int_equal(use("hers", &stored, &ec), JY_EFORGED);
	for (size_t i = 0; i < sizeof(bad.blob); i++) {
		bad = stored;
		bad.blob[i] ^= 0x40;
		assert_int_equal(use("mine", &bad, NULL), JY_EFORGED);
	}
	for (size_t i = 0; i < sizeof(bad.mac); i++) {
		bad = stored;
		bad.mac[i] ^= 1;
		assert_int_equal(use("mine", &bad, NULL), JY_EFORGED);
	}
	bad = stored;
	bad.storage = OTHER;
	assert_int_equal(use("mine", &bad, NULL), JY_EFORGED);
	/* Two IDs that differ in their length only. */
	assert_int_equal(use("min", &stored, NULL), JY_EFORGED);
	assert_int_equal(use("mine", &stored, NULL), JY_OK);
}

static void
test_derived(void **state)
{
	struct hsm_id id = id_of("root"), js = id_of("js-int-key");
	static const uint8_t block[16] = { 6, 7, 8 };
	uint8_t mic[HSM_MIC_LEN], derived[16], want[16];
	struct hsm_key *root = NULL, *key = NULL;
	struct hsm_stored stored;
	struct hsm_session *s;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("root", STORAGE, &stored), JY_OK);
	assert_int_equal(
	    hsm_key_get_stored(hsm, &id, HSM_ROOT, &stored, &root, NULL),
	    JY_OK);
	assert_int_equal(
	    hsm_key_get_derived(hsm, &js, HSM_MAC, root, block, &key, NULL),
	    JY_OK);
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_mic(s, key, zeros, 16, mic, NULL), JY_OK);
	ossl_ecb(true, key_value, block, 16, derived);
	ossl_cmac(derived, 16, zeros, 16, want);
	assert_memory_equal(mic, want, sizeof(mic));
	hsm_key_put(hsm, root);

	/* Its handle is gone, and its parent is not at hand any more. */
	hsm_key_put(hsm, key);
	hsm_key_forget(hsm, &id);
	assert_int_equal(
	    hsm_key_get_stored(hsm, &id, HSM_ROOT, &stored, &root, NULL),
	    JY_OK);
	assert_int_equal(
	    hsm_key_get_derived(hsm, &js, HSM_MAC, root, block, &key, NULL),
	    JY_OK);
	(void)P11(hsm, C_DestroyObject(hsm->anchor, key->handle));
	(void)P11(hsm, C_DestroyObject(hsm->anchor, root->handle));
	assert_int_equal(hsm_mic(s, key, zeros, 16, mic, NULL), JY_OK);
	assert_memory_equal(mic, want, sizeof(mic));
	/* And so is the stored key itself. */
	assert_int_equal(hsm_mic(s, root, zeros, 16, mic, NULL), JY_OK);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
	hsm_key_put(hsm, root);
}

/* Session objects of the storage key that went away are made anew. */
static void
test_stale(void **state)
{
	struct hsm_stored stored;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("stale", STORAGE, &stored), JY_OK);
	for (size_t i = 0; i < STORAGES_MAX; i++) {
		for (size_t k = 0; k < STORAGE_PARTS; k++) {
			(void)P11(hsm,
			    C_DestroyObject(hsm->anchor,
				hsm->storages[i].part[k].owned
				    ? hsm->storages[i].part[k].handle
				    : CK_INVALID_HANDLE));
		}
	}
	assert_int_equal(use_anew("stale", &stored, NULL), JY_OK);
	assert_int_equal(keep("stale", STORAGE, &stored), JY_OK);
}

static void
test_refused(void **state)
{
	struct hsm_id id = id_of("refused");
	struct hsm_stored stored, none = { .storage = STORAGE };
	struct errctx ec = ERRCTX_INIT;
	struct sealing s;
	uint8_t long_key[32] = { 1 };

	SKIP_WITHOUT_TOKEN();
	stored = none;
	seal_for(hsm, key_value, 16, &s);
	s.kcv[0] ^= 1;
	assert_int_equal(
	    hsm_key_store(hsm, &s.sealed, &id, &stored, NULL), JY_EKCV);
	seal_for(hsm, long_key, sizeof(long_key), &s);
	assert_int_equal(
	    hsm_key_store(hsm, &s.sealed, &id, &stored, NULL), JY_EINVAL);
	/* A storage key that is not there. */
	assert_int_equal(keep("refused", 77, &stored), JY_ENOKEY);
	assert_int_equal(hsm_storage_check(hsm, 77, &ec), JY_ENOKEY);
	assert_int_equal(use("refused", &none, NULL), JY_EFORGED);
}

static void
test_move(void **state)
{
	struct hsm_stored stored, moved = { .storage = OTHER };
	struct hsm_id id = id_of("moved"), wrong = id_of("wrong");

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("moved", STORAGE, &stored), JY_OK);
	assert_int_equal(
	    hsm_stored_move(hsm, &wrong, &stored, &moved, NULL), JY_EFORGED);
	assert_int_equal(
	    hsm_stored_move(hsm, &id, &stored, &moved, NULL), JY_OK);
	assert_int_equal(moved.storage, OTHER);
	assert_int_equal(use_anew("moved", &moved, NULL), JY_OK);
	assert_int_equal(use_anew("moved", &stored, NULL), JY_OK);
}

static void
test_settle(void **state)
{
	struct hsm_id id = id_of("settled"), wrong = id_of("wrong");
	struct hsm_key *key = NULL;
	struct hsm_stored stored;
	size_t replaced;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("settled", STORAGE, &stored), JY_OK);
	assert_int_equal(
	    hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL), JY_ENOKEY);
	assert_int_equal(hsm_stored_settle(hsm, &wrong, HSM_ROOT, "label",
			     &stored, &replaced, NULL),
	    JY_EFORGED);
	for (size_t i = 0; i < 2; i++) { /* twice makes no second object */
		assert_int_equal(hsm_stored_settle(hsm, &id, HSM_ROOT, "label",
				     &stored, &replaced, NULL),
		    JY_OK);
		assert_int_equal(replaced, i);
	}
	hsm_close(hsm);
	hsm = token_open(&token);
	assert_int_equal(hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL), JY_OK);
	hsm_key_put(hsm, key);
}

/* A number that is taken is left to who has it. */
static void
test_number_taken(void **state)
{
	struct hsm_stored stored;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("first", STORAGE, &stored), JY_OK);
	assert_int_equal(hsm_storage_make(hsm, STORAGE, NULL), JY_ENOKEY);
	assert_int_equal(use_anew("first", &stored, NULL), JY_OK);
}

/* What it wraps is lost, and nothing else. */
static void
test_destroy(void **state)
{
	struct hsm_stored stored, kept;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(hsm_storage_make(hsm, 99, NULL), JY_OK);
	assert_int_equal(keep("lost", 99, &stored), JY_OK);
	assert_int_equal(keep("kept", STORAGE, &kept), JY_OK);
	assert_int_equal(hsm_storage_destroy(hsm, 99, NULL), JY_OK);
	assert_int_equal(use("lost", &stored, NULL), JY_ENOKEY);
	assert_int_equal(hsm_storage_check(hsm, 99, NULL), JY_ENOKEY);
	assert_int_equal(hsm_storage_destroy(hsm, 99, NULL), JY_OK);
	assert_int_equal(use_anew("kept", &kept, NULL), JY_OK);
}

static const struct storage *
at_hand(uint32_t storage)
{
	const struct storage *found = NULL;

	for (size_t i = 0; i < STORAGES_MAX; i++) {
		if (hsm->storages[i].id == storage) {
			found = &hsm->storages[i];
		}
	}
	assert_non_null(found);
	return found;
}

/* The token itself keeps what the daily key unwraps from leaving. */
static void
test_no_way_out(void **state)
{
	const struct template_spec parcel = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_UNWRAP, .len = 16
	};
	const struct template_spec root = { .row = HSM_ROOT,
		.origin = ORIGIN_UNWRAP,
		.len = 16,
		.loaded = true };
	const struct template_spec any_mechanism = {
		.row = HSM_MAC, .origin = ORIGIN_UNWRAP, .len = 16
	};
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE unwraps[] = { { CKA_TOKEN, &no, sizeof(no) },
		{ CKA_UNWRAP, &yes, sizeof(yes) } };
	const struct storage *s;
	CK_OBJECT_HANDLE out = CK_INVALID_HANDLE;
	struct hsm_stored stored;
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = stored.blob,
		.blob_len = sizeof(stored.blob) };

	SKIP_WITHOUT_TOKEN();
	if (!hsm->policy[HSM_POLICY_UNWRAP_TEMPLATE]) {
		skip();
	}
	assert_int_equal(keep("inside", STORAGE, &stored), JY_OK);
	assert_int_equal(use_anew("inside", &stored, NULL), JY_OK);
	s = at_hand(STORAGE);
	assert_true(s->part[STORAGE_LOAD].owned);
	u.key = s->part[STORAGE_LOAD].handle;
	assert_int_equal(
	    template_make(hsm, &root, unwrap_make, &u, &out), CKR_OK);
	assert_int_not_equal(
	    template_make(hsm, &parcel, unwrap_make, &u, &out), CKR_OK);
	/* Nor as one that every mechanism may work on. */
	assert_int_not_equal(
	    template_make(hsm, &any_mechanism, unwrap_make, &u, &out), CKR_OK);
	/* The wrapping part does not learn to unwrap. */
	assert_false(s->part[STORAGE_WRAP].owned);
	assert_int_not_equal(
	    P11(hsm,
		C_SetAttributeValue(
		    hsm->anchor, s->part[STORAGE_WRAP].handle, &unwraps[1], 1)),
	    CKR_OK);
	assert_int_not_equal(
	    P11(hsm,
		C_CopyObject(hsm->anchor, s->part[STORAGE_WRAP].handle, unwraps,
		    ARRAY_LEN(unwraps), &out)),
	    CKR_OK);
}

static void
test_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_UnwrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#1+=CKR_GENERAL_ERROR", JY_ETOKENREQ },
		{ "C_UnwrapKey#1=0xF0", JY_OK },
		{ "C_SignInit#1=CKR_KEY_HANDLE_INVALID", JY_OK },
		{ "C_SignInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		{ "C_Sign#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
	};
	static const char *const making[] = { "C_GenerateKey#1=",
		"C_GenerateKey#2=", "C_GenerateKey#3=", "C_WrapKey#1=",
		"C_UnwrapKey#1=", "C_UnwrapKey#2=", "C_UnwrapKey#3=",
		"C_UnwrapKey#4=" };
	struct hsm_stored stored;
	char line[64];

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("fault", STORAGE, &stored), JY_OK);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(use_anew("fault", &stored, NULL), JY_OK);
		hsm_key_forget(hsm, &(struct hsm_id){ .len = 5, .b = "fault" });
		script(cases[i].script);
		assert_int_equal(use("fault", &stored, NULL), cases[i].want);
		script("");
	}
	script("C_WrapKey#1=CKR_KEY_SIZE_RANGE");
	assert_int_equal(keep("fault", STORAGE, &stored), JY_ETOKENREQ);
	script("C_WrapKey#1=0x113");
	assert_int_equal(keep("fault", STORAGE, &stored), JY_OK);
	/* Half a storage key is none. */
	for (size_t i = 0; i < ARRAY_LEN(making); i++) {
		(void)snprintf(
		    line, sizeof(line), "%sCKR_DEVICE_MEMORY", making[i]);
		script(line);
		assert_int_equal(hsm_storage_make(hsm, 55, NULL), JY_ETOKEN);
		script("");
		assert_int_equal(hsm_storage_check(hsm, 55, NULL), JY_ENOKEY);
	}
}

/* Whatever fails, one object is there, and the key with it. */
static void
test_settle_faults(void **state)
{
	static const char *const scripts[] = {
		"C_FindObjects#1=", "C_UnwrapKey#1=", "C_DestroyObject#1="
	};
	struct hsm_id id = id_of("twice");
	struct hsm_key *key = NULL;
	struct hsm_stored stored;
	CK_OBJECT_HANDLE handle;
	size_t replaced;
	char line[64];

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(keep("twice", STORAGE, &stored), JY_OK);
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		assert_int_equal(hsm_stored_settle(hsm, &id, HSM_ROOT, "label",
				     &stored, &replaced, NULL),
		    JY_OK);
		(void)snprintf(
		    line, sizeof(line), "%sCKR_DEVICE_MEMORY", scripts[i]);
		script(line);
		assert_int_equal(hsm_stored_settle(hsm, &id, HSM_ROOT, "label",
				     &stored, &replaced, NULL),
		    JY_ETOKEN);
		script("");
		assert_int_equal(replaced, 0);
		assert_int_equal(
		    object_find(hsm, hsm->anchor, CKO_SECRET_KEY, &id, &handle),
		    CKR_OK);
		assert_int_equal(
		    hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL), JY_OK);
		hsm_key_put(hsm, key);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_derived),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_number_taken),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_no_way_out),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_settle_faults),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
		.faults = faults,
		.fault_count = ARRAY_LEN(faults),
		.begin = begin,
	};

	return hsm_groups_run(&groups);
}
