/* SPDX-License-Identifier: Apache-2.0 */
/* joineryctl release: the file it writes, refusals, lost and wrong answers. */
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>
#include <openssl/sha.h>

#include "src/base/err.h"
#include "tests/unit/ctl_fake.h"
#include "tools/keyfile.h"

#define J "70b3d57ed0000001"
#define RELEASE "release --import-key %/pem --out %/keys "
#define FROM_FILE RELEASE "--file -"

/* tests/vectors/keyfile.pub.pem */
static const char pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1WOQskjat0lFyE6qtKcU\n"
    "Orb+flK2DyJpGElgGnZgdbg9ZGW0a4Sq+xr05xzhq8NpN+lV6c/lDRmmkqT+FD2t\n"
    "EiHxcdGx+GAMrCBurzpSsnr7r9YENT1fx/QMDfhjrf45kllm5bINk4vmFUjAZ/ht\n"
    "CkcQA1AmEuV+SzrDPCEv83Xu6RojyyaolAYdlYDd2hZvxswCFwADtuM9Q4UJrtHT\n"
    "BoKP58KssW9uCfk9FJrDgPmqIobsXc+p+I3ficQLLY66ZGiDDMhKitfVIGYc6Qjl\n"
    "EnYvd7TnearvqhkcjZWZiDv++ALsb+R/EDL7Uw7YmeTdNm6Kul9w8lo/xC3GIPsm\n"
    "nQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static struct fake_run run;

static int
setup(void **state)
{
	(void)state;
	(void)fake_setup(NULL);
	(void)fake_file("pem", pem, 0600);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)fake_teardown(NULL);
	return 0;
}

/* ---- the server ---- */

static uint8_t ticket[] = { 'T', 'i', 'c', 'k', 'e', 't' };
static uint8_t sealed[256] = { 0x5e, 0xa1 };
static uint8_t mac[KEYFILE_MAC_LEN] = { 0xAC, 0xED };
static uint8_t fingerprint[KEYFILE_FINGERPRINT_LEN];
static unsigned asked[256]; /* by the last octet of the DevEUI */
static unsigned batches;
static uint8_t digest[32]; /* of the last end */
static bool keep_serving;

/* How the server is not as it should be; NULL: it is. */
static void (*spoil_begin)(Joinery__V1__ReleaseBeginAnswer *m);
static void (*spoil_batch)(Joinery__V1__ReleaseBatchAnswer *m);

