/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joinery-sim vectors": joins and rejoins computed in software, all inputs
 * and all results, one JSON object a line, the same on every run.  Test keys,
 * no secrets.  Nothing in them is a palindrome, and counters cross 0x00FF to
 * 0x0100, so that a wrong octet order cannot go unnoticed.
 */
#include "tools/sim.h"

#include <string.h>

#include "src/base/sys.h"
#include "tools/sim_device.h"

struct inputs {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	struct sim_roots roots;
	uint8_t ns_kek[32]; /* as many octets as the case says */
	uint8_t as_kek[32];
	uint8_t cf_list[SIM_CF_LIST_LEN];
	uint32_t net_id;
	uint32_t dev_addr;
};

/* Which root keys the device has. */
enum holds {
	HOLDS_APP,
	HOLDS_NWK,
	HOLDS_BOTH,
	HOLDS_BOTH_USES_APP
};

static const struct kind {
	Joinery__V1__MacVersion version;
	enum holds holds;
	bool opt_neg;
	size_t kek_len;
	uint8_t dl_settings; /* without OptNeg */
	uint8_t rx_delay;
} kinds[] = {
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_0, HOLDS_APP, false, 16, 0, 0 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_1, HOLDS_APP, false, 24, 0x03, 1 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_2, HOLDS_APP, false, 32, 0x12, 2 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_3, HOLDS_APP, false, 16, 0x25, 5 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_3, HOLDS_NWK, false, 16, 0x25, 5 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_4, HOLDS_APP, false, 24, 0x7f, 15 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_4, HOLDS_BOTH, false, 32, 0x08, 1 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_0_4, HOLDS_BOTH_USES_APP, false, 32,
	    0x08, 1 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_1_0, HOLDS_BOTH, true, 16, 0, 0 },
	{ JOINERY__V1__MAC_VERSION__MAC_1_1_0, HOLDS_BOTH, true, 32, 0x3a, 7 },
};

static const struct counters {
	uint16_t dev_nonce;
	uint32_t join_nonce;
} counters[] = {
	{ 0x0000, 0x000001 },
	{ 0x00FF, 0x0000FF },
	{ 0x0100, 0x000100 },
	{ 0x1234, 0x00FFFF },
	{ 0xABCD, 0x010000 },
	{ 0xFFFF, 0xFFFFFF },
};

static const struct inputs fixed_inputs = {
	.join_eui = { { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0x01, 0xa2, 0x4c } },
	.dev_eui = { { 0x00, 0x04, 0xa3, 0x0b, 0x00, 0x1c, 0x05, 0x3e } },
	.roots = {
		.nwk = { { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
		    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c } },
		.app = { { 0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
		    0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81 } },
	},
	.ns_kek = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
	    0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
	    0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f },
	.as_kek = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,
	    0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xb0, 0xb1, 0xb2, 0xb3, 0xb4,
	    0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf },
	/* Channels with a hole between, and a CFListType that is RFU. */
	.cf_list = { 0x18, 0x4f, 0x84, 0xe8, 0x56, 0x84, 0x00, 0x00, 0x00, 0x88,
	    0x66, 0x84, 0x58, 0x6e, 0x84, 0x05 },
	.net_id = 0x00013F,
	.dev_addr = 0x26011BDA,
};

/* splitmix64, by Sebastiano Vigna, in the public domain: inputs, not keys. */
static uint64_t
splitmix(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15U;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
	return z ^ (z >> 31);
}

static void
fill(uint64_t *state, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		out[i] = (uint8_t)splitmix(state);
	}
}

static void
inputs_init(struct inputs *in, const struct sim_number *seed)
{
	uint64_t state = seed->value;

	*in = fixed_inputs;
	if (!seed->set) {
		return;
	}
	fill(&state, in->join_eui.be, sizeof(in->join_eui.be));
	fill(&state, in->dev_eui.be, sizeof(in->dev_eui.be));
	fill(&state, in->roots.nwk.b, sizeof(in->roots.nwk.b));
	fill(&state, in->roots.app.b, sizeof(in->roots.app.b));
	fill(&state, in->ns_kek, sizeof(in->ns_kek));
	fill(&state, in->as_kek, sizeof(in->as_kek));
	fill(&state, in->cf_list, sizeof(in->cf_list));
	in->net_id = (uint32_t)splitmix(&state) & 0xFFFFFFU;
	in->dev_addr = (uint32_t)splitmix(&state);
}

static void
put_hex(FILE *out, const char *name, const uint8_t *b, size_t len)
{
	char hex[HEX_STR_LEN(64)];

	jy_assert(len <= 64);
	hex_format(b, len, hex);
	(void)fprintf(out, "\"%s\":\"%s\",", name, hex);
}

