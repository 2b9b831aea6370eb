/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEKs and their generations on a real token: how they come, which one is
 * used when, how they go, and what is noticed when one is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "src/join/kek_watch.h"
#include "tests/unit/join_util.h"

/* What kek_retire retired. */
static struct kek_row gone;

static enum jy_err
generate(const char *label, uint32_t bits, struct kek_made *out)
{
	const struct kek_order order = {
		.label = label, .wire_label = "", .bits = bits
	};

	return kek_create(&t.env, &order, out, NULL);
}

/* Rotate by generating. */
static enum jy_err
rotate(const char *label, const char *wire_label, uint64_t at_ms,
    struct errctx *ec)
{
	const struct kek_order order = { .label = label,
		.wire_label = wire_label,
		.bits = 128,
		.switch_ms = at_ms };
	struct kek_made made;

	return kek_rotate(&t.env, &order, &made, ec);
}

static bool
token_has(uint64_t key_id)
{
	struct hsm_key *key = NULL;
	struct hsm_id id;
	enum jy_err err;

	keys_kek_id(key_id, &id);
	err = hsm_key_get(t.hsm, &id, HSM_KEK, &key, NULL);
	hsm_key_put(t.hsm, key);
	assert_true(err == JY_OK || err == JY_ENOKEY);
	return err == JY_OK;
}

static void
destroy_object(uint64_t key_id)
{
	struct hsm_id id;

	keys_kek_id(key_id, &id);
	assert_int_equal(hsm_key_destroy(t.hsm, &id, NULL), JY_OK);
}

static uint32_t
active_generation(const char *label)
{
	struct kek_row row;

	assert_int_equal(kek_active(&t.env, label, &row, NULL), JY_OK);
	return row.generation;
}

/* ---- making ---- */

static void
test_create(void **state)
{
	static const uint32_t good[] = { 128, 192, 256 };
	static const uint32_t bad[] = { 1, 64, 100, 127, 129, 512 };
	struct kek_made made;
	char label[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		(void)snprintf(label, sizeof(label), "g%zu", i);
		assert_int_equal(generate(label, good[i], &made), JY_OK);
		assert_int_equal(made.row.bits, good[i]);
		assert_int_equal(made.row.generation, 1);
		assert_string_equal(made.row.wire_label, label);
		assert_true(made.row.has_proof);
		assert_int_equal(made.row.active_ms, 0);
		assert_int_equal(made.copy.len, 0);
		assert_true(token_has(made.row.key_id));
		assert_int_equal(generate(label, good[i], &made), JY_EEXIST);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(generate("bad", bad[i], &made), JY_EINVAL);
	}
	assert_int_equal(generate("", 128, &made), JY_EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		(void)snprintf(label, sizeof(label), "g%zu", i);
		assert_int_equal(kek_delete(&t.env, label, NULL), JY_OK);
	}
	assert_int_equal(kek_delete(&t.env, "g0", NULL), JY_ENOTFOUND);
}

static void
test_import(void **state)
{
	struct secret *kek = random_secret(24);
	struct errctx ec = ERRCTX_INIT;
	struct sealed_key sealed;
	struct hsm_sealed in;
	struct kek_order order = {
		.label = "third", .wire_label = "wire", .sealed = &in
	};
	uint8_t proof[STORE_PROOF_LEN];
	struct secret_block key AUTO_WIPE;
	struct kek_made made;
	struct kek_row row;

	(void)state;
	seal(kek, &sealed, &in);
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_OK);
	assert_string_equal(made.row.wire_label, "wire");
	assert_int_equal(made.row.bits, 192);
	assert_memory_equal(made.row.kcv, sealed.check_value, 4);
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EEXIST);
	order.label = "";
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EINVAL);
	order.label = "other";
	assert_int_equal(kek_create(&t.env, &order, &made, &ec), JY_EEXIST);
	assert_non_null(strstr(ec.text, "carry the label \"wire\""));
	order.wire_label = "";
	in.wrapped_key_len = 7;
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EINVAL);
	in.wrapped_key_len = 32;
	sealed.check_value[0] ^= 1;
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EKCV);
	order.bits = 128;
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EINVAL);
	order.bits = 0;
	order.sealed = NULL;
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_EINVAL);
	/* The proof is what the admin's key says. */
	assert_int_equal(
	    kek_test(&t.env, "third", 0, &row, proof, NULL), JY_OK);
	assert_true(sim_crypto_unwrap(t.crypto, kek, proof, &key));
	assert_memory_equal(key.b, hsm_test_key, 16);
	assert_memory_equal(row.proof, proof, sizeof(proof));
	assert_int_equal(
	    kek_test(&t.env, "third", 2, &row, proof, NULL), JY_ENOTFOUND);
	assert_int_equal(
	    kek_test(&t.env, "other", 0, &row, proof, NULL), JY_ENOTFOUND);
	assert_int_equal(kek_delete(&t.env, "third", NULL), JY_OK);
	secret_free(kek);
}

