/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which guarantees the token really gives, found out by asking for what they
 * forbid.  Only throw-away session keys are used.  Attributes that a token
 * takes and ignores (NSS softokn: most) look the same as ones that hold until
 * somebody tries.
 *
 * Each trial runs in a fresh session: an operation that should have been
 * refused may be left active in it.
 */
#include <stdio.h>
#include <string.h>

#include "hsm/internal.h"

static const CK_MECHANISM_TYPE any[] = { NO_MECHANISM, NO_MECHANISM,
	NO_MECHANISM };
static const CK_MECHANISM_TYPE cmac_only[] = { CKM_AES_CMAC, NO_MECHANISM,
	NO_MECHANISM };
static const CK_MECHANISM_TYPE root_mechanisms[] = { CKM_AES_CMAC, CKM_AES_ECB,
	CKM_AES_ECB_ENCRYPT_DATA };

static CK_RV
trial_key(struct hsm *hsm, unsigned may, const CK_MECHANISM_TYPE allowed[3],
    CK_OBJECT_HANDLE *out)
{
	struct template t;

	template_build_trial(&t, may, allowed);
	return generate_make(hsm, &t, NULL, out);
}

static void
trial_destroy(struct hsm *hsm, CK_OBJECT_HANDLE key)
{
	if (key != CK_INVALID_HANDLE) {
		(void)P11(hsm, C_DestroyObject(hsm->anchor, key));
	}
}

/*
 * A trial says whether the forbidden thing was refused; anything but CKR_OK
 * means that it could not be tried.
 */
typedef CK_RV trial(struct hsm *hsm, bool *refused);

/* The verdict of one forbidden call; a lost token is none. */
static CK_RV
judge(CK_RV rv, bool *refused)
{
	if (rv == CKR_OK) {
		*refused = false;
	} else if (rv_class(rv) == RV_TOKEN || rv_class(rv) == RV_SESSION) {
		return rv;
	}
	return CKR_OK;
}

/* Try to decrypt and to derive with a key that is not meant for it. */
static CK_RV
try_decrypt_and_derive(struct hsm *hsm, CK_OBJECT_HANDLE key, bool *refused)
{
	static const uint8_t block[16];
	CK_OBJECT_HANDLE derived = CK_INVALID_HANDLE;
	uint8_t out[16];
	struct template t;
	CK_RV rv;

	template_build_trial(&t, U_EXTRACTABLE, any);
	rv = op_derive(hsm, hsm->anchor, key, block, &t, &derived);
	trial_destroy(hsm, derived);
	rv = judge(rv, refused);
	if (rv == CKR_OK) {
		rv = op_decrypt(
		    hsm, hsm->scratch.handle, key, block, sizeof(block), out);
		rv = judge(rv, refused);
	}
	return rv;
}

static CK_RV
try_usage(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv = trial_key(hsm, U_SIGN, any, &key);

	if (rv == CKR_OK) {
		rv = try_decrypt_and_derive(hsm, key, refused);
	}
	trial_destroy(hsm, key);
	return rv;
}

static CK_RV
try_allowed_mechanisms(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv =
	    trial_key(hsm, U_SIGN | U_DECRYPT | U_DERIVE, cmac_only, &key);

	if (rv == CKR_OK) {
		rv = try_decrypt_and_derive(hsm, key, refused);
	}
	trial_destroy(hsm, key);
	return rv;
}

static CK_RV
try_wrap(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE;
	uint8_t out[24];
	CK_RV rv;

	rv = trial_key(hsm, U_WRAP, any, &kek);
	if (rv == CKR_OK) {
		rv = trial_key(hsm, U_SIGN, any, &key);
	}
	if (rv == CKR_OK) {
		rv = op_wrap(hsm, hsm->anchor, kek, key, out, sizeof(out));
		rv = judge(rv, refused);
	}
	trial_destroy(hsm, key);
	trial_destroy(hsm, kek);
	return rv;
}

