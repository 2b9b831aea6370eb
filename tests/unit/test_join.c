/* SPDX-License-Identifier: Apache-2.0 */
/* The join line, session retrieval and the registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/join_util.h"

/* ---- tests: every version ---- */

static void
test_versions(void **state)
{
	static const struct {
		enum lw_version version;
		bool nwk, app, opt_neg, cf_list;
	} cases[] = {
		{ LW_VERSION_1_0_0, false, true, false, false },
		{ LW_VERSION_1_0_1, false, true, false, true },
		{ LW_VERSION_1_0_2, false, true, false, false },
		{ LW_VERSION_1_0_3, false, true, false, true },
		{ LW_VERSION_1_0_3, true, false, false, false },
		{ LW_VERSION_1_0_4, false, true, false, true },
		{ LW_VERSION_1_0_4, true, true, false, false },
		{ LW_VERSION_1_1_0, true, true, true, false },
		{ LW_VERSION_1_1_0, true, true, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sim_roots roots = {
			.has_nwk = cases[i].nwk,
			.has_app = cases[i].app,
		};
		struct device_row as = for_as(cases[i].version);
		struct device_row d = add_device(&roots, &as);

		for (uint16_t k = 0; k < 3; k++) {
			struct sim_join sim = make_sim_join(
			    &d, (uint16_t)(0xFF + k), cases[i].opt_neg);
			struct join j;

			sim.accept.has_cf_list = cases[i].cf_list;
			if (cases[i].cf_list) {
				for (uint8_t b = 0; b < 16; b++) {
					sim.accept.cf_list[b] =
					    (uint8_t)(b * 17 + 1);
				}
			}
			(void)join_once(&j, &roots, &sim, cases[i].version);
			check_accepted(&j, &roots, &sim, k + 1U);
		}
	}
}

/* A 1.1 device under a 1.0 Network Server: 1.0 formulas with NwkKey. */
static void
test_1_1_device_opt_neg_0(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 7, false);
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	/* Its DevNonce counts, whatever the Network Server speaks. */
	sim = make_sim_join(&d, 6, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
}

static void
test_v10_root_app_key(void **state)
{
	struct sim_roots roots = {
		.has_nwk = true,
		.has_app = true,
		.v10_is_app = true,
	};
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	as.v10_root_is_app_key = true;
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 7, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
}

/* ---- tests: refusals, each at its step, each without a trace ---- */

static void
test_refused_parse(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	uint8_t phy[SIM_REQUEST_LEN + 1] = { 0 };
	struct join j;

	(void)state;
	for (size_t len = 0; len <= SIM_REQUEST_LEN + 1; len++) {
		if (len == SIM_REQUEST_LEN) {
			continue;
		}
		prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
		j.in.phy_len = len;
		run(&j);
		check_refused(&j, NULL, JY_EFRAMESIZE, JOIN_STEP_parse);
	}
	for (unsigned mhdr = 1; mhdr < 256; mhdr++) {
		if (mhdr >> 5 == 0 && (mhdr & 3) == 0) {
			continue; /* RFU bits alone are the MIC's business */
		}
		prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
		phy[0] = (uint8_t)mhdr;
		run(&j);
		check_refused(&j, NULL, JY_EINVAL, JOIN_STEP_parse);
	}
	prepare(&j, &roots, &sim, LW_VERSION_NONE, phy);
	run(&j);
	check_refused(&j, NULL, JY_EINVAL, JOIN_STEP_parse);
}

static void
test_refused_device(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct join j;

	(void)state;
	sim.join_eui.be[7] ^= 1; /* the pair is the device */
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, NULL, JY_EDEVICE, JOIN_STEP_device);
}

static void
test_refused_access(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	uint8_t phy[SIM_REQUEST_LEN];
	struct join j;

	(void)state;
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	j.peer = &t.as; /* not a Network Server */
	run(&j);
	check_refused(&j, &d, JY_EACCESS, JOIN_STEP_access);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	j.in.net_id = OTHER_NET_ID; /* not the peer's */
	run(&j);
	check_refused(&j, &d, JY_EACCESS, JOIN_STEP_access);

	as.activation.net_id_count = 1;
	as.activation.net_ids[0] = OTHER_NET_ID; /* not the device's */
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EACCESS, JOIN_STEP_access);
}

