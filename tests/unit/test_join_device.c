/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device is meant and what holds for it: JoinEUIs served, the default
 * JoinEUI, what applications say, NSIDs, homes, and queries for session keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/join/device.h"
#include "src/join/home.h"
#include "tests/unit/join_util.h"

#define ROAMING_NET_ID 0xC0FFEEU

static const struct eui64 ns_id_up = { { 1, 2, 3, 4, 5, 6, 7, 8 } };
static const struct eui64 ns_id_down = { { 8, 7, 6, 5, 4, 3, 2, 1 } };
static const struct eui64 unserved = { { 0xEE, 0x40, 1, 2, 3, 4, 5, 6 } };
static struct eui64_prefix prefixes[2];

/* What is served: A8400000... /16, where add_device registers, and another. */
static void
serve(bool has_default)
{
	assert_true(eui64_prefix_parse("a840000000000000/16", &prefixes[0]));
	assert_true(eui64_prefix_parse("70b3d57ed0000000/40", &prefixes[1]));
	t.env.join_euis = (struct join_euis){
		.prefixes = prefixes,
		.count = 2,
		.has_default = has_default,
		.default_eui = { { 0xA8, 0x40, 0, 0, 0, 0, 0, 0 } },
	};
}

static int
serve_all(void **state)
{
	(void)state;
	t.env.join_euis = (struct join_euis){ 0 };
	return 0;
}

/* ---- JoinEUIs ---- */

static void
test_served(void **state)
{
	struct eui64 eui = { { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 1, 2, 3 } };

	(void)state;
	serve(false);
	assert_true(device_join_eui_served(&t.env.join_euis, &eui));
	eui.be[4] = 0xd1;
	assert_false(device_join_eui_served(&t.env.join_euis, &eui));
	assert_false(device_join_eui_served(&t.env.join_euis, &unserved));
	serve_all(NULL);
	assert_true(device_join_eui_served(&t.env.join_euis, &unserved));
}

/* A device registered under its own AppEUI, which is not served. */
static void
test_unserved(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE);
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	serve_all(NULL);
	t.next_device.join_eui.be[7] = 0;
	d = add_device(&roots, &as);
	serve(false);
	/* Served and not registered, not served and not registered. */
	sim = make_sim_join(&d, 1, false);
	sim.join_eui.be[7] ^= 1;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, NULL, JY_EDEVICE, JOIN_STEP_device);
	sim.join_eui = unserved;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, NULL, JY_EJOINEUI, JOIN_STEP_device);
	assert_non_null(strstr(j.ec.text, "ee40010203040506"));
	/* Now nothing near it is served: 1.0.x goes on, 1.1 does not. */
	assert_true(eui64_prefix_parse("a841000000000000/16", &prefixes[0]));
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	sim = make_sim_join(&d, 2, true);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_refused(&j, &d, JY_EJOINEUI, JOIN_STEP_device);
	/* Nor does a device that is registered as 1.1. */
	d.mac_version = LW_VERSION_1_1_0;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	sim = make_sim_join(&d, 3, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EJOINEUI, JOIN_STEP_device);
}

