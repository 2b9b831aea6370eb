/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend of the store implements.  store.c has checked the arguments:
 * texts are bounded, a commit's JoinNonce lies above the one seen, keep is at
 * least 1.  The contract of each verb stands in store.h.
 */
#ifndef JY_STORE_BACKEND_H
#define JY_STORE_BACKEND_H

#include "src/store/credential.h"
#include "src/store/store.h"

struct store_ops;

/* The store's own values among those of store_meta_put. */
#define META_SCHEMA "schema"
#define META_AUDIT "audit" /* where the audit log ends */
#define META_STORAGE "storage"
#define STORAGE_STATE_LEN 8

#define META_NUMBER_LEN 8

/* Add to a number as meta values hold it (len 0: none yet), in place. */
enum jy_err meta_number_add(uint8_t value[META_NUMBER_LEN], size_t len,
    int64_t delta, uint64_t max, uint64_t *now, struct errctx *ec) JY_CHECK;

/* struct storage_state as octets; JY_ECORRUPT for another length. */
void storage_state_encode(
    const struct storage_state *state, uint8_t out[STORAGE_STATE_LEN]);
enum jy_err storage_state_decode(const uint8_t *p, size_t len,
    struct storage_state *state, struct errctx *ec) JY_CHECK;

bool storage_state_keeps(
    const struct storage_state *seen, const struct storage_state *state);

/* JY_ECONFLICT when a root row may not be put under its storage key. */
enum jy_err storage_state_allows(const struct storage_state *state,
    const struct root_row *row, struct errctx *ec) JY_CHECK;

/* An open database; first member of each backend's own struct. */
struct store_db {
	const struct store_ops *ops; /* also tells whose struct it is */
};

/* A batch as one thread handed it in, in the list of those that wait. */
struct join_group {
	struct join_commit *const *batch;
	size_t n;
	struct errctx *ec; /* for the detail of entries of this batch */
	bool done;
	struct join_group *next;
};

/* All that one transaction of joins writes. */
struct join_work {
	struct join_group *groups;          /* may be NULL */
	const struct refusal_row *refusals; /* of unknown devices: skipped */
	size_t n_refusals;
};

/* What one transaction of an import writes. */
struct device_batch {
	struct device_change *const *changes;
	size_t n;
};

/* What one transaction of a rotation writes. */
/* Roots to be deleted, as in store_root_delete. */
struct root_erasing {
	const struct root_ref *refs;
	size_t n;
	bool *found;
};

struct root_batch {
	const struct root_change *changes;
	size_t n;
	size_t *replaced;
};

struct store_ops {
	const char *name;
	enum jy_err (*open)(const struct store_config *config,
	    struct store_db **out, struct errctx *ec);
	void (*close)(struct store_db *db);

	enum jy_err (*join_view)(struct store_db *db,
	    const struct device_id *id, uint16_t dev_nonce,
	    struct join_view *view, struct errctx *ec);
	/*
	 * Set err of every entry.  An error that hit all is returned too and
	 * its detail is in ec; then nothing was written.
	 */
	enum jy_err (*join_commit)(struct store_db *db,
	    const struct join_work *work, struct errctx *ec);
	enum jy_err (*refusal_get)(struct store_db *db,
	    const struct device_id *id, struct refusal_row *row,
	    struct errctx *ec);

	enum jy_err (*device_get)(struct store_db *db,
	    const struct device_id *id, struct device_row *row,
	    struct errctx *ec);
	/* Set err of every entry, unless an error hit all: it is returned. */
	enum jy_err (*device_put_batch)(struct store_db *db,
	    const struct device_batch *batch, struct errctx *ec);
	enum jy_err (*device_delete)(struct store_db *db,
	    const struct device_id *id, struct device_gone *gone,
	    struct errctx *ec);
	enum jy_err (*device_list)(struct store_db *db,
	    const struct device_query *query, const struct device_rows *to,
	    struct device_page *page, struct errctx *ec);
	enum jy_err (*device_by_dev_eui)(struct store_db *db,
	    const struct eui64 *dev_eui, struct device_id *id,
	    struct errctx *ec);
	enum jy_err (*device_by_name)(struct store_db *db, const char *app,
	    const char *name, struct device_id *id, struct errctx *ec);
	enum jy_err (*nonces_get)(struct store_db *db,
	    const struct device_id *id, struct nonce_row *row, size_t *used,
	    struct errctx *ec);
	enum jy_err (*nonces_reset)(
	    struct store_db *db, const struct device_id *id, struct errctx *ec);