static void
test_refused_policy(void **state)
{
	struct sim_roots app = { .has_app = true };
	struct sim_roots nwk = { .has_nwk = true };
	struct sim_roots none = { 0 };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row any = for_as(LW_VERSION_NONE);
	struct device_row d = add_device(&app, &as);
	struct sim_join sim = make_sim_join(&d, 1, true);
	struct join j;

	(void)state;
	/* OptNeg and MAC version disagree, both ways. */
	(void)join_once(&j, &app, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EOPTNEG, JOIN_STEP_policy);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &app, &sim, LW_VERSION_1_1_0);
	check_refused(&j, &d, JY_EOPTNEG, JOIN_STEP_policy);
	/* A device registered as 1.0.3 is asked for as 1.1. */
	sim = make_sim_join(&d, 1, true);
	(void)join_once(&j, &app, &sim, LW_VERSION_1_1_0);
	check_refused(&j, &d, JY_EOPTNEG, JOIN_STEP_policy);
	/* AppKey only, NwkKey only, under 1.1; none at all. */
	d = add_device(&app, &any);
	sim = make_sim_join(&d, 1, true);
	(void)join_once(&j, &app, &sim, LW_VERSION_1_1_0);
	check_refused(&j, &d, JY_EROOTKEY, JOIN_STEP_policy);
	d = add_device(&nwk, &any);
	sim = make_sim_join(&d, 1, true);
	(void)join_once(&j, &nwk, &sim, LW_VERSION_1_1_0);
	check_refused(&j, &d, JY_EROOTKEY, JOIN_STEP_policy);
	d = add_device(&none, &any);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &nwk, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EROOTKEY, JOIN_STEP_policy);
}

static void
test_refused_kek(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct peer_row poor = t.ns;
	uint8_t phy[SIM_REQUEST_LEN];
	struct join j;

	(void)state;
	poor.kek[0] = '\0';
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	j.peer = &poor;
	run(&j);
	check_refused(&j, &d, JY_EKEK, JOIN_STEP_policy);
	(void)snprintf(poor.kek, sizeof(poor.kek), "no-such-kek");
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	j.peer = &poor;
	run(&j);
	check_refused(&j, &d, JY_EKEK, JOIN_STEP_policy);
	/* The AppSKey must be in the answer, and nobody can open it. */
	t.env.app_s_key = APP_S_KEY_YES;
	as.activation.as_id[0] = '\0';
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	t.env.app_s_key = APP_S_KEY_AUTO;
	check_refused(&j, &d, JY_EKEK, JOIN_STEP_policy);
}

static void
test_refused_mic(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	uint8_t phy[SIM_REQUEST_LEN];
	struct join j;

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
		phy[19 + bit / 8] ^= (uint8_t)(1U << (bit % 8));
		run(&j);
		check_refused(&j, &d, JY_EMIC, JOIN_STEP_mic);
	}
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	phy[0] ^= 0x04; /* an RFU bit is covered too */
	run(&j);
	check_refused(&j, &d, JY_EMIC, JOIN_STEP_mic);
	/* None of it burnt the DevNonce. */
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	/* A forger does not learn that it is used now. */
	prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy);
	phy[20] ^= 1;
	run(&j);
	check_refused(&j, &d, JY_EMIC, JOIN_STEP_mic);
}

static void
test_refused_replay(void **state)
{
	static const struct {
		enum lw_version version;
		uint16_t first, again;
		enum jy_err err;
	} cases[] = {
		{ LW_VERSION_1_0_0, 500, 500, JY_EREPLAY },
		{ LW_VERSION_1_0_1, 500, 500, JY_EREPLAY },
		{ LW_VERSION_1_0_2, 500, 500, JY_EREPLAY },
		{ LW_VERSION_1_0_3, 0, 0, JY_EREPLAY },
		{ LW_VERSION_1_0_3, 500, 499, JY_OK },
		{ LW_VERSION_1_0_4, 0, 0, JY_EREPLAY },
		{ LW_VERSION_1_0_4, 500, 499, JY_EREPLAY },
		{ LW_VERSION_1_0_4, 0x00FF, 0x0100, JY_OK },
		{ LW_VERSION_1_0_4, 0xFFFF, 0x0000, JY_EREPLAY },
	};
	struct sim_roots roots = { .has_app = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct device_row as = for_as(cases[i].version);
		struct device_row d = add_device(&roots, &as);
		struct sim_join sim = make_sim_join(&d, cases[i].first, false);
		struct join j;

		(void)join_once(&j, &roots, &sim, cases[i].version);
		check_accepted(&j, &roots, &sim, 1);
		sim = make_sim_join(&d, cases[i].again, false);
		(void)join_once(&j, &roots, &sim, cases[i].version);
		if (cases[i].err == JY_OK) {
			check_accepted(&j, &roots, &sim, 2);
		} else {
			check_refused(&j, &d, cases[i].err, JOIN_STEP_nonce);
			assert_non_null(strstr(j.ec.text, "DevNonce"));
		}
	}
}

