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
#define BATCH_MAX 64 /* of the protocol */
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

/* ---- the request before all others ---- */

static ProtobufCBinaryData
octets(uint8_t *p, size_t len)
{
	return (ProtobufCBinaryData){ .data = p, .len = len };
}

/* Ask once; *done when it was answered well. */
static enum ctl_exit
begin_once(struct import_send *s, Joinery__V1__Request *request, bool *done)
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
	if (response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR) {
		exit = error_answered(s, response->error);
	} else {
		*done = true;
		exit = CTL_OK;
	}
	client_free(response);
	return exit;
}

enum ctl_exit
import_send_begin(struct import_send *s)
{
	Joinery__V1__ImportBeginRequest call =
	    JOINERY__V1__IMPORT_BEGIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	enum ctl_exit exit = CTL_OK;
	bool done = false, ready;

	call.has_import_key = call.has_transport_key = 1;
	call.has_digest = call.has_mac = 1;
	call.import_key =
	    octets(s->header.import_key, sizeof(s->header.import_key));
	call.transport_key =
	    octets(s->header.transport_key, s->header.transport_key_len);
	call.digest = octets(s->digest, sizeof(s->digest));
	call.mac = octets(s->mac, sizeof(s->mac));
	request.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_BEGIN;
	request.import_begin = &call;
	while (exit == CTL_OK && !done) {
		exit = have_connection(s, &ready);
		if (exit == CTL_OK && ready) {
			exit = begin_once(s, &request, &done);
		}
	}
	return exit;
}

/* ---- a device as a message ---- */

#define NEW(arena, type, init) \
	((type *)arena_copy((arena), &(type)init, sizeof(type)))

static Joinery__V1__WrappedKey *
to_key(struct arena *arena, struct keyfile_key *key)
{
	Joinery__V1__WrappedKey *m;

	if (!key->present) {
		return NULL;
	}
	m = NEW(arena, Joinery__V1__WrappedKey, JOINERY__V1__WRAPPED_KEY__INIT);
	m->has_wrapped_key = m->has_check_value = 1;
	m->wrapped_key = octets(key->wrapped, sizeof(key->wrapped));
	m->check_value = octets(key->check_value, sizeof(key->check_value));
	return m;
}

static char *
to_text(char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static Joinery__V1__DeviceSettings *
to_settings(struct arena *arena, struct keyfile_device *d)
{
	Joinery__V1__DeviceSettings *m = NEW(arena, Joinery__V1__DeviceSettings,
	    JOINERY__V1__DEVICE_SETTINGS__INIT);

	m->has_mac_version = 1;
	m->mac_version = (Joinery__V1__MacVersion)d->mac_version;
	m->n_net_ids = d->net_id_count;
	m->net_ids = d->net_ids;
	m->has_clear_net_ids = d->net_id_count > 0;
	m->clear_net_ids = m->has_clear_net_ids;
	m->as_id = to_text(d->as_id);
	m->ns_kek = to_text(d->ns_kek);
	m->as_kek = to_text(d->as_kek);
	m->app = to_text(d->app_name);
	m->name = to_text(d->device_name);
	m->has_resets_join_nonces = d->has_resets_join_nonces;
	m->resets_join_nonces = d->resets_join_nonces;
	/* NwkKey is what the default means wherever there is one. */
	m->has_v10_root = d->v10_root != KEYFILE_V10_ROOT_ABSENT;
	m->v10_root = d->v10_root == KEYFILE_V10_ROOT_APP
	    ? JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY
	    : JOINERY__V1__V10_ROOT__V10_ROOT_DEFAULT;
	return m;
}

static Joinery__V1__ImportDevice *
to_device(struct arena *arena, struct keyfile_device *d)
{
	Joinery__V1__ImportDevice *m = NEW(
	    arena, Joinery__V1__ImportDevice, JOINERY__V1__IMPORT_DEVICE__INIT);

	m->id = NEW(arena, Joinery__V1__DeviceId, JOINERY__V1__DEVICE_ID__INIT);
	m->id->has_join_eui = m->id->has_dev_eui = 1;
	m->id->join_eui = octets(d->join_eui.be, sizeof(d->join_eui.be));
	m->id->dev_eui = octets(d->dev_eui.be, sizeof(d->dev_eui.be));
	m->settings = to_settings(arena, d);
	m->nwk_key = to_key(arena, &d->nwk);
	m->app_key = to_key(arena, &d->app);
	if (d->has_join_nonce || d->has_dev_nonce) {
		m->nonces =
		    NEW(arena, Joinery__V1__Nonces, JOINERY__V1__NONCES__INIT);
		m->nonces->has_join_nonce = d->has_join_nonce;
		m->nonces->join_nonce = d->join_nonce;
		m->nonces->has_dev_nonce = d->has_dev_nonce;
		m->nonces->dev_nonce = d->dev_nonce;
	}
	return m;
}

/* ---- sending ---- */

static enum jy_err
batch_send(struct import_send *s, struct batch *b, struct errctx *ec)
{
	Joinery__V1__ImportBatchRequest call =
	    JOINERY__V1__IMPORT_BATCH_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__ImportDevice *devices[BATCH_MAX];
	struct arena arena = { 0 };
	enum jy_err err;

	b->sent = b->n < s->limit ? b->n : s->limit;
	for (size_t i = 0; i < b->sent; i++) {
		devices[i] = to_device(&arena, &b->entries[i].device);
	}
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
	if (kept < b->n) {
		all_is_well(s);
	}
	b->n = kept;
	adapt(s, b, sys_mono_us() - b->sent_us);
	progress_show(s->progress, import_counts_all(s->counts));
	if (s->options.strict && s->counts->refused > refused) {
		return ctl_fail(
		    s->ctl, CTL_REFUSED, go_on, "stopped: a line was refused");
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
