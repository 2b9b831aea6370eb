/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No bufferevent here: libevent 2.1 reads 4 KiB at a time and copies it into
 * chains.  This reads as much as there is into one buffer and hands frames
 * out where they lie, and it writes at the end of the loop's turn instead of
 * asking epoll first.
 */
#include "src/front/corridor.h"

#include <sys/socket.h>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"

#define CORRIDOR_MAGIC 0x636f7272U
#define INPUT_CAP (2U * (FRAME_HEAD_LEN + FRAME_CORRIDOR_MAX))

struct corridor {
	unsigned magic;
	int fd;
	const struct corridor_calls *calls;
	void *arg;
	struct event *readable;
	struct event *writable; /* when the kernel's buffer was full */
	struct event *flush;    /* at the end of this turn */
	struct evbuffer *out;
	struct evbuffer_iovec reserved;
	bool flushing;
	bool finishing;
	bool ended;
	size_t start; /* first octet of in[] not handed out */
	size_t end;
	uint8_t in[INPUT_CAP];
};

static void
corridor_end(struct corridor *c, const char *why)
{
	if (c->ended) {
		return;
	}
	c->ended = true;
	(void)event_del(c->readable);
	(void)event_del(c->writable);
	c->calls->ended(c->arg, why);
}

/* ---- out ---- */

static void
corridor_flush(struct corridor *c)
{
	c->flushing = false;
	while (!c->ended && evbuffer_get_length(c->out) > 0) {
		if (evbuffer_write(c->out, c->fd) >= 0) {
			continue;
		}
		if (errno == EAGAIN) {
			c->flushing = true;
			(void)event_add(c->writable, NULL);
			return;
		}
		if (errno != EINTR) {
			/* Its reading end tells how it ended. */
			(void)evbuffer_drain(
			    c->out, evbuffer_get_length(c->out));
		}
	}
	if (c->finishing) {
		(void)shutdown(c->fd, SHUT_WR);
	}
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct corridor *c = arg;

	(void)fd;
	(void)what;
	jy_assert(c->magic == CORRIDOR_MAGIC);
	corridor_flush(c);
}

static void
corridor_flush_soon(struct corridor *c)
{
	if (!c->flushing) {
		c->flushing = true;
		event_active(c->flush, 0, 0);
	}
}

uint8_t *
corridor_reserve(struct corridor *c, size_t len)
{
	jy_assert(len > 0 && len <= FRAME_CORRIDOR_MAX && !c->finishing);
	if (evbuffer_reserve_space(c->out, (ev_ssize_t)(FRAME_HEAD_LEN + len),
		&c->reserved, 1) != 1) {
		return NULL;
	}
	c->reserved.iov_len = FRAME_HEAD_LEN + len;
	frame_head_put(c->reserved.iov_base, len);
	return (uint8_t *)c->reserved.iov_base + FRAME_HEAD_LEN;
}

void
corridor_commit(struct corridor *c)
{
	jy_assert(evbuffer_commit_space(c->out, &c->reserved, 1) == 0);
	corridor_flush_soon(c);
}

void
corridor_finish(struct corridor *c)
{
	c->finishing = true;
	corridor_flush_soon(c);
}

/* ---- in ---- */

/* Hand out the whole frames in the buffer; keep the rest at its start. */
static enum jy_err
corridor_hand_out(struct corridor *c, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	size_t len;

	while (err == JY_OK && c->end - c->start >= FRAME_HEAD_LEN) {
		const uint8_t *at = c->in + c->start;

		err = frame_head_get(at, FRAME_CORRIDOR_MAX, &len, ec);
		if (err != JY_OK || c->end - c->start - FRAME_HEAD_LEN < len) {
			break;
		}
		c->start += FRAME_HEAD_LEN + len;
		err = c->calls->frame(c->arg, at + FRAME_HEAD_LEN, len, ec);
	}
	memmove(c->in, c->in + c->start, c->end - c->start);
	c->end -= c->start;
	c->start = 0;
	return err;
}

/* Read once; false when there is nothing more to read now. */
static bool
corridor_read(struct corridor *c)
{
	ssize_t n = read(c->fd, c->in + c->end, sizeof(c->in) - c->end);
	struct errctx ec = ERRCTX_INIT;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return errno == EINTR;
	}
	if (n < 0) {
		corridor_end(c, strerror(errno));
		return false;
	}
	if (n == 0) {
		corridor_end(c, c->end > 0 ? "it ended in a frame" : NULL);
		return false;
	}
	c->end += (size_t)n;
	if (corridor_hand_out(c, &ec) != JY_OK) {
		corridor_end(c, ec.text);
		return false;
	}
	return true;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct corridor *c = arg;

	(void)fd;
	(void)what;
	jy_assert(c->magic == CORRIDOR_MAGIC);
	(void)corridor_read(c);
}

void
corridor_drain(struct corridor *c)
{
	while (!c->ended && corridor_read(c)) {
	}
}

/* ---- life ---- */

struct corridor *
corridor_new_take(struct event_base *base, int fd,
    const struct corridor_calls *calls, void *arg)
{
	struct corridor *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		(void)close(fd);
		return NULL;
	}
	c->magic = CORRIDOR_MAGIC;
	c->fd = fd;
	c->calls = calls;
	c->arg = arg;
	c->out = evbuffer_new();
	c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, fd, EV_WRITE, on_flush, c);
	c->flush = event_new(base, -1, 0, on_flush, c);
	if (c->out == NULL || c->readable == NULL || c->writable == NULL ||
	    c->flush == NULL || event_add(c->readable, NULL) != 0) {
		corridor_free(c);
		return NULL;
	}
	return c;
}

static void
free_event(struct event *ev)
{
	if (ev != NULL) {
		event_free(ev);
	}
}

void
corridor_free(struct corridor *c)
{
	if (c == NULL) {
		return;
	}
	free_event(c->readable);
	free_event(c->writable);
	free_event(c->flush);
	if (c->out != NULL) {
		evbuffer_free(c->out);
	}
	(void)close(c->fd);
	c->magic = 0;
	free(c);
}
