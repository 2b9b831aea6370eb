/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/lorawan, frames and derivation blocks, against the joins and rejoins of
 * tests/vectors/lorawan_joins.jsonl and lorawan_rejoins.jsonl, and against
 * values others published.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/lorawan/derive.h"
#include "src/lorawan/frame.h"
#include "tests/vectors/vectors.h"
#include "tools/sim_crypto.h"

static struct sim_crypto *crypto;

static int
setup(void **state)
{
	(void)state;
	return sim_crypto_new(&crypto, NULL) == JY_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	sim_crypto_free(crypto);
	return 0;
}

/* ---- lines of joinery-sim vectors ---- */

/* The octets of a member; returns how many, or -1 when there is none. */
static int
member(const char *line, const char *name, uint8_t *out, size_t cap)
{
	char pattern[40];
	const char *text;
	size_t len;

	(void)snprintf(pattern, sizeof(pattern), "\"%s\":\"", name);
	text = strstr(line, pattern);
	if (text == NULL) {
		return -1;
	}
	text += strlen(pattern);
	len = strcspn(text, "\"") / 2;
	assert_true(len <= cap);
	assert_true(hex_parse(text, 2 * len, out, len));
	return (int)len;
}

static uint32_t
member_number(const char *line, const char *name)
{
	uint8_t b[4] = { 0 };
	int len = member(line, name, b, sizeof(b));
	uint32_t value = 0;

	assert_true(len > 0);
	for (int i = 0; i < len; i++) {
		value = value << 8 | b[i];
	}
	return value;
}

static void
member_key(const char *line, const char *name, struct secret_block *out)
{
	assert_int_equal(
	    member(line, name, out->b, sizeof(out->b)), sizeof(out->b));
}

struct vector {
	const char *line;
	bool opt_neg;
	struct secret_block nwk_root; /* of frames and network keys */
	struct secret_block app_root;
	enum lw_join_type type;
	struct eui64 join_eui;
	struct lw_request request;
	struct lw_join_accept accept;
	uint8_t cf_list[LW_CF_LIST_LEN]; /* of accept */
};

static void
vector_roots(struct vector *v)
{
	bool app = strstr(v->line, "\"v10_root\":\"app\"") != NULL ||
	    strstr(v->line, "\"nwk_key\"") == NULL;
	const char *one = app ? "app_key" : "nwk_key";

	member_key(v->line, v->opt_neg ? "nwk_key" : one, &v->nwk_root);
	member_key(v->line, v->opt_neg ? "app_key" : one, &v->app_root);
}

/* A key that an ECB encryption under NwkKey makes of the block. */
static void
derive(const struct vector *v, const uint8_t block[LW_BLOCK_LEN],
    struct secret_block *out)
{
	sim_crypto_encrypt(crypto, &v->nwk_root, block, LW_BLOCK_LEN, out->b);
}

static void
mic_key(const struct vector *v, struct secret_block *out)
{
	uint8_t block[LW_BLOCK_LEN];

	if (v->type == LW_JOIN_REQUEST) {
		*out = v->nwk_root;
		return;
	}
	if (v->type == LW_JOIN_REJOIN_1) {
		lw_block_js(block, LW_JS_INT_KEY, &v->request.dev_eui);
	} else {
		lw_block_v11(block, LW_S_NWK_S_INT_KEY,
		    member_number(v->line, "session_join_nonce"), &v->join_eui,
		    (uint16_t)member_number(v->line, "session_dev_nonce"));
	}
	derive(v, block, out);
}

