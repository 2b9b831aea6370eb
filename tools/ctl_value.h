/* SPDX-License-Identifier: Apache-2.0 */
/* Values of protobuf fields as text, and names of enums back to numbers. */
#ifndef JY_TOOLS_CTL_VALUE_H
#define JY_TOOLS_CTL_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

/* How many values the field has here: 0 or 1, or more if it is repeated. */
size_t value_count(
    const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

/* The value number i < value_count(): what the generated struct holds. */
const void *value_at(const ProtobufCMessage *message,
    const ProtobufCFieldDescriptor *field, size_t i);

/* The message that is the value of a field of type message. */
const ProtobufCMessage *value_message(const void *value);

/*
 * A value, not of type message, as text; the caller frees.  For people times
 * are dates and sizes have units.
 */
char *value_text(
    const ProtobufCFieldDescriptor *field, const void *value, bool for_people);

/* True if the text needs no quotes in JSON. */
bool value_is_bare(const ProtobufCFieldDescriptor *field);

/*
 * The number of an enum's value by the name that value_text shows, "1.0.3" or
 * "admin"; false if there is none.
 */
bool value_enum(
    const ProtobufCEnumDescriptor *type, const char *text, int *out);

#endif
