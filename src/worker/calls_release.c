/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that release devices to another Join Server. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "src/base/bytes.h"
#include "src/join/release.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

/* ---- tickets: version 1, and then as in struct hsm_ticket ---- */

#define TICKET_VERSION 1
#define TICKET_LEN \
	(1 + 4 + HSM_FINGERPRINT_LEN + HSM_TICKET_BLOB_LEN + HSM_BINDING_LEN)

static void
ticket_encode(const struct hsm_ticket *ticket, uint8_t out[TICKET_LEN])
{
	struct writer w;

	writer_init(&w, out, TICKET_LEN);
	writer_u8(&w, TICKET_VERSION);
	writer_be(&w, ticket->storage, 4);
	writer_copy(&w, ticket->receiver, sizeof(ticket->receiver));
	writer_copy(&w, ticket->blob, sizeof(ticket->blob));
	writer_copy(&w, ticket->mac, sizeof(ticket->mac));
	jy_assert(writer_ok(&w) && w.len == TICKET_LEN);
}

/* Say in the log to whom it goes; it was checked. */
static void
note_receiver(struct call *c, const struct hsm_ticket *ticket)
{
	char hex[HEX_STR_LEN(HSM_FINGERPRINT_LEN)];

	hex_format(ticket->receiver, sizeof(ticket->receiver), hex);
	(void)snprintf(c->note, CALL_NOTE_MAX, "receiver=%s", hex);
}

static JY_PRINTF(2, 3) void note_more(struct call *c, const char *fmt, ...)
{
	size_t len = strlen(c->note);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->note + len, CALL_NOTE_MAX - len, fmt, ap);
	va_end(ap);
}

/* A ticket of a request that may be used now. */
static enum jy_err
ticket_check(struct call *c, protobuf_c_boolean has,
    const ProtobufCBinaryData *in, struct hsm_ticket *out, struct errctx *ec)
{
	struct hsm_ticket ticket;
	enum jy_err err;
	struct reader r;

	reader_init(&r, in->data, has ? in->len : 0);
	if (reader_u8(&r) != TICKET_VERSION) {
		return err_set(ec, JY_EINVAL, "the ticket is none");
	}
	ticket.storage = (uint32_t)reader_be(&r, 4);
	reader_copy(&r, ticket.receiver, sizeof(ticket.receiver));
	reader_copy(&r, ticket.blob, sizeof(ticket.blob));
	reader_copy(&r, ticket.mac, sizeof(ticket.mac));
	if (!reader_done(&r)) {
		return err_set(
		    ec, JY_EINVAL, "the ticket has %zu octets", in->len);
	}
	err = release_check(c->env, &ticket, ec);
	if (err == JY_OK) {
		*out = ticket;
		note_receiver(c, &ticket);
	}
	return err;
}

/* ---- begin and end ---- */

enum jy_err
call_release_begin(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ReleaseBeginRequest *q = c->request->release_begin;
	uint8_t sealed[HSM_RSA_MAX], octets[TICKET_LEN];
	Joinery__V1__ReleaseBeginAnswer *m;
	struct hsm_ticket ticket;
	size_t len = 0;
	enum jy_err err;

	if (!q->has_public_key) {
		return err_set(ec, JY_EINVAL, "public_key is missing");
	}
	err = release_begin(c->env, q->public_key.data, q->public_key.len,
	    &ticket, sealed, &len, ec);
	if (err != JY_OK) {
		return err;
	}
	note_receiver(c, &ticket);
	ticket_encode(&ticket, octets);
	m = convert_new(
	    c->arena, &joinery__v1__release_begin_answer__descriptor);
	convert_binary(c->arena, ticket.receiver, sizeof(ticket.receiver),
	    &m->has_import_key, &m->import_key);
	convert_binary(
	    c->arena, sealed, len, &m->has_transport_key, &m->transport_key);
	convert_binary(
	    c->arena, octets, sizeof(octets), &m->has_ticket, &m->ticket);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_BEGIN;
	c->response->release_begin = m;
	return JY_OK;
}

