/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A join-request as any stranger may send it: it is either refused, with a
 * reason, or taken apart without losing an octet.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/lorawan/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct errctx ec = ERRCTX_INIT;
	struct lw_join_request r;
	uint8_t back[LW_JOIN_REQUEST_LEN];
	struct writer w;

	if (lw_join_request_parse(data, size, &r, &ec) != JY_OK) {
		jy_assert(ec.err == JY_EFRAMESIZE || ec.err == JY_EINVAL);
		jy_assert(ec.text[0] != '\0');
		return 0;
	}
	writer_init(&w, back, sizeof(back));
	writer_u8(&w, r.mic_input[0]);
	writer_eui_le(&w, &r.join_eui);
	writer_eui_le(&w, &r.dev_eui);
	writer_le(&w, r.dev_nonce, 2);
	jy_assert(memcmp(back, r.mic_input, w.len) == 0);
	writer_copy(&w, r.mic, sizeof(r.mic));
	jy_assert(writer_ok(&w) && w.len == size);
	jy_assert(memcmp(back, data, size) == 0);
	return 0;
}
