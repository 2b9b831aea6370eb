/* SPDX-License-Identifier: Apache-2.0 */
/* The report of what a token was found to do, for people and for programs. */
#include <stdio.h>

#include "hsm/internal.h"

struct hsm_check *
report_add(struct hsm_report *report, bool needed, bool ok, const char *name)
{
	struct hsm_check *check;

	jy_assert(report->check_count < HSM_CHECKS_MAX);
	check = &report->checks[report->check_count++];
	*check = (struct hsm_check){ .needed = needed, .ok = ok };
	(void)snprintf(check->name, sizeof(check->name), "%s", name);
	return check;
}

/* Texts come from the token too, so nothing is taken to be printable. */
static void
print_json_text(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			(void)fprintf(out, "\\%c", c);
		} else if (c < 0x20 || c >= 0x7f) {
			(void)fprintf(out, "\\u%04x", c);
		} else {
			(void)fputc(c, out);
		}
	}
	(void)fputc('"', out);
}

static void
print_plain_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		(void)fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
	}
}

static void
print_json(const struct hsm_report *r, FILE *out)
{
	const struct {
		const char *name, *text;
	} fields[] = { { "module", r->module }, { "token", r->token },
		{ "serial", r->serial }, { "model", r->model },
		{ "library", r->library } };

	(void)fputc('{', out);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		(void)fprintf(out, "\"%s\":", fields[i].name);
		print_json_text(out, fields[i].text);
		(void)fputc(',', out);
	}
	(void)fprintf(out, "\"ok\":%s,\"checks\":[", r->ok ? "true" : "false");
	for (size_t i = 0; i < r->check_count; i++) {
		const struct hsm_check *c = &r->checks[i];

		(void)fprintf(out, "%s{\"name\":", i > 0 ? "," : "");
		print_json_text(out, c->name);
		(void)fprintf(out, ",\"ok\":%s,\"needed\":%s,\"detail\":",
		    c->ok ? "true" : "false", c->needed ? "true" : "false");
		print_json_text(out, c->detail);
		(void)fputc('}', out);
	}
	(void)fputs("]}\n", out);
}

static const char *
verdict(const struct hsm_check *c)
{
	if (c->ok) {
		return "ok";
	}
	return c->needed ? "FAILED" : "no";
}

static void
print_plain(const struct hsm_report *r, FILE *out)
{
	if (r->serial[0] != '\0') {
		(void)fputs("token ", out);
		print_plain_text(out, r->token);
		(void)fputs(", serial ", out);
		print_plain_text(out, r->serial);
		(void)fputs(", ", out);
		print_plain_text(out, r->model);
		(void)fputc('\n', out);
	}
	if (r->module[0] != '\0') {
		(void)fputs("module ", out);
		print_plain_text(out, r->module);
		(void)fputs(", ", out);
		print_plain_text(out, r->library);
		(void)fputc('\n', out);
	}
	for (size_t i = 0; i < r->check_count; i++) {
		const struct hsm_check *c = &r->checks[i];

		(void)fprintf(out, "  %-6s  %s%s%s\n", verdict(c), c->name,
		    c->detail[0] != '\0' ? ": " : "", c->detail);
	}
	(void)fprintf(out, "%s\n",
	    r->ok ? "The token can serve." : "The token cannot serve.");
}

void
hsm_report_print(const struct hsm_report *report, FILE *out, bool json)
{
	if (json) {
		print_json(report, out);
	} else {
		print_plain(report, out);
	}
}
