/* SPDX-License-Identifier: Apache-2.0 */
/* joineryctl as its users see it: words, output, exit statuses. */
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

#define ID "--join-eui 70b3d57ed0000001 --dev-eui 0011223344556677"

static struct fake_run run;

/* ---- what the server does ---- */

static Joinery__V1__Error error = JOINERY__V1__ERROR__INIT;
static Joinery__V1__DoneAnswer done = JOINERY__V1__DONE_ANSWER__INIT;

static int
answer_done(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DONE;
	r->done = &done;
	return 1;
}

static int
answer_error(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r->error = &error;
	return 1;
}

static int
answer_hang_up(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	(void)r;
	return 0;
}

/* An Error about the connection, which has no id. */
static int
answer_error_without_id(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	r->has_id = 0;
	return answer_error(q, r);
}

static const char *
json_at(const json_t *j, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(j, a), b));
}

/* ---- grammar ---- */

struct usage_case {
	const char *arguments;
	const char *says;
};

static void
assert_usage_errors(const struct usage_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fake_ctl(&run, fake_nobody, NULL, cases[i].arguments);
		if (run.status != 2 || strstr(run.err, cases[i].says) == NULL) {
			fail_msg("%s: %d %s", cases[i].arguments, run.status,
			    run.err);
		}
		assert_string_equal(run.out, "");
	}
}

static void
test_usage_errors(void **state)
{
	static const struct usage_case cases[] = {
		{ "", "no verb" },
		{ "device lst", "did you mean \"device list\"" },
		{ "stauts", "did you mean \"status\"" },
		{ "peer", "peer needs one of set, get" },
		{ "help nonsense", "no help on" },
		{ "ping --sokcet x", "did you mean --socket" },
		{ "ping -x", "unknown option -x" },
		{ "ping extra", "\"extra\" is one word too many" },
		{ "a b c d e", "\"e\" is one word too many" },
		{ "kek delete", "kek delete needs LABEL" },
		{ "kek delete ''", "LABEL has 1 to" },
		{ "device get", "device get needs --dev-eui" },
		{ "device get --dev-eui 1", "--dev-eui is 16 hexadecimal" },
		{ "device get --join-eui 1 --dev-eui 2",
		    "--join-eui is 16 hexadecimal digits" },
		{ "ping --bits 128", "--bits does not go with ping" },
		{ "ping --json=yes", "--json takes no value" },
		{ "ping --timeout", "--timeout needs MS" },
		{ "ping --timeout 1 --timeout 2", "given twice" },
		{ "ping --timeout 1x", "--timeout is a number from" },
		{ "ping --timeout 0", "--timeout is a number from" },
		{ "ping --tcp a:1", "--tcp needs --ca, --cert and --key" },
		{ "ping --tcp a:1 --socket b", "exclude each other" },
		{ "kek generate l --bits 130", "--bits is 128, 192 or 256" },
		{ "kek generate l --bits 512", "--bits is a number" },
		{ "peer set p --role boss",
		    "--role is ns, as, ns-as or admin" },
		{ "peer set p --role ns --net-id 13",
		    "--net-id is 6 hexadecimal digits" },
		{ "peer set p --role ns --net-id 000013 --no-net-ids",
		    "exclude each other" },
		{ "peer set p --cert-fingerprint 00:11",
		    "--cert-fingerprint is 64" },
		{ "peer set p --uid -1", "--uid is a number" },
		{ "peer set p --clear-keys maybe", "--clear-keys is yes or" },
		{ "device set " ID " --mac-version 2.0", "--mac-version is" },
		{ "device set " ID " --v10-root x", "--v10-root is nwk, app" },
		{ "device set " ID " --as-id a --as-id b", "one --as-id" },
		{ "device set " ID " --name "
		  "01234567890123456789012345678901234567890123456789"
		  "0123456789012345",
		    "--name is longer than 64 octets" },
		{ "session get 0011", "session key ID is 32 hexadecimal" },
		{ "token init --create", "--create and --so-pin-source" },
	};

	(void)state;
	assert_usage_errors(cases, ARRAY_LEN(cases));
}

