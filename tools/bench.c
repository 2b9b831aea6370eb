/* SPDX-License-Identifier: Apache-2.0 */
/* joinery-bench: options, rows and their printing. */
#include "tools/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "tools/bench_fleet.h"
#include "tools/bench_server.h"

#define DEVICES_MAX 100000
#define WORKERS_MAX 8

struct plan {
	struct bench_options options;
	struct bench_tokens tokens;
	unsigned workers[WORKERS_MAX];
	size_t worker_count;
	bool json;
};

static int
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: joinery-bench [--token softhsm|softokn]... "
	    "[--workers N]...\n"
	    "           [--seconds S] [--joins N] [--devices N] "
	    "[--in-flight N]\n"
	    "           [--bi-connections N] [--programs DIR] [--json]\n"
	    "Measures, per token and number of workers, the token's floor, "
	    "null calls, joins\nand joins over Backend Interfaces, on "
	    "throwaway instances; see "
	    "joinery-bench(1).\n"
	    "joinery-bench fleet --help: how that changes as a fleet grows.\n");
	return out == stdout ? 0 : 2;
}

/* Devices that join one after the other. */
struct in_turn {
	struct bench_joiners joiners; /* first */
	struct bench_device *devices;
	uint32_t count;
};

static struct bench_device *
next_in_turn(struct bench_joiners *j, uint64_t n)
{
	const struct in_turn *t = (const struct in_turn *)j;

	return &t->devices[n % t->count];
}

/* One instance from its token to its figures. */
static enum jy_err
measure(const struct plan *plan, struct bench_instance *in,
    struct bench_device *devices, struct bench_row *row, struct errctx *ec)
{
	const struct bench_options *o = &plan->options;
	struct in_turn turn = {
		.joiners = { next_in_turn },
		.devices = devices,
		.count = o->devices,
	};
	struct bench_load null = { 0 }, joins = { 0 }, bi = { 0 };
	struct bench_counters before, after;
	enum jy_err err;

	err = bench_floor(in, o, &row->floor_joins_per_s, ec);
	if (err == JY_OK) {
		err = bench_server_start(in, o, NULL, ec);
	}
	if (err == JY_OK) {
		err = bench_add_all(in, o, devices, ec);
	}
	if (err == JY_OK) {
		err = bench_load_pings(in, o, &null, ec);
	}
	if (err == JY_OK) { /* so that every key's copy is at hand */
		struct bench_options warm = *o;

		warm.joins = o->devices * 8;
		err = bench_load_joins(in, &warm, &turn.joiners, &joins, ec);
	}
	if (err == JY_OK) {
		err = bench_server_counters(in, &before, ec);
	}
	if (err == JY_OK) {
		err = bench_load_joins(in, o, &turn.joiners, &joins, ec);
	}
	if (err == JY_OK) {
		err = bench_server_counters(in, &after, ec);
	}
	if (err == JY_OK) {
		err = bench_load_bi(in, o, devices, &bi, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	row->null_calls_per_s = null.per_s;
	row->joins = joins.done;
	row->joins_per_s = joins.per_s;
	row->p50_us = joins.p50_us;
	row->p99_us = joins.p99_us;
	row->bi_joins_per_s = bi.per_s;
	row->bi_p50_us = bi.p50_us;
	row->bi_p99_us = bi.p99_us;
	row->ratio_to_floor = row->joins_per_s / row->floor_joins_per_s;
	row->pkcs11_calls_per_join =
	    (double)(after.pkcs11_calls - before.pkcs11_calls) /
	    (double)joins.done;
	row->fsyncs_per_join =
	    (double)(after.syncs - before.syncs) / (double)joins.done;
	row->rss_bytes = after.rss_bytes;
	row->rss_growth_bytes =
	    (int64_t)after.anon_bytes - (int64_t)before.anon_bytes;
	return JY_OK;
}

static void
print_head(void)
{
	(void)printf("%-8s %7s %9s %9s %9s %6s %7s %7s %7s %7s %7s %6s %7s "
		     "%8s %9s\n",
	    "token", "workers", "floor/s", "null/s", "joins/s", "ratio",
	    "p50 us", "p99 us", "bi/s", "p50 us", "p99 us", "calls", "fsyncs",
	    "rss MiB", "grew KiB");
}

static void
print_row(const struct bench_row *r)
{
	(void)printf("%-8s %7u %9.0f %9.0f %9.0f %6.2f %7.0f %7.0f %7.0f "
		     "%7.0f %7.0f %6.2f %7.3f %8.1f %9lld\n",
	    r->token, r->workers, r->floor_joins_per_s, r->null_calls_per_s,
	    r->joins_per_s, r->ratio_to_floor, r->p50_us, r->p99_us,
	    r->bi_joins_per_s, r->bi_p50_us, r->bi_p99_us,
	    r->pkcs11_calls_per_join, r->fsyncs_per_join,
	    (double)r->rss_bytes / (1024 * 1024),
	    (long long)r->rss_growth_bytes / 1024);
	(void)fflush(stdout);
}

static void
print_json(const struct bench_row *r, bool first)
{
	(void)printf("%s\n {\"token\": \"%s\", \"workers\": %u, "
		     "\"floor_joins_per_s\": %.1f, "
		     "\"null_calls_per_s\": %.1f, \"joins_per_s\": %.1f, "
		     "\"ratio_to_floor\": %.3f, \"p50_us\": %.0f, "
		     "\"p99_us\": %.0f, \"bi_joins_per_s\": %.1f, "
		     "\"bi_p50_us\": %.0f, \"bi_p99_us\": %.0f, "
		     "\"pkcs11_calls_per_join\": %.3f, "
		     "\"fsyncs_per_join\": %.4f, \"joins\": %llu, "
		     "\"rss_bytes\": %llu, \"rss_growth_bytes\": %lld}",
	    first ? "[" : ",", r->token, r->workers, r->floor_joins_per_s,
	    r->null_calls_per_s, r->joins_per_s, r->ratio_to_floor, r->p50_us,
	    r->p99_us, r->bi_joins_per_s, r->bi_p50_us, r->bi_p99_us,
	    r->pkcs11_calls_per_join, r->fsyncs_per_join,
	    (unsigned long long)r->joins, (unsigned long long)r->rss_bytes,
	    (long long)r->rss_growth_bytes);
}

/* Takes a struct plan. */
static int
run_plan(const void *arg)
{
	const struct plan *plan = arg;
	struct bench_device *devices =
	    sys_xcalloc(plan->options.devices, sizeof(devices[0]));
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = JY_OK;
	bool first = true;

	if (!plan->json) {
		print_head();
	}
	for (size_t t = 0; err == JY_OK && t < plan->tokens.count; t++) {
		for (size_t w = 0; err == JY_OK && w < plan->worker_count;
		     w++) {
			struct bench_instance in = { 0 };
			struct bench_row row = {
				.token = plan->tokens.name[t],
				.workers = plan->workers[w],
			};

			err = bench_instance_new(
			    &in, row.token, row.workers, &plan->options, &ec);
			if (err == JY_OK) {
				err = measure(plan, &in, devices, &row, &ec);
			}
			bench_instance_free(&in);
			if (err == JY_OK && plan->json) {
				print_json(&row, first);
				first = false;
			} else if (err == JY_OK) {
				print_row(&row);
			}
		}
	}
	if (plan->json) {
		(void)printf("%s\n]\n", first ? "[" : "");
	}
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-bench: %s\n", err_detail(&ec, err));
	}
	secret_wipe(devices, plan->options.devices * sizeof(devices[0]));
	free(devices);
	return err == JY_OK ? 0 : 1;
}

uint32_t
bench_number(const char *text, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || v == 0 || v > max) {
		(void)fprintf(stderr,
		    "joinery-bench: %s is not a number from 1 to %u\n", text,
		    max);
		exit(2);
	}
	return (uint32_t)v;
}

