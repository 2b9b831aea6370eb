/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices as admins change them.  A key is imported first and named by the
 * store after; it is forgotten by the store first and destroyed after.  Runs
 * on a token thread.
 */
#include "src/join/registry.h"

#include <string.h>

#include "src/base/log.h"
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
	struct device_gone gone;
	struct doomed_roots doomed = { .gone = &gone };
	char dev[EUI64_STR_LEN];
	enum jy_err err = store_device_delete(env->store, id, &gone, ec);

	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err != JY_OK) {
		return err;
	}
	if (gone.row.revision == 0) {
		log_warn("registry",
		    "keys of a damaged device stay in the token", "dev_eui=%s",
		    eui64_str(&id->dev_eui, dev));
		return JY_OK;
	}
	roots_doom(env, &doomed, id, &gone.row.nwk_key);
	roots_doom(env, &doomed, id, &gone.row.app_key);
	/* Its sessions are gone: nothing needs an old key. */
	(void)roots_doom_old(env, &gone.row, &doomed, NULL);
	roots_destroy(env, &doomed);
	return JY_OK;
}
