/* SPDX-License-Identifier: Apache-2.0 */
/* Derivation blocks of LoRaWAN L2 1.0.4 clause 6.2.3 and 1.1 clause 6.2.3. */
#include "src/lorawan/derive.h"

#include "src/base/bytes.h"

/* Fill what is left of the block with zero octets. */
static void
block_pad(struct writer *w)
{
	writer_zeros(w, LW_BLOCK_LEN - w->len);
	jy_assert(writer_ok(w));
}

void
lw_block_v10(uint8_t out[LW_BLOCK_LEN], enum lw_key key, uint32_t join_nonce,
    uint32_t net_id, uint16_t dev_nonce)
{
	struct writer w;

	writer_init(&w, out, LW_BLOCK_LEN);
	writer_u8(&w, (uint8_t)key);
	writer_le(&w, join_nonce, 3);
	writer_le(&w, net_id, 3);
	writer_le(&w, dev_nonce, 2);
	block_pad(&w);
}

void
lw_block_v11(uint8_t out[LW_BLOCK_LEN], enum lw_key key, uint32_t join_nonce,
    const struct eui64 *join_eui, uint16_t counter)
{
	struct writer w;

	writer_init(&w, out, LW_BLOCK_LEN);
	writer_u8(&w, (uint8_t)key);
	writer_le(&w, join_nonce, 3);
	writer_eui_le(&w, join_eui);
	writer_le(&w, counter, 2);
	block_pad(&w);
}

void
lw_block_js(
    uint8_t out[LW_BLOCK_LEN], enum lw_key key, const struct eui64 *dev_eui)
{
	struct writer w;

	writer_init(&w, out, LW_BLOCK_LEN);
	writer_u8(&w, (uint8_t)key);
	writer_eui_le(&w, dev_eui);
	block_pad(&w);
}
