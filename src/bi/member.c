/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a JSON message, as liberally as peers spell them. */
#include "src/bi/member.h"

#include <string.h>

#include "src/base/hex.h"

bool
member_refuse(struct reading *r, enum bi_result result)
{
	if (!r->refused) {
		r->refused = true;
		r->q->refused = result;
	}
	return false;
}

bool
member_is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~') {
			return false;
		}
	}
	return true;
}

const char *
member_shown(const char *text, char out[MEMBER_SHOWN_MAX + 1])
{
	size_t len = strnlen(text, MEMBER_SHOWN_MAX);

	for (size_t i = 0; i < len; i++) {
		bool plain = text[i] >= ' ' && text[i] <= '~';

		out[i] = (char)(plain ? text[i] : '?');
	}
	out[len] = '\0';
	return out;
}

const char *
member_digits(const char *text)
{
	bool prefixed = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	return prefixed ? text + 2 : text;
}

bool
member_is_hex(const char *digits)
{
	return strspn(digits, "0123456789abcdefABCDEF") == strlen(digits) &&
	    strlen(digits) % 2 == 0;
}

const json_t *
member_get(const struct reading *r, const char *name)
{
	const json_t *value = json_object_get(r->msg, name);

	return json_is_null(value) ? NULL : value;
}

const char *
member_optional_text(struct reading *r, const char *name)
{
	const json_t *value = member_get(r, name);

	if (value != NULL && !json_is_string(value)) {
		MEMBER_REFUSE(r, MALFORMED, "%s is not a string", name);
	}
	return json_string_value(value);
}

const char *
member_text(struct reading *r, const char *name)
{
	if (member_get(r, name) == NULL) {
		MEMBER_REFUSE(r, MALFORMED, "%s is missing", name);
		return NULL;
	}
	return member_optional_text(r, name);
}

bool
member_parse_octets(
    struct reading *r, const char *name, const char *text, void *out, size_t n)
{
	const char *digits = member_digits(text);

	if (!hex_parse(digits, strlen(digits), out, n)) {
		return MEMBER_REFUSE(r, MALFORMED,
		    "%s is not %zu hexadecimal digits", name, 2 * n);
	}
	return true;
}

bool
member_octets(struct reading *r, const char *name, void *out, size_t n)
{
	const char *text = member_text(r, name);

	return text != NULL && member_parse_octets(r, name, text, out, n);
}

bool
member_number(struct reading *r, const char *name, uint32_t max, uint32_t *out)
{
	const json_t *value = member_get(r, name);
	double n;

	if (value == NULL) {
		return MEMBER_REFUSE(r, MALFORMED, "%s is missing", name);
	}
	n = json_real_value(value);
	if (!json_is_real(value) || n < 0 || n > max ||
	    (double)(uint32_t)n != n) {
		return MEMBER_REFUSE(
		    r, MALFORMED, "%s is not a number from 0 to %u", name, max);
	}
	*out = (uint32_t)n;
	return true;
}
