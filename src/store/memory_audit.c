/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log in memory. */
#include <string.h>

#include "src/store/memory.h"

enum jy_err
mem_audit_head(struct store_db *db, struct audit_head *head, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	*head = m->audit_head;
	return memory_unlock(m, JY_OK);
}

static enum jy_err
audit_add(struct memory *m, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec)
{
	enum jy_err err;

	if (!audit_head_eq(&m->audit_head, seen)) {
		return JY_ECONFLICT;
	}
	if (list_find(&m->audit, &row->seq) != NULL) {
		return audit_beyond(row->seq, ec);
	}
	err = list_put(&m->audit, row, ec);
	if (err == JY_OK) {
		m->audit_head.seq = row->seq;
		memcpy(m->audit_head.mac, row->mac, sizeof(row->mac));
	}
	return err;
}

enum jy_err
mem_audit_add(struct store_db *db, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_written(m, audit_add(m, row, seen, ec));
}

enum jy_err
mem_audit_get(
    struct store_db *db, uint64_t seq, struct audit_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->audit, &seq, row));
}

enum jy_err
mem_audit_list(struct store_db *db, uint64_t after, struct audit_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->audit, &after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}
