/* SPDX-License-Identifier: Apache-2.0 */
/* A device of a sealed key file as a message of the protocol. */
#include "tools/ctl_import.h"

static ProtobufCBinaryData
octets(uint8_t *p, size_t len)
{
	return (ProtobufCBinaryData){ .data = p, .len = len };
}

#define NEW(arena, type, init) \
	((type *)arena_copy((arena), &(type)init, sizeof(type)))

static Joinery__V1__WrappedKey *
to_key(struct arena *arena, struct keyfile_key *key)
{
	Joinery__V1__WrappedKey *m;

	if (!key->present) {
		return NULL;
	}
	m = NEW(arena, Joinery__V1__WrappedKey, JOINERY__V1__WRAPPED_KEY__INIT);
	m->has_wrapped_key = m->has_check_value = 1;
	m->wrapped_key = octets(key->wrapped, sizeof(key->wrapped));
	m->check_value = octets(key->check_value, sizeof(key->check_value));
	return m;
}

static char *
to_text(char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static Joinery__V1__DeviceSettings *
to_settings(struct arena *arena, struct keyfile_device *d)
{
	Joinery__V1__DeviceSettings *m = NEW(arena, Joinery__V1__DeviceSettings,
	    JOINERY__V1__DEVICE_SETTINGS__INIT);

	m->has_mac_version = 1;
	m->mac_version = (Joinery__V1__MacVersion)d->mac_version;
	m->n_net_ids = d->net_id_count;
	m->net_ids = d->net_ids;
	m->has_clear_net_ids = d->net_id_count > 0;
	m->clear_net_ids = m->has_clear_net_ids;
	m->as_id = to_text(d->as_id);
	m->ns_kek = to_text(d->ns_kek);
	m->as_kek = to_text(d->as_kek);
	m->app = to_text(d->app_name);
	m->name = to_text(d->device_name);
	m->has_resets_join_nonces = d->has_resets_join_nonces;
	m->resets_join_nonces = d->resets_join_nonces;
	/* NwkKey is what the default means wherever there is one. */
	m->has_v10_root = d->v10_root != KEYFILE_V10_ROOT_ABSENT;
	m->v10_root = d->v10_root == KEYFILE_V10_ROOT_APP
	    ? JOINERY__V1__V10_ROOT__V10_ROOT_APP_KEY
	    : JOINERY__V1__V10_ROOT__V10_ROOT_DEFAULT;
	return m;
}

Joinery__V1__ImportDevice *
import_device_message(struct arena *arena, struct keyfile_device *d)
{
	Joinery__V1__ImportDevice *m = NEW(
	    arena, Joinery__V1__ImportDevice, JOINERY__V1__IMPORT_DEVICE__INIT);

	m->id = NEW(arena, Joinery__V1__DeviceId, JOINERY__V1__DEVICE_ID__INIT);
	m->id->has_join_eui = m->id->has_dev_eui = 1;
	m->id->join_eui = octets(d->join_eui.be, sizeof(d->join_eui.be));
	m->id->dev_eui = octets(d->dev_eui.be, sizeof(d->dev_eui.be));
	m->settings = to_settings(arena, d);
	m->nwk_key = to_key(arena, &d->nwk);
	m->app_key = to_key(arena, &d->app);
	if (d->has_join_nonce || d->has_dev_nonce) {
		m->nonces =
		    NEW(arena, Joinery__V1__Nonces, JOINERY__V1__NONCES__INIT);
		m->nonces->has_join_nonce = d->has_join_nonce;
		m->nonces->join_nonce = d->join_nonce;
		m->nonces->has_dev_nonce = d->has_dev_nonce;
		m->nonces->dev_nonce = d->dev_nonce;
	}
	return m;
}