static void
put_key(FILE *out, const char *name, const struct secret_block *key)
{
	put_hex(out, name, key->b, sizeof(key->b));
}

static const char *
counter_name(uint8_t type)
{
	return type == SIM_JOIN_REQ_TYPE  ? "dev_nonce"
	    : type == SIM_REJOIN_WITH_EUI ? "rj_count1"
					  : "rj_count0";
}

/* The session that a rejoin-request of type 0 or 2 is sent from. */
static void
put_session(
    FILE *out, const struct sim_join *join, const struct sim_join *session)
{
	if (join->type == SIM_JOIN_REQ_TYPE) {
		return;
	}
	(void)fprintf(out, "\"rejoin_type\":%u,", (unsigned)join->type);
	if (join->type != SIM_REJOIN_WITH_EUI) {
		(void)fprintf(out,
		    "\"session_join_nonce\":\"%06x\","
		    "\"session_dev_nonce\":\"%04x\","
		    "\"session_net_id\":\"%06x\",",
		    session->accept.join_nonce, (unsigned)session->counter,
		    session->accept.net_id);
	}
}

static void
put_inputs(FILE *out, const struct inputs *in, const struct kind *kind,
    const struct sim_join *join, const struct sim_roots *roots)
{
	const struct sim_accept *f = &join->accept;

	(void)fprintf(out, "{\"mac_version\":\"%s\",\"opt_neg\":%s,",
	    sim_version_str(kind->version), kind->opt_neg ? "true" : "false");
	put_hex(out, "join_eui", join->join_eui.be, sizeof(join->join_eui.be));
	put_hex(out, "dev_eui", join->dev_eui.be, sizeof(join->dev_eui.be));
	if (roots->has_nwk) {
		put_key(out, "nwk_key", &roots->nwk);
	}
	if (roots->has_app) {
		put_key(out, "app_key", &roots->app);
	}
	(void)fprintf(out,
	    "\"v10_root\":\"%s\",\"%s\":\"%04x\",\"join_nonce\":"
	    "\"%06x\",\"net_id\":\"%06x\",\"dev_addr\":\"%08x\","
	    "\"dl_settings\":\"%02x\",\"rx_delay\":\"%02x\",",
	    roots->v10_is_app ? "app" : "nwk", counter_name(join->type),
	    (unsigned)join->counter, f->join_nonce, f->net_id, f->dev_addr,
	    (unsigned)f->dl_settings, (unsigned)f->rx_delay);
	put_hex(
	    out, "cf_list", f->cf_list, f->has_cf_list ? SIM_CF_LIST_LEN : 0);
	put_hex(out, "ns_kek", in->ns_kek, kind->kek_len);
	put_hex(out, "as_kek", in->as_kek, kind->kek_len);
}

/* A session key in clear and under the KEK of the one it is for. */
static void
put_session_key(FILE *out, struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, enum sim_key key, const struct secret *kek)
{
	AUTO_WIPE struct secret_block block;
	uint8_t wrapped[SIM_WRAPPED_LEN];
	char name[32];

	sim_spec_session_key(c, roots, join, key, &block);
	put_key(out, sim_spec_key_name(key), &block);
	sim_crypto_wrap(c, kek, &block, wrapped);
	(void)snprintf(name, sizeof(name), "%sWrapped", sim_spec_key_name(key));
	put_hex(out, name, wrapped, sizeof(wrapped));
}

/* The request of a case; a rejoin-request is sent from within session. */
static void
put_request(FILE *out, struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const struct sim_join *session)
{
	uint8_t phy[SIM_REQUEST_MAX];

	if (join->type == SIM_JOIN_REQ_TYPE) {
		sim_spec_request(c, roots, join, phy);
		put_hex(out, "join_request", phy, SIM_REQUEST_LEN);
	} else {
		put_hex(out, "rejoin_request", phy,
		    sim_spec_rejoin(c, roots, join, session, phy));
	}
}

/* What a case gives: frames, lifetime keys, session keys. */
static void
put_results(FILE *out, struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const struct sim_join *session,
    const struct secret *const keks[2])
{
	AUTO_WIPE struct secret_block js;
	uint8_t accept[SIM_ACCEPT_MAX];
	char hex[HEX_STR_LEN(SIM_ACCEPT_MAX)];
	size_t len;

	if (sim_spec_opt_neg(join)) {
		sim_spec_js_int_key(c, roots, &join->dev_eui, &js);
		put_key(out, "JSIntKey", &js);
		sim_spec_js_enc_key(c, roots, &join->dev_eui, &js);
		put_key(out, "JSEncKey", &js);
	}
	for (int i = 0; i < SIM_KEY_COUNT; i++) {
		enum sim_key key = (enum sim_key)i;

		if (sim_spec_key_used(key, sim_spec_opt_neg(join))) {
			put_session_key(out, c, roots, join, key,
			    keks[key == SIM_APP_S_KEY]);
		}
	}
	put_request(out, c, roots, join, session);
	len = sim_spec_accept_build(c, roots, join, accept);
	hex_format(accept, len, hex);
	(void)fprintf(out, "\"join_accept\":\"%s\"}\n", hex);
}

