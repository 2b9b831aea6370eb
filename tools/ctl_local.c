/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that need the token and no server: this process becomes the worker
 * program, which is the only one that opens a token.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/ctl.h"

#define ARGUMENTS_MAX 10

/* Of an option, an environment variable and a default, the first there is. */
static const char *
first_of(const char *given, const char *variable, const char *otherwise)
{
	const char *env = getenv(variable);

	if (given != NULL) {
		return given;
	}
	return env != NULL && env[0] != '\0' ? env : otherwise;
}

static enum ctl_exit
become_worker(struct ctl *ctl, const char *mode)
{
	const char *program = first_of(ctl_value(ctl, WORKER), "JOINERY_WORKER",
	    JY_LIBEXECDIR "/joinery-worker");
	const char *args[ARGUMENTS_MAX] = { program, mode, "--config",
		first_of(ctl_value(ctl, CONFIG), "JOINERY_CONF",
		    JY_SYSCONFDIR "/joinery/joinery.conf") };
	char *argv[ARGUMENTS_MAX] = { NULL };
	size_t n = 4;

	if (ctl_given(ctl, CREATE)) {
		args[n++] = "--create";
	}
	if (ctl_given(ctl, SO_PIN_SOURCE)) {
		args[n++] = "--so-pin-source";
		args[n++] = ctl_value(ctl, SO_PIN_SOURCE);
	}
	if (ctl->show.json) {
		args[n++] = "--json";
	}
	for (size_t i = 0; i < n; i++) {
		argv[i] = sys_xstrdup(args[i]);
	}
	/* The JSON begun for our own errors lies in a buffer and dies here. */
	(void)execv(program, argv);
	for (size_t i = 0; i < n; i++) {
		free(argv[i]);
	}
	return ctl_fail(ctl, CTL_LOCAL,
	    "--worker or $JOINERY_WORKER name the worker program", "%s: %s",
	    program, strerror(errno));
}

enum ctl_exit
verb_doctor(struct ctl *ctl)
{
	return become_worker(ctl, "doctor");
}

enum ctl_exit
verb_token_init(struct ctl *ctl)
{
	if (ctl_given(ctl, CREATE) != ctl_given(ctl, SO_PIN_SOURCE)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--create and --so-pin-source go together");
	}
	return become_worker(ctl, "token-init");
}
