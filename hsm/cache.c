/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys ready for use: session-object copies of token objects, and derived
 * keys, in a table of fixed size.  A hit costs a hash and one short lock.  A
 * miss is served under the lane, so that two threads never make one key
 * twice.  A key in use is pinned; of the others the one unused for longest
 * gives way.
 *
 * A copy that goes stale is made anew in its place: whoever has it pinned
 * keeps the same struct hsm_key.
 */
#include <stdlib.h>
#include <string.h>

#include "hsm/internal.h"
#include "src/base/sys.h"

/* ---- the table, under the cache lock ---- */

static struct hsm_key **
bucket_of(struct cache *c, const struct hsm_id *id)
{
	return &c->buckets[id_hash(id) & (c->bucket_count - 1)];
}

static void
lru_remove(struct cache *c, struct hsm_key *key)
{
	*(key->older != NULL ? &key->older->newer : &c->oldest) = key->newer;
	*(key->newer != NULL ? &key->newer->older : &c->newest) = key->older;
	key->older = key->newer = NULL;
}

static void
lru_add_newest(struct cache *c, struct hsm_key *key)
{
	key->newer = NULL;
	key->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = key;
	c->newest = key;
}

static void
lru_add_oldest(struct cache *c, struct hsm_key *key)
{
	key->older = NULL;
	key->newer = c->oldest;
	*(c->oldest != NULL ? &c->oldest->older : &c->newest) = key;
	c->oldest = key;
}

static void
unhash(struct cache *c, struct hsm_key *key)
{
	struct hsm_key **link = bucket_of(c, &key->id);

	while (*link != key) {
		link = &(*link)->chain;
	}
	*link = key->chain;
	key->chain = NULL;
	key->hashed = false;
}

/* Find and pin; NULL on a miss. */
static struct hsm_key *
lookup(struct hsm *hsm, const struct hsm_id *id, enum hsm_template template)
{
	struct cache *c = &hsm->cache;
	struct hsm_key *key;

	(void)pthread_mutex_lock(&hsm->cache_lock);
	key = *bucket_of(c, id);
	while (key != NULL &&
	    !(key->template == template && id_eq(&key->id, id))) {
		key = key->chain;
	}
	if (key != NULL && key->pins++ == 0) {
		lru_remove(c, key);
	}
	(void)pthread_mutex_unlock(&hsm->cache_lock);
	return key;
}

/* A place for a new key: a free one, or that of the oldest unpinned key. */
static struct hsm_key *
reserve(struct hsm *hsm)
{
	struct cache *c = &hsm->cache;
	struct hsm_key *key;

	(void)pthread_mutex_lock(&hsm->cache_lock);
	key = c->free;
	if (key != NULL) {
		c->free = key->chain;
		key->chain = NULL;
	} else if (c->oldest != NULL) {
		key = c->oldest;
		lru_remove(c, key);
		if (key->hashed) {
			unhash(c, key);
		}
	}
	(void)pthread_mutex_unlock(&hsm->cache_lock);
	return key;
}

static void
publish(struct hsm *hsm, struct hsm_key *key)
{
	struct hsm_key **bucket = bucket_of(&hsm->cache, &key->id);

	(void)pthread_mutex_lock(&hsm->cache_lock);
	key->pins = 1;
	key->hashed = true;
	key->chain = *bucket;
	*bucket = key;
	(void)pthread_mutex_unlock(&hsm->cache_lock);
}

static void
give_back(struct hsm *hsm, struct hsm_key *key)
{
	(void)pthread_mutex_lock(&hsm->cache_lock);
	key->chain = hsm->cache.free;
	hsm->cache.free = key;
	(void)pthread_mutex_unlock(&hsm->cache_lock);
}

void
hsm_key_put(struct hsm *hsm, struct hsm_key *key)
{
	if (key == NULL) {
		return;
	}
	(void)pthread_mutex_lock(&hsm->cache_lock);
	jy_assert(key->pins > 0);
	if (--key->pins == 0) {
		if (key->hashed) {
			lru_add_newest(&hsm->cache, key);
		} else {
			/* Forgotten meanwhile: its place is the next to go. */
			lru_add_oldest(&hsm->cache, key);
		}
	}
	(void)pthread_mutex_unlock(&hsm->cache_lock);
}

/* ---- objects, under the lane ---- */

static void
destroy(struct hsm *hsm, struct hsm_key *key)
{
	if (key->owned) {
		(void)P11(hsm, C_DestroyObject(hsm->anchor, key->handle));
	}
	key->owned = false;
	key->handle = CK_INVALID_HANDLE;
}

