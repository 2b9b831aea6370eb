/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transport keys of sealed key files.  RSA is slow and a file has many keys,
 * so the last few transport keys stay unwrapped, known by their ciphertext.
 * Only a thread in the lane touches them.
 */
#include <string.h>

#include "hsm/internal.h"

#define TRANSPORT_LEN 32

/* ---- the few there are ---- */

static struct hsm_transport *
transport_find(struct hsm *hsm, const uint8_t import_key[HSM_FINGERPRINT_LEN],
    const uint8_t *ciphertext, size_t len)
{
	for (size_t i = 0; i < TRANSPORTS_MAX; i++) {
		struct hsm_transport *t = &hsm->transports[i];

		if (t->len == len &&
		    memcmp(t->import_key, import_key, sizeof(t->import_key)) ==
			0 &&
		    memcmp(t->ciphertext, ciphertext, len) == 0) {
			return t;
		}
	}
	return NULL;
}

/* The place that was used least lately; NULL: all are in use. */
static struct hsm_transport *
transport_place(struct hsm *hsm)
{
	struct hsm_transport *oldest = NULL;

	for (size_t i = 0; i < TRANSPORTS_MAX; i++) {
		struct hsm_transport *t = &hsm->transports[i];

		if (t->pins == 0 &&
		    (oldest == NULL || t->used < oldest->used)) {
			oldest = t;
		}
	}
	return oldest;
}

/* A lane_work: unwrap, by the ciphertext that is in place. */
static CK_RV
transport_fill(struct hsm *hsm, void *arg)
{
	struct hsm_transport *t = arg;
	const struct template_spec spec = { .row = TEMPLATE_KEYFILE,
		.origin = ORIGIN_UNWRAP,
		.len = TRANSPORT_LEN };
	const struct import_unwrap w = { t->import_key, t->ciphertext, t->len };

	t->handle = CK_INVALID_HANDLE;
	return import_unwrap(hsm, &w, &spec, &t->handle);
}

static void
transport_forget(struct hsm *hsm, struct hsm_transport *t)
{
	object_destroy(hsm, t->handle);
	*t = (struct hsm_transport){ .handle = CK_INVALID_HANDLE };
}

/* Under the lane. */
static enum jy_err
transport_add(struct hsm *hsm, const uint8_t import_key[HSM_FINGERPRINT_LEN],
    const uint8_t *ciphertext, size_t len, struct hsm_transport **out,
    struct errctx *ec)
{
	struct hsm_transport *t = transport_place(hsm);
	enum jy_err err;

	if (t == NULL) {
		return err_set(ec, JY_EBUSY,
		    "keys of %d other files are being imported",
		    TRANSPORTS_MAX);
	}
	if (t->len > 0) {
		transport_forget(hsm, t);
	}
	memcpy(t->import_key, import_key, sizeof(t->import_key));
	memcpy(t->ciphertext, ciphertext, len);
	t->len = len;
	err = lane_run(hsm, transport_fill, t, "unwrap a transport key", ec);
	if (err == JY_OK) {
		*out = t;
	} else {
		transport_forget(hsm, t);
	}
	return err;
}

enum jy_err
hsm_transport_get(struct hsm *hsm,
    const uint8_t import_key[HSM_FINGERPRINT_LEN], const uint8_t *ciphertext,
    size_t len, struct hsm_transport **out, struct errctx *ec)
{
	struct hsm_transport *t = NULL;
	enum jy_err err;

	lane_enter(hsm);
	err = import_check(hsm, import_key, len, ec);
	if (err == JY_OK && len > TRANSPORT_CIPHERTEXT_MAX) {
		err = err_set(ec, JY_EINVAL, "the transport key is too long");
	}
	if (err == JY_OK) {
		t = transport_find(hsm, import_key, ciphertext, len);
	}
	if (err == JY_OK && t == NULL) {
		err = transport_add(hsm, import_key, ciphertext, len, &t, ec);
	}
	if (err == JY_OK && t != NULL) {
		t->pins++;
		t->used = ++hsm->transport_uses;
		*out = t;
	}
	lane_leave(hsm);
	return err;
}

void
hsm_transport_put(struct hsm *hsm, struct hsm_transport *t)
{
	if (t != NULL) {
		lane_enter(hsm);
		jy_assert(t->pins > 0);
		t->pins--;
		lane_leave(hsm);
	}
}

