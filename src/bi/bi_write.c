/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers as text.  They may hold session keys in clear, so they are written
 * octet by octet into the one block that the caller wipes, and never pass
 * through a JSON library's heap.  Each is written twice: once to be measured,
 * once into a block of just that size.
 *
 * Members stand in the order of TS002, and those without a value are left
 * out: some peers lose an answer that has a null.
 */
#include "src/bi/bi.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/hex.h"
#include "src/base/secret.h"
#include "src/bi/bi_result.h"

struct text {
	char *p;    /* NULL while it is measured */
	size_t len; /* so far */
};

/* What is written, and out of what. */
struct answer {
	const struct bi_request *q; /* NULL: there is no header to answer to */
	const Joinery__V1__Response *response; /* NULL unless a success */
	enum bi_version version;
	enum bi_result result;
	const char *request_id;
};

/* ---- pieces ---- */

static void
put_octets(struct text *t, const void *octets, size_t len)
{
	if (t->p != NULL) {
		memcpy(t->p + t->len, octets, len);
	}
	t->len += len;
}

static void
put(struct text *t, const char *text)
{
	put_octets(t, text, strlen(text));
}

/* A character of a string, escaped where JSON wants it. */
static void
put_char(struct text *t, char c)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char u = (unsigned char)c;

	if (c == '"' || c == '\\') {
		put(t, "\\");
	} else if (u < 0x20) {
		put(t, "\\u00");
		put_octets(t, &digits[u >> 4], 1);
		c = digits[u & 15];
	}
	put_octets(t, &c, 1);
}

static void
put_chars(struct text *t, const char *text)
{
	for (; *text != '\0'; text++) {
		put_char(t, *text);
	}
}

static void
put_number(struct text *t, uint32_t n)
{
	if (n >= 10) {
		put_number(t, n / 10);
	}
	put_char(t, (char)('0' + n % 10));
}

/* The name of a member; the first of an object has no comma before it. */
static void
put_name(struct text *t, const char *comma, const char *name)
{
	put(t, comma);
	put(t, "\"");
	put(t, name);
	put(t, "\":");
}

static void
put_text(struct text *t, const char *comma, const char *name, const char *text)
{
	put_name(t, comma, name);
	put(t, "\"");
	put_chars(t, text);
	put(t, "\"");
}

static void
put_hex(struct text *t, const char *name, const void *octets, size_t len)
{
	put_name(t, ",", name);
	put(t, "\"");
	if (t->p != NULL) {
		/* Its NUL lies where the quotation mark goes. */
		hex_format(octets, len, t->p + t->len);
	}
	t->len += 2 * len;
	put(t, "\"");
}

/* ---- members ---- */

/* If the peer gave one. */
static void
put_echo(struct text *t, const char *name, const char *text)
{
	if (text[0] != '\0') {
		put_text(t, ",", name, text);
	}
}

static void
put_bytes(struct text *t, const char *name, protobuf_c_boolean has,
    const ProtobufCBinaryData *value)
{
	if (has && value->len > 0) {
		put_hex(t, name, value->data, value->len);
	}
}

static void
put_key(struct text *t, const char *name, const Joinery__V1__KeyEnvelope *key)
{
	const char *label;

	if (key == NULL || !key->has_aes_key) {
		return;
	}
	label = key->kek_label != NULL ? key->kek_label : "";
	put_name(t, ",", name);
	put_text(t, "{", "KEKLabel", label);
	put_hex(t, "AESKey", key->aes_key.data, key->aes_key.len);
	put(t, "}");
}

/* Everything up to Result: the header of the question, turned round. */
static void
put_header(struct text *t, const struct bi_request *q)
{
	size_t kind = strlen(q->message_type);

	jy_assert(kind >= strlen("Req")); /* or there is no Ans to it */
	kind -= strlen("Req");
	put_text(
	    t, "{", "ProtocolVersion", q->version == BI_1_1 ? "1.1" : "1.0");
	put_text(t, ",", "SenderID", q->receiver_id);
	put_text(t, ",", "ReceiverID", q->sender_id);
	put_name(t, ",", "TransactionID");
	put_number(t, q->transaction_id);
	put_name(t, ",", "MessageType");
	put(t, "\"");
	for (size_t i = 0; i < kind; i++) {
		put_char(t, q->message_type[i]);
	}
	put(t, "Ans\"");
	put_echo(t, "SenderToken", q->receiver_token);
	put_echo(t, "ReceiverToken", q->sender_token);
	put_echo(t, "SenderNSID", q->receiver_ns_id);
	put_echo(t, "ReceiverNSID", q->sender_ns_id);
}

static void
put_result(struct text *t, const char *comma, const struct answer *a)
{
	put_name(t, comma, "Result");
	put_text(t, "{", "ResultCode", bi_result_name(a->result, a->version));
	put_name(t, ",", "Description");
	put(t, "\"");
	if (a->result != BI_RESULT_SUCCESS) {
		put(t, bi_result_description(a->result));
		put(t, "; request ");
		put_chars(t, a->request_id);
	}
	put(t, "\"}");
}

/* ---- what each answer has beyond header and Result ---- */

/* No Success without what it is about. */
static bool
whole_join(const Joinery__V1__Response *r)
{
	return r->join->has_phy_payload;
}

static bool
whole_app_s_key(const Joinery__V1__Response *r)
{
	return r->app_s_key->app_s_key != NULL;
}

