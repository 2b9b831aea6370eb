/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: what admins changed, one event after another, each with a
 * MAC over itself and the MAC of the one before.  The token makes them, under
 * a key that does nothing else, so that nobody who can only write to the
 * database changes, drops, adds or moves an event unseen.  A whole database
 * that is set back to an older state is not noticed.
 */
#ifndef JY_JOIN_AUDIT_H
#define JY_JOIN_AUDIT_H

#include "src/join/env.h"

enum audit_event {
	AUDIT_NOTHING = 0,   /* for a call that changes nothing */
	AUDIT_ELSEWHERE = 1, /* one whose change other events stand for */
#define X(name, number) AUDIT_##name = (number),
#include "src/join/audit.def"
#undef X
};

/* "device_set", or "unknown" for a number of a newer version. */
const char *audit_event_name(uint8_t event);

/*
 * Add an event: who asked, and what, one line without a key in it.  Texts that
 * are too long are cut, control characters become '?'.  Call it when the
 * change is durable.  out is the event as stored.  JY_ECONFLICT when others
 * were always faster.
 */
enum jy_err audit_append(const struct join_env *env, enum audit_event event,
    const char *who, const char *text, struct audit_row *out,
    struct errctx *ec) JY_CHECK;

#define AUDIT_VERIFY_MAX 64 /* events in one step: some milliseconds */

struct audit_verdict {
	uint64_t last; /* good up to here */
	bool more;     /* there are events behind it */
	uint64_t bad;  /* the first that is not good; 0: none was found */
	char why[160]; /* what is wrong with it */
};

/*
 * Look at the events behind the number after, up to AUDIT_VERIFY_MAX of them;
 * at the end of the log also at the end that is kept apart.  JY_EINVAL when
 * the log ends before after.
 */
enum jy_err audit_verify(const struct join_env *env, uint64_t after,
    struct audit_verdict *out, struct errctx *ec) JY_CHECK;

#endif
