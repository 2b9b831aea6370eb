/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of devices on their way to the server.  Several are in flight, so
 * that all workers have something to do, and each is short, so that joins need
 * not wait long.  A batch stays here until its results are there: after a lost
 * connection, or when the server is busy, it is sent again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/errcode.h"
#include "src/base/arena.h"
#include "src/base/sys.h"
#include "tools/ctl_import.h"

#define WINDOW 4
#define BATCH_MAX 256     /* of the protocol */
#define OCTETS_MAX 60000U /* of its devices: a frame has FRAME_MAX */
#define ENTRY_HEAD_LEN 4U /* before each of them: tag and length */
#define BATCH_FIRST 8
#define QUICK_US 100000U /* a batch that takes less may grow, ... */
#define SLOW_US 400000U  /* ... and one that takes longer shrinks */

#define PATIENCE_MS 60000U
#define PAUSE_FIRST_MS 50U
#define PAUSE_MAX_MS 2000U

static const char go_on[] =
    "what is done stays done: the same command goes on from there";

struct entry {
	uint64_t line;
	struct keyfile_device device;
};

struct batch {
	size_t n;    /* entries; 0: free */
	size_t sent; /* of these, the first so many */
	uint64_t id; /* of the request on its way; 0: none */
	uint64_t sent_us;
	struct entry entries[BATCH_MAX];
};

struct import_send {
	struct ctl *ctl;
	struct keyfile_header header;
	struct import_options options;
	struct progress *progress;
	struct import_counts *counts;
	uint8_t digest[SEAL_DIGEST_LEN], mac[KEYFILE_MAC_LEN];
	uint64_t audit_seq; /* of the beginning */

	struct batch *filling; /* or NULL */
	size_t limit;          /* entries to send in one batch */
	uint64_t adapted_us;   /* when that changed */
	uint64_t last_id;
	bool was_connected;
	uint64_t patience_us;
	uint64_t good_us; /* when something was last done */
	uint32_t pause_ms;
	struct batch batches[WINDOW];
};

struct import_send *
import_send_new(struct ctl *ctl, const struct import_sums *sums,
    const struct import_options *options, struct progress *progress,
    struct import_counts *counts)
{
	struct import_send *s = sys_xcalloc(1, sizeof(*s));

	s->ctl = ctl;
	s->header = sums->header;
	s->options = *options;
	s->progress = progress;
	s->counts = counts;
	memcpy(s->digest, sums->digest, sizeof(s->digest));
	memcpy(s->mac, sums->mac, sizeof(s->mac));
	s->limit = BATCH_FIRST;
	s->pause_ms = PAUSE_FIRST_MS;
	return s;
}

void
import_send_free(struct import_send *s)
{
	free(s);
}

/* ---- trouble ---- */

static void
pause_a_while(struct import_send *s)
{
	struct timespec ts = { .tv_sec = s->pause_ms / 1000,
		.tv_nsec = (long)(s->pause_ms % 1000) * 1000000 };

	(void)nanosleep(&ts, NULL);
	s->pause_ms *= 2;
	if (s->pause_ms > PAUSE_MAX_MS) {
		s->pause_ms = PAUSE_MAX_MS;
	}
}

static void
all_is_well(struct import_send *s)
{
	s->good_us = sys_mono_us();
	s->pause_ms = PAUSE_FIRST_MS;
}

static enum ctl_exit
give_up(struct import_send *s, enum ctl_exit exit)
{
	struct ctl_error *e = &s->ctl->error;

	(void)snprintf(e->hint, sizeof(e->hint), "%s", go_on);
	return exit;
}

/*
 * exit is why something failed that may soon be well again: CTL_OK after a
 * pause, or exit when that lasts too long.
 */
static enum ctl_exit
bear(struct import_send *s, enum ctl_exit exit)
{
	if (sys_mono_us() - s->good_us > s->patience_us) {
		return give_up(s, exit);
	}
	pause_a_while(s);
	return CTL_OK;
}

/* Nothing is on its way any more. */
static void
recall(struct import_send *s)
{
	ctl_disconnect(s->ctl);
	for (size_t i = 0; i < WINDOW; i++) {
		s->batches[i].id = 0;
	}
}

static enum ctl_exit
connection_lost(struct import_send *s, enum jy_err err, const struct errctx *ec)
{
	enum ctl_exit exit = ctl_connection_failed(s->ctl, err, ec);

	recall(s);
	return bear(s, exit);
}

