/* SPDX-License-Identifier: Apache-2.0 */
/* One size of fleet: an instance of its own, filled, started and joined. */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/bench_fleet.h"

/* Octets of disk a device may take: its line, its rows, those of joins. */
#define DISK_PER_DEVICE 4096ULL
#define DISK_LEAST (64ULL << 20)

/* Better now than in the middle. */
static enum jy_err
check_disk(const struct bench_instance *in, uint32_t devices, struct errctx *ec)
{
	uint64_t need = DISK_LEAST + DISK_PER_DEVICE * devices;
	struct statvfs fs;

	if (statvfs(in->dir, &fs) != 0) {
		return err_set(ec, JY_EIO, "%s: %s", in->dir, strerror(errno));
	}
	if ((uint64_t)fs.f_bavail * fs.f_frsize < need) {
		return err_set(ec, JY_EFULL,
		    "%s: %u devices may need %llu MiB of disk, and there are "
		    "%llu; TMPDIR says where",
		    in->dir, devices, (unsigned long long)(need >> 20),
		    (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >>
			20));
	}
	return JY_OK;
}

/* ---- filling it ---- */

/* What devices refer to, and their key file. */
static enum jy_err
prepare(const struct bench_instance *in, struct fleet *f, const char *path,
    struct errctx *ec)
{
	Joinery__V1__Response *import;
	struct client *c = NULL;
	enum jy_err err = bench_admin_open(in, &c, ec);

	if (err == JY_OK) {
		err = bench_add_kek_and_peer(c, ec);
	}
	if (err == JY_OK) {
		err = fleet_add_apps(c, ec);
	}
	if (err == JY_OK) {
		err = bench_import_key(c, &import, ec);
	}
	if (err == JY_OK) {
		const ProtobufCBinaryData *key =
		    &import->import_key->public_key;

		err = fleet_write(f, path, key->data, key->len, ec);
		client_free(import);
	}
	client_close(c);
	return err;
}

static enum jy_err
import(struct bench_instance *in, const struct bench_options *o, char *path,
    struct fleet_row *row, struct errctx *ec)
{
	char ctl[BENCH_PATH_MAX];
	char *argv[] = { ctl, (char[]){ "--socket" }, in->socket,
		(char[]){ "import" }, (char[]){ "--strict" }, path, NULL };
	uint64_t start_us = sys_mono_us();
	enum jy_err err;

	bench_program_path(o, JY_BINDIR, "joineryctl", ctl);
	err = bench_run(in, argv, ec);
	if (err == JY_OK) {
		row->import_per_s = (double)row->devices * 1e6 /
		    (double)(sys_mono_us() - start_us);
	}
	return err;
}

