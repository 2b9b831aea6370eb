/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "seal": devices with keys in clear into a sealed key file.  Asks no server;
 * whatever is wrong with a device is told with its line, and a file is written
 * only if nothing was.
 */
#include <sys/stat.h>

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl.h"
#include "tools/ctl_seal.h"
#include "tools/eui_set.h"
#include "tools/seal_digest.h"
#include "tools/seal_file.h"

#define REFUSED_SHOWN 100 /* lines that are told one by one */

static const struct {
	const char *name;
	enum ctl_option option;
} columns[] = {
#define X(id, name, option) { name, option },
#include "tools/ctl_seal.def"
#undef X
};

static const char *const format_names[] = {
	[SEAL_AUTO] = "",
	[SEAL_CSV] = "csv",
	[SEAL_JSONL] = "jsonl",
	[SEAL_TTS] = "tts",
	[SEAL_CHIRPSTACK] = "chirpstack",
};

/* ---- what is told ---- */

const char *
seal_shown(const char *text)
{
	return args_shown(text);
}

void
seal_note(struct seal_run *run, const char *fmt, ...)
{
	char text[240];
	va_list ap;

	if (run->note_count == SEAL_NOTES_MAX) {
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	run->notes[run->note_count++] = sys_xstrdup(text);
}

static void
tell_refused(struct seal_run *run, uint64_t line, const char *why)
{
	struct json *j = &run->ctl->show.writer;

	run->refused++;
	if (run->refused > REFUSED_SHOWN) {
		return;
	}
	if (!run->ctl->show.json) {
		(void)fprintf(stderr,
		    "joineryctl: line %llu: ", (unsigned long long)line);
		show_text(stderr, why);
		(void)fputc('\n', stderr);
		return;
	}
	if (run->refused == 1) {
		json_array(j, "refused");
	}
	json_object(j, NULL);
	json_number(j, "line", line);
	json_text(j, "reason", why);
	json_end(j);
}

static void
tell_notes(struct seal_run *run)
{
	struct json *j = &run->ctl->show.writer;

	json_end_to(j, run->ctl->show.json ? 1 : 0);
	if (run->ctl->show.json && run->note_count > 0) {
		json_array(j, "notes");
	}
	for (size_t i = 0; i < run->note_count; i++) {
		if (run->ctl->show.json) {
			json_text(j, NULL, run->notes[i]);
		} else {
			(void)fputs("joineryctl: note: ", stderr);
			show_text(stderr, run->notes[i]);
			(void)fputc('\n', stderr);
		}
		free(run->notes[i]);
	}
	if (run->ctl->show.json && run->note_count > 0) {
		json_end(j);
	}
	run->note_count = 0;
}

/* ---- a device ---- */

/* So that ^C leaves nothing behind, too. */
static volatile sig_atomic_t stopped;

static void
on_signal(int signal_number)
{
	stopped = signal_number;
}

void
seal_begin(struct seal_run *run)
{
	*run->device = run->defaults;
}

enum jy_err
seal_set(struct seal_run *run, enum seal_column column, const char *text,
    struct errctx *ec)
{
	return seal_device_set(run->device, column, text, strlen(text), ec);
}

static enum jy_err
check(struct seal_run *run, uint64_t line, struct errctx *ec)
{
	const struct seal_device *device = run->device;
	enum jy_err err = seal_device_check(device, run->allow_weak, ec);
	uint64_t before;

	if (err != JY_OK) {
		return err;
	}
	before = eui_set_add(
	    run->seen, &device->d.join_eui, &device->d.dev_eui, line);
	if (before != 0) {
		return err_set(ec, JY_EINVAL, "the same device as on line %llu",
		    (unsigned long long)before);
	}
	return JY_OK;
}

static enum jy_err
write_device(struct seal_run *run, struct errctx *ec)
{
	struct seal_device *device = run->device;
	enum jy_err err = JY_OK;

	if (device->has_nwk) {
		err = seal_file_key(run->file, device->nwk, &device->d.nwk, ec);
	}
	if (err == JY_OK && device->has_app) {
		err = seal_file_key(run->file, device->app, &device->d.app, ec);
	}
	if (err == JY_OK) {
		err = seal_file_device(run->file, &device->d, ec);
	}
	if (err == JY_OK) {
		seal_digest_add_keys(run->check_values, &device->d);
	}
	/* By now it cannot be the device's fault. */
	return err == JY_EINVAL ? JY_EIO : err;
}

enum jy_err
seal_end(struct seal_run *run, uint64_t line, enum jy_err read_err,
    struct errctx *read, struct errctx *ec)
{
	if (stopped != 0) {
		return err_set(ec, JY_EIO, "interrupted; nothing was written");
	}
	if (read_err == JY_OK) {
		read_err = check(run, line, read);
	}
	if (read_err != JY_OK) {
		tell_refused(run, line, err_detail(read, read_err));
		return JY_OK;
	}
	run->devices++;
	/* Once something was refused there will be no file. */
	return run->refused == 0 ? write_device(run, ec) : JY_OK;
}

/* ---- the command line ---- */

static enum ctl_exit
local_failed(struct ctl *ctl, enum jy_err err, const struct errctx *ec)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(ec, err));
}

