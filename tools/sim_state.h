/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of devices in a file, one line a device.  Both give JY_EIO
 * for a file that cannot be read or written, JY_EINVAL for a line that makes
 * no sense.
 */
#ifndef JY_TOOLS_SIM_STATE_H
#define JY_TOOLS_SIM_STATE_H

#include "tools/sim_device.h"

/*
 * Take over the counters of the fleet's devices.  A file that does not exist
 * and devices that are not in it leave them as they are.
 */
enum jy_err sim_state_read(
    struct sim_fleet *f, const char *path, struct errctx *ec) JY_CHECK;

/* Replace the file at once; lines of devices not in the fleet are kept. */
enum jy_err sim_state_write(
    const struct sim_fleet *f, const char *path, struct errctx *ec) JY_CHECK;

#endif
