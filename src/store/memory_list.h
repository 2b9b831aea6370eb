/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array of items, each of which starts with its key. */
#ifndef JY_STORE_MEMORY_LIST_H
#define JY_STORE_MEMORY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

struct list {
	size_t size; /* of an item */
	size_t n;
	size_t cap;
	uint8_t *items;
	int (*cmp)(const void *item, const void *key);
};

/* Pointers to items are good until the next put or remove. */
void *list_at(const struct list *l, size_t i);

/* The index of the first item at or behind key. */
size_t list_from(const struct list *l, const void *key);

/* The index of the first item behind after; NULL: the first of all. */
size_t list_behind(const struct list *l, const void *after);

/* NULL when there is none. */
void *list_find(const struct list *l, const void *key);

/* Copy out; JY_ENOTFOUND. */
enum jy_err list_get(const struct list *l, const void *key, void *out) JY_CHECK;

/* Insert or replace; JY_ENOMEM. */
enum jy_err list_put(
    struct list *l, const void *item, struct errctx *ec) JY_CHECK;

void list_remove_at(struct list *l, size_t i);

/* JY_ENOTFOUND. */
enum jy_err list_remove(struct list *l, const void *key);

/* Copy up to cap items behind after (NULL: from the first). */
void list_page(const struct list *l, const void *after, void *rows, size_t cap,
    size_t *n, bool *more);

#endif
