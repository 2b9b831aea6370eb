/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on peers; their list is in ctl_list.c. */
#include <string.h>

#include "tools/ctl.h"
#include "tools/ctl_value.h"

/* What a peer's message points at. */
struct peer_room {
	uint32_t net_ids[STORE_NET_IDS_MAX];
	char *as_ids[STORE_AS_IDS_MAX];
	struct eui64 ns_ids[STORE_NS_IDS_MAX];
	ProtobufCBinaryData ns_id_octets[STORE_NS_IDS_MAX];
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
		    "--role is ns, as, ns-as or admin, not \"%s\"",
		    args_shown(text));
	}
	p->has_role = 1;
	p->role = (Joinery__V1__PeerRole)role;
	return CTL_OK;
}

static enum ctl_exit
peer_net_ids(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	if (ctl_given(ctl, NET_ID) || ctl_given(ctl, NO_NET_IDS)) {
		p->has_clear_net_ids = 1;
		p->clear_net_ids = 1;
		p->n_net_ids = ctl->args.net_ids.count;
		p->net_ids = room->net_ids;
	}
	return args_net_ids(ctl, OPT_NET_ID, &ctl->args.net_ids, room->net_ids);
}

static enum ctl_exit
peer_as_ids(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	const struct ctl_list *list = &ctl->args.as_ids;
	enum ctl_exit exit = CTL_OK;

	if (ctl_given(ctl, AS_ID) || ctl_given(ctl, NO_AS_IDS)) {
		p->has_clear_as_ids = 1;
		p->clear_as_ids = 1;
		p->n_as_ids = list->count;
		p->as_ids = room->as_ids;
	}
	for (size_t i = 0; i < list->count && exit == CTL_OK; i++) {
		ctl->args.value[OPT_AS_ID] = list->items[i];
		exit = args_text(
		    ctl, OPT_AS_ID, STORE_AS_ID_MAX, &room->as_ids[i]);
	}
	return exit;
}

static enum ctl_exit
peer_ns_ids(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	const struct ctl_list *list = &ctl->args.ns_ids;
	enum ctl_exit exit = CTL_OK;

	if (ctl_given(ctl, NS_ID) || ctl_given(ctl, NO_NS_IDS)) {
		p->has_clear_ns_ids = 1;
		p->clear_ns_ids = 1;
		p->n_ns_ids = list->count;
		p->ns_ids = room->ns_id_octets;
	}
	for (size_t i = 0; i < list->count && exit == CTL_OK; i++) {
		ctl->args.value[OPT_NS_ID] = list->items[i];
		exit = args_eui(ctl, OPT_NS_ID, &room->ns_ids[i]);
		room->ns_id_octets[i] =
		    (ProtobufCBinaryData){ 8, room->ns_ids[i].be };
	}
	return exit;
}

static enum ctl_exit
peer_lists(struct ctl *ctl, Joinery__V1__Peer *p, struct peer_room *room)
{
	enum ctl_exit exit = args_exclude(ctl, OPT_NET_ID, OPT_NO_NET_IDS);

	if (exit == CTL_OK) {
		exit = args_exclude(ctl, OPT_AS_ID, OPT_NO_AS_IDS);
	}
	if (exit == CTL_OK) {
		exit = args_exclude(ctl, OPT_NS_ID, OPT_NO_NS_IDS);
	}
	if (exit == CTL_OK) {
		exit = peer_net_ids(ctl, p, room);
	}
	if (exit == CTL_OK) {
		exit = peer_as_ids(ctl, p, room);
	}
	return exit != CTL_OK ? exit : peer_ns_ids(ctl, p, room);
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
peer_texts(struct ctl *ctl, Joinery__V1__Peer *p)
{
	const struct args_text_row texts[] = {
		{ OPT_CERT_SAN, STORE_SAN_MAX, &p->cert_san },
		{ OPT_KEK, STORE_LABEL_MAX, &p->kek },
		{ OPT_ANSWER_URL, STORE_URL_MAX, &p->answer_url },
		{ OPT_ANSWER_CA, STORE_PATH_MAX, &p->answer_ca },
		{ OPT_ANSWER_CERT, STORE_PATH_MAX, &p->answer_cert },
		{ OPT_ANSWER_KEY, STORE_PATH_MAX, &p->answer_key },
	};

	return args_texts(ctl, texts, ARRAY_LEN(texts));
}

static enum ctl_exit
peer_rest(struct ctl *ctl, Joinery__V1__Peer *p)
{
	enum ctl_exit exit = peer_texts(ctl, p);

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
	struct ctl_credentials credentials = { .new_token = NULL };
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
	if (exit == CTL_OK) {
		exit = credentials_read(ctl, &peer, &credentials);
	}
	if (exit == CTL_OK) {
		call.peer = &peer;
		request.call_case = JOINERY__V1__REQUEST__CALL_PEER_SET;
		request.peer_set = &call;
		exit = ctl_call_and_show(ctl, &request,
		    JOINERY__V1__RESPONSE__RESULT_PEER_SET, NULL);
	}
	if (exit == CTL_OK) {
		credentials_show_new(ctl, &credentials);
	}
	credentials_fini(&credentials);
	return exit;
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
