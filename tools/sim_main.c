/* SPDX-License-Identifier: Apache-2.0 */
/* joinery-sim: commands and help. */
#include "tools/sim.h"

#include <string.h>

#include "config.h"

static const struct command {
	const char *name;
	enum sim_command command;
	enum sim_status (*run)(const struct sim_options *o, FILE *out);
	const char *help;
} commands[] = {
	{ "join", SIM_COMMAND_JOIN, sim_join_run,
	    "join as a device, and check every answer" },
	{ "rejoin", SIM_COMMAND_REJOIN, sim_rejoin_run,
	    "rejoin from the session that the state file knows" },
	{ "keys", SIM_COMMAND_KEYS, sim_keys_run,
	    "fetch a session's keys by its ID" },
	{ "home", SIM_COMMAND_HOME, sim_home_run,
	    "ask for the home network of a device" },
	{ "vectors", SIM_COMMAND_VECTORS, sim_vectors_run,
	    "print joins computed in software, as JSON lines" },
};

static void
usage(FILE *out)
{
	(void)fprintf(out, "usage: joinery-sim COMMAND [OPTION]...\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		(void)fprintf(out, "\njoinery-sim %s: %s\n", commands[i].name,
		    commands[i].help);
		sim_options_help(commands[i].command, out);
	}
}

static enum sim_status
run(const struct command *command, int argc, char **argv)
{
	struct errctx ec = ERRCTX_INIT;
	struct sim_options options;
	enum sim_status status;
	enum jy_err err;

	err = secret_harden_process(&ec);
	if (err != JY_OK) {
		return sim_complain(SIM_INTERNAL, err, &ec);
	}
	err = sim_options_read(command->command, argc, argv, &options, &ec);
	status = err == JY_OK ? command->run(&options, stdout)
			      : sim_complain(SIM_USAGE, err, &ec);
	sim_options_fini(&options);
	if (fflush(stdout) != 0 && status == SIM_OK) {
		status = sim_complain(SIM_INTERNAL, JY_EIO, NULL);
	}
	return status;
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		usage(stdout);
		return SIM_OK;
	}
	if (strcmp(name, "--version") == 0) {
		(void)printf("joinery-sim %s\n", PACKAGE_VERSION);
		return SIM_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			return (int)run(&commands[i], argc - 1, argv + 1);
		}
	}
	usage(stderr);
	return SIM_USAGE;
}
