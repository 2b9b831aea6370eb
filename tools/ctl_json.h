/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON, as it comes: nothing is kept but how deep we are. */
#ifndef JY_TOOLS_CTL_JSON_H
#define JY_TOOLS_CTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
	FILE *out;
	unsigned depth;
	char close[JSON_DEPTH_MAX]; /* what ends each level */
	bool filled[JSON_DEPTH_MAX + 1];
};

void json_init(struct json *j, FILE *out);

/* In an array, and for the outermost object, name is NULL. */
void json_object(struct json *j, const char *name);
void json_array(struct json *j, const char *name);
void json_end(struct json *j);

/* End whatever is open down to a depth; after that to 0, a newline. */
void json_end_to(struct json *j, unsigned depth);

/* Octets that are not UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *name, const char *value);
void json_number(struct json *j, const char *name, uint64_t value);

/* A value that is JSON already: a number, true, false. */
void json_raw(struct json *j, const char *name, const char *value);

/*
 * The character at *p, which moves behind it; UINT32_MAX, and one octet on,
 * for what is not UTF-8.
 */
uint32_t json_utf8(const char **p);

#endif
