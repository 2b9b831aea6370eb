/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rejoins in the store, for every backend: which counter moves, which session
 * is live, and that no number of rejoins pushes the live one out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/lorawan/frame.h"
#include "tests/unit/store_util.h"

#define KEEP 4
#define ROWS 16

static struct store *
store_of(void **state)
{
	return ((struct fixture *)*state)->s;
}

static struct join_view
view_of(struct store *s, unsigned n)
{
	struct device_id id = util_device_id(n);
	struct join_view view;

	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	return view;
}

static struct nonce_row
nonces_of(struct store *s, unsigned n, size_t *used)
{
	struct device_id id = util_device_id(n);
	struct nonce_row row;

	assert_int_equal(store_nonces_get(s, &id, &row, used, NULL), JY_OK);
	return row;
}

/* A join or rejoin of the type; returns its JoinNonce. */
static uint32_t
commit(struct store *s, enum lw_join_type type, uint16_t counter, uint32_t live,
    unsigned keep)
{
	struct join_view view = view_of(s, 1);
	struct join_commit c = util_join(&view, counter, 1000);
	struct join_commit *batch[1] = { &c };

	c.session.join_type = (uint8_t)type;
	c.session.opt_neg = true;
	c.session.mac_version = LW_VERSION_1_1_0;
	c.live = live;
	c.keep = keep;
	c.counted = type == LW_JOIN_REQUEST;
	store_join_commit(s, batch, 1, NULL);
	assert_int_equal(c.err, JY_OK);
	return c.session.join_nonce;
}

/* The sessions of the device have these JoinNonces, newest first; ends at 0. */
static void
assert_sessions(struct store *s, const uint32_t *expected)
{
	struct device_id id = util_device_id(1);
	struct session_row rows[ROWS];
	struct session_row got;
	size_t n;

	assert_int_equal(
	    store_session_list(s, &id, rows, ROWS, &n, NULL), JY_OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rows[i].join_nonce, expected[i]);
		assert_int_equal(
		    store_session_get(s, rows[i].id, &got, NULL), JY_OK);
	}
	assert_int_equal(expected[n], 0);
}

#define ASSERT_SESSIONS(s, ...) \
	assert_sessions((s), (const uint32_t[]){ __VA_ARGS__, 0 })

static void
test_counters(void **state)
{
	struct store *s = store_of(state);
	struct nonce_row n;
	size_t used;

	util_put_device(s, 1);
	commit(s, LW_JOIN_REQUEST, 0x0100, 0, KEEP);
	n = nonces_of(s, 1, &used);
	assert_int_equal(n.live, 1);
	assert_false(n.has_rj_count0);
	assert_false(n.has_rj_count1);

	/* RJcount0 is as the caller says, also when it starts anew. */
	commit(s, LW_JOIN_REJOIN_0, 7, 1, KEEP);
	n = nonces_of(s, 1, &used);
	assert_true(n.has_rj_count0);
	assert_int_equal(n.rj_count0, 7);
	assert_int_equal(n.live, 1);
	assert_int_equal(n.join_nonce, 2);
	commit(s, LW_JOIN_REJOIN_2, 0, 2, KEEP);
	n = nonces_of(s, 1, &used);
	assert_true(n.has_rj_count0);
	assert_int_equal(n.rj_count0, 0);
	assert_int_equal(n.live, 2);
	assert_false(n.has_rj_count1);

	/* Nothing known of the session in use: the live one stays. */
	commit(s, LW_JOIN_REJOIN_0, 1, 0, KEEP);
	n = nonces_of(s, 1, &used);
	assert_int_equal(n.rj_count0, 1);
	assert_int_equal(n.live, 2);

	/* RJcount1 never goes back, and leaves all else alone. */
	commit(s, LW_JOIN_REJOIN_1, 0x0200, 0, KEEP);
	commit(s, LW_JOIN_REJOIN_1, 0x01FF, 3, KEEP);
	n = nonces_of(s, 1, &used);
	assert_true(n.has_rj_count1);
	assert_int_equal(n.rj_count1, 0x0200);
	assert_int_equal(n.rj_count0, 1);
	assert_int_equal(n.live, 2);

	/* None was a DevNonce. */
	assert_int_equal(n.dev_nonce, 0x0100);
	assert_int_equal(n.counted, 0x0101);
	assert_int_equal(used, 0);

	/* A join-request forgets RJcount0 and lives itself. */
	commit(s, LW_JOIN_REQUEST, 0x0101, 0, KEEP);
	n = nonces_of(s, 1, &used);
	assert_false(n.has_rj_count0);
	assert_int_equal(n.rj_count0, 0);
	assert_true(n.has_rj_count1);
	assert_int_equal(n.rj_count1, 0x0200);
	assert_int_equal(n.live, n.join_nonce);
	assert_int_equal(n.dev_nonce, 0x0101);
}

