/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of hsm/ share, beside rsa.h and storage.h.  Nothing outside
 * this folder includes it.
 *
 * Inside, a function that only asks the token returns the token's CK_RV; the
 * one place that makes an enum jy_err of it is session_fail().
 *
 * Locks: lane before cache, cache and pool alone; a token call is made under
 * the lane, never under cache or pool.
 */
#ifndef JY_HSM_INTERNAL_H
#define JY_HSM_INTERNAL_H

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdatomic.h>

#include "hsm/hsm.h"
#include "hsm/rsa.h"
#include "hsm/storage.h"

#include "src/base/secret.h"
#include "src/base/turn.h"

/* Call the module and count it. */
#define P11(hsm, call) \
	(atomic_fetch_add_explicit(&(hsm)->calls, 1, memory_order_relaxed), \
	    (hsm)->f->call)

/* PKCS#11 has no const; the module does not write to what it reads. */
static inline CK_BYTE *
p11_in(const void *p)
{
	return (CK_BYTE *)(uintptr_t)p;
}

/* ---- rv.c ---- */

/* What a return value means for who goes on. */
enum rv_class {
	RV_REQUEST,   /* this request cannot be done */
	RV_HANDLE,    /* the object handle is stale: find it anew */
	RV_SESSION,   /* the session is lost, or the login with it */
	RV_AMBIGUOUS, /* some modules say this for all of these: ask the canary
		       */
	RV_ABSENT,    /* no such object, if the token lives: ask the canary */
	RV_FORGED,    /* a stored key is not what it is said to be */
	RV_TOKEN,     /* the token is gone */
	RV_PIN        /* the PIN was refused */
};

/* Our own findings, told like the module's. */
#define RV_NONE (CKR_VENDOR_DEFINED | 0x4a590001UL)
#define RV_MANY (CKR_VENDOR_DEFINED | 0x4a590002UL)
#define RV_NONSENSE (CKR_VENDOR_DEFINED | 0x4a590003UL)
#define RV_UNBOUND (CKR_VENDOR_DEFINED | 0x4a590004UL)

#define RV_NAME_MAX 48

enum rv_class rv_class(CK_RV rv);

/* "CKR_DEVICE_REMOVED", or "0x..." put into buf. */
const char *rv_name(CK_RV rv, char buf[RV_NAME_MAX]);

/* ---- template.c ---- */

/* Rows of the template table beyond those of enum hsm_template. */
enum {
	TEMPLATE_CANARY = HSM_TEMPLATE_COUNT, /* CMAC, never copied; also the
						 audit key */
	TEMPLATE_TRANSPORT,                   /* unwraps one sealed key */
	TEMPLATE_KEYFILE, /* unwraps a file's keys, derives its MAC key */
	TEMPLATE_LOOP,    /* wraps and unwraps one generated key */
	TEMPLATE_PARCEL,  /* no usage; may leave wrapped */
	TEMPLATE_CLEAR,   /* no usage; may leave in clear */
	TEMPLATE_PASSAGE, /* CMAC; may leave wrapped: a key on its way in */
	TEMPLATE_CARRIER, /* wraps a file's keys, derives its MAC key */
	/* The parts of a storage key, in the order of enum storage_part. */
	TEMPLATE_STORAGE_WRAP,
	TEMPLATE_STORAGE_LOAD,   /* unwraps what then cannot leave */
	TEMPLATE_STORAGE_MOVE,   /* unwraps what then can only leave wrapped */
	TEMPLATE_STORAGE_TICKET, /* unwraps what then can be a carrier only */
	TEMPLATE_STORAGE_BIND,   /* CMAC */
	TEMPLATE_COUNT
};

enum template_origin {
	ORIGIN_UNWRAP,  /* the length comes with the key */
	ORIGIN_DERIVE,  /* the length must be stated */
	ORIGIN_GENERATE /* likewise */
};

/* How this token deviates; found out by trying, for the process's life. */
enum quirk {
	QUIRK_NO_COPYABLE = 1U << 0, /* refuses CKA_COPYABLE */
	QUIRK_NO_ALLOWED = 1U << 1,  /* refuses CKA_ALLOWED_MECHANISMS */
	QUIRK_VALUE_LEN = 1U << 2,   /* C_UnwrapKey wants CKA_VALUE_LEN */
	QUIRK_COPY_FROZEN = 1U << 3, /* cannot copy what is not modifiable */
	QUIRK_NO_UNWRAP_TEMPLATE = 1U << 4 /* refuses CKA_UNWRAP_TEMPLATE */
};

