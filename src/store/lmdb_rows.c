/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in transactions of LMDB: keys, and encoded values, of each table. */
#include "src/store/lmdb_rows.h"

#include <assert.h>
#include <string.h>

#include "src/base/bytes.h"

static_assert(sizeof(struct device_id) == 16, "a device id is its key");

struct slice
slice_of_device(const struct device_id *id)
{
	return (struct slice){ (const uint8_t *)id, sizeof(*id) };
}

struct root_key
root_key_of(const struct device_id *device, const struct device_key *key)
{
	struct root_key k = { { 0 } };
	struct writer w;

	writer_init(&w, k.octets, sizeof(k.octets));
	writer_copy(&w, device, sizeof(*device));
	writer_u8(&w, key->role);
	writer_be(&w, key->generation, 4);
	jy_assert(w.len == sizeof(k.octets));
	return k;
}

bool
root_key_read(struct slice key, struct device_key *out)
{
	struct reader r;

	if (key.len != sizeof(struct root_key)) {
		return false;
	}
	reader_init(&r, key.p + sizeof(struct device_id), 5);
	out->role = reader_u8(&r);
	out->generation = (uint32_t)reader_be(&r, 4);
	return true;
}

struct slice
slice_of_root(const struct root_key *key)
{
	return (struct slice){ key->octets, sizeof(key->octets) };
}

struct slice
slice_of_session(const uint8_t id[STORE_ID_LEN])
{
	return (struct slice){ id, STORE_ID_LEN };
}

struct slice
slice_of_credential(const struct credential *c)
{
	return (struct slice){ c->octets, c->len };
}

static enum jy_err
bad_length(struct txn *t, enum table table, struct slice key, size_t len)
{
	struct errctx why = ERRCTX_INIT;

	(void)err_set(&why, JY_ECORRUPT, "a reference of length %zu", len);
	return txn_corrupt(t, table, key, &why);
}

enum jy_err
device_id_read(struct txn *t, enum table table, struct slice key,
    struct slice octets, struct device_id *id)
{
	if (octets.len != sizeof(*id)) {
		return bad_length(t, table, key, octets.len);
	}
	memcpy(id, octets.p, sizeof(*id));
	return JY_OK;
}

enum jy_err
label_read(struct txn *t, enum table table, struct slice key,
    struct slice octets, char out[STORE_LABEL_MAX + 1])
{
	if (octets.len == 0 || octets.len > STORE_LABEL_MAX ||
	    memchr(octets.p, '\0', octets.len) != NULL) {
		return bad_length(t, table, key, octets.len);
	}
	memcpy(out, octets.p, octets.len);
	out[octets.len] = '\0';
	return JY_OK;
}

struct listed_session
listed_session(const struct session_row *row)
{
	struct listed_session s = {
		.join_nonce_be = { (uint8_t)(row->join_nonce >> 16),
		    (uint8_t)(row->join_nonce >> 8), (uint8_t)row->join_nonce },
	};

	memcpy(s.id, row->id, sizeof(s.id));
	return s;
}

uint32_t
listed_join_nonce(const struct listed_session *s)
{
	return (uint32_t)s->join_nonce_be[0] << 16 |
	    (uint32_t)s->join_nonce_be[1] << 8 | s->join_nonce_be[2];
}

struct slice
slice_of_listed(const struct listed_session *s)
{
	return (struct slice){ (const uint8_t *)s, sizeof(*s) };
}

enum jy_err
listed_session_at(const struct cursor *c, struct listed_session *out)
{
	if (c->value.len != sizeof(*out)) {
		return bad_length(c->txn, c->table, c->key, c->value.len);
	}
	memcpy(out, c->value.p, sizeof(*out));
	return JY_OK;
}

/*
 * kind##_value(): decode a value, and say where a damaged one lies.
 * kind##_store(): encode and put.  kind##_fetch(): get a value by its key.
 */
