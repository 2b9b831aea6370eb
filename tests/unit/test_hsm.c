/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token layer on real software tokens, SoftHSM and NSS softokn, against
 * published vectors and OpenSSL.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hsm_groups.h"

/* RFC 4493, section 4. */
static const uint8_t rfc4493_key[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae,
	0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };
static const uint8_t rfc4493_data[64] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40,
	0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a, 0xae, 0x2d,
	0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf,
	0x8e, 0x51, 0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11, 0xe5, 0xfb,
	0xc1, 0x19, 0x1a, 0x0a, 0x52, 0xef, 0xf6, 0x9f, 0x24, 0x45, 0xdf, 0x4f,
	0x9b, 0x17, 0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10 };
static const struct {
	size_t len;
	uint8_t mic[4];
} rfc4493[] = {
	{ 0, { 0xbb, 0x1d, 0x69, 0x29 } },
	{ 16, { 0x07, 0x0a, 0x16, 0xb4 } },
	{ 40, { 0xdf, 0xa6, 0x67, 0x47 } },
	{ 64, { 0x51, 0xf0, 0xbe, 0xbf } },
};

/* SP 800-38A, F.1.1, first two blocks under the key of RFC 4493. */
static const uint8_t sp800_38a[32] = { 0x3a, 0xd7, 0x7b, 0xb4, 0x0d, 0x7a, 0x36,
	0x60, 0xa8, 0x9e, 0xca, 0xf3, 0x24, 0x66, 0xef, 0x97, 0xf5, 0xd3, 0xd5,
	0x85, 0x03, 0xb9, 0x69, 0x9d, 0xe7, 0x85, 0x89, 0x5a, 0x96, 0xfd, 0xba,
	0xaf };

/* RFC 3394, section 4: the KEK is 00 01 .. , the key data 00 11 .. ff. */
static const struct {
	size_t kek_len;
	uint8_t wrapped[24];
} rfc3394[] = {
	{ 16,
	    { 0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47, 0xae, 0xf3, 0x4b,
		0xd8, 0xfb, 0x5a, 0x7b, 0x82, 0x9d, 0x3e, 0x86, 0x23, 0x71,
		0xd2, 0xcf, 0xe5 } },
	{ 24,
	    { 0x96, 0x77, 0x8b, 0x25, 0xae, 0x6c, 0xa4, 0x35, 0xf9, 0x2b, 0x5b,
		0x97, 0xc0, 0x50, 0xae, 0xd2, 0x46, 0x8a, 0xb8, 0xa1, 0x7a,
		0xd8, 0x4e, 0x5d } },
	{ 32,
	    { 0x64, 0xe8, 0xc3, 0xf9, 0xce, 0x0f, 0x5b, 0xa2, 0x63, 0xe9, 0x77,
		0x79, 0x05, 0x81, 0x8a, 0x2a, 0x93, 0xc8, 0x19, 0x1e, 0x7d,
		0x6e, 0x8a, 0xe7 } },
};

static void
import_as(const char *name, const uint8_t *key, size_t len,
    enum hsm_template template)
{
	struct hsm_id id = id_of(name);
	struct errctx ec = ERRCTX_INIT;
	struct sealing s;
	enum jy_err err;

	seal_for(hsm, key, len, &s);
	err = hsm_key_import(hsm, &s.sealed, len, template, &id, name, &ec);
	if (err != JY_OK) {
		print_error("import: %s\n", err_detail(&ec, err));
	}
	assert_int_equal(err, JY_OK);
}

static struct hsm_key *
get(const char *name, enum hsm_template template)
{
	struct hsm_id id = id_of(name);
	struct errctx ec = ERRCTX_INIT;
	struct hsm_key *key = NULL;
	enum jy_err err = hsm_key_get(hsm, &id, template, &key, &ec);

	if (err != JY_OK) {
		print_error("get %s: %s\n", name, err_detail(&ec, err));
	}
	assert_int_equal(err, JY_OK);
	assert_non_null(key);
	return key;
}