static CK_RV
try_modify(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE attr = { CKA_ENCRYPT, &yes, sizeof(yes) };
	CK_RV rv = trial_key(hsm, U_SIGN, any, &key);

	if (rv == CKR_OK) {
		rv = judge(
		    P11(hsm, C_SetAttributeValue(hsm->anchor, key, &attr, 1)),
		    refused);
	}
	trial_destroy(hsm, key);
	return rv;
}

static CK_RV
try_copy_of(struct hsm *hsm, unsigned may, bool *refused)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE, copy = CK_INVALID_HANDLE;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE attr = { CKA_TOKEN, &no, sizeof(no) };
	CK_RV rv = trial_key(hsm, may, any, &key);

	if (rv == CKR_OK) {
		rv = judge(
		    P11(hsm, C_CopyObject(hsm->anchor, key, &attr, 1, &copy)),
		    refused);
	}
	trial_destroy(hsm, copy);
	trial_destroy(hsm, key);
	return rv;
}

static CK_RV
try_copy(struct hsm *hsm, bool *refused)
{
	/* Modifiable, so that it is refused for the right reason. */
	return try_copy_of(hsm, U_SIGN | U_MODIFIABLE, refused);
}

static CK_RV
try_read(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	struct secret_block value AUTO_WIPE = { { 0 } };
	CK_ATTRIBUTE attr = { CKA_VALUE, value.b, sizeof(value.b) };
	CK_RV rv = trial_key(hsm, U_EXTRACTABLE, any, &key);

	if (rv == CKR_OK) {
		rv = judge(
		    P11(hsm, C_GetAttributeValue(hsm->anchor, key, &attr, 1)),
		    refused);
	}
	trial_destroy(hsm, key);
	return rv;
}

/* Key by key and octet by octet, these would tell a root key. */
static CK_RV
try_concatenate(struct hsm *hsm, bool *refused)
{
	static const CK_MECHANISM_TYPE types[] = {
		CKM_CONCATENATE_DATA_AND_BASE, CKM_CONCATENATE_BASE_AND_DATA
	};
	static const uint8_t block[16];
	CK_KEY_DERIVATION_STRING_DATA data = { p11_in(block), 15 };
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE, made;
	struct template t;
	CK_RV rv;

	rv = trial_key(
	    hsm, U_SIGN | U_DECRYPT | U_DERIVE, root_mechanisms, &key);
	for (size_t i = 0; rv == CKR_OK && i < ARRAY_LEN(types); i++) {
		CK_MECHANISM mechanism = { types[i], &data, sizeof(data) };

		made = CK_INVALID_HANDLE;
		template_build_trial(&t, U_SIGN, any);
		rv = judge(P11(hsm,
			       C_DeriveKey(hsm->anchor, &mechanism, key, t.attr,
				   t.count, &made)),
		    refused);
		trial_destroy(hsm, made);
	}
	trial_destroy(hsm, key);
	return rv;
}

/* A template_maker: unwrap_make, of a key that may leave. */
static CK_RV
unwrap_boldly(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	CK_BBOOL yes = CK_TRUE;

	for (CK_ULONG i = 0; i < t->count; i++) {
		if (t->attr[i].type == CKA_EXTRACTABLE) {
			t->attr[i].pValue = &yes;
		}
	}
	return unwrap_make(hsm, t, arg, out);
}

/* Unwrap a key so that it could leave, where its unwrapping key forbids. */
static CK_RV
try_unwrap_extractable(
    struct hsm *hsm, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE key, bool *refused)
{
	const struct template_spec meek = { .row = HSM_ROOT,
		.origin = ORIGIN_UNWRAP,
		.len = 16,
		.loaded = true };
	CK_OBJECT_HANDLE out = CK_INVALID_HANDLE;
	uint8_t blob[24];
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.key = kek,
		.blob = blob,
		.blob_len = sizeof(blob) };
	CK_RV rv = op_wrap(hsm, hsm->anchor, kek, key, blob, sizeof(blob));

	if (rv == CKR_OK) {
		rv = template_make(hsm, &meek, unwrap_make, &u, &out);
	}
	trial_destroy(hsm, out);
	if (rv == CKR_OK) {
		out = CK_INVALID_HANDLE;
		rv = judge(template_make(hsm, &meek, unwrap_boldly, &u, &out),
		    refused);
		trial_destroy(hsm, out);
	}
	return rv;
}

