/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: what each kind of key may do, that nothing is left to a token's
 * defaults, and what is given up to which token.
 */
#include <stdarg.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "hsm/internal.h"

/* Where the attribute stands; count if it does not. */
static CK_ULONG
find(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG i = 0;

	while (i < t->count && t->attr[i].type != type) {
		i++;
	}
	return i;
}

static bool
has(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
	return find(t, type) < t->count;
}

static CK_ULONG
len_of(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
	assert_true(has(t, type));
	return t->attr[find(t, type)].ulValueLen;
}

static bool
yes(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value;

	assert_int_equal(len_of(t, type), sizeof(value));
	memcpy(&value, t->attr[find(t, type)].pValue, sizeof(value));
	return value == CK_TRUE;
}

static const struct row {
	unsigned row;
	bool sign, decrypt, derive, wrap, unwrap, extractable, sensitive;
	size_t allowed;
} rows[] = {
	{ HSM_ROOT, 1, 1, 1, 0, 0, 0, 1, 3 },
	{ HSM_DERIVE_ONLY, 0, 0, 1, 0, 0, 0, 1, 1 },
	{ HSM_MAC, 1, 0, 0, 0, 0, 0, 1, 1 },
	{ HSM_DECRYPT, 0, 1, 0, 0, 0, 0, 1, 1 },
	{ HSM_KEK, 0, 0, 0, 1, 0, 0, 1, 1 },
	{ TEMPLATE_CANARY, 1, 0, 0, 0, 0, 0, 1, 1 },
	{ TEMPLATE_TRANSPORT, 0, 0, 0, 0, 1, 0, 1, 1 },
	{ TEMPLATE_KEYFILE, 0, 0, 1, 0, 1, 0, 1, 2 },
	{ TEMPLATE_LOOP, 0, 0, 0, 1, 1, 0, 1, 1 },
	{ TEMPLATE_PARCEL, 0, 0, 0, 0, 0, 1, 1, 0 },
	{ TEMPLATE_CLEAR, 0, 0, 0, 0, 0, 1, 0, 0 },
	{ TEMPLATE_PASSAGE, 1, 0, 0, 0, 0, 1, 1, 1 },
	{ TEMPLATE_CARRIER, 0, 0, 1, 1, 0, 0, 1, 2 },
	{ TEMPLATE_STORAGE_WRAP, 0, 0, 0, 1, 0, 0, 1, 1 },
	{ TEMPLATE_STORAGE_LOAD, 0, 0, 0, 0, 1, 0, 1, 1 },
	{ TEMPLATE_STORAGE_MOVE, 0, 0, 0, 0, 1, 0, 1, 1 },
	{ TEMPLATE_STORAGE_TICKET, 0, 0, 0, 0, 1, 0, 1, 1 },
	{ TEMPLATE_STORAGE_BIND, 1, 0, 0, 0, 0, 0, 1, 1 },
};

static void
check_row(const struct row *r, const struct template *t)
{
	assert_true(yes(t, CKA_PRIVATE));
	assert_false(yes(t, CKA_ENCRYPT));
	assert_false(yes(t, CKA_VERIFY));
	assert_int_equal(yes(t, CKA_SIGN), r->sign);
	assert_int_equal(yes(t, CKA_DECRYPT), r->decrypt);
	assert_int_equal(yes(t, CKA_DERIVE), r->derive);
	assert_int_equal(yes(t, CKA_WRAP), r->wrap);
	assert_int_equal(yes(t, CKA_UNWRAP), r->unwrap);
	assert_int_equal(yes(t, CKA_EXTRACTABLE), r->extractable);
	assert_int_equal(yes(t, CKA_SENSITIVE), r->sensitive);
	assert_false(yes(t, CKA_MODIFIABLE));
	/* SoftHSM refuses whatever comes after it. */
	assert_int_equal(t->attr[t->count - 1].type, CKA_MODIFIABLE);
	if (r->allowed == 0) {
		assert_false(has(t, CKA_ALLOWED_MECHANISMS));
	} else {
		assert_int_equal(len_of(t, CKA_ALLOWED_MECHANISMS),
		    r->allowed * sizeof(CK_MECHANISM_TYPE));
	}
}

static void
test_rows(void **state)
{
	static struct hsm hsm;
	struct hsm_id id = id_of_text("some-id");
	struct template t;

	(void)state;
	assert_int_equal(ARRAY_LEN(rows), TEMPLATE_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct template_spec spec = {
			.row = rows[i].row, .origin = ORIGIN_DERIVE, .len = 16
		};

		template_build(&t, &hsm, &spec);
		check_row(&rows[i], &t);
		assert_false(yes(&t, CKA_TOKEN));
		assert_false(yes(&t, CKA_COPYABLE));
		assert_true(has(&t, CKA_VALUE_LEN));
		assert_false(has(&t, CKA_ID));

		spec.token = true;
		spec.origin = ORIGIN_UNWRAP;
		spec.id = &id;
		spec.label = "label";
		template_build(&t, &hsm, &spec);
		check_row(&rows[i], &t);
		assert_true(yes(&t, CKA_TOKEN));
		assert_false(has(&t, CKA_VALUE_LEN));
		assert_int_equal(len_of(&t, CKA_ID), id.len);
		assert_int_equal(len_of(&t, CKA_LABEL), 5);
	}
}

