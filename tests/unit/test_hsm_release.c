/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored keys on their way to another token, on SoftHSM and NSS softokn:
 * opened by OpenSSL with the receiver's private key; and, before SoftHSM, what
 * becomes of a release when calls fail.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "hsm/internal.h"
#include "tests/unit/hsm_groups.h"

#define STORAGE 0x11223344U
#define OTHER 0x11223345U

static const uint8_t block[16] = "joinery-keyfile1";
static const uint8_t key_value[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2,
	0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };

/* ---- the receiver ---- */

struct receiver {
	EVP_PKEY *key;
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t len;
};

static struct receiver receiver;

static void
receiver_make(struct receiver *r, unsigned bits)
{
	uint8_t *p = r->der;
	int len;

	r->key = EVP_RSA_gen(bits);
	assert_non_null(r->key);
	len = i2d_PUBKEY(r->key, NULL);
	assert_in_range(len, 1, sizeof(r->der));
	r->len = (size_t)i2d_PUBKEY(r->key, &p);
}

static void
receiver_free(struct receiver *r)
{
	EVP_PKEY_free(r->key);
	r->key = NULL;
}

/* The transport key, as the receiver's token gets it. */
static void
receiver_open(const struct receiver *r, const uint8_t *sealed, size_t len,
    uint8_t transport[32])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(r->key, NULL);
	uint8_t out[HSM_RSA_MAX];
	size_t n = sizeof(out);

	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_decrypt(ctx, out, &n, sealed, len), 1);
	assert_int_equal(n, 32);
	memcpy(transport, out, 32);
	EVP_PKEY_CTX_free(ctx);
}

/* ---- fixture ---- */

static void
begin(void)
{
	assert_int_equal(hsm_storage_make(hsm, STORAGE, NULL), JY_OK);
	assert_int_equal(hsm_storage_make(hsm, OTHER, NULL), JY_OK);
	receiver_make(&receiver, 2048);
}

static void
end(void)
{
	receiver_free(&receiver);
}

static struct hsm_stored
keep(const char *name, uint32_t storage)
{
	struct hsm_stored stored = { .storage = storage };
	struct hsm_id id = id_of(name);
	struct sealing s;

	seal_for(hsm, key_value, sizeof(key_value), &s);
	assert_int_equal(
	    hsm_key_store(hsm, &s.sealed, &id, &stored, NULL), JY_OK);
	return stored;
}

static enum jy_err
begin_to(const struct receiver *r, struct hsm_ticket *ticket,
    uint8_t transport[32], struct errctx *ec)
{
	uint8_t sealed[HSM_RSA_MAX];
	size_t len = 0;
	enum jy_err err;

	*ticket = (struct hsm_ticket){ .storage = STORAGE };
	err = hsm_release_begin(hsm, r->der, r->len, ticket, sealed, &len, ec);
	if (err == JY_OK && transport != NULL) {
		receiver_open(r, sealed, len, transport);
	}
	return err;
}

/* Does the key leave as what the receiver's transport key opens? */
static enum jy_err
leaves(const char *name, const struct hsm_ticket *ticket,
    const struct hsm_stored *stored, const uint8_t transport[32])
{
	uint8_t wrapped[HSM_BLOB_LEN], want[40];
	struct hsm_id id = id_of(name);
	enum jy_err err =
	    hsm_release_key(hsm, ticket, &id, stored, wrapped, NULL);

	if (err == JY_OK) {
		ossl_wrap(transport, 32, key_value, sizeof(key_value), want);
		assert_memory_equal(wrapped, want, sizeof(wrapped));
	}
	return err;
}

static uint64_t
calls(void)
{
	struct hsm_stats stats;

	hsm_stats(hsm, &stats);
	return stats.calls;
}

/* ---- what it is for ---- */

static void
test_release(void **state)
{
	static const uint8_t digest[32] = { 1, 2, 3 };
	uint8_t transport[32], mac[HSM_MAC_LEN], mac_key[16], want[32];
	struct hsm_ticket ticket;
	struct hsm_stored stored, other;
	uint64_t before;

	SKIP_WITHOUT_TOKEN();
	stored = keep("leaves", STORAGE);
	other = keep("leaves", OTHER);
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	assert_int_equal(ticket.storage, STORAGE);
	(void)SHA256(receiver.der, receiver.len, want);
	assert_memory_equal(ticket.receiver, want, sizeof(want));
	assert_int_equal(hsm_release_check(hsm, &ticket, NULL), JY_OK);
	assert_int_equal(leaves("leaves", &ticket, &stored, transport), JY_OK);
	/* Under whichever storage key it is kept. */
	assert_int_equal(leaves("leaves", &ticket, &other, transport), JY_OK);
	/* All at hand: MAC in two, unwrap, wrap, destroy. */
	before = calls();
	assert_int_equal(leaves("leaves", &ticket, &stored, transport), JY_OK);
	assert_int_equal(calls() - before, 5);
	before = calls();
	assert_int_equal(hsm_release_check(hsm, &ticket, NULL), JY_OK);
	assert_int_equal(calls() - before, 0);

	assert_int_equal(hsm_release_mac(hsm, &ticket, block, digest,
			     sizeof(digest), mac, NULL),
	    JY_OK);
	ossl_ecb_256(transport, block, mac_key);
	ossl_cmac(mac_key, 16, digest, sizeof(digest), want);
	assert_memory_equal(mac, want, sizeof(mac));
}

