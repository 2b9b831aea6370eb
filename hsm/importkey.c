/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import keys: RSA pairs that unwrap what admins send.  There is one, or two
 * after a rotation; each has a generation, which its CKA_ID says.  Which of
 * them is current is not known here.
 *
 * An import key is told by its private half: its modulus is read from the
 * object that unwraps, so nobody can slip in another public key.
 *
 * Other processes make and destroy them too: what this one has seen of the
 * token is read anew when a key is missing.  Only a thread in the lane touches
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/internal.h"
#include "src/base/hex.h"

#define FIND_BATCH 16
#define PRIVATE_KEYS_MAX 256 /* in a token, those of others too */

/* The first generation has no number: it was there before rotation was. */
static struct hsm_id
id_of_generation(uint32_t generation)
{
	char text[HSM_ID_MAX + 1] = ID_IMPORT;

	if (generation > 1) {
		(void)snprintf(text, sizeof(text), ID_IMPORT "-%u", generation);
	}
	return id_of_text(text);
}

/* 0: not an import key's. */
static uint32_t
generation_of_id(const struct hsm_id *id)
{
	const size_t prefix = strlen(ID_IMPORT "-");
	char text[HSM_ID_MAX + 1] = { 0 };
	struct hsm_id again;
	unsigned long n;

	memcpy(text, id->b, id->len);
	if (strcmp(text, ID_IMPORT) == 0) {
		return 1;
	}
	if (strncmp(text, ID_IMPORT "-", prefix) != 0) {
		return 0;
	}
	n = strtoul(text + prefix, NULL, 10);
	if (n < 2 || n > UINT32_MAX) {
		return 0;
	}
	again = id_of_generation((uint32_t)n);
	return id_eq(id, &again) ? (uint32_t)n : 0;
}

/* Drop leading zeros, of which some tokens give one. */
static size_t
trim(uint8_t *p, size_t len)
{
	size_t zeros = 0;

	while (zeros + 1 < len && p[zeros] == 0) {
		zeros++;
	}
	memmove(p, p + zeros, len - zeros);
	return len - zeros;
}

/* What the private half at key->handle says. */
static CK_RV
import_read(struct hsm *hsm, struct import_key *key)
{
	struct rsa_public *rsa = &key->rsa;
	CK_ATTRIBUTE attr[] = {
		{ CKA_MODULUS, rsa->modulus, sizeof(rsa->modulus) },
		{ CKA_PUBLIC_EXPONENT, rsa->exponent, sizeof(rsa->exponent) },
	};
	CK_RV rv;

	rv = P11(hsm,
	    C_GetAttributeValue(
		hsm->scratch.handle, key->handle, attr, ARRAY_LEN(attr)));
	if (rv != CKR_OK) {
		return rv;
	}
	if (attr[0].ulValueLen < RSA_MODULUS_MIN ||
	    attr[0].ulValueLen > sizeof(rsa->modulus) ||
	    attr[1].ulValueLen < 1 ||
	    attr[1].ulValueLen > sizeof(rsa->exponent)) {
		return RV_NONSENSE;
	}
	rsa->modulus_len = trim(rsa->modulus, attr[0].ulValueLen);
	rsa->exponent_len = trim(rsa->exponent, attr[1].ulValueLen);
	return rsa_encode(rsa, key->der, &key->der_len)
	    ? op_digest(hsm, hsm->scratch.handle, key->der, key->der_len,
		  key->fingerprint)
	    : RV_NONSENSE;
}

/* Every private RSA key in the token, whosever it is. */
static CK_RV
find_private(struct hsm *hsm, CK_OBJECT_HANDLE *all, size_t *count)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CKK_RSA;
	CK_BBOOL token = CK_TRUE;
	CK_ATTRIBUTE query[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &token, sizeof(token) },
	};
	CK_SESSION_HANDLE s = hsm->scratch.handle;
	CK_ULONG n = 0;
	CK_RV rv, final;

	*count = 0;
	rv = P11(hsm, C_FindObjectsInit(s, query, ARRAY_LEN(query)));
	if (rv != CKR_OK) {
		return rv;
	}
	do {
		rv = P11(hsm, C_FindObjects(s, all + *count, FIND_BATCH, &n));
		*count += rv == CKR_OK ? n : 0;
	} while (
	    rv == CKR_OK && n > 0 && *count <= PRIVATE_KEYS_MAX - FIND_BATCH);
	final = P11(hsm, C_FindObjectsFinal(s));
	return rv != CKR_OK ? rv : final;
}

