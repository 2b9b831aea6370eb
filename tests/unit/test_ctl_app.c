/* SPDX-License-Identifier: Apache-2.0 */
/* Applications, and what devices share with them. */
#include <setjmp.h>
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

#define DEV "--dev-eui 0011223344556677"
#define ID "--join-eui 70b3d57ed0000001 " DEV

static struct fake_run run;

static uint8_t ns_id[8] = { 0, 0, 0, 0, 0, 0, 0, 0x2f };
static uint8_t join_eui[8] = { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0, 0, 9 };

/* ---- the server ---- */

static bool has_default;

static int
answer_join_euis(Joinery__V1__Response *r)
{
	static Joinery__V1__JoinEuisAnswer answer;

	joinery__v1__join_euis_answer__init(&answer);
	answer.has_default_join_eui = has_default;
	answer.default_join_eui =
	    (ProtobufCBinaryData){ sizeof(join_eui), join_eui };
	r->result_case = JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS;
	r->join_euis = &answer;
	return 1;
}

static int
answer_set(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__AppSetAnswer app =
	    JOINERY__V1__APP_SET_ANSWER__INIT;
	static Joinery__V1__DeviceSetAnswer device =
	    JOINERY__V1__DEVICE_SET_ANSWER__INIT;
	static Joinery__V1__DoneAnswer done = JOINERY__V1__DONE_ANSWER__INIT;

	app.has_created = 1;
	app.created = 1;
	device.has_created = 1;
	switch ((int)q->call_case) {
	case JOINERY__V1__REQUEST__CALL_JOIN_EUIS:
		return answer_join_euis(r);
	case JOINERY__V1__REQUEST__CALL_APP_SET:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_APP_SET;
		r->app_set = &app;
		return 1;
	case JOINERY__V1__REQUEST__CALL_DEVICE_SET:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_SET;
		r->device_set = &device;
		return 1;
	default:
		r->result_case = JOINERY__V1__RESPONSE__RESULT_DONE;
		r->done = &done;
		return 1;
	}
}

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int
answer_app(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__App app = JOINERY__V1__APP__INIT;
	static Joinery__V1__App other = JOINERY__V1__APP__INIT;
	static Joinery__V1__App *rows[1];
	static Joinery__V1__AppGetAnswer get =
	    JOINERY__V1__APP_GET_ANSWER__INIT;
	static Joinery__V1__AppListAnswer list =
	    JOINERY__V1__APP_LIST_ANSWER__INIT;
	static uint32_t net_ids[] = { 0x13, 0x600001 };

	app.name = text("meters");
	app.n_net_ids = 1;
	app.net_ids = net_ids;
	app.n_roaming_net_ids = 2;
	app.roaming_net_ids = net_ids;
	app.has_roaming = 1;
	app.roaming = JOINERY__V1__ROAMING__ROAMING_LISTED;
	app.has_ns_id = 1;
	app.ns_id = (ProtobufCBinaryData){ sizeof(ns_id), ns_id };
	other.name = text("tanks");
	other.has_roaming = 1;
	other.roaming = JOINERY__V1__ROAMING__ROAMING_ANY;
	if (q->call_case == JOINERY__V1__REQUEST__CALL_APP_GET) {
		assert_string_equal(q->app_get->name, "meters");
		get.app = &app;
		r->result_case = JOINERY__V1__RESPONSE__RESULT_APP_GET;
		r->app_get = &get;
		return 1;
	}
	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_APP_LIST);
	rows[0] = q->app_list->after == NULL ? &app : &other;
	list.apps = rows;
	list.n_apps = 1;
	list.has_more = 1;
	list.more = q->app_list->after == NULL;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_APP_LIST;
	r->app_list = &list;
	return 1;
}

/* ---- app set and its like ---- */

static void
test_app_set(void **state)
{
	const Joinery__V1__App *app;

	(void)state;
	fake_ctl(&run, answer_set, NULL,
	    "app set meters --net-id 000013 --net-id 600001 --as-id as.e "
	    "--ns-kek n --as-kek a --ns-id 00-00-00-00-00-00-00-2f "
	    "--roaming-net-id 000014");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out, "created\n");
	app = fake_last()->app_set->app;
	assert_string_equal(app->name, "meters");
	assert_int_equal(app->n_net_ids, 2);
	assert_int_equal(app->net_ids[1], 0x600001);
	assert_true(app->clear_net_ids);
	assert_string_equal(app->as_id, "as.e");
	assert_string_equal(app->ns_kek, "n");
	assert_string_equal(app->as_kek, "a");
	assert_int_equal(app->ns_id.len, 8);
	assert_memory_equal(app->ns_id.data, ns_id, 8);
	assert_true(app->has_roaming);
	assert_int_equal(app->roaming, JOINERY__V1__ROAMING__ROAMING_LISTED);
	assert_true(app->clear_roaming_net_ids);
	assert_int_equal(app->n_roaming_net_ids, 1);
	assert_int_equal(app->roaming_net_ids[0], 0x14);
}