/* Two at a time, and a process that has just started. */
static void
test_stateless(void **state)
{
	uint8_t a_key[32], b_key[32];
	struct hsm_ticket a, b;
	struct hsm_stored stored;

	SKIP_WITHOUT_TOKEN();
	stored = keep("twice", STORAGE);
	assert_int_equal(begin_to(&receiver, &a, a_key, NULL), JY_OK);
	assert_int_equal(begin_to(&receiver, &b, b_key, NULL), JY_OK);
	assert_memory_not_equal(a_key, b_key, sizeof(a_key));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(leaves("twice", &a, &stored, a_key), JY_OK);
		assert_int_equal(leaves("twice", &b, &stored, b_key), JY_OK);
	}
	hsm_close(hsm);
	hsm = token_open(&token);
	assert_int_equal(leaves("twice", &a, &stored, a_key), JY_OK);
	assert_int_equal(hsm_release_check(hsm, &b, NULL), JY_OK);
}

static void
test_receivers(void **state)
{
	struct receiver large, small;
	uint8_t transport[32], fingerprint[HSM_FINGERPRINT_LEN];
	struct hsm_ticket ticket;
	struct errctx ec = ERRCTX_INIT;

	SKIP_WITHOUT_TOKEN();
	receiver_make(&large, 3072);
	assert_int_equal(begin_to(&large, &ticket, transport, NULL), JY_OK);
	receiver_free(&large);
	receiver_make(&small, 1024);
	assert_int_equal(begin_to(&small, &ticket, NULL, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "2048 to 4096 bits"));
	assert_int_equal(
	    hsm_public_key(hsm, small.der, small.len, fingerprint, NULL),
	    JY_EINVAL);
	receiver_free(&small);
}

/* DER in no other form than the one there is, octet by octet. */
static void
test_der(void **state)
{
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
	uint8_t der[HSM_PUBLIC_KEY_MAX + 1] = { 0 };
	size_t len = receiver.len;

	SKIP_WITHOUT_TOKEN();
	memcpy(der, receiver.der, len);
	assert_int_equal(
	    hsm_public_key(hsm, der, len, fingerprint, NULL), JY_OK);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(
		    hsm_public_key(hsm, der, i, fingerprint, NULL), JY_EINVAL);
	}
	assert_int_equal(
	    hsm_public_key(hsm, der, len + 1, fingerprint, NULL), JY_EINVAL);
	assert_int_equal(
	    hsm_public_key(hsm, der, sizeof(der), fingerprint, NULL),
	    JY_EINVAL);
	/* Up to the modulus all is form. */
	for (size_t i = 0; i < 33; i++) {
		der[i] ^= 0x01;
		assert_int_equal(
		    hsm_public_key(hsm, der, len, fingerprint, NULL),
		    JY_EINVAL);
		der[i] ^= 0x01;
	}
	der[len - 1] = 0; /* an even exponent */
	assert_int_equal(
	    hsm_public_key(hsm, der, len, fingerprint, NULL), JY_EINVAL);
}

/* ---- what is refused ---- */

static void
test_tickets(void **state)
{
	struct hsm_ticket ticket, bad;
	struct errctx ec = ERRCTX_INIT;
	struct hsm_stored stored;
	uint8_t transport[32];

	SKIP_WITHOUT_TOKEN();
	stored = keep("ticket", STORAGE);
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	for (size_t i = 0; i < sizeof(bad.receiver); i++) {
		bad = ticket;
		bad.receiver[i] ^= 0x10;
		assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	}
	for (size_t i = 0; i < sizeof(bad.blob); i++) {
		bad = ticket;
		bad.blob[i] ^= 0x01;
		assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	}
	for (size_t i = 0; i < sizeof(bad.mac); i++) {
		bad = ticket;
		bad.mac[i] ^= 0x80;
		assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	}
	/* Of another storage key, of one that is not there, of none. */
	bad = ticket;
	bad.storage = OTHER;
	assert_int_equal(hsm_release_check(hsm, &bad, &ec), JY_EINVAL);
	assert_non_null(strstr(ec.text, "not one of this token"));
	bad.storage = 77;
	assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	bad.storage = 0;
	assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	bad = (struct hsm_ticket){ 0 };
	assert_int_equal(hsm_release_check(hsm, &bad, NULL), JY_EINVAL);
	/* And one that worked still does. */
	assert_int_equal(leaves("ticket", &ticket, &stored, transport), JY_OK);
}

