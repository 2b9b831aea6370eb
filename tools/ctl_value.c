/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading protobuf-c structs by their descriptors.  The offsets in there are
 * the only way to a field, hence the arithmetic.
 */
#include "tools/ctl_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/joinery.pb-c.h"
#include "src/base/hex.h"
#include "src/base/sys.h"

/* ---- getting at values ---- */

static const void *
at_offset(const ProtobufCMessage *message, size_t offset)
{
	return (const char *)message + offset;
}

static bool
is_pointer(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_STRING ||
	    field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static bool
is_64_bit(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_UINT64 ||
	    field->type == PROTOBUF_C_TYPE_INT64;
}

static size_t
size_of_value(const ProtobufCFieldDescriptor *field)
{
	return is_pointer(field)                   ? sizeof(void *)
	    : field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData)
	    : is_64_bit(field)                     ? sizeof(uint64_t)
						   : sizeof(uint32_t);
}

size_t
value_count(
    const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		return *(const size_t *)at_offset(
		    message, field->quantifier_offset);
	}
	if (is_pointer(field)) {
		return *(void *const *)at_offset(message, field->offset) != NULL
		    ? 1
		    : 0;
	}
	if (field->label == PROTOBUF_C_LABEL_REQUIRED) {
		return 1;
	}
	return *(const protobuf_c_boolean *)at_offset(
		   message, field->quantifier_offset) != 0
	    ? 1
	    : 0;
}

const void *
value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
    size_t i)
{
	const void *at = at_offset(message, field->offset);

	jy_assert(i < value_count(message, field));
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		at = *(const char *const *)at + i * size_of_value(field);
	}
	return at;
}

const ProtobufCMessage *
value_message(const void *value)
{
	return *(const ProtobufCMessage *const *)value;
}

/* ---- enums ---- */

static const char *const mac_names[] = { "", "1.0.0", "1.0.1", "1.0.2", "1.0.3",
	"1.0.4", "1.1.0" };
static const char *const role_names[] = { "", "ns", "as", "admin", "ns-as" };
static const char *const v10_root_names[] = { "default", "app" };
static const char *const roaming_names[] = { "default", "none", "listed",
	"any" };

static const char *const kek_state_names[] = { "", "active", "retiring",
	"planned" };

/* Enums that read better by other names than those of the protocol. */
static const struct enum_names {
	const ProtobufCEnumDescriptor *type;
	const char *const *names;
	size_t count;
} enum_names[] = {
	{ &joinery__v1__mac_version__descriptor, mac_names,
	    ARRAY_LEN(mac_names) },
	{ &joinery__v1__peer_role__descriptor, role_names,
	    ARRAY_LEN(role_names) },
	{ &joinery__v1__v10_root__descriptor, v10_root_names,
	    ARRAY_LEN(v10_root_names) },
	{ &joinery__v1__roaming__descriptor, roaming_names,
	    ARRAY_LEN(roaming_names) },
	{ &joinery__v1__kek_state__descriptor, kek_state_names,
	    ARRAY_LEN(kek_state_names) },
};

static const struct enum_names *
names_of(const ProtobufCEnumDescriptor *type)
{
	for (size_t i = 0; i < ARRAY_LEN(enum_names); i++) {
		if (enum_names[i].type == type) {
			return &enum_names[i];
		}
	}
	return NULL;
}

static void
put_enum(FILE *out, const ProtobufCEnumDescriptor *type, int number)
{
	const struct enum_names *names = names_of(type);
	const ProtobufCEnumValue *v =
	    protobuf_c_enum_descriptor_get_value(type, number);

	if (names != NULL && number >= 0 && (size_t)number < names->count) {
		(void)fputs(names->names[number], out);
	} else if (v != NULL) {
		(void)fputs(v->name, out);
	} else {
		(void)fprintf(out, "%d", number);
	}
}

bool
value_enum(const ProtobufCEnumDescriptor *type, const char *text, int *out)
{
	const struct enum_names *names = names_of(type);

	for (size_t i = 0; names != NULL && i < names->count; i++) {
		if (strcmp(names->names[i], text) == 0) {
			*out = (int)i;
			return true;
		}
	}
	return false;
}

/* ---- text ---- */

/* Numbers that everybody writes in hexadecimal, and how many digits. */
static const struct {
	const char *field;
	int digits;
} hexadecimal[] = {
	{ "net_id", 6 },
	{ "net_ids", 6 },
	{ "roaming_net_ids", 6 },
	{ "dev_addr", 8 },
};

static int
hexadecimal_digits(const char *field)
{
	for (size_t i = 0; i < ARRAY_LEN(hexadecimal); i++) {
		if (strcmp(hexadecimal[i].field, field) == 0) {
			return hexadecimal[i].digits;
		}
	}
	return 0;
}