static void
check_request(struct vector *v)
{
	static const char *const counters[] = { "rj_count0", "rj_count1",
		"rj_count0" };
	bool rejoin = v->type != LW_JOIN_REQUEST;
	struct lw_request *r = &v->request;
	uint8_t phy[LW_REJOIN_1_LEN];
	struct secret_block key;
	uint8_t mic[LW_MIC_LEN];
	struct eui64 eui;
	int len = member(v->line, rejoin ? "rejoin_request" : "join_request",
	    phy, sizeof(phy));

	assert_true(len > 0);
	assert_int_equal(rejoin
		? lw_rejoin_request_parse(phy, (size_t)len, r, NULL)
		: lw_join_request_parse(phy, (size_t)len, r, NULL),
	    JY_OK);
	assert_int_equal(r->type, v->type);
	assert_int_equal(r->has_join_eui, !rejoin || v->type == 1);
	assert_int_equal(member(v->line, "join_eui", v->join_eui.be, 8), 8);
	if (r->has_join_eui) {
		assert_true(eui64_eq(&r->join_eui, &v->join_eui));
	} else {
		assert_int_equal(
		    r->net_id, member_number(v->line, "session_net_id"));
	}
	assert_int_equal(member(v->line, "dev_eui", eui.be, 8), 8);
	assert_true(eui64_eq(&r->dev_eui, &eui));
	assert_int_equal(r->counter,
	    member_number(v->line, rejoin ? counters[v->type] : "dev_nonce"));
	assert_int_equal(r->mic_input_len, len - LW_MIC_LEN);
	assert_memory_equal(r->mic_input, phy, r->mic_input_len);
	mic_key(v, &key);
	sim_crypto_mic(crypto, &key, r->mic_input, r->mic_input_len, mic);
	assert_memory_equal(r->mic, mic, sizeof(mic));
}

static void
check_accept(struct vector *v)
{
	struct lw_join_accept *a = &v->accept;
	struct secret_block js_int = v->nwk_root, hide = v->nwk_root;
	uint8_t input[LW_ACCEPT_INPUT_MAX];
	uint8_t block[LW_BLOCK_LEN];
	uint8_t phy[LW_JOIN_ACCEPT_MAX];
	uint8_t mine[LW_JOIN_ACCEPT_MAX];
	size_t head_len;
	size_t len;
	int phy_len = member(v->line, "join_accept", phy, sizeof(phy));

	a->join_nonce = member_number(v->line, "join_nonce");
	a->net_id = member_number(v->line, "net_id");
	a->dev_addr = member_number(v->line, "dev_addr");
	a->dl_settings = (uint8_t)member_number(v->line, "dl_settings");
	a->rx_delay = (uint8_t)member_number(v->line, "rx_delay");
	a->has_cf_list = member(v->line, "cf_list", v->cf_list, 16) == 16;
	a->cf_list = v->cf_list;
	if (v->opt_neg) {
		lw_block_js(block, LW_JS_INT_KEY, &v->request.dev_eui);
		derive(v, block, &js_int);
	}
	if (v->type != LW_JOIN_REQUEST) {
		lw_block_js(block, LW_JS_ENC_KEY, &v->request.dev_eui);
		derive(v, block, &hide);
	}
	len = lw_join_accept_input(
	    a, v->type, &v->join_eui, v->request.counter, input, &head_len);
	assert_int_equal(head_len, v->opt_neg ? 11 : 0);
	assert_int_equal(len - head_len + LW_MIC_LEN, phy_len);
	memcpy(mine, input + head_len, len - head_len);
	sim_crypto_mic(crypto, &js_int, input, len, mine + len - head_len);
	sim_crypto_decrypt(
	    crypto, &hide, mine + 1, (size_t)phy_len - 1, mine + 1);
	assert_memory_equal(mine, phy, (size_t)phy_len);
}

static void
check_key(const struct vector *v, const char *name, enum lw_key key)
{
	const struct secret_block *root =
	    key == LW_APP_S_KEY ? &v->app_root : &v->nwk_root;
	struct secret_block wanted;
	uint8_t block[LW_BLOCK_LEN];

	member_key(v->line, name, &wanted);
	if (key == LW_JS_ENC_KEY || key == LW_JS_INT_KEY) {
		lw_block_js(block, key, &v->request.dev_eui);
	} else if (v->opt_neg) {
		lw_block_v11(block, key, v->accept.join_nonce, &v->join_eui,
		    v->request.counter);
	} else {
		lw_block_v10(block, key, v->accept.join_nonce, v->accept.net_id,
		    v->request.counter);
	}
	sim_crypto_encrypt(crypto, root, block, sizeof(block), block);
	assert_memory_equal(block, wanted.b, sizeof(block));
}

