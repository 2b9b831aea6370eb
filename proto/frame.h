/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing: a 4-octet big-endian length, then that many octets of message.
 * The length is checked before anything is allocated.
 */
#ifndef JY_PROTO_FRAME_H
#define JY_PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

#define FRAME_HEAD_LEN 4
#define FRAME_MAX 65536U           /* of a peer's message */
#define FRAME_CORRIDOR_MAX 131072U /* a message and what goes beside it */

void frame_head_put(uint8_t head[FRAME_HEAD_LEN], size_t len);

/* JY_EINVAL when the announced length is 0 or above max. */
enum jy_err frame_head_get(const uint8_t head[FRAME_HEAD_LEN], size_t max,
    size_t *len, struct errctx *ec) JY_CHECK;

/* Frames out of a blocking descriptor, many to a read(2). */
struct frame_stream;

/* fd is borrowed.  Frames above max are refused. */
struct frame_stream *frame_stream_new(int fd, size_t max);
void frame_stream_free(struct frame_stream *fs);

/*
 * Wait for the next frame; *frame stays valid until the next call.
 * JY_ENOTFOUND at a clean end of input, JY_EIO for one within a frame or a
 * failed read, JY_EINVAL for a bad length (the stream is then useless).
 */
enum jy_err frame_stream_next(struct frame_stream *fs, const uint8_t **frame,
    size_t *len, struct errctx *ec) JY_CHECK;

/* True when frame_stream_next would not have to wait. */
bool frame_stream_ready(const struct frame_stream *fs);

/* Write all of it, however long that takes; JY_EIO when the peer is gone. */
enum jy_err frame_write_all(
    int fd, const void *buf, size_t len, struct errctx *ec) JY_CHECK;

#endif
