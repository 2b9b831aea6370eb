/* SPDX-License-Identifier: Apache-2.0 */
/* The number of root keys in the token. */
#include "src/join/resident.h"

#include "src/base/bytes.h"
#include "src/base/log.h"
#include "src/join/keys.h"

#define META_RESIDENT "resident" /* in the store: 8 octets */
#define NUMBER_LEN 8

enum jy_err
resident_recount(const struct join_env *env, struct errctx *ec)
{
	uint8_t octets[NUMBER_LEN];
	struct writer w;

	writer_init(&w, octets, sizeof(octets));
	writer_be(&w, keys_root_count(env->hsm), sizeof(octets));
	return store_meta_put(
	    env->store, META_RESIDENT, octets, sizeof(octets), ec);
}

enum jy_err
resident_take(const struct join_env *env, struct errctx *ec)
{
	uint64_t now;
	enum jy_err err = store_meta_add(env->store, META_RESIDENT, 1,
	    env->resident_max != 0 ? env->resident_max : UINT64_MAX, &now, ec);

	return err == JY_ELIMIT
	    ? err_replace(ec, JY_ELIMIT,
		  "the token holds %llu root keys, which is resident-max",
		  (unsigned long long)env->resident_max)
	    : err;
}

void
resident_give_back(const struct join_env *env, size_t n)
{
	struct errctx ec = ERRCTX_INIT;
	uint64_t now;
	enum jy_err err = n > 0 ? store_meta_add(env->store, META_RESIDENT,
				      -(int64_t)n, UINT64_MAX, &now, &ec)
				: JY_OK;

	if (err != JY_OK) {
		log_warn("registry", "the number of root keys is too high now",
		    "error=\"%s\"", err_detail(&ec, err));
	}
}

enum jy_err
resident_count(const struct join_env *env, uint64_t *n, struct errctx *ec)
{
	return store_meta_add(env->store, META_RESIDENT, 0, UINT64_MAX, n, ec);
}