static void
check_keys(const struct vector *v)
{
	check_key(v, "AppSKey", LW_APP_S_KEY);
	if (!v->opt_neg) {
		check_key(v, "NwkSKey", LW_F_NWK_S_INT_KEY);
		return;
	}
	check_key(v, "FNwkSIntKey", LW_F_NWK_S_INT_KEY);
	check_key(v, "SNwkSIntKey", LW_S_NWK_S_INT_KEY);
	check_key(v, "NwkSEncKey", LW_NWK_S_ENC_KEY);
	check_key(v, "JSEncKey", LW_JS_ENC_KEY);
	check_key(v, "JSIntKey", LW_JS_INT_KEY);
}

static enum lw_join_type
vector_type(const char *line)
{
	static const char member_name[] = "\"rejoin_type\":";
	const char *at = strstr(line, member_name);

	return at == NULL
	    ? LW_JOIN_REQUEST
	    : (enum lw_join_type)(at[sizeof(member_name) - 1] - '0');
}

static int
check_vectors(const char *name)
{
	FILE *in = vectors_open(name);
	char line[2048];
	int count = 0;

	while (fgets(line, sizeof(line), in) != NULL) {
		struct vector v = { .line = line };

		v.opt_neg = strstr(line, "\"opt_neg\":true") != NULL;
		v.type = vector_type(line);
		vector_roots(&v);
		check_request(&v);
		check_accept(&v);
		check_keys(&v);
		count++;
	}
	(void)fclose(in);
	return count;
}

static void
test_joins(void **state)
{
	(void)state;
	assert_int_equal(check_vectors("lorawan_joins.jsonl"), 120);
}

static void
test_rejoins(void **state)
{
	(void)state;
	assert_int_equal(check_vectors("lorawan_rejoins.jsonl"), 72);
}

/* ---- published values ---- */

/* lora-packet by A. Kirby, __tests__/key_gen_test.ts. */
static void
test_published_v10(void **state)
{
	const struct secret_block root = { { 0x98, 0x92, 0x9b, 0x92, 0xc4, 0x9e,
	    0xdb, 0xa9, 0x67, 0x6d, 0x64, 0x6d, 0x3b, 0x61, 0x24, 0x56 } };
	static const uint8_t nwk_s_key[16] = { 0x4e, 0x3d, 0x6e, 0x6a, 0xfb,
		0xcc, 0x67, 0xaf, 0x2b, 0xa3, 0xc8, 0xe8, 0xec, 0x4a, 0xcf,
		0x4b };
	static const uint8_t app_s_key[16] = { 0x61, 0x08, 0x97, 0xaa, 0x6f,
		0x14, 0x60, 0x62, 0x34, 0x43, 0xb5, 0x27, 0xd3, 0xac, 0x6a,
		0x9d };
	uint8_t block[LW_BLOCK_LEN];

	(void)state;
	lw_block_v10(block, LW_F_NWK_S_INT_KEY, 0x376338, 0xAABBCC, 0xF18E);
	sim_crypto_encrypt(crypto, &root, block, sizeof(block), block);
	assert_memory_equal(block, nwk_s_key, sizeof(block));
	lw_block_v10(block, LW_APP_S_KEY, 0x376338, 0xAABBCC, 0xF18E);
	sim_crypto_encrypt(crypto, &root, block, sizeof(block), block);
	assert_memory_equal(block, app_s_key, sizeof(block));
}

/*
 * brocaar/lorawan, phypayload_test.go, join-accept of LoRaWAN 1.1; there one
 * key is both JSIntKey and the key of the encryption.
 */
