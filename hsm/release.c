/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored keys on their way to another token.  The transport key of a release
 * is made here as a parcel, which can do nothing but leave wrapped: once under
 * the receiver's public key, once under the storage key, for the ticket.  From
 * the ticket it comes back as a carrier, which wraps and derives and can not
 * leave any more.
 *
 * No process need remember a release, so any may serve any step of it.  The
 * carrier used last stays at hand.
 */
#include <string.h>

#include "hsm/internal.h"
#include "src/base/bytes.h"

#define TRANSPORT_LEN 32

/* What the MAC begins with, so that it can be no other MAC of this key. */
static const uint8_t ticket_tag[16] = { 'j', 'o', 'i', 'n', 'e', 'r', 'y', ' ',
	'r', 'e', 'l', 'e', 'a', 's', 'e', '!' };

/* ---- tickets ---- */

static CK_RV
ticket_mac(
    struct hsm *hsm, const struct hsm_ticket *t, uint8_t mac[HSM_BINDING_LEN])
{
	uint8_t input[sizeof(ticket_tag) + 4 + sizeof(t->receiver) +
	    sizeof(t->blob)];
	struct writer w;

	writer_init(&w, input, sizeof(input));
	writer_copy(&w, ticket_tag, sizeof(ticket_tag));
	writer_be(&w, t->storage, 4);
	writer_copy(&w, t->receiver, sizeof(t->receiver));
	writer_copy(&w, t->blob, sizeof(t->blob));
	jy_assert(writer_ok(&w));
	return storage_mac(hsm, t->storage, input, w.len, mac);
}

static CK_RV
ticket_make(struct hsm *hsm, CK_OBJECT_HANDLE key, struct hsm_ticket *t)
{
	CK_OBJECT_HANDLE kek;
	CK_RV rv = storage_part_get(hsm, t->storage, STORAGE_WRAP, &kek);

	if (rv == CKR_OK) {
		rv = op_wrap(
		    hsm, hsm->anchor, kek, key, t->blob, sizeof(t->blob));
	}
	return rv == CKR_OK ? ticket_mac(hsm, t, t->mac) : rv;
}

/* ---- the beginning ---- */

struct beginning {
	struct rsa_public to;
	struct hsm_ticket ticket;
	uint8_t sealed[HSM_RSA_MAX];
	size_t sealed_len;
};

/* What a release needs later: better to know now. */
static CK_RV
find_parts(struct hsm *hsm, uint32_t storage)
{
	CK_OBJECT_HANDLE part;
	CK_RV rv = storage_part_get(hsm, storage, STORAGE_TICKET, &part);

	return rv == CKR_OK
	    ? storage_part_get(hsm, storage, STORAGE_MOVE, &part)
	    : rv;
}

/* A lane_work. */
static CK_RV
begin(struct hsm *hsm, void *arg)
{
	const struct template_spec parcel = { .row = TEMPLATE_PARCEL,
		.origin = ORIGIN_GENERATE,
		.len = TRANSPORT_LEN };
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	struct beginning *b = arg;
	CK_RV rv = find_parts(hsm, b->ticket.storage);

	if (rv == CKR_OK) {
		rv = template_make(hsm, &parcel, generate_make, NULL, &key);
	}
	if (rv == CKR_OK) {
		rv = rsa_wrap(hsm, &b->to, key, b->sealed, &b->sealed_len);
	}
	if (rv == CKR_OK) {
		rv = ticket_make(hsm, key, &b->ticket);
		if (storage_went_stale(hsm, rv, b->ticket.storage)) {
			rv = ticket_make(hsm, key, &b->ticket);
		}
	}
	object_destroy(hsm, key);
	return rv;
}

enum jy_err
hsm_release_begin(struct hsm *hsm, const uint8_t *der, size_t len,
    struct hsm_ticket *ticket, uint8_t sealed[HSM_RSA_MAX], size_t *sealed_len,
    struct errctx *ec)
{
	struct beginning b = { .ticket = { .storage = ticket->storage } };
	enum jy_err err = hsm_public_key(hsm, der, len, b.ticket.receiver, ec);

