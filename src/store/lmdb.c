/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lmdb backend as a table.  Its verbs (lmdb_join.c, lmdb_device.c,
 * lmdb_app.c, lmdb_peer.c, lmdb_audit.c) read and write rows (lmdb_rows.c) in
 * transactions (lmdb_txn.c) of an environment (lmdb_env.c); the last two alone
 * see LMDB.
 */
#include "src/store/lmdb_env.h"
#include "src/store/lmdb_verbs.h"

const struct store_ops store_lmdb_ops = {
	.name = "lmdb",
	.open = lmdb_open,
	.close = lmdb_close,
	.join_view = lmdb_join_view,
	.join_commit = lmdb_join_commit,
	.refusal_get = lmdb_refusal_get,
	.device_get = lmdb_device_get,
	.device_put_batch = lmdb_device_put_batch,
	.device_delete = lmdb_device_delete,
	.device_list = lmdb_device_list,
	.device_by_dev_eui = lmdb_device_by_dev_eui,
	.device_by_name = lmdb_device_by_name,
	.nonces_get = lmdb_nonces_get,
	.nonces_reset = lmdb_nonces_reset,
	.root_get = lmdb_root_get,
	.root_delete = lmdb_root_delete,
	.root_list = lmdb_root_list,
	.root_count = lmdb_root_count,
	.root_replace = lmdb_root_replace,
	.storage_get = lmdb_storage_get,
	.storage_set = lmdb_storage_set,
	.session_get = lmdb_session_get,
	.session_list = lmdb_session_list,
	.app_get = lmdb_app_get,
	.app_put = lmdb_app_put,
	.app_delete = lmdb_app_delete,
	.app_list = lmdb_app_list,
	.kek_get = lmdb_kek_get,
	.kek_add = lmdb_kek_add,
	.kek_retire = lmdb_kek_retire,
	.kek_delete = lmdb_kek_delete,
	.kek_list = lmdb_kek_list,
	.peer_get = lmdb_peer_get,
	.peer_put = lmdb_peer_put,
	.peer_delete = lmdb_peer_delete,
	.peer_list = lmdb_peer_list,
	.peer_by_credential = lmdb_peer_by_credential,
	.meta_get = lmdb_meta_get,
	.meta_put = lmdb_meta_put,
	.meta_swap = lmdb_meta_swap,
	.audit_head = lmdb_audit_head,
	.audit_add = lmdb_audit_add,
	.audit_get = lmdb_audit_get,
	.audit_list = lmdb_audit_list,
	.stats = lmdb_stats,
};

struct lmdb *
lmdb_of(struct store_db *db)
{
	jy_assert(db->ops == &store_lmdb_ops);
	return (struct lmdb *)db;
}
