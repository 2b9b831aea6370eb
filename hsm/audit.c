/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit key, which makes the MACs of the audit log and nothing else: it
 * signs and never decrypts, so a whole MAC of it is no oracle for any key.
 */
#include <string.h>

#include "hsm/internal.h"

CK_RV
audit_find(struct hsm *hsm, void *arg)
{
	struct hsm_id id = id_of_text(ID_AUDIT);

	(void)arg;
	return object_find(
	    hsm, hsm->scratch.handle, CKO_SECRET_KEY, &id, &hsm->audit);
}

struct audit_work {
	const uint8_t *data;
	size_t len;
	struct secret_block *mac;
};

/* A lane_work: once more if the handle went stale. */
static CK_RV
audit_run(struct hsm *hsm, void *arg)
{
	const struct audit_work *w = arg;
	CK_SESSION_HANDLE s = hsm->scratch.handle;
	CK_RV rv = op_cmac(hsm, s, hsm->audit, w->data, w->len, w->mac);

	if (rv_class(rv) == RV_HANDLE) {
		rv = audit_find(hsm, NULL);
		if (rv == CKR_OK) {
			rv = op_cmac(
			    hsm, s, hsm->audit, w->data, w->len, w->mac);
		}
	}
	return rv;
}

enum jy_err
hsm_audit_mac(struct hsm *hsm, const uint8_t *data, size_t len,
    uint8_t mac[HSM_MAC_LEN], struct errctx *ec)
{
	struct secret_block computed AUTO_WIPE = { { 0 } };
	struct audit_work w = { data, len, &computed };
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, audit_run, &w, "MAC of the audit log", ec);
	lane_leave(hsm);
	if (err == JY_OK) {
		memcpy(mac, computed.b, HSM_MAC_LEN);
	}
	return err;
}
