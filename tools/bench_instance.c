/* SPDX-License-Identifier: Apache-2.0 */
/* A throwaway directory for the bench: a token and a configuration. */
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/bench.h"
#include "tools/bench_server.h"

#define LIBDIR "/usr/lib/" JY_MULTIARCH

static const struct token_kind {
	const char *name;
	const char *uri;  /* behind "pkcs11:", with %s for the directory */
	const char *args; /* token-init-args, with %s for the directory */
} token_kinds[] = {
	{ "softhsm",
	    "token=bench?module-path=" LIBDIR
	    "/softhsm/libsofthsm2.so&pin-source=file:%s/pin",
	    "" },
	{ "softokn",
	    "token=NSS%%20Certificate%%20DB?module-path=" LIBDIR
	    "/libsoftokn3.so&pin-source=file:%s/pin",
	    "configdir='sql:%s/nss' certPrefix='' keyPrefix='' "
	    "secmod='secmod.db' flags=" },
};

static const struct token_kind *
find_kind(const char *token)
{
	for (size_t i = 0; i < ARRAY_LEN(token_kinds); i++) {
		if (strcmp(token, token_kinds[i].name) == 0) {
			return &token_kinds[i];
		}
	}
	return NULL;
}

bool
bench_token_known(const char *token)
{
	return find_kind(token) != NULL;
}

/* Write a file of ours into the instance's directory. */
static enum jy_err
put_file(const struct bench_instance *in, const char *name, const char *text,
    struct errctx *ec)
{
	char path[BENCH_PATH_MAX + 32];
	FILE *f;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", in->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0) {
		return err_set(
		    ec, JY_EIO, "write %s: %s", path, strerror(errno));
	}
	return JY_OK;
}

enum jy_err
bench_instance_configure(const struct bench_instance *in,
    const struct bench_options *o, struct errctx *ec)
{
	const struct token_kind *kind = find_kind(in->token);
	char uri[512], args[512], worker[BENCH_PATH_MAX], text[3072];

	jy_assert(kind != NULL);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(uri, sizeof(uri), kind->uri, in->dir);
	(void)snprintf(args, sizeof(args), kind->args, in->dir);
#pragma GCC diagnostic pop
	bench_program_path(o, JY_LIBEXECDIR, "joinery-worker", worker);
	(void)snprintf(text, sizeof(text),
	    "socket = \"%s\"\nstore = \"%s/store\"\n"
	    "token-uri = \"pkcs11:%s\"\ntoken-init-args = \"%s\"\n"
	    "worker-program = \"%s\"\nworkers = %u\n"
	    "max-in-flight = %u\nworker-queue = %u\nlog-level = \"warn\"\n"
	    "worker-max-joins = 0\ncustody = \"%s\"\nkey-cache = %u\n"
	    "bi-listen = \"%s\"\ntls-certificate = \"%s/" BENCH_CERT
	    "\"\ntls-key = \"%s/" BENCH_CERT
	    "\"\ntls-client-ca = \"%s/" BENCH_CERT
	    "\"\nbi-peer-connections = %u\n",
	    in->socket, in->dir, uri, args, worker, in->workers, o->in_flight,
	    o->in_flight + 16, o->custody, o->key_cache, in->bi_address,
	    in->dir, in->dir, in->dir, o->bi_connections);
	return put_file(in, "joinery.conf", text, ec);
}

/* A port that nobody uses now; the server takes it in a moment. */
static enum jy_err
find_port(struct bench_instance *in, struct errctx *ec)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum jy_err err = JY_OK;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0) {
		err = err_set(ec, JY_EIO, "a port: %s", strerror(errno));
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	(void)snprintf(in->bi_address, sizeof(in->bi_address), "127.0.0.1:%u",
	    (unsigned)ntohs(sin.sin_port));
	return err;
}

static enum jy_err
make_tls(struct bench_instance *in, struct errctx *ec)
{
	char path[BENCH_PATH_MAX + 32];
	enum jy_err err = find_port(in, ec);

	(void)snprintf(path, sizeof(path), "%s/" BENCH_CERT, in->dir);
	return err == JY_OK ? bench_cert_make(path, ec) : err;
}

static enum jy_err
make_token(
    struct bench_instance *in, const struct bench_options *o, struct errctx *ec)
{
	char worker[BENCH_PATH_MAX], so_pin[BENCH_PATH_MAX + 16];
	char *argv[] = { worker, (char[]){ "token-init" },
		(char[]){ "--config" }, in->conf, (char[]){ "--create" },
		(char[]){ "--so-pin-source" }, so_pin, NULL };

	bench_program_path(o, JY_LIBEXECDIR, "joinery-worker", worker);
	(void)snprintf(so_pin, sizeof(so_pin), "file:%s/so-pin", in->dir);
	return bench_run(in, argv, ec);
}

void
bench_instance_select(const struct bench_instance *in)
{
	char path[BENCH_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", in->dir);
	(void)setenv("SOFTHSM2_CONF", path, 1);
}

/* Directories and the files of the token's library. */
static enum jy_err
make_dir(struct bench_instance *in, struct errctx *ec)
{
	static const char *const names[] = { "tokens", "nss", "store" };
	char path[BENCH_PATH_MAX + 32], text[BENCH_PATH_MAX + 64];
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(in->dir, sizeof(in->dir), "%.200s/XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(in->dir) == NULL) {
		in->dir[0] = '\0';
		return err_set(ec, JY_EIO, "make a directory in %s: %s",
		    tmp != NULL ? tmp : "/tmp", strerror(errno));
	}
	(void)snprintf(in->socket, sizeof(in->socket), "%.200s/sock", in->dir);
	(void)snprintf(
	    in->conf, sizeof(in->conf), "%.200s/joinery.conf", in->dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", in->dir, names[i]);
		(void)mkdir(path, 0700);
	}
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s/tokens\nlog.level = ERROR\n", in->dir);
	bench_instance_select(in);
	return put_file(in, "softhsm2.conf", text, ec);
}

enum jy_err
bench_instance_new(struct bench_instance *in, const char *token,
    unsigned workers, const struct bench_options *o, struct errctx *ec)
{
	enum jy_err err;

	jy_assert(bench_token_known(token));
	in->token = token;
	in->workers = workers;
	in->server = 0;
	err = make_dir(in, ec);
	if (err == JY_OK) {
		err = put_file(in, "pin", "bench-user-pin\n", ec);
	}
	if (err == JY_OK) {
		/* NSS softokn's security officer has no PIN at first. */
		err = put_file(in, "so-pin",
		    strcmp(token, "softokn") == 0 ? "\n" : "bench-so-pin\n",
		    ec);
	}
	if (err == JY_OK) {
		err = make_tls(in, ec);
	}
	if (err == JY_OK) {
		err = bench_instance_configure(in, o, ec);
	}
	return err == JY_OK ? make_token(in, o, ec) : err;
}

void
bench_instance_free(struct bench_instance *in)
{
	bench_server_stop(in);
	if (in->dir[0] != '\0') {
		bench_remove(in->dir);
		in->dir[0] = '\0';
	}
}
