/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins and rejoins as a device sees them, written from LoRaWAN L2 1.0.4
 * (TS001) and 1.1: the request it sends, the join-accept it opens, the session
 * keys it derives.  Shares nothing with src/lorawan, which it is there to
 * check.
 */
#ifndef JY_TOOLS_SIM_SPEC_H
#define JY_TOOLS_SIM_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/hex.h"
#include "src/base/secret.h"
#include "tools/sim_crypto.h"

#define SIM_REQUEST_LEN 23
#define SIM_REJOIN_LEN 19     /* types 0 and 2 */
#define SIM_REJOIN_EUI_LEN 24 /* type 1, with its JoinEUI */
#define SIM_REQUEST_MAX 24
#define SIM_ACCEPT_LEN 17
#define SIM_ACCEPT_MAX 33 /* with CFList */
#define SIM_CF_LIST_LEN 16
#define SIM_OPT_NEG 0x80U

/* JoinReqType: of a join-request, and of the three rejoin-requests. */
#define SIM_JOIN_REQ_TYPE 0xFFU
#define SIM_REJOIN_ROAMING 0U  /* type 0: new session, new network perhaps */
#define SIM_REJOIN_WITH_EUI 1U /* type 1: as good as a join-request */
#define SIM_REJOIN_REKEY 2U    /* type 2: new keys */

/* A device's root keys.  A 1.0.x device has one, in app or in nwk. */
struct sim_roots {
	struct secret_block nwk;
	struct secret_block app;
	bool has_nwk;
	bool has_app;
	bool v10_is_app; /* 1.0.x joins use AppKey even beside a NwkKey */
};

/* The fields of a join-accept. */
struct sim_accept {
	uint32_t join_nonce;
	uint32_t net_id;
	uint32_t dev_addr;
	uint8_t dl_settings;
	uint8_t rx_delay;
	bool has_cf_list;
	uint8_t cf_list[SIM_CF_LIST_LEN];
};

/*
 * All that the octets and keys of one join or rejoin follow from, except root
 * keys.
 */
struct sim_join {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	uint8_t type;     /* JoinReqType */
	uint16_t counter; /* DevNonce, RJcount0 (types 0, 2) or RJcount1 */
	struct sim_accept accept;
};

enum sim_key {
	SIM_NWK_S_KEY, /* OptNeg 0 */
	SIM_F_NWK_S_INT_KEY,
	SIM_S_NWK_S_INT_KEY,
	SIM_NWK_S_ENC_KEY,
	SIM_APP_S_KEY,
	SIM_KEY_COUNT
};

/* "NwkSKey"; a static string. */
const char *sim_spec_key_name(enum sim_key key);

/* Whether a session with or without OptNeg has that key. */
bool sim_spec_key_used(enum sim_key key, bool opt_neg);

bool sim_spec_opt_neg(const struct sim_join *join);

/* Whether these root keys can serve a join with or without OptNeg. */
bool sim_spec_roots_ok(const struct sim_roots *roots, bool opt_neg);

/* Build a join-request with its MIC; the accept's OptNeg picks the key. */
void sim_spec_request(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, uint8_t out[SIM_REQUEST_LEN]);

/*
 * Build the rejoin-request of join->type with its MIC; returns its length.
 * Types 0 and 2 are sent from within a session: it gives their NetID and the
 * key of their MIC.  Type 1 needs none, session may be NULL.
 */
size_t sim_spec_rejoin(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const struct sim_join *session,
    uint8_t out[SIM_REQUEST_MAX]);

/* What a device finds in a join-accept. */
struct sim_opened {
	uint8_t mhdr;
	struct sim_accept fields;
	uint8_t mic[SIM_MIC_LEN];
	uint8_t mic_expected[SIM_MIC_LEN]; /* under the OptNeg it says */
};

/*
 * Decrypt a join-accept of 17 or 33 octets that answers join, by AES
 * encryption, and compute the MIC it should have.  The MIC covers the octets
 * as they came, not the fields put together again.
 */
void sim_spec_accept_open(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, const uint8_t *phy, size_t len,
    struct sim_opened *out);

/* Build the join-accept a Join Server should answer; returns its length. */
size_t sim_spec_accept_build(struct sim_crypto *c,
    const struct sim_roots *roots, const struct sim_join *join,
    uint8_t out[SIM_ACCEPT_MAX]);

/* Derive a session key of the join; the caller wipes *out. */
void sim_spec_session_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct sim_join *join, enum sim_key key, struct secret_block *out);

/* JSIntKey and JSEncKey of a 1.1 device; the caller wipes *out. */
void sim_spec_js_int_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct eui64 *dev_eui, struct secret_block *out);
void sim_spec_js_enc_key(struct sim_crypto *c, const struct sim_roots *roots,
    const struct eui64 *dev_eui, struct secret_block *out);

#endif
