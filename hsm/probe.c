/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The self-test: every mechanism that Joinery needs is run once and its
 * answer compared with a known one.  A token's list of mechanisms is not
 * asked; such lists are wrong in both directions.
 *
 * The test takes the road of real keys: a transport key is encrypted to the
 * import key and unwrapped by it, and with it the keys of the vectors:
 *
 *   root  2b7e151628aed2a6abf7158809cf4f3c, of RFC 4493 and SP 800-38A
 *   kek   000102..0f, of RFC 3394 section 4.1
 *
 * Their wrapped forms below, and the block that derives the key data of RFC
 * 3394 from root, were computed with OpenSSL.
 */
#include <stdio.h>
#include <string.h>

#include "hsm/internal.h"

static const uint8_t wrapped_root[24] = { 0xaa, 0x92, 0x18, 0x18, 0x09, 0x4f,
	0x53, 0xd6, 0xb8, 0x81, 0xc8, 0x6c, 0x1d, 0x7a, 0x04, 0xeb, 0x8c, 0x10,
	0x26, 0xaf, 0xb4, 0xd1, 0x7b, 0x21 };
static const uint8_t wrapped_kek[24] = { 0x8c, 0xc4, 0xbf, 0xec, 0xa8, 0xa9,
	0xf2, 0xf3, 0x8c, 0x8b, 0x28, 0x39, 0x2f, 0x1e, 0x8f, 0x4b, 0x3e, 0x5a,
	0x5f, 0xd2, 0xf2, 0x0b, 0xd6, 0x88 };

/* SP 800-38A, F.1.1: the first two blocks. */
static const uint8_t plain[32] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f,
	0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a, 0xae, 0x2d, 0x8a,
	0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e,
	0x51 };
static const uint8_t cipher[32] = { 0x3a, 0xd7, 0x7b, 0xb4, 0x0d, 0x7a, 0x36,
	0x60, 0xa8, 0x9e, 0xca, 0xf3, 0x24, 0x66, 0xef, 0x97, 0xf5, 0xd3, 0xd5,
	0x85, 0x03, 0xb9, 0x69, 0x9d, 0xe7, 0x85, 0x89, 0x5a, 0x96, 0xfd, 0xba,
	0xaf };

/* RFC 4493, example 2: CMAC over the first block of plain. */
static const uint8_t plain_cmac[16] = { 0x07, 0x0a, 0x16, 0xb4, 0x6b, 0x4d,
	0x41, 0x44, 0xf7, 0x9b, 0xdd, 0x9d, 0xd0, 0x4a, 0x28, 0x7c };
/* CMAC of 16 zero octets under the key E(root, first block of plain). */
static const uint8_t derived_kcv[HSM_KCV_LEN] = { 0x9e, 0x31, 0xa1, 0xbe };

/* E(root, block) is 00112233445566778899aabbccddeeff, and RFC 3394, 4.1. */
static const uint8_t wrap_block[16] = { 0x53, 0x85, 0xe7, 0x01, 0x3f, 0x29,
	0x5f, 0x1f, 0xa2, 0x9f, 0x56, 0x0b, 0x0b, 0x5c, 0x55, 0x2e };
static const uint8_t wrap_result[24] = { 0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12,
	0xb4, 0x47, 0xae, 0xf3, 0x4b, 0xd8, 0xfb, 0x5a, 0x7b, 0x82, 0x9d, 0x3e,
	0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5 };

/* FIPS 180-4: SHA-256 of "abc". */
static const uint8_t abc_sha256[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01,
	0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
	0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00,
	0x15, 0xad };

/* The throw-away keys; CK_INVALID_HANDLE while not made. */
struct probe {
	struct hsm *hsm;
	CK_OBJECT_HANDLE transport, root, kek;
};

/* Told like a return value of the token. */
#define RV_WRONG_ANSWER (CKR_VENDOR_DEFINED | 0x4a590010UL)
#define RV_NO_KEY (CKR_VENDOR_DEFINED | 0x4a590011UL)

static CK_RV
compare(CK_RV rv, const void *got, const void *want, size_t len)
{
	if (rv == CKR_OK && memcmp(got, want, len) != 0) {
		return RV_WRONG_ANSWER;
	}
	return rv;
}

static CK_RV
run_sha256(struct probe *p)
{
	static const uint8_t abc[3] = { 'a', 'b', 'c' };
	uint8_t digest[HSM_FINGERPRINT_LEN];
	CK_RV rv =
	    op_digest(p->hsm, p->hsm->scratch.handle, abc, sizeof(abc), digest);

	return compare(rv, digest, abc_sha256, sizeof(digest));
}

