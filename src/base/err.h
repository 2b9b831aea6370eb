/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes and the detail that travels beside them.
 *
 * A fallible function returns enum jy_err and writes its results through its
 * last parameters, which stay untouched on failure.  The detail goes into an
 * errctx that the caller owns; the first failure wins, so a clean-up that
 * fails too does not hide the cause.
 */
#ifndef JY_BASE_ERR_H
#define JY_BASE_ERR_H

#include <stddef.h>

#define JY_CHECK __attribute__((warn_unused_result))
#define JY_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum jy_err {
#define X(code, text) code,
#include "src/base/err.def"
#undef X
	JY_ERR_COUNT
};

struct errctx {
	enum jy_err err; /* JY_OK while nothing failed */
	char text[240];  /* what was wrong, for people; "" if unset */
};

#define ERRCTX_INIT \
	{ \
		.err = JY_OK, .text = "" \
	}

/* The general text of a code; a static string, never NULL. */
const char *err_text(enum jy_err err);

/* The name of a code, for logs: "JY_EMIC"; a static string, never NULL. */
const char *err_name(enum jy_err err);

/*
 * Record the first failure and return err, so that a function can end with
 * "return err_set(ec, JY_EINVAL, ...)".  ec may be NULL; err is never JY_OK.
 */
enum jy_err err_set(struct errctx *ec, enum jy_err err, const char *fmt, ...)
    JY_PRINTF(3, 4);

/*
 * The same, in place of what was recorded: for a caller to whom the failure
 * of a lower floor means something else.
 */
enum jy_err err_replace(
    struct errctx *ec, enum jy_err err, const char *fmt, ...) JY_PRINTF(3, 4);

/* Forget a failure that turned out to be none. */
void err_clear(struct errctx *ec);

/* The detail if there is one, else the general text of err. */
const char *err_detail(const struct errctx *ec, enum jy_err err);

/*
 * Our own fault: print where and abort.  Always compiled in.  No input of a
 * peer, a file or a token may be able to reach it.
 */
#define jy_assert(cond) \
	((cond) ? (void)0 : err_assert_failed(#cond, __FILE__, __LINE__))

_Noreturn void err_assert_failed(const char *cond, const char *file, int line);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
