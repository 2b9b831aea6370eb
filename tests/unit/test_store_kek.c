/* SPDX-License-Identifier: Apache-2.0 */
/* KEKs and their generations: the same cases for every backend. */
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

static struct kek_row
generation(const char *label, uint32_t n)
{
	struct kek_row row = util_kek(label);

	row.generation = n;
	(void)snprintf(
	    row.wire_label, sizeof(row.wire_label), "%.60s-%u", label, n);
	return row;
}

static void
add(struct store *s, const char *label, uint32_t n)
{
	struct kek_row row = n == 1 ? util_kek(label) : generation(label, n);
	struct errctx ec = ERRCTX_INIT;

	if (store_kek_add(s, &row, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
}

/* It is not the number that follows. */
static void
out_of_turn(struct store *s, const char *label, uint32_t n)
{
	struct kek_row row = generation(label, n);

	assert_int_equal(store_kek_add(s, &row, NULL), JY_ECONFLICT);
}

static enum jy_err
retire(struct store *s, const char *label, uint32_t n)
{
	struct kek_row row = generation(label, n);

	return store_kek_retire(s, &row, NULL);
}

/* The generations of a label, as digits; "" for none. */
static const char *
generations(struct store *s, const char *label)
{
	static char text[STORE_KEK_GENERATIONS_MAX + 1];
	struct kek_set set = { .n = 99 };
	enum jy_err err = store_kek_get(s, label, &set, NULL);

	if (err == JY_ENOTFOUND) {
		assert_int_equal(set.n, 99); /* untouched */
		return "";
	}
	assert_int_equal(err, JY_OK);
	assert_in_range(set.n, 1, STORE_KEK_GENERATIONS_MAX);
	for (size_t i = 0; i < set.n; i++) {
		assert_string_equal(set.rows[i].label, label);
		text[i] = (char)('0' + set.rows[i].generation);
	}
	text[set.n] = '\0';
	return text;
}

static void
test_keks(void **state)
{
	struct store *s = store_of(state);
	struct kek_row row = util_kek("kek-b");
	struct errctx ec = ERRCTX_INIT;
	struct kek_set set;

	assert_int_equal(store_kek_get(s, "kek-b", &set, &ec), JY_ENOTFOUND);
	assert_int_equal(store_kek_get(s, "", &set, &ec), JY_ENOTFOUND);
	assert_int_equal(store_kek_delete(s, "kek-b", &ec), JY_ENOTFOUND);
	assert_int_equal(store_kek_delete(s, "", &ec), JY_ENOTFOUND);
	assert_int_equal(store_kek_add(s, &row, &ec), JY_OK);
	assert_int_equal(store_kek_get(s, "kek-b", &set, &ec), JY_OK);
	assert_int_equal(set.n, 1);
	assert_int_equal(set.rows[0].generation, 1);
	ASSERT_SAME_ROW(kek, &set.rows[0], &row);
	assert_int_equal(store_kek_add(s, &row, &ec), JY_EEXIST);
	assert_string_equal(ec.text, "there is a KEK \"kek-b\" already");
	row = util_kek("");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EINVAL);
	row = util_kek("kek-c");
	row.wire_label[0] = '\0';
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EINVAL);
	row = util_kek("kek-c");
	row.generation = 0;
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EINVAL);
	row = util_kek("kek-c");
	row.bits = 129;
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EINVAL);
	assert_string_equal(generations(s, "kek-c"), "");
}

