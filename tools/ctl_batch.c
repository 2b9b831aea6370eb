/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call for each device of a file: some requests under way at a time,
 * answers in whatever order they come.  A connection that is lost may have
 * taken answers with it: what was under way is asked again, and a device that
 * is not there then counts as deleted.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "proto/errcode.h"
#include "tools/ctl.h"
#include "tools/ctl_euis.h"

#define WINDOW 32
#define TRIES_MAX 6
#define PAUSE_MS 50

/* What is done with each device. */
struct batch_kind {
	const char *question; /* with the number before it */
	const char *done;     /* "deleted" */
	bool gone;            /* a device that is not there is done */
	/* Put the call into the request and send it. */
	enum ctl_exit (*send)(struct ctl *ctl, Joinery__V1__Request *request,
	    Joinery__V1__DeviceId *id);
};

struct slot {
	const struct euis_row *row; /* NULL: free */
	bool sent;
	bool perhaps_done; /* a request whose answer is not known to us */
	unsigned tries;
};

struct batch {
	struct ctl *ctl;
	const struct batch_kind *kind;
	struct euis euis;
	size_t next; /* the first row that has no slot yet */
	struct slot slots[WINDOW];
	size_t under_way;
	uint64_t done;
	uint64_t refused; /* lines of the file, and requests */
	bool strict;
	bool stopped; /* no further row gets a slot */
	bool answered;
	unsigned tries; /* to connect anew */
};

/* ---- what is refused ---- */

static void
report(struct batch *b, uint32_t line, const struct euis_row *row,
    const char *code, const char *message)
{
	struct json *j = &b->ctl->show.writer;
	char join_eui[EUI64_STR_LEN] = "";
	char dev_eui[EUI64_STR_LEN] = "";

	b->refused++;
	if (row != NULL) {
		(void)eui64_str(&row->join_eui, join_eui);
		(void)eui64_str(&row->dev_eui, dev_eui);
	}
	if (b->ctl->show.json) {
		json_object(j, NULL);
		json_number(j, "line", line);
		if (row != NULL) {
			json_text(j, "join_eui", join_eui);
			json_text(j, "dev_eui", dev_eui);
		}
		json_text(j, "code", code);
		json_text(j, "message", message);
		json_end(j);
		return;
	}
	(void)fprintf(stderr, "line %" PRIu32 ": ", line);
	if (row != NULL) {
		(void)fprintf(stderr, "%s %s: %s: ", join_eui, dev_eui, code);
	}
	show_text(stderr, message);
	(void)fputc('\n', stderr);
}

static void
report_bad_line(void *arg, uint32_t line, const char *why)
{
	report(arg, line, NULL, "LOCAL", why);
}

/* ---- answers ---- */

/* What becomes of a row whose request was answered with an Error. */
enum outcome {
	REFUSED,    /* it alone */
	AGAIN,      /* not done, ask again */
	LOST,       /* done or not, ask again */
	DONE_MAYBE, /* done, if it was asked before */
	ALL_REFUSED /* the others would hear the same */
};

static const struct {
	Joinery__V1__ErrorCode code;
	enum outcome outcome;
} outcomes[] = {
	{ JOINERY__V1__ERROR_CODE__BUSY, AGAIN },
	{ JOINERY__V1__ERROR_CODE__CONFLICT, AGAIN },
	{ JOINERY__V1__ERROR_CODE__TIMEOUT, LOST },
	{ JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE, DONE_MAYBE },
	{ JOINERY__V1__ERROR_CODE__PEER_UNKNOWN, ALL_REFUSED },
	{ JOINERY__V1__ERROR_CODE__NOT_ALLOWED, ALL_REFUSED },
	{ JOINERY__V1__ERROR_CODE__UNKNOWN_CALL, ALL_REFUSED },
};

static enum outcome
outcome_of(Joinery__V1__ErrorCode code, const struct slot *slot)
{
	enum outcome outcome = REFUSED;

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		if (outcomes[i].code == code) {
			outcome = outcomes[i].outcome;
		}
	}
	if ((outcome == AGAIN || outcome == LOST) && slot->tries == TRIES_MAX) {
		outcome = REFUSED;
	}
	return outcome;
}

static void
slot_free(struct batch *b, struct slot *slot)
{
	*slot = (struct slot){ 0 };
	b->under_way--;
}