/* *generation 0: not one of ours, or destroyed by another meanwhile. */
static CK_RV
read_generation(struct hsm *hsm, CK_OBJECT_HANDLE handle, uint32_t *generation)
{
	struct hsm_id id = { 0 };
	uint8_t value[256];
	CK_ATTRIBUTE attr = { CKA_ID, value, sizeof(value) };
	CK_RV rv;

	*generation = 0;
	rv = P11(
	    hsm, C_GetAttributeValue(hsm->scratch.handle, handle, &attr, 1));
	if (rv != CKR_OK) {
		return rv_class(rv) == RV_TOKEN || rv_class(rv) == RV_SESSION
		    ? rv
		    : CKR_OK;
	}
	if (attr.ulValueLen > 0 && attr.ulValueLen <= HSM_ID_MAX) {
		id.len = (uint8_t)attr.ulValueLen;
		memcpy(id.b, value, id.len);
		*generation = generation_of_id(&id);
	}
	return CKR_OK;
}

/* Put key among the others, which are in ascending order. */
static CK_RV
keep(struct import_key *keys, size_t *n, const struct import_key *key)
{
	size_t at = *n;

	if (*n == HSM_IMPORT_KEYS_MAX) {
		return RV_MANY;
	}
	for (; at > 0 && keys[at - 1].generation >= key->generation; at--) {
		if (keys[at - 1].generation == key->generation) {
			return RV_MANY; /* neither can be trusted */
		}
		keys[at] = keys[at - 1];
	}
	keys[at] = *key;
	++*n;
	return CKR_OK;
}

CK_RV
import_scan(struct hsm *hsm, void *arg)
{
	CK_OBJECT_HANDLE all[PRIVATE_KEYS_MAX];
	struct import_key keys[HSM_IMPORT_KEYS_MAX];
	size_t count, n = 0;
	CK_RV rv = find_private(hsm, all, &count);

	(void)arg;
	for (size_t i = 0; rv == CKR_OK && i < count; i++) {
		struct import_key key = { .handle = all[i] };

		rv = read_generation(hsm, all[i], &key.generation);
		if (rv == CKR_OK && key.generation != 0) {
			rv = import_read(hsm, &key);
			if (rv == CKR_OK) {
				rv = keep(keys, &n, &key);
			} else if (rv_class(rv) == RV_HANDLE) {
				rv = CKR_OK; /* destroyed just now */
			}
		}
	}
	if (rv == CKR_OK && n == 0) {
		return RV_NONE; /* or the login is lost: ask the canary */
	}
	if (rv == CKR_OK) {
		memcpy(hsm->imports, keys, n * sizeof(keys[0]));
		hsm->import_count = n;
	}
	return rv;
}

const struct import_key *
import_newest(const struct hsm *hsm)
{
	jy_assert(hsm->import_count > 0);
	return &hsm->imports[hsm->import_count - 1];
}

/* ---- the one that is asked for ---- */

static const struct import_key *
by_generation(const struct hsm *hsm, uint32_t generation)
{
	for (size_t i = 0; i < hsm->import_count; i++) {
		if (hsm->imports[i].generation == generation) {
			return &hsm->imports[i];
		}
	}
	return NULL;
}

static const struct import_key *
by_fingerprint(
    const struct hsm *hsm, const uint8_t fingerprint[HSM_FINGERPRINT_LEN])
{
	for (size_t i = 0; i < hsm->import_count; i++) {
		if (memcmp(hsm->imports[i].fingerprint, fingerprint,
			HSM_FINGERPRINT_LEN) == 0) {
			return &hsm->imports[i];
		}
	}
	return NULL;
}

static enum jy_err
scan(struct hsm *hsm, struct errctx *ec)
{
	return lane_run(hsm, import_scan, NULL, "look for import keys", ec);
}

enum jy_err
import_check(struct hsm *hsm, const uint8_t fingerprint[HSM_FINGERPRINT_LEN],
    size_t ciphertext_len, struct errctx *ec)
{
	char theirs[HEX_STR_LEN(HSM_FINGERPRINT_LEN)], ours[sizeof(theirs)];
	const struct import_key *key = by_fingerprint(hsm, fingerprint);

	if (key == NULL) {
		enum jy_err err = scan(hsm, ec);

		if (err != JY_OK) {
			return err;
		}
		key = by_fingerprint(hsm, fingerprint);
	}
	if (key == NULL) {
		hex_format(fingerprint, HSM_FINGERPRINT_LEN, theirs);
		hex_format(
		    import_newest(hsm)->fingerprint, HSM_FINGERPRINT_LEN, ours);
		return err_set(ec, JY_EINVAL,
		    "sealed for import key %s; this token has %s", theirs,
		    ours);
	}
	return ciphertext_len == key->rsa.modulus_len
	    ? JY_OK
	    : err_set(ec, JY_EINVAL, "transport key has %zu octets, not %zu",
		  ciphertext_len, key->rsa.modulus_len);
}

