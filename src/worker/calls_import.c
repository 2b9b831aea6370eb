/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that import sealed key files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "proto/frame.h"
#include "src/join/import.h"
#include "src/join/import_key.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define WRAPPED_LEN 24
#define DEV_NONCE_MAX 0xFFFFU

/* What K is derived from; its NUL is not part of it. */
const uint8_t call_keyfile_block[16] = { 'j', 'o', 'i', 'n', 'e', 'r', 'y', '-',
	'k', 'e', 'y', 'f', 'i', 'l', 'e', '1' };

static enum jy_err
get_transport(struct call *c, protobuf_c_boolean has_import_key,
    const ProtobufCBinaryData *import_key, const ProtobufCBinaryData *sealed,
    struct hsm_transport **out, struct errctx *ec)
{
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
	enum jy_err err = convert_octets("import_key", has_import_key,
	    import_key, fingerprint, sizeof(fingerprint), ec);

	if (err == JY_OK) {
		err = import_key_check(c->env, fingerprint, ec);
	}
	return err == JY_OK ? hsm_transport_get(c->env->hsm, fingerprint,
				  sealed->data, sealed->len, out, ec)
			    : err;
}

/* What tells which file it is; borrows the message. */
struct file_name {
	protobuf_c_boolean has_import_key, has_digest, has_mac;
	const ProtobufCBinaryData *import_key, *transport_key, *digest, *mac;
};

#define FILE_NAME(m) \
	&(const struct file_name) \
	{ \
		.has_import_key = (m)->has_import_key, \
		.has_digest = (m)->has_digest, .has_mac = (m)->has_mac, \
		.import_key = &(m)->import_key, \
		.transport_key = &(m)->transport_key, .digest = &(m)->digest, \
		.mac = &(m)->mac, \
	}

