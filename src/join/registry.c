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
#include "src/join/settings.h"

#define ROOT_KEY_LEN 16

/*
 * A generation is random, so that two admins at once, or a device deleted and
 * registered again, never mean the same object of the token.
 */
static uint32_t
new_generation(const struct join_env *env)
{
	uint32_t generation = 0;

	while (generation == 0) {
		env->sys->random(&generation, sizeof(generation));
	}
	return generation;
}

static enum jy_err
import_root(const struct join_env *env, const struct device_id *id,
    const struct hsm_sealed *sealed, uint8_t role, struct device_key *key,
    struct errctx *ec)
{
	const struct device_key fresh = {
		.generation = new_generation(env),
		.role = role,
	};
	char dev[EUI64_STR_LEN], label[64];
	struct hsm_id key_id;
	enum jy_err err;

	keys_root_id(id, &fresh, &key_id);
	(void)snprintf(label, sizeof(label), "joinery %s %s",
	    role == KEY_NWK ? "NwkKey" : "AppKey",
	    eui64_str(&id->dev_eui, dev));
	err = hsm_key_import(env->hsm, sealed, ROOT_KEY_LEN,
	    keys_root_template(role), &key_id, label, ec);
	if (err == JY_OK) {
		*key = fresh;
	}
	return err;
}

/* Destroy a root key; it is named by nothing any more. */
static void
destroy_root(const struct join_env *env, const struct device_id *id,
    const struct device_key *key)
{
	struct errctx ec = ERRCTX_INIT;
	char dev[EUI64_STR_LEN];
	struct hsm_id key_id;
	enum jy_err err;

	if (key->generation == 0) {
		return;
	}
	keys_root_id(id, key, &key_id);
	err = hsm_key_destroy(env->hsm, &key_id, &ec);
	if (err != JY_OK && err != JY_ENOKEY) {
		log_warn("registry", "old root key stays in the token",
		    "dev_eui=%s role=%c generation=%u error=\"%s\"",
		    eui64_str(&id->dev_eui, dev), key->role, key->generation,
		    err_detail(&ec, err));
	}
}

static bool
same_key(const struct device_key *a, const struct device_key *b)
{
	return a->generation == b->generation && a->role == b->role;
}

static uint64_t
old_key_pack(const struct device_key *key)
{
	return (uint64_t)key->role << 32 | key->generation;
}

static struct device_key
old_key_unpack(uint64_t packed)
{
	return (struct device_key){
		.generation = (uint32_t)packed,
		.role = (uint8_t)(packed >> 32),
	};
}

/* Does a session need this root key to derive its keys again? */
static bool
is_needed(
    const struct device_key *key, const struct session_row *sessions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (same_key(key, &sessions[i].nwk_key) ||
		    same_key(key, &sessions[i].app_key)) {
			return true;
		}
	}
	return false;
}

/*
 * Destroy the replaced root keys that no retained session needs.  Those
 * destroyed may leave the row's list; who does not store the row again loses
 * nothing, for a key that is gone is no error the next time.
 */
static enum jy_err
destroy_old_roots(
    const struct join_env *env, struct device_row *row, struct errctx *ec)
{
	struct session_row sessions[STORE_SESSIONS_MAX];
	size_t n = 0;
	uint8_t kept = 0;
	enum jy_err err;

	if (row->old_key_count == 0) {
		return JY_OK;
	}
	err = store_session_list(
	    env->store, &row->id, sessions, STORE_SESSIONS_MAX, &n, ec);
	if (err != JY_OK) {
		return err;
	}
	for (size_t i = 0; i < row->old_key_count; i++) {
		struct device_key key = old_key_unpack(row->old_keys[i]);

		if (is_needed(&key, sessions, n)) {
			row->old_keys[kept++] = row->old_keys[i];
		} else {
			destroy_root(env, &row->id, &key);
		}
	}
	row->old_key_count = kept;
	return JY_OK;
}

