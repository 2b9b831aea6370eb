/* SPDX-License-Identifier: Apache-2.0 */
/* A throwaway token, store and server for the bench. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/bench.h"
#include "tools/client.h"
#include "tools/seal.h"

#define LIBDIR "/usr/lib/" JY_MULTIARCH
#define KEK_LABEL "bench"

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

static void
program_path(const struct bench_options *o, const char *installed_dir,
    const char *name, char out[BENCH_PATH_MAX])
{
	(void)snprintf(out, BENCH_PATH_MAX, "%s/%s",
	    o->programs != NULL ? o->programs : installed_dir, name);
}

/* Run a program and wait; its output goes to the instance's log. */
static enum jy_err
spawn(const struct bench_instance *in, char *const argv[], pid_t *pid,
    struct errctx *ec)
{
	char log[BENCH_PATH_MAX + 8];
	int fd;

	(void)snprintf(log, sizeof(log), "%s/log", in->dir);
	*pid = fork();
	if (*pid < 0) {
		return err_set(ec, JY_EIO, "fork: %s", strerror(errno));
	}
	if (*pid == 0) {
		fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
		(void)execv(argv[0], argv);
		_exit(127);
	}
	return JY_OK;
}

static enum jy_err
run_to_end(
    const struct bench_instance *in, char *const argv[], struct errctx *ec)
{
	enum jy_err err;
	int status;
	pid_t pid;

	err = spawn(in, argv, &pid, ec);
	if (err == JY_OK && (waitpid(pid, &status, 0) != pid || status != 0)) {
		return err_set(
		    ec, JY_ETOKEN, "%s failed; see %s/log", argv[0], in->dir);
	}
	return err;
}

static enum jy_err
write_conf(const struct bench_instance *in, const struct token_kind *kind,
    const struct bench_options *o, struct errctx *ec)
{
	char uri[512], args[512], worker[BENCH_PATH_MAX], text[3072];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(uri, sizeof(uri), kind->uri, in->dir);
	(void)snprintf(args, sizeof(args), kind->args, in->dir);
#pragma GCC diagnostic pop
	program_path(o, JY_LIBEXECDIR, "joinery-worker", worker);
	(void)snprintf(text, sizeof(text),
	    "socket = \"%s\"\nstore = \"%s/store\"\n"
	    "token-uri = \"pkcs11:%s\"\ntoken-init-args = \"%s\"\n"
	    "worker-program = \"%s\"\nworkers = %u\n"
	    "max-in-flight = %u\nworker-queue = %u\nlog-level = \"warn\"\n"
	    "worker-max-joins = 0\n"
	    "bi-listen = \"%s\"\ntls-certificate = \"%s/" BENCH_CERT
	    "\"\ntls-key = \"%s/" BENCH_CERT
	    "\"\ntls-client-ca = \"%s/" BENCH_CERT
	    "\"\nbi-peer-connections = %u\n",
	    in->socket, in->dir, uri, args, worker, in->workers, o->in_flight,
	    o->in_flight + 16, in->bi_address, in->dir, in->dir, in->dir,
	    o->bi_connections);
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

	program_path(o, JY_LIBEXECDIR, "joinery-worker", worker);
	(void)snprintf(so_pin, sizeof(so_pin), "file:%s/so-pin", in->dir);
	return run_to_end(in, argv, ec);
}

enum jy_err
bench_instance_new(struct bench_instance *in, const char *token,
    unsigned workers, const struct bench_options *o, struct errctx *ec)
{
	const struct token_kind *kind = find_kind(token);
	char path[BENCH_PATH_MAX + 32], text[BENCH_PATH_MAX + 64];
	const char *tmp = getenv("TMPDIR");
	enum jy_err err;

	jy_assert(kind != NULL);
	in->workers = workers;
	in->server = 0;
	(void)snprintf(in->dir, sizeof(in->dir), "%s/joinery-bench.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(in->dir) == NULL) {
		in->dir[0] = '\0';
		return err_set(ec, JY_EIO, "make a directory in %s: %s",
		    tmp != NULL ? tmp : "/tmp", strerror(errno));
	}
	(void)snprintf(in->socket, sizeof(in->socket), "%.200s/sock", in->dir);
	(void)snprintf(
	    in->conf, sizeof(in->conf), "%.200s/joinery.conf", in->dir);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = { "tokens", "nss", "store" };

		(void)snprintf(path, sizeof(path), "%s/%s", in->dir, names[i]);
		(void)mkdir(path, 0700);
	}
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s/tokens\nlog.level = ERROR\n", in->dir);
	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", in->dir);
	(void)setenv("SOFTHSM2_CONF", path, 1);
	err = put_file(in, "softhsm2.conf", text, ec);
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
		err = write_conf(in, kind, o, ec);
	}
	return err == JY_OK ? make_token(in, o, ec) : err;
}

