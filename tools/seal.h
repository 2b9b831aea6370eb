/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing a key to the token's import key, on the admin's side, so that no
 * clear key enters a server: a fresh AES-256 transport key under RSA-OAEP
 * (SHA-1, MGF1-SHA-1), the key under the transport key (RFC 3394), and the
 * first 4 octets of AES-CMAC(key, 16 zero octets) as check value.
 */
#ifndef JY_TOOLS_SEAL_H
#define JY_TOOLS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/secret.h"

#define SEAL_FINGERPRINT_LEN 32
#define SEAL_TRANSPORT_MAX 512
#define SEAL_WRAPPED_MAX 40
#define SEAL_HASH_LEN 32
#define SEAL_TOKEN_MIN 32
#define SEAL_TOKEN_MAX 1024

struct sealed_key {
	uint8_t import_key[SEAL_FINGERPRINT_LEN];
	uint8_t transport_key[SEAL_TRANSPORT_MAX];
	size_t transport_key_len;
	uint8_t wrapped_key[SEAL_WRAPPED_MAX];
	size_t wrapped_key_len;
	uint8_t check_value[4];
};

/*
 * Read a key of 16, 24 or 32 octets as hexadecimal text from a file, or from
 * standard input if path is "-": digits, white space around them, nothing
 * else.  JY_EINVAL for anything else; the detail never shows a digit.
 */
enum jy_err seal_read_key(
    const char *path, struct secret **out, struct errctx *ec) JY_CHECK;

/* The same from text at hand, which name says the origin of. */
enum jy_err seal_parse_key(const struct secret *text, const char *name,
    struct secret **out, struct errctx *ec) JY_CHECK;

/* The first 4 octets of AES-CMAC(key, 16 zero octets). */
enum jy_err seal_check_value(
    const struct secret *key, uint8_t out[4], struct errctx *ec) JY_CHECK;

/*
 * public_key: SubjectPublicKeyInfo, DER; RSA of 2048 to 4096 bits, else
 * JY_EINVAL.  Whether it is the right one is for the caller to know.
 */
enum jy_err seal_key(const uint8_t *public_key, size_t public_key_len,
    const struct secret *key, struct sealed_key *out,
    struct errctx *ec) JY_CHECK;

/* A transport key alone, sealed the same way, for what keys follow it. */
enum jy_err seal_transport_key(const uint8_t *public_key, size_t public_key_len,
    const struct secret *transport, uint8_t out[SEAL_TRANSPORT_MAX],
    size_t *out_len, struct errctx *ec) JY_CHECK;

/* The fingerprint of a public key: the SHA-256 of its DER. */
enum jy_err seal_fingerprint(const uint8_t *public_key, size_t public_key_len,
    uint8_t out[SEAL_FINGERPRINT_LEN], struct errctx *ec) JY_CHECK;

/*
 * A public key from a PEM file, as DER, and back.  JY_EIO when the file cannot
 * be read, JY_EINVAL when it holds no public key first.  The caller frees.
 */
enum jy_err seal_read_pem(const char *path, uint8_t **out, size_t *out_len,
    struct errctx *ec) JY_CHECK;
enum jy_err seal_format_pem(const uint8_t *public_key, size_t public_key_len,
    char **out, struct errctx *ec) JY_CHECK;

/*
 * Tokens and passwords of HTTP peers.  The server keeps a plain SHA-256 of
 * them, which is as strong as they are hard to guess: so a new one has 32
 * random octets, written in base64url without padding, and one that is read,
 * from a file or from standard input if path is "-", has SEAL_TOKEN_MIN to
 * SEAL_TOKEN_MAX characters, all of them printable ASCII, with white space
 * around it.  JY_EINVAL for anything else; the detail never shows a character.
 */
enum jy_err seal_new_token(struct secret **out, struct errctx *ec) JY_CHECK;
enum jy_err seal_read_token(
    const char *path, struct secret **out, struct errctx *ec) JY_CHECK;

/*
 * What the server keeps: SHA-256 of "joinery bearer" NUL token, or with a user
 * of "joinery basic" NUL user ":" token.
 */
enum jy_err seal_hash_token(const char *user, const struct secret *token,
    uint8_t out[SEAL_HASH_LEN], struct errctx *ec) JY_CHECK;

#endif
