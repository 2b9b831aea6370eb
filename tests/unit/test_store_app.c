/* SPDX-License-Identifier: Apache-2.0 */
/* Applications: the same cases for every backend. */
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

static void
test_put_get(void **state)
{
	struct store *s = store_of(state);
	struct app_row row = util_app("meters");
	struct app_row got;
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_app_get(s, "meters", &got, &ec), JY_ENOTFOUND);
	assert_int_equal(store_app_put(s, &row, &ec), JY_OK);
	assert_int_equal(store_app_get(s, "meters", &got, &ec), JY_OK);
	row.revision = 1;
	ASSERT_SAME_ROW(app, &got, &row);
	assert_string_equal(got.name, "meters");
	row.activation.roaming = ROAMING_ANY;
	assert_int_equal(store_app_put(s, &row, &ec), JY_OK);
	assert_int_equal(store_app_get(s, "meters", &got, &ec), JY_OK);
	assert_int_equal(got.revision, 2);
	assert_int_equal(got.activation.roaming, ROAMING_ANY);
	assert_int_equal(ec.text[0], '\0');
}

static void
test_revision(void **state)
{
	struct store *s = store_of(state);
	struct app_row row = util_app("meters");
	struct app_row got;
	struct errctx ec = ERRCTX_INIT;

	row.revision = 1; /* there is none to replace */
	assert_int_equal(store_app_put(s, &row, &ec), JY_ECONFLICT);
	assert_non_null(strstr(ec.text, "meters"));
	row.revision = 0;
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	/* Two that read nothing, and two that read revision 1. */
	assert_int_equal(store_app_put(s, &row, NULL), JY_ECONFLICT);
	row.revision = 1;
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	strcpy(row.activation.as_id, "late");
	assert_int_equal(store_app_put(s, &row, NULL), JY_ECONFLICT);
	assert_int_equal(store_app_get(s, "meters", &got, NULL), JY_OK);
	assert_int_equal(got.revision, 2);
	assert_string_equal(got.activation.as_id, "as.example.com");
}

static void
test_invalid(void **state)
{
	struct store *s = store_of(state);
	struct app_row row = util_app("");
	char label[STORE_LABEL_MAX + 2] = { 0 };
	struct app_row got;
	size_t n;
	bool more;

	assert_int_equal(store_app_put(s, &row, NULL), JY_EINVAL);
	row = util_app("meters");
	row.activation.roaming = ROAMING_ANY + 1;
	assert_int_equal(store_app_put(s, &row, NULL), JY_EINVAL);
	memset(row.name, 'x', sizeof(row.name));
	assert_int_equal(store_app_put(s, &row, NULL), JY_EINVAL);
	assert_int_equal(store_app_get(s, "meters", &got, NULL), JY_ENOTFOUND);
	memset(label, 'x', STORE_LABEL_MAX + 1);
	assert_int_equal(store_app_get(s, label, &got, NULL), JY_ENOTFOUND);
	assert_int_equal(store_app_delete(s, label, NULL), JY_ENOTFOUND);
	assert_int_equal(store_app_delete(s, "", NULL), JY_ENOTFOUND);
	assert_int_equal(
	    store_app_list(s, label, &got, 1, &n, &more, NULL), JY_EINVAL);
}