/* A KEK of ours, copied for a partner whose key is our own import key. */
static void
test_copies(void **state)
{
	struct kek_order order = { .label = "shared",
		.wire_label = "",
		.bits = 256,
		.for_peer = t.import_der,
		.for_peer_len = t.import_der_len };
	struct errctx ec = ERRCTX_INIT;
	uint8_t proof[STORE_PROOF_LEN];
	struct kek_made made, back;
	struct kek_copy copy;
	struct kek_row row;

	(void)state;
	assert_int_equal(kek_create(&t.env, &order, &made, NULL), JY_OK);
	assert_int_equal(made.copy.len, 384);
	copy.key = made.copy;
	copy.bits = 256;
	memcpy(copy.kcv, made.row.kcv, sizeof(copy.kcv));
	order = (struct kek_order){
		.label = "mirror", .wire_label = "", .copy = &copy
	};
	copy.bits = 128;
	assert_int_equal(kek_create(&t.env, &order, &back, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "has not 128 bits"));
	copy.bits = 0;
	assert_int_equal(kek_create(&t.env, &order, &back, NULL), JY_EINVAL);
	copy.bits = 256;
	copy.kcv[0] ^= 1;
	assert_int_equal(kek_create(&t.env, &order, &back, NULL), JY_EKCV);
	copy.kcv[0] ^= 1;
	order.for_peer = t.import_der;
	assert_int_equal(kek_create(&t.env, &order, &back, NULL), JY_EINVAL);
	order.for_peer = NULL;
	assert_int_equal(kek_create(&t.env, &order, &back, NULL), JY_OK);
	assert_memory_equal(back.row.kcv, made.row.kcv, sizeof(copy.kcv));
	assert_int_equal(
	    kek_test(&t.env, "mirror", 1, &row, proof, NULL), JY_OK);
	assert_memory_equal(proof, made.row.proof, sizeof(proof));

	order = (struct kek_order){ .label = "no",
		.wire_label = "",
		.bits = 128,
		.for_peer = t.import_der,
		.for_peer_len = t.import_der_len - 1 };
	assert_int_equal(kek_create(&t.env, &order, &back, NULL), JY_EINVAL);
	assert_int_equal(kek_delete(&t.env, "shared", NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, "mirror", NULL), JY_OK);
}

/* ---- generations ---- */