struct template_spec {
	unsigned row;
	enum template_origin origin;
	CK_ULONG len;            /* of the key, in octets */
	bool token;              /* a token object; else a session object */
	bool loaded;             /* unwrapped by a U_LOADS key */
	const struct hsm_id *id; /* NULL: none */
	const char *label;       /* NULL: none */
};

#define TEMPLATE_ATTRS_MAX 24
#define UNWRAP_ATTRS_MAX 13

/* An attribute list and the values it points to; not to be copied. */
struct template
{
	CK_ATTRIBUTE attr[TEMPLATE_ATTRS_MAX];
	CK_ULONG count;
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;
	CK_ULONG len;
	CK_MECHANISM_TYPE allowed[3];
	CK_ATTRIBUTE unwraps[UNWRAP_ATTRS_MAX]; /* of CKA_UNWRAP_TEMPLATE */
	CK_MECHANISM_TYPE unwraps_allowed[3];
};

void template_build(struct template *t, const struct hsm *hsm,
    const struct template_spec *spec);

enum usage {
	U_SIGN = 1U << 0,
	U_DECRYPT = 1U << 1,
	U_DERIVE = 1U << 2,
	U_WRAP = 1U << 3,
	U_UNWRAP = 1U << 4,
	U_EXTRACTABLE = 1U << 5,
	U_IN_CLEAR = 1U << 6, /* not SENSITIVE */
	U_COPIED = 1U << 7,
	U_MODIFIABLE = 1U << 8, /* throw-away keys of the probe only */
	/* What it unwraps may do: CKA_UNWRAP_TEMPLATE. */
	U_LOADS = 1U << 9,   /* serve here, and not leave */
	U_MOVES = 1U << 10,  /* leave wrapped, and nothing else */
	U_CARRIES = 1U << 11 /* wrap and derive, and not leave */
};

#define U_UNWRAP_TEMPLATE (U_LOADS | U_MOVES | U_CARRIES)

#define NO_MECHANISM ((CK_MECHANISM_TYPE)-1)

/* A throw-away session key of 16 octets for the policy probe, all as said. */
void template_build_trial(
    struct template *t, unsigned may, const CK_MECHANISM_TYPE allowed[3]);

typedef CK_RV template_maker(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out);

/*
 * Make an object of that template.  An attribute that this token does not
 * take is left out if it would not be honoured either, and this is
 * remembered; never one that the token enforces.
 */
CK_RV template_make(struct hsm *hsm, const struct template_spec *spec,
    template_maker *make, void *arg, CK_OBJECT_HANDLE *out);

/* The attributes of an import key's two halves, likewise. */
CK_RV template_import_pair(struct hsm *hsm, const struct hsm_id *id,
    CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private);

/* ---- module.c ---- */

struct token_info {
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info;
};

/* Load and initialise the module; hsm->uri is set. */
enum jy_err module_open(
    struct hsm *hsm, const struct hsm_config *config, struct errctx *ec);
void module_close(struct hsm *hsm);
/* Finalize and initialise again, so that new tokens show up. */
enum jy_err module_restart(struct hsm *hsm, struct errctx *ec);
/* The one token the URI names; JY_ENOTFOUND, or JY_ECONFIG when several. */
enum jy_err module_find_token(
    struct hsm *hsm, struct token_info *out, struct errctx *ec);
void module_describe(const struct hsm *hsm, const struct token_info *token,
    struct hsm_report *report);

/* ---- pin.c ---- */

#define PIN_MAX 255

/* Read a PIN; the caller frees it right after use. */
enum jy_err pin_read(
    const char *source, struct secret **out, struct errctx *ec) JY_CHECK;

/* ---- session.c ---- */

struct hsm_session {
	struct hsm *hsm;
	CK_SESSION_HANDLE handle;
	bool open;
	struct hsm_session *next; /* in the pool's list */
};

void session_pool_open(struct hsm *hsm, unsigned count);

/* Open s if it is not; drop it so that it is opened anew. */
CK_RV session_ready(struct hsm_session *s);
void session_drop(struct hsm_session *s);

/*
 * Once in a process: open the anchor session, log in, read the index.  What
 * is open after a failure, token_free() closes.
 */
