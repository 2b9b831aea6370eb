/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of generations, once for both backends. */
#include "src/store/generation.h"

#include <inttypes.h>

enum jy_err
kek_may_follow(
    const struct kek_set *set, const struct kek_row *row, struct errctx *ec)
{
	uint32_t newest = set->n > 0 ? set->rows[set->n - 1].generation : 0;

	if (row->generation == 1 && newest > 0) {
		return err_set(
		    ec, JY_EEXIST, "there is a KEK \"%s\" already", row->label);
	}
	if (row->generation != newest + 1) {
		return err_set(ec, JY_ECONFLICT,
		    "the KEK \"%s\" was changed meanwhile", row->label);
	}
	if (set->n == STORE_KEK_GENERATIONS_MAX) {
		return err_set(ec, JY_EINUSE,
		    "the KEK \"%s\" has %d generations; retire one first",
		    row->label, STORE_KEK_GENERATIONS_MAX);
	}
	return JY_OK;
}

enum jy_err
kek_wire_label_taken(const struct kek_row *row, struct errctx *ec)
{
	return err_set(ec, JY_EEXIST,
	    "envelopes of generation %" PRIu32
	    " of the KEK \"%s\" carry the label \"%s\"",
	    row->generation, row->label, row->wire_label);
}

enum jy_err
kek_may_retire(
    const struct kek_set *set, const struct kek_row *row, struct errctx *ec)
{
	size_t i = 0;

	while (i < set->n && set->rows[i].generation != row->generation) {
		i++;
	}
	if (i == set->n) {
		return JY_ENOTFOUND;
	}
	if (set->rows[i].key_id != row->key_id) {
		return err_set(ec, JY_ECONFLICT,
		    "the KEK \"%s\" was changed meanwhile", row->label);
	}
	return set->n > 1
	    ? JY_OK
	    : err_set(ec, JY_EINUSE,
		  "generation %" PRIu32 " is the only one of the KEK \"%s\"",
		  row->generation, row->label);
}
