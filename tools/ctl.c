/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joineryctl: the administrator's tool.  Every run is one verb: a question to
 * the server, or a run of the worker program.  Clear keys exist here, in
 * ctl_key.c, ctl_seal*.c and seal*.c, and in no process of the server.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/secret.h"
#include "tools/ctl.h"

static const char *const exit_codes[] = {
	[CTL_OK] = "OK",
	[CTL_REFUSED] = "REFUSED",
	[CTL_USAGE] = "USAGE",
	[CTL_CONNECT] = "CONNECT",
	[CTL_NOT_FOUND] = "NOT_FOUND",
	[CTL_LOCAL] = "LOCAL",
};

enum ctl_exit
ctl_fail(
    struct ctl *ctl, enum ctl_exit exit, const char *hint, const char *fmt, ...)
{
	struct ctl_error *e = &ctl->error;
	va_list ap;

	(void)snprintf(e->code, sizeof(e->code), "%s", exit_codes[exit]);
	(void)snprintf(
	    e->hint, sizeof(e->hint), "%s", hint != NULL ? hint : "");
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return exit;
}

static void
error_to_people(const struct ctl *ctl, enum ctl_exit exit)
{
	const struct ctl_error *e = &ctl->error;

	(void)fputs("joineryctl: ", stderr);
	show_text(stderr, e->text);
	if (e->request_id[0] != '\0') {
		(void)fputs(" (request ", stderr);
		show_text(stderr, e->request_id);
		(void)fputs(")", stderr);
	}
	(void)fputs("\n", stderr);
	if (e->hint[0] != '\0') {
		(void)fputs("  ", stderr);
		show_text(stderr, e->hint);
		(void)fputs("\n", stderr);
	}
	if (exit == CTL_USAGE && ctl->args.verb != NULL) {
		help_usage(stderr, ctl->args.verb);
	}
}

static void
error_to_programs(struct json *j, const struct ctl_error *e)
{
	json_end_to(j, 1);
	json_object(j, "error");
	json_text(j, "code", e->code);
	json_text(j, "message", e->text);
	if (e->hint[0] != '\0') {
		json_text(j, "hint", e->hint);
	}
	if (e->request_id[0] != '\0') {
		json_text(j, "request_id", e->request_id);
	}
	json_end(j);
}

static enum ctl_exit
harden(struct ctl *ctl)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = secret_harden_process(&ec);

	return err == JY_OK
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(&ec, err));
}

static enum ctl_exit
run(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit exit = args_parse(ctl, argc, argv);

	if (exit == CTL_OK) {
		exit = harden(ctl);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	if (ctl_given(ctl, HELP)) {
		return help_print(ctl, stdout);
	}
	if (ctl_given(ctl, SHOW_VERSION)) {
		(void)printf("joineryctl %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	/* An object for each event or device, not one for all. */
	if (ctl->show.json && ctl->args.verb->run != verb_trace &&
	    ctl->args.verb->run != verb_audit_list &&
	    ctl->args.verb->run != verb_export) {
		json_object(&ctl->show.writer, NULL);
	}
	return ctl->args.verb->run(ctl);
}

/* JSON is asked for even where the rest of the command line is nonsense. */
static bool
wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			return true;
		}
	}
	return false;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .show = { .json = wants_json(argc, argv) } };
	enum ctl_exit exit;

	json_init(&ctl.show.writer, stdout);
	exit = run(&ctl, argc, argv);
	client_close(ctl.client);
	if (exit != CTL_OK) {
		(void)fflush(stdout);
		error_to_people(&ctl, exit);
	}
	if (exit != CTL_OK && ctl.show.json) {
		if (ctl.show.writer.depth == 0) {
			json_object(&ctl.show.writer, NULL);
		}
		error_to_programs(&ctl.show.writer, &ctl.error);
	}
	json_end_to(&ctl.show.writer, 0);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("joineryctl: standard output");
		return exit != CTL_OK ? (int)exit : CTL_LOCAL;
	}
	return (int)exit;
}
