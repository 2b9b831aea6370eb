/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's counters: a page of memory that the front maps read-only, so
 * that "status" needs no worker's help.  Writers add, readers load; no order
 * between counters is promised.
 */
#ifndef JY_PROTO_COUNTERS_H
#define JY_PROTO_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

struct counters {
#define X(name, meaning) _Atomic uint64_t name;
#include "proto/counters.def"
#undef X
};

#define counters_add(counter, n) \
	atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)
#define counters_set(counter, n) \
	atomic_store_explicit(&(counter), (n), memory_order_relaxed)
#define counters_get(counter) \
	atomic_load_explicit(&(counter), memory_order_relaxed)

#endif
