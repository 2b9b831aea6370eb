/* SPDX-License-Identifier: Apache-2.0 */
/* A list of connections on their way out; bounded in number and time. */
#include "src/front/parting.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/front/tls.h"

#define PARTING_MAGIC 0x70617274U
#define PARTINGS_MAX 128U
#define PARTING_US 2000000U

struct parting {
	unsigned magic;
	TAILQ_ENTRY(parting) link; /* the longest waiting first */
	struct partings *all;
	void (*done)(void *arg);
	void *arg;
	struct event *readable;
	uint64_t since_us;
};

struct partings {
	TAILQ_HEAD(, parting) list;
	size_t count;
	struct event_base *base;
};

struct partings *
partings_new(struct event_base *base)
{
	struct partings *p = sys_xcalloc(1, sizeof(*p));

	TAILQ_INIT(&p->list);
	p->base = base;
	return p;
}

size_t
partings_count(const struct partings *p)
{
	return p->count;
}

void
parting_forget(struct parting *one)
{
	jy_assert(one->magic == PARTING_MAGIC);
	TAILQ_REMOVE(&one->all->list, one, link);
	one->all->count--;
	event_free(one->readable);
	one->magic = 0;
	free(one);
}

static void
parting_end(struct parting *one)
{
	void (*done)(void *) = one->done;
	void *arg = one->arg;

	parting_forget(one);
	done(arg);
}

void
partings_free(struct partings *p)
{
	struct parting *one;

	/* The analyzer does not follow TAILQ_REMOVE. */
	while ((one = TAILQ_FIRST(&p->list)) != NULL) {
		parting_end(one); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	free(p);
}

void
partings_sweep(struct partings *p, uint64_t now_us)
{
	struct parting *one;

	while ((one = TAILQ_FIRST(&p->list)) != NULL &&
	    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	    now_us > one->since_us + PARTING_US) {
		parting_end(one);
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct parting *one = arg;
	uint8_t scratch[4096];
	ssize_t n = read(fd, scratch, sizeof(scratch));

	(void)what;
	jy_assert(one->magic == PARTING_MAGIC);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		parting_end(one);
	}
}

struct parting *
parting_begin(struct partings *p, struct bufferevent *bev,
    void (*done)(void *arg), void *arg)
{
	int fd = bufferevent_getfd(bev);
	struct parting *one =
	    p->count < PARTINGS_MAX ? calloc(1, sizeof(*one)) : NULL;

	if (one == NULL) {
		return NULL;
	}
	one->magic = PARTING_MAGIC;
	one->all = p;
	one->done = done;
	one->arg = arg;
	one->since_us = sys_mono_us();
	one->readable =
	    event_new(p->base, fd, EV_READ | EV_PERSIST, on_readable, one);
	jy_assert(one->readable != NULL);
	TAILQ_INSERT_TAIL(&p->list, one, link);
	p->count++;
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	(void)bufferevent_disable(bev, EV_READ | EV_WRITE);
	(void)event_add(one->readable, NULL);
	(void)shutdown(fd, SHUT_WR);
	return one;
}

static void
free_bufferevent(void *arg)
{
	bufferevent_free(arg);
}

void
parting_begin_take(struct partings *p, struct bufferevent *bev)
{
	tls_close_notify(bev);
	if (parting_begin(p, bev, free_bufferevent, bev) == NULL) {
		bufferevent_free(bev);
	}
}
