/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 token, as Joinery uses one: key objects found by an identifier,
 * and the few operations of a join.  Knows no LoRaWAN and no store.
 *
 * The surface is narrow on purpose: no function returns a root key, a full
 * MAC or the value of a key (one exception says so in its name).
 *
 * Threads: hsm_open and hsm_close on one thread, alone; everything else from
 * any thread, with a session that this thread holds.  The module is loaded
 * in a process that never forks afterwards.
 *
 * Errors every function may give:
 *   JY_ETOKEN     the token is gone or answers nonsense: nothing is known
 *   JY_ETOKENREQ  the token works, and refused this request
 *   JY_ENOKEY     the token works, and holds no such key object
 * A dead session is replaced and a stale handle found anew, once, inside.
 *
 * The PIN is read, tried once and forgotten, in hsm_open and hsm_setup.  When
 * the login is lost later, or the session that keeps it, hsm_canary and
 * whatever needs them are JY_ETOKEN from then on: the way back is a new
 * process, and who starts it decides how often a PIN is tried.
 */
#ifndef JY_HSM_HSM_H
#define JY_HSM_HSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "src/base/err.h"

struct hsm;
struct hsm_session;
struct hsm_key;

/* ---- the token ---- */

/* What turn_dir points to outlives the hsm; the directory may come later. */
struct hsm_config {
	/*
	 * RFC 7512: token= and/or serial= name the token, module-path= the
	 * module; pin-source= is file:PATH (a regular file that only its
	 * owner can read), fd:N, credential:NAME (systemd) or prompt: (a
	 * terminal).  pin-value is refused.
	 */
	const char *uri;
	const char *init_args; /* CK_C_INITIALIZE_ARGS.pReserved, or "" */
	unsigned sessions;     /* beside the anchor session; >= 1 */
	unsigned cache;        /* session-object copies to keep; >= 16 */
	const char *turn_dir;  /* for turns of processes; NULL: alone */
	/* Policy guarantees to insist on: names of enum hsm_policy. */
	const char *const *require;
	size_t require_count;
};

/* What the token really does, found out by trying (hsm/probe.c). */
enum hsm_policy {
	HSM_POLICY_ALLOWED_MECHANISMS, /* CKA_ALLOWED_MECHANISMS holds */
	HSM_POLICY_NO_WRAP,            /* non-extractable keys stay inside */
	HSM_POLICY_NO_MODIFY,          /* CKA_MODIFIABLE=false holds */
	HSM_POLICY_NO_COPY,            /* CKA_COPYABLE=false holds */
	HSM_POLICY_SENSITIVE,          /* CKA_SENSITIVE values are refused */
	HSM_POLICY_USAGE,              /* usage booleans are enforced */
	HSM_POLICY_NO_CONCATENATE,     /* CKM_CONCATENATE_* cannot be reached */
	HSM_POLICY_UNWRAP_TEMPLATE,    /* CKA_UNWRAP_TEMPLATE holds */
	HSM_POLICY_COUNT
};

/* "allowed-mechanisms", ...; a static string. */
const char *hsm_policy_name(enum hsm_policy policy);

#define HSM_CHECKS_MAX 32

/* One line of the report: a mechanism that was run, or a policy. */
struct hsm_check {
	char name[48]; /* "CKM_AES_CMAC sign" or "policy no-wrap" */
	bool ok;
	bool needed;      /* start-up is refused if it is not ok */
	char detail[120]; /* what happened, "" if nothing to say */
};

struct hsm_report {
	char module[256];
	char token[33]; /* label, trimmed */
	char serial[17];
	char model[17];
	char library[40]; /* description and version */
	struct hsm_check checks[HSM_CHECKS_MAX];
	size_t check_count;
	bool ok; /* every needed check is ok */
};

/* Print for people, or as one JSON object. */
void hsm_report_print(const struct hsm_report *report, FILE *out, bool json);

