/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of Backend Interfaces (TS002) from the asking side, for
 * client_open_bi: calls of the framed protocol to JSON, and answers back.
 * Pure, and strict: an answer has to keep every rule for what a Join Server
 * gives.
 */
#ifndef JY_TOOLS_CLIENT_BI_H
#define JY_TOOLS_CLIENT_BI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"
#include "src/base/hex.h"

#define CLIENT_BI_ID_MAX 128
#define CLIENT_BI_OCTETS_MAX 64 /* of any hexadecimal member of an answer */

/* The message under way on a connection: what its answer has to say. */
struct client_bi_pending {
	uint64_t id; /* of the call */
	bool has_id;
	Joinery__V1__Request__CallCase call;
	uint32_t transaction;
	char type[16]; /* of the answer: "JoinAns" */
	char sender[CLIENT_BI_ID_MAX];
	char receiver[CLIENT_BI_ID_MAX];
	char token[17];
	char ns_id[17]; /* "": none */
	char dev_eui[EUI64_STR_LEN];
	char session[2 * CLIENT_BI_OCTETS_MAX + 1]; /* asked for */
};

/*
 * The message for a call, *out to be freed.  JY_EINVAL for a call that has
 * none, or that lacks what it needs (client.h).
 */
enum jy_err client_bi_build(bool v1_1, uint32_t transaction,
    const Joinery__V1__Request *q, struct client_bi_pending *p, char **out,
    struct errctx *ec) JY_CHECK;

/*
 * The answer to a message.  JY_EINVAL, and which member breaks which rule as
 * detail; else *out is for client_free.
 */
enum jy_err client_bi_read(bool v1_1, const struct client_bi_pending *p,
    const char *body, size_t len, Joinery__V1__Response **out,
    struct errctx *ec) JY_CHECK;

/* What an error code comes out as, through the result codes of a version. */
Joinery__V1__ErrorCode client_bi_code(Joinery__V1__ErrorCode code, bool v1_1);

/* A Response in memory of its own, for client_free. */
Joinery__V1__Response *client_bi_copy(const Joinery__V1__Response *response);

#endif
