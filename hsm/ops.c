/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a join.  Every result has a fixed length, so no call asks
 * for a size first; a length that is not the one expected is an answer that
 * nothing may be built on.  Buffers are given in full size, because NSS cuts
 * a MAC to the buffer without a word.
 *
 * An operation that fails is tried again at most once for a lost session,
 * while the anchor stands, and once for a stale handle; any failure costs the
 * session.
 */
#include <string.h>

#include "hsm/internal.h"

/* ---- single steps ---- */

CK_RV
op_cmac(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
    const uint8_t *data, size_t len, struct secret_block *mac)
{
	CK_MECHANISM cmac = { CKM_AES_CMAC, NULL, 0 };
	CK_ULONG n = sizeof(mac->b);
	CK_RV rv;

	rv = P11(hsm, C_SignInit(session, &cmac, key));
	if (rv == CKR_OK) {
		rv = P11(hsm, C_Sign(session, p11_in(data), len, mac->b, &n));
	}
	if (rv == CKR_OK && n != sizeof(mac->b)) {
		rv = RV_NONSENSE;
	}
	return rv;
}

CK_RV
op_decrypt(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
    const uint8_t *in, size_t len, uint8_t *out)
{
	CK_MECHANISM ecb = { CKM_AES_ECB, NULL, 0 };
	CK_BYTE buf[32];
	CK_ULONG n = sizeof(buf);
	CK_RV rv;

	rv = P11(hsm, C_DecryptInit(session, &ecb, key));
	if (rv == CKR_OK) {
		rv = P11(hsm, C_Decrypt(session, p11_in(in), len, buf, &n));
	}
	if (rv == CKR_OK && n != len) {
		rv = RV_NONSENSE;
	}
	if (rv == CKR_OK) {
		memcpy(out, buf, len);
	}
	return rv;
}

CK_RV
op_derive(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE root,
    const uint8_t block[16], struct template *t, CK_OBJECT_HANDLE *out)
{
	CK_KEY_DERIVATION_STRING_DATA data = { p11_in(block), 16 };
	CK_MECHANISM derive = { CKM_AES_ECB_ENCRYPT_DATA, &data, sizeof(data) };

	return P11(
	    hsm, C_DeriveKey(session, &derive, root, t->attr, t->count, out));
}

CK_RV
derive_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	const struct derivation *d = arg;

	return op_derive(hsm, hsm->anchor, d->root, d->block, t, out);
}

CK_RV
op_wrap(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE kek,
    CK_OBJECT_HANDLE key, uint8_t *out, size_t len)
{
	/* The default IV is not stated: SoftHSM refuses it. */
	CK_MECHANISM wrap = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_BYTE buf[48];
	CK_ULONG n = sizeof(buf);
	CK_RV rv;

	rv = P11(hsm, C_WrapKey(session, &wrap, kek, key, buf, &n));
	if (rv == CKR_OK && n != len) {
		rv = RV_NONSENSE;
	}
	if (rv == CKR_OK) {
		memcpy(out, buf, len);
	}
	return rv;
}

CK_RV
op_digest(struct hsm *hsm, CK_SESSION_HANDLE session, const uint8_t *data,
    size_t len, uint8_t out[HSM_FINGERPRINT_LEN])
{
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	CK_BYTE buf[HSM_FINGERPRINT_LEN];
	CK_ULONG n = sizeof(buf);
	CK_RV rv;

	rv = P11(hsm, C_DigestInit(session, &sha256));
	if (rv == CKR_OK) {
		rv = P11(hsm, C_Digest(session, p11_in(data), len, buf, &n));
	}
	if (rv == CKR_OK && n != sizeof(buf)) {
		rv = RV_NONSENSE;
	}
	if (rv == CKR_OK) {
		memcpy(out, buf, sizeof(buf));
	}
	return rv;
}

/* ---- one operation, with what recovery it may have ---- */

struct op {
	CK_RV (*run)(struct hsm_session *s, const struct op *op);
	const char *what;
	struct hsm_key *key;
	struct hsm_key *kek; /* or NULL */
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	const uint8_t *block; /* of a derived key that works on in, or NULL */
};

static CK_OBJECT_HANDLE
handle_of(struct hsm_key *key)
{
	return atomic_load_explicit(&key->handle, memory_order_acquire);
}

static enum jy_err
refresh(struct hsm_key *key, CK_OBJECT_HANDLE stale, struct errctx *ec)
{
	return key == NULL ? JY_OK : cache_refresh(key, stale, ec);
}

static CK_RV
attempt(struct hsm_session *s, const struct op *op)
{
	CK_RV rv = session_ready(s);

	if (rv == CKR_OK) {
		rv = op->run(s, op);
		if (rv != CKR_OK) {
			session_drop(s);
		}
	}
	return rv;
}

