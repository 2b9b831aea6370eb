/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a token, which proves it, and closing it.  A token that is not
 * proved is not given to anybody.
 */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "hsm/internal.h"
#include "src/base/sys.h"

/* No thread pins more keys at a time than a join uses. */
#define PINS_PER_SESSION 8

struct hsm *
token_new(void)
{
	struct hsm *hsm = sys_xcalloc(1, sizeof(*hsm));

	(void)pthread_mutex_init(&hsm->lane, NULL);
	(void)pthread_mutex_init(&hsm->pool_lock, NULL);
	(void)pthread_cond_init(&hsm->pool_free, NULL);
	(void)pthread_mutex_init(&hsm->cache_lock, NULL);
	hsm->scratch.hsm = hsm;
	turn_init(&hsm->turn, NULL, "token.lock");
	return hsm;
}

void
token_free(struct hsm *hsm)
{
	if (hsm == NULL) {
		return;
	}
	for (unsigned i = 0; i < hsm->session_count; i++) {
		session_drop(&hsm->sessions[i]);
	}
	free(hsm->sessions);
	cache_close(hsm);
	index_free(&hsm->index);
	anchor_close(hsm);
	module_close(hsm);
	turn_fini(&hsm->turn);
	(void)pthread_mutex_destroy(&hsm->lane);
	(void)pthread_mutex_destroy(&hsm->pool_lock);
	(void)pthread_cond_destroy(&hsm->pool_free);
	(void)pthread_mutex_destroy(&hsm->cache_lock);
	free(hsm);
}

/* The line of that policy in the report, or NULL. */
static struct hsm_check *
policy_line(struct hsm_report *report, const char *name)
{
	for (size_t i = 0; i < report->check_count; i++) {
		struct hsm_check *c = &report->checks[i];

		if (strncmp(c->name, "policy ", 7) == 0 &&
		    strcmp(c->name + 7, name) == 0) {
			return c;
		}
	}
	return NULL;
}

static enum jy_err
require(const struct hsm_config *config, struct hsm_report *report,
    struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < config->require_count; i++) {
		struct hsm_check *c = policy_line(report, config->require[i]);

		if (c == NULL) {
			return err_set(ec, JY_ECONFIG,
			    "required guarantee \"%s\" is not known",
			    config->require[i]);
		}
		c->needed = true;
		if (!c->ok) {
			err = err_set(ec, JY_EPOLICY,
			    "the token does not give \"%s\"",
			    config->require[i]);
		}
	}
	return err;
}

/* The attribute lists of the hot path, once it is known what they may say. */
static void
build_hot_templates(struct hsm *hsm)
{
	const struct template_spec parcel = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_DERIVE, .len = 16
	};
	const struct template_spec clear = {
		.row = TEMPLATE_CLEAR, .origin = ORIGIN_DERIVE, .len = 16
	};
	const struct template_spec mac = {
		.row = HSM_MAC, .origin = ORIGIN_DERIVE, .len = 16
	};

	template_build(&hsm->parcel, hsm, &parcel);
	template_build(&hsm->clear, hsm, &clear);
	template_build(&hsm->mac, hsm, &mac);
}

static enum jy_err
find_token(struct hsm *hsm, struct hsm_report *report, struct errctx *ec)
{
	struct token_info token;
	enum jy_err err = module_find_token(hsm, &token, ec);

	if (err == JY_ENOTFOUND) {
		return err_set(ec, JY_ECONFIG,
		    "no token matches the URI; \"joineryctl token init "
		    "--create\" makes one");
	}
	if (err == JY_OK) {
		hsm->slot = token.slot;
		hsm->token_flags = token.info.flags;
		module_describe(hsm, &token, report);
	}
	return err;
}

/* From the URI to a token that is proved; report says how far it went. */
static enum jy_err
prove(struct hsm *hsm, const struct hsm_config *config,
    struct hsm_report *report, struct errctx *ec)
{
	enum jy_err err = module_open(hsm, config, ec);

	if (err == JY_OK) {
		err = find_token(hsm, report, ec);
	}
	if (err == JY_OK) {
		err = anchor_open(hsm, ec);
	}
	if (err == JY_OK) {
		err = policy_probe(hsm, report, ec);
	}
	if (err == JY_OK) {
		err = setup_find(hsm, ec);
	}
	if (err == JY_OK) {
		err = mechanism_probe(hsm, report, ec);
	}
	if (err == JY_OK) {
		err = require(config, report, ec);
	}
	return err;
}

enum jy_err
hsm_open(const struct hsm_config *config, struct hsm **out,
    struct hsm_report *report, struct errctx *ec)
{
	struct hsm *hsm = token_new();
	enum jy_err err;

	jy_assert(config->sessions >= 1 && config->cache >= 16);
	memset(report, 0, sizeof(*report));
	err = prove(hsm, config, report, ec);
	if (err != JY_OK) {
		token_free(hsm);
		return err;
	}
	report->ok = true;
	build_hot_templates(hsm);
	session_pool_open(hsm, config->sessions);
	cache_open(
	    hsm, config->cache + (size_t)PINS_PER_SESSION * config->sessions);
	*out = hsm;
	return JY_OK;
}

void
hsm_close(struct hsm *hsm)
{
	token_free(hsm);
}

void
hsm_identity(const struct hsm *hsm, uint8_t out[HSM_IDENTITY_LEN])
{
	memcpy(out, hsm->canary_kcv, HSM_IDENTITY_LEN);
}

void
hsm_stats(const struct hsm *hsm, struct hsm_stats *out)
{
	out->calls = atomic_load_explicit(&hsm->calls, memory_order_relaxed);
	out->cache_misses =
	    atomic_load_explicit(&hsm->misses, memory_order_relaxed);
}