/* ---- what it is for ---- */

struct transport_work {
	struct hsm_transport *t;
	CK_RV (*run)(struct hsm *hsm, const struct transport_work *w);
	struct landing *landing;
	const struct hsm_wrapped *wrapped;
	const uint8_t *block;
	const uint8_t *data;
	size_t len;
	struct secret_block *mac;
};

/* A lane_work: once more if the handle went stale. */
static CK_RV
transport_run(struct hsm *hsm, void *arg)
{
	const struct transport_work *w = arg;
	CK_RV rv = w->run(hsm, w);

	if (rv_class(rv) == RV_HANDLE) {
		rv = transport_fill(hsm, w->t);
		if (rv == CKR_OK) {
			rv = w->run(hsm, w);
		}
	}
	return rv;
}

static enum jy_err
transport_do(struct hsm *hsm, struct transport_work *w, const char *what,
    struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, transport_run, w, what, ec);
	lane_leave(hsm);
	return err;
}

CK_RV
transport_mac(struct hsm *hsm, const struct derivation *d, const uint8_t *data,
    size_t len, struct secret_block *mac)
{
	const struct template_spec spec = {
		.row = HSM_MAC, .origin = ORIGIN_DERIVE, .len = 16
	};
	struct derivation derivation = *d;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv;

	rv = template_make(hsm, &spec, derive_make, &derivation, &key);
	if (rv == CKR_OK) {
		rv = op_cmac(hsm, hsm->scratch.handle, key, data, len, mac);
		object_destroy(hsm, key);
	}
	return rv;
}

static CK_RV
run_mac(struct hsm *hsm, const struct transport_work *w)
{
	const struct derivation d = { w->t->handle, w->block };

	return transport_mac(hsm, &d, w->data, w->len, w->mac);
}

enum jy_err
hsm_transport_check(struct hsm *hsm, struct hsm_transport *t,
    const uint8_t block[16], const uint8_t *data, size_t len,
    const uint8_t mac[HSM_MAC_LEN], struct errctx *ec)
{
	struct secret_block computed AUTO_WIPE = { { 0 } };
	struct transport_work w = { .t = t,
		.run = run_mac,
		.block = block,
		.data = data,
		.len = len,
		.mac = &computed };
	enum jy_err err = transport_do(hsm, &w, "MAC of a key file", ec);

	if (err == JY_OK && !secret_eq(computed.b, mac, HSM_MAC_LEN)) {
		err = err_set(ec, JY_EKCV, "the MAC does not match");
	}
	return err;
}

static CK_RV
run_import(struct hsm *hsm, const struct transport_work *w)
{
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.key = w->t->handle,
		.blob = w->wrapped->key,
		.blob_len = w->wrapped->len };

	return landing_prove_and_keep(
	    hsm, w->landing, &u, w->wrapped->kcv, true);
}

static enum jy_err
import_under(struct hsm *hsm, struct hsm_transport *t,
    const struct hsm_wrapped *wrapped, struct landing *l, struct errctx *ec)
{
	struct transport_work w = {
		.t = t, .run = run_import, .landing = l, .wrapped = wrapped
	};
	enum jy_err err;

	if (wrapped->len != l->spec.len + 8) {
		return err_set(ec, JY_EINVAL,
		    "wrapped key has %zu octets, not %lu", wrapped->len,
		    l->spec.len + 8);
	}
	err = transport_do(hsm, &w, "import a key", ec);
	return err == JY_OK ? landing_verdict(l, ec) : err;
}

enum jy_err
hsm_key_import_under(struct hsm *hsm, struct hsm_transport *t,
    const struct hsm_wrapped *wrapped, size_t key_len,
    enum hsm_template template, const struct hsm_id *id, const char *label,
    struct errctx *ec)
{
	struct landing l = landing_of(key_len, template, id, label);

	return import_under(hsm, t, wrapped, &l, ec);
}

enum jy_err
hsm_key_store_under(struct hsm *hsm, struct hsm_transport *t,
    const struct hsm_wrapped *wrapped, const struct hsm_id *id,
    struct hsm_stored *stored, struct errctx *ec)
{
	struct landing l = landing_of_stored(id, stored);

	return import_under(hsm, t, wrapped, &l, ec);
}
