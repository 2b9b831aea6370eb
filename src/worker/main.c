/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery-worker: the one process that logs in to the token.  Started by
 * joineryd with a corridor, or by joineryctl to look at a token or prepare
 * one.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"
#include "src/base/hex.h"
#include "src/base/log.h"
#include "src/base/secret.h"
#include "src/base/turn.h"
#include "src/join/resident.h"
#include "src/join/storage.h"
#include "src/worker/pool.h"

#define META_TOKEN "token" /* the canary's answer, in the store */
#define REFUSAL_FLUSH_MS 1000
#define ORPHAN_S 10

static enum worker_status
status_of(enum jy_err err)
{
	switch ((int)err) {
	case JY_OK:
		return WORKER_DRAINED;
	case JY_EPIN:
		return WORKER_PIN_REFUSED;
	case JY_ECONFIG:
		return WORKER_CONFIG;
	case JY_EMECH:
	case JY_EPOLICY:
	case JY_ENOKEY:
		return WORKER_TOKEN_UNFIT;
	default:
		return WORKER_UNAVAILABLE;
	}
}

static struct hsm_config
token_config(const struct conf *conf)
{
	return (struct hsm_config){
		.uri = conf->token_uri,
		.init_args = conf->token_init_args,
		.turn_dir = conf->store,
		.sessions = (unsigned)conf->sessions,
		.cache = conf_key_cache(conf),
		.require = (const char *const *)conf->token_require.items,
		.require_count = conf->token_require.count,
	};
}

/*
 * The database belongs to one token: with another, or a copy from which keys
 * are missing, devices would look as if they had none.
 */
static enum jy_err
check_identity(struct store *store, const struct hsm *hsm, struct errctx *ec)
{
	uint8_t mine[HSM_IDENTITY_LEN], stored[STORE_META_MAX];
	enum jy_err err;
	size_t len;

	hsm_identity(hsm, mine);
	err = store_meta_get(store, META_TOKEN, stored, &len, ec);
	if (err == JY_ENOTFOUND) {
		err_clear(ec);
		return store_meta_put(
		    store, META_TOKEN, mine, sizeof(mine), ec);
	}
	if (err == JY_OK &&
	    (len != sizeof(mine) || memcmp(stored, mine, len) != 0)) {
		return err_set(ec, JY_EPOLICY,
		    "the store belongs to another token; name the right one "
		    "in token-uri, or use a store of its own");
	}
	return err;
}

static enum jy_err
open_store(
    const struct conf *conf, bool later, struct store **out, struct errctx *ec)
{
	const struct store_config config = {
		.backend = "lmdb",
		.path = conf->store,
		.must_exist = later,
		.map_max = (size_t)conf->store_max_mib * 1024U * 1024U,
		.refusal_flush_ms = REFUSAL_FLUSH_MS,
	};

	return store_open(&config, out, ec);
}

static enum app_s_key_mode
app_s_key_mode(const char *text)
{
	if (strcmp(text, "yes") == 0) {
		return APP_S_KEY_YES;
	}
	return strcmp(text, "no") == 0 ? APP_S_KEY_NO : APP_S_KEY_AUTO;
}

/* The configuration was checked when it was read; the caller frees prefixes. */
static struct join_euis
join_euis(const struct conf *conf)
{
	struct eui64_prefix *prefixes =
	    sys_xcalloc(conf->join_euis.count + 1, sizeof(*prefixes));
	struct join_euis out = { .prefixes = prefixes,
		.count = conf->join_euis.count };
	const char *text = conf->default_join_eui;

	for (size_t i = 0; i < out.count; i++) {
		jy_assert(
		    eui64_prefix_parse(conf->join_euis.items[i], &prefixes[i]));
	}
	out.has_default = text[0] != '\0';
	jy_assert(!out.has_default || eui64_parse(text, &out.default_eui));
	return out;
}

/* Likewise; the caller frees keys. */
static struct release_to
release_to(const struct conf *conf)
{
	uint8_t(*keys)[HSM_FINGERPRINT_LEN] =
	    sys_xcalloc(conf->release_to.count + 1, sizeof(*keys));

	for (size_t i = 0; i < conf->release_to.count; i++) {
		const char *text = conf->release_to.items[i];

		jy_assert(
		    hex_parse(text, strlen(text), keys[i], sizeof(keys[i])));
	}
	return (struct release_to){ keys, conf->release_to.count };
}

