/* SPDX-License-Identifier: Apache-2.0 */
/* Framing, and error codes on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "proto/errcode.h"
#include "proto/frame.h"

/* ---- framing ---- */

static void
head_round_trips(void **state)
{
	static const size_t lens[] = { 1, 255, 256, 65535, 65536, 131072 };
	uint8_t head[FRAME_HEAD_LEN];
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		frame_head_put(head, lens[i]);
		assert_int_equal(
		    frame_head_get(head, FRAME_CORRIDOR_MAX, &len, NULL),
		    JY_OK);
		assert_int_equal(len, lens[i]);
	}
	frame_head_put(head, 0x010203);
	assert_memory_equal(head, "\0\1\2\3", 4);
}

static void
head_out_of_range_is_refused(void **state)
{
	static const struct {
		const char *head;
		const char *detail;
	} bad[] = {
		{ "\0\0\0\0", "frame of 0 octets" },
		{ "\0\1\0\1", "frame of 65537 octets" },
		{ "\xff\xff\xff\xff", "frame of 4294967295 octets" },
	};
	size_t len = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errctx ec = ERRCTX_INIT;

		assert_int_equal(frame_head_get((const uint8_t *)bad[i].head,
				     FRAME_MAX, &len, &ec),
		    JY_EINVAL);
		assert_non_null(strstr(ec.text, bad[i].detail));
		assert_int_equal(len, 7);
	}
}

/* A stream over one end of a socketpair; octets go in at the other. */
struct pipe {
	int in;
	int out;
	struct frame_stream *fs;
};

static void
pipe_init(struct pipe *p, size_t max)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p->in = fds[0];
	p->out = fds[1];
	p->fs = frame_stream_new(p->out, max);
	assert_non_null(p->fs);
}

static void
pipe_fini(struct pipe *p)
{
	frame_stream_free(p->fs);
	if (p->in >= 0) {
		(void)close(p->in);
	}
	(void)close(p->out);
}

static void
pipe_close_in(struct pipe *p)
{
	(void)close(p->in);
	p->in = -1;
}

static void
put(struct pipe *p, const char *octets, size_t len)
{
	assert_int_equal(frame_write_all(p->in, octets, len, NULL), JY_OK);
}

static void
expect_frame(struct pipe *p, const char *want)
{
	const uint8_t *frame = NULL;
	size_t len = 0;

	assert_int_equal(frame_stream_next(p->fs, &frame, &len, NULL), JY_OK);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(frame, want, len);
}

static void
expect_error(struct pipe *p, enum jy_err want)
{
	const uint8_t *frame = NULL;
	size_t len = 7;

	assert_int_equal(frame_stream_next(p->fs, &frame, &len, NULL), want);
	assert_null(frame);
	assert_int_equal(len, 7);
}

static void
stream_many_frames_in_one_read(void **state)
{
	struct pipe p;

	(void)state;
	pipe_init(&p, 16);
	assert_false(frame_stream_ready(p.fs));
	put(&p, "\0\0\0\1a\0\0\0\3bcd\0\0\0\2e", 17);
	expect_frame(&p, "a");
	assert_true(frame_stream_ready(p.fs));
	expect_frame(&p, "bcd");
	assert_false(frame_stream_ready(p.fs));
	put(&p, "f", 1);
	expect_frame(&p, "ef");
	assert_false(frame_stream_ready(p.fs));
	pipe_close_in(&p);
	expect_error(&p, JY_ENOTFOUND);
	pipe_fini(&p);
}

static void *
trickle(void *arg)
{
	static const char octets[] = "\0\0\0\5hello\0\0\0\5world";
	struct pipe *p = arg;

	for (size_t i = 0; i < sizeof(octets) - 1; i++) {
		if (frame_write_all(p->in, octets + i, 1, NULL) != JY_OK) {
			return p;
		}
	}
	return NULL;
}

static void
stream_octet_by_octet(void **state)
{
	pthread_t writer;
	struct pipe p;
	void *failed;

	(void)state;
	pipe_init(&p, 5);
	assert_int_equal(pthread_create(&writer, NULL, trickle, &p), 0);
	expect_frame(&p, "hello");
	expect_frame(&p, "world");
	assert_int_equal(pthread_join(writer, &failed), 0);
	assert_null(failed);
	pipe_fini(&p);
}

static void
stream_end_within_a_frame(void **state)
{
	static const size_t cuts[] = { 1, 3, 4, 6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct pipe p;

		pipe_init(&p, 16);
		put(&p, "\0\0\0\3abc", cuts[i]);
		pipe_close_in(&p);
		expect_error(&p, JY_EIO);
		pipe_fini(&p);
	}
}

static void
stream_bad_length(void **state)
{
	struct pipe p;

	(void)state;
	pipe_init(&p, 16);
	put(&p, "\0\0\0\1a\0\0\0\x11", 9);
	expect_frame(&p, "a");
	assert_true(frame_stream_ready(p.fs)); /* with the refusal */
	expect_error(&p, JY_EINVAL);
	expect_error(&p, JY_EINVAL);
	pipe_fini(&p);
}

