/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What joineryd and joinery-worker agree on besides the messages of
 * proto/corridor.proto: descriptors and exit statuses (after sysexits.h).
 */
#ifndef JY_WORKER_STATUS_H
#define JY_WORKER_STATUS_H

enum worker_fd {
	WORKER_FD_CORRIDOR = 3,
	WORKER_FD_CONF = 4,
	WORKER_FD_COUNTERS = 5
};

enum worker_status {
	WORKER_DRAINED = 0,
	WORKER_TOKEN_UNFIT = 65, /* mechanism, guarantee or key missing */
	WORKER_UNAVAILABLE = 69, /* token or store cannot be reached */
	WORKER_PIN_REFUSED = 77, /* never start another one by itself */
	WORKER_CONFIG = 78
};

/*
 * The argument of a worker that follows another under the same joineryd: what
 * the first one opened must be there, nothing is created.
 */
#define WORKER_LATER "later"

#endif
