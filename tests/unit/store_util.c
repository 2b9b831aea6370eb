/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_util.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "src/lorawan/frame.h"

struct device_id
util_device_id(unsigned n)
{
	struct device_id id = {
		.dev_eui = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55 } },
		.join_eui = { { 0x70, 0xB3, 0xD5, 0x7E, 0xD0, 0x01, 0x02,
		    0x03 } },
	};

	id.dev_eui.be[6] = (uint8_t)(n >> 8);
	id.dev_eui.be[7] = (uint8_t)n;
	return id;
}

struct device_row
util_device(unsigned n)
{
	struct device_row row = {
		.id = util_device_id(n),
		.mac_version = LW_VERSION_1_0_3,
		.activation.net_id_count = 2,
		.activation.net_ids = { 0x000013, NET_ID_MAX },
		.activation.as_id = "as.example.com",
		.app = "meters",
		.v10_root_is_app_key = true,
		.nwk_key = { .generation = 1, .role = 1 },
		.app_key = { .generation = 0x01020304, .role = 2 },
		.created_ms = 1700000000000,
		.changed_ms = 1700000000001,
	};

	(void)snprintf(row.name, sizeof(row.name), "meter-%05u", n);
	return row;
}

struct peer_row
util_peer(const char *name)
{
	struct peer_row row = { .role = PEER_NS };

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	return row;
}

struct app_row
util_app(const char *name)
{
	struct app_row row = {
		.activation.net_id_count = 1,
		.activation.net_ids = { 0x600001 },
		.activation.as_id = "as.example.com",
		.activation.has_ns_id = true,
		.activation.ns_id = { { 0x70, 0x76, 0xFF, 0, 0, 0, 0, 1 } },
		.activation.roaming = ROAMING_LISTED,
		.activation.roaming_net_id_count = 2,
		.activation.roaming_net_ids = { 0x000013, NET_ID_MAX },
	};

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	return row;
}

struct kek_row
util_kek(const char *label)
{
	struct kek_row row = { .generation = 1,
		.key_id = 0x0123456789ABCDEF,
		.bits = 128,
		.kcv = { 1, 2, 3, 4 },
		.created_ms = 5,
		.active_ms = 6,
		.has_proof = true,
		.proof = { 7, 8, 9 } };

	(void)snprintf(row.wire_label, sizeof(row.wire_label), "%s", label);
	(void)snprintf(row.label, sizeof(row.label), "%s", label);
	return row;
}

struct refusal_row
util_refusal(unsigned n, uint64_t time_ms)
{
	return (struct refusal_row){
		.device = util_device_id(n),
		.time_ms = time_ms,
		.wire_code = 7,
		.counter = 0x0100,
		.peer = "ns1",
		.reason = "DevNonce 256 was used before (rule unique)",
	};
}

struct join_commit
util_join(const struct join_view *view, uint16_t dev_nonce, uint64_t time_ms)
{
	static atomic_uint serial;
	unsigned unique = atomic_fetch_add(&serial, 1);
	struct join_commit c = {
		.revision_seen = view->device.revision,
		.join_nonce_seen = view->nonces.join_nonce,
		.session = {
			.device = view->device.id,
			.mac_version = LW_VERSION_1_0_3,
			.join_type = LW_JOIN_REQUEST,
			.nwk_key = view->device.nwk_key,
			.join_nonce = view->nonces.join_nonce + 1,
			.counter = dev_nonce,
			.net_id = 0x000013,
			.dev_addr = 0x26010203,
			.created_ms = time_ms,
			.peer = "ns1",
		},
		.keep = 10,
	};
	pid_t pid = getpid();

	for (size_t i = 0; i < 6; i++) {
		c.session.id[i] = (uint8_t)(time_ms >> (40 - 8 * i));
	}
	memcpy(c.session.id + 6, &pid, sizeof(pid));
	memcpy(c.session.id + 10, &unique, sizeof(unique));
	return c;
}

enum jy_err
util_join_now(
    struct store *s, unsigned n, uint16_t dev_nonce, struct join_commit *out)
{
	struct errctx ec = ERRCTX_INIT;
	struct device_id id = util_device_id(n);
	struct join_view view;
	struct join_commit *batch[1] = { out };

	jy_assert(store_join_view(s, &id, dev_nonce, &view, &ec) == JY_OK);
	*out = util_join(&view, dev_nonce, sys_real.now_ms());
	store_join_commit(s, batch, 1, &ec);
	return out->err;
}

void
util_dir_make(char out[64])
{
	(void)snprintf(out, 64, "/tmp/joinery-store-XXXXXX");
	jy_assert(mkdtemp(out) != NULL);
}

void
util_dir_remove(const char *dir)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };
	char path[96];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

struct store_config
util_config(const char *backend, const char *dir)
{
	return (struct store_config){
		.backend = backend,
		.path = dir,
		.map_max = 256 * MIB,
		.refusal_flush_ms = 60000,
	};
}

struct store *
util_open(const struct store_config *config)
{
	struct errctx ec = ERRCTX_INIT;
	struct store *s = NULL;
	enum jy_err err = store_open(config, &s, &ec);

	if (err != JY_OK) {
		(void)fprintf(stderr, "%s\n", err_detail(&ec, err));
	}
	jy_assert(err == JY_OK);
	return s;
}

void
util_put_device(struct store *s, unsigned n)
{
	struct device_row row = util_device(n);

	jy_assert(store_device_put(s, &row, NULL) == JY_OK);
}

bool
util_has_device(struct store *s, unsigned n)
{
	struct device_row row = util_device(n);
	struct device_row got;
	uint8_t a[ROW_MAX];
	uint8_t b[ROW_MAX];
	size_t len;

	row.revision = 1;
	if (store_device_get(s, &row.id, &got, NULL) != JY_OK) {
		return false;
	}
	len = row_encode_device(&row, a);
	return row_encode_device(&got, b) == len && memcmp(a, b, len) == 0;
}

const char *util_backend;

int
util_setup(void **state)
{
	struct fixture *f = sys_xcalloc(1, sizeof(*f));
	struct store_config config;

	util_dir_make(f->dir);
	config = util_config(util_backend, f->dir);
	config.map_first = MIB;
	f->s = util_open(&config);
	*state = f;
	return 0;
}

int
util_teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	util_dir_remove(f->dir);
	free(f);
	return 0;
}
