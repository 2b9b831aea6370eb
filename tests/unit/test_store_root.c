/* SPDX-License-Identifier: Apache-2.0 */
/* Root keys outside the token: the same cases for every backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/store/backend.h"
#include "tests/unit/store_util.h"

static const struct storage_state none = { 0, 0 };
static const struct storage_state first = { 0x1001, 0 };
static const struct storage_state both = { 0x2002, 0x1001 };
static const struct storage_state second = { 0x2002, 0 };

static struct store *
store_of(void **state)
{
	return ((struct fixture *)*state)->s;
}

static struct root_row
root_of(unsigned n, uint8_t role, uint32_t generation, uint32_t storage)
{
	struct root_row row = { .device = util_device_id(n),
		.key = { .generation = generation, .role = role },
		.storage = storage };

	memset(row.blob, (int)(n + generation), sizeof(row.blob));
	memset(row.mac, role, sizeof(row.mac));
	return row;
}

static enum jy_err
put(struct store *s, unsigned n, const struct root_row *roots, uint8_t count,
    struct errctx *ec)
{
	struct device_change change = {
		.row = util_device(n), .root_count = count, .ec = ec
	};
	struct device_change *const list[] = { &change };
	struct device_id id = util_device_id(n);
	struct device_row old;
	enum jy_err err = store_device_get(s, &id, &old, NULL);

	change.row.revision = err == JY_OK ? old.revision : 0;
	memcpy(change.roots, roots, count * sizeof(roots[0]));
	assert_int_equal(store_device_put_batch(s, list, 1, ec), JY_OK);
	return change.err;
}

static bool
has(struct store *s, const struct root_row *row)
{
	struct root_row got;
	enum jy_err err =
	    store_root_get(s, &row->device, &row->key, &got, NULL);

	assert_true(err == JY_OK || err == JY_ENOTFOUND);
	if (err == JY_OK) {
		ASSERT_SAME_ROW(root, &got, row);
		assert_true(device_id_eq(&got.device, &row->device));
		assert_int_equal(got.key.generation, row->key.generation);
		assert_int_equal(got.key.role, row->key.role);
	}
	return err == JY_OK;
}

/* Was it there? */
static bool delete (struct store *s, const struct root_row *row)
{
	const struct root_ref ref = { row->device, row->key };
	bool found;

	assert_int_equal(store_root_delete(s, &ref, 1, &found, NULL), JY_OK);
	return found;
}

/* Several at once, one of them not there. */
static void
test_delete(void **state)
{
	struct store *s = store_of(state);
	const struct root_row rows[] = { root_of(1, 'N', 7, first.current),
		root_of(1, 'A', 7, first.current),
		root_of(1, 'N', 8, first.current) };
	const struct root_ref refs[] = { { rows[0].device, rows[0].key },
		{ util_device_id(2), rows[0].key },
		{ rows[2].device, rows[2].key } };
	bool found[] = { false, true, false };

	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	assert_int_equal(put(s, 1, rows, 2, NULL), JY_OK);
	assert_int_equal(put(s, 1, &rows[2], 1, NULL), JY_OK);
	assert_int_equal(store_root_delete(s, refs, 3, found, NULL), JY_OK);
	assert_true(found[0]);
	assert_false(found[1]);
	assert_true(found[2]);
	assert_false(has(s, &rows[0]));
	assert_true(has(s, &rows[1]));
	assert_false(has(s, &rows[2]));
}

static void
test_put(void **state)
{
	struct store *s = store_of(state);
	const struct root_row rows[] = { root_of(1, 'N', 7, first.current),
		root_of(1, 'A', 0xFFFFFFFF, first.current) };
	struct errctx ec = ERRCTX_INIT;

	/* No storage key is named yet. */
	assert_int_equal(put(s, 1, rows, 2, &ec), JY_ECONFLICT);
	assert_non_null(strstr(ec.text, "storage key"));
	assert_false(util_has_device(s, 1));
	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	err_clear(&ec);
	assert_int_equal(put(s, 1, rows, 2, &ec), JY_OK);
	assert_true(has(s, &rows[0]));
	assert_true(has(s, &rows[1]));
	assert_true(delete (s, &rows[0]));
	assert_false(delete (s, &rows[0]));
	assert_false(has(s, &rows[0]));
	assert_true(has(s, &rows[1]));
	assert_true(util_has_device(s, 1));
}