/* One attribute of CKA_UNWRAP_TEMPLATE, which must be there. */
static bool
unwraps_with(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG n = len_of(t, CKA_UNWRAP_TEMPLATE) / sizeof(CK_ATTRIBUTE);
	CK_BBOOL value = 2;

	for (CK_ULONG i = 0; i < n; i++) {
		if (t->unwraps[i].type == type) {
			memcpy(&value, t->unwraps[i].pValue, sizeof(value));
		}
	}
	assert_int_not_equal(value, 2);
	return value == CK_TRUE;
}

/*
 * What a storage key lets its keys do; and that what will be asked for says
 * each attribute of it, and says the same.
 */
static void
test_unwrap_templates(void **state)
{
	static const CK_ATTRIBUTE_TYPE off[] = { CKA_ENCRYPT, CKA_VERIFY,
		CKA_UNWRAP };
	static const struct {
		unsigned row, asked;
		bool leaves, wraps;
	} cases[] = {
		{ TEMPLATE_STORAGE_LOAD, HSM_ROOT, false, false },
		{ TEMPLATE_STORAGE_LOAD, HSM_DERIVE_ONLY, false, false },
		{ TEMPLATE_STORAGE_TICKET, TEMPLATE_CARRIER, false, true },
		{ TEMPLATE_STORAGE_MOVE, TEMPLATE_PARCEL, true, false },
	};
	static struct hsm hsm;
	struct template t, asked;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct template_spec spec = { .row = cases[i].row,
			.token = true };
		struct template_spec want = { .row = cases[i].asked,
			.loaded = !cases[i].leaves && !cases[i].wraps };
		CK_ULONG n;

		template_build(&t, &hsm, &spec);
		template_build(&asked, &hsm, &want);
		assert_int_equal(
		    unwraps_with(&t, CKA_EXTRACTABLE), cases[i].leaves);
		assert_int_equal(unwraps_with(&t, CKA_WRAP), cases[i].wraps);
		assert_true(unwraps_with(&t, CKA_SENSITIVE));
		for (size_t k = 0; k < ARRAY_LEN(off); k++) {
			assert_false(unwraps_with(&t, off[k]));
		}
		n = len_of(&t, CKA_UNWRAP_TEMPLATE) / sizeof(CK_ATTRIBUTE);
		for (CK_ULONG k = 0; k < n; k++) {
			const CK_ATTRIBUTE *a = &t.unwraps[k];

			assert_int_equal(
			    len_of(&asked, a->type), a->ulValueLen);
			assert_memory_equal(
			    asked.attr[find(&asked, a->type)].pValue, a->pValue,
			    a->ulValueLen);
		}
		assert_int_equal(
		    t.unwraps[n - 1].type == CKA_ALLOWED_MECHANISMS,
		    !cases[i].leaves);
	}
	assert_false(unwraps_with(&t, CKA_DECRYPT));
	assert_false(unwraps_with(&t, CKA_SIGN));
	assert_false(unwraps_with(&t, CKA_DERIVE));
	memset(&hsm, 0, sizeof(hsm));
	hsm.quirks[1] = QUIRK_NO_UNWRAP_TEMPLATE;
	template_build(&t, &hsm,
	    &(struct template_spec){
		.row = TEMPLATE_STORAGE_LOAD, .token = true });
	assert_false(has(&t, CKA_UNWRAP_TEMPLATE));
}

/* Modifiable only where copies need it and allowed mechanisms hold. */
static void
test_frozen_copies(void **state)
{
	static struct hsm hsm;
	struct template_spec spec = { .row = HSM_ROOT, .token = true };
	struct template t;

	(void)state;
	memset(&hsm, 0, sizeof(hsm));
	hsm.quirks[0] = QUIRK_COPY_FROZEN;
	template_build(&t, &hsm, &spec);
	assert_true(yes(&t, CKA_COPYABLE));
	assert_false(yes(&t, CKA_MODIFIABLE));
	hsm.policy[HSM_POLICY_ALLOWED_MECHANISMS] = true;
	template_build(&t, &hsm, &spec);
	assert_true(yes(&t, CKA_MODIFIABLE));
	spec.row = TEMPLATE_CANARY;
	template_build(&t, &hsm, &spec);
	assert_false(yes(&t, CKA_MODIFIABLE));
	assert_false(yes(&t, CKA_COPYABLE));
}

