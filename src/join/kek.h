/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key encryption keys.  Devices, applications and peers name a label; under it
 * there is one generation in use, perhaps older ones that are retiring and one
 * that is to take over.  Rows say what there is, and every request reads them:
 * no worker remembers a generation.  The token's object is made before the row
 * and destroyed after it, so a crash leaves at worst an object that no row
 * names.
 */
#ifndef JY_JOIN_KEK_H
#define JY_JOIN_KEK_H

#include "src/join/env.h"

enum kek_state { /* as KekState of the protocol */
	KEK_ACTIVE = 1,
	KEK_RETIRING = 2, /* not used any more; the partner may still need it */
	KEK_PLANNED = 3   /* its time has not come */
};

/*
 * How the generation at place i stands: in use is the newest whose time has
 * come, or the oldest there is, should the clock have gone back.
 */
enum kek_state kek_state_of(
    const struct kek_set *set, size_t i, uint64_t now_ms);

/* The generation of a label that is in use now; JY_EKEK: there is none. */
enum jy_err kek_active(const struct join_env *env, const char *label,
    struct kek_row *out, struct errctx *ec) JY_CHECK;

/* A copy made for our import key, and what it says of itself. */
struct kek_copy {
	struct hsm_copy key;
	uint32_t bits;
	uint8_t kcv[STORE_KCV_LEN];
};

/* A generation as it is wanted; everything is borrowed. */
struct kek_order {
	const char *label;
	const char *wire_label; /* "": the label, "-2" behind it and so on */
	uint64_t switch_ms;     /* of a rotation; 0: now */
	/* One of these three. */
	const struct hsm_sealed *sealed;
	const struct kek_copy *copy;
	uint32_t bits;           /* generate it; 0: do not */
	const uint8_t *for_peer; /* with bits: who gets a copy; or NULL */
	size_t for_peer_len;
};

struct kek_made {
	struct kek_row row;
	struct hsm_copy copy; /* len 0: none */
};

/*
 * Make the first generation of a label.  JY_EINVAL: not 128, 192 or 256 bits,
 * or not one source; JY_EEXIST: label or wire label are taken; those of
 * hsm_key_import, hsm_key_import_copy and hsm_key_generate_for.
 */
enum jy_err kek_create(const struct join_env *env,
    const struct kek_order *order, struct kek_made *out,
    struct errctx *ec) JY_CHECK;

/*
 * Make the next generation of a label, which takes over at its time.
 * JY_ENOTFOUND: no such label; JY_EINVAL also: the time is over, or more than
 * KEK_AHEAD_MS ahead; JY_EINUSE: another one is to take over already.
 */
#define KEK_AHEAD_MS (10ULL * 366 * 24 * 3600 * 1000)
enum jy_err kek_rotate(const struct join_env *env,
    const struct kek_order *order, struct kek_made *out,
    struct errctx *ec) JY_CHECK;

/*
 * Destroy a generation that is not in use; 0: the oldest that is retiring.
 * JY_EINUSE: it is in use, or it was until less than the repeat window ago,
 * unless at_once: answers under it may be under way.
 * *retired is what it was, set even if its key stays in the token, JY_ETOKEN or
 * JY_ETOKENREQ.
 */
enum jy_err kek_retire(const struct join_env *env, const char *label,
    uint32_t generation, bool at_once, struct kek_row *retired,
    struct errctx *ec) JY_CHECK;

/* Destroy a KEK that no peer, device or application names. */
enum jy_err kek_delete(
    const struct join_env *env, const char *label, struct errctx *ec) JY_CHECK;

/*
 * Wrap the test key under what the token holds for a row.  JY_EKEK: it holds
 * nothing; JY_EKCV: another key than the row tells of.
 */
enum jy_err kek_prove(const struct join_env *env, const struct kek_row *row,
    uint8_t out[STORE_PROOF_LEN], struct errctx *ec) JY_CHECK;

/* Likewise of a generation; 0: the one in use.  JY_ENOTFOUND. */
enum jy_err kek_test(const struct join_env *env, const char *label,
    uint32_t generation, struct kek_row *row, uint8_t out[STORE_PROOF_LEN],
    struct errctx *ec) JY_CHECK;

#endif
