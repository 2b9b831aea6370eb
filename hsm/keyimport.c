/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys on their way in.  A sealed key is a transport key under the import key
 * and the key under the transport key.  Before anything is stored, the key is
 * unwrapped once into a throw-away session object that can do CMAC only, and
 * its check value compared: the kinds of key that cannot sign are proved like
 * the others, and no object ever exists that was not.
 *
 * A generated key takes the same road: the token generates it beside a
 * throw-away transport key and wraps it for itself.  So a KEK, which cannot
 * sign, has a check value too.
 */
#include <string.h>

#include "hsm/internal.h"

const CK_RSA_PKCS_OAEP_PARAMS oaep_params = {
	.hashAlg = CKM_SHA_1,
	.mgf = CKG_MGF1_SHA1,
	.source = CKZ_DATA_SPECIFIED,
};

CK_RV
unwrap_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	struct unwrap *u = arg;

	return P11(hsm,
	    C_UnwrapKey(hsm->anchor, &u->mechanism, u->key, p11_in(u->blob),
		u->blob_len, t->attr, t->count, out));
}

CK_RV
generate_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 };

	(void)arg;
	/* A generated key's class and type come from the mechanism too. */
	return P11(
	    hsm, C_GenerateKey(hsm->anchor, &generate, t->attr, t->count, out));
}

void
object_destroy(struct hsm *hsm, CK_OBJECT_HANDLE handle)
{
	if (handle != CK_INVALID_HANDLE) {
		(void)P11(hsm, C_DestroyObject(hsm->anchor, handle));
	}
}

struct landing
landing_of(size_t key_len, enum hsm_template template, const struct hsm_id *id,
    const char *label)
{
	jy_assert(key_len == 16 || key_len == 24 || key_len == 32);
	return (struct landing){ .spec = { .row = template,
				     .origin = ORIGIN_UNWRAP,
				     .len = key_len,
				     .token = true,
				     .id = id,
				     .label = label } };
}

struct landing
landing_of_stored(const struct hsm_id *id, struct hsm_stored *stored)
{
	return (struct landing){ .spec = { .len = 16, .id = id },
		.stored = stored };
}

enum jy_err
landing_verdict(const struct landing *l, struct errctx *ec)
{
	return l->kcv_differs
	    ? err_set(ec, JY_EKCV,
		  "key check value does not match: another key was meant")
	    : JY_OK;
}

/* The check value of a wrapped key, by a copy that does nothing else. */
static CK_RV
wrapped_check_value(
    struct hsm *hsm, struct unwrap *u, CK_ULONG len, uint8_t kcv[HSM_KCV_LEN])
{
	const struct template_spec mac_only = {
		.row = HSM_MAC, .origin = ORIGIN_UNWRAP, .len = len
	};
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv;

	rv = template_make(hsm, &mac_only, unwrap_make, u, &key);
	if (rv == CKR_OK) {
		rv = check_value(hsm, hsm->scratch.handle, key, kcv);
		object_destroy(hsm, key);
	}
	return rv;
}

/* Prove the key, and leave it outside, from one object that does both. */
static CK_RV
prove_and_store(struct hsm *hsm, struct landing *l, struct unwrap *u,
    const uint8_t kcv[HSM_KCV_LEN])
{
	const struct template_spec passage = {
		.row = TEMPLATE_PASSAGE, .origin = ORIGIN_UNWRAP, .len = 16
	};
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv;

	rv = template_make(hsm, &passage, unwrap_make, u, &key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = check_value(hsm, hsm->scratch.handle, key, l->kcv);
	l->kcv_differs = rv == CKR_OK && !secret_eq(l->kcv, kcv, HSM_KCV_LEN);
	if (rv == CKR_OK && !l->kcv_differs) {
		rv = storage_keep(hsm, l->spec.id, key, l->stored);
	}
	object_destroy(hsm, key);
	return rv;
}

/* Make the token object; what an interrupted import left goes first. */
static CK_RV
land(struct hsm *hsm, struct unwrap *u, const struct template_spec *spec,
    bool fresh)
{
	CK_OBJECT_HANDLE key;
	size_t purged = 0;
	CK_RV rv = CKR_OK;

	if (!fresh) {
		cache_forget(hsm, spec->id);
		rv = object_purge(hsm, spec->id, &purged);
	}
	if (rv == CKR_OK) {
		rv = template_make(hsm, spec, unwrap_make, u, &key);
	}
	if (rv == CKR_OK) {
		index_put(hsm, spec->id, key);
	}
	return rv;
}

CK_RV
landing_prove_and_keep(struct hsm *hsm, struct landing *l, struct unwrap *u,
    const uint8_t kcv[HSM_KCV_LEN], bool fresh)
{
	CK_RV rv;

	if (l->stored != NULL) {
		return prove_and_store(hsm, l, u, kcv);
	}
	rv = wrapped_check_value(hsm, u, l->spec.len, l->kcv);
	if (rv != CKR_OK) {
		return rv;
	}
	l->kcv_differs = !secret_eq(l->kcv, kcv, HSM_KCV_LEN);
	return l->kcv_differs || l->spec.id == NULL
	    ? CKR_OK
	    : land(hsm, u, &l->spec, fresh);
}

/* ---- sealed keys ---- */

/* A lane_work. */
static CK_RV
import(struct hsm *hsm, void *arg)
{
	struct landing *l = arg;
	const struct hsm_sealed *sealed = l->sealed;
	const struct template_spec transport_spec = {
		.row = TEMPLATE_TRANSPORT, .origin = ORIGIN_UNWRAP, .len = 32
	};
	const struct import_unwrap transport = { sealed->import_key,
		sealed->transport_key, sealed->transport_key_len };
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = sealed->wrapped_key,
		.blob_len = sealed->wrapped_key_len };
	CK_RV rv;

	rv = import_unwrap(hsm, &transport, &transport_spec, &u.key);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = landing_prove_and_keep(hsm, l, &u, sealed->kcv, false);
	object_destroy(hsm, u.key);
	return rv;
}