enum jy_err anchor_open(struct hsm *hsm, struct errctx *ec);
void anchor_close(struct hsm *hsm);
/*
 * Outside the lane: does the anchor live, and is it logged in?  Only then do
 * handles mean what they did, and sessions can be opened that are of use.
 */
bool anchor_stands(struct hsm *hsm);

void lane_enter(struct hsm *hsm);
void lane_leave(struct hsm *hsm);

/*
 * A piece of work in the anchor session, where objects are made, and the
 * scratch session, where everything is done that takes several calls.
 */
typedef CK_RV lane_work(struct hsm *hsm, void *arg);

/*
 * Under the lane: do work, with the scratch session open, and once more if
 * that session alone was lost; make an error of what it says.
 */
enum jy_err lane_run(struct hsm *hsm, lane_work *work, void *arg,
    const char *what, struct errctx *ec);

/* CMAC of 16 zero octets in that session, cut to a check value. */
CK_RV check_value(struct hsm *hsm, CK_SESSION_HANDLE session,
    CK_OBJECT_HANDLE key, uint8_t kcv[HSM_KCV_LEN]);
/* Ask the canary, finding it anew if its handle is stale. */
CK_RV canary_ask(struct hsm *hsm, CK_SESSION_HANDLE session);

/*
 * Say what rv means, asking the canary in s if need be; s was dropped and is
 * so again.
 */
enum jy_err session_fail(
    struct hsm_session *s, const char *what, CK_RV rv, struct errctx *ec);

/* ---- object.c: under the lane ---- */

struct index_row {
	struct hsm_id id;        /* len 0: free */
	CK_OBJECT_HANDLE handle; /* CK_INVALID_HANDLE: ask the token */
};

struct index {
	struct index_row *rows;
	size_t cap; /* a power of two */
	size_t used;
};

uint32_t id_hash(const struct hsm_id *id);
bool id_eq(const struct hsm_id *a, const struct hsm_id *b);
struct hsm_id id_of_text(const char *text);

#define ID_CANARY "joinery-canary"
#define ID_IMPORT "joinery-import"

#define ID_AUDIT "joinery-audit"

CK_RV index_load(struct hsm *hsm);
void index_free(struct index *index);
void index_put(
    struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE handle);

/* Find the one token object; RV_NONE, RV_MANY. */
CK_RV object_find(struct hsm *hsm, CK_SESSION_HANDLE session,
    CK_OBJECT_CLASS class, const struct hsm_id *id, CK_OBJECT_HANDLE *out);
/* Up to cap keys of that ID. */
CK_RV object_list(struct hsm *hsm, const struct hsm_id *id,
    CK_OBJECT_HANDLE *out, CK_ULONG cap, CK_ULONG *n);
/* A key's handle from the index, else from the token. */
CK_RV object_lookup(
    struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE *out);
/*
 * A session-object copy; where the token makes none, the original, which is
 * then not *owned.
 */
CK_RV object_copy(struct hsm *hsm, CK_OBJECT_HANDLE original,
    CK_OBJECT_HANDLE *out, bool *owned);
/* Destroy one token object. */
CK_RV object_erase(struct hsm *hsm, CK_OBJECT_HANDLE handle);
/* Destroy every token object of that ID; their number is added to *count. */
CK_RV object_purge(struct hsm *hsm, const struct hsm_id *id, size_t *count);

/* ---- cache.c ---- */

struct hsm_key {
	struct hsm *hsm;
	struct hsm_id id;
	enum hsm_template template;
	bool derived; /* E(parent, block), else a copy of the object id */
	struct hsm_id parent;
	uint8_t block[16];
	bool is_stored; /* id, or parent, is kept outside the token, as this: */
	struct hsm_stored stored;
	_Atomic CK_OBJECT_HANDLE handle;
	bool owned; /* the handle is ours to destroy */
	unsigned pins;
	bool hashed;
	struct hsm_key *chain;         /* in a bucket, or the free list */
	struct hsm_key *older, *newer; /* among the unpinned */
};

struct cache {
	struct hsm_key *keys;
	size_t cap;
	struct hsm_key **buckets;
	size_t bucket_count; /* a power of two */
	struct hsm_key *free;
	struct hsm_key *newest, *oldest;
};

