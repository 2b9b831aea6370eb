/* SPDX-License-Identifier: Apache-2.0 */
/* joineryctl device delete --file: forms of files, refusals, lost answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "src/base/err.h"
#include "tests/unit/ctl_fake.h"

#define J "70b3d57ed0000001"
#define DELETE "device delete --yes --file -"

static struct fake_run run;

static int
setup(void **state)
{
	(void)state;
	(void)fake_setup(NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)fake_teardown(NULL);
	return 0;
}

/* ---- the server: what it was asked to delete, by the last octet ---- */

static unsigned asked[256];
static unsigned answered;

static void
forget(void)
{
	memset(asked, 0, sizeof(asked));
	answered = 0;
}

static uint8_t
asked_for(const Joinery__V1__Request *q)
{
	static const uint8_t join_eui[] = { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0, 0,
		1 };
	const Joinery__V1__DeviceId *id = q->device_delete->id;

	assert_int_equal(
	    q->call_case, JOINERY__V1__REQUEST__CALL_DEVICE_DELETE);
	assert_int_equal(id->join_eui.len, 8);
	assert_memory_equal(id->join_eui.data, join_eui, 8);
	assert_int_equal(id->dev_eui.len, 8);
	asked[id->dev_eui.data[7]]++;
	answered++;
	return id->dev_eui.data[7];
}

static int
answer_error(Joinery__V1__Response *r, Joinery__V1__ErrorCode code)
{
	static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;

	error.has_code = 1;
	error.code = code;
	error.message = (char *)(uintptr_t) "so it is";
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return 1;
}

static int
answer_done(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__DoneAnswer done = JOINERY__V1__DONE_ANSWER__INIT;

	(void)asked_for(q);
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DONE;
	r->done = &done;
	return 1;
}

/* Device 2 is not there. */
static int
answer_but_2(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_done(q, r);
	return q->device_delete->id->dev_eui.data[7] == 2
	    ? answer_error(r, JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE)
	    : 1;
}

/* Each first request of a device gets the code, later ones UNKNOWN_DEVICE. */
static Joinery__V1__ErrorCode first_code;

static int
answer_first(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	return answer_error(r,
	    asked[asked_for(q)] == 1 ? first_code
				     : JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE);
}

static int
answer_busy_once(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_done(q, r);
	return asked[q->device_delete->id->dev_eui.data[7]] == 1
	    ? answer_error(r, JOINERY__V1__ERROR_CODE__BUSY)
	    : 1;
}

static int
answer_busy(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)asked_for(q);
	return answer_error(r, JOINERY__V1__ERROR_CODE__BUSY);
}

static int
answer_not_allowed(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)asked_for(q);
	return answer_error(r, JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
}

/* The third is deleted, but its answer gets lost with the connection. */
static int
answer_lost(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_done(q, r);
	if (answered == 3) {
		return 0;
	}
	return asked[3] == 2 && q->device_delete->id->dev_eui.data[7] == 3
	    ? answer_error(r, JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE)
	    : 1;
}

static int
answer_two(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_done(q, r);
	return answered <= 2;
}

static int
answer_nobody(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	(void)r;
	fail_msg("the server was asked");
	return 0;
}

/* An answer to nothing that was asked. */
static int
answer_other(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_done(q, r);
	r->id += 1000;
	return 1;
}

/* ---- what came of it ---- */

static void
assert_asked_once(unsigned first, unsigned last)
{
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(asked[i], i >= first && i <= last ? 1 : 0);
	}
}

static long long
json_number_at(const json_t *j, const char *name)
{
	return json_integer_value(json_object_get(j, name));
}

/* Lines of devices 1 to n. */
static const char *
lines_of(unsigned n)
{
	static char text[8192];
	size_t len = 0;

	for (unsigned i = 1; i <= n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    J " 00000000000000%02x\n", i);
	}
	return text;
}

/* ---- files ---- */

static void
test_forms(void **state)
{
	static const char *const files[] = {
		"# all of them\n" J " 0000000000000001\n\n"
		" " J ",0000000000000002 # the red one\n" J
		" ,\t00-00-00-00-00-00-00-03",
		"\xef\xbb\xbf" J " 0000000000000001\r\n" J
		" 0000000000000002\r\n" J " 0000000000000003\r\n",
		"\xef\xbb\xbf"
		"dev_eui,name,JOIN_EUI\r\n"
		"0000000000000001,\"a,\"\"b\"\"#\"," J "\r\n"
		"0000000000000002,# 2," J "\r\n\"0000000000000003\",," J "\r\n",
		"# as export writes it\n{\"id\":{\"join_eui\":\"" J
		"\",\"dev_eui\":\"0000000000000001\"},\"settings\":{\"name\":"
		"\"# 1\"}}\n{\"join_eui\":\"" J
		"\",\"dev_eui\":\"0000000000000002\"}\n"
		" {\"id\": {\"dev_eui\": \"0000000000000003\", "
		"\"join_eui\": \"" J "\"}}\n",
		"joinery-keyfile 1\nimport-key 00\nseal rsa-oaep-sha1\n"
		"transport-key 00\ndevice " J
		" 0000000000000001 1.0.4 app=00:00 device-name=#1\n"
		"device " J " 0000000000000002 - nwk=00:00\n"
		"device " J " 0000000000000003 1.0.4\nend 3 00\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		forget();
		fake_ctl(&run, answer_done, files[i], DELETE);
		assert_string_equal(run.err, "");
		assert_int_equal(run.status, 0);
		assert_asked_once(1, 3);
		assert_string_equal(run.out, "3 deleted, 0 refused, 0 left\n");
		forget();
		(void)fake_file("devices", files[i], 0644);
		fake_ctl(&run, answer_done, NULL,
		    "device delete --file %/devices --yes");
		assert_int_equal(run.status, 0);
		assert_asked_once(1, 3);
	}
}

