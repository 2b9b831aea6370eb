/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_spawn does fork and exec in one step: no line of ours runs in between
 * and a program that cannot be run is an error here, not an exit status.
 */
#include "src/front/spawn.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/counters.h"
#include "proto/frame.h"
#include "src/conf/conf.h"
#include "src/worker/status.h"

/* Above what dup2 in the child writes to. */
#define CHILD_FD_MIN 10

/* What the child gets, as numbered here before it starts. */
struct child_fds {
	int corridor;
	int conf;
	int counters;
};

extern char **environ;

const char *
spawn_program(const struct conf *conf)
{
	return conf->worker_program[0] != '\0' ? conf->worker_program
					       : JY_LIBEXECDIR
	    "/joinery-worker";
}

static void
fd_close(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

/* Move a descriptor out of the way of 3, 4 and 5. */
static enum jy_err
fd_raise(int *fd, struct errctx *ec)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FD_MIN);

	if (high < 0) {
		return err_set(
		    ec, JY_EIO, "duplicate a descriptor: %s", strerror(errno));
	}
	(void)close(*fd);
	*fd = high;
	return JY_OK;
}

static enum jy_err
make_corridor(int *ours, int *theirs, struct errctx *ec)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		return err_set(ec, JY_EIO, "socketpair: %s", strerror(errno));
	}
	*ours = pair[0];
	*theirs = pair[1];
	if (fcntl(*ours, F_SETFL, O_NONBLOCK) != 0) {
		return err_set(ec, JY_EIO, "fcntl: %s", strerror(errno));
	}
	return fd_raise(theirs, ec);
}

/* A memfd with the configuration as text, which nobody can change any more. */
static enum jy_err
make_conf(const struct conf *conf, int *out, struct errctx *ec)
{
	static const int seals =
	    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	enum jy_err err = JY_OK;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL) {
		return err_set(ec, JY_ENOMEM, "print the configuration");
	}
	conf_print(conf, f);
	if (fclose(f) != 0) {
		free(text);
		return err_set(ec, JY_ENOMEM, "print the configuration");
	}
	*out = memfd_create("joinery.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*out < 0 || frame_write_all(*out, text, len, NULL) != JY_OK ||
	    lseek(*out, 0, SEEK_SET) != 0 ||
	    fcntl(*out, F_ADD_SEALS, seals) != 0) {
		err = err_set(ec, JY_EIO,
		    "memory file of the configuration: %s", strerror(errno));
	} else {
		err = fd_raise(out, ec);
	}
	free(text);
	return err;
}

/* A page that the worker writes; sealed, so that reading it cannot fault. */
static enum jy_err
make_counters(int *fd, const struct counters **out, struct errctx *ec)
{
	static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	void *map;

	*fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct counters)) != 0 ||
	    fcntl(*fd, F_ADD_SEALS, seals) != 0) {
		return err_set(ec, JY_EIO, "memory file of the counters: %s",
		    strerror(errno));
	}
	map =
	    mmap(NULL, sizeof(struct counters), PROT_READ, MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED) {
		return err_set(
		    ec, JY_EIO, "map the counters: %s", strerror(errno));
	}
	*out = map;
	return fd_raise(fd, ec);
}

void
spawn_unmap(const struct counters *counters)
{
	if (counters != NULL) {
		(void)munmap(
		    (void *)(uintptr_t)counters, sizeof(struct counters));
	}
}

/*
 * Signals as a fresh program expects them, and a process group of its own,
 * so that a ^C on the terminal lets it drain.
 */
static void
set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, usual;

	(void)sigemptyset(&none);
	(void)sigemptyset(&usual);
	(void)sigaddset(&usual, SIGPIPE);
	(void)posix_spawnattr_setflags(attr,
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETPGROUP);
	(void)posix_spawnattr_setsigmask(attr, &none);
	(void)posix_spawnattr_setsigdefault(attr, &usual);
}

/* 0 or an errno. */
static int
add_descriptors(
    posix_spawn_file_actions_t *actions, const struct child_fds *fds)
{
	const struct {
		int from, to;
	} moves[] = {
		{ fds->corridor, WORKER_FD_CORRIDOR },
		{ fds->conf, WORKER_FD_CONF },
		{ fds->counters, WORKER_FD_COUNTERS },
	};
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(moves) && error == 0; i++) {
		error = posix_spawn_file_actions_adddup2(
		    actions, moves[i].from, moves[i].to);
	}
	return error;
}

/* 0 or an errno. */
static int
child_start(
    const char *program, bool later, const struct child_fds *fds, pid_t *pid)
{
	char second[] = WORKER_LATER;
	char *argv[] = { (char *)(uintptr_t)program, later ? second : NULL,
		NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int error = posix_spawn_file_actions_init(&actions);

	if (error != 0) {
		return error;
	}
	error = posix_spawnattr_init(&attr);
	if (error == 0) {
		set_attributes(&attr);
		error = add_descriptors(&actions, fds);
		if (error == 0) {
			error = posix_spawn(
			    pid, program, &actions, &attr, argv, environ);
		}
		(void)posix_spawnattr_destroy(&attr);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return error;
}

enum jy_err
spawn_worker(
    const struct conf *conf, bool later, struct spawned *out, struct errctx *ec)
{
	struct child_fds fds = { .corridor = -1, .conf = -1, .counters = -1 };
	struct spawned made = { .pid = -1, .fd = -1, .counters = NULL };
	const char *program = spawn_program(conf);
	enum jy_err err;
	int error;

	err = make_corridor(&made.fd, &fds.corridor, ec);
	if (err == JY_OK) {
		err = make_conf(conf, &fds.conf, ec);
	}
	if (err == JY_OK) {
		err = make_counters(&fds.counters, &made.counters, ec);
	}
	if (err == JY_OK) {
		error = child_start(program, later, &fds, &made.pid);
		if (error != 0) {
			err = err_set(ec, JY_EIO, "start %s: %s", program,
			    strerror(error));
		}
	}
	fd_close(&fds.corridor);
	fd_close(&fds.conf);
	fd_close(&fds.counters);
	if (err != JY_OK) {
		fd_close(&made.fd);
		spawn_unmap(made.counters);
		return err;
	}
	*out = made;
	return JY_OK;
}
