/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets over libevent's evconnlistener. */
#include "src/front/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/accept.h"
#include "src/front/server.h"

#define LISTENER_MAGIC 0x6c697374U
#define BACKLOG 512

struct listener {
	unsigned magic;
	struct server *server;
	struct evconnlistener *ev;
	bool paused;
	const char *path; /* of the Unix socket; NULL: TCP */
	dev_t dev;
	ino_t ino;
};

/* ---- accepting ---- */

static void
on_unix(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *addr,
    int addr_len, void *arg)
{
	struct listener *l = arg;

	(void)ev;
	(void)addr;
	(void)addr_len;
	jy_assert(l->magic == LISTENER_MAGIC);
	accept_unix(l->server, fd);
}

static void
on_tcp(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *addr,
    int addr_len, void *arg)
{
	struct listener *l = arg;
	char host[INET6_ADDRSTRLEN] = "?";
	char from[64];
	unsigned port = 0;

	(void)ev;
	(void)addr_len;
	jy_assert(l->magic == LISTENER_MAGIC);
	if (addr->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, addr, sizeof(in));
		(void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		port = ntohs(in.sin_port);
	} else if (addr->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, addr, sizeof(in6));
		(void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		port = ntohs(in6.sin6_port);
	}
	(void)snprintf(from, sizeof(from), "[%s]:%u", host, port);
	accept_tls(l->server, fd, from);
}

/* Mostly EMFILE: accepting again at once would spin. */
static void
on_accept_error(struct evconnlistener *ev, void *arg)
{
	struct listener *l = arg;

	jy_assert(l->magic == LISTENER_MAGIC);
	log_error("listener", "cannot accept a connection",
	    "why=\"%s\" do=\"raise the limit of open files, or lower "
	    "max-connections\"",
	    strerror(errno));
	l->paused = true;
	(void)evconnlistener_disable(ev);
}

void
listener_tick(struct listener *l)
{
	if (l != NULL && l->paused) {
		l->paused = false;
		(void)evconnlistener_enable(l->ev);
	}
}

/* ---- listening ---- */

static struct listener *
listener_new(struct server *s, int fd, evconnlistener_cb on_accept)
{
	struct listener *l = sys_xcalloc(1, sizeof(*l));

	l->magic = LISTENER_MAGIC;
	l->server = s;
	l->ev = evconnlistener_new(s->base, on_accept, l,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
	if (l->ev == NULL) {
		free(l);
		return NULL;
	}
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	return l;
}

/* A non-blocking stream socket. */
static int
socket_new(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Make way: remove a socket file that a dead server left. */
static enum jy_err
remove_stale(const struct sockaddr_un *addr, struct errctx *ec)
{
	struct stat st;
	int fd, error;

	if (lstat(addr->sun_path, &st) != 0) {
		return JY_OK; /* bind says it if there is a problem */
	}
	if (!S_ISSOCK(st.st_mode)) {
		return err_set(ec, JY_ECONFIG,
		    "socket %s: there is something that is not a socket",
		    addr->sun_path);
	}
	fd = socket_new(AF_UNIX);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	error = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0
	    ? 0
	    : errno;
	(void)close(fd);
	if (error != ECONNREFUSED) {
		return err_set(ec, JY_ECONFIG, "socket %s: %s", addr->sun_path,
		    error == 0 || error == EAGAIN
			? "another server listens there"
			: strerror(error));
	}
	(void)unlink(addr->sun_path);
	return JY_OK;
}

/* Bind so that the file never has another mode than it should. */
static enum jy_err
bind_unix(
    int fd, const struct sockaddr_un *addr, mode_t mode, struct errctx *ec)
{
	mode_t before = umask(~mode & 0777);
	int result = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	int error = errno;

	(void)umask(before);
	if (result != 0) {
		return err_set(ec, JY_ECONFIG, "socket %s: %s", addr->sun_path,
		    strerror(error));
	}
	return JY_OK;
}

enum jy_err
listener_new_unix(struct server *s, struct listener **out, struct errctx *ec)
{
	const char *path = s->conf->socket;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct listener *l = NULL;
	enum jy_err err;
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		return err_set(
		    ec, JY_ECONFIG, "socket %s: the path is too long", path);
	}
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	err = remove_stale(&addr, ec);
	if (err != JY_OK) {
		return err;
	}
	fd = socket_new(AF_UNIX);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	err = bind_unix(fd, &addr, (mode_t)s->conf->socket_mode, ec);
	if (err == JY_OK) {
		l = listener_new(s, fd, on_unix);
	}
	if (l == NULL) {
		(void)close(fd);
		return err != JY_OK ? err
				    : err_set(ec, JY_EIO, "listen on %s: %s",
					  path, strerror(errno));
	}
	if (lstat(path, &st) == 0) {
		l->path = path;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	*out = l;
	return JY_OK;
}

enum jy_err
listener_new_tls(struct server *s, struct listener **out, struct errctx *ec)
{
	const char *where = s->conf->tls_listen;
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	int addr_len = sizeof(addr);
	int fd, on = 1;

	if (evutil_parse_sockaddr_port(
		where, (struct sockaddr *)&addr, &addr_len) != 0) {
		return err_set(ec, JY_ECONFIG,
		    "tls-listen %s: not a numeric address and port", where);
	}
	fd = socket_new(addr.ss_family);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&addr, (socklen_t)addr_len) ==
	    0) {
		*out = listener_new(s, fd, on_tcp);
		if (*out != NULL) {
			return JY_OK;
		}
	}
	(void)err_set(
	    ec, JY_ECONFIG, "tls-listen %s: %s", where, strerror(errno));
	(void)close(fd);
	return JY_ECONFIG;
}

void
listener_free(struct listener *l)
{
	struct stat st;

	if (l == NULL) {
		return;
	}
	evconnlistener_free(l->ev);
	/* Ours, not one that a successor put in its place. */
	if (l->path != NULL && lstat(l->path, &st) == 0 &&
	    st.st_dev == l->dev && st.st_ino == l->ino) {
		(void)unlink(l->path);
	}
	l->magic = 0;
	free(l);
}
