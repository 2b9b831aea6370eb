/* SPDX-License-Identifier: Apache-2.0 */
/* Applications in memory. */
#include <string.h>

#include "src/store/memory.h"

enum jy_err
mem_app_get(struct store_db *db, const char *name, struct app_row *row,
    struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	return memory_unlock(m, list_get(&m->apps, name, row));
}

static enum jy_err
app_put(struct memory *m, const struct app_row *row, struct errctx *ec)
{
	const struct app_row *stored = list_find(&m->apps, row->name);
	struct app_row next = *row;

	if ((stored != NULL ? stored->revision : 0) != row->revision) {
		return err_set(ec, JY_ECONFLICT,
		    "application \"%s\" was changed meanwhile", row->name);
	}
	next.revision++;
	return list_put(&m->apps, &next, ec);
}

enum jy_err
mem_app_put(struct store_db *db, const struct app_row *row, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	return memory_written(m, app_put(m, row, ec));
}

/* JY_EINUSE when a device belongs to the application. */
static enum jy_err
app_empty(const struct memory *m, const char *name, struct errctx *ec)
{
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];

	for (size_t i = 0; i < m->devices.n; i++) {
		const struct device_row *d = list_at(&m->devices, i);

		if (strcmp(d->app, name) == 0) {
			return err_set(ec, JY_EINUSE,
			    "device %s/%s belongs to the application \"%s\"",
			    eui64_str(&d->id.dev_eui, dev_eui),
			    eui64_str(&d->id.join_eui, join_eui), name);
		}
	}
	return JY_OK;
}

enum jy_err
mem_app_delete(struct store_db *db, const char *name, struct errctx *ec)
{
	struct memory *m = memory_lock(db);
	enum jy_err err = JY_ENOTFOUND;

	if (list_find(&m->apps, name) != NULL) {
		err = app_empty(m, name, ec);
	}
	return memory_written(
	    m, err == JY_OK ? list_remove(&m->apps, name) : err);
}

enum jy_err
mem_app_list(struct store_db *db, const char *after, struct app_row *rows,
    size_t cap, size_t *n, bool *more, struct errctx *ec)
{
	struct memory *m = memory_lock(db);

	(void)ec;
	list_page(&m->apps, after, rows, cap, n, more);
	return memory_unlock(m, JY_OK);
}
