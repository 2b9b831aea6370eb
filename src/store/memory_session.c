/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in memory, as they are asked for; joins make them. */
#include "src/store/memory.h"

/*
 * The session of a device with the highest JoinNonce below a bound: sessions
 * are listed by ID, but JoinNonces tell the order in which they were made.
 */
static const struct session_row *
session_below(
    const struct memory *m, const struct device_id *id, uint32_t bound)
{
	const struct session_row *found = NULL;

	for (size_t i = 0; i < m->sessions.n; i++) {
		const struct session_row *s = list_at(&m->sessions, i);

		if (device_id_eq(&s->device, id) && s->join_nonce < bound &&
		    (found == NULL || s->join_nonce > found->join_nonce)) {
			found = s;
		}
	}
	return found;
}

enum jy_err
mem_session_get(struct store_db *db, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->sessions, id, row));
}

enum jy_err
mem_session_list(struct store_db *db, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct session_row *s = session_below(m, id, UINT32_MAX);

	(void)ec;
	for (*n = 0; s != NULL && *n < cap; (*n)++) {
		rows[*n] = *s;
		s = session_below(m, id, s->join_nonce);
	}
	return memory_unlock(m, JY_OK);
}
