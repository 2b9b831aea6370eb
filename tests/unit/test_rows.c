/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what is encoded decodes again; what is damaged is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/lorawan/frame.h"
#include "tests/unit/store_util.h"

static struct session_row
a_session(void)
{
	struct join_view view = { .device = util_device(0x0100) };

	return util_join(&view, 0x00FF, 1700000000000).session;
}

static struct peer_row
a_peer(void)
{
	struct peer_row row = util_peer("ns1");

	row.net_id_count = STORE_NET_IDS_MAX;
	row.as_id_count = 2;
	(void)memset(row.as_ids[0], 'a', STORE_AS_ID_MAX);
	(void)strcpy(row.as_ids[1], "as2");
	(void)memset(row.cert_san, 's', STORE_SAN_MAX);
	row.has_fingerprint = true;
	row.fingerprint[31] = 0x5A;
	row.has_uid = true;
	row.uid = 0x01020304;
	(void)strcpy(row.kek, "kek1");
	row.clear_keys = true;
	row.ns_id_count = STORE_NS_IDS_MAX;
	row.ns_ids[STORE_NS_IDS_MAX - 1] = util_device_id(9).dev_eui;
	row.has_bearer = true;
	row.bearer_hash[0] = 0xBE;
	(void)memset(row.basic_user, 'u', STORE_LABEL_MAX);
	row.basic_hash[STORE_HASH_LEN - 1] = 0xBA;
	(void)memset(row.answer_url, 'h', STORE_URL_MAX);
	(void)memset(row.answer_ca, 'c', STORE_PATH_MAX);
	(void)strcpy(row.answer_cert, "/etc/cert.pem");
	(void)strcpy(row.answer_key, "/etc/key.pem");
	return row;
}

static struct device_row
a_device(void)
{
	struct device_row row = util_device(1);

	row.revision = 0x0102;
	(void)strcpy(row.activation.as_id, "as1");
	(void)strcpy(row.name, "n");
	row.old_key_count = 1;
	row.old_keys[0] = 0x4E0A0B0C0DU;
	row.activation.has_ns_id = true;
	row.activation.ns_id = util_device_id(0x0304).dev_eui;
	row.activation.roaming = ROAMING_LISTED;
	row.activation.roaming_net_id_count = 1;
	row.activation.roaming_net_ids[0] = 0x600001;
	row.nwk_check = (struct key_check){ true, { 0xC0, 0xC1, 0xC2, 0xC3 } };
	row.released = true;
	(void)strcpy(row.released_to, "ab");
	return row;
}

static struct app_row
an_app(void)
{
	struct app_row row = { .revision = 3 };

	row.activation = a_device().activation;
	return row;
}

static struct root_row
a_root(void)
{
	return (struct root_row){ .storage = 0x11223344,
		.blob = { 1, 2, 3 },
		.mac = { 0xA0, 0xA1 } };
}

static struct nonce_row
a_nonce(void)
{
	return (struct nonce_row){ LW_JOIN_NONCE_MAX, true, 0x0100, true,
		0x00FF, true, 0xFFFF, 0x10000, 0x0A0B0C };
}

static struct audit_row
an_event(void)
{
	struct audit_row row = { .seq = 7, .time_ms = 0x0102, .event = 14 };

	(void)strcpy(row.who, "a");
	(void)memset(row.text, 't', STORE_AUDIT_TEXT_MAX);
	row.mac[0] = 0xA0;
	row.mac[15] = 0xAF;
	return row;
}

/* What its octets say does not hold the label. */
static struct kek_row
a_kek(void)
{
	struct kek_row row = util_kek("");

	(void)strcpy(row.wire_label, "k-2");
	row.highest = 0x01020304;
	return row;
}

/* The octets are a format: they must not change under their version. */
#define DEVICE_V1 \
	0x00, 0x00, 0x01, 0x02,                             /* revision */ \
	    0x04,                                           /* 1.0.3 */ \
	    0x02, 0x00, 0x00, 0x13, 0xFF, 0xFF, 0xFF,       /* NetIDs */ \
	    0x03, 'a', 's', '1',                            /* AS-ID */ \
	    0x00, 0x00,                                     /* KEKs */ \
	    0x06, 'm', 'e', 't', 'e', 'r', 's',             /* app */ \
	    0x01, 'n',                                      /* name */ \
	    0x00, 0x01,                                     /* flags */ \
	    0x00, 0x00, 0x00, 0x01, 0x01,                   /* NwkKey */ \
	    0x01, 0x02, 0x03, 0x04, 0x02,                   /* AppKey */ \
	    0x01, 0x4E, 0x0A, 0x0B, 0x0C, 0x0D,             /* old keys */ \
	    0x00, 0x00, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x00, /* created */ \
	    0x00, 0x00, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x01  /* changed */
