/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store in memory, for tests: sorted arrays of rows under one lock.  It
 * is written to be plainly right, and forgets everything at close.
 */
#include "src/store/memory.h"

#include <stdlib.h>
#include <string.h>

#include "src/store/advance.h"

#define DEV_NONCES 65536

/* The nonces of a device and the set of its used DevNonces. */
struct nonce_item {
	struct device_id id;
	struct nonce_row row;
	size_t used;
	uint8_t seen[DEV_NONCES / 8];
};

static int
cmp_device(const void *item, const void *key)
{
	return memcmp(item, key, sizeof(struct device_id));
}

static int
cmp_session(const void *item, const void *key)
{
	return memcmp(item, key, STORE_ID_LEN);
}

static int
cmp_text(const void *item, const void *key)
{
	return strcmp(item, key);
}

static int
cmp_seq(const void *item, const void *key)
{
	uint64_t a, b;

	memcpy(&a, item, sizeof(a));
	memcpy(&b, key, sizeof(b));
	return a < b ? -1 : a > b;
}

struct memory *
memory_lock(struct store_db *db)
{
	struct memory *m = (struct memory *)db;

	jy_assert(db->ops == &store_memory_ops);
	(void)pthread_mutex_lock(&m->lock);
	return m;
}

enum jy_err
memory_unlock(struct memory *m, enum jy_err err)
{
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

enum jy_err
memory_written(struct memory *m, enum jy_err err)
{
	m->commits += err == JY_OK ? 1 : 0;
	return memory_unlock(m, err);
}

/* ---- the join line ---- */

static bool
dev_nonce_seen(const struct nonce_item *item, uint16_t v)
{
	return item != NULL && (item->seen[v / 8] >> (v % 8) & 1) != 0;
}

static void
dev_nonce_add(struct nonce_item *item, uint16_t v)
{
	item->seen[v / 8] |= (uint8_t)(1U << (v % 8));
	item->used++;
}

/* Have an item for the nonces of a device. */
static enum jy_err
nonces_add(struct memory *m, const struct device_id *id, struct errctx *ec)
{
	struct nonce_item *fresh;
	enum jy_err err;

	if (list_find(&m->nonces, id) != NULL) {
		return JY_OK;
	}
	fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL) {
		return err_set(ec, JY_ENOMEM, "memory store");
	}
	fresh->id = *id;
	err = list_put(&m->nonces, fresh, ec);
	free(fresh);
	return err;
}

static enum jy_err
mem_join_view(struct store_db *db, const struct device_id *id,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct nonce_item *item = list_find(&m->nonces, id);
	const struct app_row *app;
	enum jy_err err = list_get(&m->devices, id, &view->device);

	(void)ec;
	if (err == JY_OK) {
		app = list_find(&m->apps, view->device.app);
		view->app = app != NULL ? *app : (struct app_row){ 0 };
		view->nonces =
		    item != NULL ? item->row : (struct nonce_row){ 0 };
		view->dev_nonce_seen = dev_nonce_seen(item, dev_nonce) ||
		    dev_nonce < view->nonces.counted;
	}
	return memory_unlock(m, err);
}

/*
 * While a device has more than keep sessions, remove the oldest, but neither
 * the live one nor the one just made.
 */
static void
sessions_trim(struct memory *m, const struct join_commit *c, uint32_t live)
{
	const struct session_row *made = &c->session;
	const struct session_row *oldest;
	size_t at = 0;
	size_t n;

	do {
		oldest = NULL;
		n = 0;
		for (size_t i = 0; i < m->sessions.n; i++) {
			const struct session_row *s = list_at(&m->sessions, i);

			if (cmp_device(&s->device, &made->device) != 0) {
				continue;
			}
			n++;
			if (s->join_nonce != live &&
			    s->join_nonce != made->join_nonce &&
			    (oldest == NULL ||
				s->join_nonce < oldest->join_nonce)) {
				oldest = s;
				at = i;
			}
		}
		if (n > c->keep && oldest != NULL) {
			list_remove_at(&m->sessions, at);
		}
	} while (n > c->keep && oldest != NULL);
}

