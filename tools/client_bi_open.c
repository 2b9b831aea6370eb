/* SPDX-License-Identifier: Apache-2.0 */
/* A client that speaks Backend Interfaces: messages over a pool of HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/client_bi.h"
#include "tools/client_http.h"
#include "tools/client_ops.h"

struct bi {
	struct client head;
	struct http_pool *http;
	bool v1_1;
	uint32_t transactions;
	struct client_bi_pending *pending; /* one a connection */
};

static struct bi *
bi_of(struct client *c)
{
	return (struct bi *)c;
}

static enum jy_err
bi_send(
    struct client *c, const Joinery__V1__Request *request, struct errctx *ec)
{
	struct bi *bi = bi_of(c);
	struct client_bi_pending p;
	char *body = NULL;
	size_t i = 0;
	enum jy_err err = client_bi_build(
	    bi->v1_1, bi->transactions++, request, &p, &body, ec);

	if (err == JY_OK) {
		err = http_send(bi->http, body, strlen(body), &i, ec);
	}
	if (err == JY_OK) {
		bi->pending[i] = p;
	}
	free(body);
	return err;
}

static Joinery__V1__ErrorCode
bi_code(const struct client *c, Joinery__V1__ErrorCode code)
{
	return client_bi_code(code, ((const struct bi *)c)->v1_1);
}

/* The Error that stands for an HTTP status without a message. */
static Joinery__V1__Response *
status_response(const struct client_bi_pending *p, unsigned status)
{
	static const struct {
		unsigned status;
		Joinery__V1__ErrorCode code;
	} rows[] = {
		{ 400, JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST },
		{ 401, JOINERY__V1__ERROR_CODE__PEER_UNKNOWN },
		{ 403, JOINERY__V1__ERROR_CODE__PEER_UNKNOWN },
		{ 408, JOINERY__V1__ERROR_CODE__TIMEOUT },
		{ 413, JOINERY__V1__ERROR_CODE__FRAME_TOO_LARGE },
		{ 429, JOINERY__V1__ERROR_CODE__BUSY },
		{ 503, JOINERY__V1__ERROR_CODE__BUSY },
	};
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__Error e = JOINERY__V1__ERROR__INIT;
	char text[32];

	(void)snprintf(text, sizeof(text), "HTTP status %u", status);
	e.has_code = true;
	e.code = JOINERY__V1__ERROR_CODE__INTERNAL;
	e.message = text;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].status == status) {
			e.code = rows[i].code;
		}
	}
	response.has_id = p->has_id;
	response.id = p->id;
	response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	response.error = &e;
	return client_bi_copy(&response);
}

static enum jy_err
bi_receive(struct client *c, Joinery__V1__Response **out, struct errctx *ec)
{
	struct bi *bi = bi_of(c);
	const struct client_bi_pending *p;
	struct http_answer answer;
	enum jy_err err = http_receive(bi->http, &answer, ec);

	if (err != JY_OK) {
		return err;
	}
	p = &bi->pending[answer.connection];
	if (answer.status != 200) {
		*out = status_response(p, answer.status);
		return JY_OK;
	}
	return client_bi_read(bi->v1_1, p, answer.body, answer.len, out, ec);
}

/* ---- opening ---- */

static enum jy_err
bi_flush(struct client *c, struct errctx *ec)
{
	(void)c; /* requests leave at once */
	(void)ec;
	return JY_OK;
}

static void
bi_set_timeout(struct client *c, unsigned timeout_ms)
{
	http_set_timeout(bi_of(c)->http, timeout_ms);
}

static void
bi_close(struct client *c)
{
	struct bi *bi = bi_of(c);

	http_close(bi->http);
	free(bi->pending);
	free(bi);
}

enum jy_err
client_open_bi(
    const struct client_config *config, struct client **out, struct errctx *ec)
{
	static const struct client_ops ops = {
		.send = bi_send,
		.flush = bi_flush,
		.receive = bi_receive,
		.set_timeout = bi_set_timeout,
		.code = bi_code,
		.close = bi_close,
	};
	struct http_pool *http;
	struct bi *bi;
	enum jy_err err = http_open(config, &http, ec);

	if (err != JY_OK) {
		return err;
	}
	bi = sys_xcalloc(1, sizeof(*bi));
	bi->head.ops = &ops;
	bi->http = http;
	bi->v1_1 = config->bi_1_1;
	bi->pending = sys_xcalloc(http_connections(http), sizeof(*bi->pending));
	sys_real.random(&bi->transactions, sizeof(bi->transactions));
	*out = &bi->head;
	return JY_OK;
}
