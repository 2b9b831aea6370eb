/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of Network and Application Servers, and what admins see of sessions. */
#include <string.h>

#include "src/base/secret.h"
#include "src/join/home.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

enum jy_err
call_ping(struct call *c, struct errctx *ec)
{
	(void)ec;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_PING;
	c->response->ping =
	    convert_new(c->arena, &joinery__v1__ping_answer__descriptor);
	return JY_OK;
}

/* A number that must be there and not above max. */
static enum jy_err
take_number(const char *field, protobuf_c_boolean has, uint32_t value,
    uint32_t max, struct errctx *ec)
{
	if (!has) {
		return err_set(ec, JY_EINVAL, "%s is missing", field);
	}
	if (value > max) {
		return err_set(
		    ec, JY_EINVAL, "%s is %u, at most %u", field, value, max);
	}
	return JY_OK;
}

/* CFList: absent, or 16 octets. */
static enum jy_err
take_cf_list(
    const Joinery__V1__JoinRequest *m, struct join_input *in, struct errctx *ec)
{
	in->has_cf_list = m->has_cf_list && m->cf_list.len > 0;
	return in->has_cf_list
	    ? convert_octets("cf_list", m->has_cf_list, &m->cf_list,
		  in->cf_list, sizeof(in->cf_list), ec)
	    : JY_OK;
}

/* The EUIs that the message says beside the PHYPayload. */
static enum jy_err
take_euis(const Joinery__V1__JoinRequest *m, struct arena *arena,
    struct join_input *in, struct errctx *ec)
{
	enum jy_err err;

	err = convert_eui(
	    "dev_eui", m->has_dev_eui, &m->dev_eui, arena, &in->dev_eui, ec);
	return err == JY_OK ? convert_eui("join_eui", m->has_join_eui,
				  &m->join_eui, arena, &in->join_eui, ec)
			    : err;
}

enum jy_err
call_join_begin(const Joinery__V1__Request *request,
    const struct sender *sender, struct arena *arena, struct join_input *in,
    struct errctx *ec)
{
	const bool rejoin =
	    request->call_case == JOINERY__V1__REQUEST__CALL_REJOIN;
	const Joinery__V1__JoinRequest *m =
	    rejoin ? request->rejoin : request->join;
	const struct {
		const char *field;
		protobuf_c_boolean has;
		uint32_t value;
		uint32_t max;
	} numbers[] = {
		{ "net_id", m->has_net_id, m->net_id, NET_ID_MAX },
		{ "dev_addr", m->has_dev_addr, m->dev_addr, UINT32_MAX },
		{ "dl_settings", m->has_dl_settings, m->dl_settings, 0xFF },
		{ "rx_delay", m->has_rx_delay, m->rx_delay, 15 },
	};
	enum jy_err err;

	memset(in, 0, sizeof(*in));
	in->rejoin = rejoin;
	in->sender = *sender;
	if (!m->has_phy_payload) {
		return err_set(ec, JY_EINVAL, "phy_payload is missing");
	}
	in->phy = m->phy_payload.data;
	in->phy_len = m->phy_payload.len;
	err = convert_mac_version(m->has_mac_version
		? m->mac_version
		: JOINERY__V1__MAC_VERSION__MAC_VERSION_UNSPECIFIED,
	    &in->mac_version, ec);
	for (size_t i = 0; err == JY_OK && i < ARRAY_LEN(numbers); i++) {
		err = take_number(numbers[i].field, numbers[i].has,
		    numbers[i].value, numbers[i].max, ec);
	}
	in->net_id = m->net_id;
	in->dev_addr = m->dev_addr;
	in->dl_settings = (uint8_t)m->dl_settings;
	in->rx_delay = (uint8_t)m->rx_delay;
	if (err == JY_OK) {
		err = take_euis(m, arena, in, ec);
	}
	return err == JY_OK ? take_cf_list(m, in, ec) : err;
}

