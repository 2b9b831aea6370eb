/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery-bench: what a join costs beyond the token's own work, and how that
 * changes as a fleet grows.
 *
 * One row per token and number of workers, all in one run: the floor (the
 * token operations of a join, in as many processes, with no server), null
 * calls through front and worker, joins, and joins over Backend Interfaces.
 * bench_fleet.h has the other kind of row.
 */
#ifndef JY_TOOLS_BENCH_H
#define JY_TOOLS_BENCH_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/base/secret.h"

#define BENCH_PATH_MAX 256
#define BENCH_WORKERS_MAX 64
#define BENCH_CERT "tls.pem" /* in the instance's directory; with its key */
#define BENCH_NS_NAME "bench-ns.joinery.example"
#define BENCH_REQUEST_LEN 23
#define BENCH_KEK "bench"
#define BENCH_NET_ID 0x13
#define BENCH_TOKENS_MAX 4

struct bench_options {
	const char *programs; /* directory of a build, or NULL: installed */
	uint32_t seconds;     /* that each figure is measured for */
	uint32_t joins;       /* instead of seconds, for joins; 0: none */
	uint32_t devices;
	uint32_t in_flight;
	uint32_t bi_connections;
	const char *custody; /* as in joinery.conf */
	uint32_t key_cache;  /* likewise */
	uint32_t order;      /* fleet: devices of consecutive DevEUIs */
};

/* The tokens that were asked for. */
struct bench_tokens {
	const char *name[BENCH_TOKENS_MAX];
	size_t count;
};

/* A device of the bench; counters only, 1.0.4. */
struct bench_device {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	struct secret_block key;
	uint16_t dev_nonce;
};

/* A throwaway instance: token, store, server. */
struct bench_instance {
	const char *token;
	char dir[BENCH_PATH_MAX];
	char socket[BENCH_PATH_MAX];
	char conf[BENCH_PATH_MAX];
	char bi_address[32]; /* where it listens for Backend Interfaces */
	unsigned workers;
	pid_t server; /* 0: not running */
};

struct bench_row {
	const char *token;
	unsigned workers;
	double floor_joins_per_s;
	double null_calls_per_s;
	double joins_per_s;
	double ratio_to_floor;
	double p50_us;
	double p99_us;
	double bi_joins_per_s; /* over Backend Interfaces */
	double bi_p50_us;
	double bi_p99_us;
	double pkcs11_calls_per_join;
	double fsyncs_per_join;
	uint64_t joins;
	uint64_t rss_bytes;       /* of all workers, in the end */
	int64_t rss_growth_bytes; /* of their own memory, while joining */
};

/* ---- bench.c ---- */

/* A positive number not above max; anything else ends the program. */
uint32_t bench_number(const char *text, uint32_t max);

/* Likewise for the name of a token; none at all means both. */
void bench_tokens_add(struct bench_tokens *tokens, const char *name);
void bench_tokens_fill(struct bench_tokens *tokens);

/* ---- bench_process.c ---- */

/*
 * Do work in a process of its own, with TMPDIR a new directory; remove that
 * and wait for every server that was started, whichever way work ends.  What
 * work returned; a signal that ended it ends this process, too.
 */
int bench_guard(int (*work)(const void *arg), const void *arg) JY_CHECK;

/* As fork, and the child ends when this process does. */
enum jy_err bench_fork(pid_t *pid, struct errctx *ec) JY_CHECK;

/* Start a program, whose output goes to the instance's log. */
enum jy_err bench_spawn(const struct bench_instance *in, char *const argv[],
    pid_t *pid, struct errctx *ec) JY_CHECK;

/* Likewise, and wait for its success; the end of the log is shown if not. */
enum jy_err bench_run(const struct bench_instance *in, char *const argv[],
    struct errctx *ec) JY_CHECK;
void bench_show_log(const struct bench_instance *in);

