/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage key is made before the store names it, and destroyed after the
 * store has forgotten it.  Its number is random, so that one that a crash left
 * behind, or one that somebody else makes at the same time, is never taken for
 * another.
 */
#include "src/join/storage.h"

#include "src/base/log.h"

static uint32_t
new_number(const struct join_env *env)
{
	uint32_t number = 0;

	while (number == 0) {
		env->sys->random(&number, sizeof(number));
	}
	return number;
}

/* One that the store does not name: if it stays, it does no harm. */
static void
destroy(const struct join_env *env, uint32_t number)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = hsm_storage_destroy(env->hsm, number, &ec);

	if (err != JY_OK) {
		log_warn("storage", "storage key stays in the token",
		    "storage=%08x error=\"%s\"", number, err_detail(&ec, err));
	}
}

/*
 * Make a storage key and let the store name it, beside the one it replaces.
 * JY_ECONFLICT when the state is not the one seen any more.
 */
static enum jy_err
make(const struct join_env *env, const struct storage_state *seen,
    struct storage_state *state, struct errctx *ec)
{
	struct storage_state next = { .current = new_number(env),
		.old = seen->current };
	enum jy_err err = hsm_storage_make(env->hsm, next.current, ec);

	if (err != JY_OK) {
		return err;
	}
	err = store_storage_set(env->store, seen, &next, ec);
	if (err != JY_OK) {
		destroy(env, next.current);
		return err;
	}
	*state = next;
	return JY_OK;
}

enum jy_err
storage_open(const struct join_env *env, struct errctx *ec)
{
	struct storage_state state;
	enum jy_err err = store_storage_get(env->store, &state, ec);

	if (err == JY_OK && state.current == 0 &&
	    env->custody == CUSTODY_WRAPPED) {
		err = make(env, &state, &state, ec);
	}
	if (err != JY_OK || state.current == 0) {
		return err;
	}
	err = hsm_storage_check(env->hsm, state.current, ec);
	return err == JY_ENOKEY
	    ? err_replace(ec, JY_ENOKEY,
		  "the token lacks storage key %08x, which opens root keys of "
		  "the store: restore the token",
		  state.current)
	    : err;
}
