/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: of all threads of all processes of one server, one at a time does
 * something.  A lock (flock) on a file that is made for it, so that who dies
 * leaves it open.
 */
#ifndef JY_BASE_TURN_H
#define JY_BASE_TURN_H

#include <pthread.h>
#include <stdbool.h>

struct turn {
	const char *dir; /* not copied; NULL: nobody else is there */
	const char *name;
	int fd;
	pthread_mutex_t mutex;
};

void turn_init(struct turn *turn, const char *dir, const char *name);
void turn_fini(struct turn *turn);

/*
 * Wait for the turn; true if turn is NULL: there are no others.  False when
 * only the threads of this process wait for each other: there is no directory
 * yet, or the file cannot be opened or locked, which is logged.  turn_leave in
 * any case.
 */
bool turn_take(struct turn *turn);
void turn_leave(struct turn *turn);

/* Likewise among processes only, by what is open; errno says why not. */
bool turn_take_fd(int fd);
void turn_leave_fd(int fd);

#endif
