/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the front: refusals and status. */
#include "src/front/respond.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/errcode.h"
#include "proto/frame.h"
#include "src/base/log.h"
#include "src/conf/admin.h"
#include "src/front/pending.h"
#include "src/front/server.h"
#include "src/front/waiter.h"

bool
respond_asked_by_admin(const struct server *s, const struct asked *asked)
{
	const Joinery__Corridor__Credential *cred =
	    asked->waiter->ops->credential(asked->waiter);

	return cred->has_uid && conf_uid_is_admin(s->conf, cred->uid);
}

void
respond(const struct asked *asked, Joinery__V1__Response *response,
    const char *request_id)
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
	asked->waiter->ops->answer(asked->waiter, buf, len, request_id, NULL);
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
	    asked->waiter->ops->name(asked->waiter), errcode_name(code),
	    request_id, message, todo);
	(void)snprintf(text, sizeof(text), "%s", message);
	error.has_code = 1;
	error.code = code;
	error.message = text;
	error.request_id = request_id;
	response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	response.error = &error;
	respond(asked, &response, request_id);
	trace_refused(s, &asked->traced, &error);
}
