/* SPDX-License-Identifier: Apache-2.0 */
/* What a call ended with, in the result codes of Backend Interfaces. */
#include "src/bi/bi_result.h"

struct result_row {
	const char *name[2]; /* by enum bi_version */
	const char *description;
};

static const struct result_row results[BI_RESULT_COUNT] = {
#define X(id, name_1_0, name_1_1, description) \
	[BI_RESULT_##id] = { { name_1_0, name_1_1 }, description },
#include "src/bi/bi_result.def"
#undef X
};

#define ROW(code, result) \
	{ \
		JOINERY__V1__ERROR_CODE__##code, BI_RESULT_##result \
	}

/*
 * What a peer can do something about.  The rest is ours, and no peer's
 * business: Other.
 */
static const struct {
	Joinery__V1__ErrorCode code;
	enum bi_result result;
} result_of[] = {
	ROW(MALFORMED_REQUEST, MALFORMED),
	ROW(UNKNOWN_CALL, MALFORMED),
	ROW(FRAME_TOO_LARGE, MALFORMED),
	ROW(OPTNEG_MISMATCH, MALFORMED),
	ROW(FRAME_SIZE, FRAME_SIZE),
	ROW(PEER_UNKNOWN, SENDER),
	ROW(NOT_ALLOWED, DISALLOWED),
	ROW(DEVICE_RELEASED, DISALLOWED),
	ROW(JOIN_EUI_NOT_SERVED, RECEIVER),
	ROW(UNKNOWN_DEVICE, DEVICE),
	ROW(UNKNOWN_SESSION, DEVICE),
	ROW(MIC_FAILED, MIC),
	ROW(DEV_NONCE_REPLAYED, REPLAYED),
	ROW(RJ_COUNT_REPLAYED, REPLAYED),
	ROW(NO_ROAMING_AGREEMENT, ROAMING),
	ROW(JOIN_NONCE_EXHAUSTED, FAILED),
	ROW(NO_ROOT_KEY, FAILED),
};

enum bi_result
bi_result_of(Joinery__V1__ErrorCode code)
{
	for (size_t i = 0; i < ARRAY_LEN(result_of); i++) {
		if (result_of[i].code == code) {
			return result_of[i].result;
		}
	}
	return BI_RESULT_OTHER;
}

const char *
bi_result_name(enum bi_result result, enum bi_version version)
{
	jy_assert(result < BI_RESULT_COUNT && version <= BI_1_1);
	return results[result].name[version];
}

const char *
bi_result_description(enum bi_result result)
{
	jy_assert(result < BI_RESULT_COUNT);
	return results[result].description;
}
