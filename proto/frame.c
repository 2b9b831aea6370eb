/* SPDX-License-Identifier: Apache-2.0 */
/* Framing on blocking descriptors; joineryd frames its own event buffers. */
#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"

struct frame_stream {
	int fd;
	size_t max;
	size_t start; /* first octet not yet handed out */
	size_t end;   /* behind the last octet read */
	size_t cap;
	uint8_t buf[];
};

void
frame_head_put(uint8_t head[FRAME_HEAD_LEN], size_t len)
{
	head[0] = (uint8_t)(len >> 24);
	head[1] = (uint8_t)(len >> 16);
	head[2] = (uint8_t)(len >> 8);
	head[3] = (uint8_t)len;
}

enum jy_err
frame_head_get(const uint8_t head[FRAME_HEAD_LEN], size_t max, size_t *len,
    struct errctx *ec)
{
	size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 |
	    (size_t)head[2] << 8 | head[3];

	if (n == 0 || n > max) {
		return err_set(ec, JY_EINVAL,
		    "frame of %zu octets announced, 1 to %zu are allowed", n,
		    max);
	}
	*len = n;
	return JY_OK;
}

struct frame_stream *
frame_stream_new(int fd, size_t max)
{
	size_t cap = FRAME_HEAD_LEN + max;
	struct frame_stream *fs = sys_xcalloc(1, sizeof(*fs) + cap);

	fs->fd = fd;
	fs->max = max;
	fs->cap = cap;
	return fs;
}

void
frame_stream_free(struct frame_stream *fs)
{
	free(fs);
}

/* Read once; what is left of a frame is moved to the front if need be. */
static enum jy_err
stream_fill(struct frame_stream *fs, struct errctx *ec)
{
	ssize_t n;

	if (fs->start > 0) {
		memmove(fs->buf, fs->buf + fs->start, fs->end - fs->start);
		fs->end -= fs->start;
		fs->start = 0;
	}
	do {
		n = read(fs->fd, fs->buf + fs->end, fs->cap - fs->end);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return err_set(ec, JY_EIO, "read: %s", strerror(errno));
	}
	if (n == 0 && fs->end == 0) {
		return err_set(ec, JY_ENOTFOUND, "connection closed");
	}
	if (n == 0) {
		return err_set(ec, JY_EIO, "connection closed in a frame");
	}
	fs->end += (size_t)n;
	return JY_OK;
}

enum jy_err
frame_stream_next(struct frame_stream *fs, const uint8_t **frame, size_t *len,
    struct errctx *ec)
{
	enum jy_err err;
	size_t n = 0;

	for (;;) {
		size_t have = fs->end - fs->start;

		if (have >= FRAME_HEAD_LEN) {
			err = frame_head_get(
			    fs->buf + fs->start, fs->max, &n, ec);
			if (err != JY_OK) {
				return err;
			}
			if (have - FRAME_HEAD_LEN >= n) {
				*frame = fs->buf + fs->start + FRAME_HEAD_LEN;
				*len = n;
				fs->start += FRAME_HEAD_LEN + n;
				return JY_OK;
			}
		}
		err = stream_fill(fs, ec);
		if (err != JY_OK) {
			return err;
		}
	}
}

bool
frame_stream_ready(const struct frame_stream *fs)
{
	size_t have = fs->end - fs->start;
	size_t n = 0;

	if (have < FRAME_HEAD_LEN) {
		return false;
	}
	return frame_head_get(fs->buf + fs->start, fs->max, &n, NULL) !=
	    JY_OK ||
	    have - FRAME_HEAD_LEN >= n;
}

enum jy_err
frame_write_all(int fd, const void *buf, size_t len, struct errctx *ec)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR) {
			return err_set(
			    ec, JY_EIO, "write: %s", strerror(errno));
		}
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return JY_OK;
}
