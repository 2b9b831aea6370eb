/* SPDX-License-Identifier: Apache-2.0 */
/* What an accepted join changes in its device's nonces, for every backend. */
#ifndef JY_STORE_ADVANCE_H
#define JY_STORE_ADVANCE_H

#include "src/store/store.h"

/* The nonces after the join or rejoin. */
void nonces_advance(struct nonce_row *row, const struct join_commit *c);

/* Whether its counter goes into the set of used DevNonces. */
bool nonces_list_dev_nonce(const struct join_commit *c);

/* The nonces of a device that has used others elsewhere; never lower ones. */
void nonces_raise(struct nonce_row *row, const struct nonce_start *start);

/* Forget all counters of the device, but not what was handed out to it. */
void nonces_forget(struct nonce_row *row);

#endif
