/* SPDX-License-Identifier: Apache-2.0 */
/* KEKs and their generations in memory. */
#include "src/store/memory.h"

#include <string.h>

#include "src/store/generation.h"

int
memory_cmp_kek(const void *item, const void *key)
{
	const struct kek_row *a = item, *b = key;
	int cmp = strcmp(a->label, b->label);

	return cmp != 0
	    ? cmp
	    : (a->generation > b->generation) - (a->generation < b->generation);
}

/* A row that stands where that generation does. */
static struct kek_row
key_of(const char *label, uint32_t generation)
{
	struct kek_row key = { .generation = generation };

	memcpy(key.label, label, strlen(label) + 1);
	return key;
}

static enum jy_err
label_read_all(const struct memory *m, const char *label, struct kek_set *out)
{
	const struct kek_row first = key_of(label, 1);
	const struct kek_row *row;
	size_t at = list_from(&m->keks, &first);

	out->n = 0;
	for (; at < m->keks.n && out->n < STORE_KEK_GENERATIONS_MAX; at++) {
		row = list_at(&m->keks, at);
		if (strcmp(row->label, label) != 0) {
			break;
		}
		out->rows[out->n++] = *row;
	}
	return out->n > 0 ? JY_OK : JY_ENOTFOUND;
}

enum jy_err
mem_kek_get(struct store_db *db, const char *label, struct kek_set *out,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct kek_set set;
	enum jy_err err = label_read_all(m, label, &set);

	(void)ec;
	if (err == JY_OK) {
		*out = set;
	}
	return memory_unlock(m, err);
}

static enum jy_err
wire_label_free(
    const struct memory *m, const char *wire_label, struct errctx *ec)
{
	for (size_t i = 0; i < m->keks.n; i++) {
		const struct kek_row *row = list_at(&m->keks, i);

		if (strcmp(row->wire_label, wire_label) == 0) {
			return kek_wire_label_taken(row, ec);
		}
	}
	return JY_OK;
}

enum jy_err
mem_kek_add(struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct kek_set set;
	enum jy_err err;

	(void)label_read_all(m, row->label, &set);
	err = kek_may_follow(&set, row, ec);
	if (err == JY_OK) {
		err = wire_label_free(m, row->wire_label, ec);
	}
	return memory_written(
	    m, err == JY_OK ? list_put(&m->keks, row, ec) : err);
}

enum jy_err
mem_kek_retire(
    struct store_db *db, const struct kek_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct kek_set set;
	struct kek_row heir;
	enum jy_err err = label_read_all(m, row->label, &set);

	if (err == JY_OK) {
		err = kek_may_retire(&set, row, ec);
	}
	if (err == JY_OK) {
		err = list_remove(&m->keks, row);
	}
	if (err == JY_OK && kek_heir(&set, row, &heir)) {
		err = list_put(&m->keks, &heir, ec);
	}
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
	struct kek_set set;
	enum jy_err err = label_read_all(m, label, &set);

	if (err == JY_OK) {
		err = kek_unused(m, label, ec);
	}
	for (size_t i = 0; err == JY_OK && i < set.n; i++) {
		err = list_remove(&m->keks, &set.rows[i]);
	}
	return memory_written(m, err);
}

enum jy_err
mem_kek_list(struct store_db *db, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	struct kek_row key;

	(void)ec;
	if (after != NULL) {
		key = key_of(after->label, after->generation);
	}
	list_page(&m->keks, after != NULL ? &key : NULL, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}