static enum jy_err
import_sealed(struct hsm *hsm, const struct hsm_sealed *sealed,
    struct landing *l, struct errctx *ec)
{
	enum jy_err err;

	if (sealed->wrapped_key_len != l->spec.len + 8) {
		return err_set(ec, JY_EINVAL,
		    "wrapped key has %zu octets, not %zu",
		    sealed->wrapped_key_len, (size_t)l->spec.len + 8);
	}
	l->sealed = sealed;
	lane_enter(hsm);
	err = import_check(
	    hsm, sealed->import_key, sealed->transport_key_len, ec);
	if (err == JY_OK) {
		err = lane_run(hsm, import, l, "import a key", ec);
	}
	lane_leave(hsm);
	return err == JY_OK ? landing_verdict(l, ec) : err;
}

enum jy_err
hsm_key_import(struct hsm *hsm, const struct hsm_sealed *sealed, size_t key_len,
    enum hsm_template template, const struct hsm_id *id, const char *label,
    struct errctx *ec)
{
	struct landing l = landing_of(key_len, template, id, label);

	return import_sealed(hsm, sealed, &l, ec);
}

enum jy_err
hsm_key_store(struct hsm *hsm, const struct hsm_sealed *sealed,
    const struct hsm_id *id, struct hsm_stored *stored, struct errctx *ec)
{
	struct landing l = landing_of_stored(id, stored);

	return import_sealed(hsm, sealed, &l, ec);
}

/* ---- generated keys ---- */

CK_RV
generate_wrapped(struct hsm *hsm, CK_ULONG len, CK_OBJECT_HANDLE *transport,
    CK_OBJECT_HANDLE *key, uint8_t *blob)
{
	const struct template_spec loop = {
		.row = TEMPLATE_LOOP, .origin = ORIGIN_GENERATE, .len = 32
	};
	const struct template_spec parcel = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_GENERATE, .len = len
	};
	CK_RV rv;

	rv = template_make(hsm, &loop, generate_make, NULL, transport);
	if (rv == CKR_OK) {
		rv = template_make(hsm, &parcel, generate_make, NULL, key);
	}
	if (rv == CKR_OK) {
		rv = op_wrap(hsm, hsm->anchor, *transport, *key, blob, len + 8);
	}
	return rv;
}

/* A lane_work. */
static CK_RV
generate(struct hsm *hsm, void *arg)
{
	struct landing *l = arg;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	uint8_t blob[40];
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = blob,
		.blob_len = l->spec.len + 8 };
	CK_RV rv;

	rv = generate_wrapped(hsm, l->spec.len, &u.key, &key, blob);
	if (rv == CKR_OK) {
		rv = wrapped_check_value(hsm, &u, l->spec.len, l->kcv);
	}
	if (rv == CKR_OK) {
		rv = land(hsm, &u, &l->spec, false);
	}
	object_destroy(hsm, key);
	object_destroy(hsm, u.key);
	return rv;
}

enum jy_err
hsm_key_generate(struct hsm *hsm, size_t key_len, enum hsm_template template,
    const struct hsm_id *id, const char *label, uint8_t kcv[HSM_KCV_LEN],
    struct errctx *ec)
{
	struct landing l = landing_of(key_len, template, id, label);
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, generate, &l, "generate a key", ec);
	lane_leave(hsm);
	if (err == JY_OK) {
		memcpy(kcv, l.kcv, HSM_KCV_LEN);
	}
	return err;
}

/* ---- the end of a key ---- */

struct purge {
	const struct hsm_id *id;
	size_t count;
};

/* A lane_work. */
static CK_RV
purge(struct hsm *hsm, void *arg)
{
	struct purge *p = arg;
	CK_RV rv;

	cache_forget(hsm, p->id);
	rv = object_purge(hsm, p->id, &p->count);
	return rv == CKR_OK && p->count == 0 ? RV_NONE : rv;
}

enum jy_err
hsm_key_destroy(struct hsm *hsm, const struct hsm_id *id, struct errctx *ec)
{
	struct purge p = { .id = id };
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, purge, &p, "destroy a key", ec);
	lane_leave(hsm);
	return err;
}
