/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks, in the order in which a device, then its servers, make them.  A
 * check whose failure makes the next ones meaningless ends the list.
 *
 * Several joins of one device may be on their way at once and their answers
 * may overtake each other: a JoinNonce must be above those that were known
 * when its request left, and must never come twice.
 */
#include "tools/sim_verify.h"

#include <string.h>

#define MHDR_JOIN_ACCEPT 0x20U

typedef Joinery__V1__KeyEnvelope envelope;

/* ---- keys ---- */

static const struct secret *
kek_find(const struct sim_keks *keks, const char *label)
{
	for (size_t i = 0; i < keks->count; i++) {
		if (strcmp(keks->items[i].label, label) == 0) {
			return keks->items[i].key;
		}
	}
	return NULL;
}

static bool
is_wrapped(const envelope *e)
{
	return e->kek_label != NULL && e->kek_label[0] != '\0';
}

const char *
sim_verify_open(struct sim_crypto *c, const struct sim_keks *keks,
    const envelope *e, struct secret_block *key)
{
	const struct secret *kek;

	if (!is_wrapped(e)) {
		if (keks->count > 0) {
			return "in clear, though a KEK was given";
		}
		if (e->aes_key.len != sizeof(key->b)) {
			return "in clear, but not 16 octets";
		}
		memcpy(key->b, e->aes_key.data, sizeof(key->b));
		return NULL;
	}
	kek = kek_find(keks, e->kek_label);
	if (kek == NULL) {
		return "under a KEK that was not given";
	}
	if (e->aes_key.len != SIM_WRAPPED_LEN) {
		return "wrapped, but not 24 octets";
	}
	return sim_crypto_unwrap(c, kek, e->aes_key.data, key)
	    ? NULL
	    : "does not unwrap under the KEK it names";
}

/* Open an envelope and compare the key with the one the device derives. */
static bool
check_key(const struct sim_verifier *v, const struct sim_roots *roots,
    const struct sim_join *join, enum sim_key which, const envelope *e)
{
	AUTO_WIPE struct secret_block mine;
	AUTO_WIPE struct secret_block theirs;
	const struct sim_keks *keks =
	    which == SIM_APP_S_KEY ? v->as_keks : v->ns_keks;
	const char *name = sim_spec_key_name(which);
	const char *label = is_wrapped(e) ? e->kek_label : "(clear)";
	uint8_t kcv[SIM_KCV_LEN];
	char text[HEX_STR_LEN(sizeof(mine.b))];
	const char *why;

	why = sim_verify_open(v->crypto, keks, e, &theirs);
	if (why != NULL) {
		return sim_report_check(
		    v->report, false, name, "%s: %.64s", why, label);
	}
	sim_spec_session_key(v->crypto, roots, join, which, &mine);
	if (!secret_eq(mine.b, theirs.b, sizeof(mine.b))) {
		return sim_report_check(v->report, false, name,
		    "is not the key the device derives (under %.64s)", label);
	}
	sim_crypto_check_value(v->crypto, &mine, kcv);
	hex_format(kcv, sizeof(kcv), text);
	(void)sim_report_check(v->report, true, name,
	    "as derived, under %.64s, check value %s", label, text);
	if (v->show_keys) {
		hex_format(mine.b, sizeof(mine.b), text);
		sim_report_fact(v->report, name, "%s", text);
		secret_wipe(text, sizeof(text));
	}
	return true;
}

/* The network keys of an answer: those the session has, and no others. */
static bool
check_network_keys(const struct sim_verifier *v, const struct sim_roots *roots,
    const struct sim_join *join, const envelope *const keys[SIM_KEY_COUNT])
{
	bool opt_neg = sim_spec_opt_neg(join);
	bool ok = true;

	for (int i = 0; i < SIM_APP_S_KEY; i++) {
		enum sim_key which = (enum sim_key)i;
		bool used = sim_spec_key_used(which, opt_neg);

		if (used && keys[i] != NULL) {
			ok &= check_key(v, roots, join, which, keys[i]);
		} else if (used || keys[i] != NULL) {
			ok &= sim_report_check(v->report, false,
			    sim_spec_key_name(which), "%s",
			    used ? "missing" : "not a key of this session");
		}
	}
	return ok;
}

