/* SPDX-License-Identifier: Apache-2.0 */
/* Storage keys in use, private to hsm/; all of it under the lane. */
#ifndef JY_HSM_STORAGE_H
#define JY_HSM_STORAGE_H

#include <p11-kit/pkcs11.h>

#include "hsm/hsm.h"

struct template_spec;

/* What a storage key is made of; each is an object of its own. */
enum storage_part {
	STORAGE_WRAP,
	STORAGE_LOAD,
	STORAGE_MOVE,
	STORAGE_TICKET,
	STORAGE_BIND,
	STORAGE_PARTS
};

#define STORAGES_MAX 2 /* the one in use, and the one it replaces */

/* A storage key's parts, as session objects once they were needed. */
struct storage {
	uint32_t id; /* 0: free */
	struct {
		CK_OBJECT_HANDLE handle;
		bool owned; /* the handle is ours to destroy */
	} part[STORAGE_PARTS];
	uint64_t used; /* when, by a count of uses */
};

/* Load a stored key, as an object of spec, whose id is the key's. */
CK_RV storage_load(struct hsm *hsm, const struct template_spec *spec,
    const struct hsm_stored *stored, CK_OBJECT_HANDLE *out);
/* Wrap an extractable key under stored->storage and bind it to id. */
CK_RV storage_keep(struct hsm *hsm, const struct hsm_id *id,
    CK_OBJECT_HANDLE key, struct hsm_stored *stored);
/* Unwrap a stored key as what can only leave wrapped again. */
CK_RV storage_take_parcel(struct hsm *hsm, const struct hsm_id *id,
    const struct hsm_stored *stored, CK_OBJECT_HANDLE *out);

/* For release.c: a part of a storage key, as it is used. */
CK_RV storage_part_get(struct hsm *hsm, uint32_t storage,
    enum storage_part part, CK_OBJECT_HANDLE *out);
/* The MAC of all of input, which says itself what it is about. */
CK_RV storage_mac(struct hsm *hsm, uint32_t storage, const uint8_t *input,
    size_t len, uint8_t mac[HSM_BINDING_LEN]);
/* Whether a failure may be of handles that went stale; they are gone then. */
bool storage_went_stale(struct hsm *hsm, CK_RV rv, uint32_t storage);

#endif
