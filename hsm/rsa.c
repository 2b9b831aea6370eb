/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA public keys: as SubjectPublicKeyInfo (RFC 5280, RFC 8017) and as session
 * objects.  DER has one form for each key, so what is read is written again
 * and compared: a parser that accepts more than that cannot be had.
 */
#include <string.h>

#include "hsm/internal.h"
#include "src/base/bytes.h"

/* ---- SubjectPublicKeyInfo ---- */

/* SEQUENCE { OBJECT IDENTIFIER rsaEncryption, NULL } */
static const uint8_t rsa_algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
	0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };

/* Octets of tag and length before n octets of content. */
static size_t
der_head_len(size_t n)
{
	return n < 0x80 ? 2 : n < 0x100 ? 3 : 4;
}

static void
der_head(struct writer *w, uint8_t tag, size_t n)
{
	writer_u8(w, tag);
	if (n >= 0x80) {
		writer_u8(w, n < 0x100 ? 0x81 : 0x82);
	}
	writer_be(w, n, n < 0x100 ? 1 : 2);
}

/* An INTEGER's content: a zero keeps the sign bit clear. */
static size_t
der_uint_len(const uint8_t *p, size_t n)
{
	return n + (p[0] >> 7);
}

static void
der_uint(struct writer *w, const uint8_t *p, size_t n)
{
	der_head(w, 0x02, der_uint_len(p, n));
	writer_zeros(w, p[0] >> 7);
	writer_copy(w, p, n);
}

bool
rsa_encode(
    const struct rsa_public *rsa, uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *len)
{
	size_t n_len = der_uint_len(rsa->modulus, rsa->modulus_len);
	size_t e_len = der_uint_len(rsa->exponent, rsa->exponent_len);
	size_t key = der_head_len(n_len) + n_len + der_head_len(e_len) + e_len;
	size_t bits = 1 + der_head_len(key) + key;
	struct writer w;

	writer_init(&w, der, HSM_PUBLIC_KEY_MAX);
	der_head(&w, 0x30, sizeof(rsa_algorithm) + der_head_len(bits) + bits);
	writer_copy(&w, rsa_algorithm, sizeof(rsa_algorithm));
	der_head(&w, 0x03, bits);
	writer_u8(&w, 0); /* no unused bits */
	der_head(&w, 0x30, key);
	der_uint(&w, rsa->modulus, rsa->modulus_len);
	der_uint(&w, rsa->exponent, rsa->exponent_len);
	*len = w.len;
	return writer_ok(&w);
}

/* The length behind a tag; the reader fails, in the end, if it is another. */
static size_t
der_open(struct reader *r, uint8_t tag)
{
	uint8_t n;

	if (reader_u8(r) != tag) {
		r->failed = true;
	}
	n = reader_u8(r);
	return n == 0x82 ? (size_t)reader_be(r, 2)
	    : n == 0x81  ? reader_u8(r)
			 : n;
}

/* A number of at most cap octets; its length, 0 if it is none. */
static size_t
der_read_uint(struct reader *r, uint8_t *out, size_t cap)
{
	size_t len = der_open(r, 0x02);

	if (len > 1 && r->left > 0 && r->p[0] == 0) {
		(void)reader_u8(r);
		len--;
	}
	if (len == 0 || len > cap) {
		r->failed = true;
		return 0;
	}
	reader_copy(r, out, len);
	return len;
}

/* Of a length that can be used, and odd, as both numbers are. */
static bool
rsa_fits(const struct rsa_public *rsa)
{
	return rsa->modulus_len >= RSA_MODULUS_MIN &&
	    (rsa->modulus[0] & 0x80) != 0 &&
	    (rsa->modulus[rsa->modulus_len - 1] & 1) != 0 &&
	    (rsa->exponent[rsa->exponent_len - 1] & 1) != 0 &&
	    (rsa->exponent_len > 1 || rsa->exponent[0] > 1);
}

