/* SPDX-License-Identifier: Apache-2.0 */
#include "src/join/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "src/join/keys.h"
#include "src/join/roots.h"

#define KEKS_PAGE 32

/* What the database names, beside devices. */
struct named {
	struct storage_state storage;
	struct hsm_id *keks;
	size_t kek_count;
};

static void
add_keks(struct named *named, const struct kek_row *rows, size_t n)
{
	named->keks = reallocarray(
	    named->keks, named->kek_count + n + 1, sizeof(*named->keks));
	jy_assert(named->keks != NULL);
	for (size_t i = 0; i < n; i++) {
		keys_kek_id(rows[i].key_id, &named->keks[named->kek_count++]);
	}
}

static enum jy_err
read_keks(const struct join_env *env, struct named *named, struct errctx *ec)
{
	struct kek_place place, *after = NULL;
	struct kek_row rows[KEKS_PAGE];
	enum jy_err err = JY_OK;
	bool more = true;
	size_t n;

	while (err == JY_OK && more) {
		err = store_kek_list(
		    env->store, after, rows, KEKS_PAGE, &n, &more, ec);
		if (err == JY_OK && n > 0) {
			add_keks(named, rows, n);
			memcpy(place.label, rows[n - 1].label,
			    sizeof(place.label));
			place.generation = rows[n - 1].generation;
			after = &place;
		}
	}
	return err;
}

/* For qsort. */
static int
compare_ids(const void *a, const void *b)
{
	const struct hsm_id *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order = memcmp(x->b, y->b, len);

	return order != 0 ? order : (int)x->len - (int)y->len;
}

static bool
names_kek(const struct named *named, const struct hsm_id *id)
{
	for (size_t i = 0; i < named->kek_count; i++) {
		if (compare_ids(&named->keks[i], id) == 0) {
			return true;
		}
	}
	return false;
}

static bool
names_storage(const struct named *named, uint32_t storage)
{
	return storage == named->storage.current ||
	    storage == named->storage.old;
}

/* One that has a row serves from there: the object is a left-over. */
static enum jy_err
is_root_orphan(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, bool *orphan, struct errctx *ec)
{
	struct root_row row;
	enum jy_err err = store_root_get(env->store, device, key, &row, ec);

	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		*orphan = !roots_named(env, device, key);
		return JY_OK;
	}
	*orphan = err == JY_OK;
	return err;
}

/* What a key is, by its CKA_ID; *orphan is false of what is not ours. */
static enum jy_err
look_at(const struct join_env *env, const struct named *named,
    const struct hsm_id *id, struct orphan *out, bool *orphan,
    struct errctx *ec)
{
	struct device_key key;
	uint32_t storage;

	*out = (struct orphan){ .id = *id };
	*orphan = false;
	if (keys_root_of_id(id, &out->device, &key)) {
		out->kind = ORPHAN_ROOT_KEY;
		return is_root_orphan(env, &out->device, &key, orphan, ec);
	}
	if (keys_is_kek_id(id)) {
		out->kind = ORPHAN_KEK;
		*orphan = !names_kek(named, id);
	} else if (hsm_storage_of_id(id, &storage)) {
		out->kind = ORPHAN_STORAGE_KEY;
		*orphan = !names_storage(named, storage);
	}
	return JY_OK;
}

static enum jy_err
look_at_all(const struct join_env *env, const struct named *named,
    const struct hsm_id *ids, size_t count, struct orphan out[ORPHANS_MAX],
    size_t *n, bool *more, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	struct orphan found;
	bool orphan;

	for (size_t i = 0; i < count && err == JY_OK && !*more; i++) {
		err = look_at(env, named, &ids[i], &found, &orphan, ec);
		if (err == JY_OK && orphan) {
			*more = *n == ORPHANS_MAX;
			if (!*more) {
				out[(*n)++] = found;
			}
		}
	}
	return err;
}

/* The token's keys, in order; *first is the one behind after. */
static enum jy_err
list_keys(const struct join_env *env, const struct hsm_id *after,
    struct hsm_id **ids, size_t *count, size_t *first, struct errctx *ec)
{
	enum jy_err err = hsm_key_list(env->hsm, ids, count, ec);

	if (err != JY_OK || *count == 0) {
		return err;
	}
	qsort(*ids, *count, sizeof(**ids), compare_ids);
	while (after != NULL && *first < *count &&
	    compare_ids(&(*ids)[*first], after) <= 0) {
		++*first;
	}
	return JY_OK;
}

enum jy_err
orphans_find(const struct join_env *env, const struct hsm_id *after,
    struct orphan out[ORPHANS_MAX], size_t *n, bool *more, struct errctx *ec)
{
	struct named named = { .kek_count = 0 };
	struct hsm_id *ids = NULL;
	size_t count = 0, first = 0;
	enum jy_err err = list_keys(env, after, &ids, &count, &first, ec);

	*n = 0;
	*more = false;
	if (err == JY_OK) {
		err = store_storage_get(env->store, &named.storage, ec);
	}
	if (err == JY_OK) {
		err = read_keks(env, &named, ec);
	}
	if (err == JY_OK) {
		err = look_at_all(
		    env, &named, ids + first, count - first, out, n, more, ec);
	}
	free(named.keks);
	free(ids);
	return err;
}
