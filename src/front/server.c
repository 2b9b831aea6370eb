/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wiring of joineryd: one event loop, its signals, its clock, and the
 * order in which things start and stop.
 */
#include "src/front/server.h"

#include <sys/resource.h>

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/conn.h"
#include "src/front/http.h"
#include "src/front/listener.h"
#include "src/front/parting.h"
#include "src/front/pending.h"
#include "src/front/post.h"
#include "src/front/spawn.h"
#include "src/front/supervisor.h"
#include "src/front/tls.h"
#include "src/front/trace.h"

#define TICK_US 100000
#define SWEEP_TICKS 5U

/* Beyond worker-deadline, the bound of an orderly stop. */
#define STOP_GRACE_US 2000000U

/* Descriptors for other things than connections. */
#define SPARE_FDS 256U

/* The parts that only this file needs. */
struct runtime {
	struct server server;
	struct listener *unix_listener;
	struct listener *tls_listener;
	struct event *signals[4];
	struct event *tick;
	unsigned ticks;
};

/* ---- stopping ---- */

static void
close_listeners(struct runtime *rt)
{
	listener_free(rt->unix_listener);
	rt->unix_listener = NULL;
	listener_free(rt->tls_listener);
	rt->tls_listener = NULL;
}

void
server_stop(struct server *s, int exit_status)
{
	if (s->stop_us != 0) {
		return;
	}
	s->stop_us = sys_mono_us();
	s->exit_status = exit_status;
	log_notice("server", "stopping", "requests_under_way=%zu",
	    pending_count(s->pending));
	supervisor_stop(s->supervisor);
	conns_finish(s->conns);
	http_finish(s->http);
}

/* Leave the loop when all is answered, or when that takes too long. */
static void
stop_when_done(struct server *s, uint64_t now_us)
{
	uint64_t bound_us =
	    (uint64_t)s->conf->worker_deadline_ms * 1000U + STOP_GRACE_US;
	bool done = TAILQ_EMPTY(supervisor_workers(s->supervisor)) &&
	    conns_count(s->conns) == 0 && http_count(s->http) == 0 &&
	    partings_count(s->partings) == 0 && post_count(s->post) == 0;

	if (done || now_us - s->stop_us > bound_us) {
		(void)event_base_loopbreak(s->base);
	}
}

/* ---- what libevent calls ---- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct runtime *rt = arg;
	struct server *s = &rt->server;
	uint64_t now_us = sys_mono_us();

	(void)fd;
	(void)what;
	supervisor_tick(s->supervisor, now_us);
	if (++rt->ticks % SWEEP_TICKS == 0) {
		conns_sweep(s->conns, now_us);
		http_sweep(s->http, now_us);
		partings_sweep(s->partings, now_us);
		listener_tick(rt->unix_listener);
		listener_tick(rt->tls_listener);
	}
	if (s->stop_us != 0) {
		close_listeners(rt);
		stop_when_done(s, now_us);
	}
}

static void
on_stop_signal(evutil_socket_t signo, short what, void *arg)
{
	struct runtime *rt = arg;

	(void)signo;
	(void)what;
	close_listeners(rt);
	server_stop(&rt->server, EXIT_SUCCESS);
}

/* For connections to come; those that are open keep what they began with. */
static void
reload_tls(struct server *s)
{
	struct errctx ec = ERRCTX_INIT;
	struct tls *fresh = NULL;

	if (s->tls == NULL) {
		return;
	}
	if (tls_new(s->conf, &fresh, &ec) != JY_OK) {
		log_error("server", "kept the old files of TLS",
		    "why=\"%s\" do=\"correct it, then send SIGHUP again\"",
		    ec.text);
		return;
	}
	tls_free(s->tls);
	s->tls = fresh;
}

static void
on_hangup(evutil_socket_t signo, short what, void *arg)
{
	struct runtime *rt = arg;

	(void)signo;
	(void)what;
	log_notice("server",
	    "SIGHUP: reading the files of TLS, starting workers that are down",
	    "%s", "");
	reload_tls(&rt->server);
	if (rt->server.post != NULL) {
		post_reload(rt->server.post);
	}
	supervisor_retry(rt->server.supervisor);
}

static void
on_child(evutil_socket_t signo, short what, void *arg)
{
	struct runtime *rt = arg;

	(void)signo;
	(void)what;
	supervisor_reap(rt->server.supervisor);
}

static void
on_libevent_log(int severity, const char *msg)
{
	log_write(severity >= EVENT_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG,
	    "libevent", "says", "%s", msg);
}

/* ---- starting ---- */

static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	jy_assert(config != NULL);
	(void)event_config_set_flag(config,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	jy_assert(base != NULL);
	return base;
}

static void
add_events(struct runtime *rt)
{
	static const struct {
		int signo;
		event_callback_fn call;
	} wanted[] = {
		{ SIGTERM, on_stop_signal },
		{ SIGINT, on_stop_signal },
		{ SIGHUP, on_hangup },
		{ SIGCHLD, on_child },
	};
	struct timeval tick = { .tv_usec = TICK_US };
	struct event_base *base = rt->server.base;

	_Static_assert(ARRAY_LEN(wanted) == ARRAY_LEN(rt->signals), "");
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		rt->signals[i] =
		    evsignal_new(base, wanted[i].signo, wanted[i].call, rt);
		jy_assert(rt->signals[i] != NULL &&
		    event_add(rt->signals[i], NULL) == 0);
	}
	rt->tick = event_new(base, -1, EV_PERSIST, on_tick, rt);
	jy_assert(rt->tick != NULL && event_add(rt->tick, &tick) == 0);
}

