/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long run of joineryctl is. */
#include "tools/ctl_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "src/base/sys.h"

#define DRAW_US 200000U  /* on a terminal */
#define LINE_US 5000000U /* elsewhere */
#define SECOND_US 1000000U

void
progress_begin(struct progress *p, const char *things, uint64_t total)
{
	*p = (struct progress){ .things = things,
		.terminal = isatty(STDERR_FILENO) == 1,
		.start_us = sys_mono_us(),
		.shown_us = sys_mono_us(),
		.total = total };
}

void
progress_show(struct progress *p, uint64_t done)
{
	uint64_t now = sys_mono_us(), rate, left;

	if (now - p->shown_us < (p->terminal ? DRAW_US : LINE_US)) {
		return;
	}
	p->shown_us = now;
	rate = done * SECOND_US / (now - p->start_us + 1);
	left = rate > 0 && p->total > done ? (p->total - done) / rate : 0;
	(void)fprintf(stderr,
	    "%s%" PRIu64 " of %" PRIu64 " %s, %" PRIu64 " a second, %" PRIu64
	    ":%02" PRIu64 " left%s",
	    p->terminal ? "\r" : "", done, p->total, p->things, rate, left / 60,
	    left % 60, p->terminal ? "\033[K" : "\n");
	p->drawn = p->terminal;
}

void
progress_clear(struct progress *p)
{
	if (p->drawn) {
		(void)fputs("\r\033[K", stderr);
		p->drawn = false;
	}
}
