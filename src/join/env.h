/* SPDX-License-Identifier: Apache-2.0 */
/* What every call of the Join Server works with. */
#ifndef JY_JOIN_ENV_H
#define JY_JOIN_ENV_H

#include <stdint.h>

#include "hsm/hsm.h"
#include "src/base/prefix.h"
#include "src/base/sys.h"
#include "src/store/store.h"

enum app_s_key_mode {
	APP_S_KEY_AUTO, /* in the join answer when the AS has a KEK */
	APP_S_KEY_YES,  /* always; a join without a KEK for it is refused */
	APP_S_KEY_NO    /* only when the AS asks for it */
};

/* Where root keys go that are imported. */
enum custody {
	CUSTODY_RESIDENT, /* into the token */
	CUSTODY_WRAPPED   /* into the store, under the token's storage key */
};

/* The JoinEUIs that are served. */
struct join_euis {
	struct eui64_prefix *prefixes;
	size_t count;             /* 0: all are served */
	bool has_default;         /* 1.0.x devices with a JoinEUI that is */
	struct eui64 default_eui; /* not served are registered under this */
};

/* To whose import keys root keys may be released: their fingerprints. */
struct release_to {
	uint8_t (*keys)[HSM_FINGERPRINT_LEN];
	size_t count;
};

struct join_env {
	struct store *store;
	struct hsm *hsm;
	const struct sys *sys;
	enum custody custody;
	uint64_t resident_max; /* root keys in the token; 0: no limit */
	struct turn *settling; /* one at a time; NULL: there are no others */
	enum app_s_key_mode app_s_key;
	uint32_t repeat_window_ms; /* a lost answer is given again; 0: never */
	bool rejoin_mic_by_ns; /* types 0 and 2: the NS checked MIC, RJcount0 */
	struct join_euis join_euis;
	struct release_to release_to;
	unsigned session_keep;       /* sessions of a device to retain */
	uint32_t session_lifetime_s; /* 0: without end */
};

#endif