static enum ctl_exit
read_format(struct seal_run *run)
{
	struct ctl *ctl = run->ctl;
	const char *text = ctl_value(ctl, FORMAT);

	if (text == NULL) {
		return CTL_OK;
	}
	for (size_t i = SEAL_CSV; i < ARRAY_LEN(format_names); i++) {
		if (strcmp(format_names[i], text) == 0) {
			run->format = (enum seal_format)i;
			return CTL_OK;
		}
	}
	return ctl_fail(ctl, CTL_USAGE, NULL,
	    "--format is csv, jsonl, tts or chirpstack, not \"%s\"",
	    args_shown(text));
}

/* --column NAME=HEADER */
static enum ctl_exit
read_column(struct seal_run *run, const char *text)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < SEAL_COLUMN_COUNT && text[len] != '\0'; i++) {
		if (strlen(columns[i].name) == len &&
		    memcmp(columns[i].name, text, len) == 0 &&
		    !run->mapped[i]) {
			run->headers[i] = text + len + 1;
			run->mapped[i] = true;
			return CTL_OK;
		}
	}
	return ctl_fail(run->ctl, CTL_USAGE,
	    "NAME is join_eui, dev_eui, mac_version, nwk_key, app_key, "
	    "net_id, as_id, ns_kek, as_kek, app, name, v10_root, "
	    "resets_join_nonces, join_nonce or dev_nonce",
	    "--column is NAME=HEADER, each NAME once, not \"%s\"",
	    args_shown(text));
}

static enum ctl_exit
read_columns(struct seal_run *run)
{
	const struct ctl_list *list = &run->ctl->args.columns;
	enum ctl_exit exit = CTL_OK;

	for (size_t i = 0; i < SEAL_COLUMN_COUNT; i++) {
		run->headers[i] = columns[i].name;
	}
	for (size_t i = 0; i < list->count && exit == CTL_OK; i++) {
		exit = read_column(run, list->items[i]);
	}
	return exit;
}

/* What goes for every device that does not say it itself. */
static enum ctl_exit
read_defaults(struct seal_run *run)
{
	const struct ctl_list *net_ids = &run->ctl->args.net_ids;
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < SEAL_COLUMN_COUNT && err == JY_OK; i++) {
		const char *text = columns[i].option != OPT_COUNT
		    ? run->ctl->args.value[columns[i].option]
		    : NULL;

		if (text != NULL && i != SEAL_NET_ID) {
			err = seal_device_set(&run->defaults,
			    (enum seal_column)i, text, strlen(text), &ec);
		}
	}
	for (size_t i = 0; i < net_ids->count && err == JY_OK; i++) {
		err = seal_device_set(&run->defaults, SEAL_NET_ID,
		    net_ids->items[i], strlen(net_ids->items[i]), &ec);
	}
	run->defaults.net_ids_are_default = true;
	return err == JY_OK ? CTL_OK
			    : ctl_fail(run->ctl, CTL_USAGE, NULL,
				  "an option for %s", err_detail(&ec, err));
}

static enum ctl_exit
check_out(struct ctl *ctl)
{
	struct stat in;
	struct stat out;

	if (stat(ctl->args.operand, &in) == 0 &&
	    stat(ctl_value(ctl, OUT), &out) == 0 && in.st_dev == out.st_dev &&
	    in.st_ino == out.st_ino) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--out is the input itself");
	}
	return CTL_OK;
}

/* ---- the run ---- */

static enum jy_err
file_begin(struct seal_run *run, struct errctx *ec)
{
	uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
	uint8_t *der = NULL;
	size_t len = 0;
	enum jy_err err =
	    seal_read_pem(ctl_value(run->ctl, IMPORT_KEY), &der, &len, ec);

	if (err == JY_OK) {
		err = seal_fingerprint(der, len, fingerprint, ec);
	}
	if (err == JY_OK) {
		hex_format(fingerprint, sizeof(fingerprint), run->fingerprint);
		err = seal_file_begin(
		    ctl_value(run->ctl, OUT), der, len, &run->file, ec);
	}
	free(der);
	return err;
}

