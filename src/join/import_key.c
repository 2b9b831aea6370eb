/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotation of the import key, by several workers at once if it must be.
 *
 * Who rotates first writes down the generation it is going to make, one that
 * never was, and at the end may offer it only if that still stands there.
 * Keys are destroyed by a list of the token that is older than what the store
 * then says of them: a key that is in the list and has no name then will never
 * get one.
 */
#include "src/join/import_key.h"

#include <string.h>

#include "src/base/bytes.h"
#include "src/base/hex.h"
#include "src/base/log.h"

#define META_IMPORT_KEY "import-key"
#define FORMAT 1

/* ---- what the store says ---- */

static void
put_name(struct writer *w, const struct import_key_name *name)
{
	writer_be(w, name->generation, 4);
	writer_copy(w, name->fingerprint, sizeof(name->fingerprint));
}

static struct meta_value
encode(const struct import_keys *keys)
{
	struct meta_value v = { .len = 0 };
	struct writer w;

	writer_init(&w, v.octets, sizeof(v.octets));
	writer_u8(&w, FORMAT);
	put_name(&w, &keys->current);
	put_name(&w, &keys->previous);
	writer_be(&w, keys->pending, 4);
	jy_assert(writer_ok(&w));
	v.len = w.len;
	return v;
}

static struct import_key_name
get_name(struct reader *r)
{
	struct import_key_name name = {
		.generation = (uint32_t)reader_be(r, 4),
	};

	reader_copy(r, name.fingerprint, sizeof(name.fingerprint));
	return name;
}

static enum jy_err
decode(const struct meta_value *v, struct import_keys *keys, struct errctx *ec)
{
	struct reader r;
	uint8_t format;

	reader_init(&r, v->octets, v->len);
	format = reader_u8(&r);
	keys->current = get_name(&r);
	keys->previous = get_name(&r);
	keys->pending = (uint32_t)reader_be(&r, 4);
	return format == FORMAT && reader_done(&r)
	    ? JY_OK
	    : err_set(ec, JY_ECORRUPT, "meta " META_IMPORT_KEY);
}

static enum jy_err
name_of(const struct join_env *env, uint32_t generation,
    struct import_key_name *out, struct errctx *ec)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t len;

	out->generation = generation;
	return hsm_import_key(
	    env->hsm, generation, der, &len, out->fingerprint, ec);
}

/* The newest and the one before, by what the token had at start-up. */
static enum jy_err
keys_of_token(
    const struct join_env *env, struct import_keys *keys, struct errctx *ec)
{
	uint32_t generations[HSM_IMPORT_KEYS_MAX];
	size_t n = 0;
	enum jy_err err = hsm_import_keys(env->hsm, false, generations, &n, ec);

	*keys = (struct import_keys){ 0 };
	if (err == JY_OK && n > 0) {
		err = name_of(env, generations[n - 1], &keys->current, ec);
	}
	if (err == JY_OK && n > 1) {
		err = name_of(env, generations[n - 2], &keys->previous, ec);
	}
	return err;
}

/* stored is what is to be compared when it is replaced. */
static enum jy_err
read_keys(const struct join_env *env, struct meta_value *stored,
    struct import_keys *keys, struct errctx *ec)
{
	enum jy_err err;

	stored->len = 0;
	err = store_meta_get(
	    env->store, META_IMPORT_KEY, stored->octets, &stored->len, ec);
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		return keys_of_token(env, keys, ec);
	}
	return err == JY_OK ? decode(stored, keys, ec) : err;
}

enum jy_err
import_keys_get(
    const struct join_env *env, struct import_keys *out, struct errctx *ec)
{
	struct meta_value stored;

	return read_keys(env, &stored, out, ec);
}

/* One that the store names has to be in the token, as it was. */
static enum jy_err
see_key(const struct join_env *env, const struct import_key_name *name,
    uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *len, struct errctx *ec)
{
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
	enum jy_err err = hsm_import_key(
	    env->hsm, name->generation, der, len, fingerprint, ec);

	return err == JY_OK &&
		memcmp(fingerprint, name->fingerprint, sizeof(fingerprint)) != 0
	    ? err_set(ec, JY_ENOKEY,
		  "the token's import key %u is not the one that the store "
		  "names; \"joineryctl import-key rotate\" makes a new one",
		  name->generation)
	    : err;
}

enum jy_err
import_key_public(const struct join_env *env, const struct import_keys *keys,
    uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *len, struct errctx *ec)
{
	return see_key(env, &keys->current, der, len, ec);
}

static bool
has_fingerprint(const struct import_key_name *name,
    const uint8_t fingerprint[HSM_FINGERPRINT_LEN])
{
	return name->generation != 0 &&
	    memcmp(name->fingerprint, fingerprint, HSM_FINGERPRINT_LEN) == 0;
}

enum jy_err
import_key_check(const struct join_env *env,
    const uint8_t fingerprint[HSM_FINGERPRINT_LEN], struct errctx *ec)
{
	char theirs[HEX_STR_LEN(HSM_FINGERPRINT_LEN)], ours[sizeof(theirs)];
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	struct import_keys keys;
	size_t len;
	enum jy_err err = import_keys_get(env, &keys, ec);

	if (err != JY_OK) {
		return err;
	}
	if (has_fingerprint(&keys.current, fingerprint)) {
		return see_key(env, &keys.current, der, &len, ec);
	}
	if (has_fingerprint(&keys.previous, fingerprint)) {
		return see_key(env, &keys.previous, der, &len, ec);
	}
	hex_format(fingerprint, HSM_FINGERPRINT_LEN, theirs);
	hex_format(keys.current.fingerprint, HSM_FINGERPRINT_LEN, ours);
	return err_set(ec, JY_EINVAL,
	    "sealed for import key %s; this token has %s", theirs, ours);
}

