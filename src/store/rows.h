/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store keeps, as plain values, and how each row is laid out in
 * octets.  No row holds a key in clear; a root row holds a wrapped one, a KEK
 * row one that everybody knows.
 *
 * Text fields are NUL-terminated and at most ..._MAX octets long without the
 * NUL; an empty text means "not set".
 */
#ifndef JY_STORE_ROWS_H
#define JY_STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/lorawan/nonce.h"
#include "src/lorawan/version.h"

#define STORE_LABEL_MAX 64 /* KEK labels, names of peers, apps, devices */
#define STORE_AS_ID_MAX 128
#define STORE_SAN_MAX 255
#define STORE_REASON_MAX 159
#define STORE_NET_IDS_MAX 16
#define STORE_AS_IDS_MAX 8
#define STORE_NS_IDS_MAX 8
#define STORE_HASH_LEN 32
#define STORE_URL_MAX 255
#define STORE_PATH_MAX 255
#define STORE_SESSIONS_MAX 101 /* of a device: 100, and the live one */
#define STORE_ID_LEN 16        /* a session key ID */
#define STORE_KCV_LEN 4
#define STORE_FINGERPRINT_LEN 32
#define STORE_AUDIT_TEXT_MAX 254
#define STORE_AUDIT_MAC_LEN 16

/* A device is the pair of its EUIs. */
struct device_id {
	struct eui64 dev_eui;
	struct eui64 join_eui;
};

bool device_id_eq(const struct device_id *a, const struct device_id *b);

/* A root key that the token holds for a device; generation 0: none. */
struct device_key {
	uint32_t generation;
	uint8_t role; /* enum key_role of join/keys.h */
};

/* What a root key that was imported answers; not known of older rows. */
struct key_check {
	bool known;
	uint8_t value[STORE_KCV_LEN];
};

#define STORE_OLD_KEYS_MAX 8
#define STORE_RECEIVER_LEN 16 /* hexadecimal digits */
#define STORE_BLOB_LEN 24
#define STORE_BINDING_LEN 8

/*
 * A root key that is kept outside the token; one that has no such row is in
 * the token.  It opens nowhere but there; see hsm_stored.
 */
struct root_row {
	struct device_id device;
	struct device_key key;
	uint32_t storage; /* number of the storage key */
	uint8_t blob[STORE_BLOB_LEN];
	uint8_t mac[STORE_BINDING_LEN];
};

/* Which storage keys there are; 0: none. */
struct storage_state {
	uint32_t current; /* wraps what is put from now on */
	uint32_t old;     /* is being replaced: may still be needed */
};

/* Who may ask for a device's home network; as Roaming of the protocol. */
enum roaming_mode {
	ROAMING_DEFAULT = 0, /* as the application says; there: nobody */
	ROAMING_NONE = 1,
	ROAMING_LISTED = 2,
	ROAMING_ANY = 3
};

/*
 * What a device says itself or leaves to its application: a part that is not
 * set is the application's, within the limits of access_inherit.
 */
struct activation {
	uint8_t net_id_count; /* home NetIDs; 0: not set */
	uint32_t net_ids[STORE_NET_IDS_MAX];
	char as_id[STORE_AS_ID_MAX + 1];
	char ns_kek[STORE_LABEL_MAX + 1];
	char as_kek[STORE_LABEL_MAX + 1];
	bool has_ns_id;
	struct eui64 ns_id; /* home NSID */
	uint8_t roaming;    /* enum roaming_mode */
	uint8_t roaming_net_id_count;
	uint32_t roaming_net_ids[STORE_NET_IDS_MAX];
};

/* Whether it names the KEK. */
bool activation_uses_kek(const struct activation *a, const char *label);

/* An application's settings. */
struct app_row {
	char name[STORE_LABEL_MAX + 1];
	uint32_t revision; /* counts changes; 0: not stored yet */
	struct activation activation;
};