/* ---- tokens that do not take everything ---- */

struct picky {
	CK_ATTRIBUTE_TYPE refuses; /* one attribute, or none */
	CK_ATTRIBUTE_TYPE wants;
	CK_RV rv;
	unsigned calls;
};

#define NO_ATTRIBUTE ((CK_ATTRIBUTE_TYPE)-1)

static CK_RV
picky_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	struct picky *p = arg;

	(void)hsm;
	p->calls++;
	if (p->refuses != NO_ATTRIBUTE && has(t, p->refuses)) {
		return p->rv;
	}
	if (p->wants != NO_ATTRIBUTE && !has(t, p->wants)) {
		return p->rv;
	}
	*out = 7;
	return CKR_OK;
}

static const struct template_spec root_spec = {
	.row = HSM_ROOT, .origin = ORIGIN_UNWRAP, .len = 16, .token = true
};

static void
expect_made(struct hsm *hsm, struct picky p, unsigned first, unsigned quirks)
{
	CK_OBJECT_HANDLE out = 0;

	assert_int_equal(
	    template_make(hsm, &root_spec, picky_make, &p, &out), CKR_OK);
	assert_int_equal(out, 7);
	assert_int_equal(p.calls, first);
	assert_int_equal(hsm->quirks[1], quirks);
	/* It is remembered, for token objects only. */
	p.calls = 0;
	assert_int_equal(
	    template_make(hsm, &root_spec, picky_make, &p, &out), CKR_OK);
	assert_int_equal(p.calls, 1);
	assert_int_equal(hsm->quirks[0], 0);
	hsm->quirks[1] = 0;
}

static void
test_quirks(void **state)
{
	static struct hsm hsm;

	(void)state;
	memset(&hsm, 0, sizeof(hsm));
	expect_made(&hsm,
	    (struct picky){
		NO_ATTRIBUTE, CKA_VALUE_LEN, CKR_TEMPLATE_INCOMPLETE, 0 },
	    2, QUIRK_VALUE_LEN);
	expect_made(&hsm,
	    (struct picky){
		CKA_COPYABLE, NO_ATTRIBUTE, CKR_ATTRIBUTE_TYPE_INVALID, 0 },
	    2, QUIRK_NO_COPYABLE);
	expect_made(&hsm,
	    (struct picky){
		CKA_ALLOWED_MECHANISMS, NO_ATTRIBUTE, CKR_GENERAL_ERROR, 0 },
	    3, QUIRK_NO_COPYABLE | QUIRK_NO_ALLOWED);
}

/* A guarantee that holds is never given up for an error. */
static void
test_no_surrender(void **state)
{
	static const struct {
		enum hsm_policy holds;
		CK_ATTRIBUTE_TYPE refused;
	} cases[] = {
		{ HSM_POLICY_ALLOWED_MECHANISMS, CKA_ALLOWED_MECHANISMS },
		{ HSM_POLICY_NO_COPY, CKA_COPYABLE },
	};
	static const CK_RV values[] = { CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED,
		CKR_ATTRIBUTE_TYPE_INVALID };
	static struct hsm hsm;
	CK_OBJECT_HANDLE out = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(values); i++) {
		CK_RV rv = values[i / ARRAY_LEN(cases)];
		struct picky p = { cases[i % ARRAY_LEN(cases)].refused,
			NO_ATTRIBUTE, rv, 0 };

		memset(&hsm, 0, sizeof(hsm));
		hsm.policy[cases[i % ARRAY_LEN(cases)].holds] = true;
		assert_int_equal(
		    template_make(&hsm, &root_spec, picky_make, &p, &out), rv);
		assert_int_equal(hsm.quirks[1], 0);
		assert_int_equal(out, 0);
	}
}

/* One stray error: the next try has the attribute that counts. */
static CK_RV
stray_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	unsigned *calls = arg;

	(void)hsm;
	if (++*calls == 1) {
		return CKR_FUNCTION_FAILED;
	}
	assert_true(has(t, CKA_COPYABLE));
	*out = 7;
	return CKR_OK;
}

static void
test_stray_error(void **state)
{
	static struct hsm hsm;
	CK_OBJECT_HANDLE out = 0;
	unsigned calls = 0;

	(void)state;
	memset(&hsm, 0, sizeof(hsm));
	hsm.policy[HSM_POLICY_NO_COPY] = true;
	/* What means nothing to this token may go. */
	assert_int_equal(
	    template_make(&hsm, &root_spec, stray_make, &calls, &out), CKR_OK);
	assert_int_equal(hsm.quirks[1], QUIRK_NO_ALLOWED);
	hsm.quirks[1] = 0;
	hsm.policy[HSM_POLICY_ALLOWED_MECHANISMS] = true;
	calls = 0;
	assert_int_equal(
	    template_make(&hsm, &root_spec, stray_make, &calls, &out),
	    CKR_FUNCTION_FAILED);
	assert_int_equal(calls, 1);
	assert_int_equal(hsm.quirks[1], 0);
}

