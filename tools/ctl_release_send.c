/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for the devices of a release: some batches under way at a time, each
 * short, so that joins need not wait long.  A batch whose answer got lost is
 * asked again: the server releases a device as often as it is asked.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "src/base/sys.h"
#include "tools/ctl_release.h"

#define WINDOW 4
#define BATCH_MAX 32
#define TRIES_MAX 8
#define PAUSE_MS 50

struct slot {
	size_t n; /* 0: free */
	struct euis_row rows[BATCH_MAX];
	uint64_t id; /* of its request */
	bool sent;
	unsigned tries;
};

struct sending {
	struct release *r;
	struct slot slots[WINDOW];
	size_t next; /* the first row that has no slot yet */
	size_t under_way;
	uint64_t last_id;
	bool stopped; /* no further row gets a slot */
	bool answered;
	bool hopeless;  /* what was answered would be so again */
	unsigned tries; /* to connect anew */
};

/* ---- a device from its message ---- */

static bool
take_octets(const ProtobufCBinaryData *in, uint8_t *out, size_t len)
{
	if (in->len != len) {
		return false;
	}
	memcpy(out, in->data, len);
	return true;
}

static bool
take_key(const Joinery__V1__WrappedKey *m, struct keyfile_key *out)
{
	out->present = m != NULL;
	return m == NULL ||
	    (take_octets(&m->wrapped_key, out->wrapped, sizeof(out->wrapped)) &&
		take_octets(&m->check_value, out->check_value,
		    sizeof(out->check_value)));
}

static bool
take_text(const char *in, char *out, size_t cap)
{
	size_t len = in != NULL ? strlen(in) : 0;

	if (len >= cap) {
		return false;
	}
	memcpy(out, in != NULL ? in : "", len + 1);
	return true;
}

static bool
take_settings(const Joinery__V1__DeviceSettings *m, struct keyfile_device *d)
{
	if (m == NULL || (unsigned)m->mac_version > LW_VERSION_1_1_0 ||
	    m->n_net_ids > ARRAY_LEN(d->net_ids)) {
		return false;
	}
	d->mac_version = (enum lw_version)m->mac_version;
	d->net_id_count = m->n_net_ids;
	if (m->n_net_ids > 0) {
		memcpy(d->net_ids, m->net_ids,
		    m->n_net_ids * sizeof(d->net_ids[0]));
	}
	d->v10_root = m->has_v10_root &&
		m->v10_root == JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY
	    ? KEYFILE_V10_ROOT_APP
	    : KEYFILE_V10_ROOT_ABSENT;
	d->has_resets_join_nonces =
	    m->has_resets_join_nonces && m->resets_join_nonces;
	d->resets_join_nonces = d->has_resets_join_nonces;
	return take_text(m->as_id, d->as_id, sizeof(d->as_id)) &&
	    take_text(m->ns_kek, d->ns_kek, sizeof(d->ns_kek)) &&
	    take_text(m->as_kek, d->as_kek, sizeof(d->as_kek)) &&
	    take_text(m->app, d->app_name, sizeof(d->app_name)) &&
	    take_text(m->name, d->device_name, sizeof(d->device_name));
}

static bool
take_nonces(const Joinery__V1__Nonces *m, struct keyfile_device *d)
{
	if (m == NULL) {
		return true;
	}
	d->has_join_nonce = m->has_join_nonce;
	d->join_nonce = m->join_nonce;
	d->has_dev_nonce = m->has_dev_nonce;
	d->dev_nonce = (uint16_t)m->dev_nonce;
	return !m->has_dev_nonce || m->dev_nonce <= UINT16_MAX;
}

/* False for what no server of this version sends, or for another device. */
static bool
take_device(const Joinery__V1__ImportDevice *m, const struct euis_row *row,
    struct keyfile_device *d)
{
	*d = (struct keyfile_device){ .dev_nonce = 0 };
	return m->id != NULL &&
	    take_octets(&m->id->join_eui, d->join_eui.be, 8) &&
	    take_octets(&m->id->dev_eui, d->dev_eui.be, 8) &&
	    eui64_eq(&d->join_eui, &row->join_eui) &&
	    eui64_eq(&d->dev_eui, &row->dev_eui) &&
	    take_key(m->nwk_key, &d->nwk) && take_key(m->app_key, &d->app) &&
	    take_settings(m->settings, d) && take_nonces(m->nonces, d);
}

