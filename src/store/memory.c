/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store in memory, for tests: sorted arrays of rows under one lock.  It
 * is written to be plainly right, and forgets everything at close.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "src/store/backend.h"

#define DEV_NONCES 65536

/* A sorted array; each item starts with its key. */
struct list {
	size_t size; /* of an item */
	size_t n;
	size_t cap;
	uint8_t *items;
	int (*cmp)(const void *item, const void *key);
};

/* The nonces of a device and the set of its used DevNonces. */
struct nonce_item {
	struct device_id id;
	struct nonce_row row;
	size_t used;
	uint8_t seen[DEV_NONCES / 8];
};

struct meta_item {
	char key[STORE_LABEL_MAX + 1];
	uint8_t value[STORE_META_MAX];
	size_t len;
};

struct memory {
	struct store_db base; /* first: memory_of() casts */
	pthread_mutex_t lock;
	struct list devices;
	struct list nonces;
	struct list sessions;
	struct list refusals;
	struct list keks;
	struct list peers;
	struct list metas;
	uint64_t commits;
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

static struct memory *
memory_lock(struct store_db *db)
{
	struct memory *m = (struct memory *)db;

	jy_assert(db->ops == &store_memory_ops);
	(void)pthread_mutex_lock(&m->lock);
	return m;
}

static enum jy_err
memory_unlock(struct memory *m, enum jy_err err)
{
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

/* The same after a verb that writes. */
static enum jy_err
memory_written(struct memory *m, enum jy_err err)
{
	m->commits += err == JY_OK ? 1 : 0;
	return memory_unlock(m, err);
}

/* ---- lists ---- */

static void *
list_at(const struct list *l, size_t i)
{
	return l->items + i * l->size;
}

/* The first item at or behind key. */
static size_t
list_from(const struct list *l, const void *key)
{
	size_t i = 0;

	while (i < l->n && l->cmp(list_at(l, i), key) < 0) {
		i++;
	}
	return i;
}

/* The first item behind after; NULL: the first of all. */
static size_t
list_behind(const struct list *l, const void *after)
{
	size_t i = after != NULL ? list_from(l, after) : 0;

	return after != NULL && i < l->n && l->cmp(list_at(l, i), after) == 0
	    ? i + 1
	    : i;
}

static void *
list_find(const struct list *l, const void *key)
{
	size_t i = list_from(l, key);

	return i < l->n && l->cmp(list_at(l, i), key) == 0 ? list_at(l, i)
							   : NULL;
}

static enum jy_err
list_get(const struct list *l, const void *key, void *out)
{
	const void *item = list_find(l, key);

	if (item == NULL) {
		return JY_ENOTFOUND;
	}
	memcpy(out, item, l->size);
	return JY_OK;
}

/* Insert or replace; item starts with its key. */
static enum jy_err
list_put(struct list *l, const void *item, struct errctx *ec)
{
	size_t i = list_from(l, item);
	bool there = i < l->n && l->cmp(list_at(l, i), item) == 0;
	size_t cap = l->cap > 0 ? 2 * l->cap : 16;
	uint8_t *items;

	if (!there && l->n == l->cap) {
		items = realloc(l->items, cap * l->size);
		if (items == NULL) {
			return err_set(ec, JY_ENOMEM, "memory store");
		}
		l->items = items;
		l->cap = cap;
	}
	if (!there) {
		memmove(l->items + (i + 1) * l->size, l->items + i * l->size,
		    (l->n - i) * l->size);
		l->n++;
	}
	memcpy(list_at(l, i), item, l->size);
	return JY_OK;
}

static void
list_remove_at(struct list *l, size_t i)
{
	l->n--;
	memmove(l->items + i * l->size, l->items + (i + 1) * l->size,
	    (l->n - i) * l->size);
}

static enum jy_err
list_remove(struct list *l, const void *key)
{
	size_t i = list_from(l, key);

	if (i == l->n || l->cmp(list_at(l, i), key) != 0) {
		return JY_ENOTFOUND;
	}
	list_remove_at(l, i);
	return JY_OK;
}

/* A page of whole rows behind after. */
static void
list_page(const struct list *l, const void *after, void *rows, size_t cap,
    size_t *n, bool *more)
{
	size_t i = list_behind(l, after);

	*n = l->n - i < cap ? l->n - i : cap;
	*more = l->n - i > cap;
	if (*n > 0) {
		memcpy(rows, list_at(l, i), *n * l->size);
	}
}

/* ---- the join line ---- */

static bool
dev_nonce_seen(const struct nonce_item *item, uint16_t v)
{
	return item != NULL && (item->seen[v / 8] >> (v % 8) & 1) != 0;
}

static enum jy_err
mem_join_view(struct store_db *db, const struct device_id *id,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct nonce_item *item = list_find(&m->nonces, id);
	enum jy_err err = list_get(&m->devices, id, &view->device);

	(void)ec;
	if (err == JY_OK) {
		view->nonces = (struct nonce_row){ 0 };
		if (item != NULL) {
			view->nonces = item->row;
		}
		view->dev_nonce_seen = dev_nonce_seen(item, dev_nonce);
	}
	return memory_unlock(m, err);
}

/* The sessions of a device, and which of them is the oldest but spare. */
static size_t
sessions_count(
    const struct memory *m, const struct session_row *spare, size_t *oldest)
{
	size_t n = 0;

	*oldest = m->sessions.n;
	for (size_t i = m->sessions.n; i > 0; i--) {
		const struct session_row *s = list_at(&m->sessions, i - 1);

		if (cmp_device(&s->device, &spare->device) != 0) {
			continue;
		}
		n++;
		if (memcmp(s->id, spare->id, STORE_ID_LEN) != 0) {
			*oldest = i - 1;
		}
	}
	return n;
}

static enum jy_err
entry_write(struct memory *m, const struct join_commit *c, struct errctx *ec)
{
	const struct session_row *s = &c->session;
	struct nonce_item *item = list_find(&m->nonces, &s->device);
	size_t oldest;
	enum jy_err err;

	err = list_put(&m->sessions, s, ec);
	if (err != JY_OK) {
		return err;
	}
	item->row.join_nonce = s->join_nonce;
	if (!item->row.has_dev_nonce || s->counter > item->row.dev_nonce) {
		item->row.has_dev_nonce = true;
		item->row.dev_nonce = s->counter;
	}
	if (!dev_nonce_seen(item, s->counter)) {
		item->seen[s->counter / 8] |= (uint8_t)(1U << (s->counter % 8));
		item->used++;
	}
	while (sessions_count(m, s, &oldest) > c->keep) {
		list_remove_at(&m->sessions, oldest);
	}
	return JY_OK;
}

static enum jy_err
entry_commit(struct memory *m, const struct join_commit *c, struct errctx *ec)
{
	const struct session_row *s = &c->session;
	const struct device_row *device = list_find(&m->devices, &s->device);
	const struct nonce_item *item = list_find(&m->nonces, &s->device);
	struct nonce_item *fresh;
	enum jy_err err;

	if (device == NULL || device->revision != c->revision_seen ||
	    (item != NULL ? item->row.join_nonce : 0) != c->join_nonce_seen ||
	    list_find(&m->sessions, s->id) != NULL) {
		return JY_ECONFLICT;
	}
	if (item == NULL) {
		fresh = calloc(1, sizeof(*fresh));
		if (fresh == NULL) {
			return err_set(ec, JY_ENOMEM, "memory store");
		}
		fresh->id = s->device;
		err = list_put(&m->nonces, fresh, ec);
		free(fresh);
		if (err != JY_OK) {
			return err;
		}
	}
	return entry_write(m, c, ec);
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
	const struct device_row *owner = NULL;

	if (revision != row->revision) {
		return err_set(ec, JY_ECONFLICT,
		    "the device has revision %u, not %u", revision,
		    row->revision);
	}
	if (row->name[0] != '\0') {
		owner = named(m, row->app, row->name);
	}
	if (owner != NULL && cmp_device(owner, &row->id) != 0) {
		return err_set(ec, JY_EEXIST,
		    "another device of app \"%s\" has the name \"%s\"",
		    row->app, row->name);
	}
	new.revision++;
	return list_put(&m->devices, &new, ec);
}

static enum jy_err
mem_device_put(
    struct store_db *db, const struct device_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_written(m, device_put(m, row, ec));
}

static enum jy_err
mem_device_delete(
    struct store_db *db, const struct device_id *id, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	enum jy_err err = list_remove(&m->devices, id);

	(void)ec;
	if (err == JY_OK) {
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

static enum jy_err
mem_device_list(struct store_db *db, const struct device_id *after,
    const char *app, struct device_row *rows, size_t cap, size_t *n, bool *more,
    struct device_id *last, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	size_t i = list_behind(&m->devices, after);
	size_t end = i + STORE_SCAN_MAX;

	(void)ec;
	for (*n = 0; i < m->devices.n && i < end && *n < cap; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (app == NULL || strcmp(d->app, app) == 0) {
			rows[(*n)++] = *d;
		}
	}
	*more = i < m->devices.n;
	if (*more) {
		*last = ((struct device_row *)list_at(&m->devices, i - 1))->id;
	}
	return memory_unlock(m, JY_OK);
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
	*row = (struct nonce_row){ 0 };
	*used = 0;
	if (item != NULL) {
		*row = item->row;
		*used = item->used;
	}
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
		item->row =
		    (struct nonce_row){ .join_nonce = item->row.join_nonce };
		item->used = 0;
		memset(item->seen, 0, sizeof(item->seen));
	}
	return memory_written(m, known ? JY_OK : JY_ENOTFOUND);
}

/* ---- sessions ---- */

static enum jy_err
mem_session_get(struct store_db *db, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->sessions, id, row));
}

static enum jy_err
mem_session_list(struct store_db *db, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	*n = 0;
	for (size_t i = m->sessions.n; i > 0 && *n < cap; i--) {
		const struct session_row *s = list_at(&m->sessions, i - 1);

		if (cmp_device(&s->device, id) == 0) {
			rows[(*n)++] = *s;
		}
	}
	return memory_unlock(m, JY_OK);
}

/* ---- KEKs ---- */

static enum jy_err
mem_kek_get(struct store_db *db, const char *label, struct kek_row *row,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->keks, label, row));
}

