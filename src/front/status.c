/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status, from what the front knows and the workers' counter pages: it works
 * when no worker does.
 */
#include "src/front/status.h"

#include <sys/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "proto/counters.h"
#include "src/base/sys.h"
#include "src/front/conn.h"
#include "src/front/http.h"
#include "src/front/pending.h"
#include "src/front/respond.h"
#include "src/front/server.h"
#include "src/front/supervisor.h"
#include "src/front/worker.h"

enum {
#define X(name, meaning) WORKER_COUNTER_##name,
#include "proto/counters.def"
#undef X
	WORKER_COUNTERS
};

enum {
#define X(name, meaning) FRONT_COUNTER_##name,
#include "src/front/stats.def"
#undef X
	FRONT_COUNTERS
};

/* Names as protobuf-c wants them: not const. */
static char worker_counter_names[][32] = {
#define X(name, meaning) #name,
#include "proto/counters.def"
#undef X
};

static char front_counter_names[][32] = {
#define X(name, meaning) #name,
#include "src/front/stats.def"
#undef X
};

/* More workers than this would not fit into a frame. */
#define REPORTS_MAX 96U

/* One worker's part of the answer and all it points to. */
struct worker_report {
	Joinery__V1__WorkerStatus status;
	Joinery__V1__Counter counters[WORKER_COUNTERS];
	Joinery__V1__Counter *counter_list[WORKER_COUNTERS];
};

/* Resident memory of a process; 0 if the kernel does not tell. */
static uint64_t
rss_bytes(pid_t pid)
{
	char path[40];
	unsigned long long total, resident = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL) {
		return 0;
	}
	if (fscanf(f, "%llu %llu", &total, &resident) != 2) {
		resident = 0;
	}
	(void)fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
counter_fill(Joinery__V1__Counter *c, char *name, uint64_t value)
{
	joinery__v1__counter__init(c);
	c->name = name;
	c->has_value = 1;
	c->value = value;
}

static void
report_counters(struct worker_report *report, const struct counters *from)
{
	const uint64_t values[] = {
#define X(name, meaning) counters_get(from->name),
#include "proto/counters.def"
#undef X
	};

	for (size_t i = 0; i < WORKER_COUNTERS; i++) {
		counter_fill(
		    &report->counters[i], worker_counter_names[i], values[i]);
		report->counter_list[i] = &report->counters[i];
	}
	report->status.n_counters = WORKER_COUNTERS;
	report->status.counters = report->counter_list;
}

static void
report_fill(
    struct worker_report *report, const struct worker *w, uint64_t now_us)
{
	Joinery__V1__WorkerStatus *st = &report->status;

	joinery__v1__worker_status__init(st);
	st->has_slot = 1;
	st->slot = w->slot;
	st->has_pid = 1;
	st->pid = (uint32_t)w->pid;
	/* protobuf-c has no const text; packing does not write to it. */
	st->state = (char *)(uintptr_t)worker_state_name(w->state);
	st->has_in_flight = 1;
	st->in_flight = w->in_flight;
	st->has_rss_bytes = 1;
	st->rss_bytes = rss_bytes(w->pid);
	st->has_uptime_ms = 1;
	st->uptime_ms = (now_us - w->started_us) / 1000U;
	report_counters(report, w->counters);
}

/* A slot without a worker is worth a line too. */
static void
report_down(struct worker_report *report, unsigned slot)
{
	static char down[] = "down";

	joinery__v1__worker_status__init(&report->status);
	report->status.has_slot = 1;
	report->status.slot = slot;
	report->status.state = down;
}

/* Fill reports and their list; at most cap; the number made. */
static size_t
reports_make(struct server *s, struct worker_report *reports,
    Joinery__V1__WorkerStatus **list, size_t cap)
{
	uint64_t now_us = sys_mono_us();
	const struct worker *w;
	size_t n = 0;

	for (unsigned slot = 0; slot < supervisor_slots(s->supervisor);
	     slot++) {
		size_t before = n;

		TAILQ_FOREACH(w, supervisor_workers(s->supervisor), link)
		{
			if (w->slot == slot && n < cap) {
				report_fill(&reports[n++], w, now_us);
			}
		}
		if (n == before && n < cap) {
			report_down(&reports[n++], slot);
		}
	}
	for (size_t i = 0; i < n; i++) {
		list[i] = &reports[i].status;
	}
	return n;
}

/*
 * What keeps joins from working while workers work: a KEK that is not there.
 * Each worker has looked for itself.
 */
static const char *
kek_trouble(struct server *s)
{
	const struct worker *w;

	TAILQ_FOREACH(w, supervisor_workers(s->supervisor), link)
	{
		if (w->state == WORKER_READY &&
		    counters_get(w->counters->keks_unfit) > 0) {
			return "a KEK is missing from the token, is another "
			       "key than it was, or is named but not there; "
			       "the log says which";
		}
	}
	return NULL;
}

static void
status_fill(struct server *s, Joinery__V1__StatusAnswer *st)
{
	static char version[] = PACKAGE_VERSION;
	const struct worker *ready = supervisor_any_ready(s->supervisor);
	const char *trouble;

	st->version = version;
	st->has_pid = 1;
	st->pid = (uint32_t)getpid();
	st->has_uptime_ms = 1;
	st->uptime_ms = (sys_mono_us() - s->started_us) / 1000U;
	st->has_rss_bytes = 1;
	st->rss_bytes = rss_bytes(getpid());
	st->has_connections = 1;
	st->connections =
	    (uint32_t)(conns_count(s->conns) + http_count(s->http));
	if (ready != NULL) {
		st->token = (char *)(uintptr_t)ready->token;
	}
	trouble = supervisor_trouble(s->supervisor);
	if (trouble == NULL) {
		trouble = kek_trouble(s);
	}
	st->trouble = (char *)(uintptr_t)trouble;
}

static void
status_send(struct server *s, struct asked *asked)
{
	const uint64_t values[] = {
#define X(name, meaning) s->stats.name,
#include "src/front/stats.def"
#undef X
	};
	size_t cap = REPORTS_MAX;
	struct worker_report *reports = calloc(cap, sizeof(*reports));
	Joinery__V1__WorkerStatus **list = calloc(cap, sizeof(*list));
	Joinery__V1__Counter counters[FRONT_COUNTERS];
	Joinery__V1__Counter *counter_list[FRONT_COUNTERS];
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__StatusAnswer st = JOINERY__V1__STATUS_ANSWER__INIT;

	if (reports != NULL && list != NULL) {
		st.n_workers = reports_make(s, reports, list, cap);
	}
	st.workers = list;
	for (size_t i = 0; i < FRONT_COUNTERS; i++) {
		counter_fill(&counters[i], front_counter_names[i], values[i]);
		counter_list[i] = &counters[i];
	}
	st.n_counters = FRONT_COUNTERS;
	st.counters = counter_list;
	status_fill(s, &st);
	response.result_case = JOINERY__V1__RESPONSE__RESULT_STATUS;
	response.status = &st;
	respond(asked, &response, "");
	free(reports);
	free(list);
}

void
status_answer(struct server *s, struct asked *asked)
{
	s->stats.status_calls++;
	if (respond_asked_by_admin(s, asked)) {
		status_send(s, asked);
		return;
	}
	asked->seq = pending_seq(s->pending);
	respond_error(s, asked, JOINERY__V1__ERROR_CODE__NOT_ALLOWED,
	    "status is for admins on the Unix socket",
	    "add the uid to admin-uids if it may know");
}
