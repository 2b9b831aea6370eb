/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and what that one may have.
 *
 * Network session keys go to a Network Server only for a NetID it speaks for
 * and only if the device names no other NetIDs; an AppSKey goes only to the
 * device's Application Server, or, if the device names none but a KEK for it,
 * under that KEK.  An admin may manage, and gets no key.
 */
#ifndef JY_JOIN_ACCESS_H
#define JY_JOIN_ACCESS_H

#include "src/store/store.h"

/* What a connection proved; the front vouches for it. */
struct credential {
	bool has_uid;
	uint32_t uid;
	bool has_fingerprint;
	uint8_t fingerprint[STORE_FINGERPRINT_LEN];
	const char *const *sans; /* borrowed */
	size_t san_count;
	bool has_authorization;
	uint8_t authorization_hash[STORE_HASH_LEN];
	const char *proxied_peer; /* borrowed; NULL: none */
};

/* Whom a request says it speaks for; see Sender in joinery.proto. */
struct sender {
	bool has_net_id;
	uint32_t net_id;
	bool has_ns_id;
	struct eui64 ns_id;
	const char *as_id; /* borrowed; NULL: not said */
};

/* Whom a credential belongs to. */
struct asker {
	bool admin;
	struct peer_row peer;           /* role PEER_NONE: only an admin */
	char name[STORE_LABEL_MAX + 1]; /* the peer's, or "uid N" */
};

/*
 * Find the peer of a credential: by uid, by certificate fingerprint, else by
 * a name in the certificate; by HTTP authorization; by the name a trusted
 * proxy gave.  admin_uid says whether the uid is an admin by configuration.
 * JY_EPEER when nobody owns it, or when its parts belong to more than one
 * peer; parts that nobody owns do no harm beside one that somebody does.
 */
enum jy_err access_find(struct store *store, const struct credential *c,
    bool admin_uid, struct asker *out, struct errctx *ec) JY_CHECK;

enum jy_err access_admin(const struct asker *a, struct errctx *ec) JY_CHECK;

/* JY_EPEER when the peer does not own what it says it speaks for. */
enum jy_err access_sender(const struct peer_row *peer,
    const struct sender *sender, struct errctx *ec) JY_CHECK;

/*
 * What a device does not say itself, it takes from its application.  But a KEK
 * is of those beside whom it stands, and so is an NSID: a device with another
 * AS-ID takes no as_kek, one with a NetID that is not its application's
 * neither NSID nor ns_kek, one with another NSID no ns_kek.
 */
void access_inherit(struct activation *device, const struct activation *app);

/*
 * May the peer have network session keys of this device, under net_id?  a is
 * the device's activation after access_inherit, here and below.  If it names
 * an NSID, the sender has to be that one; a sender that says none, one of whose
 * NSIDs it is, or one that has no NSID at all.
 */
enum jy_err access_network(const struct peer_row *peer,
    const struct activation *a, uint32_t net_id, const struct sender *sender,
    struct errctx *ec) JY_CHECK;

/* May the peer have AppSKeys of this device? */
enum jy_err access_app(const struct peer_row *peer, const struct activation *a,
    const struct sender *sender, struct errctx *ec) JY_CHECK;

/*
 * May the peer be told the device's home network?  JY_EROAMING when its NetID
 * is neither a home NetID nor on the list of agreements.
 */
enum jy_err access_home(const struct peer_row *peer, const struct activation *a,
    uint32_t net_id, struct errctx *ec) JY_CHECK;

#endif
