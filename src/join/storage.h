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

#endif