/* Put a key that is being replaced on the row's list. */
static enum jy_err
retire_root(
    struct device_row *row, const struct device_key *key, struct errctx *ec)
{
	if (key->generation == 0) {
		return JY_OK;
	}
	if (row->old_key_count == STORE_OLD_KEYS_MAX) {
		return err_set(ec, JY_EINUSE,
		    "%d replaced root keys still serve sessions; let the "
		    "device join first, or delete it",
		    STORE_OLD_KEYS_MAX);
	}
	row->old_keys[row->old_key_count++] = old_key_pack(key);
	return JY_OK;
}

/* An AppKey needs the rights of a root only where it is one. */
static uint8_t
app_key_role(const struct device_row *row)
{
	return row->v10_root_is_app_key || row->nwk_key.generation == 0
	    ? KEY_APP_ROOT
	    : KEY_APP;
}

static enum jy_err
check_device(
    const struct join_env *env, const struct device_row *row, struct errctx *ec)
{
	if (row->name[0] != '\0' && row->app[0] == '\0') {
		return err_set(
		    ec, JY_EINVAL, "a device name needs an application (app)");
	}
	return settings_check_activation(env->store, &row->activation, ec);
}

/* Import what came along; on failure nothing new is left in the token. */
static enum jy_err
import_roots(const struct join_env *env, struct device_row *row,
    const struct hsm_sealed *nwk_key, const struct hsm_sealed *app_key,
    struct errctx *ec)
{
	struct device_key old_nwk = row->nwk_key;
	enum jy_err err = JY_OK;

	if (nwk_key != NULL) {
		err = import_root(
		    env, &row->id, nwk_key, KEY_NWK, &row->nwk_key, ec);
	}
	if (err == JY_OK && app_key != NULL) {
		err = import_root(env, &row->id, app_key, app_key_role(row),
		    &row->app_key, ec);
	}
	if (err == JY_OK && row->v10_root_is_app_key &&
	    row->app_key.role == KEY_APP) {
		err = err_set(ec, JY_EINVAL,
		    "the AppKey was imported for 1.1 only; to make it the "
		    "root of 1.0.x joins, import it again");
	}
	if (err != JY_OK && !same_key(&old_nwk, &row->nwk_key)) {
		destroy_root(env, &row->id, &row->nwk_key);
	}
	return err;
}

/* What must hold and be done before a new key is imported. */
static enum jy_err
prepare_row(const struct join_env *env, struct device_row *row, bool new_nwk,
    bool new_app, struct errctx *ec)
{
	enum jy_err err = check_device(env, row, ec);

	row->changed_ms = env->sys->now_ms();
	if (row->revision == 0) {
		row->created_ms = row->changed_ms;
	}
	if (err == JY_OK) {
		err = destroy_old_roots(env, row, ec);
	}
	if (err == JY_OK && new_nwk) {
		err = retire_root(row, &row->nwk_key, ec);
	}
	if (err == JY_OK && new_app) {
		err = retire_root(row, &row->app_key, ec);
	}
	return err;
}

enum jy_err
registry_device_set(const struct join_env *env, struct device_row *row,
    const struct hsm_sealed *nwk_key, const struct hsm_sealed *app_key,
    struct errctx *ec)
{
	enum jy_err err;

	err = prepare_row(env, row, nwk_key != NULL, app_key != NULL, ec);
	if (err == JY_OK) {
		err = import_roots(env, row, nwk_key, app_key, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	err = store_device_put(env->store, row, ec);
	if (err != JY_OK) {
		if (nwk_key != NULL) {
			destroy_root(env, &row->id, &row->nwk_key);
		}
		if (app_key != NULL) {
			destroy_root(env, &row->id, &row->app_key);
		}
		return err;
	}
	/* The change is done; an old key that stays is tried again later. */
	(void)destroy_old_roots(env, row, NULL);
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
	destroy_root(env, id, &row.nwk_key);
	destroy_root(env, id, &row.app_key);
	/* Its sessions are gone: nothing needs an old key. */
	(void)destroy_old_roots(env, &row, NULL);
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