/* ---- results ---- */

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
write_device(struct sending *s, const struct euis_row *row,
    const Joinery__V1__ImportDevice *m)
{
	struct errctx ec = ERRCTX_INIT;
	struct release *r = s->r;
	struct keyfile_device device;
	char line[KEYFILE_LINE_MAX], why[sizeof(ec.text) + 128];
	size_t len = 0;
	enum jy_err err;

	if (!take_device(m, row, &device)) {
		return ctl_fail(r->ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "the server's answer is not the device that was asked for");
	}
	err = keyfile_write_device(&device, line, &len, &ec);
	if (err != JY_OK) {
		/* Servers before this one did not ask what a file can hold. */
		(void)snprintf(why, sizeof(why), "%s%s", err_detail(&ec, err),
		    ctl_given(r->ctl, KEEP_SERVING)
			? ""
			: "; it is marked released all the same: take it "
			  "back with \"device set ... --released no\"");
		release_report(r, row->line, row, "LOCAL", why);
		return CTL_OK;
	}
	release_put(r, line, len);
	seal_digest_add_keys(r->check_values, &device);
	r->written++;
	return CTL_OK;
}

/* One device; *again when it is to be asked for again. */
static enum ctl_exit
take_result(struct sending *s, const struct slot *slot,
    const struct euis_row *row, const Joinery__V1__ReleaseResult *m,
    bool *again)
{
	if (m->device != NULL) {
		return write_device(s, row, m->device);
	}
	*again = is_passing(m->code) && slot->tries < TRIES_MAX;
	if (!*again) {
		release_report(s->r, row->line, row, errcode_name(m->code),
		    m->reason != NULL ? m->reason : "");
	}
	return CTL_OK;
}

static void
pause_a_while(struct slot *slot)
{
	slot->tries++;
	(void)poll(NULL, 0, (int)(PAUSE_MS * slot->tries));
}

static enum ctl_exit
take_results(struct sending *s, struct slot *slot,
    const Joinery__V1__ReleaseBatchAnswer *m)
{
	enum ctl_exit exit = CTL_OK;
	struct release *r = s->r;
	uint64_t refused = r->refused;
	size_t kept = 0;

	if (m->n_results != slot->n) {
		return ctl_fail(r->ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "%zu results for %zu devices", m->n_results, slot->n);
	}
	for (size_t i = 0; i < slot->n && exit == CTL_OK; i++) {
		struct euis_row row = slot->rows[i];
		bool again = false;

		exit = take_result(s, slot, &row, m->results[i], &again);
		if (again) {
			slot->rows[kept++] = row;
		}
	}
	slot->n = kept;
	slot->sent = false;
	s->under_way -= kept == 0;
	if (kept > 0) {
		pause_a_while(slot);
	}
	(void)out_flush(&r->out); /* a full disk ends it */
	progress_show(&r->progress, r->written + r->refused);
	s->stopped =
	    s->stopped || (ctl_given(r->ctl, STRICT) && r->refused > refused);
	return exit;
}

static enum ctl_exit
take_answer(struct sending *s, const Joinery__V1__Response *response)
{
	struct slot *slot = NULL;

	for (size_t i = 0; i < WINDOW && response->has_id; i++) {
		if (s->slots[i].sent && s->slots[i].id == response->id) {
			slot = &s->slots[i];
		}
	}
	if (slot == NULL) {
		return ctl_answer_unwanted(s->r->ctl, response);
	}
	s->answered = true;
	s->tries = 0;
	if (response->result_case ==
	    JOINERY__V1__RESPONSE__RESULT_RELEASE_BATCH) {
		return take_results(s, slot, response->release_batch);
	}
	if (response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR &&
	    is_passing(response->error->code) && slot->tries < TRIES_MAX) {
		slot->sent = false;
		pause_a_while(slot);
		return CTL_OK;
	}
	return ctl_answer_unwanted(s->r->ctl, response);
}

