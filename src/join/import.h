/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a sealed key file: many at a time, their root keys under the
 * file's transport key.  What is there already is recognised by the check
 * values of its keys, so that a run may be repeated; what differs stays as it
 * is unless it is to be replaced.  Runs on a token thread.
 */
#ifndef JY_JOIN_IMPORT_H
#define JY_JOIN_IMPORT_H

#include "src/join/env.h"

#define IMPORT_BATCH_MAX 256

enum import_outcome {
	IMPORT_REFUSED, /* err says why */
	IMPORT_CREATED, /* the device, or a root key that it did not have */
	IMPORT_SAME,
	IMPORT_REPLACED
};

struct import_device {
	struct device_row old; /* as stored; revision 0: not there */
	struct device_row row; /* old, and over it what the file says */
	bool has_nwk, has_app;
	bool said_v10_root; /* the file does, whatever it says */
	struct hsm_wrapped nwk, app;
	struct nonce_start start;
	enum import_outcome outcome; /* out */
	enum jy_err err;             /* in: JY_OK, or why not to try; out */
	struct errctx ec;            /* detail of err */
};

struct import_batch {
	struct hsm_transport *transport;
	struct import_device *devices;
	size_t n; /* 0..IMPORT_BATCH_MAX */
	bool replace;
	bool dry_run; /* prove keys in the token, check all, change nothing */
};

/*
 * Import a batch; each device has an outcome of its own.  An error that hits
 * all is returned: then those whose outcome is set are done, and the others
 * may be.  Of a device that was refused no key is left in the token.
 */
enum jy_err import_run(const struct join_env *env, struct import_batch *batch,
    struct errctx *ec) JY_CHECK;

#endif
