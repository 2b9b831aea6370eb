/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of joins and rejoins: LoRaWAN L2 1.0.4 clauses 6.2.1 to 6.2.3 and
 * 1.1 clauses 6.2.2 to 6.2.5.  Pure functions; multi-octet fields are
 * little-endian on air and reversed here, so that struct eui64 and numbers
 * are in printed order.
 */
#ifndef JY_LORAWAN_FRAME_H
#define JY_LORAWAN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"

#define LW_JOIN_REQUEST_LEN 23
#define LW_REJOIN_02_LEN 19 /* rejoin-request type 0 or 2 */
#define LW_REJOIN_1_LEN 24
#define LW_JOIN_ACCEPT_LEN 17
#define LW_JOIN_ACCEPT_MAX 33 /* with CFList */
#define LW_CF_LIST_LEN 16
#define LW_MIC_LEN 4
#define LW_JOIN_NONCE_MAX 0xFFFFFFU
#define LW_ACCEPT_INPUT_MAX 40 /* octets a join-accept MIC covers */
#define LW_OPT_NEG 0x80U       /* in DLSettings */

/* JoinReqType, LoRaWAN 1.1 clause 6.2.3. */
enum lw_join_type {
	LW_JOIN_REJOIN_0 = 0x00,
	LW_JOIN_REJOIN_1 = 0x01,
	LW_JOIN_REJOIN_2 = 0x02,
	LW_JOIN_REQUEST = 0xFF
};

struct lw_request {
	enum lw_join_type type;
	bool has_join_eui; /* not in rejoin-requests of types 0 and 2 */
	struct eui64 join_eui;
	struct eui64 dev_eui;
	uint32_t net_id;  /* of types 0 and 2 */
	uint16_t counter; /* DevNonce, RJcount0 or RJcount1 */
	uint8_t mic[LW_MIC_LEN];
	uint8_t mic_input[LW_REJOIN_1_LEN - LW_MIC_LEN]; /* as received */
	size_t mic_input_len;
};

/*
 * Take a join-request or a rejoin-request apart.  JY_EFRAMESIZE when len does
 * not fit the frame (a rejoin-request: its type), JY_EINVAL for another MType,
 * Major or rejoin type; RFU bits are left alone, the MIC covers them.
 */
enum jy_err lw_join_request_parse(const uint8_t *phy, size_t len,
    struct lw_request *out, struct errctx *ec) JY_CHECK;
enum jy_err lw_rejoin_request_parse(const uint8_t *phy, size_t len,
    struct lw_request *out, struct errctx *ec) JY_CHECK;

/* What a Network Server chooses for the join-accept. */
struct lw_join_accept {
	uint32_t join_nonce; /* 1..0xFFFFFF */
	uint32_t net_id;     /* 24 bits */
	uint32_t dev_addr;
	uint8_t dl_settings;
	uint8_t rx_delay; /* 0..15 */
	bool has_cf_list;
	const uint8_t *cf_list; /* LW_CF_LIST_LEN octets, copied verbatim */
};

/*
 * Build the octets a join-accept's MIC covers: MHDR and fields, preceded
 * under OptNeg by JoinReqType | JoinEUI | DevNonce (1.1 clause 6.2.3).
 * counter is the DevNonce, or the RJcount of a rejoin.  *head_len is how many
 * octets precede the MHDR (0 or 11); out + *head_len is the frame without its
 * MIC.  Returns the length, at most LW_ACCEPT_INPUT_MAX.
 */
size_t lw_join_accept_input(const struct lw_join_accept *a,
    enum lw_join_type type, const struct eui64 *join_eui, uint16_t counter,
    uint8_t out[LW_ACCEPT_INPUT_MAX], size_t *head_len);

#endif
