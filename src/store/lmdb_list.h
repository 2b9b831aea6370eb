/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices an application has, in LMDB.  A damaged device row can be
 * deleted, so an entry may be left over: it counts only while the device it
 * names is there and belongs to the application.
 */
#ifndef JY_STORE_LMDB_LIST_H
#define JY_STORE_LMDB_LIST_H

#include "src/store/lmdb_txn.h"

/* A device was old and becomes new; either is zero where there is none. */
enum jy_err app_index_change(struct txn *t, const struct device_row *old,
    const struct device_row *new) JY_CHECK;

/*
 * Enter every device: for a store made by a version that had no such table.
 * A damaged row is passed over; it is no application's.
 */
enum jy_err app_index_fill(struct txn *t) JY_CHECK;

/* A device of the application; JY_ENOTFOUND when it has none. */
enum jy_err app_index_any(
    struct txn *t, const char *app, struct device_id *id) JY_CHECK;

#endif
