/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to rows and back: checks of form, nothing of meaning. */
#include "src/worker/convert.h"

#include <string.h>

#include "src/base/text.h"

enum jy_err
convert_octets(const char *field, protobuf_c_boolean has,
    const ProtobufCBinaryData *in, uint8_t *out, size_t len, struct errctx *ec)
{
	if (!has) {
		return err_set(ec, JY_EINVAL, "%s is missing", field);
	}
	if (in->len != len) {
		return err_set(ec, JY_EINVAL, "%s has %zu octets, not %zu",
		    field, in->len, len);
	}
	memcpy(out, in->data, len);
	return JY_OK;
}

enum jy_err
convert_known_text(
    const char *field, const char *in, char *out, size_t cap, struct errctx *ec)
{
	size_t len;

	if (in == NULL) {
		return JY_OK;
	}
	len = strlen(in);
	if (len >= cap) {
		return err_set(ec, JY_EINVAL,
		    "%s has %zu octets, at most %zu fit", field, len, cap - 1);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)in[i] < 0x20 || in[i] == 0x7f) {
			return err_set(
			    ec, JY_EINVAL, "%s has a control character", field);
		}
	}
	memset(out, 0, cap);
	memcpy(out, in, len);
	return JY_OK;
}

enum jy_err
convert_known_name(const char *field, const char *in,
    char out[STORE_LABEL_MAX + 1], struct errctx *ec)
{
	if (in == NULL || in[0] == '\0') {
		return err_set(ec, JY_EINVAL, "%s is missing", field);
	}
	return convert_known_text(field, in, out, STORE_LABEL_MAX + 1, ec);
}

static enum jy_err
check_clean(const char *field, const char *in, struct errctx *ec)
{
	return in == NULL || text_is_clean(in)
	    ? JY_OK
	    : err_set(ec, JY_EINVAL,
		  "%s is not UTF-8, or has a control character", field);
}

enum jy_err
convert_text(
    const char *field, const char *in, char *out, size_t cap, struct errctx *ec)
{
	enum jy_err err = check_clean(field, in, ec);

	return err == JY_OK ? convert_known_text(field, in, out, cap, ec) : err;
}

enum jy_err
convert_name(const char *field, const char *in, char out[STORE_LABEL_MAX + 1],
    struct errctx *ec)
{
	enum jy_err err = check_clean(field, in, ec);

	return err == JY_OK ? convert_known_name(field, in, out, ec) : err;
}

enum jy_err
convert_absent(
    const char *what, const char *name, enum jy_err err, struct errctx *ec)
{
	return err == JY_ENOTFOUND
	    ? err_replace(ec, JY_ENOTFOUND, "no %s is called %s", what, name)
	    : err;
}

enum jy_err
convert_eui(const char *field, protobuf_c_boolean has,
    const ProtobufCBinaryData *in, struct arena *arena,
    const struct eui64 **out, struct errctx *ec)
{
	struct eui64 *eui;
	enum jy_err err;

	*out = NULL;
	if (!has) {
		return JY_OK;
	}
	eui = arena_alloc(arena, sizeof(*eui));
	err = convert_octets(field, has, in, eui->be, sizeof(eui->be), ec);
	*out = eui;
	return err;
}

enum jy_err
convert_sender(
    const Joinery__V1__Sender *in, struct sender *out, struct errctx *ec)
{
	char as_id[STORE_AS_ID_MAX + 1];
	enum jy_err err;

	*out = (struct sender){ .has_net_id = false };
	if (in == NULL) {
		return JY_OK;
	}
	if (in->has_net_id && in->net_id > NET_ID_MAX) {
		return err_set(ec, JY_EINVAL,
		    "sender.net_id %x has more than 24 bits", in->net_id);
	}
	out->has_net_id = in->has_net_id;
	out->net_id = in->net_id;
	out->as_id = in->as_id;
	out->has_ns_id = in->has_ns_id;
	err = convert_known_text(
	    "sender.as_id", in->as_id, as_id, sizeof(as_id), ec);
	if (err == JY_OK && in->has_ns_id) {
		err = convert_octets("sender.ns_id", in->has_ns_id, &in->ns_id,
		    out->ns_id.be, sizeof(out->ns_id.be), ec);
	}
	return err;
}

enum jy_err
convert_device_id(
    const Joinery__V1__DeviceId *in, struct device_id *out, struct errctx *ec)
{
	enum jy_err err;

	if (in == NULL) {
		return err_set(ec, JY_EINVAL, "the device id is missing");
	}
	err = convert_octets("join_eui", in->has_join_eui, &in->join_eui,
	    out->join_eui.be, sizeof(out->join_eui.be), ec);
	return err == JY_OK
	    ? convert_octets("dev_eui", in->has_dev_eui, &in->dev_eui,
		  out->dev_eui.be, sizeof(out->dev_eui.be), ec)
	    : err;
}

enum jy_err
convert_mac_version(
    Joinery__V1__MacVersion in, enum lw_version *out, struct errctx *ec)
{
	int v = (int)in;

	if (v < LW_VERSION_NONE || v > LW_VERSION_1_1_0) {
		return err_set(ec, JY_EINVAL, "mac_version %d is unknown", v);
	}
	*out = (enum lw_version)v;
	return JY_OK;
}

