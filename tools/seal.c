/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing with OpenSSL's EVP, and the hashes of tokens.  Octets of keys are in
 * struct secret and in OpenSSL's own contexts, which wipe themselves when
 * freed.  OAEP is with SHA-1 because tokens in use know no other; there it
 * needs no resistance to collisions.
 */
#include "tools/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "src/base/hex.h"
#include "src/base/sys.h"

#define KEY_FILE_MAX 256U /* 64 digits, and more white space than one has */
#define TRANSPORT_KEY_LEN 32
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX (SEAL_TRANSPORT_MAX * 8)

/* What failed, with OpenSSL's reason; its queue is empty afterwards. */
static enum jy_err
openssl_failed(const char *what, struct errctx *ec)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(ec, JY_EINVAL, "%s: %s", what,
	    reason != NULL ? reason : "failed in OpenSSL");
}

/* ---- reading a key, or a token ---- */

static enum jy_err
read_all(int fd, const char *name, struct secret *text, struct errctx *ec)
{
	size_t cap = secret_cap(text);
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, secret_data(text) + len, cap - len);
		if (n < 0 && errno != EINTR) {
			return err_set(
			    ec, JY_EIO, "%s: %s", name, strerror(errno));
		}
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len < cap);
	if (len == cap) {
		return err_set(ec, JY_EINVAL, "%s: too long", name);
	}
	secret_set_len(text, len);
	return JY_OK;
}

static enum jy_err
read_text(
    const char *path, const char *name, struct secret *text, struct errctx *ec)
{
	enum jy_err err;
	int fd;

	if (strcmp(path, "-") == 0) {
		return read_all(STDIN_FILENO, name, text, ec);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "%s: %s", name, strerror(errno));
	}
	err = read_all(fd, name, text, ec);
	(void)close(fd);
	return err;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What there is between white space; it points into text. */
static const char *
trimmed(const struct secret *text, size_t *len)
{
	const char *p = (const char *)secret_bytes(text);

	*len = secret_len(text);
	for (; *len > 0 && is_space(p[0]); --*len) {
		p++;
	}
	while (*len > 0 && is_space(p[*len - 1])) {
		--*len;
	}
	return p;
}

static enum jy_err
parse_key(const struct secret *text, const char *name, struct secret *key,
    struct errctx *ec)
{
	size_t len;
	const char *p = trimmed(text, &len);

	if (len != 32 && len != 48 && len != 64) {
		return err_set(ec, JY_EINVAL,
		    "%s: a key is 32, 48 or 64 hexadecimal digits, here are "
		    "%zu characters",
		    name, len);
	}
	if (!hex_parse(p, len, secret_data(key), len / 2)) {
		return err_set(ec, JY_EINVAL,
		    "%s: something there is no hexadecimal digit", name);
	}
	secret_set_len(key, len / 2);
	return JY_OK;
}

enum jy_err
seal_parse_key(const struct secret *text, const char *name, struct secret **out,
    struct errctx *ec)
{
	struct secret *key = NULL;
	enum jy_err err = secret_new(32, &key, ec);

	if (err == JY_OK) {
		err = parse_key(text, name, key, ec);
	}
	if (err == JY_OK) {
		*out = key;
		key = NULL; /* moved */
	}
	secret_free(key);
	return err;
}

enum jy_err
seal_read_key(const char *path, struct secret **out, struct errctx *ec)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	struct secret *text = NULL;
	enum jy_err err;

	err = secret_new(KEY_FILE_MAX, &text, ec);
	if (err == JY_OK) {
		err = read_text(path, name, text, ec);
	}
	if (err == JY_OK) {
		err = seal_parse_key(text, name, out, ec);
	}
	secret_free(text);
	return err;
}

/* ---- sealing ---- */

static enum jy_err
load_public_key(
    const uint8_t *der, size_t len, EVP_PKEY **out, struct errctx *ec)
{
	const uint8_t *p = der;
	EVP_PKEY *key;
	int bits;

	ERR_clear_error();
	key = len <= LONG_MAX ? d2i_PUBKEY(NULL, &p, (long)len) : NULL;
	if (key == NULL || p != der + len) {
		EVP_PKEY_free(key);
		return openssl_failed("the import key is malformed", ec);
	}
	bits = EVP_PKEY_get_bits(key);
	if (!EVP_PKEY_is_a(key, "RSA") || bits < RSA_BITS_MIN ||
	    bits > RSA_BITS_MAX) {
		EVP_PKEY_free(key);
		return err_set(ec, JY_EINVAL,
		    "the import key is not RSA of %d to %d bits", RSA_BITS_MIN,
		    RSA_BITS_MAX);
	}
	*out = key;
	return JY_OK;
}

static enum jy_err
seal_transport(EVP_PKEY *to, const struct secret *transport, uint8_t *out,
    size_t *out_len, struct errctx *ec)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(to, NULL);
	size_t len = SEAL_TRANSPORT_MAX;
	enum jy_err err = JY_OK;

	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha1()) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha1()) != 1 ||
	    EVP_PKEY_encrypt(ctx, out, &len, secret_bytes(transport),
		secret_len(transport)) != 1) {
		err = openssl_failed("RSA-OAEP", ec);
	} else {
		*out_len = len;
	}
	EVP_PKEY_CTX_free(ctx);
	return err;
}

