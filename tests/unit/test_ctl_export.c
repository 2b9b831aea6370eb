/* SPDX-License-Identifier: Apache-2.0 */
/* joineryctl export: pages, forms, files, and connections that break. */
#include <dirent.h>
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
#include <sys/stat.h>

#include <cmocka.h>

#include <jansson.h>

#include "src/base/err.h"
#include "tests/unit/ctl_fake.h"

#define PAGES 3
#define ON_PAGE 2
#define HEAD \
	"join_eui,dev_eui,app,name,mac_version,net_ids,as_id,ns_kek,as_kek," \
	"ns_id,roaming,roaming_net_ids,resets_join_nonces,v10_root," \
	"has_nwk_key,has_app_key,nwk_key_generation,app_key_generation," \
	"created_ms,changed_ms,released\r\n"

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

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;
}

/* ---- the server: PAGES pages of devices 1, 2 ... by their DevEUI ---- */

static uint8_t join_eui[8] = { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0, 0, 1 };
static uint8_t dev_euis[PAGES * ON_PAGE][8];
static Joinery__V1__DeviceId ids[PAGES * ON_PAGE];
static Joinery__V1__DeviceSettings settings[PAGES * ON_PAGE];
static Joinery__V1__Device devices[PAGES * ON_PAGE];
static uint32_t net_ids[] = { 0x13, 0x600001 };

static Joinery__V1__Device *
device(size_t i)
{
	Joinery__V1__Device *d = &devices[i];

	joinery__v1__device_id__init(&ids[i]);
	joinery__v1__device_settings__init(&settings[i]);
	joinery__v1__device__init(d);
	dev_euis[i][7] = (uint8_t)(i + 1);
	ids[i].has_join_eui = 1;
	ids[i].join_eui = (ProtobufCBinaryData){ 8, join_eui };
	ids[i].has_dev_eui = 1;
	ids[i].dev_eui = (ProtobufCBinaryData){ 8, dev_euis[i] };
	settings[i].app = text("tanks");
	settings[i].name = text(i == 0 ? "big, \"red\"" : "t");
	settings[i].n_net_ids = 2;
	settings[i].net_ids = net_ids;
	settings[i].has_mac_version = 1;
	settings[i].mac_version = JOINERY__V1__MAC_VERSION__MAC_1_0_3;
	d->id = &ids[i];
	d->settings = &settings[i];
	d->has_has_app_key = 1;
	d->has_app_key = 1;
	d->has_created_ms = 1;
	d->created_ms = 1700000000123;
	return d;
}

/* The page behind the device that the request names. */
static int
answer_page(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__DeviceListAnswer answer;
	static Joinery__V1__Device *rows[ON_PAGE];
	const Joinery__V1__DeviceListRequest *l = q->device_list;
	size_t first = l->after != NULL ? l->after->dev_eui.data[7] : 0;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_DEVICE_LIST);
	assert_int_equal(first % ON_PAGE, 0);
	for (size_t i = 0; i < ON_PAGE; i++) {
		rows[i] = device(first + i);
	}
	joinery__v1__device_list_answer__init(&answer);
	answer.n_devices = ON_PAGE;
	answer.devices = rows;
	answer.has_more = 1;
	answer.more = first + ON_PAGE < (size_t)PAGES * ON_PAGE;
	answer.next = answer.more ? rows[ON_PAGE - 1]->id : NULL;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST;
	r->device_list = &answer;
	return 1;
}

static int
answer_no_next(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_page(q, r);
	r->device_list->next = NULL;
	return 1;
}

static int
answer_error(Joinery__V1__Response *r, Joinery__V1__ErrorCode code)
{
	static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;

	error.has_code = 1;
	error.code = code;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return 1;
}