static enum jy_err
measure_store(
    const struct bench_instance *in, struct fleet_row *row, struct errctx *ec)
{
	char path[BENCH_PATH_MAX + 32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/store/data.mdb", in->dir);
	if (stat(path, &st) != 0) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	row->store_bytes = (uint64_t)st.st_size;
	return JY_OK;
}

static enum jy_err
fill(struct bench_instance *in, const struct bench_options *o, struct fleet *f,
    struct fleet_row *row, struct errctx *ec)
{
	char path[BENCH_PATH_MAX + 32];
	enum jy_err err;

	(void)snprintf(path, sizeof(path), "%s/fleet.keys", in->dir);
	err = bench_server_start(in, o, NULL, ec);
	if (err == JY_OK) {
		err = prepare(in, f, path, ec);
	}
	if (err == JY_OK) {
		err = import(in, o, path, row, ec);
	}
	if (err == JY_OK) {
		err = bench_server_counters(in, &row->imported, ec);
	}
	(void)unlink(path);
	return err == JY_OK ? measure_store(in, row, ec) : err;
}

/* ---- its life ---- */

static enum jy_err
measure_bare(
    const struct fleet_site *site, struct fleet_row *row, struct errctx *ec)
{
	const struct bench_options *o = site->options;

	return strcmp(o->custody, "wrapped") == 0
	    ? fleet_floor(&site->in, FLEET_BARE, o->seconds,
		  &row->import_bare_per_s, ec)
	    : JY_OK;
}

/* The token's own work before and behind the import, on a busy machine. */
static enum jy_err
fill_between_floors(
    struct fleet_site *site, struct fleet_row *row, struct errctx *ec)
{
	const struct bench_options *o = site->options;
	double before = 0, behind = 0;
	enum jy_err err = measure_bare(site, row, ec);

	if (err == JY_OK) {
		err =
		    fleet_floor(&site->in, o->custody, o->seconds, &before, ec);
	}
	if (err == JY_OK) {
		err = fill(&site->in, o, site->fleet, row, ec);
	}
	bench_server_stop(&site->in);
	if (err == JY_OK) {
		err =
		    fleet_floor(&site->in, o->custody, o->seconds, &behind, ec);
	}
	row->import_floor_per_s = (before + behind) / 2;
	return err;
}

static enum jy_err
time_start(struct fleet_site *site, struct fleet_row *row, struct errctx *ec)
{
	enum jy_err err =
	    bench_server_start(&site->in, site->options, &row->start_s, ec);

	bench_server_stop(&site->in);
	return err;
}

enum jy_err
fleet_site_new(struct fleet_site *site, const struct bench_options *o,
    struct fleet_row *row, struct errctx *ec)
{
	enum jy_err err;

	*site = (struct fleet_site){ .options = o, .devices = row->devices };
	err = fleet_new(row->devices, o->order, &site->fleet, ec);
	if (err == JY_OK) {
		err = bench_instance_new(
		    &site->in, row->token, row->workers, o, ec);
	}
	if (err == JY_OK) {
		err = check_disk(&site->in, row->devices, ec);
	}
	if (err == JY_OK) {
		err = fill_between_floors(site, row, ec);
	}
	return err == JY_OK ? time_start(site, row, ec) : err;
}

void
fleet_site_free(struct fleet_site *site)
{
	bench_instance_free(&site->in);
	fleet_free(site->fleet);
	site->fleet = NULL;
}

/* ---- joining ---- */

/* So that as many keys as there is room for are at hand. */
static enum jy_err
warm_up(const struct fleet_site *site, const struct bench_options *o,
    struct errctx *ec)
{
	struct bench_options warm = *o;
	struct bench_load load;

	warm.joins = o->key_cache * site->in.workers;
	if (warm.joins > site->devices) {
		warm.joins = site->devices;
	}
	return bench_load_joins(
	    &site->in, &warm, fleet_in_turn(site->fleet), &load, ec);
}

static enum jy_err
join(const struct fleet_site *site, const struct bench_options *o,
    struct fleet_joins *out, struct errctx *ec)
{
	struct bench_counters before;
	enum jy_err err = warm_up(site, o, ec);
	double joins;

	if (err == JY_OK) {
		err = bench_server_counters(&site->in, &before, ec);
	}
	if (err == JY_OK) {
		err = bench_load_joins(
		    &site->in, o, fleet_at_random(site->fleet), &out->load, ec);
	}
	if (err == JY_OK) {
		err = bench_server_counters(&site->in, &out->after, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	joins = (double)out->load.done;
	out->pkcs11_calls =
	    (double)(out->after.pkcs11_calls - before.pkcs11_calls) / joins;
	out->key_misses =
	    (double)(out->after.key_misses - before.key_misses) / joins;
	return JY_OK;
}

static enum jy_err
start_and_join(struct fleet_site *site, uint32_t key_cache,
    struct fleet_joins *out, struct errctx *ec)
{
	struct bench_options o = *site->options;
	enum jy_err err;

	o.key_cache = key_cache;
	err = bench_instance_configure(&site->in, &o, ec);
	if (err == JY_OK) {
		err = bench_server_start(&site->in, &o, NULL, ec);
	}
	if (err == JY_OK) {
		err = join(site, &o, out, ec);
	}
	bench_server_stop(&site->in);
	return err;
}

enum jy_err
fleet_site_join(struct fleet_site *site, struct fleet_site *first,
    uint32_t key_cache, struct fleet_joins *out, struct errctx *ec)
{
	struct fleet_joins base = { .pkcs11_calls = 0 };
	enum jy_err err = JY_OK;

	if (first != site) {
		err = start_and_join(first, key_cache, &base, ec);
	}
	if (err == JY_OK) {
		err = start_and_join(site, key_cache, out, ec);
	}
	if (err == JY_OK) {
		out->ratio_to_first =
		    first != site ? out->load.per_s / base.load.per_s : 1;
	}
	return err;
}
