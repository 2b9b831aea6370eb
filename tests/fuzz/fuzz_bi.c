/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Backend Interfaces message as any stranger may send it.  Whatever it is,
 * it is read with a reason if it is no call, and answered in one JSON object
 * without null, to whom it came from, and no answer can be taken for a
 * request.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "src/bi/bi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_no_null(json_t *value)
{
	void *it;

	jy_assert(!json_is_null(value) && !json_is_array(value));
	if (!json_is_object(value)) {
		return;
	}
	for (it = json_object_iter(value); it != NULL;
	     it = json_object_iter_next(value, it)) {
		check_no_null(json_object_iter_value(it));
	}
}

static bool
says(const json_t *answer, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(answer, name));

	return text[0] == '\0' ? value == NULL || value[0] == '\0'
			       : value != NULL && strcmp(value, text) == 0;
}

/* The header of an answer is the question's, turned round. */
static void
check_header(const json_t *answer, const struct bi_request *q)
{
	jy_assert(says(
	    answer, "ProtocolVersion", q->version == BI_1_1 ? "1.1" : "1.0"));
	jy_assert(json_integer_value(json_object_get(
		      answer, "TransactionID")) == q->transaction_id);
	jy_assert(says(answer, "SenderID", q->receiver_id));
	jy_assert(says(answer, "ReceiverID", q->sender_id));
	jy_assert(says(answer, "SenderToken", q->receiver_token));
	jy_assert(says(answer, "ReceiverToken", q->sender_token));
	jy_assert(says(answer, "SenderNSID", q->receiver_ns_id));
	jy_assert(says(answer, "ReceiverNSID", q->sender_ns_id));
}

/* q: NULL if nobody could be addressed. */
static void
check_answer(char *text, size_t len, const struct bi_request *q)
{
	struct errctx ec = ERRCTX_INIT;
	struct bi_request again;
	json_error_t error;
	json_t *answer;

	jy_assert(text != NULL && strlen(text) == len);
	answer = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	jy_assert(json_is_object(answer));
	check_no_null(answer);
	jy_assert(json_is_object(json_object_get(answer, "Result")));
	if (q != NULL) {
		check_header(answer, q);
	}
	jy_assert(bi_read(text, len, &again, &ec) == BI_GARBAGE);
	json_decref(answer);
	bi_free(text, len);
}

static ProtobufCBinaryData
octets(uint8_t *data, size_t len)
{
	ProtobufCBinaryData out = { .len = len, .data = data };

	return out;
}

/* What a worker would say to the call, with the peer's text for a label. */
static void
check_success(struct bi_request *q)
{
	static uint8_t block[64] = "as any octets are";
	Joinery__V1__Response r = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__JoinAnswer join = JOINERY__V1__JOIN_ANSWER__INIT;
	Joinery__V1__AppSKeyAnswer app = JOINERY__V1__APP_SKEY_ANSWER__INIT;
	Joinery__V1__HomeNsAnswer home = JOINERY__V1__HOME_NS_ANSWER__INIT;
	Joinery__V1__KeyEnvelope key = JOINERY__V1__KEY_ENVELOPE__INIT;
	char *text;
	size_t len;

	key.kek_label = q->sender_id;
	key.has_aes_key = true;
	key.aes_key = octets(block, 24);
	join.has_phy_payload = join.has_session_key_id = true;
	join.phy_payload = octets(block, q->phy[0] & 1 ? 33 : 17);
	join.session_key_id = octets(block, 16);
	join.nwk_s_key = join.app_s_key = &key;
	app.app_s_key = &key;
	home.has_net_id = home.has_ns_id = true;
	home.net_id = q->home_ns.net_id;
	home.ns_id = octets(block, 8);
	if (q->call.call_case == JOINERY__V1__REQUEST__CALL_APP_S_KEY) {
		r.result_case = JOINERY__V1__RESPONSE__RESULT_APP_S_KEY;
		r.app_s_key = &app;
	} else if (q->call.call_case == JOINERY__V1__REQUEST__CALL_HOME_NS) {
		r.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
		r.home_ns = &home;
	} else {
		r.result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
		r.join = &join;
	}
	text = bi_write_answer(q, &r, "1-2", &len);
	jy_assert(text != NULL && strstr(text, "\"Success\"") != NULL);
	check_answer(text, len, q);
}

static void
check_error(const struct bi_request *q)
{
	Joinery__V1__Response r = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__Error e = JOINERY__V1__ERROR__INIT;
	char *text;
	size_t len;

	e.has_code = true;
	e.code = (Joinery__V1__ErrorCode)(q->transaction_id % 80);
	r.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
	r.error = &e;
	text = bi_write_answer(q, &r, "1-2", &len);
	check_answer(text, len, q);
}

/* A call is whole: a worker gets it packed. */
static void
check_call(struct bi_request *q)
{
	size_t len = joinery__v1__request__get_packed_size(&q->call);
	uint8_t packed[1024];
	Joinery__V1__Request *back;

	jy_assert(q->call.call_case != JOINERY__V1__REQUEST__CALL__NOT_SET);
	jy_assert(len <= sizeof(packed));
	jy_assert(joinery__v1__request__pack(&q->call, packed) == len);
	back = joinery__v1__request__unpack(NULL, len, packed);
	jy_assert(back != NULL && back->call_case == q->call.call_case);
	joinery__v1__request__free_unpacked(back, NULL);
	check_success(q);
	check_error(q);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct errctx ec = ERRCTX_INIT;
	struct bi_request q;
	enum bi_reading reading = bi_read(data, len, &q, &ec);
	char *text;
	size_t text_len;

	jy_assert((ec.text[0] == '\0') == (reading == BI_CALL));
	switch (reading) {
	case BI_CALL:
		check_call(&q);
		break;
	case BI_REFUSED:
		text = bi_write_refusal(&q, q.refused, "1-2", &text_len);
		check_answer(text, text_len, &q);
		break;
	case BI_NOTICE:
		break;
	case BI_GARBAGE:
		text = bi_write_garbage(q.version, "1-2", &text_len);
		check_answer(text, text_len, NULL);
		break;
	}
	return 0;
}