/* A device that counted is registered anew as one that does not. */
static void
test_counted_then_unique(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 0x0100, false);
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	d.mac_version = LW_VERSION_1_0_3;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	sim = make_sim_join(&d, 0x00FF, false); /* the counter came by it */
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
	sim = make_sim_join(&d, 0x0100, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
	sim = make_sim_join(&d, 0x0200, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 2);
	sim = make_sim_join(&d, 0x0150, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 3);
}

/* A development board that starts its counter anew; JoinNonce goes on. */
static void
test_resets_join_nonces(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	as.resets_join_nonces = true;
	d = add_device(&roots, &as);
	for (uint32_t n = 1; n <= 3; n++) {
		sim = make_sim_join(&d, 1, false);
		(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
		check_accepted(&j, &roots, &sim, n);
	}
}

static void
test_nonces_reset(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_3);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 9, false);
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	assert_int_equal(store_nonces_reset(t.env.store, &d.id, NULL), JY_OK);
	sim = make_sim_join(&d, 9, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 2); /* never 1 again */
}

static void
test_join_nonce_exhausted(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct join_commit c = {
		.revision_seen = d.revision,
		.session = { .device = d.id, .join_nonce = 0xFFFFFE },
		.keep = 3,
	};
	struct join_commit *batch[] = { &c };
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct join j;

	(void)state;
	store_join_commit(t.env.store, batch, 1, NULL);
	assert_int_equal(c.err, JY_OK);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 0xFFFFFF);
	sim = make_sim_join(&d, 2, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_refused(&j, &d, JY_EEXHAUSTED, JOIN_STEP_nonce);
}

/* Joins of one device in a batch run one after the other. */
static void
test_batch_rounds(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim[3];
	uint8_t phy[3][SIM_REQUEST_LEN];
	struct join j[3];
	struct join *batch[3] = { &j[0], &j[1], &j[2] };

	(void)state;
	for (uint16_t i = 0; i < 3; i++) {
		sim[i] = make_sim_join(&d, (uint16_t)(i == 2 ? 1 : i), false);
		prepare(&j[i], &roots, &sim[i], LW_VERSION_1_0_4, phy[i]);
	}
	join_run_batch(batch, 3);
	check_accepted(&j[0], &roots, &sim[0], 1);
	check_accepted(&j[1], &roots, &sim[1], 2);
	assert_false(j[0].reran);
	assert_false(j[1].reran);
	/* The third repeats the DevNonce of the second. */
	check_refused(&j[2], &d, JY_EREPLAY, JOIN_STEP_nonce);
}

static struct device_id racing_device;

/* Another worker commits a join of the same device. */
static void
join_elsewhere(void)
{
	struct join_commit c = { .keep = 3 };
	struct join_commit *batch[] = { &c };
	struct device_row row;
	struct nonce_row nonces;
	size_t used;

	assert_int_equal(
	    store_device_get(t.env.store, &racing_device, &row, NULL), JY_OK);
	assert_int_equal(
	    store_nonces_get(t.env.store, &racing_device, &nonces, &used, NULL),
	    JY_OK);
	c.revision_seen = row.revision;
	c.join_nonce_seen = nonces.join_nonce;
	c.session = (struct session_row){
		.id = { 9, racing_device.dev_eui.be[7] },
		.device = racing_device,
		.join_type = LW_JOIN_REQUEST,
		.join_nonce = nonces.join_nonce + 1,
		.counter = 700,
	};
	store_join_commit(t.env.store, batch, 1, NULL);
	assert_int_equal(c.err, JY_OK);
}

