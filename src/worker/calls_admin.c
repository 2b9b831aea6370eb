/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that show the import key and JoinEUIs. */
#include "src/worker/calls.h"
#include "src/worker/convert.h"

enum jy_err
call_import_key(struct call *c, struct errctx *ec)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX], fingerprint[HSM_FINGERPRINT_LEN];
	Joinery__V1__ImportKeyAnswer *m;
	enum jy_err err;
	size_t len;

	err = hsm_import_key(c->env->hsm, der, &len, fingerprint, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__import_key_answer__descriptor);
	convert_binary(c->arena, der, len, &m->has_public_key, &m->public_key);
	convert_binary(c->arena, fingerprint, sizeof(fingerprint),
	    &m->has_fingerprint, &m->fingerprint);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY;
	c->response->import_key = m;
	return JY_OK;
}

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
