/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the lmdb backend; contracts in store.h and backend.h. */
#ifndef JY_STORE_LMDB_VERBS_H
#define JY_STORE_LMDB_VERBS_H

#include "src/store/lmdb_txn.h"

struct lmdb *lmdb_of(struct store_db *db);

enum jy_err lmdb_open(const struct store_config *config, struct store_db **out,
    struct errctx *ec);
void lmdb_close(struct store_db *store);
enum jy_err lmdb_join_view(struct store_db *db, const struct device_id *id,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec);
enum jy_err lmdb_join_commit(
    struct store_db *db, const struct join_work *work, struct errctx *ec);
enum jy_err lmdb_refusal_get(struct store_db *db, const struct device_id *id,
    struct refusal_row *row, struct errctx *ec);
enum jy_err lmdb_device_get(struct store_db *db, const struct device_id *id,
    struct device_row *row, struct errctx *ec);
enum jy_err lmdb_device_put_batch(
    struct store_db *db, const struct device_batch *batch, struct errctx *ec);
enum jy_err lmdb_device_delete(struct store_db *db, const struct device_id *id,
    struct device_gone *gone, struct errctx *ec);
enum jy_err lmdb_device_list(struct store_db *db,
    const struct device_query *query, const struct device_rows *to,
    struct device_page *page, struct errctx *ec);
enum jy_err lmdb_device_by_dev_eui(struct store_db *db,
    const struct eui64 *dev_eui, struct device_id *id, struct errctx *ec);
enum jy_err lmdb_device_by_name(struct store_db *db, const char *app,
    const char *name, struct device_id *id, struct errctx *ec);
enum jy_err lmdb_nonces_get(struct store_db *db, const struct device_id *id,
    struct nonce_row *row, size_t *used, struct errctx *ec);
enum jy_err lmdb_nonces_reset(
    struct store_db *db, const struct device_id *id, struct errctx *ec);
enum jy_err lmdb_root_get(struct store_db *db, const struct device_id *device,
    const struct device_key *key, struct root_row *row, struct errctx *ec);
enum jy_err lmdb_root_delete(
    struct store_db *db, const struct root_erasing *erasing, struct errctx *ec);
enum jy_err lmdb_root_list(struct store_db *db, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);
enum jy_err lmdb_root_count(
    struct store_db *db, uint64_t *n, struct errctx *ec);
enum jy_err lmdb_root_replace(
    struct store_db *db, const struct root_batch *batch, struct errctx *ec);
enum jy_err lmdb_storage_get(
    struct store_db *db, struct storage_state *state, struct errctx *ec);
enum jy_err lmdb_storage_set(struct store_db *db,
    const struct storage_state *seen, const struct storage_state *state,
    struct errctx *ec);
enum jy_err lmdb_session_get(struct store_db *db,
    const uint8_t id[STORE_ID_LEN], struct session_row *row, struct errctx *ec);
enum jy_err lmdb_session_list(struct store_db *db, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec);
enum jy_err lmdb_app_get(struct store_db *db, const char *name,
    struct app_row *row, struct errctx *ec);
enum jy_err lmdb_app_put(
    struct store_db *db, const struct app_row *row, struct errctx *ec);
enum jy_err lmdb_app_delete(
    struct store_db *db, const char *name, struct errctx *ec);
enum jy_err lmdb_app_list(struct store_db *db, const char *after,
    struct app_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec);
enum jy_err lmdb_kek_get(struct store_db *db, const char *label,
    struct kek_set *out, struct errctx *ec);
enum jy_err lmdb_kek_add(
    struct store_db *db, const struct kek_row *row, struct errctx *ec);
enum jy_err lmdb_kek_retire(
    struct store_db *db, const struct kek_row *row, struct errctx *ec);
enum jy_err lmdb_kek_delete(
    struct store_db *db, const char *label, struct errctx *ec);
enum jy_err lmdb_kek_list(struct store_db *db, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec);
enum jy_err lmdb_peer_get(struct store_db *db, const char *name,
    struct peer_row *row, struct errctx *ec);
enum jy_err lmdb_peer_put(
    struct store_db *db, const struct peer_row *row, struct errctx *ec);
enum jy_err lmdb_peer_delete(
    struct store_db *db, const char *name, struct errctx *ec);
enum jy_err lmdb_peer_list(struct store_db *db, const char *after,
    struct peer_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);
enum jy_err lmdb_peer_by_credential(struct store_db *db,
    const struct credential *c, struct peer_row *row, struct errctx *ec);
enum jy_err lmdb_meta_get(struct store_db *db, const char *key,
    uint8_t out[STORE_META_MAX], size_t *len, struct errctx *ec);
enum jy_err lmdb_meta_put(struct store_db *db, const char *key,
    const uint8_t *value, size_t len, struct errctx *ec);
enum jy_err lmdb_meta_swap(struct store_db *db, const char *key,
    const struct meta_value *seen, const struct meta_value *next,
    struct errctx *ec);
enum jy_err lmdb_audit_head(
    struct store_db *db, struct audit_head *head, struct errctx *ec);
enum jy_err lmdb_audit_add(struct store_db *db, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec);
enum jy_err lmdb_audit_get(struct store_db *db, uint64_t seq,
    struct audit_row *row, struct errctx *ec);
enum jy_err lmdb_audit_list(struct store_db *db, uint64_t after,
    struct audit_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);
void lmdb_stats(struct store_db *store, struct store_stats *out);
#endif
