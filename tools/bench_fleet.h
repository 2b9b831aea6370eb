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

/* ---- bench_fleet.c ---- */

/* Options, rows and their printing; the exit status. */
int fleet_main(int argc, char **argv);

/* ---- bench_fleet_run.c ---- */

struct fleet_joins {
	struct bench_load load;
	double ratio_to_first;
	double pkcs11_calls; /* these two per join */
	double key_misses;
	struct bench_counters after;
};

struct fleet_row {
	const char *token;
	unsigned workers;
	uint32_t devices;
	double import_per_s;
	double import_floor_per_s;
	double import_bare_per_s;       /* wrapped custody only, else 0 */
	struct bench_counters imported; /* behind the import */
	uint64_t store_bytes; /* of the database's file, behind the import */
	double start_s;
	struct fleet_joins joins;
	struct fleet_joins small; /* with the smallest cache */
};

struct fleet;

/* An instance and its fleet.  The server runs while it is measured only. */
struct fleet_site {
	const struct bench_options *options; /* borrowed */
	struct bench_instance in;
	struct fleet *fleet;
	uint32_t devices;
};

/*
 * Make the instance that row says, fill and start it; what that cost goes into
 * row.  Whatever comes of it, *site is the caller's to free.
 */
enum jy_err fleet_site_new(struct fleet_site *site,
    const struct bench_options *o, struct fleet_row *row,
    struct errctx *ec) JY_CHECK;
void fleet_site_free(struct fleet_site *site);

/*
 * Joins with that key cache.  Unless first is the same site, it joins first,
 * so that what is compared was measured right after one another.
 */
enum jy_err fleet_site_join(struct fleet_site *site, struct fleet_site *first,
    uint32_t key_cache, struct fleet_joins *out, struct errctx *ec) JY_CHECK;

/* ---- bench_fleet_devices.c ---- */

/*
 * As many devices as one likes, none of them stored: EUIs and root key of each
 * come from its number and a random seed.  Of each so many in an order the
 * DevEUIs are consecutive.
 */
enum jy_err fleet_new(uint32_t devices, uint32_t order, struct fleet **out,
    struct errctx *ec) JY_CHECK;
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

#define FLEET_BARE "bare"

/*
 * What an import asks of the token for one root key, in as many processes as
 * workers; custody is "wrapped", "resident" or FLEET_BARE, which asks less.
 */
enum jy_err fleet_floor(const struct bench_instance *in, const char *custody,
    uint32_t seconds, double *keys_per_s, struct errctx *ec) JY_CHECK;

/* What such a process does; prints its count on standard output. */
int fleet_floor_child(const char *conf, const char *custody, uint32_t seconds);

#endif