static enum jy_err
entry_write(struct memory *m, const struct join_commit *c, struct errctx *ec)
{
	const struct session_row *s = &c->session;
	struct nonce_item *item = list_find(&m->nonces, &s->device);
	enum jy_err err;

	err = list_put(&m->sessions, s, ec);
	if (err != JY_OK) {
		return err;
	}
	nonces_advance(&item->row, c);
	if (nonces_list_dev_nonce(c) && !dev_nonce_seen(item, s->counter)) {
		dev_nonce_add(item, s->counter);
	}
	sessions_trim(m, c, item->row.live);
	return JY_OK;
}

static enum jy_err
entry_commit(struct memory *m, const struct join_commit *c, struct errctx *ec)
{
	const struct session_row *s = &c->session;
	const struct device_row *device = list_find(&m->devices, &s->device);
	const struct nonce_item *item = list_find(&m->nonces, &s->device);
	enum jy_err err;

	if (device == NULL || device->revision != c->revision_seen ||
	    (item != NULL ? item->row.join_nonce : 0) != c->join_nonce_seen ||
	    list_find(&m->sessions, s->id) != NULL) {
		return JY_ECONFLICT;
	}
	err = nonces_add(m, &s->device, ec);
	return err == JY_OK ? entry_write(m, c, ec) : err;
}

static enum jy_err
mem_join_commit(
    struct store_db *db, const struct join_work *work, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	uint64_t written = 0;

	(void)ec;
	for (struct join_group *g = work->groups; g != NULL; g = g->next) {
		for (size_t i = 0; i < g->n; i++) {
			struct join_commit *c = g->batch[i];

			c->err = entry_commit(m, c, g->ec);
			written += c->err == JY_OK ? 1 : 0;
		}
	}
	for (size_t i = 0; i < work->n_refusals; i++) {
		const struct refusal_row *r = &work->refusals[i];

		/* Losing one for want of memory is what they are for. */
		if (list_find(&m->devices, &r->device) != NULL &&
		    list_put(&m->refusals, r, NULL) == JY_OK) {
			written++;
		}
	}
	m->commits += written > 0 ? 1 : 0;
	return memory_unlock(m, JY_OK);
}

static enum jy_err
mem_refusal_get(struct store_db *db, const struct device_id *id,
    struct refusal_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->refusals, id, row));
}

/* ---- devices ---- */

static enum jy_err
mem_device_get(struct store_db *db, const struct device_id *id,
    struct device_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->devices, id, row));
}

static const struct device_row *
named(const struct memory *m, const char *app, const char *name)
{
	for (size_t i = 0; i < m->devices.n; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (strcmp(d->app, app) == 0 && strcmp(d->name, name) == 0) {
			return d;
		}
	}
	return NULL;
}

static enum jy_err
device_put(struct memory *m, const struct device_row *row, struct errctx *ec)
{
	const struct device_row *old = list_find(&m->devices, &row->id);
	uint32_t revision = old != NULL ? old->revision : 0;
	struct device_row new = *row;
	const struct device_row *owner;

	if (revision != row->revision) {
		return err_set(ec, JY_ECONFLICT,
		    "the device has revision %u, not %u", revision,
		    row->revision);
	}
	owner = row->name[0] != '\0' ? named(m, row->app, row->name) : NULL;
	if (owner != NULL && cmp_device(owner, &row->id) != 0) {
		return err_set(ec, JY_EEXIST,
		    "another device of app \"%s\" has the name \"%s\"",
		    row->app, row->name);
	}
	new.revision++;
	return list_put(&m->devices, &new, ec);
}

/* Raise the nonces of a device, whose row is there. */
static enum jy_err
nonces_start(struct memory *m, const struct device_id *id,
    const struct nonce_start *start, struct errctx *ec)
{
	struct nonce_item *item;
	enum jy_err err;

	if (start->join_nonce == 0 && !start->has_dev_nonce) {
		return JY_OK;
	}
	err = nonces_add(m, id, ec);
	if (err != JY_OK) {
		return err;
	}
	item = list_find(&m->nonces, id);
	nonces_raise(&item->row, start);
	if (start->has_dev_nonce && !start->counted &&
	    !dev_nonce_seen(item, start->dev_nonce)) {
		dev_nonce_add(item, start->dev_nonce);
	}
	return JY_OK;
}

