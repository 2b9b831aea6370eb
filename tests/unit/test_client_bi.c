/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of Backend Interfaces, written apart: what the tools' client
 * says, the server's codec reads, and the other way round.
 */
#include "tools/client_bi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/bi/bi.h"
#include "tools/client.h"

static uint8_t join_eui[8] = { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0x01, 0xa2, 0x4c };
static uint8_t dev_eui[8] = { 0x00, 0x04, 0xa3, 0x0b, 0x00, 0x1c, 0x05, 0x3e };
static uint8_t ns_id[8] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };
static uint8_t session_id[16] = { 0x01, 0x9a, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
	13, 14, 15, 16 };
static uint8_t accept_phy[33] = { 0x20, 1, 2, 3 };
static uint8_t wrapped[24] = { 0xa1, 0xb2 };
static uint8_t clear[16] = { 0xc1, 0xd2 };

/* MHDR, EUIs, DevNonce or RJcount, MIC; not checked by a codec. */
static uint8_t join_phy[23] = { 0x00, 0x4c, 0xa2, 0x01, 0xd0, 0x7e, 0xd5, 0xb3,
	0x70, 0x3e, 0x05, 0x1c, 0x00, 0x0b, 0xa3, 0x04, 0x00, 0x02, 0x01, 1, 2,
	3, 4 };
static uint8_t rejoin_phy[19] = { 0xc0, 0x00, 0x3f, 0x01, 0x00, 0x3e, 0x05,
	0x1c, 0x00, 0x0b, 0xa3, 0x04, 0x00, 0x02, 0x01, 1, 2, 3, 4 };
static char as_id[] = "as.example.org";
static char label[] = "ns-kek/1";
static char internal[] = "nothing \"internal\"";
static uint8_t cf_list[16] = { 0x18, 0x4f };

static void
octets(protobuf_c_boolean *has, ProtobufCBinaryData *out, uint8_t *p, size_t n)
{
	*has = true;
	out->data = p;
	out->len = n;
}

/* One call of each kind that has a message. */
struct calls {
	Joinery__V1__Sender sender;
	Joinery__V1__JoinRequest join;
	Joinery__V1__AppSKeyRequest app_s_key;
	Joinery__V1__HomeNsRequest home_ns;
	Joinery__V1__Request request;
};

static void
fill_join(Joinery__V1__JoinRequest *j, uint8_t *phy, size_t len)
{
	joinery__v1__join_request__init(j);
	octets(&j->has_phy_payload, &j->phy_payload, phy, len);
	octets(&j->has_dev_eui, &j->dev_eui, dev_eui, 8);
	octets(&j->has_join_eui, &j->join_eui, join_eui, 8);
	octets(&j->has_cf_list, &j->cf_list, cf_list, 16);
	j->has_mac_version = j->has_net_id = j->has_dev_addr = true;
	j->has_dl_settings = j->has_rx_delay = true;
	j->mac_version = JOINERY__V1__MAC_VERSION__MAC_1_1_0;
	j->net_id = 0x00013F;
	j->dev_addr = 0x26011BDA;
	j->dl_settings = 0xBA;
	j->rx_delay = 7;
}

static void
fill(struct calls *c, Joinery__V1__Request__CallCase call)
{
	joinery__v1__request__init(&c->request);
	joinery__v1__sender__init(&c->sender);
	c->request.sender = &c->sender;
	c->request.has_id = true;
	c->request.id = 4711;
	c->request.call_case = call;
	c->sender.has_net_id = true;
	c->sender.net_id = 0x00013F;
	octets(&c->sender.has_ns_id, &c->sender.ns_id, ns_id, 8);
	switch ((int)call) {
	case JOINERY__V1__REQUEST__CALL_JOIN:
		fill_join(&c->join, join_phy, sizeof(join_phy));
		c->request.join = &c->join;
		break;
	case JOINERY__V1__REQUEST__CALL_REJOIN:
		fill_join(&c->join, rejoin_phy, sizeof(rejoin_phy));
		c->request.rejoin = &c->join;
		break;
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		joinery__v1__app_skey_request__init(&c->app_s_key);
		octets(&c->app_s_key.has_dev_eui, &c->app_s_key.dev_eui,
		    dev_eui, 8);
		octets(&c->app_s_key.has_join_eui, &c->app_s_key.join_eui,
		    join_eui, 8);
		octets(&c->app_s_key.has_session_key_id,
		    &c->app_s_key.session_key_id, session_id, 16);
		c->sender.has_net_id = c->sender.has_ns_id = false;
		c->sender.as_id = as_id;
		c->request.app_s_key = &c->app_s_key;
		break;
	default:
		joinery__v1__home_ns_request__init(&c->home_ns);
		octets(
		    &c->home_ns.has_dev_eui, &c->home_ns.dev_eui, dev_eui, 8);
		octets(&c->home_ns.has_join_eui, &c->home_ns.join_eui, join_eui,
		    8);
		c->home_ns.has_net_id = true;
		c->home_ns.net_id = 0x00013F;
		c->request.home_ns = &c->home_ns;
		break;
	}
}

