/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices on their way to another Join Server: their root keys leave the token
 * wrapped for the receiver's, if the configuration names the receiver.  From
 * then on a device joins there and no longer here.  Runs on a token thread.
 */
#ifndef JY_JOIN_RELEASE_H
#define JY_JOIN_RELEASE_H

#include "src/join/env.h"

#define RELEASE_BATCH_MAX 64

/*
 * JY_EACCESS unless release-to names that import key; the detail says which
 * one it would have to name.
 */
enum jy_err release_allowed(const struct join_env *env,
    const uint8_t receiver[HSM_FINGERPRINT_LEN], struct errctx *ec) JY_CHECK;

/*
 * Begin for the receiver with that public key (SubjectPublicKeyInfo, DER): a
 * ticket, and the transport key of a key file, sealed.  JY_EINVAL for another
 * kind of key; JY_EACCESS as above; JY_ENOTFOUND when there is no storage key,
 * and so no key that could be released.
 */
enum jy_err release_begin(const struct join_env *env, const uint8_t *der,
    size_t len, struct hsm_ticket *ticket, uint8_t sealed[HSM_RSA_MAX],
    size_t *sealed_len, struct errctx *ec) JY_CHECK;

/*
 * JY_EINVAL for a ticket of somebody else, or one whose storage key was
 * replaced; JY_EACCESS as above.
 */
enum jy_err release_check(const struct join_env *env,
    const struct hsm_ticket *ticket, struct errctx *ec) JY_CHECK;

struct release_key {
	bool present;
	uint8_t wrapped[HSM_BLOB_LEN]; /* under the transport key */
	uint8_t check_value[STORE_KCV_LEN];
};

struct release_device {
	struct device_id id;
	struct device_row row;       /* out */
	struct nonce_row nonces;     /* out: where the receiver goes on from */
	struct release_key nwk, app; /* out */
	enum jy_err err;             /* in: JY_OK, or why not to try; out */
	struct errctx ec;            /* detail of err */
};

struct release_batch {
	const struct hsm_ticket *ticket;
	struct release_device *devices;
	size_t n;          /* 0..RELEASE_BATCH_MAX, none of them twice */
	bool keep_serving; /* they go on joining here */
	bool marked;       /* a result, on failure too: some do no longer */
};

/*
 * Release a batch; the ticket was checked.  Each device has an err of its own:
 * JY_EACCESS when a root key is in the token, JY_ECONFLICT when it was changed
 * meanwhile.  Unless they are to keep on here, devices are marked released,
 * durably, before their nonces are read: so no join here can come after what
 * the receiver is told.  An error that hits all is returned; some may be
 * marked then, and the same batch goes on where it ended.
 */
enum jy_err release_run(const struct join_env *env, struct release_batch *batch,
    struct errctx *ec) JY_CHECK;

#endif
