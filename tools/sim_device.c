/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and their counters: LoRaWAN L2 1.0.3 and 1.0.4, clause 6.2.  Root
 * keys lie in a few locked blocks of memory, since a block of their own for
 * each of thousands of devices would exceed what a process may lock.
 */
#include "tools/sim_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_LEN 65536U
#define CHUNK_ROOTS (CHUNK_LEN / sizeof(struct sim_roots))
#define CSV_FIELDS 5
#define LINE_MAX_LEN 256

static const char *const version_names[] = {
	[JOINERY__V1__MAC_VERSION__MAC_1_0_0] = "1.0.0",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_1] = "1.0.1",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_2] = "1.0.2",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_3] = "1.0.3",
	[JOINERY__V1__MAC_VERSION__MAC_1_0_4] = "1.0.4",
	[JOINERY__V1__MAC_VERSION__MAC_1_1_0] = "1.1",
};

bool
sim_version_parse(const char *text, Joinery__V1__MacVersion *out)
{
	for (size_t i = 1; i < ARRAY_LEN(version_names); i++) {
		if (strcmp(text, version_names[i]) == 0) {
			*out = (Joinery__V1__MacVersion)i;
			return true;
		}
	}
	if (strcmp(text, "1.1.0") == 0) {
		*out = JOINERY__V1__MAC_VERSION__MAC_1_1_0;
		return true;
	}
	return false;
}

const char *
sim_version_str(Joinery__V1__MacVersion version)
{
	return version_names[version];
}

/* ---- the fleet ---- */

enum jy_err
sim_fleet_add(struct sim_fleet *f, const struct sim_roots *roots,
    struct sim_device **out, struct errctx *ec)
{
	struct secret *chunk;
	struct sim_roots *copy;
	enum jy_err err;

	if (f->count == f->cap) {
		f->cap = f->cap == 0 ? 16 : 2 * f->cap;
		f->devices = realloc(f->devices, f->cap * sizeof(*f->devices));
		jy_assert(f->devices != NULL);
	}
	if (f->chunk_count == 0 || f->chunk_used == CHUNK_ROOTS) {
		err = secret_new(CHUNK_LEN, &chunk, ec);
		if (err != JY_OK) {
			return err;
		}
		f->chunks = realloc(
		    f->chunks, (f->chunk_count + 1) * sizeof(*f->chunks));
		jy_assert(f->chunks != NULL);
		f->chunks[f->chunk_count++] = chunk;
		f->chunk_used = 0;
	}
	copy = (struct sim_roots *)secret_data(f->chunks[f->chunk_count - 1]);
	copy += f->chunk_used++;
	*copy = *roots;
	*out = &f->devices[f->count++];
	memset(*out, 0, sizeof(**out));
	(*out)->roots = copy;
	return JY_OK;
}

void
sim_fleet_fini(struct sim_fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->devices[i].join_nonces.bits);
	}
	for (size_t i = 0; i < f->chunk_count; i++) {
		secret_free(f->chunks[i]);
	}
	free(f->chunks);
	free(f->devices);
	memset(f, 0, sizeof(*f));
}

/* Cut a line at its commas; true if it has exactly n fields. */
static bool
split(char *line, char *fields[], size_t n)
{
	line[strcspn(line, "\r\n")] = '\0';
	for (size_t i = 0; i < n; i++) {
		fields[i] = strsep(&line, ",");
		if (fields[i] == NULL) {
			return false;
		}
	}
	return line == NULL;
}

/* Read one root key; an empty text is none. */
static bool
root_parse(const char *text, struct secret_block *key, bool *has)
{
	*has = text[0] != '\0';
	return !*has || hex_parse(text, strlen(text), key->b, sizeof(key->b));
}

/* One line of the device list; false for one that makes no sense. */
static bool
device_parse(char *line, struct sim_device *d, struct sim_roots *roots)
{
	char *f[CSV_FIELDS];

	return split(line, f, CSV_FIELDS) && eui64_parse(f[0], &d->join_eui) &&
	    eui64_parse(f[1], &d->dev_eui) &&
	    sim_version_parse(f[2], &d->version) &&
	    root_parse(f[3], &roots->nwk, &roots->has_nwk) &&
	    root_parse(f[4], &roots->app, &roots->has_app) &&
	    (roots->has_nwk || roots->has_app);
}

