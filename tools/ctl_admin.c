/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on KEKs, peers and the server itself. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl.h"
#include "tools/ctl_value.h"

/* ---- KEKs ---- */

enum ctl_exit
verb_kek_import(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekImportRequest call =
	    JOINERY__V1__KEK_IMPORT_REQUEST__INIT;
	struct ctl_key key = { OPT_KEY, 0, NULL,
		JOINERY__V1__SEALED_KEY__INIT };
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = ctl_keys_seal(ctl, &key, 1);
	}
	if (exit == CTL_OK) {
		call.key = &key.message;
		request.call_case = JOINERY__V1__REQUEST__CALL_KEK_IMPORT;
		request.kek_import = &call;
		exit = ctl_call_and_show(
		    ctl, &request, JOINERY__V1__RESPONSE__RESULT_KEK, NULL);
	}
	ctl_keys_fini(&key, 1);
	return exit;
}

enum ctl_exit
verb_kek_generate(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekGenerateRequest call =
	    JOINERY__V1__KEK_GENERATE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = args_number(ctl, OPT_BITS, 128, 256, &call.bits);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	if (call.bits % 64 != 0) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--bits is 128, 192 or 256");
	}
	call.has_bits = 1;
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_GENERATE;
	request.kek_generate = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_KEK, NULL);
}

enum ctl_exit
verb_kek_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekDeleteRequest call =
	    JOINERY__V1__KEK_DELETE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_DELETE;
	request.kek_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}

/* ---- peers ---- */

/* What a peer's message points at. */
struct peer_room {
	uint32_t net_ids[STORE_NET_IDS_MAX];
	char *as_ids[STORE_AS_IDS_MAX];
	uint8_t fingerprint[STORE_FINGERPRINT_LEN];
};

static enum ctl_exit
peer_role(struct ctl *ctl, Joinery__V1__Peer *p)
{
	const char *text = ctl_value(ctl, ROLE);
	int role;

	if (text == NULL) {
		return CTL_OK;
	}
	if (text[0] == '\0' ||
	    !value_enum(&joinery__v1__peer_role__descriptor, text, &role)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--role is ns, as or admin, not \"%s\"", args_shown(text));
	}
	p->has_role = 1;
	p->role = (Joinery__V1__PeerRole)role;
	return CTL_OK;
}

static enum ctl_exit
peer_lists(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	const struct ctl_args *a = &ctl->args;
	enum ctl_exit exit = args_net_ids(ctl, room->net_ids);

	if ((ctl_given(ctl, NET_ID) && ctl_given(ctl, NO_NET_IDS)) ||
	    (ctl_given(ctl, AS_ID) && ctl_given(ctl, NO_AS_IDS))) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "a list can be given or emptied, not both");
	}
	if (ctl_given(ctl, NET_ID) || ctl_given(ctl, NO_NET_IDS)) {
		p->has_clear_net_ids = 1;
		p->clear_net_ids = 1;
		p->n_net_ids = a->net_id_count;
		p->net_ids = room->net_ids;
	}
	if (ctl_given(ctl, AS_ID) || ctl_given(ctl, NO_AS_IDS)) {
		p->has_clear_as_ids = 1;
		p->clear_as_ids = 1;
		p->n_as_ids = a->as_id_count;
		p->as_ids = room->as_ids;
	}
	for (size_t i = 0; i < a->as_id_count && exit == CTL_OK; i++) {
		ctl->args.value[OPT_AS_ID] = a->as_ids[i];
		exit = args_text(
		    ctl, OPT_AS_ID, STORE_AS_ID_MAX, &room->as_ids[i]);
	}
	return exit;
}

/* 64 digits, with or without the colons that "openssl x509" prints. */
static enum ctl_exit
peer_fingerprint(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	const char *text = ctl_value(ctl, CERT_FINGERPRINT);
	char digits[2 * STORE_FINGERPRINT_LEN + 1];
	size_t n = 0;

	if (text == NULL) {
		return CTL_OK;
	}
	for (; *text != '\0' && n < sizeof(digits); text++) {
		if (*text != ':') {
			digits[n++] = *text;
		}
	}
	if (n != 0 &&
	    !hex_parse(
		digits, n, room->fingerprint, sizeof(room->fingerprint))) {
		return ctl_fail(ctl, CTL_USAGE,
		    "\"openssl x509 -noout -fingerprint -sha256 -in FILE\" "
		    "prints it",
		    "--cert-fingerprint is 64 hexadecimal digits");
	}
	p->has_cert_fingerprint = 1;
	p->cert_fingerprint = (ProtobufCBinaryData){ n / 2, room->fingerprint };
	return CTL_OK;
}