static bool
holds(const char *name, enum hsm_template template)
{
	struct hsm_id id = id_of(name);
	struct hsm_key *key = NULL;
	enum jy_err err = hsm_key_get(hsm, &id, template, &key, NULL);

	if (err == JY_OK) {
		hsm_key_put(hsm, key);
		return true;
	}
	assert_int_equal(err, JY_ENOKEY);
	return false;
}

/* ---- operations ---- */

static void
test_mic(void **state)
{
	struct hsm_session *s;
	struct hsm_key *key;
	uint8_t mic[4];

	SKIP_WITHOUT_TOKEN();
	import_as("mic", rfc4493_key, 16, HSM_ROOT);
	key = get("mic", HSM_ROOT);
	s = hsm_session_get(hsm);
	for (size_t i = 0; i < ARRAY_LEN(rfc4493); i++) {
		assert_int_equal(
		    hsm_mic(s, key, rfc4493_data, rfc4493[i].len, mic, NULL),
		    JY_OK);
		assert_memory_equal(mic, rfc4493[i].mic, 4);
	}
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
}

static void
test_decrypt(void **state)
{
	struct hsm_session *s;
	struct hsm_key *key;
	uint8_t out[32];

	SKIP_WITHOUT_TOKEN();
	import_as("ecb", rfc4493_key, 16, HSM_ROOT);
	key = get("ecb", HSM_ROOT);
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_decrypt(s, key, sp800_38a, 16, out, NULL), JY_OK);
	assert_memory_equal(out, rfc4493_data, 16);
	assert_int_equal(hsm_decrypt(s, key, sp800_38a, 32, out, NULL), JY_OK);
	assert_memory_equal(out, rfc4493_data, 32);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
}

/* The three KEK sizes of RFC 3394, with a key that the token derives. */
static void
test_derive_wrapped(void **state)
{
	uint8_t kek_value[32], key_data[16], block[16], out[HSM_WRAPPED_LEN];
	struct hsm_key *root, *kek;
	struct hsm_session *s;

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < sizeof(kek_value); i++) {
		kek_value[i] = (uint8_t)i;
		key_data[i % 16] = (uint8_t)(0x11 * (i % 16));
	}
	ossl_ecb(false, rfc4493_key, key_data, 16, block);
	import_as("root", rfc4493_key, 16, HSM_DERIVE_ONLY);
	root = get("root", HSM_DERIVE_ONLY);
	s = hsm_session_get(hsm);
	for (size_t i = 0; i < ARRAY_LEN(rfc3394); i++) {
		import_as("kek", kek_value, rfc3394[i].kek_len, HSM_KEK);
		kek = get("kek", HSM_KEK);
		assert_int_equal(
		    hsm_derive_wrapped(s, root, block, kek, out, NULL), JY_OK);
		assert_memory_equal(out, rfc3394[i].wrapped, sizeof(out));
		hsm_key_put(hsm, kek);
	}
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, root);
}

static void
test_derive_clear(void **state)
{
	struct hsm_session *s;
	struct hsm_key *root;
	uint8_t out[16];

	SKIP_WITHOUT_TOKEN();
	import_as("clear", rfc4493_key, 16, HSM_ROOT);
	root = get("clear", HSM_ROOT);
	s = hsm_session_get(hsm);
	assert_int_equal(
	    hsm_derive_clear(s, root, rfc4493_data, out, NULL), JY_OK);
	assert_memory_equal(out, sp800_38a, sizeof(out));
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, root);
}

