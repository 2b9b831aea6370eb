/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed key file, with OpenSSL's EVP.  The transport key lives in a struct
 * secret and in OpenSSL's contexts, which wipe themselves when freed; contexts
 * are kept, for a file may have millions of devices.
 */
#include "tools/seal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "src/base/secret.h"
#include "src/base/sys.h"
#include "tools/seal.h"

#define TRANSPORT_KEY_LEN 32
#define ROOT_KEY_LEN 16
#define BLOCK_LEN 16
#define SHA256_LEN 32

_Static_assert(SEAL_TRANSPORT_MAX == KEYFILE_TRANSPORT_MAX, "one RSA limit");
_Static_assert(SEAL_FINGERPRINT_LEN == KEYFILE_FINGERPRINT_LEN, "SHA-256");

struct seal_file {
	char *path;
	char *temporary; /* "" once it has its place */
	FILE *out;
	struct secret *transport;
	EVP_CIPHER_CTX *wrap;
	EVP_MAC_CTX *cmac; /* AES-128; keyed anew for each use */
	EVP_MD_CTX *digest;
	uint64_t devices;
};

static enum jy_err
crypto_failed(const char *what, struct errctx *ec)
{
	ERR_clear_error();
	return err_set(ec, JY_EINVAL, "%s failed in OpenSSL", what);
}

static enum jy_err
io_failed(const struct seal_file *f, struct errctx *ec)
{
	return err_set(ec, JY_EIO, "%s: %s", f->path, strerror(errno));
}

/* ---- crypto ---- */

static enum jy_err
cmac(struct seal_file *f, const uint8_t key[ROOT_KEY_LEN], const uint8_t *data,
    size_t len, uint8_t out[BLOCK_LEN], struct errctx *ec)
{
	size_t n = 0;

	if (EVP_MAC_init(f->cmac, key, ROOT_KEY_LEN, NULL) != 1 ||
	    EVP_MAC_update(f->cmac, data, len) != 1 ||
	    EVP_MAC_final(f->cmac, out, &n, BLOCK_LEN) != 1 || n != BLOCK_LEN) {
		return crypto_failed("AES-CMAC", ec);
	}
	return JY_OK;
}

enum jy_err
seal_file_key(struct seal_file *f, const uint8_t key[ROOT_KEY_LEN],
    struct keyfile_key *out, struct errctx *ec)
{
	static const uint8_t zeros[BLOCK_LEN] = { 0 };
	AUTO_WIPE struct secret_block mac = { { 0 } };
	struct keyfile_key k = { .present = true };
	enum jy_err err;
	int n = 0;

	if (EVP_EncryptInit_ex2(
		f->wrap, NULL, secret_bytes(f->transport), NULL, NULL) != 1 ||
	    EVP_EncryptUpdate(f->wrap, k.wrapped, &n, key, ROOT_KEY_LEN) != 1 ||
	    (size_t)n != sizeof(k.wrapped)) {
		return crypto_failed("AES key wrap", ec);
	}
	err = cmac(f, key, zeros, sizeof(zeros), mac.b, ec);
	if (err == JY_OK) {
		memcpy(k.check_value, mac.b, sizeof(k.check_value));
		*out = k;
	}
	return err;
}

