/* SPDX-License-Identifier: Apache-2.0 */
/* What joineryctl does with keys, and what it leaves behind of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "src/base/hex.h"
#include "tests/unit/ctl_fake.h"
#include "tools/seal.h"

#define ID "--join-eui 70b3d57ed0000001 --dev-eui 0011223344556677"
#define KEY "c0ffee00c0ffee01c0ffee02c0ffee03"

static struct fake_run run;

static EVP_PKEY *pair;
static uint8_t *der;
static size_t der_len;
static uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
static Joinery__V1__DeviceSetRequest *got_set; /* of the last device set */
static Joinery__V1__ImportKeyAnswer import_answer =
    JOINERY__V1__IMPORT_KEY_ANSWER__INIT;
static Joinery__V1__DeviceSetAnswer set_answer =
    JOINERY__V1__DEVICE_SET_ANSWER__INIT;

/* Keep what was asked for, by packing and unpacking it. */
static void
keep_set(const Joinery__V1__DeviceSetRequest *set)
{
	uint8_t buf[4096];
	size_t len = joinery__v1__device_set_request__pack(set, buf);

	if (got_set != NULL) {
		joinery__v1__device_set_request__free_unpacked(got_set, NULL);
	}
	got_set = joinery__v1__device_set_request__unpack(NULL, len, buf);
	assert_non_null(got_set);
}

static int
answer_provisioning(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	if (q->call_case == JOINERY__V1__REQUEST__CALL_IMPORT_KEY) {
		r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY;
		r->import_key = &import_answer;
		return 1;
	}
	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_DEVICE_SET);
	keep_set(q->device_set);
	set_answer.has_created = 1;
	set_answer.created = 1;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_SET;
	r->device_set = &set_answer;
	return 1;
}

static int
setup(void **state)
{
	int n;

	(void)state;
	(void)fake_setup(state);
	pair = EVP_RSA_gen(2048);
	n = i2d_PUBKEY(pair, &der);
	assert_true(n > 0);
	der_len = (size_t)n;
	assert_int_equal(
	    seal_fingerprint(der, der_len, fingerprint, NULL), JY_OK);
	import_answer.has_public_key = 1;
	import_answer.public_key = (ProtobufCBinaryData){ der_len, der };
	import_answer.has_fingerprint = 1;
	import_answer.fingerprint =
	    (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (got_set != NULL) {
		joinery__v1__device_set_request__free_unpacked(got_set, NULL);
	}
	OPENSSL_free(der);
	EVP_PKEY_free(pair);
	(void)fake_teardown(state);
	return 0;
}

/* The one JSON object on standard output; the caller puts it away. */
static json_t *
json_out(void)
{
	json_error_t e;
	json_t *j = json_loads(run.out, 0, &e);

	if (j == NULL) {
		fail_msg("%s in: %s", e.text, run.out);
	}
	assert_true(json_is_object(j));
	return j;
}

/* Neither the digits nor the octets of KEY are in it. */
static void
assert_no_key(const void *where, size_t len)
{
	uint8_t octets[16];

	assert_true(hex_parse(KEY, 32, octets, 16));
	assert_null(memmem(where, len, octets, 6));
	assert_null(memmem(where, len, "c0ffee", 6));
}

static void
assert_key_nowhere(void)
{
	assert_no_key(run.seen, run.seen_len);
	assert_no_key(run.out, strlen(run.out));
	assert_no_key(run.err, strlen(run.err));
}

static void
test_key_is_never_an_argument(void **state)
{
	static const char *const lines[] = {
		"device set " ID " --nwk-key " KEY,
		"device set " ID " --app-key=" KEY,
		"device set " ID " " KEY,
		"device set " ID " --" KEY,
		"kek import l --key " KEY,
		"kek import l " KEY " --key -",
		"kek import l --key " KEY " --json",
		"--nwk-key=" KEY " frobnicate " KEY,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		fake_ctl(&run, fake_nobody, NULL, lines[i]);
		assert_int_equal(run.status, 2);
		assert_key_nowhere();
	}
	fake_ctl(&run, fake_nobody, NULL, lines[0]);
	assert_non_null(strstr(run.err, "--nwk-key takes no key itself"));
	fake_ctl(&run, fake_nobody, KEY,
	    "device set " ID " --nwk-key - --app-key -");
	assert_int_equal(run.status, 2);
	assert_non_null(strstr(run.err, "only one key"));
}

static void
test_device_set_seals(void **state)
{
	const Joinery__V1__DeviceSettings *s;
	uint8_t kcv[4];

	(void)state;
	(void)fake_file("key", KEY "\n", 0600);
	fake_ctl(&run, answer_provisioning, "000102030405060708090a0b0c0d0e0f",
	    "device set " ID " --nwk-key @%/key --app-key - --mac-version 1.1 "
	    "--net-id 000013 --net-id 600001 --app '' --name tank "
	    "--resets-join-nonces yes --v10-root app --released no");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	assert_int_equal(run.requests, 2);
	assert_key_nowhere();
	assert_memory_equal(got_set->nwk_key->import_key.data, fingerprint, 32);
	assert_int_equal(got_set->nwk_key->transport_key.len, 256);
	assert_int_equal(got_set->nwk_key->wrapped_key.len, 24);
	/* AES-CMAC(000102...0f, 16 zero octets), from single AES blocks. */
	assert_true(hex_parse("be7ed6ae", 8, kcv, 4));
	assert_memory_equal(got_set->app_key->check_value.data, kcv, 4);
	s = got_set->settings;
	assert_int_equal(s->mac_version, JOINERY__V1__MAC_VERSION__MAC_1_1_0);
	assert_int_equal(s->n_net_ids, 2);
	assert_int_equal(s->net_ids[1], 0x600001);
	assert_true(s->clear_net_ids && s->resets_join_nonces);
	assert_true(s->has_released && !s->released);
	assert_string_equal(s->app, "");
	assert_string_equal(s->name, "tank");
	assert_null(s->as_id);
	assert_int_equal(s->v10_root, JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY);
}

static void
test_device_set_sends_only_what_is_given(void **state)
{
	(void)state;
	fake_ctl(
	    &run, answer_provisioning, NULL, "device set " ID " --name tank");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 1);
	assert_null(got_set->nwk_key);
	assert_null(got_set->app_key);
	assert_false(got_set->settings->has_mac_version);
	assert_false(got_set->settings->has_clear_net_ids);
	assert_false(got_set->settings->has_v10_root);
	assert_null(got_set->settings->app);
}

