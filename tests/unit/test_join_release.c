/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices released to another Join Server: who may have them, which can go,
 * and that a device joins here no longer.  The receiver's key is the token's
 * own import key, so that what leaves can be looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "src/join/release.h"
#include "src/join/storage.h"
#include "tests/unit/join_util.h"

#define BATCH_MAX 4

static uint8_t receivers[2][HSM_FINGERPRINT_LEN];

/* A release as it goes on its way. */
struct going {
	struct hsm_ticket ticket;
	uint8_t sealed[HSM_RSA_MAX];
	size_t sealed_len;
	struct release_device devices[BATCH_MAX];
	struct release_batch batch;
};

static int
group_set_up(void **state)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t len;

	(void)set_up(state);
	memset(receivers[0], 0xEE, sizeof(receivers[0]));
	return hsm_import_key(t.hsm, 1, der, &len, receivers[1], NULL) == JY_OK
	    ? 0
	    : -1;
}

/* Custody is wrapped and release-to names the receiver. */
static int
allow(void **state)
{
	(void)state;
	t.env.custody = CUSTODY_WRAPPED;
	t.env.release_to = (struct release_to){ receivers, 2 };
	return storage_open(&t.env, NULL) == JY_OK ? 0 : -1;
}

static enum jy_err
begin(struct going *g, struct errctx *ec)
{
	memset(g, 0, sizeof(*g));
	g->batch.ticket = &g->ticket;
	g->batch.devices = g->devices;
	return release_begin(&t.env, t.import_der, t.import_der_len, &g->ticket,
	    g->sealed, &g->sealed_len, ec);
}

static struct release_device *
add(struct going *g, const struct device_id *id)
{
	struct release_device *d = &g->devices[g->batch.n++];

	assert_in_range(g->batch.n, 1, BATCH_MAX);
	d->id = *id;
	return d;
}

static enum jy_err
go(struct going *g)
{
	return release_run(&t.env, &g->batch, NULL);
}

/* Begin, and release one device. */
static struct release_device *
release(struct going *g, const struct device_id *id, bool keep_serving)
{
	struct release_device *d;

	assert_int_equal(begin(g, NULL), JY_OK);
	g->batch.keep_serving = keep_serving;
	d = add(g, id);
	assert_int_equal(go(g), JY_OK);
	return d;
}

/* Is it the key with that check value, for who opens the file? */
static void
check_key(const struct going *g, const struct release_key *key)
{
	const struct hsm_wrapped wrapped = { key->wrapped, sizeof(key->wrapped),
		key->check_value };
	struct hsm_transport *transport;

	assert_true(key->present);
	assert_int_equal(hsm_transport_get(t.hsm, receivers[1], g->sealed,
			     g->sealed_len, &transport, NULL),
	    JY_OK);
	assert_int_equal(hsm_key_import_under(t.hsm, transport, &wrapped, 16,
			     HSM_ROOT, NULL, NULL, NULL),
	    JY_OK);
	hsm_transport_put(t.hsm, transport);
}

static struct device_row
row_of(const struct device_id *id)
{
	struct device_row row;

	assert_int_equal(store_device_get(t.env.store, id, &row, NULL), JY_OK);
	return row;
}

/* ---- who may have them ---- */

static void
test_not_allowed(void **state)
{
	char hex[HEX_STR_LEN(HSM_FINGERPRINT_LEN)];
	struct errctx ec = ERRCTX_INIT;
	struct going g;

	(void)state;
	hex_format(receivers[1], HSM_FINGERPRINT_LEN, hex);
	t.env.release_to = (struct release_to){ NULL, 0 };
	assert_int_equal(begin(&g, &ec), JY_EACCESS);
	assert_non_null(strstr(ec.text, "release-to"));
	assert_non_null(strstr(ec.text, hex));
	t.env.release_to = (struct release_to){ receivers, 1 };
	assert_int_equal(begin(&g, NULL), JY_EACCESS);
	t.env.release_to.count = 2;
	t.import_der[20] ^= 1;
	assert_int_equal(begin(&g, NULL), JY_EINVAL);
	t.import_der[20] ^= 1;
	/* Nothing was ever wrapped. */
	err_clear(&ec);
	assert_int_equal(begin(&g, &ec), JY_ENOTFOUND);
	assert_non_null(strstr(ec.text, "no storage key"));
	assert_int_equal(allow(NULL), 0);
	assert_int_equal(begin(&g, NULL), JY_OK);
	assert_memory_equal(
	    g.ticket.receiver, receivers[1], sizeof(receivers[1]));
}

