/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which object of the token is which key.  A CKA_ID is made of all that the
 * key is for, so that no change of the database can make one device use
 * another's key.
 */
#ifndef JY_JOIN_KEYS_H
#define JY_JOIN_KEYS_H

#include "src/join/env.h"
#include "src/lorawan/derive.h"

/* Stored in rows and part of CKA_IDs: never change. */
enum key_role {
	KEY_NONE = 0,
	KEY_NWK = 'N',     /* NwkKey */
	KEY_APP = 'A',     /* AppKey that only derives the AppSKey */
	KEY_APP_ROOT = 'R' /* AppKey that is the root of 1.0.x joins */
};

/* key->generation is not 0. */
void keys_root_id(const struct device_id *device, const struct device_key *key,
    struct hsm_id *out);

/* The other way round; false: it is not the ID of a root key. */
bool keys_root_of_id(
    const struct hsm_id *id, struct device_id *device, struct device_key *key);

/* How many root keys the token holds; see hsm_key_count. */
size_t keys_root_count(struct hsm *hsm);

/* JSIntKey or JSEncKey of a NwkKey. */
void keys_lifetime_id(enum lw_key which, const struct device_id *device,
    const struct device_key *nwk_key, struct hsm_id *out);

void keys_kek_id(uint64_t key_id, struct hsm_id *out);
bool keys_is_kek_id(const struct hsm_id *id);

/* What a root key of this role may do. */
enum hsm_template keys_root_template(uint8_t role);

/* Between the store's row and what the token makes of it. */
struct hsm_stored keys_stored_of(const struct root_row *row);
struct root_row keys_root_row(const struct device_id *device,
    const struct device_key *key, const struct hsm_stored *stored);

/*
 * Get a root key of a device, from the token or from outside; JY_EROOTKEY when
 * generation is 0, JY_EFORGED when what is outside belongs elsewhere.
 */
enum jy_err keys_get_root(const struct join_env *env,
    const struct device_id *device, const struct device_key *key,
    struct hsm_key **out, struct errctx *ec) JY_CHECK;

/*
 * Could a root key be got?  Not when it is in neither place, or belongs
 * elsewhere; this process believes what it sees.
 */
enum jy_err keys_root_serves(const struct join_env *env,
    const struct device_id *device, const struct device_key *key, bool *serves,
    struct errctx *ec) JY_CHECK;

/* Get JSIntKey or JSEncKey, derived from the NwkKey in the token. */
enum jy_err keys_get_lifetime(struct hsm *hsm, enum lw_key which,
    const struct device_id *device, const struct device_key *nwk_key,
    struct hsm_key *nwk, struct hsm_key **out, struct errctx *ec) JY_CHECK;

#endif