/* Is it a file of the import key, and its MAC right? */
static enum jy_err
check_file(struct call *c, const struct file_name *f,
    uint8_t digest[CALL_DIGEST_LEN], struct errctx *ec)
{
	struct hsm_transport *transport = NULL;
	uint8_t mac[HSM_MAC_LEN];
	enum jy_err err;

	err = convert_octets(
	    "digest", f->has_digest, f->digest, digest, CALL_DIGEST_LEN, ec);
	if (err == JY_OK) {
		err = convert_octets(
		    "mac", f->has_mac, f->mac, mac, sizeof(mac), ec);
	}
	if (err == JY_OK) {
		err = get_transport(c, f->has_import_key, f->import_key,
		    f->transport_key, &transport, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	err = hsm_transport_check(c->env->hsm, transport, call_keyfile_block,
	    digest, CALL_DIGEST_LEN, mac, ec);
	hsm_transport_put(c->env->hsm, transport);
	return err == JY_EKCV
	    ? err_replace(ec, JY_EKCV,
		  "the file's MAC does not match: it was changed or cut")
	    : err;
}

/* What changes devices must have begun with an event of the same admin. */
static enum jy_err
check_begun(
    struct call *c, protobuf_c_boolean has_seq, uint64_t seq, struct errctx *ec)
{
	struct audit_row row;
	enum jy_err err;

	if (!has_seq) {
		return err_set(ec, JY_EINVAL,
		    "audit_seq is missing: begin with import_begin");
	}
	err = store_audit_get(c->env->store, seq, &row, ec);
	if (err == JY_OK && row.event == AUDIT_import_begin &&
	    strcmp(row.who, c->asker->name) == 0) {
		return JY_OK;
	}
	return err != JY_OK && err != JY_ENOTFOUND
	    ? err
	    : err_replace(ec, JY_EINVAL,
		  "audit_seq: event %llu is not the beginning of an import "
		  "of %s",
		  (unsigned long long)seq, c->asker->name);
}

static void
answer_event(struct call *c)
{
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT;
	c->response->import_event = convert_new(
	    c->arena, &joinery__v1__import_event_answer__descriptor);
}

void
call_recorded(struct call *c, const struct audit_row *row)
{
	Joinery__V1__ImportEventAnswer *m = c->response->import_event;

	if (c->response->result_case ==
	    JOINERY__V1__RESPONSE__RESULT_IMPORT_EVENT) {
		m->has_audit_seq = 1;
		m->audit_seq = row->seq;
		convert_binary(c->arena, row->mac, sizeof(row->mac),
		    &m->has_audit_mac, &m->audit_mac);
	}
}

enum jy_err
call_import_begin(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ImportBeginRequest *q = c->request->import_begin;
	char hex[HEX_STR_LEN(CALL_DIGEST_LEN)];
	uint8_t digest[CALL_DIGEST_LEN];
	enum jy_err err = check_file(c, FILE_NAME(q), digest, ec);

	if (err != JY_OK) {
		return err;
	}
	hex_format(digest, sizeof(digest), hex);
	(void)snprintf(c->note, CALL_NOTE_MAX, "digest=%s", hex);
	if (q->has_dry_run && q->dry_run) {
		c->event = AUDIT_NOTHING;
	}
	answer_event(c);
	return JY_OK;
}

enum jy_err
call_import_end(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ImportEndRequest *q = c->request->import_end;
	char file[HEX_STR_LEN(CALL_DIGEST_LEN)],
	    keys[HEX_STR_LEN(CALL_DIGEST_LEN)];
	uint8_t digest[CALL_DIGEST_LEN], check_values[CALL_DIGEST_LEN];
	enum jy_err err = check_file(c, FILE_NAME(q), digest, ec);

	if (err == JY_OK) {
		err = convert_octets("check_values", q->has_check_values,
		    &q->check_values, check_values, sizeof(check_values), ec);
	}
	if (err == JY_OK) {
		err = check_begun(c, q->has_audit_seq, q->audit_seq, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	hex_format(digest, sizeof(digest), file);
	hex_format(check_values, sizeof(check_values), keys);
	(void)snprintf(c->note, CALL_NOTE_MAX,
	    "begin=%llu digest=%s created=%u same=%u replaced=%u refused=%u "
	    "check_values=%s",
	    (unsigned long long)q->audit_seq, file, q->created, q->same,
	    q->replaced, q->refused, keys);
	answer_event(c);
	return JY_OK;
}

/* out borrows the message. */
static enum jy_err
convert_wrapped(const char *field, const Joinery__V1__WrappedKey *m, bool *has,
    struct hsm_wrapped *out, struct errctx *ec)
{
	*has = m != NULL;
	if (m == NULL) {
		return JY_OK;
	}
	if (m->wrapped_key.len != WRAPPED_LEN) {
		return err_set(ec, JY_EINVAL,
		    "%s: a wrapped root key has %d octets, not %zu", field,
		    WRAPPED_LEN, m->wrapped_key.len);
	}
	if (m->check_value.len != HSM_KCV_LEN) {
		return err_set(ec, JY_EINVAL,
		    "%s: a check value has %d octets, not %zu", field,
		    HSM_KCV_LEN, m->check_value.len);
	}
	*out = (struct hsm_wrapped){ m->wrapped_key.data, m->wrapped_key.len,
		m->check_value.data };
	return JY_OK;
}

static enum jy_err
convert_start(const Joinery__V1__Nonces *m, const struct device_row *row,
    struct nonce_start *out, struct errctx *ec)
{
	*out = (struct nonce_start){ 0 };
	if (m == NULL) {
		return JY_OK;
	}
	if (m->has_join_nonce && m->join_nonce > LW_JOIN_NONCE_MAX) {
		return err_set(
		    ec, JY_EINVAL, "join_nonce %u is too large", m->join_nonce);
	}
	if (m->has_dev_nonce && m->dev_nonce > DEV_NONCE_MAX) {
		return err_set(
		    ec, JY_EINVAL, "dev_nonce %u is too large", m->dev_nonce);
	}
	out->join_nonce = m->has_join_nonce ? m->join_nonce : 0;
	out->has_dev_nonce = m->has_dev_nonce;
	out->dev_nonce = m->has_dev_nonce ? (uint16_t)m->dev_nonce : 0;
	out->counted =
	    m->has_dev_nonce && lw_version_counts_dev_nonce(row->mac_version);
	return JY_OK;
}

static enum jy_err
convert_device(
    struct call *c, const Joinery__V1__ImportDevice *m, struct import_device *d)
{
	struct errctx *ec = &d->ec;
	struct device_id id;
	enum jy_err err = convert_device_id(m->id, &id, ec);

	if (err == JY_OK) {
		err = store_device_get(c->env->store, &id, &d->old, ec);
	}
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		d->old = (struct device_row){ .id = id };
		err = JY_OK;
	}
	d->row = d->old;
	if (err == JY_OK && m->settings != NULL) {
		err = call_apply_settings(m->settings, &d->row, ec);
		d->said_v10_root = m->settings->has_v10_root;
	}
	/* It comes to join here, or comes back. */
	d->row.released = false;
	d->row.released_to[0] = '\0';
	if (err == JY_OK) {
		err = convert_wrapped(
		    "nwk_key", m->nwk_key, &d->has_nwk, &d->nwk, ec);
	}
	if (err == JY_OK) {
		err = convert_wrapped(
		    "app_key", m->app_key, &d->has_app, &d->app, ec);
	}
	if (err == JY_OK && !d->has_nwk && !d->has_app) {
		err = err_set(ec, JY_EINVAL, "the device comes without a key");
	}
	return err == JY_OK ? convert_start(m->nonces, &d->row, &d->start, ec)
			    : err;
}

/* A device that comes twice would be planned twice by what was there. */
static void
refuse_twins(struct import_batch *batch)
{
	for (size_t i = 1; i < batch->n; i++) {
		struct import_device *d = &batch->devices[i];

		for (size_t j = 0; j < i && d->err == JY_OK; j++) {
			if (device_id_eq(
				&batch->devices[j].row.id, &d->row.id)) {
				d->err = err_set(&d->ec, JY_EINVAL,
				    "the device comes twice");
			}
		}
	}
}

static Joinery__V1__ImportResult *
to_result(struct arena *arena, const struct import_device *d)
{
	static const Joinery__V1__ImportOutcome outcomes[] = {
		[IMPORT_CREATED] = JOINERY__V1__IMPORT_OUTCOME__IMPORT_CREATED,
		[IMPORT_SAME] = JOINERY__V1__IMPORT_OUTCOME__IMPORT_SAME,
		[IMPORT_REPLACED] =
		    JOINERY__V1__IMPORT_OUTCOME__IMPORT_REPLACED,
	};
	Joinery__V1__ImportResult *m =
	    convert_new(arena, &joinery__v1__import_result__descriptor);

	if (d->outcome == IMPORT_REFUSED) {
		m->has_code = 1;
		m->code = errcode_of(d->err);
		m->reason = arena_text(arena, err_detail(&d->ec, d->err));
	} else {
		m->has_outcome = 1;
		m->outcome = outcomes[d->outcome];
	}
	return m;
}

/* Tags, lengths and code of a result, and the answer around them. */
_Static_assert(
    IMPORT_BATCH_MAX *(sizeof(((struct errctx *)0)->text) + 8) + 256 <=
	FRAME_MAX,
    "all may be refused");

static void
answer_batch(struct call *c, const struct import_batch *batch)
{
	Joinery__V1__ImportBatchAnswer *m = convert_new(
	    c->arena, &joinery__v1__import_batch_answer__descriptor);

	m->results = arena_alloc(c->arena, batch->n * sizeof(m->results[0]));
	m->n_results = batch->n;
	for (size_t i = 0; i < batch->n; i++) {
		m->results[i] = to_result(c->arena, &batch->devices[i]);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH;
	c->response->import_batch = m;
}

/*
 * What an import adds, its beginning and its end tell; what it overwrites has
 * an event for each batch.
 */
static void
note_batch(struct call *c, const struct import_batch *batch)
{
	const Joinery__V1__ImportBatchRequest *q = c->request->import_batch;
	const struct import_device *first = NULL, *last = NULL;
	char a[EUI64_STR_LEN], b[EUI64_STR_LEN];
	unsigned n = 0;

	for (size_t i = 0; i < batch->n && !batch->dry_run; i++) {
		if (batch->devices[i].outcome == IMPORT_REPLACED) {
			first = first == NULL ? &batch->devices[i] : first;
			last = &batch->devices[i];
			n++;
		}
	}
	if (n == 0) {
		return;
	}
	c->changed = true;
	c->event = AUDIT_root_keys_replaced;
	(void)snprintf(c->note, CALL_NOTE_MAX,
	    "begin=%llu replaced=%u first=%s last=%s",
	    (unsigned long long)q->audit_seq, n,
	    eui64_str(&first->row.id.dev_eui, a),
	    eui64_str(&last->row.id.dev_eui, b));
}

enum jy_err
call_import_batch(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ImportBatchRequest *q = c->request->import_batch;
	struct import_batch batch = { .n = q->n_devices,
		.replace = q->has_replace && q->replace,
		.dry_run = q->has_dry_run && q->dry_run };
	enum jy_err err;

	if (q->n_devices == 0 || q->n_devices > IMPORT_BATCH_MAX) {
		return err_set(ec, JY_EINVAL,
		    "a batch has 1 to %d devices, not %zu", IMPORT_BATCH_MAX,
		    q->n_devices);
	}
	err = batch.dry_run
	    ? JY_OK
	    : check_begun(c, q->has_audit_seq, q->audit_seq, ec);
	if (err != JY_OK) {
		return err;
	}
	err = get_transport(c, q->has_import_key, &q->import_key,
	    &q->transport_key, &batch.transport, ec);
	if (err != JY_OK) {
		return err;
	}
	batch.devices = sys_xcalloc(batch.n, sizeof(batch.devices[0]));
	for (size_t i = 0; i < batch.n; i++) {
		batch.devices[i].err =
		    convert_device(c, q->devices[i], &batch.devices[i]);
	}
	refuse_twins(&batch);
	err = import_run(c->env, &batch, ec);
	if (err == JY_OK) {
		answer_batch(c, &batch);
	}
	note_batch(c, &batch);
	free(batch.devices);
	hsm_transport_put(c->env->hsm, batch.transport);
	return err;
}

struct call_import_counts
call_import_count(const Joinery__V1__Response *response)
{
	const Joinery__V1__ImportBatchAnswer *m = response->import_batch;
	struct call_import_counts n = { 0 };

	if (response->result_case !=
	    JOINERY__V1__RESPONSE__RESULT_IMPORT_BATCH) {
		return n;
	}
	for (size_t i = 0; i < m->n_results; i++) {
		Joinery__V1__ImportOutcome outcome = m->results[i]->outcome;

		n.created +=
		    outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_CREATED;
		n.same += outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_SAME;
		n.replaced +=
		    outcome == JOINERY__V1__IMPORT_OUTCOME__IMPORT_REPLACED;
		n.refused += !m->results[i]->has_outcome;
	}
	return n;
}