static enum ctl_exit
peer_rest(struct ctl *ctl, Joinery__V1__Peer *p)
{
	enum ctl_exit exit = CTL_OK;

	if (ctl_given(ctl, CERT_SAN)) {
		exit =
		    args_text(ctl, OPT_CERT_SAN, STORE_SAN_MAX, &p->cert_san);
	}
	if (exit == CTL_OK && ctl_given(ctl, KEK)) {
		exit = args_text(ctl, OPT_KEK, STORE_LABEL_MAX, &p->kek);
	}
	if (exit == CTL_OK && ctl_given(ctl, UID)) {
		/* The last uid is how the kernel says "none". */
		p->has_uid = 1;
		exit = args_number(ctl, OPT_UID, 0, UINT32_MAX - 1, &p->uid);
	}
	if (exit == CTL_OK && ctl_given(ctl, CLEAR_KEYS)) {
		p->has_clear_keys = 1;
		exit = args_bool(ctl, OPT_CLEAR_KEYS, &p->clear_keys);
	}
	return exit;
}

enum ctl_exit
verb_peer_set(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerSetRequest call = JOINERY__V1__PEER_SET_REQUEST__INIT;
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	struct peer_room room;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &peer.name);

	if (exit == CTL_OK) {
		exit = peer_role(ctl, &peer);
	}
	if (exit == CTL_OK) {
		exit = peer_lists(ctl, &peer, &room);
	}
	if (exit == CTL_OK) {
		exit = peer_fingerprint(ctl, &peer, &room);
	}
	if (exit == CTL_OK) {
		exit = peer_rest(ctl, &peer);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	call.peer = &peer;
	request.call_case = JOINERY__V1__REQUEST__CALL_PEER_SET;
	request.peer_set = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_PEER_SET, NULL);
}

enum ctl_exit
verb_peer_get(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerGetRequest call = JOINERY__V1__PEER_GET_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.name);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_PEER_GET;
	request.peer_get = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_PEER_GET, NULL);
}

enum ctl_exit
verb_peer_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerDeleteRequest call =
	    JOINERY__V1__PEER_DELETE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.name);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_PEER_DELETE;
	request.peer_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}

/* ---- the server ---- */

/* Every counter, with the workers' added up, for people. */
static void
show_worker_counters(struct show *show, const Joinery__V1__StatusAnswer *status)
{
	FILE *out = show->writer.out;

	if (status->n_workers == 0 || status->workers[0]->n_counters == 0) {
		return;
	}
	(void)fputs("\nWORKERS TOGETHER\n", out);
	for (size_t i = 0; i < status->workers[0]->n_counters; i++) {
		const char *name = status->workers[0]->counters[i]->name;
		uint64_t sum = 0;

		for (size_t k = 0; k < status->n_workers; k++) {
			const Joinery__V1__WorkerStatus *w = status->workers[k];

			sum += i < w->n_counters ? w->counters[i]->value : 0;
		}
		show_text(out, name != NULL ? name : "?");
		(void)fprintf(out, "%*s%" PRIu64 "\n",
		    name != NULL && strlen(name) < 22 ? 22 - (int)strlen(name)
						      : 1,
		    "", sum);
	}
}

enum ctl_exit
verb_status(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__StatusRequest call = JOINERY__V1__STATUS_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_STATUS;
	request.status = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_STATUS, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	show_message(&ctl->show, ctl_result(response));
	if (!ctl->show.json) {
		show_worker_counters(&ctl->show, response->status);
	}
	client_free(response);
	return CTL_OK;
}

enum ctl_exit
verb_ping(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PingRequest call = JOINERY__V1__PING_REQUEST__INIT;
	Joinery__V1__Response *response;
	uint64_t start_us = sys_mono_us();
	enum ctl_exit exit;
	uint64_t us;

	request.call_case = JOINERY__V1__REQUEST__CALL_PING;
	request.ping = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_PING, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	client_free(response);
	us = sys_mono_us() - start_us;
	if (ctl->show.json) {
		json_number(&ctl->show.writer, "round_trip_us", us);
	} else {
		(void)fprintf(ctl->show.writer.out,
		    "a worker answered after %" PRIu64 ".%03u ms\n", us / 1000,
		    (unsigned)(us % 1000));
	}
	return CTL_OK;
}