#define ROW_CODE(kind, table) \
	static enum jy_err kind##_value(struct txn *t, struct slice key, \
	    struct slice value, struct kind##_row *row) \
	{ \
		struct errctx why = ERRCTX_INIT; \
\
		if (row_decode_##kind(value.p, value.len, row, &why) != \
		    JY_OK) { \
			return txn_corrupt(t, table, key, &why); \
		} \
		return JY_OK; \
	} \
	static enum jy_err kind##_store( \
	    struct txn *t, struct slice key, const struct kind##_row *row) \
	{ \
		uint8_t buf[ROW_MAX]; \
		struct slice value = { buf, row_encode_##kind(row, buf) }; \
\
		return txn_put(t, table, key, value); \
	}
#define ROW_ACCESS(kind, table) \
	ROW_CODE(kind, table) \
	static enum jy_err kind##_fetch( \
	    struct txn *t, struct slice key, struct kind##_row *row) \
	{ \
		struct slice value; \
		enum jy_err err = txn_get(t, table, key, &value); \
\
		return err == JY_OK ? kind##_value(t, key, value, row) : err; \
	}

ROW_ACCESS(device, TABLE_DEVICES)
ROW_ACCESS(nonce, TABLE_NONCES)
ROW_ACCESS(session, TABLE_SESSIONS)
ROW_ACCESS(refusal, TABLE_REFUSALS)
ROW_ACCESS(app, TABLE_APPS)
ROW_CODE(kek, TABLE_KEKS)
ROW_ACCESS(peer, TABLE_PEERS)
ROW_ACCESS(root, TABLE_ROOTS)
ROW_ACCESS(audit, TABLE_AUDIT)

enum jy_err
device_row_get(
    struct txn *t, const struct device_id *id, struct device_row *row)
{
	enum jy_err err = device_fetch(t, slice_of_device(id), row);

	if (err == JY_OK) {
		row->id = *id;
	}
	return err;
}

enum jy_err
device_row_put(struct txn *t, const struct device_row *row)
{
	return device_store(t, slice_of_device(&row->id), row);
}

enum jy_err
device_row_at(const struct cursor *c, struct device_row *row)
{
	struct device_id id = { 0 };
	enum jy_err err = device_id_read(c->txn, c->table, c->key, c->key, &id);

	if (err == JY_OK) {
		err = device_value(c->txn, c->key, c->value, row);
	}
	if (err == JY_OK) {
		row->id = id;
	}
	return err;
}

enum jy_err
nonce_row_get(struct txn *t, const struct device_id *id, struct nonce_row *row)
{
	enum jy_err err = nonce_fetch(t, slice_of_device(id), row);

	if (err == JY_ENOTFOUND) {
		*row = (struct nonce_row){ 0 };
		return JY_OK;
	}
	return err;
}

enum jy_err
nonce_row_put(
    struct txn *t, const struct device_id *id, const struct nonce_row *row)
{
	return nonce_store(t, slice_of_device(id), row);
}

enum jy_err
session_row_get(
    struct txn *t, const uint8_t id[STORE_ID_LEN], struct session_row *row)
{
	enum jy_err err = session_fetch(t, slice_of_session(id), row);

	if (err == JY_OK) {
		memcpy(row->id, id, sizeof(row->id));
	}
	return err;
}

enum jy_err
session_row_put(struct txn *t, const struct session_row *row)
{
	return session_store(t, slice_of_session(row->id), row);
}

enum jy_err
refusal_row_get(
    struct txn *t, const struct device_id *id, struct refusal_row *row)
{
	enum jy_err err = refusal_fetch(t, slice_of_device(id), row);

	if (err == JY_OK) {
		row->device = *id;
	}
	return err;
}

enum jy_err
refusal_row_put(struct txn *t, const struct refusal_row *row)
{
	return refusal_store(t, slice_of_device(&row->device), row);
}

enum jy_err
app_row_get(struct txn *t, const char *name, struct app_row *row)
{
	enum jy_err err = app_fetch(t, slice_of_text(name), row);

	if (err == JY_OK) {
		memcpy(row->name, name, strlen(name) + 1);
	}
	return err;
}

enum jy_err
app_row_put(struct txn *t, const struct app_row *row)
{
	return app_store(t, slice_of_text(row->name), row);
}

enum jy_err
app_row_at(const struct cursor *c, struct app_row *row)
{
	enum jy_err err = app_value(c->txn, c->key, c->value, row);

	return err == JY_OK
	    ? label_read(c->txn, c->table, c->key, c->key, row->name)
	    : err;
}

/*
 * The first generation has the label alone as its key, as before there were
 * others: those stand behind it.
 */
struct slice
kek_key_make(struct kek_key *key, const char *label, uint32_t generation)
{
	struct writer w;

	writer_init(&w, key->b, sizeof(key->b));
	writer_copy(&w, label, strlen(label));
	if (generation != 1) {
		writer_u8(&w, 0);
		writer_be(&w, generation, 4);
	}
	jy_assert(writer_ok(&w));
	return (struct slice){ key->b, w.len };
}

enum jy_err
kek_row_put(struct txn *t, const struct kek_row *row)
{
	struct kek_key key;

	return kek_store(
	    t, kek_key_make(&key, row->label, row->generation), row);
}

/* Label and generation out of a key. */
static enum jy_err
kek_key_read(const struct cursor *c, struct kek_row *row)
{
	const uint8_t *nul = memchr(c->key.p, '\0', c->key.len);
	struct slice label = { c->key.p,
		nul != NULL ? (size_t)(nul - c->key.p) : c->key.len };
	struct reader r;

	row->generation = 1;
	if (nul != NULL) {
		reader_init(&r, nul + 1, c->key.len - label.len - 1);
		row->generation = (uint32_t)reader_be(&r, 4);
		if (!reader_done(&r) || row->generation < 2) {
			return bad_length(c->txn, c->table, c->key, c->key.len);
		}
	}
	return label_read(c->txn, c->table, c->key, label, row->label);
}

enum jy_err
kek_row_at(const struct cursor *c, struct kek_row *row)
{
	enum jy_err err = kek_value(c->txn, c->key, c->value, row);

	if (err == JY_OK) {
		err = kek_key_read(c, row);
	}
	if (err == JY_OK && row->wire_label[0] == '\0') {
		/* Of an older version. */
		memcpy(row->wire_label, row->label, sizeof(row->wire_label));
	}
	return err;
}

enum jy_err
peer_row_get(struct txn *t, const char *name, struct peer_row *row)
{
	enum jy_err err = peer_fetch(t, slice_of_text(name), row);

	if (err == JY_OK) {
		memcpy(row->name, name, strlen(name) + 1);
	}
	return err;
}

enum jy_err
peer_row_put(struct txn *t, const struct peer_row *row)
{
	return peer_store(t, slice_of_text(row->name), row);
}

enum jy_err
peer_row_at(const struct cursor *c, struct peer_row *row)
{
	enum jy_err err = peer_value(c->txn, c->key, c->value, row);

	return err == JY_OK
	    ? label_read(c->txn, c->table, c->key, c->key, row->name)
	    : err;
}

enum jy_err
root_row_get(struct txn *t, const struct device_id *device,
    const struct device_key *key, struct root_row *row)
{
	const struct root_key k = root_key_of(device, key);
	enum jy_err err = root_fetch(t, slice_of_root(&k), row);

	if (err == JY_OK) {
		row->device = *device;
		row->key = *key;
	}
	return err;
}

enum jy_err
root_row_put(struct txn *t, const struct root_row *row)
{
	const struct root_key k = root_key_of(&row->device, &row->key);

	return root_store(t, slice_of_root(&k), row);
}

enum jy_err
root_row_at(const struct cursor *c, struct root_row *row)
{
	struct device_key key;
	enum jy_err err;

	if (!root_key_read(c->key, &key)) {
		return bad_length(c->txn, c->table, c->key, c->key.len);
	}
	err = root_value(c->txn, c->key, c->value, row);
	if (err == JY_OK) {
		memcpy(&row->device, c->key.p, sizeof(row->device));
		row->key = key;
	}
	return err;
}

struct slice
slice_of_seq(uint64_t seq, uint8_t be[8])
{
	struct writer w;

	writer_init(&w, be, 8);
	writer_be(&w, seq, 8);
	return (struct slice){ be, 8 };
}

enum jy_err
audit_row_get(struct txn *t, uint64_t seq, struct audit_row *row)
{
	uint8_t be[8];
	enum jy_err err = audit_fetch(t, slice_of_seq(seq, be), row);

	if (err == JY_OK) {
		row->seq = seq;
	}
	return err;
}

enum jy_err
audit_row_put(struct txn *t, const struct audit_row *row)
{
	uint8_t be[8];

	return audit_store(t, slice_of_seq(row->seq, be), row);
}

enum jy_err
audit_row_at(const struct cursor *c, struct audit_row *row)
{
	struct reader r;
	enum jy_err err;

	if (c->key.len != 8) {
		return bad_length(c->txn, c->table, c->key, c->key.len);
	}
	err = audit_value(c->txn, c->key, c->value, row);
	if (err == JY_OK) {
		reader_init(&r, c->key.p, c->key.len);
		row->seq = reader_be(&r, 8);
	}
	return err;
}