	enum jy_err (*root_get)(struct store_db *db,
	    const struct device_id *device, const struct device_key *key,
	    struct root_row *row, struct errctx *ec);
	enum jy_err (*root_delete)(struct store_db *db,
	    const struct root_erasing *erasing, struct errctx *ec);
	enum jy_err (*root_list)(struct store_db *db,
	    const struct root_row *after, struct root_row *rows, size_t cap,
	    size_t *n, bool *more, struct errctx *ec);
	enum jy_err (*root_count)(
	    struct store_db *db, uint64_t *n, struct errctx *ec);
	enum jy_err (*root_replace)(struct store_db *db,
	    const struct root_batch *batch, struct errctx *ec);
	enum jy_err (*storage_get)(struct store_db *db,
	    struct storage_state *state, struct errctx *ec);
	enum jy_err (*storage_set)(struct store_db *db,
	    const struct storage_state *seen, const struct storage_state *state,
	    struct errctx *ec);

	enum jy_err (*session_get)(struct store_db *db,
	    const uint8_t id[STORE_ID_LEN], struct session_row *row,
	    struct errctx *ec);
	enum jy_err (*session_list)(struct store_db *db,
	    const struct device_id *id, struct session_row *rows, size_t cap,
	    size_t *n, struct errctx *ec);

	enum jy_err (*app_get)(struct store_db *db, const char *name,
	    struct app_row *row, struct errctx *ec);
	enum jy_err (*app_put)(
	    struct store_db *db, const struct app_row *row, struct errctx *ec);
	enum jy_err (*app_delete)(
	    struct store_db *db, const char *name, struct errctx *ec);
	enum jy_err (*app_list)(struct store_db *db, const char *after,
	    struct app_row *rows, size_t cap, size_t *n, bool *more,
	    struct errctx *ec);

	enum jy_err (*kek_get)(struct store_db *db, const char *label,
	    struct kek_set *out, struct errctx *ec);
	enum jy_err (*kek_add)(
	    struct store_db *db, const struct kek_row *row, struct errctx *ec);
	enum jy_err (*kek_retire)(
	    struct store_db *db, const struct kek_row *row, struct errctx *ec);
	enum jy_err (*kek_delete)(
	    struct store_db *db, const char *label, struct errctx *ec);
	enum jy_err (*kek_list)(struct store_db *db,
	    const struct kek_place *after, struct kek_row *rows, size_t cap,
	    size_t *n, bool *more, struct errctx *ec);

	enum jy_err (*peer_get)(struct store_db *db, const char *name,
	    struct peer_row *row, struct errctx *ec);
	enum jy_err (*peer_put)(
	    struct store_db *db, const struct peer_row *row, struct errctx *ec);
	enum jy_err (*peer_delete)(
	    struct store_db *db, const char *name, struct errctx *ec);
	enum jy_err (*peer_list)(struct store_db *db, const char *after,
	    struct peer_row *rows, size_t cap, size_t *n, bool *more,
	    struct errctx *ec);
	enum jy_err (*peer_by_credential)(struct store_db *db,
	    const struct credential *c, struct peer_row *row,
	    struct errctx *ec);

	enum jy_err (*meta_get)(struct store_db *db, const char *key,
	    uint8_t out[STORE_META_MAX], size_t *len, struct errctx *ec);
	enum jy_err (*meta_put)(struct store_db *db, const char *key,
	    const uint8_t *value, size_t len, struct errctx *ec);

	enum jy_err (*meta_swap)(struct store_db *db, const char *key,
	    const struct meta_value *seen, const struct meta_value *next,
	    struct errctx *ec);

	enum jy_err (*audit_head)(
	    struct store_db *db, struct audit_head *head, struct errctx *ec);
	enum jy_err (*audit_add)(struct store_db *db,
	    const struct audit_row *row, const struct audit_head *seen,
	    struct errctx *ec);
	enum jy_err (*audit_get)(struct store_db *db, uint64_t seq,
	    struct audit_row *row, struct errctx *ec);
	enum jy_err (*audit_list)(struct store_db *db, uint64_t after,
	    struct audit_row *rows, size_t cap, size_t *n, bool *more,
	    struct errctx *ec);

	/* Fill in commits and syncs. */
	void (*stats)(struct store_db *db, struct store_stats *out);
};

/* Do both say that the log ends at the same event? */
bool audit_head_eq(const struct audit_head *a, const struct audit_head *b);

/* JY_ECORRUPT: the event to be added is there, beyond the end of the log. */
enum jy_err audit_beyond(uint64_t seq, struct errctx *ec);

extern const struct store_ops store_lmdb_ops;
extern const struct store_ops store_memory_ops;

#endif