static void
forget(void)
{
	memset(asked, 0, sizeof(asked));
	memset(digest, 0, sizeof(digest));
	batches = 0;
	keep_serving = false;
	spoil_begin = NULL;
	spoil_batch = NULL;
	mac[0] = 0xAC;
	(void)unlink(fake_path("keys"));
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

static void
assert_ticket(const ProtobufCBinaryData *got)
{
	assert_int_equal(got->len, sizeof(ticket));
	assert_memory_equal(got->data, ticket, sizeof(ticket));
}

static int
begin(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__ReleaseBeginAnswer m;

	joinery__v1__release_begin_answer__init(&m);
	(void)SHA256(q->release_begin->public_key.data,
	    q->release_begin->public_key.len, fingerprint);
	m.has_import_key = m.has_transport_key = m.has_ticket = 1;
	m.import_key =
	    (ProtobufCBinaryData){ sizeof(fingerprint), fingerprint };
	m.transport_key = (ProtobufCBinaryData){ sizeof(sealed), sealed };
	m.ticket = (ProtobufCBinaryData){ sizeof(ticket), ticket };
	if (spoil_begin != NULL) {
		spoil_begin(&m);
	}
	r->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_BEGIN;
	r->release_begin = &m;
	return 1;
}

static int
end(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__ReleaseEndAnswer m;

	joinery__v1__release_end_answer__init(&m);
	assert_ticket(&q->release_end->ticket);
	assert_int_equal(q->release_end->digest.len, sizeof(digest));
	memcpy(digest, q->release_end->digest.data, sizeof(digest));
	m.has_mac = 1;
	m.mac = (ProtobufCBinaryData){ mac[0] == 0 ? 15 : 16, mac };
	r->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_END;
	r->release_end = &m;
	return 1;
}

#define BATCH_MAX 64

/* All that one answer points to. */
static struct {
	Joinery__V1__ReleaseBatchAnswer answer;
	Joinery__V1__ReleaseResult results[BATCH_MAX], *list[BATCH_MAX];
	Joinery__V1__ImportDevice devices[BATCH_MAX];
	Joinery__V1__DeviceSettings settings;
	Joinery__V1__WrappedKey key;
	Joinery__V1__Nonces nonces;
	uint8_t wrapped[24], check_value[4];
	uint32_t net_id;
} b;

static void
batch_init(void)
{
	memset(&b, 0, sizeof(b));
	joinery__v1__device_settings__init(&b.settings);
	b.settings.has_mac_version = 1;
	b.settings.mac_version = JOINERY__V1__MAC_VERSION__MAC_1_0_4;
	b.net_id = 0x13;
	b.settings.n_net_ids = 1;
	b.settings.net_ids = &b.net_id;
	b.settings.as_id = (char *)(uintptr_t) "as";
	joinery__v1__wrapped_key__init(&b.key);
	memset(b.wrapped, 0xBB, sizeof(b.wrapped));
	memset(b.check_value, 0xCC, sizeof(b.check_value));
	b.key.has_wrapped_key = b.key.has_check_value = 1;
	b.key.wrapped_key =
	    (ProtobufCBinaryData){ sizeof(b.wrapped), b.wrapped };
	b.key.check_value =
	    (ProtobufCBinaryData){ sizeof(b.check_value), b.check_value };
	joinery__v1__nonces__init(&b.nonces);
	b.nonces.has_join_nonce = b.nonces.has_dev_nonce = 1;
	b.nonces.join_nonce = 7;
	b.nonces.dev_nonce = 9;
	joinery__v1__release_batch_answer__init(&b.answer);
	b.answer.results = b.list;
}

static int
batch(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	const Joinery__V1__ReleaseBatchRequest *m = q->release_batch;

	assert_ticket(&m->ticket);
	assert_in_range(m->n_devices, 1, BATCH_MAX);
	batches++;
	keep_serving = m->keep_serving;
	batch_init();
	b.answer.n_results = m->n_devices;
	for (size_t i = 0; i < m->n_devices; i++) {
		joinery__v1__release_result__init(&b.results[i]);
		joinery__v1__import_device__init(&b.devices[i]);
		b.list[i] = &b.results[i];
		b.results[i].device = &b.devices[i];
		b.devices[i].id = m->devices[i];
		b.devices[i].settings = &b.settings;
		b.devices[i].app_key = &b.key;
		b.devices[i].nonces = &b.nonces;
		asked[m->devices[i]->dev_eui.data[7]]++;
	}
	if (spoil_batch != NULL) {
		spoil_batch(&b.answer);
	}
	r->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_BATCH;
	r->release_batch = &b.answer;
	return 1;
}

static int
answer(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	switch ((int)q->call_case) {
	case JOINERY__V1__REQUEST__CALL_RELEASE_BEGIN:
		return begin(q, r);
	case JOINERY__V1__REQUEST__CALL_RELEASE_BATCH:
		return batch(q, r);
	case JOINERY__V1__REQUEST__CALL_RELEASE_END:
		return end(q, r);
	default:
		return answer_error(r, JOINERY__V1__ERROR_CODE__UNKNOWN_CALL);
	}
}

/* Device n of what was asked is refused. */
static void
refuse(
    Joinery__V1__ReleaseBatchAnswer *m, uint8_t n, Joinery__V1__ErrorCode code)
{
	for (size_t i = 0; i < m->n_results; i++) {
		Joinery__V1__ReleaseResult *result = m->results[i];

		if (result->device != NULL &&
		    result->device->id->dev_eui.data[7] == n) {
			result->device = NULL;
			result->has_code = 1;
			result->code = code;
			result->reason = (char *)(uintptr_t) "so it is";
		}
	}
}

/* ---- what came of it ---- */

/* Lines of devices 1 to n. */
static const char *
lines_of(unsigned n)
{
	static char text[16384];
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 1; i <= n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    J " 00000000000000%02x\n", i);
	}
	return text;
}