#define ACTIVATION_V2 \
	0x01, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x03, 0x04, /* NSID */ \
	    0x02,                                             /* roaming */ \
	    0x01, 0x60, 0x00, 0x01
#define CHECKS_V3 \
	0x01, 0xC0, 0xC1, 0xC2, 0xC3,    /* of the NwkKey */ \
	    0x00, 0x00, 0x00, 0x00, 0x00 /* of the AppKey: not known */
#define KEK_V1 \
	0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF,    /* key_id */ \
	    0x00, 0x80,                                    /* bits */ \
	    0x01, 0x02, 0x03, 0x04,                        /* check value */ \
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05 /* created */
#define KEK_V2 \
	0x03, 'k', '-', '2',                                /* wire label */ \
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, /* active */ \
	    0x01, 0x07, 0x08, 0x09, 0x00, 0x00, 0x00, 0x00, /* proof */ \
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* ... */ \
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
#define NONCE_V1 \
	0xFF, 0xFF, 0xFF,     /* JoinNonce */ \
	    0x01, 0x01, 0x00, /* DevNonce */ \
	    0x01, 0x00, 0xFF, /* RJcount0 */ \
	    0x01, 0xFF, 0xFF, /* RJcount1 */ \
	    0x01, 0x00, 0x00  /* counted */
#define PEER_V1 \
	0x00, 0x00, 0x00, 0x07,              /* revision */ \
	    0x01,                            /* NS */ \
	    0x01, 0x00, 0x00, 0x13,          /* NetIDs */ \
	    0x02, 0x01, 'a', 0x02, 'b', 'c', /* AS-IDs */ \
	    0x03, 's', 'a', 'n',             /* SAN */ \
	    0x01, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, \
	    0x17, /* SHA-256 */ \
	    0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x30, 0x31, 0x32, \
	    0x33, 0x34, 0x35, 0x36, 0x37, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, \
	    0x46, 0x47, 0x01, 0x01, 0x02, 0x03, 0x04, /* uid */ \
	    0x01, 'k',                                /* KEK */ \
	    0x01                                      /* clear keys */

