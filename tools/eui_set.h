/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices a file has named, and on which line: to find those it names
 * twice.  At most some 80 octets a device, while it grows.
 */
#ifndef JY_TOOLS_EUI_SET_H
#define JY_TOOLS_EUI_SET_H

#include <stdint.h>

#include "src/base/hex.h"

struct eui_set;

struct eui_set *eui_set_new(void);
void eui_set_free(struct eui_set *set);

/*
 * Add a device; returns 0, or the line on which it was added before.  Lines
 * count from 1, and what is beyond 2^32 - 1 is told as that.
 */
uint64_t eui_set_add(struct eui_set *set, const struct eui64 *join_eui,
    const struct eui64 *dev_eui, uint64_t line);

#endif
