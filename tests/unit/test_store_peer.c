/* SPDX-License-Identifier: Apache-2.0 */
/* Peers and meta values: the same cases for every backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/store_util.h"

static struct store *
store_of(void **state)
{
	return ((struct fixture *)*state)->s;
}

static struct peer_row
full_peer(void)
{
	struct peer_row row = util_peer("ns1");

	row.has_uid = true;
	row.uid = 1000;
	row.has_fingerprint = true;
	row.fingerprint[0] = 0xAB;
	strcpy(row.cert_san, "ns1.example.com");
	row.as_id_count = 2;
	strcpy(row.as_ids[0], "as1");
	strcpy(row.as_ids[1], "as2");
	return row;
}

static void
test_peer_credentials(void **state)
{
	struct store *s = store_of(state);
	struct peer_row row = full_peer();
	struct peer_row got;

	assert_int_equal(store_peer_by_uid(s, 1000, &got, NULL), JY_ENOTFOUND);
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_peer_get(s, "ns1", &got, NULL), JY_OK);
	row.revision++;
	ASSERT_SAME_ROW(peer, &got, &row);
	assert_int_equal(store_peer_by_uid(s, 1000, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(peer, &got, &row);
	assert_int_equal(
	    store_peer_by_fingerprint(s, row.fingerprint, &got, NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_san(s, "ns1.example.com", &got, NULL), JY_OK);
	assert_int_equal(store_peer_by_as_id(s, "as2", &got, NULL), JY_OK);
	assert_string_equal(got.name, "ns1");
	assert_int_equal(store_peer_by_san(s, "as1", &got, NULL), JY_ENOTFOUND);
	assert_int_equal(store_peer_by_as_id(s, "", &got, NULL), JY_ENOTFOUND);

	/* A replaced row gives up what it no longer names. */
	row.uid = 1001;
	row.as_id_count = 1;
	row.cert_san[0] = '\0';
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_peer_by_uid(s, 1000, &got, NULL), JY_ENOTFOUND);
	assert_int_equal(store_peer_by_uid(s, 1001, &got, NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_as_id(s, "as2", &got, NULL), JY_ENOTFOUND);
	assert_int_equal(
	    store_peer_by_san(s, "ns1.example.com", &got, NULL), JY_ENOTFOUND);

	assert_int_equal(store_peer_delete(s, "ns1", NULL), JY_OK);
	assert_int_equal(store_peer_delete(s, "ns1", NULL), JY_ENOTFOUND);
	assert_int_equal(store_peer_by_uid(s, 1001, &got, NULL), JY_ENOTFOUND);
}

static void
test_peer_conflicts(void **state)
{
	struct store *s = store_of(state);
	struct peer_row row = full_peer();
	struct peer_row other = util_peer("ns2");
	struct peer_row got;
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	other.has_uid = true;
	other.uid = 5;
	assert_int_equal(store_peer_put(s, &other, NULL), JY_OK);
	/* Who read the row before that comes too late. */
	assert_int_equal(store_peer_put(s, &other, &ec), JY_ECONFLICT);
	err_clear(&ec);
	other.revision++;
	other.uid = 6;
	other.as_id_count = 1;
	strcpy(other.as_ids[0], "as1");
	assert_int_equal(store_peer_put(s, &other, &ec), JY_EEXIST);
	assert_non_null(strstr(ec.text, "ns1"));
	assert_non_null(strstr(ec.text, "AS-ID as1"));

	/* The one that lost is as it was, with all its credentials. */
	assert_int_equal(store_peer_by_uid(s, 5, &got, NULL), JY_OK);
	assert_int_equal(got.uid, 5);
	assert_int_equal(store_peer_by_uid(s, 6, &got, NULL), JY_ENOTFOUND);
}