/* The row encodes to those octets, and they decode to the row. */
#define ASSERT_OCTETS(kind, original, expected) \
	do { \
		struct kind##_row in = (original); \
		struct kind##_row out; \
		uint8_t buf[ROW_MAX]; \
\
		assert_int_equal( \
		    row_encode_##kind(&in, buf), sizeof(expected)); \
		assert_memory_equal(buf, expected, sizeof(expected)); \
		assert_int_equal( \
		    row_decode_##kind(expected, sizeof(expected), &out, NULL), \
		    JY_OK); \
		ASSERT_SAME_ROW(kind, &in, &out); \
	} while (0)

static void
test_layouts(void **state)
{
	static const uint8_t device[] = { 0x04, DEVICE_V1, ACTIVATION_V2,
		CHECKS_V3, 0x01 /* released */, 0x02, 'a', 'b' };
	static const uint8_t app[] = {
		0x01, /* version */
		0x00,
		0x00,
		0x00,
		0x03, /* revision */
		0x02,
		0x00,
		0x00,
		0x13,
		0xFF,
		0xFF,
		0xFF, /* NetIDs */
		0x03,
		'a',
		's',
		'1', /* AS-ID */
		0x00,
		0x00, /* KEKs */
		ACTIVATION_V2,
	};
	static const uint8_t nonce[] = { 0x02, NONCE_V1, 0x0A, 0x0B,
		0x0C }; /* live */
	static const uint8_t kek[] = { 0x03, KEK_V1, KEK_V2, 0x01, 0x02, 0x03,
		0x04 };
	static const uint8_t root[] = { 0x01, 0x11, 0x22, 0x33, 0x44, 1, 2, 3,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xA0, 0xA1, 0, 0, 0, 0, 0, 0 };
	static const uint8_t audit[] = { 0x01, 0, 0, 0, 0, 0, 0, 1, 2, 0x0E, 1,
		'a', 2, 't', 't', 0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0xAF };
	struct audit_row an_audit = an_event();

	(void)state;
	ASSERT_OCTETS(device, a_device(), device);
	ASSERT_OCTETS(app, an_app(), app);
	ASSERT_OCTETS(nonce, a_nonce(), nonce);
	ASSERT_OCTETS(kek, a_kek(), kek);
	ASSERT_OCTETS(root, a_root(), root);
	an_audit.text[2] = '\0';
	ASSERT_OCTETS(audit, an_audit, audit);
}

/*
 * A row of an older version reads as one with the new fields not set; one octet
 * less or more is refused, as is the version octet of a shorter or longer one.
 */
#define ASSERT_V1(kind, expected_row, octets) \
	do { \
		struct kind##_row want = (expected_row); \
		struct kind##_row out; \
		struct errctx ec = ERRCTX_INIT; \
		uint8_t buf[sizeof(octets) + 1] = { 0 }; \
\
		(void)memcpy(buf, octets, sizeof(octets)); \
		assert_int_equal( \
		    row_decode_##kind(buf, sizeof(octets), &out, &ec), JY_OK); \
		ASSERT_SAME_ROW(kind, &want, &out); \
		assert_int_equal( \
		    row_decode_##kind(buf, sizeof(octets) - 1, &out, &ec), \
		    JY_ECORRUPT); \
		assert_int_equal( \
		    row_decode_##kind(buf, sizeof(octets) + 1, &out, NULL), \
		    JY_ECORRUPT); \
		buf[0]++; \
		assert_int_equal( \
		    row_decode_##kind(buf, sizeof(octets), &out, NULL), \
		    JY_ECORRUPT); \
		buf[0] = 0; \
		assert_int_equal( \
		    row_decode_##kind(buf, sizeof(octets), &out, NULL), \
		    JY_ECORRUPT); \
	} while (0)

static void
test_version_1(void **state)
{
	static const uint8_t device[] = { 0x01, DEVICE_V1 };
	static const uint8_t device_2[] = { 0x02, DEVICE_V1, ACTIVATION_V2 };
	static const uint8_t device_3[] = { 0x03, DEVICE_V1, ACTIVATION_V2,
		CHECKS_V3 };
	static const uint8_t nonce[] = { 0x01, NONCE_V1 };
	static const uint8_t peer[] = { 0x01, PEER_V1 };
	static const uint8_t kek[] = { 0x01, KEK_V1 };
	static const uint8_t kek_2[] = { 0x02, KEK_V1, KEK_V2 };
	struct kek_row k = a_kek();
	struct device_row d = a_device();
	struct nonce_row n = a_nonce();
	struct peer_row p = { .revision = 7, .role = PEER_NS };

	(void)state;
	d.released = false;
	d.released_to[0] = '\0';
	ASSERT_V1(device, d, device_3);
	d.nwk_check = (struct key_check){ 0 };
	ASSERT_V1(device, d, device_2);
	d.activation.has_ns_id = false;
	d.activation.ns_id = (struct eui64){ { 0 } };
	d.activation.roaming = ROAMING_DEFAULT;
	d.activation.roaming_net_id_count = 0;
	ASSERT_V1(device, d, device);
	n.live = 0;
	ASSERT_V1(nonce, n, nonce);
	p.net_id_count = 1;
	p.net_ids[0] = 0x000013;
	p.as_id_count = 2;
	(void)strcpy(p.as_ids[0], "a");
	(void)strcpy(p.as_ids[1], "bc");
	(void)strcpy(p.cert_san, "san");
	p.has_fingerprint = true;
	for (uint8_t i = 0; i < STORE_FINGERPRINT_LEN; i++) {
		p.fingerprint[i] = (uint8_t)((i / 8 + 1) << 4 | i % 8);
	}
	p.has_uid = true;
	p.uid = 0x01020304;
	(void)strcpy(p.kek, "k");
	p.clear_keys = true;
	ASSERT_V1(peer, p, peer);
	k.highest = 0;
	ASSERT_V1(kek, k, kek_2);
	k.wire_label[0] = '\0';
	k.active_ms = 0;
	k.has_proof = false;
	memset(k.proof, 0, sizeof(k.proof));
	ASSERT_V1(kek, k, kek);
}

/*
 * Decode gives back what was encoded; every shorter and a
 * longer form and every other version is refused, with row left alone.
 */
#define ROUND_TRIP(kind, original) \
	do { \
		struct kind##_row in = (original); \
		struct kind##_row out; \
		struct errctx ec = ERRCTX_INIT; \
		uint8_t buf[ROW_MAX]; \
		size_t len = row_encode_##kind(&in, buf); \
\
		assert_int_equal(row_check_##kind(&in, &ec), JY_OK); \
		assert_int_equal( \
		    row_decode_##kind(buf, len, &out, &ec), JY_OK); \
		ASSERT_SAME_ROW(kind, &in, &out); \
		for (size_t i = 0; i < len; i++) { \
			struct errctx why = ERRCTX_INIT; \
\
			assert_int_equal( \
			    row_decode_##kind(buf, i, &out, &why), \
			    JY_ECORRUPT); \
			assert_string_not_equal(why.text, ""); \
		} \
		ASSERT_SAME_ROW(kind, &in, &out); \
		buf[len] = 0; \
		assert_int_equal( \
		    row_decode_##kind(buf, len + 1, &out, &ec), JY_ECORRUPT); \
		assert_non_null(strstr(ec.text, "too long")); \
		buf[0]++; \
		ec = (struct errctx)ERRCTX_INIT; \
		assert_int_equal( \
		    row_decode_##kind(buf, len, &out, &ec), JY_ECORRUPT); \
		assert_non_null(strstr(ec.text, \
		    buf[0] == 2       ? "version 2 is not known" \
			: buf[0] == 3 ? "version 3 is not known" \
			: buf[0] == 4 ? "version 4 is not known" \
				      : "version 5 is not known")); \
	} while (0)

static void
test_round_trips(void **state)
{
	(void)state;
	ROUND_TRIP(device, util_device(1));
	ROUND_TRIP(device, a_device());
	ROUND_TRIP(app, an_app());
	ROUND_TRIP(nonce, a_nonce());
	ROUND_TRIP(session, a_session());
	ROUND_TRIP(kek, util_kek("k"));
	ROUND_TRIP(kek, a_kek());
	ROUND_TRIP(peer, a_peer());
	ROUND_TRIP(refusal, util_refusal(1, 2));
	ROUND_TRIP(root, a_root());
	ROUND_TRIP(audit, an_event());
}

/* Change one octet of a good row; the detail must name the field. */
#define SPOILED(kind, original, at, value, field) \
	do { \
		struct kind##_row in = (original); \
		struct errctx ec = ERRCTX_INIT; \
		uint8_t buf[ROW_MAX]; \
		size_t len = row_encode_##kind(&in, buf); \
\
		buf[at] = (value); \
		assert_int_equal( \
		    row_decode_##kind(buf, len, &in, &ec), JY_ECORRUPT); \
		assert_non_null(strstr(ec.text, field)); \
	} while (0)

static void
test_out_of_range(void **state)
{
	struct nonce_row nonces = { 0 };

	(void)state;
	SPOILED(device, util_device(1), 5, 7, "mac_version");
	SPOILED(device, util_device(1), 6, STORE_NET_IDS_MAX + 1,
	    "activation.net_ids");
	SPOILED(device, util_device(1), 13, STORE_AS_ID_MAX + 1,
	    "activation.as_id");
	SPOILED(device, util_device(1), 14, 0, "activation.as_id holds a NUL");
	SPOILED(nonce, nonces, 4, 2, "has_dev_nonce");
	SPOILED(session, a_session(), 17, 7, "mac_version");
	SPOILED(session, a_session(), 18, 2, "opt_neg");
	SPOILED(session, a_session(), 19, 3, "join_type");
	SPOILED(kek, util_kek("k"), 10, 1, "bits");
	SPOILED(kek, util_kek("k"), 9, 1, "bits");
	SPOILED(kek, util_kek("k"), 23, STORE_LABEL_MAX + 1, "wire_label");
	SPOILED(kek, util_kek("k"), 33, 2, "has_proof");
	SPOILED(peer, a_peer(), 5, PEER_NS_AS + 1, "role");
	SPOILED(device, a_device(), 62, 2, "has_ns_id");
	SPOILED(device, a_device(), 71, ROAMING_ANY + 1, "roaming");
	SPOILED(
	    device, a_device(), 72, STORE_NET_IDS_MAX + 1, "roaming_net_ids");
	SPOILED(app, an_app(), 18, 2, "has_ns_id");
	SPOILED(app, an_app(), 12, STORE_AS_ID_MAX + 1, "as_id");
	SPOILED(refusal, util_refusal(1, 2), 13, STORE_LABEL_MAX + 1, "peer");
	SPOILED(audit, an_event(), 10, STORE_LABEL_MAX + 1, "who");
	SPOILED(audit, an_event(), 12, STORE_AUDIT_TEXT_MAX + 1, "text");
}

static void
test_check(void **state)
{
	struct device_row d = util_device(1);
	struct peer_row p = a_peer();
	struct kek_row k = util_kek("k");
	struct app_row a = an_app();
	struct nonce_row n = a_nonce();
	struct errctx ec = ERRCTX_INIT;

	(void)state;
	d.activation.net_ids[1] = NET_ID_MAX + 1;
	assert_int_equal(row_check_device(&d, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "activation.net_ids"));
	d = util_device(1);
	memset(d.name, 'x', sizeof(d.name));
	assert_int_equal(row_check_device(&d, NULL), JY_EINVAL);
	p.as_id_count = STORE_AS_IDS_MAX + 1;
	assert_int_equal(row_check_peer(&p, NULL), JY_EINVAL);
	p = a_peer();
	p.role = PEER_NS_AS;
	assert_int_equal(row_check_peer(&p, NULL), JY_OK);
	p.ns_id_count = STORE_NS_IDS_MAX + 1;
	assert_int_equal(row_check_peer(&p, NULL), JY_EINVAL);
	p = a_peer();
	memset(p.answer_url, 'x', sizeof(p.answer_url));
	err_clear(&ec);
	assert_int_equal(row_check_peer(&p, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "answer_url"));
	k.bits = 129;
	assert_int_equal(row_check_kek(&k, NULL), JY_EINVAL);
	k = util_kek("k");
	memset(k.wire_label, 'x', sizeof(k.wire_label));
	err_clear(&ec);
	assert_int_equal(row_check_kek(&k, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "wire_label"));
	d = a_device();
	d.activation.roaming = ROAMING_ANY + 1;
	assert_int_equal(row_check_device(&d, NULL), JY_EINVAL);
	a.activation.roaming_net_id_count = STORE_NET_IDS_MAX + 1;
	assert_int_equal(row_check_app(&a, NULL), JY_EINVAL);
	a = an_app();
	a.activation.roaming_net_ids[0] = NET_ID_MAX + 1;
	assert_int_equal(row_check_app(&a, NULL), JY_EINVAL);
	n.live = LW_JOIN_NONCE_MAX + 1;
	assert_int_equal(row_check_nonce(&n, NULL), JY_EINVAL);
}

/* The largest rows fit; an encoder would abort. */
static void
test_largest(void **state)
{
	struct device_row d = { .activation.net_id_count = STORE_NET_IDS_MAX };
	struct peer_row p = a_peer();
	uint8_t buf[ROW_MAX];

	(void)state;
	d.activation.roaming_net_id_count = STORE_NET_IDS_MAX;
	d.old_key_count = STORE_OLD_KEYS_MAX;
	memset(d.activation.as_id, 'x', STORE_AS_ID_MAX);
	memset(d.activation.ns_kek, 'x', STORE_LABEL_MAX);
	memset(d.activation.as_kek, 'x', STORE_LABEL_MAX);
	memset(d.app, 'x', STORE_LABEL_MAX);
	memset(d.name, 'x', STORE_LABEL_MAX);
	assert_int_equal(row_check_device(&d, NULL), JY_OK);
	assert_in_range(row_encode_device(&d, buf), 500, ROW_MAX);
	p.as_id_count = STORE_AS_IDS_MAX;
	for (size_t i = 0; i < STORE_AS_IDS_MAX; i++) {
		memset(p.as_ids[i], 'x', STORE_AS_ID_MAX);
		p.as_ids[i][STORE_AS_ID_MAX] = '\0';
	}
	memset(p.kek, 'x', STORE_LABEL_MAX);
	memset(p.answer_cert, 'x', STORE_PATH_MAX);
	memset(p.answer_key, 'x', STORE_PATH_MAX);
	assert_int_equal(row_check_peer(&p, NULL), JY_OK);
	assert_in_range(row_encode_peer(&p, buf), 2600, ROW_MAX);
}

static void
test_roles(void **state)
{
	static const struct {
		enum peer_role role;
		bool ns, as, admin;
	} roles[] = {
		{ PEER_NONE, false, false, false },
		{ PEER_NS, true, false, false },
		{ PEER_AS, false, true, false },
		{ PEER_ADMIN, false, false, true },
		{ PEER_NS_AS, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		enum peer_role r = roles[i].role;

		assert_int_equal(peer_role_is(r, PEER_NS), roles[i].ns);
		assert_int_equal(peer_role_is(r, PEER_AS), roles[i].as);
		assert_int_equal(peer_role_is(r, PEER_ADMIN), roles[i].admin);
		assert_true(peer_role_is(r, r));
		assert_int_equal(peer_role_is(r, PEER_NS_AS), r == PEER_NS_AS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