/* The MIC under a derived key, which leaves no trace in the cache. */
static void
test_derive_mic(void **state)
{
	struct hsm_stats before, after;
	struct hsm_session *s;
	struct hsm_key *root;
	uint8_t want[16], mic[4];

	SKIP_WITHOUT_TOKEN();
	import_as("once", rfc4493_key, 16, HSM_DERIVE_ONLY);
	root = get("once", HSM_DERIVE_ONLY);
	s = hsm_session_get(hsm);
	hsm_stats(hsm, &before);
	for (size_t len = 1; len <= 64; len += 21) {
		ossl_cmac(sp800_38a, 16, rfc4493_data, len, want);
		assert_int_equal(hsm_derive_mic(s, root, rfc4493_data,
				     rfc4493_data, len, mic, NULL),
		    JY_OK);
		assert_memory_equal(mic, want, 4);
	}
	hsm_stats(hsm, &after);
	assert_int_equal(after.calls - before.calls, 4 * 4);
	assert_int_equal(after.cache_misses, before.cache_misses);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, root);
}

static void
test_derived_keys(void **state)
{
	struct hsm_id mac_id = id_of("Iderived"), dec_id = id_of("Ederived");
	struct hsm_key *root, *mac, *dec, *again;
	struct hsm_stats before, after;
	uint8_t want[16], out[16], mic[4];
	struct hsm_session *s;

	SKIP_WITHOUT_TOKEN();
	import_as("parent", rfc4493_key, 16, HSM_ROOT);
	root = get("parent", HSM_ROOT);
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_key_get_derived(hsm, &mac_id, HSM_MAC, root,
			     rfc4493_data, &mac, NULL),
	    JY_OK);
	assert_int_equal(hsm_key_get_derived(hsm, &dec_id, HSM_DECRYPT, root,
			     rfc4493_data, &dec, NULL),
	    JY_OK);
	ossl_cmac(sp800_38a, 16, rfc4493_data, 64, want);
	assert_int_equal(hsm_mic(s, mac, rfc4493_data, 64, mic, NULL), JY_OK);
	assert_memory_equal(mic, want, 4);
	ossl_ecb(false, sp800_38a, rfc4493_data, 16, want);
	assert_int_equal(
	    hsm_decrypt(s, dec, rfc4493_data, 16, out, NULL), JY_OK);
	assert_memory_equal(out, want, 16);

	/* The second time it is at hand. */
	hsm_stats(hsm, &before);
	assert_int_equal(hsm_key_get_derived(hsm, &mac_id, HSM_MAC, root,
			     rfc4493_data, &again, NULL),
	    JY_OK);
	hsm_stats(hsm, &after);
	assert_ptr_equal(again, mac);
	assert_int_equal(after.calls, before.calls);
	hsm_key_put(hsm, again);
	hsm_key_put(hsm, mac);
	hsm_key_put(hsm, dec);
	hsm_key_put(hsm, root);
	hsm_session_put(hsm, s);
}

/* A 1.0.x join with hot handles: no call more than it takes. */
static void
test_twelve_calls(void **state)
{
	struct hsm_stats before, after;
	struct hsm_key *root, *kek;
	struct hsm_session *s;
	uint8_t mic[4], out[32], envelope[HSM_WRAPPED_LEN];

	SKIP_WITHOUT_TOKEN();
	import_as("joiner", rfc4493_key, 16, HSM_ROOT);
	import_as("ns-kek", rfc4493_key, 16, HSM_KEK);
	hsm_key_put(hsm, get("joiner", HSM_ROOT));
	hsm_key_put(hsm, get("ns-kek", HSM_KEK));
	s = hsm_session_get(hsm);
	root = get("joiner", HSM_ROOT);
	assert_int_equal(hsm_mic(s, root, rfc4493_data, 19, mic, NULL), JY_OK);

	hsm_stats(hsm, &before);
	hsm_key_put(hsm, root);
	root = get("joiner", HSM_ROOT);
	kek = get("ns-kek", HSM_KEK);
	assert_int_equal(hsm_mic(s, root, rfc4493_data, 19, mic, NULL), JY_OK);
	assert_int_equal(hsm_mic(s, root, rfc4493_data, 13, mic, NULL), JY_OK);
	assert_int_equal(
	    hsm_decrypt(s, root, rfc4493_data, 16, out, NULL), JY_OK);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(
		    hsm_derive_wrapped(
			s, root, rfc4493_data + 16 * i, kek, envelope, NULL),
		    JY_OK);
	}
	hsm_stats(hsm, &after);
	assert_int_equal(after.calls - before.calls, 12);
	assert_int_equal(after.cache_misses, before.cache_misses);
	hsm_key_put(hsm, kek);
	hsm_key_put(hsm, root);
	hsm_session_put(hsm, s);
}