/* The ticket is good until its receiver is taken off the list. */
static void
test_ticket(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_ticket other;
	struct going g;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	assert_int_equal(begin(&g, NULL), JY_OK);
	assert_int_equal(release_check(&t.env, &g.ticket, NULL), JY_OK);
	/* To whom another release is allowed. */
	other = g.ticket;
	memcpy(other.receiver, receivers[0], sizeof(other.receiver));
	assert_int_equal(release_check(&t.env, &other, NULL), JY_EINVAL);
	other = g.ticket;
	other.storage ^= 1;
	assert_int_equal(release_check(&t.env, &other, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "begin the release anew"));
	err_clear(&ec);
	t.env.release_to.count = 1;
	assert_int_equal(release_check(&t.env, &g.ticket, &ec), JY_EACCESS);
	assert_non_null(strstr(ec.text, "release-to"));
	t.env.release_to.count = 2;
	assert_int_equal(release_check(&t.env, &g.ticket, NULL), JY_OK);
}

/* ---- a device that goes ---- */

static void
test_release(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_1_0), d;
	const struct release_device *out;
	struct session_keys keys;
	struct sim_join sim;
	struct going g;
	struct join j;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 7, true);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &roots, &sim, 1);
	now_ms++;
	out = release(&g, &d.id, false);
	assert_int_equal(out->err, JY_OK);
	check_key(&g, &out->nwk);
	check_key(&g, &out->app);
	assert_memory_equal(out->nwk.check_value, d.nwk_check.value, 4);
	assert_int_equal(out->nonces.join_nonce, 1);
	assert_int_equal(out->nonces.dev_nonce, 7);
	assert_string_equal(out->row.activation.as_id, "as.as");
	assert_true(row_of(&d.id).released);
	assert_int_equal(row_of(&d.id).changed_ms, now_ms);

	/* It joins here no longer, whatever it asks; its session lives on. */
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
	for (uint16_t nonce = 7; nonce <= 8; nonce++) {
		sim = make_sim_join(&d, nonce, true);
		(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
		check_refused(&j, &d, JY_ERELEASED, JOIN_STEP_policy);
		assert_non_null(strstr(j.ec.text, "another Join Server"));
	}

	/* Once more is no harm: the file may have got lost. */
	out = release(&g, &d.id, false);
	assert_int_equal(out->err, JY_OK);
	assert_int_equal(out->nonces.join_nonce, 1);

	/* To somebody else it is. */
	d = row_of(&d.id);
	(void)strcpy(d.released_to, "eeeeeeeeeeeeeeee");
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	out = release(&g, &d.id, false);
	assert_int_equal(out->err, JY_ERELEASED);
	assert_non_null(strstr(out->ec.text, "with eeeeeeeeeeeeeeee"));
	out = release(&g, &d.id, true);
	assert_int_equal(out->err, JY_ERELEASED);

	/* And it may be taken back. */
	d = row_of(&d.id);
	d.released = false;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	sim = make_sim_join(&d, 8, true);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &roots, &sim, 2);
}

static void
test_keep_serving(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3), d;
	const struct release_device *out;
	struct sim_join sim;
	struct going g;
	struct join j;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	d = add_device(&roots, &as);
	out = release(&g, &d.id, true);
	assert_int_equal(out->err, JY_OK);
	assert_false(out->nwk.present);
	check_key(&g, &out->app);
	assert_int_equal(out->nonces.join_nonce, 0);
	assert_false(row_of(&d.id).released);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
}

/* A join on its way when the device is released comes too late. */
static struct device_id leaving;

static void
leave(void)
{
	struct going g;

	assert_int_equal(release(&g, &leaving, false)->err, JY_OK);
	assert_int_equal(g.devices[0].nonces.join_nonce, 0);
}

static void
test_race(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3), d;
	struct sim_join sim;
	struct join j;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	d = add_device(&roots, &as);
	leaving = d.id;
	meanwhile = leave;
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	assert_null(meanwhile);
	assert_true(j.reran);
	check_refused(&j, &d, JY_ERELEASED, JOIN_STEP_policy);
	assert_int_equal(stored_join_nonce(&d), 0);
}

/* ---- devices that stay ---- */

static void
test_resident(void **state)
{
	struct sim_roots both = { .has_nwk = true, .has_app = true };
	struct sim_roots one = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE), stays, goes;
	const struct release_device *first, *second;
	struct going g;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	goes = add_device(&one, &as);
	t.env.custody = CUSTODY_RESIDENT;
	stays = add_device(&both, &as);
	assert_int_equal(begin(&g, NULL), JY_OK);
	first = add(&g, &stays.id);
	second = add(&g, &goes.id);
	assert_int_equal(go(&g), JY_OK);
	assert_int_equal(first->err, JY_EACCESS);
	assert_non_null(strstr(first->ec.text, "NwkKey is in the token"));
	assert_false(row_of(&stays.id).released);
	assert_int_equal(second->err, JY_OK);
	assert_true(row_of(&goes.id).released);
}

