/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that write to one token at the same moment. */
#include <sys/mman.h>
#include <sys/stat.h>
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
#include "src/base/turn.h"
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

typedef void process_fn(pthread_barrier_t *barrier, unsigned number);

/* Run it in so many processes at once; how many ended with 0, 1, and so on. */
static void
run_all(process_fn *process, int ended[3])
{
	pthread_barrier_t *barrier = shared_barrier();
	int status;

	for (unsigned i = 0; i < WRITERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			(void)alarm(120); /* if another did not get far */
			process(barrier, i);
			_exit(99);
		}
	}
	memset(ended, 0, 3 * sizeof(ended[0]));
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) < 3) {
			ended[WEXITSTATUS(status)]++;
		}
	}
	assert_int_equal(munmap(barrier, sizeof(*barrier)), 0);
}

static void
begin(enum token_kind kind)
{
	if (!token_available(kind)) {
		skip();
	}
	token_init(&token, kind);
	token.config.turn_dir = token.dir;
}

static void
run_writers(enum token_kind kind)
{
	int ended[3];

	begin(kind);
	token_prepare(&token);
	run_all(writer_run, ended);
	token_fini(&token);
	assert_int_equal(ended[0], WRITERS);
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

/* A process; 0: it found all there, 1: it made the import key, 2: neither. */
static void
set_up(pthread_barrier_t *barrier, unsigned number)
{
	const struct hsm_setup setup = { .config = &token.config,
		.create = true,
		.so_pin_source = token.so_pin };
	bool created = false;

	(void)number;
	(void)pthread_barrier_wait(barrier);
	_exit(hsm_setup(&setup, &created, NULL) == JY_OK ? created : 2);
}

/* One makes what a token needs, and nothing is there twice. */
static void
test_set_up_at_once(void **state)
{
	int ended[3];

	(void)state;
	begin(TOKEN_SOFTHSM);
	run_all(set_up, ended);
	assert_int_equal(ended[1], 1);
	assert_int_equal(ended[0], WRITERS - 1);
	hsm_close(token_open(&token));
	token_fini(&token);
}

/* The file of a turn is its directory's owner's, whoever was first. */
static void
test_lock_file(void **state)
{
	char dir[] = "/tmp/turns-XXXXXX", path[64];
	struct turn turn;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/t.lock", dir);
	if (geteuid() == 0) {
		assert_int_equal(chown(dir, 4711, 4712), 0);
	}
	turn_init(&turn, dir, "t.lock");
	assert_true(turn_take(&turn));
	turn_leave(&turn);
	turn_fini(&turn);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (geteuid() == 0) {
		assert_int_equal(st.st_uid, 4711);
		assert_int_equal(st.st_gid, 4712);
	}
	/* What another has put there is not followed, nor given away. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	turn_init(&turn, dir, "t.lock");
	assert_false(turn_take(&turn));
	turn_leave(&turn);
	turn_fini(&turn);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_softhsm),
		cmocka_unit_test(test_softokn),
		cmocka_unit_test(test_set_up_at_once),
		cmocka_unit_test(test_lock_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
