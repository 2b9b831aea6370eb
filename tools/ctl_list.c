/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that come in pages: one loop for all, rows shown as they arrive.  The
 * next request borrows from a page, so that one is kept until then.
 */
#include <stdio.h>
#include <string.h>

#include "tools/ctl.h"

#define PAGE_LIMIT 64

/* A page, whatever is on it. */
struct page {
	ProtobufCMessage **rows;
	size_t count;
	bool more;
};

struct list {
	const char *name;
	const ProtobufCMessageDescriptor *type;
	Joinery__V1__Response__ResultCase expected;
	struct page (*page)(const Joinery__V1__Response *response);
	/* Ask for the next page; false when the answer does not say where. */
	bool (*ask_next)(Joinery__V1__Request *request,
	    const Joinery__V1__Response *response);
};

/* ---- which devices ---- */

bool
query_cursor(const Joinery__V1__DeviceId *id, char out[CTL_CURSOR_LEN])
{
	char dev[EUI64_STR_LEN], join[EUI64_STR_LEN];
	struct eui64 dev_eui, join_eui;

	if (id == NULL || id->dev_eui.len != sizeof(dev_eui.be) ||
	    id->join_eui.len != sizeof(join_eui.be)) {
		return false;
	}
	memcpy(dev_eui.be, id->dev_eui.data, sizeof(dev_eui.be));
	memcpy(join_eui.be, id->join_eui.data, sizeof(join_eui.be));
	(void)snprintf(out, CTL_CURSOR_LEN, "%s,%s", eui64_str(&dev_eui, dev),
	    eui64_str(&join_eui, join));
	return true;
}

/* "DevEUI,JoinEUI" */
static enum ctl_exit
read_after(struct ctl *ctl, struct ctl_query *query)
{
	const char *text = ctl_value(ctl, AFTER);
	const char *comma = strchr(text, ',');
	char dev_eui[24] = "";
	size_t len = comma != NULL ? (size_t)(comma - text) : sizeof(dev_eui);

	if (len < sizeof(dev_eui)) {
		memcpy(dev_eui, text, len);
	}
	if (comma == NULL || !eui64_parse(dev_eui, &query->dev_eui) ||
	    !eui64_parse(comma + 1, &query->join_eui)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--after is DevEUI,JoinEUI of a device, 16 digits each, "
		    "not \"%s\"",
		    args_shown(text));
	}
	joinery__v1__device_id__init(&query->after);
	query->after.has_dev_eui = query->after.has_join_eui = 1;
	query->after.dev_eui = (ProtobufCBinaryData){ 8, query->dev_eui.be };
	query->after.join_eui = (ProtobufCBinaryData){ 8, query->join_eui.be };
	return CTL_OK;
}

/* Digits that DevEUIs begin with. */
static enum ctl_exit
read_prefix(struct ctl *ctl, struct ctl_query *query)
{
	const char *text = ctl_value(ctl, PREFIX);
	size_t digits = strlen(text);
	char padded[EUI64_STR_LEN] = "0000000000000000";
	struct eui64_prefix prefix = { .bits = (uint8_t)(4 * digits) };

	if (digits > 0 && digits < sizeof(padded)) {
		memcpy(padded, text, digits);
	}
	if (digits == 0 || digits >= sizeof(padded) ||
	    !hex_parse(padded, sizeof(padded) - 1, prefix.eui.be,
		sizeof(prefix.eui.be))) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--prefix is 1 to 16 hexadecimal digits, not \"%s\"",
		    args_shown(text));
	}
	(void)eui64_prefix_str(&prefix, query->prefix);
	return CTL_OK;
}

enum ctl_exit
query_read(struct ctl *ctl, struct ctl_query *query,
    Joinery__V1__DeviceListRequest *out)
{
	enum ctl_exit exit = CTL_OK;

	out->has_limit = 1;
	out->limit = PAGE_LIMIT;
	if (ctl_given(ctl, APP)) {
		exit = args_text(ctl, OPT_APP, STORE_LABEL_MAX, &out->app);
	}
	if (exit == CTL_OK && ctl_given(ctl, PREFIX)) {
		exit = read_prefix(ctl, query);
		out->dev_eui_prefix = query->prefix;
	}
	if (exit == CTL_OK && ctl_given(ctl, AFTER)) {
		exit = read_after(ctl, query);
		out->after = &query->after;
	}
	return exit;
}