/* Of another token, with a storage key of the same number. */
static void
test_other_token(void **state)
{
	enum token_kind kind = token.kind;
	struct hsm *ours = hsm;
	struct hsm_ticket ticket;
	const char *env = getenv("SOFTHSM2_CONF");
	struct token other;
	char conf[128];

	SKIP_WITHOUT_TOKEN();
	assert_int_equal(begin_to(&receiver, &ticket, NULL, NULL), JY_OK);
	/* One module, one token at a time. */
	(void)snprintf(conf, sizeof(conf), "%s", env != NULL ? env : "");
	hsm_close(ours);
	token_init(&other, kind);
	token_prepare(&other);
	hsm = token_open(&other);
	assert_int_equal(hsm_storage_make(hsm, STORAGE, NULL), JY_OK);
	assert_int_equal(hsm_release_check(hsm, &ticket, NULL), JY_EINVAL);
	hsm_close(hsm);
	token_fini(&other);
	assert_int_equal(setenv("SOFTHSM2_CONF", conf, 1), 0);
	hsm = token_open(&token);
	assert_int_equal(hsm_release_check(hsm, &ticket, NULL), JY_OK);
}

/* A root key's blob is no ticket, and no key leaves under another's ID. */
static void
test_bindings(void **state)
{
	struct hsm_stored stored, bad;
	struct hsm_ticket ticket;
	uint8_t transport[32];

	SKIP_WITHOUT_TOKEN();
	stored = keep("mine", STORAGE);
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	assert_int_equal(
	    leaves("hers", &ticket, &stored, transport), JY_EFORGED);
	bad = stored;
	bad.blob[3] ^= 1;
	assert_int_equal(leaves("mine", &ticket, &bad, transport), JY_EFORGED);
	bad = stored;
	bad.storage = 77;
	assert_int_equal(leaves("mine", &ticket, &bad, transport), JY_ENOKEY);
	assert_int_equal(leaves("mine", &ticket, &stored, transport), JY_OK);
}

/* Without the part that moves keys, none leaves: said at the beginning. */
static void
test_without_parts(void **state)
{
	static const char letters[] = { 'M', 'T' };
	struct hsm_ticket ticket;
	uint8_t sealed[HSM_RSA_MAX];
	size_t len;

	SKIP_WITHOUT_TOKEN();
	for (size_t i = 0; i < sizeof(letters); i++) {
		uint32_t number = 0x99 + (uint32_t)i;
		struct hsm_id part = { .len = 5,
			.b = {
			    (uint8_t)letters[i], 0, 0, 0, (uint8_t)number } };

		assert_int_equal(hsm_storage_make(hsm, number, NULL), JY_OK);
		assert_int_equal(hsm_key_destroy(hsm, &part, NULL), JY_OK);
		ticket = (struct hsm_ticket){ .storage = number };
		assert_int_equal(hsm_release_begin(hsm, receiver.der,
				     receiver.len, &ticket, sealed, &len, NULL),
		    JY_ENOKEY);
		/* Its daily use goes on. */
		(void)keep("daily", number);
		assert_int_equal(hsm_storage_check(hsm, number, NULL), JY_OK);
	}
}

/* The token itself keeps the carrier's key from leaving. */
static void
test_no_way_out(void **state)
{
	const struct template_spec parcel = {
		.row = TEMPLATE_PARCEL, .origin = ORIGIN_UNWRAP, .len = 32
	};
	const struct template_spec root = {
		.row = HSM_ROOT, .origin = ORIGIN_UNWRAP, .len = 32
	};
	CK_OBJECT_HANDLE out = CK_INVALID_HANDLE, kek = CK_INVALID_HANDLE;
	uint8_t blob[HSM_TICKET_BLOB_LEN];
	struct hsm_ticket ticket;
	struct unwrap u = { .mechanism = { CKM_AES_KEY_WRAP, NULL, 0 },
		.blob = ticket.blob,
		.blob_len = sizeof(ticket.blob) };

	SKIP_WITHOUT_TOKEN();
	if (!hsm->policy[HSM_POLICY_UNWRAP_TEMPLATE]) {
		skip();
	}
	assert_int_equal(begin_to(&receiver, &ticket, NULL, NULL), JY_OK);
	assert_int_equal(hsm_release_check(hsm, &ticket, NULL), JY_OK);
	lane_enter(hsm);
	assert_int_equal(
	    storage_part_get(hsm, STORAGE, STORAGE_TICKET, &u.key), CKR_OK);
	assert_int_equal(
	    storage_part_get(hsm, STORAGE, STORAGE_WRAP, &kek), CKR_OK);
	assert_int_not_equal(
	    template_make(hsm, &parcel, unwrap_make, &u, &out), CKR_OK);
	assert_int_not_equal(
	    template_make(hsm, &root, unwrap_make, &u, &out), CKR_OK);
	assert_int_not_equal(op_wrap(hsm, hsm->anchor, kek, hsm->carrier.handle,
				 blob, sizeof(blob)),
	    CKR_OK);
	lane_leave(hsm);
}

