/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of src/join: a real token (SoftHSM) with two KEKs, the in-memory
 * store with two peers, devices and their joins.  Answers are checked by the
 * software path of joinery-sim, which shares no code with what is tested.
 * Include it behind cmocka.h.
 */
#ifndef JY_TESTS_JOIN_UTIL_H
#define JY_TESTS_JOIN_UTIL_H

#include "src/join/join.h"
#include "src/join/kek.h"
#include "src/join/keys.h"
#include "src/join/registry.h"
#include "tools/seal.h"
#include "tools/sim_spec.h"

#define NET_ID 0x600013U
#define OTHER_NET_ID 0x000102U

extern struct join_fixture {
	char dir[64];
	struct hsm *hsm;
	struct join_env env;
	struct sim_crypto *crypto;
	struct secret *ns_kek;
	struct secret *as_kek;
	struct peer_row ns;
	struct peer_row as;
	uint8_t import_der[HSM_PUBLIC_KEY_MAX];
	size_t import_der_len;
	struct device_id next_device; /* a fresh one for each test */
} t;

/* The time, and what happens elsewhere the next time that it is asked. */
extern uint64_t now_ms;
extern void (*meanwhile)(void);

int set_up(void **state);
int tear_down(void **state);

struct secret *random_secret(size_t len);

/* Seal as an admin's tool does; out borrows from sealed. */
void seal(const struct secret *key, struct sealed_key *sealed,
    struct hsm_sealed *out);
void import_kek(const char *label, const struct secret *kek);
struct peer_row make_peer(
    const char *name, enum peer_role role, uint32_t uid, const char *kek);

/* A device with the keys that roots says, and what registered says beside. */
struct device_row add_device(
    struct sim_roots *roots, const struct device_row *registered);

/* What a device registers that is of that version and of t.as. */
struct device_row for_as(enum lw_version version);

struct sim_join make_sim_join(
    const struct device_row *d, uint16_t dev_nonce, bool opt_neg);

/* A join as the Network Server t.ns would ask for it. */
void prepare(struct join *j, const struct sim_roots *roots,
    const struct sim_join *sim, enum lw_version version,
    uint8_t phy[SIM_REQUEST_LEN]);
void run(struct join *j);

/* Prepare and run one join; returns its err. */
enum jy_err join_once(struct join *j, const struct sim_roots *roots,
    const struct sim_join *sim, enum lw_version version);

void check_envelope(const struct key_envelope *e, const struct secret *kek,
    const char *label, const struct sim_roots *roots,
    const struct sim_join *sim, enum sim_key key);
void check_network_keys(const struct session_keys *k,
    const struct sim_roots *roots, const struct sim_join *sim);

/*
 * Check an accepted join as the device and both servers would; sim gets its
 * JoinNonce.
 */
void check_accepted(const struct join *j, const struct sim_roots *roots,
    struct sim_join *sim, uint32_t join_nonce);

/* Refused with err at step, and nothing has changed. */
void check_refused(const struct join *j, const struct device_row *d,
    enum jy_err err, enum join_step_id step);
uint32_t stored_join_nonce(const struct device_row *d);

enum jy_err retrieve(const struct peer_row *peer, enum peer_role as,
    const uint8_t *id, const struct eui64 *dev_eui, struct session_keys *keys);

#endif
