/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the store: the same cases for every backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/store_util.h"

static struct store *
store_of(void **state)
{
	return ((struct fixture *)*state)->s;
}

/* ---- devices ---- */

static void
test_device_put_get(void **state)
{
	struct store *s = store_of(state);
	struct device_row row = util_device(0x0100);
	struct device_row got;
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_device_get(s, &row.id, &got, &ec), JY_ENOTFOUND);
	assert_int_equal(store_device_put(s, &row, &ec), JY_OK);
	assert_int_equal(store_device_get(s, &row.id, &got, &ec), JY_OK);
	row.revision = 1;
	ASSERT_SAME_ROW(device, &row, &got);
	row.resets_join_nonces = true;
	assert_int_equal(store_device_put(s, &row, &ec), JY_OK);
	assert_int_equal(store_device_get(s, &row.id, &got, &ec), JY_OK);
	assert_int_equal(got.revision, 2);
	assert_true(got.resets_join_nonces);
	assert_int_equal(store_device_put(s, &row, &ec), JY_ECONFLICT);
	row.revision = 0;
	assert_int_equal(store_device_put(s, &row, &ec), JY_ECONFLICT);
}

static void
test_device_put_invalid(void **state)
{
	struct device_row row = util_device(1);
	struct device_row got;

	row.activation.net_ids[0] = NET_ID_MAX + 1;
	assert_int_equal(
	    store_device_put(store_of(state), &row, NULL), JY_EINVAL);
	assert_int_equal(store_device_get(store_of(state), &row.id, &got, NULL),
	    JY_ENOTFOUND);
}

static void
test_device_names(void **state)
{
	struct store *s = store_of(state);
	struct device_row row = util_device(1);
	struct device_row other = util_device(2);
	struct errctx ec = ERRCTX_INIT;
	struct device_id id;

	util_put_device(s, 1);
	assert_int_equal(
	    store_device_by_name(s, row.app, row.name, &id, &ec), JY_OK);
	assert_memory_equal(&id, &row.id, sizeof(id));
	assert_int_equal(
	    store_device_by_name(s, "app", row.name, &id, &ec), JY_ENOTFOUND);
	assert_int_equal(
	    store_device_by_name(s, row.app, "", &id, &ec), JY_ENOTFOUND);

	/* Taken in this app, free in another. */
	memcpy(other.name, row.name, sizeof(other.name));
	assert_int_equal(store_device_put(s, &other, &ec), JY_EEXIST);
	assert_non_null(strstr(ec.text, "meter-00001"));
	strcpy(other.app, "valves");
	assert_int_equal(store_device_put(s, &other, &ec), JY_OK);

	/* A rename frees the old name. */
	row.revision = 1;
	strcpy(row.name, "renamed");
	assert_int_equal(store_device_put(s, &row, &ec), JY_OK);
	assert_int_equal(
	    store_device_by_name(s, "meters", "meter-00001", &id, &ec),
	    JY_ENOTFOUND);
	assert_int_equal(
	    store_device_by_name(s, "meters", "renamed", &id, &ec), JY_OK);

	/* Without a name, any number. */
	for (unsigned n = 10; n < 12; n++) {
		other = util_device(n);
		other.name[0] = '\0';
		assert_int_equal(store_device_put(s, &other, &ec), JY_OK);
	}
}

/* A page of what is asked for. */
static struct device_page
list_page(struct store *s, const struct device_query *query,
    struct device_row *rows, size_t cap)
{
	const struct device_rows to = { rows, cap };
	struct device_page page = { .n = 99 };

	assert_int_equal(store_device_list(s, query, &to, &page, NULL), JY_OK);
	return page;
}

/* All that is asked for, page by page, is exactly the devices numbered. */
static void
assert_listed(struct store *s, struct device_query query,
    const unsigned *numbers, size_t count)
{
	struct device_page page = { .more = true };
	struct device_row rows[3];
	size_t seen = 0;

	while (page.more) {
		page = list_page(s, &query, rows, ARRAY_LEN(rows));
		assert_true(page.n == ARRAY_LEN(rows) || !page.more);
		for (size_t i = 0; i < page.n; i++, seen++) {
			struct device_id id;

			if (seen == count) {
				fail_msg("more than %zu devices", count);
				return;
			}
			id = util_device_id(numbers[seen]);
			assert_true(device_id_eq(&rows[i].id, &id));
			assert_true(!page.more || i + 1 < page.n ||
			    device_id_eq(&page.last, &id));
		}
		query.after = &page.last;
	}
	assert_int_equal(seen, count);
}