/* A rejoin's counter is no DevNonce, even where each one is listed. */
static void
test_dev_nonces_untouched(void **state)
{
	static const enum lw_join_type types[] = { LW_JOIN_REJOIN_0,
		LW_JOIN_REJOIN_1, LW_JOIN_REJOIN_2 };
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct join_view view;
	struct nonce_row n;
	size_t used;

	util_put_device(s, 1);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		commit(s, types[i], (uint16_t)(5 + i), 0, KEEP);
		assert_int_equal(
		    store_join_view(s, &id, (uint16_t)(5 + i), &view, NULL),
		    JY_OK);
		assert_false(view.dev_nonce_seen);
	}
	n = nonces_of(s, 1, &used);
	assert_false(n.has_dev_nonce);
	assert_int_equal(used, 0);
	assert_int_equal(n.live, 0);
}

static void
test_conflict(void **state)
{
	struct store *s = store_of(state);
	struct join_view view;
	struct join_commit c[2];
	struct join_commit *batch[2] = { &c[0], &c[1] };
	struct nonce_row n;
	size_t used;

	util_put_device(s, 1);
	commit(s, LW_JOIN_REQUEST, 1, 0, KEEP);
	view = view_of(s, 1);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = util_join(&view, (uint16_t)(10 + i), 1000);
		c[i].session.join_type = LW_JOIN_REJOIN_0;
		c[i].live = 1;
	}
	store_join_commit(s, batch, 2, NULL);
	assert_int_equal(c[0].err, JY_OK);
	assert_int_equal(c[1].err, JY_ECONFLICT);
	n = nonces_of(s, 1, &used);
	assert_int_equal(n.rj_count0, 10);
	ASSERT_SESSIONS(s, 2, 1);
}

/* The flood: the device sends, and never hears an accept. */
static void
test_live_kept(void **state)
{
	struct store *s = store_of(state);

	util_put_device(s, 1);
	for (uint16_t i = 0; i < 3; i++) {
		commit(s, LW_JOIN_REQUEST, i, 0, KEEP);
	}
	ASSERT_SESSIONS(s, 3, 2, 1);
	for (uint16_t i = 0; i < 50; i++) {
		commit(s, LW_JOIN_REJOIN_0, i, 3, KEEP);
	}
	ASSERT_SESSIONS(s, 53, 52, 51, 3);
	for (uint16_t i = 0; i < 10;
	     i++) { /* of the live one they say nothing */
		commit(s, LW_JOIN_REJOIN_1, i, 0, KEEP);
	}
	ASSERT_SESSIONS(s, 63, 62, 61, 3);

	/* It heard one in the middle: the old one is as any other. */
	commit(s, LW_JOIN_REJOIN_0, 0, 62, KEEP);
	ASSERT_SESSIONS(s, 64, 63, 62, 61);
	commit(s, LW_JOIN_REJOIN_0, 1, 62, KEEP);
	commit(s, LW_JOIN_REJOIN_0, 2, 62, KEEP);
	commit(s, LW_JOIN_REJOIN_0, 3, 62, KEEP);
	ASSERT_SESSIONS(s, 67, 66, 65, 62);

	/* A join-request ends it. */
	for (uint16_t i = 10; i < 14; i++) {
		commit(s, LW_JOIN_REQUEST, i, 0, KEEP);
	}
	ASSERT_SESSIONS(s, 71, 70, 69, 68);
}

static void
test_keep_one(void **state)
{
	struct store *s = store_of(state);

	util_put_device(s, 1);
	commit(s, LW_JOIN_REQUEST, 1, 0, 1);
	ASSERT_SESSIONS(s, 1);
	/* The live one and the one just made remain. */
	commit(s, LW_JOIN_REJOIN_0, 1, 1, 1);
	ASSERT_SESSIONS(s, 2, 1);
	commit(s, LW_JOIN_REJOIN_1, 1, 0, 1);
	ASSERT_SESSIONS(s, 3, 1);
	commit(s, LW_JOIN_REJOIN_2, 2, 1, 2);
	ASSERT_SESSIONS(s, 4, 1);
	/* The live one goes on to the next: one goes. */
	commit(s, LW_JOIN_REJOIN_0, 0, 4, 1);
	ASSERT_SESSIONS(s, 5, 4);
	commit(s, LW_JOIN_REQUEST, 2, 0, 1);
	ASSERT_SESSIONS(s, 6);
}

