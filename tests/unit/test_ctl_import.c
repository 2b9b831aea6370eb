/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joineryctl import" against a server that answers as a real one seldom
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/sys.h"
#include "tests/unit/ctl_fake.h"
#include "tools/keyfile.h"

#define DEVICES 3U

static struct fake_run run;

/* How many batches are still answered with that code for each device. */
static unsigned refusals;
static Joinery__V1__ErrorCode refusal;

static int
answer(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__ImportEventAnswer event;
	static Joinery__V1__ImportBatchAnswer batch;
	static Joinery__V1__ImportResult results[DEVICES];
	static Joinery__V1__ImportResult *list[DEVICES];

	if (q->call_case != JOINERY__V1__REQUEST__CALL_IMPORT_BATCH) {
		joinery__v1__import_event_answer__init(&event);
		r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT;
		r->import_event = &event;
		return 1;
	}
	assert_int_equal(q->import_batch->n_devices, DEVICES);
	for (size_t i = 0; i < DEVICES; i++) {
		joinery__v1__import_result__init(&results[i]);
		results[i].has_code = refusals > 0;
		results[i].code = refusal;
		results[i].has_outcome = refusals == 0;
		results[i].outcome =
		    JOINERY__V1__IMPORT_OUTCOME__IMPORT_CREATED;
		list[i] = &results[i];
	}
	refusals -= refusals > 0 ? 1 : 0;
	joinery__v1__import_batch_answer__init(&batch);
	batch.n_results = DEVICES;
	batch.results = list;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH;
	r->import_batch = &batch;
	return 1;
}

/* A file of the format; whether its MAC is right is the server's to say. */
static void
write_file(void)
{
	const struct keyfile_header header = { .transport_key_len = 256 };
	char text[8192], line[KEYFILE_LINE_MAX];
	size_t at, len;

	at = keyfile_write_header(&header, text);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct keyfile_device d = { .app = { .present = true } };

		d.dev_eui.be[7] = (uint8_t)i;
		assert_int_equal(
		    keyfile_write_device(&d, text + at, &len, NULL), JY_OK);
		at += len;
	}
	at += keyfile_write_end(DEVICES, text + at);
	len = keyfile_write_mac((const uint8_t[KEYFILE_MAC_LEN]){ 0 }, line);
	memcpy(text + at, line, len + 1);
	(void)fake_file("keys", text, 0600);
}

/* Another admin is faster: the batch is sent again, after a while. */
static void
test_conflict_passes(void **state)
{
	uint64_t start_us = sys_mono_us();
	json_t *j;

	(void)state;
	write_file();
	refusals = 3;
	refusal = JOINERY__V1__ERROR_CODE__CONFLICT;
	fake_ctl(&run, answer, NULL, "import %/keys --json");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	assert_int_equal(
	    json_integer_value(json_object_get(j, "created")), DEVICES);
	json_decref(j);
	assert_true(sys_mono_us() - start_us > 300000);
}

/* It does not ask for ever, nor as fast as it can. */
static void
test_conflict_stays(void **state)
{
	(void)state;
	write_file();
	refusals = 1000000;
	refusal = JOINERY__V1__ERROR_CODE__CONFLICT;
	fake_ctl(&run, answer, NULL, "import %/keys --timeout 300");
	assert_int_equal(run.status, 1);
	assert_in_range(run.requests, 3, 20);
	assert_non_null(strstr(run.err, "can be taken: CONFLICT"));
	assert_non_null(strstr(run.err, "the same command goes on"));
}

/* What does not pass is told with its line, once. */
static void
test_refused(void **state)
{
	(void)state;
	write_file();
	refusals = 1;
	refusal = JOINERY__V1__ERROR_CODE__ALREADY_EXISTS;
	fake_ctl(&run, answer, NULL, "import %/keys");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "line 5: ALREADY_EXISTS"));
	assert_non_null(strstr(run.err, "line 7: ALREADY_EXISTS"));
	assert_non_null(strstr(run.err, "3 of 3 devices were refused"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conflict_passes),
		cmocka_unit_test(test_conflict_stays),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
