/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of simulated devices between runs: a text file of lines
 *   join_eui,dev_eui,seed,next,accepted,join_nonce
 * Lines of devices that a run does not know are carried over.
 */
#include "tools/sim_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_LEN 128
#define DEV_NONCES 65536U

struct state_line {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	unsigned seed;
	unsigned next;
	unsigned accepted;
	unsigned join_nonce;
};

static bool
line_parse(const char *line, struct state_line *out)
{
	char join_eui[EUI64_STR_LEN];
	char dev_eui[EUI64_STR_LEN];
	char end;

	return sscanf(line, "%16[^,],%16[^,],%u,%u,%u,%u%c", join_eui, dev_eui,
		   &out->seed, &out->next, &out->accepted, &out->join_nonce,
		   &end) == 7 &&
	    end == '\n' && eui64_parse(join_eui, &out->join_eui) &&
	    eui64_parse(dev_eui, &out->dev_eui) && out->seed < DEV_NONCES &&
	    out->next <= DEV_NONCES && out->accepted <= out->next &&
	    out->join_nonce <= 0xFFFFFFU;
}

static struct sim_device *
fleet_find(const struct sim_fleet *f, const struct state_line *line)
{
	for (size_t i = 0; i < f->count; i++) {
		if (eui64_eq(&f->devices[i].dev_eui, &line->dev_eui) &&
		    eui64_eq(&f->devices[i].join_eui, &line->join_eui)) {
			return &f->devices[i];
		}
	}
	return NULL;
}

static void
device_restore(struct sim_device *d, const struct state_line *line)
{
	d->seed = (uint16_t)line->seed;
	d->next = line->next;
	d->accepted = line->accepted;
	d->join_nonce = line->join_nonce;
	d->join_nonces.base = line->join_nonce;
}

/*
 * Go through the file: restore the devices of the fleet if out is NULL, else
 * copy the lines of other devices to out.
 */
static enum jy_err
state_scan(struct sim_fleet *restore, const struct sim_fleet *known, FILE *out,
    const char *path, struct errctx *ec)
{
	char line[LINE_MAX_LEN];
	struct state_line state;
	enum jy_err err = JY_OK;
	FILE *in = fopen(path, "r");

	if (in == NULL && errno == ENOENT) {
		return JY_OK;
	}
	if (in == NULL) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	for (size_t n = 1; err == JY_OK && fgets(line, sizeof(line), in); n++) {
		struct sim_device *d;

		if (!line_parse(line, &state)) {
			err = err_set(ec, JY_EINVAL,
			    "%s:%zu: not a line of a state file", path, n);
			break;
		}
		d = fleet_find(known, &state);
		if (restore != NULL && d != NULL) {
			device_restore(d, &state);
		} else if (out != NULL && d == NULL) {
			(void)fputs(line, out);
		}
	}
	(void)fclose(in);
	return err;
}

enum jy_err
sim_state_read(struct sim_fleet *f, const char *path, struct errctx *ec)
{
	return state_scan(f, f, NULL, path, ec);
}

static void
device_save(const struct sim_device *d, FILE *out)
{
	char join_eui[EUI64_STR_LEN];
	char dev_eui[EUI64_STR_LEN];

	(void)fprintf(out, "%s,%s,%u,%u,%u,%u\n",
	    eui64_str(&d->join_eui, join_eui), eui64_str(&d->dev_eui, dev_eui),
	    (unsigned)d->seed, (unsigned)d->next, (unsigned)d->accepted,
	    (unsigned)d->join_nonce);
}

enum jy_err
sim_state_write(const struct sim_fleet *f, const char *path, struct errctx *ec)
{
	size_t len = strlen(path) + sizeof(".new");
	char *tmp = sys_xmalloc(len);
	enum jy_err err;
	FILE *out;

	(void)snprintf(tmp, len, "%s.new", path);
	out = fopen(tmp, "w");
	if (out == NULL) {
		err = err_set(ec, JY_EIO, "%s: %s", tmp, strerror(errno));
		goto out;
	}
	err = state_scan(NULL, f, out, path, ec);
	for (size_t i = 0; i < f->count; i++) {
		device_save(&f->devices[i], out);
	}
	if (fclose(out) != 0 && err == JY_OK) {
		err = err_set(ec, JY_EIO, "%s: %s", tmp, strerror(errno));
	}
	if (err == JY_OK && rename(tmp, path) != 0) {
		err = err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	if (err != JY_OK) {
		(void)unlink(tmp);
	}
out:
	free(tmp);
	return err;
}