/* Open token and store; on failure what is open is the caller's to close. */
static enum jy_err
open_all(const struct conf *conf, bool later, struct join_env *env,
    struct hsm_report *report, struct errctx *ec)
{
	struct hsm_config token = token_config(conf);
	enum jy_err err;

	env->sys = &sys_real;
	env->resident_max = (uint64_t)conf->resident_max;
	env->custody = strcmp(conf->custody, "wrapped") == 0 ? CUSTODY_WRAPPED
							     : CUSTODY_RESIDENT;
	env->app_s_key = app_s_key_mode(conf->app_s_key);
	env->repeat_window_ms = (uint32_t)conf->repeat_window_ms;
	env->rejoin_mic_by_ns = strcmp(conf->rejoin_mic, "ns") == 0;
	env->session_keep = (unsigned)conf->session_keep;
	env->session_lifetime_s = (uint32_t)conf->session_lifetime_s;
	err = hsm_open(&token, &env->hsm, report, ec);
	if (err == JY_EMECH || err == JY_EPOLICY || err == JY_ENOKEY) {
		hsm_report_print(report, stderr, false);
	}
	if (err == JY_OK) {
		err = open_store(conf, later, &env->store, ec);
	}
	if (err == JY_OK) {
		err = check_identity(env->store, env->hsm, ec);
	}
	if (err == JY_OK && !later) {
		err = resident_recount(env, ec);
	}
	return err == JY_OK ? storage_open(env, ec) : err;
}

static enum jy_err
say_hello(const struct hsm_report *report, struct errctx *ec)
{
	Joinery__Corridor__Reply reply = JOINERY__CORRIDOR__REPLY__INIT;
	Joinery__Corridor__Hello hello = JOINERY__CORRIDOR__HELLO__INIT;
	uint8_t buf[FRAME_HEAD_LEN + 512];
	char token[64];
	size_t len;

	(void)snprintf(
	    token, sizeof(token), "%s (%s)", report->token, report->serial);
	hello.token = token;
	reply.seq = 0;
	reply.hello = &hello;
	len = joinery__corridor__reply__get_packed_size(&reply);
	jy_assert(len <= sizeof(buf) - FRAME_HEAD_LEN);
	frame_head_put(buf, len);
	(void)joinery__corridor__reply__pack(&reply, buf + FRAME_HEAD_LEN);
	return frame_write_all(
	    WORKER_FD_CORRIDOR, buf, FRAME_HEAD_LEN + len, ec);
}

/* The front is dead: what is being done has this long; SIGALRM kills. */
static void
orphaned(int signo)
{
	(void)signo;
	(void)alarm(ORPHAN_S);
}

/*
 * The end of the corridor ends a worker, in order; a terminal or a service
 * manager that signals the whole group must not come before it.  Nor must the
 * death of the front: a process that is killed while it writes to a token may
 * leave it useless, SoftHSM's above all, which empties a file and then fills
 * it.
 */
static void
choose_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGTERM };
	const struct sigaction action = { .sa_handler = orphaned,
		.sa_flags = SA_RESTART };

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		(void)signal(ignored[i], SIG_IGN);
	}
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
}

