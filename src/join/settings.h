/* SPDX-License-Identifier: Apache-2.0 */
/* Whether settings that admins give make sense; for the registry. */
#ifndef JY_JOIN_SETTINGS_H
#define JY_JOIN_SETTINGS_H

#include "src/store/store.h"

/* JY_EKEK when no KEK has that label; "" is fine. */
enum jy_err settings_check_kek(
    struct store *store, const char *label, struct errctx *ec) JY_CHECK;

/* Of a device or an application: JY_EKEK, JY_EINVAL. */
enum jy_err settings_check_activation(struct store *store,
    const struct activation *a, struct errctx *ec) JY_CHECK;

#endif
