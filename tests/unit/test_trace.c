/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches which device, with connections that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/conn.h"
#include "src/front/pending.h"
#include "src/front/respond.h"
#include "src/front/server.h"
#include "src/front/trace.h"
#include "src/front/waiter.h"

static uint8_t watched[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static uint8_t other[8] = { 8, 7, 6, 5, 4, 3, 2, 1 };

/* ---- what trace.c takes for connections ---- */

struct conn {
	struct waiter waiter;
	Joinery__Corridor__Credential credential;
	bool is_http;
	bool lags;
	bool kept;
	unsigned n; /* answers so far */
	Joinery__V1__Response *last;
};

static const char *
fake_name(const struct waiter *w)
{
	(void)w;
	return "uid=0";
}

static const Joinery__Corridor__Credential *
fake_credential(const struct waiter *w)
{
	return &((const struct conn *)w)->credential;
}

static void
fake_answer(struct waiter *w, const uint8_t *response, size_t len,
    const char *request_id, const Joinery__Corridor__AnswerTo *to)
{
	struct conn *c = (struct conn *)w;

	assert_non_null(request_id);
	assert_null(to);
	if (c->last != NULL) {
		joinery__v1__response__free_unpacked(c->last, NULL);
	}
	c->last = joinery__v1__response__unpack(NULL, len, response);
	assert_non_null(c->last);
	c->n++;
}

static const struct waiter_ops fake_ops = {
	.name = fake_name,
	.credential = fake_credential,
	.answer = fake_answer,
};

struct conn *
conn_of(struct waiter *waiter)
{
	struct conn *c = (struct conn *)waiter;

	return c->is_http ? NULL : c;
}

void
conn_keep(struct conn *c)
{
	c->kept = true;
}

bool
conn_lags(const struct conn *c)
{
	return c->lags;
}

/* ---- the scene ---- */

struct scene {
	struct server s;
	struct conf conf;
	struct conn conns[TRACES_MAX + 1];
};

static int
setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->s.conf = &scene->conf;
	scene->s.pending = pending_new(1);
	scene->s.traces = traces_new();
	for (size_t i = 0; i < ARRAY_LEN(scene->conns); i++) {
		struct conn *c = &scene->conns[i];

		c->waiter.ops = &fake_ops;
		joinery__corridor__credential__init(&c->credential);
		c->credential.has_uid = 1;
		c->credential.uid = (uint32_t)geteuid();
	}
	*state = scene;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(scene->conns); i++) {
		if (scene->conns[i].last != NULL) {
			joinery__v1__response__free_unpacked(
			    scene->conns[i].last, NULL);
		}
	}
	traces_free(scene->s.traces);
	pending_free(scene->s.pending);
	free(scene);
	return 0;
}

static void
begin(struct scene *scene, struct conn *c, uint64_t id, const uint8_t *dev_eui,
    size_t len)
{
	struct asked asked = { .waiter = &c->waiter, .id = id, .has_id = true };

	trace_begin(&scene->s, &asked, dev_eui, len);
}

static struct traced
about(const uint8_t *dev_eui)
{
	struct traced traced = { .call = "join",
		.started_us = sys_mono_us() - 5000 };

	memcpy(traced.dev_eui, dev_eui, sizeof(traced.dev_eui));
	return traced;
}

/* An event as a worker makes it. */
static void
event(struct scene *scene, const uint8_t *dev_eui)
{
	Joinery__V1__TraceEvent e = JOINERY__V1__TRACE_EVENT__INIT;
	struct traced traced = about(dev_eui);
	char peer[] = "ns1";
	uint8_t buf[64];
	size_t len;

	e.peer = peer;
	e.has_join_nonce = 1;
	e.join_nonce = 9;
	len = joinery__v1__trace_event__pack(&e, buf);
	trace_event(&scene->s, &traced, buf, len);
}

static Joinery__V1__ErrorCode
refused_with(const struct conn *c)
{
	assert_int_equal(
	    c->last->result_case, JOINERY__V1__RESPONSE__RESULT_ERROR);
	return c->last->error->code;
}

static const Joinery__V1__TraceAnswer *
answer_of(const struct conn *c, uint64_t id)
{
	assert_int_equal(
	    c->last->result_case, JOINERY__V1__RESPONSE__RESULT_TRACE);
	assert_int_equal(c->last->id, id);
	return c->last->trace;
}

/* ---- tests ---- */

static void
test_event(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0], *b = &scene->conns[1];
	const Joinery__V1__TraceAnswer *answer;

	assert_false(trace_wants(scene->s.traces, watched));
	begin(scene, a, 5, watched, 8);
	answer = answer_of(a, 5);
	assert_null(answer->event);
	assert_false(answer->has_dropped);
	assert_true(a->kept);
	begin(scene, b, 6, other, 8);
	assert_true(trace_wants(scene->s.traces, watched));
	assert_true(trace_wants(scene->s.traces, other));
	event(scene, watched);
	assert_int_equal(a->n, 2);
	assert_int_equal(b->n, 1);
	answer = answer_of(a, 5);
	assert_string_equal(answer->event->peer, "ns1");
	assert_int_equal(answer->event->join_nonce, 9);
	assert_true(answer->event->total_us >= 5000);
	assert_true(answer->event->total_us < 60000000);
}