/* A commit that lost a race runs again, and sees what the other one did. */
static void
test_lost_race(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 701, false);
	struct join j;

	(void)state;
	racing_device = d.id;
	meanwhile = join_elsewhere;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 2);
	assert_true(j.reran);

	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 700, false);
	racing_device = d.id;
	meanwhile = join_elsewhere;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_true(j.reran);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
}

/* A request repeated in time, to the octet, gets the same answer. */
static void
test_repetition(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 3, true), other;
	struct peer_row stranger = t.ns;
	uint8_t phy[SIM_REQUEST_LEN];
	struct join j, again;

	(void)state;
	t.env.repeat_window_ms = 10000;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &roots, &sim, 1);
	now_ms += 9000;
	(void)join_once(&again, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&again, &roots, &sim, 1);
	assert_true(again.repeated);
	assert_memory_equal(
	    again.out.session_id, j.out.session_id, STORE_ID_LEN);
	assert_int_equal(again.out.phy_len, j.out.phy_len);
	assert_memory_equal(again.out.phy, j.out.phy, j.out.phy_len);
	assert_int_equal(stored_join_nonce(&d), 1);

	/* Anything else with that DevNonce is a replay. */
	other = sim;
	other.accept.dev_addr ^= 1;
	(void)join_once(&again, &roots, &other, LW_VERSION_1_1_0);
	check_refused(&again, &d, JY_EREPLAY, JOIN_STEP_nonce);
	other = sim;
	other.accept.rx_delay ^= 1;
	(void)join_once(&again, &roots, &other, LW_VERSION_1_1_0);
	check_refused(&again, &d, JY_EREPLAY, JOIN_STEP_nonce);
	other = sim;
	other.accept.has_cf_list = true;
	(void)join_once(&again, &roots, &other, LW_VERSION_1_1_0);
	check_refused(&again, &d, JY_EREPLAY, JOIN_STEP_nonce);
	(void)snprintf(stranger.name, sizeof(stranger.name), "stranger");
	prepare(&again, &roots, &sim, LW_VERSION_1_1_0, phy);
	again.peer = &stranger;
	run(&again);
	check_refused(&again, &d, JY_EREPLAY, JOIN_STEP_nonce);
	now_ms += 1001; /* too late */
	(void)join_once(&again, &roots, &sim, LW_VERSION_1_1_0);
	check_refused(&again, &d, JY_EREPLAY, JOIN_STEP_nonce);
	t.env.repeat_window_ms = 0;
}

static void
three_seconds_pass(void)
{
	now_ms += 3000;
}

/* Behind the look at the session, the time is asked for its lifetime. */
static void
after_the_look(void)
{
	meanwhile = three_seconds_pass;
}

/* A session that ends while it is repeated does not last without end. */
static void
test_repetition_at_the_end(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 3, false);
	struct join j;

	(void)state;
	t.env.repeat_window_ms = 10000;
	t.env.session_lifetime_s = 10;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_int_equal(j.out.lifetime_s, 10);
	now_ms += 8500;
	meanwhile = after_the_look;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_int_equal(j.err, JY_OK);
	assert_true(j.repeated);
	assert_null(meanwhile);
	assert_int_equal(j.out.lifetime_s, 1);
	t.env.repeat_window_ms = 0;
	t.env.session_lifetime_s = 0;
}

/* ---- tests: what the AppSKey setting does ---- */

static void
test_app_s_key_modes(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct join j;

	(void)state;
	t.env.app_s_key = APP_S_KEY_NO;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	t.env.app_s_key = APP_S_KEY_AUTO;
	assert_int_equal(j.err, JY_OK);
	assert_int_equal(j.out.keys.app_s_key.len, 0);
	/* auto, and no AS named: the join goes on without. */
	as.activation.as_id[0] = '\0';
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_int_equal(j.err, JY_OK);
	assert_int_equal(j.out.keys.app_s_key.len, 0);
	/* The device names a KEK of its own. */
	(void)snprintf(
	    as.activation.as_kek, sizeof(as.activation.as_kek), "as-kek");
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
}

/* ---- tests: clear delivery, by name only ---- */

