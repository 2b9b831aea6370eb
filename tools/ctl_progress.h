/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a long run of joineryctl is: a line that is drawn again and again on
 * a terminal, a line now and then elsewhere; on standard error.
 */
#ifndef JY_TOOLS_CTL_PROGRESS_H
#define JY_TOOLS_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *things; /* "devices" */
	bool terminal;
	bool drawn; /* there is a line to be cleared */
	uint64_t start_us;
	uint64_t shown_us;
	uint64_t total;
};

void progress_begin(struct progress *p, const char *things, uint64_t total);
/* Say how far it is, unless that was just said. */
void progress_show(struct progress *p, uint64_t done);
/* Before anything else is written to the terminal, and at the end. */
void progress_clear(struct progress *p);

#endif
