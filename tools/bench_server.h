/* SPDX-License-Identifier: Apache-2.0 */
/* The server of an instance: its life, what it must know, what it counts. */
#ifndef JY_TOOLS_BENCH_SERVER_H
#define JY_TOOLS_BENCH_SERVER_H

#include "tools/bench.h"
#include "tools/client.h"

/*
 * Start the server and wait until all workers are ready.  *seconds, unless
 * NULL, is from there to the first answer of a worker.
 */
enum jy_err bench_server_start(struct bench_instance *in,
    const struct bench_options *o, double *seconds, struct errctx *ec) JY_CHECK;

/* Stop it, if it runs. */
void bench_server_stop(struct bench_instance *in);

/* A connection of an admin, who is the one that runs the bench. */
enum jy_err bench_admin_open(const struct bench_instance *in,
    struct client **out, struct errctx *ec) JY_CHECK;

/* Make an admin call; anything but success is an error. */
enum jy_err bench_admin_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

/* The KEK BENCH_KEK and the Network Server that joins are asked by. */
enum jy_err bench_add_kek_and_peer(
    struct client *c, struct errctx *ec) JY_CHECK;

/* The import key; free with client_free. */
enum jy_err bench_import_key(
    struct client *c, Joinery__V1__Response **out, struct errctx *ec) JY_CHECK;

/* KEK, peer, and as many devices as the options say, made on the way. */
enum jy_err bench_add_all(const struct bench_instance *in,
    const struct bench_options *o, struct bench_device *devices,
    struct errctx *ec) JY_CHECK;

struct bench_memory {
	uint64_t rss;
	uint64_t own; /* of that, not of mapped files: RssAnon and RssShmem */
};

/* Counters of all workers, summed; and memory. */
struct bench_counters {
	uint64_t joins;
	uint64_t pkcs11_calls;
	uint64_t syncs;
	uint64_t key_misses;
	uint64_t rss_bytes; /* of all workers */
	uint64_t anon_bytes;
	uint64_t front_rss_bytes;
	struct bench_memory workers[BENCH_WORKERS_MAX];
	unsigned worker_count;
};

enum jy_err bench_server_counters(const struct bench_instance *in,
    struct bench_counters *out, struct errctx *ec) JY_CHECK;

#endif