/* What a template does not allow; softokn goes by the usage booleans. */
static void
test_wrong_use(void **state)
{
	struct hsm_key *kek, *root;
	struct hsm_session *s;
	uint8_t mic[4] = { 1, 2, 3, 4 }, untouched[4] = { 1, 2, 3, 4 };
	uint8_t out[HSM_WRAPPED_LEN];

	SKIP_WITHOUT_TOKEN();
	import_as("no-mac", rfc4493_key, 16, HSM_KEK);
	import_as("no-wrap", rfc4493_key, 16, HSM_ROOT);
	kek = get("no-mac", HSM_KEK);
	root = get("no-wrap", HSM_ROOT);
	s = hsm_session_get(hsm);
	assert_int_equal(
	    hsm_mic(s, kek, rfc4493_data, 16, mic, NULL), JY_ETOKENREQ);
	assert_memory_equal(mic, untouched, 4);
	assert_int_equal(
	    hsm_decrypt(s, kek, rfc4493_data, 16, out, NULL), JY_ETOKENREQ);
	assert_int_equal(
	    hsm_derive_wrapped(s, root, rfc4493_data, root, out, NULL),
	    JY_ETOKENREQ);
	/* softokn derives from any key: its report says "usage: no". */
	assert_int_equal(
	    hsm_derive_wrapped(s, kek, rfc4493_data, kek, out, NULL),
	    token.kind == TOKEN_SOFTOKN ? JY_OK : JY_ETOKENREQ);
	/* The token is none the worse for it. */
	assert_int_equal(hsm_mic(s, root, rfc4493_data, 16, mic, NULL), JY_OK);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, root);
	hsm_key_put(hsm, kek);
}

/* ---- import ---- */

static void
expect_import(struct sealing *s, size_t key_len, enum jy_err want)
{
	struct hsm_id id = id_of("refused");
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(hsm_key_import(hsm, &s->sealed, key_len, HSM_ROOT, &id,
			     "refused", &ec),
	    want);
	assert_string_not_equal(ec.text, "");
	assert_false(holds("refused", HSM_ROOT));
}

static void
test_import_refusals(void **state)
{
	uint8_t long_key[32] = { 7 };
	struct sealing s;

	SKIP_WITHOUT_TOKEN();
	seal_for(hsm, rfc4493_key, 16, &s);
	s.import_key[0] ^= 1;
	expect_import(&s, 16, JY_EINVAL);
	s.import_key[0] ^= 1;

	s.sealed.transport_key_len--;
	expect_import(&s, 16, JY_EINVAL);
	s.sealed.transport_key_len++;

	s.sealed.wrapped_key_len = 32;
	expect_import(&s, 16, JY_EINVAL);
	s.sealed.wrapped_key_len = 16;
	expect_import(&s, 16, JY_EINVAL);
	s.sealed.wrapped_key_len = 24;

	s.wrapped_key[11] ^= 0x10;
	expect_import(&s, 16, JY_ETOKENREQ);
	s.wrapped_key[11] ^= 0x10;

	s.transport_key[100] ^= 0x01;
	expect_import(&s, 16, JY_ETOKENREQ);
	s.transport_key[100] ^= 0x01;

	s.kcv[3] ^= 0x80;
	expect_import(&s, 16, JY_EKCV);
	s.kcv[3] ^= 0x80;

	seal_for(hsm, long_key, sizeof(long_key), &s);
	expect_import(&s, 16, JY_EINVAL);
}

