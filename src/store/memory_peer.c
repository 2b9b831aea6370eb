/* SPDX-License-Identifier: Apache-2.0 */
/* KEKs, peers and the installation's own values in memory. */
#include "src/store/memory.h"

#include <string.h>

/* ---- KEKs ---- */

enum jy_err
mem_kek_get(struct store_db *db, const char *label, struct kek_row *row,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->keks, label, row));
}

enum jy_err
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
	for (size_t i = 0; i < m->apps.n; i++) {
		const struct app_row *a = list_at(&m->apps, i);

		if (activation_uses_kek(&a->activation, label)) {
			return err_set(ec, JY_EINUSE,
			    "application \"%s\" uses the KEK \"%s\"", a->name,
			    label);
		}
	}
	for (size_t i = 0; i < m->devices.n; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (activation_uses_kek(&d->activation, label)) {
			return err_set(ec, JY_EINUSE,
			    "device %s/%s uses the KEK \"%s\"",
			    eui64_str(&d->id.dev_eui, dev_eui),
			    eui64_str(&d->id.join_eui, join_eui), label);
		}
	}
	return JY_OK;
}

enum jy_err
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

enum jy_err
mem_kek_list(struct store_db *db, const char *after, struct kek_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->keks, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}

/* ---- peers ---- */

enum jy_err
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
	const struct peer_row *stored = list_find(&m->peers, row->name);
	struct peer_row next = *row;

	if ((stored != NULL ? stored->revision : 0) != row->revision) {
		return err_set(ec, JY_ECONFLICT,
		    "peer \"%s\" was changed meanwhile", row->name);
	}
	next.revision++;
	for (size_t i = 0; i < n; i++) {
		const struct peer_row *p = credential_owner(m, &all[i]);

		if (p != NULL && strcmp(p->name, row->name) != 0) {
			return err_set(ec, JY_EEXIST,
			    "peer \"%s\" has the credential %s", p->name,
			    credential_str(&all[i], text));
		}
	}
	return list_put(&m->peers, &next, ec);
}

enum jy_err
mem_peer_put(struct store_db *db, const struct peer_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_written(m, peer_put(m, row, ec));
}

enum jy_err
mem_peer_delete(struct store_db *db, const char *name, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_written(m, list_remove(&m->peers, name));
}

enum jy_err
mem_peer_list(struct store_db *db, const char *after, struct peer_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->peers, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}

enum jy_err
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

enum jy_err
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

enum jy_err
mem_meta_put(struct store_db *db, const char *key, const uint8_t *value,
    size_t len, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct meta_item item = { .len = len };

	memcpy(item.key, key, strlen(key) + 1);
	memcpy(item.value, value, len);
	return memory_written(m, list_put(&m->metas, &item, ec));
}

enum jy_err
mem_meta_swap(struct store_db *db, const char *key,
    const struct meta_value *seen, const struct meta_value *next,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	const struct meta_item *there = list_find(&m->metas, key);
	size_t len = there != NULL ? there->len : 0;
	struct meta_item item = { .len = next->len };

	if (len != seen->len ||
	    (there != NULL && memcmp(there->value, seen->octets, len) != 0)) {
		return memory_unlock(m, JY_ECONFLICT);
	}
	memcpy(item.key, key, strlen(key) + 1);
	memcpy(item.value, next->octets, next->len);
	return memory_written(m, list_put(&m->metas, &item, ec));
}
