/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the .txt files of this folder: lines of three fields of digits,
 * "-" for an empty one, '#' before a comment.  For cmocka tests; finds the
 * files through the environment variable srcdir.
 */
#ifndef JY_TESTS_VECTORS_VECTORS_H
#define JY_TESTS_VECTORS_VECTORS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hex.h"

struct vector_field {
	size_t len;
	uint8_t b[128];
};

static inline FILE *
vectors_open(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[512];
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/tests/vectors/%s",
	    srcdir != NULL ? srcdir : ".", name);
	in = fopen(path, "r");
	assert_non_null(in);
	return in;
}

static inline void
vector_field_read(const char *text, struct vector_field *out)
{
	out->len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
	assert_true(out->len <= sizeof(out->b));
	if (out->len > 0) {
		assert_true(hex_parse(text, strlen(text), out->b, out->len));
	}
}

/* Call fn for each line; returns how many there were. */
static inline int
vectors_each(const char *name, void (*fn)(const struct vector_field f[3]))
{
	FILE *in = vectors_open(name);
	char line[1024];
	int count = 0;

	while (fgets(line, sizeof(line), in) != NULL) {
		struct vector_field f[3];
		char text[3][257];

		if (line[0] == '#') {
			continue;
		}
		assert_int_equal(sscanf(line, "%256s %256s %256s", text[0],
				     text[1], text[2]),
		    3);
		for (int i = 0; i < 3; i++) {
			vector_field_read(text[i], &f[i]);
		}
		fn(f);
		count++;
	}
	(void)fclose(in);
	return count;
}

#endif