	if (err == JY_OK) {
		err = rsa_decode(der, len, &b.to, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	lane_enter(hsm);
	err = lane_run(hsm, begin, &b, "begin a release", ec);
	lane_leave(hsm);
	if (err == JY_OK) {
		*ticket = b.ticket;
		*sealed_len = b.sealed_len;
		memcpy(sealed, b.sealed, b.sealed_len);
	}
	return err;
}

/* ---- the carrier ---- */

static bool
ticket_eq(const struct hsm_ticket *a, const struct hsm_ticket *b)
{
	return a->storage == b->storage &&
	    memcmp(a->receiver, b->receiver, sizeof(a->receiver)) == 0 &&
	    memcmp(a->blob, b->blob, sizeof(a->blob)) == 0 &&
	    memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static void
carrier_drop(struct hsm *hsm)
{
	object_destroy(hsm, hsm->carrier.handle);
	hsm->carrier = (struct carrier){ .handle = CK_INVALID_HANDLE };
}

static CK_RV
carrier_make(struct hsm *hsm, const struct hsm_ticket *t, CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = { .row = TEMPLATE_CARRIER,
		.origin = ORIGIN_UNWRAP,
		.len = TRANSPORT_LEN };
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = t->blob,
		.blob_len = sizeof(t->blob) };
	uint8_t mac[HSM_BINDING_LEN];
	CK_RV rv = ticket_mac(hsm, t, mac);

	if (rv == CKR_OK && !secret_eq(mac, t->mac, sizeof(mac))) {
		return RV_UNBOUND;
	}
	if (rv == CKR_OK) {
		rv = storage_part_get(hsm, t->storage, STORAGE_TICKET, &u.key);
	}
	return rv == CKR_OK ? template_make(hsm, &spec, unwrap_make, &u, out)
			    : rv;
}

/* Have the carrier of that ticket at hand. */
static CK_RV
carrier_ready(struct hsm *hsm, const struct hsm_ticket *t)
{
	CK_OBJECT_HANDLE handle;
	CK_RV rv;

	if (ticket_eq(&hsm->carrier.ticket, t)) {
		return CKR_OK;
	}
	rv = carrier_make(hsm, t, &handle);
	if (storage_went_stale(hsm, rv, t->storage)) {
		rv = carrier_make(hsm, t, &handle);
	}
	if (rv == CKR_OK) {
		carrier_drop(hsm);
		hsm->carrier = (struct carrier){ *t, handle };
	}
	return rv;
}

struct carrying {
	const struct hsm_ticket *ticket;
	CK_RV (*run)(struct hsm *hsm, const struct carrying *c);
	const struct hsm_id *id;
	const struct hsm_stored *stored;
	uint8_t *wrapped;
	const uint8_t *block;
	const uint8_t *data;
	size_t len;
	struct secret_block *mac;
};

/* A lane_work: once more if the carrier's handle went stale. */
static CK_RV
carry(struct hsm *hsm, void *arg)
{
	const struct carrying *c = arg;
	CK_RV rv = carrier_ready(hsm, c->ticket);

	if (rv == CKR_OK) {
		rv = c->run(hsm, c);
	}
	if (rv_class(rv) == RV_HANDLE) {
		carrier_drop(hsm);
		rv = carrier_ready(hsm, c->ticket);
		if (rv == CKR_OK) {
			rv = c->run(hsm, c);
		}
	}
	return rv;
}

static enum jy_err
carry_do(
    struct hsm *hsm, struct carrying *c, const char *what, struct errctx *ec)
{
	enum jy_err err;

	if (c->ticket->storage == 0) {
		return err_set(
		    ec, JY_EINVAL, "the ticket names no storage key");
	}
	lane_enter(hsm);
	err = lane_run(hsm, carry, c, what, ec);
	lane_leave(hsm);
	return err;
}

static CK_RV
run_nothing(struct hsm *hsm, const struct carrying *c)
{
	(void)hsm;
	(void)c;
	return CKR_OK;
}

enum jy_err
hsm_release_check(
    struct hsm *hsm, const struct hsm_ticket *ticket, struct errctx *ec)
{
	struct carrying c = { .ticket = ticket, .run = run_nothing };
	enum jy_err err = carry_do(hsm, &c, "open a ticket", ec);

	return err == JY_EFORGED || err == JY_ENOKEY
	    ? err_replace(ec, JY_EINVAL,
		  "the ticket is not one of this token, or its storage key "
		  "was replaced: begin the release anew")
	    : err;
}

static CK_RV
run_key(struct hsm *hsm, const struct carrying *c)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv = storage_take_parcel(hsm, c->id, c->stored, &key);

	if (rv == CKR_OK) {
		rv = op_wrap(hsm, hsm->anchor, hsm->carrier.handle, key,
		    c->wrapped, HSM_BLOB_LEN);
	}
	object_destroy(hsm, key);
	return rv;
}

enum jy_err
hsm_release_key(struct hsm *hsm, const struct hsm_ticket *ticket,
    const struct hsm_id *id, const struct hsm_stored *stored,
    uint8_t wrapped[HSM_BLOB_LEN], struct errctx *ec)
{
	struct carrying c = { .ticket = ticket,
		.run = run_key,
		.id = id,
		.stored = stored,
		.wrapped = wrapped };

	return carry_do(hsm, &c, "release a key", ec);
}

static CK_RV
run_mac(struct hsm *hsm, const struct carrying *c)
{
	const struct derivation d = { hsm->carrier.handle, c->block };

	return transport_mac(hsm, &d, c->data, c->len, c->mac);
}

enum jy_err
hsm_release_mac(struct hsm *hsm, const struct hsm_ticket *ticket,
    const uint8_t block[16], const uint8_t *data, size_t len,
    uint8_t mac[HSM_MAC_LEN], struct errctx *ec)
{
	struct secret_block computed AUTO_WIPE = { { 0 } };
	struct carrying c = { .ticket = ticket,
		.run = run_mac,
		.block = block,
		.data = data,
		.len = len,
		.mac = &computed };
	enum jy_err err = carry_do(hsm, &c, "MAC of a key file", ec);

	if (err == JY_OK) {
		memcpy(mac, computed.b, HSM_MAC_LEN);
	}
	return err;
}
