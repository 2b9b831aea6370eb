/* SPDX-License-Identifier: Apache-2.0 */
#include "src/join/release.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/join/keys.h"

/* ---- who may have them ---- */

enum jy_err
release_allowed(const struct join_env *env,
    const uint8_t receiver[HSM_FINGERPRINT_LEN], struct errctx *ec)
{
	char hex[HEX_STR_LEN(HSM_FINGERPRINT_LEN)];

	for (size_t i = 0; i < env->release_to.count; i++) {
		if (memcmp(env->release_to.keys[i], receiver,
			HSM_FINGERPRINT_LEN) == 0) {
			return JY_OK;
		}
	}
	hex_format(receiver, HSM_FINGERPRINT_LEN, hex);
	return err_set(ec, JY_EACCESS,
	    "release-to in joinery.conf does not name the import key %s", hex);
}

enum jy_err
release_begin(const struct join_env *env, const uint8_t *der, size_t len,
    struct hsm_ticket *ticket, uint8_t sealed[HSM_RSA_MAX], size_t *sealed_len,
    struct errctx *ec)
{
	uint8_t receiver[HSM_FINGERPRINT_LEN];
	struct storage_state state;
	enum jy_err err = hsm_public_key(env->hsm, der, len, receiver, ec);

	if (err == JY_OK) {
		err = release_allowed(env, receiver, ec);
	}
	if (err == JY_OK) {
		err = store_storage_get(env->store, &state, ec);
	}
	if (err == JY_OK && state.current == 0) {
		err = err_set(ec, JY_ENOTFOUND,
		    "there is no storage key: all root keys are in the token, "
		    "where they stay");
	}
	if (err != JY_OK) {
		return err;
	}
	ticket->storage = state.current;
	return hsm_release_begin(
	    env->hsm, der, len, ticket, sealed, sealed_len, ec);
}

enum jy_err
release_check(const struct join_env *env, const struct hsm_ticket *ticket,
    struct errctx *ec)
{
	struct storage_state state;
	enum jy_err err = store_storage_get(env->store, &state, ec);

	/* A worker may still have at hand what the token has no more. */
	if (err == JY_OK && ticket->storage != state.current &&
	    ticket->storage != state.old) {
		return err_set(ec, JY_EINVAL,
		    "the ticket is not one of this server, or its storage key "
		    "was replaced: begin the release anew");
	}
	if (err == JY_OK) {
		err = hsm_release_check(env->hsm, ticket, ec);
	}
	/* Only now is the fingerprint in it to be believed. */
	return err == JY_OK ? release_allowed(env, ticket->receiver, ec) : err;
}

/* ---- keys ---- */

static enum jy_err
release_root(const struct join_env *env, const struct release_batch *batch,
    const struct device_id *device, const struct device_key *key,
    const struct key_check *check, struct release_key *out, struct errctx *ec)
{
	const char *name = key->role == KEY_NWK ? "NwkKey" : "AppKey";
	struct hsm_stored stored;
	struct root_row row;
	struct hsm_id id;
	enum jy_err err;

	out->present = key->generation != 0;
	if (!out->present) {
		return JY_OK;
	}
	err = store_root_get(env->store, device, key, &row, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EACCESS,
		    "the %s is in the token, and what is there cannot leave; "
		    "only keys in wrapped custody can",
		    name);
	}
	if (err == JY_OK && !check->known) {
		return err_set(ec, JY_EINVAL,
		    "the check value of the %s is not known: import it again",
		    name);
	}
	if (err != JY_OK) {
		return err;
	}
	stored = keys_stored_of(&row);
	keys_root_id(device, key, &id);
	err = hsm_release_key(
	    env->hsm, batch->ticket, &id, &stored, out->wrapped, ec);
	memcpy(out->check_value, check->value, sizeof(out->check_value));
	return err == JY_EFORGED
	    ? err_replace(ec, JY_EFORGED,
		  "the %s in the database is not bound to this device", name)
	    : err;
}

/* The begin of its fingerprint, for the row and for people. */
static void
receiver_name(const struct hsm_ticket *ticket, char out[STORE_RECEIVER_LEN + 1])
{
	hex_format(ticket->receiver, STORE_RECEIVER_LEN / 2, out);
}

/* Two that serve one device would give it the same JoinNonces. */
static enum jy_err
check_receiver(const struct release_batch *batch, struct release_device *d)
{
	const struct device_row *row = &d->row;
	char receiver[STORE_RECEIVER_LEN + 1];

	receiver_name(batch->ticket, receiver);
	return !row->released || row->released_to[0] == '\0' ||
		strcmp(row->released_to, receiver) == 0
	    ? JY_OK
	    : err_set(&d->ec, JY_ERELEASED,
		  "released already, to the import key that begins with %s",
		  row->released_to);
}

