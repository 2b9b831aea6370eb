/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hsm_fixture.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

static const char *const modules[][3] = {
	[TOKEN_SOFTHSM] = { "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	    "/usr/lib/softhsm/libsofthsm2.so",
	    "/usr/lib64/pkcs11/libsofthsm2.so" },
	[TOKEN_SOFTOKN] = { "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
	    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
	    "/usr/lib64/libsoftokn3.so" },
};

static const char *
module_path(enum token_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(modules[kind]); i++) {
		if (access(modules[kind][i], R_OK) == 0) {
			return modules[kind][i];
		}
	}
	return NULL;
}

bool
token_available(enum token_kind kind)
{
	return module_path(kind) != NULL;
}

void
token_write(
    const struct token *t, const char *name, const char *text, unsigned mode)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	(void)unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
init_softhsm(struct token *t)
{
	char path[256], text[512];

	(void)snprintf(path, sizeof(path), "%s/tokens", t->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s\nobjectstore.backend = file\n"
	    "log.level = ERROR\n",
	    path);
	token_write(t, "softhsm2.conf", text, 0600);
	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", t->dir);
	assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
}

static void
init(struct token *t, enum token_kind kind, const char *module)
{
	static char so_pin[128];

	memset(t, 0, sizeof(*t));
	t->kind = kind;
	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/joinery-hsm-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	token_write(t, "pin", "user-pin-1\n", 0600);
	token_write(t, "so-pin", "so-pin-12\n", 0600);
	(void)snprintf(t->uri, sizeof(t->uri),
	    "pkcs11:token=%s?module-path=%s&pin-source=file:%s/pin",
	    kind == TOKEN_SOFTHSM ? "lab" : "NSS%20Certificate%20DB", module,
	    t->dir);
	if (kind == TOKEN_SOFTHSM) {
		init_softhsm(t);
		(void)snprintf(
		    so_pin, sizeof(so_pin), "file:%s/so-pin", t->dir);
		t->so_pin = so_pin;
	} else {
		(void)snprintf(t->init_args, sizeof(t->init_args),
		    "configdir='sql:%s' certPrefix='' keyPrefix='' "
		    "secmod='secmod.db' flags=",
		    t->dir);
	}
	t->config = (struct hsm_config){ .uri = t->uri,
		.init_args = t->init_args,
		.sessions = 2,
		.cache = 16 };
}

void
token_init(struct token *t, enum token_kind kind)
{
	init(t, kind, module_path(kind));
}

void
token_init_mocked(struct token *t, enum token_kind kind)
{
	char *mock = realpath("tests/mock/p11_mock.so", NULL);

	assert_non_null(mock);
	assert_int_equal(setenv("P11_MOCK_MODULE", module_path(kind), 1), 0);
	init(t, kind, mock);
	free(mock);
}

void
token_prepare(struct token *t)
{
	struct hsm_setup setup = {
		.config = &t->config, .create = true, .so_pin_source = t->so_pin
	};
	struct errctx ec = ERRCTX_INIT;
	bool created = false;
	enum jy_err err = hsm_setup(&setup, &created, &ec);

	if (err != JY_OK) {
		print_error("hsm_setup: %s\n", err_detail(&ec, err));
	}
	assert_int_equal(err, JY_OK);
	assert_true(created);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
token_fini(struct token *t)
{
	(void)nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct hsm *
token_open(struct token *t)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_report report;
	struct hsm *hsm = NULL;
	enum jy_err err = hsm_open(&t->config, &hsm, &report, &ec);

	if (err != JY_OK) {
		print_error("hsm_open: %s\n", err_detail(&ec, err));
		hsm_report_print(&report, stderr, false);
	}
	assert_int_equal(err, JY_OK);
	assert_true(report.ok);
	return hsm;
}

struct hsm_id
id_of(const char *text)
{
	struct hsm_id id = { .len = (uint8_t)strlen(text) };

	memcpy(id.b, text, id.len);
	return id;
}

/* ---- the independent side ---- */

void
ossl_cmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
    uint8_t mac[16])
{
	const char *cipher = key_len == 16 ? "AES-128-CBC"
	    : key_len == 24                ? "AES-192-CBC"
					   : "AES-256-CBC";
	size_t n = 0;

	assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, cipher, NULL, key,
	    key_len, data, len, mac, 16, &n));
	assert_int_equal(n, 16);
}

