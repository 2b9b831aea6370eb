/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a join reads and writes in LMDB.
 *
 * Each entry of a commit is checked wholly before anything of it is written,
 * and entries run one after the other in the same transaction: the second
 * join of one device sees the first one's JoinNonce and conflicts.
 */
#include "src/store/lmdb_verbs.h"

#include <string.h>

#include "src/store/advance.h"
#include "src/store/lmdb_rows.h"

#define DEV_NONCE_LEN 2

struct dev_nonce_value {
	uint8_t be[DEV_NONCE_LEN];
};

static struct dev_nonce_value
dev_nonce_value(uint16_t nonce)
{
	return (struct dev_nonce_value){ { (uint8_t)(nonce >> 8),
	    (uint8_t)nonce } };
}

/* Zero when the device has no application, or that has no settings. */
static enum jy_err
app_of_device(
    struct txn *t, const struct device_row *device, struct app_row *app)
{
	enum jy_err err = JY_ENOTFOUND;

	if (device->app[0] != '\0') {
		err = app_row_get(t, device->app, app);
	}
	if (err == JY_ENOTFOUND) {
		*app = (struct app_row){ 0 };
		err = JY_OK;
	}
	return err;
}

static enum jy_err
view_read(struct txn *t, const struct device_id *id, uint16_t dev_nonce,
    struct join_view *view)
{
	struct dev_nonce_value v = dev_nonce_value(dev_nonce);
	enum jy_err err = device_row_get(t, id, &view->device);

	if (err == JY_OK) {
		err = app_of_device(t, &view->device, &view->app);
	}
	if (err == JY_OK) {
		err = nonce_row_get(t, id, &view->nonces);
	}
	if (err != JY_OK) {
		return err;
	}
	err = txn_get_pair(t, TABLE_DEVNONCES, slice_of_device(id),
	    (struct slice){ v.be, sizeof(v.be) });
	view->dev_nonce_seen = err == JY_OK || dev_nonce < view->nonces.counted;
	return err == JY_ENOTFOUND ? JY_OK : err;
}

enum jy_err
lmdb_join_view(struct store_db *db, const struct device_id *id,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec)
{
	struct join_view read;
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err != JY_OK) {
		return err;
	}
	err = view_read(&t, id, dev_nonce, &read);
	txn_end(&t);
	if (err == JY_OK) {
		*view = read;
	}
	return err;
}

/* May this entry be written?  Reads the nonces that it will change. */
static enum jy_err
entry_check(
    struct txn *t, const struct join_commit *e, struct nonce_row *nonces)
{
	const struct session_row *s = &e->session;
	struct device_row device;
	struct slice value;
	enum jy_err err = device_row_get(t, &s->device, &device);

	if (err == JY_OK) {
		err = nonce_row_get(t, &s->device, nonces);
	}
	if (err == JY_ENOTFOUND ||
	    (err == JY_OK &&
		(device.revision != e->revision_seen ||
		    nonces->join_nonce != e->join_nonce_seen))) {
		return JY_ECONFLICT;
	}
	if (err != JY_OK) {
		return err;
	}
	/* Never replace a session: its keys may be in use. */
	err = txn_get(t, TABLE_SESSIONS, slice_of_session(s->id), &value);
	if (err == JY_OK) {
		return JY_ECONFLICT;
	}
	return err == JY_ENOTFOUND ? JY_OK : err;
}

static enum jy_err
nonces_write(
    struct txn *t, const struct join_commit *e, struct nonce_row *nonces)
{
	const struct session_row *s = &e->session;
	struct dev_nonce_value v = dev_nonce_value(s->counter);
	enum jy_err err;

	nonces_advance(nonces, e);
	err = nonce_row_put(t, &s->device, nonces);
	if (err != JY_OK || !nonces_list_dev_nonce(e)) {
		return err;
	}
	return txn_put(t, TABLE_DEVNONCES, slice_of_device(&s->device),
	    (struct slice){ v.be, sizeof(v.be) });
}