static void
test_bad_lines(void **state)
{
	static const struct {
		const char *before;
		const char *line;
		const char *says;
	} cases[] = {
		{ "", J, "line 2: a line is a JoinEUI and a DevEUI" },
		{ "", J " 1 2", "line 2: a line is a JoinEUI and" },
		{ "", J " 000000000000000g", "DevEUI is 16 hexadecimal" },
		{ "", "70b3 0000000000000002", "JoinEUI is 16 hexadecimal" },
		{ "", J " 000102030405060708090a0b0c0d0e0f",
		    "(not shown: it could be a key)" },
		{ "join_eui,dev_eui\n", J ",0000000000000002,",
		    "line 3: it has 3 columns, the header 2" },
		{ "join_eui,dev_eui\n", J ",\"0000000000000002",
		    "line 3: its quotes are wrong" },
		{ "join_eui,dev_eui\n", J ",\"0000000000000002\"x",
		    "line 3: its quotes are wrong" },
		{ "join_eui,dev_eui\n", "# " J ",0000000000000002",
		    "line 3: JoinEUI is 16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char file[256];
		char sep = cases[i].before[0] != '\0' ? ',' : ' ';

		(void)snprintf(file, sizeof(file),
		    "%s" J "%c0000000000000001\n%s\n" J "%c0000000000000003\n",
		    cases[i].before, sep, cases[i].line, sep);
		forget();
		fake_ctl(&run, answer_done, file, DELETE);
		assert_int_equal(run.status, 1);
		assert_non_null(strstr(run.err, cases[i].says));
		assert_string_equal(run.out, "2 deleted, 1 refused, 0 left\n");
		assert_int_equal(asked[1] + asked[3], 2);
		assert_int_equal(asked[2], 0);

		fake_ctl(&run, answer_nobody, file, DELETE " --strict");
		assert_int_equal(run.status, 5);
		assert_non_null(strstr(run.err, "nothing was deleted"));
	}
}

static void
test_bad_json_lines(void **state)
{
	static const char file[] =
	    "{\"id\":{\"join_eui\":\"" J
	    "\",\"dev_eui\":\"0000000000000001\"}}\n"
	    "{\"id\":\n"
	    "{\"error\":{\"code\":\"BUSY\"}}\n"
	    "{\"join_eui\":1,\"dev_eui\":2}\n" J " 0000000000000002\n";
	json_t *j;
	json_t *refused;

	(void)state;
	forget();
	fake_ctl(&run, answer_done, file, DELETE " --json");
	assert_int_equal(run.status, 1);
	assert_asked_once(1, 1);
	j = fake_json(&run);
	refused = json_object_get(j, "refused");
	assert_int_equal(json_array_size(refused), 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
		    json_number_at(json_array_get(refused, i), "line"), i + 2);
	}
	assert_int_equal(json_number_at(j, "deleted"), 1);
	assert_int_equal(json_number_at(j, "not_deleted"), 4);
	assert_non_null(json_object_get(j, "error"));
	json_decref(j);
}

/* Of a key file only lines of devices matter. */
static void
test_bad_key_file(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_done,
	    "joinery-keyfile 1\nimport-key " J "\ndevice " J "\n"
	    "device " J " 000000000000000x 1.0.4\n"
	    "device " J " 0000000000000001 1.0.4 app=00:00\n",
	    DELETE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "line 3: a device line has"));
	assert_non_null(strstr(run.err, "line 4: DevEUI is 16"));
	assert_asked_once(1, 1);
}

/* A line longer than there is room for hides none behind it. */
static void
test_long_line(void **state)
{
	static char file[40000];
	size_t len = 20000;

	(void)state;
	memset(file, 'a', len);
	(void)snprintf(
	    file + len, sizeof(file) - len, "\n" J " 0000000000000001");
	forget();
	fake_ctl(&run, answer_done, file, DELETE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "line 1: it is longer than 16384"));
	assert_asked_once(1, 1);
}