/*
 * Load the module, find the one token the URI names, log in, prove every
 * mechanism and policy, check the canary key, index the key objects.
 * report, never NULL, is filled as far as it went, also on failure.
 * JY_ECONFIG: the URI or PIN source is unusable, or no or several tokens
 * match (JY_ETOKEN if there is no token at all, or one that does not answer);
 * JY_EPIN: the token did not take the PIN, for whatever reason it gave: do
 * not try again by yourself;
 * JY_EMECH: a needed mechanism does not work; JY_EPOLICY: a guarantee in
 * require is not given; JY_ENOKEY: the token was not prepared (no canary,
 * audit or import key).
 */
enum jy_err hsm_open(const struct hsm_config *config, struct hsm **out,
    struct hsm_report *report, struct errctx *ec) JY_CHECK;

/* Log out and unload; NULL is fine.  All sessions and keys are given back. */
void hsm_close(struct hsm *hsm);

struct hsm_setup {
	const struct hsm_config *config;
	bool create;               /* initialise a blank token of that label */
	const char *so_pin_source; /* as pin-source=; for create */
};

/*
 * Prepare a token: initialise it if asked to and it does not exist yet, then
 * create the import key (RSA-3072), the audit key and the canary key where
 * they are missing.  Never touches a key that is there.  *created_import says
 * whether the import key is new.  JY_EPIN: the token did not take one of the
 * PINs.
 */
enum jy_err hsm_setup(const struct hsm_setup *setup, bool *created_import,
    struct errctx *ec) JY_CHECK;

/*
 * Ask the canary key for its answer and compare with the one of start-up:
 * JY_OK means the token lives, and is logged in as at start-up; all else is
 * JY_ETOKEN.  Cheap enough for once a minute.
 */
enum jy_err hsm_canary(
    struct hsm *hsm, struct hsm_session *s, struct errctx *ec) JY_CHECK;

#define HSM_IDENTITY_LEN 4

/* The canary's check value: identifies the token across restarts. */
void hsm_identity(const struct hsm *hsm, uint8_t out[HSM_IDENTITY_LEN]);

/* PKCS#11 calls made so far by this process, and copies made on a miss. */
struct hsm_stats {
	uint64_t calls;
	uint64_t cache_misses;
};

void hsm_stats(const struct hsm *hsm, struct hsm_stats *out);

/* ---- sessions ---- */

/*
 * Borrow a session for this thread, waiting until one is free; give it back
 * soon.  Never fails: a session that cannot be opened fails at first use.
 */
struct hsm_session *hsm_session_get(struct hsm *hsm);
void hsm_session_put(struct hsm *hsm, struct hsm_session *s);

/* ---- key objects ---- */

/* What a key may do; each is a row of the table in hsm/template.c. */
enum hsm_template {
	HSM_ROOT,        /* CMAC, ECB decrypt, derive: 1.0.x root, NwkKey */
	HSM_DERIVE_ONLY, /* derive: the AppKey of a 1.1 device */
	HSM_MAC,         /* CMAC, session object: JSIntKey */
	HSM_DECRYPT,     /* ECB decrypt, session object: JSEncKey */
	HSM_KEK,         /* RFC 3394 wrap */
	HSM_TEMPLATE_COUNT
};

#define HSM_ID_MAX 32

/* A key object's CKA_ID: chosen by the caller, unique in the token. */
struct hsm_id {
	uint8_t len; /* 1..HSM_ID_MAX */
	uint8_t b[HSM_ID_MAX];
};

/*
 * Get the token's key of that CKA_ID ready for use, as a session-object copy
 * in a bounded cache.  The key is pinned until it is put back.  JY_ENOKEY
 * when the token has none or more than one of that ID; JY_EBUSY when every
 * place of the cache is pinned (there are 8 more of them per session than
 * the configuration says).
 */
enum jy_err hsm_key_get(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, struct hsm_key **out,
    struct errctx *ec) JY_CHECK;

/*
 * Likewise for a key that the token derives: E(parent, block), under an ID of
 * the caller's choosing that names parent and block, as a session object of
 * template HSM_MAC or HSM_DECRYPT.
 */
enum jy_err hsm_key_get_derived(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, struct hsm_key *parent, const uint8_t block[16],
    struct hsm_key **out, struct errctx *ec) JY_CHECK;

