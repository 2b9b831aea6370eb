/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that lives as long as one answer: taken piece by piece, given back
 * at once.  Answers are bounded by their page sizes, so a piece beyond
 * ARENA_MAX is a bug; when the machine has no memory left the worker ends and
 * the front starts another.
 */
#ifndef JY_WORKER_ARENA_H
#define JY_WORKER_ARENA_H

#include <stddef.h>

#define ARENA_MAX (512U * 1024U)

struct arena {
	struct arena_chunk *chunks; /* NULL: empty */
	size_t used;
};

/* Zeroed memory, aligned for anything; never NULL. */
void *arena_alloc(struct arena *a, size_t len);

/* A copy of len octets, or of a text with its NUL. */
void *arena_copy(struct arena *a, const void *p, size_t len);
char *arena_text(struct arena *a, const char *text);

/* Give everything back; the arena is empty again. */
void arena_reset(struct arena *a);

#endif
