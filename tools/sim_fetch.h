/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that ask for keys by session key ID. */
#ifndef JY_TOOLS_SIM_FETCH_H
#define JY_TOOLS_SIM_FETCH_H

#include "src/base/hex.h"
#include "tools/client.h"
#include "tools/sim_device.h"

/*
 * Ask and wait; *out may be an error answer, free it with client_free.
 * dev_eui NULL: leave it out.
 */
enum jy_err sim_fetch_network_keys(struct client *c,
    const uint8_t id[SIM_SESSION_ID_LEN], const struct eui64 *dev_eui,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;
enum jy_err sim_fetch_app_s_key(struct client *c,
    const uint8_t id[SIM_SESSION_ID_LEN], const struct eui64 *dev_eui,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

#endif
