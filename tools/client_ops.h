/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of client does under client.h; struct client is its head. */
#ifndef JY_TOOLS_CLIENT_OPS_H
#define JY_TOOLS_CLIENT_OPS_H

#include "tools/client.h"

struct client_ops {
	enum jy_err (*send)(struct client *c,
	    const Joinery__V1__Request *request, struct errctx *ec);
	enum jy_err (*flush)(struct client *c, struct errctx *ec);
	enum jy_err (*receive)(
	    struct client *c, Joinery__V1__Response **out, struct errctx *ec);
	void (*set_timeout)(struct client *c, unsigned timeout_ms);
	Joinery__V1__ErrorCode (*code)(
	    const struct client *c, Joinery__V1__ErrorCode code);
	void (*close)(struct client *c);
};

struct client {
	const struct client_ops *ops;
	uint64_t last_id;
};

#endif