/* ---- handles that went away ---- */

static void
test_stale(void **state)
{
	struct hsm_stored stored;
	struct hsm_ticket ticket;
	uint8_t transport[32];

	SKIP_WITHOUT_TOKEN();
	stored = keep("stale", STORAGE);
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	assert_int_equal(leaves("stale", &ticket, &stored, transport), JY_OK);
	(void)P11(hsm, C_DestroyObject(hsm->anchor, hsm->carrier.handle));
	assert_int_equal(leaves("stale", &ticket, &stored, transport), JY_OK);
	for (size_t i = 0; i < STORAGES_MAX; i++) {
		for (size_t k = 0; k < STORAGE_PARTS; k++) {
			(void)P11(hsm,
			    C_DestroyObject(hsm->anchor,
				hsm->storages[i].part[k].owned
				    ? hsm->storages[i].part[k].handle
				    : CK_INVALID_HANDLE));
		}
	}
	assert_int_equal(leaves("stale", &ticket, &stored, transport), JY_OK);
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	assert_int_equal(leaves("stale", &ticket, &stored, transport), JY_OK);
}

static void
test_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} beginnings[] = {
		{ "C_DigestInit#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_GenerateKey#1=CKR_DEVICE_MEMORY", JY_ETOKEN },
		{ "C_CreateObject#1=0x13",
		    JY_ETOKENREQ },
		{ "C_WrapKey#1=0x6A", JY_ETOKENREQ },
		{ "C_WrapKey#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "C_WrapKey#2=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_WrapKey#2=0x113", JY_OK },
		{ "C_Sign#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
	},
	  keys[] = {
		  { "C_SignInit#1=CKR_KEY_HANDLE_INVALID", JY_OK },
		  { "C_SignInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		  { "C_UnwrapKey#1=0xF0", JY_OK },
		  { "C_UnwrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		  { "C_WrapKey#1=0x113", JY_OK },
		  { "C_WrapKey#1=0x69", JY_ETOKENREQ },
		  { "C_WrapKey#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
	  };
	struct hsm_stored stored;
	struct hsm_ticket ticket;
	uint8_t transport[32], mac[HSM_MAC_LEN];

	SKIP_WITHOUT_TOKEN();
	stored = keep("fault", STORAGE);
	for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
		script(beginnings[i].script);
		assert_int_equal(begin_to(&receiver, &ticket, transport, NULL),
		    beginnings[i].want);
		script("");
	}
	assert_int_equal(begin_to(&receiver, &ticket, transport, NULL), JY_OK);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		assert_int_equal(
		    leaves("fault", &ticket, &stored, transport), JY_OK);
		script(keys[i].script);
		assert_int_equal(
		    leaves("fault", &ticket, &stored, transport), keys[i].want);
		script("");
	}
	script("C_DeriveKey#1=CKR_KEY_HANDLE_INVALID");
	assert_int_equal(
	    hsm_release_mac(hsm, &ticket, block, transport, 32, mac, NULL),
	    JY_OK);
	script("C_DeriveKey#1=CKR_DEVICE_REMOVED");
	assert_int_equal(
	    hsm_release_mac(hsm, &ticket, block, transport, 32, mac, NULL),
	    JY_ETOKEN);
	script("");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_stateless),
		cmocka_unit_test(test_receivers),
		cmocka_unit_test(test_der),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_other_token),
		cmocka_unit_test(test_bindings),
		cmocka_unit_test(test_without_parts),
		cmocka_unit_test(test_no_way_out),
		cmocka_unit_test(test_stale),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_faults),
	};
	const struct hsm_groups groups = {
		.tests = tests,
		.test_count = ARRAY_LEN(tests),
		.faults = faults,
		.fault_count = ARRAY_LEN(faults),
		.begin = begin,
		.end = end,
	};

	return hsm_groups_run(&groups);
}