/* ---- pages ---- */

/* Ask for no more than are left. */
static bool
is_enough(Joinery__V1__DeviceListRequest *call, size_t shown, uint32_t *left)
{
	*left -= shown < *left ? (uint32_t)shown : *left;
	call->limit = *left < PAGE_LIMIT ? *left : PAGE_LIMIT;
	return *left == 0;
}

/* Where a list that was cut goes on. */
static void
show_next(struct ctl *ctl, const Joinery__V1__DeviceId *id)
{
	char cursor[CTL_CURSOR_LEN];

	if (query_cursor(id, cursor)) {
		show_named(&ctl->show, "next", cursor);
	}
}

/* left: how many devices are wanted, and then not yet shown; NULL: all. */
static enum ctl_exit
list_run(struct ctl *ctl, const struct list *list,
    Joinery__V1__Request *request, uint32_t *left)
{
	Joinery__V1__Response *held = NULL;
	struct page page = { .more = true };
	enum ctl_exit exit = CTL_OK;

	while (page.more) {
		Joinery__V1__Response *response;

		request->has_id = 0;
		exit = ctl_call(ctl, request, list->expected, &response);
		if (exit != CTL_OK) {
			break;
		}
		if (held == NULL) {
			show_rows_begin(&ctl->show, list->name, list->type);
		}
		client_free(held);
		held = response;
		page = list->page(response);
		for (size_t i = 0; i < page.count; i++) {
			show_row(&ctl->show, page.rows[i]);
		}
		if (page.more && !list->ask_next(request, response)) {
			exit = ctl_fail(ctl, CTL_CONNECT, NULL,
			    "the server says there is more, but not where");
			break;
		}
		if (left != NULL &&
		    is_enough(request->device_list, page.count, left)) {
			break;
		}
	}
	if (held != NULL) {
		show_rows_end(&ctl->show);
	}
	if (exit == CTL_OK && page.more) {
		show_next(ctl, request->device_list->after);
	}
	client_free(held);
	return exit;
}

/* ---- devices ---- */

static struct page
device_page(const Joinery__V1__Response *response)
{
	const Joinery__V1__DeviceListAnswer *a = response->device_list;

	return (struct page){ (ProtobufCMessage **)a->devices, a->n_devices,
		a->has_more && a->more };
}

static bool
device_ask_next(
    Joinery__V1__Request *request, const Joinery__V1__Response *response)
{
	request->device_list->after = response->device_list->next;
	return request->device_list->after != NULL;
}

static const struct list device_list = {
	.name = "devices",
	.type = &joinery__v1__device__descriptor,
	.expected = JOINERY__V1__RESPONSE__RESULT_DEVICE_LIST,
	.page = device_page,
	.ask_next = device_ask_next,
};

enum ctl_exit
verb_device_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceListRequest call =
	    JOINERY__V1__DEVICE_LIST_REQUEST__INIT;
	bool limited = ctl_given(ctl, LIMIT);
	struct ctl_query query;
	uint32_t left = 0;
	enum ctl_exit exit = query_read(ctl, &query, &call);

	if (exit == CTL_OK && limited) {
		exit = args_number(ctl, OPT_LIMIT, 1, UINT32_MAX, &left);
		(void)is_enough(&call, 0, &left);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_LIST;
	request.device_list = &call;
	return list_run(ctl, &device_list, &request, limited ? &left : NULL);
}

/* ---- KEKs ---- */

static struct page
kek_page(const Joinery__V1__Response *response)
{
	const Joinery__V1__KekListAnswer *a = response->kek_list;

	return (struct page){ (ProtobufCMessage **)a->keks, a->n_keks,
		a->has_more && a->more };
}

static bool
kek_ask_next(
    Joinery__V1__Request *request, const Joinery__V1__Response *response)
{
	const Joinery__V1__KekListAnswer *a = response->kek_list;

	const Joinery__V1__Kek *last =
	    a->n_keks > 0 ? a->keks[a->n_keks - 1] : NULL;

	request->kek_list->after = last != NULL ? last->label : NULL;
	request->kek_list->has_after_generation =
	    last != NULL && last->has_generation;
	request->kek_list->after_generation =
	    last != NULL ? last->generation : 0;
	return request->kek_list->after != NULL;
}

