/* SPDX-License-Identifier: Apache-2.0 */
/* What "joineryctl import" says on its way and at its end. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/ctl_import.h"

#define SECOND_US 1000000U

void
import_show_refused(
    struct progress *p, uint64_t line, const char *code, const char *reason)
{
	progress_clear(p);
	(void)fprintf(stderr, "line %" PRIu64 ": %s%s", line, code,
	    code[0] != '\0' ? ": " : "");
	show_text(stderr, reason);
	(void)fputc('\n', stderr);
}

/* Where the audit log says it. */
static void
show_receipt(struct show *show, const struct import_receipt *receipt)
{
	char mac[HEX_STR_LEN(KEYFILE_MAC_LEN)];

	hex_format(receipt->mac, sizeof(receipt->mac), mac);
	if (show->json) {
		json_number(&show->writer, "audit_seq", receipt->seq);
		json_text(&show->writer, "audit_mac", mac);
	} else {
		(void)printf("%-20s %" PRIu64 "\n%-20s %s\n", "audit-seq",
		    receipt->seq, "audit-mac", mac);
	}
}

void
import_show_summary(struct ctl *ctl, const struct import_sums *sums,
    const struct import_counts *n, const struct import_receipt *receipt,
    uint64_t took_us)
{
	char digest[HEX_STR_LEN(SEAL_DIGEST_LEN)], seconds[32];
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "devices", sums->devices },
		{ "created", n->created },
		{ "same", n->same },
		{ "replaced", n->replaced },
		{ "refused", n->refused },
	};

	hex_format(sums->check_values, sizeof(sums->check_values), digest);
	(void)snprintf(seconds, sizeof(seconds), "%" PRIu64 ".%03" PRIu64,
	    took_us / SECOND_US, took_us % SECOND_US / 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (ctl->show.json) {
			json_number(
			    &ctl->show.writer, rows[i].name, rows[i].value);
		} else {
			(void)printf(
			    "%-20s %" PRIu64 "\n", rows[i].name, rows[i].value);
		}
	}
	if (ctl->show.json) {
		json_raw(&ctl->show.writer, "dry_run",
		    ctl_given(ctl, DRY_RUN) ? "true" : "false");
		json_raw(&ctl->show.writer, "seconds", seconds);
		json_text(&ctl->show.writer, "check_values_sha256", digest);
	} else {
		(void)printf("%-20s %s\n%-20s %s\n", "seconds", seconds,
		    "check-values-sha256", digest);
	}
	if (ctl_given(ctl, DRY_RUN)) {
		show_said(&ctl->show, "nothing was changed");
	} else {
		show_receipt(&ctl->show, receipt);
	}
}
