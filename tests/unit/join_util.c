/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/join_util.h"

uint64_t now_ms = 1760000000000;

void (*meanwhile)(void);

static uint64_t
test_now(void)
{
	void (*happens)(void) = meanwhile;

	meanwhile = NULL;
	if (happens != NULL) {
		happens();
	}
	return now_ms;
}

static void
test_random(void *out, size_t len)
{
	sys_real.random(out, len);
}

static const struct sys test_sys = { test_now, test_random };

struct join_fixture t;

/* ---- set-up ---- */

static void
write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

/* Of the token in t.dir; borrows until the next time. */
static struct hsm_config
token_config(void)
{
	static char uri[512];

	(void)snprintf(uri, sizeof(uri),
	    "pkcs11:token=joins?module-path=/usr/lib/" JY_MULTIARCH
	    "/softhsm/libsofthsm2.so&pin-source=file:%s/pin",
	    t.dir);
	return (struct hsm_config){
		.uri = uri, .init_args = "", .sessions = 1, .cache = 64
	};
}

static void
open_token(void)
{
	char path[128], text[256], so_pin[128];
	struct hsm_config config;
	struct hsm_setup setup = { .config = &config, .create = true };
	struct hsm_report report = { 0 };
	struct errctx ec = ERRCTX_INIT;
	uint8_t fingerprint[HSM_FINGERPRINT_LEN];
	bool created;

	(void)snprintf(t.dir, sizeof(t.dir), "/tmp/test_joins.XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	(void)snprintf(path, sizeof(path), "%s/tokens", t.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s/tokens\nlog.level = ERROR\n", t.dir);
	write_file("softhsm2.conf", text);
	write_file("pin", "0123456789\n");
	write_file("so-pin", "9876543210\n");
	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", t.dir);
	assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
	(void)snprintf(so_pin, sizeof(so_pin), "file:%s/so-pin", t.dir);
	config = token_config();
	setup.so_pin_source = so_pin;
	if (hsm_setup(&setup, &created, &ec) != JY_OK ||
	    hsm_open(&config, &t.hsm, &report, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	assert_int_equal(hsm_import_key(t.hsm, 1, t.import_der,
			     &t.import_der_len, fingerprint, &ec),
	    JY_OK);
}

struct secret *
random_secret(size_t len)
{
	struct secret *s;

	assert_int_equal(secret_new(len, &s, NULL), JY_OK);
	sys_real.random(secret_data(s), len);
	secret_set_len(s, len);
	return s;
}

void
seal(
    const struct secret *key, struct sealed_key *sealed, struct hsm_sealed *out)
{
	struct errctx ec = ERRCTX_INIT;

	assert_int_equal(
	    seal_key(t.import_der, t.import_der_len, key, sealed, &ec), JY_OK);
	*out = (struct hsm_sealed){
		.import_key = sealed->import_key,
		.transport_key = sealed->transport_key,
		.transport_key_len = sealed->transport_key_len,
		.wrapped_key = sealed->wrapped_key,
		.wrapped_key_len = sealed->wrapped_key_len,
		.kcv = sealed->check_value,
	};
}

void
import_kek(const char *label, const struct secret *kek)
{
	struct errctx ec = ERRCTX_INIT;
	struct sealed_key sealed;
	struct hsm_sealed in;
	const struct kek_order order = {
		.label = label, .wire_label = "", .sealed = &in
	};
	struct kek_made made;

	seal(kek, &sealed, &in);
	if (kek_create(&t.env, &order, &made, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	assert_int_equal(made.row.bits, secret_len(kek) * 8);
	assert_memory_equal(made.row.kcv, sealed.check_value, 4);
}

struct peer_row
make_peer(const char *name, enum peer_role role, uint32_t uid, const char *kek)
{
	struct peer_row p = { .role = role, .has_uid = true, .uid = uid };

	(void)snprintf(p.name, sizeof(p.name), "%s", name);
	(void)snprintf(p.kek, sizeof(p.kek), "%s", kek);
	if (peer_role_is(role, PEER_NS)) {
		p.net_id_count = 1;
		p.net_ids[0] = NET_ID;
	}
	if (peer_role_is(role, PEER_AS)) {
		p.as_id_count = 1;
		(void)snprintf(p.as_ids[0], sizeof(p.as_ids[0]), "as.%s", name);
	}
	assert_int_equal(registry_peer_set(&t.env, &p, NULL), JY_OK);
	return p;
}

int
set_up(void **state)
{
	const struct store_config config = { .backend = "memory" };

	(void)state;
	open_token();
	t.env.hsm = t.hsm;
	t.env.sys = &test_sys;
	t.env.app_s_key = APP_S_KEY_AUTO;
	t.env.session_keep = 3;
	assert_int_equal(store_open(&config, &t.env.store, NULL), JY_OK);
	assert_int_equal(sim_crypto_new(&t.crypto, NULL), JY_OK);
	t.ns_kek = random_secret(32);
	t.as_kek = random_secret(16);
	import_kek("ns-kek", t.ns_kek);
	import_kek("as-kek", t.as_kek);
	t.ns = make_peer("ns", PEER_NS, 2001, "ns-kek");
	t.as = make_peer("as", PEER_AS, 2002, "as-kek");
	return 0;
}

int
tear_down(void **state)
{
	char command[128];

	(void)state;
	store_close(t.env.store);
	hsm_close(t.hsm);
	sim_crypto_free(t.crypto);
	secret_free(t.ns_kek);
	secret_free(t.as_kek);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", t.dir);
	return system(command);
}

/* ---- devices and their joins ---- */

struct device_row
add_device(struct sim_roots *roots, const struct device_row *registered)
{
	struct device_row row = *registered;
	struct sealed_key sealed_nwk, sealed_app;
	struct hsm_sealed nwk, app;
	struct secret *key = random_secret(16);
	struct errctx ec = ERRCTX_INIT;

	/* EUIs that no reversal leaves as they are. */
	t.next_device.dev_eui.be[0] = 0x70;
	t.next_device.dev_eui.be[6] = 0x05;
	t.next_device.dev_eui.be[7]++;
	t.next_device.join_eui.be[0] = 0xA8;
	t.next_device.join_eui.be[1] = 0x40;
	row.id = t.next_device;
	if (roots->has_nwk) {
		sys_real.random(roots->nwk.b, 16);
		memcpy(secret_data(key), roots->nwk.b, 16);
		seal(key, &sealed_nwk, &nwk);
	}
	if (roots->has_app) {
		sys_real.random(roots->app.b, 16);
		memcpy(secret_data(key), roots->app.b, 16);
		seal(key, &sealed_app, &app);
	}
	secret_free(key);
	if (registry_device_set(&t.env, &row, roots->has_nwk ? &nwk : NULL,
		roots->has_app ? &app : NULL, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	assert_int_equal(
	    store_device_get(t.env.store, &row.id, &row, &ec), JY_OK);
	return row;
}

struct sim_join
make_sim_join(const struct device_row *d, uint16_t dev_nonce, bool opt_neg)
{
	return (struct sim_join){
		.join_eui = d->id.join_eui,
		.dev_eui = d->id.dev_eui,
		.type = SIM_JOIN_REQ_TYPE,
		.counter = dev_nonce,
		.accept = {
			.net_id = NET_ID,
			.dev_addr = 0x26011BDA,
			.dl_settings = opt_neg ? 0x93 : 0x13,
			.rx_delay = 5,
		},
	};
}

void
prepare(struct join *j, const struct sim_roots *roots,
    const struct sim_join *sim, enum lw_version version,
    uint8_t phy[SIM_REQUEST_LEN])
{
	memset(j, 0, sizeof(*j));
	sim_spec_request(t.crypto, roots, sim, phy);
	j->env = &t.env;
	j->peer = &t.ns;
	j->in = (struct join_input){
		.phy = phy,
		.phy_len = SIM_REQUEST_LEN,
		.mac_version = version,
		.net_id = sim->accept.net_id,
		.dev_addr = sim->accept.dev_addr,
		.dl_settings = sim->accept.dl_settings,
		.rx_delay = sim->accept.rx_delay,
		.has_cf_list = sim->accept.has_cf_list,
	};
	memcpy(j->in.cf_list, sim->accept.cf_list, sizeof(j->in.cf_list));
}

void
run(struct join *j)
{
	struct join *batch[] = { j };

	join_run_batch(batch, 1);
}

enum jy_err
join_once(struct join *j, const struct sim_roots *roots,
    const struct sim_join *sim, enum lw_version version)
{
	uint8_t phy[SIM_REQUEST_LEN];

	prepare(j, roots, sim, version, phy);
	run(j);
	j->in.phy = NULL;
	return j->err;
}

void
check_envelope(const struct key_envelope *e, const struct secret *kek,
    const char *label, const struct sim_roots *roots,
    const struct sim_join *sim, enum sim_key key)
{
	struct secret_block want AUTO_WIPE, got AUTO_WIPE;

	assert_int_equal(e->len, 24);
	assert_string_equal(e->kek_label, label);
	assert_true(sim_crypto_unwrap(t.crypto, kek, e->key, &got));
	sim_spec_session_key(t.crypto, roots, sim, key, &want);
	assert_memory_equal(got.b, want.b, 16);
}

void
check_network_keys(const struct session_keys *k, const struct sim_roots *roots,
    const struct sim_join *sim)
{
	if (!sim_spec_opt_neg(sim)) {
		assert_false(k->opt_neg);
		check_envelope(&k->f_nwk_s_int_key, t.ns_kek, "ns-kek", roots,
		    sim, SIM_NWK_S_KEY);
		assert_int_equal(k->s_nwk_s_int_key.len, 0);
		assert_int_equal(k->nwk_s_enc_key.len, 0);
		return;
	}
	assert_true(k->opt_neg);
	check_envelope(&k->f_nwk_s_int_key, t.ns_kek, "ns-kek", roots, sim,
	    SIM_F_NWK_S_INT_KEY);
	check_envelope(&k->s_nwk_s_int_key, t.ns_kek, "ns-kek", roots, sim,
	    SIM_S_NWK_S_INT_KEY);
	check_envelope(&k->nwk_s_enc_key, t.ns_kek, "ns-kek", roots, sim,
	    SIM_NWK_S_ENC_KEY);
}

void
check_accepted(const struct join *j, const struct sim_roots *roots,
    struct sim_join *sim, uint32_t join_nonce)
{
	struct sim_opened opened;

	if (j->err != JY_OK) {
		fail_msg("%s: %s", join_step_name(j->step), j->ec.text);
	}
	sim_spec_accept_open(
	    t.crypto, roots, sim, j->out.phy, j->out.phy_len, &opened);
	assert_int_equal(opened.mhdr, 0x20);
	assert_memory_equal(opened.mic, opened.mic_expected, 4);
	assert_int_equal(opened.fields.join_nonce, join_nonce);
	sim->accept.join_nonce = join_nonce;
	assert_int_equal(opened.fields.net_id, sim->accept.net_id);
	assert_int_equal(opened.fields.dev_addr, sim->accept.dev_addr);
	assert_int_equal(opened.fields.dl_settings, sim->accept.dl_settings);
	assert_int_equal(opened.fields.rx_delay, sim->accept.rx_delay);
	assert_int_equal(opened.fields.has_cf_list, sim->accept.has_cf_list);
	if (sim->accept.has_cf_list) {
		assert_memory_equal(
		    opened.fields.cf_list, sim->accept.cf_list, 16);
	}
	check_network_keys(&j->out.keys, roots, sim);
	check_envelope(&j->out.keys.app_s_key, t.as_kek, "as-kek", roots, sim,
	    SIM_APP_S_KEY);
}

struct device_row
for_as(enum lw_version version)
{
	struct device_row row = { .mac_version = version };

	(void)snprintf(
	    row.activation.as_id, sizeof(row.activation.as_id), "as.as");
	return row;
}

uint32_t
stored_join_nonce(const struct device_row *d)
{
	struct nonce_row row;
	size_t used;

	assert_int_equal(
	    store_nonces_get(t.env.store, &d->id, &row, &used, NULL), JY_OK);
	return row.join_nonce;
}

void
check_refused(const struct join *j, const struct device_row *d, enum jy_err err,
    enum join_step_id step)
{
	assert_string_equal(err_name(j->err), err_name(err));
	assert_int_equal(j->step, step);
	assert_true(j->ec.text[0] != '\0');
	if (d != NULL) {
		assert_int_equal(
		    stored_join_nonce(d), j->view.nonces.join_nonce);
	}
}

enum jy_err
retrieve(const struct peer_row *peer, enum peer_role as, const uint8_t *id,
    const struct eui64 *dev_eui, struct session_keys *keys)
{
	const struct sender nobody = { 0 };
	struct session_query query = {
		.peer = peer,
		.sender = &nobody,
		.as = as,
		.dev_eui = dev_eui,
	};

	memcpy(query.id, id, sizeof(query.id));
	return session_retrieve(&t.env, &query, keys, NULL);
}
