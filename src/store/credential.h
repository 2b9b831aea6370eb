/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What proves who a peer is, or names it, in the form that is a key of the
 * credentials table: a letter for the kind, then the value.
 */
#ifndef JY_STORE_CREDENTIAL_H
#define JY_STORE_CREDENTIAL_H

#include "src/store/rows.h"

#define CREDENTIAL_MAX (1 + STORE_SAN_MAX)
#define CREDENTIALS_OF_PEER_MAX (5 + STORE_AS_IDS_MAX)
#define CREDENTIAL_STR_LEN (8 + CREDENTIAL_MAX)

struct credential {
	size_t len;
	uint8_t octets[CREDENTIAL_MAX];
};

struct credential credential_of_uid(uint32_t uid);
struct credential credential_of_fingerprint(
    const uint8_t fingerprint[STORE_FINGERPRINT_LEN]);
struct credential credential_of_authorization(
    const uint8_t hash[STORE_HASH_LEN]);

/* Longer texts than a row can hold are cut, and so match nothing. */
struct credential credential_of_san(const char *san);
struct credential credential_of_as_id(const char *as_id);

bool credential_eq(const struct credential *a, const struct credential *b);

/* All that a peer has; returns how many. */
size_t credentials_of_peer(
    const struct peer_row *row, struct credential out[CREDENTIALS_OF_PEER_MAX]);

/*
 * For people, for example "AS-ID as1"; into out, which is returned.  The hash
 * of an HTTP authorization is not shown: a short token could be guessed.
 */
const char *credential_str(
    const struct credential *c, char out[CREDENTIAL_STR_LEN]);

#endif