static void
run_cipher(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key,
    const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t buf[64];
	int n = 0;

	assert_non_null(ctx);
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	assert_int_equal(
	    EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, encrypt), 1);
	(void)EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_CipherUpdate(ctx, buf, &n, in, (int)len), 1);
	assert_int_equal((size_t)n, out_len);
	memcpy(out, buf, out_len);
	EVP_CIPHER_CTX_free(ctx);
}

void
ossl_ecb_256(const uint8_t key[32], const uint8_t in[16], uint8_t out[16])
{
	run_cipher(EVP_aes_256_ecb(), 1, key, in, 16, out, 16);
}

void
ossl_ecb(bool encrypt, const uint8_t key[16], const uint8_t *in, size_t len,
    uint8_t *out)
{
	run_cipher(EVP_aes_128_ecb(), encrypt, key, in, len, out, len);
}

void
ossl_wrap(const uint8_t *kek, size_t kek_len, const uint8_t *key, size_t len,
    uint8_t *out)
{
	const EVP_CIPHER *cipher = kek_len == 16 ? EVP_aes_128_wrap()
	    : kek_len == 24                      ? EVP_aes_192_wrap()
						 : EVP_aes_256_wrap();

	run_cipher(cipher, 1, kek, key, len, out, len + 8);
}

/* RSA-OAEP of the transport key, with OpenSSL's defaults: SHA-1, MGF1. */
static size_t
oaep(const uint8_t *der, size_t der_len, const uint8_t *transport, size_t len,
    uint8_t *out, size_t cap)
{
	const uint8_t *p = der;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der_len);
	EVP_PKEY_CTX *ctx;

	assert_non_null(key);
	assert_ptr_equal(p, der + der_len);
	assert_int_equal(EVP_PKEY_get_bits(key), 3072);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, out, &cap, transport, len), 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return cap;
}

size_t
seal_transport(struct hsm *hsm, const uint8_t *transport, size_t len,
    uint8_t import_key[HSM_FINGERPRINT_LEN], uint8_t ciphertext[512])
{
	uint8_t der[HSM_PUBLIC_KEY_MAX], sha[32];
	size_t der_len = 0;

	assert_int_equal(
	    hsm_import_key(hsm, 1, der, &der_len, import_key, NULL), JY_OK);
	(void)SHA256(der, der_len, sha);
	assert_memory_equal(sha, import_key, sizeof(sha));
	return oaep(der, der_len, transport, len, ciphertext, 512);
}

void
seal_for(struct hsm *hsm, const uint8_t *key, size_t len, struct sealing *out)
{
	static const uint8_t zeros[16];
	uint8_t transport[32], mac[16];
	struct hsm_sealed *sealed = &out->sealed;

	assert_int_equal(RAND_bytes(transport, sizeof(transport)), 1);
	ossl_cmac(key, len, zeros, sizeof(zeros), mac);
	memcpy(out->kcv, mac, sizeof(out->kcv));
	ossl_wrap(transport, sizeof(transport), key, len, out->wrapped_key);
	*sealed = (struct hsm_sealed){
		.import_key = out->import_key,
		.transport_key = out->transport_key,
		.transport_key_len = seal_transport(hsm, transport,
		    sizeof(transport), out->import_key, out->transport_key),
		.wrapped_key = out->wrapped_key,
		.wrapped_key_len = len + 8,
		.kcv = out->kcv,
	};
}
