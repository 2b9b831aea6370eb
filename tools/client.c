/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framed protocol: frames and calls over a link.  Frames are gathered in
 * one buffer each way, so that many requests in flight cost few system calls.
 */
#include "tools/client.h"

#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "src/base/sys.h"
#include "tools/client_link.h"
#include "tools/client_ops.h"

struct buffer {
	size_t start; /* first octet still of use */
	size_t end;   /* behind the last */
	uint8_t data[FRAME_HEAD_LEN + FRAME_MAX];
};

struct framed {
	struct client head;
	struct link *link;
	unsigned timeout_ms;
	struct buffer in;
	struct buffer out;
};

static struct framed *
framed_of(struct client *c)
{
	return (struct framed *)c;
}

static void
framed_close(struct client *c)
{
	link_close(framed_of(c)->link);
	free(c);
}

static void
framed_set_timeout(struct client *c, unsigned timeout_ms)
{
	framed_of(c)->timeout_ms = timeout_ms;
}

static Joinery__V1__ErrorCode
framed_code(const struct client *c, Joinery__V1__ErrorCode code)
{
	(void)c;
	return code;
}

static enum jy_err
framed_flush(struct client *head, struct errctx *ec)
{
	struct framed *c = framed_of(head);
	uint64_t deadline_us = link_deadline(c->timeout_ms);
	struct span left = { c->out.data + c->out.start,
		c->out.end - c->out.start };
	enum jy_err err = JY_OK;

	while (left.len > 0 && err == JY_OK) {
		err = link_move(c->link, LINK_WRITE, &left, deadline_us, ec);
	}
	/* What is gone already must not go again, whatever comes next. */
	c->out.start = c->out.end - left.len;
	if (left.len == 0) {
		c->out.start = 0;
		c->out.end = 0;
	}
	return err;
}

static enum jy_err
framed_send(
    struct client *head, const Joinery__V1__Request *request, struct errctx *ec)
{
	struct framed *c = framed_of(head);
	size_t len = joinery__v1__request__get_packed_size(request);

	if (len == 0 || len > FRAME_MAX) {
		return err_set(ec, JY_EINVAL,
		    "request of %zu octets, 1 to %u fit into a frame", len,
		    FRAME_MAX);
	}
	if (sizeof(c->out.data) - c->out.end < FRAME_HEAD_LEN + len) {
		enum jy_err err = framed_flush(head, ec);

		if (err != JY_OK) {
			return err;
		}
	}
	frame_head_put(c->out.data + c->out.end, len);
	(void)joinery__v1__request__pack(
	    request, c->out.data + c->out.end + FRAME_HEAD_LEN);
	c->out.end += FRAME_HEAD_LEN + len;
	return JY_OK;
}

/*
 * Take the next frame out of what was read; *frame NULL when it is not all
 * there.  Then what is there starts at the front of the buffer, and the rest
 * of the frame has room behind it.
 */
static enum jy_err
take_frame(
    struct buffer *in, const uint8_t **frame, size_t *len, struct errctx *ec)
{
	size_t have = in->end - in->start;

	*frame = NULL;
	if (have >= FRAME_HEAD_LEN) {
		enum jy_err err =
		    frame_head_get(in->data + in->start, FRAME_MAX, len, ec);

		if (err != JY_OK) {
			return err;
		}
		if (have - FRAME_HEAD_LEN >= *len) {
			*frame = in->data + in->start + FRAME_HEAD_LEN;
			in->start += FRAME_HEAD_LEN + *len;
			return JY_OK;
		}
	}
	memmove(in->data, in->data + in->start, have);
	in->start = 0;
	in->end = have;
	return JY_OK;
}

/* Read what there is, at least one octet. */
static enum jy_err
fill(struct framed *c, uint64_t deadline_us, struct errctx *ec)
{
	struct span room = { c->in.data + c->in.end,
		sizeof(c->in.data) - c->in.end };
	enum jy_err err = link_move(c->link, LINK_READ, &room, deadline_us, ec);

	if (err == JY_OK) {
		c->in.end = sizeof(c->in.data) - room.len;
	}
	return err;
}

