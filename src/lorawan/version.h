/* SPDX-License-Identifier: Apache-2.0 */
/* The MAC versions of LoRaWAN L2 that a join may name. */
#ifndef JY_LORAWAN_VERSION_H
#define JY_LORAWAN_VERSION_H

#include <stdbool.h>

/* The numbers are stored and travel in the framed protocol: never change. */
enum lw_version {
	LW_VERSION_NONE = 0,
	LW_VERSION_1_0_0 = 1,
	LW_VERSION_1_0_1 = 2,
	LW_VERSION_1_0_2 = 3,
	LW_VERSION_1_0_3 = 4,
	LW_VERSION_1_0_4 = 5,
	LW_VERSION_1_1_0 = 6
};

/* "1.0.3"; "" for LW_VERSION_NONE; a static string. */
const char *lw_version_str(enum lw_version v);

/*
 * Read "1.0", "1.0.0" ... "1.0.4", "1.0.2b" (and any such revision letter),
 * "1.1" or "1.1.0".
 */
bool lw_version_parse(const char *text, enum lw_version *out)
    __attribute__((warn_unused_result));

bool lw_version_is_1_1(enum lw_version v);

/* DevNonce is a counter (1.0.4 and 1.1), not a random number (before). */
bool lw_version_counts_dev_nonce(enum lw_version v);

#endif
