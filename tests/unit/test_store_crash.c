/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill -9 in the middle of commits: every join that was acknowledged is
 * there afterwards, and no JoinNonce was given twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/store_util.h"

#define DEVICES 4
#define ROUNDS 8
#define DEVNONCES 65536

struct ack {
	uint32_t device;
	uint32_t join_nonce;
	uint8_t session[STORE_ID_LEN];
	uint32_t dev_nonce;
};

/* What the parent knows of a device from the acknowledgements. */
struct known {
	uint32_t join_nonce;
	uint8_t session[STORE_ID_LEN];
	bool dev_nonces[DEVNONCES];
};

static char dir[64];
static struct known known[DEVICES];

static struct store *
open_store(void)
{
	struct store_config config = util_config("lmdb", dir);

	config.map_first = 256 * 1024;
	config.refusal_flush_ms = 5;
	return util_open(&config);
}

struct worker {
	struct store *s;
	unsigned device;
	int fd;
};

/* Join without end, and acknowledge each join when it is durable. */
static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct device_id id = util_device_id(w->device);
	struct refusal_row refusal = util_refusal(w->device, 1);
	struct join_commit c;
	struct nonce_row nonces;
	size_t used;

	for (;;) {
		struct ack ack = { .device = w->device };

		jy_assert(
		    store_nonces_get(w->s, &id, &nonces, &used, NULL) == JY_OK);
		ack.dev_nonce = nonces.join_nonce % DEVNONCES;
		jy_assert(util_join_now(w->s, w->device,
			      (uint16_t)ack.dev_nonce, &c) == JY_OK);
		ack.join_nonce = c.session.join_nonce;
		memcpy(ack.session, c.session.id, STORE_ID_LEN);
		/* Less than PIPE_BUF: written whole or not at all. */
		jy_assert(write(w->fd, &ack, sizeof(ack)) == sizeof(ack));
		store_refusal_note(w->s, &refusal);
	}
	return NULL;
}

static void
child_main(int fd)
{
	struct worker workers[DEVICES];
	pthread_t thread;
	struct store *s = open_store();

	for (unsigned i = 0; i < DEVICES; i++) {
		workers[i] = (struct worker){ s, i, fd };
		jy_assert(pthread_create(
			      &thread, NULL, worker_main, &workers[i]) == 0);
	}
	for (;;) {
		(void)pause();
	}
}

static void
take_acks(int fd, unsigned enough, pid_t child)
{
	struct ack ack;
	unsigned n = 0;

	while (read(fd, &ack, sizeof(ack)) == sizeof(ack)) {
		struct known *k = &known[ack.device];

		assert_true(ack.device < DEVICES);
		assert_true(ack.join_nonce > k->join_nonce);
		k->join_nonce = ack.join_nonce;
		memcpy(k->session, ack.session, STORE_ID_LEN);
		k->dev_nonces[ack.dev_nonce] = true;
		if (++n == enough) {
			assert_int_equal(kill(child, SIGKILL), 0);
		}
	}
}

static void
check_store(void)
{
	struct store *s = open_store();

	for (unsigned i = 0; i < DEVICES; i++) {
		struct device_id id = util_device_id(i);
		struct session_row row;
		struct join_view view;

		for (unsigned v = 0; v < DEVNONCES; v++) {
			if (!known[i].dev_nonces[v]) {
				continue;
			}
			assert_int_equal(
			    store_join_view(s, &id, (uint16_t)v, &view, NULL),
			    JY_OK);
			assert_true(view.dev_nonce_seen);
		}
		assert_int_equal(
		    store_join_view(s, &id, 0, &view, NULL), JY_OK);
		/* One more may be durable and not acknowledged. */
		assert_in_range(view.nonces.join_nonce, known[i].join_nonce,
		    known[i].join_nonce + 1);
		if (known[i].join_nonce > 0) {
			assert_int_equal(
			    store_session_get(s, known[i].session, &row, NULL),
			    JY_OK);
			assert_int_equal(row.join_nonce, known[i].join_nonce);
		}
	}
	store_close(s);
}

static void
test_kill(void **state)
{
	struct store *s;

	(void)state;
	util_dir_make(dir);
	s = open_store();
	for (unsigned i = 0; i < DEVICES; i++) {
		struct device_row row = util_device(i);

		assert_int_equal(store_device_put(s, &row, NULL), JY_OK);
	}
	store_close(s);
	for (unsigned round = 0; round < ROUNDS; round++) {
		int status;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			child_main(fds[1]);
		}
		(void)close(fds[1]);
		take_acks(fds[0], 15 + 11 * round, pid);
		(void)close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
		check_store();
	}
	util_dir_remove(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
