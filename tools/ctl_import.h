/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of "joineryctl import" share.  The file is read twice: first
 * all of it, for its form and its MAC; then its lines once more while batches
 * are on their way, in the order of the DevEUIs: so a batch touches few pages
 * of the database, and a fleet in any order comes as quickly as one in order.
 * Nothing in it is a key in clear.
 */
#ifndef JY_TOOLS_CTL_IMPORT_H
#define JY_TOOLS_CTL_IMPORT_H

#include "src/base/arena.h"
#include "tools/ctl.h"
#include "tools/ctl_progress.h"
#include "tools/keyfile.h"
#include "tools/seal_digest.h"

/* ---- ctl_import_file.c ---- */

struct import_file;

/* What a file holds, once all of it was read. */
struct import_sums {
	struct keyfile_header header;
	uint64_t devices; /* device lines, wrong ones too */
	uint64_t wrong;
	uint8_t mac[KEYFILE_MAC_LEN];
	uint8_t digest[SEAL_DIGEST_LEN];       /* what the MAC is over */
	uint8_t check_values[SEAL_DIGEST_LEN]; /* of all lines, in order */
};

/* Fails with CTL_LOCAL. */
enum ctl_exit import_file_open(
    struct ctl *ctl, const char *path, struct import_file **out) JY_CHECK;
void import_file_close(struct import_file *f);

/*
 * The first reading, of the whole file; wrong lines are told.  A device that
 * the file names before is a wrong line.  Fails with CTL_LOCAL for a file that
 * is none of the format.  f remembers some 48 octets of each device.
 */
enum ctl_exit import_file_read(
    struct ctl *ctl, struct import_file *f, struct progress *progress) JY_CHECK;

const struct import_sums *import_file_sums(const struct import_file *f);

/*
 * The second reading: the next device in the order of DevEUI and JoinEUI, with
 * the number of its line, which is what it was at the first reading or else
 * CTL_LOCAL; *more is false behind the last.
 */
enum ctl_exit import_file_next(struct ctl *ctl, struct import_file *f,
    bool *more, struct keyfile_device *device, uint64_t *line) JY_CHECK;

/* ---- ctl_import_show.c ---- */

struct import_counts {
	uint64_t created, same, replaced, refused;
};

static inline uint64_t
import_counts_all(const struct import_counts *n)
{
	return n->created + n->same + n->replaced + n->refused;
}

/* A line that is not done; code is "" for one that was never sent. */
void import_show_refused(
    struct progress *p, uint64_t line, const char *code, const char *reason);

struct import_receipt;

void import_show_summary(struct ctl *ctl, const struct import_sums *sums,
    const struct import_counts *n, const struct import_receipt *receipt,
    uint64_t took_us);

/* ---- ctl_import_device.c ---- */

/* In the arena; borrows d. */
Joinery__V1__ImportDevice *import_device_message(
    struct arena *arena, struct keyfile_device *d);

/* ---- ctl_import_send.c ---- */

struct import_send;

struct import_options {
	bool replace, dry_run, strict;
};

struct import_send *import_send_new(struct ctl *ctl,
    const struct import_sums *sums, const struct import_options *options,
    struct progress *progress, struct import_counts *counts);
void import_send_free(struct import_send *s);

/*
 * Take a device; blocks while enough are on their way.  Fails when the server
 * cannot be reached, or cannot work, for longer than it should; and, if
 * strict, when a line was refused.
 */
enum ctl_exit import_send_add(struct import_send *s,
    const struct keyfile_device *device, uint64_t line) JY_CHECK;

/* Wait until all that was taken is done. */
enum ctl_exit import_send_finish(struct import_send *s) JY_CHECK;

/* Is the file's MAC right? */
enum ctl_exit import_send_begin(struct import_send *s) JY_CHECK;

/* What the audit log says of the import. */
struct import_receipt {
	uint64_t seq;
	uint8_t mac[KEYFILE_MAC_LEN];
};

/* Have it written into the audit log what came of the file. */
enum ctl_exit import_send_end(struct import_send *s,
    const struct import_sums *sums, struct import_receipt *out) JY_CHECK;

#endif
