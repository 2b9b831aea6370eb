/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer's Backend Interfaces message would be answered: the codec reads
 * it here, as the server's would, and the server says what it would do with
 * the call.  Nothing is sent abroad and nothing changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/errcode.h"
#include "src/base/sys.h"
#include "src/bi/bi.h"
#include "tools/ctl.h"

/* ---- the message ---- */

/*
 * One octet more than the codec looks at may come, so that it is the one who
 * says that a message is too long.
 */
struct body {
	size_t len;
	char text[BI_BODY_MAX + 1];
};

static enum ctl_exit
body_read(struct ctl *ctl, struct body *body)
{
	const char *path =
	    ctl_given(ctl, MESSAGE) ? ctl_value(ctl, MESSAGE) : "-";
	bool is_stdin = strcmp(path, "-") == 0;
	const char *name = is_stdin ? "standard input" : path;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;

	body->len = 0;
	while (n > 0 && body->len < sizeof(body->text)) {
		n = read(
		    fd, body->text + body->len, sizeof(body->text) - body->len);
		body->len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0) {
		enum ctl_exit exit = ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", name, strerror(errno));

		if (fd >= 0 && !is_stdin) {
			(void)close(fd);
		}
		return exit;
	}
	if (!is_stdin) {
		(void)close(fd);
	}
	return CTL_OK;
}

/* What was read, without the members that are not there or mean nothing. */
static void
show_message_head(struct ctl *ctl, const struct bi_request *q)
{
	struct show *show = &ctl->show;
	const char *version = q->message_type[0] == '\0' ? ""
	    : q->refused == BI_RESULT_VERSION            ? ""
	    : q->version == BI_1_1                       ? "1.1"
							 : "1.0";
	const struct {
		const char *name;
		const char *text;
	} parts[] = {
		{ "message_type", q->message_type },
		{ "protocol_version", version },
		{ "sender_id", q->sender_id },
		{ "sender_ns_id", q->sender_ns_id },
		{ "receiver_id", q->receiver_id },
		{ "receiver_ns_id", q->receiver_ns_id },
		{ "dev_eui", q->dev_eui },
	};

	show_named(show, "peer", ctl->args.operand);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i].text[0] != '\0') {
			show_named(show, parts[i].name, parts[i].text);
		}
	}
}

/* ---- what would be answered ---- */

/* The exit status of a message that is not one to succeed. */
static enum ctl_exit
would_refuse(struct ctl *ctl, const char *result, const char *why)
{
	return ctl_fail(
	    ctl, CTL_REFUSED, NULL, "it would be answered %s: %s", result, why);
}

/* Nobody can be addressed: there is an HTTP status, and no Ans. */
static enum ctl_exit
show_garbage(struct ctl *ctl, bool too_long, const struct bi_request *q)
{
	if (too_long) {
		show_named(&ctl->show, "http_status", "413");
		return would_refuse(ctl, "with HTTP status 413 alone",
		    "it is too long to be read");
	}
	show_named(&ctl->show, "http_status", "400");
	show_named(&ctl->show, "result",
	    bi_result_name(BI_RESULT_MALFORMED, q->version));
	return would_refuse(ctl, "with HTTP status 400 and a Result alone",
	    "it does not say what to answer to whom");
}

/* A message that the codec keeps for itself. */
static enum ctl_exit
show_unread(struct ctl *ctl, enum bi_reading reading, bool too_long,
    const struct bi_request *q, const struct errctx *ec)
{
	const char *why = err_detail(ec, JY_EINVAL);
	const char *result;

	show_named(&ctl->show, "step", "codec");
	show_named(&ctl->show, "reason", why);
	if (reading == BI_GARBAGE) {
		return show_garbage(ctl, too_long, q);
	}
	if (reading == BI_NOTICE) {
		return ctl_fail(ctl, CTL_REFUSED, NULL,
		    "a notification: it is logged, and never answered");
	}
	result = bi_result_name(q->refused, q->version);
	show_named(&ctl->show, "result", result);
	return would_refuse(ctl, result, why);
}

/* KEKs as people read them; JSON has the answer's own fields. */
static void
show_keks(struct show *show, const Joinery__V1__PeerTestAnswer *a)
{
	if (a->has_code || a->home_ns != NULL) {
		return;
	}
	if (a->ns_kek != NULL) {
		show_named(show, "ns_kek",
		    a->ns_kek[0] != '\0' ? a->ns_kek : "none: keys in clear");
	}
	show_named(show, "as_kek",
	    a->as_kek == NULL          ? "none: no AppSKey in the answer"
		: a->as_kek[0] != '\0' ? a->as_kek
				       : "none: AppSKey in clear");
}

static enum ctl_exit
show_answer(
    struct ctl *ctl, const struct bi_request *q, Joinery__V1__PeerTestAnswer *a)
{
	enum bi_result result =
	    a->has_code ? bi_result_of_call(q, a->code) : BI_RESULT_SUCCESS;
	const char *name = bi_result_name(result, q->version);
	enum ctl_exit exit = CTL_OK;
	char *ns_kek = a->ns_kek;
	char *as_kek = a->as_kek;

	show_named(&ctl->show, "result", name);
	if (!ctl->show.json) {
		show_keks(&ctl->show, a);
		a->ns_kek = NULL;
		a->as_kek = NULL;
	}
	show_message(&ctl->show, &a->base);
	a->ns_kek = ns_kek;
	a->as_kek = as_kek;
	if (a->has_code) {
		exit = would_refuse(ctl, name, errcode_name(a->code));
	}
	return exit;
}

static enum ctl_exit
ask(struct ctl *ctl, struct bi_request *q)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerTestRequest call =
	    JOINERY__V1__PEER_TEST_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.name);

	if (exit != CTL_OK) {
		return exit;
	}
	call.has_request = 1;
	call.request.len = joinery__v1__request__get_packed_size(&q->call);
	call.request.data = sys_xmalloc(call.request.len);
	(void)joinery__v1__request__pack(&q->call, call.request.data);
	request.call_case = JOINERY__V1__REQUEST__CALL_PEER_TEST;
	request.peer_test = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_PEER_TEST, &response);
	free(call.request.data);
	if (exit != CTL_OK) {
		return exit;
	}
	exit = show_answer(ctl, q, response->peer_test);
	client_free(response);
	return exit;
}

enum ctl_exit
verb_peer_test(struct ctl *ctl)
{
	struct body *body = sys_xmalloc(sizeof(*body));
	struct bi_request *q = sys_xcalloc(1, sizeof(*q));
	struct errctx ec = ERRCTX_INIT;
	enum ctl_exit exit = body_read(ctl, body);

	if (exit == CTL_OK) {
		enum bi_reading reading =
		    bi_read(body->text, body->len, q, &ec);

		show_message_head(ctl, q);
		exit = reading == BI_CALL
		    ? ask(ctl, q)
		    : show_unread(
			  ctl, reading, body->len > BI_BODY_MAX, q, &ec);
	}
	free(q);
	free(body);
	return exit;
}