/* Ten devices past an octet, of two applications. */
static void
put_listed(struct store *s)
{
	for (unsigned i = 0xFB; i < 0x105; i++) {
		struct device_row row = util_device(i);

		strcpy(row.app, i % 2 == 0 ? "even" : "odd");
		assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	}
}

static void
test_device_list(void **state)
{
	static const unsigned all[] = { 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x100,
		0x101, 0x102, 0x103, 0x104 };
	static const unsigned odd[] = { 0xFB, 0xFD, 0xFF, 0x101, 0x103 };
	struct store *s = store_of(state);
	struct device_query query = { .app = NULL };
	struct device_id gone;
	struct device_row rows[5];

	assert_listed(s, query, NULL, 0);
	put_listed(s);
	assert_listed(s, query, all, 10);
	query.app = "";
	assert_listed(s, query, all, 10);
	query.app = "odd";
	assert_listed(s, query, odd, 5);
	assert_false(list_page(s, &query, rows, 5).more);
	query.app = "od";
	assert_listed(s, query, NULL, 0);
	query.app = "odd1";
	assert_listed(s, query, NULL, 0);

	/* A place to go on from need not be a device. */
	gone = util_device_id(0xFD);
	query = (struct device_query){ .app = "odd", .after = &gone };
	assert_int_equal(store_device_delete(s, &gone, NULL, NULL), JY_OK);
	assert_listed(s, query, odd + 2, 3);
	gone = util_device_id(0x102);
	assert_listed(s, query, odd + 4, 1);
	gone = util_device_id(0x104);
	assert_listed(s, query, NULL, 0);
	query.app = NULL;
	assert_listed(s, query, NULL, 0);
}

/* A device that changes its application is in one list, always. */
static void
test_device_list_moves(void **state)
{
	static const unsigned both[] = { 1, 2 };
	const struct device_query a = { .app = "a" }, b = { .app = "b" };
	struct store *s = store_of(state);
	struct device_row row = util_device(1);

	strcpy(row.app, "a");
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_listed(s, a, both, 1);
	row.revision = 1;
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_listed(s, a, both, 1);
	row.revision = 2;
	strcpy(row.app, "b");
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_listed(s, a, NULL, 0);
	assert_listed(s, b, both, 1);
	/* What is refused moves nothing. */
	strcpy(row.app, "a");
	assert_int_equal(store_device_put(s, &row, NULL), JY_ECONFLICT);
	assert_listed(s, b, both, 1);
	row = util_device(2);
	strcpy(row.app, "b");
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_listed(s, b, both, 2);
	row.revision = 1;
	row.app[0] = '\0';
	assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	assert_listed(s, b, both, 1);
	row = util_device(1);
	assert_int_equal(store_device_delete(s, &row.id, NULL, NULL), JY_OK);
	assert_listed(s, b, NULL, 0);
}

static void
test_device_list_prefix(void **state)
{
	static const unsigned all[] = { 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x100,
		0x101, 0x102, 0x103, 0x104 };
	static const unsigned odd[] = { 0x101, 0x103 };
	struct store *s = store_of(state);
	struct device_query query = { .app = NULL };
	struct device_id id = util_device_id(0x100);
	struct device_id after = util_device_id(0xFD);

	put_listed(s);
	query.prefix.eui = id.dev_eui;
	query.prefix.bits = 60;
	assert_listed(s, query, all + 5, 5);
	query.prefix.bits = 64;
	assert_listed(s, query, all + 5, 1);
	query.prefix.bits = 62;
	assert_listed(s, query, all + 5, 4);
	/* Beside the other two: whichever begins later counts. */
	query.after = &after;
	assert_listed(s, query, all + 5, 4);
	query.app = "odd";
	assert_listed(s, query, odd, 2);
	after = util_device_id(0x101);
	assert_listed(s, query, odd + 1, 1);
	after = util_device_id(0x104);
	assert_listed(s, query, NULL, 0);
	query.after = NULL;
	query.prefix.eui.be[0] ^= 0xFF;
	assert_listed(s, query, NULL, 0);
}

