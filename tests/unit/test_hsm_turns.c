/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that write to one token at the same moment. */
#include <sys/mman.h>
#include <sys/wait.h>

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "src/base/sys.h"
#include "tests/unit/hsm_fixture.h"

#define WRITERS 3
#define ROUNDS 40

static struct token token;

/* Where all begin, and end, at once. */
static pthread_barrier_t *
shared_barrier(void)
{
	pthread_barrier_t *barrier = mmap(NULL, sizeof(*barrier),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t attr;

	assert_true(barrier != MAP_FAILED);
	assert_int_equal(pthread_barrierattr_init(&attr), 0);
	assert_int_equal(
	    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
	assert_int_equal(pthread_barrier_init(barrier, &attr, WRITERS), 0);
	return barrier;
}

static struct hsm_id
id_of_round(unsigned round, unsigned writer)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%c-%u", 'a' + (char)writer, round);
	return id_of(text);
}

/* Each makes a key, at once; then each has to see all of them. */
static unsigned
round_of(struct hsm *hsm, pthread_barrier_t *barrier, unsigned round,
    unsigned writer)
{
	struct hsm_id id = id_of_round(round, writer);
	uint8_t kcv[HSM_KCV_LEN], proof[HSM_WRAPPED_LEN];
	unsigned unseen = 0;

	(void)pthread_barrier_wait(barrier);
	unseen += hsm_key_generate(hsm, 16, HSM_KEK, &id, "turns", kcv, NULL) !=
	    JY_OK;
	(void)pthread_barrier_wait(barrier);
	for (unsigned i = 0; i < WRITERS; i++) {
		id = id_of_round(round, i);
		unseen += hsm_kek_prove(hsm, &id, proof, NULL) != JY_OK;
	}
	return unseen;
}

/* A process; ends with 0 if it always saw all. */
static void
writer_run(pthread_barrier_t *barrier, unsigned writer)
{
	unsigned unseen = 0;
	struct hsm *hsm;

	/* All open the token at once, again and again. */
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		(void)pthread_barrier_wait(barrier);
		hsm_close(token_open(&token));
	}
	hsm = token_open(&token);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unseen += round_of(hsm, barrier, i, writer);
	}
	hsm_close(hsm);
	(void)fprintf(stderr, "writer %u: unseen %u\n", writer, unseen);
	_exit(unseen == 0 ? 0 : 1);
}

static void
run_writers(enum token_kind kind)
{
	pthread_barrier_t *barrier;
	int status, bad = 0;

	if (!token_available(kind)) {
		skip();
	}
	token_init(&token, kind);
	token_prepare(&token);
	token.config.turn_dir = token.dir;
	barrier = shared_barrier();
	for (unsigned i = 0; i < WRITERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			(void)alarm(120); /* if another did not get far */
			writer_run(barrier, i);
		}
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		bad += status != 0;
	}
	assert_int_equal(munmap(barrier, sizeof(*barrier)), 0);
	token_fini(&token);
	assert_int_equal(bad, 0);
}

static void
test_softhsm(void **state)
{
	(void)state;
	run_writers(TOKEN_SOFTHSM);
}

static void
test_softokn(void **state)
{
	(void)state;
	run_writers(TOKEN_SOFTOKN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_softhsm),
		cmocka_unit_test(test_softokn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