static CK_RV
run_key_gen(struct probe *p)
{
	const struct template_spec spec = {
		.row = HSM_MAC, .origin = ORIGIN_GENERATE, .len = 16
	};
	CK_OBJECT_HANDLE key;
	CK_RV rv = template_make(p->hsm, &spec, generate_make, NULL, &key);

	if (rv == CKR_OK) {
		(void)P11(p->hsm, C_DestroyObject(p->hsm->anchor, key));
	}
	return rv;
}

/* An import key's public half as a session object. */
static CK_RV
make_public(struct hsm *hsm, CK_OBJECT_HANDLE *out)
{
	const struct import_key *key = import_newest(hsm);
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_KEY_TYPE type = CKK_RSA;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE attr[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_ENCRYPT, &yes, sizeof(yes) },
		{ CKA_VERIFY, &no, sizeof(no) },
		{ CKA_WRAP, &no, sizeof(no) },
		{ CKA_MODULUS, p11_in(key->modulus), key->modulus_len },
		{ CKA_PUBLIC_EXPONENT, p11_in(key->exponent),
		    key->exponent_len },
	};

	return P11(
	    hsm, C_CreateObject(hsm->anchor, attr, ARRAY_LEN(attr), out));
}

/* Encrypt a transport key of 00 01 .. 1f to the import key. */
static CK_RV
encrypt_transport(struct hsm *hsm, uint8_t *out, CK_ULONG *out_len)
{
	CK_RSA_PKCS_OAEP_PARAMS params = oaep_params;
	CK_MECHANISM oaep = { CKM_RSA_PKCS_OAEP, &params, sizeof(params) };
	CK_OBJECT_HANDLE public;
	uint8_t transport[32];
	CK_RV rv;

	for (size_t i = 0; i < sizeof(transport); i++) {
		transport[i] = (uint8_t)i;
	}
	rv = make_public(hsm, &public);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm, C_EncryptInit(hsm->scratch.handle, &oaep, public));
	if (rv == CKR_OK) {
		rv = P11(hsm,
		    C_Encrypt(hsm->scratch.handle, transport, sizeof(transport),
			out, out_len));
	}
	(void)P11(hsm, C_DestroyObject(hsm->anchor, public));
	return rv;
}

static CK_RV
run_oaep(struct probe *p)
{
	const struct template_spec spec = {
		.row = TEMPLATE_TRANSPORT, .origin = ORIGIN_UNWRAP, .len = 32
	};
	CK_RSA_PKCS_OAEP_PARAMS params = oaep_params;
	uint8_t blob[sizeof(p->hsm->imports[0].modulus)];
	CK_ULONG len = sizeof(blob);
	struct unwrap u = {
		.mechanism = { CKM_RSA_PKCS_OAEP, &params, sizeof(params) },
		.key = import_newest(p->hsm)->handle,
		.blob = blob,
	};
	CK_RV rv = encrypt_transport(p->hsm, blob, &len);

	if (rv == CKR_OK) {
		u.blob_len = len;
		rv = template_make(
		    p->hsm, &spec, unwrap_make, &u, &p->transport);
	}
	return rv;
}

static CK_RV
unwrap_key(
    struct probe *p, unsigned row, const uint8_t *blob, CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = {
		.row = row, .origin = ORIGIN_UNWRAP, .len = 16
	};
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.key = p->transport,
		.blob = blob,
		.blob_len = 24 };

	if (p->transport == CK_INVALID_HANDLE) {
		return RV_NO_KEY;
	}
	return template_make(p->hsm, &spec, unwrap_make, &u, out);
}

static CK_RV
run_unwrap(struct probe *p)
{
	CK_RV rv = unwrap_key(p, HSM_ROOT, wrapped_root, &p->root);

	return rv != CKR_OK ? rv : unwrap_key(p, HSM_KEK, wrapped_kek, &p->kek);
}

static CK_RV
run_cmac(struct probe *p)
{
	struct secret_block mac = { { 0 } };
	CK_RV rv;

	if (p->root == CK_INVALID_HANDLE) {
		return RV_NO_KEY;
	}
	rv = op_cmac(p->hsm, p->hsm->scratch.handle, p->root, plain, 16, &mac);
	return compare(rv, mac.b, plain_cmac, sizeof(mac.b));
}

