/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage keys: root keys of a fleet larger than the token is.  Each is one
 * AES-256 value in four token objects that can do one thing each, and a fifth
 * object that makes MACs.  The value exists nowhere else.
 *
 * RFC 3394 has no room for what a key is for, so a MAC of the token binds
 * storage key, ID and blob together: whoever can write the database can
 * neither give a device another's key nor make one up.
 *
 * Why three objects that unwrap: the one for daily use lets nothing leave
 * again, and where CKA_UNWRAP_TEMPLATE holds the token sees to it.  The second
 * serves when a storage key is replaced and when a device is released, the
 * third opens the tickets of releases (release.c).
 *
 * The parts of every join are used as session-object copies, as keys of the
 * cache are; the other two may not be copied.  All of this runs under the lane.
 */
#include <string.h>
#include <unistd.h>

#include "hsm/internal.h"
#include "src/base/bytes.h"

#define STORAGE_LEN 32
#define LABEL "joinery-storage"
#define LEFT_MAX 8 /* objects of one ID that interrupted runs left */

/* What the MAC begins with, so that it can be no other MAC of this key. */
static const uint8_t binding_tag[16] = { 'j', 'o', 'i', 'n', 'e', 'r', 'y', ' ',
	'r', 'o', 'o', 't', ' ', 'k', 'e', 'y' };

static const uint8_t part_letters[STORAGE_PARTS] = { 'W', 'U', 'M', 'T', 'B' };

static struct hsm_id
part_id(uint32_t storage, enum storage_part part)
{
	struct hsm_id id;
	struct writer w;

	jy_assert(storage != 0);
	writer_init(&w, id.b, sizeof(id.b));
	writer_u8(&w, part_letters[part]);
	writer_be(&w, storage, 4);
	id.len = (uint8_t)w.len;
	return id;
}

bool
hsm_storage_of_id(const struct hsm_id *id, uint32_t *storage)
{
	struct reader r;
	uint8_t letter;

	reader_init(&r, id->b, id->len);
	letter = reader_u8(&r);
	*storage = (uint32_t)reader_be(&r, 4);
	return reader_done(&r) && *storage != 0 &&
	    memchr(part_letters, letter, sizeof(part_letters)) != NULL;
}

static struct template_spec
part_spec(enum storage_part part, const struct hsm_id *id)
{
	return (struct template_spec){ .row = TEMPLATE_STORAGE_WRAP + part,
		.origin =
		    part == STORAGE_BIND ? ORIGIN_GENERATE : ORIGIN_UNWRAP,
		.len = STORAGE_LEN,
		.token = true,
		.id = id,
		.label = LABEL };
}

/* ---- the few that are at hand ---- */

/* Let the session objects go, and believe the index no longer. */
static void
storage_forget(struct hsm *hsm, struct storage *s)
{
	for (unsigned i = 0; s->id != 0 && i < STORAGE_PARTS; i++) {
		struct hsm_id id = part_id(s->id, (enum storage_part)i);

		if (s->part[i].owned) {
			object_destroy(hsm, s->part[i].handle);
		}
		if (s->part[i].handle != CK_INVALID_HANDLE) {
			index_put(hsm, &id, CK_INVALID_HANDLE);
		}
	}
	*s = (struct storage){ 0 };
}

/* NULL: nothing of it is at hand. */
static struct storage *
storage_at_hand(struct hsm *hsm, uint32_t id)
{
	for (size_t i = 0; i < STORAGES_MAX; i++) {
		if (hsm->storages[i].id == id) {
			return &hsm->storages[i];
		}
	}
	return NULL;
}

/* Its place: the one it has, else the one unused for longest. */
static struct storage *
storage_place(struct hsm *hsm, uint32_t id)
{
	struct storage *place = storage_at_hand(hsm, id);

	if (place != NULL) {
		return place;
	}
	place = &hsm->storages[0];
	for (size_t i = 1; i < STORAGES_MAX; i++) {
		if (hsm->storages[i].used < place->used) {
			place = &hsm->storages[i];
		}
	}
	storage_forget(hsm, place);
	place->id = id;
	return place;
}