static void
test_put_invalid(void **state)
{
	struct store *s = store_of(state);
	struct root_row row = root_of(1, 'N', 7, 0);
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(put(s, 1, &row, 1, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "storage"));
	assert_false(util_has_device(s, 1));
}

/* With the device all its keys go, and nobody else's. */
static void
test_device_delete(void **state)
{
	struct store *s = store_of(state);
	const struct root_row rows[] = { root_of(1, 'N', 1, first.current),
		root_of(2, 'A', 1, first.current),
		root_of(2, 'N', 2, first.current),
		root_of(3, 'R', 1, first.current) };
	struct device_id id = util_device_id(2);

	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	assert_int_equal(put(s, 1, &rows[0], 1, NULL), JY_OK);
	assert_int_equal(put(s, 2, &rows[1], 2, NULL), JY_OK);
	assert_int_equal(put(s, 3, &rows[3], 1, NULL), JY_OK);
	assert_int_equal(store_device_delete(s, &id, NULL, NULL), JY_OK);
	assert_true(has(s, &rows[0]));
	assert_false(has(s, &rows[1]));
	assert_false(has(s, &rows[2]));
	assert_true(has(s, &rows[3]));
	/* Nor does the last one in order take more along. */
	id = util_device_id(3);
	assert_int_equal(store_device_delete(s, &id, NULL, NULL), JY_OK);
	assert_true(has(s, &rows[0]));
	assert_false(has(s, &rows[3]));
}