enum jy_err
seal_transport_key(const uint8_t *public_key, size_t public_key_len,
    const struct secret *transport, uint8_t out[SEAL_TRANSPORT_MAX],
    size_t *out_len, struct errctx *ec)
{
	EVP_PKEY *to = NULL;
	enum jy_err err = load_public_key(public_key, public_key_len, &to, ec);

	if (err == JY_OK) {
		err = seal_transport(to, transport, out, out_len, ec);
	}
	EVP_PKEY_free(to);
	return err;
}

static enum jy_err
wrap_key(const struct secret *transport, const struct secret *key,
    struct sealed_key *out, struct errctx *ec)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	enum jy_err err = JY_OK;
	int n = 0;

	if (ctx != NULL) {
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	}
	if (ctx == NULL ||
	    EVP_EncryptInit_ex2(ctx, EVP_aes_256_wrap(),
		secret_bytes(transport), NULL, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, out->wrapped_key, &n, secret_bytes(key),
		(int)secret_len(key)) != 1 ||
	    (size_t)n != secret_len(key) + 8) {
		err = openssl_failed("AES key wrap", ec);
	}
	out->wrapped_key_len = (size_t)n;
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

enum jy_err
seal_check_value(const struct secret *key, uint8_t out[4], struct errctx *ec)
{
	static const uint8_t zeros[16] = { 0 };
	AUTO_WIPE struct secret_block mac = { { 0 } };
	size_t len = secret_len(key);
	const char *cipher = len == 16 ? "AES-128-CBC"
	    : len == 24                ? "AES-192-CBC"
				       : "AES-256-CBC";
	size_t mac_len = 0;

	if (EVP_Q_mac(NULL, "CMAC", NULL, cipher, NULL, secret_bytes(key), len,
		zeros, sizeof(zeros), mac.b, sizeof(mac.b), &mac_len) == NULL ||
	    mac_len != sizeof(mac.b)) {
		return openssl_failed("AES-CMAC", ec);
	}
	memcpy(out, mac.b, 4);
	return JY_OK;
}

