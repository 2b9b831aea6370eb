/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LoRaWAN L2 1.0.4, clause 6.2, and 1.1, clauses 6.1.1 and 6.2, from the
 * device's side.  A join-request and a rejoin-request differ in the frame and
 * in its key, in the key of the join-accept and in JoinReqType; RJcount stands
 * where DevNonce would.
 */
#include "tools/sim_spec.h"

#include <string.h>

#include "src/base/bytes.h"

#define MHDR_JOIN_REQUEST 0x00U
#define MHDR_JOIN_ACCEPT 0x20U
#define MHDR_REJOIN_REQUEST 0xC0U
#define TAG_JS_ENC_KEY 0x05U
#define TAG_JS_INT_KEY 0x06U
#define MIC_HEAD_LEN 11 /* JoinReqType | JoinEUI | DevNonce */

/* Session keys: name, tag of the derivation, and whose they are. */
static const struct key_row {
	const char *name;
	uint8_t tag;
	bool in_v10; /* sessions without OptNeg have it */
	bool in_v11;
} key_rows[SIM_KEY_COUNT] = {
	[SIM_NWK_S_KEY] = { "NwkSKey", 0x01, true, false },
	[SIM_F_NWK_S_INT_KEY] = { "FNwkSIntKey", 0x01, false, true },
	[SIM_S_NWK_S_INT_KEY] = { "SNwkSIntKey", 0x03, false, true },
	[SIM_NWK_S_ENC_KEY] = { "NwkSEncKey", 0x04, false, true },
	[SIM_APP_S_KEY] = { "AppSKey", 0x02, true, true },
};

const char *
sim_spec_key_name(enum sim_key key)
{
	return key_rows[key].name;
}

bool
sim_spec_key_used(enum sim_key key, bool opt_neg)
{
	return opt_neg ? key_rows[key].in_v11 : key_rows[key].in_v10;
}

bool
sim_spec_opt_neg(const struct sim_join *join)
{
	return (join->accept.dl_settings & SIM_OPT_NEG) != 0;
}

bool
sim_spec_roots_ok(const struct sim_roots *roots, bool opt_neg)
{
	if (opt_neg) {
		return roots->has_nwk && roots->has_app;
	}
	return roots->v10_is_app ? roots->has_app
				 : roots->has_nwk || roots->has_app;
}

/* The one root key of a join without OptNeg. */
static const struct secret_block *
root_v10(const struct sim_roots *roots)
{
	return roots->has_nwk && !roots->v10_is_app ? &roots->nwk : &roots->app;
}

/* The key of join-request MIC, join-accept and network session keys. */
static const struct secret_block *
root_nwk(const struct sim_roots *roots, bool opt_neg)
{
	return opt_neg ? &roots->nwk : root_v10(roots);
}

static const struct secret_block *
root_app(const struct sim_roots *roots, bool opt_neg)
{
	return opt_neg ? &roots->app : root_v10(roots);
}

void
sim_spec_request(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, uint8_t out[SIM_REQUEST_LEN])
{
	const struct secret_block *key =
	    root_nwk(roots, sim_spec_opt_neg(join));
	uint8_t mic[SIM_MIC_LEN];
	struct writer w;

	writer_init(&w, out, SIM_REQUEST_LEN);
	writer_u8(&w, MHDR_JOIN_REQUEST);
	writer_eui_le(&w, &join->join_eui);
	writer_eui_le(&w, &join->dev_eui);
	writer_le(&w, join->counter, 2);
	sim_crypto_mic(c, key, out, w.len, mic);
	writer_copy(&w, mic, sizeof(mic));
	jy_assert(writer_ok(&w) && w.len == SIM_REQUEST_LEN);
}

/* E(NwkKey, tag | DevEUI | pad16). */
static void
js_key(struct sim_crypto *c, const struct sim_roots *roots, uint8_t tag,
    const struct eui64 *dev_eui, struct secret_block *out)
{
	uint8_t block[16] = { 0 };
	struct writer w;

	writer_init(&w, block, sizeof(block));
	writer_u8(&w, tag);
	writer_eui_le(&w, dev_eui);
	sim_crypto_encrypt(c, &roots->nwk, block, sizeof(block), out->b);
}

void
sim_spec_js_int_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct eui64 *dev_eui, struct secret_block *out)
{
	js_key(c, roots, TAG_JS_INT_KEY, dev_eui, out);
}

void
sim_spec_js_enc_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct eui64 *dev_eui, struct secret_block *out)
{
	js_key(c, roots, TAG_JS_ENC_KEY, dev_eui, out);
}

/* SNwkSIntKey; a session without OptNeg has but one key for the network. */
static void
s_nwk_s_int_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *session, struct secret_block *out)
{
	sim_spec_session_key(c, roots, session,
	    sim_spec_opt_neg(session) ? SIM_S_NWK_S_INT_KEY : SIM_NWK_S_KEY,
	    out);
}

