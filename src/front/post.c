/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers wait in the queue of their target: a scheme, host, port and TLS
 * files.  An answer that waits for a link or for its next attempt has a
 * timer; one that a link has is the link's.
 */
#include "src/front/post.h"

#include <sys/queue.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "src/front/post_link.h"
#include "src/front/server.h"

#define ANSWER_MAGIC 0x616e7377U

#define ATTEMPT_US 5000000U
#define ATTEMPT_MIN_US 50000U /* less is not worth it */
#define BACK_OFF_US 250000U
#define BACK_OFF_MAX_US 4000000U

enum answer_state {
	ANSWER_READY,   /* wants a link */
	ANSWER_RESTING, /* until its next attempt */
	ANSWER_SENDING  /* a link has it */
};

struct answer {
	unsigned magic;
	TAILQ_ENTRY(answer) link; /* of its target, the oldest first */
	struct target *target;
	struct post_link *with;
	enum answer_state state;
	struct event *timer;
	uint64_t deadline_us;
	unsigned attempts;
	struct post_body *body;
	char *path;
	char *label;
	char why[200]; /* the last attempt failed */
};

struct target {
	TAILQ_ENTRY(target) link;
	struct post *post;
	struct post_site site;
	char *host_header;
	TAILQ_HEAD(, answer) answers;
	size_t n_answers;
	size_t n_links;
	struct post_link *links[POST_PER_TARGET];
};

struct post {
	struct server *server;
	struct post_net net;
	TAILQ_HEAD(, target) targets;
	size_t count;
	size_t n_links;
	bool starved; /* an answer wants a link and there may be no more */
	bool untidy;  /* a target may have nothing left */
};

static void target_run(struct target *t);
static void feed_starved(struct post *p);

/* ---- targets ---- */

static void
forget_link(struct target *t, struct post_link *l)
{
	for (size_t i = 0; i < t->n_links; i++) {
		if (t->links[i] == l) {
			t->links[i] = t->links[--t->n_links];
			t->post->n_links--;
			post_link_free(l);
			return;
		}
	}
}

static void
target_free(struct target *t)
{
	TAILQ_REMOVE(&t->post->targets, t, link);
	while (t->n_links > 0) {
		forget_link(t, t->links[t->n_links - 1]);
	}
	post_site_fini(&t->site);
	free(t->host_header);
	free(t);
}

static void
target_free_if_idle(struct target *t)
{
	if (TAILQ_EMPTY(&t->answers) && t->n_links == 0) {
		target_free(t);
	}
}

/* The target of a site, a new one if need be; NULL when memory is short. */
static struct target *
target_get(struct post *p, const struct post_site *site)
{
	struct target *t;

	TAILQ_FOREACH(t, &p->targets, link)
	{
		if (post_site_eq(&t->site, site)) {
			return t;
		}
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		return NULL;
	}
	t->post = p;
	TAILQ_INIT(&t->answers);
	TAILQ_INSERT_TAIL(&p->targets, t, link);
	if (post_site_copy(site, &t->site)) {
		t->host_header = post_site_host_header(&t->site);
	}
	if (t->host_header == NULL) {
		target_free(t);
		return NULL;
	}
	return t;
}

/* ---- answers ---- */

static void
say_lost(struct post *p, const char *label, const char *url, unsigned attempts,
    const char *why, const char *todo)
{
	p->server->stats.answers_lost++;
	log_warn("post", "an answer is lost",
	    "%s url=%s attempts=%u why=\"%s\" do=\"%s\"", label, url, attempts,
	    why, todo);
}

static void
answer_free(struct answer *a)
{
	TAILQ_REMOVE(&a->target->answers, a, link);
	a->target->n_answers--;
	a->target->post->count--;
	if (a->timer != NULL) {
		event_free(a->timer);
	}
	if (a->body != NULL) {
		post_body_unref(a->body);
	}
	free(a->path);
	free(a->label);
	a->magic = 0;
	free(a);
}

static void
answer_lose(struct answer *a, const char *why, const char *todo)
{
	const struct target *t = a->target;
	char url[512];

	(void)snprintf(url, sizeof(url), "%s://%s%s",
	    t->site.is_tls ? "https" : "http", t->host_header, a->path);
	say_lost(t->post, a->label, url, a->attempts, why, todo);
	answer_free(a);
}

static uint64_t
back_off_us(unsigned attempts)
{
	uint64_t us = BACK_OFF_US;

	while (--attempts > 0 && us < BACK_OFF_MAX_US) {
		us *= 2;
	}
	return us;
}

/* An attempt has failed in a way that may pass. */
static void
answer_rest(struct answer *a, const char *why)
{
	uint64_t now_us = sys_mono_us();
	uint64_t rest_us = back_off_us(a->attempts);

	(void)snprintf(a->why, sizeof(a->why), "%s", why);
	log_debug("post", "an answer was not taken",
	    "%s attempts=%u why=\"%s\"", a->label, a->attempts, why);
	if (now_us + rest_us + ATTEMPT_MIN_US >= a->deadline_us) {
		answer_lose(a, why,
		    "see to the peer's server, or raise bi-answer-deadline");
		return;
	}
	a->state = ANSWER_RESTING;
	post_set_timer(a->timer, rest_us);
}