static enum jy_err
next_frame(
    struct framed *c, const uint8_t **frame, size_t *len, struct errctx *ec)
{
	uint64_t deadline_us = link_deadline(c->timeout_ms);
	struct errctx flush_ec = ERRCTX_INIT;
	enum jy_err flush_err = JY_OK;
	enum jy_err err;

	while ((err = take_frame(&c->in, frame, len, ec)) == JY_OK &&
	    *frame == NULL) {
		/*
		 * A server that hung up on us may have said why: look for
		 * that before the failed write is reported.
		 */
		if (flush_err == JY_OK) {
			flush_err = framed_flush(&c->head, &flush_ec);
		}
		err = fill(c, deadline_us, flush_err == JY_OK ? ec : NULL);
		if (err != JY_OK && flush_err != JY_OK) {
			return err_set(ec, flush_err, "%s",
			    err_detail(&flush_ec, flush_err));
		}
		if (err != JY_OK) {
			return err;
		}
	}
	return err;
}

static enum jy_err
framed_receive(
    struct client *head, Joinery__V1__Response **out, struct errctx *ec)
{
	struct framed *c = framed_of(head);
	Joinery__V1__Response *response;
	const uint8_t *frame;
	size_t len;
	enum jy_err err = next_frame(c, &frame, &len, ec);

	if (err != JY_OK) {
		return err;
	}
	response = joinery__v1__response__unpack(NULL, len, frame);
	if (response == NULL) {
		return err_set(ec, JY_EINVAL,
		    "an answer of %zu octets is not of this protocol", len);
	}
	*out = response;
	return JY_OK;
}

enum jy_err
client_open(
    const struct client_config *config, struct client **out, struct errctx *ec)
{
	static const struct client_ops ops = {
		.send = framed_send,
		.flush = framed_flush,
		.receive = framed_receive,
		.set_timeout = framed_set_timeout,
		.code = framed_code,
		.close = framed_close,
	};
	struct link *link;
	struct framed *c;
	enum jy_err err = link_open(config, &link, ec);

	if (err != JY_OK) {
		return err;
	}
	c = sys_xcalloc(1, sizeof(*c));
	c->head.ops = &ops;
	c->link = link;
	c->timeout_ms = config->timeout_ms;
	*out = &c->head;
	return JY_OK;
}

/* ---- what all kinds have ---- */

void
client_close(struct client *c)
{
	if (c != NULL) {
		c->ops->close(c);
	}
}

void
client_set_timeout(struct client *c, unsigned timeout_ms)
{
	c->ops->set_timeout(c, timeout_ms);
}

enum jy_err
client_send(
    struct client *c, const Joinery__V1__Request *request, struct errctx *ec)
{
	return c->ops->send(c, request, ec);
}

enum jy_err
client_flush(struct client *c, struct errctx *ec)
{
	return c->ops->flush(c, ec);
}

enum jy_err
client_receive(struct client *c, Joinery__V1__Response **out, struct errctx *ec)
{
	return c->ops->receive(c, out, ec);
}

Joinery__V1__ErrorCode
client_code(const struct client *c, Joinery__V1__ErrorCode code)
{
	return c->ops->code(c, code);
}

enum jy_err
client_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec)
{
	enum jy_err err;

	if (!request->has_id) {
		request->has_id = 1;
		request->id = ++c->last_id;
	}
	err = client_send(c, request, ec);
	while (err == JY_OK) {
		Joinery__V1__Response *r;

		err = client_receive(c, &r, ec);
		if (err != JY_OK) {
			break;
		}
		if (r->has_id ? r->id == request->id
			      : r->result_case ==
			    JOINERY__V1__RESPONSE__RESULT_ERROR) {
			*out = r;
			break;
		}
		client_free(r);
	}
	return err;
}

void
client_free(Joinery__V1__Response *response)
{
	if (response != NULL) {
		joinery__v1__response__free_unpacked(response, NULL);
	}
}
