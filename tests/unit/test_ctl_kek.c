/* SPDX-License-Identifier: Apache-2.0 */
/* The KEK verbs of joineryctl: what is asked for, what is refused here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "src/base/hex.h"
#include "src/base/sys.h"
#include "tests/unit/ctl_fake.h"
#include "tools/seal_copy.h"

#define PART_A "c0ffee00c0ffee01c0ffee02c0ffee03"
#define PART_B "000102030405060708090a0b0c0d0e0f"
#define CHECK_B "be7ed6ae" /* of PART_B; see test_ctl_key.c */

static struct fake_run run;
static EVP_PKEY *pair;
static uint8_t *der;
static size_t der_len;
static uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
static bool without_copy;

static char label[] = "l", wire[] = "l-2", hash[] = "SHA-1";
static uint8_t check[4] = { 1, 2, 3, 4 }, wrapped[256] = { 5, 6, 7 };
static Joinery__V1__ImportKeyAnswer import_answer =
    JOINERY__V1__IMPORT_KEY_ANSWER__INIT;
static Joinery__V1__Kek kek = JOINERY__V1__KEK__INIT;
static Joinery__V1__KekCopy copy = JOINERY__V1__KEK_COPY__INIT;
static Joinery__V1__KekAnswer kek_answer = JOINERY__V1__KEK_ANSWER__INIT;
static Joinery__V1__KekTestAnswer test_answer =
    JOINERY__V1__KEK_TEST_ANSWER__INIT;
static Joinery__V1__DoneAnswer done = JOINERY__V1__DONE_ANSWER__INIT;

static int
answer(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	kek_answer.copy = NULL;
	switch ((int)q->call_case) {
	case JOINERY__V1__REQUEST__CALL_IMPORT_KEY:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY;
		r->import_key = &import_answer;
		return 1;
	case JOINERY__V1__REQUEST__CALL_KEK_RETIRE:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_DONE;
		r->done = &done;
		return 1;
	case JOINERY__V1__REQUEST__CALL_KEK_TEST:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_KEK_TEST;
		r->kek_test = &test_answer;
		return 1;
	case JOINERY__V1__REQUEST__CALL_KEK_GENERATE:
		kek_answer.copy = without_copy || !q->kek_generate->has_for_peer
		    ? NULL
		    : &copy;
		break;
	default:
		break;
	}
	r->result_case = JOINERY__V1__RESPONSE__RESULT_KEK;
	r->kek = &kek_answer;
	return 1;
}

