/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator behind protobuf-c's allocator interface. */
#include "src/front/arena.h"

#include <stdbool.h>
#include <stdlib.h>

#include "src/base/sys.h"

/* Holds any reply of a worker, and any request that makes sense. */
#define ARENA_CAP 262144U

struct arena {
	ProtobufCAllocator allocator;
	size_t used;
	bool spilled; /* some of the message lies on the heap */
	_Alignas(max_align_t) uint8_t buf[ARENA_CAP];
};

static void *
take(void *data, size_t len)
{
	struct arena *a = data;
	size_t align = _Alignof(max_align_t);
	void *p;

	if (len > ARENA_CAP - a->used) {
		a->spilled = true;
		return malloc(len);
	}
	p = a->buf + a->used;
	a->used += (len + align - 1) / align * align;
	return p;
}

static void
give(void *data, void *p)
{
	struct arena *a = data;
	uintptr_t at = (uintptr_t)p;

	if (at < (uintptr_t)a->buf || at >= (uintptr_t)(a->buf + ARENA_CAP)) {
		free(p);
	}
}

struct arena *
arena_new(void)
{
	struct arena *a = sys_xcalloc(1, sizeof(*a));

	a->allocator.alloc = take;
	a->allocator.free = give;
	a->allocator.allocator_data = a;
	return a;
}

void
arena_free(struct arena *a)
{
	free(a);
}

ProtobufCMessage *
arena_unpack(struct arena *a, const ProtobufCMessageDescriptor *type,
    const void *buf, size_t len)
{
	a->used = 0;
	a->spilled = false;
	return protobuf_c_message_unpack(type, &a->allocator, len, buf);
}

void
arena_done(struct arena *a, ProtobufCMessage *message)
{
	if (a->spilled) {
		protobuf_c_message_free_unpacked(message, &a->allocator);
	}
}
