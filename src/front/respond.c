/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the front: refusals and status. */
#include "src/front/respond.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/errcode.h"
#include "proto/frame.h"
#include "src/base/log.h"
#include "src/front/conn.h"
#include "src/front/pending.h"
#include "src/front/server.h"

void
respond(const struct asked *asked, Joinery__V1__Response *response)
{
	uint8_t small[1024];
	uint8_t *buf = small;
	size_t len;

	response->has_id = asked->has_id;
	response->id = asked->id;
	len = joinery__v1__response__get_packed_size(response);
	if (len == 0 || len > FRAME_MAX) {
		log_error("front", "answer does not fit into a frame",
		    "octets=%zu", len);
		return;
	}
	if (len > sizeof(small)) {
		buf = malloc(len);
	}
	if (buf == NULL) {
		log_error("front", "out of memory for an answer", "%s", "");
		return;
	}
	(void)joinery__v1__response__pack(response, buf);
	conn_send(asked->conn, buf, len);
	if (buf != small) {
		free(buf);
	}
}

void
respond_error(struct server *s, const struct asked *asked,
    Joinery__V1__ErrorCode code, const char *message, const char *todo)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;
	char request_id[REQUEST_ID_STR_LEN];
	char text[256];

	pending_request_id(s->pending, asked->seq, request_id);
	log_notice("front", "refused a request",
	    "%s code=%s request_id=%s why=\"%s\" do=\"%s\"",
	    conn_name(asked->conn), errcode_name(code), request_id, message,
	    todo);
	(void)snprintf(text, sizeof(text), "%s", message);
	error.has_code = 1;
	error.code = code;
	error.message = text;
	error.request_id = request_id;
	response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	response.error = &error;
	respond(asked, &response);
}
