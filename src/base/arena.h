/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that lives as long as one message: taken piece by piece, wiped and
 * given back at once.  A zeroed struct arena is an empty one; nothing needs
 * to be done for an arena that is empty.
 */
#ifndef JY_BASE_ARENA_H
#define JY_BASE_ARENA_H

#include <stddef.h>

/* Of all pieces together; no frame unpacks to more, no answer is larger. */
#define ARENA_MAX ((size_t)4 * 1024 * 1024)

struct arena {
	struct arena_chunk *chunks; /* the newest first */
	size_t used;
};

/*
 * Zeroed memory, aligned for anything; NULL beyond ARENA_MAX or when the
 * machine has none left.
 */
void *arena_try(struct arena *a, size_t len);

/* The same, never NULL: for what the caller has bounded.  Aborts. */
void *arena_alloc(struct arena *a, size_t len);

/* A copy of len octets, or of a text with its NUL; never NULL. */
void *arena_copy(struct arena *a, const void *p, size_t len);
char *arena_text(struct arena *a, const char *text);

/* Wipe and give everything back; the arena is empty again. */
void arena_reset(struct arena *a);

#endif