static const Joinery__V1__Request__CallCase kinds[] = {
	JOINERY__V1__REQUEST__CALL_JOIN,
	JOINERY__V1__REQUEST__CALL_REJOIN,
	JOINERY__V1__REQUEST__CALL_APP_S_KEY,
	JOINERY__V1__REQUEST__CALL_HOME_NS,
};

/* Client to server: *q is what was read, *p what the client remembers. */
static void
ask(struct calls *c, bool v1_1, struct client_bi_pending *p,
    struct bi_request *q)
{
	struct errctx ec = ERRCTX_INIT;
	char *body = NULL;
	enum bi_reading reading;

	assert_int_equal(
	    client_bi_build(v1_1, 0xFFFFFFFFU, &c->request, p, &body, &ec),
	    JY_OK);
	reading = bi_read(body, strlen(body), q, &ec);
	if (reading != BI_CALL) {
		fail_msg("%s: %s", body, err_detail(&ec, JY_EINVAL));
	}
	free(body);
	assert_int_equal(q->version, v1_1 ? BI_1_1 : BI_1_0);
	assert_int_equal(q->transaction_id, 0xFFFFFFFFU);
	assert_int_equal(q->call.call_case, c->request.call_case);
}

static void
equal_octets(protobuf_c_boolean has, const ProtobufCBinaryData *b,
    const void *p, size_t n)
{
	assert_true(has);
	assert_int_equal(b->len, n);
	assert_memory_equal(b->data, p, n);
}

/* Every member of every call arrives. */
static void
test_questions(void **state)
{
	struct bi_request *q = calloc(1, sizeof(*q));
	struct client_bi_pending p;
	struct calls c;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		const Joinery__V1__JoinRequest *j;

		fill(&c, kinds[i / 2]);
		ask(&c, i % 2 == 1, &p, q);
		if (kinds[i / 2] == JOINERY__V1__REQUEST__CALL_APP_S_KEY) {
			assert_string_equal(q->sender.as_id, "as.example.org");
			equal_octets(q->app_s_key.has_session_key_id,
			    &q->app_s_key.session_key_id, session_id, 16);
			continue;
		}
		assert_int_equal(q->sender.net_id, 0x00013F);
		assert_int_equal(q->sender.has_ns_id, i % 2 == 1);
		if (kinds[i / 2] == JOINERY__V1__REQUEST__CALL_HOME_NS) {
			equal_octets(q->home_ns.has_dev_eui,
			    &q->home_ns.dev_eui, dev_eui, 8);
			continue;
		}
		j = i < 2 ? q->call.join : q->call.rejoin;
		equal_octets(j->has_phy_payload, &j->phy_payload,
		    c.join.phy_payload.data, c.join.phy_payload.len);
		equal_octets(j->has_dev_eui, &j->dev_eui, dev_eui, 8);
		equal_octets(j->has_cf_list, &j->cf_list, cf_list, 16);
		assert_int_equal(j->mac_version, c.join.mac_version);
		assert_int_equal(j->net_id, c.join.net_id);
		assert_int_equal(j->dev_addr, c.join.dev_addr);
		assert_int_equal(j->dl_settings, c.join.dl_settings);
		assert_int_equal(j->rx_delay, c.join.rx_delay);
	}
	free(q);
}

/* What a worker answers to the calls, all members there. */
struct answers {
	Joinery__V1__KeyEnvelope wrapped, clear;
	Joinery__V1__JoinAnswer join;
	Joinery__V1__AppSKeyAnswer app_s_key;
	Joinery__V1__HomeNsAnswer home_ns;
	Joinery__V1__Response response;
};

