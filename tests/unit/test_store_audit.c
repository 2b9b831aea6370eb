/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log and compare-and-set: the same cases for every backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_util.h"

static struct store *
store_of(void **state)
{
	return ((struct fixture *)*state)->s;
}

static struct audit_row
event(uint64_t seq)
{
	struct audit_row row = { .seq = seq, .time_ms = 5, .event = 2 };

	(void)snprintf(row.who, sizeof(row.who), "uid 0");
	(void)snprintf(
	    row.text, sizeof(row.text), "name=\"%u\"", (unsigned)seq);
	row.mac[0] = (uint8_t)seq;
	row.mac[15] = 0x5A;
	return row;
}

/* Add the event behind the end, or abort. */
static void
add(struct store *s, uint64_t seq)
{
	struct audit_row row = event(seq);
	struct audit_head head;

	assert_int_equal(store_audit_head(s, &head, NULL), JY_OK);
	assert_int_equal(head.seq + 1, seq);
	assert_int_equal(store_audit_add(s, &row, &head, NULL), JY_OK);
}

static void
test_add(void **state)
{
	struct store *s = store_of(state);
	struct audit_head head = { .seq = 9 };
	struct audit_row row, got;

	assert_int_equal(store_audit_head(s, &head, NULL), JY_OK);
	assert_int_equal(head.seq, 0);
	assert_int_equal(head.mac[15], 0);
	assert_int_equal(store_audit_get(s, 1, &got, NULL), JY_ENOTFOUND);
	add(s, 1);
	add(s, 2);
	row = event(2);
	assert_int_equal(store_audit_get(s, 2, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(audit, &got, &row);
	assert_int_equal(got.seq, 2);
	assert_int_equal(store_audit_head(s, &head, NULL), JY_OK);
	assert_int_equal(head.seq, 2);
	assert_memory_equal(head.mac, row.mac, sizeof(head.mac));
	assert_int_equal(store_audit_get(s, 3, &got, NULL), JY_ENOTFOUND);
}

/* Of two that saw the same end, one is first; another MAC is another end. */
static void
test_conflict(void **state)
{
	struct store *s = store_of(state);
	struct audit_row row = event(2), got;
	struct audit_head head;

	add(s, 1);
	assert_int_equal(store_audit_head(s, &head, NULL), JY_OK);
	head.mac[3] ^= 1;
	assert_int_equal(store_audit_add(s, &row, &head, NULL), JY_ECONFLICT);
	assert_int_equal(store_audit_get(s, 2, &got, NULL), JY_ENOTFOUND);
	head.mac[3] ^= 1;
	assert_int_equal(store_audit_add(s, &row, &head, NULL), JY_OK);
	assert_int_equal(store_audit_add(s, &row, &head, NULL), JY_ECONFLICT);
	(void)memset(row.who, 'x', sizeof(row.who));
	assert_int_equal(store_audit_add(s, &row, &head, NULL), JY_EINVAL);
}

static void
test_list(void **state)
{
	struct store *s = store_of(state);
	struct audit_row rows[3];
	size_t n = 9;
	bool more = true;

	assert_int_equal(
	    store_audit_list(s, 0, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_false(more);
	for (uint64_t seq = 1; seq <= 260; seq++) {
		add(s, seq);
	}
	assert_int_equal(
	    store_audit_list(s, 0, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 3);
	assert_int_equal(rows[0].seq, 1);
	assert_true(more);
	/* Numbers count past an octet. */
	assert_int_equal(
	    store_audit_list(s, 254, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 3);
	assert_int_equal(rows[2].seq, 257);
	assert_string_equal(rows[2].text, "name=\"257\"");
	assert_int_equal(
	    store_audit_list(s, 257, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 3);
	assert_false(more);
	assert_int_equal(
	    store_audit_list(s, 260, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_int_equal(
	    store_audit_list(s, UINT64_MAX, rows, 3, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_false(more);
}

static void
test_swap(void **state)
{
	struct store *s = store_of(state);
	const struct meta_value none = { .len = 0 };
	const struct meta_value one = { "one", 3 }, two = { "twice", 5 };
	uint8_t got[STORE_META_MAX];
	struct meta_value large = { .len = STORE_META_MAX + 1 };
	size_t len;

	assert_int_equal(
	    store_meta_swap(s, "key", &one, &two, NULL), JY_ECONFLICT);
	assert_int_equal(store_meta_swap(s, "key", &none, &one, NULL), JY_OK);
	assert_int_equal(
	    store_meta_swap(s, "key", &none, &two, NULL), JY_ECONFLICT);
	assert_int_equal(store_meta_swap(s, "key", &one, &two, NULL), JY_OK);
	assert_int_equal(
	    store_meta_swap(s, "key", &one, &two, NULL), JY_ECONFLICT);
	assert_int_equal(store_meta_get(s, "key", got, &len, NULL), JY_OK);
	assert_int_equal(len, 5);
	assert_memory_equal(got, "twice", 5);
	/* What is the store's own is not for others. */
	assert_int_equal(
	    store_meta_swap(s, "audit", &none, &one, NULL), JY_EINVAL);
	assert_int_equal(
	    store_meta_put(s, "audit", one.octets, one.len, NULL), JY_EINVAL);
	assert_int_equal(
	    store_meta_swap(s, "schema", &none, &one, NULL), JY_EINVAL);
	assert_int_equal(
	    store_meta_swap(s, "key", &two, &large, NULL), JY_EINVAL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_add),
		CASE(test_conflict),
		CASE(test_list),
		CASE(test_swap),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
