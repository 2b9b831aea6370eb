/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices named in a file, one a line, in one of four forms; the first line
 * that says something tells which:
 *
 *   "JoinEUI DevEUI", with blanks, tabs or a comma between; # begins a comment
 *   CSV with a header line that has the columns join_eui and dev_eui
 *   JSON lines: objects with join_eui and dev_eui, themselves or in "id"
 *   a sealed key file, joinery-keyfile(5), of which only the EUIs are looked at
 *
 * Lines may end in CR LF, and a byte order mark may come first.
 */
#ifndef JY_TOOLS_CTL_EUIS_H
#define JY_TOOLS_CTL_EUIS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/hex.h"
#include "tools/ctl.h"

#define EUIS_LINE_MAX 16384
#define EUIS_MAX 10000000 /* devices; memory for them is bounded */

struct euis_row {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	uint32_t line; /* from 1 */
};

struct euis {
	struct euis_row *rows; /* the good ones */
	size_t count;
	size_t room; /* rows there is memory for */
	size_t bad;
};

/* Told of each line that names no device, and why. */
typedef void euis_bad(void *arg, uint32_t line, const char *why);

/*
 * Read path, "-" for standard input, to its end.  CTL_LOCAL, with nothing in
 * *out, when it cannot be read or its header lacks a column.  End with
 * euis_fini.
 */
enum ctl_exit euis_read(struct ctl *ctl, const char *path, euis_bad *bad,
    void *arg, struct euis *out) JY_CHECK;
void euis_fini(struct euis *euis);

/* Add a row; CTL_LOCAL beyond EUIS_MAX, name says of what. */
enum ctl_exit euis_add(struct ctl *ctl, const char *name, struct euis *euis,
    const struct euis_row *row) JY_CHECK;

#endif
