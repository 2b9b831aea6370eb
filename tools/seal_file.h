/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a sealed key file, joinery-keyfile(5): a fresh transport key, sealed
 * to the import key; each device's keys wrapped under it; the MAC at the end.
 *
 * The file grows beside its place under a name of its own, mode 0600, and
 * takes its place when it is complete and on disk; until then whatever was
 * there stays.
 */
#ifndef JY_TOOLS_SEAL_FILE_H
#define JY_TOOLS_SEAL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "tools/keyfile.h"

struct seal_file;

/*
 * Begin a file at path, sealed to public_key (SubjectPublicKeyInfo, DER; RSA
 * of 2048 to 4096 bits, else JY_EINVAL).  JY_EIO if it cannot be written.  The
 * caller ends with _finish or _abort.
 */
enum jy_err seal_file_begin(const char *path, const uint8_t *public_key,
    size_t public_key_len, struct seal_file **out, struct errctx *ec) JY_CHECK;

/* Wrap a root key; its check value goes beside it. */
enum jy_err seal_file_key(struct seal_file *file, const uint8_t key[16],
    struct keyfile_key *out, struct errctx *ec) JY_CHECK;

/* Write a device, its keys wrapped by seal_file_key. */
enum jy_err seal_file_device(struct seal_file *file,
    const struct keyfile_device *device, struct errctx *ec) JY_CHECK;

/* Write the end line and put the file in its place; *file is freed always. */
enum jy_err seal_file_finish(
    struct seal_file *file, struct errctx *ec) JY_CHECK;

/* Leave nothing behind; NULL is fine. */
void seal_file_abort(struct seal_file *file);

#endif