/* ---- requests ---- */

static enum ctl_exit
slot_send(struct sending *s, struct slot *slot)
{
	Joinery__V1__ReleaseBatchRequest call =
	    JOINERY__V1__RELEASE_BATCH_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceId ids[BATCH_MAX], *list[BATCH_MAX];
	enum ctl_exit exit;

	for (size_t i = 0; i < slot->n; i++) {
		struct euis_row *row = &slot->rows[i];

		joinery__v1__device_id__init(&ids[i]);
		ids[i].has_join_eui = ids[i].has_dev_eui = 1;
		ids[i].join_eui = (ProtobufCBinaryData){ 8, row->join_eui.be };
		ids[i].dev_eui = (ProtobufCBinaryData){ 8, row->dev_eui.be };
		list[i] = &ids[i];
	}
	call.has_ticket = 1;
	call.ticket = (ProtobufCBinaryData){ s->r->ticket_len, s->r->ticket };
	call.n_devices = slot->n;
	call.devices = list;
	call.has_keep_serving = 1;
	call.keep_serving = ctl_given(s->r->ctl, KEEP_SERVING);
	request.has_id = 1;
	request.id = slot->id = ++s->last_id;
	request.call_case = JOINERY__V1__REQUEST__CALL_RELEASE_BATCH;
	request.release_batch = &call;
	exit = ctl_send(s->r->ctl, &request);
	slot->sent = exit == CTL_OK;
	return exit;
}

static void
slot_fill(struct sending *s, struct slot *slot)
{
	const struct euis *euis = &s->r->euis;
	size_t n = euis->count - s->next;

	n = n < BATCH_MAX ? n : BATCH_MAX;
	if (s->stopped || n == 0) {
		return;
	}
	memcpy(slot->rows, &euis->rows[s->next], n * sizeof(slot->rows[0]));
	slot->n = n;
	slot->tries = 0;
	s->next += n;
	s->under_way++;
}

/* Give free slots to the next rows, and send what is not sent. */
static enum ctl_exit
slots_send(struct sending *s)
{
	enum ctl_exit exit = CTL_OK;

	for (size_t i = 0; i < WINDOW && exit == CTL_OK; i++) {
		struct slot *slot = &s->slots[i];

		if (slot->n == 0) {
			slot_fill(s, slot);
		}
		if (slot->n > 0 && !slot->sent) {
			exit = slot_send(s, slot);
		}
	}
	return exit;
}

static enum ctl_exit
turn(struct sending *s)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = slots_send(s);

	if (exit == CTL_OK) {
		exit = ctl_receive_any(s->r->ctl, &response);
	}
	if (exit == CTL_OK) {
		exit = take_answer(s, response);
		s->hopeless = exit != CTL_OK;
		client_free(response);
	}
	return exit;
}

static bool
goes_on(const struct sending *s)
{
	return s->r->out.error == 0 &&
	    (s->under_way > 0 || (!s->stopped && s->next < s->r->euis.count));
}

enum ctl_exit
release_send(struct release *r)
{
	struct sending *s = sys_xcalloc(1, sizeof(*s));
	enum ctl_exit exit = CTL_OK;

	s->r = r;
	while (exit == CTL_OK && goes_on(s)) {
		exit = turn(s);
		if (exit != CTL_OK && s->answered && !s->hopeless &&
		    ctl_wait_out(r->ctl, exit, &s->tries)) {
			for (size_t i = 0; i < WINDOW; i++) {
				s->slots[i].sent = false;
			}
			exit = CTL_OK;
		}
	}
	if (exit == CTL_OK && s->stopped) {
		exit = ctl_fail(
		    r->ctl, CTL_REFUSED, NULL, "stopped: a device was refused");
	}
	free(s);
	return exit;
}
