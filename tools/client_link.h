/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the server under client.c and client_http.c: octets over a Unix
 * socket, TCP or TLS, in bounded time.  Errors are those of client.h.
 */
#ifndef JY_TOOLS_CLIENT_LINK_H
#define JY_TOOLS_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "tools/client.h"

struct link;

/* Octets still to be written, or room still to be filled. */
struct span {
	uint8_t *at;
	size_t len;
};

enum link_way {
	LINK_READ,
	LINK_WRITE
};

enum jy_err link_open(const struct client_config *config, struct link **out,
    struct errctx *ec) JY_CHECK;
void link_close(struct link *l);

/* TCP to host:port without TLS: for loopback. */
enum jy_err link_open_plain(const char *tcp, unsigned timeout_ms,
    struct link **out, struct errctx *ec) JY_CHECK;

/* The descriptor, to poll(2); and whether octets are there beyond it. */
int link_fd(const struct link *l);
bool link_has_pending(const struct link *l);

/* When a time-out that starts now is over, on the clock of sys_mono_us. */
uint64_t link_deadline(unsigned timeout_ms);

/* Move at least one octet; the span, never empty, shrinks from its front. */
enum jy_err link_move(struct link *l, enum link_way way, struct span *span,
    uint64_t deadline_us, struct errctx *ec) JY_CHECK;

#endif
