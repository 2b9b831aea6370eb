/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: what the token alone could do.  The operations of one 1.0.x join
 * with hot handles: two MICs, one decryption, two derivations with wrap.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hsm/hsm.h"
#include "src/base/sys.h"
#include "src/conf/conf.h"
#include "tools/bench.h"

/* As many root keys as there will be devices, for they cost time too. */
struct floor_keys {
	struct hsm_key **roots;
	uint32_t root_count;
	struct hsm_key *kek;
};

/* A throwaway key, under an ID of this process. */
static enum jy_err
make_key(struct hsm *hsm, enum hsm_template template, uint32_t number,
    struct hsm_key **out, struct errctx *ec)
{
	uint8_t kcv[HSM_KCV_LEN];
	struct hsm_id id;
	enum jy_err err;

	id.len = (uint8_t)snprintf(
	    (char *)id.b, sizeof(id.b), "floor-%d-%u", (int)getpid(), number);
	err = hsm_key_generate(hsm, template == HSM_KEK ? 32 : 16, template,
	    &id, "joinery-bench", kcv, ec);
	return err == JY_OK ? hsm_key_get(hsm, &id, template, out, ec) : err;
}

static enum jy_err
make_keys(struct hsm *hsm, struct floor_keys *keys, struct errctx *ec)
{
	enum jy_err err = make_key(hsm, HSM_KEK, 0, &keys->kek, ec);

	for (uint32_t i = 0; err == JY_OK && i < keys->root_count; i++) {
		err = make_key(hsm, HSM_ROOT, i + 1, &keys->roots[i], ec);
	}
	return err;
}

static enum jy_err
one_join(struct hsm_session *s, const struct floor_keys *keys, uint64_t n,
    struct errctx *ec)
{
	struct hsm_key *root = keys->roots[n % keys->root_count];
	static const uint8_t request[19], accept[13], plain[16];
	static const uint8_t nwk_block[16] = { 1 }, app_block[16] = { 2 };
	uint8_t mic[HSM_MIC_LEN], out[16], wrapped[HSM_WRAPPED_LEN];
	enum jy_err err;

	err = hsm_mic(s, root, request, sizeof(request), mic, ec);
	if (err == JY_OK) {
		err = hsm_mic(s, root, accept, sizeof(accept), mic, ec);
	}
	if (err == JY_OK) {
		err = hsm_decrypt(s, root, plain, sizeof(plain), out, ec);
	}
	if (err == JY_OK) {
		err = hsm_derive_wrapped(
		    s, root, nwk_block, keys->kek, wrapped, ec);
	}
	if (err == JY_OK) {
		err = hsm_derive_wrapped(
		    s, root, app_block, keys->kek, wrapped, ec);
	}
	return err;
}

/* Wait for the others: standard input closes when all may begin. */
void
bench_floor_wait(void)
{
	char c;

	(void)printf("ready\n");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) {
	}
}

void
bench_floor_dir(const char *conf, char out[BENCH_PATH_MAX])
{
	(void)snprintf(out, BENCH_PATH_MAX, "%.*s",
	    (int)(strrchr(conf, '/') - conf), conf);
}

