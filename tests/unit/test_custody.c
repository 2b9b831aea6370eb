/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root keys in either custody: what is in the store, joins of it, storage keys
 * that are replaced meanwhile, and how many keys the token may hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "src/join/orphans.h"
#include "src/join/resident.h"
#include "src/join/roots.h"
#include "src/join/storage.h"
#include "tests/unit/join_util.h"

static int
set_up_resident(void **state)
{
	int failed = set_up(state);

	t.env.custody = CUSTODY_RESIDENT;
	t.env.resident_max = 0;
	return failed;
}

static int
set_up_wrapped(void **state)
{
	int failed = set_up_resident(state);

	t.env.custody = CUSTODY_WRAPPED;
	assert_int_equal(storage_open(&t.env, NULL), JY_OK);
	return failed;
}

static struct root_row
row_of(const struct device_row *d, const struct device_key *key)
{
	struct root_row row;

	assert_int_equal(
	    store_root_get(t.env.store, &d->id, key, &row, NULL), JY_OK);
	return row;
}

/* Change a root row as somebody who can write the database. */
static void
overwrite(const struct root_row *row)
{
	struct root_row now;
	struct root_change change;
	size_t replaced = 0;

	assert_int_equal(
	    store_root_get(t.env.store, &row->device, &row->key, &now, NULL),
	    JY_OK);
	change = (struct root_change){ now, *row };
	assert_int_equal(
	    store_root_replace(t.env.store, &change, 1, &replaced, NULL),
	    JY_OK);
	assert_int_equal(replaced, 1);
}

/* As by a worker that has just started. */
static void
forget(const struct device_row *d, const struct device_key *key)
{
	struct hsm_id id;

	keys_root_id(&d->id, key, &id);
	hsm_key_forget(t.hsm, &id);
}

static bool
in_token(const struct device_row *d, const struct device_key *key)
{
	struct hsm_key *got = NULL;
	struct hsm_id id;
	enum jy_err err;

	forget(d, key);
	keys_root_id(&d->id, key, &id);
	err =
	    hsm_key_get(t.hsm, &id, keys_root_template(key->role), &got, NULL);
	hsm_key_put(t.hsm, got);
	assert_true(err == JY_OK || err == JY_ENOKEY);
	return err == JY_OK;
}

static void
joins(const struct device_row *d, const struct sim_roots *roots,
    uint16_t dev_nonce, uint32_t join_nonce, bool opt_neg)
{
	struct sim_join sim = make_sim_join(d, dev_nonce, opt_neg);
	struct join j;

	(void)join_once(
	    &j, roots, &sim, opt_neg ? LW_VERSION_1_1_0 : LW_VERSION_1_0_4);
	check_accepted(&j, roots, &sim, join_nonce);
}

