/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEKs and their generations.  Two workers may change one label at a time: the
 * store lets a generation follow the highest there was only, and never takes
 * the last away, so one of them is refused.  Runs on a token thread.
 */
#include "src/join/kek.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/base/log.h"
#include "src/join/keys.h"

/* ---- which one ---- */

static size_t
active_place(const struct kek_set *set, uint64_t now_ms)
{
	size_t i = set->n - 1;

	while (i > 0 && set->rows[i].active_ms > now_ms) {
		i--;
	}
	return i;
}

enum kek_state
kek_state_of(const struct kek_set *set, size_t i, uint64_t now_ms)
{
	size_t active = active_place(set, now_ms);

	return i == active ? KEK_ACTIVE
	    : i < active   ? KEK_RETIRING
			   : KEK_PLANNED;
}

enum jy_err
kek_active(const struct join_env *env, const char *label, struct kek_row *out,
    struct errctx *ec)
{
	struct kek_set set;
	enum jy_err err = store_kek_get(env->store, label, &set, ec);

	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EKEK, "KEK %s is not there", label);
	}
	if (err == JY_OK) {
		/* Mostly there is one, and no need of the time. */
		*out = set.rows[set.n == 1
			? 0
			: active_place(&set, env->sys->now_ms())];
	}
	return err;
}

/* The place of a generation in its set; JY_ENOTFOUND. */
static enum jy_err
place_of(const struct kek_set *set, uint32_t generation, size_t *out,
    struct errctx *ec)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->rows[i].generation == generation) {
			*out = i;
			return JY_OK;
		}
	}
	return err_set(ec, JY_ENOTFOUND,
	    "the KEK %s has no generation %" PRIu32, set->rows[0].label,
	    generation);
}

/* ---- proofs ---- */

enum jy_err
kek_prove(const struct join_env *env, const struct kek_row *row,
    uint8_t out[STORE_PROOF_LEN], struct errctx *ec)
{
	uint8_t proof[STORE_PROOF_LEN];
	struct hsm_id id;
	enum jy_err err;

	keys_kek_id(row->key_id, &id);
	err = hsm_kek_prove(env->hsm, &id, proof, ec);
	if (err == JY_ENOKEY) {
		return err_replace(ec, JY_EKEK,
		    "the token has no object of generation %" PRIu32
		    " of the KEK %s",
		    row->generation, row->label);
	}
	if (err == JY_OK && row->has_proof &&
	    memcmp(proof, row->proof, sizeof(proof)) != 0) {
		return err_set(ec, JY_EKCV,
		    "the token's object of generation %" PRIu32
		    " of the KEK %s is another key, or of another length",
		    row->generation, row->label);
	}
	if (err == JY_OK) {
		memcpy(out, proof, sizeof(proof));
	}
	return err;
}

enum jy_err
kek_test(const struct join_env *env, const char *label, uint32_t generation,
    struct kek_row *row, uint8_t out[STORE_PROOF_LEN], struct errctx *ec)
{
	struct kek_set set;
	size_t i = 0;
	enum jy_err err = store_kek_get(env->store, label, &set, ec);

	if (err == JY_OK && generation == 0) {
		i = active_place(&set, env->sys->now_ms());
	} else if (err == JY_OK) {
		err = place_of(&set, generation, &i, ec);
	}
	if (err == JY_OK) {
		err = kek_prove(env, &set.rows[i], out, ec);
	}
	if (err == JY_OK) {
		*row = set.rows[i];
	}
	return err;
}

/* ---- making ---- */

/* The length of the key, if the order is one that can be carried out. */
static enum jy_err
check_order(const struct kek_order *order, size_t *key_len, struct errctx *ec)
{
	uint32_t bits = order->bits;

	if (order->label[0] == '\0' || strlen(order->label) > STORE_LABEL_MAX) {
		return err_set(ec, JY_EINVAL, "a KEK label has 1 to %d octets",
		    STORE_LABEL_MAX);
	}
	if ((order->sealed != NULL) + (order->copy != NULL) + (bits != 0) !=
	    1) {
		return err_set(ec, JY_EINVAL,
		    "one of a sealed key, a copy and bits to generate");
	}
	if (order->for_peer != NULL && bits == 0) {
		return err_set(ec, JY_EINVAL,
		    "only a key that is generated has a copy for a partner");
	}
	if (order->copy != NULL) {
		bits = order->copy->bits;
	} else if (order->sealed != NULL) {
		bits = order->sealed->wrapped_key_len < 8
		    ? 0
		    : (uint32_t)(order->sealed->wrapped_key_len - 8) * 8;
	}
	if (bits != 128 && bits != 192 && bits != 256) {
		return err_set(ec, JY_EINVAL,
		    "a KEK has 128, 192 or 256 bits, not %" PRIu32, bits);
	}
	*key_len = bits / 8;
	return JY_OK;
}

