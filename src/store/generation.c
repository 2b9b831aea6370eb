/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of generations, once for both backends. */
#include "src/store/generation.h"

#include <inttypes.h>

uint32_t
store_kek_highest(const struct kek_set *set)
{
	uint32_t highest = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct kek_row *row = &set->rows[i];

		highest = row->generation > highest ? row->generation : highest;
		highest = row->highest > highest ? row->highest : highest;
	}
	return highest;
}

bool
kek_heir(
    const struct kek_set *set, const struct kek_row *gone, struct kek_row *heir)
{
	struct kek_set left = { .n = 0 };

	for (size_t i = 0; i < set->n; i++) {
		if (set->rows[i].generation != gone->generation) {
			left.rows[left.n++] = set->rows[i];
		}
	}
	if (left.n == 0 || store_kek_highest(&left) == store_kek_highest(set)) {
		return false;
	}
	*heir = left.rows[left.n - 1];
	heir->highest = store_kek_highest(set);
	return true;
}

enum jy_err
kek_may_follow(
    const struct kek_set *set, const struct kek_row *row, struct errctx *ec)
{
	if (row->generation == 1 && set->n > 0) {
		return err_set(
		    ec, JY_EEXIST, "there is a KEK \"%s\" already", row->label);
	}
	if (row->generation != store_kek_highest(set) + 1) {
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