static void
on_answer_timer(evutil_socket_t fd, short what, void *arg)
{
	struct answer *a = arg;
	struct target *t = a->target;

	(void)fd;
	(void)what;
	jy_assert(a->magic == ANSWER_MAGIC && a->state != ANSWER_SENDING);
	if (a->state == ANSWER_RESTING) {
		a->state = ANSWER_READY;
		t->post->server->stats.answers_retried++;
		target_run(t);
		return;
	}
	answer_lose(a,
	    a->why[0] != '\0' ? a->why
			      : "no connection was free before its deadline",
	    "see to the peer's server: it is too slow");
	target_free_if_idle(t);
}

/* ---- attempts ---- */

static bool
may_pass(int status)
{
	return status < 400 || status >= 500 || status == 408 || status == 429;
}

static void
answer_done(struct answer *a, int status, const char *why)
{
	char text[32];

	a->with = NULL;
	if (status >= 200 && status < 300) {
		a->target->post->server->stats.answers_posted++;
		log_debug("post", "an answer was taken",
		    "%s attempts=%u status=%d", a->label, a->attempts, status);
		answer_free(a);
		return;
	}
	if (status != 0) {
		(void)snprintf(text, sizeof(text), "HTTP status %d", status);
		why = text;
	}
	if (may_pass(status)) {
		answer_rest(a, why);
	} else {
		answer_lose(a, why, "compare the peer's URL with its server");
	}
}

static void
on_done(void *arg, struct post_link *l, int status, const char *why)
{
	struct target *t = arg;
	struct post *p = t->post;
	struct answer *a;

	TAILQ_FOREACH(a, &t->answers, link)
	{
		if (a->with == l) {
			break;
		}
	}
	jy_assert(a != NULL);
	if (!post_link_idle(l)) {
		forget_link(t, l);
	}
	answer_done(a, status, why);
	target_run(t);
	feed_starved(p);
}

static void
on_ended(void *arg, struct post_link *l)
{
	struct target *t = arg;
	struct post *p = t->post;

	forget_link(t, l);
	target_free_if_idle(t);
	feed_starved(p);
}

/* Close one that idles at another target. */
static bool
reclaim_link(struct post *p)
{
	struct target *t;

	TAILQ_FOREACH(t, &p->targets, link)
	{
		for (size_t i = 0; i < t->n_links; i++) {
			if (post_link_idle(t->links[i])) {
				forget_link(t, t->links[i]);
				p->untidy = true;
				return true;
			}
		}
	}
	return false;
}

/* An idle link, a new one if there may be one more; else NULL. */
static struct post_link *
link_get(struct target *t)
{
	static const struct post_link_ops ops = { on_done, on_ended };
	struct post_link *l;

	for (size_t i = 0; i < t->n_links; i++) {
		if (post_link_idle(t->links[i])) {
			return t->links[i];
		}
	}
	if (t->n_links == POST_PER_TARGET) {
		return NULL;
	}
	if (t->post->n_links >= POST_LINKS_MAX && !reclaim_link(t->post)) {
		t->post->starved = true;
		return NULL;
	}
	l = post_link_new(&t->post->net, &t->site, &ops, t);
	if (l != NULL) {
		t->links[t->n_links++] = l;
		t->post->n_links++;
	}
	return l;
}

static void
answer_send(struct answer *a, struct post_link *l, uint64_t now_us)
{
	uint64_t left_us = a->deadline_us - now_us;
	struct post_message m = {
		.path = a->path,
		.host = a->target->host_header,
		.body = a->body,
		.attempt = a->attempts,
		.timeout_us = left_us < ATTEMPT_US ? left_us : ATTEMPT_US,
	};

	a->attempts++;
	a->state = ANSWER_SENDING;
	a->with = l;
	(void)event_del(a->timer);
	post_link_send(l, &m);
}

/* Send what can be sent. */
static void
target_feed(struct target *t)
{
	uint64_t now_us = sys_mono_us();
	struct answer *a;

	TAILQ_FOREACH(a, &t->answers, link)
	{
		struct post_link *l = NULL;

		if (a->state != ANSWER_READY) {
			continue;
		}
		if (a->deadline_us > now_us + ATTEMPT_MIN_US) {
			l = link_get(t);
		}
		if (l != NULL) {
			answer_send(a, l, now_us);
		} else if (!event_pending(a->timer, EV_TIMEOUT, NULL)) {
			post_set_timer(a->timer,
			    a->deadline_us > now_us ? a->deadline_us - now_us
						    : 0);
		}
	}
}

static void
tidy(struct post *p)
{
	struct target *t, *next;

	p->untidy = false;
	for (t = TAILQ_FIRST(&p->targets); t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		target_free_if_idle(t);
	}
}

/* Send what can be sent; the target may be freed. */
static void
target_run(struct target *t)
{
	struct post *p = t->post;

	target_feed(t);
	target_free_if_idle(t);
	if (p->untidy) {
		tidy(p);
	}
}

