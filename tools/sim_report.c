/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is gathered in memory and written at its end: JSON wants the facts
 * before the list of checks, and blocks of many joins must not mix.  What
 * does not fit is cut off; the verdict always fits.
 */
#include "tools/sim_report.h"

#include <stdarg.h>
#include <string.h>

#define TEXT_MAX 512

void
sim_report_init(struct sim_report *r, FILE *out, enum sim_format format)
{
	memset(r, 0, sizeof(*r));
	r->out = out;
	r->format = format;
}

void
sim_report_begin(struct sim_report *r)
{
	r->failed = false;
	r->why[0] = '\0';
	r->part[0] = '\0';
	r->facts_len = 0;
	r->checks_len = 0;
}

/* Append to one of the two texts; all or nothing. */
static void JY_PRINTF(4, 5)
    append(char *text, size_t cap, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text + *len, cap - *len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < cap - *len) {
		*len += (size_t)n;
	}
	text[*len] = '\0';
}

#define append_fact(r, ...) \
	append((r)->facts, sizeof((r)->facts), &(r)->facts_len, __VA_ARGS__)
#define append_check(r, ...) \
	append((r)->checks, sizeof((r)->checks), &(r)->checks_len, __VA_ARGS__)

/* Format into out as printable ASCII, quoted as JSON wants it if asked. */
static void JY_PRINTF(3, 0) plain(
    char out[2 * TEXT_MAX], enum sim_format format, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	size_t len = 0;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	for (const char *p = text; *p != '\0'; p++) {
		if (format == SIM_JSON && (*p == '"' || *p == '\\')) {
			out[len++] = '\\';
		}
		out[len++] = *p >= ' ' && *p <= '~' ? *p : '?';
	}
	out[len] = '\0';
}

void
sim_report_title(struct sim_report *r, const char *fmt, ...)
{
	char text[2 * TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	plain(text, r->format, fmt, ap);
	va_end(ap);
	(void)snprintf(r->part, sizeof(r->part), "%.47s", text);
	if (r->format == SIM_HUMAN && !r->brief) {
		append_check(r, "%s\n", text);
	}
}

void
sim_report_fact(struct sim_report *r, const char *name, const char *fmt, ...)
{
	char text[2 * TEXT_MAX];
	va_list ap;

	if (r->format == SIM_QUIET || (r->brief && r->format != SIM_JSON)) {
		return;
	}
	va_start(ap, fmt);
	plain(text, r->format, fmt, ap);
	va_end(ap);
	if (r->format == SIM_JSON) {
		append_fact(r, "\"%s\":\"%s\",", name, text);
	} else {
		append_check(r, "  %-8s%-15s %s\n", "", name, text);
	}
}

bool
sim_report_check(
    struct sim_report *r, bool ok, const char *name, const char *fmt, ...)
{
	char text[2 * TEXT_MAX];
	va_list ap;

	if (ok && (r->brief || r->format == SIM_QUIET)) {
		return true;
	}
	va_start(ap, fmt);
	plain(text, r->format, fmt, ap);
	va_end(ap);
	if (!ok && !r->failed) {
		r->failed = true;
		(void)snprintf(
		    r->why, sizeof(r->why), "%s: %.480s", name, text);
	}
	if (r->format == SIM_JSON) {
		append_check(r,
		    "%s{\"part\":\"%s\",\"check\":\"%s\",\"ok\":%s,"
		    "\"detail\":\"%s\"}",
		    r->checks_len > 0 ? "," : "", r->part, name,
		    ok ? "true" : "false", text);
	} else if (r->format == SIM_HUMAN) {
		append_check(
		    r, "  %-8s%-15s %s\n", ok ? "ok" : "FAILED", name, text);
	}
	return ok;
}

void
sim_report_end(struct sim_report *r, const char *fmt, ...)
{
	char text[2 * TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	plain(text, r->format, fmt, ap);
	va_end(ap);
	if (r->format == SIM_JSON) {
		(void)fprintf(r->out,
		    "{%.*s\"checks\":[%.*s],\"ok\":%s,\"result\":\"%s\"}\n",
		    (int)r->facts_len, r->facts, (int)r->checks_len, r->checks,
		    r->failed ? "false" : "true", text);
	} else if (r->format == SIM_HUMAN && (!r->brief || r->failed)) {
		(void)fprintf(
		    r->out, "%.*s%s\n", (int)r->checks_len, r->checks, text);
	} else if (r->format == SIM_QUIET && r->failed) {
		(void)fprintf(stderr, "joinery-sim: %s\n", text);
	}
}