static void
test_clear_keys(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false);
	struct secret_block want AUTO_WIPE;
	struct peer_row open = t.ns;
	uint8_t phy[SIM_REQUEST_LEN];
	struct join j;

	(void)state;
	open.kek[0] = '\0';
	open.clear_keys = true;
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.peer = &open;
	run(&j);
	assert_int_equal(j.err, JY_OK);
	sim.accept.join_nonce = 1;
	sim_spec_session_key(t.crypto, &roots, &sim, SIM_NWK_S_KEY, &want);
	assert_int_equal(j.out.keys.f_nwk_s_int_key.len, 16);
	assert_string_equal(j.out.keys.f_nwk_s_int_key.kek_label, "");
	assert_memory_equal(j.out.keys.f_nwk_s_int_key.key, want.b, 16);
	/* The AppSKey stays wrapped for the AS. */
	check_envelope(&j.out.keys.app_s_key, t.as_kek, "as-kek", &roots, &sim,
	    SIM_APP_S_KEY);
}

/* ---- tests: keys by session key ID ---- */

static void
test_retrieve(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, true);
	struct peer_row other = t.as;
	struct eui64 wrong = d.id.dev_eui;
	uint8_t unknown[STORE_ID_LEN] = { 1 };
	struct session_keys keys;
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &roots, &sim, 1);
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
	check_network_keys(&keys, &roots, &sim);
	assert_int_equal(keys.app_s_key.len, 0);
	assert_int_equal(
	    retrieve(&t.as, PEER_AS, j.out.session_id, &d.id.dev_eui, &keys),
	    JY_OK);
	check_envelope(
	    &keys.app_s_key, t.as_kek, "as-kek", &roots, &sim, SIM_APP_S_KEY);
	assert_int_equal(keys.f_nwk_s_int_key.len, 0);

	/* Nobody else, and nothing else. */
	assert_int_equal(
	    retrieve(&t.as, PEER_NS, j.out.session_id, NULL, &keys),
	    JY_EACCESS);
	assert_int_equal(
	    retrieve(&t.ns, PEER_AS, j.out.session_id, NULL, &keys),
	    JY_EACCESS);
	(void)snprintf(other.as_ids[0], sizeof(other.as_ids[0]), "as.evil");
	assert_int_equal(
	    retrieve(&other, PEER_AS, j.out.session_id, NULL, &keys),
	    JY_EACCESS);
	wrong.be[7] ^= 1;
	assert_int_equal(
	    retrieve(&t.as, PEER_AS, j.out.session_id, &wrong, &keys),
	    JY_ESESSION);
	assert_int_equal(
	    retrieve(&t.as, PEER_AS, unknown, NULL, &keys), JY_ESESSION);
	other = t.as;
	other.kek[0] = '\0';
	assert_int_equal(
	    retrieve(&other, PEER_AS, j.out.session_id, NULL, &keys), JY_EKEK);
}

static void
test_retention_and_lifetime(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	uint8_t ids[5][STORE_ID_LEN];
	struct session_keys keys;
	struct join j;

	(void)state;
	t.env.session_lifetime_s = 3600;
	for (uint16_t i = 0; i < 5; i++) {
		struct sim_join sim = make_sim_join(&d, i, false);

		now_ms += 1000;
		(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
		check_accepted(&j, &roots, &sim, i + 1U);
		assert_int_equal(j.out.lifetime_s, 3600);
		memcpy(ids[i], j.out.session_id, STORE_ID_LEN);
		assert_true(i == 0 || memcmp(ids[i - 1], ids[i], 16) < 0);
	}
	t.env.session_lifetime_s = 0;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(retrieve(&t.ns, PEER_NS, ids[i], NULL, &keys),
		    i < 2 ? JY_ESESSION : JY_OK);
	}
	now_ms += 3600 * 1000 - 1000;
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, ids[3], NULL, &keys), JY_ESESSION);
	assert_int_equal(retrieve(&t.ns, PEER_NS, ids[4], NULL, &keys), JY_OK);
}

/* ---- tests: the registry ---- */

/* A replaced root key serves its old sessions; the new one serves joins. */
static void
test_replace_root_key(void **state)
{
	struct sim_roots roots = { .has_app = true }, fresh;
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 1, false), old = sim;
	struct secret *key = random_secret(16);
	struct sealed_key sealed;
	struct session_keys keys;
	struct hsm_sealed in;
	struct join j;
	uint8_t id[STORE_ID_LEN];

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	old = sim;
	memcpy(id, j.out.session_id, sizeof(id));

	seal(key, &sealed, &in);
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, &in, NULL), JY_OK);
	fresh = roots;
	memcpy(fresh.app.b, secret_bytes(key), 16);
	secret_free(key);
	sim = make_sim_join(&d, 2, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_refused(&j, &d, JY_EMIC, JOIN_STEP_mic);
	(void)join_once(&j, &fresh, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &fresh, &sim, 2);
	assert_int_equal(retrieve(&t.ns, PEER_NS, id, NULL, &keys), JY_OK);
	check_network_keys(&keys, &roots, &old);
}

