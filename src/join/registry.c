/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and KEKs as admins change them.  A key is imported first
 * and named by the store after; it is forgotten by the store first and
 * destroyed after.  Runs on a token thread.
 */
#include "src/join/registry.h"

#include <stdio.h>
#include <string.h>

#include "src/base/log.h"
#include "src/join/keys.h"
#include "src/join/roots.h"
#include "src/join/settings.h"

enum jy_err
registry_check_device(
    const struct join_env *env, const struct device_row *row, struct errctx *ec)
{
	if (row->name[0] != '\0' && row->app[0] == '\0') {
		return err_set(
		    ec, JY_EINVAL, "a device name needs an application (app)");
	}
	return settings_check_activation(env->store, &row->activation, ec);
}

/* The row, and with it its root keys that stay outside the token. */
static enum jy_err
put_device(const struct join_env *env, const struct device_row *row,
    const struct root_rows *outside, struct errctx *ec)
{
	struct device_change change = { .row = *row, .ec = ec };
	struct device_change *const list[] = { &change };
	enum jy_err err;

	roots_add(&change, outside);
	err = store_device_put_batch(env->store, list, 1, ec);
	return err == JY_OK ? change.err : err;
}

enum jy_err
registry_device_set(const struct join_env *env, struct device_row *row,
    const struct hsm_sealed *nwk_key, const struct hsm_sealed *app_key,
    struct errctx *ec)
{
	const struct root_sources sources = { .nwk = { .sealed = nwk_key },
		.app = { .sealed = app_key } };
	struct root_rows outside;
	enum jy_err err = registry_check_device(env, row, ec);

	if (err == JY_OK) {
		err = roots_prepare(env, row, &sources, ec);
	}
	if (err == JY_OK) {
		err = roots_import(env, row, &sources, &outside, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	err = put_device(env, row, &outside, ec);
	if (err != JY_OK) {
		roots_undo(env, row, &sources);
		return err;
	}
	/* The change is done; an old key that stays is tried again later. */
	(void)roots_destroy_old(env, row, NULL);
	return JY_OK;
}

enum jy_err
registry_device_delete(
    const struct join_env *env, const struct device_id *id, struct errctx *ec)
{
	struct device_row row;
	enum jy_err err;

	err = store_device_get(env->store, id, &row, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err == JY_ECORRUPT) {
		/* Which keys it had is lost; the row must go all the same. */
		log_warn("registry",
		    "keys of a damaged device stay in the token",
		    "error=\"%s\"", err_detail(ec, err));
		err_clear(ec);
		memset(&row, 0, sizeof(row));
		row.id = *id;
		err = JY_OK;
	}
	if (err == JY_OK) {
		err = store_device_delete(env->store, id, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	roots_destroy(env, id, &row.nwk_key);
	roots_destroy(env, id, &row.app_key);
	/* Its sessions are gone: nothing needs an old key. */
	(void)roots_destroy_old(env, &row, NULL);
	return JY_OK;
}

/* Fill in a new KEK row; the label must be free. */
static enum jy_err
new_kek(const struct join_env *env, const char *label, size_t key_len,
    struct kek_row *row, struct hsm_id *id, struct errctx *ec)
{
	struct kek_row taken;
	enum jy_err err;

	if (label[0] == '\0' || strlen(label) > STORE_LABEL_MAX) {
		return err_set(ec, JY_EINVAL, "a KEK label has 1 to %d octets",
		    STORE_LABEL_MAX);
	}
	if (key_len != 16 && key_len != 24 && key_len != 32) {
		return err_set(ec, JY_EINVAL,
		    "a KEK has 128, 192 or 256 bits, not %zu", key_len * 8);
	}
	err = store_kek_get(env->store, label, &taken, ec);
	if (err == JY_OK) {
		return err_set(ec, JY_EEXIST, "KEK %s is there already", label);
	}
	if (err != JY_ENOTFOUND) {
		return err;
	}
	err_clear(ec);
	memset(row, 0, sizeof(*row));
	(void)snprintf(row->label, sizeof(row->label), "%s", label);
	env->sys->random(&row->key_id, sizeof(row->key_id));
	row->bits = (uint16_t)(key_len * 8);
	row->created_ms = env->sys->now_ms();
	keys_kek_id(row->key_id, id);
	return JY_OK;
}

/* Name the KEK that the token holds now, or destroy it again. */
static enum jy_err
keep_kek(const struct join_env *env, const struct kek_row *row,
    const struct hsm_id *id, struct kek_row *out, struct errctx *ec)
{
	enum jy_err err = store_kek_add(env->store, row, ec);

	if (err == JY_OK) {
		*out = *row;
	} else if (hsm_key_destroy(env->hsm, id, NULL) != JY_OK) {
		log_warn("registry", "unnamed KEK stays in the token",
		    "label=%s", row->label);
	}
	return err;
}

enum jy_err
registry_kek_import(const struct join_env *env, const char *label,
    const struct hsm_sealed *key, struct kek_row *out, struct errctx *ec)
{
	size_t key_len =
	    key->wrapped_key_len < 8 ? 0 : key->wrapped_key_len - 8;
	struct kek_row row;
	struct hsm_id id;
	enum jy_err err;

	err = new_kek(env, label, key_len, &row, &id, ec);
	if (err == JY_OK) {
		err = hsm_key_import(
		    env->hsm, key, key_len, HSM_KEK, &id, label, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	memcpy(row.kcv, key->kcv, sizeof(row.kcv));
	return keep_kek(env, &row, &id, out, ec);
}

enum jy_err
registry_kek_generate(const struct join_env *env, const char *label,
    uint32_t bits, struct kek_row *out, struct errctx *ec)
{
	struct kek_row row;
	struct hsm_id id;
	enum jy_err err;

	err = new_kek(env, label, bits % 8 == 0 ? bits / 8 : 0, &row, &id, ec);
	if (err == JY_OK) {
		err = hsm_key_generate(
		    env->hsm, bits / 8, HSM_KEK, &id, label, row.kcv, ec);
	}
	return err == JY_OK ? keep_kek(env, &row, &id, out, ec) : err;
}

enum jy_err
registry_kek_delete(
    const struct join_env *env, const char *label, struct errctx *ec)
{
	struct kek_row row;
	struct hsm_id id;
	enum jy_err err;

	err = store_kek_get(env->store, label, &row, ec);
	if (err == JY_OK) {
		err = store_kek_delete(env->store, label, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	keys_kek_id(row.key_id, &id);
	err = hsm_key_destroy(env->hsm, &id, ec);
	return err == JY_ENOKEY ? JY_OK : err;
}
