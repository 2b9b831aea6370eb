/* SPDX-License-Identifier: Apache-2.0 */
/* A call that the front answers itself. */
#ifndef JY_FRONT_STATUS_H
#define JY_FRONT_STATUS_H

struct asked;
struct server;

/*
 * Answer StatusRequest: to admins on the Unix socket.  Who is an admin over
 * TLS only a worker could say, and status must not need one.
 */
void status_answer(struct server *s, struct asked *asked);

#endif
