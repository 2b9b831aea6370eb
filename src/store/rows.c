/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to octets and back.  Each kind of row is one table of fields in the
 * order they are stored, and one encoder and one decoder walk all tables, so
 * the two cannot drift apart and every check is written once.
 *
 * A version has one form only: what decodes from it, encodes to the same
 * octets again.  A new version of a kind adds a table behind the old ones, so
 * an older row is the beginning of a new one: it is read with the later
 * fields zero, and written anew with all of them.
 */
#include "src/store/rows.h"

#include <string.h>

#include "src/base/bytes.h"
#include "src/lorawan/frame.h"

#define ROW_VERSIONS_MAX 4U

enum field_kind {
	FIELD_UINT, /* big-endian, 0..max */
	FIELD_TEXT, /* a length octet, then the text without its NUL */
	FIELD_BYTES /* as they are */
};

/*
 * Where a field lies in its struct and what may be in it.  With many > 0 it
 * is an array: a count octet, then that many elements.
 */
struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	size_t size; /* of one element in memory */
	size_t wire; /* FIELD_UINT: octets stored */
	uint64_t max;
	size_t many;
	size_t count_offset; /* of the uint8_t that counts the elements */
};

/* The fields that a version of a kind has added. */
struct part {
	const struct field *fields;
	size_t n;
};

struct layout {
	size_t row_size;
	uint8_t version; /* that is written; there are as many parts */
	struct part parts[ROW_VERSIONS_MAX];
	/* What no table says; NULL: nothing.  Returns the bad field's name. */
	const char *(*check)(const void *row);
};

#define SIZEOF(type, m) sizeof(((type *)NULL)->m)
#define PLACE(type, m) .name = #m, .offset = offsetof(type, m)
#define UINT(type, m, octets, limit) \
	{ \
		PLACE(type, m), .kind = FIELD_UINT, .size = SIZEOF(type, m), \
				.wire = (octets), .max = (limit) \
	}
#define BOOL(type, m) UINT(type, m, 1, 1)
#define TEXT(type, m) \
	{ \
		PLACE(type, m), .kind = FIELD_TEXT, .size = SIZEOF(type, m) \
	}
#define BYTES(type, m) \
	{ \
		PLACE(type, m), .kind = FIELD_BYTES, .size = SIZEOF(type, m) \
	}
#define COUNTED(type, m, count) \
	.size = SIZEOF(type, m[0]), \
	.many = SIZEOF(type, m) / SIZEOF(type, m[0]), \
	.count_offset = offsetof(type, count)
#define NET_IDS(type, m, count) \
	{ \
		PLACE(type, m), .kind = FIELD_UINT, .wire = 3, \
				.max = NET_ID_MAX, COUNTED(type, m, count) \
	}
#define KEYS(type, m, count) \
	{ \
		PLACE(type, m), .kind = FIELD_UINT, .wire = 5, \
				.max = 0xFFFFFFFFFFU, COUNTED(type, m, count) \
	}
#define EUIS(type, m, count) \
	{ \
		PLACE(type, m), .kind = FIELD_BYTES, COUNTED(type, m, count) \
	}
#define TEXTS(type, m, count) \
	{ \
		PLACE(type, m), .kind = FIELD_TEXT, COUNTED(type, m, count) \
	}
#define KEY(type, m) \
	UINT(type, m.generation, 4, UINT32_MAX), \
	    UINT(type, m.role, 1, UINT8_MAX)
#define CHECK(type, m) BOOL(type, m.known), BYTES(type, m.value)

/* What struct activation has had from the start, and what came later. */
#define ACTIVATION_1(type) \
	NET_IDS(type, activation.net_ids, activation.net_id_count), \
	    TEXT(type, activation.as_id), TEXT(type, activation.ns_kek), \
	    TEXT(type, activation.as_kek)
#define ACTIVATION_2(type) \
	BOOL(type, activation.has_ns_id), BYTES(type, activation.ns_id), \
	    UINT(type, activation.roaming, 1, ROAMING_ANY), \
	    NET_IDS(type, activation.roaming_net_ids, \
		activation.roaming_net_id_count)

