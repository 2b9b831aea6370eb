/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front wants to know of a request: its id, whether it is for the
 * front itself, and which worker should have it.
 */
#ifndef JY_FRONT_ROUTE_H
#define JY_FRONT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

struct arena;

#define ROUTE_DEV_EUI_LEN 8U

struct route {
	bool has_id;
	uint64_t id;
	bool status; /* the front answers it */
	bool trace;  /* and this one */
	bool keyed;  /* hash names a worker; else any will do */
	uint64_t hash;
	bool has_dev_eui; /* the device it is about, in printed order */
	uint8_t dev_eui[ROUTE_DEV_EUI_LEN];
	const char *call; /* "join"; static; NULL: no call */
};

/*
 * arena is used meanwhile, and empty before and after.
 * JY_EINVAL when the octets are no Request, JY_ECALL when it holds no call
 * that this build knows (out then has the id).
 */
enum jy_err route_read(struct arena *arena, const uint8_t *request, size_t len,
    struct route *out) JY_CHECK;

/* The same for a request that is no octets yet. */
enum jy_err route_of(const Joinery__V1__Request *r, struct route *out) JY_CHECK;

#endif
