/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing a sealed key file.  The server recognises what is done already,
 * so that a run that broke off is simply repeated.
 */
#include <inttypes.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl_import.h"

/* The first reading: is it a file of the format, and which lines are wrong? */
static enum ctl_exit
look(struct ctl *ctl, struct import_file *f, struct progress *progress)
{
	enum ctl_exit exit = import_file_read(ctl, f, progress);

	if (exit == CTL_OK && ctl_given(ctl, STRICT) &&
	    import_file_sums(f)->wrong > 0) {
		return ctl_fail(ctl, CTL_LOCAL, NULL,
		    "%" PRIu64 " lines are wrong: nothing was imported",
		    import_file_sums(f)->wrong);
	}
	return exit;
}

/* The second reading: send them. */
static enum ctl_exit
send_all(struct ctl *ctl, struct import_file *f, struct import_send *s)
{
	struct keyfile_device device;
	enum ctl_exit exit;
	uint64_t line;
	bool more;

	do {
		exit = import_file_next(ctl, f, &more, &device, &line);
		if (exit == CTL_OK && more) {
			exit = import_send_add(s, &device, line);
		}
	} while (exit == CTL_OK && more);
	return exit == CTL_OK ? import_send_finish(s) : exit;
}

static enum ctl_exit
import(struct ctl *ctl, struct import_file *f, struct import_counts *counts,
    struct progress *progress, struct import_receipt *receipt)
{
	const struct import_options options = {
		.replace = ctl_given(ctl, REPLACE),
		.dry_run = ctl_given(ctl, DRY_RUN),
		.strict = ctl_given(ctl, STRICT),
	};
	const struct import_sums *sums = import_file_sums(f);
	enum ctl_exit exit = look(ctl, f, progress);
	struct import_send *s;

	if (exit != CTL_OK) {
		return exit;
	}
	counts->refused = sums->wrong;
	progress_begin(progress, "devices", sums->devices);
	s = import_send_new(ctl, sums, &options, progress, counts);
	exit = import_send_begin(s);
	if (exit == CTL_OK) {
		exit = send_all(ctl, f, s);
	}
	if (exit == CTL_OK && !options.dry_run) {
		exit = import_send_end(s, sums, receipt);
	}
	progress_clear(progress);
	import_send_free(s);
	return exit;
}

enum ctl_exit
verb_import(struct ctl *ctl)
{
	struct progress progress = { .terminal = false };
	struct import_counts counts = { 0 };
	struct import_receipt receipt = { 0 };
	struct import_file *f = NULL;
	uint64_t start_us = sys_mono_us();
	enum ctl_exit exit = import_file_open(ctl, ctl->args.operand, &f);

	if (exit == CTL_OK) {
		exit = import(ctl, f, &counts, &progress, &receipt);
	}
	if (exit == CTL_OK) {
		import_show_summary(ctl, import_file_sums(f), &counts, &receipt,
		    sys_mono_us() - start_us);
		if (counts.refused > 0) {
			exit = ctl_fail(ctl, CTL_REFUSED,
			    "each is on standard error with its line",
			    "%" PRIu64 " of %" PRIu64 " devices were refused",
			    counts.refused, import_counts_all(&counts));
		}
	}
	import_file_close(f);
	return exit;
}