static void
test_joins(void **state)
{
	struct sim_roots old = { .has_app = true };
	struct sim_roots new = { .has_nwk = true, .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row v11 = for_as(LW_VERSION_1_1_0);
	struct device_row a = add_device(&old, &v10);
	struct device_row b = add_device(&new, &v11);

	(void)state;
	assert_false(in_token(&a, &a.app_key));
	assert_false(in_token(&b, &b.nwk_key));
	assert_false(in_token(&b, &b.app_key));
	joins(&a, &old, 1, 1, false);
	joins(&a, &old, 2, 2, false);
	joins(&b, &new, 1, 1, true);
	forget(&b, &b.nwk_key);
	joins(&b, &new, 2, 2, true);
	assert_int_equal(registry_device_delete(&t.env, &a.id, NULL), JY_OK);
	assert_int_equal(store_root_get(t.env.store, &a.id, &a.app_key,
			     &(struct root_row){ 0 }, NULL),
	    JY_ENOTFOUND);
}

/* A blob of another device, another role, or changed: no join, no nonce. */
static void
test_forged(void **state)
{
	struct sim_roots ra = { .has_app = true }, rb = { .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row a = add_device(&ra, &v10), b = add_device(&rb, &v10);
	struct root_row good = row_of(&a, &a.app_key);
	struct root_row bad[3];
	struct sim_join sim = make_sim_join(&a, 1, false);
	struct join j;

	(void)state;
	bad[0] = row_of(&b, &b.app_key); /* moved from another row */
	bad[0].device = a.id;
	bad[0].key = a.app_key;
	bad[1] = bad[2] = good;
	bad[1].blob[3] ^= 1;
	bad[2].mac[7] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		overwrite(&bad[i]);
		(void)join_once(&j, &ra, &sim, LW_VERSION_1_0_4);
		check_refused(&j, &a, JY_EFORGED, JOIN_STEP_mic);
		assert_non_null(strstr(j.ec.text, "AppKey"));
	}
	overwrite(&good);
	joins(&a, &ra, 1, 1, false);
	joins(&b, &rb, 1, 1, false);
}

/* The key that is replaced stays while its session does. */
static void
test_replaced_key(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &v10);
	struct sim_join sim = make_sim_join(&d, 1, false);
	const struct device_key old = d.app_key;
	struct secret *key = random_secret(16);
	struct session_keys keys;
	struct sealed_key sealed;
	struct hsm_sealed in;
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	seal(key, &sealed, &in);
	secret_free(key);
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, &in, NULL), JY_OK);
	assert_int_not_equal(d.app_key.generation, old.generation);
	(void)row_of(&d, &old);
	(void)row_of(&d, &d.app_key);
	forget(&d, &old);
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
	check_network_keys(&keys, &roots, &sim);
}

static void
move_all(uint32_t moved)
{
	struct storage_move move;

	assert_int_equal(storage_move(&t.env, NULL, &move, NULL), JY_OK);
	assert_int_equal(move.moved, moved);
	assert_int_equal(move.failed, 0);
	assert_false(move.more);
}

static void
test_rotation(void **state)
{
	struct sim_roots ra = { .has_nwk = true, .has_app = true };
	struct sim_roots rb = { .has_app = true };
	struct device_row v11 = for_as(LW_VERSION_1_1_0);
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row a = add_device(&ra, &v11), b;
	struct storage_state before, state_now, again;
	struct root_row first = row_of(&a, &a.nwk_key);
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(storage_finish(&t.env, &ec), JY_EINVAL);
	assert_int_equal(store_storage_get(t.env.store, &before, NULL), JY_OK);
	assert_int_equal(storage_replace(&t.env, &state_now, NULL), JY_OK);
	assert_int_equal(state_now.old, before.current);
	assert_int_not_equal(state_now.current, before.current);
	/* Run again, it goes on with the same. */
	assert_int_equal(storage_replace(&t.env, &again, NULL), JY_OK);
	assert_int_equal(again.current, state_now.current);
	joins(&a, &ra, 1, 1, true);
	err_clear(&ec);
	assert_int_equal(storage_finish(&t.env, &ec), JY_EINUSE);
	b = add_device(&rb, &v10);
	move_all(2);
	move_all(0);
	assert_int_equal(row_of(&a, &a.nwk_key).storage, state_now.current);
	assert_int_equal(storage_finish(&t.env, NULL), JY_OK);
	assert_int_equal(
	    hsm_storage_check(t.hsm, before.current, NULL), JY_ENOKEY);
	assert_int_equal(storage_open(&t.env, NULL), JY_OK);
	forget(&a, &a.nwk_key);
	forget(&a, &a.app_key);
	joins(&a, &ra, 2, 2, true);
	joins(&b, &rb, 1, 1, false);
	/* The row of before opens nothing any more. */
	assert_int_equal(
	    store_root_replace(t.env.store,
		&(struct root_change){ row_of(&a, &a.nwk_key), first }, 1,
		&(size_t){ 0 }, NULL),
	    JY_ECONFLICT);
}

