/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the audit log. */
#include <string.h>

#include "src/store/handle.h"

bool
audit_head_eq(const struct audit_head *a, const struct audit_head *b)
{
	return a->seq == b->seq && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

enum jy_err
audit_beyond(uint64_t seq, struct errctx *ec)
{
	return err_set(ec, JY_ECORRUPT,
	    "audit: event %llu lies beyond the end of the log",
	    (unsigned long long)seq);
}

enum jy_err
store_audit_head(struct store *s, struct audit_head *head, struct errctx *ec)
{
	return s->ops->audit_head(s->db, head, ec);
}

enum jy_err
store_audit_add(struct store *s, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec)
{
	enum jy_err err = row_check_audit(row, ec);

	jy_assert(row->seq == seen->seq + 1);
	return err == JY_OK ? s->ops->audit_add(s->db, row, seen, ec) : err;
}

enum jy_err
store_audit_get(
    struct store *s, uint64_t seq, struct audit_row *row, struct errctx *ec)
{
	return s->ops->audit_get(s->db, seq, row, ec);
}

enum jy_err
store_audit_list(struct store *s, uint64_t after, struct audit_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	if (after == UINT64_MAX) {
		*n = 0;
		*more = false;
		return JY_OK;
	}
	return s->ops->audit_list(s->db, after, rows, cap, n, more, ec);
}