static void
test_list(void **state)
{
	struct store *s = store_of(state);
	struct root_row got[8], rows[6];
	size_t n, total = 0;
	bool more;

	assert_int_equal(
	    store_root_list(s, NULL, got, 8, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_false(more);
	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	for (unsigned i = 0; i < 3; i++) {
		rows[2 * i] = root_of(i + 1, 'A', 300 - i, first.current);
		rows[2 * i + 1] = root_of(i + 1, 'N', 2, first.current);
		assert_int_equal(put(s, i + 1, &rows[2 * i], 2, NULL), JY_OK);
	}
	for (more = true; more;) {
		assert_int_equal(
		    store_root_list(s, total > 0 ? &got[total - 1] : NULL,
			&got[total], 2, &n, &more, NULL),
		    JY_OK);
		total += n;
		assert_true(total <= 6);
	}
	assert_int_equal(total, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_true(device_id_eq(&got[i].device, &rows[i].device));
		assert_int_equal(got[i].key.role, rows[i].key.role);
		ASSERT_SAME_ROW(root, &got[i], &rows[i]);
	}
	/* Behind one that is gone. */
	assert_true(delete (s, &rows[3]));
	assert_int_equal(
	    store_root_list(s, &rows[3], got, 1, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	assert_true(device_id_eq(&got[0].device, &rows[4].device));
}

static void
test_state(void **state)
{
	struct store *s = store_of(state);
	const uint8_t octets[STORAGE_STATE_LEN] = { 1 };
	struct storage_state got;
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_storage_get(s, &got, NULL), JY_OK);
	assert_int_equal(got.current, 0);
	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	/* Somebody else was faster. */
	assert_int_equal(
	    store_storage_set(s, &none, &second, &ec), JY_ECONFLICT);
	assert_int_equal(store_storage_set(s, &first, &both, NULL), JY_OK);
	assert_int_equal(store_storage_get(s, &got, NULL), JY_OK);
	assert_int_equal(got.current, both.current);
	assert_int_equal(got.old, both.old);
	/* Nobody sets it as any other value. */
	assert_int_equal(
	    store_meta_put(s, META_STORAGE, octets, sizeof(octets), NULL),
	    JY_EINVAL);
}

static void
test_rotation(void **state)
{
	struct store *s = store_of(state);
	struct root_row a = root_of(1, 'N', 1, first.current);
	struct root_row b = root_of(2, 'N', 1, first.current);
	struct root_change changes[2];
	struct errctx ec = ERRCTX_INIT;
	size_t replaced = 9;

	assert_int_equal(store_storage_set(s, &none, &first, NULL), JY_OK);
	assert_int_equal(put(s, 1, &a, 1, NULL), JY_OK);
	assert_int_equal(store_storage_set(s, &first, &both, NULL), JY_OK);
	/* Who began before goes on. */
	assert_int_equal(put(s, 2, &b, 1, NULL), JY_OK);
	assert_int_equal(store_storage_set(s, &both, &second, &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "00001001"));

	changes[0] = (struct root_change){ a, a };
	changes[0].row.storage = second.current;
	changes[1] = (struct root_change){ b, b };
	changes[1].row.storage = second.current;
	changes[1].seen.mac[0] ^= 1; /* it changed meanwhile */
	assert_int_equal(
	    store_root_replace(s, changes, 2, &replaced, NULL), JY_OK);
	assert_int_equal(replaced, 1);
	assert_true(has(s, &changes[0].row));
	assert_true(has(s, &b));
	assert_int_equal(store_storage_set(s, &both, &second, NULL), JY_EINUSE);

	/* Away from the old one only. */
	changes[1] = (struct root_change){ changes[0].row, a };
	assert_int_equal(store_root_replace(s, &changes[1], 1, &replaced, NULL),
	    JY_ECONFLICT);
	changes[1] = (struct root_change){ b, b };
	changes[1].row.storage = second.current;
	assert_int_equal(
	    store_root_replace(s, &changes[1], 1, &replaced, NULL), JY_OK);
	assert_int_equal(store_storage_set(s, &both, &second, NULL), JY_OK);

	/* Who slept through it all wraps under a key that is gone. */
	b = root_of(3, 'N', 1, first.current);
	assert_int_equal(put(s, 3, &b, 1, NULL), JY_ECONFLICT);
	assert_false(util_has_device(s, 3));
	/* One that is gone is not put back. */
	b = changes[1].row;
	assert_true(delete (s, &b));
	changes[1] = (struct root_change){ b, b };
	assert_int_equal(
	    store_root_replace(s, &changes[1], 1, &replaced, NULL), JY_OK);
	assert_int_equal(replaced, 0);
	assert_false(has(s, &b));
}

/* A number of the installation: never below 0, never beyond its limit. */
static void
test_meta_add(void **state)
{
	struct store *s = store_of(state);
	struct errctx ec = ERRCTX_INIT;
	uint64_t now = 9;

	assert_int_equal(store_meta_add(s, "n", 0, 5, &now, NULL), JY_OK);
	assert_int_equal(now, 0);
	assert_int_equal(store_meta_add(s, "n", -1, 5, &now, NULL), JY_OK);
	assert_int_equal(now, 0);
	assert_int_equal(store_meta_add(s, "n", 5, 5, &now, NULL), JY_OK);
	assert_int_equal(store_meta_add(s, "n", 1, 5, &now, &ec), JY_ELIMIT);
	assert_non_null(strstr(ec.text, "5 of 5"));
	assert_int_equal(store_meta_add(s, "n", 1, 4, &now, NULL), JY_ELIMIT);
	assert_int_equal(store_meta_add(s, "n", -2, 1, &now, NULL), JY_OK);
	assert_int_equal(now, 3);
	assert_int_equal(
	    store_meta_add(s, "n", INT64_MIN, 1, &now, NULL), JY_OK);
	assert_int_equal(now, 0);
	assert_int_equal(
	    store_meta_put(s, "n", (const uint8_t *)"abc", 3, NULL), JY_OK);
	err_clear(&ec);
	assert_int_equal(store_meta_add(s, "n", 1, 5, &now, &ec), JY_ECORRUPT);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_put),
		CASE(test_put_invalid),
		CASE(test_delete),
		CASE(test_device_delete),
		CASE(test_list),
		CASE(test_state),
		CASE(test_rotation),
		CASE(test_meta_add),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
