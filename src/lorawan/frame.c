/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join frames on air: LoRaWAN L2 1.0.4 clause 6.2, 1.1 clause 6.2.  Takes
 * octets apart and puts them together; knows no key and no state.
 */
#include "src/lorawan/frame.h"

#include <string.h>

#include "src/base/bytes.h"

#define MTYPE_JOIN_REQUEST 0U
#define MHDR_JOIN_ACCEPT 0x20U

enum jy_err
lw_join_request_parse(const uint8_t *phy, size_t len,
    struct lw_join_request *out, struct errctx *ec)
{
	struct reader r;
	uint8_t mhdr;

	if (len != LW_JOIN_REQUEST_LEN) {
		return err_set(ec, JY_EFRAMESIZE,
		    "a join-request has %d octets, PHYPayload has %zu",
		    LW_JOIN_REQUEST_LEN, len);
	}
	reader_init(&r, phy, len);
	mhdr = reader_u8(&r);
	if (mhdr >> 5 != MTYPE_JOIN_REQUEST) {
		return err_set(ec, JY_EINVAL,
		    "MType %u in PHYPayload is not a join-request", mhdr >> 5);
	}
	if ((mhdr & 3U) != 0) {
		return err_set(ec, JY_EINVAL,
		    "Major %u in PHYPayload is not LoRaWAN R1", mhdr & 3U);
	}
	reader_eui_le(&r, &out->join_eui);
	reader_eui_le(&r, &out->dev_eui);
	out->dev_nonce = (uint16_t)reader_le(&r, 2);
	reader_copy(&r, out->mic, sizeof(out->mic));
	jy_assert(reader_done(&r));
	memcpy(out->mic_input, phy, sizeof(out->mic_input));
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
