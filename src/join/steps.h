/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the join line that have files of their own: policy.c, proof.c.
 * Only the files of the line include this.
 */
#ifndef JY_JOIN_STEPS_H
#define JY_JOIN_STEPS_H

#include "src/join/join.h"

/* Does the join-accept make the device derive 1.1 keys? */
bool steps_opt_neg(const struct join *j);

/* MAC version, OptNeg, root keys, KEKs. */
enum jy_err step_policy(struct join *j, struct errctx *ec) JY_CHECK;

/*
 * Token: CMAC over the raw octets, compared in constant time.  PKCS#11 calls
 * of a join-request or a rejoin-request of type 1: 2; of types 0 and 2: 4 for
 * each session tried, none if that is left to the Network Server.
 */
enum jy_err step_mic(struct join *j, struct errctx *ec) JY_CHECK;

/* DevNonce or RJcount rule, next JoinNonce; fills in what is committed. */
enum jy_err step_nonce(struct join *j, struct errctx *ec) JY_CHECK;

#endif
