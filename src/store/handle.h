/* SPDX-License-Identifier: Apache-2.0 */
/* An open store, for the files that check the arguments of its verbs. */
#ifndef JY_STORE_HANDLE_H
#define JY_STORE_HANDLE_H

#include "src/store/backend.h"

struct commit_queue;

struct store {
	const struct store_ops *ops;
	struct store_db *db;
	struct commit_queue *queue;
};

#endif