static enum jy_err
change_put(struct memory *m, const struct device_change *c)
{
	enum jy_err err = memory_roots_check(m, c);

	if (err == JY_OK) {
		err = device_put(m, &c->row, c->ec);
	}
	if (err == JY_OK) {
		err = nonces_start(m, &c->row.id, &c->start, c->ec);
	}
	return err == JY_OK ? memory_roots_put(m, c) : err;
}

static enum jy_err
mem_device_put_batch(
    struct store_db *db, const struct device_batch *batch, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	for (size_t i = 0; i < batch->n; i++) {
		struct device_change *c = batch->changes[i];

		c->err = change_put(m, c);
	}
	return memory_written(m, JY_OK);
}

static enum jy_err
mem_device_delete(struct store_db *db, const struct device_id *id,
    struct device_gone *gone, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct device_row *row = list_find(&m->devices, id);
	enum jy_err err = row != NULL ? JY_OK : JY_ENOTFOUND;

	(void)ec;
	if (err == JY_OK) {
		*gone = (struct device_gone){ .row = *row };
		memory_roots_erase(m, id, gone);
		(void)list_remove(&m->devices, id);
		(void)list_remove(&m->refusals, id);
		for (size_t i = m->sessions.n; i > 0; i--) {
			const struct session_row *s =
			    list_at(&m->sessions, i - 1);

			if (cmp_device(&s->device, id) == 0) {
				list_remove_at(&m->sessions, i - 1);
			}
		}
	}
	return memory_written(m, err);
}

static bool
is_asked_for(const struct device_row *d, const struct device_query *q)
{
	return (q->app == NULL || q->app[0] == '\0' ||
		   strcmp(d->app, q->app) == 0) &&
	    eui64_prefix_has(&q->prefix, &d->id.dev_eui);
}

static enum jy_err
mem_device_list(struct store_db *db, const struct device_query *query,
    const struct device_rows *to, struct device_page *page, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	*page = (struct device_page){ .n = 0 };
	for (size_t i = list_behind(&m->devices, query->after);
	     i < m->devices.n && !page->more; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (!is_asked_for(d, query)) {
			continue;
		}
		page->more = page->n == to->cap;
		if (!page->more) {
			to->rows[page->n++] = *d;
			page->last = d->id;
		}
	}
	return memory_unlock(m, JY_OK);
}

static enum jy_err
mem_device_by_dev_eui(struct store_db *db, const struct eui64 *dev_eui,
    struct device_id *id, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct device_row *found = NULL;
	enum jy_err err = JY_ENOTFOUND;

	(void)ec;
	for (size_t i = 0; i < m->devices.n; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (eui64_eq(&d->id.dev_eui, dev_eui)) {
			err = found == NULL ? JY_OK : JY_EEXIST;
			found = d;
		}
	}
	if (err == JY_OK) {
		*id = found->id;
	}
	return memory_unlock(m, err);
}

static enum jy_err
mem_device_by_name(struct store_db *db, const char *app, const char *name,
    struct device_id *id, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct device_row *d = named(m, app, name);

	(void)ec;
	if (d != NULL) {
		*id = d->id;
	}
	return memory_unlock(m, d != NULL ? JY_OK : JY_ENOTFOUND);
}

static enum jy_err
mem_nonces_get(struct store_db *db, const struct device_id *id,
    struct nonce_row *row, size_t *used, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct nonce_item *item = list_find(&m->nonces, id);

	(void)ec;
	*row = item != NULL ? item->row : (struct nonce_row){ 0 };
	*used = item != NULL ? item->used : 0;
	return memory_unlock(m, JY_OK);
}

