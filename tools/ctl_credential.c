/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens and passwords by which HTTP peers prove who they are.  Only their
 * hashes leave this process for the server; one that is made here is shown
 * once, when the server has stored its hash.
 */
#include <string.h>

#include "tools/ctl.h"

/* Read or make the secret of an option. */
static enum ctl_exit
secret_get(
    struct ctl *ctl, enum ctl_option option, struct secret **out, bool *is_new)
{
	struct errctx ec = ERRCTX_INIT;
	const char *path = NULL;
	enum ctl_exit exit;
	enum jy_err err;

	*is_new = strcmp(ctl->args.value[option], "new") == 0;
	if (*is_new) {
		err = seal_new_token(out, &ec);
	} else {
		exit = ctl_secret_path(ctl, option, &path);
		if (exit != CTL_OK) {
			return exit;
		}
		ctl_secret_warn(path);
		err = seal_read_token(path, out, &ec);
	}
	return err == JY_OK
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_LOCAL, NULL, "--%s: %s",
		  ctl_options[option].name, err_detail(&ec, err));
}

/* Hash the option's secret; *new_one is it, if it was made here. */
static enum ctl_exit
secret_hash(struct ctl *ctl, enum ctl_option option, const char *user,
    uint8_t hash[SEAL_HASH_LEN], struct secret **new_one)
{
	struct errctx ec = ERRCTX_INIT;
	struct secret *secret = NULL;
	bool is_new;
	enum ctl_exit exit = secret_get(ctl, option, &secret, &is_new);
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	/* An Authorization header ends a token at a blank. */
	if (user == NULL &&
	    memchr(secret_bytes(secret), ' ', secret_len(secret)) != NULL) {
		secret_free(secret);
		return ctl_fail(ctl, CTL_LOCAL, NULL,
		    "--%s: a token has no blanks", ctl_options[option].name);
	}
	err = seal_hash_token(user, secret, hash, &ec);
	if (is_new) {
		*new_one = secret;
	} else {
		secret_free(secret);
	}
	return err == JY_OK
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(&ec, err));
}

static enum ctl_exit
read_bearer(struct ctl *ctl, Joinery__V1__Peer *p, struct ctl_credentials *out)
{
	const char *value = ctl_value(ctl, BEARER_TOKEN);

	if (value == NULL) {
		return CTL_OK;
	}
	p->has_bearer_hash = 1;
	p->bearer_hash = (ProtobufCBinaryData){ 0, out->bearer_hash };
	if (value[0] == '\0') {
		return CTL_OK;
	}
	p->bearer_hash.len = sizeof(out->bearer_hash);
	return secret_hash(
	    ctl, OPT_BEARER_TOKEN, NULL, out->bearer_hash, &out->new_token);
}

/* RFC 7617: no colon, as that ends it. */
static enum ctl_exit
read_user(struct ctl *ctl, Joinery__V1__Peer *p)
{
	const char *user = ctl_value(ctl, BASIC_USER);

	for (const char *c = user; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~' || *c == ':') {
			return ctl_fail(ctl, CTL_USAGE, NULL,
			    "--basic-user is printable ASCII without colon");
		}
	}
	return args_text(ctl, OPT_BASIC_USER, STORE_LABEL_MAX, &p->basic_user);
}

static enum ctl_exit
read_basic(struct ctl *ctl, Joinery__V1__Peer *p, struct ctl_credentials *out)
{
	const char *user = ctl_value(ctl, BASIC_USER);
	const char *password = ctl_value(ctl, BASIC_PASSWORD);
	bool has_user = user != NULL && user[0] != '\0';
	bool has_password = password != NULL && password[0] != '\0';
	enum ctl_exit exit;

	if (user == NULL && password == NULL) {
		return CTL_OK;
	}
	if (user == NULL || has_user != has_password) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--basic-user and --basic-password go together: the hash "
		    "is of both");
	}
	exit = read_user(ctl, p);
	p->has_basic_hash = 1;
	p->basic_hash = (ProtobufCBinaryData){ 0, out->basic_hash };
	if (exit != CTL_OK || !has_user) {
		return exit;
	}
	p->basic_hash.len = sizeof(out->basic_hash);
	return secret_hash(
	    ctl, OPT_BASIC_PASSWORD, user, out->basic_hash, &out->new_password);
}

enum ctl_exit
credentials_read(
    struct ctl *ctl, Joinery__V1__Peer *p, struct ctl_credentials *out)
{
	const char *token = ctl_value(ctl, BEARER_TOKEN);
	const char *password = ctl_value(ctl, BASIC_PASSWORD);
	enum ctl_exit exit;

	*out = (struct ctl_credentials){ .new_token = NULL };
	if (token != NULL && password != NULL && strcmp(token, "-") == 0 &&
	    strcmp(password, "-") == 0) {
		return ctl_fail(ctl, CTL_USAGE, "put one of them into a file",
		    "only one secret can come from standard input");
	}
	exit = read_bearer(ctl, p, out);
	return exit != CTL_OK ? exit : read_basic(ctl, p, out);
}

static void
show_new(struct ctl *ctl, const char *name, const struct secret *secret)
{
	char text[SEAL_TOKEN_MAX + 1];

	if (secret == NULL) {
		return;
	}
	memcpy(text, secret_bytes(secret), secret_len(secret));
	text[secret_len(secret)] = '\0';
	show_named(&ctl->show, name, text);
	secret_wipe(text, sizeof(text));
}

void
credentials_show_new(struct ctl *ctl, const struct ctl_credentials *credentials)
{
	show_new(ctl, "bearer_token", credentials->new_token);
	show_new(ctl, "basic_password", credentials->new_password);
}

void
credentials_fini(struct ctl_credentials *credentials)
{
	secret_free(credentials->new_token);
	secret_free(credentials->new_password);
}