static void
test_key_files(void **state)
{
	(void)state;
	(void)fake_file("open", KEY "\n", 0644);
	fake_ctl(&run, answer_provisioning, NULL,
	    "device set " ID " --app-key @%/open");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.err, "others may read this key (mode 644)"));
	fake_ctl(
	    &run, fake_nobody, NULL, "device set " ID " --app-key @%/missing");
	assert_int_equal(run.status, 5);
	(void)fake_file("short", "c0ffee\n", 0600);
	fake_ctl(
	    &run, fake_nobody, NULL, "device set " ID " --app-key @%/short");
	assert_int_equal(run.status, 5);
	assert_key_nowhere();
	/* Right for a KEK, too long for a device. */
	(void)fake_file("long", KEY KEY, 0600);
	fake_ctl(
	    &run, fake_nobody, NULL, "device set " ID " --app-key @%/long");
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "16 octets"));
	assert_key_nowhere();
}

static void
test_import_key(void **state)
{
	char *pem = NULL;
	json_t *j;

	(void)state;
	fake_ctl(&run, answer_provisioning, NULL, "import-key show");
	assert_int_equal(run.status, 0);
	(void)fake_file("pin.pem", run.out, 0644);
	assert_int_equal(seal_format_pem(der, der_len, &pem, NULL), JY_OK);
	fake_ctl(&run, answer_provisioning, NULL, "import-key show --json");
	j = json_out();
	assert_string_equal(json_string_value(json_object_get(j, "pem")), pem);
	json_decref(j);
	free(pem);
	(void)fake_file("key", KEY, 0600);
	fake_ctl(&run, answer_provisioning, NULL,
	    "device set " ID " --app-key @%/key --import-key %/pin.pem");
	assert_int_equal(run.status, 0);
}

/* Neither a wrong fingerprint nor another key than pinned gets a sealed one. */
static void
test_import_key_refused(void **state)
{
	EVP_PKEY *other = EVP_RSA_gen(2048);
	uint8_t *other_der = NULL;
	char *pem = NULL;
	int n = i2d_PUBKEY(other, &other_der);

	(void)state;
	assert_true(n > 0);
	assert_int_equal(
	    seal_format_pem(other_der, (size_t)n, &pem, NULL), JY_OK);
	(void)fake_file("other.pem", pem, 0644);
	(void)fake_file("key", KEY, 0600);
	fake_ctl(&run, answer_provisioning, NULL,
	    "device set " ID " --app-key @%/key --import-key %/other.pem");
	assert_int_equal(run.status, 5);
	assert_int_equal(run.requests, 1);
	assert_non_null(strstr(run.err, "import key is not the one"));
	fingerprint[0] ^= 1;
	fake_ctl(&run, answer_provisioning, NULL,
	    "device set " ID " --app-key @%/key");
	fingerprint[0] ^= 1;
	assert_int_equal(run.status, 5);
	assert_int_equal(run.requests, 1);
	assert_non_null(strstr(run.err, "nothing was sealed"));
	free(pem);
	OPENSSL_free(other_der);
	EVP_PKEY_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_is_never_an_argument),
		cmocka_unit_test(test_device_set_seals),
		cmocka_unit_test(test_device_set_sends_only_what_is_given),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_import_key),
		cmocka_unit_test(test_import_key_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