/* An import that is done again replaces what is there, and its copy. */
static void
test_import_again(void **state)
{
	uint8_t other[16] = { 9 }, want[16], mic[4];
	struct hsm_session *s;
	struct hsm_key *key;

	SKIP_WITHOUT_TOKEN();
	import_as("twice", rfc4493_key, 16, HSM_ROOT);
	hsm_key_put(hsm, get("twice", HSM_ROOT));
	import_as("twice", other, 16, HSM_ROOT);
	key = get("twice", HSM_ROOT);
	s = hsm_session_get(hsm);
	ossl_cmac(other, 16, rfc4493_data, 16, want);
	assert_int_equal(hsm_mic(s, key, rfc4493_data, 16, mic, NULL), JY_OK);
	assert_memory_equal(mic, want, 4);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
}

static void
test_generate(void **state)
{
	static const size_t sizes[] = { 16, 24, 32 };
	struct hsm_id id = id_of("generated");
	uint8_t kcv[4] = { 0 }, last[4] = { 0 };

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(hsm_key_generate(hsm, sizes[i], HSM_KEK, &id,
				     "generated", kcv, NULL),
		    JY_OK);
		assert_memory_not_equal(kcv, last, sizeof(kcv));
		memcpy(last, kcv, sizeof(kcv));
		assert_true(holds("generated", HSM_KEK));
	}
}

/* A check value is what the key itself says. */
static void
test_generate_check_value(void **state)
{
	static const uint8_t zeros[16];
	struct hsm_id id = id_of("self");
	uint8_t kcv[4], mic[4];
	struct hsm_session *s;
	struct hsm_key *key;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(
	    hsm_key_generate(hsm, 16, HSM_ROOT, &id, "self", kcv, NULL), JY_OK);
	key = get("self", HSM_ROOT);
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_mic(s, key, zeros, 16, mic, NULL), JY_OK);
	assert_memory_equal(mic, kcv, 4);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, key);
}

static void
test_destroy(void **state)
{
	struct hsm_id id = id_of("short-lived");
	struct hsm_key *key;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_ENOKEY);
	import_as("short-lived", rfc4493_key, 16, HSM_ROOT);
	key = get("short-lived", HSM_ROOT);
	assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_OK);
	assert_false(holds("short-lived", HSM_ROOT));
	hsm_key_put(hsm, key);
	assert_false(holds("short-lived", HSM_ROOT));
}

/* ---- the token ---- */

static void
test_canary(void **state)
{
	uint8_t identity[HSM_IDENTITY_LEN], again[HSM_IDENTITY_LEN];
	struct hsm_session *s;

	SKIP_WITHOUT_TOKEN();
	s = hsm_session_get(hsm);
	assert_int_equal(hsm_canary(hsm, s, NULL), JY_OK);
	hsm_session_put(hsm, s);
	hsm_identity(hsm, identity);
	hsm_close(hsm);
	hsm = token_open(&token);
	hsm_identity(hsm, again);
	assert_memory_equal(identity, again, sizeof(again));
}

/* Keys of an earlier process are found without a search. */
static void
test_index(void **state)
{
	struct hsm_stats before, after;

	SKIP_WITHOUT_TOKEN();
	import_as("indexed", rfc4493_key, 16, HSM_ROOT);
	hsm_close(hsm);
	hsm = token_open(&token);
	hsm_stats(hsm, &before);
	hsm_key_put(hsm, get("indexed", HSM_ROOT));
	hsm_stats(hsm, &after);
	/* One C_CopyObject, and the scratch session. */
	assert_true(after.calls - before.calls <= 2);
	assert_int_equal(after.cache_misses - before.cache_misses, 1);
}

