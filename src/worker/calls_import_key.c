/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about the import key, and keys that are sealed for it. */
#include <stdio.h>
#include <string.h>

#include "src/join/import_key.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

enum jy_err
call_sealed(struct call *c, const char *field, const Joinery__V1__SealedKey *in,
    struct hsm_sealed *out, struct errctx *ec)
{
	enum jy_err err = convert_sealed(field, in, out, ec);

	return err == JY_OK ? import_key_check(c->env, out->import_key, ec)
			    : err;
}

static enum jy_err
answer(struct call *c, const struct import_keys *keys, struct errctx *ec)
{
	uint8_t der[HSM_PUBLIC_KEY_MAX];
	Joinery__V1__ImportKeyAnswer *m;
	enum jy_err err;
	size_t len;

	err = import_key_public(c->env, keys, der, &len, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__import_key_answer__descriptor);
	convert_binary(c->arena, der, len, &m->has_public_key, &m->public_key);
	convert_binary(c->arena, keys->current.fingerprint,
	    sizeof(keys->current.fingerprint), &m->has_fingerprint,
	    &m->fingerprint);
	if (keys->previous.generation != 0) {
		convert_binary(c->arena, keys->previous.fingerprint,
		    sizeof(keys->previous.fingerprint),
		    &m->has_previous_fingerprint, &m->previous_fingerprint);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_IMPORT_KEY;
	c->response->import_key = m;
	return JY_OK;
}

enum jy_err
call_import_key(struct call *c, struct errctx *ec)
{
	struct import_keys keys;
	enum jy_err err = import_keys_get(c->env, &keys, ec);

	return err == JY_OK ? answer(c, &keys, ec) : err;
}

static void
note_fingerprint(
    struct call *c, const char *what, const struct import_key_name *name)
{
	char hex[HEX_STR_LEN(HSM_FINGERPRINT_LEN)];
	size_t len = strlen(c->note);

	hex_format(name->fingerprint, sizeof(name->fingerprint), hex);
	(void)snprintf(c->note + len, CALL_NOTE_MAX - len, "%s%s=%s",
	    len > 0 ? " " : "", what, name->generation != 0 ? hex : "-");
}

enum jy_err
call_import_key_rotate(struct call *c, struct errctx *ec)
{
	const Joinery__V1__ImportKeyRotateRequest *q =
	    c->request->import_key_rotate;
	struct import_key_name dropped;
	struct import_keys keys;
	enum jy_err err;

	if (q->has_drop_previous && q->drop_previous) {
		err = import_key_drop(c->env, &dropped, ec);
		if (err == JY_OK) {
			c->changed = true;
			c->event = AUDIT_import_key_dropped;
			note_fingerprint(c, "dropped", &dropped);
			err = import_keys_get(c->env, &keys, ec);
		}
	} else {
		err = import_key_rotate(c->env, &keys, ec);
		if (err == JY_OK) {
			c->changed = true;
			note_fingerprint(c, "new", &keys.current);
			note_fingerprint(c, "previous", &keys.previous);
		}
	}
	return err == JY_OK ? answer(c, &keys, ec) : err;
}