static enum jy_err
run(struct hsm_session *s, const struct op *op, struct errctx *ec)
{
	bool replaced = false, refreshed = false;

	for (;;) {
		CK_OBJECT_HANDLE key = handle_of(op->key);
		CK_OBJECT_HANDLE kek =
		    op->kek != NULL ? handle_of(op->kek) : CK_INVALID_HANDLE;
		CK_RV rv = attempt(s, op);
		enum jy_err err = JY_OK;

		if (rv == CKR_OK) {
			return JY_OK;
		}
		if (rv_class(rv) == RV_SESSION && !replaced &&
		    anchor_stands(s->hsm)) {
			replaced = true;
		} else if (rv_class(rv) == RV_HANDLE && !refreshed) {
			refreshed = true;
			err = refresh(op->key, key, ec);
			if (err == JY_OK) {
				err = refresh(op->kek, kek, ec);
			}
		} else {
			return session_fail(s, op->what, rv, ec);
		}
		if (err != JY_OK) {
			return err;
		}
	}
}

/* ---- the verbs ---- */

static CK_RV
run_mic(struct hsm_session *s, const struct op *op)
{
	struct secret_block mac AUTO_WIPE = { { 0 } };
	CK_RV rv;

	rv = op_cmac(
	    s->hsm, s->handle, handle_of(op->key), op->in, op->in_len, &mac);
	if (rv == CKR_OK) {
		memcpy(op->out, mac.b, HSM_MIC_LEN);
	}
	return rv;
}

enum jy_err
hsm_mic(struct hsm_session *s, struct hsm_key *key, const uint8_t *data,
    size_t len, uint8_t mic[HSM_MIC_LEN], struct errctx *ec)
{
	const struct op op = { .run = run_mic,
		.what = "CMAC",
		.key = key,
		.in = data,
		.in_len = len,
		.out = mic };

	return run(s, &op, ec);
}

static CK_RV
run_decrypt(struct hsm_session *s, const struct op *op)
{
	return op_decrypt(
	    s->hsm, s->handle, handle_of(op->key), op->in, op->in_len, op->out);
}

enum jy_err
hsm_decrypt(struct hsm_session *s, struct hsm_key *key, const uint8_t *in,
    size_t len, uint8_t *out, struct errctx *ec)
{
	const struct op op = { .run = run_decrypt,
		.what = "ECB decrypt",
		.key = key,
		.in = in,
		.in_len = len,
		.out = out };

	jy_assert(len == 16 || len == 32);
	return run(s, &op, ec);
}

/* Destroy a derived key; if that fails, its session takes it along. */
static void
discard(struct hsm_session *s, CK_OBJECT_HANDLE key)
{
	if (P11(s->hsm, C_DestroyObject(s->handle, key)) != CKR_OK) {
		session_drop(s);
	}
}

static CK_RV
run_derive_wrapped(struct hsm_session *s, const struct op *op)
{
	struct hsm *hsm = s->hsm;
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	rv = op_derive(
	    hsm, s->handle, handle_of(op->key), op->in, &hsm->parcel, &key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = op_wrap(
	    hsm, s->handle, handle_of(op->kek), key, op->out, HSM_WRAPPED_LEN);
	discard(s, key);
	return rv;
}

enum jy_err
hsm_derive_wrapped(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], struct hsm_key *kek, uint8_t out[HSM_WRAPPED_LEN],
    struct errctx *ec)
{
	const struct op op = { .run = run_derive_wrapped,
		.what = "derive and wrap",
		.key = root,
		.kek = kek,
		.in = block,
		.in_len = 16,
		.out = out };

	return run(s, &op, ec);
}

static CK_RV
run_derive_clear(struct hsm_session *s, const struct op *op)
{
	struct secret_block value AUTO_WIPE = { { 0 } };
	CK_ATTRIBUTE attr = { CKA_VALUE, value.b, sizeof(value.b) };
	struct hsm *hsm = s->hsm;
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	rv = op_derive(
	    hsm, s->handle, handle_of(op->key), op->in, &hsm->clear, &key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm, C_GetAttributeValue(s->handle, key, &attr, 1));
	discard(s, key);
	if (rv == CKR_OK && attr.ulValueLen != sizeof(value.b)) {
		rv = RV_NONSENSE;
	}
	if (rv == CKR_OK) {
		memcpy(op->out, value.b, sizeof(value.b));
	}
	return rv;
}

enum jy_err
hsm_derive_clear(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], uint8_t out[16], struct errctx *ec)
{
	const struct op op = { .run = run_derive_clear,
		.what = "derive in clear",
		.key = root,
		.in = block,
		.in_len = 16,
		.out = out };

	return run(s, &op, ec);
}

static CK_RV
run_derive_mic(struct hsm_session *s, const struct op *op)
{
	struct secret_block mac AUTO_WIPE = { { 0 } };
	struct hsm *hsm = s->hsm;
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	rv = op_derive(
	    hsm, s->handle, handle_of(op->key), op->block, &hsm->mac, &key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = op_cmac(hsm, s->handle, key, op->in, op->in_len, &mac);
	discard(s, key);
	if (rv == CKR_OK) {
		memcpy(op->out, mac.b, HSM_MIC_LEN);
	}
	return rv;
}

enum jy_err
hsm_derive_mic(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], const uint8_t *data, size_t len,
    uint8_t mic[HSM_MIC_LEN], struct errctx *ec)
{
	const struct op op = { .run = run_derive_mic,
		.what = "derive and CMAC",
		.key = root,
		.in = data,
		.in_len = len,
		.out = mic,
		.block = block };

	return run(s, &op, ec);
}
