/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joineryctl import" against a server that answers as a real one seldom
 * does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/base/sys.h"
#include "tests/unit/ctl_fake.h"
#include "tools/keyfile.h"

#define DEVICES 3U
#define MANY 2000U

static struct fake_run run;

/* How many batches are still answered with that code for each device. */
static unsigned refusals;
static Joinery__V1__ErrorCode refusal;

/* What is done to the file when all of it was read once. */
static void (*meddle)(void);

/* EUIs of the devices that came, in their order. */
static uint8_t came[MANY][16];
static size_t n_came;

static void
note_device(const Joinery__V1__ImportDevice *d)
{
	assert_true(n_came < MANY);
	assert_int_equal(d->id->dev_eui.len, 8);
	assert_int_equal(d->id->join_eui.len, 8);
	memcpy(came[n_came], d->id->dev_eui.data, 8);
	memcpy(came[n_came++] + 8, d->id->join_eui.data, 8);
}

static int
answer(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__ImportEventAnswer event;
	static Joinery__V1__ImportBatchAnswer batch;
	static Joinery__V1__ImportResult results[256];
	static Joinery__V1__ImportResult *list[256];
	size_t n;

	if (q->call_case != JOINERY__V1__REQUEST__CALL_IMPORT_BATCH) {
		if (q->call_case == JOINERY__V1__REQUEST__CALL_IMPORT_BEGIN &&
		    meddle != NULL) {
			meddle();
		}
		joinery__v1__import_event_answer__init(&event);
		r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT;
		r->import_event = &event;
		return 1;
	}
	n = q->import_batch->n_devices;
	assert_in_range(n, 1, 256);
	for (size_t i = 0; i < n; i++) {
		note_device(q->import_batch->devices[i]);
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
	batch.n_results = n;
	batch.results = list;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH;
	r->import_batch = &batch;
	return 1;
}

struct euis {
	unsigned dev, join;
};

/* A file of the format; whether its MAC is right is the server's to say. */
static void
write_devices(const struct euis *euis, unsigned n)
{
	const struct keyfile_header header = { .transport_key_len = 256 };
	char *text = malloc(8192 + (size_t)n * 256), line[KEYFILE_LINE_MAX];
	size_t at, len;

	assert_non_null(text);
	at = keyfile_write_header(&header, text);
	for (unsigned i = 0; i < n; i++) {
		struct keyfile_device d = { .app = { .present = true } };

		d.dev_eui.be[6] = (uint8_t)(euis[i].dev >> 8);
		d.dev_eui.be[7] = (uint8_t)euis[i].dev;
		d.join_eui.be[7] = (uint8_t)euis[i].join;
		assert_int_equal(
		    keyfile_write_device(&d, line, &len, NULL), JY_OK);
		memcpy(text + at, line, len);
		at += len;
	}
	at += keyfile_write_end(n, text + at);
	len = keyfile_write_mac((const uint8_t[KEYFILE_MAC_LEN]){ 0 }, line);
	memcpy(text + at, line, len + 1);
	(void)fake_file("keys", text, 0600);
	free(text);
	n_came = 0;
	refusals = 0;
	meddle = NULL;
}

static void
write_file(void)
{
	const struct euis euis[DEVICES] = { { 0, 0 }, { 1, 0 }, { 2, 0 } };

	write_devices(euis, DEVICES);
}

/* The only member that counts, of what was said at the end. */
static long long
member(const char *name)
{
	json_t *j = fake_json(&run);
	long long n = json_integer_value(json_object_get(j, name));

	json_decref(j);
	return n;
}

/* Another admin is faster: the batch is sent again, after a while. */
static void
test_conflict_passes(void **state)
{
	uint64_t start_us = sys_mono_us();

	(void)state;
	write_file();
	refusals = 3;
	refusal = JOINERY__V1__ERROR_CODE__CONFLICT;
	fake_ctl(&run, answer, NULL, "import %/keys --json");
	assert_int_equal(run.status, 0);
	assert_int_equal(member("created"), DEVICES);
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

/* ---- the order ---- */

static void
assert_in_order(size_t n)
{
	assert_int_equal(n_came, n);
	for (size_t i = 1; i < n; i++) {
		assert_true(memcmp(came[i - 1], came[i], 16) < 0);
	}
}

/* By DevEUI, then JoinEUI, whatever the order of the lines. */
static void
test_order(void **state)
{
	static struct euis euis[MANY];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		unsigned n = i * 7919U % MANY; /* each once */

		euis[i] = (struct euis){ n / 2, 1 - n % 2 };
	}
	write_devices(euis, MANY);
	fake_ctl(&run, answer, NULL, "import %/keys --json");
	assert_int_equal(run.status, 0);
	assert_int_equal(member("created"), MANY);
	assert_in_order(MANY);
}

/* The line that is told is the device's own. */
static void
test_refused_line(void **state)
{
	const struct euis euis[] = { { 9, 0 }, { 4, 0 } };

	(void)state;
	write_devices(euis, 2);
	refusals = 1;
	refusal = JOINERY__V1__ERROR_CODE__ALREADY_EXISTS;
	fake_ctl(&run, answer, NULL, "import %/keys");
	assert_int_equal(run.status, 1);
	assert_in_order(2);
	assert_non_null(strstr(run.err, "line 6: ALREADY_EXISTS"));
	assert_true(strstr(run.err, "line 6: ALREADY_EXISTS") <
	    strstr(run.err, "line 5: ALREADY_EXISTS"));
}

/* However often and however far apart: the first line is taken. */
static void
test_twins(void **state)
{
	const struct euis euis[] = { { 7, 1 }, { 3, 1 }, { 7, 1 }, { 7, 2 },
		{ 5, 1 }, { 7, 1 }, { 3, 1 } };
	char once[65], twice[65];
	json_t *j;

	(void)state;
	write_devices(euis, 7);
	fake_ctl(&run, answer, NULL, "import %/keys");
	assert_int_equal(run.status, 1);
	assert_in_order(4);
	assert_non_null(
	    strstr(run.err, "line 7: the device is on line 5, too"));
	assert_non_null(
	    strstr(run.err, "line 10: the device is on line 5, too"));
	assert_non_null(
	    strstr(run.err, "line 11: the device is on line 6, too"));
	assert_non_null(strstr(run.err, "3 of 7 devices were refused"));
	/* The digest of check values is over all lines. */
	for (unsigned i = 0; i < 2; i++) {
		write_devices(euis, i == 0 ? 2 : 3);
		fake_ctl(&run, answer, NULL, "import %/keys --json");
		j = fake_json(&run);
		(void)snprintf(i == 0 ? once : twice, sizeof(once), "%s",
		    json_string_value(
			json_object_get(j, "check_values_sha256")));
		json_decref(j);
	}
	assert_string_not_equal(once, twice);
}

static void
test_no_device(void **state)
{
	(void)state;
	write_devices(NULL, 0);
	fake_ctl(&run, answer, NULL, "import %/keys --json");
	assert_int_equal(run.status, 0);
	assert_int_equal(member("devices"), 0);
	assert_int_equal(n_came, 0);
}

/* ---- a file that changes between its readings ---- */

static void
change_line_6(void)
{
	FILE *f = fopen(fake_path("keys"), "r+");
	char line[KEYFILE_LINE_MAX];

	assert_non_null(f);
	for (unsigned i = 0; i < 5; i++) {
		assert_non_null(fgets(line, sizeof(line), f));
	}
	assert_int_equal(fseek(f, 7, SEEK_CUR), 0);
	assert_int_equal(fputc('f', f), 'f'); /* of its JoinEUI */
	assert_int_equal(fclose(f), 0);
}

static void
cut_the_file(void)
{
	assert_int_equal(truncate(fake_path("keys"), 500), 0);
}

/* What the MAC was not over goes nowhere. */
static void
test_changed(void **state)
{
	const struct euis euis[] = { { 1, 0 }, { 2, 0 }, { 3, 0 } };

	(void)state;
	write_devices(euis, 3);
	meddle = change_line_6;
	fake_ctl(&run, answer, NULL, "import %/keys");
	assert_int_equal(run.status, 5);
	assert_non_null(
	    strstr(run.err, "line 6 was changed while the file was read"));
	assert_true(n_came <= 1);
	write_devices(euis, 3);
	meddle = cut_the_file;
	fake_ctl(&run, answer, NULL, "import %/keys");
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "was changed while"));
	assert_int_equal(n_came, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conflict_passes),
		cmocka_unit_test(test_conflict_stays),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused_line),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