int
bench_floor_child(const char *path, uint32_t seconds, uint32_t devices)
{
	struct errctx ec = ERRCTX_INIT;
	struct floor_keys keys = {
		.roots = sys_xcalloc(devices, sizeof(keys.roots[0])),
		.root_count = devices,
	};
	struct hsm_report report = { 0 };
	char dir[BENCH_PATH_MAX];
	struct hsm_config config = {
		.sessions = 1, .cache = devices + 16, .turn_dir = dir
	};
	struct hsm_session *s;
	struct hsm *hsm = NULL;
	struct conf *conf = NULL;
	uint64_t count = 0, start, end;
	enum jy_err err;

	bench_floor_dir(path, dir);
	err = conf_load(path, &conf, &ec);
	if (err == JY_OK) {
		config.uri = conf->token_uri;
		config.init_args = conf->token_init_args;
		err = hsm_open(&config, &hsm, &report, &ec);
	}
	if (err == JY_OK) {
		err = make_keys(hsm, &keys, &ec);
	}
	if (err == JY_OK) {
		s = hsm_session_get(hsm);
		bench_floor_wait();
		start = sys_mono_us();
		do {
			err = one_join(s, &keys, count++, &ec);
			end = sys_mono_us();
		} while (err == JY_OK && end - start < seconds * 1000000ULL);
		hsm_session_put(hsm, s);
		(void)printf(
		    "%.3f\n", (double)count * 1e6 / (double)(end - start));
	}
	if (err != JY_OK) {
		(void)fprintf(
		    stderr, "joinery-bench: floor: %s\n", err_detail(&ec, err));
	}
	for (uint32_t i = 0; i < devices; i++) {
		hsm_key_put(hsm, keys.roots[i]);
	}
	free(keys.roots);
	hsm_key_put(hsm, keys.kek);
	hsm_close(hsm);
	conf_free(conf);
	return err == JY_OK ? 0 : 1;
}

struct child {
	pid_t pid;
	int gate;  /* closed to let it begin */
	FILE *out; /* what it prints */
};

static enum jy_err
start_child(struct child *c, char *const argv[], struct errctx *ec)
{
	int in[2], out[2];
	enum jy_err err;

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
		return err_set(ec, JY_EIO, "pipe: %s", strerror(errno));
	}
	err = bench_fork(&c->pid, ec);
	if (err == JY_OK && c->pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		/* As joineryd sets it for workers (src/front/supervisor.c). */
		(void)setenv(
		    "GLIBC_TUNABLES", "glibc.malloc.tcache_count=500", 0);
		(void)execv("/proc/self/exe", argv);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	c->gate = in[1];
	c->out = fdopen(out[0], "r");
	return err;
}

/* Read a child's line; false at its end. */
static bool
child_line(struct child *c, char *line, size_t cap)
{
	return c->out != NULL && fgets(line, (int)cap, c->out) != NULL;
}

enum jy_err
bench_floor_run(
    unsigned workers, char *const argv[], double *sum, struct errctx *ec)
{
	struct child children[BENCH_WORKERS_MAX] = { 0 };
	enum jy_err err = JY_OK;
	double all = 0;
	char line[64];
	unsigned n = 0;

	while (n < workers && err == JY_OK) {
		err = start_child(&children[n], argv, ec);
		if (err == JY_OK &&
		    !child_line(&children[n], line, sizeof(line))) {
			err = err_set(
			    ec, JY_ETOKEN, "a floor process did not begin");
		}
		n++;
	}
	for (unsigned i = 0; i < n; i++) {
		(void)close(children[i].gate);
	}
	for (unsigned i = 0; i < n; i++) {
		if (err == JY_OK &&
		    !child_line(&children[i], line, sizeof(line))) {
			err = err_set(
			    ec, JY_ETOKEN, "a floor process did not finish");
		}
		all += err == JY_OK ? strtod(line, NULL) : 0;
		if (children[i].out != NULL) {
			(void)fclose(children[i].out);
		}
		(void)waitpid(children[i].pid, NULL, 0);
	}
	if (err == JY_OK) {
		*sum = all;
	}
	return err;
}

enum jy_err
bench_floor(const struct bench_instance *in, const struct bench_options *o,
    double *joins_per_s, struct errctx *ec)
{
	char conf[BENCH_PATH_MAX], seconds[16], devices[16];
	char *argv[] = { (char[]){ "joinery-bench" },
		(char[]){ "--floor-child" }, conf, seconds, devices, NULL };

	(void)snprintf(conf, sizeof(conf), "%s", in->conf);
	(void)snprintf(seconds, sizeof(seconds), "%u", o->seconds);
	(void)snprintf(devices, sizeof(devices), "%u", o->devices);
	return bench_floor_run(in->workers, argv, joins_per_s, ec);
}
