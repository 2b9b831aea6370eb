/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that begin as a parcel: a session object without any use that may leave
 * wrapped.  One that is generated, or comes as a copy under the import key, is
 * wrapped under a throw-away key of the token and unwrapped again as what it
 * is to be.  So a KEK, which cannot sign, has a check value too, its length is
 * known without the token's word for it, and a partner can have a copy of a
 * key that is not extractable.
 */
#include <string.h>

#include "hsm/internal.h"

#define LOOP_BLOB_MAX 48 /* a wrapped key, and to see that it is too long */

const uint8_t hsm_test_key[HSM_TEST_KEY_LEN] = { 0x00, 0x01, 0x02, 0x03, 0x04,
	0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };

struct parcel {
	struct landing landing;
	const struct hsm_copy *from; /* under the import key; NULL: generate */
	const uint8_t *kcv;          /* it must have; NULL: any */
	const struct rsa_public *to; /* who gets a copy; NULL: nobody */
	struct hsm_copy *copy;
	bool other_length;
};

/* ---- copies ---- */

/* A key from under an import key, as a parcel. */
static CK_RV
parcel_unwrap(struct hsm *hsm, const struct import_unwrap *from, size_t key_len,
    CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_UNWRAP, .len = key_len
	};

	return import_unwrap(hsm, from, &spec, out);
}

static CK_RV
parcel_generate(struct hsm *hsm, size_t key_len, CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = { .row = TEMPLATE_PARCEL,
		.origin = ORIGIN_GENERATE,
		.len = key_len };

	return template_make(hsm, &spec, generate_make, NULL, out);
}

static CK_RV
parcel_make(struct hsm *hsm, const struct parcel *p, CK_OBJECT_HANDLE *out)
{
	size_t len = p->landing.spec.len;
	const struct hsm_copy *from = p->from;

	return from != NULL ? parcel_unwrap(hsm,
				  &(struct import_unwrap){ from->public_key,
				      from->wrapped, from->len },
				  len, out)
			    : parcel_generate(hsm, len, out);
}

/* ---- the road every parcel takes ---- */

/*
 * Wrap the key under a fresh transport key.  The length of what comes out says
 * how long the key is, which no attribute of every token does.
 */
static CK_RV
loop_wrap(struct hsm *hsm, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE *transport,
    uint8_t blob[LOOP_BLOB_MAX], CK_ULONG *len)
{
	const struct template_spec loop = {
		.row = TEMPLATE_LOOP, .origin = ORIGIN_GENERATE, .len = 32
	};
	CK_MECHANISM wrap = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_RV rv;

	*len = LOOP_BLOB_MAX;
	rv = template_make(hsm, &loop, generate_make, NULL, transport);
	return rv == CKR_OK
	    ? P11(hsm,
		  C_WrapKey(hsm->anchor, &wrap, *transport, key, blob, len))
	    : rv;
}

CK_RV
generate_wrapped(struct hsm *hsm, CK_ULONG len, CK_OBJECT_HANDLE *transport,
    CK_OBJECT_HANDLE *key, uint8_t *blob)
{
	uint8_t wrapped[LOOP_BLOB_MAX];
	CK_ULONG n = 0;
	CK_RV rv = parcel_generate(hsm, len, key);

	if (rv == CKR_OK) {
		rv = loop_wrap(hsm, *key, transport, wrapped, &n);
	}
	if (rv == CKR_OK && n != len + 8) {
		rv = RV_NONSENSE;
	}
	if (rv == CKR_OK) {
		memcpy(blob, wrapped, n);
	}
	return rv;
}

/* A lane_work. */
static CK_RV
parcel_run(struct hsm *hsm, void *arg)
{
	struct parcel *p = arg;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	uint8_t blob[LOOP_BLOB_MAX];
	CK_ULONG len = 0;
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = blob,
		.blob_len = p->landing.spec.len + 8 };
	CK_RV rv;

	rv = parcel_make(hsm, p, &key);
	if (rv == CKR_OK && p->to != NULL) {
		rv = rsa_wrap(hsm, p->to, key, p->copy->wrapped, &p->copy->len);
	}
	if (rv == CKR_OK) {
		rv = loop_wrap(hsm, key, &u.key, blob, &len);
	}
	p->other_length = rv == CKR_OK && len != u.blob_len;
	if (rv == CKR_OK && !p->other_length) {
		rv =
		    landing_prove_and_keep(hsm, &p->landing, &u, p->kcv, false);
	}
	object_destroy(hsm, key);
	object_destroy(hsm, u.key);
	return rv;
}

static enum jy_err
parcel_land(
    struct hsm *hsm, struct parcel *p, const char *what, struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, parcel_run, p, what, ec);
	lane_leave(hsm);
	if (err == JY_OK && p->other_length) {
		return err_set(ec, JY_EINVAL, "the key has not %lu bits",
		    p->landing.spec.len * 8);
	}
	return err == JY_OK ? landing_verdict(&p->landing, ec) : err;
}

