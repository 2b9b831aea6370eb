/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: devices, nonces, sessions, KEKs, peers and the audit log, in the
 * verbs that the join line and the registry need.
 *
 * Every verb is one transaction: it happens wholly or not at all, and a write
 * returns JY_OK only when the row is on disk.  No transaction outlives its
 * verb, so none is ever open while the token works.  Every verb may be called
 * from any thread; rows are copied in and out.
 *
 * Errors every verb may give: JY_EIO (the disk), JY_EFULL (the disk, or the
 * map beyond its largest size), JY_ECORRUPT (a row that cannot be read; the
 * detail names table and key), JY_ENOMEM.  Puts and adds: JY_EINVAL for a row
 * that row_check_...() refuses.  A failed verb changed nothing.
 */
#ifndef JY_STORE_STORE_H
#define JY_STORE_STORE_H

#include "src/base/prefix.h"
#include "src/store/rows.h"

struct store;

struct store_config {
	const char *backend; /* "lmdb" or "memory" */
	const char *path;    /* lmdb: a directory of ours, mode 0700 */
	bool must_exist;     /* lmdb: create nothing, fail if it is not there */
	size_t map_first;    /* lmdb: octets it starts with; 0: 16 MiB */
	size_t map_max;      /* lmdb: octets the map may grow to */
	uint32_t refusal_flush_ms; /* how long a refusal may wait in memory */
};

/*
 * Open, and create what is missing.  JY_ECONFIG for an unknown backend, a
 * path that others can write, or a store written by a newer version.
 */
enum jy_err store_open(const struct store_config *config, struct store **out,
    struct errctx *ec) JY_CHECK;

/* Flush what waits and close; NULL is fine.  No verb may be running. */
void store_close(struct store *s);

/* ---- the join line ---- */

/* All that the join line must know of a device, read in one transaction. */
struct join_view {
	struct device_row device;
	struct app_row app;      /* of device.app; zero if it has no settings */
	struct nonce_row nonces; /* zero if it never joined */
	bool dev_nonce_seen;     /* the asked DevNonce was used before */
};

/* JY_ENOTFOUND when there is no such device. */
enum jy_err store_join_view(struct store *s, const struct device_id *id,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec) JY_CHECK;

/*
 * One accepted join.  It is committed only if the device row still has the
 * revision and the nonce row still has the JoinNonce that the line saw; else
 * its err is JY_ECONFLICT and the store is as if it had not been handed in.
 */
struct join_commit {
	uint32_t revision_seen;
	uint32_t join_nonce_seen;
	bool counted; /* DevNonce is a counter: all up to it are used now */
	/*
	 * JoinNonce of the session that a rejoin-request's MIC proved to be in
	 * use; 0: none was.  A join-request makes its own session the live one.
	 */
	uint32_t live;
	struct session_row session; /* names device, JoinNonce, counter */
	unsigned keep;              /* sessions to retain, 1.. */
	enum jy_err err;            /* out */
};

/*
 * Make the joins of a batch durable: the new JoinNonce; by join_type of the
 * session the DevNonce (as highest, and into the set of used ones unless a
 * counter makes that needless), RJcount0 or RJcount1; the session row.  A
 * join-request forgets RJcount0; a rejoin of type 0 or 2 stores it (also when
 * live is 0); RJcount1 never goes back.  Batches that several
 * threads hand in at once share one transaction and one flush.  Each entry gets
 * its own err; detail of an error that hit them all is in ec.
 *
 * While a device has more than keep sessions, the oldest one is removed, but
 * never the one just made nor the one that nonces.live now names.  So these
 * two may remain with a keep of 1.  A live of 0, or of a session that is not
 * there, protects none.
 *
 * The caller has made sure that row_check_session() accepts each session, that
 * its JoinNonce lies above the one seen, and that of a rejoin above live; else
 * this aborts.
 */
void store_join_commit(struct store *s, struct join_commit *const batch[],
    size_t n, struct errctx *ec);

/*
 * Remember a refused join for "device get".  Costs no flush: it is written
 * with the next commit, or by store_tick.  Only the latest of a
 * device is kept; under a flood of many devices some are lost.
 */
void store_refusal_note(struct store *s, const struct refusal_row *row);

/*
 * Write refusals that have waited refusal_flush_ms; to be called about once a
 * second, from any thread.  One that cannot be written waits for the next.
 */
void store_tick(struct store *s);