static bool
whole_home_ns(const Joinery__V1__Response *r)
{
	return r->home_ns->has_net_id;
}

static void
put_join(struct text *t, const struct answer *a)
{
	const Joinery__V1__JoinAnswer *j = a->response->join;

	put_bytes(t, "PHYPayload", j->has_phy_payload, &j->phy_payload);
	put_name(t, ",", "Lifetime");
	put_number(t, j->has_lifetime_s ? j->lifetime_s : 0);
	put_key(t, "NwkSKey", j->nwk_s_key);
	put_key(t, "SNwkSIntKey", j->s_nwk_s_int_key);
	put_key(t, "FNwkSIntKey", j->f_nwk_s_int_key);
	put_key(t, "NwkSEncKey", j->nwk_s_enc_key);
	put_key(t, "AppSKey", j->app_s_key);
	put_bytes(t, "SessionKeyID", j->has_session_key_id, &j->session_key_id);
}

static void
put_app_s_key(struct text *t, const struct answer *a)
{
	const Joinery__V1__AppSKeyAnswer *k = a->response->app_s_key;

	put_text(t, ",", "DevEUI", a->q->dev_eui);
	put_key(t, "AppSKey", k->app_s_key);
	put_bytes(t, "SessionKeyID", k->has_session_key_id, &k->session_key_id);
}

static void
put_home_ns(struct text *t, const struct answer *a)
{
	const Joinery__V1__HomeNsAnswer *h = a->response->home_ns;
	const uint8_t net_id[3] = { (uint8_t)(h->net_id >> 16),
		(uint8_t)(h->net_id >> 8), (uint8_t)h->net_id };

	put_hex(t, "HNetID", net_id, sizeof(net_id));
	if (a->version == BI_1_1) {
		put_bytes(t, "HNSID", h->has_ns_id, &h->ns_id);
	}
}

static const struct {
	Joinery__V1__Request__CallCase call;
	Joinery__V1__Response__ResultCase result;
	bool (*whole)(const Joinery__V1__Response *r);
	void (*put)(struct text *t, const struct answer *a);
} answers[] = {
	{ JOINERY__V1__REQUEST__CALL_JOIN, JOINERY__V1__RESPONSE__RESULT_JOIN,
	    whole_join, put_join },
	{ JOINERY__V1__REQUEST__CALL_REJOIN, JOINERY__V1__RESPONSE__RESULT_JOIN,
	    whole_join, put_join },
	{ JOINERY__V1__REQUEST__CALL_APP_S_KEY,
	    JOINERY__V1__RESPONSE__RESULT_APP_S_KEY, whole_app_s_key,
	    put_app_s_key },
	{ JOINERY__V1__REQUEST__CALL_HOME_NS,
	    JOINERY__V1__RESPONSE__RESULT_HOME_NS, whole_home_ns, put_home_ns },
};

static void
put_answer(struct text *t, const struct answer *a)
{
	if (a->q == NULL) {
		put_result(t, "{", a);
	} else {
		put_header(t, a->q);
		put_result(t, ",", a);
	}
	for (size_t i = 0; i < ARRAY_LEN(answers) && a->response != NULL; i++) {
		if (answers[i].call == a->q->call.call_case) {
			answers[i].put(t, a);
		}
	}
	put(t, "}");
}

/* ---- whole answers ---- */

static char *
write_out(const struct answer *a, size_t *len)
{
	struct text t = { NULL, 0 };
	size_t measured;

	put_answer(&t, a);
	measured = t.len;
	t.p = malloc(measured + 1);
	if (t.p == NULL) {
		return NULL;
	}
	t.len = 0;
	put_answer(&t, a);
	jy_assert(t.len == measured);
	t.p[t.len] = '\0';
	*len = t.len;
	return t.p;
}

/* Whether a response is what the call asked for. */
static bool
belongs(const struct bi_request *q, const Joinery__V1__Response *r)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		if (answers[i].call == q->call.call_case) {
			return answers[i].result == r->result_case &&
			    answers[i].whole(r);
		}
	}
	return false;
}

enum bi_result
bi_result_of_call(const struct bi_request *q, Joinery__V1__ErrorCode code)
{
	enum bi_result result = bi_result_of(code);

	if (result == BI_RESULT_DISALLOWED &&
	    q->call.call_case == JOINERY__V1__REQUEST__CALL_HOME_NS) {
		return BI_RESULT_ROAMING;
	}
	return result;
}

char *
bi_write_answer(const struct bi_request *q,
    const Joinery__V1__Response *response, const char *request_id, size_t *len)
{
	struct answer a = { q, NULL, q->version, BI_RESULT_OTHER, request_id };

	if (response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR) {
		if (response->error->has_code) {
			a.result = bi_result_of_call(q, response->error->code);
		}
	} else if (belongs(q, response)) {
		a.result = BI_RESULT_SUCCESS;
		a.response = response;
	}
	return write_out(&a, len);
}

char *
bi_write_refusal(const struct bi_request *q, enum bi_result result,
    const char *request_id, size_t *len)
{
	const struct answer a = { q, NULL, q->version, result, request_id };

	return write_out(&a, len);
}

char *
bi_write_garbage(enum bi_version version, const char *request_id, size_t *len)
{
	const struct answer a = { NULL, NULL, version, BI_RESULT_MALFORMED,
		request_id };

	return write_out(&a, len);
}

void
bi_free(char *text, size_t len)
{
	if (text != NULL) {
		secret_wipe(text, len);
		free(text);
	}
}
