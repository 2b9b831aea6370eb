/* SPDX-License-Identifier: Apache-2.0 */
/* Root keys on their way into custody, in the token or outside, and out. */
#include "src/join/roots.h"

#include <stdio.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/turn.h"
#include "src/join/keys.h"
#include "src/join/resident.h"
#include "src/join/storage.h"

void
roots_label(const struct device_id *device, const struct device_key *key,
    char out[ROOT_LABEL_MAX])
{
	char dev[EUI64_STR_LEN];

	(void)snprintf(out, ROOT_LABEL_MAX, "joinery %s %s",
	    key->role == KEY_NWK ? "NwkKey" : "AppKey",
	    eui64_str(&device->dev_eui, dev));
}

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

/* Into the token. */
static enum jy_err
import_resident(const struct join_env *env, const struct device_id *device,
    const struct root_source *source, const struct device_key *key,
    const struct hsm_id *id, struct errctx *ec)
{
	enum hsm_template template = keys_root_template(key->role);
	char label[ROOT_LABEL_MAX];
	enum jy_err err = resident_take(env, ec);

	if (err != JY_OK) {
		return err;
	}
	roots_label(device, key, label);
	err = source->sealed != NULL
	    ? hsm_key_import(env->hsm, source->sealed, ROOT_KEY_LEN, template,
		  id, label, ec)
	    : hsm_key_import_under(env->hsm, source->transport, source->wrapped,
		  ROOT_KEY_LEN, template, id, label, ec);
	if (err != JY_OK) {
		resident_give_back(env, 1);
	}
	return err;
}

/* Into a row, under the storage key that is in use now. */
static enum jy_err
import_wrapped(const struct join_env *env, const struct device_id *device,
    const struct root_source *source, const struct device_key *key,
    const struct hsm_id *id, struct root_rows *outside, struct errctx *ec)
{
	struct hsm_stored stored = { .storage = 0 };
	enum jy_err err = storage_current(env, &stored.storage, ec);

	if (err != JY_OK) {
		return err;
	}
	err = source->sealed != NULL
	    ? hsm_key_store(env->hsm, source->sealed, id, &stored, ec)
	    : hsm_key_store_under(env->hsm, source->transport, source->wrapped,
		  id, &stored, ec);
	if (err == JY_OK) {
		outside->rows[outside->n++] =
		    keys_root_row(device, key, &stored);
	}
	return err;
}

/* Import one; its check value is compared in the token. */
static enum jy_err
import_root(const struct join_env *env, const struct device_id *id,
    const struct root_source *source, uint8_t role, struct device_key *key,
    struct key_check *check, struct root_rows *outside, struct errctx *ec)
{
	const struct device_key fresh = {
		.generation = new_generation(env),
		.role = role,
	};
	struct hsm_id key_id;
	enum jy_err err;

	keys_root_id(id, &fresh, &key_id);
	err = env->custody == CUSTODY_WRAPPED
	    ? import_wrapped(env, id, source, &fresh, &key_id, outside, ec)
	    : import_resident(env, id, source, &fresh, &key_id, ec);
	if (err == JY_OK) {
		*key = fresh;
		check->known = true;
		memcpy(check->value,
		    source->sealed != NULL ? source->sealed->kcv
					   : source->wrapped->kcv,
		    sizeof(check->value));
	}
	return err;
}

static bool
same_key(const struct device_key *a, const struct device_key *b)
{
	return a->generation == b->generation && a->role == b->role;
}

static void
warn_stays(const struct root_ref *ref, enum jy_err err, const struct errctx *ec)
{
	char dev[EUI64_STR_LEN];

	log_warn("registry", "old root key stays",
	    "dev_eui=%s role=%c generation=%u error=\"%s\"",
	    eui64_str(&ref->device.dev_eui, dev), ref->key.role,
	    ref->key.generation, err_detail(ec, err));
}

/* If it had a row, that is gone; else it is in the token, if anywhere. */
static void
destroy_one(
    const struct join_env *env, const struct root_ref *ref, bool was_outside)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_id id;
	enum jy_err err;

	keys_root_id(&ref->device, &ref->key, &id);
	if (was_outside) {
		hsm_key_forget(env->hsm, &id);
		return;
	}
	err = hsm_key_destroy(env->hsm, &id, &ec);
	if (err == JY_OK) {
		resident_give_back(env, 1);
	} else if (err != JY_ENOKEY) {
		warn_stays(ref, err, &ec);
	}
}

