/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the token floor that run against each token there is, and of
 * faults, against SoftHSM behind the mock: the token of the group, open.
 */
#ifndef JY_TESTS_UNIT_HSM_GROUPS_H
#define JY_TESTS_UNIT_HSM_GROUPS_H

#include "tests/unit/hsm_fixture.h"

extern struct token token;
extern struct hsm *hsm; /* NULL: such a token is not installed */

/* First in each test. */
#define SKIP_WITHOUT_TOKEN() \
	do { \
		(void)state; \
		if (hsm == NULL) { \
			skip(); \
		} \
	} while (0)

/* What the mock does from now on. */
void script(const char *text);

struct hsm_groups {
	const struct CMUnitTest *tests, *faults; /* faults: or none */
	size_t test_count, fault_count;
	/* With the token open, and when it is closed; or NULL. */
	void (*begin)(void);
	void (*end)(void);
};

/* How many failed. */
int hsm_groups_run(const struct hsm_groups *g);

#endif
