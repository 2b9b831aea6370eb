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
	return row;
}

static void
test_device_layout(void **state)
{
	/* The octets are a format: they must not change under version 1. */
	static const uint8_t expected[] = {
		0x01,                                           /* version */
		0x00, 0x00, 0x01, 0x02,                         /* revision */
		0x04,                                           /* 1.0.3 */
		0x02, 0x00, 0x00, 0x13, 0xFF, 0xFF, 0xFF,       /* NetIDs */
		0x03, 'a', 's', '1',                            /* AS-ID */
		0x00, 0x00,                                     /* KEKs */
		0x06, 'm', 'e', 't', 'e', 'r', 's',             /* app */
		0x01, 'n',                                      /* name */
		0x00, 0x01,                                     /* flags */
		0x00, 0x00, 0x00, 0x01, 0x01,                   /* NwkKey */
		0x01, 0x02, 0x03, 0x04, 0x02,                   /* AppKey */
		0x01, 0x4E, 0x0A, 0x0B, 0x0C, 0x0D,             /* old keys */
		0x00, 0x00, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x00, /* created */
		0x00, 0x00, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x01, /* changed */
	};
	struct device_row row = util_device(1);
	uint8_t buf[ROW_MAX];

	(void)state;
	row.revision = 0x0102;
	(void)strcpy(row.activation.as_id, "as1");
	(void)strcpy(row.name, "n");
	row.old_key_count = 1;
	row.old_keys[0] = 0x4E0A0B0C0DU;
	assert_int_equal(row_encode_device(&row, buf), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
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
		buf[0] = 2; \
		ec = (struct errctx)ERRCTX_INIT; \
		assert_int_equal( \
		    row_decode_##kind(buf, len, &out, &ec), JY_ECORRUPT); \
		assert_non_null(strstr(ec.text, "version 2")); \
	} while (0)

static void
test_round_trips(void **state)
{
	struct nonce_row nonces = { LW_JOIN_NONCE_MAX, true, 0x0100, true,
		0x00FF, true, 0xFFFF, 0x10000 };

	(void)state;
	ROUND_TRIP(device, util_device(1));
	ROUND_TRIP(nonce, nonces);
	ROUND_TRIP(session, a_session());
	ROUND_TRIP(kek, util_kek("k"));
	ROUND_TRIP(peer, a_peer());
	ROUND_TRIP(refusal, util_refusal(1, 2));
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
	SPOILED(peer, a_peer(), 5, PEER_ADMIN + 1, "role");
	SPOILED(refusal, util_refusal(1, 2), 13, STORE_LABEL_MAX + 1, "peer");
}

static void
test_check(void **state)
{
	struct device_row d = util_device(1);
	struct peer_row p = a_peer();
	struct kek_row k = util_kek("k");
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
	k.bits = 129;
	assert_int_equal(row_check_kek(&k, NULL), JY_EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_layout),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
