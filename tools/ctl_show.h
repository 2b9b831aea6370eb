/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Showing answers, to people as text or to programs as JSON, by what their
 * protobuf descriptors say of them.  So every field of the protocol is shown,
 * also one that was added yesterday; what a field needs beyond its type (a
 * NetID is hexadecimal) is in one table of ctl_value.c.
 *
 * JSON is the answer's message: fields by their names in joinery.proto, absent
 * ones left out, octets as hexadecimal text.
 */
#ifndef JY_TOOLS_CTL_SHOW_H
#define JY_TOOLS_CTL_SHOW_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "tools/ctl_json.h"

struct show_view;

struct show {
	bool json;
	struct json writer; /* its outermost object is open while we run */
	const struct show_view *view; /* of the rows being shown */
};

/* All of a message, as a verb's answer or a part of it. */
void show_message(struct show *show, const ProtobufCMessage *message);

/*
 * Rows of one type, shown as they come; name is the array's in JSON.  Columns
 * for people are in a table of ctl_show.c, which must have the type.
 */
void show_rows_begin(struct show *show, const char *name,
    const ProtobufCMessageDescriptor *type);
void show_row(struct show *show, const ProtobufCMessage *message);
void show_rows_end(struct show *show);

/* A member that is in no message; people read '_' in its name as '-'. */
void show_named(struct show *show, const char *name, const char *text);

/* A line for people only. */
void show_said(struct show *show, const char *text);

/* Print for people: control characters cannot reach their terminal. */
void show_text(FILE *out, const char *text);

#endif