/* One HTTP authorization has one owner, whether as bearer or as basic. */
static void
test_peer_authorization(void **state)
{
	struct store *s = store_of(state);
	uint8_t bearer[STORE_HASH_LEN] = { 0xBE, 0xA0 };
	uint8_t basic[STORE_HASH_LEN] = { 0xBA, 0x51 };
	struct peer_row row = util_peer("ns1");
	struct peer_row other = util_peer("ns2");
	struct peer_row got;
	struct errctx ec = ERRCTX_INIT;

	/* A hash counts only if it is said to be there. */
	memcpy(row.bearer_hash, bearer, sizeof(bearer));
	memcpy(row.basic_hash, basic, sizeof(basic));
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_authorization(s, bearer, &got, NULL), JY_ENOTFOUND);
	assert_int_equal(
	    store_peer_by_authorization(s, basic, &got, NULL), JY_ENOTFOUND);
	row.revision = 1;
	row.has_bearer = true;
	strcpy(row.basic_user, "user");
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	row.revision = 2;
	assert_int_equal(
	    store_peer_by_authorization(s, bearer, &got, NULL), JY_OK);
	ASSERT_SAME_ROW(peer, &got, &row);
	assert_string_equal(got.name, "ns1");
	assert_int_equal(
	    store_peer_by_authorization(s, basic, &got, NULL), JY_OK);
	assert_string_equal(got.name, "ns1");
	/* It is no fingerprint of a certificate. */
	assert_int_equal(
	    store_peer_by_fingerprint(s, bearer, &got, NULL), JY_ENOTFOUND);

	/* Another's bearer that is this one's basic, and the reverse. */
	strcpy(other.basic_user, "u2");
	memcpy(other.basic_hash, bearer, sizeof(bearer));
	assert_int_equal(store_peer_put(s, &other, &ec), JY_EEXIST);
	assert_string_equal(
	    ec.text, "peer \"ns1\" has the credential HTTP authorization");
	other.basic_user[0] = '\0';
	other.has_bearer = true;
	memcpy(other.bearer_hash, basic, sizeof(basic));
	assert_int_equal(store_peer_put(s, &other, NULL), JY_EEXIST);
	assert_int_equal(store_peer_get(s, "ns2", &got, NULL), JY_ENOTFOUND);

	/* Given up, it is free. */
	row.basic_user[0] = '\0';
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_peer_put(s, &other, NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_authorization(s, basic, &got, NULL), JY_OK);
	assert_string_equal(got.name, "ns2");
	assert_int_equal(store_peer_delete(s, "ns1", NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_authorization(s, bearer, &got, NULL), JY_ENOTFOUND);
}

/* As many credentials as a row can have. */
static void
test_peer_all_credentials(void **state)
{
	struct store *s = store_of(state);
	struct peer_row row = full_peer();
	struct peer_row got;

	row.has_bearer = true;
	row.bearer_hash[0] = 1;
	strcpy(row.basic_user, "user");
	row.basic_hash[0] = 2;
	row.as_id_count = STORE_AS_IDS_MAX;
	for (size_t i = 0; i < STORE_AS_IDS_MAX; i++) {
		row.as_ids[i][0] = (char)('a' + i);
		row.as_ids[i][1] = '\0';
	}
	assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	assert_int_equal(store_peer_by_as_id(s, "h", &got, NULL), JY_OK);
	assert_int_equal(
	    store_peer_by_authorization(s, row.basic_hash, &got, NULL), JY_OK);
}

static void
test_peer_list(void **state)
{
	struct store *s = store_of(state);
	struct peer_row rows[2];
	struct peer_row row;
	size_t n;
	bool more;

	for (const char *name = "cab"; *name != '\0'; name++) {
		char text[2] = { *name, '\0' };

		row = util_peer(text);
		assert_int_equal(store_peer_put(s, &row, NULL), JY_OK);
	}
	row = util_peer("");
	assert_int_equal(store_peer_put(s, &row, NULL), JY_EINVAL);
	assert_int_equal(
	    store_peer_list(s, NULL, rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 2);
	assert_true(more);
	assert_string_equal(rows[1].name, "b");
	assert_int_equal(
	    store_peer_list(s, "b", rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	assert_false(more);
	assert_int_equal(
	    store_peer_list(s, "bb", rows, 2, &n, &more, NULL), JY_OK);
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].name, "c");
}

static void
test_meta(void **state)
{
	struct store *s = store_of(state);
	const uint8_t value[STORE_META_MAX + 1] = { 1, 2, 3 };
	uint8_t got[STORE_META_MAX];
	size_t len;

	assert_int_equal(
	    store_meta_get(s, "token", got, &len, NULL), JY_ENOTFOUND);
	assert_int_equal(store_meta_put(s, "token", value, 3, NULL), JY_OK);
	assert_int_equal(
	    store_meta_put(s, "token", value, STORE_META_MAX, NULL), JY_OK);
	assert_int_equal(store_meta_get(s, "token", got, &len, NULL), JY_OK);
	assert_int_equal(len, STORE_META_MAX);
	assert_memory_equal(got, value, len);
	assert_int_equal(
	    store_meta_put(s, "token", value, sizeof(value), NULL), JY_EINVAL);
	assert_int_equal(
	    store_meta_put(s, "schema", value, 4, NULL), JY_EINVAL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, util_setup, util_teardown)

int
main(void)
{
	static const char *const names[] = { "memory", "lmdb" };
	const struct CMUnitTest tests[] = {
		CASE(test_peer_credentials),
		CASE(test_peer_conflicts),
		CASE(test_peer_authorization),
		CASE(test_peer_all_credentials),
		CASE(test_peer_list),
		CASE(test_meta),
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		util_backend = names[i];
		failed +=
		    cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return failed;
}