/* Any AppEUI that is not served means the device under the default one. */
static void
test_default_join_eui(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row as = for_as(LW_VERSION_NONE);
	struct session_keys keys;
	struct device_row d;
	struct sim_join sim;
	struct join j, again;

	(void)state;
	serve(true);
	d = add_device(&roots, &as); /* under the default */
	assert_true(eui64_eq(&d.id.join_eui, &t.env.join_euis.default_eui));
	sim = make_sim_join(&d, 1, false);
	sim.join_eui = unserved;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	assert_true(device_id_eq(&j.device, &d.id));
	assert_true(device_id_eq(&j.commit.session.device, &d.id));
	assert_int_equal(
	    retrieve(&t.ns, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
	check_network_keys(&keys, &roots, &sim);
	/* It is one device, under whatever AppEUI. */
	sim.join_eui.be[0] = 0xDD;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, &d, JY_EREPLAY, JOIN_STEP_nonce);
	/* 1.1 keys are made of the JoinEUI: the default one is not for it. */
	sim = make_sim_join(&d, 2, true);
	sim.join_eui = unserved;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_refused(&j, NULL, JY_EJOINEUI, JOIN_STEP_device);
	/* A JoinEUI that is served is never another's. */
	sim = make_sim_join(&d, 2, false);
	sim.join_eui.be[7] ^= 1;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_refused(&j, NULL, JY_EDEVICE, JOIN_STEP_device);
	/* Two AppEUIs of one device in a batch: one after the other. */
	{
		struct sim_join other = make_sim_join(&d, 3, false);
		uint8_t phy[2][SIM_REQUEST_LEN];
		struct join *batch[] = { &j, &again };

		sim = other;
		other.join_eui = unserved;
		other.counter = 4;
		prepare(&j, &roots, &sim, LW_VERSION_1_0_3, phy[0]);
		prepare(&again, &roots, &other, LW_VERSION_1_0_3, phy[1]);
		join_run_batch(batch, 2);
		check_accepted(&j, &roots, &sim, 2);
		check_accepted(&again, &roots, &other, 3);
		assert_false(again.reran);
	}
}

static void
test_device_of_rejoin(void **state)
{
	const struct device_id none = { { { 9, 8 } }, { { 7 } } };
	struct device_id id = { 0 };
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(
	    device_of_rejoin(&t.env, &none.dev_eui, NULL, &id, &ec),
	    JY_EDEVICE);
	assert_non_null(strstr(ec.text, "0908000000000000"));
	assert_int_equal(
	    device_of_rejoin(&t.env, &none.dev_eui, &none.join_eui, &id, NULL),
	    JY_OK);
	assert_true(device_id_eq(&id, &none));
}

/* ---- what the application says ---- */

static void
put_app(const char *name, const struct activation *a)
{
	struct app_row old = { 0 }, row = { .activation = *a };
	struct errctx ec = ERRCTX_INIT;

	if (store_app_get(t.env.store, name, &old, NULL) != JY_OK) {
		old.revision = 0;
	}
	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	row.revision = old.revision;
	if (registry_app_set(&t.env, &row, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
}

static struct device_row
of_app(const char *app, enum lw_version version)
{
	struct device_row row = { .mac_version = version };

	(void)snprintf(row.app, sizeof(row.app), "%s", app);
	return row;
}

static void
test_inherit(void **state)
{
	const struct activation app = {
		.net_id_count = 2,
		.net_ids = { NET_ID, OTHER_NET_ID },
		.as_id = "as.app",
		.ns_kek = "ns",
		.as_kek = "as",
		.has_ns_id = true,
		.ns_id = ns_id_up,
		.roaming = ROAMING_LISTED,
		.roaming_net_id_count = 1,
		.roaming_net_ids = { ROAMING_NET_ID },
	};
	struct activation own = {
		.net_id_count = 1,
		.net_ids = { ROAMING_NET_ID },
		.as_id = "as.own",
		.ns_kek = "own-ns",
		.as_kek = "own-as",
		.has_ns_id = true,
		.ns_id = ns_id_down,
		.roaming = ROAMING_NONE,
	};
	struct activation none = { 0 };

	(void)state;
	access_inherit(&none, &app);
	assert_int_equal(none.net_id_count, 2);
	assert_int_equal(none.net_ids[1], OTHER_NET_ID);
	assert_string_equal(none.as_id, "as.app");
	assert_string_equal(none.ns_kek, "ns");
	assert_string_equal(none.as_kek, "as");
	assert_true(none.has_ns_id && eui64_eq(&none.ns_id, &ns_id_up));
	assert_int_equal(none.roaming, ROAMING_LISTED);
	assert_int_equal(none.roaming_net_id_count, 1);
	assert_int_equal(none.roaming_net_ids[0], ROAMING_NET_ID);

	access_inherit(&own, &app);
	assert_int_equal(own.net_id_count, 1);
	assert_int_equal(own.net_ids[0], ROAMING_NET_ID);
	assert_string_equal(own.as_id, "as.own");
	assert_string_equal(own.ns_kek, "own-ns");
	assert_string_equal(own.as_kek, "own-as");
	assert_true(eui64_eq(&own.ns_id, &ns_id_down));
	assert_int_equal(own.roaming, ROAMING_NONE);
	assert_int_equal(own.roaming_net_id_count, 0);
}

/* A KEK or NSID of the application's is not for those the device names. */
static void
test_inherit_for_others(void **state)
{
	const struct activation app = {
		.net_id_count = 2,
		.net_ids = { NET_ID, OTHER_NET_ID },
		.as_id = "as.app",
		.ns_kek = "ns",
		.as_kek = "as",
		.has_ns_id = true,
		.ns_id = ns_id_up,
	};
	const struct activation keks = { .ns_kek = "ns", .as_kek = "as" };
	struct activation elsewhere = {
		.net_id_count = 2,
		.net_ids = { NET_ID, ROAMING_NET_ID },
		.as_id = "as.own",
	};
	struct activation within = {
		.net_id_count = 1,
		.net_ids = { OTHER_NET_ID },
		.as_id = "as.app",
	};
	struct activation other_ns = { .has_ns_id = true, .ns_id = ns_id_down };
	struct activation named = within;
	struct activation silent = { 0 };

	(void)state;
	access_inherit(&elsewhere, &app);
	assert_int_equal(elsewhere.net_id_count, 2);
	assert_string_equal(elsewhere.ns_kek, "");
	assert_string_equal(elsewhere.as_kek, "");
	assert_false(elsewhere.has_ns_id);

	access_inherit(&within, &app);
	assert_int_equal(within.net_id_count, 1);
	assert_string_equal(within.ns_kek, "ns");
	assert_string_equal(within.as_kek, "as");
	assert_true(eui64_eq(&within.ns_id, &ns_id_up));

	access_inherit(&other_ns, &app);
	assert_int_equal(other_ns.net_id_count, 2);
	assert_true(eui64_eq(&other_ns.ns_id, &ns_id_down));
	assert_string_equal(other_ns.ns_kek, "");
	assert_string_equal(other_ns.as_kek, "as");

	/* One that names nobody goes with devices that name nobody. */
	access_inherit(&named, &keks);
	assert_string_equal(named.ns_kek, "");
	assert_string_equal(named.as_kek, "");
	access_inherit(&silent, &keks);
	assert_string_equal(silent.ns_kek, "ns");
	assert_string_equal(silent.as_kek, "as");
}

/*
 * The application names an AS with a KEK, the device another AS: that one gets
 * the AppSKey under its own KEK.
 */
static void
test_application_of_another_as(void **state)
{
	struct activation a = {
		.net_id_count = 1,
		.net_ids = { NET_ID },
		.as_id = "as.another",
		.as_kek = "ns-kek",
	};
	struct sim_roots roots = { .has_app = true };
	struct device_row row = of_app("gauges", LW_VERSION_1_0_4);
	struct session_keys keys;
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	put_app("gauges", &a);
	(void)snprintf(
	    row.activation.as_id, sizeof(row.activation.as_id), "as.as");
	d = add_device(&roots, &row);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	check_envelope(&j.out.keys.app_s_key, t.as_kek, "as-kek", &roots, &sim,
	    SIM_APP_S_KEY);
	assert_int_equal(
	    retrieve(&t.as, PEER_AS, j.out.session_id, NULL, &keys), JY_OK);
	check_envelope(
	    &keys.app_s_key, t.as_kek, "as-kek", &roots, &sim, SIM_APP_S_KEY);
}

/* A device that says nothing: home, AS and KEK are the application's. */
static void
test_application(void **state)
{
	struct activation a = {
		.net_id_count = 1,
		.net_ids = { NET_ID },
		.as_id = "as.as",
	};
	struct sim_roots roots = { .has_app = true };
	struct device_row row = of_app("meters", LW_VERSION_1_0_4);
	struct session_keys keys;
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	d = add_device(&roots, &row);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_int_equal(j.err, JY_OK); /* the application is not there yet */
	assert_int_equal(j.out.keys.app_s_key.len, 0);
	put_app("meters", &a);
	sim = make_sim_join(&d, 2, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 2);
	assert_int_equal(
	    retrieve(&t.as, PEER_AS, j.out.session_id, NULL, &keys), JY_OK);
	check_envelope(
	    &keys.app_s_key, t.as_kek, "as-kek", &roots, &sim, SIM_APP_S_KEY);
	/* The home is elsewhere now: neither joins nor keys. */
	a.net_ids[0] = OTHER_NET_ID;
	(void)snprintf(a.as_id, sizeof(a.as_id), "as.elsewhere");
	put_app("meters", &a);
	sim = make_sim_join(&d, 3, false);
	{
		uint8_t id[STORE_ID_LEN];

		memcpy(id, j.out.session_id, sizeof(id));
		(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
		check_refused(&j, &d, JY_EACCESS, JOIN_STEP_access);
		assert_int_equal(
		    retrieve(&t.ns, PEER_NS, id, NULL, &keys), JY_EACCESS);
		assert_int_equal(
		    retrieve(&t.as, PEER_AS, id, NULL, &keys), JY_EACCESS);
	}
	/* What the device says itself goes before. */
	d.activation.net_id_count = 1;
	d.activation.net_ids[0] = NET_ID;
	(void)snprintf(
	    d.activation.as_kek, sizeof(d.activation.as_kek), "as-kek");
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 3);
	/* A KEK of the application's, where the peer's own is another. */
	a.net_ids[0] = NET_ID;
	(void)snprintf(a.as_id, sizeof(a.as_id), "as.as");
	(void)snprintf(a.ns_kek, sizeof(a.ns_kek), "as-kek");
	put_app("meters", &a);
	sim = make_sim_join(&d, 4, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	assert_int_equal(j.err, JY_OK);
	sim.accept.join_nonce = 4;
	check_envelope(&j.out.keys.f_nwk_s_int_key, t.as_kek, "as-kek", &roots,
	    &sim, SIM_NWK_S_KEY);
}

/* One peer may be both. */
static void
test_ns_as_peer(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_4);
	struct peer_row both = make_peer("both", PEER_NS_AS, 2077, "ns-kek");
	struct session_keys keys;
	uint8_t phy[SIM_REQUEST_LEN];
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	(void)snprintf(
	    row.activation.as_id, sizeof(row.activation.as_id), "as.both");
	d = add_device(&roots, &row);
	sim = make_sim_join(&d, 1, false);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.peer = &both;
	run(&j);
	assert_int_equal(j.err, JY_OK);
	sim.accept.join_nonce = 1;
	check_network_keys(&j.out.keys, &roots, &sim);
	check_envelope(&j.out.keys.app_s_key, t.ns_kek, "ns-kek", &roots, &sim,
	    SIM_APP_S_KEY);
	assert_int_equal(
	    retrieve(&both, PEER_AS, j.out.session_id, NULL, &keys), JY_OK);
	assert_int_equal(
	    retrieve(&both, PEER_NS, j.out.session_id, NULL, &keys), JY_OK);
}

/* ---- whom a request speaks for ---- */

static void
test_sender(void **state)
{
	struct peer_row peer = {
		.role = PEER_NS_AS,
		.net_id_count = 2,
		.net_ids = { OTHER_NET_ID, NET_ID },
		.ns_id_count = 2,
		.ns_ids = { ns_id_down, ns_id_up },
		.as_id_count = 1,
		.as_ids = { "as.example" },
	};
	struct sender s = { 0 };

	(void)state;
	assert_int_equal(access_sender(&peer, &s, NULL), JY_OK);
	s.has_net_id = s.has_ns_id = true;
	s.net_id = NET_ID;
	s.ns_id = ns_id_up;
	s.as_id = "as.example";
	assert_int_equal(access_sender(&peer, &s, NULL), JY_OK);
	s.net_id = 0x130060; /* reversed */
	assert_int_equal(access_sender(&peer, &s, NULL), JY_EPEER);
	s.net_id = NET_ID;
	s.ns_id.be[7] ^= 1;
	assert_int_equal(access_sender(&peer, &s, NULL), JY_EPEER);
	s.ns_id = ns_id_up;
	s.as_id = "as.example.org";
	assert_int_equal(access_sender(&peer, &s, NULL), JY_EPEER);
	s.as_id = "";
	assert_int_equal(access_sender(&peer, &s, NULL), JY_EPEER);
}

static void
test_ns_id(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_4);
	uint8_t phy[SIM_REQUEST_LEN];
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	row.activation.has_ns_id = true;
	row.activation.ns_id = ns_id_up;
	d = add_device(&roots, &row);
	sim = make_sim_join(&d, 1, false);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.in.sender = (struct sender){ .has_ns_id = true, .ns_id = ns_id_down };
	run(&j);
	check_refused(&j, &d, JY_EACCESS, JOIN_STEP_access);
	assert_non_null(strstr(j.ec.text, "0807060504030201"));
	j.in.sender.ns_id = ns_id_up;
	run(&j);
	check_accepted(&j, &roots, &sim, 1);
	/* Who says none, as all of 1.0 do, is not asked. */
	sim = make_sim_join(&d, 2, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 2);
	/* Nor is one that says it of a device that has none. */
	d.activation.has_ns_id = false;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
	sim = make_sim_join(&d, 3, false);
	prepare(&j, &roots, &sim, LW_VERSION_1_0_4, phy);
	j.in.sender = (struct sender){ .has_ns_id = true, .ns_id = ns_id_down };
	run(&j);
	check_accepted(&j, &roots, &sim, 3);
}

/* Who has NSIDs and not the device's does not get by with saying none. */
static void
test_ns_id_not_said(void **state)
{
	const struct activation a = {
		.net_id_count = 1,
		.net_ids = { NET_ID },
		.has_ns_id = true,
		.ns_id = ns_id_up,
	};
	const struct sender silent = { .has_net_id = true, .net_id = NET_ID };
	struct peer_row peer = {
		.name = "ns1",
		.role = PEER_NS,
		.net_id_count = 1,
		.net_ids = { NET_ID },
		.ns_id_count = 1,
		.ns_ids = { ns_id_down, ns_id_up },
	};
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(
	    access_network(&peer, &a, NET_ID, &silent, &ec), JY_EACCESS);
	assert_non_null(strstr(ec.text, "ns1"));
	assert_non_null(strstr(ec.text, "0102030405060708"));
	peer.ns_id_count = 2;
	assert_int_equal(
	    access_network(&peer, &a, NET_ID, &silent, NULL), JY_OK);
	peer.ns_id_count = 0;
	assert_int_equal(
	    access_network(&peer, &a, NET_ID, &silent, NULL), JY_OK);
}

/* ---- session keys again ---- */

static enum jy_err
ask(const struct session_query *query, struct session_keys *keys)
{
	return session_retrieve(&t.env, query, keys, NULL);
}

static void
test_query(void **state)
{
	struct sim_roots roots = { .has_nwk = true, .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_1_0);
	struct device_row d = add_device(&roots, &row);
	struct sim_join sim = make_sim_join(&d, 1, true);
	struct eui64 other = d.id.join_eui;
	struct sender sender = { 0 };
	struct session_query q = {
		.peer = &t.as,
		.sender = &sender,
		.as = PEER_AS,
		.dev_eui = &d.id.dev_eui,
		.join_eui = &d.id.join_eui,
	};
	struct peer_row two_ids = t.as;
	struct session_keys keys;
	struct join j;

	(void)state;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_1_0);
	check_accepted(&j, &roots, &sim, 1);
	memcpy(q.id, j.out.session_id, sizeof(q.id));
	assert_int_equal(ask(&q, &keys), JY_OK);
	check_envelope(
	    &keys.app_s_key, t.as_kek, "as-kek", &roots, &sim, SIM_APP_S_KEY);
	/* A dry run derives nothing. */
	q.dry_run = true;
	assert_int_equal(ask(&q, &keys), JY_OK);
	assert_int_equal(keys.app_s_key.len, 0);
	assert_string_equal(keys.app_s_key.kek_label, "as-kek");
	q.as = PEER_NS;
	assert_int_equal(ask(&q, &keys), JY_EACCESS);
	q.peer = &t.ns;
	assert_int_equal(ask(&q, &keys), JY_OK);
	assert_int_equal(keys.f_nwk_s_int_key.len, 0);
	assert_string_equal(keys.f_nwk_s_int_key.kek_label, "ns-kek");
	q.dry_run = false;
	q.as = PEER_AS;
	q.peer = &t.as;

	/* Another JoinEUI: served, then not. */
	other.be[7] ^= 1;
	q.join_eui = &other;
	assert_int_equal(ask(&q, &keys), JY_ESESSION);
	serve(true);
	assert_int_equal(ask(&q, &keys), JY_ESESSION);
	q.join_eui = &unserved;
	assert_int_equal(ask(&q, &keys), JY_EJOINEUI);
	q.join_eui = &d.id.join_eui;
	/* It is registered under it: enough, even if no more served. */
	prefixes[0].eui.be[0] = 0xA9;
	assert_int_equal(ask(&q, &keys), JY_OK);
	serve_all(NULL);

	/* The AS-ID that it says has to be the device's. */
	sender.as_id = "as.as";
	assert_int_equal(ask(&q, &keys), JY_OK);
	two_ids.as_id_count = 2;
	(void)snprintf(
	    two_ids.as_ids[1], sizeof(two_ids.as_ids[1]), "as.second");
	sender.as_id = "as.second";
	q.peer = &two_ids;
	assert_int_equal(ask(&q, &keys), JY_EACCESS);
}

/* An AS knows the AppEUI on air, not the default JoinEUI. */
static void
test_query_default_join_eui(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_3);
	const struct sender sender = { 0 };
	struct session_query q = {
		.peer = &t.as,
		.sender = &sender,
		.as = PEER_AS,
		.join_eui = &unserved,
	};
	struct session_keys keys;
	struct device_row d;
	struct sim_join sim;
	struct join j;

	(void)state;
	serve(true);
	d = add_device(&roots, &row);
	sim = make_sim_join(&d, 1, false);
	sim.join_eui = unserved;
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_3);
	check_accepted(&j, &roots, &sim, 1);
	memcpy(q.id, j.out.session_id, sizeof(q.id));
	assert_int_equal(ask(&q, &keys), JY_OK);
	check_envelope(
	    &keys.app_s_key, t.as_kek, "as-kek", &roots, &sim, SIM_APP_S_KEY);
	t.env.join_euis.has_default = false;
	assert_int_equal(ask(&q, &keys), JY_EJOINEUI);
}

