/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A KEK in components: two or three keys of one length, each known to another
 * person; the KEK is their XOR.  Of a component only its check value is shown.
 */
#ifndef JY_TOOLS_CTL_COMPONENT_H
#define JY_TOOLS_CTL_COMPONENT_H

#include "tools/ctl.h"

#define COMPONENTS_MIN 2
#define COMPONENTS_MAX CTL_COMPONENTS_MAX

/*
 * The XOR of components.  JY_EINVAL when they are not 2 or 3 of one length,
 * when two are the same or one is zero, or when nothing is left of them.
 */
enum jy_err component_join(struct secret *const parts[], size_t n,
    struct secret **out, struct errctx *ec) JY_CHECK;

/*
 * From the files of --component, or typed one after the other at the terminal
 * (--components).  The caller frees.
 */
enum ctl_exit component_read(struct ctl *ctl, struct secret **out) JY_CHECK;

#endif
