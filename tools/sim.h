/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of joinery-sim and its exit statuses. */
#ifndef JY_TOOLS_SIM_H
#define JY_TOOLS_SIM_H

#include <stdio.h>

#include "src/base/err.h"
#include "tools/client.h"
#include "tools/sim_options.h"
#include "tools/sim_report.h"

enum sim_status {
	SIM_OK = 0,
	SIM_FAILED = 1,     /* an answer did not stand up to a check */
	SIM_USAGE = 2,      /* the command line, or a file it names */
	SIM_REFUSED = 3,    /* the server refused, and that was not expected */
	SIM_CONNECTION = 4, /* no connection, or it broke */
	SIM_INTERNAL = 5    /* no memory, no OpenSSL, no state file */
};

/* Each prints what went wrong on standard error. */
enum sim_status sim_join_run(const struct sim_options *o, FILE *out);
enum sim_status sim_rejoin_run(const struct sim_options *o, FILE *out);
enum sim_status sim_keys_run(const struct sim_options *o, FILE *out);
enum sim_status sim_home_run(const struct sim_options *o, FILE *out);
enum sim_status sim_vectors_run(const struct sim_options *o, FILE *out);

/*
 * The connections a command line describes; *as is NULL without credentials of
 * an Application Server.
 */
enum jy_err sim_connect(const struct sim_options *o, struct client **ns,
    struct client **as, struct errctx *ec) JY_CHECK;

/*
 * The text of an error answer, or what kind of answer it is instead of the
 * one expected; static, or as long as response lives.
 */
const char *sim_refusal(
    const Joinery__V1__Response *response, char *buf, size_t cap);

/* Report an answer that is not the one expected; SIM_REFUSED for an error. */
enum sim_status sim_refused(
    struct sim_report *r, const Joinery__V1__Response *response);

enum sim_format sim_format_of(const struct sim_options *o);

/* Print "joinery-sim: text" for an error and return status. */
enum sim_status sim_complain(
    enum sim_status status, enum jy_err err, const struct errctx *ec);

#endif