/* The AppSKey beside a join-accept: asked for, left out, or not for us. */
static bool
check_join_app_s_key(const struct sim_verifier *v,
    const struct sim_roots *roots, const struct sim_join *join,
    const envelope *e)
{
	const char *name = sim_spec_key_name(SIM_APP_S_KEY);

	if (e == NULL) {
		return v->app_s_key != SIM_YES ||
		    sim_report_check(v->report, false, name, "missing");
	}
	if (v->app_s_key == SIM_NO) {
		return sim_report_check(
		    v->report, false, name, "there, though not wanted");
	}
	if (is_wrapped(e) && v->as_keks->count == 0) {
		sim_report_fact(v->report, name,
		    "under %.64s, not opened: no --as-kek", e->kek_label);
		return true;
	}
	return check_key(v, roots, join, SIM_APP_S_KEY, e);
}

/* ---- the join-accept ---- */

static bool
check_accept_length(
    const struct sim_verifier *v, const struct sim_attempt *a, size_t len)
{
	bool cf_list = a->join.accept.has_cf_list;
	size_t wanted = cf_list ? SIM_ACCEPT_MAX : SIM_ACCEPT_LEN;

	return sim_report_check(v->report, len == wanted, "length",
	    "%zu octets, %zu expected %s CFList", len, wanted,
	    cf_list ? "with" : "without");
}

static bool
check_accept_mic(const struct sim_verifier *v, const struct sim_opened *opened)
{
	char got[HEX_STR_LEN(SIM_MIC_LEN)];
	char wanted[HEX_STR_LEN(SIM_MIC_LEN)];

	hex_format(opened->mic, SIM_MIC_LEN, got);
	hex_format(opened->mic_expected, SIM_MIC_LEN, wanted);
	return sim_report_check(v->report,
	    secret_eq(opened->mic, opened->mic_expected, SIM_MIC_LEN), "MIC",
	    "%s, computed %s", got, wanted);
}

/* A number that must be as the Network Server asked. */
static bool
check_equal(const struct sim_verifier *v, const char *name, uint32_t got,
    uint32_t asked, int digits)
{
	return sim_report_check(v->report, got == asked, name,
	    got == asked ? "%0*x" : "%0*x, but %0*x was asked for", digits, got,
	    digits, asked);
}

static bool
check_fields(const struct sim_verifier *v, const struct sim_accept *got,
    const struct sim_accept *asked)
{
	char text[HEX_STR_LEN(SIM_CF_LIST_LEN)];
	bool ok = true;

	ok &= check_equal(v, "NetID", got->net_id, asked->net_id, 6);
	ok &= check_equal(v, "DevAddr", got->dev_addr, asked->dev_addr, 8);
	ok &= check_equal(
	    v, "DLSettings", got->dl_settings, asked->dl_settings, 2);
	ok &= check_equal(v, "RxDelay", got->rx_delay, asked->rx_delay, 2);
	if (asked->has_cf_list) {
		hex_format(got->cf_list, SIM_CF_LIST_LEN, text);
		ok &= sim_report_check(v->report,
		    memcmp(got->cf_list, asked->cf_list, SIM_CF_LIST_LEN) == 0,
		    "CFList", "%s", text);
	}
	return ok;
}

static bool
check_join_nonce(
    const struct sim_verifier *v, struct sim_attempt *a, uint32_t got)
{
	struct sim_device *d = a->device;

	if (a->repeat) {
		return sim_report_check(v->report, got == d->join_nonce,
		    "JoinNonce", "%u; the answer repeated has %u", got,
		    d->join_nonce);
	}
	if (got <= a->join_nonce_above) {
		return sim_report_check(v->report, false, "JoinNonce",
		    "%u is not above %u", got, a->join_nonce_above);
	}
	return sim_report_check(v->report, sim_device_saw(d, got), "JoinNonce",
	    "%u, above %u and never seen", got, a->join_nonce_above);
}

static bool
check_accept(const struct sim_verifier *v, struct sim_attempt *a,
    const ProtobufCBinaryData *phy)
{
	struct sim_opened opened;
	bool ok;

	if (!check_accept_length(v, a, phy->len)) {
		return false;
	}
	sim_spec_accept_open(v->crypto, a->device->roots, &a->join, phy->data,
	    phy->len, &opened);
	if (!sim_report_check(v->report, opened.mhdr == MHDR_JOIN_ACCEPT,
		"MHDR", "%02x", opened.mhdr) ||
	    !check_accept_mic(v, &opened)) {
		return false;
	}
	ok = check_join_nonce(v, a, opened.fields.join_nonce);
	ok &= check_fields(v, &opened.fields, &a->join.accept);
	a->join.accept.join_nonce = opened.fields.join_nonce;
	return ok;
}

