/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What admins change: devices with their root keys, applications, peers.  The
 * token and the store are two places; the order of the steps is such that a
 * crash between them leaves at worst an object in the token that nothing names.
 */
#ifndef JY_JOIN_REGISTRY_H
#define JY_JOIN_REGISTRY_H

#include "src/join/env.h"

/* Does a row make sense?  JY_EKEK, JY_EINVAL. */
enum jy_err registry_check_device(const struct join_env *env,
    const struct device_row *row, struct errctx *ec) JY_CHECK;

/*
 * Create (row->revision 0) or change a device and import the root keys that
 * come along (NULL: none).  A new root key gets a new generation; the old one
 * stays while retained sessions need it.  row is the wanted one; times,
 * generations and roles are filled in.
 * Errors: JY_EKEK, a KEK label that is not there; JY_EINVAL; those of
 * hsm_key_import and store_device_put.
 */
enum jy_err registry_device_set(const struct join_env *env,
    struct device_row *row, const struct hsm_sealed *nwk_key,
    const struct hsm_sealed *app_key, struct errctx *ec) JY_CHECK;

/* Remove a device, its sessions and its root keys; its nonces stay. */
enum jy_err registry_device_delete(const struct join_env *env,
    const struct device_id *id, struct errctx *ec) JY_CHECK;

/* Check an application's settings for sense, then create or replace them. */
enum jy_err registry_app_set(const struct join_env *env,
    const struct app_row *row, struct errctx *ec) JY_CHECK;

/* Check a peer row for sense, then create or replace it. */
enum jy_err registry_peer_set(const struct join_env *env,
    const struct peer_row *row, struct errctx *ec) JY_CHECK;

#endif