static void
test_usage_errors_of_backends(void **state)
{
	static const struct usage_case cases[] = {
		{ "device set " ID " --ns-id x", "--ns-id is 16 hexadecimal" },
		{ "app set a --as-id b --as-id c", "an application has one" },
		{ "app set a --ns-id 0000000000000001 "
		  "--ns-id 0000000000000002",
		    "one --ns-id" },
		{ "app set a --roaming all", "--roaming is none, listed" },
		{ "app set a --roaming any --roaming-net-id 000013",
		    "only listed goes with" },
		{ "app set a --roaming-net-id 000013 --no-roaming-net-ids",
		    "exclude each other" },
		{ "app set a --roaming-net-id 13",
		    "--roaming-net-id is 6 hexadecimal digits" },
		{ "app set a --net-id 000013 --no-net-ids",
		    "exclude each other" },
		{ "app set a --name b", "--name does not go with app set" },
		{ "app set ''", "NAME has 1 to 64" },
		{ "peer set p --ns-id 12", "--ns-id is 16 hexadecimal" },
		{ "peer set p --ns-id 0000000000000001 --no-ns-ids",
		    "exclude each other" },
		{ "peer set p --bearer-token "
		  "0123456789012345678901234567890123456789",
		    "--bearer-token takes no secret itself" },
		{ "peer set p --bearer-token - --basic-user u "
		  "--basic-password -",
		    "only one secret can come" },
		{ "peer set p --basic-user u", "go together" },
		{ "peer set p --basic-password new", "go together" },
		{ "peer set p --basic-user '' --basic-password new",
		    "go together" },
		{ "peer set p --basic-user a:b --basic-password new",
		    "--basic-user is printable ASCII" },
		{ "trace 12", "DEV_EUI is 16 hexadecimal digits" },
		{ "trace 0011223344556677 --count 0", "--count is a number" },
		{ "trace 0011223344556677 --tcp a:1", "Unix socket only" },
		{ "join-eui zone", "join-eui zone needs --target HOST" },
		{ "join-eui zone --target a..b", "--target is a DNS name" },
		{ "join-eui zone --target ''", "--target is a DNS name" },
		{ "join-eui zone --target a/b", "--target is a DNS name" },
		{ "join-eui zone --target a --domain .b",
		    "--domain is a DNS name" },
		{ "join-eui zone --target a --port 65536",
		    "--port is a number" },
		{ "join-eui zone --target a --ttl -1", "--ttl is a number" },
	};

	(void)state;
	assert_usage_errors(cases, ARRAY_LEN(cases));
}

static void
test_help(void **state)
{
	(void)state;
	fake_ctl(&run, fake_nobody, NULL, "help");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "kek import LABEL"));
	fake_ctl(&run, fake_nobody, NULL, "device set --help");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "usage: joineryctl device set"));
	assert_null(strstr(run.out, "device get"));
	fake_ctl(&run, fake_nobody, NULL, "help kek");
	assert_non_null(strstr(run.out, "kek generate LABEL --bits N"));
	fake_ctl(&run, fake_nobody, NULL, "--version");
	assert_ptr_equal(strstr(run.out, "joineryctl "), run.out);
}

static void
test_options_anywhere(void **state)
{
	static const char *const lines[] = {
		"device delete " ID,
		ID " device delete",
		"device " ID " delete",
		"--join-eui=70-b3-d5-7e-d0-00-00-01 device delete "
		"--dev-eui=0011223344556677 --timeout=5000",
		"--key tls.pem device delete " ID " --",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		fake_ctl(&run, answer_done, NULL, lines[i]);
		assert_int_equal(run.status, 0);
		assert_string_equal(run.out, "deleted\n");
		assert_int_equal(run.requests, 1);
	}
}

/* ---- answers ---- */

