/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a fleet: the DevEUIs of an order are consecutive, and orders
 * scattered, as those of many makers and years are; a name that counts, an
 * application that says the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/base/sys.h"
#include "tools/bench_fleet.h"
#include "tools/seal_file.h"
#include "tools/sim_crypto.h"

#define APPS 16
#define APP_NAME "fleet-%02u"
#define JOIN_EUI_FIRST 0x70b3d57ed0000000ULL

/* What the encrypted octets are for. */
enum {
	BLOCK_KEY = 1,
	BLOCK_DEV_EUI = 2
};

struct draw {
	struct bench_joiners joiners; /* first */
	struct fleet *fleet;
};

struct fleet {
	uint32_t devices, order;
	struct secret_block seed;
	struct sim_crypto *crypto;
	uint64_t dice;
	uint16_t *dev_nonces; /* the next of each */
	struct bench_device drawn;
	struct draw in_turn, at_random;
};

/* ---- one of them ---- */

static void
device_block(
    struct fleet *f, uint32_t index, uint8_t what, struct secret_block *out)
{
	uint8_t in[16] = { what };
	struct writer w;

	writer_init(&w, in + 12, 4);
	writer_be(&w, index, 4);
	sim_crypto_encrypt(f->crypto, &f->seed, in, sizeof(in), out->b);
}

static void
device_make(struct fleet *f, uint32_t index, struct bench_device *out)
{
	AUTO_WIPE struct secret_block eui = { { 0 } };
	struct reader first;
	struct writer w;

	device_block(f, index, BLOCK_KEY, &out->key);
	device_block(f, index / f->order, BLOCK_DEV_EUI, &eui);
	reader_init(&first, eui.b, sizeof(out->dev_eui.be));
	writer_init(&w, out->dev_eui.be, sizeof(out->dev_eui.be));
	writer_be(&w, reader_be(&first, 8) + index % f->order, 8);
	writer_init(&w, out->join_eui.be, sizeof(out->join_eui.be));
	writer_be(&w, JOIN_EUI_FIRST + index % APPS, 8);
}

/* ---- who joins ---- */

/* That one, or the next that has a DevNonce left. */
static struct bench_device *
draw(struct fleet *f, uint32_t index)
{
	for (uint32_t i = 0;
	     i < f->devices && f->dev_nonces[index] == UINT16_MAX; i++) {
		index = (index + 1) % f->devices;
	}
	device_make(f, index, &f->drawn);
	f->drawn.dev_nonce = f->dev_nonces[index]++;
	return &f->drawn;
}

static struct bench_device *
next_in_turn(struct bench_joiners *j, uint64_t n)
{
	struct fleet *f = ((const struct draw *)j)->fleet;

	return draw(f, (uint32_t)(n % f->devices));
}

/* Fair enough dice, and as quick as there must be (SplitMix64). */
static uint64_t
throw_dice(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static struct bench_device *
next_at_random(struct bench_joiners *j, uint64_t n)
{
	struct fleet *f = ((const struct draw *)j)->fleet;

	(void)n;
	return draw(f, (uint32_t)(throw_dice(&f->dice) % f->devices));
}

struct bench_joiners *
fleet_in_turn(struct fleet *f)
{
	return &f->in_turn.joiners;
}

struct bench_joiners *
fleet_at_random(struct fleet *f)
{
	return &f->at_random.joiners;
}

/* ---- their life ---- */

enum jy_err
fleet_new(
    uint32_t devices, uint32_t order, struct fleet **out, struct errctx *ec)
{
	struct fleet *f = sys_xcalloc(1, sizeof(*f));
	enum jy_err err = sim_crypto_new(&f->crypto, ec);

	if (err != JY_OK) {
		free(f);
		return err;
	}
	f->devices = devices;
	f->order = order;
	f->dev_nonces = sys_xcalloc(devices, sizeof(f->dev_nonces[0]));
	sys_real.random(&f->seed, sizeof(f->seed));
	sys_real.random(&f->dice, sizeof(f->dice));
	f->in_turn = (struct draw){ { next_in_turn }, f };
	f->at_random = (struct draw){ { next_at_random }, f };
	*out = f;
	return JY_OK;
}

void
fleet_free(struct fleet *f)
{
	if (f != NULL) {
		sim_crypto_free(f->crypto);
		free(f->dev_nonces);
		secret_wipe(f, sizeof(*f));
		free(f);
	}
}

/* ---- what the server is told ---- */

static enum jy_err
add_app(struct client *c, uint32_t number, struct errctx *ec)
{
	Joinery__V1__AppSetRequest set = JOINERY__V1__APP_SET_REQUEST__INIT;
	Joinery__V1__App app = JOINERY__V1__APP__INIT;
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	char name[STORE_LABEL_MAX + 1], as_id[STORE_AS_ID_MAX + 1];
	uint32_t net_id = BENCH_NET_ID;
	Joinery__V1__Response *r;
	enum jy_err err;

	(void)snprintf(name, sizeof(name), APP_NAME, number);
	(void)snprintf(as_id, sizeof(as_id), "as-%02u.example.org", number);
	app.name = name;
	app.n_net_ids = 1;
	app.net_ids = &net_id;
	app.as_id = as_id;
	app.as_kek = (char[]){ BENCH_KEK };
	set.app = &app;
	q.call_case = JOINERY__V1__REQUEST__CALL_APP_SET;
	q.app_set = &set;
	err = bench_admin_call(c, &q, &r, ec);
	if (err == JY_OK) {
		client_free(r);
	}
	return err;
}

enum jy_err
fleet_add_apps(struct client *c, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (uint32_t i = 0; err == JY_OK && i < APPS; i++) {
		err = add_app(c, i, ec);
	}
	return err;
}

static enum jy_err
write_device(
    struct fleet *f, struct seal_file *file, uint32_t index, struct errctx *ec)
{
	AUTO_WIPE struct secret_block key = { { 0 } };
	struct keyfile_device line = { .mac_version = LW_VERSION_1_0_4 };
	struct bench_device d = { .dev_nonce = 0 };
	enum jy_err err;

	device_make(f, index, &d);
	key = d.key;
	secret_wipe(&d.key, sizeof(d.key));
	line.join_eui = d.join_eui;
	line.dev_eui = d.dev_eui;
	(void)snprintf(
	    line.app_name, sizeof(line.app_name), APP_NAME, index % APPS);
	(void)snprintf(
	    line.device_name, sizeof(line.device_name), "meter-%07u", index);
	err = seal_file_key(file, key.b, &line.app, ec);
	return err == JY_OK ? seal_file_device(file, &line, ec) : err;
}

enum jy_err
fleet_write(struct fleet *f, const char *path, const uint8_t *public_key,
    size_t public_key_len, struct errctx *ec)
{
	struct seal_file *file;
	enum jy_err err;

	err = seal_file_begin(path, public_key, public_key_len, &file, ec);
	if (err != JY_OK) {
		return err;
	}
	for (uint32_t i = 0; err == JY_OK && i < f->devices; i++) {
		err = write_device(f, file, i, ec);
	}
	if (err == JY_OK) {
		return seal_file_finish(file, ec);
	}
	seal_file_abort(file);
	return err;
}