/* Under joineryd: descriptors 3, 4, 5. */
static enum worker_status
run_worker(bool later)
{
	enum worker_status status = WORKER_DRAINED;
	enum log_level level = LOG_LEVEL_INFO;
	struct errctx ec = ERRCTX_INIT;
	struct hsm_report report = { 0 };
	struct work_ctx ctx = { 0 };
	struct conf *conf = NULL;
	struct turn settling;
	enum jy_err err;

	choose_signals();
	turn_init(&settling, NULL, "settle.lock");
	ctx.env.settling = &settling;
	err = conf_load("/proc/self/fd/4", &conf, &ec);
	if (err != JY_OK) {
		goto out;
	}
	if (log_level_parse(conf->log_level, &level)) {
		log_init("joinery-worker", level);
	}
	ctx.conf = conf;
	ctx.counters = mmap(NULL, sizeof(*ctx.counters), PROT_READ | PROT_WRITE,
	    MAP_SHARED, WORKER_FD_COUNTERS, 0);
	if (ctx.counters == MAP_FAILED) {
		err = err_set(&ec, JY_EIO, "map the counters");
		goto out;
	}
	ctx.env.join_euis = join_euis(conf);
	ctx.env.release_to = release_to(conf);
	settling.dir = conf->store;
	err = open_all(conf, later, &ctx.env, &report, &ec);
	if (err == JY_OK) {
		err = say_hello(&report, &ec);
	}
	if (err == JY_OK) {
		status = pool_run(
		    &ctx, WORKER_FD_CORRIDOR, (unsigned)conf->sessions);
	}
out:
	if (err != JY_OK) {
		log_error("worker", "cannot work", "code=%s error=\"%s\"",
		    err_name(err), err_detail(&ec, err));
		status = status_of(err);
	}
	store_close(ctx.env.store);
	turn_fini(&settling);
	free(ctx.env.join_euis.prefixes);
	free(ctx.env.release_to.keys);
	hsm_close(ctx.env.hsm);
	conf_free(conf);
	return status;
}

struct options {
	const char *config;
	const char *so_pin_source;
	bool create;
	bool json;
};

/* Print what the token can do; exit status says whether it is enough. */
static enum worker_status
run_doctor(const struct options *o)
{
	struct hsm_report report = { 0 };
	struct errctx ec = ERRCTX_INIT;
	struct hsm_config token;
	struct hsm *hsm = NULL;
	struct conf *conf = NULL;
	enum jy_err err;

	err = conf_load(o->config, &conf, &ec);
	if (err == JY_OK) {
		token = token_config(conf);
		err = hsm_open(&token, &hsm, &report, &ec);
		hsm_report_print(&report, stdout, o->json);
	}
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-worker: %s\n", err_detail(&ec, err));
	}
	hsm_close(hsm);
	conf_free(conf);
	return status_of(err);
}

static enum worker_status
run_token_init(const struct options *o)
{
	struct hsm_setup setup = {
		.create = o->create,
		.so_pin_source = o->so_pin_source,
	};
	struct errctx ec = ERRCTX_INIT;
	struct hsm_config token;
	struct conf *conf = NULL;
	bool created = false;
	enum jy_err err;

	err = conf_load(o->config, &conf, &ec);
	if (err == JY_OK) {
		token = token_config(conf);
		setup.config = &token;
		err = hsm_setup(&setup, &created, &ec);
	}
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-worker: %s\n", err_detail(&ec, err));
	} else if (o->json) {
		(void)printf("{\"import_key_created\": %s}\n",
		    created ? "true" : "false");
	} else {
		(void)printf("token is ready; import key %s\n",
		    created ? "created" : "was there");
	}
	conf_free(conf);
	return status_of(err);
}

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: joinery-worker doctor --config FILE [--json]\n"
	    "       joinery-worker token-init --config FILE [--create "
	    "--so-pin-source SOURCE] [--json]\n"
	    "Without a verb it is started by joineryd.\n");
	return 64;
}

static int
run_verb(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "create", no_argument, NULL, 'n' },
		{ "so-pin-source", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { 0 };
	const char *verb;
	int c;

	while ((c = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'n':
			o.create = true;
			break;
		case 's':
			o.so_pin_source = optarg;
			break;
		case 'j':
			o.json = true;
			break;
		default:
			return usage();
		}
	}
	verb = argc - optind == 1 ? argv[optind] : "";
	if (o.config == NULL) {
		return usage();
	}
	if (strcmp(verb, "doctor") == 0) {
		return (int)run_doctor(&o);
	}
	if (strcmp(verb, "token-init") == 0) {
		return (int)run_token_init(&o);
	}
	return usage();
}

int
main(int argc, char **argv)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	log_init("joinery-worker", LOG_LEVEL_INFO);
	err = secret_harden_process(&ec);
	if (err != JY_OK) {
		log_error("worker", "cannot harden the process", "error=\"%s\"",
		    err_detail(&ec, err));
		return WORKER_CONFIG;
	}
	if (argc == 1 || (argc == 2 && strcmp(argv[1], WORKER_LATER) == 0)) {
		return (int)run_worker(argc == 2);
	}
	return run_verb(argc, argv);
}