static void
test_error_answers(void **state)
{
	static const struct {
		Joinery__V1__ErrorCode code;
		int status;
		const char *hint;
	} cases[] = {
		{ JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE, 4, "device list" },
		{ JOINERY__V1__ERROR_CODE__NOT_FOUND, 4, NULL },
		{ JOINERY__V1__ERROR_CODE__UNKNOWN_SESSION, 4, "session-keep" },
		{ JOINERY__V1__ERROR_CODE__NOT_ALLOWED, 1, "admin-uids" },
		{ JOINERY__V1__ERROR_CODE__KEK_MISSING, 1, "kek import" },
		{ JOINERY__V1__ERROR_CODE__TIMEOUT, 1, "later" },
		{ (Joinery__V1__ErrorCode)999, 1, "ERROR_UNKNOWN" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *j;

		error.has_code = 1;
		error.code = cases[i].code;
		error.message = (char *)(uintptr_t) "said\x1b[31m so";
		error.request_id = (char *)(uintptr_t) "r-17";
		fake_ctl(&run, answer_error, NULL, "--json device get " ID);
		assert_int_equal(run.status, cases[i].status);
		assert_non_null(strstr(run.err, "said?[31m so (request r-17)"));
		if (cases[i].hint != NULL) {
			assert_non_null(strstr(run.err, cases[i].hint));
		}
		j = fake_json(&run);
		assert_string_equal(json_at(j, "error", "request_id"), "r-17");
		assert_non_null(json_at(j, "error", "code"));
		json_decref(j);
	}
	fake_ctl(&run, answer_error_without_id, NULL, "ping");
	assert_int_equal(run.status, 1);
}

static void
test_no_server(void **state)
{
	json_t *j;

	(void)state;
	fake_ctl(&run, fake_nobody, NULL, "ping --json --socket %/nowhere");
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "is joineryd running"));
	j = fake_json(&run);
	assert_string_equal(json_at(j, "error", "code"), "CONNECT");
	json_decref(j);
	fake_ctl(&run, answer_hang_up, NULL, "ping");
	assert_int_equal(run.status, 3);
	fake_ctl(&run, answer_done, NULL, "ping");
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "not one to this question"));
	fake_ctl(&run, fake_nobody, NULL,
	    "ping --tcp localhost:1 --ca %/none --cert %/none --key %/none");
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "CA file"));
}

static int
answer_device(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__DeviceSettings settings =
	    JOINERY__V1__DEVICE_SETTINGS__INIT;
	static Joinery__V1__Nonces nonces = JOINERY__V1__NONCES__INIT;
	static Joinery__V1__Session session = JOINERY__V1__SESSION__INIT;
	static Joinery__V1__Session *sessions[] = { &session };
	static Joinery__V1__Device device = JOINERY__V1__DEVICE__INIT;
	static Joinery__V1__DeviceGetAnswer answer =
	    JOINERY__V1__DEVICE_GET_ANSWER__INIT;
	static uint32_t net_ids[] = { 0x13, 0x600001 };

	settings.has_mac_version = 1;
	settings.mac_version = JOINERY__V1__MAC_VERSION__MAC_1_0_4;
	settings.n_net_ids = 2;
	settings.net_ids = net_ids;
	settings.name = (char *)(uintptr_t) "\"tank\"\n\xff\xc3\xa9";
	settings.has_resets_join_nonces = 1;
	nonces.has_join_nonce = 1;
	nonces.join_nonce = 7;
	session.has_dev_addr = 1;
	session.dev_addr = 0x26011234;
	session.has_created_ms = 1;
	session.created_ms = 1700000000123;
	device.id = q->device_get->id;
	device.settings = &settings;
	device.has_has_nwk_key = 1;
	device.has_nwk_key = 1;
	device.nonces = &nonces;
	device.n_sessions = 1;
	device.sessions = sessions;
	answer.device = &device;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_GET;
	r->device_get = &answer;
	return 1;
}

/* By its name: the server finds it. */
static void
test_device_get_named(void **state)
{
	static const char *const wrong[] = { "device get --name tank",
		"device get --app tanks", "device get",
		"device get --app tanks --name tank --dev-eui 0011223344556677",
		"device get --app tanks --dev-eui 0011223344556677" };

	(void)state;
	fake_ctl(&run, answer_device, NULL,
	    "device get --app tanks --name tank --json");
	assert_int_equal(run.status, 0);
	assert_null(fake_last()->device_get->id);
	assert_string_equal(fake_last()->device_get->app, "tanks");
	assert_string_equal(fake_last()->device_get->name, "tank");
	fake_ctl(&run, answer_device, NULL, "device get --app= --name tank");
	assert_int_equal(run.status, 0);
	assert_string_equal(fake_last()->device_get->app, "");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		fake_ctl(&run, fake_nobody, NULL, wrong[i]);
		assert_int_equal(run.status, 2);
		assert_non_null(strstr(run.err, "--name"));
	}
}