void
call_join_end(const struct join_output *out, struct arena *arena,
    Joinery__V1__Response *response)
{
	const struct session_keys *keys = &out->keys;
	Joinery__V1__JoinAnswer *m =
	    convert_new(arena, &joinery__v1__join_answer__descriptor);
	Joinery__V1__KeyEnvelope *nwk =
	    convert_to_envelope(arena, &keys->f_nwk_s_int_key);

	convert_binary(arena, out->phy, out->phy_len, &m->has_phy_payload,
	    &m->phy_payload);
	convert_binary(arena, out->session_id, sizeof(out->session_id),
	    &m->has_session_key_id, &m->session_key_id);
	m->has_lifetime_s = 1;
	m->lifetime_s = out->lifetime_s;
	m->nwk_s_key = keys->opt_neg ? NULL : nwk;
	m->f_nwk_s_int_key = keys->opt_neg ? nwk : NULL;
	m->s_nwk_s_int_key = convert_to_envelope(arena, &keys->s_nwk_s_int_key);
	m->nwk_s_enc_key = convert_to_envelope(arena, &keys->nwk_s_enc_key);
	m->app_s_key = convert_to_envelope(arena, &keys->app_s_key);
	response->result_case = JOINERY__V1__RESPONSE__RESULT_JOIN;
	response->join = m;
}

/* The fields of NetworkKeysRequest and AppSKeyRequest. */
struct key_question {
	enum peer_role as;
	protobuf_c_boolean has_id;
	const ProtobufCBinaryData *id;
	protobuf_c_boolean has_dev_eui;
	const ProtobufCBinaryData *dev_eui;
	protobuf_c_boolean has_join_eui;
	const ProtobufCBinaryData *join_eui;
};

static struct key_question
key_question(const Joinery__V1__Request *request)
{
	const Joinery__V1__NetworkKeysRequest *ns = request->network_keys;
	const Joinery__V1__AppSKeyRequest *as = request->app_s_key;

	if (request->call_case == JOINERY__V1__REQUEST__CALL_NETWORK_KEYS) {
		return (struct key_question){
			.as = PEER_NS,
			.has_id = ns->has_session_key_id,
			.id = &ns->session_key_id,
			.has_dev_eui = ns->has_dev_eui,
			.dev_eui = &ns->dev_eui,
		};
	}
	return (struct key_question){
		.as = PEER_AS,
		.has_id = as->has_session_key_id,
		.id = &as->session_key_id,
		.has_dev_eui = as->has_dev_eui,
		.dev_eui = &as->dev_eui,
		.has_join_eui = as->has_join_eui,
		.join_eui = &as->join_eui,
	};
}

enum jy_err
call_session_query(const Joinery__V1__Request *request,
    const struct peer_row *peer, const struct sender *sender,
    struct arena *arena, struct session_query *out, struct errctx *ec)
{
	struct key_question q = key_question(request);
	enum jy_err err;

	*out = (struct session_query){
		.peer = peer,
		.sender = sender,
		.as = q.as,
	};
	err = convert_octets(
	    "session_key_id", q.has_id, q.id, out->id, sizeof(out->id), ec);
	if (err == JY_OK) {
		err = convert_eui("dev_eui", q.has_dev_eui, q.dev_eui, arena,
		    &out->dev_eui, ec);
	}
	if (err == JY_OK) {
		err = convert_eui("join_eui", q.has_join_eui, q.join_eui, arena,
		    &out->join_eui, ec);
	}
	return err;
}

static enum jy_err
retrieve(struct call *c, struct session_keys *keys, struct errctx *ec)
{
	struct session_query query;
	enum jy_err err;

	err = call_session_query(
	    c->request, &c->asker->peer, c->sender, c->arena, &query, ec);
	return err == JY_OK ? session_retrieve(c->env, &query, keys, ec) : err;
}

enum jy_err
call_network_keys(struct call *c, struct errctx *ec)
{
	const Joinery__V1__NetworkKeysRequest *q = c->request->network_keys;
	Joinery__V1__NetworkKeysAnswer *m;
	Joinery__V1__KeyEnvelope *nwk;
	struct session_keys keys;
	enum jy_err err;

	err = retrieve(c, &keys, ec);
	if (err != JY_OK) {
		secret_wipe(&keys, sizeof(keys));
		return err;
	}
	m = convert_new(
	    c->arena, &joinery__v1__network_keys_answer__descriptor);
	convert_binary(c->arena, q->session_key_id.data, q->session_key_id.len,
	    &m->has_session_key_id, &m->session_key_id);
	nwk = convert_to_envelope(c->arena, &keys.f_nwk_s_int_key);
	m->nwk_s_key = keys.opt_neg ? NULL : nwk;
	m->f_nwk_s_int_key = keys.opt_neg ? nwk : NULL;
	m->s_nwk_s_int_key =
	    convert_to_envelope(c->arena, &keys.s_nwk_s_int_key);
	m->nwk_s_enc_key = convert_to_envelope(c->arena, &keys.nwk_s_enc_key);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_NETWORK_KEYS;
	c->response->network_keys = m;
	secret_wipe(&keys, sizeof(keys));
	return JY_OK;
}

