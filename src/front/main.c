/* SPDX-License-Identifier: Apache-2.0 */
/* joineryd: options of the command line; all else is in server.c. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/conf/conf.h"
#include "src/front/server.h"
#include "src/worker/status.h"

#define DEFAULT_CONF JY_SYSCONFDIR "/joinery/joinery.conf"

struct options {
	const char *path;
	bool check;
	bool print;
	bool version;
};

static void
usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: joineryd [-hTtV] [-c file]\n"
	    "  -c file  configuration (default %s)\n"
	    "  -t       check the configuration and exit\n"
	    "  -T       print the effective configuration and exit\n"
	    "  -V       print the version and exit\n"
	    "  -h       print this help and exit\n",
	    DEFAULT_CONF);
}

/* False when the command line is wrong. */
static bool
options_read(int argc, char **argv, struct options *out)
{
	int c;

	while ((c = getopt(argc, argv, "c:hTtV")) != -1) {
		switch (c) {
		case 'c':
			out->path = optarg;
			break;
		case 't':
			out->check = true;
			break;
		case 'T':
			out->print = true;
			break;
		case 'V':
			out->version = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			return false;
		}
	}
	return optind == argc;
}

static int
fail(const char *what)
{
	(void)fprintf(stderr, "joineryd: %s\n", what);
	return WORKER_CONFIG;
}

/* No socket may get the number that log lines are written to. */
static void
fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* Serve, with what the configuration says of the log. */
static int
serve(const struct conf *conf)
{
	enum log_level level = LOG_LEVEL_INFO;
	struct errctx ec = ERRCTX_INIT;

	(void)!log_level_parse(conf->log_level, &level);
	log_init("joineryd", level);
	if (secret_harden_process(&ec) != JY_OK) {
		return fail(ec.text);
	}
	return server_run(conf);
}

int
main(int argc, char **argv)
{
	struct options options = { .path = DEFAULT_CONF };
	struct errctx ec = ERRCTX_INIT;
	struct conf *conf = NULL;
	int status = EXIT_SUCCESS;

	fill_standard_fds();
	if (!options_read(argc, argv, &options)) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (options.version) {
		(void)printf("joineryd %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	if (conf_load(options.path, &conf, &ec) != JY_OK) {
		return fail(ec.text);
	}
	if (options.print) {
		conf_print(conf, stdout);
	} else if (server_check(conf, &ec) != JY_OK) {
		status = fail(ec.text);
	} else if (!options.check) {
		status = serve(conf);
	}
	conf_free(conf);
	return status;
}