size_t
sim_spec_rejoin(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const struct sim_join *session,
    uint8_t out[SIM_REQUEST_MAX])
{
	AUTO_WIPE struct secret_block key;
	uint8_t mic[SIM_MIC_LEN];
	struct writer w;

	writer_init(&w, out, SIM_REQUEST_MAX);
	writer_u8(&w, MHDR_REJOIN_REQUEST);
	writer_u8(&w, join->type);
	if (join->type == SIM_REJOIN_WITH_EUI) {
		writer_eui_le(&w, &join->join_eui);
		sim_spec_js_int_key(c, roots, &join->dev_eui, &key);
	} else {
		jy_assert(session != NULL);
		writer_le(&w, session->accept.net_id, 3);
		s_nwk_s_int_key(c, roots, session, &key);
	}
	writer_eui_le(&w, &join->dev_eui);
	writer_le(&w, join->counter, 2);
	sim_crypto_mic(c, &key, out, w.len, mic);
	writer_copy(&w, mic, sizeof(mic));
	jy_assert(writer_ok(&w));
	return w.len;
}

/* The key that a join-accept is encrypted under; the caller wipes *out. */
static void
accept_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, struct secret_block *out)
{
	if (join->type == SIM_JOIN_REQ_TYPE) {
		*out = *root_nwk(roots, sim_spec_opt_neg(join));
	} else {
		sim_spec_js_enc_key(c, roots, &join->dev_eui, out);
	}
}

/* The MIC of a join-accept whose clear octets before the MIC are given. */
static void
accept_mic(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, bool opt_neg, const uint8_t *clear, size_t len,
    uint8_t mic[SIM_MIC_LEN])
{
	AUTO_WIPE struct secret_block js_int;
	uint8_t input[MIC_HEAD_LEN + SIM_ACCEPT_MAX];
	struct writer w;

	if (!opt_neg) {
		sim_crypto_mic(c, root_v10(roots), clear, len, mic);
		return;
	}
	writer_init(&w, input, sizeof(input));
	writer_u8(&w, join->type);
	writer_eui_le(&w, &join->join_eui);
	writer_le(&w, join->counter, 2);
	writer_copy(&w, clear, len);
	jy_assert(writer_ok(&w));
	sim_spec_js_int_key(c, roots, &join->dev_eui, &js_int);
	sim_crypto_mic(c, &js_int, input, w.len, mic);
}

void
sim_spec_accept_open(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const uint8_t *phy, size_t len,
    struct sim_opened *out)
{
	AUTO_WIPE struct secret_block key;
	uint8_t clear[SIM_ACCEPT_MAX];
	struct sim_accept *f = &out->fields;
	struct reader r;

	jy_assert(len == SIM_ACCEPT_LEN || len == SIM_ACCEPT_MAX);
	clear[0] = phy[0];
	accept_key(c, roots, join, &key);
	sim_crypto_encrypt(c, &key, phy + 1, len - 1, clear + 1);
	reader_init(&r, clear, len);
	out->mhdr = reader_u8(&r);
	f->join_nonce = (uint32_t)reader_le(&r, 3);
	f->net_id = (uint32_t)reader_le(&r, 3);
	f->dev_addr = (uint32_t)reader_le(&r, 4);
	f->dl_settings = reader_u8(&r);
	f->rx_delay = reader_u8(&r);
	f->has_cf_list = len == SIM_ACCEPT_MAX;
	reader_copy(&r, f->cf_list, f->has_cf_list ? SIM_CF_LIST_LEN : 0);
	reader_copy(&r, out->mic, SIM_MIC_LEN);
	jy_assert(reader_done(&r));
	accept_mic(c, roots, join, (f->dl_settings & SIM_OPT_NEG) != 0, clear,
	    len - SIM_MIC_LEN, out->mic_expected);
}

size_t
sim_spec_accept_build(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, uint8_t out[SIM_ACCEPT_MAX])
{
	const struct sim_accept *f = &join->accept;
	AUTO_WIPE struct secret_block key;
	uint8_t mic[SIM_MIC_LEN];
	struct writer w;

	writer_init(&w, out, SIM_ACCEPT_MAX);
	writer_u8(&w, MHDR_JOIN_ACCEPT);
	writer_le(&w, f->join_nonce, 3);
	writer_le(&w, f->net_id, 3);
	writer_le(&w, f->dev_addr, 4);
	writer_u8(&w, f->dl_settings);
	writer_u8(&w, f->rx_delay);
	writer_copy(&w, f->cf_list, f->has_cf_list ? SIM_CF_LIST_LEN : 0);
	accept_mic(c, roots, join, sim_spec_opt_neg(join), out, w.len, mic);
	writer_copy(&w, mic, sizeof(mic));
	jy_assert(writer_ok(&w));
	accept_key(c, roots, join, &key);
	sim_crypto_decrypt(c, &key, out + 1, w.len - 1, out + 1);
	return w.len;
}

void
sim_spec_session_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, enum sim_key key, struct secret_block *out)
{
	bool opt_neg = sim_spec_opt_neg(join);
	uint8_t block[16] = { 0 };
	struct writer w;

	writer_init(&w, block, sizeof(block));
	writer_u8(&w, key_rows[key].tag);
	writer_le(&w, join->accept.join_nonce, 3);
	if (opt_neg) {
		writer_eui_le(&w, &join->join_eui);
	} else {
		writer_le(&w, join->accept.net_id, 3);
	}
	writer_le(&w, join->counter, 2);
	jy_assert(writer_ok(&w));
	sim_crypto_encrypt(c,
	    key == SIM_APP_S_KEY ? root_app(roots, opt_neg)
				 : root_nwk(roots, opt_neg),
	    block, sizeof(block), out->b);
}
