/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of joineryd: routing and requests under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "proto/frame.h"
#include "proto/joinery.pb-c.h"
#include "proto/unpack.h"
#include "src/base/arena.h"
#include "src/front/pending.h"
#include "src/front/route.h"

static uint8_t dev_eui[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static enum jy_err
route(Joinery__V1__Request *r, struct route *out)
{
	struct arena arena = { 0 };
	uint8_t buf[512];
	enum jy_err err;

	assert_true(joinery__v1__request__get_packed_size(r) <= sizeof(buf));
	err = route_read(&arena, buf, joinery__v1__request__pack(r, buf), out);
	assert_null(arena.chunks);
	return err;
}

static void
test_route_agrees(void **state)
{
	/* MHDR, JoinEUI, the same DevEUI reversed, DevNonce, MIC. */
	uint8_t phy[23] = { [9] = 8, 7, 6, 5, 4, 3, 2, 1 };
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	Joinery__V1__DeviceGetRequest get =
	    JOINERY__V1__DEVICE_GET_REQUEST__INIT;
	Joinery__V1__AppSKeyRequest key = JOINERY__V1__APP_SKEY_REQUEST__INIT;
	Joinery__V1__DeviceId id = JOINERY__V1__DEVICE_ID__INIT;
	struct route by_join, by_device, by_key;

	(void)state;
	r.has_id = 1;
	r.id = 77;
	r.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	r.join = &join;
	join.has_phy_payload = 1;
	join.phy_payload.data = phy;
	join.phy_payload.len = sizeof(phy);
	assert_int_equal(route(&r, &by_join), JY_OK);
	r.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_GET;
	r.device_get = &get;
	get.id = &id;
	id.has_dev_eui = 1;
	id.dev_eui.data = dev_eui;
	id.dev_eui.len = sizeof(dev_eui);
	assert_int_equal(route(&r, &by_device), JY_OK);
	r.call_case = JOINERY__V1__REQUEST__CALL_APP_S_KEY;
	r.app_s_key = &key;
	key.has_dev_eui = 1;
	key.dev_eui = id.dev_eui;
	assert_int_equal(route(&r, &by_key), JY_OK);
	assert_true(by_join.keyed && by_device.keyed && by_key.keyed);
	assert_true(by_join.has_id && by_join.id == 77);
	assert_true(by_join.hash == by_device.hash);
	assert_true(by_join.hash == by_key.hash);
}

static void
test_route_session(void **state)
{
	uint8_t session[16] = { 9 };
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__NetworkKeysRequest keys =
	    JOINERY__V1__NETWORK_KEYS_REQUEST__INIT;
	Joinery__V1__SessionGetRequest get =
	    JOINERY__V1__SESSION_GET_REQUEST__INIT;
	struct route by_keys, by_get;

	(void)state;
	r.call_case = JOINERY__V1__REQUEST__CALL_NETWORK_KEYS;
	r.network_keys = &keys;
	keys.has_session_key_id = 1;
	keys.session_key_id.data = session;
	keys.session_key_id.len = sizeof(session);
	assert_int_equal(route(&r, &by_keys), JY_OK);
	r.call_case = JOINERY__V1__REQUEST__CALL_SESSION_GET;
	r.session_get = &get;
	get.has_session_key_id = 1;
	get.session_key_id = keys.session_key_id;
	assert_int_equal(route(&r, &by_get), JY_OK);
	assert_true(by_keys.keyed && by_keys.hash == by_get.hash);
	get.session_key_id.len = 15;
	assert_int_equal(route(&r, &by_get), JY_OK);
	assert_false(by_get.keyed);
}

/* Batches of devices: to whoever has least to do. */
static void
test_route_batch(void **state)
{
	uint8_t eui[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__ReleaseBatchRequest release =
	    JOINERY__V1__RELEASE_BATCH_REQUEST__INIT;
	Joinery__V1__ImportBatchRequest import =
	    JOINERY__V1__IMPORT_BATCH_REQUEST__INIT;
	Joinery__V1__ImportDevice device = JOINERY__V1__IMPORT_DEVICE__INIT;
	Joinery__V1__ImportDevice *devices[] = { &device };
	Joinery__V1__DeviceId id = JOINERY__V1__DEVICE_ID__INIT;
	Joinery__V1__DeviceId *ids[] = { &id };
	struct route got;

	(void)state;
	id.has_dev_eui = 1;
	id.dev_eui = (ProtobufCBinaryData){ sizeof(eui), eui };
	device.id = &id;
	r.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_BATCH;
	r.import_batch = &import;
	assert_int_equal(route(&r, &got), JY_OK);
	assert_false(got.keyed);
	import.n_devices = 1;
	import.devices = devices;
	assert_int_equal(route(&r, &got), JY_OK);
	assert_false(got.keyed);
	r.call_case = JOINERY__V1__REQUEST__CALL_RELEASE_BATCH;
	r.release_batch = &release;
	assert_int_equal(route(&r, &got), JY_OK);
	assert_false(got.keyed);
	release.n_devices = 1;
	release.devices = ids;
	assert_int_equal(route(&r, &got), JY_OK);
	assert_false(got.keyed);
}

/* Where the DevEUI of each rejoin-request lies on air. */
static void
test_route_rejoin(void **state)
{
	uint8_t type_0[19] = { 0xc0, 0, [5] = 8, 7, 6, 5, 4, 3, 2, 1 };
	uint8_t type_2[19] = { 0xc0, 2, [5] = 8, 7, 6, 5, 4, 3, 2, 1 };
	uint8_t type_1[24] = { 0xc0, 1, [10] = 8, 7, 6, 5, 4, 3, 2, 1 };
	const struct {
		uint8_t *phy;
		size_t len;
		bool keyed;
	} cases[] = {
		{ type_0, sizeof(type_0), true },
		{ type_2, sizeof(type_2), true },
		{ type_1, sizeof(type_1), true },
		{ type_0, 13, true },
		{ type_0, 12, false },
		{ type_1, 18, true },
		{ type_1, 17, false },
		{ type_1, 1, false },
		{ type_1, 0, false },
	};
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinRequest rejoin = JOINERY__V1__JOIN_REQUEST__INIT;
	struct route out;

	(void)state;
	r.call_case = JOINERY__V1__REQUEST__CALL_REJOIN;
	r.rejoin = &rejoin;
	rejoin.has_phy_payload = 1;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rejoin.phy_payload.data = cases[i].phy;
		rejoin.phy_payload.len = cases[i].len;
		assert_int_equal(route(&r, &out), JY_OK);
		assert_int_equal(out.keyed, cases[i].keyed);
		assert_int_equal(out.has_dev_eui, cases[i].keyed);
		assert_string_equal(out.call, "rejoin");
		if (cases[i].keyed) {
			assert_memory_equal(out.dev_eui, dev_eui, 8);
		}
	}
}

static void
test_route_home_and_trace(void **state)
{
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__HomeNsRequest home = JOINERY__V1__HOME_NS_REQUEST__INIT;
	Joinery__V1__TraceRequest trace = JOINERY__V1__TRACE_REQUEST__INIT;
	struct route by_home, by_trace;

	(void)state;
	r.call_case = JOINERY__V1__REQUEST__CALL_HOME_NS;
	r.home_ns = &home;
	home.has_dev_eui = 1;
	home.dev_eui.data = dev_eui;
	home.dev_eui.len = sizeof(dev_eui);
	assert_int_equal(route(&r, &by_home), JY_OK);
	assert_true(by_home.keyed && by_home.has_dev_eui && !by_home.trace);
	assert_string_equal(by_home.call, "home_ns");
	r.call_case = JOINERY__V1__REQUEST__CALL_TRACE;
	r.trace = &trace;
	trace.has_dev_eui = 1;
	trace.dev_eui = home.dev_eui;
	assert_int_equal(route(&r, &by_trace), JY_OK);
	assert_true(by_trace.trace && by_trace.has_dev_eui);
	assert_memory_equal(by_trace.dev_eui, dev_eui, 8);
	trace.dev_eui.len = 7;
	assert_int_equal(route(&r, &by_trace), JY_OK);
	assert_true(by_trace.trace && !by_trace.has_dev_eui);
}

static void
test_route_oddities(void **state)
{
	uint8_t phy[16] = { 0 };
	Joinery__V1__Request r = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	Joinery__V1__DeviceSetRequest set =
	    JOINERY__V1__DEVICE_SET_REQUEST__INIT;
	Joinery__V1__StatusRequest status = JOINERY__V1__STATUS_REQUEST__INIT;
	struct arena arena = { 0 };
	struct route out;

	(void)state;
	r.has_id = 1;
	r.id = 5;
	assert_int_equal(route(&r, &out), JY_ECALL);
	assert_true(out.has_id && out.id == 5);
	r.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	r.join = &join;
	assert_int_equal(route(&r, &out), JY_OK);
	assert_false(out.keyed);
	join.has_phy_payload = 1;
	join.phy_payload.data = phy;
	join.phy_payload.len = sizeof(phy); /* one octet short of DevEUI */
	assert_int_equal(route(&r, &out), JY_OK);
	assert_false(out.keyed);
	r.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SET;
	r.device_set = &set;
	assert_int_equal(route(&r, &out), JY_OK);
	assert_false(out.keyed);
	r.call_case = JOINERY__V1__REQUEST__CALL_STATUS;
	r.status = &status;
	assert_int_equal(route(&r, &out), JY_OK);
	assert_true(out.status);
	assert_string_equal(out.call, "status");
	assert_int_equal(
	    route_read(&arena, (const uint8_t *)"\xff\xff", 2, &out),
	    JY_EINVAL);
	assert_false(out.has_id);
}

/* The frame that unpacks to the most: its shape is no reason to refuse it. */
static void
test_unpack_bound(void **state)
{
	static uint8_t buf[FRAME_MAX];
	struct arena arena = { 0 };
	ProtobufCMessage *m;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i += 2) {
		/* Field 14, which is none of ours: a varint of 0. */
		memcpy(buf + i, "\x70\x00", 2);
	}
	m = unpack(&arena, &joinery__v1__request__descriptor, buf, sizeof(buf));
	assert_non_null(m);
	assert_int_equal(m->n_unknown_fields, sizeof(buf) / 2);
	arena_reset(&arena);
	assert_null(unpack(
	    &arena, &joinery__v1__request__descriptor, buf, sizeof(buf) - 1));
	arena_reset(&arena);
}