static enum jy_err
fleet_read_line(struct sim_fleet *f, char *line, bool v10_is_app,
    const struct sys *sys, struct errctx *ec)
{
	struct sim_roots roots = { .v10_is_app = v10_is_app };
	struct sim_device parsed = { 0 };
	struct sim_device *d;
	enum jy_err err;

	if (!device_parse(line, &parsed, &roots)) {
		secret_wipe(&roots, sizeof(roots));
		return err_set(ec, JY_EINVAL,
		    "not \"join_eui,dev_eui,mac_version,nwk_key,app_key\"");
	}
	err = sim_fleet_add(f, &roots, &d, ec);
	secret_wipe(&roots, sizeof(roots));
	if (err != JY_OK) {
		return err;
	}
	d->join_eui = parsed.join_eui;
	d->dev_eui = parsed.dev_eui;
	d->version = parsed.version;
	d->random_nonces = sim_device_random_nonces(d->version);
	sys->random(&d->seed, sizeof(d->seed));
	return JY_OK;
}

static bool
line_is_skipped(const char *line, size_t number)
{
	return line[0] == '#' || line[0] == '\n' || line[0] == '\r' ||
	    (number == 1 && strncmp(line, "join_eui", 8) == 0);
}

enum jy_err
sim_fleet_read(struct sim_fleet *f, const char *path, bool v10_is_app,
    const struct sys *sys, struct errctx *ec)
{
	struct errctx cause = ERRCTX_INIT;
	char buf[BUFSIZ];
	char line[LINE_MAX_LEN];
	enum jy_err err = JY_OK;
	FILE *in = fopen(path, "r");

	if (in == NULL) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	/* A buffer of our own, so that the keys in it can be wiped. */
	(void)setvbuf(in, buf, _IOFBF, sizeof(buf));
	for (size_t n = 1; err == JY_OK && fgets(line, sizeof(line), in); n++) {
		if (line_is_skipped(line, n)) {
			continue;
		}
		err = fleet_read_line(f, line, v10_is_app, sys, &cause);
		if (err != JY_OK) {
			(void)err_set(ec, err, "%s:%zu: %s", path, n,
			    err_detail(&cause, err));
		}
	}
	if (err == JY_OK && ferror(in) != 0) {
		err = err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	if (err == JY_OK && f->count == 0) {
		err = err_set(ec, JY_EINVAL, "%s: no device in it", path);
	}
	(void)fclose(in);
	secret_wipe(buf, sizeof(buf));
	secret_wipe(line, sizeof(line));
	return err;
}

/* ---- nonces ---- */

bool
sim_device_random_nonces(Joinery__V1__MacVersion version)
{
	return version <= JOINERY__V1__MAC_VERSION__MAC_1_0_3;
}

/*
 * Each step is invertible on 16 bits (odd factors, shifted exclusive-or), so
 * the whole is a permutation.
 */
static uint16_t
permute(uint16_t seed, uint16_t n)
{
	uint32_t x = (uint32_t)n ^ seed;

	x = (x * 0x6487U + seed) & 0xFFFFU;
	x ^= x >> 7;
	x = (x * 0x9E37U) & 0xFFFFU;
	x ^= x >> 9;
	return (uint16_t)x;
}

uint16_t
sim_device_nonce(const struct sim_device *d, uint32_t n)
{
	return d->random_nonces ? permute(d->seed, (uint16_t)n) : (uint16_t)n;
}

bool
sim_device_rj_count(struct sim_device *d, uint8_t type, uint16_t *out)
{
	uint32_t *next =
	    type == SIM_REJOIN_WITH_EUI ? &d->rj_count1 : &d->rj_count0;

	if (*next > UINT16_MAX) {
		return false;
	}
	*out = (uint16_t)(*next)++;
	return true;
}

bool
sim_device_saw(struct sim_device *d, uint32_t join_nonce)
{
	struct sim_nonce_set *set = &d->join_nonces;
	uint32_t bit = join_nonce - set->base;
	uint8_t mask = (uint8_t)(1U << (bit % 8));

	if (join_nonce <= set->base) {
		return false;
	}
	if (bit / 8 >= set->len) {
		size_t len = 2 * (bit / 8 + 1);

		set->bits = realloc(set->bits, len);
		jy_assert(set->bits != NULL);
		memset(set->bits + set->len, 0, len - set->len);
		set->len = len;
	}
	if ((set->bits[bit / 8] & mask) != 0) {
		return false;
	}
	set->bits[bit / 8] |= mask;
	if (join_nonce > d->join_nonce) {
		d->join_nonce = join_nonce;
	}
	return true;
}
