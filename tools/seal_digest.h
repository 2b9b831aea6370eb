/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, of what comes piece by piece or at once. */
#ifndef JY_TOOLS_SEAL_DIGEST_H
#define JY_TOOLS_SEAL_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "tools/keyfile.h"

#define SEAL_DIGEST_LEN 32

struct seal_digest;

/* Never fail: without SHA-256 or memory the process ends. */
struct seal_digest *seal_digest_new(void);
void seal_digest_add(struct seal_digest *d, const void *p, size_t len);

/* The check values of a device's keys, the NwkKey's before the AppKey's. */
void seal_digest_add_keys(
    struct seal_digest *d, const struct keyfile_device *device);

/* *d is freed. */
void seal_digest_end(struct seal_digest *d, uint8_t out[SEAL_DIGEST_LEN]);

/* Without an end; NULL is fine. */
void seal_digest_free(struct seal_digest *d);

/* Of p alone; what was added to *d before is forgotten. */
void seal_digest_of(struct seal_digest *d, const void *p, size_t len,
    uint8_t out[SEAL_DIGEST_LEN]);

#endif
