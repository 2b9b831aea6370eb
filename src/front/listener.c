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
	struct bound bound;
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

void
listener_print_address(const struct sockaddr *addr, char *text, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

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
	(void)snprintf(text, cap, "[%s]:%u", host, port);
}

static void
on_tcp(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *addr,
    int addr_len, void *arg)
{
	struct listener *l = arg;
	char from[64];

	(void)ev;
	(void)addr_len;
	jy_assert(l->magic == LISTENER_MAGIC);
	listener_print_address(addr, from, sizeof(from));
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

/* ---- binding ---- */

/* A non-blocking stream socket. */
static int
socket_new(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Make way: remove a socket file that a dead server left. */
static enum jy_err
remove_stale(
    const char *option, const struct sockaddr_un *addr, struct errctx *ec)
{
	struct stat st;
	int fd, error;

	if (lstat(addr->sun_path, &st) != 0) {
		return JY_OK; /* bind says it if there is a problem */
	}
	if (!S_ISSOCK(st.st_mode)) {
		return err_set(ec, JY_ECONFIG,
		    "%s %s: there is something that is not a socket", option,
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
		return err_set(ec, JY_ECONFIG, "%s %s: %s", option,
		    addr->sun_path,
		    error == 0 || error == EAGAIN
			? "another server listens there"
			: strerror(error));
	}
	(void)unlink(addr->sun_path);
	return JY_OK;
}

/* Bind so that the file never has another mode than it should. */
static int
bind_unix(int fd, const struct sockaddr_un *addr, mode_t mode)
{
	mode_t before = umask(~mode & 0777);
	int result = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	int error = errno;

	(void)umask(before);
	return result == 0 ? 0 : error;
}

enum jy_err
bound_unix(const char *option, const char *path, mode_t mode, struct bound *out,
    struct errctx *ec)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	enum jy_err err;
	struct stat st;
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		return err_set(ec, JY_ECONFIG, "%s %s: the path is too long",
		    option, path);
	}
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	err = remove_stale(option, &addr, ec);
	if (err != JY_OK) {
		return err;
	}
	fd = socket_new(AF_UNIX);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	error = bind_unix(fd, &addr, mode);
	if (error != 0) {
		(void)close(fd);
		return err_set(
		    ec, JY_ECONFIG, "%s %s: %s", option, path, strerror(error));
	}
	*out = (struct bound){ .fd = fd };
	if (lstat(path, &st) == 0) {
		out->path = path;
		out->dev = st.st_dev;
		out->ino = st.st_ino;
	}
	return JY_OK;
}

void
bound_unlink(const struct bound *b)
{
	struct stat st;

	/* Ours, not one that a successor put in its place. */
	if (b->path != NULL && lstat(b->path, &st) == 0 &&
	    st.st_dev == b->dev && st.st_ino == b->ino) {
		(void)unlink(b->path);
	}
}

static bool
is_loopback(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, addr, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	if (addr->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, addr, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
		    (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) &&
			in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
	}
	return false;
}

enum jy_err
bound_tcp(const char *option, const char *where, bool loopback,
    struct bound *out, struct errctx *ec)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	int addr_len = sizeof(addr);
	int fd, on = 1;

	if (evutil_parse_sockaddr_port(
		where, (struct sockaddr *)&addr, &addr_len) != 0) {
		return err_set(ec, JY_ECONFIG,
		    "%s %s: not a numeric address and port", option, where);
	}
	if (loopback && !is_loopback(&addr)) {
		return err_set(ec, JY_ECONFIG,
		    "%s %s: not an address of this host alone", option, where);
	}
	fd = socket_new(addr.ss_family);
	if (fd < 0) {
		return err_set(ec, JY_EIO, "socket: %s", strerror(errno));
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&addr, (socklen_t)addr_len) !=
	    0) {
		(void)err_set(ec, JY_ECONFIG, "%s %s: %s", option, where,
		    strerror(errno));
		(void)close(fd);
		return JY_ECONFIG;
	}
	*out = (struct bound){ .fd = fd };
	return JY_OK;
}

/* ---- listening ---- */

/* Takes the socket; where is for the failure. */
static enum jy_err
listener_new(struct server *s, const struct bound *bound, const char *where,
    evconnlistener_cb on_accept, struct listener **out, struct errctx *ec)
{
	struct listener *l = sys_xcalloc(1, sizeof(*l));

	l->magic = LISTENER_MAGIC;
	l->server = s;
	l->bound = *bound;
	l->ev = evconnlistener_new(s->base, on_accept, l,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, bound->fd);
	if (l->ev == NULL) {
		(void)err_set(
		    ec, JY_ECONFIG, "listen on %s: %s", where, strerror(errno));
		bound_unlink(bound);
		(void)close(bound->fd);
		free(l);
		return JY_ECONFIG;
	}
	evconnlistener_set_error_cb(l->ev, on_accept_error);
	*out = l;
	return JY_OK;
}

enum jy_err
listener_new_unix(struct server *s, struct listener **out, struct errctx *ec)
{
	const char *path = s->conf->socket;
	struct bound bound;
	enum jy_err err = bound_unix(
	    "socket", path, (mode_t)s->conf->socket_mode, &bound, ec);

	return err != JY_OK ? err
			    : listener_new(s, &bound, path, on_unix, out, ec);
}

enum jy_err
listener_new_tls(struct server *s, struct listener **out, struct errctx *ec)
{
	const char *where = s->conf->tls_listen;
	struct bound bound;
	enum jy_err err = bound_tcp("tls-listen", where, false, &bound, ec);

	return err != JY_OK ? err
			    : listener_new(s, &bound, where, on_tcp, out, ec);
}

void
listener_free(struct listener *l)
{
	if (l == NULL) {
		return;
	}
	evconnlistener_free(l->ev);
	bound_unlink(&l->bound);
	l->magic = 0;
	free(l);
}
