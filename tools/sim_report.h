/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What joinery-sim says: facts, checks with their outcome, one verdict, for
 * people or as one JSON object a block.  Text is made plain ASCII first, so
 * that no server can play with a terminal or break the JSON.
 */
#ifndef JY_TOOLS_SIM_REPORT_H
#define JY_TOOLS_SIM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "src/base/err.h"

enum sim_format {
	SIM_HUMAN,
	SIM_JSON,
	SIM_QUIET
};

struct sim_report {
	FILE *out;
	enum sim_format format;
	bool brief;    /* facts and checks that held are left out */
	bool failed;   /* a check of this block did not hold */
	char why[512]; /* the first that did not */
	char part[48]; /* title of the part we are in */
	char facts[4096];
	size_t facts_len;
	char checks[8192];
	size_t checks_len;
};

/* out is borrowed for the life of the report. */
void sim_report_init(struct sim_report *r, FILE *out, enum sim_format format);

/* Start a block: forget what the last one said. */
void sim_report_begin(struct sim_report *r);

/* Name the part of the block that follows. */
void sim_report_title(struct sim_report *r, const char *fmt, ...)
    JY_PRINTF(2, 3);

/* A fact; name is fixed text in JSON style: "dev_eui". */
void sim_report_fact(struct sim_report *r, const char *name, const char *fmt,
    ...) JY_PRINTF(3, 4);

/* A check and its outcome, which is returned. */
bool sim_report_check(struct sim_report *r, bool ok, const char *name,
    const char *fmt, ...) JY_PRINTF(4, 5);

/* Write the block out, ending with the verdict. */
void sim_report_end(struct sim_report *r, const char *fmt, ...) JY_PRINTF(2, 3);

#endif
