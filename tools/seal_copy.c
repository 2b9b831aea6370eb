/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of KEKs as PEM files (RFC 1421 heads, as OpenSSL reads them). */
#include "tools/seal_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "src/base/hex.h"

#define COPY_NAME "JOINERY KEK COPY"
#define HEAD_MAX 1024
#define LABEL_WRITTEN_MAX 200 /* so that the line is short enough for PEM */

/* ---- writing ---- */

/* A label in one line of ASCII: every other octet as %XX. */
static void
put_label(FILE *head, const char *label)
{
	size_t written = 0;

	for (const char *p = label; *p != '\0'; p++) {
		bool plain = *p > ' ' && *p <= '~' && *p != '%';

		written += plain ? 1 : 3;
		if (written > LABEL_WRITTEN_MAX) {
			break;
		}
		(void)fprintf(
		    head, plain ? "%c" : "%%%02X", (unsigned)(unsigned char)*p);
	}
}

static void
put_head(FILE *head, const struct seal_copy *copy)
{
	char hex[HEX_STR_LEN(SEAL_FINGERPRINT_LEN)];

	(void)fputs("Label: ", head);
	put_label(head, copy->label);
	(void)fprintf(head, "\nBits: %" PRIu32 "\n", copy->bits);
	hex_format(copy->check_value, sizeof(copy->check_value), hex);
	(void)fprintf(head, "Check-Value: %s\n", hex);
	(void)fprintf(head, "OAEP-Hash: %s\n", copy->oaep_hash);
	hex_format(copy->public_key, sizeof(copy->public_key), hex);
	(void)fprintf(head, "Public-Key: %s\n", hex);
}

enum jy_err
seal_copy_write(const struct seal_copy *copy, FILE *out, struct errctx *ec)
{
	char head[HEAD_MAX] = "";
	FILE *text = fmemopen(head, sizeof(head), "w");

	jy_assert(text != NULL);
	put_head(text, copy);
	jy_assert(fclose(text) == 0);
	if (PEM_write(out, COPY_NAME, head, copy->wrapped_key,
		(long)copy->wrapped_key_len) <= 0) {
		ERR_clear_error();
		return err_set(ec, JY_EIO, "cannot write: %s", strerror(errno));
	}
	return JY_OK;
}

/* ---- reading ---- */

/* The value of a line of the head, which is cut there; NULL: no such line. */
static const char *
head_value(const char *head, const char *name, char out[128])
{
	size_t len = strlen(name);

	for (const char *line = head; line != NULL && *line != '\0';) {
		const char *end = strchr(line, '\n');

		if (strncmp(line, name, len) == 0 &&
		    strncmp(line + len, ": ", 2) == 0) {
			size_t n = strcspn(line + len + 2, "\r\n");

			if (n >= 128) {
				return NULL;
			}
			memcpy(out, line + len + 2, n);
			out[n] = '\0';
			return out;
		}
		line = end != NULL ? end + 1 : NULL;
	}
	return NULL;
}

static bool
head_octets(const char *head, const char *name, uint8_t *out, size_t len)
{
	char value[128];

	return head_value(head, name, value) != NULL &&
	    strlen(value) == 2 * len && hex_parse(value, 2 * len, out, len);
}

static bool
head_bits(const char *head, uint32_t *out)
{
	char value[128];

	if (head_value(head, "Bits", value) == NULL) {
		return false;
	}
	*out = (uint32_t)strtoul(value, NULL, 10);
	return *out == 128 || *out == 192 || *out == 256;
}

/* NULL, or what of the head is missing or wrong. */
static const char *
head_read(const char *head, struct seal_copy *out)
{
	char hash[128];

	if (!head_bits(head, &out->bits)) {
		return "Bits";
	}
	if (!head_octets(head, "Check-Value", out->check_value,
		sizeof(out->check_value))) {
		return "Check-Value";
	}
	if (!head_octets(
		head, "Public-Key", out->public_key, sizeof(out->public_key))) {
		return "Public-Key";
	}
	if (head_value(head, "OAEP-Hash", hash) == NULL ||
	    strlen(hash) > SEAL_HASH_NAME_MAX) {
		return "OAEP-Hash";
	}
	memcpy(out->oaep_hash, hash, strlen(hash) + 1);
	return NULL;
}

static enum jy_err
copy_parse(const char *path, const char *head, const uint8_t *data, long len,
    struct seal_copy *out, struct errctx *ec)
{
	struct seal_copy copy = { .label = NULL };
	const char *wrong = head_read(head, &copy);

	if (wrong != NULL) {
		return err_set(ec, JY_EINVAL,
		    "%s: %s is missing or not what it may be", path, wrong);
	}
	if (len <= 0 || (size_t)len > sizeof(copy.wrapped_key)) {
		return err_set(ec, JY_EINVAL,
		    "%s: no wrapped key has %ld octets", path, len);
	}
	memcpy(copy.wrapped_key, data, (size_t)len);
	copy.wrapped_key_len = (size_t)len;
	*out = copy;
	return JY_OK;
}

enum jy_err
seal_copy_read(const char *path, struct seal_copy *out, struct errctx *ec)
{
	FILE *f = fopen(path, "re");
	char *name = NULL, *head = NULL;
	unsigned char *data = NULL;
	enum jy_err err;
	long len = 0;

	if (f == NULL) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	ERR_clear_error();
	if (PEM_read(f, &name, &head, &data, &len) != 1 ||
	    strcmp(name, COPY_NAME) != 0) {
		ERR_clear_error();
		err = err_set(ec, JY_EINVAL,
		    "%s: does not start with a copy of a KEK", path);
	} else {
		err = copy_parse(path, head, data, len, out, ec);
	}
	(void)fclose(f);
	OPENSSL_free(name);
	OPENSSL_free(head);
	OPENSSL_free(data);
	return err;
}
