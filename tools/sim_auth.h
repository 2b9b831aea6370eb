/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the HTTP header Authorization (RFC 7617, RFC 6750). */
#ifndef JY_TOOLS_SIM_AUTH_H
#define JY_TOOLS_SIM_AUTH_H

#include "src/base/err.h"
#include "src/base/secret.h"

/*
 * The token or password is the first line of the file.  *out is text with a
 * NUL.  JY_EIO for a file that cannot be read, JY_EINVAL for one whose first
 * line is empty, too long or no printable ASCII.
 */
enum jy_err sim_auth_bearer(
    const char *path, struct secret **out, struct errctx *ec) JY_CHECK;
enum jy_err sim_auth_basic(const char *user, const char *path,
    struct secret **out, struct errctx *ec) JY_CHECK;

#endif