/* One connection may watch several devices, several the same one. */
static void
test_many(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0], *b = &scene->conns[1];

	begin(scene, a, 1, watched, 8);
	begin(scene, a, 2, other, 8);
	begin(scene, b, 3, other, 8);
	event(scene, other);
	assert_int_equal(a->n, 3);
	assert_int_equal(b->n, 2);
	assert_non_null(answer_of(a, 2)->event);
	event(scene, watched);
	assert_int_equal(a->n, 4);
	assert_int_equal(b->n, 2);
	assert_non_null(answer_of(a, 1)->event);
}

static void
test_refusal_of_the_front(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0], *asker = &scene->conns[1];
	struct asked asked = { .waiter = &asker->waiter,
		.seq = pending_seq(scene->s.pending),
		.traced = about(watched) };
	const Joinery__V1__TraceEvent *e;

	begin(scene, a, 1, watched, 8);
	respond_error(&scene->s, &asked, JOINERY__V1__ERROR_CODE__BUSY,
	    "too many", "wait");
	assert_int_equal(refused_with(asker), JOINERY__V1__ERROR_CODE__BUSY);
	e = answer_of(a, 1)->event;
	assert_int_equal(e->code, JOINERY__V1__ERROR_CODE__BUSY);
	assert_string_equal(e->reason, "too many");
	assert_string_equal(e->call, "join");
	assert_string_equal(e->request_id, asker->last->error->request_id);
	assert_int_equal(e->device->dev_eui.len, 8);
	assert_memory_equal(e->device->dev_eui.data, watched, 8);
	assert_true(e->time_ms > 0 && e->total_us >= 5000);
	asked.traced.call = NULL;
	respond_error(&scene->s, &asked, JOINERY__V1__ERROR_CODE__BUSY,
	    "too many", "wait");
	assert_int_equal(a->n, 2);
}

static void
test_not_admin(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0], *b = &scene->conns[1],
		    *c = &scene->conns[2];

	a->credential.uid = (uint32_t)geteuid() + 4711;
	begin(scene, a, 1, watched, 8);
	assert_int_equal(refused_with(a), JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
	assert_true(a->last->has_id && a->last->id == 1);
	b->credential.has_uid = 0; /* TLS */
	begin(scene, b, 1, watched, 8);
	assert_int_equal(refused_with(b), JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
	c->is_http = true;
	begin(scene, c, 1, watched, 8);
	assert_int_equal(refused_with(c), JOINERY__V1__ERROR_CODE__NOT_ALLOWED);
	assert_false(trace_wants(scene->s.traces, watched));
	assert_false(a->kept || b->kept || c->kept);
}

static void
test_wrong_length(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0];

	begin(scene, a, 1, watched, 0);
	assert_int_equal(
	    refused_with(a), JOINERY__V1__ERROR_CODE__MALFORMED_REQUEST);
	assert_false(trace_wants(scene->s.traces, watched));
}

static void
test_too_many(void **state)
{
	struct scene *scene = *state;
	struct conn *last = &scene->conns[TRACES_MAX];

	for (size_t i = 0; i < TRACES_MAX; i++) {
		begin(scene, &scene->conns[i], 1, watched, 8);
		(void)answer_of(&scene->conns[i], 1);
	}
	begin(scene, last, 1, watched, 8);
	assert_int_equal(refused_with(last), JOINERY__V1__ERROR_CODE__BUSY);
	trace_end(scene->s.traces, &scene->conns[3]);
	begin(scene, last, 2, watched, 8);
	assert_null(answer_of(last, 2)->event);
	event(scene, watched);
	assert_int_equal(scene->conns[3].n, 1);
	assert_int_equal(scene->conns[4].n, 2);
	assert_non_null(answer_of(last, 2)->event);
}

static void
test_dropped(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0];

	begin(scene, a, 1, watched, 8);
	a->lags = true;
	event(scene, watched);
	event(scene, watched);
	assert_int_equal(a->n, 1);
	assert_int_equal(scene->s.stats.traces_dropped, 2);
	a->lags = false;
	event(scene, watched);
	assert_int_equal(a->n, 2);
	assert_non_null(answer_of(a, 1)->event);
	assert_int_equal(answer_of(a, 1)->dropped, 2);
	event(scene, watched);
	assert_int_equal(answer_of(a, 1)->dropped, 2); /* so far */
}

static void
test_end(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0], *b = &scene->conns[1];

	trace_end(scene->s.traces, a);
	begin(scene, a, 1, watched, 8);
	begin(scene, a, 2, other, 8);
	begin(scene, b, 3, watched, 8);
	trace_end(scene->s.traces, a);
	assert_true(trace_wants(scene->s.traces, watched));
	assert_false(trace_wants(scene->s.traces, other));
	event(scene, watched);
	assert_int_equal(a->n, 2);
	assert_int_equal(b->n, 2);
	trace_end(scene->s.traces, b);
	assert_false(trace_wants(scene->s.traces, watched));
}

/* What a worker sends is not trusted to parse, nor to be asked for. */
static void
test_odd_events(void **state)
{
	struct scene *scene = *state;
	struct conn *a = &scene->conns[0];
	struct traced traced = about(watched);

	begin(scene, a, 1, watched, 8);
	trace_event(&scene->s, &traced, (const uint8_t *)"\xff\xff", 2);
	assert_int_equal(a->n, 1);
	traced.call = NULL;
	trace_event(&scene->s, &traced, NULL, 0);
	assert_int_equal(a->n, 1);
	event(scene, other);
	assert_int_equal(a->n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_event),
		TEST(test_many),
		TEST(test_refusal_of_the_front),
		TEST(test_not_admin),
		TEST(test_wrong_length),
		TEST(test_too_many),
		TEST(test_dropped),
		TEST(test_end),
		TEST(test_odd_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