static const struct list kek_list = {
	.name = "keks",
	.type = &joinery__v1__kek__descriptor,
	.expected = JOINERY__V1__RESPONSE__RESULT_KEK_LIST,
	.page = kek_page,
	.ask_next = kek_ask_next,
};

enum ctl_exit
verb_kek_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekListRequest call = JOINERY__V1__KEK_LIST_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_LIST;
	request.kek_list = &call;
	return list_run(ctl, &kek_list, &request, NULL);
}

/* ---- peers ---- */

static struct page
peer_page(const Joinery__V1__Response *response)
{
	const Joinery__V1__PeerListAnswer *a = response->peer_list;

	return (struct page){ (ProtobufCMessage **)a->peers, a->n_peers,
		a->has_more && a->more };
}

static bool
peer_ask_next(
    Joinery__V1__Request *request, const Joinery__V1__Response *response)
{
	const Joinery__V1__PeerListAnswer *a = response->peer_list;

	request->peer_list->after =
	    a->n_peers > 0 ? a->peers[a->n_peers - 1]->name : NULL;
	return request->peer_list->after != NULL;
}

static const struct list peer_list = {
	.name = "peers",
	.type = &joinery__v1__peer__descriptor,
	.expected = JOINERY__V1__RESPONSE__RESULT_PEER_LIST,
	.page = peer_page,
	.ask_next = peer_ask_next,
};

enum ctl_exit
verb_peer_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerListRequest call =
	    JOINERY__V1__PEER_LIST_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_PEER_LIST;
	request.peer_list = &call;
	return list_run(ctl, &peer_list, &request, NULL);
}

/* ---- applications ---- */

static struct page
app_page(const Joinery__V1__Response *response)
{
	const Joinery__V1__AppListAnswer *a = response->app_list;

	return (struct page){ (ProtobufCMessage **)a->apps, a->n_apps,
		a->has_more && a->more };
}

static bool
app_ask_next(
    Joinery__V1__Request *request, const Joinery__V1__Response *response)
{
	const Joinery__V1__AppListAnswer *a = response->app_list;

	request->app_list->after =
	    a->n_apps > 0 ? a->apps[a->n_apps - 1]->name : NULL;
	return request->app_list->after != NULL;
}

static const struct list app_list = {
	.name = "apps",
	.type = &joinery__v1__app__descriptor,
	.expected = JOINERY__V1__RESPONSE__RESULT_APP_LIST,
	.page = app_page,
	.ask_next = app_ask_next,
};

enum ctl_exit
verb_app_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AppListRequest call = JOINERY__V1__APP_LIST_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_APP_LIST;
	request.app_list = &call;
	return list_run(ctl, &app_list, &request, NULL);
}

/* ---- the token's keys ---- */

static struct page
orphan_page(const Joinery__V1__Response *response)
{
	const Joinery__V1__TokenOrphansAnswer *a = response->token_orphans;

	return (struct page){ (ProtobufCMessage **)a->orphans, a->n_orphans,
		a->has_more && a->more };
}

static bool
orphan_ask_next(
    Joinery__V1__Request *request, const Joinery__V1__Response *response)
{
	const Joinery__V1__TokenOrphansAnswer *a = response->token_orphans;
	const Joinery__V1__TokenOrphan *last =
	    a->n_orphans > 0 ? a->orphans[a->n_orphans - 1] : NULL;

	request->token_orphans->has_after = last != NULL && last->has_key_id;
	if (request->token_orphans->has_after) {
		request->token_orphans->after = last->key_id;
	}
	return request->token_orphans->has_after;
}

static const struct list orphan_list = {
	.name = "orphans",
	.type = &joinery__v1__token_orphan__descriptor,
	.expected = JOINERY__V1__RESPONSE__RESULT_TOKEN_ORPHANS,
	.page = orphan_page,
	.ask_next = orphan_ask_next,
};

enum ctl_exit
verb_token_orphans(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__TokenOrphansRequest call =
	    JOINERY__V1__TOKEN_ORPHANS_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_TOKEN_ORPHANS;
	request.token_orphans = &call;
	return list_run(ctl, &orphan_list, &request, NULL);
}
