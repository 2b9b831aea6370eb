/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the token still holds the KEKs that rows tell of, and whether the
 * labels that peers and applications name are there: a walk in small parts.
 */
#ifndef JY_JOIN_KEK_WATCH_H
#define JY_JOIN_KEK_WATCH_H

#include "src/join/env.h"

#define KEK_WATCH_SAID_MAX 8

/* One walk after the other; zero before the first. */
struct kek_watch {
	struct kek_place at; /* where it goes on; label "": from the first */
	size_t unfit;        /* found by this walk so far */
	uint64_t sum;        /* of what they are, in any order */
	char said[KEK_WATCH_SAID_MAX][160];
	/* Of the last walk that came to its end. */
	size_t last_unfit;
	uint64_t last_sum;
};

/*
 * Look at the next max rows of KEKs, and, behind the last one, at peers and
 * applications.  *ended says that the walk is over and last_unfit is new; what
 * was found is logged unless the walk before found the same.  A damaged row is
 * found like a lost key and ends the walk.  An error is the token's or the
 * store's, and the walk begins anew.
 */
enum jy_err kek_watch_some(const struct join_env *env, struct kek_watch *w,
    size_t max, bool *ended, struct errctx *ec) JY_CHECK;

#endif