/* The key of that ID, pinned, if it is at hand; else NULL. */
struct hsm_key *hsm_key_cached(
    struct hsm *hsm, const struct hsm_id *id, enum hsm_template template);

/* Unpin; NULL is fine. */
void hsm_key_put(struct hsm *hsm, struct hsm_key *key);

#define HSM_KCV_LEN 4
#define HSM_FINGERPRINT_LEN 32

/* A key on its way into the token; see SealedKey in proto/joinery.proto. */
struct hsm_sealed {
	const uint8_t *import_key;    /* fingerprint, 32 octets */
	const uint8_t *transport_key; /* RSA-OAEP ciphertext */
	size_t transport_key_len;
	const uint8_t *wrapped_key; /* 24, 32 or 40 octets */
	size_t wrapped_key_len;
	const uint8_t *kcv; /* HSM_KCV_LEN octets */
};

/*
 * Unwrap a sealed key in the token and keep it as a token object.  The length
 * must be that of an AES key of key_len octets.  JY_EINVAL: sealed for
 * another import key (the detail names both), or a wrong length; JY_EKCV: the
 * check value does not match; JY_ETOKENREQ: it does not unwrap.  On failure no
 * object is left. An older object of the same ID (left by an interrupted
 * import) is removed.
 */
enum jy_err hsm_key_import(struct hsm *hsm, const struct hsm_sealed *sealed,
    size_t key_len, enum hsm_template template, const struct hsm_id *id,
    const char *label, struct errctx *ec) JY_CHECK;

/*
 * The transport key of a sealed key file, under which many keys come.  It is
 * unwrapped once and then kept, as a session object that can unwrap and
 * derive, until two others have been used: the worker of an import asks for
 * it again and again.  JY_EINVAL: sealed for another import key (the detail
 * names both); JY_ETOKENREQ: it does not unwrap;
 * JY_EBUSY: all places are in use.
 */
struct hsm_transport;

enum jy_err hsm_transport_get(struct hsm *hsm,
    const uint8_t import_key[HSM_FINGERPRINT_LEN], const uint8_t *ciphertext,
    size_t len, struct hsm_transport **out, struct errctx *ec) JY_CHECK;

/* NULL is fine. */
void hsm_transport_put(struct hsm *hsm, struct hsm_transport *t);

#define HSM_MAC_LEN 16

/*
 * Is mac the AES-CMAC over data under E(transport key, block), a key of 128
 * bits?  JY_EKCV if not.
 */
enum jy_err hsm_transport_check(struct hsm *hsm, struct hsm_transport *t,
    const uint8_t block[16], const uint8_t *data, size_t len,
    const uint8_t mac[HSM_MAC_LEN], struct errctx *ec) JY_CHECK;

/* A key that is wrapped under a transport key. */
struct hsm_wrapped {
	const uint8_t *key;
	size_t len;
	const uint8_t *kcv; /* HSM_KCV_LEN octets */
};

/*
 * As hsm_key_import, but no older object of that ID is looked for: it has to
 * be fresh.  With id NULL the key is proved and not kept.
 */
enum jy_err hsm_key_import_under(struct hsm *hsm, struct hsm_transport *t,
    const struct hsm_wrapped *wrapped, size_t key_len,
    enum hsm_template template, const struct hsm_id *id, const char *label,
    struct errctx *ec) JY_CHECK;

/* Drop what is at hand of a key whose place outside the token is empty now. */
void hsm_key_forget(struct hsm *hsm, const struct hsm_id *id);

/*
 * ---- keys outside the token ----
 *
 * A storage key wraps AES-128 keys that are kept elsewhere, each bound to its
 * ID by a MAC of the token.  It is several objects: one only wraps, one only
 * unwraps what then cannot leave, one only unwraps what then can be nothing
 * but wrapped again, one only unwraps the transport keys of releases, one only
 * makes the MACs.  They are told by a number of the caller's choosing, not 0,
 * that is used once.
 *
 * Beside the errors of every function: JY_EFORGED when the MAC of a stored key
 * does not fit its ID, and JY_ENOKEY when the token has no such storage key.
 */