static void
test_device_get(void **state)
{
	json_t *j;
	json_t *d;
	json_t *s;

	(void)state;
	fake_ctl(&run, answer_device, NULL, "device get " ID);
	assert_int_equal(run.status, 0);
	assert_non_null(
	    strstr(run.out, "join-eui              70b3d57ed0000001\n"));
	assert_non_null(strstr(run.out, "000013, 600001\n"));
	assert_non_null(strstr(run.out, "\"tank\"??\xc3\xa9\n"));
	assert_non_null(strstr(run.out, "2023-11-14 22:13:20Z"));
	fake_ctl(&run, answer_device, NULL, "device get --json " ID);
	j = fake_json(&run);
	d = json_object_get(j, "device");
	assert_string_equal(json_at(d, "id", "dev_eui"), "0011223344556677");
	assert_string_equal(json_at(d, "settings", "mac_version"), "1.0.4");
	assert_string_equal(
	    json_at(d, "settings", "name"), "\"tank\"\n\xef\xbf\xbd\xc3\xa9");
	assert_true(json_is_true(json_object_get(d, "has_nwk_key")));
	assert_null(json_object_get(d, "has_app_key"));
	s = json_array_get(json_object_get(d, "sessions"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(s, "dev_addr")), "26011234");
	assert_int_equal(json_integer_value(json_object_get(s, "created_ms")),
	    1700000000123);
	json_decref(j);
}

/* Three pages of two, two and one; the last follows from "after". */
static int
answer_pages(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__Kek keks[2];
	static Joinery__V1__Kek *rows[2] = { &keks[0], &keks[1] };
	static char labels[2][8];
	static Joinery__V1__KekListAnswer answer =
	    JOINERY__V1__KEK_LIST_ANSWER__INIT;
	int after =
	    q->kek_list->after != NULL ? q->kek_list->after[1] - '0' : 0;

	for (int i = 0; i < 2; i++) {
		joinery__v1__kek__init(&keks[i]);
		(void)snprintf(
		    labels[i], sizeof(labels[i]), "k%d", (after + i + 1) % 10);
		keks[i].label = labels[i];
	}
	answer.keks = rows;
	answer.n_keks = after == 4 ? 1 : 2;
	answer.has_more = 1;
	answer.more = after != 4;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_KEK_LIST;
	r->kek_list = &answer;
	return 1;
}

/* One page, then an error. */
static int
answer_page_then_error(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	return q->kek_list->after == NULL ? answer_pages(q, r)
					  : answer_error(q, r);
}

static int
answer_empty_page(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_pages(q, r);
	r->kek_list->n_keks = 0;
	return 1;
}

static void
test_list_follows_pages(void **state)
{
	json_t *j;

	(void)state;
	fake_ctl(&run, answer_pages, NULL, "kek list --json");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 3);
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "keks")), 5);
	json_decref(j);
	fake_ctl(&run, answer_pages, NULL, "kek list");
	assert_non_null(strstr(run.out, "\nk5 "));
	error.has_code = 1;
	error.code = JOINERY__V1__ERROR_CODE__BUSY;
	fake_ctl(&run, answer_page_then_error, NULL, "kek list --json");
	assert_int_equal(run.status, 1);
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "keks")), 2);
	assert_string_equal(json_at(j, "error", "code"), "BUSY");
	json_decref(j);
	fake_ctl(&run, answer_empty_page, NULL, "kek list");
	assert_int_equal(run.status, 3);
}

/* ---- the worker program ---- */

static void
test_worker_verbs(void **state)
{
	(void)state;
	(void)fake_file("worker", "#!/bin/sh\necho \"$*\"\nexit 65\n", 0700);
	fake_ctl(&run, fake_nobody, NULL,
	    "doctor --worker %/worker --config c.conf");
	assert_int_equal(run.status, 65);
	assert_string_equal(run.out, "doctor --config c.conf\n");
	fake_ctl(&run, fake_nobody, NULL,
	    "token init --create --so-pin-source s --config c.conf --json "
	    "--worker %/worker");
	assert_string_equal(run.out,
	    "token-init --config c.conf --create --so-pin-source s --json\n");
	fake_ctl(&run, fake_nobody, NULL, "doctor --worker %/none");
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "JOINERY_WORKER"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_usage_errors_of_backends),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_options_anywhere),
		cmocka_unit_test(test_error_answers),
		cmocka_unit_test(test_no_server),
		cmocka_unit_test(test_device_get),
		cmocka_unit_test(test_device_get_named),
		cmocka_unit_test(test_list_follows_pages),
		cmocka_unit_test(test_worker_verbs),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