/* JY_ENOTFOUND when no join of the device was refused. */
enum jy_err store_refusal_get(struct store *s, const struct device_id *id,
    struct refusal_row *row, struct errctx *ec) JY_CHECK;

/* ---- devices ---- */

enum jy_err store_device_get(struct store *s, const struct device_id *id,
    struct device_row *row, struct errctx *ec) JY_CHECK;

/*
 * Create (row->revision 0) or replace (row->revision as read) a device; the
 * stored row has revision + 1.  JY_ECONFLICT when somebody else changed it,
 * JY_EEXIST when another device of the same app has that name.
 */
enum jy_err store_device_put(
    struct store *s, const struct device_row *row, struct errctx *ec) JY_CHECK;

/* Nonces that a device has used elsewhere. */
struct nonce_start {
	uint32_t join_nonce; /* the last one; 0: none */
	bool has_dev_nonce;
	uint16_t dev_nonce; /* the highest */
	bool counted;       /* it is a counter: all up to it are used */
};

/* Whether the nonces of a device lie below; row is as nonces_get gives it. */
bool store_nonces_below(
    const struct nonce_row *row, const struct nonce_start *start);

/* A device as it is to be, and the nonces it starts from. */
struct device_change {
	struct device_row row; /* as for store_device_put */
	struct nonce_start start;
	struct root_row roots[2]; /* of it, to be put with it */
	uint8_t root_count;
	enum jy_err err;   /* out */
	struct errctx *ec; /* for the detail of err; may be NULL */
};

/*
 * Put many devices in one transaction, which has one flush; each gets its own
 * err, JY_EINVAL, JY_ECONFLICT or JY_EEXIST as from store_device_put, and then
 * it alone is left out.  Nonces are raised to those it starts from and never
 * lowered.  A root key wrapped under a storage key that is neither the current
 * one nor the one being replaced is JY_ECONFLICT.  An error that hit them all
 * is returned too.
 */
enum jy_err store_device_put_batch(struct store *s,
    struct device_change *const changes[], size_t n,
    struct errctx *ec) JY_CHECK;

/* What store_device_delete removed. */
struct device_gone {
	struct device_row row; /* revision 0: it was damaged */
	/* Those root keys that had a row; more than fit are not told. */
	struct device_key roots[STORE_OLD_KEYS_MAX + 2];
	size_t root_count;
};

/* Note that a root key had a row. */
void device_gone_add(struct device_gone *gone, const struct device_key *key);

/*
 * Remove the device, its sessions, names, refusal and root rows; its nonces
 * stay.  *gone says what there was, if not NULL; JY_ENOTFOUND.
 */
enum jy_err store_device_delete(struct store *s, const struct device_id *id,
    struct device_gone *gone, struct errctx *ec) JY_CHECK;

/* Which devices; a zero struct asks for all. */
struct device_query {
	const struct device_id
	    *after;                 /* those behind it; NULL: from the first */
	const char *app;            /* those of it; NULL or "": of any */
	struct eui64_prefix prefix; /* of the DevEUI; 0 bits: any */
};

/* Room for a page. */
struct device_rows {
	struct device_row *rows;
	size_t cap;
};

struct device_page {
	size_t n;              /* rows filled in */
	bool more;             /* others follow, ... */
	struct device_id last; /* ... behind this one */
};

/*
 * A page of devices in key order (DevEUI, then JoinEUI): as many as there is
 * room for, unless there are no more.  What it costs is what it gives, however
 * many other devices there are.
 */
enum jy_err store_device_list(struct store *s, const struct device_query *query,
    const struct device_rows *to, struct device_page *page,
    struct errctx *ec) JY_CHECK;

/*
 * The one device of that DevEUI, whatever its JoinEUI.  JY_ENOTFOUND when
 * there is none, JY_EEXIST when there are several.
 */
enum jy_err store_device_by_dev_eui(struct store *s,
    const struct eui64 *dev_eui, struct device_id *id,
    struct errctx *ec) JY_CHECK;

enum jy_err store_device_by_name(struct store *s, const char *app,
    const char *name, struct device_id *id, struct errctx *ec) JY_CHECK;

/* The nonces (zero if it never joined) and how many DevNonces are known. */
enum jy_err store_nonces_get(struct store *s, const struct device_id *id,
    struct nonce_row *row, size_t *dev_nonces_used, struct errctx *ec) JY_CHECK;

