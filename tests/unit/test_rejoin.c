/* SPDX-License-Identifier: Apache-2.0 */
/* The join line: rejoin-requests of types 0, 1 and 2, and dry runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/join_util.h"

/* A 1.1 device and the session that it is in. */
struct dev {
	struct sim_roots roots;
	struct device_row row;
	struct sim_join session;
	uint8_t session_id[STORE_ID_LEN];
};

/* Register; the device has not joined. */
static void
add(struct dev *d)
{
	struct device_row as = for_as(LW_VERSION_1_1_0);

	*d = (struct dev){ .roots = { .has_nwk = true, .has_app = true } };
	d->row = add_device(&d->roots, &as);
}

/* The device hears the answer to j and goes on in that session. */
static void
hear(struct dev *d, const struct join *j, const struct sim_join *sim)
{
	d->session = *sim;
	memcpy(d->session_id, j->out.session_id, STORE_ID_LEN);
}

static void
join(struct dev *d, uint16_t dev_nonce, uint32_t join_nonce)
{
	struct sim_join sim = make_sim_join(&d->row, dev_nonce, true);
	struct join j;

	(void)join_once(&j, &d->roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &d->roots, &sim, join_nonce);
	hear(d, &j, &sim);
}

/* Register and join, with DevNonce 0x00FF and JoinNonce 1. */
static void
start(struct dev *d)
{
	add(d);
	join(d, 0x00FF, 1);
}

static struct sim_join
make_sim_rejoin(const struct dev *d, uint8_t type, uint16_t counter)
{
	struct sim_join sim = make_sim_join(&d->row, counter, true);

	sim.type = type;
	sim.accept.dev_addr += 0x0100U + counter;
	sim.accept.dl_settings = 0xA4;
	return sim;
}

/* The rejoin-request of a device in its session, as t.ns sends it. */
static void
prepare_rejoin(struct join *j, const struct dev *d, const struct sim_join *sim,
    uint8_t phy[SIM_REQUEST_MAX])
{
	uint8_t unused[SIM_REQUEST_LEN];

	prepare(j, &d->roots, sim, LW_VERSION_1_1_0, unused);
	j->in.phy = phy;
	j->in.phy_len =
	    sim_spec_rejoin(t.crypto, &d->roots, sim, &d->session, phy);
	j->in.rejoin = true;
}

static void
rejoin(struct join *j, const struct dev *d, const struct sim_join *sim)
{
	uint8_t phy[SIM_REQUEST_MAX];

	prepare_rejoin(j, d, sim, phy);
	run(j);
	j->in.phy = NULL;
}

/* It must be accepted. */
static void
rejoin_ok(struct join *j, const struct dev *d, struct sim_join *sim,
    uint8_t type, uint16_t counter, uint32_t join_nonce)
{
	*sim = make_sim_rejoin(d, type, counter);
	rejoin(j, d, sim);
	check_accepted(j, &d->roots, sim, join_nonce);
	assert_false(j->repeated);
}

static void
rejoin_refused(const struct dev *d, uint8_t type, uint16_t counter,
    enum jy_err err, enum join_step_id step)
{
	struct sim_join sim = make_sim_rejoin(d, type, counter);
	struct join j;

	rejoin(&j, d, &sim);
	check_refused(&j, &d->row, err, step);
}

static struct nonce_row
nonces_of(const struct dev *d)
{
	struct nonce_row row;
	size_t used;

	assert_int_equal(
	    store_nonces_get(t.env.store, &d->row.id, &row, &used, NULL),
	    JY_OK);
	return row;
}

static enum jy_err
retrieve_ns(const uint8_t id[STORE_ID_LEN], struct session_keys *keys)
{
	return retrieve(&t.ns, PEER_NS, id, NULL, keys);
}

/* ---- accepted ---- */

static void
check_row(const struct join *j, uint8_t type, uint16_t counter)
{
	struct session_row row;

	assert_int_equal(
	    store_session_get(t.env.store, j->out.session_id, &row, NULL),
	    JY_OK);
	assert_int_equal(row.join_type, type);
	assert_int_equal(row.counter, counter);
	assert_true(row.opt_neg);
}

static void
test_types(void **state)
{
	(void)state;
	for (uint8_t type = 0; type <= 2; type++) {
		struct session_keys keys;
		struct sim_join sim;
		struct dev d, before;
		struct join j;

		start(&d);
		for (uint16_t k = 0; k < 3; k++) {
			before = d;
			rejoin_ok(
			    &j, &d, &sim, type, (uint16_t)(0xFF + k), k + 2U);
			check_row(&j, type, (uint16_t)(0xFF + k));
			/* The session it comes from can still be had. */
			assert_int_equal(
			    retrieve_ns(before.session_id, &keys), JY_OK);
			check_network_keys(
			    &keys, &before.roots, &before.session);
			assert_int_equal(retrieve(&t.as, PEER_AS,
					     before.session_id, NULL, &keys),
			    JY_OK);
			hear(&d, &j, &sim);
		}
	}
}

