/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for key octets and PINs, and the two things one does with them:
 * wipe and compare.
 *
 * A struct secret lies between guard pages, is locked into memory, left out
 * of core dumps and wiped when freed.  It has no printer and no log function
 * takes one.  Single AES blocks may live on the stack if declared AUTO_WIPE.
 */
#ifndef JY_BASE_SECRET_H
#define JY_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"

struct secret;

/*
 * A new secret of room cap octets (1..65536) and length 0.  Fails with
 * JY_ENOMEM when memory cannot be had or cannot be locked.  The caller frees.
 */
enum jy_err secret_new(
    size_t cap, struct secret **out, struct errctx *ec) JY_CHECK;

/* Wipe and release; NULL is fine. */
void secret_free(struct secret *s);

uint8_t *secret_data(struct secret *s);
const uint8_t *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);
size_t secret_cap(const struct secret *s);

/* Say how many octets are in use; len <= cap. */
void secret_set_len(struct secret *s, size_t len);

/* Overwrite with zeros in a way no compiler removes. */
void secret_wipe(void *p, size_t len);

/* Compare in time that depends on len alone. */
bool secret_eq(const void *a, const void *b, size_t len) JY_CHECK;

/* A 16-octet block that wipes itself when it leaves its scope. */
struct secret_block {
	uint8_t b[16];
};

void secret_block_wipe(struct secret_block *block);

#define AUTO_WIPE __attribute__((cleanup(secret_block_wipe)))

/*
 * Harden this process at start: no core dumps, no ptrace by others of the
 * same user, no swap for what it locks.  Fails with JY_EIO.
 */
enum jy_err secret_harden_process(struct errctx *ec) JY_CHECK;

#endif