#define HSM_BLOB_LEN 24
#define HSM_BINDING_LEN 8

struct hsm_stored {
	uint32_t storage;             /* which storage key */
	uint8_t blob[HSM_BLOB_LEN];   /* RFC 3394 */
	uint8_t mac[HSM_BINDING_LEN]; /* over number, ID and blob */
};

/* JY_ENOKEY when the number is taken.  On failure nothing of it is left. */
enum jy_err hsm_storage_make(
    struct hsm *hsm, uint32_t storage, struct errctx *ec) JY_CHECK;

/* Destroy all that is left of it: what it wraps is lost. */
enum jy_err hsm_storage_destroy(
    struct hsm *hsm, uint32_t storage, struct errctx *ec) JY_CHECK;

/* Is all of it in the token that keys are loaded and kept with? */
enum jy_err hsm_storage_check(
    struct hsm *hsm, uint32_t storage, struct errctx *ec) JY_CHECK;

/* Whether the ID is that of a token object of a storage key; which one. */
bool hsm_storage_of_id(const struct hsm_id *id, uint32_t *storage);

/* As hsm_key_get, for a key that is kept outside. */
enum jy_err hsm_key_get_stored(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, const struct hsm_stored *stored,
    struct hsm_key **out, struct errctx *ec) JY_CHECK;

/*
 * As hsm_key_import and hsm_key_import_under, but the key, of 128 bits, is
 * kept outside: stored says under which storage key, and how is filled in.
 */
enum jy_err hsm_key_store(struct hsm *hsm, const struct hsm_sealed *sealed,
    const struct hsm_id *id, struct hsm_stored *stored,
    struct errctx *ec) JY_CHECK;
enum jy_err hsm_key_store_under(struct hsm *hsm, struct hsm_transport *t,
    const struct hsm_wrapped *wrapped, const struct hsm_id *id,
    struct hsm_stored *stored, struct errctx *ec) JY_CHECK;

/* Wrap a stored key under another storage key; that is in moved->storage. */
enum jy_err hsm_stored_move(struct hsm *hsm, const struct hsm_id *id,
    const struct hsm_stored *stored, struct hsm_stored *moved,
    struct errctx *ec) JY_CHECK;

/*
 * Make a stored key a token object.  Objects of that ID that were there are
 * destroyed after that; *replaced counts them, even if it fails.  Two at once
 * for one ID could destroy each other's: the caller sees to it.
 */
enum jy_err hsm_stored_settle(struct hsm *hsm, const struct hsm_id *id,
    enum hsm_template template, const char *label,
    const struct hsm_stored *stored, size_t *replaced,
    struct errctx *ec) JY_CHECK;

/*
 * ---- keys on their way to another token ----
 *
 * A release is a transport key, made in the token and sealed to a receiver's
 * RSA key, under which stored keys leave.  Nothing of it stays here: the
 * caller keeps a ticket, which opens in this token and nowhere else.  Whether
 * the receiver may have the keys is for the caller to know.
 */

#define HSM_TICKET_BLOB_LEN 40
#define HSM_RSA_MAX 512 /* octets of a modulus, and of what it encrypts */
#define HSM_PUBLIC_KEY_MAX 1024

struct hsm_ticket {
	uint32_t storage;                      /* which storage key */
	uint8_t receiver[HSM_FINGERPRINT_LEN]; /* its key's fingerprint */
	uint8_t blob[HSM_TICKET_BLOB_LEN];     /* the transport key, RFC 3394 */
	uint8_t mac[HSM_BINDING_LEN];          /* over all of that */
};

/*
 * The SHA-256 of a SubjectPublicKeyInfo.  JY_EINVAL if that is not RSA of 2048
 * to 4096 bits in DER.
 */
enum jy_err hsm_public_key(struct hsm *hsm, const uint8_t *der, size_t len,
    uint8_t fingerprint[HSM_FINGERPRINT_LEN], struct errctx *ec) JY_CHECK;