/* From the token; only what is there drives another out of its place. */
static CK_RV
part_fetch(struct hsm *hsm, uint32_t storage, enum storage_part part)
{
	bool copied = part == STORAGE_LOAD || part == STORAGE_BIND;
	struct hsm_id id = part_id(storage, part);
	CK_OBJECT_HANDLE original, made;
	struct storage *s;
	bool owned = false;
	CK_RV rv = object_lookup(hsm, &id, &original);

	if (rv != CKR_OK) {
		return rv;
	}
	made = original;
	if (copied) {
		rv = object_copy(hsm, original, &made, &owned);
	}
	if (rv == CKR_OK) {
		s = storage_place(hsm, storage);
		s->part[part].handle = made;
		s->part[part].owned = owned;
	}
	return rv;
}

CK_RV
storage_part_get(struct hsm *hsm, uint32_t storage, enum storage_part part,
    CK_OBJECT_HANDLE *out)
{
	struct storage *s = storage_at_hand(hsm, storage);
	CK_RV rv = CKR_OK;

	if (s == NULL || s->part[part].handle == CK_INVALID_HANDLE) {
		rv = part_fetch(hsm, storage, part);
		s = storage_at_hand(hsm, storage);
	}
	if (rv == CKR_OK && s != NULL) {
		s->used = ++hsm->storage_uses;
		*out = s->part[part].handle;
	}
	return rv;
}

/* ---- the binding ---- */

CK_RV
storage_mac(struct hsm *hsm, uint32_t storage, const uint8_t *input, size_t len,
    uint8_t mac[HSM_BINDING_LEN])
{
	struct secret_block whole AUTO_WIPE = { { 0 } };
	CK_OBJECT_HANDLE key;
	CK_RV rv = storage_part_get(hsm, storage, STORAGE_BIND, &key);

	if (rv == CKR_OK) {
		rv = op_cmac(hsm, hsm->scratch.handle, key, input, len, &whole);
	}
	if (rv == CKR_OK) {
		memcpy(mac, whole.b, HSM_BINDING_LEN);
	}
	return rv;
}

static CK_RV
binding(struct hsm *hsm, const struct hsm_id *id,
    const struct hsm_stored *stored, uint8_t mac[HSM_BINDING_LEN])
{
	uint8_t input[sizeof(binding_tag) + 5 + HSM_ID_MAX + HSM_BLOB_LEN];
	struct writer w;

	writer_init(&w, input, sizeof(input));
	writer_copy(&w, binding_tag, sizeof(binding_tag));
	writer_be(&w, stored->storage, 4);
	writer_u8(&w, id->len);
	writer_copy(&w, id->b, id->len);
	writer_copy(&w, stored->blob, sizeof(stored->blob));
	jy_assert(writer_ok(&w));
	return storage_mac(hsm, stored->storage, input, w.len, mac);
}

static CK_RV
check_binding(
    struct hsm *hsm, const struct hsm_id *id, const struct hsm_stored *stored)
{
	uint8_t mac[HSM_BINDING_LEN];
	CK_RV rv = binding(hsm, id, stored, mac);

	return rv == CKR_OK && !secret_eq(mac, stored->mac, sizeof(mac))
	    ? RV_UNBOUND
	    : rv;
}

/* ---- out of storage and into it, once ---- */

static CK_RV
unwrap_once(struct hsm *hsm, const struct template_spec *spec,
    enum storage_part by, const struct hsm_id *id,
    const struct hsm_stored *stored, CK_OBJECT_HANDLE *out)
{
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = stored->blob,
		.blob_len = sizeof(stored->blob) };
	CK_RV rv = check_binding(hsm, id, stored);

	if (rv == CKR_OK) {
		rv = storage_part_get(hsm, stored->storage, by, &u.key);
	}
	return rv == CKR_OK ? template_make(hsm, spec, unwrap_make, &u, out)
			    : rv;
}

static CK_RV
keep_once(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE key,
    struct hsm_stored *stored)
{
	struct hsm_stored new = { .storage = stored->storage };
	CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE;
	CK_RV rv = storage_part_get(hsm, stored->storage, STORAGE_WRAP, &kek);

	if (rv == CKR_OK) {
		rv = op_wrap(
		    hsm, hsm->anchor, kek, key, new.blob, sizeof(new.blob));
	}
	if (rv == CKR_OK) {
		rv = binding(hsm, id, &new, new.mac);
	}
	if (rv == CKR_OK) {
		*stored = new;
	}
	return rv;
}

bool
storage_went_stale(struct hsm *hsm, CK_RV rv, uint32_t storage)
{
	if (rv_class(rv) != RV_HANDLE) {
		return false;
	}
	storage_forget(hsm, storage_place(hsm, storage));
	return true;
}

