/* SPDX-License-Identifier: Apache-2.0 */
/* The same tests against each token, each group with a token of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hsm_groups.h"

struct token token;
struct hsm *hsm;

static const struct hsm_groups *groups;

static void
begin(void)
{
	hsm = token_open(&token);
	if (groups->begin != NULL) {
		groups->begin();
	}
}

static int
set_up(enum token_kind kind)
{
	if (token_available(kind)) {
		token_init(&token, kind);
		token_prepare(&token);
		begin();
	}
	return 0;
}

static int
set_up_softhsm(void **state)
{
	(void)state;
	return set_up(TOKEN_SOFTHSM);
}

static int
set_up_softokn(void **state)
{
	(void)state;
	return set_up(TOKEN_SOFTOKN);
}

void
script(const char *text)
{
	token_write(&token, "script", text, 0600);
}

/* No fault while the token is made: the mock has its file behind that. */
static int
set_up_mocked(void **state)
{
	static char path[96];

	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		return 0;
	}
	assert_int_equal(setenv("P11_MOCK_SCRIPT", "", 1), 0);
	token_init_mocked(&token, TOKEN_SOFTHSM);
	token_prepare(&token);
	(void)snprintf(path, sizeof(path), "@%s/script", token.dir);
	assert_int_equal(setenv("P11_MOCK_SCRIPT", path, 1), 0);
	script("");
	begin();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	hsm_close(hsm);
	hsm = NULL;
	if (groups->end != NULL) {
		groups->end();
	}
	token_fini(&token);
	return 0;
}

int
hsm_groups_run(const struct hsm_groups *g)
{
	int failed = 0;

	groups = g;
	failed += _cmocka_run_group_tests(
	    "softhsm", g->tests, g->test_count, set_up_softhsm, tear_down);
	failed += _cmocka_run_group_tests(
	    "softokn", g->tests, g->test_count, set_up_softokn, tear_down);
	if (g->fault_count > 0) {
		failed += _cmocka_run_group_tests("mocked", g->faults,
		    g->fault_count, set_up_mocked, tear_down);
	}
	return failed;
}
