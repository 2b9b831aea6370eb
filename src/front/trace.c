/* SPDX-License-Identifier: Apache-2.0 */
/* A short list of who watches what; most of the time it is empty. */
#include "src/front/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/unpack.h"
#include "src/base/arena.h"
#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/front/conn.h"
#include "src/front/pending.h"
#include "src/front/respond.h"
#include "src/front/server.h"

struct trace {
	struct conn *conn; /* NULL: free */
	struct asked asked;
	uint8_t dev_eui[TRACE_DEV_EUI_LEN];
	uint64_t dropped; /* so far */
};

struct traces {
	struct trace list[TRACES_MAX];
	size_t count;
};

struct traces *
traces_new(void)
{
	return sys_xcalloc(1, sizeof(struct traces));
}

void
traces_free(struct traces *t)
{
	free(t);
}

/* ---- begin and end ---- */

static struct trace *
trace_free_place(struct traces *t)
{
	for (size_t i = 0; i < TRACES_MAX; i++) {
		if (t->list[i].conn == NULL) {
			return &t->list[i];
		}
	}
	return NULL;
}

static void
trace_send(struct trace *trace, Joinery__V1__TraceEvent *event)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__TraceAnswer answer = JOINERY__V1__TRACE_ANSWER__INIT;

	response.result_case = JOINERY__V1__RESPONSE__RESULT_TRACE;
	response.trace = &answer;
	answer.event = event;
	answer.has_dropped = trace->dropped > 0;
	answer.dropped = trace->dropped;
	respond(&trace->asked, &response, "");
}

static void
trace_refuse(struct server *s, struct asked *asked, Joinery__V1__ErrorCode code,
    const char *why, const char *todo)
{
	asked->seq = pending_seq(s->pending);
	respond_error(s, asked, code, why, todo);
}

void
trace_begin(
    struct server *s, struct asked *asked, const uint8_t *dev_eui, size_t len)
{
	struct conn *c = conn_of(asked->waiter);
	struct trace *trace = trace_free_place(s->traces);

	if (c == NULL || !respond_asked_by_admin(s, asked)) {
		trace_refuse(s, asked, JOINERY__V1__ERROR_CODE__NOT_ALLOWED,
		    "trace is for admins on the Unix socket",
		    "add the uid to admin-uids if it may know");
	} else if (len != TRACE_DEV_EUI_LEN) {
		trace_refuse(s, asked,
		    JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST,
		    "dev_eui does not have 8 octets",
		    "have the admin name a device");
	} else if (trace == NULL) {
		trace_refuse(s, asked, JOINERY__V1__ERROR_CODE__BUSY,
		    "too many traces are under way", "end one of them");
	} else {
		*trace = (struct trace){ .conn = c, .asked = *asked };
		memcpy(trace->dev_eui, dev_eui, sizeof(trace->dev_eui));
		s->traces->count++;
		conn_keep(c);
		trace_send(trace, NULL);
	}
}

void
trace_end(struct traces *t, const struct conn *c)
{
	for (size_t i = 0; i < TRACES_MAX && t->count > 0; i++) {
		if (t->list[i].conn == c) {
			t->list[i].conn = NULL;
			t->count--;
		}
	}
}

/* ---- events ---- */

static bool
trace_is_of(const struct trace *trace, const uint8_t *dev_eui)
{
	return trace->conn != NULL &&
	    memcmp(trace->dev_eui, dev_eui, sizeof(trace->dev_eui)) == 0;
}

bool
trace_wants(const struct traces *t, const uint8_t *dev_eui)
{
	for (size_t i = 0; i < TRACES_MAX && t->count > 0; i++) {
		if (trace_is_of(&t->list[i], dev_eui)) {
			return true;
		}
	}
	return false;
}

/* To all who watch the device; one that lags behind loses it. */
static void
trace_spread(struct server *s, const struct traced *traced,
    Joinery__V1__TraceEvent *event)
{
	event->has_total_us = 1;
	event->total_us = sys_mono_us() - traced->started_us;
	for (size_t i = 0; i < TRACES_MAX; i++) {
		struct trace *trace = &s->traces->list[i];

		if (!trace_is_of(trace, traced->dev_eui)) {
			continue;
		}
		if (conn_lags(trace->conn)) {
			s->stats.traces_dropped++;
			trace->dropped++;
		} else {
			trace_send(trace, event);
		}
	}
}

void
trace_event(struct server *s, const struct traced *traced, const uint8_t *event,
    size_t len)
{
	struct arena arena = { .chunks = NULL };
	Joinery__V1__TraceEvent *read;

	if (traced->call == NULL) {
		return;
	}
	read = (Joinery__V1__TraceEvent *)unpack(
	    &arena, &joinery__v1__trace_event__descriptor, event, len);
	if (read != NULL) {
		trace_spread(s, traced, read);
	} else {
		log_error("trace", "an event does not parse",
		    "do=\"report it as a bug of joinery-worker\"%s", "");
	}
	arena_reset(&arena);
}

void
trace_refused(struct server *s, const struct traced *traced,
    const Joinery__V1__Error *error)
{
	Joinery__V1__TraceEvent event = JOINERY__V1__TRACE_EVENT__INIT;
	Joinery__V1__DeviceId device = JOINERY__V1__DEVICE_ID__INIT;
	uint8_t dev_eui[TRACE_DEV_EUI_LEN];
	char call[32];

	if (traced->call == NULL) {
		return;
	}
	(void)snprintf(call, sizeof(call), "%s", traced->call);
	memcpy(dev_eui, traced->dev_eui, sizeof(dev_eui));
	device.has_dev_eui = 1;
	device.dev_eui.data = dev_eui;
	device.dev_eui.len = sizeof(dev_eui);
	event.has_time_ms = 1;
	event.time_ms = sys_real.now_ms();
	event.call = call;
	event.request_id = error->request_id;
	event.has_code = 1;
	event.code = error->code;
	event.reason = error->message;
	event.device = &device;
	trace_spread(s, traced, &event);
}
