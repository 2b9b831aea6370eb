/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness, passed in so that tests can choose them, and
 * allocation for start-up code and tools.
 */
#ifndef JY_BASE_SYS_H
#define JY_BASE_SYS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

/* Where a module takes time and randomness from; sys_real for programs. */
struct sys {
	uint64_t (*now_ms)(void);              /* since 1970, UTC */
	void (*random)(void *out, size_t len); /* never fails */
};

extern const struct sys sys_real;

/* Microseconds of a clock that only runs forward, for durations. */
uint64_t sys_mono_us(void);

/* Allocate or abort; for start-up and tools only, never for a request. */
void *sys_xmalloc(size_t len) __attribute__((malloc, returns_nonnull));
void *sys_xcalloc(size_t n, size_t len)
    __attribute__((malloc, returns_nonnull));
char *sys_xstrdup(const char *s) __attribute__((malloc, returns_nonnull));

#endif
