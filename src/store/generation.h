/* SPDX-License-Identifier: Apache-2.0 */
/* What both backends say of the generations of a KEK. */
#ifndef JY_STORE_GENERATION_H
#define JY_STORE_GENERATION_H

#include "src/store/store.h"

/*
 * May row be added to the generations there are (set->n 0: none)?  JY_EEXIST,
 * JY_ECONFLICT, JY_EINUSE as from store_kek_add.
 */
enum jy_err kek_may_follow(const struct kek_set *set, const struct kek_row *row,
    struct errctx *ec) JY_CHECK;

/* JY_EEXIST: row has the wire label that another wants. */
enum jy_err kek_wire_label_taken(
    const struct kek_row *row, struct errctx *ec) JY_CHECK;

/* JY_ENOTFOUND, JY_ECONFLICT, JY_EINUSE as from store_kek_retire. */
enum jy_err kek_may_retire(const struct kek_set *set, const struct kek_row *row,
    struct errctx *ec) JY_CHECK;

/*
 * True when a row of the set has to be stored anew, as *heir, with the row
 * gone removed: else nothing would tell that its number was given.
 */
bool kek_heir(const struct kek_set *set, const struct kek_row *gone,
    struct kek_row *heir) JY_CHECK;

#endif