enum jy_err
rsa_decode(
    const uint8_t *der, size_t len, struct rsa_public *out, struct errctx *ec)
{
	uint8_t algorithm[sizeof(rsa_algorithm)], again[HSM_PUBLIC_KEY_MAX];
	struct rsa_public rsa = { .modulus_len = 0 };
	struct reader r;
	size_t again_len;

	reader_init(&r, der, len);
	(void)der_open(&r, 0x30);
	reader_copy(&r, algorithm, sizeof(algorithm));
	(void)der_open(&r, 0x03);
	(void)reader_u8(&r);
	(void)der_open(&r, 0x30);
	rsa.modulus_len = der_read_uint(&r, rsa.modulus, sizeof(rsa.modulus));
	rsa.exponent_len =
	    der_read_uint(&r, rsa.exponent, sizeof(rsa.exponent));
	if (!reader_done(&r) || !rsa_encode(&rsa, again, &again_len) ||
	    again_len != len || memcmp(again, der, len) != 0 ||
	    !rsa_fits(&rsa)) {
		return err_set(ec, JY_EINVAL,
		    "the public key is not RSA of %d to %d bits, as a "
		    "SubjectPublicKeyInfo in DER",
		    RSA_MODULUS_MIN * 8, HSM_RSA_MAX * 8);
	}
	*out = rsa;
	return JY_OK;
}

/* ---- fingerprints ---- */

struct fingerprint {
	const uint8_t *der;
	size_t len;
	uint8_t value[HSM_FINGERPRINT_LEN];
};

/* A lane_work. */
static CK_RV
fingerprint(struct hsm *hsm, void *arg)
{
	struct fingerprint *f = arg;

	return op_digest(hsm, hsm->scratch.handle, f->der, f->len, f->value);
}

enum jy_err
hsm_public_key(struct hsm *hsm, const uint8_t *der, size_t len,
    uint8_t out[HSM_FINGERPRINT_LEN], struct errctx *ec)
{
	struct fingerprint f = { .der = der, .len = len };
	struct rsa_public rsa;
	enum jy_err err = rsa_decode(der, len, &rsa, ec);

	if (err != JY_OK) {
		return err;
	}
	lane_enter(hsm);
	err = lane_run(hsm, fingerprint, &f, "hash a public key", ec);
	lane_leave(hsm);
	if (err == JY_OK) {
		memcpy(out, f.value, HSM_FINGERPRINT_LEN);
	}
	return err;
}

/* ---- session objects ---- */

CK_RV
rsa_make(struct hsm *hsm, const struct rsa_public *rsa, bool wrap,
    CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_KEY_TYPE type = CKK_RSA;
	CK_BBOOL wraps = wrap ? CK_TRUE : CK_FALSE;
	CK_BBOOL encrypts = wrap ? CK_FALSE : CK_TRUE;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE attr[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_ENCRYPT, &encrypts, sizeof(encrypts) },
		{ CKA_VERIFY, &no, sizeof(no) },
		{ CKA_WRAP, &wraps, sizeof(wraps) },
		{ CKA_MODULUS, p11_in(rsa->modulus), rsa->modulus_len },
		{ CKA_PUBLIC_EXPONENT, p11_in(rsa->exponent),
		    rsa->exponent_len },
	};

	return P11(
	    hsm, C_CreateObject(hsm->anchor, attr, ARRAY_LEN(attr), out));
}

CK_RV
rsa_encrypt(struct hsm *hsm, const uint8_t *data, size_t len, uint8_t *out,
    CK_ULONG *out_len)
{
	CK_RSA_PKCS_OAEP_PARAMS params = oaep_params;
	CK_MECHANISM oaep = { CKM_RSA_PKCS_OAEP, &params, sizeof(params) };
	CK_OBJECT_HANDLE public;
	CK_RV rv;

	rv = rsa_make(hsm, &import_newest(hsm)->rsa, false, &public);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm, C_EncryptInit(hsm->scratch.handle, &oaep, public));
	if (rv == CKR_OK) {
		rv = P11(hsm,
		    C_Encrypt(
			hsm->scratch.handle, p11_in(data), len, out, out_len));
	}
	object_destroy(hsm, public);
	return rv;
}

CK_RV
rsa_wrap(struct hsm *hsm, const struct rsa_public *rsa, CK_OBJECT_HANDLE key,
    uint8_t out[HSM_RSA_MAX], size_t *out_len)
{
	CK_RSA_PKCS_OAEP_PARAMS params = oaep_params;
	CK_MECHANISM oaep = { CKM_RSA_PKCS_OAEP, &params, sizeof(params) };
	CK_ULONG len = HSM_RSA_MAX;
	CK_OBJECT_HANDLE public;
	CK_RV rv;

	rv = rsa_make(hsm, rsa, true, &public);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm, C_WrapKey(hsm->anchor, &oaep, public, key, out, &len));
	object_destroy(hsm, public);
	if (rv == CKR_OK && len != rsa->modulus_len) {
		rv = RV_NONSENSE;
	}
	*out_len = len;
	return rv;
}