static CK_RV
make_derived(struct hsm *hsm, struct hsm_key *key, CK_OBJECT_HANDLE root,
    CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = {
		.row = key->template, .origin = ORIGIN_DERIVE, .len = 16
	};
	struct derivation d = { root, key->block };

	key->owned = true;
	return template_make(hsm, &spec, derive_make, &d, out);
}

/* The object of the token whose copy, or derivative, the key is. */
static const struct hsm_id *
source_of(const struct hsm_key *key)
{
	return key->derived ? &key->parent : &key->id;
}

static CK_RV
make_from_token(struct hsm *hsm, struct hsm_key *key, CK_OBJECT_HANDLE *made)
{
	const struct hsm_id *source = source_of(key);
	CK_OBJECT_HANDLE original;
	CK_RV rv;

	for (int attempt = 0;; attempt++) {
		rv = object_lookup(hsm, source, &original);
		if (rv == CKR_OK) {
			rv = key->derived
			    ? make_derived(hsm, key, original, made)
			    : object_copy(hsm, original, made, &key->owned);
		}
		if (rv == CKR_OK || attempt > 0 || rv_class(rv) != RV_HANDLE) {
			return rv;
		}
		/* The index was wrong about it: ask the token. */
		index_put(hsm, source, CK_INVALID_HANDLE);
	}
}

static CK_RV
load(struct hsm *hsm, const struct hsm_key *key, enum hsm_template template,
    CK_OBJECT_HANDLE *out)
{
	const struct template_spec spec = { .row = template,
		.origin = ORIGIN_UNWRAP,
		.len = 16,
		.id = source_of(key) };

	return storage_load(hsm, &spec, &key->stored, out);
}

/* E(parent, block) of a parent that is kept outside, if not at hand. */
static CK_RV
make_derived_from_stored(
    struct hsm *hsm, struct hsm_key *key, CK_OBJECT_HANDLE *made)
{
	struct hsm_key *parent = lookup(hsm, &key->parent, HSM_ROOT);
	CK_OBJECT_HANDLE loaded = CK_INVALID_HANDLE;
	CK_RV rv = CKR_KEY_HANDLE_INVALID;

	if (parent != NULL) {
		rv = make_derived(hsm, key, parent->handle, made);
		hsm_key_put(hsm, parent);
	}
	if (rv == CKR_OK || rv_class(rv) != RV_HANDLE) {
		return rv;
	}
	rv = load(hsm, key, HSM_ROOT, &loaded);
	if (rv == CKR_OK) {
		rv = make_derived(hsm, key, loaded, made);
	}
	object_destroy(hsm, loaded);
	return rv;
}

static CK_RV
make_from_stored(struct hsm *hsm, struct hsm_key *key, CK_OBJECT_HANDLE *made)
{
	if (key->derived) {
		return make_derived_from_stored(hsm, key, made);
	}
	key->owned = true;
	return load(hsm, key, key->template, made);
}

/* A lane_work: make the session object of a key. */
static CK_RV
fill(struct hsm *hsm, void *arg)
{
	struct hsm_key *key = arg;
	CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
	CK_RV rv = key->is_stored ? make_from_stored(hsm, key, &made)
				  : make_from_token(hsm, key, &made);

	if (rv != CKR_OK) {
		key->owned = false;
		return rv;
	}
	key->handle = made;
	return CKR_OK;
}

/* ---- verbs ---- */

/* Under the lane: make what want describes. */
static enum jy_err
miss(struct hsm *hsm, const struct hsm_key *want, struct hsm_key **out,
    struct errctx *ec)
{
	struct hsm_key *key = lookup(hsm, &want->id, want->template);
	enum jy_err err;

	if (key != NULL) { /* another thread was first */
		*out = key;
		return JY_OK;
	}
	key = reserve(hsm);
	if (key == NULL) {
		return err_set(ec, JY_EBUSY, "every cached key is in use");
	}
	(void)atomic_fetch_add(&hsm->misses, 1);
	destroy(hsm, key);
	key->id = want->id;
	key->template = want->template;
	key->derived = want->derived;
	key->parent = want->parent;
	memcpy(key->block, want->block, sizeof(key->block));
	key->is_stored = want->is_stored;
	key->stored = want->stored;
	err = lane_run(
	    hsm, fill, key, key->derived ? "derive a key" : "find a key", ec);
	if (err != JY_OK) {
		give_back(hsm, key);
		return err;
	}
	publish(hsm, key);
	*out = key;
	return JY_OK;
}

static enum jy_err
get(struct hsm *hsm, const struct hsm_key *want, struct hsm_key **out,
    struct errctx *ec)
{
	enum jy_err err;