/* Half of its keys in the token: the device stays, and so does it all. */
static void
test_mixed(void **state)
{
	struct sim_roots both = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE), d;
	const struct release_device *out;
	struct root_ref ref;
	struct going g;
	bool found;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	d = add_device(&both, &as);
	ref = (struct root_ref){ d.id, d.app_key };
	assert_int_equal(
	    store_root_delete(t.env.store, &ref, 1, &found, NULL), JY_OK);
	assert_true(found);
	out = release(&g, &d.id, false);
	assert_int_equal(out->err, JY_EACCESS);
	assert_non_null(strstr(out->ec.text, "AppKey is in the token"));
	assert_false(row_of(&d.id).released);
}

static void
test_refused(void **state)
{
	struct sim_roots none = { .has_app = false };
	struct sim_roots one = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE), keyless, forged, old;
	struct device_id unknown = { { { 1 } }, { { 2 } } };
	struct root_change change;
	struct going g;
	size_t replaced;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	keyless = add_device(&none, &as);
	forged = add_device(&one, &as);
	assert_int_equal(store_root_get(t.env.store, &forged.id,
			     &forged.app_key, &change.seen, NULL),
	    JY_OK);
	change.row = change.seen;
	change.row.mac[0] ^= 1;
	assert_int_equal(
	    store_root_replace(t.env.store, &change, 1, &replaced, NULL),
	    JY_OK);
	assert_int_equal(replaced, 1);
	/* Of a version that knew no check values. */
	old = add_device(&one, &as);
	old.app_check.known = false;
	assert_int_equal(store_device_put(t.env.store, &old, NULL), JY_OK);

	assert_int_equal(begin(&g, NULL), JY_OK);
	(void)add(&g, &unknown);
	(void)add(&g, &keyless.id);
	(void)add(&g, &forged.id);
	(void)add(&g, &old.id);
	assert_int_equal(go(&g), JY_OK);
	assert_int_equal(g.devices[0].err, JY_EDEVICE);
	assert_int_equal(g.devices[1].err, JY_EROOTKEY);
	assert_int_equal(g.devices[2].err, JY_EFORGED);
	assert_int_equal(g.devices[3].err, JY_EINVAL);
	assert_non_null(strstr(g.devices[3].ec.text, "check value"));
	assert_false(row_of(&keyless.id).released);
	assert_false(row_of(&forged.id).released);
	assert_false(row_of(&old.id).released);
}

/* What no key file can hold is refused before anything is marked. */
static void
test_bad_text(void **state)
{
	struct sim_roots one = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE), d;
	const struct release_device *out;
	struct going g;
	char *const texts[] = { d.activation.as_id, d.activation.ns_kek,
		d.activation.as_kek, d.app, d.name };
	const char *const words[] = { "AS-ID", "KEK for network keys",
		"KEK for the AppSKey", "application", "name" };

	(void)state;
	assert_int_equal(allow(NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		d = add_device(&one, &as);
		d = row_of(&d.id);
		(void)strcpy(d.app, "meters");
		(void)strcpy(texts[i], "\xc2\x85");
		assert_int_equal(
		    store_device_put(t.env.store, &d, NULL), JY_OK);
		out = release(&g, &d.id, false);
		assert_int_equal(out->err, JY_EINVAL);
		assert_non_null(strstr(out->ec.text, words[i]));
		assert_false(row_of(&d.id).released);
		assert_int_equal(release(&g, &d.id, true)->err, JY_EINVAL);
		/* With another it goes. */
		d = row_of(&d.id);
		(void)strcpy(texts[i], "\xc3\xa4");
		assert_int_equal(
		    store_device_put(t.env.store, &d, NULL), JY_OK);
		assert_int_equal(release(&g, &d.id, false)->err, JY_OK);
		assert_true(row_of(&d.id).released);
	}
}

/* An admin is faster: nothing of the device goes, ask again. */
static void
change(void)
{
	struct device_row row = row_of(&leaving);

	row.resets_join_nonces = true;
	assert_int_equal(store_device_put(t.env.store, &row, NULL), JY_OK);
}

static void
test_conflict(void **state)
{
	struct sim_roots one = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE), d;
	struct going g;

	(void)state;
	assert_int_equal(allow(NULL), 0);
	d = add_device(&one, &as);
	leaving = d.id;
	meanwhile = change;
	assert_int_equal(release(&g, &d.id, false)->err, JY_ECONFLICT);
	assert_false(row_of(&d.id).released);
	assert_int_equal(release(&g, &d.id, false)->err, JY_OK);
	assert_true(g.devices[0].row.resets_join_nonces);
	assert_true(row_of(&d.id).released);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_allowed), /* before all others */
		cmocka_unit_test(test_ticket),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_keep_serving),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_resident),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_conflict),
	};

	return cmocka_run_group_tests(tests, group_set_up, tear_down);
}
