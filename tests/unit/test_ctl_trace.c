/* SPDX-License-Identifier: Apache-2.0 */
/* joineryctl trace: a line for each event, until a signal or enough. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/err.h"
#include "tests/unit/ctl_fake.h"

#define TRACE "trace 00-11-22-33-44-55-66-77"

static struct fake_run run;
static int signal_number;

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int
answer_begun(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static const uint8_t dev_eui[] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
		0x66, 0x77 };
	static Joinery__V1__TraceAnswer answer =
	    JOINERY__V1__TRACE_ANSWER__INIT;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_TRACE);
	assert_int_equal(q->trace->dev_eui.len, 8);
	assert_memory_equal(q->trace->dev_eui.data, dev_eui, 8);
	r->result_case = JOINERY__V1__RESPONSE__RESULT_TRACE;
	r->trace = &answer;
	return 1;
}

static Joinery__V1__TraceEvent event;
static Joinery__V1__TraceAnswer event_answer = JOINERY__V1__TRACE_ANSWER__INIT;

static void
event_join(void)
{
	static uint8_t session[16] = { 0x01, 0x90, 0xab, 0xcd, 0xff };
	static Joinery__V1__Counter steps[2];
	static Joinery__V1__Counter *rows[2] = { &steps[0], &steps[1] };
	static const char *const names[] = { "access", "mic" };

	for (size_t i = 0; i < 2; i++) {
		joinery__v1__counter__init(&steps[i]);
		steps[i].name = text(names[i]);
		steps[i].has_value = 1;
		steps[i].value = 12 + i;
	}
	event.call = text("join");
	event.has_join_type = 1;
	event.join_type = 255;
	event.has_counter = 1;
	event.counter = 17;
	event.has_net_id = 1;
	event.net_id = 0x13;
	event.has_join_nonce = 1;
	event.join_nonce = 5;
	event.has_session_key_id = 1;
	event.session_key_id = (ProtobufCBinaryData){ 16, session };
	event.n_steps_us = 2;
	event.steps_us = rows;
	event.has_total_us = 1;
	event.total_us = 2034;
}

static void
event_refused(void)
{
	event.call = text("rejoin");
	event.has_join_type = 1;
	event.join_type = 1;
	event.has_counter = 1;
	event.counter = 3;
	event.has_code = 1;
	event.code = JOINERY__V1__ERROR_CODE__RJ_COUNT_REPLAYED;
	event.reason = text("RJcount1 3 is not above 3");
	event.step = text("nonces");
}

static void
response_event(Joinery__V1__Response *r, size_t i)
{
	joinery__v1__trace_event__init(&event);
	event.has_time_ms = 1;
	event.time_ms = 1700000000123;
	event.peer = text("ns1");
	event.request_id = text("r-9");
	if (i == 0) {
		event_join();
	} else {
		event_refused();
	}
	event_answer.event = &event;
	event_answer.has_dropped = 1;
	event_answer.dropped = i == 0 ? 0 : 4;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_TRACE;
	r->trace = &event_answer;
}

/* Two events, then a signal when both were printed. */
static bool
two_then_signal(size_t i, Joinery__V1__Response *r)
{
	if (i < 2) {
		response_event(r, i);
		return true;
	}
	fake_wait_out("RJcount1 3 is not above 3");
	fake_signal(signal_number);
	return false;
}

/* Later than the time-out for answers. */
static bool
one_late(size_t i, Joinery__V1__Response *r)
{
	if (i == 0) {
		(void)poll(NULL, 0, 1500);
		response_event(r, 0);
	}
	return i == 0;
}

static bool
three(size_t i, Joinery__V1__Response *r)
{
	if (i < 3) {
		response_event(r, i % 2);
	}
	return i < 3;
}

static bool
one_then_error(size_t i, Joinery__V1__Response *r)
{
	static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;

	if (i == 0) {
		response_event(r, 0);
		return true;
	}
	error.has_code = 1;
	error.code = JOINERY__V1__ERROR_CODE__BUSY;
	error.message = text("going down");
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return i == 1;
}

/* ---- tests ---- */

static void
test_lines_until_signal(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		signal_number = signals[i];
		fake_follow(two_then_signal);
		fake_ctl(&run, answer_begun, NULL, TRACE);
		assert_int_equal(run.status, 0);
		assert_string_equal(run.out,
		    "2023-11-14 22:13:20.123Z  join  done  peer ns1"
		    "  net-id 000013  dev-nonce 17  join-nonce 5"
		    "  session 0190abcdff0000000000000000000000"
		    "  request r-9"
		    "  2.034 ms: access 12 us, mic 13 us\n"
		    "2023-11-14 22:13:20.123Z  rejoin 1"
		    "  RJ_COUNT_REPLAYED (RJcount1 3 is not above 3)"
		    "  at nonces  peer ns1  rj-count 3  request r-9\n");
		assert_non_null(
		    strstr(run.err, "following 0011223344556677; ^C"));
		assert_non_null(strstr(run.err, "4 events so far found no"));
	}
}

static void
test_count_and_json(void **state)
{
	json_error_t e;
	json_t *j;
	size_t lines = 0;

	(void)state;
	fake_follow(three);
	fake_ctl(&run, answer_begun, NULL, TRACE " --count 2 --json");
	assert_int_equal(run.status, 0);
	for (char *line = strtok(run.out, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		json_t *ev;

		j = json_loads(line, 0, &e);
		assert_non_null(j);
		ev = json_object_get(j, "event");
		assert_string_equal(
		    json_string_value(json_object_get(ev, "peer")), "ns1");
		assert_int_equal(
		    json_integer_value(json_object_get(j, "dropped")),
		    lines == 0 ? 0 : 4);
		json_decref(j);
		lines++;
	}
	assert_int_equal(lines, 2);
}

static void
test_stream_ends_badly(void **state)
{
	char *line;
	json_t *j;

	(void)state;
	fake_follow(one_then_error);
	fake_ctl(&run, answer_begun, NULL, TRACE " --json");
	assert_int_equal(run.status, 1);
	line = strchr(run.out, '\n');
	assert_non_null(line);
	j = json_loads(line + 1, 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(j, "error"), "code")),
	    "BUSY");
	json_decref(j);
}

/* The time-out is for the first answer alone. */
static void
test_no_time_out(void **state)
{
	(void)state;
	fake_follow(one_late);
	fake_ctl(&run, answer_begun, NULL, TRACE " --timeout 1000 --count 1");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "dev-nonce 17"));
}

static int
answer_refused(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;

	(void)q;
	error.has_code = 1;
	error.code = JOINERY__V1__ERROR_CODE__NOT_ALLOWED;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return 1;
}

static void
test_refused(void **state)
{
	(void)state;
	fake_ctl(&run, answer_refused, NULL, TRACE);
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "");
	assert_non_null(strstr(run.err, "NOT_ALLOWED"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_until_signal),
		cmocka_unit_test(test_count_and_json),
		cmocka_unit_test(test_stream_ends_badly),
		cmocka_unit_test(test_no_time_out),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
