/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over a run; a latency is from sending a request to having its answer. */
#include "tools/sim_stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"

void
sim_stats_init(struct sim_stats *s, uint64_t cap)
{
	memset(s, 0, sizeof(*s));
	s->cap = (size_t)cap;
	s->latencies_us = sys_xcalloc(s->cap, sizeof(*s->latencies_us));
}

void
sim_stats_fini(struct sim_stats *s)
{
	free(s->latencies_us);
	memset(s, 0, sizeof(*s));
}

void
sim_stats_start(struct sim_stats *s)
{
	s->start_us = sys_mono_us();
}

void
sim_stats_stop(struct sim_stats *s)
{
	s->stop_us = sys_mono_us();
}

void
sim_stats_latency(struct sim_stats *s, uint64_t us)
{
	if (s->count < s->cap) {
		s->latencies_us[s->count++] =
		    us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
	}
}

void
sim_stats_count(struct sim_stats *s, enum sim_status status)
{
	s->failed += status == SIM_FAILED;
	s->refused += status == SIM_REFUSED;
}

enum sim_status
sim_stats_status(const struct sim_stats *s)
{
	if (s->failed > 0) {
		return SIM_FAILED;
	}
	return s->refused > 0 ? SIM_REFUSED : SIM_OK;
}

static int
latency_cmp(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

uint32_t
sim_stats_quantile(struct sim_stats *s, unsigned permille)
{
	size_t rank = (s->count * permille + 999) / 1000;

	if (s->count == 0) {
		return 0;
	}
	qsort(s->latencies_us, s->count, sizeof(*s->latencies_us), latency_cmp);
	return s->latencies_us[rank > 0 ? rank - 1 : 0];
}

void
sim_stats_print(struct sim_stats *s, enum sim_format format, FILE *out)
{
	uint64_t took_us =
	    s->stop_us > s->start_us ? s->stop_us - s->start_us : 1;
	double seconds = (double)took_us / 1e6;
	double rate = (double)s->count / seconds;
	double p50_ms = sim_stats_quantile(s, 500) / 1e3;
	double p99_ms = sim_stats_quantile(s, 990) / 1e3;

	if (format == SIM_JSON) {
		(void)fprintf(out,
		    "{\"answers\":%zu,\"seconds\":%.3f,\"joins_per_s\":%.0f,"
		    "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"refused\":%" PRIu64
		    ",\"failed\":%" PRIu64 "}\n",
		    s->count, seconds, rate, p50_ms, p99_ms, s->refused,
		    s->failed);
	} else if (format == SIM_HUMAN) {
		(void)fprintf(out,
		    "%zu answers in %.3f s: %.0f joins/s, p50 %.3f ms, "
		    "p99 %.3f ms, %" PRIu64 " refused, %" PRIu64 " failed\n",
		    s->count, seconds, rate, p50_ms, p99_ms, s->refused,
		    s->failed);
	}
}