static const struct field device_fields_1[] = {
	UINT(struct device_row, revision, 4, UINT32_MAX),
	UINT(struct device_row, mac_version, 1, LW_VERSION_1_1_0),
	ACTIVATION_1(struct device_row),
	TEXT(struct device_row, app),
	TEXT(struct device_row, name),
	BOOL(struct device_row, resets_join_nonces),
	BOOL(struct device_row, v10_root_is_app_key),
	KEY(struct device_row, nwk_key),
	KEY(struct device_row, app_key),
	KEYS(struct device_row, old_keys, old_key_count),
	UINT(struct device_row, created_ms, 8, UINT64_MAX),
	UINT(struct device_row, changed_ms, 8, UINT64_MAX),
};
static const struct field device_fields_2[] = {
	ACTIVATION_2(struct device_row),
};
static const struct field device_fields_3[] = {
	CHECK(struct device_row, nwk_check),
	CHECK(struct device_row, app_check),
};
static const struct field device_fields_4[] = {
	BOOL(struct device_row, released),
	TEXT(struct device_row, released_to),
};

static const struct field app_fields[] = {
	UINT(struct app_row, revision, 4, UINT32_MAX),
	ACTIVATION_1(struct app_row),
	ACTIVATION_2(struct app_row),
};

static const struct field nonce_fields_1[] = {
	UINT(struct nonce_row, join_nonce, 3, LW_JOIN_NONCE_MAX),
	BOOL(struct nonce_row, has_dev_nonce),
	UINT(struct nonce_row, dev_nonce, 2, UINT16_MAX),
	BOOL(struct nonce_row, has_rj_count0),
	UINT(struct nonce_row, rj_count0, 2, UINT16_MAX),
	BOOL(struct nonce_row, has_rj_count1),
	UINT(struct nonce_row, rj_count1, 2, UINT16_MAX),
	UINT(struct nonce_row, counted, 3, UINT16_MAX + 1),
};
static const struct field nonce_fields_2[] = {
	UINT(struct nonce_row, live, 3, LW_JOIN_NONCE_MAX),
};

static const struct field session_fields[] = {
	BYTES(struct session_row, device.dev_eui),
	BYTES(struct session_row, device.join_eui),
	UINT(struct session_row, mac_version, 1, LW_VERSION_1_1_0),
	BOOL(struct session_row, opt_neg),
	UINT(struct session_row, join_type, 1, UINT8_MAX),
	KEY(struct session_row, nwk_key),
	KEY(struct session_row, app_key),
	UINT(struct session_row, join_nonce, 3, LW_JOIN_NONCE_MAX),
	UINT(struct session_row, counter, 2, UINT16_MAX),
	UINT(struct session_row, net_id, 3, NET_ID_MAX),
	UINT(struct session_row, dev_addr, 4, UINT32_MAX),
	UINT(struct session_row, dl_settings, 1, UINT8_MAX),
	UINT(struct session_row, rx_delay, 1, UINT8_MAX),
	BOOL(struct session_row, has_cf_list),
	BYTES(struct session_row, cf_list),
	BYTES(struct session_row, mic),
	UINT(struct session_row, created_ms, 8, UINT64_MAX),
	UINT(struct session_row, expires_ms, 8, UINT64_MAX),
	TEXT(struct session_row, peer),
};

static const struct field kek_fields_1[] = {
	UINT(struct kek_row, key_id, 8, UINT64_MAX),
	UINT(struct kek_row, bits, 2, 256),
	BYTES(struct kek_row, kcv),
	UINT(struct kek_row, created_ms, 8, UINT64_MAX),
};
static const struct field kek_fields_2[] = {
	TEXT(struct kek_row, wire_label),
	UINT(struct kek_row, active_ms, 8, UINT64_MAX),
	BOOL(struct kek_row, has_proof),
	BYTES(struct kek_row, proof),
};
static const struct field kek_fields_3[] = {
	UINT(struct kek_row, highest, 4, UINT32_MAX),
};