/* The wire label of the order, or the one that follows from the label. */
static enum jy_err
name_on_wire(
    const struct kek_order *order, struct kek_row *row, struct errctx *ec)
{
	int n;

	if (order->wire_label[0] != '\0') {
		n = snprintf(row->wire_label, sizeof(row->wire_label), "%s",
		    order->wire_label);
	} else if (row->generation == 1) {
		n = snprintf(row->wire_label, sizeof(row->wire_label), "%s",
		    order->label);
	} else {
		n = snprintf(row->wire_label, sizeof(row->wire_label),
		    "%s-%" PRIu32, order->label, row->generation);
	}
	return n > 0 && (size_t)n < sizeof(row->wire_label)
	    ? JY_OK
	    : err_set(ec, JY_EINVAL,
		  "the label in envelopes would be longer than %d octets; "
		  "give one",
		  STORE_LABEL_MAX);
}

/* Into the token, from where the order says. */
static enum jy_err
bring(const struct join_env *env, const struct kek_order *order,
    const struct hsm_target *target, struct kek_made *made, struct errctx *ec)
{
	uint8_t *kcv = made->row.kcv;

	if (order->sealed != NULL) {
		memcpy(kcv, order->sealed->kcv, STORE_KCV_LEN);
		return hsm_key_import(env->hsm, order->sealed, target->key_len,
		    target->template, target->id, target->label, ec);
	}
	if (order->copy != NULL) {
		memcpy(kcv, order->copy->kcv, STORE_KCV_LEN);
		return hsm_key_import_copy(
		    env->hsm, target, &order->copy->key, kcv, ec);
	}
	if (order->for_peer != NULL) {
		return hsm_key_generate_for(env->hsm, target, order->for_peer,
		    order->for_peer_len, kcv, &made->copy, ec);
	}
	return hsm_key_generate(env->hsm, target->key_len, target->template,
	    target->id, target->label, kcv, ec);
}

/* Prove the key that the token holds now and name it, or destroy it again. */
static enum jy_err
keep(const struct join_env *env, const struct hsm_id *id, struct kek_row *row,
    struct errctx *ec)
{
	enum jy_err err = kek_prove(env, row, row->proof, ec);
	bool refused = true;

	row->has_proof = err == JY_OK;
	if (err == JY_OK) {
		err = store_kek_add(env->store, row, ec);
		/* After another error it may be named all the same. */
		refused = err == JY_EEXIST || err == JY_ECONFLICT ||
		    err == JY_EINUSE || err == JY_EINVAL;
	}
	if (err != JY_OK && refused &&
	    hsm_key_destroy(env->hsm, id, NULL) != JY_OK) {
		log_warn("kek", "an unnamed KEK stays in the token",
		    "label=\"%s\"", row->label);
	}
	return err;
}

static enum jy_err
make(const struct join_env *env, const struct kek_order *order,
    uint32_t generation, uint64_t active_ms, struct kek_made *out,
    struct errctx *ec)
{
	struct kek_made made = { .row = { .generation = generation,
				     .active_ms = active_ms } };
	struct hsm_target target = { .template = HSM_KEK };
	struct kek_row *row = &made.row;
	struct hsm_id id;
	enum jy_err err = check_order(order, &target.key_len, ec);

