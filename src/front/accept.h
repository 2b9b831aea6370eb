/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted sockets of the framed protocol become connections, if there is room.
 */
#ifndef JY_FRONT_ACCEPT_H
#define JY_FRONT_ACCEPT_H

#include <stdbool.h>

struct server;

/* Both take fd. */
void accept_unix(struct server *s, int fd);
void accept_tls(struct server *s, int fd, const char *from);

/*
 * Whether max-connections, of all protocols together, allows one more; says
 * so in the log if not.  who is for that line: "from=[::1]:4711".
 */
bool accept_has_room(struct server *s, const char *who);

#endif
