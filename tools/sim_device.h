/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated devices: who they are, their root keys, and the counters that a
 * device keeps between its joins.
 */
#ifndef JY_TOOLS_SIM_DEVICE_H
#define JY_TOOLS_SIM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"
#include "src/base/sys.h"
#include "tools/sim_spec.h"

#define SIM_SESSION_ID_LEN 16

/* The JoinNonces a device has seen, so that none comes twice. */
struct sim_nonce_set {
	uint8_t *bits; /* one a nonce above base */
	size_t len;    /* octets of bits */
	uint32_t base;
};

/* A session, and the join or rejoin that it comes from. */
struct sim_session {
	bool set;
	struct sim_join join;
	uint8_t id[SIM_SESSION_ID_LEN];
};

struct sim_device {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	Joinery__V1__MacVersion version;
	const struct sim_roots *roots; /* in the fleet's locked memory */
	bool random_nonces;            /* DevNonce is random, not a counter */
	uint16_t seed;                 /* of the random ones */
	uint32_t next;                 /* join-requests made so far */
	uint32_t accepted;             /* next after the last accepted; or 0 */
	uint32_t join_nonce;           /* the highest seen; 0: none */
	struct sim_nonce_set join_nonces;
	uint32_t rj_count0;         /* the next, of the session in use */
	uint32_t rj_count1;         /* the next, for ever */
	struct sim_session session; /* in use; from a state file without id */
	struct sim_session latest;  /* of this run's last accepted request */
	bool has_last_id;           /* then: session key ID of join_nonce */
	uint8_t last_id[SIM_SESSION_ID_LEN];
	uint8_t last_rejoin[SIM_REQUEST_MAX]; /* the last accepted */
	size_t last_rejoin_len;               /* 0: none */
	bool busy; /* its turn lasts; the next has to wait */
};

struct sim_fleet {
	struct sim_device *devices;
	size_t count;
	size_t cap;
	struct secret **chunks; /* each holds many struct sim_roots */
	size_t chunk_count;
	size_t chunk_used; /* roots in the last chunk */
};

/* "1.0.3"; also reads "1.1". */
bool sim_version_parse(const char *text, Joinery__V1__MacVersion *out) JY_CHECK;
const char *sim_version_str(Joinery__V1__MacVersion version);

/*
 * Add a device; *roots stays the caller's, its copy is in locked memory.  The
 * pointer is good until the next device is added.
 */
enum jy_err sim_fleet_add(struct sim_fleet *f, const struct sim_roots *roots,
    struct sim_device **out, struct errctx *ec) JY_CHECK;

/*
 * Read devices from a file of lines "join_eui,dev_eui,mac_version,nwk_key,
 * app_key"; a key may be empty.  Empty lines, lines that start with '#' and
 * a first line that starts with "join_eui" are skipped.  v10_is_app goes into
 * the roots of each.
 */
enum jy_err sim_fleet_read(struct sim_fleet *f, const char *path,
    bool v10_is_app, const struct sys *sys, struct errctx *ec) JY_CHECK;

void sim_fleet_fini(struct sim_fleet *f);

/* Whether this version's DevNonce is random (1.0.3 and before). */
bool sim_device_random_nonces(Joinery__V1__MacVersion version);

/*
 * The DevNonce of the n-th join-request (0..65535), the same each time.
 * Random ones are a permutation of the 65,536 values, so none comes twice.
 */
uint16_t sim_device_nonce(const struct sim_device *d, uint32_t n);

/*
 * Take the next RJcount of that type of rejoin; false when they are used up:
 * they never wrap.
 */
bool sim_device_rj_count(
    struct sim_device *d, uint8_t type, uint16_t *out) JY_CHECK;

/* Note a JoinNonce; false when it had been seen. */
bool sim_device_saw(struct sim_device *d, uint32_t join_nonce) JY_CHECK;

#endif
