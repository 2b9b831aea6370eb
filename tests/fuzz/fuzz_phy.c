/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A join-request or rejoin-request as any stranger may send it: it is either
 * refused, with a reason, or taken apart without losing an octet.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/lorawan/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum jy_err parser(
    const uint8_t *phy, size_t len, struct lw_request *out, struct errctx *ec);

static void
check(parser *parse, const uint8_t *data, size_t size)
{
	struct errctx ec = ERRCTX_INIT;
	uint8_t back[LW_REJOIN_1_LEN];
	struct lw_request r;
	struct writer w;

	if (parse(data, size, &r, &ec) != JY_OK) {
		jy_assert(ec.err == JY_EFRAMESIZE || ec.err == JY_EINVAL);
		jy_assert(ec.text[0] != '\0');
		return;
	}
	writer_init(&w, back, sizeof(back));
	writer_u8(&w, r.mic_input[0]);
	if (r.type != LW_JOIN_REQUEST) {
		writer_u8(&w, (uint8_t)r.type);
	}
	if (r.has_join_eui) {
		writer_eui_le(&w, &r.join_eui);
	} else {
		writer_le(&w, r.net_id, 3);
	}
	writer_eui_le(&w, &r.dev_eui);
	writer_le(&w, r.counter, 2);
	jy_assert(w.len == r.mic_input_len);
	jy_assert(memcmp(back, r.mic_input, w.len) == 0);
	writer_copy(&w, r.mic, sizeof(r.mic));
	jy_assert(writer_ok(&w) && w.len == size);
	jy_assert(memcmp(back, data, size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(lw_join_request_parse, data, size);
	check(lw_rejoin_request_parse, data, size);
	return 0;
}