static void
test_published_v11_accept(void **state)
{
	const struct secret_block key = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
	    12, 13, 14, 15, 16 } };
	const struct eui64 join_eui = { { 8, 7, 6, 5, 4, 3, 2, 1 } };
	const struct lw_join_accept a = {
		.join_nonce = 0x010101,
		.net_id = 0x020202,
		.dev_addr = 0x01020304,
		.dl_settings = LW_OPT_NEG,
	};
	static const uint8_t wanted[LW_JOIN_ACCEPT_LEN] = { 0x20, 0x7a, 0xbe,
		0xea, 0x06, 0xb0, 0x29, 0x20, 0xf1, 0x1c, 0x02, 0xd0, 0x34,
		0x8f, 0xcf, 0x18, 0x15 };
	uint8_t input[LW_ACCEPT_INPUT_MAX];
	uint8_t phy[LW_JOIN_ACCEPT_LEN];
	size_t head_len;
	size_t len;

	(void)state;
	len = lw_join_accept_input(
	    &a, LW_JOIN_REQUEST, &join_eui, 0x0102, input, &head_len);
	assert_int_equal(len - head_len, LW_JOIN_ACCEPT_LEN - LW_MIC_LEN);
	memcpy(phy, input + head_len, len - head_len);
	sim_crypto_mic(crypto, &key, input, len, phy + len - head_len);
	sim_crypto_decrypt(crypto, &key, phy + 1, sizeof(phy) - 1, phy + 1);
	assert_memory_equal(phy, wanted, sizeof(phy));
}

/* ---- octet by octet ---- */

static const uint8_t good[LW_JOIN_REQUEST_LEN] = { 0x00, 0x4c, 0xa2, 0x01, 0xd0,
	0x7e, 0xd5, 0xb3, 0x70, 0x3e, 0x05, 0x1c, 0x00, 0x0b, 0xa3, 0x04, 0x00,
	0x00, 0x01, 0xaa, 0xbb, 0xcc, 0xdd };

static void
test_request_lengths(void **state)
{
	uint8_t phy[256] = { 0 };
	struct lw_request untouched;
	struct lw_request r;

	(void)state;
	memset(&r, 0x5A, sizeof(r));
	untouched = r;
	for (size_t len = 0; len <= sizeof(phy); len++) {
		struct errctx ec = ERRCTX_INIT;

		if (len != LW_JOIN_REQUEST_LEN) {
			assert_int_equal(
			    lw_join_request_parse(phy, len, &r, &ec),
			    JY_EFRAMESIZE);
			assert_int_equal(ec.err, JY_EFRAMESIZE);
			assert_memory_equal(&r, &untouched, sizeof(r));
		}
	}
}

/* All 256 MHDRs: MType 0 and Major 0 pass, whatever the RFU bits. */
static void
test_request_mhdr(void **state)
{
	uint8_t phy[LW_JOIN_REQUEST_LEN];
	struct lw_request r;

	(void)state;
	memcpy(phy, good, sizeof(phy));
	for (unsigned mhdr = 0; mhdr < 256; mhdr++) {
		bool ok = (mhdr & 0xE3U) == 0;

		phy[0] = (uint8_t)mhdr;
		assert_int_equal(
		    lw_join_request_parse(phy, sizeof(phy), &r, NULL),
		    ok ? JY_OK : JY_EINVAL);
		if (ok) {
			assert_int_equal(r.mic_input[0], mhdr);
		}
	}
}

static void
test_request_fields(void **state)
{
	const struct eui64 join_eui = { { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0x01,
	    0xa2, 0x4c } };
	const struct eui64 dev_eui = { { 0x00, 0x04, 0xa3, 0x0b, 0x00, 0x1c,
	    0x05, 0x3e } };
	struct lw_request r;

	(void)state;
	assert_int_equal(
	    lw_join_request_parse(good, sizeof(good), &r, NULL), JY_OK);
	assert_true(eui64_eq(&r.join_eui, &join_eui));
	assert_true(eui64_eq(&r.dev_eui, &dev_eui));
	assert_int_equal(r.counter, 0x0100);
	assert_memory_equal(r.mic, good + 19, 4);
	assert_int_equal(r.mic_input_len, 19);
	assert_memory_equal(r.mic_input, good, 19);
	assert_int_equal(r.type, LW_JOIN_REQUEST);
	assert_true(r.has_join_eui);
}

/* MHDR, type, NetID, DevEUI, RJcount0, MIC. */
static const uint8_t rejoin_0[LW_REJOIN_02_LEN] = { 0xC0, 0x00, 0x13, 0x05,
	0x60, 0x3e, 0x05, 0x1c, 0x00, 0x0b, 0xa3, 0x04, 0x00, 0x00, 0x01, 0xaa,
	0xbb, 0xcc, 0xdd };

