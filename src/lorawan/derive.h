/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16-octet blocks that an ECB encryption under a root key turns into a
 * key: LoRaWAN L2 1.0.4 clause 6.2.3, 1.1 clauses 6.1.1.3, 6.1.1.4, 6.2.3.
 * Pure functions; a block holds nothing secret.
 */
#ifndef JY_LORAWAN_DERIVE_H
#define JY_LORAWAN_DERIVE_H

#include <stdint.h>

#include "src/base/hex.h"

#define LW_BLOCK_LEN 16

/* The keys of a session, and the two lifetime keys of a 1.1 device. */
enum lw_key {
	LW_F_NWK_S_INT_KEY = 0x01, /* 1.0.x: NwkSKey */
	LW_APP_S_KEY = 0x02,
	LW_S_NWK_S_INT_KEY = 0x03,
	LW_NWK_S_ENC_KEY = 0x04,
	LW_JS_ENC_KEY = 0x05,
	LW_JS_INT_KEY = 0x06
};

/* tag | JoinNonce 3 | NetID 3 | DevNonce 2 | pad16: OptNeg 0. */
void lw_block_v10(uint8_t out[LW_BLOCK_LEN], enum lw_key key,
    uint32_t join_nonce, uint32_t net_id, uint16_t dev_nonce);

/* tag | JoinNonce 3 | JoinEUI 8 | counter 2 | pad16: OptNeg 1. */
void lw_block_v11(uint8_t out[LW_BLOCK_LEN], enum lw_key key,
    uint32_t join_nonce, const struct eui64 *join_eui, uint16_t counter);

/* tag | DevEUI 8 | pad16: JSEncKey and JSIntKey. */
void lw_block_js(
    uint8_t out[LW_BLOCK_LEN], enum lw_key key, const struct eui64 *dev_eui);

#endif
