/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that ask for keys by session key ID. */
#ifndef JY_TOOLS_SIM_FETCH_H
#define JY_TOOLS_SIM_FETCH_H

#include "src/base/hex.h"
#include "tools/client.h"
#include "tools/sim.h"
#include "tools/sim_device.h"
#include "tools/sim_verify.h"

/*
 * Ask and wait; *out may be an error answer, free it with client_free.
 * What is NULL is left out; Backend Interfaces wants all of it.
 */
enum jy_err sim_fetch_network_keys(struct client *c,
    const uint8_t id[SIM_SESSION_ID_LEN], const struct eui64 *dev_eui,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;
enum jy_err sim_fetch_app_s_key(struct client *c,
    const uint8_t id[SIM_SESSION_ID_LEN], const struct eui64 *dev_eui,
    const struct eui64 *join_eui, const char *as_id,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

/*
 * Ask for the keys of a device's latest session, as NS (Backend Interfaces has
 * no message for that) and, if as is not NULL, as AS; check and report them.
 * *status is changed if something is wrong with them.
 */
enum jy_err sim_fetch_session(const struct sim_options *o, struct client *ns,
    struct client *as, const struct sim_verifier *v, const struct sim_device *d,
    enum sim_status *status, struct errctx *ec) JY_CHECK;

#endif
