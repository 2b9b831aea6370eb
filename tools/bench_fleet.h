/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery-bench fleet: what grows as a fleet does.
 *
 * One row per token and size, each of an instance of its own that is filled
 * by "joineryctl import": how fast that is beside the token's own work, how
 * long a start takes, memory, disk, and joins of devices drawn at random, with
 * the key cache as it is and as small as it can be.
 */
#ifndef JY_TOOLS_BENCH_FLEET_H
#define JY_TOOLS_BENCH_FLEET_H

#include "tools/bench.h"
#include "tools/bench_server.h"

#define FLEET_KEY_CACHE_MIN 16

/* ---- bench_fleet.c ---- */

/* Options, rows and their printing; the exit status. */
int fleet_main(int argc, char **argv);

/* ---- bench_fleet_run.c ---- */

struct fleet_joins {
	struct bench_load load;
	double pkcs11_calls; /* these two per join */
	double key_misses;
};

struct fleet_row {
	const char *token;
	unsigned workers;
	uint32_t devices;
	double import_per_s;
	double import_floor_per_s;
	double start_s;
	uint64_t store_bytes; /* of the database's file, behind the import */
	struct fleet_joins joins;
	struct bench_counters memory; /* behind these joins */
	struct fleet_joins small;     /* with the smallest cache */
};

/* An instance of that token and size, from nothing to its figures. */
enum jy_err fleet_measure(const struct bench_options *o, struct fleet_row *row,
    struct errctx *ec) JY_CHECK;

/* ---- bench_fleet_devices.c ---- */

/*
 * As many devices as one likes, none of them stored: EUIs and root key of each
 * come from its number and a random seed.
 */
struct fleet;

enum jy_err fleet_new(
    uint32_t devices, struct fleet **out, struct errctx *ec) JY_CHECK;
void fleet_free(struct fleet *f);

/* The applications that the devices belong to. */
enum jy_err fleet_add_apps(struct client *c, struct errctx *ec) JY_CHECK;

/* All devices into a sealed key file, which goes to disk as it grows. */
enum jy_err fleet_write(struct fleet *f, const char *path,
    const uint8_t *public_key, size_t public_key_len,
    struct errctx *ec) JY_CHECK;

/* Joins of the devices in turn, or drawn at random; until fleet_free. */
struct bench_joiners *fleet_in_turn(struct fleet *f);
struct bench_joiners *fleet_at_random(struct fleet *f);

/* ---- bench_fleet_floor.c ---- */

/*
 * What an import asks of the token for one root key, in as many processes as
 * workers, for as many seconds as a figure takes.
 */
enum jy_err fleet_floor(const struct bench_instance *in,
    const struct bench_options *o, double *keys_per_s,
    struct errctx *ec) JY_CHECK;

/* What such a process does; prints its count on standard output. */
int fleet_floor_child(const char *conf, const char *custody, uint32_t seconds);

#endif