static CK_RV
run_ecb(struct probe *p)
{
	uint8_t out[32];
	CK_RV rv;

	if (p->root == CK_INVALID_HANDLE) {
		return RV_NO_KEY;
	}
	rv = op_decrypt(p->hsm, p->hsm->scratch.handle, p->root, cipher,
	    sizeof(cipher), out);
	return compare(rv, out, plain, sizeof(out));
}

static CK_RV
derive(
    struct probe *p, unsigned row, const uint8_t *block, CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = {
		.row = row, .origin = ORIGIN_DERIVE, .len = 16
	};
	struct derivation d = { p->root, block };

	if (p->root == CK_INVALID_HANDLE) {
		return RV_NO_KEY;
	}
	return template_make(p->hsm, &spec, derive_make, &d, out);
}

static CK_RV
run_derive(struct probe *p)
{
	uint8_t kcv[HSM_KCV_LEN];
	CK_OBJECT_HANDLE key;
	CK_RV rv = derive(p, HSM_MAC, plain, &key);

	if (rv != CKR_OK) {
		return rv;
	}
	rv = check_value(p->hsm, p->hsm->scratch.handle, key, kcv);
	(void)P11(p->hsm, C_DestroyObject(p->hsm->anchor, key));
	return compare(rv, kcv, derived_kcv, sizeof(kcv));
}

static CK_RV
run_wrap(struct probe *p)
{
	uint8_t out[HSM_WRAPPED_LEN];
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	if (p->kek == CK_INVALID_HANDLE) {
		return RV_NO_KEY;
	}
	rv = derive(p, TEMPLATE_PARCEL, wrap_block, &key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = op_wrap(p->hsm, p->hsm->anchor, p->kek, key, out, sizeof(out));
	(void)P11(p->hsm, C_DestroyObject(p->hsm->anchor, key));
	return compare(rv, out, wrap_result, sizeof(out));
}

/* In this order: later rows use keys that earlier ones made. */
static const struct {
	const char *name;
	CK_RV (*run)(struct probe *p);
} mechanisms[] = {
	{ "CKM_SHA256 digest", run_sha256 },
	{ "CKM_AES_KEY_GEN generate", run_key_gen },
	{ "CKM_RSA_PKCS_OAEP unwrap", run_oaep },
	{ "CKM_AES_KEY_WRAP unwrap", run_unwrap },
	{ "CKM_AES_CMAC sign", run_cmac },
	{ "CKM_AES_ECB decrypt", run_ecb },
	{ "CKM_AES_ECB_ENCRYPT_DATA derive", run_derive },
	{ "CKM_AES_KEY_WRAP wrap", run_wrap },
};

static void
explain(struct hsm_check *check, CK_RV rv)
{
	char name[RV_NAME_MAX];
	const char *text;

	switch (rv) {
	case CKR_OK:
		return;
	case RV_WRONG_ANSWER:
		text = "the answer is wrong";
		break;
	case RV_NO_KEY:
		text = "not tried: no test key";
		break;
	default:
		text = rv_name(rv, name);
		break;
	}
	(void)snprintf(check->detail, sizeof(check->detail), "%s", text);
}

static enum jy_err
run_all(struct probe *p, struct hsm_report *report, struct errctx *ec)
{
	struct hsm *hsm = p->hsm;
	const char *missing = NULL;
	char name[RV_NAME_MAX];

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		CK_RV rv = session_ready(&hsm->scratch);

		if (rv == CKR_OK) {
			rv = mechanisms[i].run(p);
		}
		if (rv != CKR_OK) {
			session_drop(&hsm->scratch);
		}
		explain(
		    report_add(report, true, rv == CKR_OK, mechanisms[i].name),
		    rv);
		if (rv != CKR_OK && rv_class(rv) == RV_TOKEN) {
			return err_set(ec, JY_ETOKEN, "self-test, %s: %s",
			    mechanisms[i].name, rv_name(rv, name));
		}
		if (rv != CKR_OK && missing == NULL) {
			missing = mechanisms[i].name;
		}
	}
	return missing == NULL
	    ? JY_OK
	    : err_set(ec, JY_EMECH, "self-test: %s does not work", missing);
}

enum jy_err
mechanism_probe(struct hsm *hsm, struct hsm_report *report, struct errctx *ec)
{
	struct probe p = { .hsm = hsm };
	enum jy_err err = run_all(&p, report, ec);
	const CK_OBJECT_HANDLE keys[] = { p.transport, p.root, p.kek };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i] != CK_INVALID_HANDLE) {
			(void)P11(hsm, C_DestroyObject(hsm->anchor, keys[i]));
		}
	}
	return err;
}
