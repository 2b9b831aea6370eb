/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in LMDB, as they are asked for; joins make them. */
#include "src/store/lmdb_rows.h"
#include "src/store/lmdb_verbs.h"

enum jy_err
lmdb_session_get(struct store_db *db, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = session_row_get(&t, id, row);
		txn_end(&t);
	}
	return err;
}

static enum jy_err
sessions_read(struct cursor *c, struct session_row *rows, size_t cap, size_t *n)
{
	struct listed_session listed;
	enum jy_err err = cursor_move(c, MOVE_KEY);

	if (err == JY_OK) {
		err = cursor_move(c, MOVE_LAST_PAIR);
	}
	while (err == JY_OK && *n < cap) {
		err = listed_session_at(c, &listed);
		if (err == JY_OK) {
			err = session_row_get(c->txn, listed.id, &rows[*n]);
		}
		if (err == JY_ENOTFOUND) {
			return txn_corrupt(c->txn, TABLE_SESSIONS,
			    slice_of_session(listed.id), NULL);
		}
		if (err == JY_OK) {
			*n += 1;
			err = cursor_move(c, MOVE_PREV_PAIR);
		}
	}
	return err == JY_ENOTFOUND ? JY_OK : err;
}

enum jy_err
lmdb_session_list(struct store_db *db, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec)
{
	size_t found = 0;
	struct cursor c;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = cursor_open(&t, TABLE_DEVICE_SESSIONS, &c);
	if (err == JY_OK) {
		c.key = slice_of_device(id);
		err = sessions_read(&c, rows, cap, &found);
		cursor_close(&c);
	}
	txn_end(&t);
	if (err == JY_OK) {
		*n = found;
	}
	return err;
}
