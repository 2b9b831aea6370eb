/* SPDX-License-Identifier: Apache-2.0 */
/* The CKA_IDs of root keys, lifetime keys and KEKs (ARCHITECTURE.md, Keys). */
#include "src/join/keys.h"

#include "src/base/bytes.h"

static void
device_key_id(uint8_t role, const struct device_id *device, uint32_t generation,
    struct hsm_id *out)
{
	struct writer w;

	writer_init(&w, out->b, sizeof(out->b));
	writer_u8(&w, role);
	writer_be(&w, generation, 4);
	writer_copy(&w, device->join_eui.be, 8);
	writer_copy(&w, device->dev_eui.be, 8);
	jy_assert(writer_ok(&w));
	out->len = (uint8_t)w.len;
}

void
keys_root_id(const struct device_id *device, const struct device_key *key,
    struct hsm_id *out)
{
	jy_assert(key->generation != 0);
	device_key_id(key->role, device, key->generation, out);
}

void
keys_lifetime_id(enum lw_key which, const struct device_id *device,
    const struct device_key *nwk_key, struct hsm_id *out)
{
	device_key_id(which == LW_JS_INT_KEY ? 'I' : 'E', device,
	    nwk_key->generation, out);
}

void
keys_kek_id(uint64_t key_id, struct hsm_id *out)
{
	struct writer w;

	writer_init(&w, out->b, sizeof(out->b));
	writer_u8(&w, 'K');
	writer_be(&w, key_id, 8);
	out->len = (uint8_t)w.len;
}

enum hsm_template
keys_root_template(uint8_t role)
{
	return role == KEY_APP ? HSM_DERIVE_ONLY : HSM_ROOT;
}

enum jy_err
keys_get_root(struct hsm *hsm, const struct device_id *device,
    const struct device_key *key, struct hsm_key **out, struct errctx *ec)
{
	struct hsm_id id;

	if (key->generation == 0) {
		return err_set(ec, JY_EROOTKEY, "the root key is not there");
	}
	keys_root_id(device, key, &id);
	return hsm_key_get(hsm, &id, keys_root_template(key->role), out, ec);
}

enum jy_err
keys_get_lifetime(struct hsm *hsm, enum lw_key which,
    const struct device_id *device, const struct device_key *nwk_key,
    struct hsm_key *nwk, struct hsm_key **out, struct errctx *ec)
{
	uint8_t block[LW_BLOCK_LEN];
	struct hsm_id id;

	keys_lifetime_id(which, device, nwk_key, &id);
	lw_block_js(block, which, &device->dev_eui);
	return hsm_key_get_derived(hsm, &id,
	    which == LW_JS_INT_KEY ? HSM_MAC : HSM_DECRYPT, nwk, block, out,
	    ec);
}
