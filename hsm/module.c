/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module and the token: reads the URI (RFC 7512), loads the module it
 * names and finds the one token.  The module is loaded unmanaged, because
 * only so C_Initialize can be given a parameter string; it is ours alone.
 *
 * Refused: anything in the URI that would be silently ignored, and a PIN in
 * the URI, which process lists and configuration files show to many.
 */
#include <p11-kit/p11-kit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/internal.h"
#include "src/base/sys.h"

#define SLOTS_MAX 256

/* Is the query attribute at text, up to & or the end, one that we know? */
static bool
query_known(const char *text)
{
	static const char *const known[] = { "module-path=", "pin-source=" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strncmp(text, known[i], strlen(known[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* p11-kit takes unknown query attributes without a word. */
static enum jy_err
query_check(const char *text, struct errctx *ec)
{
	const char *p = strchr(text, '?');

	while (p != NULL) {
		p++;
		if (strncmp(p, "pin-value=", 10) == 0) {
			return err_set(ec, JY_ECONFIG,
			    "token URI: pin-value shows the PIN to others; "
			    "use pin-source");
		}
		if (!query_known(p)) {
			return err_set(ec, JY_ECONFIG,
			    "token URI: %.*s is not known",
			    (int)strcspn(p, "=&"), p);
		}
		p = strchr(p, '&');
	}
	return JY_OK;
}

static enum jy_err
uri_parse(struct hsm *hsm, const char *text, struct errctx *ec)
{
	enum jy_err err = query_check(text, ec);
	const CK_TOKEN_INFO *named;
	CK_ULONG attrs = 0;
	int result;

	if (err != JY_OK) {
		return err;
	}
	result = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, hsm->uri);
	if (result != P11_KIT_URI_OK) {
		return err_set(ec, JY_ECONFIG, "token URI: %s",
		    p11_kit_uri_message(result));
	}
	(void)p11_kit_uri_get_attributes(hsm->uri, &attrs);
	if (p11_kit_uri_any_unrecognized(hsm->uri) || attrs > 0) {
		return err_set(ec, JY_ECONFIG,
		    "token URI: an attribute is not one of a token");
	}
	named = p11_kit_uri_get_token_info(hsm->uri);
	if (named->label[0] == '\0' && named->serialNumber[0] == '\0') {
		return err_set(ec, JY_ECONFIG,
		    "token URI: neither token= nor serial= is given");
	}
	if (p11_kit_uri_get_module_path(hsm->uri) == NULL) {
		return err_set(
		    ec, JY_ECONFIG, "token URI: module-path= is missing");
	}
	return JY_OK;
}

static enum jy_err
module_initialize(struct hsm *hsm, struct errctx *ec)
{
	/* NSS has one more member than the standard before pReserved. */
	struct {
		CK_C_INITIALIZE_ARGS args;
		void *nss_reserved;
	} init = { .args = { .flags = CKF_OS_LOCKING_OK } };
	char name[RV_NAME_MAX];
	CK_RV rv;

	if (hsm->init_args[0] != '\0') {
		init.args.pReserved = hsm->init_args;
	}
	(void)turn_take(&hsm->turn);
	rv = P11(hsm, C_Initialize(&init));
	turn_leave(&hsm->turn);
	if (rv != CKR_OK) {
		return err_set(ec, JY_ETOKEN,
		    "C_Initialize: %s; does the module find its own "
		    "configuration (SoftHSM: SOFTHSM2_CONF, tokendir)?",
		    rv_name(rv, name));
	}
	hsm->initialised = true;
	return JY_OK;
}

enum jy_err
module_open(struct hsm *hsm, const struct hsm_config *config, struct errctx *ec)
{
	enum jy_err err;
	const char *path;

	hsm->uri = p11_kit_uri_new();
	jy_assert(hsm->uri != NULL);
	hsm->turn.dir = config->turn_dir;
	hsm->init_args =
	    sys_xstrdup(config->init_args != NULL ? config->init_args : "");
	err = uri_parse(hsm, config->uri, ec);
	if (err != JY_OK) {
		return err;
	}
	path = p11_kit_uri_get_module_path(hsm->uri);
	hsm->f = p11_kit_module_load(
	    path, P11_KIT_MODULE_UNMANAGED | P11_KIT_MODULE_CRITICAL);
	if (hsm->f == NULL) {
		const char *why = p11_kit_message();

		return err_set(ec, JY_ECONFIG, "load module %s: %s", path,
		    why != NULL ? why : "failed");
	}
	return module_initialize(hsm, ec);
}

void
module_close(struct hsm *hsm)
{
	if (hsm->initialised) {
		(void)P11(hsm, C_Finalize(NULL));
		hsm->initialised = false;
	}
	if (hsm->f != NULL) {
		p11_kit_module_release(hsm->f);
		hsm->f = NULL;
	}
	p11_kit_uri_free(hsm->uri);
	hsm->uri = NULL;
	free(hsm->init_args);
	hsm->init_args = NULL;
}

enum jy_err
module_restart(struct hsm *hsm, struct errctx *ec)
{
	(void)P11(hsm, C_Finalize(NULL));
	hsm->initialised = false;
	return module_initialize(hsm, ec);
}

static enum jy_err
find_token(struct hsm *hsm, struct token_info *out, struct errctx *ec)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	char name[RV_NAME_MAX];
	struct token_info token;
	unsigned matches = 0;
	CK_RV rv, bad = CKR_OK;

	rv = P11(hsm, C_GetSlotList(CK_TRUE, slots, &count));
	if (rv != CKR_OK) {
		return err_set(
		    ec, JY_ETOKEN, "C_GetSlotList: %s", rv_name(rv, name));
	}
	for (CK_ULONG i = 0; i < count; i++) {
		token.slot = slots[i];
		rv = P11(hsm, C_GetTokenInfo(slots[i], &token.info));
		if (rv != CKR_OK) {
			bad = rv;
		} else if (p11_kit_uri_match_token_info(
			       hsm->uri, &token.info)) {
			*out = token;
			matches++;
		}
	}
	/* Ours may be the one that does not say its name just now. */
	if (matches == 0 && (bad != CKR_OK || count == 0)) {
		return err_set(ec, JY_ETOKEN, "no token matches the URI: %s",
		    count == 0 ? "there is none" : rv_name(bad, name));
	}
	if (matches > 1) {
		return err_set(ec, JY_ECONFIG,
		    "token URI: %u tokens match; add serial=", matches);
	}
	return matches == 1 ? JY_OK : JY_ENOTFOUND;
}

enum jy_err
module_find_token(struct hsm *hsm, struct token_info *out, struct errctx *ec)
{
	enum jy_err err;

	(void)turn_take(&hsm->turn);
	err = find_token(hsm, out, ec);
	turn_leave(&hsm->turn);
	if (err == JY_OK) {
		write_learn(hsm, &out->info);
	}
	return err;
}

/* A PKCS#11 text is padded with spaces and has no NUL. */
static void
copy_padded(char *out, const unsigned char *in, size_t len)
{
	while (len > 0 && (in[len - 1] == ' ' || in[len - 1] == '\0')) {
		len--;
	}
	memcpy(out, in, len);
	out[len] = '\0';
}

void
module_describe(const struct hsm *hsm, const struct token_info *token,
    struct hsm_report *report)
{
	char description[33];
	CK_INFO info;

	(void)snprintf(report->module, sizeof(report->module), "%s",
	    p11_kit_uri_get_module_path(hsm->uri));
	copy_padded(report->token, token->info.label, 32);
	copy_padded(report->serial, token->info.serialNumber, 16);
	copy_padded(report->model, token->info.model, 16);
	if (hsm->f->C_GetInfo(&info) == CKR_OK) {
		copy_padded(description, info.libraryDescription, 32);
		(void)snprintf(report->library, sizeof(report->library),
		    "%.31s %u.%u", description, info.libraryVersion.major,
		    info.libraryVersion.minor);
	}
}