enum jy_err
call_release_end(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ReleaseEndRequest *q = c->request->release_end;
	uint8_t digest[CALL_DIGEST_LEN], mac[HSM_MAC_LEN];
	char hex[HEX_STR_LEN(CALL_DIGEST_LEN)];
	Joinery__V1__ReleaseEndAnswer *m;
	struct hsm_ticket ticket;
	enum jy_err err;

	err = convert_octets(
	    "digest", q->has_digest, &q->digest, digest, sizeof(digest), ec);
	if (err == JY_OK) {
		err = ticket_check(c, q->has_ticket, &q->ticket, &ticket, ec);
	}
	if (err == JY_OK) {
		err = hsm_release_mac(c->env->hsm, &ticket, call_keyfile_block,
		    digest, sizeof(digest), mac, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	hex_format(digest, sizeof(digest), hex);
	note_more(c, " digest=%s", hex);
	m = convert_new(c->arena, &joinery__v1__release_end_answer__descriptor);
	convert_binary(c->arena, mac, sizeof(mac), &m->has_mac, &m->mac);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_END;
	c->response->release_end = m;
	return JY_OK;
}

/* ---- a batch ---- */

static Joinery__V1__WrappedKey *
to_key(struct arena *arena, const struct release_key *key)
{
	Joinery__V1__WrappedKey *m;

	if (!key->present) {
		return NULL;
	}
	m = convert_new(arena, &joinery__v1__wrapped_key__descriptor);
	convert_binary(arena, key->wrapped, sizeof(key->wrapped),
	    &m->has_wrapped_key, &m->wrapped_key);
	convert_binary(arena, key->check_value, sizeof(key->check_value),
	    &m->has_check_value, &m->check_value);
	return m;
}

static Joinery__V1__Nonces *
to_nonces(struct arena *arena, const struct nonce_row *row)
{
	Joinery__V1__Nonces *m =
	    convert_new(arena, &joinery__v1__nonces__descriptor);

	m->has_join_nonce = row->join_nonce != 0;
	m->join_nonce = row->join_nonce;
	m->has_dev_nonce = row->has_dev_nonce;
	m->dev_nonce = row->dev_nonce;
	return m;
}

static Joinery__V1__ReleaseResult *
to_result(struct arena *arena, const struct release_device *d)
{
	Joinery__V1__ReleaseResult *m =
	    convert_new(arena, &joinery__v1__release_result__descriptor);

	if (d->err != JY_OK) {
		m->has_code = 1;
		m->code = errcode_of(d->err);
		m->reason = arena_text(arena, err_detail(&d->ec, d->err));
		return m;
	}
	m->device = convert_new(arena, &joinery__v1__import_device__descriptor);
	m->device->id = convert_to_device_id(arena, &d->id);
	m->device->settings = call_to_settings(arena, &d->row);
	m->device->nwk_key = to_key(arena, &d->nwk);
	m->device->app_key = to_key(arena, &d->app);
	m->device->nonces = to_nonces(arena, &d->nonces);
	return m;
}

static void
answer_batch(struct call *c, const struct release_batch *batch)
{
	Joinery__V1__ReleaseBatchAnswer *m = convert_new(
	    c->arena, &joinery__v1__release_batch_answer__descriptor);

	m->results = arena_alloc(c->arena, batch->n * sizeof(m->results[0]));
	m->n_results = batch->n;
	for (size_t i = 0; i < batch->n; i++) {
		m->results[i] = to_result(c->arena, &batch->devices[i]);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_RELEASE_BATCH;
	c->response->release_batch = m;
}

/* Each device once: the second of two would be marked by what was there. */
static void
convert_devices(
    const Joinery__V1__ReleaseBatchRequest *q, struct release_device *devices)
{
	for (size_t i = 0; i < q->n_devices; i++) {
		struct release_device *d = &devices[i];

		d->err = convert_device_id(q->devices[i], &d->id, &d->ec);
		for (size_t j = 0; j < i && d->err == JY_OK; j++) {
			if (device_id_eq(&devices[j].id, &d->id)) {
				d->err = err_set(&d->ec, JY_EINVAL,
				    "the device comes twice");
			}
		}
	}
}

/* ---- for the log ---- */

struct call_release_counts
call_release_count(const Joinery__V1__Response *response)
{
	const Joinery__V1__ReleaseBatchAnswer *m = response->release_batch;
	struct call_release_counts n = { 0 };

	if (response->result_case !=
	    JOINERY__V1__RESPONSE__RESULT_RELEASE_BATCH) {
		return n;
	}
	for (size_t i = 0; i < m->n_results; i++) {
		bool released = m->results[i]->device != NULL;

		n.released += released;
		n.refused += !released;
		n.forged += !released &&
		    m->results[i]->code ==
			JOINERY__V1__ERROR_CODE__ROOT_KEY_FORGED;
	}
	return n;
}

/*
 * What left, for the audit log: how many, and the first and last, between
 * which the asker's list tells the others.
 */
static void
note_batch(struct call *c, const struct release_batch *batch)
{
	struct call_release_counts n = call_release_count(c->response);
	const struct release_device *first = NULL, *last = NULL;
	char a[EUI64_STR_LEN], b[EUI64_STR_LEN];

	note_more(c, " released=%u refused=%u", n.released, n.refused);
	for (size_t i = 0; i < batch->n; i++) {
		if (batch->devices[i].err == JY_OK) {
			first = first == NULL ? &batch->devices[i] : first;
			last = &batch->devices[i];
		}
	}
	if (first == NULL) {
		c->event = AUDIT_ELSEWHERE; /* nothing left */
		return;
	}
	note_more(c, "%s first=%s last=%s",
	    batch->keep_serving ? " keep_serving" : "",
	    eui64_str(&first->id.dev_eui, a), eui64_str(&last->id.dev_eui, b));
}

enum jy_err
call_release_batch(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ReleaseBatchRequest *q = c->request->release_batch;
	struct hsm_ticket ticket;
	struct release_batch batch = { .ticket = &ticket,
		.n = q->n_devices,
		.keep_serving = q->has_keep_serving && q->keep_serving };
	char first[EUI64_STR_LEN], last[EUI64_STR_LEN];
	enum jy_err err;

	if (q->n_devices == 0 || q->n_devices > RELEASE_BATCH_MAX) {
		return err_set(ec, JY_EINVAL,
		    "a batch has 1 to %d devices, not %zu", RELEASE_BATCH_MAX,
		    q->n_devices);
	}
	err = ticket_check(c, q->has_ticket, &q->ticket, &ticket, ec);
	if (err != JY_OK) {
		return err;
	}
	batch.devices = sys_xcalloc(batch.n, sizeof(batch.devices[0]));
	convert_devices(q, batch.devices);
	err = release_run(c->env, &batch, ec);
	if (err == JY_OK) {
		answer_batch(c, &batch);
		note_batch(c, &batch);
	} else if (batch.marked) {
		c->changed = true;
		note_more(c, " failed, marked between first=%s last=%s",
		    eui64_str(&batch.devices[0].id.dev_eui, first),
		    eui64_str(&batch.devices[batch.n - 1].id.dev_eui, last));
	}
	free(batch.devices);
	return err;
}