/* ---- homes ---- */

static enum jy_err
home(uint32_t net_id, const struct device_row *d, bool say, struct home_ns *out)
{
	struct peer_row peer = t.ns;

	peer.net_ids[0] = net_id;
	memset(out, 0, sizeof(*out));
	return home_ns_find(&t.env, &peer, net_id, &d->id.dev_eui,
	    say ? &d->id.join_eui : NULL, out, NULL);
}

static void
set_device(struct device_row *d)
{
	struct errctx ec = ERRCTX_INIT;

	if (registry_device_set(&t.env, d, NULL, NULL, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	assert_int_equal(store_device_get(t.env.store, &d->id, d, NULL), JY_OK);
}

static void
test_home_agreements(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_4);
	struct device_row d;
	struct home_ns h;

	(void)state;
	row.activation.net_id_count = 2;
	row.activation.net_ids[0] = OTHER_NET_ID;
	row.activation.net_ids[1] = NET_ID;
	row.activation.has_ns_id = true;
	row.activation.ns_id = ns_id_up;
	d = add_device(&roots, &row);
	/* Nobody but its home, by default and by word. */
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_EROAMING);
	d.activation.roaming = ROAMING_NONE;
	set_device(&d);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_EROAMING);
	assert_int_equal(home(NET_ID, &d, true, &h), JY_OK);
	assert_true(device_id_eq(&h.device, &d.id));
	assert_int_equal(h.net_id, OTHER_NET_ID); /* the first */
	assert_true(h.has_ns_id);
	assert_true(eui64_eq(&h.ns_id, &ns_id_up));
	/* Listed. */
	d.activation.roaming = ROAMING_LISTED;
	d.activation.roaming_net_id_count = 1;
	d.activation.roaming_net_ids[0] = ROAMING_NET_ID;
	set_device(&d);
	assert_int_equal(home(ROAMING_NET_ID, &d, false, &h), JY_OK);
	assert_int_equal(home(0xEEFFC0, &d, true, &h), JY_EROAMING);
	/* Any. */
	d.activation.roaming = ROAMING_ANY;
	d.activation.roaming_net_id_count = 0;
	set_device(&d);
	assert_int_equal(home(0xEEFFC0, &d, true, &h), JY_OK);
}

