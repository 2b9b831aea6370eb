/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root keys of a device on their way into custody and out of it; for the
 * registry and the import.  A new one has a new generation, and those that it
 * replaces stay in the row's list while retained sessions need them.
 */
#ifndef JY_JOIN_ROOTS_H
#define JY_JOIN_ROOTS_H

#include "src/join/env.h"

#define ROOT_KEY_LEN 16

/* The rows of root keys that stay outside the token, to be put with the
 * device's. */
struct root_rows {
	struct root_row rows[2];
	uint8_t n;
};

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
 * An AppKey that comes alone to a device of 1.0.x that joins with its NwkKey
 * would serve no join.  JY_EINVAL, unless who brings it said which key is the
 * root of 1.0.x joins.  row is the wanted one, before the import.
 */
enum jy_err roots_check_app_alone(const struct device_row *row,
    bool said_v10_root, struct errctx *ec) JY_CHECK;

/*
 * Before the import: set the row's times, destroy replaced keys that nothing
 * needs any more, and list those that are to be replaced now.  JY_EINUSE when
 * the list is full.
 */
enum jy_err roots_prepare(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct errctx *ec) JY_CHECK;

/*
 * Import what is given and name it in the row, with its check value: by the
 * custody of env into the token, or into *outside, which the caller puts with
 * the row.  On failure nothing new is left in the token.
 */
enum jy_err roots_import(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct root_rows *outside,
    struct errctx *ec) JY_CHECK;

/* Put them with the device. */
static inline void
roots_add(struct device_change *change, const struct root_rows *outside)
{
	for (size_t i = 0; i < outside->n; i++) {
		change->roots[change->root_count++] = outside->rows[i];
	}
}

/* The CKA_LABEL of a root key in the token, for people. */
#define ROOT_LABEL_MAX 64
void roots_label(const struct device_id *device, const struct device_key *key,
    char out[ROOT_LABEL_MAX]);

/* Take back what roots_import did: the row was not stored. */
void roots_undo(const struct join_env *env, const struct device_row *row,
    const struct root_sources *sources);

/* Root keys that nothing names any more, to be destroyed in one go. */
#define DOOMED_MAX 64
struct doomed_roots {
	struct root_ref refs[DOOMED_MAX];
	size_t n;
	const struct device_gone
	    *gone; /* the rows have gone with it; or NULL */
};

/* Add one; generation 0 is none.  A full list is destroyed first. */
void roots_doom(const struct join_env *env, struct doomed_roots *doomed,
    const struct device_id *device, const struct device_key *key);

/* Destroy them wherever they are; one that stays is logged. */
void roots_destroy(const struct join_env *env, struct doomed_roots *doomed);

/*
 * Make token objects of those of a device's root keys that are outside;
 * *settled says how many there were.  JY_ELIMIT; those done stay done, and
 * nothing is lost at whatever point it ends.
 */
enum jy_err roots_settle(const struct join_env *env,
    const struct device_row *row, uint32_t *settled,
    struct errctx *ec) JY_CHECK;

/* Does the device have this key now?  Yes, if nobody can say. */
bool roots_named(const struct join_env *env, const struct device_id *device,
    const struct device_key *key);

/*
 * Doom, or destroy at once, the replaced root keys that no retained session
 * needs.  They leave the row's list; who does not store the row again loses
 * nothing, for a key that is gone is no error the next time.
 */
enum jy_err roots_doom_old(const struct join_env *env, struct device_row *row,
    struct doomed_roots *doomed, struct errctx *ec);
enum jy_err roots_destroy_old(
    const struct join_env *env, struct device_row *row, struct errctx *ec);

#endif
