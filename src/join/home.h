/* SPDX-License-Identifier: Apache-2.0 */
/* A device's home network, for a visited one: Backend Interfaces HomeNSReq. */
#ifndef JY_JOIN_HOME_H
#define JY_JOIN_HOME_H

#include "src/join/access.h"
#include "src/join/env.h"

struct home_ns {
	struct device_id device;
	uint32_t net_id;
	bool has_ns_id;
	struct eui64 ns_id;
};

/*
 * The home of a device: the NetID of its newest session if that still is a
 * home NetID, else the first of its home NetIDs.  A device that names none
 * has its newest session's.  JY_EDEVICE; JY_EJOINEUI; JY_EROAMING when the
 * peer is not told, or there is no home to tell.
 */
enum jy_err home_ns_find(const struct join_env *env,
    const struct peer_row *peer, uint32_t net_id, const struct eui64 *dev_eui,
    const struct eui64 *join_eui, struct home_ns *out,
    struct errctx *ec) JY_CHECK;

#endif
