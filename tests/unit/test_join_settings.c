/* SPDX-License-Identifier: Apache-2.0 */
/* What admins may set: applications, peers, devices; and who is which peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/join_util.h"

#define SET(field, text) (void)snprintf(field, sizeof(field), "%s", text)

/* ---- applications and devices ---- */

static void
test_app(void **state)
{
	struct app_row row = { 0 }, got;

	(void)state;
	assert_int_equal(registry_app_set(&t.env, &row, NULL), JY_EINVAL);
	SET(row.name, "lamps");
	SET(row.activation.ns_kek, "none");
	assert_int_equal(registry_app_set(&t.env, &row, NULL), JY_EKEK);
	SET(row.activation.ns_kek, "ns-kek");
	SET(row.activation.as_kek, "none");
	assert_int_equal(registry_app_set(&t.env, &row, NULL), JY_EKEK);
	SET(row.activation.as_kek, "as-kek");
	row.activation.roaming_net_id_count = 1;
	row.activation.roaming_net_ids[0] = OTHER_NET_ID;
	for (unsigned mode = 0; mode <= ROAMING_ANY; mode++) {
		row.activation.roaming = (uint8_t)mode;
		if (mode != ROAMING_LISTED) {
			assert_int_equal(
			    registry_app_set(&t.env, &row, NULL), JY_EINVAL);
		}
	}
	row.activation.roaming = ROAMING_LISTED;
	assert_int_equal(registry_app_set(&t.env, &row, NULL), JY_OK);
	assert_int_equal(registry_app_set(&t.env, &row, NULL), JY_ECONFLICT);
	assert_int_equal(
	    store_app_get(t.env.store, "lamps", &got, NULL), JY_OK);
	assert_int_equal(got.revision, 1);
	assert_string_equal(got.activation.as_kek, "as-kek");
	/* Its KEK stays while it names it. */
	assert_int_equal(kek_delete(&t.env, "as-kek", NULL), JY_EINUSE);
}

static void
test_device_roaming(void **state)
{
	struct sim_roots roots = { .has_app = true };
	struct device_row as = for_as(LW_VERSION_1_0_4);
	struct device_row d = add_device(&roots, &as);

	(void)state;
	d.activation.roaming_net_id_count = 1;
	d.activation.roaming_net_ids[0] = OTHER_NET_ID;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_EINVAL);
	d.activation.roaming = ROAMING_ANY;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_EINVAL);
	d.activation.roaming = ROAMING_LISTED;
	assert_int_equal(
	    registry_device_set(&t.env, &d, NULL, NULL, NULL), JY_OK);
}

/* ---- peers ---- */

/* A peer that is all right; each case breaks it in one way. */
static struct peer_row
good_peer(enum peer_role role)
{
	struct peer_row p = {
		.role = role,
		.has_bearer = true,
		.bearer_hash = { 0xB0, (uint8_t)role },
	};

	(void)snprintf(p.name, sizeof(p.name), "good-%d", (int)role);
	if (peer_role_is(role, PEER_NS)) {
		p.net_id_count = p.ns_id_count = 1;
		p.net_ids[0] = OTHER_NET_ID;
		p.ns_ids[0].be[0] = 1;
	}
	if (peer_role_is(role, PEER_AS)) {
		p.as_id_count = 1;
		(void)snprintf(
		    p.as_ids[0], sizeof(p.as_ids[0]), "as.good-%d", (int)role);
	}
	return p;
}

static void
refused(const struct peer_row *p, const char *why)
{
	struct errctx ec = ERRCTX_INIT;
	struct peer_row got;

	assert_int_equal(registry_peer_set(&t.env, p, &ec), JY_EINVAL);
	if (strstr(ec.text, why) == NULL) {
		fail_msg("\"%s\" instead of \"%s\"", ec.text, why);
	}
	if (p->name[0] != '\0') {
		assert_int_equal(
		    store_peer_get(t.env.store, p->name, &got, NULL),
		    JY_ENOTFOUND);
	}
}

static void
test_peer_roles(void **state)
{
	static const enum peer_role roles[] = { PEER_NS, PEER_AS, PEER_ADMIN,
		PEER_NS_AS };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct peer_row p = good_peer(roles[i]);
		bool ns = peer_role_is(roles[i], PEER_NS);
		bool as = peer_role_is(roles[i], PEER_AS);

		assert_int_equal(
		    ns, roles[i] == PEER_NS || roles[i] == PEER_NS_AS);
		p.net_id_count = ns ? 0 : 1;
		refused(&p, ns ? "needs a NetID" : "has NetIDs");
		p = good_peer(roles[i]);
		p.as_id_count = as ? 0 : 1;
		refused(&p, as ? "needs an AS-ID" : "has AS-IDs");
		p = good_peer(roles[i]);
		if (!ns) {
			p.ns_id_count = 1;
			refused(&p, "NSIDs");
		}
		p = good_peer(roles[i]);
		assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_OK);
	}
}

static void
test_peer_credentials(void **state)
{
	struct peer_row p = good_peer(PEER_NS);

	(void)state;
	SET(p.name, "credentials");
	p.has_bearer = false;
	refused(&p, "credential");
	SET(p.basic_user, "user");
	refused(&p, "go together");
	p.basic_user[0] = '\0';
	p.basic_hash[31] = 1;
	refused(&p, "go together");
	SET(p.basic_user, "user");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_OK);
	/* What is another's stays another's. */
	SET(p.name, "thief");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_EEXIST);
}