static void
test_cf_list(void **state)
{
	(void)state;
	for (uint8_t type = 0; type <= 2; type++) {
		struct sim_join sim;
		struct dev d;
		struct join j;

		start(&d);
		sim = make_sim_rejoin(&d, type, 0);
		sim.accept.has_cf_list = true;
		for (uint8_t b = 0; b < 16; b++) {
			sim.accept.cf_list[b] = (uint8_t)(b * 17 + 1);
		}
		rejoin(&j, &d, &sim);
		check_accepted(&j, &d.roots, &sim, 2);
		assert_int_equal(j.out.phy_len, SIM_ACCEPT_MAX);
	}
}

/* Nothing but the right JoinReqType and RJcount opens the accept. */
static void
test_accept_is_bound(void **state)
{
	(void)state;
	for (uint8_t type = 0; type <= 2; type++) {
		struct sim_opened opened;
		struct sim_join sim, other;
		struct dev d;
		struct join j;

		start(&d);
		rejoin_ok(&j, &d, &sim, type, 0x0100, 2);
		for (int k = 0; k < 3; k++) {
			other = sim;
			if (k == 0) {
				other.type = (uint8_t)((type + 1) % 3);
			} else if (k == 1) {
				other.counter = 0x0001;
			} else {
				other.type = SIM_JOIN_REQ_TYPE;
			}
			sim_spec_accept_open(t.crypto, &d.roots, &other,
			    j.out.phy, j.out.phy_len, &opened);
			assert_memory_not_equal(
			    opened.mic, opened.mic_expected, 4);
		}
	}
}

/* ---- refused: parse ---- */

static void
test_refused_frames(void **state)
{
	static const struct {
		uint8_t octet, value;
		enum jy_err err;
	} cases[] = {
		{ 0, 0x00, JY_EINVAL }, /* a join-request's MHDR */
		{ 0, 0xC1, JY_EINVAL }, /* Major 1 */
		{ 0, 0xE0, JY_EINVAL },
		{ 1, 0x01, JY_EFRAMESIZE }, /* type 1 is longer */
		{ 1, 0x03, JY_EINVAL },
		{ 1, 0xFF, JY_EINVAL },
	};
	uint8_t phy[SIM_REQUEST_MAX + 1] = { 0 };
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	sim = make_sim_rejoin(&d, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		prepare_rejoin(&j, &d, &sim, phy);
		phy[cases[i].octet] = cases[i].value;
		run(&j);
		check_refused(&j, NULL, cases[i].err, JOIN_STEP_parse);
	}
	for (size_t len = 0; len <= sizeof(phy); len++) {
		prepare_rejoin(&j, &d, &sim, phy);
		j.in.phy_len = len;
		run(&j);
		if (len != SIM_REJOIN_LEN) {
			check_refused(&j, NULL, JY_EFRAMESIZE, JOIN_STEP_parse);
		}
	}
	/* The last call asked for one thing, the frame for another. */
	sim = make_sim_join(&d.row, 0x0200, true);
	prepare(&j, &d.roots, &sim, LW_VERSION_1_1_0, phy);
	j.in.rejoin = true;
	run(&j);
	check_refused(&j, NULL, JY_EFRAMESIZE, JOIN_STEP_parse);
	sim = make_sim_rejoin(&d, 0, 7);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.rejoin = false;
	run(&j);
	check_refused(&j, NULL, JY_EFRAMESIZE, JOIN_STEP_parse);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.mac_version = LW_VERSION_NONE;
	run(&j);
	check_refused(&j, NULL, JY_EINVAL, JOIN_STEP_parse);
}

/* What the message says beside the frame must agree with it. */
static void
test_refused_said(void **state)
{
	char text[EUI64_STR_LEN];
	uint8_t phy[SIM_REQUEST_MAX];
	struct eui64 wrong;
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	for (uint8_t type = 0; type <= 3; type++) {
		sim = type == 3 ? make_sim_join(&d.row, 0x0100, true)
				: make_sim_rejoin(&d, type, 0);
		for (int k = 0; k < 2; k++) {
			if (k == 1 && (type == 0 || type == 2)) {
				continue; /* its JoinEUI is not on air */
			}
			if (type == 3) {
				prepare(
				    &j, &d.roots, &sim, LW_VERSION_1_1_0, phy);
			} else {
				prepare_rejoin(&j, &d, &sim, phy);
			}
			wrong = k == 0 ? d.row.id.dev_eui : d.row.id.join_eui;
			wrong.be[3] ^= 0x40;
			*(k == 0 ? &j.in.dev_eui : &j.in.join_eui) = &wrong;
			run(&j);
			check_refused(&j, NULL, JY_EINVAL, JOIN_STEP_parse);
			assert_non_null(
			    strstr(j.ec.text, eui64_str(&wrong, text)));
			assert_non_null(strstr(j.ec.text,
			    eui64_str(
				k == 0 ? &d.row.id.dev_eui : &d.row.id.join_eui,
				text)));
		}
	}
	sim = make_sim_rejoin(&d, 1, 0);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.dev_eui = &d.row.id.dev_eui;
	j.in.join_eui = &d.row.id.join_eui;
	run(&j);
	check_accepted(&j, &d.roots, &sim, 2);
}

