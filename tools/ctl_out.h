/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is there whole or not at all: written under another name beside
 * its own, mode 0600, and renamed at the end.
 */
#ifndef JY_TOOLS_CTL_OUT_H
#define JY_TOOLS_CTL_OUT_H

#include <stdio.h>

#include "tools/ctl.h"

struct ctl_out {
	FILE *file;       /* to write to */
	const char *path; /* NULL: standard output */
	char *temporary;
	int error; /* errno of the first write that failed */
};

/*
 * Open path, NULL or "-" for standard output.  CTL_LOCAL when it cannot be
 * written, or is something else than a file.  Until out_close a signal that
 * ends us removes the temporary file; one file at a time.
 */
enum ctl_exit out_open(
    struct ctl *ctl, const char *path, struct ctl_out *out) JY_CHECK;

/* Put out what was written; false if that, or a write before, failed. */
bool out_flush(struct ctl_out *out);

/*
 * End it: with exit CTL_OK it is on disk and has its name when this returns
 * CTL_OK; with any other, which is returned, it is removed.
 */
enum ctl_exit out_close(
    struct ctl *ctl, struct ctl_out *out, enum ctl_exit exit) JY_CHECK;

#endif