/* How many sessions a device has, and the oldest that is not the live one. */
static enum jy_err
session_oldest(struct txn *t, const struct device_id *id, uint32_t live,
    size_t *n, struct listed_session *oldest)
{
	struct cursor c;
	enum jy_err err = cursor_open(t, TABLE_DEVICE_SESSIONS, &c);

	if (err != JY_OK) {
		return err;
	}
	c.key = slice_of_device(id);
	err = cursor_move(&c, MOVE_KEY);
	if (err == JY_OK) {
		err = cursor_count(&c, n);
	}
	if (err == JY_OK) {
		err = listed_session_at(&c, oldest);
	}
	if (err == JY_OK && listed_join_nonce(oldest) == live) {
		err = cursor_move(&c, MOVE_NEXT_PAIR);
		if (err == JY_OK) {
			err = listed_session_at(&c, oldest);
		}
	}
	cursor_close(&c);
	return err;
}

/*
 * Delete the oldest sessions of a device beyond keep, but not the live one nor
 * the one just made, which is the last in the list.
 */
static enum jy_err
sessions_trim(struct txn *t, const struct join_commit *e, uint32_t live)
{
	const struct session_row *made = &e->session;
	struct listed_session s;
	size_t n;
	enum jy_err err = session_oldest(t, &made->device, live, &n, &s);

	while (err == JY_OK && n > e->keep &&
	    listed_join_nonce(&s) != made->join_nonce) {
		err = txn_del(t, TABLE_SESSIONS, slice_of_session(s.id));
		if (err == JY_OK) {
			err = txn_del_pair(t, TABLE_DEVICE_SESSIONS,
			    slice_of_device(&made->device),
			    slice_of_listed(&s));
		}
		if (err == JY_OK) {
			err = session_oldest(t, &made->device, live, &n, &s);
		}
	}
	/* There is but the one just made, and it is live. */
	return err == JY_ENOTFOUND ? JY_OK : err;
}

static enum jy_err
entry_write(
    struct txn *t, const struct join_commit *e, struct nonce_row *nonces)
{
	const struct session_row *s = &e->session;
	const struct listed_session listed = listed_session(s);
	enum jy_err err = nonces_write(t, e, nonces);

	if (err == JY_OK) {
		err = session_row_put(t, s);
	}
	if (err == JY_OK) {
		err = txn_put(t, TABLE_DEVICE_SESSIONS,
		    slice_of_device(&s->device), slice_of_listed(&listed));
	}
	return err == JY_OK ? sessions_trim(t, e, nonces->live) : err;
}

/*
 * An entry that fails its checks fails alone; what breaks the transaction
 * is returned.
 */
static enum jy_err
group_write(struct txn *t, struct join_group *g)
{
	struct errctx *ec = t->ec;
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < g->n && err == JY_OK; i++) {
		struct nonce_row nonces;

		t->ec = g->ec; /* a damaged row is this group's detail */
		g->batch[i]->err = entry_check(t, g->batch[i], &nonces);
		t->ec = ec;
		if (g->batch[i]->err == JY_OK) {
			err = entry_write(t, g->batch[i], &nonces);
		} else if (!txn_usable(t)) {
			err = g->batch[i]->err;
		}
	}
	return err;
}

/* One for a device that is gone is dropped: nobody would ever remove it. */
static enum jy_err
refusals_write(struct txn *t, const struct join_work *work)
{
	enum jy_err err = JY_OK;
	struct slice value;

	for (size_t i = 0; i < work->n_refusals && err == JY_OK; i++) {
		const struct refusal_row *r = &work->refusals[i];

		err = txn_get(
		    t, TABLE_DEVICES, slice_of_device(&r->device), &value);
		if (err == JY_OK) {
			err = refusal_row_put(t, r);
		} else if (err == JY_ENOTFOUND) {
			err = JY_OK;
		}
	}
	return err;
}

static enum jy_err
work_write(struct txn *t, const void *arg)
{
	const struct join_work *work = arg;
	enum jy_err err = JY_OK;

	for (struct join_group *g = work->groups; g != NULL && err == JY_OK;
	     g = g->next) {
		err = group_write(t, g);
	}
	return err == JY_OK ? refusals_write(t, work) : err;
}

enum jy_err
lmdb_join_commit(
    struct store_db *db, const struct join_work *work, struct errctx *ec)
{
	return txn_update(lmdb_of(db), work_write, work, ec);
}

enum jy_err
lmdb_refusal_get(struct store_db *db, const struct device_id *id,
    struct refusal_row *row, struct errctx *ec)
{
	struct txn t;
	enum jy_err err = txn_read(lmdb_of(db), &t, ec);

	if (err == JY_OK) {
		err = refusal_row_get(&t, id, row);
		txn_end(&t);
	}
	return err;
}
