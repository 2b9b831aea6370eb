/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens for tests: a blank one in a directory of its own, made ready with
 * hsm_setup, and keys sealed to it by OpenSSL as an admin would.
 */
#ifndef JY_TESTS_HSM_FIXTURE_H
#define JY_TESTS_HSM_FIXTURE_H

#include "hsm/hsm.h"

enum token_kind {
	TOKEN_SOFTHSM,
	TOKEN_SOFTOKN
};

struct token {
	enum token_kind kind;
	char dir[64]; /* everything of this token lies in it */
	char uri[512];
	char init_args[256];
	const char *so_pin; /* pin-source, or NULL */
	struct hsm_config config;
};

/* True if the module is installed; else tests of it are skipped. */
bool token_available(enum token_kind kind);

/* A fresh directory, URI and PIN file; nothing in the token yet. */
void token_init(struct token *t, enum token_kind kind);

/* Likewise behind tests/mock/p11_mock.so, if mocked. */
void token_init_mocked(struct token *t, enum token_kind kind);

/* hsm_setup with create; must succeed. */
void token_prepare(struct token *t);

/* Remove the directory. */
void token_fini(struct token *t);

/* Open; must succeed. */
struct hsm *token_open(struct token *t);

/* Write a file of the token's directory. */
void token_write(
    const struct token *t, const char *name, const char *text, unsigned mode);

struct sealing {
	struct hsm_sealed sealed; /* points into the rest */
	uint8_t import_key[HSM_FINGERPRINT_LEN];
	uint8_t transport_key[512];
	uint8_t wrapped_key[40];
	uint8_t kcv[HSM_KCV_LEN];
};

/* Seal key for the import key of hsm. */
void seal_for(
    struct hsm *hsm, const uint8_t *key, size_t len, struct sealing *out);

/*
 * Seal a transport key of len octets for the import key of hsm; returns the
 * length of the ciphertext.
 */
size_t seal_transport(struct hsm *hsm, const uint8_t *transport, size_t len,
    uint8_t import_key[HSM_FINGERPRINT_LEN], uint8_t ciphertext[512]);

/* Independent answers, by OpenSSL. */
void ossl_cmac(const uint8_t *key, size_t key_len, const uint8_t *data,
    size_t len, uint8_t mac[16]);
/* AES-256-ECB of one block. */
void ossl_ecb_256(const uint8_t key[32], const uint8_t in[16], uint8_t out[16]);
void ossl_ecb(bool encrypt, const uint8_t key[16], const uint8_t *in,
    size_t len, uint8_t *out);
void ossl_wrap(const uint8_t *kek, size_t kek_len, const uint8_t *key,
    size_t len, uint8_t *out);

struct hsm_id id_of(const char *text);

#endif