static enum ctl_exit
error_take(struct batch *b, struct slot *slot, const Joinery__V1__Response *r)
{
	const Joinery__V1__Error *error = r->error;
	enum outcome outcome = outcome_of(error->code, slot);

	if (outcome == ALL_REFUSED) {
		return ctl_answer_unwanted(b->ctl, r);
	}
	if (outcome == AGAIN || outcome == LOST) {
		slot->sent = false;
		slot->tries++;
		slot->perhaps_done = slot->perhaps_done || outcome == LOST;
		(void)poll(NULL, 0, (int)(PAUSE_MS * slot->tries));
		return CTL_OK;
	}
	if (outcome == DONE_MAYBE && slot->perhaps_done && b->kind->gone) {
		b->done++;
	} else {
		report(b, slot->row->line, slot->row, errcode_name(error->code),
		    error->message != NULL ? error->message : "");
		b->stopped = b->stopped || b->strict;
	}
	slot_free(b, slot);
	return CTL_OK;
}

static enum ctl_exit
answer_take(struct batch *b, const Joinery__V1__Response *r)
{
	struct slot *slot = NULL;

	for (size_t i = 0; i < WINDOW && r->has_id; i++) {
		const struct euis_row *row = b->slots[i].row;

		/* A row's request has the number of its line. */
		if (row != NULL && b->slots[i].sent && row->line == r->id) {
			slot = &b->slots[i];
		}
	}
	if (slot == NULL) {
		return ctl_answer_unwanted(b->ctl, r);
	}
	b->answered = true;
	b->tries = 0;
	if (r->result_case == JOINERY__V1__RESPONSE__RESULT_DONE) {
		b->done++;
		slot_free(b, slot);
		return CTL_OK;
	}
	return r->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR
	    ? error_take(b, slot, r)
	    : ctl_answer_unwanted(b->ctl, r);
}

/* ---- requests ---- */

static enum ctl_exit
slot_send(struct batch *b, struct slot *slot)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceId id = JOINERY__V1__DEVICE_ID__INIT;
	struct euis_row row = *slot->row;
	enum ctl_exit exit;

	id.has_join_eui = 1;
	id.join_eui = (ProtobufCBinaryData){ 8, row.join_eui.be };
	id.has_dev_eui = 1;
	id.dev_eui = (ProtobufCBinaryData){ 8, row.dev_eui.be };
	request.has_id = 1;
	request.id = row.line;
	exit = b->kind->send(b->ctl, &request, &id);
	slot->sent = exit == CTL_OK;
	return exit;
}

/* Give free slots to the next rows, and send what is not sent. */
static enum ctl_exit
slots_fill(struct batch *b)
{
	enum ctl_exit exit = CTL_OK;

	for (size_t i = 0; i < WINDOW && exit == CTL_OK; i++) {
		struct slot *slot = &b->slots[i];

		if (slot->row == NULL && !b->stopped &&
		    b->next < b->euis.count) {
			slot->row = &b->euis.rows[b->next++];
			b->under_way++;
		}
		if (slot->row != NULL && !slot->sent) {
			exit = slot_send(b, slot);
		}
	}
	return exit;
}

/* The connection is gone, and who knows what the server had read of it. */
static void
slots_lost(struct batch *b)
{
	for (size_t i = 0; i < WINDOW; i++) {
		b->slots[i].perhaps_done =
		    b->slots[i].perhaps_done || b->slots[i].sent;
		b->slots[i].sent = false;
	}
}

static enum ctl_exit
turn(struct batch *b)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = slots_fill(b);

	if (exit == CTL_OK) {
		exit = ctl_receive_any(b->ctl, &response);
	}
	if (exit == CTL_OK) {
		exit = answer_take(b, response);
		client_free(response);
	}
	return exit;
}

static enum ctl_exit
batch_run(struct batch *b)
{
	enum ctl_exit exit = CTL_OK;

	while (exit == CTL_OK &&
	    (b->under_way > 0 || (!b->stopped && b->next < b->euis.count))) {
		exit = turn(b);
		if (exit != CTL_OK && b->answered &&
		    ctl_wait_out(b->ctl, exit, &b->tries)) {
			slots_lost(b);
			exit = CTL_OK;
		}
	}
	return exit;
}

/* ---- the verb ---- */

