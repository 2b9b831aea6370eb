/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of who may have what: LoRaWAN Backend Interfaces clause 8. */
#include "src/join/access.h"

#include <stdio.h>
#include <string.h>

/* The one peer that the certificate's names belong to. */
static enum jy_err
find_by_sans(struct store *store, const struct credential *c,
    struct peer_row *out, struct errctx *ec)
{
	struct peer_row row;
	bool found = false;
	enum jy_err err;

	for (size_t i = 0; i < c->san_count; i++) {
		err = store_peer_by_san(store, c->sans[i], &row, ec);
		if (err == JY_ENOTFOUND) {
			err_clear(ec);
			continue;
		}
		if (err != JY_OK) {
			return err;
		}
		if (found && strcmp(row.name, out->name) != 0) {
			return err_set(ec, JY_EPEER,
			    "the certificate names two peers, %s and %s",
			    out->name, row.name);
		}
		*out = row;
		found = true;
	}
	return found ? JY_OK : JY_ENOTFOUND;
}

static enum jy_err
find_peer(struct store *store, const struct credential *c, struct peer_row *out,
    struct errctx *ec)
{
	enum jy_err err = JY_ENOTFOUND;

	if (c->has_uid) {
		err = store_peer_by_uid(store, c->uid, out, ec);
	} else if (c->has_fingerprint) {
		err = store_peer_by_fingerprint(store, c->fingerprint, out, ec);
	}
	if (err != JY_ENOTFOUND) {
		return err;
	}
	err_clear(ec);
	return find_by_sans(store, c, out, ec);
}

/* Say which credential is not known, so that an admin can register it. */
static enum jy_err
refuse_unknown(const struct credential *c, struct errctx *ec)
{
	char hex[HEX_STR_LEN(STORE_FINGERPRINT_LEN)];

	if (c->has_uid) {
		return err_set(
		    ec, JY_EPEER, "no peer is registered for uid %u", c->uid);
	}
	if (!c->has_fingerprint) {
		return err_set(ec, JY_EPEER, "the connection proves nothing");
	}
	hex_format(c->fingerprint, sizeof(c->fingerprint), hex);
	return err_set(ec, JY_EPEER,
	    "no peer is registered for the certificate %s (%s)",
	    c->san_count > 0 ? c->sans[0] : "without names", hex);
}

enum jy_err
access_find(struct store *store, const struct credential *c, bool admin_uid,
    struct asker *out, struct errctx *ec)
{
	enum jy_err err;

	memset(out, 0, sizeof(*out));
	err = find_peer(store, c, &out->peer, ec);
	if (err == JY_OK) {
		out->admin = admin_uid || out->peer.role == PEER_ADMIN;
		memcpy(out->name, out->peer.name, sizeof(out->name));
		return JY_OK;
	}
	if (err != JY_ENOTFOUND) {
		return err;
	}
	if (!admin_uid) {
		return refuse_unknown(c, ec);
	}
	out->admin = true;
	(void)snprintf(out->name, sizeof(out->name), "uid %u", c->uid);
	return JY_OK;
}

enum jy_err
access_admin(const struct asker *a, struct errctx *ec)
{
	return a->admin
	    ? JY_OK
	    : err_set(ec, JY_EACCESS, "%s is not an admin", a->name);
}

static bool
has_net_id(const uint32_t *net_ids, size_t count, uint32_t net_id)
{
	for (size_t i = 0; i < count; i++) {
		if (net_ids[i] == net_id) {
			return true;
		}
	}
	return false;
}

enum jy_err
access_network(const struct peer_row *peer, const struct device_row *device,
    uint32_t net_id, struct errctx *ec)
{
	if (peer->role != PEER_NS) {
		return err_set(ec, JY_EACCESS,
		    "only a Network Server gets network session keys");
	}
	if (!has_net_id(peer->net_ids, peer->net_id_count, net_id)) {
		return err_set(ec, JY_EACCESS,
		    "peer %s does not speak for NetID %06x", peer->name,
		    net_id);
	}
	if (device->activation.net_id_count > 0 &&
	    !has_net_id(device->activation.net_ids,
		device->activation.net_id_count, net_id)) {
		return err_set(ec, JY_EACCESS,
		    "NetID %06x is no home NetID of the device", net_id);
	}
	return JY_OK;
}

enum jy_err
access_app(const struct peer_row *peer, const struct device_row *device,
    struct errctx *ec)
{
	if (peer->role != PEER_AS) {
		return err_set(
		    ec, JY_EACCESS, "only an Application Server gets AppSKeys");
	}
	if (device->activation.as_id[0] == '\0') {
		/* Wrapped under its own KEK, only the right one reads it. */
		return device->activation.as_kek[0] != '\0'
		    ? JY_OK
		    : err_set(ec, JY_EACCESS,
			  "the device names no Application Server (as-id)");
	}
	for (size_t i = 0; i < peer->as_id_count; i++) {
		if (strcmp(peer->as_ids[i], device->activation.as_id) == 0) {
			return JY_OK;
		}
	}
	return err_set(ec, JY_EACCESS,
	    "peer %s is not the device's Application Server, %s", peer->name,
	    device->activation.as_id);
}
