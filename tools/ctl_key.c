/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys on their way to the token: read from a file or standard input, never
 * from an argument, sealed to the import key, gone from memory.  With
 * --import-key the admin says which import key that must be, so that not even
 * the server can name its own.
 */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl.h"
#include "tools/seal.h"

struct import_key {
	uint8_t *der;
	size_t len;
	uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
	bool has_previous; /* one that opens what was sealed to it before */
	uint8_t previous[SEAL_FINGERPRINT_LEN];
};

static enum ctl_exit
local_failed(struct ctl *ctl, enum jy_err err, const struct errctx *ec)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(ec, err));
}

/* ---- the import key ---- */

/* After a rotation the server still names the one before. */
static enum ctl_exit
pinned_differs(struct ctl *ctl, const struct import_key *served,
    const uint8_t pinned[SEAL_FINGERPRINT_LEN])
{
	char hex[HEX_STR_LEN(SEAL_FINGERPRINT_LEN)];
	const char *path = ctl_value(ctl, IMPORT_KEY);

	hex_format(served->fingerprint, sizeof(served->fingerprint), hex);
	if (served->has_previous &&
	    memcmp(served->previous, pinned, SEAL_FINGERPRINT_LEN) == 0) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "no key was sent; ask who rotated it whether that is the "
		    "new one, then put what \"joineryctl import-key show\" "
		    "prints in the file",
		    "the server says that its import key was rotated since %s "
		    "was written, to %s",
		    path, hex);
	}
	return ctl_fail(ctl, CTL_LOCAL,
	    "no key was sent; find out whether the token was replaced before "
	    "you trust the new import key",
	    "the server's import key is not the one in %s, but %s", path, hex);
}

/* The one in the file of --import-key must be the server's. */
static enum ctl_exit
check_pinned(struct ctl *ctl, const struct import_key *served)
{
	const char *path = ctl_value(ctl, IMPORT_KEY);
	uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
	struct errctx ec = ERRCTX_INIT;
	uint8_t *der = NULL;
	size_t len = 0;
	enum jy_err err;

	err = seal_read_pem(path, &der, &len, &ec);
	if (err == JY_OK) {
		err = seal_fingerprint(der, len, fingerprint, &ec);
	}
	free(der);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	return memcmp(fingerprint, served->fingerprint, sizeof(fingerprint)) ==
		0
	    ? CTL_OK
	    : pinned_differs(ctl, served, fingerprint);
}

static enum ctl_exit
check_served(struct ctl *ctl, const Joinery__V1__ImportKeyAnswer *answer,
    struct import_key *out)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	if (!answer->has_public_key || !answer->has_fingerprint) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "\"joineryctl token init\" makes one",
		    "the server has no import key");
	}
	err = seal_fingerprint(answer->public_key.data, answer->public_key.len,
	    out->fingerprint, &ec);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	if (answer->fingerprint.len != sizeof(out->fingerprint) ||
	    memcmp(answer->fingerprint.data, out->fingerprint,
		sizeof(out->fingerprint)) != 0) {
		return ctl_fail(ctl, CTL_LOCAL, NULL,
		    "the import key does not have the fingerprint that the "
		    "server says; nothing was sealed to it");
	}
	out->has_previous = answer->has_previous_fingerprint &&
	    answer->previous_fingerprint.len == sizeof(out->previous);
	if (out->has_previous) {
		memcpy(out->previous, answer->previous_fingerprint.data,
		    sizeof(out->previous));
	}
	return CTL_OK;
}

/* Ask what is answered with the import key. */
static enum ctl_exit
import_key_ask(
    struct ctl *ctl, Joinery__V1__Request *request, struct import_key *out)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = ctl_call(
	    ctl, request, JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY, &response);

	if (exit != CTL_OK) {
		return exit;
	}
	exit = check_served(ctl, response->import_key, out);
	if (exit == CTL_OK && ctl_given(ctl, IMPORT_KEY)) {
		exit = check_pinned(ctl, out);
	}
	if (exit == CTL_OK) {
		out->len = response->import_key->public_key.len;
		out->der = sys_xmalloc(out->len);
		memcpy(
		    out->der, response->import_key->public_key.data, out->len);
	}
	client_free(response);
	return exit;
}

static enum ctl_exit
import_key_get(struct ctl *ctl, struct import_key *out)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__ImportKeyRequest call =
	    JOINERY__V1__IMPORT_KEY_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_KEY;
	request.import_key = &call;
	return import_key_ask(ctl, &request, out);
}

static void
put_import_key(struct show *show, const struct import_key *key, const char *pem)
{
	char hex[HEX_STR_LEN(SEAL_FINGERPRINT_LEN)], before[sizeof(hex)] = "";

	hex_format(key->fingerprint, sizeof(key->fingerprint), hex);
	if (key->has_previous) {
		hex_format(key->previous, sizeof(key->previous), before);
	}
	if (!show->json) {
		(void)fprintf(show->writer.out, "SHA-256 %s\n%s%s%s%s", hex,
		    key->has_previous ? "before  " : "", before,
		    key->has_previous ? "\n" : "", pem);
		return;
	}
	json_text(&show->writer, "fingerprint", hex);
	if (key->has_previous) {
		json_text(&show->writer, "previous_fingerprint", before);
	}
	json_text(&show->writer, "pem", pem);
}

/* Show it, and give it back. */
static enum ctl_exit
import_key_show(struct ctl *ctl, struct import_key *key)
{
	struct errctx ec = ERRCTX_INIT;
	char *pem = NULL;
	enum jy_err err = seal_format_pem(key->der, key->len, &pem, &ec);

	free(key->der);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	put_import_key(&ctl->show, key, pem);
	free(pem);
	return CTL_OK;
}