/* ---- the import key ---- */

/* A token that makes a pair unless the private half states refused. */
static struct {
	CK_ATTRIBUTE_TYPE refused;
	CK_RV rv;
	unsigned calls;
} pairs;

static CK_RV
pair_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
    CK_ATTRIBUTE *pub, unsigned long pub_count, CK_ATTRIBUTE *priv,
    unsigned long priv_count, CK_OBJECT_HANDLE *public,
    CK_OBJECT_HANDLE *private)
{
	(void)session, (void)mechanism, (void)pub, (void)pub_count;
	pairs.calls++;
	for (unsigned long i = 0; i < priv_count; i++) {
		if (priv[i].type == pairs.refused) {
			return pairs.rv;
		}
	}
	*public = 1;
	*private = 2;
	return CKR_OK;
}

static void
test_import_pair(void **state)
{
	static CK_FUNCTION_LIST f = { .C_GenerateKeyPair = pair_generate };
	static struct hsm hsm;
	const struct hsm_id id = { 2, { 'i', 'd' } };
	CK_OBJECT_HANDLE public = 0, private = 0;

	(void)state;
	memset(&hsm, 0, sizeof(hsm));
	hsm.f = &f;
	/* A failure that no quirk mends teaches nothing. */
	pairs.refused = CKA_UNWRAP;
	pairs.rv = CKR_GENERAL_ERROR;
	assert_int_equal(template_import_pair(&hsm, &id, &public, &private),
	    CKR_GENERAL_ERROR);
	assert_int_equal(pairs.calls, 3);
	assert_int_equal(hsm.quirks[1], 0);
	/* One that it mends is remembered. */
	pairs.refused = CKA_COPYABLE;
	assert_int_equal(
	    template_import_pair(&hsm, &id, &public, &private), CKR_OK);
	assert_int_equal(private, 2);
	assert_int_equal(hsm.quirks[1], QUIRK_NO_COPYABLE);
	/* Never for a guarantee that holds. */
	hsm.quirks[1] = 0;
	hsm.policy[HSM_POLICY_NO_COPY] = true;
	assert_int_equal(template_import_pair(&hsm, &id, &public, &private),
	    CKR_GENERAL_ERROR);
	assert_int_equal(hsm.quirks[1], 0);
}

/* An error that is not about the template is not tried away. */
static void
test_other_errors(void **state)
{
	static struct hsm hsm;
	struct picky p = { CKA_CLASS, NO_ATTRIBUTE, CKR_DEVICE_ERROR, 0 };
	CK_OBJECT_HANDLE out = 0;

	(void)state;
	memset(&hsm, 0, sizeof(hsm));
	assert_int_equal(template_make(&hsm, &root_spec, picky_make, &p, &out),
	    CKR_DEVICE_ERROR);
	assert_int_equal(p.calls, 1);
}

/* ---- return values ---- */

static void
test_rv_classes(void **state)
{
	static const struct {
		CK_RV rv;
		enum rv_class class;
		const char *name;
	} cases[] = {
		{ CKR_WRAPPED_KEY_INVALID, RV_REQUEST,
		    "CKR_WRAPPED_KEY_INVALID" },
		{ CKR_OBJECT_HANDLE_INVALID, RV_HANDLE,
		    "CKR_OBJECT_HANDLE_INVALID" },
		{ CKR_USER_NOT_LOGGED_IN, RV_SESSION,
		    "CKR_USER_NOT_LOGGED_IN" },
		{ CKR_GENERAL_ERROR, RV_AMBIGUOUS, "CKR_GENERAL_ERROR" },
		{ CKR_DEVICE_REMOVED, RV_TOKEN, "CKR_DEVICE_REMOVED" },
		{ CKR_PIN_LOCKED, RV_PIN, "CKR_PIN_LOCKED" },
		{ RV_NONE, RV_ABSENT, "no such key object" },
		{ 0x80000001UL, RV_AMBIGUOUS, "0x80000001" },
		{ 0x12345UL, RV_AMBIGUOUS, "0x12345" },
	};
	char buf[RV_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(rv_class(cases[i].rv), cases[i].class);
		assert_string_equal(rv_name(cases[i].rv, buf), cases[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_frozen_copies),
		cmocka_unit_test(test_unwrap_templates),
		cmocka_unit_test(test_quirks),
		cmocka_unit_test(test_no_surrender),
		cmocka_unit_test(test_stray_error),
		cmocka_unit_test(test_import_pair),
		cmocka_unit_test(test_other_errors),
		cmocka_unit_test(test_rv_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