	if (err == JY_OK) {
		err = name_on_wire(order, row, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	(void)snprintf(row->label, sizeof(row->label), "%s", order->label);
	env->sys->random(&row->key_id, sizeof(row->key_id));
	row->bits = (uint16_t)(target.key_len * 8);
	row->created_ms = env->sys->now_ms();
	keys_kek_id(row->key_id, &id);
	target.id = &id;
	target.label = row->wire_label;
	err = bring(env, order, &target, &made, ec);
	if (err == JY_OK) {
		err = keep(env, &id, row, ec);
	}
	if (err == JY_OK) {
		*out = made;
	}
	return err;
}

enum jy_err
kek_create(const struct join_env *env, const struct kek_order *order,
    struct kek_made *out, struct errctx *ec)
{
	struct kek_set set;
	enum jy_err err = store_kek_get(env->store, order->label, &set, ec);

	if (err == JY_OK) {
		return err_set(
		    ec, JY_EEXIST, "KEK %s is there already", order->label);
	}
	if (err != JY_ENOTFOUND) {
		return err;
	}
	err_clear(ec);
	return make(env, order, 1, 0, out, ec);
}

/* ---- rotation ---- */

static enum jy_err
check_switch(
    const struct kek_set *set, uint64_t at, uint64_t now, struct errctx *ec)
{
	const struct kek_row *newest = &set->rows[set->n - 1];

	if (kek_state_of(set, set->n - 1, now) == KEK_PLANNED) {
		return err_set(ec, JY_EINUSE,
		    "generation %" PRIu32
		    " of the KEK %s is yet to take over; retire it or wait",
		    newest->generation, newest->label);
	}
	if (at < now) {
		return err_set(ec, JY_EINVAL, "the time of the switch is over");
	}
	if (at - now > KEK_AHEAD_MS) {
		return err_set(ec, JY_EINVAL,
		    "the time of the switch is more than 10 years ahead");
	}
	return JY_OK;
}

enum jy_err
kek_rotate(const struct join_env *env, const struct kek_order *order,
    struct kek_made *out, struct errctx *ec)
{
	uint64_t now = env->sys->now_ms();
	uint64_t at = order->switch_ms != 0 ? order->switch_ms : now;
	struct kek_set set;
	enum jy_err err = store_kek_get(env->store, order->label, &set, ec);

	if (err == JY_OK) {
		err = check_switch(&set, at, now, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	return make(env, order, store_kek_highest(&set) + 1, at, out, ec);
}

/* ---- the end ---- */

/* Of a row that is gone: nothing names the key any more, destroyed or not. */
static enum jy_err
destroy(
    const struct join_env *env, const struct kek_row *row, struct errctx *ec)
{
	struct errctx own = ERRCTX_INIT;
	struct hsm_id id;
	enum jy_err err;

	keys_kek_id(row->key_id, &id);
	err = hsm_key_destroy(env->hsm, &id, &own);
	return err == JY_OK || err == JY_ENOKEY
	    ? JY_OK
	    : err_set(ec, err,
		  "generation %" PRIu32
		  " of the KEK %s is retired, but its key stays in the token, "
		  "with the CKA_ID 4b%016" PRIx64 ": %s",
		  row->generation, row->label, row->key_id,
		  err_detail(&own, err));
}

/* May the generation at place i go? */
static enum jy_err
check_retire(const struct join_env *env, const struct kek_set *set, size_t i,
    bool at_once, struct errctx *ec)
{
	const struct kek_row *row = &set->rows[i];
	uint64_t now = env->sys->now_ms();
	enum kek_state state = kek_state_of(set, i, now);
	uint64_t until;

	if (state == KEK_ACTIVE) {
		return err_set(ec, JY_EINUSE,
		    "generation %" PRIu32 " of the KEK %s is in use",
		    row->generation, row->label);
	}
	if (state == KEK_PLANNED || at_once) {
		return JY_OK;
	}
	until = set->rows[i + 1].active_ms + env->repeat_window_ms;
	return now >= until
	    ? JY_OK
	    : err_set(ec, JY_EINUSE,
		  "answers under generation %" PRIu32
		  " of the KEK %s may be under way for another %" PRIu64 " ms",
		  row->generation, row->label, until - now);
}

enum jy_err
kek_retire(const struct join_env *env, const char *label, uint32_t generation,
    bool at_once, struct kek_row *retired, struct errctx *ec)
{
	struct kek_set set;
	size_t i = 0;
	enum jy_err err = store_kek_get(env->store, label, &set, ec);

	if (err == JY_OK && generation != 0) {
		err = place_of(&set, generation, &i, ec);
	} else if (err == JY_OK &&
	    kek_state_of(&set, 0, env->sys->now_ms()) != KEK_RETIRING) {
		err = err_set(ec, JY_ENOTFOUND,
		    "no generation of the KEK %s is retiring", label);
	}
	if (err == JY_OK) {
		err = check_retire(env, &set, i, at_once, ec);
	}
	if (err == JY_OK) {
		err = store_kek_retire(env->store, &set.rows[i], ec);
	}
	if (err == JY_OK) {
		*retired = set.rows[i];
		err = destroy(env, &set.rows[i], ec);
	}
	return err;
}

enum jy_err
kek_delete(const struct join_env *env, const char *label, struct errctx *ec)
{
	struct kek_set set = { .n = 0 };
	enum jy_err err = store_kek_get(env->store, label, &set, ec);

	if (err == JY_ECORRUPT) {
		/* Which objects it had is lost; the rows must go all the same.
		 */
		log_warn("kek", "a damaged KEK stays in the token",
		    "label=\"%s\" error=\"%s\"", label, err_detail(ec, err));
		err_clear(ec);
		set.n = 0;
		err = JY_OK;
	}
	if (err == JY_OK) {
		err = store_kek_delete(env->store, label, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	for (size_t i = 0; i < set.n; i++) {
		enum jy_err one =
		    destroy(env, &set.rows[i], err == JY_OK ? ec : NULL);

		err = err == JY_OK ? one : err;
	}
	return err;
}