static int
setup(void **state)
{
	char *pem = NULL;
	int n;

	(void)fake_setup(state);
	pair = EVP_RSA_gen(2048);
	n = i2d_PUBKEY(pair, &der);
	assert_true(n > 0);
	der_len = (size_t)n;
	assert_int_equal(
	    seal_fingerprint(der, der_len, fingerprint, NULL), JY_OK);
	import_answer.has_public_key = import_answer.has_fingerprint = 1;
	import_answer.public_key = (ProtobufCBinaryData){ der_len, der };
	import_answer.fingerprint =
	    (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	assert_int_equal(seal_format_pem(der, der_len, &pem, NULL), JY_OK);
	(void)fake_file("partner.pem", pem, 0644);
	free(pem);
	(void)fake_file("a", PART_A "\n", 0600);
	(void)fake_file("b", PART_B "\n", 0600);
	kek.label = label;
	kek.has_state = 1;
	kek.state = JOINERY__V1__KEK_STATE__KEK_PLANNED;
	kek_answer.kek = test_answer.kek = &kek;
	test_answer.has_wrapped_key = 1;
	test_answer.wrapped_key = (ProtobufCBinaryData){ 4, check };
	copy.wire_label = wire;
	copy.has_bits = copy.has_check_value = copy.has_public_key = 1;
	copy.bits = 128;
	copy.check_value = (ProtobufCBinaryData){ sizeof(check), check };
	copy.oaep_hash = hash;
	copy.public_key =
	    (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	copy.has_wrapped_key = 1;
	copy.wrapped_key = (ProtobufCBinaryData){ sizeof(wrapped), wrapped };
	return 0;
}

static int
teardown(void **state)
{
	OPENSSL_free(der);
	EVP_PKEY_free(pair);
	return fake_teardown(state);
}

/* ---- what is refused here ---- */

static void
test_usage(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *text;
	} cases[] = {
		{ "kek import l", 2, "kek import needs one of --key" },
		{ "kek import l --key @%/a --component @%/b", 2, "one of" },
		{ "kek import l --key @%/a --sealed %/b", 2, "one of --key" },
		{ "kek import l --components 2 --key @%/a", 2, "one of" },
		{ "kek import l --bits 128", 2, "does not go with" },
		{ "kek import l --component @%/a", 2, "2 or 3 times" },
		{ "kek import l --component -  --component -", 2,
		    "only one component" },
		{ "kek import l --component @%/a --component @%/a", 5,
		    "components 1 and 2 are the same" },
		{ "kek import l --components 4", 2, "from 2 to 3" },
		{ "kek import l --component " PART_A " --component @%/a", 2,
		    "takes no secret itself" },
		{ "kek generate l", 2, "kek generate needs --bits" },
		{ "kek generate l --bits 160", 2, "128, 192 or 256" },
		{ "kek generate l --bits 128 --out %/o", 2,
		    "--out goes with --for-peer" },
		{ "kek generate l --bits 128 --for-peer %/none", 5,
		    "No such file" },
		{ "kek generate l --bits 128 --for-peer %/a", 5,
		    "public key in PEM" },
		{ "kek rotate l", 2, "--components and --bits" },
		{ "kek rotate l --bits 128 --key @%/a", 2, "needs one of" },
		{ "kek rotate l --key @%/a --for-peer %/partner.pem", 2,
		    "--for-peer goes with --bits" },
		{ "kek rotate l --bits 128 --expect-check-value 01020304", 2,
		    "made only now" },
		{ "kek rotate l --bits 128 --switch-at tomorrow", 2,
		    "--switch-at is a time like" },
		{ "kek rotate l --bits 128 --switch-at +5", 2, "--switch-at" },
		{ "kek rotate l --bits 128 --switch-at +5y", 2, "--switch-at" },
		{ "kek rotate l --bits 128 --switch-at +-5s", 2,
		    "--switch-at" },
		{ "kek rotate l --bits 128 --switch-at "
		  "2026-13-01T00:00:00Z",
		    2, "--switch-at" },
		{ "kek rotate l --bits 128 --switch-at "
		  "2026-02-30T00:00:00Z",
		    2, "--switch-at" },
		{ "kek rotate l --bits 128 --switch-at "
		  "2026-12-01T00:00:00+1",
		    2, "--switch-at" },
		{ "kek retire l --generation 0", 2, "--generation is a" },
		{ "kek test l --generation x", 2, "--generation is a" },
		{ "kek retire", 2, "kek retire needs LABEL" },
		{ "kek import l --sealed %/a", 5, "start with a copy" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_ctl(&run, answer, NULL, cases[i].line);
		if (run.status != cases[i].status ||
		    strstr(run.err, cases[i].text) == NULL) {
			fail_msg(
			    "%s: %d, %s", cases[i].line, run.status, run.err);
		}
		assert_null(strstr(run.err, PART_A));
		assert_int_equal(run.requests, 0);
	}
}

/* ---- components ---- */

static void
test_components(void **state)
{
	uint8_t a[16], b[16], sum[16], kcv[4];
	const Joinery__V1__KekImportRequest *q;
	struct secret *key;

	(void)state;
	fake_ctl(&run, answer, PART_B,
	    "kek import l --component @%/a --component - --wire-label w");
	assert_int_equal(run.status, 0);
	assert_non_null(
	    strstr(run.err, "component 2 of 2: check value " CHECK_B));
	assert_true(hex_parse(PART_A, 32, a, 16));
	assert_true(hex_parse(PART_B, 32, b, 16));
	for (size_t i = 0; i < 16; i++) {
		sum[i] = a[i] ^ b[i];
	}
	assert_int_equal(secret_new(16, &key, NULL), JY_OK);
	memcpy(secret_data(key), sum, 16);
	secret_set_len(key, 16);
	assert_int_equal(seal_check_value(key, kcv, NULL), JY_OK);
	secret_free(key);
	q = fake_last()->kek_import;
	assert_string_equal(q->label, "l");
	assert_string_equal(q->wire_label, "w");
	assert_null(q->copy);
	assert_memory_equal(q->key->check_value.data, kcv, 4);
	assert_memory_equal(q->key->import_key.data, fingerprint, 32);
	assert_null(memmem(run.seen, run.seen_len, a, 6));
	assert_null(memmem(run.seen, run.seen_len, b, 6));
	assert_null(memmem(run.seen, run.seen_len, sum, 6));
}

static void
test_expected_check_value(void **state)
{
	(void)state;
	fake_ctl(&run, answer, NULL,
	    "kek import l --key @%/b --expect-check-value " CHECK_B);
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 2);
	fake_ctl(&run, answer, NULL,
	    "kek import l --key @%/b --expect-check-value be7ed6af");
	assert_int_equal(run.status, 5);
	assert_int_equal(run.requests, 1); /* for the import key alone */
	assert_non_null(
	    strstr(run.err, "has the check value " CHECK_B ", not be7ed6af"));
	fake_ctl(&run, answer, NULL,
	    "kek import l --key @%/b --expect-check-value be7e");
	assert_int_equal(run.status, 2);
	assert_int_equal(run.requests, 0);
}

/* ---- copies ---- */

static bool
exists(const char *name)
{
	struct stat st;

	return stat(fake_path(name), &st) == 0;
}

static void
test_copy_for_a_partner(void **state)
{
	const Joinery__V1__KekGenerateRequest *q;
	struct seal_copy got;
	struct stat st;
	json_t *j;

	(void)state;
	fake_ctl(&run, answer, NULL,
	    "kek generate l --bits 192 --for-peer %/partner.pem --out %/out");
	assert_int_equal(run.status, 0);
	q = fake_last()->kek_generate;
	assert_int_equal(q->bits, 192);
	assert_int_equal(q->for_peer.len, der_len);
	assert_memory_equal(q->for_peer.data, der, der_len);
	assert_null(q->wire_label);
	assert_null(strstr(run.out, "wrapped-key"));
	assert_int_equal(stat(fake_path("out"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(seal_copy_read(fake_path("out"), &got, NULL), JY_OK);
	assert_int_equal(got.bits, 128);
	assert_memory_equal(got.check_value, check, 4);
	assert_memory_equal(got.public_key, fingerprint, 32);
	assert_string_equal(got.oaep_hash, "SHA-1");
	assert_int_equal(got.wrapped_key_len, sizeof(wrapped));
	assert_memory_equal(got.wrapped_key, wrapped, sizeof(wrapped));

	/* What it wrote, it sends. */
	fake_ctl(&run, answer, NULL, "kek rotate l --sealed %/out");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 1);
	assert_memory_equal(
	    fake_last()->kek_rotate->copy->wrapped_key.data, wrapped, 256);
	assert_int_equal(fake_last()->kek_rotate->copy->bits, 128);
	assert_null(fake_last()->kek_rotate->key);
	fake_ctl(&run, answer, NULL,
	    "kek import l --sealed %/out --expect-check-value 01020305");
	assert_int_equal(run.status, 5);
	assert_int_equal(run.requests, 0);

	fake_ctl(&run, answer, NULL,
	    "kek generate l --bits 128 --for-peer %/partner.pem");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out,
	    "-----BEGIN JOINERY KEK COPY-----\n"
	    "Label: l-2\nBits: 128\n"));
	fake_ctl(&run, answer, NULL,
	    "kek generate l --bits 128 --for-peer %/partner.pem --json");
	j = fake_json(&run);
	assert_int_equal(strlen(json_string_value(json_object_get(
			     json_object_get(j, "copy"), "wrapped_key"))),
	    512);
	json_decref(j);
}

static void
test_copy_refused(void **state)
{
	static const char line[] =
	    "kek generate l --bits 128 --for-peer %/partner.pem --out %/no";

	(void)state;
	fingerprint[5] ^= 1;
	fake_ctl(&run, answer, NULL, line);
	fingerprint[5] ^= 1;
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "for another key than the one in"));
	assert_non_null(strstr(run.err, "its copy is lost"));
	assert_false(exists("no"));
	without_copy = true;
	fake_ctl(&run, answer, NULL, line);
	without_copy = false;
	assert_int_equal(run.status, 3);
	assert_false(exists("no"));
	copy.wrapped_key.len = 0;
	fake_ctl(&run, answer, NULL, line);
	copy.wrapped_key.len = sizeof(wrapped);
	assert_int_equal(run.status, 3);
	/* What cannot be written is not asked for. */
	fake_ctl(&run, answer, NULL,
	    "kek generate l --bits 128 --for-peer %/partner.pem --out %/x/y");
	assert_int_equal(run.status, 5);
	assert_int_equal(run.requests, 0);
}

