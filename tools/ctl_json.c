/* SPDX-License-Identifier: Apache-2.0 */
/* JSON (RFC 8259) on a stream.  Whether writing worked is asked of it once. */
#include "tools/ctl_json.h"

#include <inttypes.h>
#include <string.h>

#include "src/base/err.h"

void
json_init(struct json *j, FILE *out)
{
	*j = (struct json){ .out = out };
}

uint32_t
json_utf8(const char **p)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)*p;
	unsigned more = s[0] < 0x80 ? 0
	    : s[0] >> 5 == 0x06     ? 1
	    : s[0] >> 4 == 0x0e     ? 2
	    : s[0] >> 3 == 0x1e     ? 3
				    : 4;
	uint32_t c;

	*p += 1;
	if (more == 4) {
		return UINT32_MAX;
	}
	c = more == 0 ? s[0] : s[0] & (0x3fU >> more);
	for (unsigned i = 1; i <= more; i++) {
		if (s[i] >> 6 != 2) { /* a NUL ends it here, too */
			return UINT32_MAX;
		}
		c = c << 6 | (s[i] & 0x3fU);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		return UINT32_MAX;
	}
	*p += more;
	return c;
}

static void
put_quoted(FILE *out, const char *text)
{
	(void)fputc('"', out);
	while (*text != '\0') {
		const char *start = text;
		uint32_t c = json_utf8(&text);

		if (c == UINT32_MAX) {
			(void)fputs("\\ufffd", out);
		} else if (c == '"' || c == '\\') {
			(void)fprintf(out, "\\%c", (char)c);
		} else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			(void)fprintf(out, "\\u%04" PRIx32, c);
		} else {
			(void)fwrite(start, 1, (size_t)(text - start), out);
		}
	}
	(void)fputc('"', out);
}

static void
start_value(struct json *j, const char *name)
{
	if (j->filled[j->depth]) {
		(void)fputc(',', j->out);
	}
	j->filled[j->depth] = true;
	if (name != NULL) {
		put_quoted(j->out, name);
		(void)fputc(':', j->out);
	}
}

static void
open_level(struct json *j, const char *name, char open, char close)
{
	jy_assert(j->depth < JSON_DEPTH_MAX);
	start_value(j, name);
	(void)fputc(open, j->out);
	j->close[j->depth] = close;
	j->depth++;
	j->filled[j->depth] = false;
}

void
json_object(struct json *j, const char *name)
{
	open_level(j, name, '{', '}');
}

void
json_array(struct json *j, const char *name)
{
	open_level(j, name, '[', ']');
}

void
json_end(struct json *j)
{
	jy_assert(j->depth > 0);
	j->depth--;
	(void)fputc(j->close[j->depth], j->out);
	if (j->depth == 0) {
		(void)fputc('\n', j->out);
	}
}

void
json_end_to(struct json *j, unsigned depth)
{
	while (j->depth > depth) {
		json_end(j);
	}
}

void
json_text(struct json *j, const char *name, const char *value)
{
	start_value(j, name);
	put_quoted(j->out, value);
}

void
json_number(struct json *j, const char *name, uint64_t value)
{
	start_value(j, name);
	(void)fprintf(j->out, "%" PRIu64, value);
}

void
json_raw(struct json *j, const char *name, const char *value)
{
	start_value(j, name);
	(void)fputs(value, j->out);
}