void
bench_tokens_add(struct bench_tokens *tokens, const char *name)
{
	if (!bench_token_known(name) || tokens->count == BENCH_TOKENS_MAX) {
		(void)fprintf(stderr,
		    "joinery-bench: token is softhsm or softokn, not %s\n",
		    name);
		exit(2);
	}
	tokens->name[tokens->count++] = name;
}

void
bench_tokens_fill(struct bench_tokens *tokens)
{
	if (tokens->count == 0) {
		bench_tokens_add(tokens, "softhsm");
		bench_tokens_add(tokens, "softokn");
	}
}

static void
add_workers(struct plan *plan, const char *text)
{
	if (plan->worker_count == WORKERS_MAX) {
		(void)fprintf(stderr, "joinery-bench: too many --workers\n");
		exit(2);
	}
	plan->workers[plan->worker_count++] =
	    bench_number(text, BENCH_WORKERS_MAX);
}

/* What was not said: both tokens, one worker and as many as processors. */
static void
fill_in(struct plan *plan)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	bench_tokens_fill(&plan->tokens);
	if (plan->worker_count == 0) {
		plan->workers[plan->worker_count++] = 1;
		if (cores > 1 && cores <= BENCH_WORKERS_MAX) {
			plan->workers[plan->worker_count++] = (unsigned)cores;
		}
	}
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "token", required_argument, NULL, 't' },
		{ "workers", required_argument, NULL, 'w' },
		{ "seconds", required_argument, NULL, 's' },
		{ "joins", required_argument, NULL, 'n' },
		{ "devices", required_argument, NULL, 'd' },
		{ "in-flight", required_argument, NULL, 'f' },
		{ "bi-connections", required_argument, NULL, 'b' },
		{ "programs", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct plan plan = {
		.options = { .seconds = 5,
		    .devices = 128, /* whose keys are all at hand */
		    .in_flight = 256,
		    .bi_connections = 64,
		    .custody = "resident",
		    .key_cache = CONF_KEY_CACHE },
	};
	int c;

	if (argc == 5 && strcmp(argv[1], "--floor-child") == 0) {
		return bench_floor_child(argv[2], bench_number(argv[3], 86400),
		    bench_number(argv[4], DEVICES_MAX));
	}
	if (argc == 5 && strcmp(argv[1], "--fleet-floor-child") == 0) {
		return fleet_floor_child(
		    argv[2], argv[3], bench_number(argv[4], 86400));
	}
	if (argc > 1 && strcmp(argv[1], "fleet") == 0) {
		return fleet_main(argc - 1, argv + 1);
	}
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 't':
			bench_tokens_add(&plan.tokens, optarg);
			break;
		case 'w':
			add_workers(&plan, optarg);
			break;
		case 's':
			plan.options.seconds = bench_number(optarg, 86400);
			break;
		case 'n':
			plan.options.joins = bench_number(optarg, 100000000);
			break;
		case 'd':
			plan.options.devices =
			    bench_number(optarg, DEVICES_MAX);
			break;
		case 'f':
			plan.options.in_flight = bench_number(optarg, 2048);
			break;
		case 'b':
			plan.options.bi_connections =
			    bench_number(optarg, 1000);
			break;
		case 'p':
			plan.options.programs = optarg;
			break;
		case 'j':
			plan.json = true;
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (optind != argc) {
		return usage(stderr);
	}
	fill_in(&plan);
	return bench_guard(run_plan, &plan);
}
