/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs on where root keys are kept.  Replacing the storage key is many small
 * calls: the server goes on serving between them, and whoever runs the verb
 * again, after whatever happened, goes on where it ended.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/ctl.h"
#include "tools/ctl_progress.h"

#define CURSOR_MAX 64
#define PASSES_MAX 8

static enum ctl_exit
custody_call(struct ctl *ctl, Joinery__V1__Response **out)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__CustodyRequest call = JOINERY__V1__CUSTODY_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_CUSTODY;
	request.custody = &call;
	return ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_CUSTODY, out);
}

enum ctl_exit
verb_storage_key_show(struct ctl *ctl)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = custody_call(ctl, &response);

	if (exit == CTL_OK) {
		show_message(&ctl->show, ctl_result(response));
		client_free(response);
	}
	return exit;
}

enum ctl_exit
custody_show(struct ctl *ctl)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = custody_call(ctl, &response);

	if (exit != CTL_OK) {
		return exit;
	}
	if (ctl->show.json) {
		json_object(&ctl->show.writer, "custody");
	} else {
		(void)fputs("\nROOT KEYS\n", ctl->show.writer.out);
	}
	show_message(&ctl->show, ctl_result(response));
	if (ctl->show.json) {
		json_end(&ctl->show.writer);
	}
	client_free(response);
	return CTL_OK;
}

/* A replacement on its way. */
struct rotation {
	struct ctl *ctl;
	struct progress progress;
	uint64_t moved;
	uint64_t failed; /* in this pass */
	char bad[64];    /* the first device of those */
	uint8_t cursor[CURSOR_MAX];
	size_t cursor_len; /* 0: from the first */
};

static enum ctl_exit
begin(struct rotation *r)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__StorageReplaceRequest call =
	    JOINERY__V1__STORAGE_REPLACE_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_STORAGE_REPLACE;
	request.storage_replace = &call;
	exit = ctl_call(
	    r->ctl, &request, JOINERY__V1__RESPONSE__RESULT_CUSTODY, &response);
	if (exit == CTL_OK) {
		progress_begin(
		    &r->progress, "root keys", response->custody->wrapped_keys);
		client_free(response);
	}
	return exit;
}

static enum ctl_exit
take_cursor(struct rotation *r, const Joinery__V1__StorageMoveAnswer *m)
{
	r->cursor_len = 0;
	if (!m->more) {
		return CTL_OK;
	}
	if (m->next.len == 0 || m->next.len > sizeof(r->cursor)) {
		return ctl_fail(r->ctl, CTL_LOCAL, NULL,
		    "the server's cursor has %zu octets", m->next.len);
	}
	memcpy(r->cursor, m->next.data, m->next.len);
	r->cursor_len = m->next.len;
	return CTL_OK;
}

static void
take_failed(struct rotation *r, const Joinery__V1__StorageMoveAnswer *m)
{
	char join[EUI64_STR_LEN], dev[EUI64_STR_LEN];
	struct eui64 eui;

	if (m->bad != NULL && r->failed == 0 && m->bad->join_eui.len == 8 &&
	    m->bad->dev_eui.len == 8) {
		memcpy(eui.be, m->bad->join_eui.data, 8);
		(void)eui64_str(&eui, join);
		memcpy(eui.be, m->bad->dev_eui.data, 8);
		(void)snprintf(r->bad, sizeof(r->bad), "%s %s", join,
		    eui64_str(&eui, dev));
	}
	r->failed += m->failed;
}

/* One page; *more says whether others follow. */
static enum ctl_exit
move(struct rotation *r, bool *more)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__StorageMoveRequest call =
	    JOINERY__V1__STORAGE_MOVE_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	call.has_after = r->cursor_len > 0;
	call.after = (ProtobufCBinaryData){ r->cursor_len, r->cursor };
	request.call_case = JOINERY__V1__REQUEST__CALL_STORAGE_MOVE;
	request.storage_move = &call;
	exit = ctl_call(r->ctl, &request,
	    JOINERY__V1__RESPONSE__RESULT_STORAGE_MOVE, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	r->moved += response->storage_move->moved;
	take_failed(r, response->storage_move);
	*more = response->storage_move->more != 0;
	exit = take_cursor(r, response->storage_move);
	client_free(response);
	return exit;
}

/* All pages; a server that is away for a moment is waited for. */
static enum ctl_exit
move_all(struct rotation *r)
{
	unsigned tries = 0;
	bool more = true;
	enum ctl_exit exit = CTL_OK;

	r->failed = 0;
	r->cursor_len = 0;
	while (exit == CTL_OK && more) {
		exit = move(r, &more);
		if (exit == CTL_OK) {
			tries = 0;
			progress_show(&r->progress, r->moved);
		} else {
			progress_clear(&r->progress);
			exit =
			    ctl_wait_out(r->ctl, exit, &tries) ? CTL_OK : exit;
		}
	}
	progress_clear(&r->progress);
	return exit;
}

static enum ctl_exit
finish(struct rotation *r)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__StorageFinishRequest call =
	    JOINERY__V1__STORAGE_FINISH_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_STORAGE_FINISH;
	request.storage_finish = &call;
	exit = ctl_call(
	    r->ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, &response);
	if (exit == CTL_OK) {
		client_free(response);
	}
	return exit;
}

static enum ctl_exit
check_failed(struct rotation *r)
{
	return r->failed == 0
	    ? CTL_OK
	    : ctl_fail(r->ctl, CTL_REFUSED,
		  "import their keys again (--replace) or delete them, then "
		  "run this again; the old storage key stays until then",
		  "%" PRIu64 " root keys are not what the database says, the "
		  "first of device %s",
		  r->failed, r->bad);
}

/*
 * An import that began before may put a key under the old storage key behind
 * our back; then finish says that it is in use, and another pass finds it.
 */
static enum ctl_exit
passes(struct rotation *r)
{
	enum ctl_exit exit = CTL_OK;

	for (unsigned pass = 0; pass < PASSES_MAX; pass++) {
		exit = move_all(r);
		if (exit == CTL_OK) {
			exit = check_failed(r);
		}
		if (exit != CTL_OK) {
			return exit;
		}
		exit = finish(r);
		if (exit == CTL_OK ||
		    strcmp(r->ctl->error.code, "IN_USE") != 0) {
			return exit;
		}
	}
	return exit;
}

enum ctl_exit
verb_storage_key_rotate(struct ctl *ctl)
{
	struct rotation r = { .ctl = ctl };
	enum ctl_exit exit;

	exit = begin(&r);
	if (exit == CTL_OK) {
		exit = passes(&r);
	}
	if (ctl->show.json) {
		json_number(&ctl->show.writer, "moved", r.moved);
	}
	if (exit == CTL_OK) {
		char said[96];

		(void)snprintf(said, sizeof(said),
		    "%" PRIu64 " root keys moved, the old storage key is gone",
		    r.moved);
		show_said(&ctl->show, said);
	}
	return exit;
}