/* ---- rotation ---- */

static bool
is_named(const struct import_keys *keys, uint32_t generation)
{
	return generation == keys->current.generation ||
	    generation == keys->previous.generation ||
	    generation == keys->pending;
}

/* Destroy every import key without a name; *count says how many. */
static enum jy_err
clean(const struct join_env *env, size_t *count, struct errctx *ec)
{
	uint32_t generations[HSM_IMPORT_KEYS_MAX];
	struct import_keys keys;
	size_t n = 0;
	enum jy_err err = hsm_import_keys(env->hsm, true, generations, &n, ec);

	*count = 0;
	if (err == JY_OK) {
		err = import_keys_get(env, &keys, ec); /* after the list */
	}
	for (size_t i = 0; err == JY_OK && i < n; i++) {
		if (is_named(&keys, generations[i])) {
			continue;
		}
		err = hsm_import_key_destroy(env->hsm, generations[i], ec);
		if (err == JY_ENOKEY) { /* another was faster */
			err_clear(ec);
			err = JY_OK;
		}
		++*count;
	}
	return err;
}

static enum jy_err
swap(const struct join_env *env, struct meta_value *stored,
    const struct import_keys *keys, struct errctx *ec)
{
	struct meta_value next = encode(keys);
	enum jy_err err =
	    store_meta_swap(env->store, META_IMPORT_KEY, stored, &next, ec);

	if (err == JY_ECONFLICT) {
		return err_set(ec, err,
		    "another rotation of the import key began meanwhile");
	}
	if (err == JY_OK) {
		*stored = next;
	}
	return err;
}

/* A generation that neither token nor store has heard of. */
static enum jy_err
choose_generation(const struct join_env *env, const struct import_keys *keys,
    uint32_t *out, struct errctx *ec)
{
	uint32_t generations[HSM_IMPORT_KEYS_MAX];
	uint32_t highest = keys->current.generation;
	size_t n = 0;
	enum jy_err err = hsm_import_keys(env->hsm, true, generations, &n, ec);

	if (err == JY_OK && n > 0 && generations[n - 1] > highest) {
		highest = generations[n - 1];
	}
	*out = (keys->pending > highest ? keys->pending : highest) + 1;
	return err;
}

/* Write down what is going to be made; whoever was making one is too late. */
static enum jy_err
reserve(const struct join_env *env, struct meta_value *stored,
    struct import_keys *keys, struct errctx *ec)
{
	size_t count;
	enum jy_err err = read_keys(env, stored, keys, ec);

	if (err == JY_OK) {
		err = choose_generation(env, keys, &keys->pending, ec);
	}
	if (err == JY_OK) {
		err = swap(env, stored, keys, ec);
	}
	return err == JY_OK ? clean(env, &count, ec) : err;
}

/* No harm: the next rotation cleans up. */
static void
log_stays(const char *which)
{
	log_warn("registry", "an import key of no use stays in the token",
	    "which=\"%s\" do=\"rotate again: joineryctl import-key rotate\"",
	    which);
}

enum jy_err
import_key_rotate(
    const struct join_env *env, struct import_keys *out, struct errctx *ec)
{
	struct meta_value stored;
	struct import_keys keys;
	size_t count;
	uint32_t mine;
	enum jy_err err = reserve(env, &stored, &keys, ec);

	if (err == JY_OK) {
		err = hsm_import_key_make(env->hsm, keys.pending, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	mine = keys.pending;
	keys.previous = keys.current;
	keys.pending = 0;
	err = name_of(env, mine, &keys.current, ec);
	if (err == JY_OK) {
		err = swap(env, &stored, &keys, ec);
	}
	if (err == JY_ECONFLICT &&
	    hsm_import_key_destroy(env->hsm, mine, NULL) != JY_OK) {
		log_stays("this one lost a race");
	}
	if (err == JY_OK) {
		if (clean(env, &count, NULL) != JY_OK) {
			log_stays("the one before the previous");
		}
		*out = keys;
	}
	return err;
}

enum jy_err
import_key_drop(const struct join_env *env, struct import_key_name *dropped,
    struct errctx *ec)
{
	struct meta_value stored;
	struct import_keys keys;
	size_t count = 0;
	enum jy_err err = read_keys(env, &stored, &keys, ec);

	if (err != JY_OK) {
		return err;
	}
	*dropped = keys.previous;
	keys.previous = (struct import_key_name){ 0 };
	if (dropped->generation == 0) {
		err = clean(env, &count, ec);
	} else {
		err = swap(env, &stored, &keys, ec);
		if (err == JY_OK && clean(env, &count, NULL) != JY_OK) {
			log_stays("one that was dropped");
		}
	}
	return err == JY_OK && dropped->generation == 0 && count == 0
	    ? err_set(ec, JY_ENOTFOUND, "there is no import key from before")
	    : err;
}