static void
test_device_delete(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct refusal_row refusal = util_refusal(1, 5);
	struct join_commit c;
	struct session_row session;
	struct nonce_row nonces;
	size_t used;
	size_t n;

	assert_int_equal(store_device_delete(s, &id, NULL, NULL), JY_ENOTFOUND);
	util_put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 7, &c), JY_OK);
	store_refusal_note(s, &refusal);
	assert_int_equal(store_device_delete(s, &id, NULL, NULL), JY_OK);

	assert_int_equal(
	    store_session_get(s, c.session.id, &session, NULL), JY_ENOTFOUND);
	assert_int_equal(
	    store_session_list(s, &id, &session, 1, &n, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_int_equal(
	    store_refusal_get(s, &id, &refusal, NULL), JY_ENOTFOUND);
	assert_int_equal(
	    store_device_by_name(s, "meters", "meter-00001", &id, NULL),
	    JY_ENOTFOUND);

	/* A device that comes back never sees a JoinNonce twice. */
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, 1);
	assert_int_equal(used, 1);
	util_put_device(s, 1);
	assert_int_equal(util_join_now(s, 1, 8, &c), JY_OK);
	assert_int_equal(c.session.join_nonce, 2);
}

/* ---- joins ---- */

static void
test_join_commit(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct join_view view;
	struct join_commit c;
	struct session_row session;

	assert_int_equal(
	    store_join_view(s, &id, 0x0100, &view, NULL), JY_ENOTFOUND);
	util_put_device(s, 1);
	assert_int_equal(store_join_view(s, &id, 0x0100, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 0);
	assert_false(view.nonces.has_dev_nonce);
	assert_false(view.dev_nonce_seen);

	assert_int_equal(util_join_now(s, 1, 0x0100, &c), JY_OK);
	assert_int_equal(
	    store_session_get(s, c.session.id, &session, NULL), JY_OK);
	ASSERT_SAME_ROW(session, &session, &c.session);

	/* A smaller DevNonce (rule unique) does not lower the highest. */
	assert_int_equal(util_join_now(s, 1, 0x00FF, &c), JY_OK);
	assert_int_equal(store_join_view(s, &id, 0x00FF, &view, NULL), JY_OK);
	assert_int_equal(view.nonces.join_nonce, 2);
	assert_true(view.nonces.has_dev_nonce);
	assert_int_equal(view.nonces.dev_nonce, 0x0100);
	assert_true(view.dev_nonce_seen);
	assert_int_equal(store_join_view(s, &id, 0x0001, &view, NULL), JY_OK);
	assert_false(view.dev_nonce_seen);

	/* The rule is the line's: a value used before is stored once more. */
	assert_int_equal(util_join_now(s, 1, 0x00FF, &c), JY_OK);
}

static void
test_join_conflict(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct device_id other = util_device_id(2);
	struct join_commit c[4];
	struct join_commit *batch[4] = { &c[0], &c[1], &c[2], &c[3] };
	struct join_view view;
	struct join_view view2;
	struct session_row session;
	struct nonce_row nonces;
	size_t used;

	util_put_device(s, 1);
	util_put_device(s, 2);
	assert_int_equal(store_join_view(s, &id, 1, &view, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &other, 1, &view2, NULL), JY_OK);
	c[0] = util_join(&view, 1, 1000);
	c[1] = util_join(&view, 2, 1000); /* the same JoinNonce */
	c[2] = util_join(&view2, 3, 1000);
	c[2].revision_seen++; /* device changed */
	c[3] = util_join(&view2, 4, 1000);
	memcpy(c[3].session.id, c[0].session.id, STORE_ID_LEN);
	store_join_commit(s, batch, 4, NULL);
	assert_int_equal(c[0].err, JY_OK);
	assert_int_equal(c[1].err, JY_ECONFLICT);
	assert_int_equal(c[2].err, JY_ECONFLICT);
	assert_int_equal(c[3].err, JY_ECONFLICT);

	/* Those that lost left no trace. */
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, 1);
	assert_int_equal(nonces.dev_nonce, 1);
	assert_int_equal(used, 1);
	assert_int_equal(
	    store_nonces_get(s, &other, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, 0);
	assert_int_equal(used, 0);
	assert_int_equal(store_session_get(s, c[1].session.id, &session, NULL),
	    JY_ENOTFOUND);
	assert_int_equal(
	    store_session_get(s, c[0].session.id, &session, NULL), JY_OK);
	assert_memory_equal(&session.device, &id, sizeof(id));

	/* Of a device that is gone. */
	assert_int_equal(store_device_delete(s, &other, NULL, NULL), JY_OK);
	c[2].revision_seen--;
	store_join_commit(s, &batch[2], 1, NULL);
	assert_int_equal(c[2].err, JY_ECONFLICT);
}

static void
test_sessions_kept(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct session_row rows[8];
	struct join_view view;
	struct join_commit c;
	struct join_commit *batch[1] = { &c };
	size_t n;

	util_put_device(s, 1);
	for (unsigned i = 1; i <= 6; i++) {
		assert_int_equal(
		    store_join_view(s, &id, 0, &view, NULL), JY_OK);
		c = util_join(&view, (uint16_t)i, 1000 + i);
		c.keep = 3;
		store_join_commit(s, batch, 1, NULL);
		assert_int_equal(c.err, JY_OK);
	}
	assert_int_equal(store_session_list(s, &id, rows, 8, &n, NULL), JY_OK);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 3; i++) { /* newest first */
		assert_int_equal(rows[i].counter, 6 - i);
	}
	assert_int_equal(store_session_list(s, &id, rows, 2, &n, NULL), JY_OK);
	assert_int_equal(n, 2);

	/* The clock went back: the new session is the newest all the same. */
	assert_int_equal(store_join_view(s, &id, 0, &view, NULL), JY_OK);
	c = util_join(&view, 7, 1);
	c.keep = 2;
	store_join_commit(s, batch, 1, NULL);
	assert_int_equal(c.err, JY_OK);
	assert_int_equal(store_session_list(s, &id, rows, 8, &n, NULL), JY_OK);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].counter, 7);
	assert_int_equal(rows[1].counter, 6);
}