/* Deleted and registered again: the nonces go on where they were. */
static void
test_delete_device(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct sim_join sim = make_sim_join(&d, 5, false);
	struct session_keys keys;
	struct hsm_key *key;
	struct hsm_id id;
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	assert_int_equal(registry_device_delete(&t.env, &d.id, NULL), JY_OK);
	assert_int_equal(
	    registry_device_delete(&t.env, &d.id, NULL), JY_EDEVICE);
	keys_root_id(&d.id, &d.app_key, &id);
	assert_int_equal(
	    hsm_key_get(t.hsm, &id, HSM_ROOT, &key, NULL), JY_ENOKEY);
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, j.out.session_id, NULL, &keys),
	    JY_ESESSION);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_refused(&j, NULL, JY_EDEVICE, JOIN_STEP_device);

	t.next_device.dev_eui.be[7]--; /* the same device once more */
	d = add_device(&roots, &as);
	sim = make_sim_join(&d, 5, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
	sim = make_sim_join(&d, 6, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 2);
}

static void
test_root_serves(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);
	struct hsm_key *key;
	struct hsm_id id;
	bool serves;

	(void)state;
	keys_root_id(&d.id, &d.app_key, &id);
	assert_int_equal(
	    keys_root_serves(&t.env, &d.id, &d.app_key, &serves, NULL), JY_OK);
	assert_true(serves);
	assert_int_equal(hsm_key_destroy(t.hsm, &id, NULL), JY_OK);
	assert_int_equal(
	    keys_root_serves(&t.env, &d.id, &d.app_key, &serves, NULL), JY_OK);
	assert_false(serves);
	assert_int_equal(
	    keys_get_root(&t.env, &d.id, &d.app_key, &key, NULL), JY_ENOKEY);
}

static void
test_device_set_refused(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &as), changed;
	struct secret *key = random_secret(16);
	struct sealed_key sealed;
	struct hsm_sealed in;
	struct hsm_key *got;
	struct hsm_id id;

	(void)state;
	changed = d;
	(void)snprintf(changed.activation.ns_kek,
	    sizeof(changed.activation.ns_kek), "none");
	assert_int_equal(
	    registry_device_set(&t.env, &changed, NULL, NULL, NULL), JY_EKEK);
	changed = d;
	(void)snprintf(changed.name, sizeof(changed.name), "lamp");
	assert_int_equal(
	    registry_device_set(&t.env, &changed, NULL, NULL, NULL), JY_EINVAL);
	changed = d;
	changed.v10_root_is_app_key = true; /* its AppKey only derives */
	assert_int_equal(
	    registry_device_set(&t.env, &changed, NULL, NULL, NULL), JY_EINVAL);
	/* A changed check value: the token disagrees, nothing is kept. */
	seal(key, &sealed, &in);
	sealed.check_value[0] ^= 1;
	changed = d;
	assert_int_equal(
	    registry_device_set(&t.env, &changed, &in, NULL, NULL), JY_EKCV);
	/* Somebody else was faster: the key imported for it goes again. */
	sealed.check_value[0] ^= 1;
	changed = d;
	changed.revision = d.revision + 5;
	assert_int_equal(registry_device_set(&t.env, &changed, &in, NULL, NULL),
	    JY_ECONFLICT);
	keys_root_id(&d.id, &changed.nwk_key, &id);
	assert_true(changed.nwk_key.generation != d.nwk_key.generation);
	assert_int_equal(
	    hsm_key_get(t.hsm, &id, HSM_ROOT, &got, NULL), JY_ENOKEY);
	secret_free(key);
}