static void
test_pending(void **state)
{
	struct pending *p = pending_new(3);
	struct request *r[3];
	char a[REQUEST_ID_STR_LEN], b[REQUEST_ID_STR_LEN];
	uint64_t old;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		r[i] = pending_take(p);
		assert_non_null(r[i]);
	}
	assert_null(pending_take(p));
	assert_int_equal(pending_count(p), 3);
	assert_ptr_equal(pending_find(p, r[1]->seq), r[1]);
	assert_null(pending_find(p, r[1]->seq + (1U << 24)));
	assert_null(pending_find(p, 0xffffff));
	old = r[1]->seq;
	pending_release(p, r[1]);
	assert_null(pending_find(p, old));
	r[1] = pending_take(p);
	assert_non_null(r[1]);
	assert_true(r[1]->seq != old);
	assert_null(pending_find(p, old));
	pending_request_id(p, old, a);
	pending_request_id(p, r[1]->seq, b);
	assert_int_equal(strlen(a), REQUEST_ID_STR_LEN - 1);
	assert_string_not_equal(a, b);
	assert_null(pending_find(p, pending_seq(p)));
	pending_free(p);
	pending_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_agrees),
		cmocka_unit_test(test_route_session),
		cmocka_unit_test(test_route_batch),
		cmocka_unit_test(test_route_rejoin),
		cmocka_unit_test(test_route_home_and_trace),
		cmocka_unit_test(test_route_oddities),
		cmocka_unit_test(test_unpack_bound),
		cmocka_unit_test(test_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