static enum jy_err
mem_kek_add(struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	enum jy_err err = list_find(&m->keks, row->label) == NULL
	    ? list_put(&m->keks, row, ec)
	    : err_set(
		  ec, JY_EEXIST, "there is a KEK \"%s\" already", row->label);

	return memory_written(m, err);
}

/* JY_EINUSE when somebody names the KEK. */
static enum jy_err
kek_unused(const struct memory *m, const char *label, struct errctx *ec)
{
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];

	for (size_t i = 0; i < m->peers.n; i++) {
		const struct peer_row *p = list_at(&m->peers, i);

		if (strcmp(p->kek, label) == 0) {
			return err_set(ec, JY_EINUSE,
			    "peer \"%s\" uses the KEK \"%s\"", p->name, label);
		}
	}
	for (size_t i = 0; i < m->devices.n; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (strcmp(d->ns_kek, label) == 0 ||
		    strcmp(d->as_kek, label) == 0) {
			return err_set(ec, JY_EINUSE,
			    "device %s/%s uses the KEK \"%s\"",
			    eui64_str(&d->id.dev_eui, dev_eui),
			    eui64_str(&d->id.join_eui, join_eui), label);
		}
	}
	return JY_OK;
}

static enum jy_err
mem_kek_delete(struct store_db *db, const char *label, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	enum jy_err err = JY_ENOTFOUND;

	if (list_find(&m->keks, label) != NULL) {
		err = kek_unused(m, label, ec);
	}
	return memory_written(
	    m, err == JY_OK ? list_remove(&m->keks, label) : err);
}