/*
 * Forget the DevNonces and RJcounts of a device; its JoinNonce stays, and
 * which session is the live one.
 * JY_ENOTFOUND when there is neither device nor nonces.
 */
enum jy_err store_nonces_reset(
    struct store *s, const struct device_id *id, struct errctx *ec) JY_CHECK;

/* ---- root keys outside the token ---- */

/* JY_ENOTFOUND: the key is in the token, if anywhere. */
enum jy_err store_root_get(struct store *s, const struct device_id *device,
    const struct device_key *key, struct root_row *row,
    struct errctx *ec) JY_CHECK;

/* The name of a root row. */
struct root_ref {
	struct device_id device;
	struct device_key key;
};

/*
 * Delete those of n that are there, in one transaction; found[i] says which
 * were.  No disk is waited for when none is.
 */
enum jy_err store_root_delete(struct store *s, const struct root_ref *refs,
    size_t n, bool *found, struct errctx *ec) JY_CHECK;

/*
 * Up to cap rows in the order of device, role and generation, behind that of
 * after (NULL: from the first).
 */
enum jy_err store_root_list(struct store *s, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

/* A root row that is to change: only if it is still as it was seen. */
struct root_change {
	struct root_row seen;
	struct root_row row; /* of the same device and key */
};

/* How many there are. */
enum jy_err store_root_count(
    struct store *s, uint64_t *n, struct errctx *ec) JY_CHECK;

/*
 * Replace many in one transaction; those that changed meanwhile are left
 * alone.  *replaced says how many were.  JY_ECONFLICT, and nothing is, when
 * one is to be under another storage key than the current one.
 */
enum jy_err store_root_replace(struct store *s,
    const struct root_change *changes, size_t n, size_t *replaced,
    struct errctx *ec) JY_CHECK;

/* Zero when there never was a storage key. */
enum jy_err store_storage_get(
    struct store *s, struct storage_state *state, struct errctx *ec) JY_CHECK;

/*
 * Set the state if it is still the one seen, else JY_ECONFLICT.  A storage key
 * is dropped from the state only if no root row needs it: else JY_EINUSE.
 * That looks at every root row, and nothing else can be written meanwhile.
 */
enum jy_err store_storage_set(struct store *s, const struct storage_state *seen,
    const struct storage_state *state, struct errctx *ec) JY_CHECK;

/* ---- sessions ---- */

enum jy_err store_session_get(struct store *s, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec) JY_CHECK;

/* Up to cap sessions of a device, newest first. */
enum jy_err store_session_list(struct store *s, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n,
    struct errctx *ec) JY_CHECK;

/* ---- applications ---- */

enum jy_err store_app_get(struct store *s, const char *name,
    struct app_row *row, struct errctx *ec) JY_CHECK;

/*
 * Create (row->revision 0) or replace (row->revision as read); the stored row
 * has revision + 1.  JY_ECONFLICT when somebody else changed it.
 */
enum jy_err store_app_put(
    struct store *s, const struct app_row *row, struct errctx *ec) JY_CHECK;

/* JY_EINUSE when a device belongs to it; the detail says which. */
enum jy_err store_app_delete(
    struct store *s, const char *name, struct errctx *ec) JY_CHECK;

/* Up to cap applications behind the name after (NULL: from the first). */
enum jy_err store_app_list(struct store *s, const char *after,
    struct app_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

/* ---- KEKs ---- */

/* The generations of a label, oldest first; at least one. */
struct kek_set {
	size_t n;
	struct kek_row rows[STORE_KEK_GENERATIONS_MAX];
};

enum jy_err store_kek_get(struct store *s, const char *label,
    struct kek_set *out, struct errctx *ec) JY_CHECK;

/* The highest generation that the label has ever had; of no rows 0. */
uint32_t store_kek_highest(const struct kek_set *set);

/*
 * Add the first generation of a label, or the one after the highest that it
 * has had: so no number is given twice, whatever was retired.  JY_EEXIST
 * when the label (generation 1) or the wire label is taken; JY_ECONFLICT when
 * somebody else changed the label's generations; JY_EINUSE when it has as many
 * as there may be.
 */
enum jy_err store_kek_add(
    struct store *s, const struct kek_row *row, struct errctx *ec) JY_CHECK;

/*
 * Remove the generation that row names; those that stay remember its number
 * until the label is deleted.  JY_ENOTFOUND when there is none,
 * JY_ECONFLICT when it is another key by now, JY_EINUSE when the label has no
 * other.
 */
enum jy_err store_kek_retire(
    struct store *s, const struct kek_row *row, struct errctx *ec) JY_CHECK;

/*
 * Remove all generations.  JY_EINUSE when a peer, device or application names
 * the label; see the detail.
 */
enum jy_err store_kek_delete(
    struct store *s, const char *label, struct errctx *ec) JY_CHECK;

/* Where a page of KEKs begins. */
struct kek_place {
	char label[STORE_LABEL_MAX + 1];
	uint32_t generation; /* UINT32_MAX: behind all of the label */
};

/* Up to cap rows behind after (NULL: from the first), by label, generation. */
enum jy_err store_kek_list(struct store *s, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

/* ---- peers ---- */

enum jy_err store_peer_get(struct store *s, const char *name,
    struct peer_row *row, struct errctx *ec) JY_CHECK;

/*
 * Create (row->revision 0) or replace (row->revision as read) a peer; the
 * stored row has revision + 1.  JY_ECONFLICT when somebody else changed it,
 * JY_EEXIST when another peer owns one of its credentials or AS-IDs; the
 * detail says which and who.
 */
enum jy_err store_peer_put(
    struct store *s, const struct peer_row *row, struct errctx *ec) JY_CHECK;

enum jy_err store_peer_delete(
    struct store *s, const char *name, struct errctx *ec) JY_CHECK;

enum jy_err store_peer_list(struct store *s, const char *after,
    struct peer_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

/* Who owns a credential; JY_ENOTFOUND when nobody does. */
enum jy_err store_peer_by_uid(struct store *s, uint32_t uid,
    struct peer_row *row, struct errctx *ec) JY_CHECK;
enum jy_err store_peer_by_fingerprint(struct store *s,
    const uint8_t fingerprint[STORE_FINGERPRINT_LEN], struct peer_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err store_peer_by_san(struct store *s, const char *san,
    struct peer_row *row, struct errctx *ec) JY_CHECK;
enum jy_err store_peer_by_authorization(struct store *s,
    const uint8_t hash[STORE_HASH_LEN], struct peer_row *row,
    struct errctx *ec) JY_CHECK;
enum jy_err store_peer_by_as_id(struct store *s, const char *as_id,
    struct peer_row *row, struct errctx *ec) JY_CHECK;

/* ---- the audit log ---- */

enum jy_err store_audit_head(
    struct store *s, struct audit_head *head, struct errctx *ec) JY_CHECK;

/*
 * Add the event behind the end that was seen: its number is the next one.
 * JY_ECONFLICT when the log has grown meanwhile; JY_ECORRUPT when an event of
 * that number is there: its end was set back.
 */
enum jy_err store_audit_add(struct store *s, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec) JY_CHECK;

enum jy_err store_audit_get(struct store *s, uint64_t seq,
    struct audit_row *row, struct errctx *ec) JY_CHECK;

/* Events behind the number after, in their order. */
enum jy_err store_audit_list(struct store *s, uint64_t after,
    struct audit_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec) JY_CHECK;

/* ---- the rest ---- */

#define STORE_META_MAX 128

/* A small value of the installation, for example the token's identity. */
enum jy_err store_meta_get(struct store *s, const char *key,
    uint8_t out[STORE_META_MAX], size_t *len, struct errctx *ec) JY_CHECK;
enum jy_err store_meta_put(struct store *s, const char *key,
    const uint8_t *value, size_t len, struct errctx *ec) JY_CHECK;

/*
 * Add to a number of the installation, which starts at 0 and never goes below;
 * *now is what it is then.  JY_ELIMIT, and it stays, when a positive delta
 * takes it beyond max; the detail says how far it is.
 */
enum jy_err store_meta_add(struct store *s, const char *key, int64_t delta,
    uint64_t max, uint64_t *now, struct errctx *ec) JY_CHECK;
struct meta_value {
	uint8_t octets[STORE_META_MAX];
	size_t len; /* 0: there is none */
};

/* Replace what was seen there; JY_ECONFLICT when it is not that any more. */
enum jy_err store_meta_swap(struct store *s, const char *key,
    const struct meta_value *seen, const struct meta_value *next,
    struct errctx *ec) JY_CHECK;

struct store_stats {
	uint64_t commits; /* transactions made durable */
	uint64_t joins;   /* joins in them */
	uint64_t syncs;   /* flushes to disk that they cost */
};

/* Counters since store_open. */
void store_stats(struct store *s, struct store_stats *out);

#endif
