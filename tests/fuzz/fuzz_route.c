/* SPDX-License-Identifier: Apache-2.0 */
/* A frame as any peer may send it: it names a worker, or none. */
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/front/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .chunks = NULL };
	struct route route;
	enum jy_err err;

	err = route_read(&arena, data, size, &route);
	jy_assert(arena.chunks == NULL);
	if (err != JY_OK) {
		jy_assert(err == JY_EINVAL || err == JY_ECALL);
		jy_assert(!route.keyed && !route.has_dev_eui);
		return 0;
	}
	jy_assert(route.call != NULL);
	jy_assert(route.keyed || !route.has_dev_eui);
	jy_assert(!(route.status && route.trace));
	return 0;
}