/* Had it a row, which has gone with its device? */
static bool
had_row(const struct device_gone *gone, const struct device_key *key)
{
	for (size_t i = 0; i < gone->root_count; i++) {
		if (same_key(&gone->roots[i], key)) {
			return true;
		}
	}
	return false;
}

/* Delete the rows that are still there; found says which had one. */
static enum jy_err
rows_delete(const struct join_env *env, const struct doomed_roots *doomed,
    bool found[DOOMED_MAX], struct errctx *ec)
{
	if (doomed->gone == NULL) {
		return store_root_delete(
		    env->store, doomed->refs, doomed->n, found, ec);
	}
	for (size_t i = 0; i < doomed->n; i++) {
		found[i] = had_row(doomed->gone, &doomed->refs[i].key);
	}
	return JY_OK;
}

void
roots_destroy(const struct join_env *env, struct doomed_roots *doomed)
{
	struct errctx ec = ERRCTX_INIT;
	bool found[DOOMED_MAX] = { false };
	enum jy_err err =
	    doomed->n > 0 ? rows_delete(env, doomed, found, &ec) : JY_OK;

	for (size_t i = 0; i < doomed->n; i++) {
		if (err == JY_OK) {
			destroy_one(env, &doomed->refs[i], found[i]);
		} else {
			warn_stays(&doomed->refs[i], err, &ec);
		}
	}
	doomed->n = 0;
}

void
roots_doom(const struct join_env *env, struct doomed_roots *doomed,
    const struct device_id *device, const struct device_key *key)
{
	if (key->generation == 0) {
		return;
	}
	if (doomed->n == DOOMED_MAX) {
		roots_destroy(env, doomed);
	}
	doomed->refs[doomed->n++] = (struct root_ref){ *device, *key };
}

static void
destroy_root(const struct join_env *env, const struct device_id *device,
    const struct device_key *key)
{
	struct doomed_roots doomed = { .n = 0 };

	roots_doom(env, &doomed, device, key);
	roots_destroy(env, &doomed);
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

enum jy_err
roots_doom_old(const struct join_env *env, struct device_row *row,
    struct doomed_roots *doomed, struct errctx *ec)
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
			roots_doom(env, doomed, &row->id, &key);
		}
	}
	row->old_key_count = kept;
	return JY_OK;
}