/* What is not given is not in the message; what is empty clears. */
static void
test_app_set_little(void **state)
{
	const Joinery__V1__App *app;

	(void)state;
	fake_ctl(&run, answer_set, NULL, "app set meters");
	app = fake_last()->app_set->app;
	assert_false(app->has_clear_net_ids || app->has_ns_id ||
	    app->has_roaming || app->has_clear_roaming_net_ids);
	assert_null(app->as_id);
	assert_null(app->ns_kek);
	fake_ctl(&run, answer_set, NULL,
	    "app set meters --ns-id '' --as-id '' --no-net-ids "
	    "--no-roaming-net-ids --roaming none");
	assert_int_equal(run.status, 0);
	app = fake_last()->app_set->app;
	assert_true(app->has_ns_id);
	assert_int_equal(app->ns_id.len, 0);
	assert_string_equal(app->as_id, "");
	assert_true(app->clear_net_ids);
	assert_int_equal(app->n_net_ids, 0);
	assert_true(app->clear_roaming_net_ids);
	assert_int_equal(app->roaming, JOINERY__V1__ROAMING__ROAMING_NONE);
}

static void
test_app_get_list_delete(void **state)
{
	json_t *j;
	json_t *app;

	(void)state;
	fake_ctl(&run, answer_app, NULL, "app get meters");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "roaming               listed\n"));
	assert_non_null(
	    strstr(run.out, "roaming-net-ids       000013, 600001\n"));
	fake_ctl(&run, answer_app, NULL, "app get meters --json");
	j = fake_json(&run);
	app = json_object_get(j, "app");
	assert_string_equal(json_string_value(json_array_get(
				json_object_get(app, "roaming_net_ids"), 1)),
	    "600001");
	assert_string_equal(json_string_value(json_object_get(app, "ns_id")),
	    "000000000000002f");
	json_decref(j);
	fake_ctl(&run, answer_app, NULL, "app list");
	assert_int_equal(run.requests, 2);
	assert_non_null(strstr(run.out, "\nmeters "));
	assert_non_null(strstr(run.out, "\ntanks "));
	assert_non_null(strstr(run.out, " any "));
	fake_ctl(&run, answer_set, NULL, "app delete meters");
	assert_string_equal(run.out, "deleted\n");
	assert_int_equal(
	    fake_last()->call_case, JOINERY__V1__REQUEST__CALL_APP_DELETE);
	assert_string_equal(fake_last()->app_delete->name, "meters");
}

/* ---- devices ---- */

static void
test_device_set_roams(void **state)
{
	const Joinery__V1__DeviceSettings *s;

	(void)state;
	fake_ctl(&run, answer_set, NULL,
	    "device set " ID " --ns-id 000000000000002f --roaming any "
	    "--net-id 000013 --app meters --as-id x --name n");
	assert_string_equal(run.out, "changed\n");
	assert_int_equal(run.requests, 1);
	s = fake_last()->device_set->settings;
	assert_memory_equal(s->ns_id.data, ns_id, 8);
	assert_int_equal(s->roaming, JOINERY__V1__ROAMING__ROAMING_ANY);
	assert_int_equal(s->net_ids[0], 0x13);
	assert_true(s->clear_net_ids);
	assert_string_equal(s->app, "meters");
	assert_string_equal(s->name, "n");
	assert_string_equal(s->as_id, "x");
	assert_false(s->has_clear_roaming_net_ids);
}

static void
test_default_join_eui(void **state)
{
	(void)state;
	has_default = true;
	fake_ctl(&run, answer_set, NULL, "device set " DEV " --name n");
	assert_int_equal(run.status, 0);
	assert_int_equal(run.requests, 2);
	assert_memory_equal(
	    fake_last()->device_set->id->join_eui.data, join_eui, 8);
	fake_ctl(&run, answer_set, NULL, "device delete " DEV);
	assert_memory_equal(
	    fake_last()->device_delete->id->join_eui.data, join_eui, 8);
	has_default = false;
	fake_ctl(&run, answer_set, NULL, "device get " DEV);
	assert_int_equal(run.status, 2);
	assert_int_equal(run.requests, 1);
	assert_non_null(strstr(run.err, "device get needs --join-eui EUI"));
}

static int
answer_sessions(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static const uint32_t types[] = { 255, 0, 2 };
	static Joinery__V1__Session sessions[3];
	static Joinery__V1__Session *rows[3];
	static Joinery__V1__SessionListAnswer answer =
	    JOINERY__V1__SESSION_LIST_ANSWER__INIT;

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_SESSION_LIST);
	for (size_t i = 0; i < 3; i++) {
		joinery__v1__session__init(&sessions[i]);
		sessions[i].has_join_type = 1;
		sessions[i].join_type = types[i];
		rows[i] = &sessions[i];
	}
	answer.n_sessions = 3;
	answer.sessions = rows;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_SESSION_LIST;
	r->session_list = &answer;
	return 1;
}

static void
test_session_types(void **state)
{
	json_t *j;
	json_t *s;

	(void)state;
	fake_ctl(&run, answer_sessions, NULL, "session list " ID);
	assert_non_null(strstr(run.out, "  TYPE "));
	assert_non_null(strstr(run.out, "  join "));
	assert_non_null(strstr(run.out, "  rejoin 0 "));
	assert_non_null(strstr(run.out, "  rejoin 2 "));
	fake_ctl(&run, answer_sessions, NULL, "session list --json " ID);
	j = fake_json(&run);
	s = json_array_get(json_object_get(j, "sessions"), 0);
	assert_int_equal(
	    json_integer_value(json_object_get(s, "join_type")), 255);
	json_decref(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_app_set),
		cmocka_unit_test(test_app_set_little),
		cmocka_unit_test(test_app_get_list_delete),
		cmocka_unit_test(test_device_set_roams),
		cmocka_unit_test(test_default_join_eui),
		cmocka_unit_test(test_session_types),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