static void
stream_of_a_bad_descriptor(void **state)
{
	struct frame_stream *fs = frame_stream_new(-1, 16);
	struct errctx ec = ERRCTX_INIT;
	const uint8_t *frame;
	size_t len;

	(void)state;
	assert_int_equal(frame_stream_next(fs, &frame, &len, &ec), JY_EIO);
	assert_memory_equal(ec.text, "read: ", 6);
	frame_stream_free(fs);
}

static void *
read_slowly(void *arg)
{
	struct pipe *p = arg;
	const uint8_t *frame;
	size_t len;

	if (frame_stream_next(p->fs, &frame, &len, NULL) != JY_OK) {
		return p;
	}
	for (size_t i = 0; i < len; i++) {
		if (frame[i] != (uint8_t)i) {
			return p;
		}
	}
	return len == FRAME_CORRIDOR_MAX ? NULL : p;
}

static void
write_more_than_a_socket_holds(void **state)
{
	static uint8_t buf[FRAME_HEAD_LEN + FRAME_CORRIDOR_MAX];
	pthread_t reader;
	struct pipe p;
	void *failed;
	int small = 4096;

	(void)state;
	pipe_init(&p, FRAME_CORRIDOR_MAX);
	assert_int_equal(
	    setsockopt(p.in, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	frame_head_put(buf, FRAME_CORRIDOR_MAX);
	for (size_t i = 0; i < FRAME_CORRIDOR_MAX; i++) {
		buf[FRAME_HEAD_LEN + i] = (uint8_t)i;
	}
	assert_int_equal(pthread_create(&reader, NULL, read_slowly, &p), 0);
	assert_int_equal(frame_write_all(p.in, buf, sizeof(buf), NULL), JY_OK);
	assert_int_equal(pthread_join(reader, &failed), 0);
	assert_null(failed);
	pipe_fini(&p);
}

static void
write_to_nobody(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct pipe p;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	pipe_init(&p, 16);
	assert_int_equal(shutdown(p.out, SHUT_RDWR), 0);
	assert_int_equal(frame_write_all(p.in, "x", 1, &ec), JY_EIO);
	assert_memory_equal(ec.text, "write: ", 7);
	assert_int_equal(frame_write_all(p.in, "", 0, NULL), JY_OK);
	pipe_fini(&p);
}

/* ---- error codes ---- */

/* These are faults of the server whatever they are called inside. */
static bool
maps_to_internal(enum jy_err err)
{
	return err == JY_ECONFIG || err == JY_ENOMEM;
}

static void
every_error_has_a_wire_code(void **state)
{
	(void)state;
	for (int i = JY_OK + 1; i < JY_ERR_COUNT; i++) {
		Joinery__V1__ErrorCode code = errcode_of((enum jy_err)i);

		assert_int_not_equal(
		    code, JOINERY__V1__ERROR_CODE__ERROR_UNSPECIFIED);
		assert_string_not_equal(errcode_name(code), "ERROR_UNKNOWN");
		assert_true(errcode_hint(code)[0] != '\0');
		assert_int_equal(code == JOINERY__V1__ERROR_CODE__INTERNAL,
		    maps_to_internal((enum jy_err)i));
	}
}

static void
known_codes(void **state)
{
	(void)state;
	assert_string_equal(errcode_name(errcode_of(JY_EMIC)), "MIC_FAILED");
	assert_string_equal(
	    errcode_name(errcode_of(JY_EREPLAY)), "DEV_NONCE_REPLAYED");
	assert_string_equal(
	    errcode_name(errcode_of(JY_EPIN)), "TOKEN_UNAVAILABLE");
	assert_string_equal(
	    errcode_name((Joinery__V1__ErrorCode)9999), "ERROR_UNKNOWN");
}

static void
names_and_numbers_are_unique(void **state)
{
	const ProtobufCEnumDescriptor *d = &joinery__v1__error_code__descriptor;

	(void)state;
	assert_int_equal(d->n_values, d->n_value_names); /* no aliases */
	for (unsigned i = 0; i < d->n_values; i++) {
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(
			    d->values[i].name, d->values[j].name);
			assert_int_not_equal(
			    d->values[i].value, d->values[j].value);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_round_trips),
		cmocka_unit_test(head_out_of_range_is_refused),
		cmocka_unit_test(stream_many_frames_in_one_read),
		cmocka_unit_test(stream_octet_by_octet),
		cmocka_unit_test(stream_end_within_a_frame),
		cmocka_unit_test(stream_bad_length),
		cmocka_unit_test(stream_of_a_bad_descriptor),
		cmocka_unit_test(write_more_than_a_socket_holds),
		cmocka_unit_test(write_to_nobody),
		cmocka_unit_test(every_error_has_a_wire_code),
		cmocka_unit_test(known_codes),
		cmocka_unit_test(names_and_numbers_are_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
