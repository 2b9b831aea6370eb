/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as lines and tables for people, or as JSON. */
#include "tools/ctl_show.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"
#include "tools/ctl_value.h"

#define LABEL_WIDTH 22
#define COLUMNS_MAX 10

struct column {
	const char *title;
	const char *path; /* names of fields, with dots between */
	int width;
};

struct show_view {
	const ProtobufCMessageDescriptor *type;
	struct column columns[COLUMNS_MAX]; /* the last has no title */
};

/* What people see of the rows of a list. */
static const struct show_view views[] = {
	{ &joinery__v1__device__descriptor,
	    { { "JOIN-EUI", "id.join_eui", 16 },
		{ "DEV-EUI", "id.dev_eui", 16 },
		{ "MAC", "settings.mac_version", 5 },
		{ "NWK-KEY", "has_nwk_key", 7 },
		{ "APP-KEY", "has_app_key", 7 }, { "APP", "settings.app", 16 },
		{ "NAME", "settings.name", 16 } } },
	{ &joinery__v1__session__descriptor,
	    { { "SESSION-KEY-ID", "session_key_id", 32 },
		{ "TYPE", "join_type", 8 }, { "MAC", "mac_version", 5 },
		{ "DEV-ADDR", "dev_addr", 8 }, { "NET-ID", "net_id", 6 },
		{ "JOIN-NONCE", "join_nonce", 10 }, { "COUNTER", "counter", 7 },
		{ "CREATED", "created_ms", 20 }, { "PEER", "peer", 16 } } },
	{ &joinery__v1__kek__descriptor,
	    { { "LABEL", "label", 24 }, { "GENERATION", "generation", 10 },
		{ "STATE", "state", 8 }, { "IN-ENVELOPES", "wire_label", 24 },
		{ "BITS", "bits", 4 }, { "CHECK", "check_value", 8 },
		{ "SWITCH", "active_ms", 20 },
		{ "CREATED", "created_ms", 20 } } },
	{ &joinery__v1__app__descriptor,
	    { { "NAME", "name", 16 }, { "NET-IDS", "net_ids", 14 },
		{ "AS-ID", "as_id", 16 }, { "NS-KEK", "ns_kek", 16 },
		{ "AS-KEK", "as_kek", 16 }, { "NS-ID", "ns_id", 16 },
		{ "ROAMING", "roaming", 7 },
		{ "ROAMING-NET-IDS", "roaming_net_ids", 15 } } },
	{ &joinery__v1__token_orphan__descriptor,
	    { { "KIND", "kind", 11 }, { "DEV-EUI", "device.dev_eui", 16 },
		{ "JOIN-EUI", "device.join_eui", 16 },
		{ "CKA_ID", "key_id", 42 } } },
	{ &joinery__v1__audit_event__descriptor,
	    { { "SEQ", "seq", 6 }, { "TIME", "time_ms", 24 },
		{ "EVENT", "event", 18 }, { "WHO", "who", 16 },
		{ "WHAT", "text", 64 } } },
	{ &joinery__v1__peer__descriptor,
	    { { "NAME", "name", 16 }, { "ROLE", "role", 5 },
		{ "NET-IDS", "net_ids", 14 }, { "AS-IDS", "as_ids", 14 },
		{ "KEK", "kek", 16 }, { "UID", "uid", 6 },
		{ "CERT-SAN", "cert_san", 24 },
		{ "CERT-FINGERPRINT", "cert_fingerprint", 64 } } },
	{ &joinery__v1__worker_status__descriptor,
	    { { "SLOT", "slot", 4 }, { "PID", "pid", 8 },
		{ "STATE", "state", 8 }, { "IN-FLIGHT", "in_flight", 9 },
		{ "MEMORY", "rss_bytes", 12 },
		{ "UPTIME", "uptime_ms", 14 } } },
	{ &joinery__v1__counter__descriptor,
	    { { "COUNTER", "name", 20 }, { "VALUE", "value", 20 } } },
};

static const struct show_view *
view_of(const ProtobufCMessageDescriptor *type)
{
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (views[i].type == type) {
			return &views[i];
		}
	}
	return NULL;
}

/* ---- JSON ---- */

static void json_fields(struct json *j, const ProtobufCMessage *message);

static void
json_value(struct json *j, const char *name,
    const ProtobufCFieldDescriptor *field, const void *value)
{
	char *text;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		json_object(j, name);
		json_fields(j, value_message(value));
		json_end(j);
		return;
	}
	text = value_text(field, value, false);
	if (value_is_bare(field)) {
		json_raw(j, name, text);
	} else {
		json_text(j, name, text);
	}
	free(text);
}

static void
json_fields(struct json *j, const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f =
		    &message->descriptor->fields[i];
		size_t n = value_count(message, f);

		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			if (n > 0) {
				json_value(
				    j, f->name, f, value_at(message, f, 0));
			}
			continue;
		}
		json_array(j, f->name);
		for (size_t k = 0; k < n; k++) {
			json_value(j, NULL, f, value_at(message, f, k));
		}
		json_end(j);
	}
}

/* ---- text ---- */

void
show_text(FILE *out, const char *text)
{
	while (*text != '\0') {
		const char *start = text;
		uint32_t c = json_utf8(&text);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == UINT32_MAX) {
			(void)fputc('?', out);
		} else {
			(void)fwrite(start, 1, (size_t)(text - start), out);
		}
	}
}