static const struct field peer_fields_1[] = {
	UINT(struct peer_row, revision, 4, UINT32_MAX),
	UINT(struct peer_row, role, 1, PEER_NS_AS),
	NET_IDS(struct peer_row, net_ids, net_id_count),
	TEXTS(struct peer_row, as_ids, as_id_count),
	TEXT(struct peer_row, cert_san),
	BOOL(struct peer_row, has_fingerprint),
	BYTES(struct peer_row, fingerprint),
	BOOL(struct peer_row, has_uid),
	UINT(struct peer_row, uid, 4, UINT32_MAX),
	TEXT(struct peer_row, kek),
	BOOL(struct peer_row, clear_keys),
};
static const struct field peer_fields_2[] = {
	EUIS(struct peer_row, ns_ids, ns_id_count),
	BOOL(struct peer_row, has_bearer),
	BYTES(struct peer_row, bearer_hash),
	TEXT(struct peer_row, basic_user),
	BYTES(struct peer_row, basic_hash),
	TEXT(struct peer_row, answer_url),
	TEXT(struct peer_row, answer_ca),
	TEXT(struct peer_row, answer_cert),
	TEXT(struct peer_row, answer_key),
};

static const struct field refusal_fields[] = {
	UINT(struct refusal_row, time_ms, 8, UINT64_MAX),
	UINT(struct refusal_row, wire_code, 2, UINT16_MAX),
	UINT(struct refusal_row, counter, 2, UINT16_MAX),
	TEXT(struct refusal_row, peer),
	TEXT(struct refusal_row, reason),
};

static const struct field root_fields[] = {
	UINT(struct root_row, storage, 4, UINT32_MAX),
	BYTES(struct root_row, blob),
	BYTES(struct root_row, mac),
};

static const char *
check_root(const void *row)
{
	return ((const struct root_row *)row)->storage != 0 ? NULL : "storage";
}

static const struct field audit_fields[] = {
	UINT(struct audit_row, time_ms, 8, UINT64_MAX),
	UINT(struct audit_row, event, 1, UINT8_MAX),
	TEXT(struct audit_row, who),
	TEXT(struct audit_row, text),
	BYTES(struct audit_row, mac),
};

static const char *
check_session(const void *row)
{
	const struct session_row *s = row;

	return s->join_type <= LW_JOIN_REJOIN_2 ||
		s->join_type == LW_JOIN_REQUEST
	    ? NULL
	    : "join_type";
}

static const char *
check_kek(const void *row)
{
	const struct kek_row *k = row;

	return k->bits == 128 || k->bits == 192 || k->bits == 256 ? NULL
								  : "bits";
}

#define PART(table) \
	{ \
		(table), ARRAY_LEN(table) \
	}
/* The tables of versions 1 to n. */
#define LAYOUT(type, check_fn, n, ...) \
	{ \
		.row_size = sizeof(type), .version = (n), \
		.parts = { __VA_ARGS__ }, .check = (check_fn) \
	}

static const struct layout device_layout =
    LAYOUT(struct device_row, NULL, 4, PART(device_fields_1),
	PART(device_fields_2), PART(device_fields_3), PART(device_fields_4));
static const struct layout app_layout =
    LAYOUT(struct app_row, NULL, 1, PART(app_fields));
static const struct layout nonce_layout = LAYOUT(
    struct nonce_row, NULL, 2, PART(nonce_fields_1), PART(nonce_fields_2));
static const struct layout session_layout =
    LAYOUT(struct session_row, check_session, 1, PART(session_fields));
static const struct layout kek_layout = LAYOUT(struct kek_row, check_kek, 3,
    PART(kek_fields_1), PART(kek_fields_2), PART(kek_fields_3));
static const struct layout peer_layout =
    LAYOUT(struct peer_row, NULL, 2, PART(peer_fields_1), PART(peer_fields_2));
static const struct layout refusal_layout =
    LAYOUT(struct refusal_row, NULL, 1, PART(refusal_fields));
static const struct layout audit_layout =
    LAYOUT(struct audit_row, NULL, 1, PART(audit_fields));
