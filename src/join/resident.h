/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many root keys are objects of the token, and how many may be: tokens
 * hold from some hundred to some ten thousand.  The number stands in the store,
 * for all workers; a place is taken before a key object is made and given back
 * after it is gone.  A crash between the two is put right when the first worker
 * counts anew.  Runs on a token thread.
 */
#ifndef JY_JOIN_RESIDENT_H
#define JY_JOIN_RESIDENT_H

#include "src/join/env.h"

/* Count those in the token; only while no other worker makes any. */
enum jy_err resident_recount(
    const struct join_env *env, struct errctx *ec) JY_CHECK;

/* JY_ELIMIT when there are as many as may be. */
enum jy_err resident_take(
    const struct join_env *env, struct errctx *ec) JY_CHECK;

/* So many places.  What cannot be written is put right at the next count. */
void resident_give_back(const struct join_env *env, size_t n);

enum jy_err resident_count(
    const struct join_env *env, uint64_t *n, struct errctx *ec) JY_CHECK;

#endif