/* There is no way back: the number, typed on the terminal, says yes. */
static enum ctl_exit
confirm(struct ctl *ctl, const struct batch_kind *kind, size_t count)
{
	FILE *terminal = fopen("/dev/tty", "r+e");
	char typed[32] = "";
	char wanted[32];
	bool same;

	if (terminal == NULL) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "there is no terminal to ask on: --yes if it is meant");
	}
	(void)fprintf(terminal, "%zu %s: %s? type the number: ", count,
	    count == 1 ? "device" : "devices", kind->question);
	(void)fflush(terminal);
	(void)snprintf(wanted, sizeof(wanted), "%zu\n", count);
	same = fgets(typed, sizeof(typed), terminal) != NULL &&
	    strcmp(typed, wanted) == 0;
	(void)fclose(terminal);
	return same ? CTL_OK
		    : ctl_fail(ctl, CTL_LOCAL, NULL,
			  "not confirmed: nothing was %s", kind->done);
}

/* The end of it, whatever it was. */
static enum ctl_exit
summary(struct batch *b, enum ctl_exit exit)
{
	struct json *j = &b->ctl->show.writer;
	uint64_t rest = b->euis.count - b->next + b->under_way;
	char said[160];

	if (b->ctl->show.json) {
		json_end(j); /* the array of report() */
		(void)snprintf(said, sizeof(said), "not_%s", b->kind->done);
		json_number(j, b->kind->done, b->done);
		json_number(j, said, b->refused);
		json_number(j, "not_tried", rest);
	}
	(void)snprintf(said, sizeof(said),
	    "%" PRIu64 " %s, %" PRIu64 " refused, %" PRIu64 " left", b->done,
	    b->kind->done, b->refused, rest);
	show_said(&b->ctl->show, said);
	if (exit == CTL_OK && b->refused > 0) {
		exit = ctl_fail(b->ctl, CTL_REFUSED, NULL,
		    "%" PRIu64 " of the lines were refused", b->refused);
	}
	return exit;
}

static enum ctl_exit
batch_verb(struct ctl *ctl, const struct batch_kind *kind)
{
	struct batch b = {
		.ctl = ctl, .kind = kind, .strict = ctl_given(ctl, STRICT)
	};
	enum ctl_exit exit;

	if (ctl_given(ctl, DEV_EUI) || ctl_given(ctl, JOIN_EUI)) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--file and EUIs exclude each other");
	}
	if (ctl->show.json) {
		json_array(&ctl->show.writer, "refused");
	}
	exit = euis_read(
	    ctl, ctl_value(ctl, DEVICES_FILE), report_bad_line, &b, &b.euis);
	if (exit != CTL_OK) {
		return exit;
	}
	if (b.strict && b.euis.bad > 0) {
		exit = ctl_fail(ctl, CTL_LOCAL, NULL,
		    "%zu bad lines: nothing was %s", b.euis.bad, kind->done);
	}
	if (exit == CTL_OK && b.euis.count > 0 && !ctl_given(ctl, YES)) {
		exit = confirm(ctl, kind, b.euis.count);
	}
	if (exit == CTL_OK) {
		exit = batch_run(&b);
	}
	exit = summary(&b, exit);
	euis_fini(&b.euis);
	return exit;
}

static enum ctl_exit
send_delete(
    struct ctl *ctl, Joinery__V1__Request *request, Joinery__V1__DeviceId *id)
{
	Joinery__V1__DeviceDeleteRequest call =
	    JOINERY__V1__DEVICE_DELETE_REQUEST__INIT;

	call.id = id;
	request->call_case = JOINERY__V1__REQUEST__CALL_DEVICE_DELETE;
	request->device_delete = &call;
	return ctl_send(ctl, request);
}

static enum ctl_exit
send_settle(
    struct ctl *ctl, Joinery__V1__Request *request, Joinery__V1__DeviceId *id)
{
	Joinery__V1__DeviceSettleRequest call =
	    JOINERY__V1__DEVICE_SETTLE_REQUEST__INIT;

	call.id = id;
	request->call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SETTLE;
	request->device_settle = &call;
	return ctl_send(ctl, request);
}

enum ctl_exit
batch_delete(struct ctl *ctl)
{
	static const struct batch_kind kind = {
		"delete them and their root keys", "deleted", true, send_delete
	};

	return batch_verb(ctl, &kind);
}

enum ctl_exit
batch_settle(struct ctl *ctl)
{
	static const struct batch_kind kind = {
		"bring their root keys into the token, for good", "settled",
		false, send_settle
	};

	return batch_verb(ctl, &kind);
}