static const struct layout root_layout =
    LAYOUT(struct root_row, check_root, 1, PART(root_fields));

static uint64_t
uint_load(const uint8_t *at, size_t size)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case sizeof(v64):
		memcpy(&v64, at, sizeof(v64));
		return v64;
	case sizeof(v32):
		memcpy(&v32, at, sizeof(v32));
		return v32;
	case sizeof(v16):
		memcpy(&v16, at, sizeof(v16));
		return v16;
	default:
		jy_assert(size == 1);
		return *at;
	}
}

static void
uint_save(uint8_t *at, size_t size, uint64_t v)
{
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	switch (size) {
	case sizeof(v):
		memcpy(at, &v, sizeof(v));
		break;
	case sizeof(v32):
		memcpy(at, &v32, sizeof(v32));
		break;
	case sizeof(v16):
		memcpy(at, &v16, sizeof(v16));
		break;
	default:
		jy_assert(size == 1);
		*at = (uint8_t)v;
	}
}

static void
element_encode(struct writer *w, const struct field *f, const uint8_t *at)
{
	size_t len = f->size;

	switch (f->kind) {
	case FIELD_UINT:
		jy_assert(uint_load(at, f->size) <= f->max);
		writer_be(w, uint_load(at, f->size), f->wire);
		return;
	case FIELD_TEXT:
		len = strnlen((const char *)at, f->size);
		jy_assert(len < f->size);
		writer_u8(w, (uint8_t)len);
		break;
	case FIELD_BYTES:
		break;
	}
	writer_copy(w, at, len);
}

/* How many elements a field has; more than fit is left to the caller. */
static size_t
field_count(const struct field *f, const uint8_t *base)
{
	return f->many > 0 ? base[f->count_offset] : 1;
}

static bool
element_ok(const struct field *f, const uint8_t *at)
{
	switch (f->kind) {
	case FIELD_UINT:
		return uint_load(at, f->size) <= f->max;
	case FIELD_TEXT:
		return strnlen((const char *)at, f->size) < f->size;
	case FIELD_BYTES:
		break;
	}
	return true;
}

/* NULL, or the name of the field that would not decode again. */
static const char *
field_check(const struct field *f, const uint8_t *base)
{
	size_t n = field_count(f, base);

	if (f->many > 0 && n > f->many) {
		return f->name;
	}
	for (size_t j = 0; j < n; j++) {
		if (!element_ok(f, base + f->offset + j * f->size)) {
			return f->name;
		}
	}
	return NULL;
}

/* Would the row decode again? */
static enum jy_err
row_check(const struct layout *l, const void *row, struct errctx *ec)
{
	const char *bad = l->check != NULL ? l->check(row) : NULL;

	for (size_t v = 0; v < l->version; v++) {
		for (size_t i = 0; i < l->parts[v].n && bad == NULL; i++) {
			bad = field_check(&l->parts[v].fields[i], row);
		}
	}
	return bad == NULL ? JY_OK
			   : err_set(ec, JY_EINVAL, "%s is out of range", bad);
}

static void
field_encode(struct writer *w, const struct field *f, const uint8_t *base)
{
	size_t n = field_count(f, base);

	if (f->many > 0) {
		jy_assert(n <= f->many);
		writer_u8(w, (uint8_t)n);
	}
	for (size_t j = 0; j < n; j++) {
		element_encode(w, f, base + f->offset + j * f->size);
	}
}

static size_t
row_encode(const struct layout *l, const void *row, uint8_t out[ROW_MAX])
{
	struct writer w;

	writer_init(&w, out, ROW_MAX);
	writer_u8(&w, l->version);
	for (size_t v = 0; v < l->version; v++) {
		for (size_t i = 0; i < l->parts[v].n; i++) {
			field_encode(&w, &l->parts[v].fields[i], row);
		}
	}
	jy_assert(writer_ok(&w));
	return w.len;
}

static enum jy_err
text_decode(
    struct reader *r, const struct field *f, uint8_t *at, struct errctx *ec)
{
	size_t len = reader_u8(r);

