/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one poll loop: the child's life is seen at a pipe's end. */
#include "tests/unit/ctl_fake.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/frame.h"

#define ARGUMENTS_MAX 40
#define PATIENCE_MS 20000

static char directory[64];
static int listener = -1;
static pid_t running;
static fake_more *follow;
static Joinery__V1__Request *last;

const char *
fake_path(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

const char *
fake_file(const char *name, const char *text, unsigned mode)
{
	const char *path = fake_path(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

int
fake_setup(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(directory, sizeof(directory), "/tmp/test_ctl.XXXXXX");
	assert_non_null(mkdtemp(directory));
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/sock", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 8), 0);
	(void)setenv("JOINERY_SOCKET", sa.sun_path, 1);
	return 0;
}

int
fake_teardown(void **state)
{
	char command[128];

	(void)state;
	if (last != NULL) {
		joinery__v1__request__free_unpacked(last, NULL);
		last = NULL;
	}
	(void)close(listener);
	(void)snprintf(command, sizeof(command), "rm -r '%s'", directory);
	assert_int_equal(system(command), 0);
	return 0;
}

int
fake_nobody(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	(void)q;
	(void)r;
	fail_msg("the server was asked");
	return 0;
}

/* ---- the child ---- */

static void
redirect(const char *name, int flags, int to)
{
	int fd = open(fake_path(name), flags, 0600);

	if (fd < 0 || dup2(fd, to) != to || close(fd) != 0) {
		_exit(126);
	}
}

static _Noreturn void
child_run(const char *arguments)
{
	char text[8192];
	char *argv[ARGUMENTS_MAX] = { NULL };
	size_t len = 0;
	size_t n = 1;
	char *save = NULL;

	for (; *arguments != '\0' && len < sizeof(text) - 80; arguments++) {
		if (*arguments == '%') {
			len += (size_t)sprintf(text + len, "%s", directory);
		} else {
			text[len++] = *arguments;
		}
	}
	text[len] = '\0';
	argv[0] = (char *)(uintptr_t) "joineryctl";
	for (char *word = strtok_r(text, " ", &save);
	     word != NULL && n + 1 < ARGUMENTS_MAX;
	     word = strtok_r(NULL, " ", &save)) {
		argv[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	}
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid(); /* away from the terminal of whoever runs the tests */
	redirect("stdin", O_RDONLY, STDIN_FILENO);
	redirect("stdout", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
	redirect("stderr", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
	(void)execv("./joineryctl", argv);
	_exit(127);
}

static void
slurp(const char *name, char *out, size_t cap)
{
	FILE *f = fopen(fake_path(name), "r");

	assert_non_null(f);
	out[fread(out, 1, cap - 1, f)] = '\0';
	(void)fclose(f);
}

/* ---- the server ---- */

static void
forget_last(void)
{
	if (last != NULL) {
		joinery__v1__request__free_unpacked(last, NULL);
		last = NULL;
	}
}

/* False when joineryctl hung up: it may end before it has read them all. */
static bool
send_one(int fd, const Joinery__V1__Response *response)
{
	static uint8_t out[FRAME_HEAD_LEN + FRAME_MAX];
	size_t len =
	    joinery__v1__response__pack(response, out + FRAME_HEAD_LEN);

	frame_head_put(out, len);
	return frame_write_all(fd, out, FRAME_HEAD_LEN + len, NULL) == JY_OK;
}

static bool
answer_one(struct fake_run *run, fake_answer *answer, int fd,
    const uint8_t *frame, size_t len)
{
	Joinery__V1__Response response = JOINERY__V1__RESPONSE__INIT;
	Joinery__V1__Request *request =
	    joinery__v1__request__unpack(NULL, len, frame);
	bool go_on;

	assert_non_null(request);
	forget_last();
	last = request;
	assert_true(len <= sizeof(run->seen) - run->seen_len);
	memcpy(run->seen + run->seen_len, frame, len);
	run->seen_len += len;
	run->requests++;
	response.has_id = 1;
	response.id = request->id;
	go_on = answer(request, &response) != 0;
	go_on = go_on && send_one(fd, &response);
	for (size_t i = 0; go_on && follow != NULL && follow(i, &response);
	     i++) {
		go_on = send_one(fd, &response);
	}
	return go_on;
}

const Joinery__V1__Request *
fake_last(void)
{
	assert_non_null(last);
	return last;
}

json_t *
fake_json(const struct fake_run *run)
{
	json_error_t e;
	json_t *j = json_loads(run->out, 0, &e);

	if (j == NULL) {
		fail_msg("%s in: %s", e.text, run->out);
	}
	assert_true(json_is_object(j));
	return j;
}

void
fake_follow(fake_more *more)
{
	follow = more;
}

void
fake_signal(int signal_number)
{
	assert_int_equal(kill(running, signal_number), 0);
}

void
fake_wait_out(const char *text)
{
	char out[65536];

	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		slurp("stdout", out, sizeof(out));
		if (strstr(out, text) != NULL) {
			return;
		}
		(void)poll(NULL, 0, 10);
	}
	fail_msg("never printed: %s", text);
}

static void
serve(struct fake_run *run, fake_answer *answer)
{
	int fd = accept(listener, NULL, NULL);
	struct frame_stream *fs = frame_stream_new(fd, FRAME_MAX);
	const uint8_t *frame;
	size_t len;

	assert_true(fd >= 0);
	while (frame_stream_next(fs, &frame, &len, NULL) == JY_OK) {
		if (!answer_one(run, answer, fd, frame, len)) {
			break;
		}
	}
	frame_stream_free(fs);
	(void)close(fd);
}

void
fake_ctl(struct fake_run *run, fake_answer *answer, const char *input,
    const char *arguments)
{
	int life[2];
	int status;
	pid_t child;

	memset(run, 0, sizeof(*run));
	(void)fake_file("stdin", input != NULL ? input : "", 0600);
	assert_int_equal(pipe(life), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(life[0]);
		child_run(arguments);
	}
	(void)close(life[1]);
	running = child;
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = life[0], .events = POLLIN },
			{ .fd = listener, .events = POLLIN },
		};

		assert_true(poll(p, 2, PATIENCE_MS) > 0);
		if (p[1].revents != 0) {
			serve(run, answer);
		} else if (p[0].revents != 0) {
			break;
		}
	}
	(void)close(life[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	follow = NULL;
	run->status =
	    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slurp("stdout", run->out, sizeof(run->out));
	slurp("stderr", run->err, sizeof(run->err));
}