static enum jy_err
read_input(struct seal_run *run, struct errctx *ec)
{
	enum jy_err err;
	char first = '\0';

	err = seal_input_peek(&run->input, &first, ec);
	if (err != JY_OK) {
		return err;
	}
	if (first == '\0') {
		return err_set(ec, JY_EIO, "%s: empty", run->input.name);
	}
	if (run->format == SEAL_AUTO && first != '{' && first != '[') {
		run->format = SEAL_CSV;
	}
	return run->format == SEAL_CSV ? seal_csv(run, ec) : seal_json(run, ec);
}

static void
note_input(struct seal_run *run)
{
	if (run->input.bom) {
		seal_note(run, "a byte order mark was passed over");
	}
	if (run->input.crlf) {
		seal_note(run, "lines end with CR LF; the CR was passed over");
	}
	if (run->skipped > 0) {
		seal_note(run, "%llu devices do not join and were passed over",
		    (unsigned long long)run->skipped);
	}
}

static enum ctl_exit
show_done(struct seal_run *run)
{
	char number[24], check_values[HEX_STR_LEN(SEAL_DIGEST_LEN)];
	struct ctl *ctl = run->ctl;
	uint8_t digest[SEAL_DIGEST_LEN];

	seal_digest_end(run->check_values, digest);
	run->check_values = NULL;
	hex_format(digest, sizeof(digest), check_values);
	if (ctl->show.json) {
		json_number(&ctl->show.writer, "devices", run->devices);
	} else {
		(void)snprintf(number, sizeof(number), "%llu",
		    (unsigned long long)run->devices);
		show_named(&ctl->show, "devices", number);
	}
	show_named(&ctl->show, "import_key", run->fingerprint);
	show_named(&ctl->show, "out", ctl_value(ctl, OUT));
	show_named(&ctl->show, "check_values_sha256", check_values);
	return CTL_OK;
}

/* How the run ended, once the input was read with err. */
static enum ctl_exit
finish(struct seal_run *run, enum jy_err err, struct errctx *ec)
{
	struct ctl *ctl = run->ctl;

	note_input(run);
	tell_notes(run);
	if (run->format != SEAL_AUTO) {
		show_named(&ctl->show, "format", format_names[run->format]);
	}
	if (err != JY_OK) {
		return local_failed(ctl, err, ec);
	}
	if (run->refused > 0) {
		return ctl_fail(ctl, CTL_LOCAL,
		    run->refused > REFUSED_SHOWN
			? "only the first 100 were shown"
			: NULL,
		    "%llu devices refused; nothing was written",
		    (unsigned long long)run->refused);
	}
	if (run->devices == 0) {
		return ctl_fail(ctl, CTL_LOCAL, NULL,
		    "no device in %s; nothing was written", run->input.name);
	}
	err = seal_file_finish(run->file, ec);
	run->file = NULL; /* freed */
	return err == JY_OK ? show_done(run) : local_failed(ctl, err, ec);
}

static enum ctl_exit
seal(struct seal_run *run)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	/* No SA_RESTART: a read that waits has to end. */
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	ctl_secret_warn(run->ctl->args.operand);
	err = secret_new(sizeof(*run->device), &run->memory, &ec);
	if (err == JY_OK) {
		run->device =
		    (struct seal_device *)(void *)secret_data(run->memory);
		run->seen = eui_set_new();
		run->check_values = seal_digest_new();
		err = file_begin(run, &ec);
	}
	if (err == JY_OK) {
		err = seal_input_open(&run->input, run->ctl->args.operand, &ec);
		if (err == JY_OK) {
			err = read_input(run, &ec);
		}
	}
	return finish(run, err, &ec);
}

enum ctl_exit
verb_seal(struct ctl *ctl)
{
	struct seal_run *run = sys_xcalloc(1, sizeof(*run));
	enum ctl_exit exit;

	run->ctl = ctl;
	run->allow_weak = ctl_given(ctl, ALLOW_WEAK);
	exit = read_format(run);
	if (exit == CTL_OK) {
		exit = read_columns(run);
	}
	if (exit == CTL_OK) {
		exit = read_defaults(run);
	}
	if (exit == CTL_OK) {
		exit = check_out(ctl);
	}
	if (exit == CTL_OK) {
		exit = seal(run);
	}
	seal_file_abort(run->file);
	seal_input_close(&run->input);
	eui_set_free(run->seen);
	seal_digest_free(run->check_values);
	secret_free(run->memory);
	free(run);
	return exit;
}