static void
test_peer_answers(void **state)
{
	static const char *const bad[] = { "ftp://ns.example", "ns.example",
		"https:/ns.example", "https://", "http://", "https:///path",
		"HTTPS://ns.example", "https://ns.example/a b",
		"https://ns.example/\n", "https://ns.\xc3\xa9xample/",
		"https://ns.example/\x7f" };
	struct peer_row p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		p = good_peer(PEER_NS);
		SET(p.name, "answers");
		SET(p.answer_url, bad[i]);
		refused(&p, "answer URL");
	}
	p = good_peer(PEER_ADMIN);
	SET(p.name, "answers");
	SET(p.answer_url, "https://admin.example/");
	refused(&p, "answer URL");
	p = good_peer(PEER_NS);
	SET(p.name, "answers");
	p.bearer_hash[3] = 1;
	SET(p.answer_url, "http://[::1]:8080/bi");
	p.clear_keys = true;
	refused(&p, "clear");
	SET(p.answer_url, "https://[::1]:8080/bi");
	SET(p.answer_cert, "/etc/joinery/ns.pem");
	refused(&p, "go together");
	p.answer_cert[0] = '\0';
	SET(p.answer_key, "/etc/joinery/ns.key");
	refused(&p, "go together");
	SET(p.answer_cert, "/etc/joinery/ns.pem");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_OK);
	p.revision = 1;
	p.clear_keys = false;
	SET(p.answer_url, "http://ns.example");
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_OK);
}

/* ---- who is it ---- */

static enum jy_err
find(const struct credential *c, struct asker *out, struct errctx *ec)
{
	return access_find(t.env.store, c, false, out, ec);
}

static void
test_find_by_authorization(void **state)
{
	struct peer_row bearer = good_peer(PEER_NS), basic = bearer;
	struct credential c = { .has_authorization = true };
	struct errctx ec = ERRCTX_INIT;
	struct asker a;

	(void)state;
	SET(bearer.name, "by-bearer");
	memset(bearer.bearer_hash, 0x51, sizeof(bearer.bearer_hash));
	SET(basic.name, "by-basic");
	basic.has_bearer = false;
	SET(basic.basic_user, "u");
	memset(basic.basic_hash, 0x52, sizeof(basic.basic_hash));
	assert_int_equal(registry_peer_set(&t.env, &bearer, NULL), JY_OK);
	assert_int_equal(registry_peer_set(&t.env, &basic, NULL), JY_OK);
	memset(c.authorization_hash, 0x51, sizeof(c.authorization_hash));
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	assert_string_equal(a.name, "by-bearer");
	assert_false(a.admin);
	memset(c.authorization_hash, 0x52, sizeof(c.authorization_hash));
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	assert_string_equal(a.name, "by-basic");
	c.authorization_hash[31] ^= 1;
	assert_int_equal(find(&c, &a, &ec), JY_EPEER);
	assert_non_null(strstr(ec.text, "Authorization"));
	/* Beside a part that somebody owns, it does no harm. */
	c.has_uid = true;
	c.uid = 2001;
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	assert_string_equal(a.name, "ns");
	/* Two peers at once are nobody. */
	c.authorization_hash[31] ^= 1;
	err_clear(&ec);
	assert_int_equal(find(&c, &a, &ec), JY_EPEER);
	assert_non_null(strstr(ec.text, "two peers"));
}

static void
test_find_by_proxy(void **state)
{
	struct credential c = { .proxied_peer = "as" };
	struct errctx ec = ERRCTX_INIT;
	char long_name[300];
	struct asker a;

	(void)state;
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	assert_string_equal(a.name, "as");
	c.has_uid = true;
	c.uid = 2002; /* its own */
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	c.uid = 2001; /* another's */
	assert_int_equal(find(&c, &a, NULL), JY_EPEER);
	c.uid = 999; /* nobody's: the proxy */
	assert_int_equal(find(&c, &a, NULL), JY_OK);
	assert_string_equal(a.name, "as");
	c.has_uid = false;
	c.proxied_peer = "nobody";
	assert_int_equal(find(&c, &a, &ec), JY_EPEER);
	assert_non_null(strstr(ec.text, "proxy"));
	c.proxied_peer = "";
	assert_int_equal(find(&c, &a, NULL), JY_EPEER);
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	c.proxied_peer = long_name;
	assert_int_equal(find(&c, &a, NULL), JY_EPEER);
}

static void
test_find_nothing(void **state)
{
	struct credential c = { 0 };
	struct errctx ec = ERRCTX_INIT;
	struct asker a;

	(void)state;
	assert_int_equal(find(&c, &a, &ec), JY_EPEER);
	assert_non_null(strstr(ec.text, "nothing"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_app),
		cmocka_unit_test(test_device_roaming),
		cmocka_unit_test(test_peer_roles),
		cmocka_unit_test(test_peer_credentials),
		cmocka_unit_test(test_peer_answers),
		cmocka_unit_test(test_find_by_authorization),
		cmocka_unit_test(test_find_by_proxy),
		cmocka_unit_test(test_find_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