static void
test_nonces_reset(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct nonce_row nonces;
	struct join_commit c;
	struct join_view view;
	size_t used;

	assert_int_equal(store_nonces_reset(s, &id, NULL), JY_ENOTFOUND);
	util_put_device(s, 1);
	assert_int_equal(store_nonces_reset(s, &id, NULL), JY_OK);
	for (uint16_t v = 0; v < 300; v++) {
		assert_int_equal(util_join_now(s, 1, v, &c), JY_OK);
	}
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(used, 300);
	assert_int_equal(store_nonces_reset(s, &id, NULL), JY_OK);
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(used, 0);
	assert_int_equal(nonces.join_nonce, 300);
	assert_false(nonces.has_dev_nonce);
	assert_int_equal(store_join_view(s, &id, 5, &view, NULL), JY_OK);
	assert_false(view.dev_nonce_seen);
	assert_int_equal(util_join_now(s, 1, 0, &c), JY_OK);
	assert_int_equal(c.session.join_nonce, 301);
}

/* What an import puts: many rows, each with a fate of its own. */
static void
test_put_batch(void **state)
{
	struct store *s = store_of(state);
	struct device_change c[5] = { 0 };
	struct device_change *const batch[] = { &c[0], &c[1], &c[2], &c[3],
		&c[4] };
	struct errctx why = ERRCTX_INIT;
	struct nonce_row nonces;
	struct device_id id = util_device_id(1);
	size_t used;

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		c[i].row = util_device(i + 1);
	}
	c[0].start = (struct nonce_start){ .join_nonce = 7,
		.has_dev_nonce = true,
		.dev_nonce = 300,
		.counted = true };
	c[1].row.revision = 3; /* it is not there */
	c[2].row.nwk_key.generation = 5;
	c[2].start.join_nonce = 0x1000000;
	(void)strcpy(c[3].row.app, c[4].row.app);
	(void)strcpy(c[3].row.name, "taken");
	(void)strcpy(c[4].row.name, "taken");
	c[4].ec = &why;
	assert_int_equal(
	    store_device_put_batch(s, batch, ARRAY_LEN(c), NULL), JY_OK);
	assert_int_equal(c[0].err, JY_OK);
	assert_int_equal(c[1].err, JY_ECONFLICT);
	assert_int_equal(c[2].err, JY_EINVAL);
	assert_int_equal(c[3].err, JY_OK);
	assert_int_equal(c[4].err, JY_EEXIST);
	assert_non_null(strstr(why.text, "taken"));
	assert_true(util_has_device(s, 1));
	assert_false(util_has_device(s, 2));
	assert_false(util_has_device(s, 5));

	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, 7);
	assert_int_equal(nonces.dev_nonce, 300);
	assert_int_equal(nonces.counted, 301);
	assert_int_equal(used, 0);
	assert_false(store_nonces_below(&nonces, &c[0].start));
	assert_int_equal(store_device_put_batch(s, batch, 0, NULL), JY_OK);
}