static bool
no_file(void)
{
	struct stat st;

	return stat(fake_path("keys"), &st) != 0;
}

static size_t
read_file(char *text, size_t cap)
{
	FILE *f = fopen(fake_path("keys"), "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, cap - 1, f);
	text[len] = '\0';
	assert_int_equal(fclose(f), 0);
	return len;
}

/* It is a key file of so many devices, with the MAC over all of it. */
static void
assert_file(unsigned devices)
{
	static char text[65536];
	struct keyfile_device device;
	struct keyfile_reader reader;
	enum keyfile_line kind = KEYFILE_HEADER;
	uint8_t sum[32];
	struct stat st;
	size_t len = read_file(text, sizeof(text));
	char *line = text;

	assert_int_equal(stat(fake_path("keys"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)SHA256((const uint8_t *)text, len - 33, sum);
	assert_memory_equal(sum, digest, sizeof(sum));
	keyfile_reader_init(&reader);
	while (line < text + len) {
		size_t n = strcspn(line, "\n");

		assert_int_equal(
		    keyfile_read(&reader, line, n, &kind, &device, NULL),
		    JY_OK);
		if (kind == KEYFILE_DEVICE) {
			assert_true(device.app.present && !device.nwk.present);
			assert_int_equal(device.join_nonce, 7);
			assert_int_equal(device.dev_nonce, 9);
			assert_int_equal(device.net_ids[0], 0x13);
			assert_string_equal(device.as_id, "as");
			/* Twice if the first answer was lost. */
			assert_in_range(asked[device.dev_eui.be[7]], 1, 2);
			asked[device.dev_eui.be[7]] = 99;
		}
		line += n + 1;
	}
	assert_int_equal(keyfile_read_done(&reader, NULL), JY_OK);
	assert_int_equal(reader.devices, devices);
	assert_memory_equal(reader.end.mac, mac, sizeof(mac));
	assert_memory_equal(
	    reader.header.import_key, fingerprint, sizeof(fingerprint));
	assert_int_equal(reader.header.transport_key_len, sizeof(sealed));
	assert_memory_equal(
	    reader.header.transport_key, sealed, sizeof(sealed));
}

/* ---- files ---- */

static void
test_file(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer, lines_of(150), FROM_FILE);
	assert_string_equal(run.err, "");
	assert_int_equal(run.status, 0);
	assert_in_range(batches, 3, 10);
	assert_false(keep_serving);
	assert_file(150);
	assert_non_null(strstr(run.out, "released             150\n"));
	assert_non_null(strstr(run.out, "refused              0\n"));
	assert_non_null(strstr(run.out, "joineryctl device delete --file "));
}

static void
test_one_device(void **state)
{
	json_t *j;

	(void)state;
	forget();
	fake_ctl(&run, answer, NULL,
	    RELEASE "--join-eui " J
		    " --dev-eui 0000000000000005 --keep-serving --json");
	assert_int_equal(run.status, 0);
	assert_true(keep_serving);
	assert_file(1);
	j = fake_json(&run);
	assert_int_equal(json_integer_value(json_object_get(j, "released")), 1);
	assert_int_equal(json_array_size(json_object_get(j, "refused")), 0);
	assert_int_equal(
	    json_string_length(json_object_get(j, "check_values_sha256")), 64);
	json_decref(j);
}

/* Two pages of an application. */
static int
answer_app(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static Joinery__V1__DeviceListAnswer m;
	static Joinery__V1__Device devices[2], *list[2];
	static Joinery__V1__DeviceId ids[2];
	static uint8_t join_eui[8] = { 0x70 }, dev_eui[2][8];
	const Joinery__V1__DeviceListRequest *call = q->device_list;
	bool first;

	if (q->call_case != JOINERY__V1__REQUEST__CALL_DEVICE_LIST) {
		return answer(q, r);
	}
	assert_string_equal(call->app, "meters");
	first = call->after == NULL;
	assert_true(first || call->after->dev_eui.data[7] == 2);
	joinery__v1__device_list_answer__init(&m);
	for (uint8_t i = 0; i < 2; i++) {
		joinery__v1__device__init(&devices[i]);
		joinery__v1__device_id__init(&ids[i]);
		dev_eui[i][7] = (uint8_t)(i + (first ? 1 : 3));
		ids[i].has_join_eui = ids[i].has_dev_eui = 1;
		ids[i].join_eui = (ProtobufCBinaryData){ 8, join_eui };
		ids[i].dev_eui = (ProtobufCBinaryData){ 8, dev_eui[i] };
		devices[i].id = &ids[i];
		list[i] = &devices[i];
	}
	m.n_devices = 2;
	m.devices = list;
	m.has_more = 1;
	m.more = first;
	m.next = first ? &ids[1] : NULL;
	r->result_case = JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST;
	r->device_list = &m;
	return 1;
}

static int
answer_app_no_next(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)answer_app(q, r);
	if (r->result_case == JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST) {
		r->device_list->next = NULL;
	}
	return 1;
}

static void
test_app(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_app, NULL, RELEASE "--app meters");
	assert_string_equal(run.err, "");
	assert_int_equal(run.status, 0);
	assert_file(4);
	forget();
	fake_ctl(&run, answer_app_no_next, NULL, RELEASE "--app meters");
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "but not where"));
	assert_true(no_file());
}

