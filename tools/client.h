/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side of the framed protocol, for tools: a blocking connection
 * over a Unix socket or TLS.  One thread at a time.
 */
#ifndef JY_TOOLS_CLIENT_H
#define JY_TOOLS_CLIENT_H

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

struct client;

struct client_config {
	const char *socket; /* path; or NULL, and then: */
	const char *tcp;    /* host:port, with TLS */
	const char *ca;     /* PEM files */
	const char *cert;
	const char *key;
	unsigned timeout_ms; /* for connecting and for each answer */
};

enum jy_err client_open(const struct client_config *config, struct client **out,
    struct errctx *ec) JY_CHECK;
void client_close(struct client *c);

/* Send without waiting; the caller chose request->id. */
enum jy_err client_send(struct client *c, const Joinery__V1__Request *request,
    struct errctx *ec) JY_CHECK;

/* Wait for the next answer, whichever it is; free with client_free. */
enum jy_err client_receive(
    struct client *c, Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

/*
 * Send and wait for the answer with that id.  An Error answer is JY_OK here;
 * look at (*out)->result_case.
 */
enum jy_err client_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

void client_free(Joinery__V1__Response *response);

#endif