/* Unwrap by the key of that fingerprint, as known. */
static CK_RV
unwrap_known(struct hsm *hsm, const struct import_unwrap *w,
    const struct template_spec *spec, CK_OBJECT_HANDLE *out)
{
	const struct import_key *key = by_fingerprint(hsm, w->import_key);
	CK_RSA_PKCS_OAEP_PARAMS params = oaep_params;
	struct unwrap oaep = { { CKM_RSA_PKCS_OAEP, &params, sizeof(params) },
		key != NULL ? key->handle : CK_INVALID_HANDLE, w->ciphertext,
		w->len };

	return key != NULL ? template_make(hsm, spec, unwrap_make, &oaep, out)
			   : RV_NONE;
}

CK_RV
import_unwrap(struct hsm *hsm, const struct import_unwrap *w,
    const struct template_spec *spec, CK_OBJECT_HANDLE *out)
{
	CK_RV rv = unwrap_known(hsm, w, spec, out);

	if (rv_class(rv) == RV_HANDLE) {
		rv = import_scan(hsm, NULL);
		if (rv == CKR_OK) {
			rv = unwrap_known(hsm, w, spec, out);
		}
	}
	return rv;
}

enum jy_err
hsm_import_key(struct hsm *hsm, uint32_t generation,
    uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *der_len,
    uint8_t fingerprint[HSM_FINGERPRINT_LEN], struct errctx *ec)
{
	const struct import_key *key;
	enum jy_err err = JY_OK;

	lane_enter(hsm);
	key = by_generation(hsm, generation);
	if (key == NULL) {
		err = scan(hsm, ec);
		key = by_generation(hsm, generation);
	}
	if (err == JY_OK && key == NULL) {
		err = err_set(ec, JY_ENOKEY,
		    "the token has no import key of generation %u", generation);
	}
	if (err == JY_OK && key != NULL) {
		memcpy(der, key->der, key->der_len);
		*der_len = key->der_len;
		memcpy(fingerprint, key->fingerprint, HSM_FINGERPRINT_LEN);
	}
	lane_leave(hsm);
	return err;
}

enum jy_err
hsm_import_keys(struct hsm *hsm, bool look,
    uint32_t generations[HSM_IMPORT_KEYS_MAX], size_t *n, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	lane_enter(hsm);
	if (look) {
		err = scan(hsm, ec);
	}
	if (err == JY_OK) {
		*n = hsm->import_count;
		for (size_t i = 0; i < hsm->import_count; i++) {
			generations[i] = hsm->imports[i].generation;
		}
	}
	lane_leave(hsm);
	return err;
}

/* ---- their beginning and end ---- */

/* A lane_work; arg is the generation. */
CK_RV
import_make(struct hsm *hsm, void *arg)
{
	const uint32_t *generation = arg;
	struct hsm_id id = id_of_generation(*generation);
	CK_OBJECT_HANDLE public, private;
	CK_RV rv = template_import_pair(hsm, &id, &public, &private);

	if (rv == CKR_OK) {
		(void)P11(hsm, C_DestroyObject(hsm->anchor, public));
	}
	return rv;
}

enum jy_err
hsm_import_key_make(struct hsm *hsm, uint32_t generation, struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, import_make, &generation, "make an import key", ec);
	if (err == JY_OK) {
		err = scan(hsm, ec);
	}
	lane_leave(hsm);
	return err;
}

/* A lane_work; arg is the generation. */
static CK_RV
destroy(struct hsm *hsm, void *arg)
{
	const uint32_t *generation = arg;
	const struct import_key *key;
	CK_RV rv = import_scan(hsm, NULL);

	if (rv != CKR_OK) {
		return rv;
	}
	key = by_generation(hsm, *generation);
	if (key == NULL) {
		return RV_NONE;
	}
	return object_erase(hsm, key->handle);
}

enum jy_err
hsm_import_key_destroy(struct hsm *hsm, uint32_t generation, struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, destroy, &generation, "destroy an import key", ec);
	if (err == JY_OK) {
		err = scan(hsm, ec);
	}
	lane_leave(hsm);
	return err;
}