/* May the same request be answered otherwise soon? */
static bool
is_passing(Joinery__V1__ErrorCode code)
{
	return code == JOINERY__V1__ERROR_CODE__BUSY ||
	    code == JOINERY__V1__ERROR_CODE__TIMEOUT ||
	    code == JOINERY__V1__ERROR_CODE__CONFLICT ||
	    code == JOINERY__V1__ERROR_CODE__TOKEN_UNAVAILABLE;
}

static enum ctl_exit
error_answered(struct import_send *s, const Joinery__V1__Error *error)
{
	enum ctl_exit exit = ctl_error_answered(s->ctl, error);

	if (is_passing(error->code)) {
		return bear(s, exit);
	}
	return import_counts_all(s->counts) > 0 ? give_up(s, exit) : exit;
}

/*
 * *ready says whether there is a connection now; the first one has to be there
 * at once.
 */
static enum ctl_exit
have_connection(struct import_send *s, bool *ready)
{
	enum ctl_exit exit = ctl_connect(s->ctl);
	uint32_t patience_ms = PATIENCE_MS;

	*ready = exit == CTL_OK;
	if (exit != CTL_OK) {
		return s->was_connected ? bear(s, exit) : exit;
	}
	if (!s->was_connected) {
		if (ctl_given(s->ctl, TIMEOUT)) {
			exit = args_number(
			    s->ctl, OPT_TIMEOUT, 1, UINT32_MAX, &patience_ms);
		}
		s->patience_us = (uint64_t)patience_ms * 1000;
		s->was_connected = true;
		all_is_well(s);
	}
	client_set_timeout(s->ctl->client, (unsigned)(s->patience_us / 1000));
	return exit;
}

/* ---- the requests before and after all others ---- */

static ProtobufCBinaryData
octets(uint8_t *p, size_t len)
{
	return (ProtobufCBinaryData){ .data = p, .len = len };
}

/* Ask once; *out is the answer if it was a good one. */
static enum ctl_exit
ask_once(struct import_send *s, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected, Joinery__V1__Response **out)
{
	struct errctx ec = ERRCTX_INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;
	enum jy_err err;

	request->has_id = 0;
	err = client_call(s->ctl->client, request, &response, &ec);
	if (err != JY_OK) {
		return connection_lost(s, err, &ec);
	}
	if (response->result_case == expected) {
		*out = response;
		return CTL_OK;
	}
	exit = response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR
	    ? error_answered(s, response->error)
	    : ctl_answer_unwanted(s->ctl, response);
	client_free(response);
	return exit;
}

/* Ask until it is answered; free *out with client_free. */
static enum ctl_exit
ask(struct import_send *s, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected, Joinery__V1__Response **out)
{
	enum ctl_exit exit = CTL_OK;
	bool ready;

	*out = NULL;
	while (exit == CTL_OK && *out == NULL) {
		exit = have_connection(s, &ready);
		if (exit == CTL_OK && ready) {
			exit = ask_once(s, request, expected, out);
		}
	}
	return exit;
}

/* Which file it is, in the first and in the last request. */
#define PUT_FILE(call, s) \
	do { \
		(call)->has_import_key = (call)->has_transport_key = 1; \
		(call)->has_digest = (call)->has_mac = 1; \
		(call)->import_key = octets( \
		    (s)->header.import_key, sizeof((s)->header.import_key)); \
		(call)->transport_key = octets( \
		    (s)->header.transport_key, (s)->header.transport_key_len); \
		(call)->digest = octets((s)->digest, sizeof((s)->digest)); \
		(call)->mac = octets((s)->mac, sizeof((s)->mac)); \
	} while (0)

enum ctl_exit
import_send_begin(struct import_send *s)
{
	Joinery__V1__ImportBeginRequest call =
	    JOINERY__V1__IMPORT_BEGIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	PUT_FILE(&call, s);
	call.has_dry_run = 1;
	call.dry_run = s->options.dry_run;
	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_BEGIN;
	request.import_begin = &call;
	exit = ask(
	    s, &request, JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT, &response);
	if (exit == CTL_OK) {
		s->audit_seq = response->import_event->audit_seq;
	}
	client_free(response);
	return exit;
}