/* One that is not what the database says stays, and is named. */
static void
test_rotation_of_forged(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row a = add_device(&roots, &v10);
	struct device_row b = add_device(&roots, &v10);
	struct root_row bad = row_of(&a, &a.app_key);
	struct storage_state now;
	struct storage_move move;

	(void)state;
	bad.mac[0] ^= 1;
	overwrite(&bad);
	assert_int_equal(storage_replace(&t.env, &now, NULL), JY_OK);
	assert_int_equal(storage_move(&t.env, NULL, &move, NULL), JY_OK);
	assert_int_equal(move.moved, 1);
	assert_int_equal(move.failed, 1);
	assert_true(device_id_eq(&move.bad.device, &a.id));
	assert_int_equal(storage_finish(&t.env, NULL), JY_EINUSE);
	assert_int_equal(registry_device_delete(&t.env, &a.id, NULL), JY_OK);
	move_all(0);
	assert_int_equal(storage_finish(&t.env, NULL), JY_OK);
	joins(&b, &roots, 1, 1, false);
}

/* Keys that are at hand serve on, whatever became of their rows. */
static void
test_rotation_of_cached(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &v10);
	struct storage_state now;

	(void)state;
	joins(&d, &roots, 1, 1, false);
	assert_int_equal(storage_replace(&t.env, &now, NULL), JY_OK);
	move_all(1);
	assert_int_equal(storage_finish(&t.env, NULL), JY_OK);
	joins(&d, &roots, 2, 2, false);
	forget(&d, &d.app_key);
	joins(&d, &roots, 3, 3, false);
}

static void
test_no_storage_key(void **state)
{
	struct storage_state now;
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(store_storage_get(t.env.store, &now, NULL), JY_OK);
	assert_int_equal(hsm_storage_destroy(t.hsm, now.current, NULL), JY_OK);
	assert_int_equal(storage_open(&t.env, &ec), JY_ENOKEY);
	assert_non_null(strstr(ec.text, "storage key"));
}

/* With resident custody there is none, and none is made. */
static void
test_resident_only(void **state)
{
	struct storage_state now;
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(storage_open(&t.env, NULL), JY_OK);
	assert_int_equal(store_storage_get(t.env.store, &now, NULL), JY_OK);
	assert_int_equal(now.current, 0);
	assert_int_equal(storage_replace(&t.env, &now, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "resident"));
}

/* Wrapped custody, and somebody took the state out of the database. */
static void
test_no_state(void **state)
{
	struct device_row d = for_as(LW_VERSION_1_0_4);
	struct secret *key = random_secret(16);
	struct storage_move move;
	struct sealed_key sealed;
	struct hsm_sealed in;

	(void)state;
	t.env.custody = CUSTODY_WRAPPED;
	seal(key, &sealed, &in);
	secret_free(key);
	d.id = t.next_device;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, &in, NULL), JY_ENOKEY);
	assert_int_equal(storage_move(&t.env, NULL, &move, NULL), JY_ENOKEY);
}

static uint64_t
residents(void)
{
	uint64_t n;

	assert_int_equal(resident_count(&t.env, &n, NULL), JY_OK);
	return n;
}

static void
test_settle(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row v11 = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &v11);
	struct errctx ec = ERRCTX_INIT;
	struct root_row bad;
	uint32_t settled;

	(void)state;
	joins(&d, &roots, 1, 1, true);
	t.env.resident_max = 1;
	assert_int_equal(roots_settle(&t.env, &d, &settled, &ec), JY_ELIMIT);
	assert_non_null(strstr(ec.text, "resident-max"));
	assert_int_equal(settled, 1);
	assert_int_equal(residents(), 1);
	joins(&d, &roots, 2, 2, true); /* one here, one there */
	t.env.resident_max = 2;
	bad = row_of(&d, &d.app_key);
	bad.mac[1] ^= 8;
	overwrite(&bad);
	assert_int_equal(roots_settle(&t.env, &d, &settled, NULL), JY_EFORGED);
	assert_int_equal(residents(), 1);
	bad.mac[1] ^= 8;
	overwrite(&bad);
	assert_int_equal(roots_settle(&t.env, &d, &settled, NULL), JY_OK);
	assert_int_equal(settled, 1);
	assert_int_equal(roots_settle(&t.env, &d, &settled, NULL), JY_OK);
	assert_int_equal(settled, 0);
	assert_true(in_token(&d, &d.nwk_key));
	assert_true(in_token(&d, &d.app_key));
	assert_int_equal(residents(), 2);
	joins(&d, &roots, 3, 3, true);
	assert_int_equal(registry_device_delete(&t.env, &d.id, NULL), JY_OK);
	assert_int_equal(residents(), 0);
}

