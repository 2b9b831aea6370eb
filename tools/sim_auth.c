/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of HTTP; what is read from a file is wiped behind itself. */
#include "tools/sim_auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#define LINE_MAX_LEN 512
#define TEXT_MAX (2 * LINE_MAX_LEN)

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~') {
			return false;
		}
	}
	return true;
}

static enum jy_err
read_line(const char *path, char line[LINE_MAX_LEN], struct errctx *ec)
{
	char buf[BUFSIZ];
	enum jy_err err = JY_OK;
	FILE *in = fopen(path, "re");

	if (in == NULL) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	/* A buffer of our own, so that what is in it can be wiped. */
	(void)setvbuf(in, buf, _IOFBF, sizeof(buf));
	if (fgets(line, LINE_MAX_LEN, in) == NULL) {
		line[0] = '\0';
	}
	(void)fclose(in);
	secret_wipe(buf, sizeof(buf));
	if (strlen(line) == LINE_MAX_LEN - 1) {
		err = err_set(ec, JY_EINVAL, "%s: too long", path);
	}
	line[strcspn(line, "\r\n")] = '\0';
	if (err == JY_OK && (line[0] == '\0' || !is_printable(line))) {
		err = err_set(ec, JY_EINVAL,
		    "%s: its first line is no token or password", path);
	}
	return err;
}

/* A text in locked memory. */
static enum jy_err
text_new(
    const char *head, const char *text, struct secret **out, struct errctx *ec)
{
	size_t len = strlen(head) + strlen(text) + 1;
	enum jy_err err = secret_new(len, out, ec);

	if (err == JY_OK) {
		(void)snprintf(
		    (char *)secret_data(*out), len, "%s%s", head, text);
		secret_set_len(*out, len);
	}
	return err;
}

enum jy_err
sim_auth_bearer(const char *path, struct secret **out, struct errctx *ec)
{
	char line[LINE_MAX_LEN];
	enum jy_err err = read_line(path, line, ec);

	if (err == JY_OK) {
		err = text_new("Bearer ", line, out, ec);
	}
	secret_wipe(line, sizeof(line));
	return err;
}

enum jy_err
sim_auth_basic(
    const char *user, const char *path, struct secret **out, struct errctx *ec)
{
	char line[LINE_MAX_LEN];
	char pair[TEXT_MAX];
	char text[TEXT_MAX / 3 * 4 + 8];
	enum jy_err err = read_line(path, line, ec);

	if (err == JY_OK && strlen(user) >= LINE_MAX_LEN) {
		err = err_set(ec, JY_EINVAL, "the user's name is too long");
	}
	if (err == JY_OK) {
		int n = snprintf(pair, sizeof(pair), "%s:%s", user, line);

		(void)EVP_EncodeBlock(
		    (unsigned char *)text, (const unsigned char *)pair, n);
		err = text_new("Basic ", text, out, ec);
	}
	secret_wipe(line, sizeof(line));
	secret_wipe(pair, sizeof(pair));
	secret_wipe(text, sizeof(text));
	return err;
}
