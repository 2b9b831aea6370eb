/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted arrays for the store in memory. */
#include "src/store/memory_list.h"

#include <stdlib.h>
#include <string.h>

void *
list_at(const struct list *l, size_t i)
{
	return l->items + i * l->size;
}

/* The first item at or behind key. */
size_t
list_from(const struct list *l, const void *key)
{
	size_t i = 0;

	while (i < l->n && l->cmp(list_at(l, i), key) < 0) {
		i++;
	}
	return i;
}

/* The first item behind after; NULL: the first of all. */
size_t
list_behind(const struct list *l, const void *after)
{
	size_t i = after != NULL ? list_from(l, after) : 0;

	return after != NULL && i < l->n && l->cmp(list_at(l, i), after) == 0
	    ? i + 1
	    : i;
}

void *
list_find(const struct list *l, const void *key)
{
	size_t i = list_from(l, key);

	return i < l->n && l->cmp(list_at(l, i), key) == 0 ? list_at(l, i)
							   : NULL;
}

enum jy_err
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
enum jy_err
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

void
list_remove_at(struct list *l, size_t i)
{
	l->n--;
	memmove(l->items + i * l->size, l->items + (i + 1) * l->size,
	    (l->n - i) * l->size);
}

enum jy_err
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
void
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