enum jy_err
seal_key(const uint8_t *public_key, size_t public_key_len,
    const struct secret *key, struct sealed_key *out, struct errctx *ec)
{
	size_t len = secret_len(key);
	struct sealed_key sealed = { .transport_key_len = 0 };
	struct secret *transport = NULL;
	EVP_PKEY *to = NULL;
	enum jy_err err;

	if (len != 16 && len != 24 && len != 32) {
		return err_set(ec, JY_EINVAL,
		    "a key has 16, 24 or 32 octets, not %zu", len);
	}
	err = load_public_key(public_key, public_key_len, &to, ec);
	if (err != JY_OK) {
		return err;
	}
	err = secret_new(TRANSPORT_KEY_LEN, &transport, ec);
	if (err != JY_OK) {
		goto out;
	}
	secret_set_len(transport, TRANSPORT_KEY_LEN);
	if (RAND_priv_bytes(secret_data(transport), TRANSPORT_KEY_LEN) != 1) {
		err = openssl_failed("random octets", ec);
		goto out;
	}
	err =
	    seal_fingerprint(public_key, public_key_len, sealed.import_key, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = seal_transport(
	    to, transport, sealed.transport_key, &sealed.transport_key_len, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = wrap_key(transport, key, &sealed, ec);
	if (err != JY_OK) {
		goto out;
	}
	err = seal_check_value(key, sealed.check_value, ec);
	if (err == JY_OK) {
		*out = sealed;
	}
out:
	secret_free(transport);
	EVP_PKEY_free(to);
	return err;
}

/* ---- public keys ---- */

enum jy_err
seal_fingerprint(const uint8_t *public_key, size_t public_key_len,
    uint8_t out[SEAL_FINGERPRINT_LEN], struct errctx *ec)
{
	if (EVP_Q_digest(NULL, "SHA256", NULL, public_key, public_key_len, out,
		NULL) != 1) {
		return openssl_failed("SHA-256", ec);
	}
	return JY_OK;
}

enum jy_err
seal_read_pem(
    const char *path, uint8_t **out, size_t *out_len, struct errctx *ec)
{
	FILE *f = fopen(path, "re");
	char *name = NULL;
	char *header = NULL;
	unsigned char *data = NULL;
	enum jy_err err = JY_OK;
	long len = 0;

	if (f == NULL) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	ERR_clear_error();
	if (PEM_read(f, &name, &header, &data, &len) != 1 ||
	    strcmp(name, PEM_STRING_PUBLIC) != 0 || len <= 0) {
		ERR_clear_error();
		err = err_set(ec, JY_EINVAL,
		    "%s: does not start with a public key in PEM", path);
	} else {
		*out_len = (size_t)len;
		*out = sys_xmalloc(*out_len);
		memcpy(*out, data, *out_len);
	}
	(void)fclose(f);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(data);
	return err;
}

enum jy_err
seal_format_pem(const uint8_t *public_key, size_t public_key_len, char **out,
    struct errctx *ec)
{
	BIO *bio = BIO_new(BIO_s_mem());
	enum jy_err err = JY_OK;
	char *text = NULL;
	long len = 0;

	if (bio == NULL || public_key_len > LONG_MAX ||
	    PEM_write_bio(bio, PEM_STRING_PUBLIC, "", public_key,
		(long)public_key_len) <= 0 ||
	    (len = BIO_get_mem_data(bio, &text)) <= 0) {
		err = openssl_failed("PEM", ec);
	} else {
		*out = sys_xcalloc(1, (size_t)len + 1);
		memcpy(*out, text, (size_t)len);
	}
	BIO_free(bio);
	return err;
}

/* ---- tokens ---- */

static enum jy_err
parse_token(const struct secret *text, const char *name, struct secret *token,
    struct errctx *ec)
{
	size_t len;
	const char *p = trimmed(text, &len);

	if (len < SEAL_TOKEN_MIN || len > SEAL_TOKEN_MAX) {
		return err_set(ec, JY_EINVAL,
		    "%s: %d to %d characters are needed, here are %zu: the "
		    "server keeps a plain SHA-256, so this must not be "
		    "guessed",
		    name, SEAL_TOKEN_MIN, SEAL_TOKEN_MAX, len);
	}
	for (size_t i = 0; i < len; i++) {
		if (p[i] < ' ' || p[i] > '~') {
			return err_set(ec, JY_EINVAL,
			    "%s: something there is not printable ASCII", name);
		}
	}
	memcpy(secret_data(token), p, len);
	secret_set_len(token, len);
	return JY_OK;
}

enum jy_err
seal_read_token(const char *path, struct secret **out, struct errctx *ec)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	struct secret *token = NULL;
	struct secret *text = NULL;
	enum jy_err err;

	/* Twice the room: for more white space than one has. */
	err = secret_new((size_t)2 * SEAL_TOKEN_MAX, &text, ec);
	if (err == JY_OK) {
		err = secret_new(SEAL_TOKEN_MAX, &token, ec);
	}
	if (err == JY_OK) {
		err = read_text(path, name, text, ec);
	}
	if (err == JY_OK) {
		err = parse_token(text, name, token, ec);
	}
	if (err == JY_OK) {
		*out = token;
		token = NULL; /* moved */
	}
	secret_free(token);
	secret_free(text);
	return err;
}

#define NEW_TOKEN_OCTETS 32
#define NEW_TOKEN_LEN 43

/* Base64url without padding (RFC 4648, 5): 6 bits a character. */
static void
put_base64url(const uint8_t *in, size_t n, struct secret *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t *p = secret_data(out);
	size_t len = (8 * n + 5) / 6;

	for (size_t i = 0; i < len; i++) {
		size_t bit = 6 * i;
		unsigned pair = (unsigned)in[bit / 8] << 8 |
		    (bit / 8 + 1 < n ? in[bit / 8 + 1] : 0U);

		p[i] = (uint8_t)digits[pair >> (10 - bit % 8) & 0x3f];
	}
	secret_set_len(out, len);
}

enum jy_err
seal_new_token(struct secret **out, struct errctx *ec)
{
	struct secret *random = NULL;
	struct secret *token = NULL;
	enum jy_err err;

	err = secret_new(NEW_TOKEN_OCTETS, &random, ec);
	if (err == JY_OK) {
		err = secret_new(NEW_TOKEN_LEN, &token, ec);
	}
	if (err == JY_OK &&
	    RAND_priv_bytes(secret_data(random), NEW_TOKEN_OCTETS) != 1) {
		err = openssl_failed("random octets", ec);
	}
	if (err == JY_OK) {
		put_base64url(secret_data(random), NEW_TOKEN_OCTETS, token);
		*out = token;
		token = NULL; /* moved */
	}
	secret_free(token);
	secret_free(random);
	return err;
}

enum jy_err
seal_hash_token(const char *user, const struct secret *token,
    uint8_t out[SEAL_HASH_LEN], struct errctx *ec)
{
	static const char bearer[] = "joinery bearer";
	static const char basic[] = "joinery basic";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum jy_err err = JY_OK;
	bool ok;

	/* The NUL behind each name is hashed, too. */
	ok = ctx != NULL && EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) == 1;
	if (user == NULL) {
		ok = ok && EVP_DigestUpdate(ctx, bearer, sizeof(bearer)) == 1;
	} else {
		ok = ok && EVP_DigestUpdate(ctx, basic, sizeof(basic)) == 1 &&
		    EVP_DigestUpdate(ctx, user, strlen(user)) == 1 &&
		    EVP_DigestUpdate(ctx, ":", 1) == 1;
	}
	ok = ok &&
	    EVP_DigestUpdate(ctx, secret_bytes(token), secret_len(token)) ==
		1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	if (!ok) {
		err = openssl_failed("SHA-256", ec);
	}
	EVP_MD_CTX_free(ctx);
	return err;
}
