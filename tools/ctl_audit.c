/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the audit log, and having the server prove it. */
#include <inttypes.h>

#include "tools/ctl.h"

static enum ctl_exit
read_after(struct ctl *ctl, protobuf_c_boolean *has, uint64_t *after)
{
	uint32_t n = 0;
	enum ctl_exit exit = CTL_OK;

	if (ctl_given(ctl, AFTER)) {
		exit = args_number(ctl, OPT_AFTER, 0, UINT32_MAX, &n);
	}
	*has = 1;
	*after = n;
	return exit;
}

/* An event as a line of a table, or one JSON object as a line. */
static void
show_event(struct show *show, const Joinery__V1__AuditEvent *event)
{
	if (!show->json) {
		show_row(show, &event->base);
		return;
	}
	json_object(&show->writer, NULL);
	show_message(show, &event->base);
	json_end_to(&show->writer, 0);
	json_init(&show->writer, show->writer.out);
}

static enum ctl_exit
list_pages(struct ctl *ctl, Joinery__V1__Request *request)
{
	Joinery__V1__AuditListRequest *call = request->audit_list;
	enum ctl_exit exit = CTL_OK;
	bool more = true;

	while (exit == CTL_OK && more) {
		const Joinery__V1__AuditListAnswer *a;
		Joinery__V1__Response *response;

		request->has_id = 0;
		exit = ctl_call(ctl, request,
		    JOINERY__V1__RESPONSE__RESULT_AUDIT_LIST, &response);
		if (exit != CTL_OK) {
			break;
		}
		a = response->audit_list;
		for (size_t i = 0; i < a->n_events; i++) {
			show_event(&ctl->show, a->events[i]);
			call->after = a->events[i]->seq;
		}
		more = a->more && a->n_events > 0;
		client_free(response);
	}
	return exit;
}

enum ctl_exit
verb_audit_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AuditListRequest call =
	    JOINERY__V1__AUDIT_LIST_REQUEST__INIT;
	enum ctl_exit exit = read_after(ctl, &call.has_after, &call.after);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_AUDIT_LIST;
	request.audit_list = &call;
	if (ctl->show.json) {
		return list_pages(ctl, &request);
	}
	exit = ctl_connect(ctl);
	if (exit == CTL_OK) {
		show_rows_begin(&ctl->show, "events",
		    &joinery__v1__audit_event__descriptor);
		exit = list_pages(ctl, &request);
		show_rows_end(&ctl->show);
	}
	return exit;
}

static enum ctl_exit
bad_event(struct ctl *ctl, const Joinery__V1__AuditVerifyAnswer *a)
{
	char hint[128];

	(void)snprintf(hint, sizeof(hint),
	    "compare with what was kept of \"audit list\"; \"audit verify "
	    "--after %" PRIu64 "\" goes on behind it",
	    a->bad);
	return ctl_fail(ctl, CTL_REFUSED, hint,
	    "the audit log is broken at event %" PRIu64 ": %s", a->bad,
	    a->reason != NULL ? a->reason : "");
}

static enum ctl_exit
verify_pages(struct ctl *ctl, Joinery__V1__Request *request, uint64_t *last)
{
	enum ctl_exit exit = CTL_OK;
	bool more = true;

	while (exit == CTL_OK && more) {
		const Joinery__V1__AuditVerifyAnswer *a;
		Joinery__V1__Response *response;

		request->has_id = 0;
		exit = ctl_call(ctl, request,
		    JOINERY__V1__RESPONSE__RESULT_AUDIT_VERIFY, &response);
		if (exit != CTL_OK) {
			break;
		}
		a = response->audit_verify;
		more = a->more && a->last > *last;
		*last = a->last;
		request->audit_verify->after = a->last;
		if (a->has_bad) {
			exit = bad_event(ctl, a);
		} else if (a->more && !more) {
			exit = ctl_fail(ctl, CTL_CONNECT, NULL,
			    "the server says there is more, but does not go "
			    "on");
		}
		client_free(response);
	}
	return exit;
}

enum ctl_exit
verb_audit_verify(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AuditVerifyRequest call =
	    JOINERY__V1__AUDIT_VERIFY_REQUEST__INIT;
	enum ctl_exit exit = read_after(ctl, &call.has_after, &call.after);
	uint64_t first = call.after, last = call.after;

	request.call_case = JOINERY__V1__REQUEST__CALL_AUDIT_VERIFY;
	request.audit_verify = &call;
	if (exit == CTL_OK) {
		exit = verify_pages(ctl, &request, &last);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	if (ctl->show.json) {
		json_number(&ctl->show.writer, "verified", last - first);
		json_number(&ctl->show.writer, "last", last);
	} else {
		(void)fprintf(ctl->show.writer.out,
		    "%" PRIu64 " events are good, the last is %" PRIu64 "\n",
		    last - first, last);
	}
	return CTL_OK;
}