/* MHDR, type, JoinEUI, DevEUI, RJcount1, MIC. */
static const uint8_t rejoin_1[LW_REJOIN_1_LEN] = { 0xC0, 0x01, 0x4c, 0xa2, 0x01,
	0xd0, 0x7e, 0xd5, 0xb3, 0x70, 0x3e, 0x05, 0x1c, 0x00, 0x0b, 0xa3, 0x04,
	0x00, 0xff, 0x00, 0xaa, 0xbb, 0xcc, 0xdd };

static void
test_rejoin_fields(void **state)
{
	const struct eui64 join_eui = { { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0x01,
	    0xa2, 0x4c } };
	const struct eui64 dev_eui = { { 0x00, 0x04, 0xa3, 0x0b, 0x00, 0x1c,
	    0x05, 0x3e } };
	uint8_t phy[LW_REJOIN_02_LEN];
	struct lw_request r;

	(void)state;
	memcpy(phy, rejoin_0, sizeof(phy));
	for (uint8_t type = 0; type <= 2; type += 2) {
		phy[1] = type;
		assert_int_equal(
		    lw_rejoin_request_parse(phy, sizeof(phy), &r, NULL), JY_OK);
		assert_int_equal(r.type, type);
		assert_false(r.has_join_eui);
		assert_int_equal(r.net_id, 0x600513);
		assert_true(eui64_eq(&r.dev_eui, &dev_eui));
		assert_int_equal(r.counter, 0x0100);
		assert_memory_equal(r.mic, phy + 15, 4);
		assert_int_equal(r.mic_input_len, 15);
		assert_memory_equal(r.mic_input, phy, 15);
	}
	assert_int_equal(
	    lw_rejoin_request_parse(rejoin_1, sizeof(rejoin_1), &r, NULL),
	    JY_OK);
	assert_int_equal(r.type, LW_JOIN_REJOIN_1);
	assert_true(r.has_join_eui);
	assert_true(eui64_eq(&r.join_eui, &join_eui));
	assert_true(eui64_eq(&r.dev_eui, &dev_eui));
	assert_int_equal(r.counter, 0x00FF);
	assert_memory_equal(r.mic, rejoin_1 + 20, 4);
	assert_int_equal(r.mic_input_len, 20);
	assert_memory_equal(r.mic_input, rejoin_1, 20);
}

/* Every length with every type: only three pairs are frames. */
static void
test_rejoin_lengths(void **state)
{
	uint8_t phy[64] = { 0xC0 };
	struct lw_request untouched;
	struct lw_request r;

	(void)state;
	memset(&r, 0x5A, sizeof(r));
	untouched = r;
	for (size_t len = 0; len <= sizeof(phy); len++) {
		for (unsigned type = 0; type < 256; type++) {
			bool fits = type == 1
			    ? len == LW_REJOIN_1_LEN
			    : type <= 2 && len == LW_REJOIN_02_LEN;
			bool frame_len =
			    len == LW_REJOIN_1_LEN || len == LW_REJOIN_02_LEN;
			struct errctx ec = ERRCTX_INIT;
			enum jy_err err;

			phy[1] = (uint8_t)type;
			err = lw_rejoin_request_parse(phy, len, &r, &ec);
			assert_int_equal(ec.err, err);
			if (fits) {
				assert_int_equal(err, JY_OK);
				r = untouched;
				continue;
			}
			assert_int_equal(err,
			    frame_len && type > 2 ? JY_EINVAL : JY_EFRAMESIZE);
			assert_memory_equal(&r, &untouched, sizeof(r));
		}
	}
}

/* All 256 MHDRs: MType 6 and Major 0 pass, whatever the RFU bits. */
static void
test_rejoin_mhdr(void **state)
{
	uint8_t phy[LW_REJOIN_1_LEN];
	struct lw_request r;

	(void)state;
	memcpy(phy, rejoin_1, sizeof(phy));
	for (unsigned mhdr = 0; mhdr < 256; mhdr++) {
		bool ok = (mhdr & 0xE3U) == 0xC0;

		phy[0] = (uint8_t)mhdr;
		assert_int_equal(
		    lw_rejoin_request_parse(phy, sizeof(phy), &r, NULL),
		    ok ? JY_OK : JY_EINVAL);
		if (ok) {
			assert_int_equal(r.mic_input[0], mhdr);
		}
	}
}