/* The key of the MAC: a block encrypted under the transport key. */
static enum jy_err
mac_key(struct seal_file *f, struct secret_block *out, struct errctx *ec)
{
	static const uint8_t block[BLOCK_LEN] = "joinery-keyfile1";
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	enum jy_err err = JY_OK;
	int n = 0;

	if (ctx == NULL ||
	    EVP_EncryptInit_ex2(ctx, EVP_aes_256_ecb(),
		secret_bytes(f->transport), NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
	    EVP_EncryptUpdate(ctx, out->b, &n, block, sizeof(block)) != 1 ||
	    n != BLOCK_LEN) {
		err = crypto_failed("AES", ec);
	}
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

static enum jy_err
file_mac(struct seal_file *f, uint8_t out[KEYFILE_MAC_LEN], struct errctx *ec)
{
	AUTO_WIPE struct secret_block key = { { 0 } };
	uint8_t hash[SHA256_LEN];
	enum jy_err err = mac_key(f, &key, ec);

	if (err != JY_OK) {
		return err;
	}
	if (EVP_DigestFinal_ex(f->digest, hash, NULL) != 1) {
		return crypto_failed("SHA-256", ec);
	}
	return cmac(f, key.b, hash, sizeof(hash), out, ec);
}

static enum jy_err
contexts_new(struct seal_file *f, struct errctx *ec)
{
	char cipher[] = "AES-128-CBC";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("cipher", cipher, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);

	f->wrap = EVP_CIPHER_CTX_new();
	f->digest = EVP_MD_CTX_new();
	f->cmac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	if (f->wrap != NULL) {
		EVP_CIPHER_CTX_set_flags(
		    f->wrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	}
	if (f->wrap == NULL || f->digest == NULL || f->cmac == NULL ||
	    EVP_MAC_CTX_set_params(f->cmac, params) != 1 ||
	    EVP_EncryptInit_ex2(
		f->wrap, EVP_aes_256_wrap(), NULL, NULL, NULL) != 1 ||
	    EVP_DigestInit_ex2(f->digest, EVP_sha256(), NULL) != 1) {
		return crypto_failed("preparing AES and SHA-256", ec);
	}
	return JY_OK;
}

/* ---- the file ---- */

/* What the MAC is over goes out here. */
static enum jy_err
put(struct seal_file *f, const char *text, size_t len, struct errctx *ec)
{
	if (EVP_DigestUpdate(f->digest, text, len) != 1) {
		return crypto_failed("SHA-256", ec);
	}
	return fwrite(text, 1, len, f->out) == len ? JY_OK : io_failed(f, ec);
}

static enum jy_err
open_temporary(struct seal_file *f, struct errctx *ec)
{
	static const char suffix[] = ".XXXXXX";
	size_t len = strlen(f->path);
	int fd;

	f->temporary = sys_xcalloc(1, len + sizeof(suffix));
	memcpy(f->temporary, f->path, len);
	memcpy(f->temporary + len, suffix, sizeof(suffix));
	fd = mkostemp(f->temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		f->temporary[0] = '\0';
		return io_failed(f, ec);
	}
	f->out = fdopen(fd, "w");
	jy_assert(f->out != NULL);
	return JY_OK;
}

static enum jy_err
write_header(struct seal_file *f, const uint8_t *public_key, size_t len,
    struct errctx *ec)
{
	struct keyfile_header header = { .transport_key_len = 0 };
	char text[KEYFILE_HEADER_LEN];
	enum jy_err err;

	err = seal_fingerprint(public_key, len, header.import_key, ec);
	if (err == JY_OK) {
		err = seal_transport_key(public_key, len, f->transport,
		    header.transport_key, &header.transport_key_len, ec);
	}
	return err == JY_OK
	    ? put(f, text, keyfile_write_header(&header, text), ec)
	    : err;
}

static void
seal_file_free(struct seal_file *f)
{
	if (f->out != NULL) {
		(void)fclose(f->out);
	}
	if (f->temporary != NULL && f->temporary[0] != '\0') {
		(void)unlink(f->temporary);
	}
	secret_free(f->transport);
	EVP_CIPHER_CTX_free(f->wrap);
	EVP_MAC_CTX_free(f->cmac);
	EVP_MD_CTX_free(f->digest);
	free(f->temporary);
	free(f->path);
	free(f);
}

enum jy_err
seal_file_begin(const char *path, const uint8_t *public_key,
    size_t public_key_len, struct seal_file **out, struct errctx *ec)
{
	struct seal_file *f = sys_xcalloc(1, sizeof(*f));
	enum jy_err err;

	f->path = sys_xstrdup(path);
	err = secret_new(TRANSPORT_KEY_LEN, &f->transport, ec);
	if (err == JY_OK) {
		secret_set_len(f->transport, TRANSPORT_KEY_LEN);
		if (RAND_priv_bytes(
			secret_data(f->transport), TRANSPORT_KEY_LEN) != 1) {
			err = crypto_failed("random octets", ec);
		}
	}
	if (err == JY_OK) {
		err = contexts_new(f, ec);
	}
	if (err == JY_OK) {
		err = open_temporary(f, ec);
	}
	if (err == JY_OK) {
		err = write_header(f, public_key, public_key_len, ec);
	}
	if (err != JY_OK) {
		seal_file_free(f);
		return err;
	}
	*out = f;
	return JY_OK;
}

enum jy_err
seal_file_device(
    struct seal_file *f, const struct keyfile_device *device, struct errctx *ec)
{
	char line[KEYFILE_LINE_MAX];
	size_t len = 0;
	enum jy_err err = keyfile_write_device(device, line, &len, ec);

	if (err == JY_OK) {
		err = put(f, line, len, ec);
	}
	f->devices += err == JY_OK ? 1 : 0;
	return err;
}

/* On disk, then in its place, then the place on disk. */
static enum jy_err
take_place(struct seal_file *f, struct errctx *ec)
{
	char *slash = strrchr(f->path, '/');
	int dir;

	if (fflush(f->out) != 0 || fsync(fileno(f->out)) != 0 ||
	    rename(f->temporary, f->path) != 0) {
		return io_failed(f, ec);
	}
	f->temporary[0] = '\0';
	if (slash != NULL) {
		slash[slash == f->path ? 1 : 0] = '\0';
	}
	dir = open(slash != NULL ? f->path : ".", O_RDONLY | O_CLOEXEC);
	if (dir >= 0) {
		/* Some file systems cannot; the file itself is safe. */
		(void)fsync(dir);
		(void)close(dir);
	}
	return JY_OK;
}

enum jy_err
seal_file_finish(struct seal_file *f, struct errctx *ec)
{
	uint8_t mac[KEYFILE_MAC_LEN];
	char line[KEYFILE_LINE_MAX];
	enum jy_err err;

	err = put(f, line, keyfile_write_end(f->devices, line), ec);
	if (err == JY_OK) {
		err = file_mac(f, mac, ec);
	}
	if (err == JY_OK) {
		size_t len = keyfile_write_mac(mac, line);

		err = fwrite(line, 1, len, f->out) == len ? take_place(f, ec)
							  : io_failed(f, ec);
	}
	seal_file_free(f);
	return err;
}

void
seal_file_abort(struct seal_file *f)
{
	if (f != NULL) {
		seal_file_free(f);
	}
}