	lane_enter(hsm);
	err = miss(hsm, want, out, ec);
	lane_leave(hsm);
	return err;
}

enum jy_err
hsm_key_get(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, struct hsm_key **out, struct errctx *ec)
{
	struct hsm_key *key = lookup(hsm, id, template);

	if (key == NULL) {
		const struct hsm_key want = { .id = *id, .template = template };

		return get(hsm, &want, out, ec);
	}
	*out = key;
	return JY_OK;
}

enum jy_err
hsm_key_get_stored(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, const struct hsm_stored *stored,
    struct hsm_key **out, struct errctx *ec)
{
	struct hsm_key *key = lookup(hsm, id, template);

	if (key == NULL) {
		const struct hsm_key want = { .id = *id,
			.template = template,
			.is_stored = true,
			.stored = *stored };

		return get(hsm, &want, out, ec);
	}
	*out = key;
	return JY_OK;
}

struct hsm_key *
hsm_key_cached(
    struct hsm *hsm, const struct hsm_id *id, enum hsm_template template)
{
	return lookup(hsm, id, template);
}

void
hsm_key_forget(struct hsm *hsm, const struct hsm_id *id)
{
	lane_enter(hsm);
	cache_forget(hsm, id);
	lane_leave(hsm);
}

enum jy_err
hsm_key_get_derived(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, struct hsm_key *parent, const uint8_t block[16],
    struct hsm_key **out, struct errctx *ec)
{
	struct hsm_key *key = lookup(hsm, id, template);

	jy_assert(template == HSM_MAC || template == HSM_DECRYPT);
	jy_assert(!parent->derived);
	if (key == NULL) {
		struct hsm_key want = { .id = *id,
			.template = template,
			.derived = true,
			.parent = parent->id,
			.is_stored = parent->is_stored,
			.stored = parent->stored };

		memcpy(want.block, block, sizeof(want.block));
		return get(hsm, &want, out, ec);
	}
	*out = key;
	return JY_OK;
}

enum jy_err
cache_refresh(struct hsm_key *key, CK_OBJECT_HANDLE stale, struct errctx *ec)
{
	struct hsm *hsm = key->hsm;
	enum jy_err err = JY_OK;

	lane_enter(hsm);
	if (key->handle == stale) {
		if (!key->is_stored) {
			index_put(hsm, source_of(key), CK_INVALID_HANDLE);
		}
		destroy(hsm, key);
		err = lane_run(hsm, fill, key, "find a key anew", ec);
		if (err != JY_OK && key->is_stored) {
			/* Perhaps it is kept differently by now: ask again. */
			cache_forget(hsm, source_of(key));
		}
	}
	lane_leave(hsm);
	return err;
}

/* Take all of an ID out of the table; those not in use are the result. */
static struct hsm_key *
take_out(struct hsm *hsm, const struct hsm_id *id)
{
	struct cache *c = &hsm->cache;
	struct hsm_key *idle = NULL;

	(void)pthread_mutex_lock(&hsm->cache_lock);
	for (size_t i = 0; i < c->cap; i++) {
		struct hsm_key *key = &c->keys[i];

		if (!key->hashed ||
		    !(id_eq(&key->id, id) ||
			(key->derived && id_eq(&key->parent, id)))) {
			continue;
		}
		unhash(c, key);
		if (key->pins == 0) {
			lru_remove(c, key);
			key->chain = idle;
			idle = key;
		}
	}
	(void)pthread_mutex_unlock(&hsm->cache_lock);
	return idle;
}

void
cache_forget(struct hsm *hsm, const struct hsm_id *id)
{
	struct hsm_key *next;

	for (struct hsm_key *key = take_out(hsm, id); key != NULL; key = next) {
		next = key->chain;
		destroy(hsm, key);
		give_back(hsm, key);
	}
}

void
cache_open(struct hsm *hsm, size_t cap)
{
	struct cache *c = &hsm->cache;

	c->cap = cap;
	c->keys = sys_xcalloc(cap, sizeof(*c->keys));
	for (c->bucket_count = 16; c->bucket_count < cap;) {
		c->bucket_count *= 2;
	}
	c->buckets = sys_xcalloc(c->bucket_count, sizeof(struct hsm_key *));
	for (size_t i = 0; i < cap; i++) {
		c->keys[i].hsm = hsm;
		c->keys[i].chain = c->free;
		c->free = &c->keys[i];
	}
}

void
cache_close(struct hsm *hsm)
{
	free(hsm->cache.keys);
	free(hsm->cache.buckets);
	hsm->cache = (struct cache){ 0 };
}