/* All values of a field, with commas; "" for none.  The caller frees. */
static char *
joined_text(
    const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	size_t n = value_count(message, field);
	char *all = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&all, &len);

	jy_assert(out != NULL);
	for (size_t i = 0; i < n; i++) {
		char *text =
		    value_text(field, value_at(message, field, i), true);

		(void)fprintf(out, "%s%s", i > 0 ? ", " : "", text);
		free(text);
	}
	jy_assert(fclose(out) == 0 && all != NULL);
	return all;
}

static void
put_heading(FILE *out, const char *name, size_t len, int indent)
{
	(void)fprintf(out, "%*s", indent, "");
	for (size_t i = 0; i < len; i++) {
		(void)fputc(name[i] == '_' ? '-' : name[i], out);
	}
}

/* The length of a name without the unit that the value carries for people. */
static size_t
label_len(const char *name)
{
	static const char *const units[] = { "_ms", "_bytes" };
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t unit = strlen(units[i]);

		if (len > unit && strcmp(name + len - unit, units[i]) == 0) {
			return len - unit;
		}
	}
	return len;
}

/* A field's name, with blanks up to where its value begins. */
static void
put_label(FILE *out, const char *name, int indent)
{
	size_t len = label_len(name);
	int pad = LABEL_WIDTH - indent - (int)len;

	put_heading(out, name, len, indent);
	(void)fprintf(out, "%*s", pad > 1 ? pad : 1, "");
}

static void
text_rows(struct show *show, const ProtobufCMessage *message,
    const ProtobufCFieldDescriptor *field)
{
	FILE *out = show->writer.out;
	size_t n = value_count(message, field);

	(void)fputc('\n', out);
	show_rows_begin(show, field->name, field->descriptor);
	for (size_t i = 0; i < n; i++) {
		show_row(show, value_message(value_at(message, field, i)));
	}
	show_rows_end(show);
}

/*
 * The message that an answer consists of, and the id of a thing, are shown
 * without a heading of their own.
 */
static void
text_fields(
    struct show *show, const ProtobufCMessage *message, int depth, int indent)
{
	FILE *out = show->writer.out;

	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f =
		    &message->descriptor->fields[i];
		const ProtobufCMessage *inner;
		char *text;

		if (value_count(message, f) == 0) {
			continue;
		}
		if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
			text = joined_text(message, f);
			put_label(out, f->name, indent);
			show_text(out, text);
			(void)fputc('\n', out);
			free(text);
		} else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			text_rows(show, message, f);
		} else {
			bool heading = depth > 0 && strcmp(f->name, "id") != 0;

			inner = value_message(value_at(message, f, 0));
			if (heading) {
				put_heading(
				    out, f->name, strlen(f->name), indent);
				(void)fputc('\n', out);
			}
			text_fields(show, inner, depth + 1,
			    heading ? indent + 2 : indent);
		}
	}
}

void
show_message(struct show *show, const ProtobufCMessage *message)
{
	if (show->json) {
		json_fields(&show->writer, message);
	} else {
		text_fields(show, message, 0, 0);
	}
}

/* ---- rows ---- */

void
show_rows_begin(
    struct show *show, const char *name, const ProtobufCMessageDescriptor *type)
{
	FILE *out = show->writer.out;

	show->view = view_of(type);
	jy_assert(show->view != NULL);
	if (show->json) {
		json_array(&show->writer, name);
		return;
	}
	for (const struct column *c = show->view->columns; c->title != NULL;
	     c++) {
		bool last = c[1].title == NULL;

		(void)fprintf(out, "%-*s%s", last ? 0 : c->width, c->title,
		    last ? "\n" : "  ");
	}
}

/* The text at a path within a message; "-" if it is not there. */
static char *
text_at(const ProtobufCMessage *message, const char *path)
{
	const ProtobufCFieldDescriptor *f;
	const char *dot = strchr(path, '.');
	char name[32];
	size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);
	char *text;

	jy_assert(len < sizeof(name));
	memcpy(name, path, len);
	name[len] = '\0';
	f = protobuf_c_message_descriptor_get_field_by_name(
	    message->descriptor, name);
	jy_assert(f != NULL);
	if (value_count(message, f) > 0 && dot != NULL) {
		return text_at(value_message(value_at(message, f, 0)), dot + 1);
	}
	text = joined_text(message, f);
	if (text[0] == '\0') {
		free(text);
		text = strdup("-");
		jy_assert(text != NULL);
	}
	return text;
}

void
show_row(struct show *show, const ProtobufCMessage *message)
{
	FILE *out = show->writer.out;

	if (show->json) {
		json_object(&show->writer, NULL);
		json_fields(&show->writer, message);
		json_end(&show->writer);
		return;
	}
	for (const struct column *c = show->view->columns; c->title != NULL;
	     c++) {
		char *text = text_at(message, c->path);
		int pad = c->width - (int)strlen(text);

		show_text(out, text);
		if (c[1].title == NULL) {
			(void)fputc('\n', out);
		} else {
			(void)fprintf(out, "%*s", 2 + (pad > 0 ? pad : 0), "");
		}
		free(text);
	}
}

void
show_rows_end(struct show *show)
{
	if (show->json) {
		json_end(&show->writer);
	}
	show->view = NULL;
}

void
show_said(struct show *show, const char *text)
{
	if (!show->json) {
		show_text(show->writer.out, text);
		(void)fputc('\n', show->writer.out);
	}
}

void
show_named(struct show *show, const char *name, const char *text)
{
	if (show->json) {
		json_text(&show->writer, name, text);
	} else {
		put_label(show->writer.out, name, 0);
		show_text(show->writer.out, text);
		(void)fputc('\n', show->writer.out);
	}
}