/* ---- the server, and what it must know ---- */

static enum jy_err
admin_open(
    const struct bench_instance *in, struct client **out, struct errctx *ec)
{
	const struct client_config config = {
		.socket = in->socket,
		.timeout_ms = 30000,
	};

	return client_open(&config, out, ec);
}

/* Make an admin call; anything but success is an error. */
static enum jy_err
admin_call(struct client *c, Joinery__V1__Request *request,
    Joinery__V1__Response **out, struct errctx *ec)
{
	enum jy_err err = client_call(c, request, out, ec);

	if (err == JY_OK &&
	    (*out)->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR) {
		err = err_set(
		    ec, JY_EINVAL, "server: %s", (*out)->error->message);
		client_free(*out);
	}
	return err;
}

/* Until the first worker has proved its token, calls are refused. */
static enum jy_err
wait_until_ready(
    const struct bench_instance *in, struct client **out, struct errctx *ec)
{
	Joinery__V1__PingRequest ping = JOINERY__V1__PING_REQUEST__INIT;
	enum jy_err err = JY_ETIMEOUT;

	for (int i = 0; i < 600; i++) {
		Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
		Joinery__V1__Response *r;
		struct client *c;

		q.call_case = JOINERY__V1__REQUEST__CALL_PING;
		q.ping = &ping;
		err_clear(ec);
		err = admin_open(in, &c, ec);
		if (err == JY_OK) {
			err = admin_call(c, &q, &r, ec);
			if (err == JY_OK) {
				client_free(r);
				*out = c;
				return JY_OK;
			}
			client_close(c);
		}
		(void)usleep(50000);
	}
	return err;
}

static enum jy_err
add_kek_and_peer(struct client *c, struct errctx *ec)
{
	Joinery__V1__KekGenerateRequest kek =
	    JOINERY__V1__KEK_GENERATE_REQUEST__INIT;
	Joinery__V1__PeerSetRequest set = JOINERY__V1__PEER_SET_REQUEST__INIT;
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *r;
	uint32_t net_id = 0x13;
	enum jy_err err;

	kek.label = (char[]){ KEK_LABEL };
	kek.has_bits = 1;
	kek.bits = 256;
	q.call_case = JOINERY__V1__REQUEST__CALL_KEK_GENERATE;
	q.kek_generate = &kek;
	err = admin_call(c, &q, &r, ec);
	if (err != JY_OK) {
		return err;
	}
	client_free(r);
	peer.name = (char[]){ "bench-ns" };
	peer.has_role = peer.has_uid = 1;
	peer.role = JOINERY__V1__PEER_ROLE__ROLE_NS;
	peer.uid = geteuid();
	peer.cert_san = (char[]){ BENCH_NS_NAME };
	peer.n_net_ids = 1;
	peer.net_ids = &net_id;
	peer.kek = (char[]){ KEK_LABEL };
	set.peer = &peer;
	q.call_case = JOINERY__V1__REQUEST__CALL_PEER_SET;
	q.peer_set = &set;
	err = admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		client_free(r);
	}
	return err;
}

static enum jy_err
seal_device_key(const struct bench_device *d,
    const Joinery__V1__ImportKeyAnswer *import, struct sealed_key *out,
    struct errctx *ec)
{
	struct secret *key = NULL;
	enum jy_err err = secret_new(16, &key, ec);

	if (err == JY_OK) {
		memcpy(secret_data(key), d->key.b, 16);
		secret_set_len(key, 16);
		err = seal_key(import->public_key.data, import->public_key.len,
		    key, out, ec);
	}
	secret_free(key);
	return err;
}

static void
fill_bytes(
    protobuf_c_boolean *has, ProtobufCBinaryData *out, uint8_t *p, size_t len)
{
	*has = 1;
	out->data = p;
	out->len = len;
}

