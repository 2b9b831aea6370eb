/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes: their names, their texts and the carrier of their detail. */
#include "src/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *
err_text(enum jy_err err)
{
	static const char *const texts[] = {
#define X(code, text) text,
#include "src/base/err.def"
#undef X
	};

	return err < JY_ERR_COUNT ? texts[err] : "unknown error";
}

const char *
err_name(enum jy_err err)
{
	static const char *const names[] = {
#define X(code, text) #code,
#include "src/base/err.def"
#undef X
	};

	return err < JY_ERR_COUNT ? names[err] : "JY_E?";
}

static JY_PRINTF(3, 0) void record(
    struct errctx *ec, enum jy_err err, const char *fmt, va_list ap)
{
	ec->err = err;
	(void)vsnprintf(ec->text, sizeof(ec->text), fmt, ap);
}

enum jy_err
err_set(struct errctx *ec, enum jy_err err, const char *fmt, ...)
{
	va_list ap;

	jy_assert(err != JY_OK);
	if (ec == NULL || ec->err != JY_OK) {
		return err;
	}
	va_start(ap, fmt);
	record(ec, err, fmt, ap);
	va_end(ap);
	return err;
}

enum jy_err
err_replace(struct errctx *ec, enum jy_err err, const char *fmt, ...)
{
	va_list ap;

	jy_assert(err != JY_OK);
	if (ec == NULL) {
		return err;
	}
	va_start(ap, fmt);
	record(ec, err, fmt, ap);
	va_end(ap);
	return err;
}

void
err_clear(struct errctx *ec)
{
	if (ec != NULL) {
		*ec = (struct errctx)ERRCTX_INIT;
	}
}

const char *
err_detail(const struct errctx *ec, enum jy_err err)
{
	return ec != NULL && ec->text[0] != '\0' ? ec->text : err_text(err);
}

void
err_assert_failed(const char *cond, const char *file, int line)
{
	(void)fprintf(
	    stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
	abort();
}
