/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing devices: keys go into the token one by one, rows into the store
 * all at once.  A crash between the two leaves keys that nothing names.
 */
#include "src/join/import.h"

#include <stdlib.h>
#include <string.h>

#include "src/join/keys.h"
#include "src/join/registry.h"
#include "src/join/roots.h"

/* What is to be done about a device. */
struct plan {
	struct root_sources sources; /* keys to be imported */
	struct root_rows outside;    /* those imported that stay outside */
	bool replaces;               /* something that is there */
};

/* ---- what is there ---- */

static bool
is_same_key(const struct device_key *key, const struct key_check *check,
    const struct hsm_wrapped *wrapped)
{
	return key->generation != 0 && check->known &&
	    memcmp(check->value, wrapped->kcv, sizeof(check->value)) == 0;
}

/*
 * The same key is left alone, but with --replace only if it serves: one that
 * is not what the database says, or is gone from the token, comes anew.
 */
static enum jy_err
is_there(const struct join_env *env, const struct import_batch *batch,
    const struct device_id *device, const struct device_key *key, bool *there,
    struct errctx *ec)
{
	return *there && batch->replace
	    ? keys_root_serves(env, device, key, there, ec)
	    : JY_OK;
}

/* One root key: nothing to do, to be added, or to be replaced. */
static enum jy_err
plan_root(const char *name, const struct device_key *key,
    const struct key_check *check, const struct import_batch *batch,
    struct plan *plan, struct errctx *ec)
{
	char there[HEX_STR_LEN(STORE_KCV_LEN)] = "not known";

	if (key->generation == 0) {
		return JY_OK;
	}
	plan->replaces = true;
	if (batch->replace) {
		return JY_OK;
	}
	if (check->known) {
		hex_format(check->value, sizeof(check->value), there);
	}
	return err_set(ec, JY_EEXIST,
	    "the device has another %s: its check value is %s", name, there);
}

static bool
same_settings(const struct device_row *a, const struct device_row *b)
{
	uint8_t row_a[ROW_MAX], row_b[ROW_MAX];
	size_t len = row_encode_device(a, row_a);

	return row_encode_device(b, row_b) == len &&
	    memcmp(row_a, row_b, len) == 0;
}

/* Do settings and nonces say what the file says? */
static enum jy_err
is_as_wanted(const struct join_env *env, const struct import_device *d,
    bool *same, struct errctx *ec)
{
	struct nonce_row nonces;
	enum jy_err err;
	size_t used;

	*same = same_settings(&d->old, &d->row);
	if (!*same || (d->start.join_nonce == 0 && !d->start.has_dev_nonce)) {
		return JY_OK;
	}
	err = store_nonces_get(env->store, &d->row.id, &nonces, &used, ec);
	if (err == JY_OK) {
		*same = !store_nonces_below(&nonces, &d->start);
	}
	return err;
}

static enum jy_err
plan_settings(const struct join_env *env, const struct import_batch *batch,
    const struct import_device *d, struct plan *plan, struct errctx *ec)
{
	enum jy_err err;
	bool same;

	err = is_as_wanted(env, d, &same, ec);
	if (err != JY_OK || same) {
		return err;
	}
	plan->replaces = true;
	if (batch->replace) {
		return JY_OK;
	}
	return err_set(ec, JY_EEXIST,
	    d->old.released
		? "the device is there, released to another Join Server"
		: "the device is there with other settings or lower nonces");
}

/* The name may be another device's: a put would say so, a dry run must ask. */
static enum jy_err
check_name(
    const struct join_env *env, const struct device_row *row, struct errctx *ec)
{
	struct device_id owner;
	enum jy_err err;

	if (row->name[0] == '\0') {
		return JY_OK;
	}
	err = store_device_by_name(env->store, row->app, row->name, &owner, ec);
	if (err == JY_OK && !device_id_eq(&owner, &row->id)) {
		return err_set(ec, JY_EEXIST,
		    "another device of app \"%s\" has the name \"%s\"",
		    row->app, row->name);
	}
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		return JY_OK;
	}
	return err;
}

/* ---- what is to be done ---- */

static enum jy_err
plan_keys(const struct join_env *env, const struct import_batch *batch,
    const struct import_device *d, struct plan *plan, struct errctx *ec)
{
	const struct device_row *old = &d->old;
	bool nwk_there =
	    d->has_nwk && is_same_key(&old->nwk_key, &old->nwk_check, &d->nwk);
	bool app_there =
	    d->has_app && is_same_key(&old->app_key, &old->app_check, &d->app);
	enum jy_err err =
	    is_there(env, batch, &old->id, &old->nwk_key, &nwk_there, ec);
	/* An AppKey for 1.1 only cannot become a root as it is. */
	bool upgrade =
	    d->row.v10_root_is_app_key && old->app_key.role == KEY_APP;

	if (err == JY_OK) {
		err = is_there(
		    env, batch, &old->id, &old->app_key, &app_there, ec);
	}
	if (err == JY_OK && d->has_nwk && !nwk_there) {
		plan->sources.nwk =
		    (struct root_source){ .transport = batch->transport,
			    .wrapped = &d->nwk };
		err = plan_root(
		    "NwkKey", &old->nwk_key, &old->nwk_check, batch, plan, ec);
	}
	if (err == JY_OK && d->has_app && (upgrade || !app_there)) {
		plan->sources.app =
		    (struct root_source){ .transport = batch->transport,
			    .wrapped = &d->app };
		err = plan_root(
		    "AppKey", &old->app_key, &old->app_check, batch, plan, ec);
		if (err == JY_OK && !d->has_nwk) {
			err = roots_check_app_alone(
			    &d->row, d->said_v10_root, ec);
		}
	}
	return err;
}

