/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which registered device a frame or message means.
 *
 * A JoinEUI that is not served (join-euis of joinery.conf) is nobody's, with
 * one exception for 1.0.x devices, whose AppEUI may be any value: a device
 * registered under exactly that AppEUI, or under the default JoinEUI, is ours.
 */
#ifndef JY_JOIN_DEVICE_H
#define JY_JOIN_DEVICE_H

#include "src/join/env.h"

/*
 * Read device, application and nonces; *id (in: as the frame says) becomes
 * the one the device is registered under.  view->device.activation is what
 * holds: its own or its application's.  mac_version is what the Network
 * Server says, LW_VERSION_NONE if it does not.
 * JY_EDEVICE: no such device; JY_EJOINEUI: its JoinEUI is not served.
 */
enum jy_err device_view(const struct join_env *env, struct device_id *id,
    enum lw_version mac_version, uint16_t dev_nonce, struct join_view *view,
    struct errctx *ec) JY_CHECK;

/*
 * The same for a device whose JoinEUI is not on air: join_eui as the message
 * says, or NULL, and then there must be but one device of that DevEUI
 * (JY_EINVAL if there are several).
 */
enum jy_err device_of_rejoin(const struct join_env *env,
    const struct eui64 *dev_eui, const struct eui64 *join_eui,
    struct device_id *id, struct errctx *ec) JY_CHECK;

bool device_join_eui_served(
    const struct join_euis *served, const struct eui64 *join_eui);

/*
 * Whether a message about a registered device, or its session, may say
 * join_eui: its own, or for 1.0.x (opt_neg false) any that is not served if it
 * is registered under the default JoinEUI.  JY_EJOINEUI when it does not fit
 * and is not served at all.
 */
enum jy_err device_fits(const struct join_env *env,
    const struct device_id *device, bool opt_neg, const struct eui64 *join_eui,
    bool *fits, struct errctx *ec) JY_CHECK;

#endif