enum jy_err
call_app_s_key(struct call *c, struct errctx *ec)
{
	const Joinery__V1__AppSKeyRequest *q = c->request->app_s_key;
	Joinery__V1__AppSKeyAnswer *m;
	struct session_keys keys;
	enum jy_err err;

	err = retrieve(c, &keys, ec);
	if (err != JY_OK) {
		secret_wipe(&keys, sizeof(keys));
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__app_skey_answer__descriptor);
	convert_binary(c->arena, q->session_key_id.data, q->session_key_id.len,
	    &m->has_session_key_id, &m->session_key_id);
	m->app_s_key = convert_to_envelope(c->arena, &keys.app_s_key);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_APP_S_KEY;
	c->response->app_s_key = m;
	secret_wipe(&keys, sizeof(keys));
	return JY_OK;
}

enum jy_err
call_home_find(const struct join_env *env, const Joinery__V1__HomeNsRequest *m,
    const struct peer_row *peer, struct arena *arena, struct device_id *device,
    Joinery__V1__HomeNsAnswer **out, struct errctx *ec)
{
	const struct eui64 *dev_eui, *join_eui;
	struct home_ns home;
	enum jy_err err;

	err = take_number("net_id", m->has_net_id, m->net_id, NET_ID_MAX, ec);
	if (err == JY_OK && !m->has_dev_eui) {
		return err_set(ec, JY_EINVAL, "dev_eui is missing");
	}
	if (err == JY_OK) {
		err = convert_eui("dev_eui", m->has_dev_eui, &m->dev_eui, arena,
		    &dev_eui, ec);
	}
	if (err == JY_OK) {
		err = convert_eui("join_eui", m->has_join_eui, &m->join_eui,
		    arena, &join_eui, ec);
	}
	if (err == JY_OK) {
		err = home_ns_find(
		    env, peer, m->net_id, dev_eui, join_eui, &home, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	*device = home.device;
	*out = convert_new(arena, &joinery__v1__home_ns_answer__descriptor);
	(*out)->has_net_id = 1;
	(*out)->net_id = home.net_id;
	if (home.has_ns_id) {
		convert_binary(arena, home.ns_id.be, sizeof(home.ns_id.be),
		    &(*out)->has_ns_id, &(*out)->ns_id);
	}
	return JY_OK;
}

enum jy_err
call_home_ns(struct call *c, struct errctx *ec)
{
	struct device_id device;
	enum jy_err err;

	err = call_home_find(c->env, c->request->home_ns, &c->asker->peer,
	    c->arena, &device, &c->response->home_ns, ec);
	if (err == JY_OK) {
		c->response->result_case =
		    JOINERY__V1__RESPONSE__RESULT_HOME_NS;
	}
	return err;
}

enum jy_err
call_session_list(struct call *c, struct errctx *ec)
{
	struct session_row rows[STORE_SESSIONS_MAX];
	Joinery__V1__SessionListAnswer *m;
	struct device_row device;
	struct device_id id;
	enum jy_err err;
	size_t n;

	err = convert_device_id(c->request->session_list->id, &id, ec);
	if (err == JY_OK) {
		err = store_device_get(c->env->store, &id, &device, ec);
	}
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err == JY_OK) {
		err = store_session_list(
		    c->env->store, &id, rows, STORE_SESSIONS_MAX, &n, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(
	    c->arena, &joinery__v1__session_list_answer__descriptor);
	m->sessions = convert_to_sessions(c->arena, rows, n);
	m->n_sessions = n;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_SESSION_LIST;
	c->response->session_list = m;
	return JY_OK;
}

enum jy_err
call_session_get(struct call *c, struct errctx *ec)
{
	const Joinery__V1__SessionGetRequest *q = c->request->session_get;
	Joinery__V1__SessionGetAnswer *m;
	uint8_t id[STORE_ID_LEN];
	struct session_row row;
	enum jy_err err;

	err = convert_octets("session_key_id", q->has_session_key_id,
	    &q->session_key_id, id, sizeof(id), ec);
	if (err == JY_OK) {
		err = store_session_get(c->env->store, id, &row, ec);
	}
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_ESESSION, "no session has this ID");
	}
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__session_get_answer__descriptor);
	m->session = convert_to_session(c->arena, &row);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_SESSION_GET;
	c->response->session_get = m;
	return JY_OK;
}
