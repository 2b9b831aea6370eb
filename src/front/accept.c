/* SPDX-License-Identifier: Apache-2.0 */
/* Who connects is told by the kernel or will be by TLS. */
#include "src/front/accept.h"

#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/conf/conf.h"
#include "src/front/conn.h"
#include "src/front/http.h"
#include "src/front/server.h"
#include "src/front/tls.h"

bool
accept_has_room(struct server *s, const char *who)
{
	size_t open = conns_count(s->conns) + http_count(s->http);

	if (open < (size_t)s->conf->max_connections) {
		return true;
	}
	s->stats.connections_refused++;
	log_warn("conn", "refused a connection",
	    "%s why=\"%" PRId64 " are open\" do=\"raise max-connections\"", who,
	    s->conf->max_connections);
	return false;
}

void
accept_unix(struct server *s, int fd)
{
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);
	struct bufferevent *bev = NULL;
	char name[32];
	uint32_t uid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		(void)close(fd);
		return;
	}
	uid = (uint32_t)cred.uid;
	(void)snprintf(name, sizeof(name), "uid=%" PRIu32, uid);
	if (accept_has_room(s, name)) {
		bev =
		    bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	}
	if (bev == NULL) {
		(void)close(fd);
		return;
	}
	conn_begin_take(s, bev, name, &uid);
}

void
accept_tls(struct server *s, int fd, const char *from)
{
	struct bufferevent *bev = NULL;
	char name[80];
	int on = 1;

	(void)snprintf(name, sizeof(name), "from=%s", from);
	if (accept_has_room(s, name)) {
		bev = tls_bufferevent_take(s->tls, s->base, fd);
	}
	if (bev == NULL) {
		(void)close(fd);
		return;
	}
	/* Answers are small and each is waited for. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn_begin_take(s, bev, name, NULL);
}