/*
 * Begin one for the receiver with that public key: ticket->storage says under
 * which storage key, the rest is filled in.  sealed is the transport key under
 * RSA-OAEP with SHA-1, MGF1-SHA-1 and an empty label.  JY_EINVAL as above;
 * JY_ENOKEY when the token lacks a part that a release needs.
 */
enum jy_err hsm_release_begin(struct hsm *hsm, const uint8_t *der, size_t len,
    struct hsm_ticket *ticket, uint8_t sealed[HSM_RSA_MAX], size_t *sealed_len,
    struct errctx *ec) JY_CHECK;

/* Is the ticket one of this token?  JY_EINVAL if not. */
enum jy_err hsm_release_check(struct hsm *hsm, const struct hsm_ticket *ticket,
    struct errctx *ec) JY_CHECK;

/* Wrap a stored key of that ID under the transport key (RFC 3394). */
enum jy_err hsm_release_key(struct hsm *hsm, const struct hsm_ticket *ticket,
    const struct hsm_id *id, const struct hsm_stored *stored,
    uint8_t wrapped[HSM_BLOB_LEN], struct errctx *ec) JY_CHECK;

/*
 * AES-CMAC over data under E(transport key, block), a key of 128 bits; see
 * hsm_transport_check.
 */
enum jy_err hsm_release_mac(struct hsm *hsm, const struct hsm_ticket *ticket,
    const uint8_t block[16], const uint8_t *data, size_t len,
    uint8_t mac[HSM_MAC_LEN], struct errctx *ec) JY_CHECK;

/* ---- the rest ---- */

/* Generate an AES key of key_len octets in the token; also gives its KCV. */
enum jy_err hsm_key_generate(struct hsm *hsm, size_t key_len,
    enum hsm_template template, const struct hsm_id *id, const char *label,
    uint8_t kcv[HSM_KCV_LEN], struct errctx *ec) JY_CHECK;

/*
 * An AES key alone under a public key: RSA-OAEP with SHA-1, MGF1-SHA-1 and an
 * empty label, because tokens in use know no other.
 */
struct hsm_copy {
	uint8_t public_key[HSM_FINGERPRINT_LEN]; /* SHA-256 of its DER */
	uint8_t wrapped[HSM_RSA_MAX];
	size_t len;
};

/* What a key is to become in the token. */
struct hsm_target {
	size_t key_len;
	enum hsm_template template;
	const struct hsm_id *id;
	const char *label;
};

/*
 * As hsm_key_generate, with a copy under a partner's public key, a
 * SubjectPublicKeyInfo (DER): JY_EINVAL if that is not RSA of 2048 to 4096
 * bits.  The key that stays is as little extractable as any.  When the copy
 * cannot be made, no key is left.
 */
enum jy_err hsm_key_generate_for(struct hsm *hsm,
    const struct hsm_target *target, const uint8_t *public_key, size_t len,
    uint8_t kcv[HSM_KCV_LEN], struct hsm_copy *copy,
    struct errctx *ec) JY_CHECK;

/*
 * Import a copy that was made for this token's import key, as hsm_key_import
 * does a sealed key.  JY_EINVAL: it was made for another, or the key is not of
 * the length that target says.
 */
enum jy_err hsm_key_import_copy(struct hsm *hsm,
    const struct hsm_target *target, const struct hsm_copy *copy,
    const uint8_t kcv[HSM_KCV_LEN], struct errctx *ec) JY_CHECK;

/* A key that everybody knows, for what proves that two KEKs are one. */
#define HSM_TEST_KEY_LEN 16
extern const uint8_t hsm_test_key[HSM_TEST_KEY_LEN];

/*
 * Wrap that key under a KEK, the token object itself and not a copy of it: who
 * has the same KEK gets the same octets.  When the object is gone, JY_ENOKEY,
 * copies of it are dropped, too.
 */
enum jy_err hsm_kek_prove(struct hsm *hsm, const struct hsm_id *id,
    uint8_t out[24], struct errctx *ec) JY_CHECK;

/*
 * How many key objects with an ID of len octets that begins with one of the
 * letters the token had at start-up, and has by what this process did since.
 */
size_t hsm_key_count(struct hsm *hsm, const char *letters, size_t len);