static void
test_home_refused(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_4);
	struct device_row d, unknown;
	struct home_ns h;

	(void)state;
	row.activation.roaming = ROAMING_ANY;
	row.activation.net_id_count = 1;
	row.activation.net_ids[0] = NET_ID;
	d = add_device(&roots, &row);
	/* No Network Server; a NetID that is not the peer's. */
	assert_int_equal(
	    home_ns_find(&t.env, &t.as, NET_ID, &d.id.dev_eui, NULL, &h, NULL),
	    JY_EACCESS);
	assert_int_equal(home_ns_find(&t.env, &t.ns, OTHER_NET_ID,
			     &d.id.dev_eui, NULL, &h, NULL),
	    JY_EACCESS);
	unknown = d;
	unknown.id.dev_eui.be[0] ^= 1;
	assert_int_equal(home(NET_ID, &unknown, false, &h), JY_EDEVICE);
	assert_int_equal(home(NET_ID, &unknown, true, &h), JY_EDEVICE);
	serve(false);
	unknown = d;
	unknown.id.join_eui = unserved;
	assert_int_equal(home(NET_ID, &unknown, true, &h), JY_EJOINEUI);
	/* Unless it is a 1.0.x device under the default JoinEUI. */
	serve(true);
	assert_int_equal(home(NET_ID, &unknown, true, &h), JY_OK);
	assert_true(device_id_eq(&h.device, &d.id));
}

