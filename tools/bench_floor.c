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

struct floor_keys {
	struct hsm_key *root;
	struct hsm_key *kek;
};

/* Throwaway keys, under IDs of this process. */
static enum jy_err
make_keys(struct hsm *hsm, struct floor_keys *keys, struct errctx *ec)
{
	uint8_t kcv[HSM_KCV_LEN];
	struct hsm_id root, kek;
	enum jy_err err;

	root.len = (uint8_t)snprintf(
	    (char *)root.b, sizeof(root.b), "floor-root-%d", (int)getpid());
	kek.len = (uint8_t)snprintf(
	    (char *)kek.b, sizeof(kek.b), "floor-kek-%d", (int)getpid());
	err = hsm_key_generate(
	    hsm, 16, HSM_ROOT, &root, "joinery-bench", kcv, ec);
	if (err == JY_OK) {
		err = hsm_key_generate(
		    hsm, 32, HSM_KEK, &kek, "joinery-bench", kcv, ec);
	}
	if (err == JY_OK) {
		err = hsm_key_get(hsm, &root, HSM_ROOT, &keys->root, ec);
	}
	if (err == JY_OK) {
		err = hsm_key_get(hsm, &kek, HSM_KEK, &keys->kek, ec);
	}
	return err;
}

static enum jy_err
one_join(
    struct hsm_session *s, const struct floor_keys *keys, struct errctx *ec)
{
	static const uint8_t request[19], accept[13], plain[16];
	static const uint8_t nwk_block[16] = { 1 }, app_block[16] = { 2 };
	uint8_t mic[HSM_MIC_LEN], out[16], wrapped[HSM_WRAPPED_LEN];
	enum jy_err err;

	err = hsm_mic(s, keys->root, request, sizeof(request), mic, ec);
	if (err == JY_OK) {
		err = hsm_mic(s, keys->root, accept, sizeof(accept), mic, ec);
	}
	if (err == JY_OK) {
		err = hsm_decrypt(s, keys->root, plain, sizeof(plain), out, ec);
	}
	if (err == JY_OK) {
		err = hsm_derive_wrapped(
		    s, keys->root, nwk_block, keys->kek, wrapped, ec);
	}
	if (err == JY_OK) {
		err = hsm_derive_wrapped(
		    s, keys->root, app_block, keys->kek, wrapped, ec);
	}
	return err;
}

/* Wait for the others: standard input closes when all may begin. */
static void
wait_for_start(void)
{
	char c;

	(void)printf("ready\n");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) {
	}
}

int
bench_floor_child(const char *path, uint32_t seconds)
{
	struct errctx ec = ERRCTX_INIT;
	struct floor_keys keys = { 0 };
	struct hsm_report report = { 0 };
	struct hsm_config config = { .sessions = 1, .cache = 16 };
	struct hsm_session *s;
	struct hsm *hsm = NULL;
	struct conf *conf = NULL;
	uint64_t count = 0, start, end;
	enum jy_err err;

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
		wait_for_start();
		start = sys_mono_us();
		do {
			err = one_join(s, &keys, &ec);
			count++;
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
	hsm_key_put(hsm, keys.kek);
	hsm_key_put(hsm, keys.root);
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
start_child(
    struct child *c, const char *conf, uint32_t seconds, struct errctx *ec)
{
	int in[2], out[2];
	char arg[16];

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
		return err_set(ec, JY_EIO, "pipe: %s", strerror(errno));
	}
	(void)snprintf(arg, sizeof(arg), "%u", seconds);
	c->pid = fork();
	if (c->pid == 0) {
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execl("/proc/self/exe", "joinery-bench", "--floor-child",
		    conf, arg, (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	c->gate = in[1];
	c->out = fdopen(out[0], "r");
	return c->pid > 0 ? JY_OK
			  : err_set(ec, JY_EIO, "fork: %s", strerror(errno));
}

/* Read a child's line; false at its end. */
static bool
child_line(struct child *c, char *line, size_t cap)
{
	return c->out != NULL && fgets(line, (int)cap, c->out) != NULL;
}

enum jy_err
bench_floor(const struct bench_instance *in, uint32_t seconds,
    double *joins_per_s, struct errctx *ec)
{
	struct child children[BENCH_WORKERS_MAX] = { 0 };
	enum jy_err err = JY_OK;
	double sum = 0;
	char line[64];
	unsigned n = 0;

	while (n < in->workers && err == JY_OK) {
		err = start_child(&children[n], in->conf, seconds, ec);
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
		sum += err == JY_OK ? strtod(line, NULL) : 0;
		if (children[i].out != NULL) {
			(void)fclose(children[i].out);
		}
		(void)waitpid(children[i].pid, NULL, 0);
	}
	if (err == JY_OK) {
		*joins_per_s = sum;
	}
	return err;
}