enum jy_err
convert_net_ids(const uint32_t *in, size_t n, uint32_t *list, uint8_t *count,
    struct errctx *ec)
{
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		if (in[i] > NET_ID_MAX) {
			return err_set(ec, JY_EINVAL,
			    "NetID %x has more than 24 bits", in[i]);
		}
		for (size_t k = 0; k < *count; k++) {
			known |= list[k] == in[i];
		}
		if (known) {
			continue;
		}
		if (*count == STORE_NET_IDS_MAX) {
			return err_set(ec, JY_EINVAL, "more than %d NetIDs",
			    STORE_NET_IDS_MAX);
		}
		list[(*count)++] = in[i];
	}
	return JY_OK;
}

enum jy_err
convert_sealed(const char *field, const Joinery__V1__SealedKey *in,
    struct hsm_sealed *out, struct errctx *ec)
{
	if (in == NULL || !in->has_import_key || !in->has_transport_key ||
	    !in->has_wrapped_key || !in->has_check_value) {
		return err_set(
		    ec, JY_EINVAL, "%s is not a whole sealed key", field);
	}
	if (in->import_key.len != HSM_FINGERPRINT_LEN ||
	    in->check_value.len != HSM_KCV_LEN) {
		return err_set(ec, JY_EINVAL,
		    "%s: import_key has %zu octets, not %d, or check_value "
		    "%zu, not %d",
		    field, in->import_key.len, HSM_FINGERPRINT_LEN,
		    in->check_value.len, HSM_KCV_LEN);
	}
	*out = (struct hsm_sealed){
		.import_key = in->import_key.data,
		.transport_key = in->transport_key.data,
		.transport_key_len = in->transport_key.len,
		.wrapped_key = in->wrapped_key.data,
		.wrapped_key_len = in->wrapped_key.len,
		.kcv = in->check_value.data,
	};
	return JY_OK;
}

void *
convert_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
	void *message = arena_alloc(arena, type->sizeof_message);

	protobuf_c_message_init(type, message);
	return message;
}

void
convert_binary(struct arena *arena, const void *p, size_t len,
    protobuf_c_boolean *has, ProtobufCBinaryData *out)
{
	out->data = arena_copy(arena, p, len);
	out->len = len;
	*has = 1;
}

char *
convert_to_text(struct arena *arena, const char *text)
{
	return text[0] == '\0' ? NULL : arena_text(arena, text);
}

Joinery__V1__DeviceId *
convert_to_device_id(struct arena *arena, const struct device_id *id)
{
	Joinery__V1__DeviceId *m =
	    convert_new(arena, &joinery__v1__device_id__descriptor);

	convert_binary(
	    arena, id->join_eui.be, 8, &m->has_join_eui, &m->join_eui);
	convert_binary(arena, id->dev_eui.be, 8, &m->has_dev_eui, &m->dev_eui);
	return m;
}

Joinery__V1__Session *
convert_to_session(struct arena *arena, const struct session_row *row)
{
	Joinery__V1__Session *m =
	    convert_new(arena, &joinery__v1__session__descriptor);

	convert_binary(arena, row->id, sizeof(row->id), &m->has_session_key_id,
	    &m->session_key_id);
	m->id = convert_to_device_id(arena, &row->device);
	m->has_mac_version = 1;
	m->mac_version = (Joinery__V1__MacVersion)row->mac_version;
	m->has_opt_neg = 1;
	m->opt_neg = row->opt_neg;
	m->has_join_nonce = 1;
	m->join_nonce = row->join_nonce;
	m->has_counter = 1;
	m->counter = row->counter;
	m->has_net_id = 1;
	m->net_id = row->net_id;
	m->has_dev_addr = 1;
	m->dev_addr = row->dev_addr;
	m->has_created_ms = 1;
	m->created_ms = row->created_ms;
	m->has_expires_ms = row->expires_ms != 0;
	m->expires_ms = row->expires_ms;
	m->peer = convert_to_text(arena, row->peer);
	m->has_join_type = 1;
	m->join_type = row->join_type;
	return m;
}

Joinery__V1__Session **
convert_to_sessions(
    struct arena *arena, const struct session_row *rows, size_t n)
{
	Joinery__V1__Session **m = arena_alloc(arena, n * sizeof(m[0]));

	for (size_t i = 0; i < n; i++) {
		m[i] = convert_to_session(arena, &rows[i]);
	}
	return m;
}

Joinery__V1__KeyEnvelope *
convert_to_envelope(struct arena *arena, const struct key_envelope *in)
{
	Joinery__V1__KeyEnvelope *m;

	if (in->len == 0) {
		return NULL;
	}
	m = convert_new(arena, &joinery__v1__key_envelope__descriptor);
	m->kek_label = convert_to_text(arena, in->kek_label);
	convert_binary(arena, in->key, in->len, &m->has_aes_key, &m->aes_key);
	return m;
}