enum jy_err
roots_destroy_old(
    const struct join_env *env, struct device_row *row, struct errctx *ec)
{
	struct doomed_roots doomed = { .n = 0 };
	enum jy_err err = roots_doom_old(env, row, &doomed, ec);

	roots_destroy(env, &doomed);
	return err;
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

enum jy_err
roots_check_app_alone(
    const struct device_row *row, bool said_v10_root, struct errctx *ec)
{
	if (said_v10_root || row->v10_root_is_app_key ||
	    row->nwk_key.generation == 0 ||
	    row->mac_version == LW_VERSION_NONE ||
	    lw_version_is_1_1(row->mac_version)) {
		return JY_OK;
	}
	return err_set(ec, JY_EINVAL,
	    "the device is one of %s and joins with its NwkKey: say v10-root "
	    "app for it to join with the AppKey, or v10-root nwk to keep the "
	    "AppKey for 1.1 only",
	    lw_version_str(row->mac_version));
}

enum jy_err
roots_import(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct root_rows *outside,
    struct errctx *ec)
{
	struct device_key old_nwk = row->nwk_key;
	enum jy_err err = JY_OK;

	outside->n = 0;
	if (root_given(&sources->nwk)) {
		err = import_root(env, &row->id, &sources->nwk, KEY_NWK,
		    &row->nwk_key, &row->nwk_check, outside, ec);
	}
	if (err == JY_OK && root_given(&sources->app)) {
		err =
		    import_root(env, &row->id, &sources->app, app_key_role(row),
			&row->app_key, &row->app_check, outside, ec);
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

enum jy_err
roots_prepare(const struct join_env *env, struct device_row *row,
    const struct root_sources *sources, struct errctx *ec)
{
	enum jy_err err = roots_destroy_old(env, row, ec);

	row->changed_ms = env->sys->now_ms();
	if (row->revision == 0) {
		row->created_ms = row->changed_ms;
	}
	if (err == JY_OK && root_given(&sources->nwk)) {
		err = retire_root(row, &row->nwk_key, ec);
	}
	if (err == JY_OK && root_given(&sources->app)) {
		err = retire_root(row, &row->app_key, ec);
	}
	return err;
}

void
roots_undo(const struct join_env *env, const struct device_row *row,
    const struct root_sources *sources)
{
	struct doomed_roots doomed = { .n = 0 };

	if (root_given(&sources->nwk)) {
		roots_doom(env, &doomed, &row->id, &row->nwk_key);
	}
	if (root_given(&sources->app)) {
		roots_doom(env, &doomed, &row->id, &row->app_key);
	}
	roots_destroy(env, &doomed);
}

bool
roots_named(const struct join_env *env, const struct device_id *device,
    const struct device_key *key)
{
	struct device_row row;
	enum jy_err err = store_device_get(env->store, device, &row, NULL);

	if (err != JY_OK) {
		return err != JY_ENOTFOUND;
	}
	for (size_t i = 0; i < row.old_key_count; i++) {
		if (row.old_keys[i] == old_key_pack(key)) {
			return true;
		}
	}
	return same_key(&row.nwk_key, key) || same_key(&row.app_key, key);
}

/*
 * The key is in the token: its row goes.  If it has gone, the key was deleted
 * or replaced meanwhile, by somebody who did not see it in the token yet.
 */
static enum jy_err
row_to_object(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, uint32_t *settled, struct errctx *ec)
{
	const struct root_ref ref = { *device, *key };
	bool found = false;
	enum jy_err err = store_root_delete(env->store, &ref, 1, &found, ec);

	if (err == JY_OK && !found && !roots_named(env, device, key)) {
		destroy_one(env, &ref, false);
	}
	*settled += found;
	return err;
}

/* One root key, if it is outside; *settled counts it. */
static enum jy_err
settle_root(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, uint32_t *settled, struct errctx *ec)
{
	char label[ROOT_LABEL_MAX];
	struct hsm_stored stored;
	struct root_row row;
	struct hsm_id id;
	size_t replaced;
	enum jy_err err;

	if (key->generation == 0) {
		return JY_OK;
	}
	err = store_root_get(env->store, device, key, &row, ec);
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		return JY_OK;
	}
	if (err == JY_OK) {
		err = resident_take(env, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	keys_root_id(device, key, &id);
	roots_label(device, key, label);
	stored = keys_stored_of(&row);
	err = hsm_stored_settle(env->hsm, &id, keys_root_template(key->role),
	    label, &stored, &replaced, ec);
	resident_give_back(env, replaced + (err != JY_OK));
	if (err != JY_OK) {
		return err;
	}
	return row_to_object(env, device, key, settled, ec);
}

static enum jy_err
settle_all(const struct join_env *env, const struct device_row *row,
    uint32_t *settled, struct errctx *ec)
{
	enum jy_err err;

	err = settle_root(env, &row->id, &row->nwk_key, settled, ec);
	if (err == JY_OK) {
		err = settle_root(env, &row->id, &row->app_key, settled, ec);
	}
	for (size_t i = 0; err == JY_OK && i < row->old_key_count; i++) {
		const struct device_key key = old_key_unpack(row->old_keys[i]);

		err = settle_root(env, &row->id, &key, settled, ec);
	}
	return err;
}

/* Two at once would each destroy what the other has just made. */
enum jy_err
roots_settle(const struct join_env *env, const struct device_row *row,
    uint32_t *settled, struct errctx *ec)
{
	enum jy_err err;

	*settled = 0;
	err = turn_take(env->settling)
	    ? settle_all(env, row, settled, ec)
	    : err_set(
		  ec, JY_EIO, "settle.lock beside the store cannot be locked");
	turn_leave(env->settling);
	return err;
}