/* The path of one of our programs. */
void bench_program_path(const struct bench_options *o,
    const char *installed_dir, const char *name, char out[BENCH_PATH_MAX]);

/* A directory and all in it. */
void bench_remove(const char *dir);

/* ---- bench_instance.c ---- */

/* "softhsm" and "softokn". */
bool bench_token_known(const char *token);

/* Prepare a directory with an initialised token and a configuration. */
enum jy_err bench_instance_new(struct bench_instance *in, const char *token,
    unsigned workers, const struct bench_options *o,
    struct errctx *ec) JY_CHECK;

/* Write the configuration anew, for the next start. */
enum jy_err bench_instance_configure(const struct bench_instance *in,
    const struct bench_options *o, struct errctx *ec) JY_CHECK;

/* What is started from now on finds the token of this instance. */
void bench_instance_select(const struct bench_instance *in);

/* Stop the server and remove the directory. */
void bench_instance_free(struct bench_instance *in);

/* ---- bench_cert.c ---- */

/* A certificate for both ends, with its key, in one PEM file. */
enum jy_err bench_cert_make(const char *path, struct errctx *ec) JY_CHECK;

/* ---- bench_floor.c ---- */

/*
 * The token operations of 1.0.x joins, of as many devices, in as many
 * processes as workers; each process execs this program again, because a token
 * library must not be forked.
 */
enum jy_err bench_floor(const struct bench_instance *in,
    const struct bench_options *o, double *joins_per_s,
    struct errctx *ec) JY_CHECK;

/* What such a process does; prints its count on standard output. */
int bench_floor_child(const char *conf, uint32_t seconds, uint32_t devices);

/*
 * Run as many processes as workers, each this program with argv, at the same
 * time: each prints a line when it is ready, waits for the end of its standard
 * input, and prints a number, of which *sum is the sum.
 */
enum jy_err bench_floor_run(unsigned workers, char *const argv[], double *sum,
    struct errctx *ec) JY_CHECK;

/* In such a process: say that it is ready, and wait. */
void bench_floor_wait(void);

/* The directory of its instance, where it takes turns to open the token. */
void bench_floor_dir(const char *conf, char out[BENCH_PATH_MAX]);

/* ---- bench_load.c ---- */

/* Null calls or joins over one connection, in_flight at a time. */
struct bench_load {
	uint64_t done;
	double per_s;
	double p50_us;
	double p99_us;
};

/* Who joins: the device of the n-th join, valid until the next call. */
struct bench_joiners {
	struct bench_device *(*next)(struct bench_joiners *j, uint64_t n);
};

enum jy_err bench_load_pings(const struct bench_instance *in,
    const struct bench_options *o, struct bench_load *out,
    struct errctx *ec) JY_CHECK;
enum jy_err bench_load_joins(const struct bench_instance *in,
    const struct bench_options *o, struct bench_joiners *joiners,
    struct bench_load *out, struct errctx *ec) JY_CHECK;

struct sim_crypto;

/* The join-request of a device, with its MIC; uses up a DevNonce. */
void bench_join_request(struct sim_crypto *c, struct bench_device *d,
    uint8_t phy[BENCH_REQUEST_LEN]);

/* Latencies, of which the first few million count. */
struct bench_latencies {
	uint32_t *us;
	size_t count;
};

void bench_latencies_init(struct bench_latencies *l);
void bench_latencies_fini(struct bench_latencies *l);
void bench_latency(struct bench_latencies *l, uint64_t us);

/* Sum up a load of so many answers in so many microseconds; sorts. */
void bench_latencies_sum(struct bench_latencies *l, uint64_t done,
    uint64_t took_us, struct bench_load *out);

/* ---- bench_bi.c ---- */

/* Joins over Backend Interfaces: bi_connections keep-alive TLS connections. */
enum jy_err bench_load_bi(const struct bench_instance *in,
    const struct bench_options *o, struct bench_device *devices,
    struct bench_load *out, struct errctx *ec) JY_CHECK;

#endif