/* ---- refusals ---- */

static void
refuse_two(Joinery__V1__ReleaseBatchAnswer *m)
{
	refuse(m, 2, JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
	refuse(m, 40, JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE);
}

static void
test_refused(void **state)
{
	json_t *j, *row;

	(void)state;
	forget();
	spoil_batch = refuse_two;
	fake_ctl(&run, answer, lines_of(50), FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_file(48);
	assert_non_null(strstr(run.err,
	    "line 2: " J " 0000000000000002: NOT_ALLOWED: so it is\n"));
	assert_non_null(
	    strstr(run.err, "line 40: " J " 0000000000000028: UNKNOWN_DEVICE"));
	assert_non_null(strstr(run.err, "2 devices were not released"));

	forget();
	spoil_batch = refuse_two;
	fake_ctl(&run, answer, lines_of(50), FROM_FILE " --json");
	assert_int_equal(run.status, 1);
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "refused")), 2);
	row = json_array_get(json_object_get(j, "refused"), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "line")), 2);
	assert_int_equal(
	    json_integer_value(json_object_get(j, "not_released")), 2);
	json_decref(j);

	/* Strictly, there is no file, and it is said what can be done. */
	forget();
	spoil_batch = refuse_two;
	fake_ctl(&run, answer, lines_of(50), FROM_FILE " --strict");
	assert_int_equal(run.status, 1);
	assert_true(no_file());
	assert_non_null(strstr(run.err, "stopped"));
	assert_non_null(strstr(run.err, "--released no"));

	/* If all are refused, there is no file either. */
	forget();
	spoil_batch = refuse_two;
	fake_ctl(&run, answer, J " 0000000000000002\n", FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_true(no_file());
	assert_non_null(strstr(run.err, "none of the devices was released"));
}