/* Devices are numbered with 32 bits in the protocol; no file has so many. */
static uint32_t
to_count(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

enum ctl_exit
import_send_end(struct import_send *s, const struct import_sums *sums,
    struct import_receipt *out)
{
	Joinery__V1__ImportEndRequest call =
	    JOINERY__V1__IMPORT_END_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	uint8_t check_values[SEAL_DIGEST_LEN];
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	memcpy(check_values, sums->check_values, sizeof(check_values));
	PUT_FILE(&call, s);
	call.has_created = call.has_same = 1;
	call.has_replaced = call.has_refused = 1;
	call.created = to_count(s->counts->created);
	call.same = to_count(s->counts->same);
	call.replaced = to_count(s->counts->replaced);
	call.refused = to_count(s->counts->refused);
	call.has_check_values = call.has_audit_seq = 1;
	call.check_values = octets(check_values, sizeof(check_values));
	call.audit_seq = s->audit_seq;
	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_END;
	request.import_end = &call;
	exit = ask(
	    s, &request, JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT, &response);
	if (exit == CTL_OK) {
		const Joinery__V1__ImportEventAnswer *m =
		    response->import_event;

		out->seq = m->audit_seq;
		memset(out->mac, 0, sizeof(out->mac));
		if (m->audit_mac.len == sizeof(out->mac)) {
			memcpy(out->mac, m->audit_mac.data, sizeof(out->mac));
		}
	}
	client_free(response);
	return exit;
}

/* ---- sending ---- */

/* As many as go into one frame, of those that may; returns how many. */
static size_t
device_messages(const struct import_send *s, struct batch *b,
    struct arena *arena, Joinery__V1__ImportDevice *devices[BATCH_MAX])
{
	size_t octets = 0, n = 0;

	while (n < b->n && n < s->limit) {
		devices[n] =
		    import_device_message(arena, &b->entries[n].device);
		octets += ENTRY_HEAD_LEN +
		    joinery__v1__import_device__get_packed_size(devices[n]);
		if (octets > OCTETS_MAX) {
			break;
		}
		n++;
	}
	return n;
}

static enum jy_err
batch_send(struct import_send *s, struct batch *b, struct errctx *ec)
{
	Joinery__V1__ImportBatchRequest call =
	    JOINERY__V1__IMPORT_BATCH_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__ImportDevice *devices[BATCH_MAX];
	struct arena arena = { 0 };
	enum jy_err err;

	b->sent = device_messages(s, b, &arena, devices);
	call.has_import_key = call.has_transport_key = 1;
	call.import_key =
	    octets(s->header.import_key, sizeof(s->header.import_key));
	call.transport_key =
	    octets(s->header.transport_key, s->header.transport_key_len);
	call.n_devices = b->sent;
	call.devices = devices;
	call.has_replace = call.has_dry_run = 1;
	call.replace = s->options.replace;
	call.dry_run = s->options.dry_run;
	call.has_audit_seq = !s->options.dry_run;
	call.audit_seq = s->audit_seq;
	request.has_id = 1;
	request.id = b->id = ++s->last_id;
	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_BATCH;
	request.import_batch = &call;
	b->sent_us = sys_mono_us();
	err = client_send(s->ctl->client, &request, ec);
	arena_reset(&arena);
	return err;
}

/* Send what waits; *in_flight says how many there are then. */
static enum jy_err
send_waiting(struct import_send *s, size_t *in_flight, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	*in_flight = 0;
	for (size_t i = 0; i < WINDOW && err == JY_OK; i++) {
		struct batch *b = &s->batches[i];

		if (b->n > 0 && b->id == 0 && b != s->filling) {
			err = batch_send(s, b, ec);
		}
		*in_flight += b->id != 0;
	}
	return err == JY_OK ? client_flush(s->ctl->client, ec) : err;
}

/* ---- results ---- */

/* One device; false when it is to be tried again. */
static bool
take_result(struct import_send *s, const struct entry *e,
    const Joinery__V1__ImportResult *r)
{
	if (!r->has_outcome && is_passing(r->code)) {
		return false;
	}
	if (!r->has_outcome) {
		s->counts->refused++;
		import_show_refused(s->progress, e->line, errcode_name(r->code),
		    r->reason != NULL ? r->reason : "");
		return true;
	}
	s->counts->created +=
	    r->outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_CREATED;
	s->counts->same +=
	    r->outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_SAME;
	s->counts->replaced +=
	    r->outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_REPLACED;
	return true;
}

/* Only a batch sent since the last change tells what that did. */
static void
adapt(struct import_send *s, const struct batch *b, uint64_t took_us)
{
	size_t limit = s->limit;

	if (b->sent_us < s->adapted_us) {
		return;
	}
	if (took_us < QUICK_US && limit < BATCH_MAX) {
		s->limit *= 2;
	} else if (took_us > SLOW_US && limit > 1) {
		s->limit /= 2;
	}
	if (s->limit != limit) {
		s->adapted_us = sys_mono_us();
	}
}

static enum ctl_exit
take_results(struct import_send *s, struct batch *b,
    const Joinery__V1__ImportBatchAnswer *m)
{
	uint64_t refused = s->counts->refused;
	size_t kept = 0;

	if (m->n_results != b->sent) {
		return ctl_fail(s->ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "%zu results for %zu devices", m->n_results, b->sent);
	}
	for (size_t i = 0; i < b->n; i++) {
		if (i >= b->sent ||
		    !take_result(s, &b->entries[i], m->results[i])) {
			b->entries[kept++] = b->entries[i];
		}
	}
	b->id = 0;
	if (kept == b->n) { /* to ask again at once would be no better */
		return bear(s,
		    ctl_fail(s->ctl, CTL_REFUSED, NULL,
			"no device of a batch can be taken: %s",
			errcode_name(m->results[0]->code)));
	}
	all_is_well(s);
	b->n = kept;
	adapt(s, b, sys_mono_us() - b->sent_us);
	progress_show(s->progress, import_counts_all(s->counts));
	if (s->options.strict && s->counts->refused > refused) {
		return ctl_fail(s->ctl, CTL_REFUSED,
		    "put the line right; what is done stays done, and the same "
		    "command goes on",
		    "stopped: a line was refused");
	}
	return CTL_OK;
}

static enum ctl_exit
take_answer(struct import_send *s, const Joinery__V1__Response *response)
{
	struct batch *b = NULL;

	for (size_t i = 0; i < WINDOW && response->has_id; i++) {
		if (s->batches[i].id == response->id && response->id != 0) {
			b = &s->batches[i];
		}
	}
	if (b != NULL &&
	    response->result_case ==
		JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH) {
		return take_results(s, b, response->import_batch);
	}
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_ERROR) {
		return CTL_OK; /* to a question of before */
	}
	if (b == NULL) { /* about the connection */
		recall(s);
	} else {
		b->id = 0;
		adapt(s, b, SLOW_US + 1);
	}
	return error_answered(s, response->error);
}

