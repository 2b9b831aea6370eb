/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the token that nothing in the database names: what a crash between
 * token and store left, or what the database forgot when an older copy of it
 * was put in place.
 */
#ifndef JY_JOIN_ORPHANS_H
#define JY_JOIN_ORPHANS_H

#include "src/join/env.h"

#define ORPHANS_MAX 256

enum orphan_kind {
	ORPHAN_ROOT_KEY,
	ORPHAN_KEK,
	ORPHAN_STORAGE_KEY
};

struct orphan {
	enum orphan_kind kind;
	struct hsm_id id;
	struct device_id device; /* of a root key */
};

/*
 * The first ORPHANS_MAX behind after (NULL: of all), by CKA_ID; *more: there
 * are others.  Keys are known by the form of their CKA_ID.  The token is asked
 * first, so a key that another request is making, or destroying, just now may
 * be among them.  It takes a search of the whole token.
 */
enum jy_err orphans_find(const struct join_env *env, const struct hsm_id *after,
    struct orphan out[ORPHANS_MAX], size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

#endif