static bool
put_seconds(FILE *out, uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[sizeof("2000-01-01 00:00:00") + 8];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0) {
		(void)fprintf(out, "%" PRIu64 " ms", ms);
		return false;
	}
	(void)fputs(text, out);
	return true;
}

static void
put_time(FILE *out, uint64_t ms)
{
	if (put_seconds(out, ms)) {
		(void)fputc('Z', out);
	}
}

/* Of what happens often. */
static void
put_exact_time(FILE *out, uint64_t ms)
{
	if (put_seconds(out, ms)) {
		(void)fprintf(out, ".%03uZ", (unsigned)(ms % 1000));
	}
}

static void
put_duration(FILE *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	(void)fprintf(out, "%" PRIu64 "d %02u:%02u:%02u", s / 86400,
	    (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
	    (unsigned)(s % 60));
}

static void
put_size(FILE *out, uint64_t bytes)
{
	(void)fprintf(out, "%.1f MiB", (double)bytes / 1048576.0);
}

static void
put_plain(FILE *out, uint64_t n)
{
	(void)fprintf(out, "%" PRIu64, n);
}

/* JoinReqType: a join-request, or the type of the rejoin-request. */
static void
put_join_type(FILE *out, uint64_t type)
{
	if (type == 255) {
		(void)fputs("join", out);
	} else {
		(void)fprintf(out, "rejoin %" PRIu64, type);
	}
}

/* How people read a number, by the end of its field's name. */
static const struct {
	const char *end;
	void (*put)(FILE *out, uint64_t n);
} for_people_by_end[] = {
	{ "uptime_ms", put_duration },
	{ "time_ms", put_exact_time },
	{ "_ms", put_time },
	{ "_bytes", put_size },
	{ "join_type", put_join_type },
	{ "", put_plain },
};

static void
put_for_people(FILE *out, const char *field, uint64_t n)
{
	size_t len = strlen(field);

	for (size_t i = 0; i < ARRAY_LEN(for_people_by_end); i++) {
		const char *end = for_people_by_end[i].end;
		size_t end_len = strlen(end);

		if (len >= end_len && strcmp(field + len - end_len, end) == 0) {
			for_people_by_end[i].put(out, n);
			return;
		}
	}
}

static void
put_number(FILE *out, const ProtobufCFieldDescriptor *field, const void *value,
    bool for_people)
{
	int digits = hexadecimal_digits(field->name);
	uint64_t n = is_64_bit(field) ? *(const uint64_t *)value
				      : *(const uint32_t *)value;

	if (digits != 0) {
		(void)fprintf(out, "%0*" PRIx64, digits, n);
	} else if (for_people) {
		put_for_people(out, field->name, n);
	} else {
		put_plain(out, n);
	}
}

static void
put_bool(FILE *out, bool b, bool for_people)
{
	(void)fputs(for_people ? b ? "yes" : "no" : b ? "true" : "false", out);
}

#define HASH_SHOWN 4

/*
 * Octets as digits.  Of the hash of a credential only the first: they tell
 * two apart, and the rest has no business on a screen.
 */
static void
put_octets(FILE *out, const ProtobufCFieldDescriptor *field,
    const ProtobufCBinaryData *octets)
{
	bool cut = octets->len > HASH_SHOWN &&
	    (strcmp(field->name, "bearer_hash") == 0 ||
		strcmp(field->name, "basic_hash") == 0);

	for (size_t i = 0; i < (cut ? HASH_SHOWN : octets->len); i++) {
		(void)fprintf(out, "%02x", octets->data[i]);
	}
	(void)fputs(cut ? "..." : "", out);
}

char *
value_text(
    const ProtobufCFieldDescriptor *field, const void *value, bool for_people)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	jy_assert(out != NULL);
	if (field->type == PROTOBUF_C_TYPE_STRING) {
		(void)fputs(*(const char *const *)value, out);
	} else if (field->type == PROTOBUF_C_TYPE_BYTES) {
		put_octets(out, field, value);
	} else if (field->type == PROTOBUF_C_TYPE_ENUM) {
		put_enum(out, field->descriptor, *(const int *)value);
	} else if (field->type == PROTOBUF_C_TYPE_BOOL) {
		put_bool(
		    out, *(const protobuf_c_boolean *)value != 0, for_people);
	} else {
		put_number(out, field, value, for_people);
	}
	jy_assert(fclose(out) == 0 && text != NULL);
	return text;
}

bool
value_is_bare(const ProtobufCFieldDescriptor *field)
{
	return field->type != PROTOBUF_C_TYPE_STRING &&
	    field->type != PROTOBUF_C_TYPE_BYTES &&
	    field->type != PROTOBUF_C_TYPE_ENUM &&
	    hexadecimal_digits(field->name) == 0;
}
