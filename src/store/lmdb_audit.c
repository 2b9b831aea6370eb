/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log in LMDB.  Its end is written down apart from it, so that a row
 * cut off there is missed.
 */
#include <string.h>

#include "src/base/bytes.h"
#include "src/store/lmdb_rows.h"
#include "src/store/lmdb_verbs.h"

#define HEAD_LEN (8 + STORE_AUDIT_MAC_LEN) /* sequence number, MAC */

static enum jy_err
head_read(struct txn *t, struct audit_head *head)
{
	struct slice key = slice_of_text(META_AUDIT);
	struct slice value;
	struct reader r;
	enum jy_err err = txn_get(t, TABLE_META, key, &value);

	*head = (struct audit_head){ 0 };
	if (err != JY_OK) {
		return err == JY_ENOTFOUND ? JY_OK : err;
	}
	if (value.len != HEAD_LEN) {
		return txn_corrupt(t, TABLE_META, key, NULL);
	}
	reader_init(&r, value.p, value.len);
	head->seq = reader_be(&r, 8);
	reader_copy(&r, head->mac, sizeof(head->mac));
	return JY_OK;
}

static enum jy_err
head_write(struct txn *t, const struct audit_row *row)
{
	uint8_t octets[HEAD_LEN];
	struct writer w;

	writer_init(&w, octets, sizeof(octets));
	writer_be(&w, row->seq, 8);
	writer_copy(&w, row->mac, sizeof(row->mac));
	return txn_put(t, TABLE_META, slice_of_text(META_AUDIT),
	    (struct slice){ octets, sizeof(octets) });
}

enum jy_err
lmdb_audit_head(struct store_db *db, struct audit_head *head, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = head_read(&t, head);
		txn_end(&t);
	}
	return err;
}

struct addition {
	const struct audit_row *row;
	const struct audit_head *seen;
};

static enum jy_err
audit_write(struct txn *t, const void *arg)
{
	const struct addition *a = arg;
	struct audit_head head;
	struct slice there;
	uint8_t be[8];
	enum jy_err err = head_read(t, &head);

	if (err != JY_OK) {
		return err;
	}
	if (!audit_head_eq(&head, a->seen)) {
		return JY_ECONFLICT;
	}
	err = txn_get(t, TABLE_AUDIT, slice_of_seq(a->row->seq, be), &there);
	if (err == JY_OK) {
		return audit_beyond(a->row->seq, t->ec);
	}
	if (err == JY_ENOTFOUND) {
		err = audit_row_put(t, a->row);
	}
	return err == JY_OK ? head_write(t, a->row) : err;
}

enum jy_err
lmdb_audit_add(struct store_db *db, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec)
{
	const struct addition a = { row, seen };

	return txn_update(lmdb_of(db), audit_write, &a, ec);
}

enum jy_err
lmdb_audit_get(
    struct store_db *db, uint64_t seq, struct audit_row *row, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = audit_row_get(&t, seq, row);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
rows_read(
    struct cursor *c, struct audit_row *rows, size_t cap, size_t *n, bool *more)
{
	enum jy_err err = cursor_move(c, MOVE_FROM);

	while (err == JY_OK && *n < cap) {
		err = audit_row_at(c, &rows[*n]);
		if (err == JY_OK) {
			++*n;
			err = cursor_move(c, MOVE_NEXT);
		}
	}
	*more = err == JY_OK;
	return err == JY_ENOTFOUND ? JY_OK : err;
}

enum jy_err
lmdb_audit_list(struct store_db *db, uint64_t after, struct audit_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	size_t found = 0;
	bool follow = false;
	struct cursor c;
	uint8_t be[8];
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = cursor_open(&t, TABLE_AUDIT, &c);
	if (err == JY_OK) {
		c.key = slice_of_seq(after + 1, be);
		err = rows_read(&c, rows, cap, &found, &follow);
		cursor_close(&c);
	}
	txn_end(&t);
	if (err == JY_OK) {
		*n = found;
		*more = follow;
	}
	return err;
}
