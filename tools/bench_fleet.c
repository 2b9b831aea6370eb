/* SPDX-License-Identifier: Apache-2.0 */
/* joinery-bench fleet: options, rows and their printing. */
#include "tools/bench_fleet.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/conf/conf.h"

#define SIZES_MAX 16
#define DEVICES_MIN 100
#define DEVICES_MAX 10000000U
#define SECONDS_MAX 60
#define ORDER 1000

struct plan {
	struct bench_options options;
	struct bench_tokens tokens;
	uint32_t sizes[SIZES_MAX];
	size_t size_count;
	unsigned workers;
	bool json;
};

static int
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: joinery-bench fleet [--token softhsm|softokn]... "
	    "[--devices N[,N]...]\n"
	    "           [--order N] [--custody wrapped|resident] "
	    "[--workers N]\n"
	    "           [--seconds S] [--in-flight N] [--key-cache N] "
	    "[--programs DIR] [--json]\n"
	    "Measures, per token and size of the fleet, import, start, "
	    "memory, disk, and joins\nof devices drawn at random, on "
	    "throwaway instances; see joinery-bench(1).\n");
	return out == stdout ? 0 : 2;
}

/* ---- rows ---- */

static double
mib(uint64_t octets)
{
	return (double)octets / (1024 * 1024);
}

/* The largest of all workers. */
static struct bench_memory
largest(const struct bench_counters *c)
{
	struct bench_memory max = { 0 };

	for (unsigned i = 0; i < c->worker_count; i++) {
		const struct bench_memory *w = &c->workers[i];

		max.rss = w->rss > max.rss ? w->rss : max.rss;
		max.own = w->own > max.own ? w->own : max.own;
	}
	return max;
}

static void
print_head(void)
{
	(void)printf("%-8s %8s %9s %9s %8s %9s %7s %9s %9s %9s %7s %9s %8s %6s "
		     "%9s %8s %6s\n",
	    "token", "devices", "import/s", "floor/s", "of floor", "bare/s",
	    "start s", "front MiB", "work MiB", "own MiB", "oct/dev", "joins/s",
	    "of first", "misses", "small/s", "of first", "misses");
}

static void
print_row(const struct fleet_row *r)
{
	struct bench_memory max = largest(&r->joins.after);

	(void)printf("%-8s %8u %9.0f %9.0f %8.2f %9.0f %7.2f %9.1f %9.1f %9.1f "
		     "%7.0f %9.0f %8.2f %6.3f %9.0f %8.2f %6.3f\n",
	    r->token, r->devices, r->import_per_s, r->import_floor_per_s,
	    r->import_per_s / r->import_floor_per_s, r->import_bare_per_s,
	    r->start_s, mib(r->joins.after.front_rss_bytes), mib(max.rss),
	    mib(max.own), (double)r->store_bytes / r->devices,
	    r->joins.load.per_s, r->joins.ratio_to_first, r->joins.key_misses,
	    r->small.load.per_s, r->small.ratio_to_first, r->small.key_misses);
	(void)fflush(stdout);
}

static void
print_json_workers(const char *name, const struct bench_counters *c, bool own)
{
	(void)printf(", \"%s\": [", name);
	for (unsigned i = 0; i < c->worker_count; i++) {
		const struct bench_memory *w = &c->workers[i];

		(void)printf("%s%llu", i > 0 ? ", " : "",
		    (unsigned long long)(own ? w->own : w->rss));
	}
	(void)printf("]");
}

static void
print_json_joins(const char *name, const struct fleet_joins *j)
{
	(void)printf(", \"%s\": {\"per_s\": %.1f, \"ratio_to_first\": %.3f, "
		     "\"p50_us\": %.0f, \"p99_us\": %.0f, "
		     "\"pkcs11_calls_per_join\": %.3f, "
		     "\"key_misses_per_join\": %.4f, \"joins\": %llu}",
	    name, j->load.per_s, j->ratio_to_first, j->load.p50_us,
	    j->load.p99_us, j->pkcs11_calls, j->key_misses,
	    (unsigned long long)j->load.done);
}

static void
print_json(const struct plan *plan, const struct fleet_row *r, bool begin)
{
	(void)printf("%s\n {\"token\": \"%s\", \"custody\": \"%s\", "
		     "\"workers\": %u, \"devices\": %u, \"order\": %u, "
		     "\"import_per_s\": %.1f, \"import_floor_per_s\": %.1f, "
		     "\"import_ratio_to_floor\": %.3f, "
		     "\"import_bare_per_s\": %.1f, \"start_s\": %.3f, "
		     "\"store_bytes\": %llu, "
		     "\"store_octets_per_device\": %.1f, "
		     "\"front_rss_bytes\": %llu",
	    begin ? "[" : ",", r->token, plan->options.custody, r->workers,
	    r->devices, plan->options.order, r->import_per_s,
	    r->import_floor_per_s, r->import_per_s / r->import_floor_per_s,
	    r->import_bare_per_s, r->start_s,
	    (unsigned long long)r->store_bytes,
	    (double)r->store_bytes / r->devices,
	    (unsigned long long)r->joins.after.front_rss_bytes);
	print_json_workers("workers_rss_bytes", &r->joins.after, false);
	print_json_workers("workers_own_bytes", &r->joins.after, true);
	print_json_workers("workers_own_bytes_imported", &r->imported, true);
	print_json_joins("joins", &r->joins);
	print_json_joins("joins_smallest_cache", &r->small);
	(void)printf("}");
	(void)fflush(stdout);
}

