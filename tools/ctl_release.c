/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving devices to another Join Server: the server's token wraps their root
 * keys for the receiver's import key, and this program makes a sealed key file
 * of them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl_release.h"

#define SECOND_US 1000000U

void
release_report(struct release *r, uint32_t line, const struct euis_row *row,
    const char *code, const char *message)
{
	struct json *j = &r->ctl->show.writer;
	char join_eui[EUI64_STR_LEN] = "", dev_eui[EUI64_STR_LEN] = "";

	r->refused++;
	if (row != NULL) {
		(void)eui64_str(&row->join_eui, join_eui);
		(void)eui64_str(&row->dev_eui, dev_eui);
	}
	if (r->ctl->show.json) {
		json_object(j, NULL);
		if (line != 0) {
			json_number(j, "line", line);
		}
		if (row != NULL) {
			json_text(j, "join_eui", join_eui);
			json_text(j, "dev_eui", dev_eui);
		}
		json_text(j, "code", code);
		json_text(j, "message", message);
		json_end(j);
		return;
	}
	progress_clear(&r->progress);
	if (line != 0) {
		(void)fprintf(stderr, "line %" PRIu32 ": ", line);
	}
	if (row != NULL) {
		(void)fprintf(stderr, "%s %s: ", join_eui, dev_eui);
	}
	(void)fprintf(stderr, "%s: ", code);
	show_text(stderr, message);
	(void)fputc('\n', stderr);
}

void
release_put(struct release *r, const char *text, size_t len)
{
	seal_digest_add(r->digest, text, len);
	(void)fwrite(text, 1, len, r->out.file);
}

/* ---- the receiver ---- */

static enum ctl_exit
read_receiver(struct ctl *ctl, uint8_t **der, size_t *len,
    uint8_t fingerprint[KEYFILE_FINGERPRINT_LEN])
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err =
	    seal_read_pem(ctl_value(ctl, IMPORT_KEY), der, len, &ec);

	if (err == JY_OK) {
		err = seal_fingerprint(*der, *len, fingerprint, &ec);
	}
	return err == JY_OK ? CTL_OK
			    : ctl_fail(ctl, CTL_LOCAL,
				  "it is what \"joineryctl import-key show\" "
				  "prints at the receiver",
				  "%s", err_detail(&ec, err));
}

/* ---- begin and end ---- */

/* What the server began, as the file's header and our ticket. */
static enum ctl_exit
take_begun(struct release *r, const Joinery__V1__ReleaseBeginAnswer *m,
    const uint8_t fingerprint[KEYFILE_FINGERPRINT_LEN])
{
	struct keyfile_header header = {
		.transport_key_len = m->transport_key.len,
	};
	char text[KEYFILE_HEADER_LEN];

	if (m->import_key.len != sizeof(header.import_key) ||
	    memcmp(m->import_key.data, fingerprint, m->import_key.len) != 0 ||
	    m->transport_key.len == 0 ||
	    m->transport_key.len > sizeof(header.transport_key) ||
	    m->ticket.len == 0 || m->ticket.len > sizeof(r->ticket)) {
		return ctl_fail(r->ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "the server began another release than was asked for");
	}
	memcpy(header.import_key, fingerprint, sizeof(header.import_key));
	memcpy(
	    header.transport_key, m->transport_key.data, m->transport_key.len);
	memcpy(r->ticket, m->ticket.data, m->ticket.len);
	r->ticket_len = m->ticket.len;
	release_put(r, text, keyfile_write_header(&header, text));
	return CTL_OK;
}

static enum ctl_exit
begin(struct release *r)
{
	Joinery__V1__ReleaseBeginRequest call =
	    JOINERY__V1__RELEASE_BEGIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	uint8_t fingerprint[KEYFILE_FINGERPRINT_LEN];
	Joinery__V1__Response *response;
	uint8_t *der = NULL;
	size_t len = 0;
	enum ctl_exit exit = read_receiver(r->ctl, &der, &len, fingerprint);

	if (exit == CTL_OK) {
		call.has_public_key = 1;
		call.public_key = (ProtobufCBinaryData){ len, der };
		request.call_case = JOINERY__V1__REQUEST__CALL_RELEASE_BEGIN;
		request.release_begin = &call;
		exit = ctl_call(r->ctl, &request,
		    JOINERY__V1__RESPONSE__RESULT_RELEASE_BEGIN, &response);
		if (exit == CTL_REFUSED) {
			(void)snprintf(r->ctl->error.hint,
			    sizeof(r->ctl->error.hint), "%s",
			    "an admin can release to import keys that "
			    "\"release-to\" in joinery.conf names, since the "
			    "server started; nothing was written");
		}
	}
	if (exit == CTL_OK) {
		exit = take_begun(r, response->release_begin, fingerprint);
		client_free(response);
	}
	free(der);
	return exit;
}

