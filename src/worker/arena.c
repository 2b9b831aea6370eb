/* SPDX-License-Identifier: Apache-2.0 */
/* One allocation a piece, in a list: answers have few pieces. */
#include "src/worker/arena.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"

struct arena_chunk {
	struct arena_chunk *next;
	_Alignas(max_align_t) unsigned char data[];
};

void *
arena_alloc(struct arena *a, size_t len)
{
	struct arena_chunk *chunk;

	jy_assert(len <= ARENA_MAX - a->used);
	chunk = sys_xcalloc(1, sizeof(*chunk) + len);
	chunk->next = a->chunks;
	a->chunks = chunk;
	a->used += len;
	return chunk->data;
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
		free(c);
	}
	*a = (struct arena){ 0 };
}