static void
fill_answer(struct answers *a, Joinery__V1__Request__CallCase call)
{
	joinery__v1__response__init(&a->response);
	joinery__v1__key_envelope__init(&a->wrapped);
	joinery__v1__key_envelope__init(&a->clear);
	a->wrapped.kek_label = label;
	octets(&a->wrapped.has_aes_key, &a->wrapped.aes_key, wrapped, 24);
	octets(&a->clear.has_aes_key, &a->clear.aes_key, clear, 16);
	switch ((int)call) {
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		joinery__v1__app_skey_answer__init(&a->app_s_key);
		octets(&a->app_s_key.has_session_key_id,
		    &a->app_s_key.session_key_id, session_id, 16);
		a->app_s_key.app_s_key = &a->clear;
		a->response.result_case =
		    JOINERY__V1__RESPONSE__RESULT_APP_S_KEY;
		a->response.app_s_key = &a->app_s_key;
		break;
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
		joinery__v1__home_ns_answer__init(&a->home_ns);
		a->home_ns.has_net_id = true;
		a->home_ns.net_id = 0x60000D;
		octets(&a->home_ns.has_ns_id, &a->home_ns.ns_id, ns_id, 8);
		a->response.result_case = JOINERY__V1__RESPONSE__RESULT_HOME_NS;
		a->response.home_ns = &a->home_ns;
		break;
	default:
		joinery__v1__join_answer__init(&a->join);
		octets(&a->join.has_phy_payload, &a->join.phy_payload,
		    accept_phy, sizeof(accept_phy));
		octets(&a->join.has_session_key_id, &a->join.session_key_id,
		    session_id, 16);
		a->join.has_lifetime_s = true;
		a->join.lifetime_s = UINT32_MAX;
		a->join.f_nwk_s_int_key = &a->wrapped;
		a->join.s_nwk_s_int_key = &a->wrapped;
		a->join.nwk_s_enc_key = &a->clear;
		a->join.app_s_key = &a->wrapped;
		a->response.result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
		a->response.join = &a->join;
		break;
	}
}

/* Server to client. */
static Joinery__V1__Response *
answer(const struct bi_request *q, const Joinery__V1__Response *response,
    bool v1_1, const struct client_bi_pending *p)
{
	struct errctx ec = ERRCTX_INIT;
	Joinery__V1__Response *out = NULL;
	size_t len = 0;
	char *text = bi_write_answer(q, response, "0123456789abcdef", &len);

	assert_non_null(text);
	if (client_bi_read(v1_1, p, text, len, &out, &ec) != JY_OK) {
		fail_msg(
		    "%.*s: %s", (int)len, text, err_detail(&ec, JY_EINVAL));
	}
	assert_int_equal(out->id, 4711);
	bi_free(text, len);
	return out;
}

static void
equal_key(
    const Joinery__V1__KeyEnvelope *got, const Joinery__V1__KeyEnvelope *wanted)
{
	assert_non_null(got);
	equal_octets(got->has_aes_key, &got->aes_key, wanted->aes_key.data,
	    wanted->aes_key.len);
	assert_string_equal(got->kek_label != NULL ? got->kek_label : "",
	    wanted->kek_label != NULL ? wanted->kek_label : "");
}

static void
check_answer(const Joinery__V1__Response *r, const struct answers *a, bool v1_1)
{
	assert_int_equal(r->result_case, a->response.result_case);
	switch ((int)r->result_case) {
	case JOINERY__V1__RESPONSE__RESULT_JOIN:
		equal_octets(r->join->has_phy_payload, &r->join->phy_payload,
		    accept_phy, sizeof(accept_phy));
		equal_octets(r->join->has_session_key_id,
		    &r->join->session_key_id, session_id, 16);
		assert_int_equal(r->join->lifetime_s, UINT32_MAX);
		equal_key(r->join->f_nwk_s_int_key, &a->wrapped);
		equal_key(r->join->s_nwk_s_int_key, &a->wrapped);
		equal_key(r->join->nwk_s_enc_key, &a->clear);
		equal_key(r->join->app_s_key, &a->wrapped);
		assert_null(r->join->nwk_s_key);
		break;
	case JOINERY__V1__RESPONSE__RESULT_APP_S_KEY:
		equal_octets(r->app_s_key->has_session_key_id,
		    &r->app_s_key->session_key_id, session_id, 16);
		equal_key(r->app_s_key->app_s_key, &a->clear);
		break;
	default:
		assert_int_equal(r->home_ns->net_id, 0x60000D);
		assert_int_equal(r->home_ns->has_ns_id, v1_1);
		break;
	}
}