static enum ctl_exit
end(struct release *r)
{
	Joinery__V1__ReleaseEndRequest call =
	    JOINERY__V1__RELEASE_END_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	const Joinery__V1__ReleaseEndAnswer *answer;
	Joinery__V1__Response *response;
	uint8_t digest[SEAL_DIGEST_LEN];
	char line[KEYFILE_LINE_MAX];
	unsigned tries = 0;
	enum ctl_exit exit;

	release_put(r, line, keyfile_write_end(r->written, line));
	seal_digest_end(r->digest, digest);
	r->digest = NULL;
	call.has_ticket = call.has_digest = 1;
	call.ticket = (ProtobufCBinaryData){ r->ticket_len, r->ticket };
	call.digest = (ProtobufCBinaryData){ sizeof(digest), digest };
	request.call_case = JOINERY__V1__REQUEST__CALL_RELEASE_END;
	request.release_end = &call;
	do {
		exit = ctl_call(r->ctl, &request,
		    JOINERY__V1__RESPONSE__RESULT_RELEASE_END, &response);
	} while (exit != CTL_OK && ctl_wait_out(r->ctl, exit, &tries));
	if (exit != CTL_OK) {
		return exit;
	}
	answer = response->release_end;
	if (answer->mac.len != KEYFILE_MAC_LEN) {
		exit = ctl_fail(r->ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "the server's MAC has %zu octets", answer->mac.len);
	} else {
		(void)fwrite(line, 1, keyfile_write_mac(answer->mac.data, line),
		    r->out.file);
	}
	client_free(response);
	return exit;
}

/* ---- the file ---- */

static enum ctl_exit
write_file(struct release *r)
{
	enum ctl_exit exit;

	r->digest = seal_digest_new();
	r->check_values = seal_digest_new();
	exit = begin(r);
	if (exit == CTL_OK) {
		progress_begin(&r->progress, "devices", r->euis.count);
		exit = release_send(r);
		progress_clear(&r->progress);
	}
	if (exit == CTL_OK && r->out.error == 0 && r->written == 0) {
		exit = ctl_fail(r->ctl, CTL_REFUSED, NULL,
		    "none of the devices was released: no file was written");
	}
	return exit == CTL_OK && r->out.error == 0 ? end(r) : exit;
}

/* Without a file the devices are still marked: say what can be done. */
static void
hint_marked(struct release *r)
{
	if (r->written > 0 && !ctl_given(r->ctl, KEEP_SERVING)) {
		(void)snprintf(r->ctl->error.hint, sizeof(r->ctl->error.hint),
		    "%s",
		    "no file was written, but devices were marked released "
		    "and do not join here: release them again, or take them "
		    "back with \"joineryctl device set ... --released no\"");
	}
}

static enum ctl_exit
make_file(struct release *r)
{
	const char *path = ctl_value(r->ctl, OUT);
	enum ctl_exit exit;

	if (strcmp(path, "-") == 0) {
		return ctl_fail(
		    r->ctl, CTL_USAGE, NULL, "release needs --out FILE");
	}
	exit = out_open(r->ctl, path, &r->out);
	if (exit != CTL_OK) {
		return exit;
	}
	exit = out_close(r->ctl, &r->out, write_file(r));
	if (exit != CTL_OK) {
		hint_marked(r);
	}
	return exit;
}

/* ---- the verb ---- */

/* The rest of what is said of a file that was written. */
static void
show_summary(struct release *r, uint64_t took_us)
{
	uint8_t digest[SEAL_DIGEST_LEN];
	char hex[HEX_STR_LEN(SEAL_DIGEST_LEN)], seconds[32];
	struct json *j = &r->ctl->show.writer;

	seal_digest_end(r->check_values, digest);
	r->check_values = NULL;
	hex_format(digest, sizeof(digest), hex);
	(void)snprintf(seconds, sizeof(seconds), "%" PRIu64 ".%03" PRIu64,
	    took_us / SECOND_US, took_us % SECOND_US / 1000);
	if (r->ctl->show.json) {
		json_raw(j, "seconds", seconds);
		json_text(j, "check_values_sha256", hex);
		return;
	}
	(void)printf("released             %" PRIu64 "\n"
		     "refused              %" PRIu64 "\n"
		     "seconds              %s\n"
		     "check-values-sha256  %s\n",
	    r->written, r->refused, seconds, hex);
	(void)printf("When the receiver has imported %s, delete them here:\n"
		     "joineryctl device delete --file %s\n",
	    ctl_value(r->ctl, OUT), ctl_value(r->ctl, OUT));
}

static void
release_fini(struct release *r)
{
	seal_digest_free(r->digest);
	seal_digest_free(r->check_values);
	euis_fini(&r->euis);
}

enum ctl_exit
verb_release(struct ctl *ctl)
{
	struct release r = { .ctl = ctl };
	uint64_t start_us = sys_mono_us();
	enum ctl_exit exit;

	if (ctl->show.json) {
		json_array(&ctl->show.writer, "refused");
	}
	exit = release_ids_read(&r);
	if (exit == CTL_OK) {
		exit = make_file(&r);
	}
	if (ctl->show.json) {
		json_end(&ctl->show.writer); /* the array of release_report */
		json_number(&ctl->show.writer, "released",
		    exit == CTL_OK ? r.written : 0);
		json_number(&ctl->show.writer, "not_released", r.refused);
	}
	if (exit == CTL_OK) {
		show_summary(&r, sys_mono_us() - start_us);
		if (r.refused > 0) {
			exit = ctl_fail(ctl, CTL_REFUSED,
			    "the file has the others",
			    "%" PRIu64 " devices were not released", r.refused);
		}
	}
	release_fini(&r);
	return exit;
}
