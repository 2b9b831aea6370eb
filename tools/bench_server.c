/* SPDX-License-Identifier: Apache-2.0 */
/* The server of an instance: its life, what it must know, what it counts. */
#include <sys/vfs.h>
#include <sys/wait.h>

#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/bench.h"
#include "tools/bench_server.h"
#include "tools/seal.h"

#define PING_PAUSE_US 2000U
#define START_MAX_US 120000000U

enum jy_err
bench_admin_open(
    const struct bench_instance *in, struct client **out, struct errctx *ec)
{
	const struct client_config config = {
		.socket = in->socket,
		.timeout_ms = 30000,
	};

	return client_open(&config, out, ec);
}

enum jy_err
bench_admin_call(struct client *c, Joinery__V1__Request *request,
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

static enum jy_err
get_status(const struct bench_instance *in, Joinery__V1__Response **out,
    struct errctx *ec)
{
	Joinery__V1__StatusRequest call = JOINERY__V1__STATUS_REQUEST__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	struct client *c;
	enum jy_err err = bench_admin_open(in, &c, ec);

	if (err != JY_OK) {
		return err;
	}
	q.call_case = JOINERY__V1__REQUEST__CALL_STATUS;
	q.status = &call;
	err = bench_admin_call(c, &q, out, ec);
	client_close(c);
	return err;
}

/* ---- its life ---- */

/* One ping; JY_OK when a worker answered it. */
static enum jy_err
ping(const struct bench_instance *in, struct errctx *ec)
{
	Joinery__V1__PingRequest call = JOINERY__V1__PING_REQUEST__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *r;
	struct client *c;
	enum jy_err err;

	q.call_case = JOINERY__V1__REQUEST__CALL_PING;
	q.ping = &call;
	err = bench_admin_open(in, &c, ec);
	if (err != JY_OK) {
		return err;
	}
	err = bench_admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		client_free(r);
	}
	client_close(c);
	return err;
}

/* Until the first worker has proved its token, calls are refused. */
static enum jy_err
wait_until_ready(struct bench_instance *in, struct errctx *ec)
{
	uint64_t start_us = sys_mono_us();
	enum jy_err err;

	do {
		err_clear(ec);
		err = ping(in, ec);
		if (err == JY_OK) {
			return JY_OK;
		}
		(void)usleep(PING_PAUSE_US);
		if (waitpid(in->server, NULL, WNOHANG) == in->server) {
			in->server = 0;
			bench_show_log(in);
			err_clear(ec);
			return err_set(ec, JY_EIO, "joineryd ended");
		}
	} while (sys_mono_us() - start_us < START_MAX_US);
	return err;
}

/* Until all workers are, for requests go to those that are. */
static enum jy_err
wait_for_all(const struct bench_instance *in, struct errctx *ec)
{
	uint64_t start_us = sys_mono_us();

	do {
		Joinery__V1__Response *r;
		unsigned ready = 0;
		enum jy_err err = get_status(in, &r, ec);

		if (err != JY_OK) {
			return err;
		}
		for (size_t i = 0; i < r->status->n_workers; i++) {
			ready +=
			    strcmp(r->status->workers[i]->state, "ready") == 0;
		}
		client_free(r);
		if (ready == in->workers) {
			return JY_OK;
		}
		(void)usleep(PING_PAUSE_US);
	} while (sys_mono_us() - start_us < START_MAX_US);
	return err_set(ec, JY_ETIMEOUT, "not all workers became ready");
}

enum jy_err
bench_server_start(struct bench_instance *in, const struct bench_options *o,
    double *seconds, struct errctx *ec)
{
	char server[BENCH_PATH_MAX];
	char *argv[] = { server, (char[]){ "-c" }, in->conf, NULL };
	uint64_t start_us = sys_mono_us();
	enum jy_err err;

	bench_instance_select(in);
	bench_program_path(o, JY_SBINDIR, "joineryd", server);
	err = bench_spawn(in, argv, &in->server, ec);
	if (err == JY_OK) {
		err = wait_until_ready(in, ec);
	}
	if (err == JY_OK && seconds != NULL) {
		*seconds = (double)(sys_mono_us() - start_us) / 1e6;
	}
	return err == JY_OK ? wait_for_all(in, ec) : err;
}

void
bench_server_stop(struct bench_instance *in)
{
	if (in->server > 0) {
		(void)kill(in->server, SIGTERM);
		(void)waitpid(in->server, NULL, 0);
		in->server = 0;
	}
}

