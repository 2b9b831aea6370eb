/* SPDX-License-Identifier: Apache-2.0 */
/* The call that shows the JoinEUIs. */
#include "src/worker/calls.h"
#include "src/worker/convert.h"

enum jy_err
call_join_euis(struct call *c, struct errctx *ec)
{
	const struct join_euis *served = &c->env->join_euis;
	char text[EUI64_PREFIX_STR_LEN];
	Joinery__V1__JoinEuisAnswer *m;

	(void)ec;
	m = convert_new(c->arena, &joinery__v1__join_euis_answer__descriptor);
	m->n_prefixes = served->count;
	m->prefixes =
	    arena_alloc(c->arena, served->count * sizeof(m->prefixes[0]));
	for (size_t i = 0; i < served->count; i++) {
		m->prefixes[i] = arena_text(
		    c->arena, eui64_prefix_str(&served->prefixes[i], text));
	}
	if (served->has_default) {
		convert_binary(c->arena, served->default_eui.be,
		    sizeof(served->default_eui.be), &m->has_default_join_eui,
		    &m->default_join_eui);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS;
	c->response->join_euis = m;
	return JY_OK;
}
