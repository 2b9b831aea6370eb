/* SPDX-License-Identifier: Apache-2.0 */
/* The DevNonce, RJcount and JoinNonce rules, as pure functions. */
#include "src/lorawan/nonce.h"

#include "src/lorawan/frame.h"

const char *
lw_nonce_rule_str(enum lw_nonce_rule rule)
{
	static const char *const names[] = {
		[LW_NONCE_UNIQUE] = "unique",
		[LW_NONCE_COUNTER] = "counter",
		[LW_NONCE_ANY] = "any",
	};

	return names[rule];
}

enum jy_err
lw_nonce_check(enum lw_nonce_rule rule, const struct lw_nonce_state *state,
    uint16_t dev_nonce, struct errctx *ec)
{
	if (rule == LW_NONCE_UNIQUE && state->seen) {
		return err_set(ec, JY_EREPLAY,
		    "DevNonce %u was used before (rule %s, highest %u)",
		    dev_nonce, lw_nonce_rule_str(rule), state->last);
	}
	if (rule == LW_NONCE_COUNTER && state->has_last &&
	    dev_nonce <= state->last) {
		return err_set(ec, JY_EREPLAY,
		    "DevNonce %u is not above the last, %u (rule %s)",
		    dev_nonce, state->last, lw_nonce_rule_str(rule));
	}
	return JY_OK;
}

enum jy_err
lw_rj_count_check(const char *name, bool has_last, uint16_t last,
    uint16_t count, struct errctx *ec)
{
	if (has_last && count <= last) {
		return err_set(ec, JY_ERJCOUNT,
		    "%s %u is not above the last, %u (rule %s)", name, count,
		    last, lw_nonce_rule_str(LW_NONCE_COUNTER));
	}
	return JY_OK;
}

enum jy_err
lw_join_nonce_next(uint32_t last, uint32_t *next, struct errctx *ec)
{
	if (last >= LW_JOIN_NONCE_MAX) {
		return err_set(ec, JY_EEXHAUSTED,
		    "JoinNonce has reached its last value, 0x%06x", last);
	}
	*next = last + 1;
	return JY_OK;
}