static void
test_answers(void **state)
{
	struct bi_request *q = calloc(1, sizeof(*q));
	struct client_bi_pending p;
	struct answers a;
	struct calls c;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		bool v1_1 = i % 2 == 1;
		Joinery__V1__Response *r;

		fill(&c, kinds[i / 2]);
		ask(&c, v1_1, &p, q);
		fill_answer(&a, kinds[i / 2]);
		r = answer(q, &a.response, v1_1, &p);
		check_answer(r, &a, v1_1);
		client_free(r);
	}
	free(q);
}

/* Both sides agree on what becomes of every error code. */
static void
test_refusals(void **state)
{
	const ProtobufCEnumDescriptor *codes =
	    &joinery__v1__error_code__descriptor;
	struct bi_request *q = calloc(1, sizeof(*q));
	struct client_bi_pending p;
	struct calls c;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kinds) * codes->n_values; i++) {
		int code = codes->values[i / (2 * ARRAY_LEN(kinds))].value;
		bool v1_1 = i % 2 == 1;
		Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
		Joinery__V1__Error e = JOINERY__V1__ERROR__INIT;
		Joinery__V1__ErrorCode wanted;
		Joinery__V1__Response *r;

		fill(&c, kinds[i / 2 % ARRAY_LEN(kinds)]);
		ask(&c, v1_1, &p, q);
		e.has_code = true;
		e.code = (Joinery__V1__ErrorCode)code;
		e.message = internal;
		response.result_case = JOINERY__V1__RESPONSE__RESULT_ERROR;
		response.error = &e;
		r = answer(q, &response, v1_1, &p);
		assert_int_equal(
		    r->result_case, JOINERY__V1__RESPONSE__RESULT_ERROR);
		wanted = client_bi_code(e.code, v1_1);
		/* Of HomeNSReq the specification knows no other name. */
		if (c.request.call_case == JOINERY__V1__REQUEST__CALL_HOME_NS &&
		    wanted == JOINERY__V1__ERROR_CODE__NOT_ALLOWED) {
			wanted = JOINERY__V1__ERROR_CODE__NO_ROAMING_AGREEMENT;
		}
		/* And a rejoin has no DevNonce. */
		if (c.request.call_case == JOINERY__V1__REQUEST__CALL_REJOIN &&
		    wanted == JOINERY__V1__ERROR_CODE__DEV_NONCE_REPLAYED) {
			wanted = JOINERY__V1__ERROR_CODE__RJ_COUNT_REPLAYED;
		}
		if (wanted != r->error->code) {
			fail_msg("error code %d, call %d, 1.%d: \"%s\"", code,
			    (int)c.request.call_case, (int)v1_1,
			    r->error->message);
		}
		client_free(r);
	}
	free(q);
}

/* Calls that cannot be put into a message. */
static void
test_no_message(void **state)
{
	struct client_bi_pending p;
	struct calls c;
	char *body = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		fill(&c, kinds[i]);
		c.join.has_join_eui = c.app_s_key.has_join_eui = false;
		c.home_ns.has_join_eui = false;
		assert_int_equal(
		    client_bi_build(false, 1, &c.request, &p, &body, NULL),
		    JY_EINVAL);
	}
	fill(&c, JOINERY__V1__REQUEST__CALL_APP_S_KEY);
	c.sender.as_id = NULL;
	assert_int_equal(
	    client_bi_build(false, 1, &c.request, &p, &body, NULL), JY_EINVAL);
	fill(&c, JOINERY__V1__REQUEST__CALL_JOIN);
	c.join.mac_version = JOINERY__V1__MAC_VERSION__MAC_VERSION_UNSPECIFIED;
	assert_int_equal(
	    client_bi_build(false, 1, &c.request, &p, &body, NULL), JY_EINVAL);
	c.request.call_case = JOINERY__V1__REQUEST__CALL_PING;
	assert_int_equal(
	    client_bi_build(false, 1, &c.request, &p, &body, NULL), JY_EINVAL);
	assert_null(body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
