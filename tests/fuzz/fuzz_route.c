/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame as any peer may send it: what is taken is no deeper than one peer
 * test, and tells one worker or none.
 */
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/front/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_depth(const Joinery__V1__Request *r)
{
	if (r->call_case == JOINERY__V1__REQUEST__CALL_PEER_TEST &&
	    r->peer_test->request != NULL) {
		jy_assert(r->peer_test->request->call_case !=
		    JOINERY__V1__REQUEST__CALL_PEER_TEST);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { .chunks = NULL };
	Joinery__V1__Request *r;
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
	r = joinery__v1__request__unpack(NULL, size, data);
	jy_assert(r != NULL);
	check_depth(r);
	joinery__v1__request__free_unpacked(r, NULL);
	return 0;
}