struct device_row {
	struct device_id id;
	uint32_t revision;           /* counts changes; 0: not stored yet */
	enum lw_version mac_version; /* LW_VERSION_NONE: as the NS says */
	struct activation activation;
	char app[STORE_LABEL_MAX + 1];
	char name[STORE_LABEL_MAX + 1];
	bool resets_join_nonces;
	bool v10_root_is_app_key;
	bool released; /* to another Join Server: no joins here */
	/* To which: the begin of its import key's SHA-256; "": not known. */
	char released_to[STORE_RECEIVER_LEN + 1];
	struct device_key nwk_key;
	struct device_key app_key;
	struct key_check nwk_check;
	struct key_check app_check;
	/* Replaced root keys that may be in the token: role 1 | generation 4.
	 */
	uint8_t old_key_count;
	uint64_t old_keys[STORE_OLD_KEYS_MAX];
	uint64_t created_ms;
	uint64_t changed_ms;
};

/*
 * The counters of a device; they outlive the device row, so that a device
 * deleted and registered again never sees a JoinNonce twice.
 */
struct nonce_row {
	uint32_t join_nonce; /* the last one used; 0: none */
	bool has_dev_nonce;
	uint16_t dev_nonce; /* the highest accepted */
	bool has_rj_count0;
	uint16_t rj_count0; /* last one of the live session */
	bool has_rj_count1;
	uint16_t rj_count1;
	uint32_t counted; /* DevNonces below it are used: a counter came by */
	/* JoinNonce of the session that the device was last known to use: its
	 * join's, or that of a rejoin-request's MIC; 0: not known. */
	uint32_t live;
};

/* What derives a session's keys again. */
struct session_row {
	uint8_t id[STORE_ID_LEN]; /* ULID layout: 48-bit ms, 80 random */
	struct device_id device;
	enum lw_version mac_version; /* of the join */
	bool opt_neg;
	uint8_t join_type;         /* enum lw_join_type */
	struct device_key nwk_key; /* root of the network keys */
	struct device_key app_key; /* root of the AppSKey; may be none */
	uint32_t join_nonce;
	uint16_t counter; /* DevNonce, or RJcount */
	uint32_t net_id;
	uint32_t dev_addr;
	uint8_t dl_settings; /* this and the next: what makes */
	uint8_t rx_delay;    /* the same join-accept again */
	bool has_cf_list;
	uint8_t cf_list[16];
	uint8_t mic[4]; /* of the request */
	uint64_t created_ms;
	uint64_t expires_ms;            /* 0: without end */
	char peer[STORE_LABEL_MAX + 1]; /* the NS that asked */
};

#define STORE_PROOF_LEN 24
#define STORE_KEK_GENERATIONS_MAX 8 /* of a label at a time */

/*
 * A generation of a key encryption key; the token holds it under key_id.
 * Devices, applications and peers name the label, envelopes wire_label.
 */
struct kek_row {
	char label[STORE_LABEL_MAX + 1];
	uint32_t generation; /* 1.. */
	uint64_t key_id;     /* random, part of its CKA_ID */
	uint16_t bits;       /* 128, 192, 256 */
	uint8_t kcv[STORE_KCV_LEN];
	uint64_t created_ms;
	char wire_label[STORE_LABEL_MAX + 1]; /* no other row has it */
	uint64_t active_ms; /* from when on it is used; 0: ever since */
	bool has_proof;     /* not in older rows */
	/* The token's test key under this one: tells whether an object of
	 * that CKA_ID is still this key, its length included. */
	uint8_t proof[STORE_PROOF_LEN];
	/* The label had generations up to this one, which are no more; 0, or
	 * less than those there are: none above them. */
	uint32_t highest;
};

enum peer_role { /* as PeerRole of the protocol */
	PEER_NONE = 0,
	PEER_NS = 1,
	PEER_AS = 2,
	PEER_ADMIN = 3,
	PEER_NS_AS = 4 /* a Network and Application Server in one */
};

/* Whether the role includes what a PEER_NS or PEER_AS may do. */
bool peer_role_is(enum peer_role role, enum peer_role wanted);