static int
answer_not_allowed(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	return answer_error(r, JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
}

/* Every request behind the first page is met with one of these, n times. */
static unsigned failures;
static bool failure_is_busy;

static int
answer_with_failures(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	if (q->device_list->after == NULL || failures == 0) {
		return answer_page(q, r);
	}
	failures--;
	return failure_is_busy ? answer_error(r, JOINERY__V1__ERROR_CODE__BUSY)
			       : 0;
}

static int
answer_then_corrupt(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	return q->device_list->after == NULL
	    ? answer_page(q, r)
	    : answer_error(r, JOINERY__V1__ERROR_CODE__STORE_CORRUPT);
}

static int
answer_nobody(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	(void)r;
	fail_msg("the server was asked");
	return 0;
}

/* ---- what came out ---- */

/* The lines are JSON, and the devices 1 to n in their order. */
static void
assert_devices(char *lines, size_t n)
{
	size_t i = 0;

	for (char *line = strtok(lines, "\n"); line != NULL;
	     line = strtok(NULL, "\n")) {
		json_t *j = json_loads(line, 0, NULL);
		char wanted[17];

		assert_non_null(j);
		(void)snprintf(wanted, sizeof(wanted), "%016zx", ++i);
		assert_string_equal(json_string_value(json_object_get(
					json_object_get(j, "id"), "dev_eui")),
		    wanted);
		json_decref(j);
	}
	assert_int_equal(i, n);
}

static size_t
slurp(const char *name, char *out, size_t cap)
{
	FILE *f = fopen(fake_path(name), "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, cap - 1, f);
	out[n] = '\0';
	(void)fclose(f);
	return n;
}

/* No file whose name begins so. */
static void
assert_none(const char *begins)
{
	DIR *d = opendir(fake_path(""));
	const struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		assert_int_not_equal(
		    strncmp(e->d_name, begins, strlen(begins)), 0);
	}
	(void)closedir(d);
}

/* ---- tests ---- */

static void
test_json_lines(void **state)
{
	(void)state;
	fake_ctl(&run, answer_page, NULL, "export");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, PAGES);
	assert_string_equal(run.err, "");
	assert_non_null(strstr(run.out,
	    "{\"id\":{\"join_eui\":\"70b3d57ed0000001\","
	    "\"dev_eui\":\"0000000000000001\"},\"settings\":{"
	    "\"mac_version\":\"1.0.3\",\"net_ids\":[\"000013\",\"600001\"],"
	    "\"app\":\"tanks\",\"name\":\"big, \\\"red\\\"\","
	    "\"roaming_net_ids\":[]},\"has_app_key\":true,"
	    "\"created_ms\":1700000000123,\"sessions\":[]}\n"));
	assert_devices(run.out, PAGES * ON_PAGE);
	assert_null(fake_last()->device_list->app);

	fake_ctl(&run, answer_page, NULL, "export --app tanks --out - --json");
	assert_int_equal(run.status, 0);
	assert_string_equal(fake_last()->device_list->app, "tanks");
	assert_devices(run.out, PAGES * ON_PAGE);
}

static void
test_csv(void **state)
{
	static const char first[] =
	    HEAD "70b3d57ed0000001,0000000000000001,tanks,\"big, \"\"red\"\"\","
		 "1.0.3,000013 600001,,,,,,,,,,true,,,1700000000123,,\r\n"
		 "70b3d57ed0000001,0000000000000002,tanks,t,1.0.3,";

	(void)state;
	fake_ctl(&run, answer_page, NULL, "export --format csv");
	assert_int_equal(run.status, 0);
	assert_memory_equal(run.out, first, sizeof(first) - 1);
	assert_non_null(strstr(run.out, ",0000000000000006,"));
}

/* Each device once, whatever happened in between. */
static void
test_goes_on(void **state)
{
	(void)state;
	for (int busy = 0; busy < 2; busy++) {
		failures = 2;
		failure_is_busy = busy != 0;
		fake_ctl(&run, answer_with_failures, NULL, "export");
		assert_int_equal(run.status, 0);
		assert_int_equal(run.requests, PAGES + 2);
		assert_devices(run.out, PAGES * ON_PAGE);
		assert_non_null(strstr(run.err, "trying again in 0.1 s"));
		assert_non_null(strstr(run.err, "trying again in 0.3 s"));
	}
}

/* ---- "device list" asks in the same way ---- */

/* A list that was cut says where it goes on. */
static void
test_list_limit(void **state)
{
	json_t *j;

	(void)state;
	fake_ctl(&run, answer_page, NULL, "device list --json --limit 4");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 2);
	assert_int_equal(fake_last()->device_list->limit, 2);
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "devices")), 4);
	assert_string_equal(json_string_value(json_object_get(j, "next")),
	    "0000000000000004,70b3d57ed0000001");
	json_decref(j);

	fake_ctl(&run, answer_page, NULL,
	    "device list --limit 2 --after "
	    "00-00-00-00-00-00-00-02,70b3d57ed0000001");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 1);
	assert_non_null(strstr(run.out, "0000000000000003"));
	assert_non_null(strstr(
	    run.out, "next                  0000000000000004,70b3d57ed"));

	/* Nothing follows, so nothing is said. */
	fake_ctl(&run, answer_page, NULL, "device list --json --limit 6");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "devices")), 6);
	assert_null(json_object_get(j, "next"));
	json_decref(j);
	fake_ctl(&run, answer_page, NULL, "device list --limit 4000000000");
	assert_int_equal(run.requests, PAGES);
	assert_int_equal(fake_last()->device_list->limit, 64);
}

static void
test_list_prefix(void **state)
{
	static const char *const verbs[] = { "device list", "export" };
	char line[96];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		(void)snprintf(line, sizeof(line),
		    "%s --prefix 70B3d --app tanks", verbs[i]);
		fake_ctl(&run, answer_page, NULL, line);
		assert_int_equal(run.status, 0);
		assert_string_equal(fake_last()->device_list->dev_eui_prefix,
		    "70b3d00000000000/20");
		assert_string_equal(fake_last()->device_list->app, "tanks");
	}
	fake_ctl(
	    &run, answer_page, NULL, "device list --prefix 0123456789abcdef");
	assert_string_equal(
	    fake_last()->device_list->dev_eui_prefix, "0123456789abcdef/64");
}