static void
test_generations(void **state)
{
	struct store *s = store_of(state);
	struct errctx ec = ERRCTX_INIT;
	struct kek_row row;

	add(s, "k", 1);
	add(s, "k-", 1); /* neighbours, whose labels begin alike */
	add(s, "ka", 1);
	add(s, "j", 1);
	add(s, "k", 2);
	row = generation("k", 2);
	assert_int_equal(store_kek_add(s, &row, &ec), JY_ECONFLICT);
	assert_string_equal(ec.text, "the KEK \"k\" was changed meanwhile");
	row = generation("k", 4);
	assert_int_equal(store_kek_add(s, &row, NULL), JY_ECONFLICT);
	row = generation("new", 2);
	assert_int_equal(store_kek_add(s, &row, NULL), JY_ECONFLICT);
	for (uint32_t n = 3; n <= STORE_KEK_GENERATIONS_MAX; n++) {
		add(s, "k", n);
	}
	row = generation("k", STORE_KEK_GENERATIONS_MAX + 1);
	err_clear(&ec);
	assert_int_equal(store_kek_add(s, &row, &ec), JY_EINUSE);
	assert_string_equal(
	    ec.text, "the KEK \"k\" has 8 generations; retire one first");
	assert_string_equal(generations(s, "k"), "12345678");

	/* The same number, another key. */
	row = generation("k", 3);
	row.key_id++;
	err_clear(&ec);
	assert_int_equal(store_kek_retire(s, &row, &ec), JY_ECONFLICT);
	assert_string_equal(ec.text, "the KEK \"k\" was changed meanwhile");
	assert_string_equal(generations(s, "k"), "12345678");
	assert_int_equal(retire(s, "k", 1), JY_OK);
	assert_int_equal(retire(s, "k", 1), JY_ENOTFOUND);
	assert_int_equal(retire(s, "k", 0), JY_ENOTFOUND);
	assert_int_equal(retire(s, "", 1), JY_ENOTFOUND);
	assert_int_equal(retire(s, "none", 1), JY_ENOTFOUND);
	assert_int_equal(retire(s, "k", 5), JY_OK);
	assert_string_equal(generations(s, "k"), "234678");
	/* The label is taken, whichever generation is left of it. */
	row = util_kek("k");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EEXIST);
	add(s, "k", 9);
	assert_string_equal(generations(s, "k-"), "1");
	assert_string_equal(generations(s, "ka"), "1");

	err_clear(&ec);
	row = generation("ka", 1);
	assert_int_equal(store_kek_retire(s, &row, &ec), JY_EINUSE);
	assert_string_equal(
	    ec.text, "generation 1 is the only one of the KEK \"ka\"");
	assert_int_equal(store_kek_delete(s, "k", NULL), JY_OK);
	assert_string_equal(generations(s, "k"), "");
	assert_string_equal(generations(s, "j"), "1");
	assert_string_equal(generations(s, "k-"), "1");
	add(s, "k", 1);
}

static uint32_t
highest(struct store *s, const char *label)
{
	struct kek_set set = { .n = 0 };
	enum jy_err err = store_kek_get(s, label, &set, NULL);

	assert_int_equal(err, set.n > 0 ? JY_OK : JY_ENOTFOUND);
	return store_kek_highest(&set);
}

/* A number that was given is not given again, whatever is retired. */
static void
test_highest(void **state)
{
	struct store *s = store_of(state);

	assert_int_equal(highest(s, "k"), 0);
	add(s, "k", 1);
	add(s, "k", 2);
	add(s, "l", 1);
	assert_int_equal(highest(s, "k"), 2);
	assert_int_equal(retire(s, "k", 2), JY_OK);
	assert_int_equal(highest(s, "k"), 2);
	out_of_turn(s, "k", 2);
	out_of_turn(s, "k", 4);
	add(s, "k", 3);
	/* Who remembers it goes itself. */
	assert_int_equal(retire(s, "k", 1), JY_OK);
	assert_int_equal(highest(s, "k"), 3);
	add(s, "k", 4);
	add(s, "k", 5);
	assert_int_equal(retire(s, "k", 5), JY_OK);
	assert_string_equal(generations(s, "k"), "34");
	assert_int_equal(retire(s, "k", 4), JY_OK);
	assert_int_equal(highest(s, "k"), 5);
	out_of_turn(s, "k", 4);
	out_of_turn(s, "k", 5);
	/* What is refused changes nothing. */
	assert_int_equal(retire(s, "k", 3), JY_EINUSE);
	assert_int_equal(highest(s, "k"), 5);
	assert_int_equal(highest(s, "l"), 1);
	/* In between: the highest is there. */
	add(s, "k", 6);
	add(s, "k", 7);
	assert_int_equal(retire(s, "k", 6), JY_OK);
	assert_string_equal(generations(s, "k"), "37");
	assert_int_equal(highest(s, "k"), 7);
	/* A label that was deleted begins anew. */
	assert_int_equal(store_kek_delete(s, "k", NULL), JY_OK);
	add(s, "k", 1);
	assert_int_equal(highest(s, "k"), 1);
}

