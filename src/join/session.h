/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session keys: derived in the token from a session row, wrapped for whom
 * they belong to, never stored.
 */
#ifndef JY_JOIN_SESSION_H
#define JY_JOIN_SESSION_H

#include "src/join/access.h"
#include "src/join/env.h"
#include "src/lorawan/derive.h"

/* How keys go to one receiver. */
struct delivery {
	bool clear;         /* in clear: the peer's row says so by name */
	struct kek_row kek; /* else under this one */
};

/* A key ready to leave; len 0: not given. */
struct key_envelope {
	char kek_label[STORE_LABEL_MAX + 1]; /* on the wire; "" when in clear */
	uint8_t key[HSM_WRAPPED_LEN];
	uint8_t len; /* 24 wrapped, 16 in clear */
};

/*
 * The keys of a session.  Without OptNeg the network key, NwkSKey, stands in
 * f_nwk_s_int_key alone.
 */
struct session_keys {
	bool opt_neg;
	struct key_envelope f_nwk_s_int_key;
	struct key_envelope s_nwk_s_int_key;
	struct key_envelope nwk_s_enc_key;
	struct key_envelope app_s_key;
};

/* A fresh session key ID: 48-bit milliseconds, 80 random bits (ULID). */
void session_new_id(const struct sys *sys, uint8_t out[STORE_ID_LEN]);

/*
 * Decide how keys go to a receiver: under the KEK the device names for it,
 * else under the peer's own, else in clear if the peer's row allows that
 * (peer may be NULL).  JY_EKEK when nothing of this holds.
 */
enum jy_err delivery_choose(const struct join_env *env, const char *device_kek,
    const struct peer_row *peer, struct delivery *out,
    struct errctx *ec) JY_CHECK;

/* Derive the network session keys of a session for their receiver. */
enum jy_err session_network_keys(const struct join_env *env,
    struct hsm_session *s, const struct session_row *row,
    const struct delivery *to, struct session_keys *out,
    struct errctx *ec) JY_CHECK;

/* Derive the AppSKey of a session for its receiver. */
enum jy_err session_app_s_key(const struct join_env *env, struct hsm_session *s,
    const struct session_row *row, const struct delivery *to,
    struct key_envelope *out, struct errctx *ec) JY_CHECK;

/* A question for the keys of a session. */
struct session_query {
	const struct peer_row *peer;
	const struct sender *sender;
	enum peer_role as; /* PEER_NS: network keys; PEER_AS: AppSKey */
	uint8_t id[STORE_ID_LEN];
	const struct eui64 *dev_eui;  /* borrowed; NULL: not said */
	const struct eui64 *join_eui; /* likewise */
	bool dry_run; /* derive nothing: of the first key only the KEK's label
		       * is filled in */
};

/*
 * Hand keys of a session out again, to a peer that asks for them by ID.
 * JY_EJOINEUI when a JoinEUI is said that is not served; JY_ESESSION when the
 * ID is unknown, has expired or is another device's.
 */
enum jy_err session_retrieve(const struct join_env *env,
    const struct session_query *query, struct session_keys *out,
    struct errctx *ec) JY_CHECK;

/*
 * The MIC under the SNwkSIntKey of a session, derived in the token and
 * destroyed again: LoRaWAN 1.1 clause 6.2.4, rejoin-requests of types 0 and 2.
 */
enum jy_err session_mic(const struct join_env *env, struct hsm_session *s,
    const struct session_row *row, const uint8_t *data, size_t len,
    uint8_t mic[HSM_MIC_LEN], struct errctx *ec) JY_CHECK;

#endif
