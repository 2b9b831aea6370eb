/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor with a fake worker but no event loop, so that what a loop
 * meets by chance happens each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/conf/conf.h"
#include "src/front/pending.h"
#include "src/front/route.h"
#include "src/front/server.h"
#include "src/front/supervisor.h"

#define WORKERS 3

static struct conf *
load_conf(void)
{
	char path[] = "/tmp/joinery-test.XXXXXX";
	int fd = mkstemp(path);
	struct errctx ec = ERRCTX_INIT;
	struct conf *conf = NULL;

	assert_true(fd >= 0);
	assert_true(dprintf(fd,
			"token-uri = 'pkcs11:token=t'\n"
			"worker-program = 'tests/unit/fake_worker'\n") > 0);
	assert_int_equal(conf_load(path, &conf, &ec), JY_OK);
	(void)close(fd);
	(void)unlink(path);
	return conf;
}

static int
setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->conf = load_conf();
	s->base = event_base_new();
	s->pending = pending_new(1);
	s->supervisor = supervisor_new(s, WORKERS);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct server *s = *state;

	supervisor_free(s->supervisor);
	pending_free(s->pending);
	event_base_free(s->base);
	libevent_global_shutdown();
	conf_free((struct conf *)(uintptr_t)s->conf);
	free(s);
	return 0;
}

/* It dies while its Hello is still unread. */
static void
test_hello_of_the_dead(void **state)
{
	static const struct route route = { .keyed = true };
	struct server *s = *state;
	const struct worker_list *workers = supervisor_workers(s->supervisor);
	siginfo_t info;
	pid_t first;

	assert_int_equal(setenv("FAKE_BRIEF", "1", 1), 0);
	supervisor_start(s->supervisor);
	assert_non_null(TAILQ_FIRST(workers));
	first = TAILQ_FIRST(workers)->pid;
	assert_int_equal(
	    waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(info.si_code, CLD_KILLED);
	supervisor_reap(s->supervisor);
	assert_null(supervisor_pick(s->supervisor, &route));
	assert_null(supervisor_any_ready(s->supervisor));
	assert_string_equal(
	    supervisor_trouble(s->supervisor), "a worker crashed");
	assert_int_equal(s->stats.worker_ends, 1);
	/* Its slot is free for the next one. */
	assert_non_null(TAILQ_FIRST(workers));
	assert_int_not_equal(TAILQ_FIRST(workers)->pid, first);
	assert_int_equal(TAILQ_FIRST(workers)->state, WORKER_STARTING);
}

static struct worker *
worker_of(const struct supervisor *sup, unsigned slot)
{
	struct worker *w;

	TAILQ_FOREACH(w, supervisor_workers(sup), link)
	{
		if (w->slot == slot) {
			return w;
		}
	}
	return NULL;
}

static const struct route any = { .keyed = false };

/* Who is picked, of several times. */
static void
pick_some(struct supervisor *sup, bool picked[WORKERS])
{
	memset(picked, 0, WORKERS * sizeof(picked[0]));
	for (size_t i = 0; i < 2 * WORKERS; i++) {
		picked[supervisor_pick(sup, &any)->slot] = true;
	}
}

/* What has no worker of its own goes to one that has least to do. */
static void
test_pick(void **state)
{
	static const Joinery__Corridor__Hello hello =
	    JOINERY__CORRIDOR__HELLO__INIT;
	struct server *s = *state;
	struct supervisor *sup = s->supervisor;
	struct worker *by_slot[WORKERS];
	struct route keyed = { .keyed = true };
	struct errctx ec = ERRCTX_INIT;
	bool picked[WORKERS];

	assert_int_equal(unsetenv("FAKE_BRIEF"), 0);
	supervisor_start(sup);
	for (unsigned i = 0; i < WORKERS; i++) {
		by_slot[i] = worker_of(sup, i);
		assert_non_null(by_slot[i]);
		assert_int_equal(
		    supervisor_hello(by_slot[i], &hello, &ec), JY_OK);
		by_slot[i]->in_flight = i == 1 ? 2 : 3;
	}
	pick_some(sup, picked);
	assert_true(picked[1] && !picked[0] && !picked[2]);
	for (unsigned i = 0; i < WORKERS; i++) {
		keyed.hash = i;
		assert_ptr_equal(supervisor_pick(sup, &keyed), by_slot[i]);
	}
	by_slot[2]->in_flight = 2;
	pick_some(sup, picked);
	assert_true(picked[1] && picked[2] && !picked[0]);
	by_slot[1]->state = WORKER_DRAINING;
	pick_some(sup, picked);
	assert_true(picked[2] && !picked[0] && !picked[1]);
	keyed.hash = 1;
	assert_ptr_equal(supervisor_pick(sup, &keyed), by_slot[2]);
	for (unsigned i = 0; i < WORKERS; i++) {
		by_slot[i]->state = WORKER_DRAINING;
		by_slot[i]->in_flight = 0;
	}
	assert_null(supervisor_pick(sup, &any));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_hello_of_the_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pick, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