/* As many descriptors as the kernel lets us have. */
static void
raise_fd_limit(const struct conf *conf)
{
	rlim_t want =
	    (rlim_t)conf->max_connections + POST_LINKS_MAX + SPARE_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) {
		return;
	}
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want) {
		log_warn("server",
		    "fewer open files than max-connections needs",
		    "limit=%llu do=\"raise the limit to %llu\"",
		    (unsigned long long)limit.rlim_cur,
		    (unsigned long long)want);
	}
}

static unsigned
slot_count(const struct conf *conf)
{
	long n = conf->workers > 0 ? (long)conf->workers
				   : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

static size_t
pending_cap(const struct conf *conf)
{
	/* In each slot one that serves and one that drains. */
	size_t by_workers =
	    2 * (size_t)slot_count(conf) * (size_t)conf->worker_queue;
	size_t by_peers =
	    (size_t)conf->max_connections * (size_t)conf->max_in_flight;

	return by_workers < by_peers ? by_workers : by_peers;
}

/* A worker has no terminal and gets no descriptor to read a PIN from. */
static enum jy_err
check_pin_source(const struct conf *conf, struct errctx *ec)
{
	static const char attribute[] = "pin-source=";
	static const char *const refused[] = { "fd:", "fd%3a",
		"prompt:", "prompt%3a" };
	const char *source = strstr(conf->token_uri, attribute);

	if (source == NULL) {
		return JY_OK; /* the worker knows what is wrong with that */
	}
	source += sizeof(attribute) - 1;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (strncasecmp(source, refused[i], strlen(refused[i])) == 0) {
			return err_set(ec, JY_ECONFIG,
			    "token-uri: pin-source=%s cannot serve here, each "
			    "worker reads the PIN anew; use file: or "
			    "credential:",
			    refused[i]);
		}
	}
	return JY_OK;
}

enum jy_err
server_check(const struct conf *conf, struct errctx *ec)
{
	enum jy_err err = check_pin_source(conf, ec);
	struct tls *tls = NULL;

	if (err == JY_OK && access(spawn_program(conf), X_OK) != 0) {
		err = err_set(ec, JY_ECONFIG,
		    "worker-program %s: it cannot be executed",
		    spawn_program(conf));
	}
	if (err == JY_OK &&
	    (conf->tls_listen[0] != '\0' || conf->bi_listen[0] != '\0')) {
		err = tls_new(conf, &tls, ec);
		tls_free(tls);
	}
	return err;
}

/* Everything that may fail for reasons of configuration. */
static enum jy_err
open_listeners(struct runtime *rt, struct errctx *ec)
{
	struct server *s = &rt->server;
	enum jy_err err = JY_OK;

	if (s->conf->tls_listen[0] != '\0') {
		err = tls_new(s->conf, &s->tls, ec);
		if (err == JY_OK) {
			err = listener_new_tls(s, &rt->tls_listener, ec);
		}
	}
	if (err == JY_OK) {
		err = http_new(s, &s->http, ec);
	}
	if (err == JY_OK && s->http != NULL) {
		s->post = post_new(s);
	}
	if (err == JY_OK && s->conf->socket[0] != '\0') {
		err = listener_new_unix(s, &rt->unix_listener, ec);
	}
	return err;
}

static void
runtime_init(struct runtime *rt, const struct conf *conf)
{
	struct server *s = &rt->server;

	*rt = (struct runtime){ .ticks = 0 };
	event_set_log_callback(on_libevent_log);
	s->conf = conf;
	s->base = base_new();
	s->pending = pending_new(pending_cap(conf));
	s->conns = conns_new();
	s->traces = traces_new();
	s->partings = partings_new(s->base);
	s->supervisor = supervisor_new(s, slot_count(conf));
	s->started_us = sys_mono_us();
	add_events(rt);
}

static void
runtime_fini(struct runtime *rt)
{
	struct server *s = &rt->server;

	close_listeners(rt);
	supervisor_free(s->supervisor); /* answers what is under way */
	http_free(s->http);
	post_free(s->post);
	conns_free(s->conns);
	traces_free(s->traces);
	partings_free(s->partings);
	for (size_t i = 0; i < ARRAY_LEN(rt->signals); i++) {
		event_free(rt->signals[i]);
	}
	event_free(rt->tick);
	tls_free(s->tls);
	pending_free(s->pending);
	event_base_free(s->base);
	libevent_global_shutdown();
}

int
server_run(const struct conf *conf)
{
	struct errctx ec = ERRCTX_INIT;
	struct runtime rt;
	int exit_status;

	(void)signal(SIGPIPE, SIG_IGN);
	raise_fd_limit(conf);
	runtime_init(&rt, conf);
	if (open_listeners(&rt, &ec) != JY_OK) {
		log_error("server", "cannot start", "why=\"%s\"", ec.text);
		rt.server.exit_status = EXIT_FAILURE;
	} else {
		log_notice("server", "started",
		    "socket=%s tls_listen=%s bi_listen=%s "
		    "bi_plain_listen=%s workers=%u",
		    conf->socket, conf->tls_listen, conf->bi_listen,
		    conf->bi_plain_listen, slot_count(conf));
		supervisor_start(rt.server.supervisor);
		(void)event_base_dispatch(rt.server.base);
	}
	exit_status = rt.server.exit_status;
	runtime_fini(&rt);
	log_notice("server", "stopped", "status=%d", exit_status);
	return exit_status;
}
