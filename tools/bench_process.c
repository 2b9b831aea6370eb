/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of the bench.  What it starts dies with it, whichever way it ends,
 * and a guard above it waits for all of that and removes what is on disk: a
 * bench that is interrupted while a million devices are under way leaves
 * neither a server nor a gigabyte behind.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/bench.h"

#define LOG_TAIL 2048

void
bench_program_path(const struct bench_options *o, const char *installed_dir,
    const char *name, char out[BENCH_PATH_MAX])
{
	(void)snprintf(out, BENCH_PATH_MAX, "%s/%s",
	    o->programs != NULL ? o->programs : installed_dir, name);
}

/* In a child: end when the parent does, even if it has ended already. */
static void
end_with(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(127);
	}
}

enum jy_err
bench_fork(pid_t *pid, struct errctx *ec)
{
	pid_t parent = getpid();

	*pid = fork();
	if (*pid < 0) {
		return err_set(ec, JY_EIO, "fork: %s", strerror(errno));
	}
	if (*pid == 0) {
		end_with(parent);
	}
	return JY_OK;
}

static void
log_path(const struct bench_instance *in, char out[BENCH_PATH_MAX + 8])
{
	(void)snprintf(out, BENCH_PATH_MAX + 8, "%s/log", in->dir);
}

enum jy_err
bench_spawn(const struct bench_instance *in, char *const argv[], pid_t *pid,
    struct errctx *ec)
{
	char log[BENCH_PATH_MAX + 8];
	enum jy_err err = bench_fork(pid, ec);
	int fd;

	if (err == JY_OK && *pid == 0) {
		log_path(in, log);
		fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
		(void)execv(argv[0], argv);
		_exit(127);
	}
	return err;
}

/* What a program that failed said last, for its log is removed. */
void
bench_show_log(const struct bench_instance *in)
{
	char log[BENCH_PATH_MAX + 8], text[LOG_TAIL];
	struct stat st;
	ssize_t n;
	int fd;

	log_path(in, log);
	fd = open(log, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	if (fstat(fd, &st) == 0 && st.st_size > LOG_TAIL) {
		(void)lseek(fd, -LOG_TAIL, SEEK_END);
	}
	n = read(fd, text, sizeof(text));
	if (n > 0) {
		(void)fwrite(text, 1, (size_t)n, stderr);
	}
	(void)close(fd);
}

enum jy_err
bench_run(
    const struct bench_instance *in, char *const argv[], struct errctx *ec)
{
	enum jy_err err;
	int status;
	pid_t pid;

	err = bench_spawn(in, argv, &pid, ec);
	if (err == JY_OK && (waitpid(pid, &status, 0) != pid || status != 0)) {
		bench_show_log(in);
		return err_set(ec, JY_ETOKEN, "%s failed", argv[0]);
	}
	return err;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void
bench_remove(const char *dir)
{
	(void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the guard ---- */

static volatile sig_atomic_t caught;
static volatile sig_atomic_t guarded; /* a pid */

static void
on_signal(int number)
{
	caught = number;
	if (guarded > 0) {
		(void)kill((pid_t)guarded, number);
	}
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

static void
set_signals(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		(void)sigaction(signals[i], &action, NULL);
	}
}

static void
block_signals(bool block)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		(void)sigaddset(&set, signals[i]);
	}
	(void)sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Wait for a child, or any with pid -1; false when there is none. */
static bool
wait_for(pid_t pid, int *status)
{
	pid_t got;

	do {
		got = waitpid(pid, status, 0);
	} while (got < 0 && errno == EINTR);
	return got > 0;
}

/* What the guard exits with; dies as the bench did, so that a shell sees it. */
static int
verdict(int status)
{
	if (WIFEXITED(status)) {
		return WEXITSTATUS(status);
	}
	set_signals(SIG_DFL);
	if (caught != 0) {
		(void)raise(caught);
	}
	(void)fprintf(
	    stderr, "joinery-bench: ended by signal %d\n", WTERMSIG(status));
	return 1;
}

/* Have it done by a child; its wait status. */
static int
guard(int (*work)(const void *arg), const void *arg)
{
	struct errctx ec = ERRCTX_INIT;
	int status = W_EXITCODE(1, 0), left;
	enum jy_err err;
	pid_t pid;

	/* What the bench leaves running is then ours to wait for. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1UL);
	block_signals(true);
	err = bench_fork(&pid, &ec);
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-bench: %s\n", err_detail(&ec, err));
		return status;
	}
	if (pid == 0) {
		block_signals(false);
		exit(work(arg));
	}
	guarded = pid;
	set_signals(on_signal);
	block_signals(false);
	(void)wait_for(pid, &status);
	guarded = 0;
	while (wait_for(-1, &left)) {
		/* servers, which were told to end when the bench did */
	}
	return status;
}

int
bench_guard(int (*work)(const void *arg), const void *arg)
{
	const char *tmp = getenv("TMPDIR");
	char dir[BENCH_PATH_MAX];
	int status;

	(void)snprintf(dir, sizeof(dir), "%.200s/joinery-bench.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "joinery-bench: make %s: %s\n", dir,
		    strerror(errno));
		return 1;
	}
	(void)setenv("TMPDIR", dir, 1);
	status = guard(work, arg);
	bench_remove(dir);
	return verdict(status);
}