static const struct eui64 join_eui_up = { { 1, 2, 3, 4, 5, 6, 7, 8 } };

static void
test_accept_octets(void **state)
{
	static const uint8_t cf_list[LW_CF_LIST_LEN] = { 0x11, [15] = 0x22 };
	const struct lw_join_accept a = {
		.join_nonce = 0x010203,
		.net_id = 0x040506,
		.dev_addr = 0x0708090A,
		.dl_settings = 0x7F,
		.rx_delay = 0x0F,
		.has_cf_list = true,
		.cf_list = cf_list,
	};
	static const uint8_t wanted[29] = { 0x20, 3, 2, 1, 6, 5, 4, 10, 9, 8, 7,
		0x7F, 0x0F, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0x22 };
	uint8_t out[LW_ACCEPT_INPUT_MAX];
	size_t head_len;

	(void)state;
	assert_int_equal(lw_join_accept_input(&a, LW_JOIN_REQUEST, &join_eui_up,
			     0x0100, out, &head_len),
	    sizeof(wanted));
	assert_int_equal(head_len, 0);
	assert_memory_equal(out, wanted, sizeof(wanted));
}

/* Under OptNeg each JoinReqType goes in front; the longest fits exactly. */
static void
test_accept_types(void **state)
{
	static const enum lw_join_type types[] = { LW_JOIN_REJOIN_0,
		LW_JOIN_REJOIN_1, LW_JOIN_REJOIN_2, LW_JOIN_REQUEST };
	static const uint8_t cf_list[LW_CF_LIST_LEN];
	struct lw_join_accept a = {
		.join_nonce = 0xFFFFFF,
		.dl_settings = LW_OPT_NEG,
		.has_cf_list = true,
		.cf_list = cf_list,
	};
	uint8_t head[11] = { 0, 8, 7, 6, 5, 4, 3, 2, 1, 0x00, 0x01 };
	uint8_t out[LW_ACCEPT_INPUT_MAX];
	size_t head_len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		head[0] = (uint8_t)types[i];
		assert_int_equal(lw_join_accept_input(&a, types[i],
				     &join_eui_up, 0x0100, out, &head_len),
		    LW_ACCEPT_INPUT_MAX);
		assert_int_equal(head_len, sizeof(head));
		assert_memory_equal(out, head, sizeof(head));
		assert_int_equal(out[11], 0x20);
	}
}

static void
test_blocks(void **state)
{
	static const uint8_t v10[16] = { 0x02, 3, 2, 1, 6, 5, 4, 0x00, 0x01 };
	static const uint8_t v11[16] = { 0x04, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1,
		0xFF, 0x00 };
	static const uint8_t js[16] = { 0x05, 8, 7, 6, 5, 4, 3, 2, 1 };
	uint8_t block[LW_BLOCK_LEN];

	(void)state;
	memset(block, 0x5A, sizeof(block));
	lw_block_v10(block, LW_APP_S_KEY, 0x010203, 0x040506, 0x0100);
	assert_memory_equal(block, v10, sizeof(block));
	lw_block_v11(block, LW_NWK_S_ENC_KEY, 0x010203, &join_eui_up, 0x00FF);
	assert_memory_equal(block, v11, sizeof(block));
	lw_block_js(block, LW_JS_ENC_KEY, &join_eui_up);
	assert_memory_equal(block, js, sizeof(block));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_rejoins),
		cmocka_unit_test(test_published_v10),
		cmocka_unit_test(test_published_v11_accept),
		cmocka_unit_test(test_request_lengths),
		cmocka_unit_test(test_request_mhdr),
		cmocka_unit_test(test_request_fields),
		cmocka_unit_test(test_rejoin_fields),
		cmocka_unit_test(test_rejoin_lengths),
		cmocka_unit_test(test_rejoin_mhdr),
		cmocka_unit_test(test_accept_octets),
		cmocka_unit_test(test_accept_types),
		cmocka_unit_test(test_blocks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
