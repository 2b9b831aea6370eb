/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in transactions: get with decoding, put with encoding.  Private to
 * the lmdb backend.  A get gives JY_ENOTFOUND without a detail; a row that
 * cannot be read gives JY_ECORRUPT and names table and key.
 */
#ifndef JY_STORE_LMDB_ROWS_H
#define JY_STORE_LMDB_ROWS_H

#include "src/store/lmdb_txn.h"

/* The key of a device: its EUIs, DevEUI first; borrows id. */
struct slice slice_of_device(const struct device_id *id);

/* The key of a root row: its device, role 1, generation 4. */
struct root_key {
	uint8_t octets[sizeof(struct device_id) + 5];
};

struct root_key root_key_of(
    const struct device_id *device, const struct device_key *key);
/* false: it is no such key. */
bool root_key_read(struct slice key, struct device_key *out);
struct slice slice_of_root(const struct root_key *key);

struct slice slice_of_session(const uint8_t id[STORE_ID_LEN]);
struct slice slice_of_credential(const struct credential *c);

/* A device's id from octets of a key or value of any table. */
enum jy_err device_id_read(struct txn *t, enum table table, struct slice key,
    struct slice octets, struct device_id *id) JY_CHECK;

/* A label or name of at most STORE_LABEL_MAX octets from a key or value. */
enum jy_err label_read(struct txn *t, enum table table, struct slice key,
    struct slice octets, char out[STORE_LABEL_MAX + 1]) JY_CHECK;

/*
 * A session of a device as TABLE_DEVICE_SESSIONS lists it: JoinNonces only
 * grow, so they tell the order in which sessions were made, whatever the
 * clock did.
 */
struct listed_session {
	uint8_t join_nonce_be[3];
	uint8_t id[STORE_ID_LEN];
};

struct listed_session listed_session(const struct session_row *row);
uint32_t listed_join_nonce(const struct listed_session *s);
struct slice slice_of_listed(const struct listed_session *s);

enum jy_err listed_session_at(
    const struct cursor *c, struct listed_session *out) JY_CHECK;

enum jy_err device_row_get(
    struct txn *t, const struct device_id *id, struct device_row *row) JY_CHECK;
enum jy_err device_row_put(
    struct txn *t, const struct device_row *row) JY_CHECK;
enum jy_err device_row_at(
    const struct cursor *c, struct device_row *row) JY_CHECK;

/* Zero when there is none yet. */
enum jy_err nonce_row_get(
    struct txn *t, const struct device_id *id, struct nonce_row *row) JY_CHECK;
enum jy_err nonce_row_put(struct txn *t, const struct device_id *id,
    const struct nonce_row *row) JY_CHECK;

enum jy_err session_row_get(struct txn *t, const uint8_t id[STORE_ID_LEN],
    struct session_row *row) JY_CHECK;
enum jy_err session_row_put(
    struct txn *t, const struct session_row *row) JY_CHECK;

enum jy_err refusal_row_get(struct txn *t, const struct device_id *id,
    struct refusal_row *row) JY_CHECK;
enum jy_err refusal_row_put(
    struct txn *t, const struct refusal_row *row) JY_CHECK;

enum jy_err root_row_get(struct txn *t, const struct device_id *device,
    const struct device_key *key, struct root_row *row) JY_CHECK;
enum jy_err root_row_put(struct txn *t, const struct root_row *row) JY_CHECK;
enum jy_err root_row_at(const struct cursor *c, struct root_row *row) JY_CHECK;

/* ---- lmdb_root.c, for the verbs of devices ---- */

/* JY_ECONFLICT when a storage key is not to be used any more. */
enum jy_err roots_check(struct txn *t, const struct device_change *c) JY_CHECK;
enum jy_err roots_put(struct txn *t, const struct device_change *c) JY_CHECK;
enum jy_err roots_erase(struct txn *t, const struct device_id *id,
    struct device_gone *gone) JY_CHECK;

enum jy_err app_row_get(
    struct txn *t, const char *name, struct app_row *row) JY_CHECK;
enum jy_err app_row_put(struct txn *t, const struct app_row *row) JY_CHECK;
enum jy_err app_row_at(const struct cursor *c, struct app_row *row) JY_CHECK;

/* The key of a generation; the slice borrows key. */
struct kek_key {
	uint8_t b[STORE_LABEL_MAX + 1 + 4];
};

struct slice kek_key_make(
    struct kek_key *key, const char *label, uint32_t generation);
enum jy_err kek_row_put(struct txn *t, const struct kek_row *row) JY_CHECK;
enum jy_err kek_row_at(const struct cursor *c, struct kek_row *row) JY_CHECK;

enum jy_err peer_row_get(
    struct txn *t, const char *name, struct peer_row *row) JY_CHECK;
/* The key of an event, into its buffer. */
struct slice slice_of_seq(uint64_t seq, uint8_t be[8]);

enum jy_err audit_row_get(
    struct txn *t, uint64_t seq, struct audit_row *row) JY_CHECK;
enum jy_err audit_row_put(struct txn *t, const struct audit_row *row) JY_CHECK;
enum jy_err audit_row_at(
    const struct cursor *c, struct audit_row *row) JY_CHECK;

enum jy_err peer_row_put(struct txn *t, const struct peer_row *row) JY_CHECK;
enum jy_err peer_row_at(const struct cursor *c, struct peer_row *row) JY_CHECK;

#endif
