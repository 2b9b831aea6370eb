/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker process with its three descriptors. */
#ifndef JY_FRONT_SPAWN_H
#define JY_FRONT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "src/base/err.h"

struct conf;
struct counters;

struct spawned {
	pid_t pid;
	int fd; /* our end of the corridor, non-blocking */
	const struct counters *counters; /* spawn_unmap */
};

/*
 * Start the worker program of the configuration; a later one must find the
 * store that an earlier one opened, and makes no new one.  Descriptors other
 * than those of worker_fd and the standard ones do not reach it.  JY_EIO when
 * the kernel refuses, or the program cannot be run.
 */
enum jy_err spawn_worker(const struct conf *conf, bool later,
    struct spawned *out, struct errctx *ec) JY_CHECK;

void spawn_unmap(const struct counters *counters);

/* The program that would be started. */
const char *spawn_program(const struct conf *conf);

#endif