static void
test_bad_lines(void **state)
{
	static const char file[] =
	    J " 0000000000000001\nnonsense\n" J " 0000000000000001\n";

	(void)state;
	forget();
	fake_ctl(&run, answer, file, FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "line 2: LOCAL: a line is a"));
	assert_non_null(strstr(run.err, "the device is on line 1, too"));
	assert_file(1);
	forget();
	fake_ctl(&run, fake_nobody, file, FROM_FILE " --strict");
	assert_int_equal(run.status, 5);
	assert_non_null(strstr(run.err, "nothing was released"));
	assert_true(no_file());
}

static int
answer_not_allowed(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	return answer_error(r, JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
}

static void
test_not_allowed(void **state)
{
	(void)state;
	forget();
	fake_ctl(&run, answer_not_allowed, lines_of(2), FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "NOT_ALLOWED: so it is"));
	assert_non_null(strstr(run.err, "release-to"));
	assert_int_equal(run.requests, 1);
	assert_true(no_file());
}

/* A name that no key file can hold. */
static void
name_badly(Joinery__V1__ReleaseBatchAnswer *m)
{
	static Joinery__V1__DeviceSettings bad;

	bad = b.settings;
	bad.name = (char *)(uintptr_t) "\xff";
	m->results[0]->device->settings = &bad;
}

static void
test_bad_text(void **state)
{
	(void)state;
	forget();
	spoil_batch = name_badly;
	fake_ctl(&run, answer, lines_of(3), FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "0000000000000001: LOCAL: a text is"));
	assert_non_null(strstr(run.err, "marked released all the same"));
	assert_file(2);
	forget();
	spoil_batch = name_badly;
	fake_ctl(&run, answer, lines_of(3), FROM_FILE " --keep-serving");
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "0000000000000001: LOCAL: a text is"));
	assert_null(strstr(run.err, "marked"));
	assert_file(2);
}

/* ---- answers that cannot be ---- */

static void
begin_other_key(Joinery__V1__ReleaseBeginAnswer *m)
{
	m->import_key.data[0] ^= 1;
}

static void
begin_no_ticket(Joinery__V1__ReleaseBeginAnswer *m)
{
	m->has_ticket = 0;
	m->ticket.len = 0;
}

static void
begin_no_key(Joinery__V1__ReleaseBeginAnswer *m)
{
	m->has_transport_key = 0;
	m->transport_key.len = 0;
}

static void
batch_too_short(Joinery__V1__ReleaseBatchAnswer *m)
{
	m->n_results--;
}

static void
batch_other_device(Joinery__V1__ReleaseBatchAnswer *m)
{
	m->results[0]->device->id->dev_eui.data[0] ^= 1;
}

static void
batch_short_key(Joinery__V1__ReleaseBatchAnswer *m)
{
	(void)m;
	b.key.wrapped_key.len--;
}

static void
batch_no_settings(Joinery__V1__ReleaseBatchAnswer *m)
{
	m->results[1]->device->settings = NULL;
}

static void
batch_long_text(Joinery__V1__ReleaseBatchAnswer *m)
{
	static char text[STORE_LABEL_MAX + 2];

	(void)m;
	memset(text, 'x', sizeof(text) - 1);
	b.settings.app = text;
}

static void
batch_large_nonce(Joinery__V1__ReleaseBatchAnswer *m)
{
	(void)m;
	b.nonces.dev_nonce = 0x10000;
}

static void
test_wrong_answers(void **state)
{
	static void (*const begins[])(Joinery__V1__ReleaseBeginAnswer *) = {
		begin_other_key, begin_no_ticket, begin_no_key
	};
	static void (*const answers[])(Joinery__V1__ReleaseBatchAnswer *) = {
		batch_too_short, batch_other_device, batch_short_key,
		batch_no_settings, batch_long_text, batch_large_nonce
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		forget();
		spoil_begin = begins[i];
		fake_ctl(&run, answer, lines_of(2), FROM_FILE);
		assert_int_equal(run.status, 3);
		assert_true(no_file());
		assert_int_equal(run.requests, 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		forget();
		spoil_batch = answers[i];
		fake_ctl(&run, answer, lines_of(2), FROM_FILE);
		assert_int_equal(run.status, 3);
		assert_true(no_file());
	}
	forget();
	mac[0] = 0; /* the server sends 15 octets */
	fake_ctl(&run, answer, lines_of(2), FROM_FILE);
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "MAC has 15 octets"));
	assert_non_null(strstr(run.err, "--released no"));
	assert_true(no_file());
}