static enum jy_err
add_device(struct client *c, struct bench_device *d,
    const Joinery__V1__ImportKeyAnswer *import, struct errctx *ec)
{
	Joinery__V1__DeviceSetRequest set =
	    JOINERY__V1__DEVICE_SET_REQUEST__INIT;
	Joinery__V1__DeviceSettings settings =
	    JOINERY__V1__DEVICE_SETTINGS__INIT;
	Joinery__V1__SealedKey sealed = JOINERY__V1__SEALED_KEY__INIT;
	Joinery__V1__DeviceId id = JOINERY__V1__DEVICE_ID__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *r;
	struct sealed_key key;
	enum jy_err err;

	err = seal_device_key(d, import, &key, ec);
	if (err != JY_OK) {
		return err;
	}
	fill_bytes(&id.has_join_eui, &id.join_eui, d->join_eui.be, 8);
	fill_bytes(&id.has_dev_eui, &id.dev_eui, d->dev_eui.be, 8);
	fill_bytes(&sealed.has_import_key, &sealed.import_key, key.import_key,
	    sizeof(key.import_key));
	fill_bytes(&sealed.has_transport_key, &sealed.transport_key,
	    key.transport_key, key.transport_key_len);
	fill_bytes(&sealed.has_wrapped_key, &sealed.wrapped_key,
	    key.wrapped_key, key.wrapped_key_len);
	fill_bytes(&sealed.has_check_value, &sealed.check_value,
	    key.check_value, sizeof(key.check_value));
	settings.has_mac_version = 1;
	settings.mac_version = JOINERY__V1__MAC_VERSION__MAC_1_0_4;
	settings.as_kek = (char[]){ KEK_LABEL };
	set.id = &id;
	set.settings = &settings;
	set.app_key = &sealed;
	q.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SET;
	q.device_set = &set;
	err = admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		client_free(r);
	}
	return err;
}

static enum jy_err
add_devices(struct client *c, struct bench_device *devices, uint32_t n,
    struct errctx *ec)
{
	Joinery__V1__ImportKeyRequest get =
	    JOINERY__V1__IMPORT_KEY_REQUEST__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *import;
	enum jy_err err;

	q.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_KEY;
	q.import_key = &get;
	err = admin_call(c, &q, &import, ec);
	if (err != JY_OK) {
		return err;
	}
	for (uint32_t i = 0; err == JY_OK && i < n; i++) {
		struct bench_device *d = &devices[i];

		sys_real.random(d, sizeof(*d));
		d->dev_nonce = 1;
		err = add_device(c, d, import->import_key, ec);
	}
	client_free(import);
	return err;
}

enum jy_err
bench_instance_start(struct bench_instance *in, const struct bench_options *o,
    struct bench_device *devices, struct errctx *ec)
{
	char server[BENCH_PATH_MAX];
	char *argv[] = { server, (char[]){ "-c" }, in->conf, NULL };
	struct client *c = NULL;
	enum jy_err err;

	program_path(o, JY_SBINDIR, "joineryd", server);
	err = spawn(in, argv, &in->server, ec);
	if (err == JY_OK) {
		err = wait_until_ready(in, &c, ec);
	}
	if (err == JY_OK) {
		err = add_kek_and_peer(c, ec);
	}
	if (err == JY_OK) {
		err = add_devices(c, devices, o->devices, ec);
	}
	client_close(c);
	return err;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

void
bench_instance_free(struct bench_instance *in)
{
	if (in->server > 0) {
		(void)kill(in->server, SIGTERM);
		(void)waitpid(in->server, NULL, 0);
		in->server = 0;
	}
	if (in->dir[0] != '\0') {
		(void)nftw(in->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
		in->dir[0] = '\0';
	}
}

/* ---- what the workers count ---- */

/* A line of /proc/PID/status, in octets. */
static uint64_t
proc_status(uint32_t pid, const char *field)
{
	char path[64], line[128];
	uint64_t value = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0) {
			value = strtoull(line + strlen(field), NULL, 10) * 1024;
		}
	}
	if (f != NULL) {
		(void)fclose(f);
	}
	return value;
}

static void
add_worker(const Joinery__V1__WorkerStatus *w, struct bench_counters *out)
{
	const struct {
		const char *name;
		uint64_t *sum;
	} wanted[] = {
		{ "joins_accepted", &out->joins },
		{ "pkcs11_calls", &out->pkcs11_calls },
		{ "store_syncs", &out->syncs },
	};

	for (size_t i = 0; i < w->n_counters; i++) {
		for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
			if (strcmp(w->counters[i]->name, wanted[k].name) == 0) {
				*wanted[k].sum += w->counters[i]->value;
			}
		}
	}
	out->rss_bytes += proc_status(w->pid, "VmRSS:");
	out->anon_bytes += proc_status(w->pid, "RssAnon:");
}

enum jy_err
bench_instance_counters(const struct bench_instance *in,
    struct bench_counters *out, struct errctx *ec)
{
	Joinery__V1__StatusRequest get = JOINERY__V1__STATUS_REQUEST__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *r;
	struct client *c;
	enum jy_err err;

	memset(out, 0, sizeof(*out));
	q.call_case = JOINERY__V1__REQUEST__CALL_STATUS;
	q.status = &get;
	err = admin_open(in, &c, ec);
	if (err != JY_OK) {
		return err;
	}
	err = admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		for (size_t i = 0; i < r->status->n_workers; i++) {
			add_worker(r->status->workers[i], out);
		}
		client_free(r);
	}
	client_close(c);
	return err;
}