/* ---- the run ---- */

/* Joins with a key cache as it is, and as small as it can be. */
static enum jy_err
run_joins(const struct plan *plan, struct fleet_site *site,
    struct fleet_site *first, struct fleet_row *row, struct errctx *ec)
{
	enum jy_err err = fleet_site_join(
	    site, first, plan->options.key_cache, &row->joins, ec);

	return err == JY_OK
	    ? fleet_site_join(site, first, CONF_KEY_CACHE_MIN, &row->small, ec)
	    : err;
}

/* All sizes on one token; the first stays, to be held against the others. */
static enum jy_err
run_token(
    const struct plan *plan, const char *token, bool *begin, struct errctx *ec)
{
	struct fleet_site first = { .devices = 0 }, other = { .devices = 0 };
	enum jy_err err = JY_OK;

	for (size_t i = 0; err == JY_OK && i < plan->size_count; i++) {
		struct fleet_site *site = i == 0 ? &first : &other;
		struct fleet_row row = {
			.token = token,
			.workers = plan->workers,
			.devices = plan->sizes[i],
		};

		err = fleet_site_new(site, &plan->options, &row, ec);
		if (err == JY_OK) {
			err = run_joins(plan, site, &first, &row, ec);
		}
		if (err == JY_OK && plan->json) {
			print_json(plan, &row, *begin);
		} else if (err == JY_OK) {
			print_row(&row);
		}
		*begin = *begin && err != JY_OK;
		fleet_site_free(&other);
	}
	fleet_site_free(&first);
	return err;
}

/* Takes a struct plan. */
static int
run_plan(const void *arg)
{
	const struct plan *plan = arg;
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = JY_OK;
	bool begin = true;

	if (!plan->json) {
		print_head();
	}
	for (size_t t = 0; err == JY_OK && t < plan->tokens.count; t++) {
		err = run_token(plan, plan->tokens.name[t], &begin, &ec);
	}
	if (plan->json) {
		(void)printf("%s\n]\n", begin ? "[" : "");
	}
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-bench: %s\n", err_detail(&ec, err));
	}
	return err == JY_OK ? 0 : 1;
}

/* ---- options ---- */

static void
add_sizes(struct plan *plan, char *text)
{
	char *rest = NULL;
	bool good = true;

	for (char *word = strtok_r(text, ",", &rest); word != NULL && good;
	     word = strtok_r(NULL, ",", &rest)) {
		uint32_t size = bench_number(word, DEVICES_MAX);

		good = size >= DEVICES_MIN && plan->size_count < SIZES_MAX;
		if (good) {
			plan->sizes[plan->size_count++] = size;
		}
	}
	if (!good || plan->size_count == 0) {
		(void)fprintf(stderr,
		    "joinery-bench: --devices are up to %d numbers, from %d\n",
		    SIZES_MAX, DEVICES_MIN);
		exit(2);
	}
}

static void
set_key_cache(struct plan *plan, const char *word)
{
	plan->options.key_cache = bench_number(word, CONF_KEY_CACHE_MAX);
	if (plan->options.key_cache < CONF_KEY_CACHE_MIN) {
		(void)fprintf(stderr,
		    "joinery-bench: --key-cache is a number from %d\n",
		    CONF_KEY_CACHE_MIN);
		exit(2);
	}
}

static void
set_custody(struct plan *plan, const char *word)
{
	if (strcmp(word, "wrapped") != 0 && strcmp(word, "resident") != 0) {
		(void)fprintf(stderr,
		    "joinery-bench: custody is wrapped or resident, not %s\n",
		    word);
		exit(2);
	}
	plan->options.custody = word;
}

/* What was not said. */
static void
fill_in(struct plan *plan)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	bench_tokens_fill(&plan->tokens);
	if (plan->size_count == 0) {
		plan->sizes[plan->size_count++] = 1000;
		plan->sizes[plan->size_count++] = 10000;
	}
	if (plan->workers == 0) {
		plan->workers = cores >= 1 && cores <= BENCH_WORKERS_MAX
		    ? (unsigned)cores
		    : 1;
	}
}

int
fleet_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "token", required_argument, NULL, 't' },
		{ "devices", required_argument, NULL, 'd' },
		{ "order", required_argument, NULL, 'o' },
		{ "custody", required_argument, NULL, 'c' },
		{ "workers", required_argument, NULL, 'w' },
		{ "seconds", required_argument, NULL, 's' },
		{ "in-flight", required_argument, NULL, 'f' },
		{ "key-cache", required_argument, NULL, 'k' },
		{ "programs", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct plan plan = {
		.options = { .seconds = 5,
		    .in_flight = 256,
		    .bi_connections = 1,
		    .custody = "wrapped",
		    .key_cache = CONF_KEY_CACHE,
		    .order = ORDER },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 't':
			bench_tokens_add(&plan.tokens, optarg);
			break;
		case 'd':
			add_sizes(&plan, optarg);
			break;
		case 'o':
			plan.options.order = bench_number(optarg, DEVICES_MAX);
			break;
		case 'c':
			set_custody(&plan, optarg);
			break;
		case 'w':
			plan.workers = bench_number(optarg, BENCH_WORKERS_MAX);
			break;
		case 's':
			plan.options.seconds =
			    bench_number(optarg, SECONDS_MAX);
			break;
		case 'f':
			plan.options.in_flight = bench_number(optarg, 2048);
			break;
		case 'k':
			set_key_cache(&plan, optarg);
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
