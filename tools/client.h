/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side, for tools: calls that wait, each no longer than the
 * time-out.  client_open connects over a Unix socket or TLS and speaks the
 * framed protocol; client_open_bi speaks Backend Interfaces over HTTP, behind
 * the same calls.  One thread at a time.  Opening one makes the process ignore
 * SIGPIPE.
 *
 * Errors: JY_ECONFIG when what the configuration names cannot be used (host
 * and port, PEM files), JY_EPEER when the server's certificate is not
 * accepted, JY_EACCESS when the socket's permissions keep us out, JY_ETIMEOUT,
 * JY_EINVAL for an answer that is none, JY_EIO for the rest: no server there,
 * connection lost.  After JY_EINVAL, JY_EIO or JY_ETIMEOUT a connection is of
 * no use any more.
 */
#ifndef JY_TOOLS_CLIENT_H
#define JY_TOOLS_CLIENT_H

#include <limits.h>
#include <stdbool.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

struct client;

#define CLIENT_FOREVER UINT_MAX /* a time-out that never comes */

struct client_config {
	const char *socket; /* path; or NULL, and then: */
	const char *tcp;    /* host:port, with TLS; [address]:port for IPv6 */
	const char *ca;     /* PEM files */
	const char *cert;
	const char *key;
	unsigned timeout_ms; /* for connecting and for each answer */

	/*
	 * client_open_bi only: https://host:port/path, where ca is needed, cert
	 * and key are not; http://host:port/path on loopback; or
	 * http+unix:/path/of/socket.
	 */
	const char *bi;
	bool bi_1_1;               /* ProtocolVersion 1.1, else 1.0 */
	const char *authorization; /* value of that HTTP header; or NULL */
	const char *http_header;   /* one more, "Name: value"; or NULL */
	unsigned connections;      /* that there may be; 0: 1 */
};

/* The texts of config are not needed after the call. */
enum jy_err client_open(const struct client_config *config, struct client **out,
    struct errctx *ec) JY_CHECK;

/*
 * The same over Backend Interfaces.  It knows join and rejoin (which need
 * dev_eui and join_eui), app_s_key (join_eui, dev_eui, and sender->as_id) and
 * home_ns; anything else is JY_EINVAL.  sender->ns_id goes into a message of
 * version 1.1.  A ResultCode other than Success becomes an Error with the
 * nearest code and "ResultCode: Description" as message.  An answer that
 * breaks a rule of the format is JY_EINVAL.
 *
 * A connection carries one request at a time: more may be in flight if there
 * may be more connections, and client_send beyond that is JY_EBUSY.
 * Connections are made when they are needed.
 */
enum jy_err client_open_bi(const struct client_config *config,
    struct client **out, struct errctx *ec) JY_CHECK;

void client_close(struct client *c);

/* Another time-out for the answers from now on. */
void client_set_timeout(struct client *c, unsigned timeout_ms);

/*
 * What becomes of an error code on its way here: Backend Interfaces has fewer,
 * so that several codes of the server come out as one.
 */
Joinery__V1__ErrorCode client_code(
    const struct client *c, Joinery__V1__ErrorCode code);

/*
 * Send without waiting for the answer; the caller chose request->id.
 * Requests are gathered and leave together when client_receive would have to
 * wait, or some 64 KiB are there.  Bound what is in flight: a server that
 * gets no answer out stops reading.
 */
enum jy_err client_send(struct client *c, const Joinery__V1__Request *request,
    struct errctx *ec) JY_CHECK;

/* Put what client_send gathered on its way. */
enum jy_err client_flush(struct client *c, struct errctx *ec) JY_CHECK;

/* Wait for the next answer, whichever it is; free with client_free. */
enum jy_err client_receive(
    struct client *c, Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

/*
 * Send and wait for the answer with that id; a request without id gets one.
 * Answers to others that come meanwhile are dropped, but for an Error without
 * id: it is about the connection, and handed out.  An Error answer is JY_OK
 * here; look at (*out)->result_case.
 */
enum jy_err client_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

void client_free(Joinery__V1__Response *response);

#endif