/* Nonces go up only; one that is no counter is remembered as used. */
static void
test_nonces_raised(void **state)
{
	struct store *s = store_of(state);
	struct device_change c = { .row = util_device(1) };
	struct device_change *const batch[] = { &c };
	struct device_id id = util_device_id(1);
	struct nonce_row nonces;
	struct join_view view;
	size_t used;

	c.start = (struct nonce_start){
		.join_nonce = 9, .has_dev_nonce = true, .dev_nonce = 40
	};
	assert_int_equal(store_device_put_batch(s, batch, 1, NULL), JY_OK);
	assert_int_equal(c.err, JY_OK);
	assert_int_equal(store_join_view(s, &id, 40, &view, NULL), JY_OK);
	assert_true(view.dev_nonce_seen);
	assert_int_equal(store_join_view(s, &id, 39, &view, NULL), JY_OK);
	assert_false(view.dev_nonce_seen);

	c.row.revision = 1;
	c.start = (struct nonce_start){
		.join_nonce = 8, .has_dev_nonce = true, .dev_nonce = 30
	};
	assert_int_equal(store_device_put_batch(s, batch, 1, NULL), JY_OK);
	assert_int_equal(c.err, JY_OK);
	assert_int_equal(store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
	assert_int_equal(nonces.join_nonce, 9);
	assert_int_equal(nonces.dev_nonce, 40);
	assert_int_equal(nonces.counted, 0);
	assert_int_equal(used, 2);
	assert_false(store_nonces_below(&nonces, &c.start));
	c.start.counted = true;
	assert_true(store_nonces_below(&nonces, &c.start));
	c.start = (struct nonce_start){ .join_nonce = 10 };
	assert_true(store_nonces_below(&nonces, &c.start));
}

static void
test_refusals(void **state)
{
	struct store *s = store_of(state);
	struct device_id id = util_device_id(1);
	struct refusal_row row = util_refusal(1, 10);
	struct refusal_row got;
	struct store_stats before;
	struct store_stats after;
	struct join_commit c;

	util_put_device(s, 1);
	assert_int_equal(store_refusal_get(s, &id, &got, NULL), JY_ENOTFOUND);
	store_stats(s, &before);
	store_refusal_note(s, &row);
	row.time_ms = 11;
	store_refusal_note(s, &row);
	assert_int_equal(store_refusal_get(s, &id, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(refusal, &got, &row);
	store_stats(s, &after);
	assert_int_equal(before.commits, after.commits);

	/* It rides along with a join, and is there afterwards. */
	assert_int_equal(util_join_now(s, 1, 1, &c), JY_OK);
	store_stats(s, &after);
	assert_int_equal(before.commits + 1, after.commits);
	assert_int_equal(before.joins + 1, after.joins);
	assert_int_equal(store_refusal_get(s, &id, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(refusal, &got, &row);

	/* Of nobody's device: never stored. */
	row = util_refusal(99, 1);
	store_refusal_note(s, &row);
	assert_int_equal(util_join_now(s, 1, 2, &c), JY_OK);
	assert_int_equal(
	    store_refusal_get(s, &row.device, &got, NULL), JY_ENOTFOUND);
}

static void
test_refusal_flood(void **state)
{
	struct store *s = store_of(state);
	struct refusal_row row;
	struct refusal_row got;
	unsigned found = 0;

	for (unsigned i = 0; i < 1000; i++) {
		row = util_refusal(i, i);
		store_refusal_note(s, &row);
	}
	assert_int_equal(store_refusal_get(s, &row.device, &got, NULL), JY_OK);
	for (unsigned i = 0; i < 1000; i++) {
		struct device_id id = util_device_id(i);

		if (store_refusal_get(s, &id, &got, NULL) == JY_OK) {
			assert_int_equal(got.time_ms, i);
			found++;
		}
	}
	assert_in_range(found, 100, 999);
}

static void
test_refusal_flushed_alone(void **state)
{
	struct fixture *f = *state;
	struct store_config config = util_config(util_backend, f->dir);
	struct refusal_row row = util_refusal(1, 10);
	struct store_stats stats = { 0 };

	store_close(f->s);
	config.refusal_flush_ms = 25;
	f->s = util_open(&config);
	util_put_device(f->s, 1);
	store_refusal_note(f->s, &row);
	store_tick(f->s); /* too early */
	store_stats(f->s, &stats);
	assert_int_equal(stats.commits, 1);
	(void)usleep(30000);
	store_tick(f->s);
	store_stats(f->s, &stats);
	assert_int_equal(stats.commits, 2);
	store_tick(f->s); /* nothing waits any more */
	store_stats(f->s, &stats);
	assert_int_equal(stats.commits, 2);
	assert_int_equal(
	    store_refusal_get(f->s, &row.device, &row, NULL), JY_OK);
}

#define THREADS 8
#define JOINS 60

static void *
joiner(void *arg)
{
	struct fixture *f = ((void **)arg)[0];
	unsigned n = *(unsigned *)((void **)arg)[1];
	struct join_commit c;

	for (unsigned i = 0; i < JOINS; i++) {
		jy_assert(util_join_now(f->s, n, (uint16_t)i, &c) == JY_OK);
	}
	return NULL;
}

/* Batches of threads share transactions; nothing is lost. */
static void
test_group_commit(void **state)
{
	pthread_t threads[THREADS];
	unsigned numbers[THREADS];
	void *args[THREADS][2];
	struct store *s = store_of(state);
	struct store_stats before;
	struct store_stats after;

	for (unsigned i = 0; i < THREADS; i++) {
		util_put_device(s, i);
	}
	store_stats(s, &before);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		args[i][0] = *state;
		args[i][1] = &numbers[i];
		assert_int_equal(
		    pthread_create(&threads[i], NULL, joiner, args[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	store_stats(s, &after);
	assert_int_equal(after.joins - before.joins, THREADS * JOINS);
	if (strcmp(util_backend, "lmdb") == 0) { /* where a commit takes time */
		assert_true(after.commits - before.commits < THREADS * JOINS);
		assert_int_equal(after.syncs, 2 * after.commits);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		struct device_id id = util_device_id(i);
		struct nonce_row nonces;
		size_t used;

		assert_int_equal(
		    store_nonces_get(s, &id, &nonces, &used, NULL), JY_OK);
		assert_int_equal(nonces.join_nonce, JOINS);
		assert_int_equal(used, JOINS);
	}
}

static void *
rival(void *arg)
{
	struct fixture *f = arg;
	struct join_commit c;
	uintptr_t won = 0;

	for (unsigned i = 0; i < JOINS; i++) {
		won += util_join_now(f->s, 1, (uint16_t)i, &c) == JY_OK;
	}
	return (void *)won;
}

/* Several threads join one device: as many JoinNonces as were answered. */
static void
test_rivals(void **state)
{
	pthread_t threads[THREADS];
	struct device_id id = util_device_id(1);
	struct nonce_row nonces;
	uintptr_t total = 0;
	size_t used;

	util_put_device(store_of(state), 1);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(
		    pthread_create(&threads[i], NULL, rival, *state), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *won;

		assert_int_equal(pthread_join(threads[i], &won), 0);
		total += (uintptr_t)won;
	}
	assert_int_equal(
	    store_nonces_get(store_of(state), &id, &nonces, &used, NULL),
	    JY_OK);
	assert_int_equal(nonces.join_nonce, total);
}

static void
test_unknown_backend(void **state)
{
	struct store_config config = util_config("tape", "/nonexistent");
	struct store *s = NULL;
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(store_open(&config, &s, &ec), JY_ECONFIG);
	assert_null(s);
	store_close(NULL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_device_put_get),
		CASE(test_device_put_invalid),
		CASE(test_device_names),
		CASE(test_device_list),
		CASE(test_device_list_moves),
		CASE(test_device_list_prefix),
		CASE(test_device_delete),
		CASE(test_join_commit),
		CASE(test_join_conflict),
		CASE(test_sessions_kept),
		CASE(test_nonces_reset),
		CASE(test_put_batch),
		CASE(test_nonces_raised),
		CASE(test_refusals),
		CASE(test_refusal_flood),
		CASE(test_refusal_flushed_alone),
		CASE(test_group_commit),
		CASE(test_rivals),
		cmocka_unit_test(test_unknown_backend),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