void cache_open(struct hsm *hsm, size_t cap);
void cache_close(struct hsm *hsm);
/* Under the lane: drop what is made of the object id. */
void cache_forget(struct hsm *hsm, const struct hsm_id *id);
/* Make key's handle anew unless another thread has: it was stale. */
enum jy_err cache_refresh(
    struct hsm_key *key, CK_OBJECT_HANDLE stale, struct errctx *ec);

/* ---- ops.c ---- */

/* Single steps, for the probe too; outputs untouched on failure. */
CK_RV op_cmac(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
    const uint8_t *data, size_t len, struct secret_block *mac);
CK_RV op_decrypt(struct hsm *hsm, CK_SESSION_HANDLE session,
    CK_OBJECT_HANDLE key, const uint8_t *in, size_t len, uint8_t *out);
CK_RV op_derive(struct hsm *hsm, CK_SESSION_HANDLE session,
    CK_OBJECT_HANDLE root, const uint8_t block[16], struct template *t,
    CK_OBJECT_HANDLE *out);
CK_RV op_wrap(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE kek,
    CK_OBJECT_HANDLE key, uint8_t *out, size_t len);
CK_RV op_digest(struct hsm *hsm, CK_SESSION_HANDLE session, const uint8_t *data,
    size_t len, uint8_t out[HSM_FINGERPRINT_LEN]);

struct derivation {
	CK_OBJECT_HANDLE root;
	const uint8_t *block;
};

/* A template_maker: in the anchor session; arg is struct derivation. */
CK_RV derive_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out);

/* ---- keyimport.c ---- */

/* RSA-OAEP, SHA-1, MGF1-SHA-1, empty label. */
extern const CK_RSA_PKCS_OAEP_PARAMS oaep_params;

struct unwrap {
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key;
	const uint8_t *blob;
	size_t blob_len;
};

/* A template_maker: C_UnwrapKey in the anchor session; arg is struct unwrap. */
CK_RV unwrap_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out);
/* A template_maker: C_GenerateKey for AES. */
CK_RV generate_make(
    struct hsm *hsm, struct template *t, void *arg, CK_OBJECT_HANDLE *out);

/* A fresh key under a fresh TEMPLATE_LOOP key; the caller destroys both. */
CK_RV generate_wrapped(struct hsm *hsm, CK_ULONG len,
    CK_OBJECT_HANDLE *transport, CK_OBJECT_HANDLE *key, uint8_t *blob);

/* A key about to land: what is to become of it. */
struct landing {
	const struct hsm_sealed *sealed; /* NULL: not sealed by itself */
	struct template_spec spec;       /* no id: it is proved only */
	struct hsm_stored *stored; /* not NULL: it stays outside, as this */
	uint8_t kcv[HSM_KCV_LEN];  /* as the token has it */
	bool kcv_differs;
};

struct landing landing_of(size_t key_len, enum hsm_template template,
    const struct hsm_id *id, const char *label);

/* A key of 128 bits that stays outside the token. */
struct landing landing_of_stored(
    const struct hsm_id *id, struct hsm_stored *stored);

/* JY_EKCV when the token's check value is not the one that came along. */
enum jy_err landing_verdict(const struct landing *l, struct errctx *ec);

/*
 * Under the lane: prove the wrapped key by its check value (NULL: any) and
 * keep it.  A fresh ID is one that no object can have.
 */
CK_RV landing_prove_and_keep(struct hsm *hsm, struct landing *l,
    struct unwrap *u, const uint8_t kcv[HSM_KCV_LEN], bool fresh);

void object_destroy(struct hsm *hsm, CK_OBJECT_HANDLE handle);

/* ---- transport.c ---- */

#define TRANSPORTS_MAX 2
#define TRANSPORT_CIPHERTEXT_MAX 512

/* A file's transport key, as a session object; under the lane. */
struct hsm_transport {
	CK_OBJECT_HANDLE handle;
	uint8_t import_key[HSM_FINGERPRINT_LEN];
	uint8_t ciphertext[TRANSPORT_CIPHERTEXT_MAX];
	size_t len; /* 0: free */
	unsigned pins;
	uint64_t used; /* when, by a count of uses */
};

/* CMAC under the key that d derives of a transport key. */
CK_RV transport_mac(struct hsm *hsm, const struct derivation *d,
    const uint8_t *data, size_t len, struct secret_block *mac);

/* ---- release.c: under the lane ---- */

/* The transport key of the ticket used last, as a session object. */
struct carrier {
	struct hsm_ticket ticket; /* storage 0: none */
	CK_OBJECT_HANDLE handle;
};

