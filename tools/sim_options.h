/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of joinery-sim; sim_options.def lists the options. */
#ifndef JY_TOOLS_SIM_OPTIONS_H
#define JY_TOOLS_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"
#include "src/base/hex.h"
#include "src/base/secret.h"

/* Commands, as bits, so that an option can belong to several. */
enum sim_command {
	SIM_COMMAND_JOIN = 1,
	SIM_COMMAND_KEYS = 2,
	SIM_COMMAND_VECTORS = 4,
	SIM_COMMAND_REJOIN = 8,
	SIM_COMMAND_HOME = 16
};

struct sim_number {
	bool set;
	uint64_t value;
};

enum sim_choice {
	SIM_UNSET,
	SIM_YES,
	SIM_NO
};

struct sim_opt_eui {
	bool set;
	struct eui64 eui;
};

#define SIM_OCTETS_MAX 256

struct sim_octets {
	bool set;
	size_t len;
	uint8_t b[SIM_OCTETS_MAX];
};

struct sim_kek {
	const char *label;
	struct secret *key;
};

#define SIM_KEKS_MAX 16

struct sim_keks {
	struct sim_kek items[SIM_KEKS_MAX];
	size_t count;
};

#define SIM_TYPES_MAX 16

/* Types of rejoin-request, in the order in which they are sent. */
struct sim_types {
	uint8_t items[SIM_TYPES_MAX];
	size_t count;
};

/* What the command line said; texts point into argv. */
struct sim_options {
	const char *socket, *tcp, *ca, *cert, *key;
	const char *as_tcp, *as_cert, *as_key;
	const char *bi, *http_header, *as_http_header, *as_id;
	bool bi_1_1;
	struct secret *authorization, *as_authorization; /* texts, with NUL */
	struct sim_opt_eui ns_id;
	struct sim_number timeout_ms;

	struct sim_opt_eui join_eui, dev_eui;
	Joinery__V1__MacVersion version; /* 0: not given */
	struct secret *nwk_key, *app_key;
	bool v10_is_app;
	struct sim_number dev_nonce;
	const char *state, *devices;
	struct sim_types types;
	struct sim_number rj_count;
	bool no_switch;

	struct sim_number net_id, dev_addr, dl_settings, rx_delay;
	enum sim_choice opt_neg;
	struct sim_octets cf_list;
	struct sim_keks ns_keks, as_keks;
	enum sim_choice app_s_key;
	bool no_fetch;

	Joinery__V1__ErrorCode expect; /* 0: an accepted join */
	bool flip_mic, repeat_last;
	struct sim_octets raw_phy;

	struct sim_number count, in_flight, rate;

	struct sim_octets session;
	struct sim_number seed;
	bool rejoins;
	bool show_keys, json, quiet;
};

/*
 * Read the options of a command and check that they fit together: JY_EINVAL
 * with the option's name as detail.  *out is then valid in part; free it
 * with sim_options_fini either way.
 */
enum jy_err sim_options_read(enum sim_command command, int argc, char **argv,
    struct sim_options *out, struct errctx *ec) JY_CHECK;
void sim_options_fini(struct sim_options *o);

/* Whether there is an Application Server that can ask. */
bool sim_options_as(const struct sim_options *o);

/* The value, or def when the option was not given. */
uint64_t sim_options_number(const struct sim_number *n, uint64_t def);

/* Print the options of a command, one a line. */
void sim_options_help(enum sim_command command, FILE *out);

#endif
