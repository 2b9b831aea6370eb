/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of "joineryctl release" share.  The devices are known before
 * anything is asked; their answers become lines of the key file as they come,
 * in whatever order.  Nothing that passes through here is a key in clear.
 */
#ifndef JY_TOOLS_CTL_RELEASE_H
#define JY_TOOLS_CTL_RELEASE_H

#include "tools/ctl_euis.h"
#include "tools/ctl_out.h"
#include "tools/ctl_progress.h"
#include "tools/keyfile.h"
#include "tools/seal_digest.h"

#define RELEASE_TICKET_MAX 256

struct release {
	struct ctl *ctl;
	struct euis euis; /* to be released; of a file with their lines */
	bool from_file;
	struct ctl_out out;
	struct seal_digest *digest, *check_values;
	uint8_t ticket[RELEASE_TICKET_MAX];
	size_t ticket_len;
	uint64_t written; /* device lines */
	uint64_t refused; /* lines of the file, and devices */
	struct progress progress;
};

/* One that does not go; row NULL: a line that names no device. */
void release_report(struct release *r, uint32_t line,
    const struct euis_row *row, const char *code, const char *message);

/* Put octets into the file, under its MAC; out_flush says if they went. */
void release_put(struct release *r, const char *text, size_t len);

/* ---- ctl_release_ids.c ---- */

/* Which devices, by --dev-eui, --file or --app. */
enum ctl_exit release_ids_read(struct release *r) JY_CHECK;

/* ---- ctl_release_send.c ---- */

/* Ask for all of them and write what comes. */
enum ctl_exit release_send(struct release *r) JY_CHECK;

#endif
