/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Export: the metadata of many devices, page by page and row by row.  While a
 * page is printed the next one is on its way; no more than two are kept.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl.h"
#include "tools/ctl_out.h"
#include "tools/ctl_value.h"

struct export
{
	struct ctl *ctl;
	bool csv;
	struct ctl_out out;
	uint64_t devices;          /* printed */
	char last[CTL_CURSOR_LEN]; /* of them, as --after takes it */
};

/* ---- CSV ---- */

/* The columns, where they are in a Device; the last part is the title. */
static const char *const csv_columns[] = { "id.join_eui", "id.dev_eui",
	"settings.app", "settings.name", "settings.mac_version",
	"settings.net_ids", "settings.as_id", "settings.ns_kek",
	"settings.as_kek", "settings.ns_id", "settings.roaming",
	"settings.roaming_net_ids", "settings.resets_join_nonces",
	"settings.v10_root", "has_nwk_key", "has_app_key", "nwk_key_generation",
	"app_key_generation", "created_ms", "changed_ms", "settings.released" };

static void
csv_end_cell(FILE *out, size_t column)
{
	(void)fputs(column + 1 < ARRAY_LEN(csv_columns) ? "," : "\r\n", out);
}

static void
csv_head(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(csv_columns); i++) {
		const char *dot = strchr(csv_columns[i], '.');

		(void)fputs(dot != NULL ? dot + 1 : csv_columns[i], out);
		csv_end_cell(out, i);
	}
}

/* RFC 4180: quotes where they are needed, doubled inside. */
static void
csv_put_text(FILE *out, const char *text)
{
	bool quoted = strpbrk(text, ",\"\r\n") != NULL;

	if (quoted) {
		(void)fputc('"', out);
	}
	for (; *text != '\0'; text++) {
		if (*text == '"') {
			(void)fputc('"', out);
		}
		(void)fputc(*text, out);
	}
	if (quoted) {
		(void)fputc('"', out);
	}
}

/* The value at a path; nothing if it is absent; of a list, with blanks. */
static void
csv_put_value(FILE *out, const ProtobufCMessage *message, const char *path)
{
	const ProtobufCFieldDescriptor *f;
	const char *dot = strchr(path, '.');
	char name[32];
	size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);
	size_t n;

	jy_assert(len < sizeof(name));
	memcpy(name, path, len);
	name[len] = '\0';
	f = protobuf_c_message_descriptor_get_field_by_name(
	    message->descriptor, name);
	jy_assert(f != NULL);
	n = value_count(message, f);
	if (dot != NULL) {
		if (n > 0) {
			csv_put_value(out,
			    value_message(value_at(message, f, 0)), dot + 1);
		}
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char *text = value_text(f, value_at(message, f, i), false);

		(void)fputs(i > 0 ? " " : "", out);
		csv_put_text(out, text);
		free(text);
	}
}

/* ---- rows ---- */

static void
put_head(struct export *e)
{
	if (e->csv) {
		csv_head(e->out.file);
	}
}

static void
put_device(struct export *e, const Joinery__V1__Device *device)
{
	struct show show = { .json = true };

	if (e->csv) {
		for (size_t i = 0; i < ARRAY_LEN(csv_columns); i++) {
			csv_put_value(
			    e->out.file, &device->base, csv_columns[i]);
			csv_end_cell(e->out.file, i);
		}
	} else {
		json_init(&show.writer, e->out.file);
		show_row(&show, &device->base);
	}
	e->devices++;
}

/* ---- pages ---- */

static enum ctl_exit
page_get(struct export *e, const Joinery__V1__Request *request, bool asked,
    Joinery__V1__Response **out)
{
	enum ctl_exit exit = asked ? CTL_OK : ctl_send(e->ctl, request);

	return exit == CTL_OK
	    ? ctl_receive(
		  e->ctl, JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST, out)
	    : exit;
}

/*
 * Ask for the page behind this one, if there is any.  Whether it went out is
 * all that matters: what did not is sent again.
 */