static void
test_list(void **state)
{
	struct store *s = store_of(state);
	struct app_row rows[2];
	size_t n;
	bool more;

	assert_int_equal(
	    store_app_list(s, NULL, rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 0);
	assert_false(more);
	for (const char *name = "cab"; *name != '\0'; name++) {
		char text[2] = { *name, '\0' };
		struct app_row row = util_app(text);

		assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	}
	assert_int_equal(
	    store_app_list(s, "", rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 2);
	assert_true(more);
	assert_string_equal(rows[0].name, "a");
	assert_string_equal(rows[1].name, "b");
	assert_string_equal(rows[1].activation.as_id, "as.example.com");
	assert_int_equal(
	    store_app_list(s, "b", rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	assert_false(more);
	assert_string_equal(rows[0].name, "c");
}

static void
test_delete(void **state)
{
	struct store *s = store_of(state);
	struct app_row row = util_app("meters");
	struct device_row device = util_device(1);
	struct device_row got;
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_app_delete(s, "meters", &ec), JY_ENOTFOUND);
	assert_int_equal(store_device_put(s, &device, NULL), JY_OK);
	/* A device may belong to one that has no settings, or has them later.
	 */
	assert_int_equal(store_app_delete(s, "meters", &ec), JY_ENOTFOUND);
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	row = util_app("meters2");
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);

	assert_int_equal(store_app_delete(s, "meters2", &ec), JY_OK);
	assert_int_equal(store_app_delete(s, "meters", &ec), JY_EINUSE);
	assert_non_null(strstr(ec.text, "0011223344550001/70b3d57ed0010203"));
	assert_int_equal(store_app_get(s, "meters", &row, NULL), JY_OK);

	/* Nothing of this has changed the device. */
	assert_int_equal(store_device_get(s, &device.id, &got, NULL), JY_OK);
	assert_int_equal(got.revision, 1);
	assert_int_equal(store_device_delete(s, &device.id, NULL, NULL), JY_OK);
	assert_int_equal(store_app_delete(s, "meters", NULL), JY_OK);
	assert_int_equal(store_app_get(s, "meters", &row, NULL), JY_ENOTFOUND);
	assert_int_equal(store_app_delete(s, "meters", NULL), JY_ENOTFOUND);

	/* A new one begins with a new revision. */
	row = util_app("meters");
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
}

static void
test_kek_in_use(void **state)
{
	struct store *s = store_of(state);
	struct kek_row kek = util_kek("kek-a");
	struct app_row row = util_app("meters");
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_kek_add(s, &kek, NULL), JY_OK);
	strcpy(row.activation.ns_kek, "kek-a");
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_kek_delete(s, "kek-a", &ec), JY_EINUSE);
	assert_string_equal(
	    ec.text, "application \"meters\" uses the KEK \"kek-a\"");
	row.revision = 1;
	row.activation.ns_kek[0] = '\0';
	strcpy(row.activation.as_kek, "kek-a");
	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_kek_delete(s, "kek-a", NULL), JY_EINUSE);
	assert_int_equal(store_app_delete(s, "meters", NULL), JY_OK);
	assert_int_equal(store_kek_delete(s, "kek-a", NULL), JY_OK);
}

/* A view has the settings of the application as they are, not merged. */
static void
test_view(void **state)
{
	static const struct app_row none;
	struct store *s = store_of(state);
	struct device_row device = util_device(1);
	struct app_row row = util_app("meters");
	struct join_view view;

	memset(&view, 0xA5, sizeof(view));
	assert_int_equal(store_device_put(s, &device, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &device.id, 0, &view, NULL), JY_OK);
	ASSERT_SAME_ROW(app, &view.app, &none);
	assert_string_equal(view.app.name, "");

	assert_int_equal(store_app_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &device.id, 0, &view, NULL), JY_OK);
	row.revision = 1;
	ASSERT_SAME_ROW(app, &view.app, &row);
	assert_string_equal(view.app.name, "meters");
	device.revision = 1;
	ASSERT_SAME_ROW(device, &view.device, &device);

	/* Another application, then none. */
	strcpy(device.app, "meter");
	assert_int_equal(store_device_put(s, &device, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &device.id, 0, &view, NULL), JY_OK);
	ASSERT_SAME_ROW(app, &view.app, &none);
	device.revision = 2;
	device.app[0] = '\0';
	assert_int_equal(store_device_put(s, &device, NULL), JY_OK);
	assert_int_equal(store_join_view(s, &device.id, 0, &view, NULL), JY_OK);
	ASSERT_SAME_ROW(app, &view.app, &none);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_put_get),
		CASE(test_revision),
		CASE(test_invalid),
		CASE(test_list),
		CASE(test_delete),
		CASE(test_kek_in_use),
		CASE(test_view),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