static void
test_setup_twice(void **state)
{
	struct hsm_setup setup = { .config = &token.config,
		.create = true,
		.so_pin_source = token.so_pin };
	uint8_t before[HSM_FINGERPRINT_LEN], after[HSM_FINGERPRINT_LEN];
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	bool created = true;
	size_t len;

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(
	    hsm_import_key(hsm, 1, der, &len, before, NULL), JY_OK);
	hsm_close(hsm);
	hsm = NULL;
	assert_int_equal(hsm_setup(&setup, &created, NULL), JY_OK);
	assert_false(created);
	hsm = token_open(&token);
	assert_int_equal(hsm_import_key(hsm, 1, der, &len, after, NULL), JY_OK);
	assert_memory_equal(before, after, sizeof(after));
}

/* What each token is known to give (and softokn is known not to). */
static void
test_policies(void **state)
{
	static const char *const names[] = { "allowed-mechanisms" };
	struct hsm_config config = token.config;
	struct errctx ec = ERRCTX_INIT;
	struct hsm_report report;
	struct hsm *other = NULL;
	enum jy_err err;

	SKIP_WITHOUT_TOKEN();
	hsm_close(hsm);
	hsm = NULL;
	config.require = names;
	config.require_count = ARRAY_LEN(names);
	err = hsm_open(&config, &other, &report, &ec);
	if (token.kind == TOKEN_SOFTHSM) {
		assert_int_equal(err, JY_OK);
		hsm_close(other);
	} else {
		assert_int_equal(err, JY_EPOLICY);
		assert_null(other);
		assert_false(report.ok);
		assert_non_null(strstr(ec.text, "allowed-mechanisms"));
	}
	hsm = token_open(&token);
}

static void
test_unknown_policy(void **state)
{
	static const char *const names[] = { "no-such-guarantee" };
	struct hsm_config config = token.config;
	struct hsm_report report;
	struct hsm *other = NULL;

	SKIP_WITHOUT_TOKEN();
	hsm_close(hsm);
	hsm = NULL;
	config.require = names;
	config.require_count = ARRAY_LEN(names);
	assert_int_equal(hsm_open(&config, &other, &report, NULL), JY_ECONFIG);
	hsm = token_open(&token);
}

static void
test_report(void **state)
{
	struct hsm_report report;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	SKIP_WITHOUT_TOKEN();
	hsm_close(hsm);
	assert_int_equal(hsm_open(&token.config, &hsm, &report, NULL), JY_OK);
	out = open_memstream(&text, &len);
	hsm_report_print(&report, out, false);
	hsm_report_print(&report, out, true);
	(void)fclose(out);
	assert_non_null(strstr(text, "CKM_AES_CMAC sign"));
	assert_non_null(strstr(text, "\"name\":\"policy no-wrap\""));
	assert_non_null(strstr(text, "The token can serve."));
	/* Known of SoftHSM; see hsm/template.c. */
	assert_int_equal(strstr(text, "stay modifiable") != NULL,
	    token.kind == TOKEN_SOFTHSM);
	free(text);
}

/* ---- the cache ---- */

#define CROWD 80