static enum ctl_exit
page_ask_next(struct export *e, Joinery__V1__Request *request,
    const Joinery__V1__DeviceListAnswer *answer, bool *asked)
{
	request->device_list->after = answer->next;
	if (answer->next == NULL) {
		return ctl_fail(e->ctl, CTL_CONNECT, NULL,
		    "the server says there is more, but not where");
	}
	*asked =
	    ctl_send(e->ctl, request) == CTL_OK && ctl_flush(e->ctl) == CTL_OK;
	return CTL_OK;
}

/* The request borrows from the page before, so that one is kept. */
static enum ctl_exit
pages_run(struct export *e, Joinery__V1__Request *request)
{
	Joinery__V1__Response *held = NULL;
	enum ctl_exit exit = CTL_OK;
	bool asked = false;
	bool more = true;

	while (exit == CTL_OK && more && e->out.error == 0) {
		const Joinery__V1__DeviceListAnswer *answer;
		Joinery__V1__Response *response = NULL;
		unsigned tries = 0;

		exit = page_get(e, request, asked, &response);
		while (exit != CTL_OK && held != NULL &&
		    ctl_wait_out(e->ctl, exit, &tries)) {
			exit = page_get(e, request, false, &response);
		}
		if (exit != CTL_OK) {
			break;
		}
		if (held == NULL) {
			put_head(e);
		}
		jy_assert(response != NULL);
		answer = response->device_list;
		more = answer->has_more && answer->more;
		asked = false;
		if (more) {
			exit = page_ask_next(e, request, answer, &asked);
		}
		for (size_t i = 0; i < answer->n_devices; i++) {
			put_device(e, answer->devices[i]);
		}
		if (answer->n_devices > 0) {
			(void)!query_cursor(
			    answer->devices[answer->n_devices - 1]->id,
			    e->last);
		}
		(void)out_flush(&e->out); /* whoever closes it says so */
		client_free(held);
		held = response;
	}
	client_free(held);
	return exit;
}

/* ---- the verb ---- */

static enum ctl_exit
format_read(struct ctl *ctl, bool *csv)
{
	const char *text =
	    ctl_given(ctl, FORMAT) ? ctl_value(ctl, FORMAT) : "jsonl";

	*csv = strcmp(text, "csv") == 0;
	if (!*csv && strcmp(text, "jsonl") != 0) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--format is jsonl or csv, not \"%s\"", args_shown(text));
	}
	return CTL_OK;
}

/* Of a file; standard output has the devices and nothing else. */
static void
show_summary(struct ctl *ctl, const struct export *e)
{
	char said[48];

	if (ctl->show.json) {
		json_object(&ctl->show.writer, NULL);
		json_number(&ctl->show.writer, "devices", e->devices);
		return;
	}
	(void)snprintf(said, sizeof(said), "%" PRIu64 " %s exported",
	    e->devices, e->devices == 1 ? "device" : "devices");
	show_said(&ctl->show, said);
}

static enum ctl_exit
export_run(struct export *e, Joinery__V1__Request *request)
{
	struct ctl *ctl = e->ctl;
	enum ctl_exit exit = out_open(
	    ctl, ctl_given(ctl, OUT) ? ctl_value(ctl, OUT) : NULL, &e->out);

	if (exit != CTL_OK) {
		return exit;
	}
	exit = pages_run(e, request);
	if (exit != CTL_OK && e->devices > 0) {
		(void)fprintf(stderr,
		    "joineryctl: the export ends here, after %" PRIu64
		    " devices; it is not complete; --after %s goes on\n",
		    e->devices, e->last);
	}
	exit = out_close(ctl, &e->out, exit);
	if (exit == CTL_OK && e->out.path != NULL) {
		show_summary(ctl, e);
	}
	return exit;
}

enum ctl_exit
verb_export(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceListRequest call =
	    JOINERY__V1__DEVICE_LIST_REQUEST__INIT;
	struct export e = { .ctl = ctl };
	struct ctl_query query;
	enum ctl_exit exit = format_read(ctl, &e.csv);

	if (exit == CTL_OK) {
		exit = query_read(ctl, &query, &call);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	request.has_id = 1;
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_LIST;
	request.device_list = &call;
	return export_run(&e, &request);
}
