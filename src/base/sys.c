/* SPDX-License-Identifier: Apache-2.0 */
/* Time, randomness and start-up allocation from the operating system. */
#include "src/base/sys.h"

#include <sys/random.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t
real_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000U + (uint64_t)ts.tv_nsec / 1000000U;
}

static void
real_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		jy_assert(n > 0 || errno == EINTR);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

const struct sys sys_real = { .now_ms = real_now_ms, .random = real_random };

uint64_t
sys_mono_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

void *
sys_xmalloc(size_t len)
{
	void *p = malloc(len);

	jy_assert(p != NULL);
	return p;
}

void *
sys_xcalloc(size_t n, size_t len)
{
	void *p = calloc(n, len);

	jy_assert(p != NULL);
	return p;
}

char *
sys_xstrdup(const char *s)
{
	char *p = strdup(s);

	jy_assert(p != NULL);
	return p;
}
