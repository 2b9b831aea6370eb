/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage key is made before the store names it, and destroyed after the
 * store has forgotten it.  Its number is random, so that one that a crash left
 * behind, or one that somebody else makes at the same time, is never taken for
 * another.
 */
#include "src/join/storage.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/join/keys.h"

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
	if (err == JY_ECONFLICT) {
		/* After another error it may be named all the same. */
		destroy(env, next.current);
	}
	if (err != JY_OK) {
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

enum jy_err
storage_current(
    const struct join_env *env, uint32_t *storage, struct errctx *ec)
{
	struct storage_state state;
	enum jy_err err = store_storage_get(env->store, &state, ec);

	if (err == JY_OK && state.current == 0) {
		return err_set(ec, JY_ENOKEY, "the store names no storage key");
	}
	if (err == JY_OK) {
		*storage = state.current;
	}
	return err;
}

enum jy_err
storage_replace(
    const struct join_env *env, struct storage_state *state, struct errctx *ec)
{
	struct storage_state seen;
	enum jy_err err = store_storage_get(env->store, &seen, ec);

	if (err == JY_OK && seen.current == 0) {
		return err_set(ec, JY_EINVAL,
		    "there is no storage key: custody is resident");
	}
	if (err == JY_OK && seen.old == 0) {
		return make(env, &seen, state, ec);
	}
	if (err == JY_OK) {
		*state = seen;
	}
	return err;
}

/* One key: JY_OK with *change filled in, or why not. */
static enum jy_err
move_one(const struct join_env *env, const struct root_row *row,
    uint32_t current, struct root_change *change, struct errctx *ec)
{
	const struct hsm_stored stored = keys_stored_of(row);
	struct hsm_stored moved = { .storage = current };
	struct hsm_id id;
	enum jy_err err;

	keys_root_id(&row->device, &row->key, &id);
	err = hsm_stored_move(env->hsm, &id, &stored, &moved, ec);
	if (err == JY_OK) {
		change->seen = *row;
		change->row = keys_root_row(&row->device, &row->key, &moved);
	}
	return err;
}

/* A key that is broken by itself; the others can be moved all the same. */
static bool
is_its_own_fault(enum jy_err err)
{
	return err == JY_EFORGED || err == JY_ETOKENREQ;
}

/*
 * Those of a page that are not under the storage key in use; *n says how many
 * there are, and then how many were looked at before the time was over.
 */
static enum jy_err
move_page(const struct join_env *env, const struct root_row *rows, size_t *n,
    uint32_t current, struct storage_move *out, struct errctx *ec)
{
	uint64_t end_ms = env->sys->now_ms() + STORAGE_MOVE_MS;
	struct root_change *changes =
	    sys_xcalloc(STORAGE_MOVE_MAX, sizeof(changes[0]));
	size_t count = 0, replaced = 0;
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < *n && err == JY_OK; i++) {
		struct errctx own = ERRCTX_INIT;

		if (i > 0 && env->sys->now_ms() > end_ms) {
			*n = i;
			break;
		}
		if (rows[i].storage == current) {
			continue;
		}
		err = move_one(env, &rows[i], current, &changes[count], &own);
		if (err == JY_OK) {
			count++;
		} else if (is_its_own_fault(err)) {
			if (out->failed++ == 0) {
				out->bad = rows[i];
			}
			err = JY_OK;
		} else {
			err = err_set(ec, err, "%s", err_detail(&own, err));
		}
	}
	if (err == JY_OK && count > 0) {
		err = store_root_replace(
		    env->store, changes, count, &replaced, ec);
	}
	out->moved = (uint32_t)replaced;
	free(changes);
	return err;
}

enum jy_err
storage_move(const struct join_env *env, const struct root_row *after,
    struct storage_move *out, struct errctx *ec)
{
	struct root_row *rows = sys_xcalloc(STORAGE_MOVE_MAX, sizeof(rows[0]));
	uint32_t current;
	enum jy_err err = storage_current(env, &current, ec);
	size_t listed, n = 0;

	memset(out, 0, sizeof(*out));
	if (err == JY_OK) {
		err = store_root_list(env->store, after, rows, STORAGE_MOVE_MAX,
		    &n, &out->more, ec);
	}
	if (err == JY_OK && n > 0) {
		listed = n;
		err = move_page(env, rows, &n, current, out, ec);
		out->last = rows[n - 1];
		out->more = out->more || n < listed;
	}
	free(rows);
	return err;
}

enum jy_err
storage_finish(const struct join_env *env, struct errctx *ec)
{
	struct storage_state seen, next;
	struct errctx own = ERRCTX_INIT;
	enum jy_err err = store_storage_get(env->store, &seen, ec);

	if (err == JY_OK && seen.old == 0) {
		return err_set(
		    ec, JY_EINVAL, "no storage key is being replaced");
	}
	if (err == JY_OK) {
		next = (struct storage_state){ .current = seen.current };
		err = store_storage_set(env->store, &seen, &next, ec);
	}
	if (err == JY_OK) {
		err = hsm_storage_destroy(env->hsm, seen.old, &own);
		return err == JY_OK
		    ? JY_OK
		    : err_set(ec, err,
			  "nothing needs storage key %08x any more, but it "
			  "stays in the token, and so older copies of the "
			  "database still open: %s",
			  seen.old, err_detail(&own, err));
	}
	return err;
}