static CK_RV
try_unwrap_template(struct hsm *hsm, bool *refused)
{
	CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE;
	CK_RV rv = trial_key(hsm, U_WRAP | U_UNWRAP | U_LOADS, any, &kek);

	if (rv == CKR_OK) {
		rv = trial_key(hsm, U_EXTRACTABLE, any, &key);
	}
	if (rv == CKR_OK) {
		rv = try_unwrap_extractable(hsm, kek, key, refused);
	}
	trial_destroy(hsm, key);
	trial_destroy(hsm, kek);
	return rv;
}

static const struct {
	const char *name;
	trial *run;
} policies[HSM_POLICY_COUNT] = {
	[HSM_POLICY_ALLOWED_MECHANISMS] = { "allowed-mechanisms",
	    try_allowed_mechanisms },
	[HSM_POLICY_NO_WRAP] = { "no-wrap", try_wrap },
	[HSM_POLICY_NO_MODIFY] = { "no-modify", try_modify },
	[HSM_POLICY_NO_COPY] = { "no-copy", try_copy },
	[HSM_POLICY_SENSITIVE] = { "sensitive", try_read },
	[HSM_POLICY_USAGE] = { "usage", try_usage },
	[HSM_POLICY_NO_CONCATENATE] = { "no-concatenate", try_concatenate },
	[HSM_POLICY_UNWRAP_TEMPLATE] = { "unwrap-template",
	    try_unwrap_template },
};

const char *
hsm_policy_name(enum hsm_policy policy)
{
	return policy < HSM_POLICY_COUNT ? policies[policy].name : "?";
}

/* Run one trial and write its line; a lost token is an error. */
static enum jy_err
run_trial(struct hsm *hsm, enum hsm_policy policy, struct hsm_report *report,
    struct errctx *ec)
{
	char name[RV_NAME_MAX], line[48];
	struct hsm_check *check;
	bool refused = true;
	CK_RV rv;

	rv = session_ready(&hsm->scratch);
	if (rv == CKR_OK) {
		rv = policies[policy].run(hsm, &refused);
	}
	session_drop(&hsm->scratch);
	if (rv != CKR_OK &&
	    (rv_class(rv) == RV_TOKEN || rv_class(rv) == RV_SESSION)) {
		return err_set(ec, JY_ETOKEN, "policy probe %s: %s",
		    policies[policy].name, rv_name(rv, name));
	}
	hsm->policy[policy] = rv == CKR_OK && refused;
	(void)snprintf(line, sizeof(line), "policy %s", policies[policy].name);
	check = report_add(report, false, hsm->policy[policy], line);
	if (rv != CKR_OK) {
		(void)snprintf(check->detail, sizeof(check->detail),
		    "cannot be tried: %s", rv_name(rv, name));
	}
	return JY_OK;
}

enum jy_err
policy_probe(struct hsm *hsm, struct hsm_report *report, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	bool frozen = true;
	struct hsm_check *check;

	for (unsigned i = 0; err == JY_OK && i < HSM_POLICY_COUNT; i++) {
		err = run_trial(hsm, (enum hsm_policy)i, report, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	/* Not a guarantee, but what template.c must know. */
	if (try_copy_of(hsm, U_SIGN | U_COPIED, &frozen) == CKR_OK && frozen) {
		hsm->quirks[0] |= QUIRK_COPY_FROZEN;
	}
	check = report_add(
	    report, false, !frozen, "session copies of unmodifiable keys");
	if (frozen) {
		(void)snprintf(check->detail, sizeof(check->detail), "%s",
		    hsm->policy[HSM_POLICY_ALLOWED_MECHANISMS]
			? "root keys and KEKs stay modifiable"
			: "token objects are used directly");
	}
	return JY_OK;
}
