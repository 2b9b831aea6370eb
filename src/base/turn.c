/* SPDX-License-Identifier: Apache-2.0 */
#include "src/base/turn.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/log.h"

void
turn_init(struct turn *turn, const char *dir, const char *name)
{
	*turn = (struct turn){ .dir = dir, .name = name, .fd = -1 };
	(void)pthread_mutex_init(&turn->mutex, NULL);
}

void
turn_fini(struct turn *turn)
{
	if (turn->fd >= 0) {
		(void)close(turn->fd);
	}
	(void)pthread_mutex_destroy(&turn->mutex);
}

/*
 * Only whose directory it is may lock the file, or anybody on the machine
 * could keep the server waiting: root, who may be the first to run, gives it
 * away.
 */
static int
open_or_make(const char *dir, const char *path)
{
	const int how = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, how | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
	struct stat owner;
	int error;

	if (fd < 0 && errno == EEXIST) {
		return open(path, how);
	}
	if (fd < 0 || geteuid() != 0) {
		return fd;
	}
	if (stat(dir, &owner) != 0 ||
	    fchown(fd, owner.st_uid, owner.st_gid) != 0) {
		error = errno;
		(void)unlink(path); /* the others could not open it */
		(void)close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static void
open_file(struct turn *turn)
{
	char path[PATH_MAX];

	if (turn->fd >= 0 || turn->dir == NULL) {
		return;
	}
	errno = ENAMETOOLONG;
	if (snprintf(path, sizeof(path), "%s/%s", turn->dir, turn->name) <
	    (int)sizeof(path)) {
		turn->fd = open_or_make(turn->dir, path);
	}
	if (turn->fd < 0 && errno != ENOENT) {
		log_warn("turn", "cannot take turns with other processes",
		    "file=\"%s\" error=\"%s\"", path, strerror(errno));
	}
}

bool
turn_take_fd(int fd)
{
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

void
turn_leave_fd(int fd)
{
	(void)flock(fd, LOCK_UN);
}

bool
turn_take(struct turn *turn)
{
	if (turn == NULL) {
		return true;
	}
	(void)pthread_mutex_lock(&turn->mutex);
	open_file(turn);
	if (turn->fd < 0) {
		return false;
	}
	if (!turn_take_fd(turn->fd)) {
		log_warn("turn", "cannot lock", "file=\"%s\" error=\"%s\"",
		    turn->name, strerror(errno));
		return false;
	}
	return true;
}

void
turn_leave(struct turn *turn)
{
	if (turn == NULL) {
		return;
	}
	if (turn->fd >= 0) {
		turn_leave_fd(turn->fd);
	}
	(void)pthread_mutex_unlock(&turn->mutex);
}