	if (len >= f->size) {
		return err_set(
		    ec, JY_ECORRUPT, "%s is too long: %zu", f->name, len);
	}
	reader_copy(r, at, len);
	if (!r->failed && memchr(at, '\0', len) != NULL) {
		return err_set(ec, JY_ECORRUPT, "%s holds a NUL", f->name);
	}
	return JY_OK;
}

static enum jy_err
element_decode(
    struct reader *r, const struct field *f, uint8_t *at, struct errctx *ec)
{
	uint64_t v;

	switch (f->kind) {
	case FIELD_UINT:
		v = reader_be(r, f->wire);
		if (v > f->max) {
			return err_set(ec, JY_ECORRUPT,
			    "%s is out of range: %llu", f->name,
			    (unsigned long long)v);
		}
		uint_save(at, f->size, v);
		break;
	case FIELD_TEXT:
		return text_decode(r, f, at, ec);
	case FIELD_BYTES:
		reader_copy(r, at, f->size);
		break;
	}
	return JY_OK;
}

static enum jy_err
field_decode(
    struct reader *r, const struct field *f, uint8_t *base, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	size_t n = 1;

	if (f->many > 0) {
		n = reader_u8(r);
		if (n > f->many) {
			return err_set(
			    ec, JY_ECORRUPT, "too many %s: %zu", f->name, n);
		}
		base[f->count_offset] = (uint8_t)n;
	}
	for (size_t j = 0; j < n && err == JY_OK; j++) {
		err = element_decode(r, f, base + f->offset + j * f->size, ec);
	}
	return err;
}

/* Decode into scratch, a zeroed struct of the layout's kind. */
static enum jy_err
row_decode(const struct layout *l, const uint8_t *buf, size_t len,
    void *scratch, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	const char *bad;
	struct reader r;
	unsigned version;

	memset(scratch, 0, l->row_size);
	reader_init(&r, buf, len);
	version = reader_u8(&r);
	if (len > 0 && (version == 0 || version > l->version)) {
		return err_set(
		    ec, JY_ECORRUPT, "row version %u is not known", version);
	}
	for (size_t v = 0; v < version; v++) {
		const struct part *p = &l->parts[v];

		for (size_t i = 0; i < p->n && err == JY_OK && !r.failed; i++) {
			err = field_decode(&r, &p->fields[i], scratch, ec);
		}
	}
	if (err != JY_OK) {
		return err;
	}
	if (r.failed) {
		return err_set(ec, JY_ECORRUPT, "row is too short: %zu", len);
	}
	if (!reader_done(&r)) {
		return err_set(ec, JY_ECORRUPT,
		    "row is too long: %zu octets are left over", r.left);
	}
	bad = l->check != NULL ? l->check(scratch) : NULL;
	if (bad != NULL) {
		return err_set(ec, JY_ECORRUPT, "%s is out of range", bad);
	}
	return JY_OK;
}

/* The typed functions of each kind; a failed decode leaves *row alone. */
#define ROW_CODEC(kind) \
	enum jy_err row_check_##kind( \
	    const struct kind##_row *row, struct errctx *ec) \
	{ \
		return row_check(&kind##_layout, row, ec); \
	} \
	size_t row_encode_##kind( \
	    const struct kind##_row *row, uint8_t out[ROW_MAX]) \
	{ \
		return row_encode(&kind##_layout, row, out); \
	} \
	enum jy_err row_decode_##kind(const uint8_t *p, size_t len, \
	    struct kind##_row *row, struct errctx *ec) \
	{ \
		struct kind##_row scratch; \
		enum jy_err err = \
		    row_decode(&kind##_layout, p, len, &scratch, ec); \
\
		if (err == JY_OK) { \
			*row = scratch; \
		} \
		return err; \
	}

ROW_CODEC(device)
ROW_CODEC(app)
ROW_CODEC(nonce)
ROW_CODEC(session)
ROW_CODEC(kek)
ROW_CODEC(peer)
ROW_CODEC(refusal)
ROW_CODEC(root)
ROW_CODEC(audit)