static void
test_unusable(void **state)
{
	static const struct {
		const char *arguments;
		const char *input;
		int status;
		const char *says;
	} cases[] = {
		{ DELETE, "join_eui,name\n", 5, "needs join_eui and dev_eui" },
		{ DELETE, "dev_eui,dev_eui\n", 5, "needs join_eui and" },
		{ "device delete --yes --file %/none", "", 5, "No such file" },
		{ "device delete --yes --file %", "", 5, "Is a directory" },
		{ "device delete", "", 2, "needs --dev-eui EUI or --file" },
		{ DELETE " --dev-eui " J, "", 2, "exclude each other" },
		{ "device delete --yes --dev-eui " J, "", 2, "go with --file" },
		{ "device delete --file -", J " " J, 2, "--yes if it is" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_ctl(
		    &run, answer_nobody, cases[i].input, cases[i].arguments);
		assert_int_equal(run.status, cases[i].status);
		assert_non_null(strstr(run.err, cases[i].says));
	}
	fake_ctl(&run, answer_nobody, "# none\n", "device delete --file -");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "0 deleted, 0 refused, 0 left\n");
}

/* ---- answers ---- */

static void
test_refused(void **state)
{
	json_t *j;
	json_t *row;

	(void)state;
	forget();
	fake_ctl(&run, answer_but_2, lines_of(60), DELETE);
	assert_int_equal(run.status, 1);
	assert_asked_once(1, 60);
	assert_string_equal(run.out, "59 deleted, 1 refused, 0 left\n");
	assert_non_null(strstr(run.err,
	    "line 2: " J " 0000000000000002: UNKNOWN_DEVICE: so it is\n"));
	forget();
	fake_ctl(&run, answer_but_2, lines_of(3), DELETE " --json");
	assert_int_equal(run.status, 1);
	j = fake_json(&run);
	row = json_array_get(json_object_get(j, "refused"), 0);
	assert_int_equal(json_number_at(row, "line"), 2);
	assert_string_equal(json_string_value(json_object_get(row, "dev_eui")),
	    "0000000000000002");
	assert_string_equal(
	    json_string_value(json_object_get(row, "code")), "UNKNOWN_DEVICE");
	assert_int_equal(json_number_at(j, "deleted"), 2);
	json_decref(j);
}

/* What was under way is answered, no more is asked. */
static void
test_strict(void **state)
{
	unsigned deleted;
	unsigned refused;
	unsigned left;

	(void)state;
	forget();
	fake_ctl(&run, answer_but_2, lines_of(200), DELETE " --strict");
	assert_int_equal(run.status, 1);
	assert_int_equal(sscanf(run.out, "%u deleted, %u refused, %u left",
			     &deleted, &refused, &left),
	    3);
	assert_int_equal(refused, 1);
	assert_int_equal(deleted + refused, answered);
	assert_int_equal(answered + left, 200);
	assert_in_range(answered, 2, 40);
}

static void
test_asked_again(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_busy_once, lines_of(2), DELETE);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "2 deleted, 0 refused, 0 left\n");

	/* A time-out may have hidden that it was done; BUSY does not. */
	forget();
	first_code = JOINERY__V1__ERROR_CODE__TIMEOUT;
	fake_ctl(&run, answer_first, lines_of(2), DELETE);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "2 deleted, 0 refused, 0 left\n");
	forget();
	first_code = JOINERY__V1__ERROR_CODE__BUSY;
	fake_ctl(&run, answer_first, lines_of(2), DELETE);
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "0 deleted, 2 refused, 0 left\n");

	/* Not for ever. */
	forget();
	fake_ctl(&run, answer_busy, lines_of(1), DELETE);
	assert_int_equal(run.status, 1);
	assert_int_equal(asked[1], 7);
	assert_non_null(
	    strstr(run.err, "line 1: " J " 0000000000000001: BUSY"));
}

static void
test_not_allowed(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_not_allowed, lines_of(200), DELETE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "joineryctl: NOT_ALLOWED"));
	assert_null(strstr(run.err, "line "));
	assert_string_equal(run.out, "0 deleted, 0 refused, 200 left\n");
	fake_ctl(&run, answer_other, lines_of(2), DELETE);
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "not one to this question"));
}

static void
test_connection_lost(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_lost, lines_of(60), DELETE);
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "60 deleted, 0 refused, 0 left\n");
	assert_int_equal(asked[3], 2);
	assert_non_null(strstr(run.err, "trying again in 0.1 s"));

	forget();
	fake_ctl(&run, answer_two, lines_of(60), DELETE);
	assert_int_equal(run.status, 3);
	assert_string_equal(run.out, "2 deleted, 0 refused, 58 left\n");
	assert_int_equal(run.requests, 3 + 5);

	fake_ctl(&run, answer_nobody, lines_of(1), DELETE " --socket %/none");
	assert_int_equal(run.status, 3);
	assert_null(strstr(run.err, "trying again"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_json_lines),
		cmocka_unit_test(test_bad_key_file),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_connection_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
