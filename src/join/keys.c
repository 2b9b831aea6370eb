/* SPDX-License-Identifier: Apache-2.0 */
/* The CKA_IDs of root keys, lifetime keys and KEKs (ARCHITECTURE.md, Keys). */
#include "src/join/keys.h"

#include <string.h>

#include "src/base/bytes.h"

#define DEVICE_KEY_ID_LEN 21
#define KEK_ID_LEN 9

static void
device_key_id(uint8_t role, const struct device_id *device, uint32_t generation,
    struct hsm_id *out)
{
	struct writer w;

	writer_init(&w, out->b, sizeof(out->b));
	writer_u8(&w, role);
	writer_be(&w, generation, 4);
	writer_copy(&w, device->join_eui.be, 8);
	writer_copy(&w, device->dev_eui.be, 8);
	jy_assert(writer_ok(&w));
	jy_assert(w.len == DEVICE_KEY_ID_LEN);
	out->len = (uint8_t)w.len;
}

static const char roles[] = { KEY_NWK, KEY_APP, KEY_APP_ROOT, '\0' };

bool
keys_root_of_id(
    const struct hsm_id *id, struct device_id *device, struct device_key *key)
{
	struct reader r;

	reader_init(&r, id->b, id->len);
	key->role = reader_u8(&r);
	key->generation = (uint32_t)reader_be(&r, 4);
	reader_copy(&r, device->join_eui.be, 8);
	reader_copy(&r, device->dev_eui.be, 8);
	return reader_done(&r) && key->role != '\0' &&
	    strchr(roles, key->role) != NULL;
}

size_t
keys_root_count(struct hsm *hsm)
{
	return hsm_key_count(hsm, roles, DEVICE_KEY_ID_LEN);
}

void
keys_root_id(const struct device_id *device, const struct device_key *key,
    struct hsm_id *out)
{
	jy_assert(key->generation != 0);
	device_key_id(key->role, device, key->generation, out);
}

void
keys_lifetime_id(enum lw_key which, const struct device_id *device,
    const struct device_key *nwk_key, struct hsm_id *out)
{
	device_key_id(which == LW_JS_INT_KEY ? 'I' : 'E', device,
	    nwk_key->generation, out);
}

void
keys_kek_id(uint64_t key_id, struct hsm_id *out)
{
	struct writer w;

	writer_init(&w, out->b, sizeof(out->b));
	writer_u8(&w, 'K');
	writer_be(&w, key_id, 8);
	out->len = (uint8_t)w.len;
}

bool
keys_is_kek_id(const struct hsm_id *id)
{
	return id->len == KEK_ID_LEN && id->b[0] == 'K';
}

enum hsm_template
keys_root_template(uint8_t role)
{
	return role == KEY_APP ? HSM_DERIVE_ONLY : HSM_ROOT;
}

struct hsm_stored
keys_stored_of(const struct root_row *row)
{
	struct hsm_stored stored = { .storage = row->storage };

	_Static_assert(sizeof(stored.blob) == sizeof(row->blob) &&
		sizeof(stored.mac) == sizeof(row->mac),
	    "the row holds what the token makes");
	memcpy(stored.blob, row->blob, sizeof(stored.blob));
	memcpy(stored.mac, row->mac, sizeof(stored.mac));
	return stored;
}

struct root_row
keys_root_row(const struct device_id *device, const struct device_key *key,
    const struct hsm_stored *stored)
{
	struct root_row row = {
		.device = *device,
		.key = *key,
		.storage = stored->storage,
	};

	memcpy(row.blob, stored->blob, sizeof(row.blob));
	memcpy(row.mac, stored->mac, sizeof(row.mac));
	return row;
}

/*
 * Of a key that is not at hand: is it outside, or else in the token?  *outside
 * says which.
 */
static enum jy_err
fetch_once(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, const struct hsm_id *id, bool *outside,
    struct hsm_key **out, struct errctx *ec)
{
	enum hsm_template template = keys_root_template(key->role);
	struct hsm_stored stored;
	struct root_row row;
	enum jy_err err;

	err = store_root_get(env->store, device, key, &row, ec);
	*outside = err != JY_ENOTFOUND;
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		return hsm_key_get(env->hsm, id, template, out, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	stored = keys_stored_of(&row);
	return hsm_key_get_stored(env->hsm, id, template, &stored, out, ec);
}

/* The storage key may be gone between a look at the row and its use. */
static enum jy_err
fetch_root(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, const struct hsm_id *id, struct hsm_key **out,
    struct errctx *ec)
{
	bool outside;
	enum jy_err err = fetch_once(env, device, key, id, &outside, out, ec);

	if (err == JY_ENOKEY && outside) {
		err_clear(ec);
		err = fetch_once(env, device, key, id, &outside, out, ec);
	}
	return err == JY_EFORGED
	    ? err_replace(ec, JY_EFORGED,
		  "the %s in the database is not bound to this device",
		  key->role == KEY_NWK ? "NwkKey" : "AppKey")
	    : err;
}

enum jy_err
keys_get_root(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, struct hsm_key **out, struct errctx *ec)
{
	struct hsm_key *cached;
	struct hsm_id id;

	if (key->generation == 0) {
		return err_set(ec, JY_EROOTKEY, "the root key is not there");
	}
	keys_root_id(device, key, &id);
	cached = hsm_key_cached(env->hsm, &id, keys_root_template(key->role));
	if (cached == NULL) {
		return fetch_root(env, device, key, &id, out, ec);
	}
	*out = cached;
	return JY_OK;
}

enum jy_err
keys_root_serves(const struct join_env *env, const struct device_id *device,
    const struct device_key *key, bool *serves, struct errctx *ec)
{
	struct hsm_key *found = NULL;
	struct hsm_id id;
	bool outside;
	enum jy_err err;

	keys_root_id(device, key, &id);
	err = fetch_once(env, device, key, &id, &outside, &found, ec);
	hsm_key_put(env->hsm, found);
	*serves = err == JY_OK;
	if (err == JY_EFORGED || err == JY_ENOKEY) {
		err_clear(ec);
		return JY_OK;
	}
	return err;
}

enum jy_err
keys_get_lifetime(struct hsm *hsm, enum lw_key which,
    const struct device_id *device, const struct device_key *nwk_key,
    struct hsm_key *nwk, struct hsm_key **out, struct errctx *ec)
{
	uint8_t block[LW_BLOCK_LEN];
	struct hsm_id id;

	keys_lifetime_id(which, device, nwk_key, &id);
	lw_block_js(block, which, &device->dev_eui);
	return hsm_key_get_derived(hsm, &id,
	    which == LW_JS_INT_KEY ? HSM_MAC : HSM_DECRYPT, nwk, block, out,
	    ec);
}
