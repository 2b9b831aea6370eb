/* SPDX-License-Identifier: Apache-2.0 */
/* Messages into an arena: protobuf-c asks for many small pieces. */
#ifndef JY_PROTO_UNPACK_H
#define JY_PROTO_UNPACK_H

#include <protobuf-c/protobuf-c.h>

struct arena;

/*
 * Unpack a message; NULL if it does not parse.  It is valid until the arena
 * is reset, which the caller does in both cases.
 */
ProtobufCMessage *unpack(struct arena *arena,
    const ProtobufCMessageDescriptor *type, const void *buf, size_t len);

#endif