static void
test_rotation(void **state)
{
	char name[STORE_LABEL_MAX + 1];
	struct errctx ec = ERRCTX_INIT;
	uint64_t begin = now_ms;
	struct kek_made first;
	struct kek_set set;

	(void)state;
	t.env.repeat_window_ms = 10000;
	assert_int_equal(rotate("r", "", 0, NULL), JY_ENOTFOUND);
	assert_int_equal(generate("r", 128, &first), JY_OK);
	assert_int_equal(rotate("r", "", begin - 1, &ec), JY_EINVAL);
	assert_string_equal(ec.text, "the time of the switch is over");
	assert_int_equal(
	    rotate("r", "", begin + KEK_AHEAD_MS + 1, NULL), JY_EINVAL);
	assert_int_equal(rotate("r", "ns-kek", 0, NULL), JY_EEXIST);
	assert_int_equal(rotate("r", "", begin + 1000, NULL), JY_OK);
	err_clear(&ec);
	assert_int_equal(rotate("r", "", 0, &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "yet to take over"));

	assert_int_equal(store_kek_get(t.env.store, "r", &set, NULL), JY_OK);
	assert_string_equal(set.rows[1].wire_label, "r-2");
	assert_int_equal(kek_state_of(&set, 0, now_ms), KEK_ACTIVE);
	assert_int_equal(kek_state_of(&set, 1, now_ms), KEK_PLANNED);
	assert_int_equal(active_generation("r"), 1);
	assert_int_equal(
	    kek_retire(&t.env, "r", 0, true, &gone, NULL), JY_ENOTFOUND);
	err_clear(&ec);
	assert_int_equal(
	    kek_retire(&t.env, "r", 1, true, &gone, &ec), JY_EINUSE);
	assert_string_equal(ec.text, "generation 1 of the KEK r is in use");
	assert_int_equal(
	    kek_retire(&t.env, "r", 3, true, &gone, NULL), JY_ENOTFOUND);

	now_ms = begin + 999;
	assert_int_equal(active_generation("r"), 1);
	now_ms = begin + 1000;
	assert_int_equal(active_generation("r"), 2);
	assert_int_equal(kek_state_of(&set, 0, now_ms), KEK_RETIRING);
	assert_int_equal(kek_state_of(&set, 1, now_ms), KEK_ACTIVE);
	now_ms = begin + 10999;
	err_clear(&ec);
	assert_int_equal(
	    kek_retire(&t.env, "r", 1, false, &gone, &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "another 1 ms"));
	assert_true(token_has(first.row.key_id));
	now_ms = begin + 11000;
	assert_int_equal(kek_retire(&t.env, "r", 0, false, &gone, NULL), JY_OK);
	assert_false(token_has(first.row.key_id));
	assert_int_equal(active_generation("r"), 2);
	/* The clock went back: what there is goes on being used. */
	now_ms = begin;
	assert_int_equal(active_generation("r"), 2);
	err_clear(&ec);
	assert_int_equal(
	    kek_retire(&t.env, "r", 2, true, &gone, &ec), JY_EINUSE);
	now_ms = begin + 11000;

	/* One that is planned may be taken back at any time. */
	assert_int_equal(rotate("r", "named", begin + 99999, NULL), JY_OK);
	assert_int_equal(kek_retire(&t.env, "r", 3, false, &gone, NULL), JY_OK);
	/* One that was replaced just now may go at once, if told so. */
	assert_int_equal(rotate("r", "named", 0, NULL), JY_OK);
	assert_int_equal(active_generation("r"), 4);
	assert_int_equal(
	    kek_retire(&t.env, "r", 2, false, &gone, NULL), JY_EINUSE);
	assert_int_equal(kek_retire(&t.env, "r", 2, true, &gone, NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, "r", NULL), JY_OK);
	assert_int_equal(
	    store_kek_get(t.env.store, "r", &set, NULL), JY_ENOTFOUND);

	/* Names that leave no room for what follows. */
	memset(name, 'n', sizeof(name) - 1);
	name[STORE_LABEL_MAX] = '\0';
	assert_int_equal(generate(name, 128, &first), JY_OK);
	assert_int_equal(rotate(name, "", 0, NULL), JY_EINVAL);
	assert_int_equal(rotate(name, "short", 0, NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, name, NULL), JY_OK);
	t.env.repeat_window_ms = 0;
	now_ms = begin;
}