/* Get one step on: connect, send, or take an answer. */
static enum ctl_exit
step(struct import_send *s, bool *idle)
{
	struct errctx ec = ERRCTX_INIT;
	Joinery__V1__Response *response = NULL;
	size_t in_flight = 0;
	enum ctl_exit exit;
	enum jy_err err;
	bool ready;

	*idle = false;
	exit = have_connection(s, &ready);
	if (exit != CTL_OK || !ready) {
		return exit;
	}
	err = send_waiting(s, &in_flight, &ec);
	if (err == JY_OK && in_flight == 0) {
		*idle = true;
		return CTL_OK;
	}
	if (err == JY_OK) {
		err = client_receive(s->ctl->client, &response, &ec);
	}
	if (err != JY_OK) {
		return connection_lost(s, err, &ec);
	}
	exit = take_answer(s, response);
	client_free(response);
	return exit;
}

static struct batch *
free_batch(struct import_send *s)
{
	for (size_t i = 0; i < WINDOW; i++) {
		if (s->batches[i].n == 0) {
			return &s->batches[i];
		}
	}
	return NULL;
}

enum ctl_exit
import_send_add(
    struct import_send *s, const struct keyfile_device *device, uint64_t line)
{
	enum ctl_exit exit = CTL_OK;
	bool idle;

	while (s->filling == NULL && exit == CTL_OK) {
		s->filling = free_batch(s);
		if (s->filling == NULL) {
			exit = step(s, &idle);
		}
	}
	if (exit != CTL_OK) {
		return exit;
	}
	s->filling->entries[s->filling->n++] =
	    (struct entry){ .line = line, .device = *device };
	if (s->filling->n >= s->limit) {
		s->filling = NULL; /* it goes with the next step */
	}
	return CTL_OK;
}

enum ctl_exit
import_send_finish(struct import_send *s)
{
	enum ctl_exit exit = CTL_OK;
	bool idle = false;

	s->filling = NULL;
	while (exit == CTL_OK && !idle) {
		exit = step(s, &idle);
	}
	return exit;
}
