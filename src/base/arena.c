/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces are cut from chunks, each chunk twice as large as the one before.
 * The first has a size that malloc keeps at hand, for it is taken and given
 * back with every message.
 */
#include "src/base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/secret.h"
#include "src/base/sys.h"

#define FIRST_CAP ((size_t)1024 - sizeof(struct arena_chunk))

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap;
	size_t used;
	_Alignas(max_align_t) unsigned char data[];
};

/* Room for len octets, in the newest chunk or a new one. */
static struct arena_chunk *
chunk_for(struct arena *a, size_t len)
{
	struct arena_chunk *chunk = a->chunks;
	size_t cap = chunk == NULL ? FIRST_CAP : 2 * chunk->cap;

	if (chunk != NULL && len <= chunk->cap - chunk->used) {
		return chunk;
	}
	cap = cap < len ? len : cap;
	chunk = malloc(sizeof(*chunk) + cap);
	if (chunk != NULL) {
		chunk->next = a->chunks;
		chunk->cap = cap;
		chunk->used = 0;
		a->chunks = chunk;
	}
	return chunk;
}

void *
arena_try(struct arena *a, size_t len)
{
	size_t align = _Alignof(max_align_t);
	struct arena_chunk *chunk;
	void *piece;

	if (len > ARENA_MAX - a->used) {
		return NULL;
	}
	len = (len + align - 1) / align * align;
	chunk = chunk_for(a, len);
	if (chunk == NULL) {
		return NULL;
	}
	piece = chunk->data + chunk->used;
	chunk->used += len;
	a->used += len;
	return memset(piece, 0, len);
}

void *
arena_alloc(struct arena *a, size_t len)
{
	void *piece = arena_try(a, len);

	jy_assert(piece != NULL);
	return piece;
}

void *
arena_copy(struct arena *a, const void *p, size_t len)
{
	void *copy = arena_alloc(a, len);

	if (len > 0) {
		memcpy(copy, p, len);
	}
	return copy;
}

char *
arena_text(struct arena *a, const char *text)
{
	return arena_copy(a, text, strlen(text) + 1);
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk *next;

	for (struct arena_chunk *c = a->chunks; c != NULL; c = next) {
		next = c->next;
		secret_wipe(c->data, c->used);
		free(c);
	}
	*a = (struct arena){ 0 };
}
