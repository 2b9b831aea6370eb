/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of peers as octets, the same for every backend. */
#include "src/store/credential.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/base/bytes.h"

static struct credential
credential_make(char kind, const void *value, size_t len)
{
	struct credential c = { .len = 1 + len };

	jy_assert(c.len <= sizeof(c.octets));
	c.octets[0] = (uint8_t)kind;
	memcpy(c.octets + 1, value, len);
	return c;
}

struct credential
credential_of_uid(uint32_t uid)
{
	uint8_t be[4];
	struct writer w;

	writer_init(&w, be, sizeof(be));
	writer_be(&w, uid, sizeof(be));
	return credential_make('u', be, sizeof(be));
}

struct credential
credential_of_fingerprint(const uint8_t fingerprint[STORE_FINGERPRINT_LEN])
{
	return credential_make('f', fingerprint, STORE_FINGERPRINT_LEN);
}

struct credential
credential_of_authorization(const uint8_t hash[STORE_HASH_LEN])
{
	return credential_make('h', hash, STORE_HASH_LEN);
}

struct credential
credential_of_san(const char *san)
{
	return credential_make('s', san, strnlen(san, STORE_SAN_MAX));
}

struct credential
credential_of_as_id(const char *as_id)
{
	/* One octet more than fits a row, so that a long one matches none. */
	return credential_make('a', as_id, strnlen(as_id, STORE_AS_ID_MAX + 1));
}

bool
credential_eq(const struct credential *a, const struct credential *b)
{
	return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

size_t
credentials_of_peer(
    const struct peer_row *row, struct credential out[CREDENTIALS_OF_PEER_MAX])
{
	size_t n = 0;

	if (row->has_uid) {
		out[n++] = credential_of_uid(row->uid);
	}
	if (row->has_fingerprint) {
		out[n++] = credential_of_fingerprint(row->fingerprint);
	}
	if (row->cert_san[0] != '\0') {
		out[n++] = credential_of_san(row->cert_san);
	}
	if (row->has_bearer) {
		out[n++] = credential_of_authorization(row->bearer_hash);
	}
	if (row->basic_user[0] != '\0') {
		out[n++] = credential_of_authorization(row->basic_hash);
	}
	for (size_t i = 0; i < row->as_id_count; i++) {
		if (row->as_ids[i][0] != '\0') {
			out[n++] = credential_of_as_id(row->as_ids[i]);
		}
	}
	return n;
}

const char *
credential_str(const struct credential *c, char out[CREDENTIAL_STR_LEN])
{
	char hex[HEX_STR_LEN(STORE_FINGERPRINT_LEN)];
	struct reader r;

	reader_init(&r, c->octets + 1, c->len - 1);
	switch (c->octets[0]) {
	case 'u':
		(void)snprintf(
		    out, CREDENTIAL_STR_LEN, "uid %" PRIu64, reader_be(&r, 4));
		break;
	case 'f':
		hex_format(c->octets + 1, STORE_FINGERPRINT_LEN, hex);
		(void)snprintf(out, CREDENTIAL_STR_LEN, "SHA-256 %s", hex);
		break;
	case 'h':
		(void)snprintf(out, CREDENTIAL_STR_LEN, "HTTP authorization");
		break;
	default:
		(void)snprintf(out, CREDENTIAL_STR_LEN, "%s %.*s",
		    c->octets[0] == 's' ? "SAN" : "AS-ID", (int)(c->len - 1),
		    (const char *)c->octets + 1);
	}
	return out;
}