static CK_RV
take(struct hsm *hsm, const struct template_spec *spec, enum storage_part by,
    const struct hsm_id *id, const struct hsm_stored *stored,
    CK_OBJECT_HANDLE *out)
{
	CK_RV rv = unwrap_once(hsm, spec, by, id, stored, out);

	return storage_went_stale(hsm, rv, stored->storage)
	    ? unwrap_once(hsm, spec, by, id, stored, out)
	    : rv;
}

CK_RV
storage_load(struct hsm *hsm, const struct template_spec *spec,
    const struct hsm_stored *stored, CK_OBJECT_HANDLE *out)
{
	struct template_spec loaded = *spec;

	loaded.loaded = true;
	if (!spec->token) {
		loaded.id = NULL; /* nobody looks for it; SoftHSM is slower */
	}
	return take(hsm, &loaded, STORAGE_LOAD, spec->id, stored, out);
}

CK_RV
storage_keep(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE key,
    struct hsm_stored *stored)
{
	CK_RV rv = keep_once(hsm, id, key, stored);

	return storage_went_stale(hsm, rv, stored->storage)
	    ? keep_once(hsm, id, key, stored)
	    : rv;
}

CK_RV
storage_take_parcel(struct hsm *hsm, const struct hsm_id *id,
    const struct hsm_stored *stored, CK_OBJECT_HANDLE *out)
{
	const struct template_spec parcel = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_UNWRAP, .len = 16
	};

	return take(hsm, &parcel, STORAGE_MOVE, id, stored, out);
}

/* ---- from one storage key to another, and into the token ---- */

struct move {
	const struct hsm_id *id;
	const struct hsm_stored *from;
	struct hsm_stored *to;
};

/* A lane_work. */
static CK_RV
move(struct hsm *hsm, void *arg)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	const struct move *m = arg;
	CK_RV rv = storage_take_parcel(hsm, m->id, m->from, &key);

	if (rv == CKR_OK) {
		rv = storage_keep(hsm, m->id, key, m->to);
	}
	object_destroy(hsm, key);
	return rv;
}

enum jy_err
hsm_stored_move(struct hsm *hsm, const struct hsm_id *id,
    const struct hsm_stored *stored, struct hsm_stored *moved,
    struct errctx *ec)
{
	struct move m = { id, stored, moved };
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, move, &m, "move a stored key", ec);
	lane_leave(hsm);
	return err;
}

struct settling {
	struct template_spec spec;
	const struct hsm_stored *stored;
	size_t *replaced;
};

/* What an interrupted run left is destroyed when the key is there again. */
static CK_RV
replace_all(struct hsm *hsm, const struct settling *s,
    const CK_OBJECT_HANDLE *old, CK_ULONG n)
{
	CK_OBJECT_HANDLE key;
	CK_RV rv = storage_load(hsm, &s->spec, s->stored, &key);

	if (rv != CKR_OK) {
		return rv;
	}
	for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
		/* NSS writes a key over one that has the same ID. */
		rv = old[i] != key ? object_erase(hsm, old[i]) : CKR_OK;
		*s->replaced += rv == CKR_OK;
	}
	if (rv != CKR_OK) {
		(void)object_erase(hsm, key);
		return rv;
	}
	index_put(hsm, s->spec.id, key);
	return CKR_OK;
}

/* A lane_work. */
static CK_RV
settle(struct hsm *hsm, void *arg)
{
	CK_OBJECT_HANDLE old[LEFT_MAX + 1];
	const struct settling *s = arg;
	CK_ULONG n = 0;
	CK_RV rv = object_list(hsm, s->spec.id, old, ARRAY_LEN(old), &n);

	if (rv != CKR_OK || n > LEFT_MAX) {
		return rv != CKR_OK ? rv : RV_MANY;
	}
	cache_forget(hsm, s->spec.id);
	index_put(hsm, s->spec.id, CK_INVALID_HANDLE);
	return replace_all(hsm, s, old, n);
}

enum jy_err
hsm_stored_settle(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, const char *label,
    const struct hsm_stored *stored, size_t *replaced, struct errctx *ec)
{
	struct settling s = { landing_of(16, template, id, label).spec, stored,
		replaced };
	enum jy_err err;

	*replaced = 0;
	lane_enter(hsm);
	err = lane_run(hsm, settle, &s, "settle a stored key", ec);
	lane_leave(hsm);
	if (err == JY_OK && hsm->writes_in_turns) {
		sync(); /* SoftHSM does not wait for the disk */
	}
	return err;
}