/* A row that was written before texts had to be UTF-8 fits in no key file. */
static enum jy_err
check_texts(const struct device_row *row, struct errctx *ec)
{
	const struct {
		const char *what;
		const char *text;
	} texts[] = {
		{ "AS-ID", row->activation.as_id },
		{ "KEK for network keys", row->activation.ns_kek },
		{ "KEK for the AppSKey", row->activation.as_kek },
		{ "application", row->app },
		{ "name", row->name },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!text_is_clean(texts[i].text)) {
			return err_set(ec, JY_EINVAL,
			    "the device's %s is not UTF-8, or has a control "
			    "character, and fits in no key file: give it "
			    "another",
			    texts[i].what);
		}
	}
	return JY_OK;
}

static enum jy_err
release_keys(const struct join_env *env, const struct release_batch *batch,
    struct release_device *d)
{
	const struct device_row *row = &d->row;
	enum jy_err err = store_device_get(env->store, &d->id, &d->row, &d->ec);

	if (err == JY_ENOTFOUND) {
		return err_replace(&d->ec, JY_EDEVICE, "no such device");
	}
	if (err == JY_OK && row->nwk_key.generation == 0 &&
	    row->app_key.generation == 0) {
		return err_set(
		    &d->ec, JY_EROOTKEY, "the device has no root key");
	}
	if (err == JY_OK) {
		err = check_receiver(batch, d);
	}
	if (err == JY_OK) {
		err = check_texts(row, &d->ec);
	}
	if (err == JY_OK) {
		err = release_root(env, batch, &d->id, &row->nwk_key,
		    &row->nwk_check, &d->nwk, &d->ec);
	}
	return err == JY_OK ? release_root(env, batch, &d->id, &row->app_key,
				  &row->app_check, &d->app, &d->ec)
			    : err;
}

/* ---- marks ---- */

/* What goes into the store together. */
struct marking {
	struct device_change changes[RELEASE_BATCH_MAX];
	struct device_change *list[RELEASE_BATCH_MAX];
	struct release_device *devices[RELEASE_BATCH_MAX];
	size_t n;
};

static void
marking_add(const struct join_env *env, const struct release_batch *batch,
    struct marking *m, struct release_device *d)
{
	struct device_change *c = &m->changes[m->n];

	*c = (struct device_change){ .row = d->row, .ec = &d->ec };
	c->row.released = true;
	receiver_name(batch->ticket, c->row.released_to);
	c->row.changed_ms = env->sys->now_ms();
	m->list[m->n] = c;
	m->devices[m->n] = d;
	m->n++;
}

/* Mark the devices whose keys are ready, all in one transaction. */
static enum jy_err
mark(const struct join_env *env, struct release_batch *batch, struct errctx *ec)
{
	struct marking *m = sys_xcalloc(1, sizeof(*m));
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < batch->n; i++) {
		if (batch->devices[i].err == JY_OK) {
			marking_add(env, batch, m, &batch->devices[i]);
		}
	}
	if (m->n > 0) {
		err = store_device_put_batch(env->store,
		    (struct device_change *const *)m->list, m->n, ec);
		batch->marked = err == JY_OK;
	}
	for (size_t i = 0; i < m->n && err == JY_OK; i++) {
		m->devices[i]->err = m->changes[i].err;
	}
	free(m);
	return err;
}

/* ---- a batch ---- */

/* Would the next device fare no better? */
static bool
hits_all(enum jy_err err)
{
	return err == JY_ETOKEN || err == JY_EIO || err == JY_EFULL ||
	    err == JY_ENOMEM;
}

static enum jy_err
read_nonces(const struct join_env *env, struct release_device *d)
{
	size_t used;

	return store_nonces_get(env->store, &d->id, &d->nonces, &used, &d->ec);
}

enum jy_err
release_run(
    const struct join_env *env, struct release_batch *batch, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	jy_assert(batch->n <= RELEASE_BATCH_MAX);
	for (size_t i = 0; i < batch->n; i++) {
		struct release_device *d = &batch->devices[i];

		if (d->err == JY_OK) {
			d->err = release_keys(env, batch, d);
		}
		if (hits_all(d->err)) {
			return err_set(
			    ec, d->err, "%s", err_detail(&d->ec, d->err));
		}
	}
	if (!batch->keep_serving) {
		err = mark(env, batch, ec);
	}
	for (size_t i = 0; i < batch->n && err == JY_OK; i++) {
		struct release_device *d = &batch->devices[i];

		if (d->err == JY_OK) {
			d->err = read_nonces(env, d);
		}
		if (hits_all(d->err)) {
			err = err_set(
			    ec, d->err, "%s", err_detail(&d->ec, d->err));
		}
	}
	return err;
}