struct peer_row {
	char name[STORE_LABEL_MAX + 1];
	uint32_t revision; /* counts changes; 0: not stored yet */
	enum peer_role role;
	uint8_t net_id_count;
	uint32_t net_ids[STORE_NET_IDS_MAX];
	uint8_t as_id_count;
	char as_ids[STORE_AS_IDS_MAX][STORE_AS_ID_MAX + 1];
	char cert_san[STORE_SAN_MAX + 1];
	bool has_fingerprint;
	uint8_t fingerprint[STORE_FINGERPRINT_LEN];
	bool has_uid;
	uint32_t uid;
	char kek[STORE_LABEL_MAX + 1];
	bool clear_keys; /* may get keys in clear without KEK */
	uint8_t ns_id_count;
	struct eui64 ns_ids[STORE_NS_IDS_MAX];
	bool has_bearer;
	uint8_t bearer_hash[STORE_HASH_LEN];  /* see Peer in joinery.proto */
	char basic_user[STORE_LABEL_MAX + 1]; /* "": no basic credential */
	uint8_t basic_hash[STORE_HASH_LEN];
	char answer_url[STORE_URL_MAX + 1]; /* "": answers in the response */
	char
	    answer_ca[STORE_PATH_MAX + 1]; /* PEM files, "": the server's own */
	char answer_cert[STORE_PATH_MAX + 1];
	char answer_key[STORE_PATH_MAX + 1];
};

/* The last refused join of a device. */
struct refusal_row {
	struct device_id device;
	uint64_t time_ms;
	uint16_t wire_code; /* ErrorCode of the protocol */
	uint16_t counter;   /* DevNonce, or RJcount of a rejoin */
	char peer[STORE_LABEL_MAX + 1];
	char reason[STORE_REASON_MAX + 1];
};

/* One event of the audit log; what it means is src/join/audit.h's. */
struct audit_row {
	uint64_t seq; /* 1, 2, ... */
	uint64_t time_ms;
	uint8_t event;
	char who[STORE_LABEL_MAX + 1];
	char text[STORE_AUDIT_TEXT_MAX + 1];
	uint8_t mac[STORE_AUDIT_MAC_LEN]; /* chains it to the one before */
};

/* Where the audit log ends; zero while it is empty. */
struct audit_head {
	uint64_t seq;
	uint8_t mac[STORE_AUDIT_MAC_LEN];
};

/* Room that any row fits in. */
#define ROW_MAX 4096

/*
 * Checkers find what an encoder must not be given: a text without its NUL, a
 * number or a count that the octets have no room for, an unknown enumerator.
 * JY_EINVAL, and the detail names the field.
 */
enum jy_err row_check_device(
    const struct device_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_nonce(
    const struct nonce_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_session(
    const struct session_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_kek(
    const struct kek_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_peer(
    const struct peer_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_refusal(
    const struct refusal_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_root(
    const struct root_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_app(
    const struct app_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_check_audit(
    const struct audit_row *row, struct errctx *ec) JY_CHECK;

/*
 * Encoders return the length and never fail; a row that its checker refuses
 * is our own fault.
 * Decoders take what a file held: JY_ECORRUPT, with what was wrong as detail,
 * for a version they do not know, a length that does not fit or a value out
 * of range.  Fields that the key holds (id, device, key, label, name) are not
 * in the octets; the caller fills them in.
 */
size_t row_encode_device(const struct device_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_nonce(const struct nonce_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_session(const struct session_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_kek(const struct kek_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_peer(const struct peer_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_refusal(const struct refusal_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_app(const struct app_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_root(const struct root_row *row, uint8_t out[ROW_MAX]);
size_t row_encode_audit(const struct audit_row *row, uint8_t out[ROW_MAX]);

enum jy_err row_decode_device(const uint8_t *p, size_t len,
    struct device_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_decode_nonce(const uint8_t *p, size_t len,
    struct nonce_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_decode_session(const uint8_t *p, size_t len,
    struct session_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_decode_kek(const uint8_t *p, size_t len, struct kek_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err row_decode_peer(const uint8_t *p, size_t len, struct peer_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err row_decode_refusal(const uint8_t *p, size_t len,
    struct refusal_row *row, struct errctx *ec) JY_CHECK;
enum jy_err row_decode_app(const uint8_t *p, size_t len, struct app_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err row_decode_root(const uint8_t *p, size_t len, struct root_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err row_decode_audit(const uint8_t *p, size_t len,
    struct audit_row *row, struct errctx *ec) JY_CHECK;

#endif
