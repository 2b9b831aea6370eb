/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage keys over their life: the token makes and destroys them, the store
 * says which one is in use.  A new one is made when the first worker with
 * wrapped custody starts, and when the one in use is replaced.  Runs on a
 * token thread.
 */
#ifndef JY_JOIN_STORAGE_H
#define JY_JOIN_STORAGE_H

#include "src/join/env.h"

/*
 * See that the storage key the store names is in the token; with wrapped
 * custody, make the first one.  JY_ENOKEY when the token lacks it.
 */
enum jy_err storage_open(
    const struct join_env *env, struct errctx *ec) JY_CHECK;

/*
 * The storage key for keys that are kept from now on; JY_ENOKEY when the
 * store names none.
 */
enum jy_err storage_current(
    const struct join_env *env, uint32_t *storage, struct errctx *ec) JY_CHECK;

/*
 * ---- replacing the storage key ----
 *
 * begin, move until there is no more, finish.  Each leaves things so that
 * whoever comes next can go on, in this process or another; joins and imports
 * go on meanwhile.
 */

/*
 * Make a new storage key, from now on in use, unless a replacement is under
 * way already.  JY_EINVAL when there is none to replace.
 */
enum jy_err storage_replace(const struct join_env *env,
    struct storage_state *state, struct errctx *ec) JY_CHECK;

#define STORAGE_MOVE_MAX 256
#define STORAGE_MOVE_MS 500 /* so that joins wait no longer */

struct storage_move {
	uint32_t moved;
	uint32_t failed;      /* keys that the token does not open */
	struct root_row last; /* looked at: where to go on */
	struct root_row bad;  /* the first that failed, if any did */
	bool more;
};

/*
 * Wrap the next root keys behind after (NULL: from the first) under the
 * storage key in use: as many as there is time for, and at least one.  Keys
 * that are not what they are said to be are left and counted.
 */
enum jy_err storage_move(const struct join_env *env,
    const struct root_row *after, struct storage_move *out,
    struct errctx *ec) JY_CHECK;

/*
 * Destroy the storage key that was replaced.  JY_EINUSE when root keys still
 * need it, JY_EINVAL when none is being replaced.
 */
enum jy_err storage_finish(
    const struct join_env *env, struct errctx *ec) JY_CHECK;

#endif
