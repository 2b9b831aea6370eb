/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is an admin on the Unix socket without being a registered peer.
 * Workers ask it for every call, joineryd only for "status".
 */
#ifndef JY_CONF_ADMIN_H
#define JY_CONF_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"

struct conf;

/* A decimal user id and nothing else; out is untouched if it is not. */
bool conf_uid_parse(const char *text, uint32_t *out) JY_CHECK;

/* Root, the user this process runs as, and those of admin-uids. */
bool conf_uid_is_admin(const struct conf *conf, uint32_t uid) JY_CHECK;

#endif