static void
test_eviction(void **state)
{
	struct hsm_session *s;
	struct hsm_key *pinned;
	struct hsm_stats before, after;
	uint8_t mic[4], block[16] = { 0 };
	struct hsm_key *root;

	SKIP_WITHOUT_TOKEN();
	import_as("crowd", rfc4493_key, 16, HSM_ROOT);
	import_as("pinned", rfc4493_key, 16, HSM_ROOT);
	root = get("crowd", HSM_ROOT);
	pinned = get("pinned", HSM_ROOT);
	s = hsm_session_get(hsm);
	hsm_stats(hsm, &before);
	for (uint8_t i = 0; i < CROWD; i++) {
		char name[8];
		struct hsm_id id;
		struct hsm_key *key;

		(void)snprintf(name, sizeof(name), "I%u", i);
		id = id_of(name);
		block[0] = i;
		assert_int_equal(hsm_key_get_derived(hsm, &id, HSM_MAC, root,
				     block, &key, NULL),
		    JY_OK);
		assert_int_equal(
		    hsm_mic(s, key, rfc4493_data, 16, mic, NULL), JY_OK);
		hsm_key_put(hsm, key);
	}
	/* The one in use has stayed, the others went through the table. */
	assert_int_equal(
	    hsm_mic(s, pinned, rfc4493_data, 16, mic, NULL), JY_OK);
	assert_memory_equal(mic, rfc4493[1].mic, 4);
	hsm_stats(hsm, &after);
	assert_int_equal(after.cache_misses - before.cache_misses, CROWD);
	hsm_session_put(hsm, s);
	hsm_key_put(hsm, pinned);
	hsm_key_put(hsm, root);
}

static void
test_all_pinned(void **state)
{
	struct hsm_key *keys[64];
	struct hsm_key *root;
	uint8_t block[16] = { 1 };
	enum jy_err err = JY_OK;
	size_t n = 0;

	SKIP_WITHOUT_TOKEN();
	import_as("hoarder", rfc4493_key, 16, HSM_ROOT);
	root = get("hoarder", HSM_ROOT);
	while (err == JY_OK && n < ARRAY_LEN(keys)) {
		char name[8];
		struct hsm_id id;

		(void)snprintf(name, sizeof(name), "H%zu", n);
		id = id_of(name);
		block[1] = (uint8_t)n;
		err = hsm_key_get_derived(
		    hsm, &id, HSM_MAC, root, block, &keys[n], NULL);
		n += err == JY_OK ? 1 : 0;
	}
	assert_int_equal(err, JY_EBUSY);
	while (n > 0) {
		hsm_key_put(hsm, keys[--n]);
	}
	hsm_key_put(hsm, root);
	assert_true(holds("hoarder", HSM_ROOT));
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 200

static void *
work(void *arg)
{
	const uint8_t *want = arg;
	bool ok = true;

	for (size_t i = 0; ok && i < ROUNDS; i++) {
		struct hsm_session *s = hsm_session_get(hsm);
		struct hsm_id id = id_of(i % 2 == 0 ? "shared" : "sharer");
		struct hsm_key *key = NULL;
		uint8_t mic[4], clear[16];

		ok = hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL) == JY_OK &&
		    hsm_mic(s, key, rfc4493_data, 16, mic, NULL) == JY_OK &&
		    memcmp(mic, want, 4) == 0 &&
		    hsm_derive_clear(s, key, rfc4493_data, clear, NULL) ==
			JY_OK &&
		    memcmp(clear, sp800_38a, 16) == 0;
		hsm_key_put(hsm, key);
		hsm_session_put(hsm, s);
	}
	return ok ? arg : NULL;
}

static void
test_threads(void **state)
{
	uint8_t want[4];
	pthread_t threads[THREADS];

	SKIP_WITHOUT_TOKEN();
	memcpy(want, rfc4493[1].mic, 4);
	import_as("shared", rfc4493_key, 16, HSM_ROOT);
	import_as("sharer", rfc4493_key, 16, HSM_ROOT);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(
		    pthread_create(&threads[i], NULL, work, want), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mic),
		cmocka_unit_test(test_decrypt),
		cmocka_unit_test(test_derive_wrapped),
		cmocka_unit_test(test_derive_clear),
		cmocka_unit_test(test_derive_mic),
		cmocka_unit_test(test_derived_keys),
		cmocka_unit_test(test_twelve_calls),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_import_refusals),
		cmocka_unit_test(test_import_again),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_generate_check_value),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_canary),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_setup_twice),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_unknown_policy),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_all_pinned),
		cmocka_unit_test(test_threads),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
	};

	return hsm_groups_run(&groups);
}
