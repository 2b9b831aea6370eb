/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory, private to its files. */
#ifndef JY_STORE_MEMORY_H
#define JY_STORE_MEMORY_H

#include <pthread.h>

#include "src/store/backend.h"
#include "src/store/memory_list.h"

struct meta_item {
	char key[STORE_LABEL_MAX + 1];
	uint8_t value[STORE_META_MAX];
	size_t len;
};

struct memory {
	struct store_db base; /* first: memory_lock() casts */
	pthread_mutex_t lock;
	struct list devices;
	struct list nonces;
	struct list sessions;
	struct list refusals;
	struct list apps;
	struct list keks;
	struct list peers;
	struct list metas;
	struct list roots;
	struct list audit;
	struct audit_head audit_head;
	uint64_t commits;
};

/* Every verb runs between these; the second passes err through. */
struct memory *memory_lock(struct store_db *db);
enum jy_err memory_unlock(struct memory *m, enum jy_err err);

/* The same after a verb that writes. */
enum jy_err memory_written(struct memory *m, enum jy_err err);

/* The verbs of memory_root.c, and its part in those of devices. */
int memory_cmp_root(const void *item, const void *key);
enum jy_err memory_roots_check(struct memory *m, const struct device_change *c);
enum jy_err memory_roots_put(struct memory *m, const struct device_change *c);
void memory_roots_erase(
    struct memory *m, const struct device_id *id, struct device_gone *gone);
enum jy_err mem_root_get(struct store_db *db, const struct device_id *device,
    const struct device_key *key, struct root_row *row, struct errctx *ec);
enum jy_err mem_root_delete(
    struct store_db *db, const struct root_erasing *erasing, struct errctx *ec);
enum jy_err mem_root_list(struct store_db *db, const struct root_row *after,
    struct root_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);
enum jy_err mem_root_count(struct store_db *db, uint64_t *n, struct errctx *ec);
enum jy_err mem_root_replace(
    struct store_db *db, const struct root_batch *batch, struct errctx *ec);
enum jy_err mem_storage_get(
    struct store_db *db, struct storage_state *state, struct errctx *ec);
enum jy_err mem_storage_set(struct store_db *db,
    const struct storage_state *seen, const struct storage_state *state,
    struct errctx *ec);

/* The verbs of memory_session.c. */
enum jy_err mem_session_get(struct store_db *db, const uint8_t id[STORE_ID_LEN],
    struct session_row *row, struct errctx *ec);
enum jy_err mem_session_list(struct store_db *db, const struct device_id *id,
    struct session_row *rows, size_t cap, size_t *n, struct errctx *ec);

/* The verbs of memory_app.c. */
enum jy_err mem_app_get(struct store_db *db, const char *name,
    struct app_row *row, struct errctx *ec);
enum jy_err mem_app_put(
    struct store_db *db, const struct app_row *row, struct errctx *ec);
enum jy_err mem_app_delete(
    struct store_db *db, const char *name, struct errctx *ec);
enum jy_err mem_app_list(struct store_db *db, const char *after,
    struct app_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec);

/* How the list of KEKs is sorted, and the verbs, of memory_kek.c. */
int memory_cmp_kek(const void *item, const void *key);
enum jy_err mem_kek_get(struct store_db *db, const char *label,
    struct kek_set *out, struct errctx *ec);
enum jy_err mem_kek_add(
    struct store_db *db, const struct kek_row *row, struct errctx *ec);
enum jy_err mem_kek_retire(
    struct store_db *db, const struct kek_row *row, struct errctx *ec);
enum jy_err mem_kek_delete(
    struct store_db *db, const char *label, struct errctx *ec);
enum jy_err mem_kek_list(struct store_db *db, const struct kek_place *after,
    struct kek_row *rows, size_t cap, size_t *n, bool *more, struct errctx *ec);

/* The verbs of memory_peer.c. */
enum jy_err mem_peer_get(struct store_db *db, const char *name,
    struct peer_row *row, struct errctx *ec);
enum jy_err mem_peer_put(
    struct store_db *db, const struct peer_row *row, struct errctx *ec);
enum jy_err mem_peer_delete(
    struct store_db *db, const char *name, struct errctx *ec);
enum jy_err mem_peer_list(struct store_db *db, const char *after,
    struct peer_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);
enum jy_err mem_peer_by_credential(struct store_db *db,
    const struct credential *c, struct peer_row *row, struct errctx *ec);
enum jy_err mem_meta_get(struct store_db *db, const char *key,
    uint8_t out[STORE_META_MAX], size_t *len, struct errctx *ec);
enum jy_err mem_meta_put(struct store_db *db, const char *key,
    const uint8_t *value, size_t len, struct errctx *ec);
enum jy_err mem_meta_swap(struct store_db *db, const char *key,
    const struct meta_value *seen, const struct meta_value *next,
    struct errctx *ec);

/* The verbs of memory_audit.c. */
enum jy_err mem_audit_head(
    struct store_db *db, struct audit_head *head, struct errctx *ec);
enum jy_err mem_audit_add(struct store_db *db, const struct audit_row *row,
    const struct audit_head *seen, struct errctx *ec);
enum jy_err mem_audit_get(struct store_db *db, uint64_t seq,
    struct audit_row *row, struct errctx *ec);
enum jy_err mem_audit_list(struct store_db *db, uint64_t after,
    struct audit_row *rows, size_t cap, size_t *n, bool *more,
    struct errctx *ec);

#endif