/* ---- what it must know ---- */

enum jy_err
bench_add_kek_and_peer(struct client *c, struct errctx *ec)
{
	Joinery__V1__KekGenerateRequest kek =
	    JOINERY__V1__KEK_GENERATE_REQUEST__INIT;
	Joinery__V1__PeerSetRequest set = JOINERY__V1__PEER_SET_REQUEST__INIT;
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Response *r;
	uint32_t net_id = BENCH_NET_ID;
	enum jy_err err;

	kek.label = (char[]){ BENCH_KEK };
	kek.has_bits = 1;
	kek.bits = 256;
	q.call_case = JOINERY__V1__REQUEST__CALL_KEK_GENERATE;
	q.kek_generate = &kek;
	err = bench_admin_call(c, &q, &r, ec);
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
	peer.kek = (char[]){ BENCH_KEK };
	set.peer = &peer;
	q.call_case = JOINERY__V1__REQUEST__CALL_PEER_SET;
	q.peer_set = &set;
	err = bench_admin_call(c, &q, &r, ec);
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
	settings.as_kek = (char[]){ BENCH_KEK };
	set.id = &id;
	set.settings = &settings;
	set.app_key = &sealed;
	q.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SET;
	q.device_set = &set;
	err = bench_admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		client_free(r);
	}
	return err;
}

enum jy_err
bench_import_key(
    struct client *c, Joinery__V1__Response **out, struct errctx *ec)
{
	Joinery__V1__ImportKeyRequest get =
	    JOINERY__V1__IMPORT_KEY_REQUEST__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;

	q.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_KEY;
	q.import_key = &get;
	return bench_admin_call(c, &q, out, ec);
}

static enum jy_err
add_devices(struct client *c, struct bench_device *devices, uint32_t n,
    struct errctx *ec)
{
	Joinery__V1__Response *import;
	enum jy_err err = bench_import_key(c, &import, ec);

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
bench_add_all(const struct bench_instance *in, const struct bench_options *o,
    struct bench_device *devices, struct errctx *ec)
{
	struct client *c = NULL;
	enum jy_err err = bench_admin_open(in, &c, ec);

	if (err == JY_OK) {
		err = bench_add_kek_and_peer(c, ec);
	}
	if (err == JY_OK) {
		err = add_devices(c, devices, o->devices, ec);
	}
	client_close(c);
	return err;
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
		{ "key_misses", &out->key_misses },
	};

	for (size_t i = 0; i < w->n_counters; i++) {
		for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
			if (strcmp(w->counters[i]->name, wanted[k].name) == 0) {
				*wanted[k].sum += w->counters[i]->value;
			}
		}
	}
}

static void
add_memory(const Joinery__V1__WorkerStatus *w, bool shmem_is_own,
    struct bench_counters *out)
{
	uint64_t anon = proc_status(w->pid, "RssAnon:");
	uint64_t shmem = proc_status(w->pid, "RssShmem:");
	uint64_t rss = proc_status(w->pid, "VmRSS:");
	uint64_t own = anon + (shmem_is_own ? shmem : 0);

	out->rss_bytes += rss;
	out->anon_bytes += anon;
	if (out->worker_count < BENCH_WORKERS_MAX) {
		out->workers[out->worker_count++] =
		    (struct bench_memory){ .rss = rss, .own = own };
	}
}

/* On a tmpfs the pages of the database's map are among the shared memory. */
static bool
on_tmpfs(const struct bench_instance *in)
{
	struct statfs fs;

	return statfs(in->dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static void
add_status(const struct bench_instance *in,
    const Joinery__V1__StatusAnswer *status, struct bench_counters *out)
{
	bool shmem_is_own = !on_tmpfs(in);

	out->front_rss_bytes = proc_status(status->pid, "VmRSS:");
	for (size_t i = 0; i < status->n_workers; i++) {
		add_worker(status->workers[i], out);
		add_memory(status->workers[i], shmem_is_own, out);
	}
}

enum jy_err
bench_server_counters(const struct bench_instance *in,
    struct bench_counters *out, struct errctx *ec)
{
	Joinery__V1__Response *r;
	enum jy_err err = get_status(in, &r, ec);

	if (err == JY_OK) {
		*out = (struct bench_counters){ .joins = 0 };
		add_status(in, r->status, out);
		client_free(r);
	}
	return err;
}