/* ---- refused: device ---- */

/* Two devices of one DevEUI: the message has to say which. */
static void
test_join_eui_not_on_air(void **state)
{
	struct device_row as = for_as(LW_VERSION_1_1_0);
	struct eui64 unknown = { { 1, 2, 3, 4, 5, 6, 7, 8 } };
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct dev d, twin;
	struct join j;

	(void)state;
	start(&d);
	twin = d;
	twin.row = as;
	twin.row.id = d.row.id;
	twin.row.id.join_eui.be[5] = 0x77;
	assert_int_equal(
	    registry_device_set(&t.env, &twin.row, NULL, NULL, NULL), JY_OK);
	sim = make_sim_rejoin(&d, 2, 0);
	prepare_rejoin(&j, &d, &sim, phy);
	run(&j);
	check_refused(&j, NULL, JY_EINVAL, JOIN_STEP_parse);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.join_eui = &unknown;
	run(&j);
	check_refused(&j, NULL, JY_EDEVICE, JOIN_STEP_device);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.join_eui = &twin.row.id.join_eui; /* it has no keys */
	run(&j);
	check_refused(&j, NULL, JY_EROOTKEY, JOIN_STEP_policy);
	prepare_rejoin(&j, &d, &sim, phy);
	j.in.join_eui = &d.row.id.join_eui;
	run(&j);
	check_accepted(&j, &d.roots, &sim, 2);
	assert_int_equal(
	    registry_device_delete(&t.env, &twin.row.id, NULL), JY_OK);
	rejoin_ok(&j, &d, &sim, 2, 1, 3);
}

static void
test_unknown_device(void **state)
{
	struct dev d;

	(void)state;
	start(&d);
	assert_int_equal(
	    registry_device_delete(&t.env, &d.row.id, NULL), JY_OK);
	for (uint8_t type = 0; type <= 2; type++) {
		struct sim_join sim = make_sim_rejoin(&d, type, 0);
		struct join j;

		rejoin(&j, &d, &sim);
		check_refused(&j, NULL, JY_EDEVICE,
		    type == 1 ? JOIN_STEP_device : JOIN_STEP_parse);
	}
}

/* ---- refused: access, policy ---- */

static void
test_refused_access(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	for (uint8_t type = 0; type <= 2; type++) {
		sim = make_sim_rejoin(&d, type, 0);
		prepare_rejoin(&j, &d, &sim, phy);
		j.peer = &t.as;
		run(&j);
		check_refused(&j, &d.row, JY_EACCESS, JOIN_STEP_access);
		prepare_rejoin(&j, &d, &sim, phy);
		j.in.net_id = OTHER_NET_ID;
		run(&j);
		check_refused(&j, &d.row, JY_EACCESS, JOIN_STEP_access);
	}
}

static void
test_refused_versions(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	for (uint8_t type = 0; type <= 2; type++) {
		/* 1.1 without OptNeg, 1.0.4 with, 1.0.4 without. */
		sim = make_sim_rejoin(&d, type, 0);
		prepare_rejoin(&j, &d, &sim, phy);
		j.in.dl_settings &= 0x7F;
		run(&j);
		check_refused(&j, &d.row, JY_EOPTNEG, JOIN_STEP_policy);
		prepare_rejoin(&j, &d, &sim, phy);
		j.in.mac_version = LW_VERSION_1_0_4;
		run(&j);
		check_refused(&j, &d.row, JY_EOPTNEG, JOIN_STEP_policy);
		prepare_rejoin(&j, &d, &sim, phy);
		j.in.mac_version = LW_VERSION_1_0_4;
		j.in.dl_settings &= 0x7F;
		run(&j);
		check_refused(&j, &d.row, JY_EOPTNEG, JOIN_STEP_policy);
		assert_non_null(strstr(j.ec.text, "rejoin-request"));
	}
	/* The device is registered as 1.0.x. */
	d.row.mac_version = LW_VERSION_1_0_3;
	assert_int_equal(
	    registry_device_set(&t.env, &d.row, NULL, NULL, NULL), JY_OK);
	for (uint8_t type = 0; type <= 2; type++) {
		rejoin_refused(&d, type, 0, JY_EOPTNEG, JOIN_STEP_policy);
	}
}

/* ---- refused: MIC ---- */