static enum jy_err
plan_device(const struct join_env *env, const struct import_batch *batch,
    struct import_device *d, struct plan *plan)
{
	enum jy_err err = registry_check_device(env, &d->row, &d->ec);

	*plan = (struct plan){ .replaces = false };
	if (err == JY_OK) {
		err = plan_keys(env, batch, d, plan, &d->ec);
	}
	if (err == JY_OK && d->old.revision != 0) {
		err = plan_settings(env, batch, d, plan, &d->ec);
	}
	if (err == JY_OK && batch->dry_run) {
		err = check_name(env, &d->row, &d->ec);
	}
	if (err != JY_OK) {
		return err;
	}
	if (plan->replaces) {
		d->outcome = IMPORT_REPLACED;
	} else if (root_given(&plan->sources.nwk) ||
	    root_given(&plan->sources.app)) {
		d->outcome = IMPORT_CREATED;
	} else {
		d->outcome = IMPORT_SAME;
	}
	return JY_OK;
}

static enum jy_err
prove(const struct join_env *env, const struct root_source *source,
    struct errctx *ec)
{
	return root_given(source)
	    ? hsm_key_import_under(env->hsm, source->transport, source->wrapped,
		  ROOT_KEY_LEN, HSM_ROOT, NULL, NULL, ec)
	    : JY_OK;
}

/* ---- doing it ---- */

/* Would the next device fare no better? */
static bool
hits_all(enum jy_err err)
{
	return err == JY_ETOKEN || err == JY_ENOKEY || err == JY_EIO ||
	    err == JY_EFULL || err == JY_ENOMEM || err == JY_ELIMIT;
}

/* All up to the store; a key that was imported is named by d->row. */
static enum jy_err
begin(const struct join_env *env, const struct import_batch *batch,
    struct import_device *d, struct plan *plan)
{
	enum jy_err err = d->err;

	if (err == JY_OK) {
		err = plan_device(env, batch, d, plan);
	}
	if (err != JY_OK || d->outcome == IMPORT_SAME) {
		return err;
	}
	if (batch->dry_run) {
		err = prove(env, &plan->sources.nwk, &d->ec);
		return err == JY_OK ? prove(env, &plan->sources.app, &d->ec)
				    : err;
	}
	err = roots_prepare(env, &d->row, &plan->sources, &d->ec);
	return err == JY_OK
	    ? roots_import(env, &d->row, &plan->sources, &plan->outside, &d->ec)
	    : err;
}

/* What goes into the store together. */
struct putting {
	struct device_change changes[IMPORT_BATCH_MAX];
	struct device_change *list[IMPORT_BATCH_MAX];
	struct import_device *devices[IMPORT_BATCH_MAX];
	struct root_sources sources[IMPORT_BATCH_MAX];
	size_t n;
};

static void
putting_add(struct putting *p, struct import_device *d, const struct plan *plan)
{
	struct device_change *c = &p->changes[p->n];

	*c = (struct device_change){
		.row = d->row, .start = d->start, .ec = &d->ec
	};
	roots_add(c, &plan->outside);
	p->list[p->n] = c;
	p->devices[p->n] = d;
	p->sources[p->n] = plan->sources;
	p->n++;
}

static enum jy_err
put_all(const struct join_env *env, struct putting *p, struct errctx *ec)
{
	struct doomed_roots doomed = { .n = 0 };
	enum jy_err err = store_device_put_batch(
	    env->store, (struct device_change *const *)p->list, p->n, ec);

	for (size_t i = 0; i < p->n; i++) {
		struct import_device *d = p->devices[i];

		d->err = err != JY_OK ? err : p->changes[i].err;
		if (d->err == JY_OK) {
			/* One that stays is tried again later. */
			(void)roots_doom_old(env, &d->row, &doomed, NULL);
		} else {
			d->outcome = IMPORT_REFUSED;
			roots_undo(env, &d->row, &p->sources[i]);
		}
	}
	roots_destroy(env, &doomed);
	return err;
}

enum jy_err
import_run(
    const struct join_env *env, struct import_batch *batch, struct errctx *ec)
{
	struct putting *p = sys_xcalloc(1, sizeof(*p));
	enum jy_err all = JY_OK, err;

	jy_assert(batch->n <= IMPORT_BATCH_MAX);
	for (size_t i = 0; i < batch->n && all == JY_OK; i++) {
		struct import_device *d = &batch->devices[i];
		struct plan plan;

		d->outcome = IMPORT_REFUSED;
		d->err = begin(env, batch, d, &plan);
		if (d->err != JY_OK) {
			d->outcome = IMPORT_REFUSED;
		} else if (d->outcome != IMPORT_SAME && !batch->dry_run) {
			putting_add(p, d, &plan);
		}
		if (hits_all(d->err)) {
			all = err_set(
			    ec, d->err, "%s", err_detail(&d->ec, d->err));
		}
	}
	/* What is in the token already is not to be lost. */
	err = put_all(env, p, all == JY_OK ? ec : NULL);
	free(p);
	return all != JY_OK ? all : err;
}
