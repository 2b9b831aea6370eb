/* SPDX-License-Identifier: Apache-2.0 */
/* Which DevNonce a device may use next: LoRaWAN L2 1.0.3 and 1.0.4, 6.2.2. */
#ifndef JY_LORAWAN_NONCE_H
#define JY_LORAWAN_NONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"

enum lw_nonce_rule {
	LW_NONCE_UNIQUE,  /* random: never a value used before */
	LW_NONCE_COUNTER, /* counter: greater than the last */
	LW_NONCE_ANY      /* the device is allowed to start anew */
};

/* "unique", "counter" or "any"; a static string. */
const char *lw_nonce_rule_str(enum lw_nonce_rule rule);

/* What is known of a device's DevNonces. */
struct lw_nonce_state {
	bool has_last;
	uint16_t last; /* the highest accepted, if has_last */
	bool seen;     /* whether this very value was accepted before */
};

/*
 * JY_OK, or JY_EREPLAY with received value, last value and rule as detail.
 */
enum jy_err lw_nonce_check(enum lw_nonce_rule rule,
    const struct lw_nonce_state *state, uint16_t dev_nonce,
    struct errctx *ec) JY_CHECK;

/*
 * JY_OK if an RJcount is greater than the last (has_last), else JY_ERJCOUNT
 * with both and the rule; name is "RJcount0" or "RJcount1".
 */
enum jy_err lw_rj_count_check(const char *name, bool has_last, uint16_t last,
    uint16_t count, struct errctx *ec) JY_CHECK;

/*
 * The JoinNonce after last (0: none yet), or JY_EEXHAUSTED after 0xFFFFFF.
 */
enum jy_err lw_join_nonce_next(
    uint32_t last, uint32_t *next, struct errctx *ec) JY_CHECK;

#endif