static void
test_refused_mic(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	for (uint8_t type = 0; type <= 2; type++) {
		start(&d);
		sim = make_sim_rejoin(&d, type, 0x0100);
		for (unsigned bit = 0; bit < 32; bit++) {
			prepare_rejoin(&j, &d, &sim, phy);
			phy[j.in.phy_len - 4 + bit / 8] ^=
			    (uint8_t)(1U << (bit % 8));
			run(&j);
			check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
		}
		prepare_rejoin(&j, &d, &sim, phy);
		phy[0] ^= 0x04; /* an RFU bit is covered too */
		run(&j);
		check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
		/* None of it burnt the counter. */
		rejoin(&j, &d, &sim);
		check_accepted(&j, &d.roots, &sim, 2);
		/* A forger does not learn that it is used now. */
		prepare_rejoin(&j, &d, &sim, phy);
		phy[j.in.phy_len - 1] ^= 1;
		run(&j);
		check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
	}
}

/* A type 0 is no type 2, though one key makes the MIC of both. */
static void
test_type_is_covered(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	sim = make_sim_rejoin(&d, 0, 0);
	prepare_rejoin(&j, &d, &sim, phy);
	phy[1] = 2;
	run(&j);
	check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
}

static void
test_no_session(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	add(&d);
	d.session = make_sim_join(&d.row, 0, true);
	d.session.accept.join_nonce = 1;
	sim = make_sim_rejoin(&d, 0, 0);
	rejoin(&j, &d, &sim);
	check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
	assert_non_null(strstr(j.ec.text, "none of 0 sessions"));
	rejoin_refused(&d, 2, 0, JY_EMIC, JOIN_STEP_mic);
	/* Type 1 needs none: it is as good as a join. */
	rejoin_ok(&j, &d, &sim, 1, 0, 1);
	hear(&d, &j, &sim);
	rejoin_ok(&j, &d, &sim, 0, 0, 2);
}

/* A session of OptNeg 0 has no key that a rejoin-request could go with. */
static void
test_session_of_1_0(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	add(&d);
	sim = make_sim_join(&d.row, 3, false);
	(void)join_once(&j, &d.roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &d.roots, &sim, 1);
	d.session = sim;
	rejoin_refused(&d, 0, 0, JY_EMIC, JOIN_STEP_mic);
	d.session.accept.dl_settings |= SIM_OPT_NEG;
	rejoin_refused(&d, 2, 0, JY_EMIC, JOIN_STEP_mic);
}

static void
test_expired_session(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	t.env.session_lifetime_s = 3600;
	start(&d);
	t.env.session_lifetime_s = 0;
	now_ms += 3600 * 1000 - 1;
	rejoin_ok(&j, &d, &sim, 0, 0, 2);
	now_ms += 1;
	rejoin_refused(&d, 0, 1, JY_EMIC, JOIN_STEP_mic);
	rejoin_refused(&d, 2, 1, JY_EMIC, JOIN_STEP_mic);
}

/* The session is of another network than the frame says. */
static void
test_wrong_net_id(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	d.session.accept.net_id = OTHER_NET_ID;
	sim = make_sim_rejoin(&d, 0, 0);
	rejoin(&j, &d, &sim);
	check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
	assert_non_null(strstr(j.ec.text, "000102"));
	d.session.accept.net_id = NET_ID;
	rejoin_ok(&j, &d, &sim, 0, 0, 2);
}

/* ---- counters ---- */