/* A row that nothing names is not taken for that of a key in the token. */
static void
test_left_over_row(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row v11 = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &v11);
	struct device_change change = { .root_count = 1 };
	struct device_change *list[] = { &change };
	uint32_t settled;

	(void)state;
	t.env.resident_max = 1;
	assert_int_equal(roots_settle(&t.env, &d, &settled, NULL), JY_ELIMIT);
	assert_int_equal(residents(), 1);
	change.roots[0] = row_of(&d, &d.app_key);
	change.roots[0].key.generation++;
	assert_int_equal(
	    store_device_get(t.env.store, &d.id, &change.row, NULL), JY_OK);
	assert_int_equal(
	    store_device_put_batch(t.env.store, list, 1, NULL), JY_OK);
	assert_int_equal(change.err, JY_OK);
	assert_int_equal(registry_device_delete(&t.env, &d.id, NULL), JY_OK);
	assert_int_equal(residents(), 0);
}

static void
is_orphan(const struct orphan *o, enum orphan_kind kind,
    const struct device_id *device)
{
	assert_int_equal(o->kind, kind);
	assert_true(device == NULL || device_id_eq(&o->device, device));
}

static void
test_orphans(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row v10 = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &v10);
	struct root_row row = row_of(&d, &d.app_key);
	const struct hsm_stored stored = keys_stored_of(&row);
	struct orphan found[ORPHANS_MAX];
	uint8_t kcv[HSM_KCV_LEN];
	struct hsm_id id;
	size_t n, replaced;
	uint32_t settled;
	bool more;

	(void)state;
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	/* As by a worker that was killed before the row was gone. */
	keys_root_id(&d.id, &d.app_key, &id);
	assert_int_equal(hsm_stored_settle(t.hsm, &id, HSM_ROOT, "left",
			     &stored, &replaced, NULL),
	    JY_OK);
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	is_orphan(&found[0], ORPHAN_ROOT_KEY, &d.id);
	/* Now it serves. */
	assert_int_equal(roots_settle(&t.env, &d, &settled, NULL), JY_OK);
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	keys_kek_id(4711, &id);
	assert_int_equal(
	    hsm_key_generate(t.hsm, 32, HSM_KEK, &id, "left", kcv, NULL),
	    JY_OK);
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	is_orphan(&found[0], ORPHAN_KEK, NULL);
	assert_int_equal(found[0].id.len, id.len);
	assert_memory_equal(found[0].id.b, id.b, id.len);
	assert_int_equal(hsm_key_destroy(t.hsm, &id, NULL), JY_OK);
	assert_int_equal(hsm_storage_make(t.hsm, 4711, NULL), JY_OK);
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 5);
	assert_false(more);
	is_orphan(&found[4], ORPHAN_STORAGE_KEY, NULL);
	id = found[1].id;
	assert_int_equal(
	    orphans_find(&t.env, &id, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 3);
	assert_int_equal(hsm_storage_destroy(t.hsm, 4711, NULL), JY_OK);
}