/* ---- once more ---- */

static void
conflict_once(Joinery__V1__ReleaseBatchAnswer *m)
{
	if (asked[3] == 1) {
		refuse(m, 3, JOINERY__V1__ERROR_CODE__CONFLICT);
	} else {
		asked[3] = 1; /* for assert_file */
	}
}

static void
conflict_always(Joinery__V1__ReleaseBatchAnswer *m)
{
	refuse(m, 3, JOINERY__V1__ERROR_CODE__CONFLICT);
}

static int
answer_busy_once(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	if (q->call_case == JOINERY__V1__REQUEST__CALL_RELEASE_BATCH &&
	    batches++ == 0) {
		return answer_error(r, JOINERY__V1__ERROR_CODE__BUSY);
	}
	return answer(q, r);
}

static bool hung_up;

/* The second batch is answered by nobody, once. */
static int
answer_lost(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	if (q->call_case == JOINERY__V1__REQUEST__CALL_RELEASE_BATCH &&
	    batches == 1 && !hung_up) {
		hung_up = true;
		return 0;
	}
	return answer(q, r);
}

static void
test_again(void **state)
{
	(void)state;
	forget();
	spoil_batch = conflict_once;
	fake_ctl(&run, answer, lines_of(4), FROM_FILE);
	assert_string_equal(run.err, "");
	assert_int_equal(batches, 2);
	assert_file(4);
	/* Not for ever. */
	forget();
	spoil_batch = conflict_always;
	fake_ctl(&run, answer, lines_of(4), FROM_FILE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "CONFLICT"));
	assert_in_range(asked[3], 5, 20);
	assert_file(3);

	forget();
	fake_ctl(&run, answer_busy_once, lines_of(4), FROM_FILE);
	assert_int_equal(run.status, 0);
	assert_file(4);

	forget();
	hung_up = false;
	fake_ctl(&run, answer_lost, lines_of(60), FROM_FILE);
	assert_int_equal(run.status, 0);
	assert_true(hung_up);
	assert_non_null(strstr(run.err, "trying again"));
	assert_file(60);
}

/* ---- the command line ---- */

static void
test_usage(void **state)
{
	static const struct {
		const char *arguments;
		const char *input;
		int status;
		const char *says;
	} cases[] = {
		{ RELEASE, NULL, 2, "one of --dev-eui" },
		{ FROM_FILE " --app x", "", 2, "one of --dev-eui" },
		{ FROM_FILE " --join-eui " J, "", 2, "goes with --dev-eui" },
		{ FROM_FILE, "# none\n", 5, "no device to release" },
		{ RELEASE "--file %/none", NULL, 5, "No such file" },
		{ "release --import-key %/pem --file -", "", 2, "--out" },
		{ "release --out %/keys --file -", "", 2, "--import-key" },
		{ "release --import-key %/pem --out - --file -",
		    J " 0000000000000001\n", 2, "--out FILE" },
		{ "release --import-key %/pem --out %/no/keys --file -",
		    J " 0000000000000001\n", 5, "No such file" },
		{ "release --import-key %/stdin --out %/keys --file -",
		    J " 0000000000000001\n", 5, "public key" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		forget();
		fake_ctl(&run, fake_nobody, cases[i].input, cases[i].arguments);
		assert_int_equal(run.status, cases[i].status);
		assert_non_null(strstr(run.err, cases[i].says));
		assert_true(no_file());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_one_device),
		cmocka_unit_test(test_app),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_wrong_answers),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
