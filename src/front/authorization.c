/* SPDX-License-Identifier: Apache-2.0 */
/* The two schemes of Authorization; the clear text is wiped when hashed. */
#include "src/front/authorization.h"

#include <string.h>
#include <strings.h>

#include "src/base/secret.h"
#include "src/front/http.h"
#include "src/front/tls_digest.h"

_Static_assert(AUTHORIZATION_HASH_LEN == TLS_DIGEST_LEN, "SHA-256");

/* No header is longer. */
#define BASIC_MAX (HTTP_HEADER_MAX / 4 * 3)

static bool
hash_bearer(const char *text, size_t len, uint8_t *out)
{
	return tls_digest("joinery bearer", text, len, out);
}

static bool
hash_basic(const char *text, size_t len, uint8_t *out)
{
	uint8_t clear[BASIC_MAX];
	size_t clear_len = 0;
	bool ok =
	    tls_digest_base64(text, len, clear, sizeof(clear), &clear_len) &&
	    memchr(clear, ':', clear_len) != NULL &&
	    tls_digest("joinery basic", clear, clear_len, out);

	secret_wipe(clear, sizeof(clear));
	return ok;
}

static const struct {
	const char *name;
	bool (*hash)(const char *text, size_t len, uint8_t *out);
} schemes[] = {
	{ "Bearer", hash_bearer },
	{ "Basic", hash_basic },
};

bool
authorization_hash(const char *value, uint8_t out[AUTHORIZATION_HASH_LEN])
{
	static const char blank[] = " \t";
	size_t scheme_len, len;
	const char *text;

	if (value == NULL) {
		return false;
	}
	scheme_len = strcspn(value, blank);
	text = value + scheme_len;
	text += strspn(text, blank);
	len = strlen(text);
	while (len > 0 && strchr(blank, text[len - 1]) != NULL) {
		len--;
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes) && len > 0; i++) {
		if (strlen(schemes[i].name) == scheme_len &&
		    strncasecmp(value, schemes[i].name, scheme_len) == 0) {
			return schemes[i].hash(text, len, out);
		}
	}
	return false;
}