static void
join_init(struct sim_join *join, struct sim_roots *roots,
    const struct inputs *in, const struct kind *kind, const struct counters *n,
    bool cf_list)
{
	memset(join, 0, sizeof(*join));
	join->join_eui = in->join_eui;
	join->dev_eui = in->dev_eui;
	join->type = SIM_JOIN_REQ_TYPE;
	join->counter = n->dev_nonce;
	join->accept.join_nonce = n->join_nonce;
	join->accept.net_id = in->net_id;
	join->accept.dev_addr = in->dev_addr;
	join->accept.dl_settings =
	    (uint8_t)(kind->dl_settings | (kind->opt_neg ? SIM_OPT_NEG : 0U));
	join->accept.rx_delay = kind->rx_delay;
	join->accept.has_cf_list = cf_list;
	memcpy(join->accept.cf_list, in->cf_list, sizeof(in->cf_list));
	*roots = in->roots;
	roots->has_nwk = kind->holds != HOLDS_APP;
	roots->has_app = kind->holds != HOLDS_NWK;
	roots->v10_is_app = kind->holds == HOLDS_BOTH_USES_APP;
}

/* Each pair of counters, with and without CFList. */
static void
put_cases(FILE *out, struct sim_crypto *c, const struct inputs *in,
    const struct kind *kind, uint8_t type, const struct secret *const keks[2])
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(counters); i++) {
		/* Another session of the device, in another network. */
		const struct counters *other =
		    &counters[(i / 2 + 1) % ARRAY_LEN(counters)];
		struct sim_join session;
		struct sim_roots roots;
		struct sim_join join;

		join_init(&session, &roots, in, kind, other, false);
		session.accept.net_id = in->net_id ^ 0x60B10DU;
		join_init(
		    &join, &roots, in, kind, &counters[i / 2], i % 2 == 1);
		join.type = type;
		put_inputs(out, in, kind, &join, &roots);
		put_session(out, &join, &session);
		put_results(out, c, &roots, &join, &session, keks);
	}
}

/* All lines of one kind of device, by n values of JoinReqType. */
static enum jy_err
put_kind(FILE *out, struct sim_crypto *c, const struct inputs *in,
    const struct kind *kind, const uint8_t *types, size_t n, struct errctx *ec)
{
	struct secret *keks[2] = { NULL, NULL };
	enum jy_err err;

	err = secret_new(kind->kek_len, &keks[0], ec);
	if (err == JY_OK) {
		err = secret_new(kind->kek_len, &keks[1], ec);
	}
	if (err != JY_OK) {
		goto out;
	}
	memcpy(secret_data(keks[0]), in->ns_kek, kind->kek_len);
	memcpy(secret_data(keks[1]), in->as_kek, kind->kek_len);
	secret_set_len(keks[0], kind->kek_len);
	secret_set_len(keks[1], kind->kek_len);
	for (size_t i = 0; i < n; i++) {
		put_cases(out, c, in, kind, types[i],
		    (const struct secret *const[2]){ keks[0], keks[1] });
	}
out:
	secret_free(keks[0]);
	secret_free(keks[1]);
	return err;
}

enum sim_status
sim_vectors_run(const struct sim_options *o, FILE *out)
{
	static const uint8_t types[] = { SIM_JOIN_REQ_TYPE, SIM_REJOIN_ROAMING,
		SIM_REJOIN_WITH_EUI, SIM_REJOIN_REKEY };
	struct errctx ec = ERRCTX_INIT;
	struct sim_crypto *c = NULL;
	struct inputs in;
	enum jy_err err;

	inputs_init(&in, &o->seed);
	err = sim_crypto_new(&c, &ec);
	for (size_t i = 0; err == JY_OK && i < ARRAY_LEN(kinds); i++) {
		if (!o->rejoins) {
			err = put_kind(out, c, &in, &kinds[i], types, 1, &ec);
		} else if (kinds[i].opt_neg) {
			err =
			    put_kind(out, c, &in, &kinds[i], types + 1, 3, &ec);
		}
	}
	sim_crypto_free(c);
	return err == JY_OK ? SIM_OK : sim_complain(SIM_INTERNAL, err, &ec);
}
