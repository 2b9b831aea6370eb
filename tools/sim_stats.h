/* SPDX-License-Identifier: Apache-2.0 */
/* How many joins, how fast, how many went wrong. */
#ifndef JY_TOOLS_SIM_STATS_H
#define JY_TOOLS_SIM_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/sim.h"
#include "tools/sim_report.h"

struct sim_stats {
	uint32_t *latencies_us;
	size_t count;
	size_t cap;
	uint64_t start_us;
	uint64_t stop_us;
	uint64_t failed;  /* a check did not hold */
	uint64_t refused; /* by the server */
};

/* Room for cap latencies. */
void sim_stats_init(struct sim_stats *s, uint64_t cap);
void sim_stats_fini(struct sim_stats *s);

void sim_stats_start(struct sim_stats *s);
void sim_stats_stop(struct sim_stats *s);

/* Note an answer's latency; beyond the room it is dropped. */
void sim_stats_latency(struct sim_stats *s, uint64_t us);

/* Count an outcome: SIM_OK, SIM_FAILED or SIM_REFUSED. */
void sim_stats_count(struct sim_stats *s, enum sim_status status);

/* The exit status all outcomes together deserve. */
enum sim_status sim_stats_status(const struct sim_stats *s);

/* The latency that permille of 1000 answers stayed within; sorts them. */
uint32_t sim_stats_quantile(struct sim_stats *s, unsigned permille);

/* One line, for people or as JSON; nothing when quiet. */
void sim_stats_print(struct sim_stats *s, enum sim_format format, FILE *out);

#endif