static void
test_list_usage(void **state)
{
	static const struct {
		const char *line, *says;
	} rows[] = {
		{ "device list --prefix 0x", "--prefix is 1 to 16" },
		{ "device list --prefix 0123456789abcdef0",
		    "--prefix is 1 to 16" },
		{ "export --prefix -", "--prefix is 1 to 16" },
		{ "device list --limit 0", "--limit" },
		{ "device list --after 0123456789abcdef",
		    "--after is DevEUI,JoinEUI" },
		{ "device list --after 0123456789abcdef,",
		    "--after is DevEUI,JoinEUI" },
		{ "export --after ,0123456789abcdef",
		    "--after is DevEUI,JoinEUI" },
		{ "device list --after 01234567012345670123456701234567,",
		    "--after is DevEUI,JoinEUI" },
		{ "export --limit 1", "--limit" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_ctl(&run, answer_nobody, NULL, rows[i].line);
		assert_int_equal(run.status, 2);
		assert_non_null(strstr(run.err, rows[i].says));
	}
}

static void
test_cannot_go_on(void **state)
{
	json_t *j;
	char *error;

	(void)state;
	failures = 1000;
	failure_is_busy = false;
	fake_ctl(&run, answer_with_failures, NULL,
	    "export --json --out %/lost.jsonl");
	assert_int_equal(run.status, 3);
	assert_int_equal(run.requests, 1 + 1 + 5);
	assert_non_null(strstr(run.err, "trying again in 5.0 s"));
	assert_non_null(strstr(run.err,
	    "after 2 devices; it is not complete; --after "
	    "0000000000000002,70b3d57ed0000001 goes on"));
	j = fake_json(&run);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(j, "error"), "code")),
	    "CONNECT");
	json_decref(j);
	assert_none("lost");

	/* An error that does not pass. */
	fake_ctl(&run, answer_then_corrupt, NULL, "export --json");
	assert_int_equal(run.status, 1);
	assert_int_equal(run.requests, 2);
	error = strstr(run.out, "{\"error\":{\"code\":\"STORE_CORRUPT\"");
	assert_non_null(error);
	*error = '\0';
	assert_devices(run.out, ON_PAGE);
	fake_ctl(&run, answer_no_next, NULL, "export");
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "but not where"));
}

static void
test_refused_at_once(void **state)
{
	(void)state;
	fake_ctl(&run, answer_not_allowed, NULL,
	    "export --format csv --out %/refused.csv");
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "");
	assert_non_null(strstr(run.err, "NOT_ALLOWED"));
	assert_null(strstr(run.err, "not complete"));
	assert_none("refused");
	fake_ctl(&run, answer_not_allowed, NULL, "export --format csv");
	assert_int_equal(run.status, 1);
	assert_string_equal(run.out, "");
	fake_ctl(&run, answer_nobody, NULL, "export --socket %/nobody");
	assert_int_equal(run.status, 3);
	assert_null(strstr(run.err, "trying again"));
}

static void
test_file(void **state)
{
	static char written[65536];
	struct stat st;
	json_t *j;

	(void)state;
	(void)fake_file("all.jsonl", "what was there before", 0644);
	fake_ctl(&run, answer_page, NULL, "export --out %/all.jsonl");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "6 devices exported\n");
	assert_int_equal(stat(fake_path("all.jsonl"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(slurp("all.jsonl", written, sizeof(written)) > 0);
	assert_devices(written, PAGES * ON_PAGE);
	assert_none("all.jsonl.");

	fake_ctl(&run, answer_page, NULL,
	    "export --json --format csv --out %/all.csv");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	assert_int_equal(json_integer_value(json_object_get(j, "devices")), 6);
	json_decref(j);
}

static void
test_bad_files(void **state)
{
	static const struct {
		const char *arguments;
		int status;
		const char *says;
	} cases[] = {
		{ "export --out %/no/where", 5, "No such file" },
		{ "export --out %", 5, "is no regular file" },
		{ "export --out /dev/null", 5, "is no regular file" },
		{ "export --format xml", 2, "--format is jsonl or csv" },
		{ "export --dev-eui 1", 2, "does not go with export" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_ctl(&run, answer_nobody, NULL, cases[i].arguments);
		assert_int_equal(run.status, cases[i].status);
		assert_non_null(strstr(run.err, cases[i].says));
	}
}

static int
answer_then_signal(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	if (q->device_list->after == NULL) {
		return answer_page(q, r);
	}
	fake_signal(SIGTERM);
	(void)poll(NULL, 0, 300);
	return 0;
}

static void
test_signal(void **state)
{
	(void)state;
	fake_ctl(&run, answer_then_signal, NULL, "export --out %/ended.jsonl");
	assert_int_equal(run.status, 128 + SIGTERM);
	assert_none("ended");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_lines),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_cannot_go_on),
		cmocka_unit_test(test_list_limit),
		cmocka_unit_test(test_list_prefix),
		cmocka_unit_test(test_list_usage),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_signal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
