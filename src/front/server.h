/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joineryd as a whole: what its parts share.  One thread; nothing here ever
 * blocks but a log line that standard error does not take.
 */
#ifndef JY_FRONT_SERVER_H
#define JY_FRONT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/err.h"

struct conf;
struct conns;
struct event_base;
struct http;
struct partings;
struct pending;
struct post;
struct supervisor;
struct tls;
struct traces;

struct front_stats {
#define X(name, meaning) uint64_t name;
#include "src/front/stats.def"
#undef X
};

struct server {
	const struct conf *conf;
	struct event_base *base;
	struct arena arena; /* for the message being looked at */
	struct pending *pending;
	struct conns *conns;
	struct partings *partings;
	struct supervisor *supervisor;
	struct traces *traces;
	struct http *http; /* NULL: not listening for HTTP */
	struct post *post; /* NULL as well then */
	struct tls *tls;   /* NULL: not listening with TLS */
	struct front_stats stats;
	uint64_t started_us;
	uint64_t stop_us; /* when stopping began; 0: it has not */
	int exit_status;
};

/* Serve until told to stop; the exit status of the process. */
int server_run(const struct conf *conf);

/*
 * Stop in order: no new requests, those under way are answered, workers
 * drained; then server_run returns exit_status.  Bounded in time.
 */
void server_stop(struct server *s, int exit_status);

/* What conf_load cannot see: JY_ECONFIG if joineryd could not serve so. */
enum jy_err server_check(const struct conf *conf, struct errctx *ec) JY_CHECK;

#endif