static enum jy_err
mem_nonces_reset(
    struct store_db *db, const struct device_id *id, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct nonce_item *item = list_find(&m->nonces, id);
	bool known = item != NULL || list_find(&m->devices, id) != NULL;

	(void)ec;
	if (item != NULL) {
		nonces_forget(&item->row);
		item->used = 0;
		memset(item->seen, 0, sizeof(item->seen));
	}
	return memory_written(m, known ? JY_OK : JY_ENOTFOUND);
}

/* There is no disk, so nothing is ever flushed. */
static void
mem_stats(struct store_db *db, struct store_stats *out)
{
	struct memory *m = memory_lock(db);

	out->commits = m->commits;
	out->syncs = 0;
	(void)memory_unlock(m, JY_OK);
}

#define LIST(item, order) \
	((struct list){ .size = sizeof(item), .cmp = (order) })

static enum jy_err
mem_open(
    const struct store_config *config, struct store_db **out, struct errctx *ec)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)config;
	if (m == NULL) {
		return err_set(ec, JY_ENOMEM, "memory store");
	}
	m->base.ops = &store_memory_ops;
	m->devices = LIST(struct device_row, cmp_device);
	m->nonces = LIST(struct nonce_item, cmp_device);
	m->sessions = LIST(struct session_row, cmp_session);
	m->refusals = LIST(struct refusal_row, cmp_device);
	m->apps = LIST(struct app_row, cmp_text);
	m->keks = LIST(struct kek_row, memory_cmp_kek);
	m->peers = LIST(struct peer_row, cmp_text);
	m->metas = LIST(struct meta_item, cmp_text);
	m->roots = LIST(struct root_row, memory_cmp_root);
	m->audit = LIST(struct audit_row, cmp_seq);
	jy_assert(pthread_mutex_init(&m->lock, NULL) == 0);
	*out = &m->base;
	return JY_OK;
}

static void
mem_close(struct store_db *db)
{
	struct memory *m = memory_lock(db);
	const struct list *lists[] = { &m->devices, &m->nonces, &m->sessions,
		&m->refusals, &m->apps, &m->keks, &m->peers, &m->metas,
		&m->roots, &m->audit };

	(void)memory_unlock(m, JY_OK);
	(void)pthread_mutex_destroy(&m->lock);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		free(lists[i]->items);
	}
	free(m);
}

const struct store_ops store_memory_ops = {
	.name = "memory",
	.open = mem_open,
	.close = mem_close,
	.join_view = mem_join_view,
	.join_commit = mem_join_commit,
	.refusal_get = mem_refusal_get,
	.device_get = mem_device_get,
	.device_put_batch = mem_device_put_batch,
	.device_delete = mem_device_delete,
	.device_list = mem_device_list,
	.device_by_dev_eui = mem_device_by_dev_eui,
	.device_by_name = mem_device_by_name,
	.nonces_get = mem_nonces_get,
	.nonces_reset = mem_nonces_reset,
	.root_get = mem_root_get,
	.root_delete = mem_root_delete,
	.root_list = mem_root_list,
	.root_count = mem_root_count,
	.root_replace = mem_root_replace,
	.storage_get = mem_storage_get,
	.storage_set = mem_storage_set,
	.session_get = mem_session_get,
	.session_list = mem_session_list,
	.app_get = mem_app_get,
	.app_put = mem_app_put,
	.app_delete = mem_app_delete,
	.app_list = mem_app_list,
	.kek_get = mem_kek_get,
	.kek_add = mem_kek_add,
	.kek_retire = mem_kek_retire,
	.kek_delete = mem_kek_delete,
	.kek_list = mem_kek_list,
	.peer_get = mem_peer_get,
	.peer_put = mem_peer_put,
	.peer_delete = mem_peer_delete,
	.peer_list = mem_peer_list,
	.peer_by_credential = mem_peer_by_credential,
	.meta_get = mem_meta_get,
	.meta_put = mem_meta_put,
	.meta_swap = mem_meta_swap,
	.audit_head = mem_audit_head,
	.audit_add = mem_audit_add,
	.audit_get = mem_audit_get,
	.audit_list = mem_audit_list,
	.stats = mem_stats,
};