/* The NetID of the newest session goes before the list, while it is on it. */
static void
test_home_of_session(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row row = for_as(LW_VERSION_1_0_4);
	struct device_row d;
	struct sim_join sim;
	struct home_ns h;
	struct join j;

	(void)state;
	row.activation.roaming = ROAMING_ANY;
	d = add_device(&roots, &row);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_EROAMING);
	sim = make_sim_join(&d, 1, false);
	(void)join_once(&j, &roots, &sim, LW_VERSION_1_0_4);
	check_accepted(&j, &roots, &sim, 1);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_OK);
	assert_int_equal(h.net_id, NET_ID);
	assert_false(h.has_ns_id);
	/* Its own network is told, whatever the agreements. */
	d.activation.roaming = ROAMING_NONE;
	set_device(&d);
	assert_int_equal(home(NET_ID, &d, true, &h), JY_OK);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_EROAMING);

	d.activation.net_id_count = 2;
	d.activation.net_ids[0] = OTHER_NET_ID;
	d.activation.net_ids[1] = NET_ID;
	set_device(&d);
	assert_int_equal(home(OTHER_NET_ID, &d, true, &h), JY_OK);
	assert_int_equal(h.net_id, NET_ID);
	d.activation.net_id_count = 1; /* it moved away */
	set_device(&d);
	assert_int_equal(home(OTHER_NET_ID, &d, true, &h), JY_OK);
	assert_int_equal(h.net_id, OTHER_NET_ID);
	assert_int_equal(home(NET_ID, &d, true, &h), JY_EROAMING);
}

