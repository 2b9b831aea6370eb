/* SPDX-License-Identifier: Apache-2.0 */
/* Root keys outside the token in memory, for tests. */
#include <string.h>

#include "src/store/memory.h"

int
memory_cmp_root(const void *item, const void *key)
{
	const struct root_row *a = item, *b = key;
	int order = memcmp(&a->device, &b->device, sizeof(a->device));

	if (order == 0) {
		order =
		    (a->key.role > b->key.role) - (a->key.role < b->key.role);
	}
	return order != 0 ? order
			  : (a->key.generation > b->key.generation) -
		(a->key.generation < b->key.generation);
}

static enum jy_err
state_get(struct memory *m, struct storage_state *state, struct errctx *ec)
{
	const struct meta_item *item = list_find(&m->metas, META_STORAGE);

	*state = (struct storage_state){ 0 };
	return item != NULL
	    ? storage_state_decode(item->value, item->len, state, ec)
	    : JY_OK;
}

static struct root_row *
find(const struct memory *m, const struct device_id *device,
    const struct device_key *key)
{
	const struct root_row wanted = { .device = *device, .key = *key };

	return list_find(&m->roots, &wanted);
}

enum jy_err
memory_roots_check(struct memory *m, const struct device_change *c)
{
	struct storage_state state;
	enum jy_err err = state_get(m, &state, c->ec);

	for (size_t i = 0; err == JY_OK && i < c->root_count; i++) {
		err = storage_state_allows(&state, &c->roots[i], c->ec);
	}
	return err;
}

enum jy_err
memory_roots_put(struct memory *m, const struct device_change *c)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < c->root_count; i++) {
		err = list_put(&m->roots, &c->roots[i], c->ec);
	}
	return err;
}

void
memory_roots_erase(
    struct memory *m, const struct device_id *id, struct device_gone *gone)
{
	for (size_t i = m->roots.n; i > 0; i--) {
		const struct root_row *row = list_at(&m->roots, i - 1);

		if (device_id_eq(&row->device, id)) {
			device_gone_add(gone, &row->key);
			list_remove_at(&m->roots, i - 1);
		}
	}
}

enum jy_err
mem_root_get(struct store_db *db, const struct device_id *device,
    const struct device_key *key, struct root_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct root_row *found = find(m, device, key);

	(void)ec;
	if (found != NULL) {
		*row = *found;
	}
	return memory_unlock(m, found != NULL ? JY_OK : JY_ENOTFOUND);
}

enum jy_err
mem_root_delete(
    struct store_db *db, const struct root_erasing *erasing, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	for (size_t i = 0; i < erasing->n; i++) {
		const struct root_ref *ref = &erasing->refs[i];
		const struct root_row wanted = { .device = ref->device,
			.key = ref->key };

		erasing->found[i] = list_remove(&m->roots, &wanted) == JY_OK;
	}
	return memory_written(m, JY_OK);
}

enum jy_err
mem_root_list(struct store_db *db, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->roots, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}

enum jy_err
mem_root_count(struct store_db *db, uint64_t *n, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	*n = m->roots.n;
	return memory_unlock(m, JY_OK);
}

/* All or nothing: what is wrong is found before anything is written. */
static enum jy_err
check_batch(struct memory *m, const struct root_batch *batch, struct errctx *ec)
{
	struct storage_state state;
	enum jy_err err = state_get(m, &state, ec);

	state.old = 0; /* away from it, never back to it */
	for (size_t i = 0; err == JY_OK && i < batch->n; i++) {
		err = storage_state_allows(&state, &batch->changes[i].row, ec);
	}
	return err;
}

enum jy_err
mem_root_replace(
    struct store_db *db, const struct root_batch *batch, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	enum jy_err err = check_batch(m, batch, ec);

	*batch->replaced = 0;
	for (size_t i = 0; err == JY_OK && i < batch->n; i++) {
		const struct root_change *c = &batch->changes[i];
		struct root_row *now = find(m, &c->seen.device, &c->seen.key);

		if (now != NULL && now->storage == c->seen.storage &&
		    memcmp(now->blob, c->seen.blob, sizeof(now->blob)) == 0 &&
		    memcmp(now->mac, c->seen.mac, sizeof(now->mac)) == 0) {
			*now = c->row;
			++*batch->replaced;
		}
	}
	return memory_written(m, err);
}

enum jy_err
mem_storage_get(
    struct store_db *db, struct storage_state *state, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_unlock(m, state_get(m, state, ec));
}

static enum jy_err
check_needed(const struct memory *m, const struct storage_state *state,
    struct errctx *ec)
{
	for (size_t i = 0; i < m->roots.n; i++) {
		const struct root_row *row = list_at(&m->roots, i);

		if (storage_state_allows(state, row, NULL) != JY_OK) {
			return err_set(ec, JY_EINUSE,
			    "root keys are still wrapped under storage key "
			    "%08x",
			    row->storage);
		}
	}
	return JY_OK;
}

enum jy_err
mem_storage_set(struct store_db *db, const struct storage_state *seen,
    const struct storage_state *state, struct errctx *ec)
{
	struct meta_item item = { .key = META_STORAGE,
		.len = STORAGE_STATE_LEN };
	struct memory *m = memory_lock(db);
	struct storage_state now;
	enum jy_err err = state_get(m, &now, ec);

	if (err == JY_OK &&
	    (now.current != seen->current || now.old != seen->old)) {
		err = err_set(
		    ec, JY_ECONFLICT, "somebody else replaces the storage key");
	}
	if (err == JY_OK && !storage_state_keeps(seen, state)) {
		err = check_needed(m, state, ec);
	}
	if (err == JY_OK) {
		storage_state_encode(state, item.value);
		err = list_put(&m->metas, &item, ec);
	}
	return memory_written(m, err);
}
