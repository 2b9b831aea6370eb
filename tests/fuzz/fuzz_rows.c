/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row decoders.  The first octet says which kind; the rest is the row.  What
 * decodes must pass its checker and encode to the same octets, or, if it is of
 * an older version, to octets that decode and encode to themselves.
 */
#include <stdint.h>
#include <string.h>

#include "src/store/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRY(kind) \
	static void try_##kind(const uint8_t *p, size_t len) \
	{ \
		struct errctx ec = ERRCTX_INIT; \
		struct kind##_row row; \
		uint8_t buf[ROW_MAX]; \
		uint8_t again[ROW_MAX]; \
		size_t n; \
\
		if (row_decode_##kind(p, len, &row, &ec) != JY_OK) { \
			jy_assert(ec.err == JY_ECORRUPT); \
			return; \
		} \
		jy_assert(row_check_##kind(&row, &ec) == JY_OK); \
		n = row_encode_##kind(&row, buf); \
		if (p[0] == buf[0]) { \
			jy_assert(n == len && memcmp(buf, p, len) == 0); \
			return; \
		} \
		jy_assert(p[0] < buf[0] && \
		    row_decode_##kind(buf, n, &row, NULL) == JY_OK); \
		jy_assert(row_encode_##kind(&row, again) == n && \
		    memcmp(buf, again, n) == 0); \
	}

TRY(device)
TRY(nonce)
TRY(session)
TRY(kek)
TRY(peer)
TRY(refusal)
TRY(app)
TRY(root)
TRY(audit)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(const uint8_t *, size_t) = { try_device,
		try_nonce, try_session, try_kek, try_peer, try_refusal, try_app,
		try_root, try_audit };

	if (size > 0) {
		kinds[data[0] % ARRAY_LEN(kinds)](data + 1, size - 1);
	}
	return 0;
}
