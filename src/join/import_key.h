/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which import key is offered, and its rotation.  The store says it for all
 * workers: the current one, the one before, which still opens what was sealed
 * for it, and the one being made.  An import key that the store does not name
 * is of no use and is destroyed by the next rotation; so whatever a crash
 * leaves is harmless.
 */
#ifndef JY_JOIN_IMPORT_KEY_H
#define JY_JOIN_IMPORT_KEY_H

#include "src/join/env.h"

struct import_key_name {
	uint32_t generation; /* 0: none */
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
};

struct import_keys {
	struct import_key_name current;
	struct import_key_name previous;
	uint32_t pending; /* generation of one being made; 0: none */
};

/* A store that names none has the newest of the token, and the one before. */
enum jy_err import_keys_get(const struct join_env *env, struct import_keys *out,
    struct errctx *ec) JY_CHECK;

/*
 * The current one's SubjectPublicKeyInfo.  JY_ENOKEY when the token does not
 * hold it; JY_ETOKEN when perhaps only this process does not see it.
 */
enum jy_err import_key_public(const struct join_env *env,
    const struct import_keys *keys, uint8_t der[HSM_PUBLIC_KEY_MAX],
    size_t *len, struct errctx *ec) JY_CHECK;

/*
 * Is that the current import key or the one before?  JY_EINVAL, naming it and
 * the current one; JY_ENOKEY and JY_ETOKEN as above.
 */
enum jy_err import_key_check(const struct join_env *env,
    const uint8_t fingerprint[HSM_FINGERPRINT_LEN], struct errctx *ec) JY_CHECK;

/*
 * Make another import key, which takes the token seconds, and offer it; the
 * current one becomes the one before, and the one before that is destroyed
 * (if the token does not, this is logged, and the next rotation tries again).
 * JY_ECONFLICT when another rotation began meanwhile: it goes on, this one
 * changed nothing.
 */
enum jy_err import_key_rotate(const struct join_env *env,
    struct import_keys *out, struct errctx *ec) JY_CHECK;

/* Destroy the one before.  JY_ENOTFOUND when there is none. */
enum jy_err import_key_drop(const struct join_env *env,
    struct import_key_name *dropped, struct errctx *ec) JY_CHECK;

#endif
