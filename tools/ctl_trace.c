/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a device's requests as they are answered, one line each, until a
 * signal or enough of them.  Signals get through only while we wait, so that
 * the last line is whole and the handler may simply leave.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/errcode.h"
#include "tools/ctl.h"
#include "tools/ctl_value.h"

/* ---- signals ---- */

static void
leave(int signal_number)
{
	(void)signal_number;
	_exit(CTL_OK);
}

static void
signals_let(bool through)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(through ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static void
signals_take(void)
{
	struct sigaction act = { .sa_handler = leave };

	signals_let(false);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
}

/* ---- one event ---- */

/* A field's value behind a label, if it is there. */
static void
put_field(FILE *out, const Joinery__V1__TraceEvent *e, const char *label,
    const char *name)
{
	const ProtobufCFieldDescriptor *f =
	    protobuf_c_message_descriptor_get_field_by_name(
		&joinery__v1__trace_event__descriptor, name);
	char *text;

	jy_assert(f != NULL);
	if (value_count(&e->base, f) == 0) {
		return;
	}
	text = value_text(f, value_at(&e->base, f, 0), true);
	(void)fputs(label, out);
	show_text(out, text);
	free(text);
}

static void
put_result(FILE *out, const Joinery__V1__TraceEvent *e)
{
	(void)fputs("  ", out);
	if (!e->has_code) {
		(void)fputs(e->has_repeated_answer && e->repeated_answer
			? "done, as before"
			: "done",
		    out);
		return;
	}
	(void)fputs(errcode_name(e->code), out);
	if (e->reason != NULL) {
		(void)fputs(" (", out);
		show_text(out, e->reason);
		(void)fputs(")", out);
	}
	put_field(out, e, "  at ", "step");
}

static void
put_times(FILE *out, const Joinery__V1__TraceEvent *e)
{
	const char *before = ": ";

	if (e->has_total_us) {
		(void)fprintf(out, "  %" PRIu64 ".%03u ms", e->total_us / 1000,
		    (unsigned)(e->total_us % 1000));
	}
	for (size_t i = 0; i < e->n_steps_us; i++) {
		const Joinery__V1__Counter *step = e->steps_us[i];

		(void)fputs(before, out);
		show_text(out, step->name != NULL ? step->name : "?");
		(void)fprintf(out, " %" PRIu64 " us", step->value);
		before = ", ";
	}
}

static void
put_event(FILE *out, const Joinery__V1__TraceEvent *e)
{
	bool rejoin = e->has_join_type && e->join_type != 255;

	put_field(out, e, "", "time_ms");
	put_field(out, e, "  ", e->has_join_type ? "join_type" : "call");
	put_result(out, e);
	put_field(out, e, "  peer ", "peer");
	put_field(out, e, "  net-id ", "net_id");
	put_field(out, e, rejoin ? "  rj-count " : "  dev-nonce ", "counter");
	put_field(out, e, "  join-nonce ", "join_nonce");
	put_field(out, e, "  session ", "session_key_id");
	put_field(out, e, "  request ", "request_id");
	put_times(out, e);
	(void)fputc('\n', out);
}

static void
show_event(struct show *show, const Joinery__V1__TraceAnswer *answer)
{
	FILE *out = show->writer.out;

	if (show->json) {
		json_init(&show->writer, out);
		json_object(&show->writer, NULL);
		show_message(show, &answer->base);
		json_end(&show->writer);
		json_init(&show->writer, out);
	} else {
		put_event(out, answer->event);
	}
	(void)fflush(out);
}

/* ---- the stream ---- */

/* Wait for an answer that has an event. */
static enum ctl_exit
next_event(struct ctl *ctl, Joinery__V1__Response **out)
{
	enum ctl_exit exit = CTL_OK;

	for (*out = NULL; exit == CTL_OK && *out == NULL;) {
		Joinery__V1__Response *response;

		signals_let(true);
		exit = ctl_receive(
		    ctl, JOINERY__V1__RESPONSE__RESULT_TRACE, &response);
		signals_let(false);
		if (exit == CTL_OK && response->trace->event == NULL) {
			client_free(response);
		} else if (exit == CTL_OK) {
			*out = response;
		}
	}
	return exit;
}

/* Show events as they come; limit 0: without end. */
static enum ctl_exit
follow(struct ctl *ctl, uint32_t limit)
{
	uint64_t dropped = 0;
	enum ctl_exit exit = CTL_OK;

	for (uint32_t n = 0; exit == CTL_OK && (limit == 0 || n < limit);
	     n += limit != 0) {
		Joinery__V1__Response *response;

		exit = next_event(ctl, &response);
		if (exit != CTL_OK) {
			break;
		}
		if (response->trace->has_dropped &&
		    response->trace->dropped != dropped) {
			dropped = response->trace->dropped;
			(void)fprintf(stderr,
			    "joineryctl: %" PRIu64
			    " events so far found no room and are missing\n",
			    dropped);
		}
		show_event(&ctl->show, response->trace);
		client_free(response);
		if (ferror(ctl->show.writer.out) != 0) {
			break; /* main says so */
		}
	}
	return exit;
}

enum ctl_exit
verb_trace(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__TraceRequest call = JOINERY__V1__TRACE_REQUEST__INIT;
	Joinery__V1__Response *response;
	struct eui64 dev_eui;
	char text[EUI64_STR_LEN];
	uint32_t limit = 0;
	enum ctl_exit exit = CTL_OK;

	if (!eui64_parse(ctl->args.operand, &dev_eui)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "DEV_EUI is 16 hexadecimal digits, not \"%s\"",
		    args_shown(ctl->args.operand));
	}
	if (ctl_given(ctl, TCP)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "trace works on the server's Unix socket only");
	}
	if (ctl_given(ctl, EVENTS)) {
		exit = args_number(ctl, OPT_EVENTS, 1, UINT32_MAX, &limit);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	call.has_dev_eui = 1;
	call.dev_eui = (ProtobufCBinaryData){ 8, dev_eui.be };
	request.call_case = JOINERY__V1__REQUEST__CALL_TRACE;
	request.trace = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_TRACE, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	client_free(response);
	ctl_wait_forever(ctl);
	signals_take();
	(void)fprintf(stderr, "joineryctl: following %s; ^C ends it\n",
	    eui64_str(&dev_eui, text));
	return follow(ctl, limit);
}