static enum jy_err
mem_kek_list(struct store_db *db, const char *after, struct kek_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->keks, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}

/* ---- peers ---- */

static enum jy_err
mem_peer_get(struct store_db *db, const char *name, struct peer_row *row,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->peers, name, row));
}

static const struct peer_row *
credential_owner(const struct memory *m, const struct credential *c)
{
	struct credential all[CREDENTIALS_OF_PEER_MAX];

	for (size_t i = 0; i < m->peers.n; i++) {
		const struct peer_row *p = list_at(&m->peers, i);
		size_t n = credentials_of_peer(p, all);

		for (size_t j = 0; j < n; j++) {
			if (credential_eq(&all[j], c)) {
				return p;
			}
		}
	}
	return NULL;
}

static enum jy_err
peer_put(struct memory *m, const struct peer_row *row, struct errctx *ec)
{
	struct credential all[CREDENTIALS_OF_PEER_MAX];
	size_t n = credentials_of_peer(row, all);
	char text[CREDENTIAL_STR_LEN];

	for (size_t i = 0; i < n; i++) {
		const struct peer_row *p = credential_owner(m, &all[i]);

		if (p != NULL && strcmp(p->name, row->name) != 0) {
			return err_set(ec, JY_EEXIST,
			    "peer \"%s\" has the credential %s", p->name,
			    credential_str(&all[i], text));
		}
	}
	return list_put(&m->peers, row, ec);
}

