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

/* The peer of the socket: by uid, by certificate. */
static enum jy_err
find_by_socket(struct store *store, const struct credential *c,
    struct peer_row *out, struct errctx *ec)
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

static enum jy_err
find_by_authorization(struct store *store, const struct credential *c,
    struct peer_row *out, struct errctx *ec)
{
	return c->has_authorization
	    ? store_peer_by_authorization(store, c->authorization_hash, out, ec)
	    : JY_ENOTFOUND;
}

static enum jy_err
find_by_proxy(struct store *store, const struct credential *c,
    struct peer_row *out, struct errctx *ec)
{
	return c->proxied_peer != NULL
	    ? store_peer_get(store, c->proxied_peer, out, ec)
	    : JY_ENOTFOUND;
}

typedef enum jy_err part_finder(struct store *store, const struct credential *c,
    struct peer_row *out, struct errctx *ec);

static part_finder *const parts[] = {
	find_by_socket,
	find_by_authorization,
	find_by_proxy,
};

/* All parts of a credential that anybody owns belong to one peer. */
static enum jy_err
find_peer(struct store *store, const struct credential *c, struct peer_row *out,
    struct errctx *ec)
{
	struct peer_row row;
	bool found = false;
	enum jy_err err;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		err = parts[i](store, c, &row, ec);
		if (err == JY_ENOTFOUND) {
			err_clear(ec);
			continue;
		}
		if (err != JY_OK) {
			return err;
		}
		if (found && strcmp(row.name, out->name) != 0) {
			return err_set(ec, JY_EPEER,
			    "the connection proves two peers, %s and %s",
			    out->name, row.name);
		}
		*out = row;
		found = true;
	}
	return found ? JY_OK : JY_ENOTFOUND;
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
	if (c->proxied_peer != NULL) {
		return err_set(ec, JY_EPEER,
		    "no peer is registered by the name that the proxy gives");
	}
	if (c->has_authorization) {
		return err_set(ec, JY_EPEER,
		    "no peer is registered for the HTTP Authorization");
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
	if (err != JY_OK) {
		/* Half a proof is none: nothing goes to whom it began with. */
		memset(&out->peer, 0, sizeof(out->peer));
	}
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

static bool
has_ns_id(const struct peer_row *peer, const struct eui64 *ns_id)
{
	for (size_t i = 0; i < peer->ns_id_count; i++) {
		if (eui64_eq(&peer->ns_ids[i], ns_id)) {
			return true;
		}
	}
	return false;
}

static bool
has_as_id(const struct peer_row *peer, const char *as_id)
{
	for (size_t i = 0; i < peer->as_id_count; i++) {
		if (strcmp(peer->as_ids[i], as_id) == 0) {
			return true;
		}
	}
	return false;
}

enum jy_err
access_sender(
    const struct peer_row *peer, const struct sender *sender, struct errctx *ec)
{
	char ns_id[EUI64_STR_LEN];

	if (sender->has_net_id &&
	    !has_net_id(peer->net_ids, peer->net_id_count, sender->net_id)) {
		return err_set(ec, JY_EPEER,
		    "peer %s does not speak for NetID %06x", peer->name,
		    sender->net_id);
	}
	if (sender->has_ns_id && !has_ns_id(peer, &sender->ns_id)) {
		return err_set(ec, JY_EPEER,
		    "peer %s does not speak for NSID %s", peer->name,
		    eui64_str(&sender->ns_id, ns_id));
	}
	if (sender->as_id != NULL && !has_as_id(peer, sender->as_id)) {
		return err_set(ec, JY_EPEER,
		    "peer %s does not speak for AS-ID %s", peer->name,
		    sender->as_id);
	}
	return JY_OK;
}

static bool
is_home(const struct activation *a, uint32_t net_id)
{
	return has_net_id(a->net_ids, a->net_id_count, net_id);
}

/* A text that is not set. */
static void
inherit_text(char *mine, const char *theirs, size_t size)
{
	if (mine[0] == '\0') {
		memcpy(mine, theirs, size);
	}
}

/* Whether the device's networks are the application's, or some of them. */
static bool
net_ids_within(const struct activation *device, const struct activation *app)
{
	for (size_t i = 0; i < device->net_id_count; i++) {
		if (!is_home(app, device->net_ids[i])) {
			return false;
		}
	}
	return true;
}

/* What goes to Network Servers: an NSID is one of a network's. */
static void
inherit_network(struct activation *device, const struct activation *app)
{
	if (device->net_id_count == 0) {
		device->net_id_count = app->net_id_count;
		memcpy(device->net_ids, app->net_ids, sizeof(app->net_ids));
	} else if (!net_ids_within(device, app)) {
		return;
	}
	if (!device->has_ns_id) {
		device->has_ns_id = app->has_ns_id;
		device->ns_id = app->ns_id;
	}
	if (device->has_ns_id == app->has_ns_id &&
	    eui64_eq(&device->ns_id, &app->ns_id)) {
		inherit_text(device->ns_kek, app->ns_kek, sizeof(app->ns_kek));
	}
}

void
access_inherit(struct activation *device, const struct activation *app)
{
	inherit_network(device, app);
	inherit_text(device->as_id, app->as_id, sizeof(app->as_id));
	if (strcmp(device->as_id, app->as_id) == 0) {
		inherit_text(device->as_kek, app->as_kek, sizeof(app->as_kek));
	}
	/* The list is part of the mode that reads it. */
	if (device->roaming == ROAMING_DEFAULT) {
		device->roaming = app->roaming;
		device->roaming_net_id_count = app->roaming_net_id_count;
		memcpy(device->roaming_net_ids, app->roaming_net_ids,
		    sizeof(app->roaming_net_ids));
	}
}

/* A Network Server that speaks for net_id. */
static enum jy_err
check_network_server(const struct peer_row *peer, uint32_t net_id,
    const char *gets, struct errctx *ec)
{
	if (!peer_role_is(peer->role, PEER_NS)) {
		return err_set(
		    ec, JY_EACCESS, "only a Network Server gets %s", gets);
	}
	if (!has_net_id(peer->net_ids, peer->net_id_count, net_id)) {
		return err_set(ec, JY_EACCESS,
		    "peer %s does not speak for NetID %06x", peer->name,
		    net_id);
	}
	return JY_OK;
}

/*
 * The home Network Server among those of a NetID.  Not all can say their NSID
 * (Backend Interfaces 1.0), but who has some and not that one is another.
 */
static enum jy_err
check_home_ns(const struct peer_row *peer, const struct eui64 *home,
    const struct sender *sender, struct errctx *ec)
{
	char a[EUI64_STR_LEN], b[EUI64_STR_LEN];

	if (sender->has_ns_id && !eui64_eq(&sender->ns_id, home)) {
		return err_set(ec, JY_EACCESS,
		    "NSID %s is not the device's home NSID, %s",
		    eui64_str(&sender->ns_id, a), eui64_str(home, b));
	}
	if (!sender->has_ns_id && peer->ns_id_count > 0 &&
	    !has_ns_id(peer, home)) {
		return err_set(ec, JY_EACCESS,
		    "peer %s does not speak for the device's home NSID, %s",
		    peer->name, eui64_str(home, b));
	}
	return JY_OK;
}

enum jy_err
access_network(const struct peer_row *peer, const struct activation *a,
    uint32_t net_id, const struct sender *sender, struct errctx *ec)
{
	enum jy_err err;

	err = check_network_server(peer, net_id, "network session keys", ec);
	if (err != JY_OK) {
		return err;
	}
	if (a->net_id_count > 0 && !is_home(a, net_id)) {
		return err_set(ec, JY_EACCESS,
		    "NetID %06x is no home NetID of the device", net_id);
	}
	return a->has_ns_id ? check_home_ns(peer, &a->ns_id, sender, ec)
			    : JY_OK;
}

enum jy_err
access_app(const struct peer_row *peer, const struct activation *a,
    const struct sender *sender, struct errctx *ec)
{
	if (!peer_role_is(peer->role, PEER_AS)) {
		return err_set(
		    ec, JY_EACCESS, "only an Application Server gets AppSKeys");
	}
	if (a->as_id[0] == '\0') {
		/* Wrapped under its own KEK, only the right one reads it. */
		return a->as_kek[0] != '\0'
		    ? JY_OK
		    : err_set(ec, JY_EACCESS,
			  "the device names no Application Server (as-id)");
	}
	if (!has_as_id(peer, a->as_id)) {
		return err_set(ec, JY_EACCESS,
		    "peer %s is not the device's Application Server, %s",
		    peer->name, a->as_id);
	}
	if (sender->as_id != NULL && strcmp(sender->as_id, a->as_id) != 0) {
		return err_set(ec, JY_EACCESS,
		    "AS-ID %s is not the device's, %s", sender->as_id,
		    a->as_id);
	}
	return JY_OK;
}

enum jy_err
access_home(const struct peer_row *peer, const struct activation *a,
    uint32_t net_id, struct errctx *ec)
{
	enum jy_err err;

	err = check_network_server(peer, net_id, "a device's home", ec);
	if (err != JY_OK) {
		return err;
	}
	if (is_home(a, net_id) || a->roaming == ROAMING_ANY ||
	    (a->roaming == ROAMING_LISTED &&
		has_net_id(
		    a->roaming_net_ids, a->roaming_net_id_count, net_id))) {
		return JY_OK;
	}
	return err_set(ec, JY_EROAMING,
	    "the device has no roaming agreement with NetID %06x", net_id);
}
