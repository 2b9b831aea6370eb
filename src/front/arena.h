/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for one unpacked message at a time: protobuf-c asks for many small
 * pieces and all of them die together.  What does not fit comes from the
 * heap, so that a message is never refused for its shape.
 */
#ifndef JY_FRONT_ARENA_H
#define JY_FRONT_ARENA_H

#include <protobuf-c/protobuf-c.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);

/*
 * Unpack a message; NULL if it does not parse.  It stays valid until
 * arena_done, which must come before the next one.
 */
ProtobufCMessage *arena_unpack(struct arena *a,
    const ProtobufCMessageDescriptor *type, const void *buf, size_t len);
void arena_done(struct arena *a, ProtobufCMessage *message);

#endif
