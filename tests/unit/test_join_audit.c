/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log as the token chains it, and the rotation of the import key:
 * also by several at once, and after a crash at each of its steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/bytes.h"
#include "src/join/audit.h"
#include "src/join/import_key.h"
#include "tests/unit/join_util.h"

/* ---- the log ---- */

/* A log of its own for each test. */
static void
fresh_store(void)
{
	const struct store_config config = { .backend = "memory" };

	store_close(t.env.store);
	assert_int_equal(store_open(&config, &t.env.store, NULL), JY_OK);
}

static struct audit_row
append(const char *text)
{
	struct audit_row row;
	struct errctx ec = ERRCTX_INIT;

	if (audit_append(&t.env, AUDIT_device_set, "uid 0", text, &row, &ec) !=
	    JY_OK) {
		fail_msg("%s", ec.text);
	}
	return row;
}

static struct audit_verdict
verify(uint64_t after)
{
	struct audit_verdict v;
	struct errctx ec = ERRCTX_INIT;

	if (audit_verify(&t.env, after, &v, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	return v;
}

static void
test_append(void **state)
{
	struct audit_row first, second, got;

	(void)state;
	fresh_store();
	assert_int_equal(verify(0).last, 0);
	first = append("dev_eui=1");
	second = append("dev_eui=1");
	assert_int_equal(first.seq, 1);
	assert_int_equal(second.seq, 2);
	assert_int_equal(second.time_ms, now_ms);
	assert_memory_not_equal(first.mac, second.mac, sizeof(first.mac));
	assert_int_equal(store_audit_get(t.env.store, 2, &got, NULL), JY_OK);
	assert_string_equal(got.text, "dev_eui=1");
	assert_string_equal(got.who, "uid 0");
	assert_memory_equal(got.mac, second.mac, sizeof(got.mac));
	assert_string_equal(audit_event_name(got.event), "device_set");
	assert_string_equal(audit_event_name(0), "unknown");
	assert_int_equal(verify(0).last, 2);
	assert_int_equal(verify(1).last, 2);
	assert_int_equal(verify(2).bad, 0);
}

static void
test_texts(void **state)
{
	char text[600];
	struct audit_row row;

	(void)state;
	fresh_store();
	row = append("two\nlines\x7f");
	assert_string_equal(row.text, "two?lines?");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	row = append(text);
	assert_int_equal(strlen(row.text), STORE_AUDIT_TEXT_MAX);
	assert_int_equal(verify(0).last, 2);
}

static void
another_appends(void)
{
	(void)append("meanwhile");
}

/* Others may be faster; then it is the next number. */
static void
test_race(void **state)
{
	struct audit_row row;

	(void)state;
	fresh_store();
	meanwhile = another_appends;
	row = append("late");
	assert_int_equal(row.seq, 2);
	assert_int_equal(verify(0).last, 2);
}

/* Three in a row are one behind the other. */
static void
test_races(void **state)
{
	struct audit_row row = { 0 };

	(void)state;
	fresh_store();
	for (int i = 0; i < 3; i++) {
		meanwhile = another_appends;
		row = append("late");
	}
	assert_int_equal(row.seq, 6);
	assert_int_equal(verify(0).last, 6);
}

/* Pages, and a log that is longer than one. */
static void
test_pages(void **state)
{
	struct audit_verdict v;

	(void)state;
	fresh_store();
	for (int i = 0; i < AUDIT_VERIFY_MAX + 3; i++) {
		(void)append("x");
	}
	v = verify(0);
	assert_int_equal(v.last, AUDIT_VERIFY_MAX);
	assert_true(v.more);
	v = verify(v.last);
	assert_int_equal(v.last, AUDIT_VERIFY_MAX + 3);
	assert_false(v.more);
	assert_int_equal(
	    audit_verify(&t.env, AUDIT_VERIFY_MAX + 4, &v, NULL), JY_EINVAL);
}

/* An event that the token did not make is found, and the one behind it. */
static void
test_forged(void **state)
{
	struct audit_row row;
	struct audit_head head;
	struct audit_verdict v;

	(void)state;
	fresh_store();
	row = append("good");
	assert_int_equal(store_audit_head(t.env.store, &head, NULL), JY_OK);
	row.seq = 2;
	assert_int_equal(
	    store_audit_add(t.env.store, &row, &head, NULL), JY_OK);
	(void)append("good");
	v = verify(0);
	assert_int_equal(v.last, 1);
	assert_int_equal(v.bad, 2);
	assert_non_null(strstr(v.why, "MAC"));
	/* Behind it, the log goes on from the MAC that is there. */
	v = verify(2);
	assert_int_equal(v.bad, 0);
	assert_int_equal(v.last, 3);
}

/* ---- the import key ---- */

#define META "import-key"

static struct import_keys
keys_now(void)
{
	struct import_keys keys;
	struct errctx ec = ERRCTX_INIT;

	if (import_keys_get(&t.env, &keys, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	return keys;
}

static size_t
keys_in_token(void)
{
	uint32_t generations[HSM_IMPORT_KEYS_MAX];
	size_t n;

	assert_int_equal(
	    hsm_import_keys(t.hsm, true, generations, &n, NULL), JY_OK);
	return n;
}

static void
set_pending(uint32_t generation)
{
	uint8_t octets[STORE_META_MAX];
	struct writer w;
	size_t len;

	assert_int_equal(
	    store_meta_get(t.env.store, META, octets, &len, NULL), JY_OK);
	writer_init(&w, octets + len - 4, 4);
	writer_be(&w, generation, 4);
	assert_int_equal(
	    store_meta_put(t.env.store, META, octets, len, NULL), JY_OK);
}

static void
test_rotate(void **state)
{
	struct import_keys first = keys_now(), second, third;
	struct import_key_name dropped;
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	assert_int_equal(first.previous.generation, 0);
	assert_int_equal(import_key_drop(&t.env, &dropped, &ec), JY_ENOTFOUND);
	assert_int_equal(import_key_rotate(&t.env, &second, NULL), JY_OK);
	assert_int_equal(second.previous.generation, first.current.generation);
	assert_memory_equal(second.previous.fingerprint,
	    first.current.fingerprint, HSM_FINGERPRINT_LEN);
	assert_int_equal(keys_in_token(), 2);
	assert_int_equal(
	    keys_now().current.generation, second.current.generation);
	assert_int_equal(
	    import_key_check(&t.env, first.current.fingerprint, NULL), JY_OK);
	assert_int_equal(
	    import_key_check(&t.env, second.current.fingerprint, NULL), JY_OK);
	/* The next rotation is the end of the first. */
	assert_int_equal(import_key_rotate(&t.env, &third, NULL), JY_OK);
	assert_int_equal(keys_in_token(), 2);
	err_clear(&ec);
	assert_int_equal(
	    import_key_check(&t.env, first.current.fingerprint, &ec),
	    JY_EINVAL);
	assert_non_null(strstr(ec.text, "this token has"));
	assert_int_equal(import_key_drop(&t.env, &dropped, NULL), JY_OK);
	assert_int_equal(dropped.generation, second.current.generation);
	assert_int_equal(keys_in_token(), 1);
	assert_int_equal(
	    import_key_check(&t.env, second.current.fingerprint, NULL),
	    JY_EINVAL);
	assert_int_equal(
	    import_key_check(&t.env, third.current.fingerprint, NULL), JY_OK);
}

/* Written down, and perhaps made, and then nothing more was heard. */
static void
test_crashed(void **state)
{
	struct import_keys before = keys_now(), after;

	(void)state;
	for (int made = 0; made < 2; made++) {
		uint32_t lost = before.current.generation + 5;

		set_pending(lost);
		if (made) {
			assert_int_equal(
			    hsm_import_key_make(t.hsm, lost, NULL), JY_OK);
		}
		after = keys_now();
		assert_memory_equal(after.current.fingerprint,
		    before.current.fingerprint, HSM_FINGERPRINT_LEN);
		assert_int_equal(
		    import_key_rotate(&t.env, &after, NULL), JY_OK);
		assert_true(after.current.generation > lost);
		assert_int_equal(after.pending, 0);
		assert_int_equal(keys_in_token(), 2);
		before = after;
	}
}

/* One that nobody names is of no use, and gone with the next rotation. */
static void
test_orphan(void **state)
{
	struct import_keys keys = keys_now(), after;
	uint32_t orphan = keys.current.generation + 1;
	uint8_t der[HSM_PUBLIC_KEY_MAX], fingerprint[HSM_FINGERPRINT_LEN];
	size_t len;

	(void)state;
	assert_int_equal(hsm_import_key_make(t.hsm, orphan, NULL), JY_OK);
	assert_int_equal(
	    hsm_import_key(t.hsm, orphan, der, &len, fingerprint, NULL), JY_OK);
	assert_int_equal(
	    import_key_check(&t.env, fingerprint, NULL), JY_EINVAL);
	assert_int_equal(import_key_rotate(&t.env, &after, NULL), JY_OK);
	assert_true(after.current.generation > orphan);
	assert_int_equal(keys_in_token(), 2);
	assert_int_equal(
	    hsm_import_key(t.hsm, orphan, der, &len, fingerprint, NULL),
	    JY_ENOKEY);
}

static void
test_damaged(void **state)
{
	uint8_t octets[STORE_META_MAX];
	struct import_keys keys;
	struct errctx ec = ERRCTX_INIT;
	size_t len;

	(void)state;
	assert_int_equal(
	    store_meta_get(t.env.store, META, octets, &len, NULL), JY_OK);
	assert_int_equal(
	    store_meta_put(t.env.store, META, octets, len - 1, NULL), JY_OK);
	assert_int_equal(import_keys_get(&t.env, &keys, &ec), JY_ECORRUPT);
	assert_non_null(strstr(ec.text, META));
	assert_int_equal(import_key_rotate(&t.env, &keys, NULL), JY_ECORRUPT);
	assert_int_equal(
	    store_meta_put(t.env.store, META, octets, len, NULL), JY_OK);
}

/* A store that names none: the newest of the token and the one before. */
static void
test_unnamed(void **state)
{
	struct import_keys named = keys_now(), derived;

	(void)state;
	fresh_store();
	derived = keys_now();
	assert_int_equal(derived.current.generation, named.current.generation);
	assert_int_equal(
	    derived.previous.generation, named.previous.generation);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotate),
		cmocka_unit_test(test_crashed),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
