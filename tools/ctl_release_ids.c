/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices "joineryctl release" is about. */
#include <inttypes.h>
#include <string.h>

#include "tools/ctl_release.h"
#include "tools/eui_set.h"

static void
report_bad_line(void *arg, uint32_t line, const char *why)
{
	release_report(arg, line, NULL, "LOCAL", why);
}

/* A key file names no device twice. */
static void
drop_twins(struct release *r)
{
	struct eui_set *seen = eui_set_new();
	size_t kept = 0;
	char why[64];

	for (size_t i = 0; i < r->euis.count; i++) {
		const struct euis_row *row = &r->euis.rows[i];
		uint64_t before =
		    eui_set_add(seen, &row->join_eui, &row->dev_eui, row->line);

		if (before == 0) {
			r->euis.rows[kept++] = *row;
			continue;
		}
		(void)snprintf(why, sizeof(why),
		    "the device is on line %" PRIu64 ", too", before);
		release_report(r, row->line, row, "LOCAL", why);
	}
	r->euis.count = kept;
	eui_set_free(seen);
}

static enum ctl_exit
read_file(struct release *r)
{
	enum ctl_exit exit = euis_read(r->ctl, ctl_value(r->ctl, DEVICES_FILE),
	    report_bad_line, r, &r->euis);

	r->from_file = true;
	if (exit == CTL_OK) {
		drop_twins(r);
	}
	if (exit == CTL_OK && ctl_given(r->ctl, STRICT) && r->refused > 0) {
		exit = ctl_fail(r->ctl, CTL_LOCAL, NULL,
		    "%" PRIu64 " bad lines: nothing was released", r->refused);
	}
	return exit;
}

static enum ctl_exit
read_one(struct release *r)
{
	struct euis_row row = { .line = 0 };
	enum ctl_exit exit =
	    device_euis_read(r->ctl, &row.join_eui, &row.dev_eui);

	return exit == CTL_OK ? euis_add(r->ctl, "--dev-eui", &r->euis, &row)
			      : exit;
}

/* ---- an application's ---- */

static enum ctl_exit
add_id(struct release *r, const Joinery__V1__DeviceId *id)
{
	struct euis_row row = { .line = 0 };

	if (id == NULL || id->join_eui.len != sizeof(row.join_eui.be) ||
	    id->dev_eui.len != sizeof(row.dev_eui.be)) {
		return ctl_fail(r->ctl, CTL_CONNECT, NULL,
		    "the server lists a device without EUIs");
	}
	memcpy(row.join_eui.be, id->join_eui.data, sizeof(row.join_eui.be));
	memcpy(row.dev_eui.be, id->dev_eui.data, sizeof(row.dev_eui.be));
	return euis_add(r->ctl, "the application", &r->euis, &row);
}

/* The next page is behind that device. */
static enum ctl_exit
ask_behind(struct release *r, const Joinery__V1__DeviceId *next,
    Joinery__V1__DeviceId *after)
{
	if (next == NULL || next->join_eui.len != after->join_eui.len ||
	    next->dev_eui.len != after->dev_eui.len) {
		return ctl_fail(r->ctl, CTL_CONNECT, NULL,
		    "the server says there is more, but not where");
	}
	memcpy(after->join_eui.data, next->join_eui.data, next->join_eui.len);
	memcpy(after->dev_eui.data, next->dev_eui.data, next->dev_eui.len);
	return CTL_OK;
}

/* A page; *more says whether there is another one, behind after. */
static enum ctl_exit
read_page(struct release *r, Joinery__V1__DeviceListRequest *call,
    Joinery__V1__DeviceId *after, bool *more)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	const Joinery__V1__DeviceListAnswer *answer;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_LIST;
	request.device_list = call;
	exit = ctl_call(r->ctl, &request,
	    JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	answer = response->device_list;
	for (size_t i = 0; i < answer->n_devices && exit == CTL_OK; i++) {
		exit = add_id(r, answer->devices[i]->id);
	}
	*more = answer->has_more && answer->more;
	if (exit == CTL_OK && *more) {
		exit = ask_behind(r, answer->next, after);
		call->after = after;
	}
	client_free(response);
	return exit;
}

static enum ctl_exit
read_app(struct release *r)
{
	Joinery__V1__DeviceListRequest call =
	    JOINERY__V1__DEVICE_LIST_REQUEST__INIT;
	Joinery__V1__DeviceId after = JOINERY__V1__DEVICE_ID__INIT;
	struct eui64 join_eui = { { 0 } }, dev_eui = { { 0 } };
	enum ctl_exit exit;
	bool more = true;

	exit = args_text(r->ctl, OPT_APP, STORE_LABEL_MAX, &call.app);
	after.has_join_eui = after.has_dev_eui = 1;
	after.join_eui = (ProtobufCBinaryData){ 8, join_eui.be };
	after.dev_eui = (ProtobufCBinaryData){ 8, dev_eui.be };
	while (exit == CTL_OK && more) {
		exit = read_page(r, &call, &after, &more);
	}
	return exit;
}

enum ctl_exit
release_ids_read(struct release *r)
{
	struct ctl *ctl = r->ctl;
	int ways = ctl_given(ctl, DEV_EUI) + ctl_given(ctl, DEVICES_FILE) +
	    ctl_given(ctl, APP);
	enum ctl_exit exit;

	if (ways != 1) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "release needs one of --dev-eui EUI, --file FILE|- and "
		    "--app NAME");
	}
	if (ctl_given(ctl, JOIN_EUI) && !ctl_given(ctl, DEV_EUI)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--join-eui goes with --dev-eui only");
	}
	exit = ctl_given(ctl, DEVICES_FILE) ? read_file(r)
	    : ctl_given(ctl, APP)           ? read_app(r)
					    : read_one(r);
	if (exit == CTL_OK && r->euis.count == 0) {
		exit = ctl_fail(
		    ctl, CTL_LOCAL, NULL, "there is no device to release");
	}
	return exit;
}