/* A link has become free: let those have it that got none. */
static void
feed_starved(struct post *p)
{
	struct target *t;

	if (p->starved) {
		p->starved = false;
		TAILQ_FOREACH(t, &p->targets, link)
		{
			target_feed(t);
		}
		tidy(p);
	}
}

/* ---- what is asked for ---- */

static enum jy_err
find_target(struct post *p, const Joinery__Corridor__AnswerTo *to,
    struct target **out, char **path, struct errctx *ec)
{
	struct post_site site;
	enum jy_err err = post_site_read(p->server->conf, to, &site, path, ec);

	if (err != JY_OK) {
		return err;
	}
	if (site.is_tls) {
		err = tls_clients_check(p->net.tls, &site.files, ec);
	}
	if (err == JY_OK) {
		*out = target_get(p, &site);
		if (*out == NULL) {
			err = err_set(ec, JY_ENOMEM, "out of memory");
		}
	}
	free(site.host);
	return err;
}

/* Takes path; NULL when memory is short, and then path is freed. */
static struct answer *
answer_new(struct target *t, char *path, const char *body, size_t len,
    const char *label)
{
	struct post *p = t->post;
	struct answer *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		free(path);
		return NULL;
	}
	a->magic = ANSWER_MAGIC;
	a->target = t;
	a->path = path;
	a->label = strdup(label);
	a->body = post_body_new(body, len);
	a->timer = event_new(p->net.base, -1, 0, on_answer_timer, a);
	a->deadline_us = sys_mono_us() +
	    (uint64_t)p->server->conf->bi_answer_deadline_s * 1000000U;
	TAILQ_INSERT_TAIL(&t->answers, a, link);
	t->n_answers++;
	p->count++;
	if (a->label == NULL || a->body == NULL || a->timer == NULL) {
		answer_free(a);
		return NULL;
	}
	return a;
}

#define QUEUE_FULL "the queue is full"
#define QUEUE_FULL_TODO "see to the peers' servers, or raise bi-answer-queue"

/* Who has the most answers loses the oldest: one peer does not harm all. */
static bool
make_room(struct post *p, struct target *t)
{
	struct target *one, *most = t;
	struct answer *a;

	TAILQ_FOREACH(one, &p->targets, link)
	{
		most = one->n_answers > most->n_answers ? one : most;
	}
	a = TAILQ_FIRST(&most->answers);
	while (a != NULL && a->state == ANSWER_SENDING) {
		a = TAILQ_NEXT(a, link);
	}
	if (most == t || a == NULL) {
		return false;
	}
	answer_lose(a, QUEUE_FULL, QUEUE_FULL_TODO);
	target_free_if_idle(most);
	return true;
}

void
post_answer(struct post *p, const Joinery__Corridor__AnswerTo *to,
    const char *body, size_t len, const char *label)
{
	const char *url =
	    to->url != NULL && to->url[0] != '\0' ? to->url : "(none)";
	struct errctx ec = ERRCTX_INIT;
	struct target *t = NULL;
	char *path = NULL;

	if (find_target(p, to, &t, &path, &ec) != JY_OK || t == NULL) {
		say_lost(p, label, url, 0, ec.text,
		    "correct the peer's URL or PEM files");
		free(path);
		return;
	}
	if (p->count >= (size_t)p->server->conf->bi_answer_queue &&
	    !make_room(p, t)) {
		say_lost(p, label, url, 0, QUEUE_FULL, QUEUE_FULL_TODO);
		free(path);
	} else if (answer_new(t, path, body, len, label) == NULL) {
		say_lost(p, label, url, 0, "out of memory", "add memory");
	}
	target_run(t);
}

/* ---- starting and stopping ---- */

struct post *
post_new(struct server *s)
{
	struct post *p = sys_xcalloc(1, sizeof(*p));

	p->server = s;
	p->net.base = s->base;
	p->net.tls = tls_clients_new();
	TAILQ_INIT(&p->targets);
	return p;
}

void
post_free(struct post *p)
{
	struct target *t;
	struct answer *a;

	if (p == NULL) {
		return;
	}
	while ((t = TAILQ_FIRST(&p->targets)) != NULL) {
		while ((a = TAILQ_FIRST(&t->answers)) != NULL) {
			/* The analyzer does not follow TAILQ_REMOVE. */
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			answer_lose(a, "the server stops", "nothing");
		}
		target_free(t);
	}
	if (p->net.dns != NULL) {
		evdns_base_free(p->net.dns, 1);
	}
	tls_clients_free(p->net.tls);
	free(p);
}

size_t
post_count(const struct post *p)
{
	return p == NULL ? 0 : p->count;
}

void
post_reload(struct post *p)
{
	struct target *t;

	if (p == NULL) {
		return;
	}
	tls_clients_reload(p->net.tls);
	TAILQ_FOREACH(t, &p->targets, link)
	{
		for (size_t i = 0; i < t->n_links; i++) {
			post_link_expire(t->links[i]);
		}
	}
	p->net.dns_stale = true;
}
