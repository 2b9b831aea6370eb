/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and a directory for the tests of the store. */
#ifndef JY_TESTS_STORE_UTIL_H
#define JY_TESTS_STORE_UTIL_H

#include "src/store/store.h"

#define MIB ((size_t)1 << 20)

/* EUIs that are no palindromes and count past an octet. */
struct device_id util_device_id(unsigned n);
struct device_row util_device(unsigned n);
struct peer_row util_peer(const char *name);
struct app_row util_app(const char *name);
struct kek_row util_kek(const char *label);
struct refusal_row util_refusal(unsigned n, uint64_t time_ms);

/* The next join of a device as the line would make it from a view. */
struct join_commit util_join(
    const struct join_view *view, uint16_t dev_nonce, uint64_t time_ms);

/* Read a view, join, return the entry's err; aborts if the view fails. */
enum jy_err util_join_now(
    struct store *s, unsigned n, uint16_t dev_nonce, struct join_commit *out);

/* A fresh directory of ours; remove it with what the store left in it. */
void util_dir_make(char out[64]);
void util_dir_remove(const char *dir);

struct store_config util_config(const char *backend, const char *dir);

/* Open or abort with the reason. */
struct store *util_open(const struct store_config *config);

/* Put device n as new, or abort; is device n there, as it was first put? */
void util_put_device(struct store *s, unsigned n);
bool util_has_device(struct store *s, unsigned n);

/* A store of the backend that util_backend names, anew for each case. */
struct fixture {
	char dir[64];
	struct store *s;
};

extern const char *util_backend;

int util_setup(void **state);
int util_teardown(void **state);

/* Equal in all that is stored; structs have padding, so no memcmp. */
#define ASSERT_SAME_ROW(kind, a, b) \
	do { \
		uint8_t buf_a[ROW_MAX]; \
		uint8_t buf_b[ROW_MAX]; \
		size_t len_a = row_encode_##kind((a), buf_a); \
\
		assert_int_equal(row_encode_##kind((b), buf_b), len_a); \
		assert_memory_equal(buf_a, buf_b, len_a); \
	} while (0)

#endif