/* Of one that was taken back, number and label in envelopes are used up. */
static void
test_taken_back(void **state)
{
	struct kek_made first;
	struct kek_set set;

	(void)state;
	assert_int_equal(generate("b", 128, &first), JY_OK);
	assert_int_equal(rotate("b", "", now_ms + 99999, NULL), JY_OK);
	assert_int_equal(kek_retire(&t.env, "b", 2, false, &gone, NULL), JY_OK);
	assert_string_equal(gone.wire_label, "b-2");
	assert_false(token_has(gone.key_id));
	assert_int_equal(active_generation("b"), 1);
	assert_int_equal(
	    kek_retire(&t.env, "b", 2, false, &gone, NULL), JY_ENOTFOUND);
	assert_int_equal(rotate("b", "", now_ms + 99999, NULL), JY_OK);
	assert_int_equal(kek_retire(&t.env, "b", 3, false, &gone, NULL), JY_OK);
	assert_int_equal(rotate("b", "", 0, NULL), JY_OK);
	assert_int_equal(store_kek_get(t.env.store, "b", &set, NULL), JY_OK);
	assert_int_equal(set.n, 2);
	assert_int_equal(set.rows[1].generation, 4);
	assert_string_equal(set.rows[1].wire_label, "b-4");
	assert_int_equal(active_generation("b"), 4);
	assert_int_equal(kek_delete(&t.env, "b", NULL), JY_OK);
	/* A label that was deleted begins anew. */
	assert_int_equal(generate("b", 128, &first), JY_OK);
	assert_int_equal(rotate("b", "", 0, NULL), JY_OK);
	assert_int_equal(active_generation("b"), 2);
	assert_int_equal(kek_delete(&t.env, "b", NULL), JY_OK);
}

/* Another worker rotates between our look and our add. */
static void
rotated_meanwhile(void)
{
	assert_int_equal(rotate("raced", "", 0, NULL), JY_OK);
}

static void
test_race(void **state)
{
	struct kek_made made;
	struct kek_set set;

	(void)state;
	assert_int_equal(generate("raced", 128, &made), JY_OK);
	/* The clock is asked before the set is read, and again for the row. */
	meanwhile = rotated_meanwhile;
	assert_int_equal(rotate("raced", "", 0, NULL), JY_OK);
	assert_int_equal(
	    store_kek_get(t.env.store, "raced", &set, NULL), JY_OK);
	assert_int_equal(set.n, 3);
	assert_int_equal(kek_delete(&t.env, "raced", NULL), JY_OK);
	for (size_t i = 0; i < set.n; i++) {
		assert_false(token_has(set.rows[i].key_id));
	}
}