static void
test_rj_count0(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	rejoin_ok(&j, &d, &sim, 0, 0, 2);
	rejoin_refused(&d, 0, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
	rejoin_refused(&d, 2, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
	rejoin_ok(&j, &d, &sim, 2, 0x00FF, 3); /* one counter for both */
	rejoin_ok(&j, &d, &sim, 0, 0x0100, 4);
	sim = make_sim_rejoin(&d, 0, 0x00FF);
	rejoin(&j, &d, &sim);
	check_refused(&j, &d.row, JY_ERJCOUNT, JOIN_STEP_nonce);
	assert_non_null(strstr(j.ec.text, "RJcount0 255"));
	assert_non_null(strstr(j.ec.text, "last, 256"));
	assert_non_null(strstr(j.ec.text, "counter"));
	rejoin_ok(&j, &d, &sim, 0, 0xFFFF, 5);
	rejoin_refused(&d, 0, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
}

/* RJcount0 starts anew when the device has heard an accept. */
static void
test_rj_count0_starts_anew(void **state)
{
	struct sim_join sim;
	struct dev d, old;
	struct join j;

	(void)state;
	start(&d);
	rejoin_ok(&j, &d, &sim, 0, 0x0100, 2);
	old = d;
	hear(&d, &j, &sim);
	rejoin_ok(&j, &d, &sim, 2, 0, 3);
	assert_int_equal(nonces_of(&d).live, 2);
	rejoin_refused(&d, 2, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
	/* What was sent from the old session is nobody's now. */
	rejoin_refused(&old, 0, 0x0101, JY_EMIC, JOIN_STEP_mic);
	/* A join starts it anew, too. */
	join(&d, 0x0100, 4);
	rejoin_ok(&j, &d, &sim, 0, 0, 5);
}

/* RJcount1 is of the device's life: neither join nor rejoin sets it back. */
static void
test_rj_count1(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	rejoin_ok(&j, &d, &sim, 1, 0x00FF, 2);
	rejoin_refused(&d, 1, 0x00FF, JY_ERJCOUNT, JOIN_STEP_nonce);
	rejoin_ok(&j, &d, &sim, 1, 0x0100, 3);
	hear(&d, &j, &sim);
	rejoin_refused(&d, 1, 0x00FF, JY_ERJCOUNT, JOIN_STEP_nonce);
	join(&d, 0x0100, 4);
	sim = make_sim_rejoin(&d, 1, 0x0100);
	rejoin(&j, &d, &sim);
	check_refused(&j, &d.row, JY_ERJCOUNT, JOIN_STEP_nonce);
	assert_non_null(strstr(j.ec.text, "RJcount1 256"));
	assert_non_null(strstr(j.ec.text, "last, 256"));
	/* It does not count for RJcount0, nor the other way round. */
	rejoin_ok(&j, &d, &sim, 0, 0, 5);
	rejoin_ok(&j, &d, &sim, 1, 0x0101, 6);
	rejoin_ok(&j, &d, &sim, 0, 1, 7);
}

/* Of several answers the device has heard one in the middle. */
static void
test_middle_session(void **state)
{
	struct dev d, heard[5];
	struct sim_join sim;
	struct join j;

	(void)state;
	t.env.session_keep = 10;
	start(&d);
	for (uint16_t k = 2; k <= 4; k++) {
		heard[k] = d;
		rejoin_ok(&j, &d, &sim, 0, k, k);
		hear(&heard[k], &j, &sim);
	}
	assert_int_equal(nonces_of(&d).live, 1);
	rejoin_ok(&j, &heard[3], &sim, 0, 0, 5);
	assert_int_equal(nonces_of(&d).live, 3);
	rejoin_refused(&heard[2], 0, 9, JY_EMIC, JOIN_STEP_mic);
	rejoin_refused(&d, 0, 9, JY_EMIC, JOIN_STEP_mic);
	rejoin_refused(&heard[3], 0, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
	rejoin_ok(&j, &heard[4], &sim, 2, 0, 6);
	assert_int_equal(nonces_of(&d).live, 4);
	rejoin_refused(&heard[3], 0, 1, JY_EMIC, JOIN_STEP_mic);
	t.env.session_keep = 3;
}

/* No number of rejoins pushes out the session that the device is in. */
static void
test_flood(void **state)
{
	struct session_keys keys;
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	t.env.session_keep = 10;
	for (uint8_t type = 0; type <= 2; type++) {
		uint8_t first[STORE_ID_LEN];

		start(&d);
		for (uint16_t k = 0; k < 30; k++) {
			now_ms += 100;
			rejoin_ok(
			    &j, &d, &sim, type, (uint16_t)(0xF0 + k), k + 2U);
			if (k == 0) {
				memcpy(first, j.out.session_id, STORE_ID_LEN);
			}
		}
		assert_int_equal(retrieve_ns(d.session_id, &keys), JY_OK);
		check_network_keys(&keys, &d.roots, &d.session);
		assert_int_equal(
		    retrieve(&t.as, PEER_AS, d.session_id, NULL, &keys), JY_OK);
		assert_int_equal(retrieve_ns(first, &keys), JY_ESESSION);
		assert_int_equal(retrieve_ns(j.out.session_id, &keys), JY_OK);
		/* The device goes on in it, or in the last one. */
		rejoin_ok(&j, &d, &sim, 0, 0x0200, 32);
		hear(&d, &j, &sim);
		rejoin_ok(&j, &d, &sim, 2, 0, 33);
	}
	t.env.session_keep = 3;
}

/* Rejoins of one device in a batch run one after the other. */
static void
test_batch_rounds(void **state)
{
	uint8_t phy[3][SIM_REQUEST_MAX];
	struct sim_join sim[3];
	struct join j[3];
	struct join *batch[3] = { &j[0], &j[1], &j[2] };
	struct dev d;

	(void)state;
	start(&d);
	for (uint8_t i = 0; i < 3; i++) {
		sim[i] = make_sim_rejoin(&d, (uint8_t)(i == 1), 7);
		prepare_rejoin(&j[i], &d, &sim[i], phy[i]);
	}
	join_run_batch(batch, 3);
	check_accepted(&j[0], &d.roots, &sim[0], 2);
	check_accepted(&j[1], &d.roots, &sim[1], 3);
	check_refused(&j[2], &d.row, JY_ERJCOUNT, JOIN_STEP_nonce);
	assert_false(j[1].reran);
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
		.mac_version = LW_VERSION_1_1_0,
		.opt_neg = true,
		.nwk_key = row.nwk_key,
		.app_key = row.app_key,
		.net_id = NET_ID,
		.join_type = LW_JOIN_REQUEST,
		.join_nonce = nonces.join_nonce + 1,
		.counter = 700,
	};
	store_join_commit(t.env.store, batch, 1, NULL);
	assert_int_equal(c.err, JY_OK);
}

/* A rejoin that lost a race sees what the other one did. */
static void
test_lost_race(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	racing_device = d.row.id;
	meanwhile = join_elsewhere;
	sim = make_sim_rejoin(&d, 1, 0);
	rejoin(&j, &d, &sim);
	check_accepted(&j, &d.roots, &sim, 3);
	assert_true(j.reran);
	/* The session that its MIC was of is not in use any more. */
	start(&d);
	racing_device = d.row.id;
	meanwhile = join_elsewhere;
	sim = make_sim_rejoin(&d, 0, 0);
	rejoin(&j, &d, &sim);
	assert_true(j.reran);
	check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
}

/* The device is in the session that another worker commits meanwhile. */
static void
test_race_for_session(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	racing_device = d.row.id;
	meanwhile = join_elsewhere;
	d.session = make_sim_join(&d.row, 700, true);
	d.session.accept.join_nonce = 2;
	sim = make_sim_rejoin(&d, 0, 0);
	rejoin(&j, &d, &sim);
	check_accepted(&j, &d.roots, &sim, 3);
	assert_true(j.reran);
	assert_int_equal(nonces_of(&d).live, 2);
}

/* ---- repetitions ---- */

static void
same_answer(const struct join *a, const struct join *b)
{
	assert_true(b->repeated);
	assert_memory_equal(a->out.session_id, b->out.session_id, STORE_ID_LEN);
	assert_int_equal(a->out.phy_len, b->out.phy_len);
	assert_memory_equal(a->out.phy, b->out.phy, a->out.phy_len);
	assert_memory_equal(a->out.keys.s_nwk_s_int_key.key,
	    b->out.keys.s_nwk_s_int_key.key, HSM_WRAPPED_LEN);
	assert_memory_equal(a->out.keys.app_s_key.key,
	    b->out.keys.app_s_key.key, HSM_WRAPPED_LEN);
}

static void
check_repetition(struct dev *d, uint8_t type, enum jy_err used)
{
	struct sim_join sim = make_sim_rejoin(d, type, 0x0100), other;
	struct join_env restarted = t.env;
	uint8_t phy[SIM_REQUEST_MAX];
	struct peer_row stranger = t.ns;
	uint32_t next = stored_join_nonce(&d->row) + 1;
	struct join j, again;

	rejoin(&j, d, &sim);
	check_accepted(&j, &d->roots, &sim, next);
	now_ms += 9000;
	rejoin(&again, d, &sim);
	check_accepted(&again, &d->roots, &sim, next);
	same_answer(&j, &again);
	/* Another worker on the same store knows it as well. */
	prepare_rejoin(&again, d, &sim, phy);
	again.env = &restarted;
	run(&again);
	check_accepted(&again, &d->roots, &sim, next);
	same_answer(&j, &again);
	assert_int_equal(stored_join_nonce(&d->row), next);

	/* Anything else with that counter is a replay. */
	other = sim;
	other.accept.dev_addr ^= 1;
	rejoin(&again, d, &other);
	check_refused(&again, &d->row, used, JOIN_STEP_nonce);
	other = sim;
	other.accept.rx_delay ^= 1;
	rejoin(&again, d, &other);
	check_refused(&again, &d->row, used, JOIN_STEP_nonce);
	(void)snprintf(stranger.name, sizeof(stranger.name), "stranger");
	prepare_rejoin(&again, d, &sim, phy);
	again.peer = &stranger;
	run(&again);
	check_refused(&again, &d->row, used, JOIN_STEP_nonce);
	now_ms += 1001; /* too late */
	rejoin(&again, d, &sim);
	check_refused(&again, &d->row, used, JOIN_STEP_nonce);
}

static void
test_repetition(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	t.env.repeat_window_ms = 10000;
	for (uint8_t type = 0; type <= 2; type++) {
		start(&d);
		check_repetition(&d, type, JY_ERJCOUNT);
		/* Only the newest session is given again. */
		rejoin_ok(&j, &d, &sim, type, 0x0101, 3);
		rejoin_ok(&j, &d, &sim, type, 0x0102, 4);
		rejoin_refused(&d, type, 0x0101, JY_ERJCOUNT, JOIN_STEP_nonce);
	}
	t.env.repeat_window_ms = 0;
}

/* A repetition by a device in a session newer than the live one. */
static void
test_repetition_after_switch(void **state)
{
	struct sim_join sim;
	struct join j, again;
	struct dev d;

	(void)state;
	t.env.repeat_window_ms = 10000;
	start(&d);
	rejoin_ok(&j, &d, &sim, 0, 5, 2);
	hear(&d, &j, &sim);
	rejoin_ok(&j, &d, &sim, 0, 0, 3);
	rejoin(&again, &d, &sim);
	check_accepted(&again, &d.roots, &sim, 3);
	same_answer(&j, &again);
	t.env.repeat_window_ms = 0;
}

/* ---- the Network Server checks types 0 and 2 ---- */

static void
test_mic_by_ns(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	t.env.rejoin_mic_by_ns = true;
	for (uint8_t type = 0; type <= 2; type += 2) {
		start(&d);
		for (uint16_t k = 0; k < 2; k++) {
			sim = make_sim_rejoin(&d, type, (uint16_t)(9 - k));
			prepare_rejoin(&j, &d, &sim, phy);
			phy[SIM_REJOIN_LEN - 1] ^= 1;
			run(&j);
			check_accepted(&j, &d.roots, &sim, k + 2U);
			/* The same frame again is none of it. */
			prepare_rejoin(&j, &d, &sim, phy);
			phy[SIM_REJOIN_LEN - 1] ^= 1;
			run(&j);
			check_refused(&j, &d.row, JY_ERJCOUNT, JOIN_STEP_nonce);
			assert_non_null(strstr(j.ec.text, "RJcount0"));
		}
		assert_int_equal(nonces_of(&d).live, 1);
	}
	t.env.repeat_window_ms = 10000;
	check_repetition(&d, 0, JY_ERJCOUNT);
	t.env.repeat_window_ms = 0;
	t.env.rejoin_mic_by_ns = false;
}

static void
test_mic_by_ns_repetition(void **state)
{
	struct sim_join sim;
	struct join j, again;
	struct dev d;

	(void)state;
	t.env.rejoin_mic_by_ns = true;
	t.env.repeat_window_ms = 10000;
	start(&d);
	rejoin_ok(&j, &d, &sim, 0, 0, 2);
	rejoin(&again, &d, &sim);
	check_accepted(&again, &d.roots, &sim, 2);
	same_answer(&j, &again);
	t.env.repeat_window_ms = 0;
	/* Only the Join Server can check type 1. */
	sim = make_sim_rejoin(&d, 1, 0);
	{
		uint8_t phy[SIM_REQUEST_MAX];

		prepare_rejoin(&j, &d, &sim, phy);
		phy[SIM_REJOIN_EUI_LEN - 1] ^= 1;
		run(&j);
	}
	check_refused(&j, &d.row, JY_EMIC, JOIN_STEP_mic);
	rejoin_ok(&j, &d, &sim, 1, 0, 3);
	rejoin_refused(&d, 1, 0, JY_ERJCOUNT, JOIN_STEP_nonce);
	t.env.rejoin_mic_by_ns = false;
}

/* ---- what it costs ---- */

static uint64_t
calls_of(struct dev *d, uint8_t type, uint16_t counter, uint32_t join_nonce)
{
	struct hsm_stats before, after;
	struct sim_join sim;
	struct join j;

	hsm_stats(t.hsm, &before);
	rejoin_ok(&j, d, &sim, type, counter, join_nonce);
	hsm_stats(t.hsm, &after);
	assert_int_equal(after.cache_misses, before.cache_misses);
	return after.calls - before.calls;
}

static void
test_calls(void **state)
{
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	rejoin_ok(&j, &d, &sim, 1, 0, 2); /* JSEncKey is there from now on */
	hear(&d, &j, &sim);
	assert_int_equal(calls_of(&d, 1, 1, 3), 18);
	/* JoinNonces 3 and 2 are tried; then 4, 3 and 2. */
	assert_int_equal(calls_of(&d, 0, 0, 4), 16 + 2 * 4);
	assert_int_equal(calls_of(&d, 2, 1, 5), 16 + 3 * 4);
}

/* ---- dry runs ---- */

struct snapshot {
	uint8_t nonces[ROW_MAX], device[ROW_MAX], sessions[16][ROW_MAX];
	size_t nonces_len, device_len, n, used, session_lens[16];
	struct store_stats stats;
};

static void
snap(const struct device_id *id, struct snapshot *out)
{
	struct session_row sessions[16];
	struct device_row device;
	struct nonce_row nonces;

	memset(out, 0, sizeof(*out));
	assert_int_equal(
	    store_nonces_get(t.env.store, id, &nonces, &out->used, NULL),
	    JY_OK);
	out->nonces_len = row_encode_nonce(&nonces, out->nonces);
	assert_int_equal(
	    store_device_get(t.env.store, id, &device, NULL), JY_OK);
	out->device_len = row_encode_device(&device, out->device);
	assert_int_equal(
	    store_session_list(t.env.store, id, sessions, 16, &out->n, NULL),
	    JY_OK);
	for (size_t i = 0; i < out->n; i++) {
		out->session_lens[i] =
		    row_encode_session(&sessions[i], out->sessions[i]);
	}
	store_stats(t.env.store, &out->stats);
}

static void
dry_run(struct join *j, const struct device_id *id)
{
	static struct snapshot before, after;
	struct join_output nothing;

	memset(&nothing, 0, sizeof(nothing));
	j->in.dry_run = true;
	snap(id, &before);
	run(j);
	snap(id, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_memory_equal(&j->out, &nothing, sizeof(nothing));
}

static void
test_dry_run(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	for (uint8_t type = 0; type <= 2; type++) {
		sim = make_sim_rejoin(&d, type, 0x0100);
		prepare_rejoin(&j, &d, &sim, phy);
		dry_run(&j, &d.row.id);
		assert_int_equal(j.err, JY_OK);
		assert_int_equal(j.step, JOIN_STEP_nonce);
		assert_int_equal(j.commit.session.join_nonce, type + 2);
		assert_string_equal(j.to_ns.kek.label, "ns-kek");
		/* What was only tried is as good as new. */
		rejoin(&j, &d, &sim);
		check_accepted(&j, &d.roots, &sim, type + 2U);
		prepare_rejoin(&j, &d, &sim, phy);
		dry_run(&j, &d.row.id);
		assert_int_equal(j.err, JY_ERJCOUNT);
		hear(&d, &j, &sim);
	}
}

static void
test_dry_run_refusals(void **state)
{
	uint8_t phy[SIM_REQUEST_MAX];
	struct sim_join sim;
	struct join j;
	struct dev d;

	(void)state;
	start(&d);
	sim = make_sim_join(&d.row, 0x0100, true);
	for (int k = 0; k < 7; k++) {
		static const struct {
			enum jy_err err;
			enum join_step_id step;
		} wanted[] = {
			{ JY_EINVAL, JOIN_STEP_parse },
			{ JY_EDEVICE, JOIN_STEP_device },
			{ JY_EACCESS, JOIN_STEP_access },
			{ JY_EOPTNEG, JOIN_STEP_policy },
			{ JY_EMIC, JOIN_STEP_mic },
			{ JY_EREPLAY, JOIN_STEP_nonce },
			{ JY_OK, JOIN_STEP_nonce },
		};
		struct sim_join other = sim;

		if (k == 1) {
			other.join_eui.be[1] ^= 1;
		} else if (k == 5) {
			other.counter = 0x00FF; /* its join's */
		}
		prepare(&j, &d.roots, &other, LW_VERSION_1_1_0, phy);
		if (k == 0) {
			phy[0] = 0x40;
		} else if (k == 2) {
			j.in.net_id = OTHER_NET_ID;
		} else if (k == 3) {
			j.in.dl_settings &= 0x7F;
		} else if (k == 4) {
			phy[22] ^= 1;
		}
		dry_run(&j, &d.row.id);
		assert_string_equal(err_name(j.err), err_name(wanted[k].err));
		assert_int_equal(j.step, wanted[k].step);
	}
	/* A repetition would be answered as before. */
	t.env.repeat_window_ms = 10000;
	prepare(&j, &d.roots, &d.session, LW_VERSION_1_1_0, phy);
	dry_run(&j, &d.row.id);
	t.env.repeat_window_ms = 0;
	assert_int_equal(j.err, JY_OK);
	assert_true(j.repeated);
	assert_int_equal(j.commit.session.join_nonce, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_cf_list),
		cmocka_unit_test(test_accept_is_bound),
		cmocka_unit_test(test_refused_frames),
		cmocka_unit_test(test_refused_said),
		cmocka_unit_test(test_join_eui_not_on_air),
		cmocka_unit_test(test_unknown_device),
		cmocka_unit_test(test_refused_access),
		cmocka_unit_test(test_refused_versions),
		cmocka_unit_test(test_refused_mic),
		cmocka_unit_test(test_type_is_covered),
		cmocka_unit_test(test_no_session),
		cmocka_unit_test(test_session_of_1_0),
		cmocka_unit_test(test_expired_session),
		cmocka_unit_test(test_wrong_net_id),
		cmocka_unit_test(test_rj_count0),
		cmocka_unit_test(test_rj_count0_starts_anew),
		cmocka_unit_test(test_rj_count1),
		cmocka_unit_test(test_middle_session),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_batch_rounds),
		cmocka_unit_test(test_lost_race),
		cmocka_unit_test(test_race_for_session),
		cmocka_unit_test(test_repetition),
		cmocka_unit_test(test_repetition_after_switch),
		cmocka_unit_test(test_mic_by_ns),
		cmocka_unit_test(test_mic_by_ns_repetition),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_dry_run_refusals),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
