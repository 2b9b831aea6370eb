/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of root keys outside the token: arguments checked, handed on. */
#include "src/store/backend.h"
#include "src/store/handle.h"

enum jy_err
store_root_get(struct store *s, const struct device_id *device,
    const struct device_key *key, struct root_row *row, struct errctx *ec)
{
	return s->ops->root_get(s->db, device, key, row, ec);
}

enum jy_err
store_root_delete(struct store *s, const struct root_ref *refs, size_t n,
    bool *found, struct errctx *ec)
{
	const struct root_erasing erasing = { refs, n, found };

	return s->ops->root_delete(s->db, &erasing, ec);
}

enum jy_err
store_root_list(struct store *s, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	jy_assert(cap > 0);
	return s->ops->root_list(s->db, after, rows, cap, n, more, ec);
}

enum jy_err
store_root_count(struct store *s, uint64_t *n, struct errctx *ec)
{
	return s->ops->root_count(s->db, n, ec);
}

enum jy_err
store_root_replace(struct store *s, const struct root_change *changes, size_t n,
    size_t *replaced, struct errctx *ec)
{
	const struct root_batch batch = { changes, n, replaced };
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < n && err == JY_OK; i++) {
		err = row_check_root(&changes[i].row, ec);
	}
	return err == JY_OK ? s->ops->root_replace(s->db, &batch, ec) : err;
}

enum jy_err
store_storage_get(
    struct store *s, struct storage_state *state, struct errctx *ec)
{
	return s->ops->storage_get(s->db, state, ec);
}

enum jy_err
store_storage_set(struct store *s, const struct storage_state *seen,
    const struct storage_state *state, struct errctx *ec)
{
	return s->ops->storage_set(s->db, seen, state, ec);
}