/* Joins go on under a label while the key behind it changes. */
static void
test_join_across(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row wanted = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &wanted);
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct secret *next = random_secret(32);
	struct peer_row ns = make_peer("ns-r", PEER_NS, 2011, "");
	struct secret *first = random_secret(16);
	struct sealed_key sealed;
	struct hsm_sealed in;
	const struct kek_order order = { .label = "rotating",
		.wire_label = "",
		.sealed = &in,
		.switch_ms = now_ms + 5000 };
	uint8_t phy[SIM_REQUEST_LEN];
	uint64_t begin = now_ms;
	struct session_keys keys;
	struct kek_made made;
	struct join j;

	(void)state;
	import_kek("rotating", first);
	strcpy(ns.kek, "rotating");
	ns.revision = 1;
	assert_int_equal(registry_peer_set(&t.env, &ns, NULL), JY_OK);
	seal(next, &sealed, &in);
	assert_int_equal(kek_rotate(&t.env, &order, &made, NULL), JY_OK);

	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.peer = &ns;
	run(&j);
	assert_int_equal(j.err, JY_OK);
	sim.accept.join_nonce = 1;
	check_envelope(&j.out.keys.f_nwk_s_int_key, first, "rotating", &roots,
	    &sim, SIM_NWK_S_KEY);
	now_ms = begin + 5000;
	assert_int_equal(
	    retrieve(&ns, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
	check_envelope(&keys.f_nwk_s_int_key, next, "rotating-2", &roots, &sim,
	    SIM_NWK_S_KEY);
	sim = make_sim_join(&d, 2, false);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.peer = &ns;
	run(&j);
	assert_int_equal(j.err, JY_OK);
	sim.accept.join_nonce = 2;
	check_envelope(&j.out.keys.f_nwk_s_int_key, next, "rotating-2", &roots,
	    &sim, SIM_NWK_S_KEY);

	/* An object that is gone: refused, and no nonce is used up. */
	destroy_object(made.row.key_id);
	sim = make_sim_join(&d, 3, false);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.peer = &ns;
	run(&j);
	check_refused(&j, &d, JY_EKEK, JOIN_STEP_keys);
	assert_non_null(strstr(j.ec.text, "generation 2 of the KEK rotating"));
	assert_int_equal(stored_join_nonce(&d), 2);
	assert_int_equal(
	    retrieve(&ns, PEER_NS, j.out.session_id, NULL, &keys), JY_ESESSION);
	assert_int_equal(store_peer_delete(t.env.store, "ns-r", NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, "rotating", NULL), JY_OK);
	secret_free(first);
	secret_free(next);
	now_ms = begin;
}

/* ---- what is lost is noticed ---- */

static size_t
watch(struct kek_watch *w)
{
	struct errctx ec = ERRCTX_INIT;
	bool ended = false;

	for (int i = 0; i < 100 && !ended; i++) {
		if (kek_watch_some(&t.env, w, 1, &ended, &ec) != JY_OK) {
			fail_msg("%s", ec.text);
		}
	}
	assert_true(ended);
	return w->last_unfit;
}

static void
test_watch(void **state)
{
	struct kek_watch w = { .unfit = 0 };
	struct app_row app = { .name = "orphans" };
	struct kek_made lost, changed;
	struct errctx ec = ERRCTX_INIT;
	uint8_t proof[STORE_PROOF_LEN], kcv[4];
	struct hsm_id id;
	struct kek_row row;

	(void)state;
	assert_int_equal(watch(&w), 0);
	assert_int_equal(generate("lost", 128, &lost), JY_OK);
	assert_int_equal(generate("changed", 256, &changed), JY_OK);
	assert_int_equal(watch(&w), 0);
	destroy_object(lost.row.key_id);
	assert_int_equal(watch(&w), 1);
	assert_int_equal(watch(&w), 1);
	assert_int_equal(
	    kek_test(&t.env, "lost", 0, &row, proof, &ec), JY_EKEK);
	assert_string_equal(
	    ec.text, "the token has no object of generation 1 of the KEK lost");
	/* A shorter key under the same CKA_ID. */
	keys_kek_id(changed.row.key_id, &id);
	assert_int_equal(
	    hsm_key_generate(t.hsm, 16, HSM_KEK, &id, "changed", kcv, NULL),
	    JY_OK);
	assert_int_equal(watch(&w), 2);
	err_clear(&ec);
	assert_int_equal(
	    kek_test(&t.env, "changed", 1, &row, proof, &ec), JY_EKCV);
	assert_non_null(strstr(ec.text, "or of another length"));
	/* Labels that nobody can name by a call. */
	strcpy(app.activation.ns_kek, "gone");
	strcpy(app.activation.as_kek, "gone");
	assert_int_equal(store_app_put(t.env.store, &app, NULL), JY_OK);
	assert_int_equal(watch(&w), 4);
	assert_int_equal(kek_delete(&t.env, "lost", NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, "changed", NULL), JY_OK);
	assert_int_equal(watch(&w), 2);
	assert_int_equal(store_app_delete(t.env.store, "orphans", NULL), JY_OK);
	assert_int_equal(watch(&w), 0);
}

/* A row of an older version has no proof: that there is an object must do. */
static void
test_without_proof(void **state)
{
	struct kek_watch w = { .unfit = 0 };
	uint8_t proof[STORE_PROOF_LEN], kcv[4];
	struct kek_row row = { .label = "old",
		.wire_label = "old",
		.generation = 1,
		.key_id = 0x0102030405060708,
		.bits = 128 };
	struct hsm_id id;

	(void)state;
	keys_kek_id(row.key_id, &id);
	assert_int_equal(store_kek_add(t.env.store, &row, NULL), JY_OK);
	assert_int_equal(watch(&w), 1);
	assert_int_equal(
	    hsm_key_generate(t.hsm, 16, HSM_KEK, &id, "old", kcv, NULL), JY_OK);
	assert_int_equal(watch(&w), 0);
	assert_int_equal(kek_test(&t.env, "old", 0, &row, proof, NULL), JY_OK);
	assert_int_equal(kek_delete(&t.env, "old", NULL), JY_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_join_across),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_without_proof),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
