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
	enum import_line kind = IMPORT_LINE;
	enum ctl_exit exit = CTL_OK;
	struct keyfile_device device;
	uint64_t line = 0;

	while (exit == CTL_OK && kind != IMPORT_END) {
		exit = import_file_next(ctl, f, &kind, &device, &line);
		if (exit == CTL_OK && kind == IMPORT_WRONG) {
			import_show_refused(
			    progress, line, "", ctl->error.text);
		}
	}
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
send_all(struct ctl *ctl, struct import_file *f, struct import_send *s,
    struct import_counts *counts)
{
	enum import_line kind = IMPORT_LINE;
	struct keyfile_device device;
	enum ctl_exit exit;
	uint64_t line = 0;

	for (;;) {
		exit = import_file_next(ctl, f, &kind, &device, &line);
		if (exit != CTL_OK || kind == IMPORT_END) {
			break;
		}
		if (kind == IMPORT_WRONG) {
			counts->refused++;
		} else {
			exit = import_send_add(s, &device, line);
		}
		if (exit != CTL_OK) {
			break;
		}
	}
	return exit == CTL_OK ? import_send_finish(s) : exit;
}

/* Whether both readings saw the same. */
static enum ctl_exit
compare(struct ctl *ctl, const struct import_sums *first,
    const struct import_sums *second)
{
	return memcmp(first->digest, second->digest, sizeof(first->digest)) ==
		    0 &&
		memcmp(first->mac, second->mac, sizeof(first->mac)) == 0
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_LOCAL,
		  "what was imported may not be what the file's maker wrote: "
		  "look at the devices",
		  "the file was changed while it was read");
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
	enum ctl_exit exit = look(ctl, f, progress);
	struct import_sums first;
	struct import_send *s;

	if (exit != CTL_OK) {
		return exit;
	}
	first = *import_file_sums(f);
	progress_begin(progress, "devices", first.devices);
	s = import_send_new(ctl, &first, &options, progress, counts);
	exit = import_send_begin(s);
	if (exit == CTL_OK) {
		exit = import_file_rewind(ctl, f);
	}
	if (exit == CTL_OK) {
		exit = send_all(ctl, f, s, counts);
	}
	if (exit == CTL_OK) {
		exit = compare(ctl, &first, import_file_sums(f));
	}
	if (exit == CTL_OK && !options.dry_run) {
		exit = import_send_end(s, import_file_sums(f), receipt);
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