/* Home and agreements of the application. */
static void
test_home_of_application(void **state)
{
	const struct activation a = {
		.net_id_count = 1,
		.net_ids = { OTHER_NET_ID },
		.has_ns_id = true,
		.ns_id = ns_id_down,
		.roaming = ROAMING_LISTED,
		.roaming_net_id_count = 1,
		.roaming_net_ids = { ROAMING_NET_ID },
	};
	struct sim_roots roots = { .has_app = true };
	struct device_row row = of_app("trackers", LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &row);
	struct home_ns h;

	(void)state;
	put_app("trackers", &a);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_OK);
	assert_int_equal(h.net_id, OTHER_NET_ID);
	assert_true(h.has_ns_id && eui64_eq(&h.ns_id, &ns_id_down));
	assert_int_equal(home(NET_ID, &d, true, &h), JY_EROAMING);
	d.activation.roaming = ROAMING_NONE;
	set_device(&d);
	assert_int_equal(home(ROAMING_NET_ID, &d, true, &h), JY_EROAMING);
}

#define SERVED_TEST(fn) cmocka_unit_test_teardown(fn, serve_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED_TEST(test_served),
		SERVED_TEST(test_unserved),
		SERVED_TEST(test_default_join_eui),
		SERVED_TEST(test_device_of_rejoin),
		SERVED_TEST(test_inherit),
		SERVED_TEST(test_inherit_for_others),
		SERVED_TEST(test_application_of_another_as),
		SERVED_TEST(test_application),
		SERVED_TEST(test_ns_as_peer),
		SERVED_TEST(test_sender),
		SERVED_TEST(test_ns_id),
		SERVED_TEST(test_ns_id_not_said),
		SERVED_TEST(test_query),
		SERVED_TEST(test_query_default_join_eui),
		SERVED_TEST(test_home_agreements),
		SERVED_TEST(test_home_refused),
		SERVED_TEST(test_home_of_session),
		SERVED_TEST(test_home_of_application),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
