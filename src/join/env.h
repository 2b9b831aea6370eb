/* SPDX-License-Identifier: Apache-2.0 */
/* What every call of the Join Server works with. */
#ifndef JY_JOIN_ENV_H
#define JY_JOIN_ENV_H

#include <stdint.h>

#include "hsm/hsm.h"
#include "src/base/sys.h"
#include "src/store/store.h"

enum app_s_key_mode {
	APP_S_KEY_AUTO, /* in the join answer when the AS has a KEK */
	APP_S_KEY_YES,  /* always; a join without a KEK for it is refused */
	APP_S_KEY_NO    /* only when the AS asks for it */
};

struct join_env {
	struct store *store;
	struct hsm *hsm;
	const struct sys *sys;
	enum app_s_key_mode app_s_key;
	unsigned session_keep;       /* sessions of a device to retain */
	uint32_t session_lifetime_s; /* 0: without end */
};

#endif
