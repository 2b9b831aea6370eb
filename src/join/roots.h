/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root keys of a device on their way into the token and out of it; for the
 * registry and the import.  A new one has a new generation, and those that it
 * replaces stay in the row's list while retained sessions need them.
 */
#ifndef JY_JOIN_ROOTS_H
#define JY_JOIN_ROOTS_H

#include "src/join/env.h"

#define ROOT_KEY_LEN 16

/* Where a root key comes from: one of these ways, or none. */
struct root_source {
	const struct hsm_sealed *sealed;   /* by itself */
	struct hsm_transport *transport;   /* of a file, and ... */
	const struct hsm_wrapped *wrapped; /* ... under it */
};

struct root_sources {
	struct root_source nwk;
	struct root_source app;
};

static inline bool
root_given(const struct root_source *source)
{
	return source->sealed != NULL || source->wrapped != NULL;
}

/*
 * Before the import: set the row's times, destroy replaced keys that nothing
 * needs any more, and list those that are to be replaced now.  JY_EINUSE when
 * the list is full.
 */
enum jy_err roots_prepare(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct errctx *ec) JY_CHECK;

/*
 * Import what is given and name it in the row, with its check value.  On
 * failure nothing new is left in the token.
 */
enum jy_err roots_import(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct errctx *ec) JY_CHECK;

/* Take back what roots_import did: the row was not stored. */
void roots_undo(const struct join_env *env, const struct device_row *row,
    const struct root_sources *sources);

/* Destroy a root key that nothing names any more. */
void roots_destroy(const struct join_env *env, const struct device_id *id,
    const struct device_key *key);

/*
 * Destroy the replaced root keys that no retained session needs.  Those
 * destroyed may leave the row's list; who does not store the row again loses
 * nothing, for a key that is gone is no error the next time.
 */
enum jy_err roots_destroy_old(
    const struct join_env *env, struct device_row *row, struct errctx *ec);

#endif