/*
 * The CKA_IDs of all AES keys that a search of the token finds now, in no
 * order, those of others too; free(*ids).  It may take seconds, and the lane.
 */
enum jy_err hsm_key_list(struct hsm *hsm, struct hsm_id **ids, size_t *n,
    struct errctx *ec) JY_CHECK;

/* Destroy the token object; JY_ENOKEY when there is none. */
enum jy_err hsm_key_destroy(
    struct hsm *hsm, const struct hsm_id *id, struct errctx *ec) JY_CHECK;

#define HSM_IMPORT_KEYS_MAX 8

/*
 * Import keys have generations: hsm_setup makes the first, a rotation another
 * one.  What is sealed for any of them is opened; the caller says which is
 * offered.  Other processes make and destroy them too.
 *
 * An import key's SubjectPublicKeyInfo (DER) and its SHA-256.  One that was
 * not seen yet is looked for in the token; JY_ENOKEY when it is not there.
 */
enum jy_err hsm_import_key(struct hsm *hsm, uint32_t generation,
    uint8_t der[HSM_PUBLIC_KEY_MAX], size_t *der_len,
    uint8_t fingerprint[HSM_FINGERPRINT_LEN], struct errctx *ec) JY_CHECK;

/*
 * The generations there are, in ascending order: those in the token now, or,
 * unless it is to look there, those seen last.
 */
enum jy_err hsm_import_keys(struct hsm *hsm, bool look,
    uint32_t generations[HSM_IMPORT_KEYS_MAX], size_t *n,
    struct errctx *ec) JY_CHECK;

/* Make one of a generation that the token never had; it takes seconds. */
enum jy_err hsm_import_key_make(
    struct hsm *hsm, uint32_t generation, struct errctx *ec) JY_CHECK;

/* JY_ENOKEY when there is none of that generation; never the last one. */
enum jy_err hsm_import_key_destroy(
    struct hsm *hsm, uint32_t generation, struct errctx *ec) JY_CHECK;

/* ---- the audit log ---- */

/* AES-CMAC under the audit key, which does nothing else. */
enum jy_err hsm_audit_mac(struct hsm *hsm, const uint8_t *data, size_t len,
    uint8_t mac[HSM_MAC_LEN], struct errctx *ec) JY_CHECK;

/* ---- the operations of a join ---- */

#define HSM_MIC_LEN 4
#define HSM_WRAPPED_LEN 24

/*
 * The first 4 octets of AES-CMAC (RFC 4493) over data.  The rest of the MAC
 * is wiped: a whole one would be an encryption oracle's first half.
 */
enum jy_err hsm_mic(struct hsm_session *s, struct hsm_key *key,
    const uint8_t *data, size_t len, uint8_t mic[HSM_MIC_LEN],
    struct errctx *ec) JY_CHECK;

/* AES-ECB decrypt 16 or 32 octets: how a join-accept is "encrypted". */
enum jy_err hsm_decrypt(struct hsm_session *s, struct hsm_key *key,
    const uint8_t *in, size_t len, uint8_t *out, struct errctx *ec) JY_CHECK;

/*
 * Derive E(root, block) as a session object, wrap it under kek (RFC 3394)
 * and destroy it.
 */
enum jy_err hsm_derive_wrapped(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], struct hsm_key *kek, uint8_t out[HSM_WRAPPED_LEN],
    struct errctx *ec) JY_CHECK;

/*
 * Derive E(root, block) as a session object of template HSM_MAC, hsm_mic under
 * it and destroy it: for a key that is used once and would only push others
 * out of the cache.
 */
enum jy_err hsm_derive_mic(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], const uint8_t *data, size_t len,
    uint8_t mic[HSM_MIC_LEN], struct errctx *ec) JY_CHECK;

/*
 * Derive E(root, block) and read it: the one way a key leaves in clear, for
 * peers whose row names it.  The caller wipes out.
 */
enum jy_err hsm_derive_clear(struct hsm_session *s, struct hsm_key *root,
    const uint8_t block[16], uint8_t out[16], struct errctx *ec) JY_CHECK;

#endif
