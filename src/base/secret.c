/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets.  One mapping each: a guard page, the pages with the
 * header and the octets, a guard page.  The octets end at the second guard,
 * so that an overrun faults at once.
 */
#include "src/base/secret.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct secret {
	size_t cap;
	size_t len;
	size_t map_len; /* guards included */
	uint8_t *data;
};

#define SECRET_CAP_MAX 65536U

enum jy_err
secret_new(size_t cap, struct secret **out, struct errctx *ec)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret *s;
	uint8_t *map;
	size_t body;

	jy_assert(cap > 0 && cap <= SECRET_CAP_MAX);
	body = (sizeof(*s) + cap + page - 1) / page * page;
	map = mmap(NULL, body + 2 * page, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		return err_set(
		    ec, JY_ENOMEM, "mmap for a secret: %s", strerror(errno));
	}
	if (mprotect(map + page, body, PROT_READ | PROT_WRITE) != 0 ||
	    mlock(map + page, body) != 0 ||
	    madvise(map + page, body, MADV_DONTDUMP) != 0) {
		int error = errno;

		(void)munmap(map, body + 2 * page);
		return err_set(ec, JY_ENOMEM,
		    "lock memory for a secret: %s (raise RLIMIT_MEMLOCK)",
		    strerror(error));
	}
	s = (struct secret *)(void *)(map + page);
	s->cap = cap;
	s->len = 0;
	s->map_len = body + 2 * page;
	s->data = map + page + body - cap;
	*out = s;
	return JY_OK;
}

void
secret_free(struct secret *s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t map_len;

	if (s == NULL) {
		return;
	}
	map_len = s->map_len;
	secret_wipe(s->data, s->cap);
	(void)munmap((uint8_t *)s - page, map_len);
}

uint8_t *
secret_data(struct secret *s)
{
	return s->data;
}

const uint8_t *
secret_bytes(const struct secret *s)
{
	return s->data;
}

size_t
secret_len(const struct secret *s)
{
	return s->len;
}

size_t
secret_cap(const struct secret *s)
{
	return s->cap;
}

void
secret_set_len(struct secret *s, size_t len)
{
	jy_assert(len <= s->cap);
	s->len = len;
}

void
secret_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

bool
secret_eq(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++) {
		diff |= (uint8_t)(x[i] ^ y[i]);
	}
	return diff == 0;
}

void
secret_block_wipe(struct secret_block *block)
{
	secret_wipe(block->b, sizeof(block->b));
}

enum jy_err
secret_harden_process(struct errctx *ec)
{
	static const struct rlimit no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core) != 0) {
		return err_set(
		    ec, JY_EIO, "set the core limit to 0: %s", strerror(errno));
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
		return err_set(ec, JY_EIO, "forbid dumps: %s", strerror(errno));
	}
	return JY_OK;
}
