/* SPDX-License-Identifier: Apache-2.0 */
/* An arena behind protobuf-c's allocator interface. */
#include "proto/unpack.h"

#include "src/base/arena.h"

static void *
take(void *arena, size_t len)
{
	return arena_try(arena, len);
}

/* All pieces die with the arena. */
static void
give(void *arena, void *piece)
{
	(void)arena;
	(void)piece;
}

ProtobufCMessage *
unpack(struct arena *arena, const ProtobufCMessageDescriptor *type,
    const void *buf, size_t len)
{
	ProtobufCAllocator allocator = {
		.alloc = take, .free = give, .allocator_data = arena
	};

	return protobuf_c_message_unpack(type, &allocator, len, buf);
}
