/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join frames on air: LoRaWAN L2 1.0.4 clause 6.2, 1.1 clause 6.2.  Takes
 * octets apart and puts them together; knows no key and no state.
 */
#include "src/lorawan/frame.h"

#include <string.h>

#include "src/base/bytes.h"

#define MTYPE_JOIN_REQUEST 0U
#define MTYPE_REJOIN_REQUEST 6U
#define MHDR_JOIN_ACCEPT 0x20U

/* MType and Major; what is between them is RFU. */
static enum jy_err
check_mhdr(uint8_t mhdr, unsigned mtype, const char *name, struct errctx *ec)
{
	if (mhdr >> 5 != mtype) {
		return err_set(ec, JY_EINVAL,
		    "MType %u in PHYPayload is not a %s", mhdr >> 5, name);
	}
	if ((mhdr & 3U) != 0) {
		return err_set(ec, JY_EINVAL,
		    "Major %u in PHYPayload is not LoRaWAN R1", mhdr & 3U);
	}
	return JY_OK;
}

/* The end that all frames share: DevEUI, counter, MIC. */
static void
read_tail(
    struct reader *r, const uint8_t *phy, size_t len, struct lw_request *out)
{
	reader_eui_le(r, &out->dev_eui);
	out->counter = (uint16_t)reader_le(r, 2);
	reader_copy(r, out->mic, sizeof(out->mic));
	jy_assert(reader_done(r));
	out->mic_input_len = len - LW_MIC_LEN;
	memcpy(out->mic_input, phy, out->mic_input_len);
}

enum jy_err
lw_join_request_parse(
    const uint8_t *phy, size_t len, struct lw_request *out, struct errctx *ec)
{
	struct reader r;
	enum jy_err err;

	if (len != LW_JOIN_REQUEST_LEN) {
		return err_set(ec, JY_EFRAMESIZE,
		    "a join-request has %d octets, PHYPayload has %zu",
		    LW_JOIN_REQUEST_LEN, len);
	}
	reader_init(&r, phy, len);
	err = check_mhdr(reader_u8(&r), MTYPE_JOIN_REQUEST, "join-request", ec);
	if (err != JY_OK) {
		return err;
	}
	*out = (struct lw_request){
		.type = LW_JOIN_REQUEST,
		.has_join_eui = true,
	};
	reader_eui_le(&r, &out->join_eui);
	read_tail(&r, phy, len, out);
	return JY_OK;
}

/* The length of a rejoin-request, by its type; 0: there is no such type. */
static size_t
rejoin_len(uint8_t type)
{
	static const size_t lens[] = {
		[LW_JOIN_REJOIN_0] = LW_REJOIN_02_LEN,
		[LW_JOIN_REJOIN_1] = LW_REJOIN_1_LEN,
		[LW_JOIN_REJOIN_2] = LW_REJOIN_02_LEN,
	};

	return type < ARRAY_LEN(lens) ? lens[type] : 0;
}

enum jy_err
lw_rejoin_request_parse(
    const uint8_t *phy, size_t len, struct lw_request *out, struct errctx *ec)
{
	struct reader r;
	uint8_t type;
	enum jy_err err;

	if (len != LW_REJOIN_02_LEN && len != LW_REJOIN_1_LEN) {
		return err_set(ec, JY_EFRAMESIZE,
		    "a rejoin-request has %d or %d octets, PHYPayload has %zu",
		    LW_REJOIN_02_LEN, LW_REJOIN_1_LEN, len);
	}
	reader_init(&r, phy, len);
	err = check_mhdr(
	    reader_u8(&r), MTYPE_REJOIN_REQUEST, "rejoin-request", ec);
	if (err != JY_OK) {
		return err;
	}
	type = reader_u8(&r);
	if (rejoin_len(type) == 0) {
		return err_set(ec, JY_EINVAL,
		    "there is no rejoin-request of type %u", type);
	}
	if (rejoin_len(type) != len) {
		return err_set(ec, JY_EFRAMESIZE,
		    "a rejoin-request of type %u has %zu octets, PHYPayload "
		    "has %zu",
		    type, rejoin_len(type), len);
	}
	*out = (struct lw_request){ .type = (enum lw_join_type)type };
	if (type == LW_JOIN_REJOIN_1) {
		out->has_join_eui = true;
		reader_eui_le(&r, &out->join_eui);
	} else {
		out->net_id = (uint32_t)reader_le(&r, 3);
	}
	read_tail(&r, phy, len, out);
	return JY_OK;
}

size_t
lw_join_accept_input(const struct lw_join_accept *a, enum lw_join_type type,
    const struct eui64 *join_eui, uint16_t counter,
    uint8_t out[LW_ACCEPT_INPUT_MAX], size_t *head_len)
{
	struct writer w;

	writer_init(&w, out, LW_ACCEPT_INPUT_MAX);
	if ((a->dl_settings & LW_OPT_NEG) != 0) {
		writer_u8(&w, (uint8_t)type);
		writer_eui_le(&w, join_eui);
		writer_le(&w, counter, 2);
	}
	*head_len = w.len;
	writer_u8(&w, MHDR_JOIN_ACCEPT);
	writer_le(&w, a->join_nonce, 3);
	writer_le(&w, a->net_id, 3);
	writer_le(&w, a->dev_addr, 4);
	writer_u8(&w, a->dl_settings);
	writer_u8(&w, a->rx_delay);
	if (a->has_cf_list) {
		writer_copy(&w, a->cf_list, LW_CF_LIST_LEN);
	}
	jy_assert(writer_ok(&w));
	return w.len;
}
