/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a peer sends: octets into frames, frames into messages.  What can
 * be unpacked must pack into the size announced, and packing is stable: once
 * packed by us, it comes back the same.  (protobuf-c may refuse what it packed
 * itself when the peer sent unknown fields with overlong tags; nothing in
 * Joinery packs a peer's message again, so that is no finding.)
 */
#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/corridor.pb-c.h"
#include "proto/frame.h"
#include "proto/joinery.pb-c.h"
#include "src/base/sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every message that is the whole of a frame somewhere. */
static const ProtobufCMessageDescriptor *const messages[] = {
	&joinery__v1__request__descriptor,
	&joinery__v1__response__descriptor,
	&joinery__corridor__envelope__descriptor,
	&joinery__corridor__reply__descriptor,
};

static uint8_t *
pack(const ProtobufCMessage *msg, size_t *len)
{
	uint8_t *out;

	*len = protobuf_c_message_get_packed_size(msg);
	out = sys_xmalloc(*len + 1);
	jy_assert(protobuf_c_message_pack(msg, out) == *len);
	return out;
}

static void
check_message(
    const ProtobufCMessageDescriptor *d, const uint8_t *frame, size_t len)
{
	ProtobufCMessage *msg = protobuf_c_message_unpack(d, NULL, len, frame);
	ProtobufCMessage *again;
	uint8_t *first, *second;
	size_t first_len, second_len;

	if (msg == NULL) {
		return;
	}
	first = pack(msg, &first_len);
	again = protobuf_c_message_unpack(d, NULL, first_len, first);
	if (again != NULL) {
		second = pack(again, &second_len);
		jy_assert(first_len == second_len);
		jy_assert(memcmp(first, second, first_len) == 0);
		free(second);
	}
	free(first);
	protobuf_c_message_free_unpacked(msg, NULL);
	protobuf_c_message_free_unpacked(again, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	struct frame_stream *fs = frame_stream_new(fd, FRAME_MAX);
	const uint8_t *frame;
	size_t frame_len;

	jy_assert(fd >= 0);
	jy_assert(frame_write_all(fd, data, len, NULL) == JY_OK);
	jy_assert(lseek(fd, 0, SEEK_SET) == 0);
	while (frame_stream_next(fs, &frame, &frame_len, NULL) == JY_OK) {
		jy_assert(frame_len >= 1 && frame_len <= FRAME_MAX);
		for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
			check_message(messages[i], frame, frame_len);
		}
	}
	frame_stream_free(fs);
	(void)close(fd);
	return 0;
}
