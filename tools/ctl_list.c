/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that come in pages: one loop for all, rows shown as they arrive.  The
 * next request borrows from a page, so that one is kept until then.
 */
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

static enum ctl_exit
list_run(
    struct ctl *ctl, const struct list *list, Joinery__V1__Request *request)
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
	}
	if (held != NULL) {
		show_rows_end(&ctl->show);
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

	call.has_limit = 1;
	call.limit = PAGE_LIMIT;
	if (ctl_given(ctl, APP)) {
		enum ctl_exit exit =
		    args_text(ctl, OPT_APP, STORE_LABEL_MAX, &call.app);

		if (exit != CTL_OK) {
			return exit;
		}
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_LIST;
	request.device_list = &call;
	return list_run(ctl, &device_list, &request);
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
	return list_run(ctl, &kek_list, &request);
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
	return list_run(ctl, &peer_list, &request);
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
	return list_run(ctl, &app_list, &request);
}