static enum jy_err
mem_peer_put(struct store_db *db, const struct peer_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_written(m, peer_put(m, row, ec));
}

static enum jy_err
mem_peer_delete(struct store_db *db, const char *name, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_written(m, list_remove(&m->peers, name));
}

static enum jy_err
mem_peer_list(struct store_db *db, const char *after, struct peer_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->peers, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}

static enum jy_err
mem_peer_by_credential(struct store_db *db, const struct credential *c,
    struct peer_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct peer_row *p = credential_owner(m, c);

	(void)ec;
	if (p != NULL) {
		*row = *p;
	}
	return memory_unlock(m, p != NULL ? JY_OK : JY_ENOTFOUND);
}

/* ---- the rest ---- */

static enum jy_err
mem_meta_get(struct store_db *db, const char *key, uint8_t out[STORE_META_MAX],
    size_t *len, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct meta_item *item = list_find(&m->metas, key);

	(void)ec;
	if (item != NULL) {
		memcpy(out, item->value, item->len);
		*len = item->len;
	}
	return memory_unlock(m, item != NULL ? JY_OK : JY_ENOTFOUND);
}

static enum jy_err
mem_meta_put(struct store_db *db, const char *key, const uint8_t *value,
    size_t len, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct meta_item item = { .len = len };

	memcpy(item.key, key, strlen(key) + 1);
	memcpy(item.value, value, len);
	return memory_written(m, list_put(&m->metas, &item, ec));
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
	m->keks = LIST(struct kek_row, cmp_text);
	m->peers = LIST(struct peer_row, cmp_text);
	m->metas = LIST(struct meta_item, cmp_text);
	jy_assert(pthread_mutex_init(&m->lock, NULL) == 0);
	*out = &m->base;
	return JY_OK;
}

static void
mem_close(struct store_db *db)
{
	struct memory *m = memory_lock(db);

	(void)memory_unlock(m, JY_OK);
	(void)pthread_mutex_destroy(&m->lock);
	free(m->devices.items);
	free(m->nonces.items);
	free(m->sessions.items);
	free(m->refusals.items);
	free(m->keks.items);
	free(m->peers.items);
	free(m->metas.items);
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
	.device_put = mem_device_put,
	.device_delete = mem_device_delete,
	.device_list = mem_device_list,
	.device_by_name = mem_device_by_name,
	.nonces_get = mem_nonces_get,
	.nonces_reset = mem_nonces_reset,
	.session_get = mem_session_get,
	.session_list = mem_session_list,
	.kek_get = mem_kek_get,
	.kek_add = mem_kek_add,
	.kek_delete = mem_kek_delete,
	.kek_list = mem_kek_list,
	.peer_get = mem_peer_get,
	.peer_put = mem_peer_put,
	.peer_delete = mem_peer_delete,
	.peer_list = mem_peer_list,
	.peer_by_credential = mem_peer_by_credential,
	.meta_get = mem_meta_get,
	.meta_put = mem_meta_put,
	.stats = mem_stats,
};