/* ---- importkey.c: under the lane ---- */

/* An import key as this process has seen it last. */
struct import_key {
	uint32_t generation;
	CK_OBJECT_HANDLE handle; /* of the private half */
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	size_t der_len;
	struct rsa_public rsa;
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
};

/* A lane_work: see which there are; RV_NONE if there is none. */
CK_RV import_scan(struct hsm *hsm, void *arg);
/* A lane_work: make a pair; arg is its generation, uint32_t. */
CK_RV import_make(struct hsm *hsm, void *arg);

/* The one of the highest generation; there is one. */
const struct import_key *import_newest(const struct hsm *hsm);

/*
 * Is there an import key of that fingerprint, and can the ciphertext be for
 * it?  Looks in the token again if not; JY_EINVAL.
 */
enum jy_err import_check(struct hsm *hsm,
    const uint8_t fingerprint[HSM_FINGERPRINT_LEN], size_t ciphertext_len,
    struct errctx *ec) JY_CHECK;

/* A transport key under an import key. */
struct import_unwrap {
	const uint8_t *import_key; /* its fingerprint */
	const uint8_t *ciphertext;
	size_t len;
};

/* Unwrap it; RV_NONE when the import key was destroyed meanwhile. */
CK_RV import_unwrap(struct hsm *hsm, const struct import_unwrap *w,
    const struct template_spec *spec, CK_OBJECT_HANDLE *out);

/* ---- audit.c ---- */

/* A lane_work: find the audit key. */
CK_RV audit_find(struct hsm *hsm, void *arg);

/* ---- setup.c ---- */

/* Canary, audit and import key are there: learn what they say. */
enum jy_err setup_find(struct hsm *hsm, struct errctx *ec);

/* ---- probe.c, policy.c ---- */

/* Find out which policies hold, and quirks: generated throw-away keys. */
enum jy_err policy_probe(
    struct hsm *hsm, struct hsm_report *report, struct errctx *ec);
/* Run every mechanism with a known answer; wants the import key. */
enum jy_err mechanism_probe(
    struct hsm *hsm, struct hsm_report *report, struct errctx *ec);
struct hsm_check *report_add(struct hsm_report *report, bool needed, bool ok,
    const char *name) __attribute__((returns_nonnull));

/* ---- write.c ---- */

/* Under the lane, around what makes or destroys one token object. */
void write_begin(struct hsm *hsm);
void write_end(struct hsm *hsm);
/*
 * Whether the token's objects are made and destroyed in turns.  The token says
 * who made it: a module may stand before that of another.
 */
void write_learn(struct hsm *hsm, const CK_TOKEN_INFO *token);

/* ---- token.c ---- */

struct hsm {
	CK_FUNCTION_LIST *f;
	bool initialised;
	char *init_args;
	P11KitUri *uri;
	CK_SLOT_ID slot;
	CK_FLAGS token_flags;

	struct turn turn;
	bool writes_in_turns;

	_Atomic uint64_t calls;
	_Atomic uint64_t misses;

	bool policy[HSM_POLICY_COUNT];
	unsigned quirks[2]; /* of session objects, of token objects */
	struct template parcel, clear, mac;

	pthread_mutex_t lane;
	CK_SESSION_HANDLE anchor;
	bool anchor_open;
	struct hsm_session scratch; /* dropped on any error */
	struct index index;

	_Atomic CK_OBJECT_HANDLE canary;
	uint8_t canary_kcv[HSM_IDENTITY_LEN];
	bool canary_known;

	CK_OBJECT_HANDLE audit;

	struct import_key imports[HSM_IMPORT_KEYS_MAX]; /* by generation */
	size_t import_count;

	CK_OBJECT_HANDLE test_key; /* of parcel.c; CK_INVALID_HANDLE: none */

	struct hsm_transport transports[TRANSPORTS_MAX];
	uint64_t transport_uses;
	struct storage storages[STORAGES_MAX];
	uint64_t storage_uses;
	struct carrier carrier;

	pthread_mutex_t pool_lock;
	pthread_cond_t pool_free;
	struct hsm_session *sessions;
	unsigned session_count;
	struct hsm_session *idle;

	pthread_mutex_t cache_lock;
	struct cache cache;
};

/* An hsm with its locks, and its end; NULL is fine. */
struct hsm *token_new(void);
void token_free(struct hsm *hsm);

#endif