/* Labels that have more than ASCII in them make lines that PEM can take. */
static void
test_copy_labels(void **state)
{
	struct seal_copy c = {
		.bits = 256, .oaep_hash = "SHA-1", .wrapped_key_len = 512
	};
	char odd[65], line[512];
	struct seal_copy got;
	FILE *f;

	(void)state;
	memset(odd, 0xfe, 64);
	odd[64] = '\0';
	c.label = odd;
	f = fopen(fake_path("odd"), "w");
	assert_int_equal(seal_copy_write(&c, f, NULL), JY_OK);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(seal_copy_read(fake_path("odd"), &got, NULL), JY_OK);
	assert_int_equal(got.wrapped_key_len, 512);
	c.label = "a b%";
	f = fopen(fake_path("odd"), "w+");
	assert_int_equal(seal_copy_write(&c, f, NULL), JY_OK);
	rewind(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line, "Label: a%20b%25\n");
	assert_int_equal(fclose(f), 0);
	f = fopen("/dev/full", "w");
	assert_non_null(f);
	(void)setvbuf(f, NULL, _IONBF, 0);
	assert_int_equal(seal_copy_write(&c, f, NULL), JY_EIO);
	(void)fclose(f);
}

/* ---- the rest ---- */

static void
test_switch_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t ahead_ms;
	} cases[] = { { "+90s", 90000 }, { "+15m", 900000 }, { "+2h", 7200000 },
		{ "+3d", 259200000 } };
	const Joinery__V1__KekRotateRequest *q;
	char line[128];
	uint64_t now;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(line, sizeof(line),
		    "kek rotate l --bits 256 --wire-label w --switch-at %s",
		    cases[i].text);
		now = sys_real.now_ms();
		fake_ctl(&run, answer, NULL, line);
		assert_int_equal(run.status, 0);
		q = fake_last()->kek_rotate;
		assert_in_range(q->switch_at_ms, now + cases[i].ahead_ms,
		    now + cases[i].ahead_ms + 60000);
	}
	assert_string_equal(q->wire_label, "w");
	assert_int_equal(q->bits, 256);
	assert_non_null(strstr(run.out, "planned"));
	fake_ctl(&run, answer, NULL,
	    "kek rotate l --bits 256 --switch-at 2100-03-01T12:34:56Z");
	assert_int_equal(
	    fake_last()->kek_rotate->switch_at_ms, 4107587696000ULL);
	fake_ctl(&run, answer, NULL, "kek rotate l --bits 256");
	assert_false(fake_last()->kek_rotate->has_switch_at_ms);
}

static void
test_retire_and_test(void **state)
{
	(void)state;
	fake_ctl(&run, answer, NULL, "kek retire l");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "retired\n");
	assert_false(fake_last()->kek_retire->has_generation);
	assert_false(fake_last()->kek_retire->at_once);
	fake_ctl(&run, answer, NULL, "kek retire l --generation 3 --at-once");
	assert_int_equal(fake_last()->kek_retire->generation, 3);
	assert_true(fake_last()->kek_retire->at_once);
	fake_ctl(&run, answer, NULL, "kek test l --generation 2");
	assert_int_equal(run.status, 0);
	assert_int_equal(fake_last()->kek_test->generation, 2);
	assert_non_null(strstr(run.out, "wrapped-key           01020304\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_components),
		cmocka_unit_test(test_expected_check_value),
		cmocka_unit_test(test_copy_for_a_partner),
		cmocka_unit_test(test_copy_refused),
		cmocka_unit_test(test_copy_labels),
		cmocka_unit_test(test_switch_times),
		cmocka_unit_test(test_retire_and_test),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