/* ---- storage keys themselves ---- */

/* Make the object of a part; u unwraps the value. */
static CK_RV
part_make(
    struct hsm *hsm, uint32_t storage, enum storage_part part, struct unwrap *u)
{
	struct hsm_id id = part_id(storage, part);
	const struct template_spec spec = part_spec(part, &id);
	CK_OBJECT_HANDLE key;
	CK_RV rv = part == STORAGE_BIND
	    ? template_make(hsm, &spec, generate_make, NULL, &key)
	    : template_make(hsm, &spec, unwrap_make, u, &key);

	if (rv == CKR_OK) {
		index_put(hsm, &id, key);
	}
	return rv;
}

static CK_RV
parts_destroy(struct hsm *hsm, uint32_t storage)
{
	CK_RV first = CKR_OK;

	storage_forget(hsm, storage_place(hsm, storage));
	for (unsigned i = 0; i < STORAGE_PARTS; i++) {
		struct hsm_id id = part_id(storage, (enum storage_part)i);
		size_t count = 0;
		CK_RV rv = object_purge(hsm, &id, &count);

		first = first == CKR_OK ? rv : first;
	}
	return first;
}

/* No number is used twice, not even by chance: RV_MANY. */
static CK_RV
parts_absent(struct hsm *hsm, uint32_t storage)
{
	CK_OBJECT_HANDLE key;
	CK_RV rv = RV_NONE;

	for (unsigned i = 0; rv == RV_NONE && i < STORAGE_PARTS; i++) {
		struct hsm_id id = part_id(storage, (enum storage_part)i);

		rv = object_find(
		    hsm, hsm->scratch.handle, CKO_SECRET_KEY, &id, &key);
	}
	return rv == RV_NONE ? CKR_OK : rv == CKR_OK ? RV_MANY : rv;
}

/* A lane_work; arg is the number. */
static CK_RV
storage_make(struct hsm *hsm, void *arg)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	const uint32_t *storage = arg;
	uint8_t blob[STORAGE_LEN + 8];
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.key = CK_INVALID_HANDLE,
		.blob = blob,
		.blob_len = sizeof(blob) };
	CK_RV rv = parts_absent(hsm, *storage);

	if (rv != CKR_OK) {
		return rv; /* what is there is not ours to destroy */
	}
	rv = generate_wrapped(hsm, STORAGE_LEN, &u.key, &key, blob);
	for (unsigned i = 0; rv == CKR_OK && i < STORAGE_PARTS; i++) {
		rv = part_make(hsm, *storage, (enum storage_part)i, &u);
	}
	object_destroy(hsm, key);
	object_destroy(hsm, u.key);
	if (rv != CKR_OK) {
		(void)parts_destroy(hsm, *storage);
	}
	return rv;
}

/* A lane_work; arg is the number. */
static CK_RV
storage_destroy(struct hsm *hsm, void *arg)
{
	const uint32_t *storage = arg;

	return parts_destroy(hsm, *storage);
}

/* A lane_work; arg is the number. */
static CK_RV
storage_check(struct hsm *hsm, void *arg)
{
	static const enum storage_part needed[] = { STORAGE_WRAP, STORAGE_LOAD,
		STORAGE_BIND };
	const uint32_t *storage = arg;
	CK_OBJECT_HANDLE key;
	CK_RV rv = CKR_OK;

	for (size_t i = 0; rv == CKR_OK && i < ARRAY_LEN(needed); i++) {
		rv = storage_part_get(hsm, *storage, needed[i], &key);
	}
	return rv;
}

static enum jy_err
storage_do(struct hsm *hsm, lane_work *work, uint32_t storage, const char *what,
    struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, work, &storage, what, ec);
	lane_leave(hsm);
	return err;
}

enum jy_err
hsm_storage_make(struct hsm *hsm, uint32_t storage, struct errctx *ec)
{
	return storage_do(hsm, storage_make, storage, "make a storage key", ec);
}

enum jy_err
hsm_storage_destroy(struct hsm *hsm, uint32_t storage, struct errctx *ec)
{
	return storage_do(
	    hsm, storage_destroy, storage, "destroy a storage key", ec);
}

enum jy_err
hsm_storage_check(struct hsm *hsm, uint32_t storage, struct errctx *ec)
{
	return storage_do(
	    hsm, storage_check, storage, "find the storage key", ec);
}