/* Not known, or of a session that is not there: the oldest goes. */
static void
test_live_unknown(void **state)
{
	struct store *s = store_of(state);

	util_put_device(s, 1);
	for (uint16_t i = 0; i < 4; i++) {
		commit(s, LW_JOIN_REJOIN_0, i, 0, 2);
	}
	ASSERT_SESSIONS(s, 4, 3);
	commit(s, LW_JOIN_REJOIN_0, 5, 1, 2); /* 1 was removed before */
	ASSERT_SESSIONS(s, 5, 4);
	commit(s, LW_JOIN_REJOIN_0, 6, 1, 1);
	ASSERT_SESSIONS(s, 6);
}

/* A smaller keep of a later time takes several at once, around the live. */
static void
test_keep_shrinks(void **state)
{
	struct store *s = store_of(state);

	util_put_device(s, 1);
	for (uint16_t i = 0; i < 8; i++) {
		commit(s, LW_JOIN_REQUEST, i, 0, 10);
	}
	commit(s, LW_JOIN_REJOIN_0, 1, 4, 3);
	ASSERT_SESSIONS(s, 9, 8, 4);
}

static void
test_reset(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct nonce_row n;
	size_t used;

	util_put_device(s, 1);
	commit(s, LW_JOIN_REQUEST, 0x0100, 0, KEEP);
	commit(s, LW_JOIN_REJOIN_0, 7, 1, KEEP);
	commit(s, LW_JOIN_REJOIN_1, 8, 0, KEEP);
	assert_int_equal(store_nonces_reset(s, &id, NULL), JY_OK);
	n = nonces_of(s, 1, &used);
	assert_false(n.has_dev_nonce);
	assert_false(n.has_rj_count0);
	assert_false(n.has_rj_count1);
	assert_int_equal(n.counted, 0);
	assert_int_equal(n.join_nonce, 3);
	assert_int_equal(n.live, 1);
	ASSERT_SESSIONS(s, 3, 2, 1);
}

static void
test_by_dev_eui(void **state)
{
	struct store *s = store_of(state);
	struct device_row row = util_device(2);
	struct device_id got;
	struct errctx ec = ERRCTX_INIT;
	struct eui64 high = { { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	    0xFF } };

	assert_int_equal(store_device_by_dev_eui(s, &row.id.dev_eui, &got, &ec),
	    JY_ENOTFOUND);
	util_put_device(s, 1);
	util_put_device(s, 3);
	assert_int_equal(store_device_by_dev_eui(s, &row.id.dev_eui, &got, &ec),
	    JY_ENOTFOUND);
	assert_int_equal(
	    store_device_by_dev_eui(s, &high, &got, &ec), JY_ENOTFOUND);
	util_put_device(s, 2);
	assert_int_equal(
	    store_device_by_dev_eui(s, &row.id.dev_eui, &got, &ec), JY_OK);
	assert_memory_equal(&got, &row.id, sizeof(got));

	/* The last of the table, and one whose JoinEUI is lower. */
	got = util_device_id(0);
	row.id.dev_eui = util_device_id(3).dev_eui;
	assert_int_equal(
	    store_device_by_dev_eui(s, &row.id.dev_eui, &got, &ec), JY_OK);
	assert_memory_equal(&got, &row.id, sizeof(got));
	row.id.join_eui = (struct eui64){ { 0 } };
	row.name[0] = '\0';
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	got = util_device_id(0);
	assert_int_equal(
	    store_device_by_dev_eui(s, &row.id.dev_eui, &got, &ec), JY_EEXIST);
	assert_non_null(strstr(ec.text, "0011223344550003"));
	assert_int_equal(got.dev_eui.be[7], 0); /* left alone */
	assert_int_equal(store_device_delete(s, &row.id, NULL, NULL), JY_OK);
	assert_int_equal(
	    store_device_by_dev_eui(s, &row.id.dev_eui, &got, NULL), JY_OK);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_counters),
		CASE(test_dev_nonces_untouched),
		CASE(test_conflict),
		CASE(test_live_kept),
		CASE(test_keep_one),
		CASE(test_live_unknown),
		CASE(test_keep_shrinks),
		CASE(test_reset),
		CASE(test_by_dev_eui),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