/* A session key ID: of the right length, and wanted unless that is NULL. */
static bool
check_session_id(const struct sim_verifier *v, const ProtobufCBinaryData *id,
    const uint8_t *wanted)
{
	if (id->len != SIM_SESSION_ID_LEN) {
		return sim_report_check(v->report, false, "SessionKeyID",
		    "%zu octets instead of %d", id->len, SIM_SESSION_ID_LEN);
	}
	return wanted == NULL ||
	    sim_report_check(v->report,
		memcmp(id->data, wanted, SIM_SESSION_ID_LEN) == 0,
		"SessionKeyID", "the one that belongs here");
}

/* ---- the answers ---- */

/* The device has heard the accept: it goes on with the new session. */
static void
switch_session(struct sim_device *d, const struct sim_session *heard)
{
	uint32_t join_nonce = heard->join.accept.join_nonce;

	if (d->session.set && d->session.join.accept.join_nonce == join_nonce) {
		return; /* heard before */
	}
	d->session = *heard;
	d->rj_count0 = 0;
}

/* An answer held every check: a session comes from it. */
static void
take_session(const struct sim_verifier *v, struct sim_attempt *a,
    const uint8_t id[SIM_SESSION_ID_LEN])
{
	struct sim_device *d = a->device;
	struct sim_session s = { .set = true, .join = a->join };

	memcpy(s.id, id, sizeof(s.id));
	a->accepted = true;
	if (s.join.accept.join_nonce == d->join_nonce) {
		d->has_last_id = true;
		memcpy(d->last_id, id, sizeof(d->last_id));
	}
	if (sim_attempt_is_rejoin(a)) {
		memcpy(d->last_rejoin, a->phy, SIM_REQUEST_MAX);
		d->last_rejoin_len = a->phy_len;
	} else if (d->latest.set && a->number < d->accepted) {
		return; /* of answers that overtook each other */
	} else {
		d->accepted = a->number;
	}
	d->latest = s;
	if (!sim_attempt_is_rejoin(a) || !v->no_switch) {
		switch_session(d, &s);
	}
}

bool
sim_verify_join(const struct sim_verifier *v, struct sim_attempt *a,
    const Joinery__V1__JoinAnswer *answer)
{
	const envelope *const keys[SIM_KEY_COUNT] = {
		[SIM_NWK_S_KEY] = answer->nwk_s_key,
		[SIM_F_NWK_S_INT_KEY] = answer->f_nwk_s_int_key,
		[SIM_S_NWK_S_INT_KEY] = answer->s_nwk_s_int_key,
		[SIM_NWK_S_ENC_KEY] = answer->nwk_s_enc_key,
	};
	const struct sim_device *d = a->device;
	bool ok;

	if (!check_accept(v, a, &answer->phy_payload)) {
		return false;
	}
	ok = check_session_id(v, &answer->session_key_id,
	    a->repeat && d->has_last_id ? d->last_id : NULL);
	ok &= check_network_keys(v, d->roots, &a->join, keys);
	ok &= check_join_app_s_key(v, d->roots, &a->join, answer->app_s_key);
	if (ok) {
		take_session(v, a, answer->session_key_id.data);
	}
	return ok;
}

bool
sim_verify_network_keys(const struct sim_verifier *v,
    const struct sim_device *d, const Joinery__V1__NetworkKeysAnswer *answer)
{
	const envelope *const keys[SIM_KEY_COUNT] = {
		[SIM_NWK_S_KEY] = answer->nwk_s_key,
		[SIM_F_NWK_S_INT_KEY] = answer->f_nwk_s_int_key,
		[SIM_S_NWK_S_INT_KEY] = answer->s_nwk_s_int_key,
		[SIM_NWK_S_ENC_KEY] = answer->nwk_s_enc_key,
	};
	bool ok = check_session_id(v, &answer->session_key_id, d->latest.id);

	return check_network_keys(v, d->roots, &d->latest.join, keys) && ok;
}

bool
sim_verify_app_s_key(const struct sim_verifier *v, const struct sim_device *d,
    const Joinery__V1__AppSKeyAnswer *answer)
{
	bool ok = check_session_id(v, &answer->session_key_id, d->latest.id);

	if (answer->app_s_key == NULL) {
		return sim_report_check(v->report, false,
		    sim_spec_key_name(SIM_APP_S_KEY), "missing");
	}
	return check_key(v, d->roots, &d->latest.join, SIM_APP_S_KEY,
		   answer->app_s_key) &&
	    ok;
}