static void
test_peers(void **state)
{
	struct peer_row p = { .role = PEER_NS };
	struct errctx ec = ERRCTX_INIT;
	struct credential c = { .has_uid = true, .uid = 2001 };
	struct asker asker;

	(void)state;
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EINVAL);
	(void)strcpy(p.name, "uid 7"); /* as an admin is called in the log */
	assert_int_equal(registry_peer_set(&t.env, &p, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "begin with"));
	err_clear(&ec);
	(void)snprintf(p.name, sizeof(p.name), "x");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EINVAL);
	p.has_uid = true;
	p.uid = 2001;
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EINVAL);
	p.net_id_count = 1;
	assert_int_equal(registry_peer_set(&t.env, &p, &ec), JY_EEXIST);
	assert_non_null(strstr(ec.text, "ns")); /* whose uid it is */
	p.uid = 2003;
	(void)snprintf(p.kek, sizeof(p.kek), "none");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EKEK);
	p.kek[0] = '\0';
	p.as_id_count = 1; /* an NS that would be an AS too */
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EINVAL);
	p.role = PEER_AS;
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EINVAL);

	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_OK);
	assert_false(asker.admin);
	assert_int_equal(access_admin(&asker, NULL), JY_EACCESS);
	assert_int_equal(
	    access_find(t.env.store, &c, true, &asker, NULL), JY_OK);
	assert_true(asker.admin);
	assert_int_equal(asker.peer.role, PEER_NS);
	c.uid = 9999;
	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_EPEER);
	assert_int_equal(
	    access_find(t.env.store, &c, true, &asker, NULL), JY_OK);
	assert_string_equal(asker.name, "uid 9999");
}

static void
test_peer_certificates(void **state)
{
	static const char *const sans[] = { "dns.two.example",
		"dns.one.example" };
	struct peer_row one = t.ns, two = t.ns;
	struct credential c = { .sans = sans, .san_count = 1 };
	struct asker asker;

	(void)state;
	one.has_uid = two.has_uid = false;
	(void)snprintf(one.name, sizeof(one.name), "one");
	(void)snprintf(one.cert_san, sizeof(one.cert_san), "dns.one.example");
	(void)snprintf(two.name, sizeof(two.name), "two");
	two.has_fingerprint = true;
	memset(two.fingerprint, 7, sizeof(two.fingerprint));
	assert_int_equal(registry_peer_set(&t.env, &one, NULL), JY_OK);
	assert_int_equal(registry_peer_set(&t.env, &two, NULL), JY_OK);
	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_EPEER);
	c.san_count = 2;
	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_OK);
	assert_string_equal(asker.name, "one");
	c.has_fingerprint = true; /* says more than a name */
	memset(c.fingerprint, 7, sizeof(c.fingerprint));
	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_OK);
	assert_string_equal(asker.name, "two");
	/* A certificate with names of two peers is nobody's. */
	c.has_fingerprint = false;
	two.has_fingerprint = false;
	two.revision = 1;
	(void)snprintf(two.cert_san, sizeof(two.cert_san), "dns.two.example");
	assert_int_equal(registry_peer_set(&t.env, &two, NULL), JY_OK);
	assert_int_equal(
	    access_find(t.env.store, &c, false, &asker, NULL), JY_EPEER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_1_1_device_opt_neg_0),
		cmocka_unit_test(test_v10_root_app_key),
		cmocka_unit_test(test_refused_parse),
		cmocka_unit_test(test_refused_device),
		cmocka_unit_test(test_refused_access),
		cmocka_unit_test(test_refused_policy),
		cmocka_unit_test(test_refused_kek),
		cmocka_unit_test(test_refused_mic),
		cmocka_unit_test(test_refused_replay),
		cmocka_unit_test(test_counted_then_unique),
		cmocka_unit_test(test_resets_join_nonces),
		cmocka_unit_test(test_nonces_reset),
		cmocka_unit_test(test_join_nonce_exhausted),
		cmocka_unit_test(test_batch_rounds),
		cmocka_unit_test(test_lost_race),
		cmocka_unit_test(test_repetition),
		cmocka_unit_test(test_repetition_at_the_end),
		cmocka_unit_test(test_app_s_key_modes),
		cmocka_unit_test(test_clear_keys),
		cmocka_unit_test(test_retrieve),
		cmocka_unit_test(test_retention_and_lifetime),
		cmocka_unit_test(test_replace_root_key),
		cmocka_unit_test(test_delete_device),
		cmocka_unit_test(test_root_serves),
		cmocka_unit_test(test_device_set_refused),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_peer_certificates),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
