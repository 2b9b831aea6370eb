/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of simulated devices between runs: a text file of lines
 *   join_eui,dev_eui,seed,next,accepted,join_nonce,rj_count0,rj_count1,
 *   session,rejoin,id
 * where session is JoinNonce/NetID/DevNonce or RJcount/OptNeg of the session
 * in use, rejoin the octets of the last accepted rejoin-request, id the
 * session key ID that came with join_nonce, each "-" for none.  Lines that end
 * with join_nonce are of versions that knew no rejoins.
 * Lines of devices that a run does not know are carried over.
 */
#include "tools/sim_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_LEN 256
#define COUNTS 65536U /* of a DevNonce or RJcount */

struct state_line {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	unsigned seed;
	unsigned next;
	unsigned accepted;
	unsigned join_nonce;
	unsigned rj_count0;
	unsigned rj_count1;
	bool has_session;
	unsigned session_join_nonce;
	unsigned session_net_id;
	unsigned session_counter;
	unsigned session_opt_neg;
	size_t rejoin_len;
	uint8_t rejoin[SIM_REQUEST_MAX];
	bool has_id;
	uint8_t id[SIM_SESSION_ID_LEN];
};

static bool
session_parse(const char *text, struct state_line *out)
{
	char end;

	out->has_session = strcmp(text, "-") != 0;
	return !out->has_session ||
	    (sscanf(text, "%6x/%6x/%4x/%1u%c", &out->session_join_nonce,
		 &out->session_net_id, &out->session_counter,
		 &out->session_opt_neg, &end) == 4 &&
		out->session_opt_neg <= 1);
}

static bool
rejoin_parse(const char *text, struct state_line *out)
{
	size_t len = strlen(text);

	if (strcmp(text, "-") == 0) {
		return true;
	}
	out->rejoin_len = len / 2;
	return (out->rejoin_len == SIM_REJOIN_LEN ||
		   out->rejoin_len == SIM_REJOIN_EUI_LEN) &&
	    hex_parse(text, len, out->rejoin, out->rejoin_len);
}

static bool
id_parse(const char *text, struct state_line *out)
{
	out->has_id = strcmp(text, "-") != 0;
	return !out->has_id ||
	    hex_parse(text, strlen(text), out->id, sizeof(out->id));
}

/* What stands behind join_nonce since there are rejoins. */
static bool
rejoins_parse(const char *text, struct state_line *out)
{
	char session[32];
	char rejoin[64];
	char id[64];
	char end;

	return sscanf(text, ",%u,%u,%31[^,],%63[^,],%63[^,\n]%c",
		   &out->rj_count0, &out->rj_count1, session, rejoin, id,
		   &end) == 6 &&
	    end == '\n' && out->rj_count0 <= COUNTS &&
	    out->rj_count1 <= COUNTS && session_parse(session, out) &&
	    rejoin_parse(rejoin, out) && id_parse(id, out);
}

static bool
line_parse(const char *line, struct state_line *out)
{
	char join_eui[EUI64_STR_LEN];
	char dev_eui[EUI64_STR_LEN];
	int at = 0;

	memset(out, 0, sizeof(*out));
	return sscanf(line, "%16[^,],%16[^,],%u,%u,%u,%u%n", join_eui, dev_eui,
		   &out->seed, &out->next, &out->accepted, &out->join_nonce,
		   &at) == 6 &&
	    (strcmp(line + at, "\n") == 0 || rejoins_parse(line + at, out)) &&
	    eui64_parse(join_eui, &out->join_eui) &&
	    eui64_parse(dev_eui, &out->dev_eui) && out->seed < COUNTS &&
	    out->next <= COUNTS && out->accepted <= out->next &&
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
	d->rj_count0 = line->rj_count0;
	d->rj_count1 = line->rj_count1;
	d->last_rejoin_len = line->rejoin_len;
	memcpy(d->last_rejoin, line->rejoin, sizeof(d->last_rejoin));
	d->has_last_id = line->has_id;
	memcpy(d->last_id, line->id, sizeof(d->last_id));
	d->session.set = line->has_session;
	d->session.join = (struct sim_join){
		.join_eui = d->join_eui,
		.dev_eui = d->dev_eui,
		.type = SIM_JOIN_REQ_TYPE,
		.counter = (uint16_t)line->session_counter,
		.accept.join_nonce = line->session_join_nonce,
		.accept.net_id = line->session_net_id,
		.accept.dl_settings =
		    line->session_opt_neg != 0 ? SIM_OPT_NEG : 0U,
	};
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
	const struct sim_join *join = &d->session.join;
	char join_eui[EUI64_STR_LEN];
	char dev_eui[EUI64_STR_LEN];
	char session[32] = "-";
	char rejoin[HEX_STR_LEN(SIM_REQUEST_MAX)] = "-";
	char id[HEX_STR_LEN(SIM_SESSION_ID_LEN)] = "-";

	if (d->session.set) {
		(void)snprintf(session, sizeof(session), "%06x/%06x/%04x/%d",
		    join->accept.join_nonce & 0xFFFFFFU,
		    join->accept.net_id & 0xFFFFFFU, (unsigned)join->counter,
		    sim_spec_opt_neg(join) ? 1 : 0);
	}
	if (d->last_rejoin_len > 0) {
		hex_format(d->last_rejoin, d->last_rejoin_len, rejoin);
	}
	if (d->has_last_id) {
		hex_format(d->last_id, sizeof(d->last_id), id);
	}
	(void)fprintf(out, "%s,%s,%u,%u,%u,%u,%u,%u,%s,%s,%s\n",
	    eui64_str(&d->join_eui, join_eui), eui64_str(&d->dev_eui, dev_eui),
	    (unsigned)d->seed, (unsigned)d->next, (unsigned)d->accepted,
	    (unsigned)d->join_nonce, (unsigned)d->rj_count0,
	    (unsigned)d->rj_count1, session, rejoin, id);
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