enum jy_err
hsm_key_generate(struct hsm *hsm, size_t key_len, enum hsm_template template,
    const struct hsm_id *id, const char *label, uint8_t kcv[HSM_KCV_LEN],
    struct errctx *ec)
{
	struct parcel p = { .landing =
				landing_of(key_len, template, id, label) };
	enum jy_err err = parcel_land(hsm, &p, "generate a key", ec);

	if (err == JY_OK) {
		memcpy(kcv, p.landing.kcv, HSM_KCV_LEN);
	}
	return err;
}

/* ---- for partners ---- */

enum jy_err
hsm_key_generate_for(struct hsm *hsm, const struct hsm_target *target,
    const uint8_t *public_key, size_t len, uint8_t kcv[HSM_KCV_LEN],
    struct hsm_copy *copy, struct errctx *ec)
{
	struct hsm_copy made = { .len = 0 };
	struct rsa_public to;
	struct parcel p = { .landing = landing_of(target->key_len,
				target->template, target->id, target->label),
		.to = &to,
		.copy = &made };
	enum jy_err err = rsa_decode(public_key, len, &to, ec);

	if (err != JY_OK) {
		return err;
	}
	err = hsm_public_key(hsm, public_key, len, made.public_key, ec);
	if (err == JY_OK) {
		err = parcel_land(hsm, &p, "generate a key for a partner", ec);
	}
	if (err == JY_OK) {
		memcpy(kcv, p.landing.kcv, HSM_KCV_LEN);
		*copy = made;
	}
	return err;
}

enum jy_err
hsm_key_import_copy(struct hsm *hsm, const struct hsm_target *target,
    const struct hsm_copy *copy, const uint8_t kcv[HSM_KCV_LEN],
    struct errctx *ec)
{
	struct parcel p = { .landing = landing_of(target->key_len,
				target->template, target->id, target->label),
		.from = copy,
		.kcv = kcv };

	enum jy_err err;

	lane_enter(hsm);
	err = import_check(hsm, copy->public_key, copy->len, ec);
	lane_leave(hsm);
	return err == JY_OK ? parcel_land(hsm, &p, "import a copy of a key", ec)
			    : err;
}

/* ---- proofs ---- */

struct proof {
	const struct hsm_id *id;
	uint8_t out[HSM_WRAPPED_LEN];
};

/*
 * The test key as a parcel, made once.  It comes in under the import key,
 * because not every token lets a key in that is in clear.
 */
static CK_RV
test_key_make(struct hsm *hsm)
{
	uint8_t blob[HSM_RSA_MAX], newest[HSM_FINGERPRINT_LEN];
	CK_ULONG len = sizeof(blob);
	CK_RV rv;

	/* A copy: the unwrapping may look for import keys anew. */
	memcpy(newest, import_newest(hsm)->fingerprint, sizeof(newest));
	rv = rsa_encrypt(hsm, hsm_test_key, HSM_TEST_KEY_LEN, blob, &len);
	return rv == CKR_OK
	    ? parcel_unwrap(hsm, &(struct import_unwrap){ newest, blob, len },
		  HSM_TEST_KEY_LEN, &hsm->test_key)
	    : rv;
}

/* If the import key has gone, it was looked for: there is a newer one. */
static CK_RV
test_key_ready(struct hsm *hsm)
{
	CK_RV rv =
	    hsm->test_key != CK_INVALID_HANDLE ? CKR_OK : test_key_make(hsm);

	return rv == RV_NONE ? test_key_make(hsm) : rv;
}

/* A stale handle: find both keys anew. */
static void
proof_forget(struct hsm *hsm, const struct hsm_id *id)
{
	index_put(hsm, id, CK_INVALID_HANDLE);
	object_destroy(hsm, hsm->test_key);
	hsm->test_key = CK_INVALID_HANDLE;
}

static CK_RV
prove_once(struct hsm *hsm, struct proof *p)
{
	CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE;
	CK_RV rv = test_key_ready(hsm);

	if (rv == CKR_OK) {
		rv = object_lookup(hsm, p->id, &kek);
	}
	return rv == CKR_OK ? op_wrap(hsm, hsm->anchor, kek, hsm->test_key,
				  p->out, sizeof(p->out))
			    : rv;
}

/* A lane_work. */
static CK_RV
prove(struct hsm *hsm, void *arg)
{
	struct proof *p = arg;
	CK_RV rv = prove_once(hsm, p);

	/* SoftHSM calls a lost object a general error, too. */
	if (rv != CKR_OK &&
	    (rv_class(rv) == RV_HANDLE || rv_class(rv) == RV_AMBIGUOUS)) {
		proof_forget(hsm, p->id);
		rv = prove_once(hsm, p);
	}
	if (rv == RV_NONE || rv == RV_MANY) {
		cache_forget(hsm, p->id);
	}
	return rv;
}

enum jy_err
hsm_kek_prove(struct hsm *hsm, const struct hsm_id *id,
    uint8_t out[HSM_WRAPPED_LEN], struct errctx *ec)
{
	struct proof p = { .id = id };
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, prove, &p, "wrap a test key", ec);
	lane_leave(hsm);
	if (err == JY_OK) {
		memcpy(out, p.out, sizeof(p.out));
	}
	return err;
}