enum ctl_exit
verb_import_key_show(struct ctl *ctl)
{
	struct import_key key = { .der = NULL };
	enum ctl_exit exit = import_key_get(ctl, &key);

	return exit == CTL_OK ? import_key_show(ctl, &key) : exit;
}

static enum ctl_exit
rotate(struct ctl *ctl, bool drop_previous)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__ImportKeyRotateRequest call =
	    JOINERY__V1__IMPORT_KEY_ROTATE_REQUEST__INIT;
	struct import_key key = { .der = NULL };
	enum ctl_exit exit;

	call.has_drop_previous = 1;
	call.drop_previous = drop_previous;
	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_KEY_ROTATE;
	request.import_key_rotate = &call;
	exit = import_key_ask(ctl, &request, &key);
	return exit == CTL_OK ? import_key_show(ctl, &key) : exit;
}

enum ctl_exit
verb_import_key_rotate(struct ctl *ctl)
{
	return rotate(ctl, false);
}

enum ctl_exit
verb_import_key_drop_old(struct ctl *ctl)
{
	return rotate(ctl, true);
}

/* ---- keys ---- */

enum ctl_exit
ctl_secret_path(struct ctl *ctl, enum ctl_option option, const char **path)
{
	const char *value = ctl->args.value[option];
	enum ctl_exit exit;

	if (strcmp(value, "-") == 0) {
		*path = value;
		return CTL_OK;
	}
	if (value[0] == '@' && value[1] != '\0') {
		*path = value + 1;
		return CTL_OK;
	}
	exit = ctl_fail(ctl, CTL_USAGE,
	    "other users see arguments, and shells keep them: if that was a "
	    "secret, replace it.  @FILE reads it from a file, - from standard "
	    "input",
	    "--%s takes no %s itself", ctl_options[option].name,
	    strstr(ctl_options[option].name, "key") != NULL ? "key" : "secret");
	jy_assert(exit != CTL_OK);
	return exit;
}

void
ctl_secret_warn(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 &&
	    S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)) != 0) {
		(void)fputs("joineryctl: warning: ", stderr);
		show_text(stderr, path);
		(void)fprintf(stderr,
		    ": others may read this key (mode %03o); chmod 600\n",
		    (unsigned)(st.st_mode & 0777));
	}
}

static enum ctl_exit
key_read(struct ctl *ctl, const struct ctl_key *key, struct secret **out)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *clear = NULL;
	const char *path = NULL;
	enum ctl_exit exit = ctl_secret_path(ctl, key->option, &path);
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	ctl_secret_warn(path);
	err = seal_read_key(path, &clear, &ec);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	if (key->len != 0 && secret_len(clear) != key->len) {
		exit = ctl_fail(ctl, CTL_LOCAL, NULL,
		    "--%s: a key of %zu octets is needed, this has %zu",
		    ctl_options[key->option].name, key->len, secret_len(clear));
		secret_free(clear);
		return exit;
	}
	*out = clear;
	return CTL_OK;
}

static enum ctl_exit
key_seal(struct ctl *ctl, const struct import_key *to,
    const struct secret *clear, struct ctl_key *key)
{
	struct sealed_key *s = sys_xcalloc(1, sizeof(*s));
	Joinery__V1__SealedKey *m = &key->message;
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	key->sealed = s;
	err = seal_key(to->der, to->len, clear, s, &ec);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	m->has_import_key = 1;
	m->import_key =
	    (ProtobufCBinaryData){ sizeof(s->import_key), s->import_key };
	m->has_transport_key = 1;
	m->transport_key =
	    (ProtobufCBinaryData){ s->transport_key_len, s->transport_key };
	m->has_wrapped_key = 1;
	m->wrapped_key =
	    (ProtobufCBinaryData){ s->wrapped_key_len, s->wrapped_key };
	m->has_check_value = 1;
	m->check_value =
	    (ProtobufCBinaryData){ sizeof(s->check_value), s->check_value };
	return CTL_OK;
}

#define KEYS_MAX 2

/* Standard input is one key's; and all are of an allowed form. */
static enum ctl_exit
check_sources(struct ctl *ctl, const struct ctl_key *keys, size_t n)
{
	size_t from_stdin = 0;

	for (size_t i = 0; i < n; i++) {
		enum ctl_option option = keys[i].option;
		const char *path = NULL;
		enum ctl_exit exit;

		if (ctl->args.value[option] == NULL) {
			continue;
		}
		exit = ctl_secret_path(ctl, option, &path);
		if (exit != CTL_OK) {
			return exit;
		}
		from_stdin += strcmp(path, "-") == 0;
	}
	return from_stdin <= 1
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_USAGE, "put one of them into a file",
		  "only one key can come from standard input");
}

enum ctl_exit
ctl_keys_seal(struct ctl *ctl, struct ctl_key *keys, size_t n)
{
	struct secret *clear[KEYS_MAX] = { NULL };
	struct import_key to = { .der = NULL };
	enum ctl_exit exit = check_sources(ctl, keys, n);
	size_t given = 0;

	jy_assert(n <= KEYS_MAX);
	for (size_t i = 0; i < n && exit == CTL_OK; i++) {
		if (ctl->args.value[keys[i].option] != NULL) {
			exit = key_read(ctl, &keys[i], &clear[i]);
			given++;
		}
	}
	if (exit == CTL_OK && given > 0) {
		exit = import_key_get(ctl, &to);
	}
	for (size_t i = 0; i < n; i++) {
		if (exit == CTL_OK && clear[i] != NULL) {
			exit = key_seal(ctl, &to, clear[i], &keys[i]);
		}
		secret_free(clear[i]);
	}
	free(to.der);
	return exit;
}

void
ctl_keys_fini(struct ctl_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(keys[i].sealed);
	}
}