static void
test_wire_labels(void **state)
{
	struct store *s = store_of(state);
	struct errctx ec = ERRCTX_INIT;
	struct kek_row row;

	add(s, "a", 1);
	add(s, "a", 2);
	row = util_kek("b");
	strcpy(row.wire_label, "a-2");
	assert_int_equal(store_kek_add(s, &row, &ec), JY_EEXIST);
	assert_string_equal(ec.text,
	    "envelopes of generation 2 of the KEK \"a\" carry the label "
	    "\"a-2\"");
	row = util_kek("a-2");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_EEXIST);
	strcpy(row.wire_label, "other");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_OK);
	/* What is gone can be had again. */
	assert_int_equal(retire(s, "a", 2), JY_OK);
	row = util_kek("b");
	strcpy(row.wire_label, "a-2");
	assert_int_equal(store_kek_add(s, &row, NULL), JY_OK);
}

static void
test_pages(void **state)
{
	struct store *s = store_of(state);
	struct kek_place place = { .generation = 1 };
	struct kek_row rows[2];
	size_t n;
	bool more;

	add(s, "kek-b", 1);
	add(s, "kek-b", 2);
	add(s, "kek-c", 1);
	add(s, "kek-a", 1);
	assert_int_equal(
	    store_kek_list(s, NULL, rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 2);
	assert_true(more);
	assert_string_equal(rows[0].label, "kek-a");
	assert_string_equal(rows[1].label, "kek-b");
	strcpy(place.label, "kek-b");
	assert_int_equal(
	    store_kek_list(s, &place, rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 2);
	assert_false(more);
	assert_string_equal(rows[0].label, "kek-b");
	assert_int_equal(rows[0].generation, 2);
	assert_string_equal(rows[0].wire_label, "kek-b-2");
	assert_string_equal(rows[1].label, "kek-c");
	place.generation = UINT32_MAX;
	assert_int_equal(
	    store_kek_list(s, &place, rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].label, "kek-c");
	place.label[0] = '\0'; /* no label: from the first */
	assert_int_equal(
	    store_kek_list(s, &place, rows, 2, &n, &more, NULL), JY_OK);
	assert_string_equal(rows[0].label, "kek-a");
}

static void
test_in_use(void **state)
{
	struct store *s = store_of(state);
	struct peer_row peer = util_peer("ns1");
	struct device_row device = util_device(1);
	struct errctx ec = ERRCTX_INIT;

	add(s, "kek-b", 1);
	add(s, "kek-b", 2);
	strcpy(peer.kek, "kek-b");
	strcpy(device.activation.as_kek, "kek-b");
	assert_int_equal(store_peer_put(s, &peer, NULL), JY_OK);
	assert_int_equal(store_device_put(s, &device, NULL), JY_OK);
	assert_int_equal(store_kek_delete(s, "kek-b", &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "ns1"));
	assert_int_equal(retire(s, "kek-b", 1), JY_OK);
	assert_int_equal(retire(s, "kek-b", 2), JY_EINUSE);
	assert_int_equal(store_peer_delete(s, "ns1", NULL), JY_OK);
	err_clear(&ec);
	assert_int_equal(store_kek_delete(s, "kek-b", &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "0011223344550001"));
	assert_string_equal(generations(s, "kek-b"), "2");
	assert_int_equal(store_device_delete(s, &device.id, NULL, NULL), JY_OK);
	assert_int_equal(store_kek_delete(s, "kek-b", NULL), JY_OK);
	assert_string_equal(generations(s, "kek-b"), "");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_keks),
		CASE(test_generations),
		CASE(test_highest),
		CASE(test_wire_labels),
		CASE(test_pages),
		CASE(test_in_use),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