static void
test_many_orphans(void **state)
{
	struct orphan found[ORPHANS_MAX];
	uint8_t kcv[HSM_KCV_LEN];
	struct hsm_id id;
	bool more;
	size_t n;

	(void)state;
	for (uint64_t i = 0; i < ORPHANS_MAX + 3; i++) {
		keys_kek_id(i, &id);
		assert_int_equal(hsm_key_generate(t.hsm, 16, HSM_KEK, &id,
				     "left", kcv, NULL),
		    JY_OK);
	}
	assert_int_equal(
	    orphans_find(&t.env, NULL, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, ORPHANS_MAX);
	assert_true(more);
	id = found[n - 1].id;
	assert_int_equal(
	    orphans_find(&t.env, &id, found, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 3);
	assert_false(more);
}

static void
test_capacity(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row v11 = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &v11), changed = d;
	struct secret *key = random_secret(16);
	struct errctx ec = ERRCTX_INIT;
	struct sealed_key sealed;
	struct hsm_sealed in;
	uint64_t n;

	(void)state;
	assert_int_equal(residents(), 2);
	t.env.resident_max = 2;
	seal(key, &sealed, &in);
	assert_int_equal(
	    registry_device_set(&t.env, &changed, NULL, &in, &ec), JY_ELIMIT);
	assert_non_null(strstr(ec.text, "2 root keys"));
	assert_int_equal(residents(), 2);
	/* A key that is refused takes no place. */
	t.env.resident_max = 3;
	sealed.check_value[0] ^= 1;
	changed = d;
	assert_int_equal(
	    registry_device_set(&t.env, &changed, NULL, &in, NULL), JY_EKCV);
	assert_int_equal(residents(), 2);
	/* What was lost count of is counted at the next start. */
	assert_int_equal(
	    store_meta_add(t.env.store, "resident", 7, UINT64_MAX, &n, NULL),
	    JY_OK);
	assert_int_equal(residents(), 9);
	assert_int_equal(resident_recount(&t.env, NULL), JY_OK);
	assert_int_equal(residents(), 2);
	secret_free(key);
}

/* An AppKey that would serve no join, unless it is meant so. */
static void
test_app_alone(void **state)
{
	static const struct {
		enum lw_version version;
		uint32_t nwk_generation;
		bool app_is_root, said;
		enum jy_err err;
	} cases[] = {
		{ LW_VERSION_1_0_0, 7, false, false, JY_EINVAL },
		{ LW_VERSION_1_0_4, 7, false, false, JY_EINVAL },
		{ LW_VERSION_1_0_4, 7, false, true, JY_OK },
		{ LW_VERSION_1_0_4, 7, true, false, JY_OK },
		{ LW_VERSION_1_0_4, 0, false, false, JY_OK },
		{ LW_VERSION_1_1_0, 7, false, false, JY_OK },
		{ LW_VERSION_NONE, 7, false, false, JY_OK },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct device_row row = {
			.mac_version = cases[i].version,
			.nwk_key = { cases[i].nwk_generation, KEY_NWK },
			.v10_root_is_app_key = cases[i].app_is_root,
		};
		struct errctx ec = ERRCTX_INIT;

		assert_int_equal(
		    roots_check_app_alone(&row, cases[i].said, &ec),
		    cases[i].err);
		assert_int_equal(cases[i].err != JY_OK,
		    strstr(ec.text, "v10-root nwk") != NULL);
	}
}

#define WRAPPED(fn) \
	cmocka_unit_test_setup_teardown(fn, set_up_wrapped, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WRAPPED(test_joins),
		WRAPPED(test_forged),
		WRAPPED(test_replaced_key),
		WRAPPED(test_rotation),
		WRAPPED(test_rotation_of_forged),
		WRAPPED(test_rotation_of_cached),
		WRAPPED(test_no_storage_key),
		WRAPPED(test_settle),
		WRAPPED(test_left_over_row),
		WRAPPED(test_orphans),
		WRAPPED(test_many_orphans),
		cmocka_unit_test(test_app_alone),
		cmocka_unit_test_setup_teardown(
		    test_resident_only, set_up_resident, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_no_state, set_up_resident, tear_down),
		cmocka_unit_test_setup_teardown(
		    test_capacity, set_up_resident, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
