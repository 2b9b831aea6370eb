/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of key may do: one table, and the attribute lists made of
 * it.  Every boolean is stated, because the defaults of tokens differ.
 *
 * CKA_MODIFIABLE stands last: SoftHSM applies a list in order and refuses
 * what comes after it became false.
 *
 * Copies.  Keys of the rows marked "copied" are used as session-object
 * copies, so they are COPYABLE.  They are not MODIFIABLE, with one exception:
 * SoftHSM cannot copy such an object to a session object at all
 * (CKR_ATTRIBUTE_READ_ONLY for CKA_TOKEN).  There, and only if the token
 * holds to CKA_ALLOWED_MECHANISMS, they stay modifiable.  That gives nothing
 * to whoever has the PIN, of a root key: SENSITIVE, EXTRACTABLE and
 * ALLOWED_MECHANISMS cannot be undone, and no mechanism allowed has a use that
 * DERIVE does not give already; nor of a KEK that unwraps what was sent to its
 * owner.  It would of the part of a storage key that wraps: made to unwrap, it
 * lets root keys leave.  So that part, and the one that moves keys, are neither
 * copied nor modifiable.  A token that does neither has its objects used
 * directly.
 *
 * NSS softokn takes neither CKA_COPYABLE nor CKA_ALLOWED_MECHANISMS in token
 * objects (CKR_GENERAL_ERROR).  An attribute is left out only where the
 * policy probe has shown that it means nothing.
 */
#include <string.h>

#include "hsm/internal.h"

static CK_BBOOL p11_true = CK_TRUE;
static CK_BBOOL p11_false = CK_FALSE;

static const struct {
	unsigned may;
	CK_MECHANISM_TYPE allowed[3];
} template_table[TEMPLATE_COUNT] = {
	[HSM_ROOT] = { U_SIGN | U_DECRYPT | U_DERIVE | U_COPIED,
	    { CKM_AES_CMAC, CKM_AES_ECB, CKM_AES_ECB_ENCRYPT_DATA } },
	[HSM_DERIVE_ONLY] = { U_DERIVE | U_COPIED,
	    { CKM_AES_ECB_ENCRYPT_DATA, NO_MECHANISM, NO_MECHANISM } },
	[HSM_MAC] = { U_SIGN, { CKM_AES_CMAC, NO_MECHANISM, NO_MECHANISM } },
	[HSM_DECRYPT] = { U_DECRYPT,
	    { CKM_AES_ECB, NO_MECHANISM, NO_MECHANISM } },
	[HSM_KEK] = { U_WRAP | U_COPIED,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_CANARY] = { U_SIGN,
	    { CKM_AES_CMAC, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_TRANSPORT] = { U_UNWRAP,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_KEYFILE] = { U_UNWRAP | U_DERIVE,
	    { CKM_AES_KEY_WRAP, CKM_AES_ECB_ENCRYPT_DATA, NO_MECHANISM } },
	[TEMPLATE_LOOP] = { U_WRAP | U_UNWRAP,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_PARCEL] = { U_EXTRACTABLE,
	    { NO_MECHANISM, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_CLEAR] = { U_EXTRACTABLE | U_IN_CLEAR,
	    { NO_MECHANISM, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_PASSAGE] = { U_SIGN | U_EXTRACTABLE,
	    { CKM_AES_CMAC, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_CARRIER] = { U_WRAP | U_DERIVE,
	    { CKM_AES_KEY_WRAP, CKM_AES_ECB_ENCRYPT_DATA, NO_MECHANISM } },
	[TEMPLATE_STORAGE_WRAP] = { U_WRAP,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_STORAGE_LOAD] = { U_UNWRAP | U_LOADS | U_COPIED,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_STORAGE_MOVE] = { U_UNWRAP | U_MOVES,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_STORAGE_TICKET] = { U_UNWRAP | U_CARRIES,
	    { CKM_AES_KEY_WRAP, NO_MECHANISM, NO_MECHANISM } },
	[TEMPLATE_STORAGE_BIND] = { U_SIGN | U_COPIED,
	    { CKM_AES_CMAC, NO_MECHANISM, NO_MECHANISM } },
};

static void
put(struct template *t, CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
	jy_assert(t->count < TEMPLATE_ATTRS_MAX);
	t->attr[t->count++] = (CK_ATTRIBUTE){ type, p11_in(value), len };
}

static void
put_bool(struct template *t, CK_ATTRIBUTE_TYPE type, bool value)
{
	put(t, type, value ? &p11_true : &p11_false, sizeof(CK_BBOOL));
}

static void
put_usage(struct template *t, unsigned may)
{
	put_bool(t, CKA_PRIVATE, true);
	put_bool(t, CKA_SENSITIVE, (may & U_IN_CLEAR) == 0);
	put_bool(t, CKA_EXTRACTABLE, (may & U_EXTRACTABLE) != 0);
	put_bool(t, CKA_ENCRYPT, false);
	put_bool(t, CKA_DECRYPT, (may & U_DECRYPT) != 0);
	put_bool(t, CKA_SIGN, (may & U_SIGN) != 0);
	put_bool(t, CKA_VERIFY, false);
	put_bool(t, CKA_WRAP, (may & U_WRAP) != 0);
	put_bool(t, CKA_UNWRAP, (may & U_UNWRAP) != 0);
	put_bool(t, CKA_DERIVE, (may & U_DERIVE) != 0);
}

static size_t
allowed_count(const CK_MECHANISM_TYPE allowed[3])
{
	size_t n = 0;

	while (n < 3 && allowed[n] != NO_MECHANISM) {
		n++;
	}
	return n;
}

static void
put_allowed(struct template *t, const CK_MECHANISM_TYPE allowed[3])
{
	size_t n = allowed_count(allowed);

	memcpy(t->allowed, allowed, sizeof(t->allowed));
	if (n > 0) {
		put(t, CKA_ALLOWED_MECHANISMS, t->allowed,
		    n * sizeof(t->allowed[0]));
	}
}

/* One attribute of what is unwrapped: told, or left to who unwraps. */
enum rule {
	OFF,
	ON,
	ANY
};

static const struct {
	CK_ATTRIBUTE_TYPE type;
	enum rule loads, moves, carries;
} unwrap_rules[] = {
	{ CKA_PRIVATE, ON, ON, ON },
	{ CKA_SENSITIVE, ON, ON, ON },
	{ CKA_EXTRACTABLE, OFF, ON, OFF },
	{ CKA_ENCRYPT, OFF, OFF, OFF },
	{ CKA_DECRYPT, ANY, OFF, OFF },
	{ CKA_SIGN, ANY, OFF, OFF },
	{ CKA_VERIFY, OFF, OFF, OFF },
	{ CKA_WRAP, OFF, OFF, ON },
	{ CKA_UNWRAP, OFF, OFF, OFF },
	{ CKA_DERIVE, ANY, OFF, ON },
};

_Static_assert(ARRAY_LEN(unwrap_rules) + 3 <= UNWRAP_ATTRS_MAX, "room");

/* Those of what is loaded are all in one list; usage says the rest. */
static CK_ATTRIBUTE
unwraps_allowed(struct template *t, unsigned may)
{
	unsigned row = (may & U_LOADS) != 0 ? HSM_ROOT : TEMPLATE_CARRIER;

	memcpy(t->unwraps_allowed, template_table[row].allowed,
	    sizeof(t->unwraps_allowed));
	return (CK_ATTRIBUTE){ CKA_ALLOWED_MECHANISMS, t->unwraps_allowed,
		allowed_count(t->unwraps_allowed) *
		    sizeof(t->unwraps_allowed[0]) };
}

/*
 * What a key that unwraps lets its keys do.  Tokens compare it with what
 * C_UnwrapKey asks for, and some want every attribute of it asked for: each
 * stands in put_usage and put_allowed too.
 */
static void
put_unwrap_template(struct template *t, unsigned may, bool with_allowed)
{
	CK_ATTRIBUTE *a = t->unwraps;
	size_t n = 0;

	a[n++] = (CK_ATTRIBUTE){ CKA_CLASS, &t->class, sizeof(t->class) };
	a[n++] = (CK_ATTRIBUTE){ CKA_KEY_TYPE, &t->type, sizeof(t->type) };
	for (size_t i = 0; i < ARRAY_LEN(unwrap_rules); i++) {
		enum rule rule = (may & U_LOADS) != 0 ? unwrap_rules[i].loads
		    : (may & U_MOVES) != 0            ? unwrap_rules[i].moves
						      : unwrap_rules[i].carries;

		if (rule != ANY) {
			a[n++] = (CK_ATTRIBUTE){ unwrap_rules[i].type,
				rule == ON ? &p11_true : &p11_false,
				sizeof(CK_BBOOL) };
		}
	}
	/* Without it, other mechanisms would tell the key by and by. */
	if ((may & U_MOVES) == 0 && with_allowed) {
		a[n++] = unwraps_allowed(t, may);
	}
	put(t, CKA_UNWRAP_TEMPLATE, a, n * sizeof(a[0]));
}

void
template_build(
    struct template *t, const struct hsm *hsm, const struct template_spec *spec)
{
	unsigned quirks = hsm->quirks[spec->token];
	unsigned may = template_table[spec->row].may;
	bool copied = spec->token && (may & U_COPIED) != 0;

	*t = (struct template){
		.class = CKO_SECRET_KEY, .type = CKK_AES, .len = spec->len
	};
	put(t, CKA_CLASS, &t->class, sizeof(t->class));
	put(t, CKA_KEY_TYPE, &t->type, sizeof(t->type));
	if (spec->origin != ORIGIN_UNWRAP || (quirks & QUIRK_VALUE_LEN) != 0) {
		put(t, CKA_VALUE_LEN, &t->len, sizeof(t->len));
	}
	put_bool(t, CKA_TOKEN, spec->token);
	put_usage(t, may);
	if ((quirks & QUIRK_NO_ALLOWED) == 0) {
		/* One list for all that is loaded: usage says the rest. */
		put_allowed(t,
		    template_table[spec->loaded ? HSM_ROOT : spec->row]
			.allowed);
	}
	if ((may & U_UNWRAP_TEMPLATE) != 0 &&
	    (quirks & QUIRK_NO_UNWRAP_TEMPLATE) == 0) {
		put_unwrap_template(t, may, (quirks & QUIRK_NO_ALLOWED) == 0);
	}
	if (spec->id != NULL) {
		put(t, CKA_ID, spec->id->b, spec->id->len);
	}
	if (spec->label != NULL) {
		put(t, CKA_LABEL, spec->label, strlen(spec->label));
	}
	if ((quirks & QUIRK_NO_COPYABLE) == 0) {
		put_bool(t, CKA_COPYABLE, copied);
	}
	put_bool(t, CKA_MODIFIABLE,
	    copied && (hsm->quirks[0] & QUIRK_COPY_FROZEN) != 0 &&
		hsm->policy[HSM_POLICY_ALLOWED_MECHANISMS]);
}

void
template_build_trial(
    struct template *t, unsigned may, const CK_MECHANISM_TYPE allowed[3])
{
	*t = (struct template){
		.class = CKO_SECRET_KEY, .type = CKK_AES, .len = 16
	};
	put(t, CKA_CLASS, &t->class, sizeof(t->class));
	put(t, CKA_KEY_TYPE, &t->type, sizeof(t->type));
	put(t, CKA_VALUE_LEN, &t->len, sizeof(t->len));
	put_bool(t, CKA_TOKEN, false);
	put_usage(t, may);
	put_allowed(t, allowed);
	if ((may & U_UNWRAP_TEMPLATE) != 0) {
		put_unwrap_template(t, may, true);
	}
	put_bool(t, CKA_COPYABLE, (may & U_COPIED) != 0);
	put_bool(t, CKA_MODIFIABLE, (may & U_MODIFIABLE) != 0);
}

/* Does rv complain about the template, perhaps? */
static bool
about_template(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	    rv == CKR_ATTRIBUTE_READ_ONLY ||
	    rv == CKR_ATTRIBUTE_VALUE_INVALID ||
	    rv == CKR_TEMPLATE_INCOMPLETE || rv == CKR_TEMPLATE_INCONSISTENT ||
	    rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED ||
	    rv == CKR_ARGUMENTS_BAD;
}

/* Give in by one more step; false when there is none left for such a key. */
static bool
relax(const struct hsm *hsm, CK_RV rv, unsigned may, unsigned *quirks)
{
	if (!about_template(rv)) {
		return false;
	}
	if ((rv == CKR_TEMPLATE_INCOMPLETE ||
		rv == CKR_TEMPLATE_INCONSISTENT) &&
	    (*quirks & QUIRK_VALUE_LEN) == 0) {
		*quirks |= QUIRK_VALUE_LEN;
	} else if ((*quirks & QUIRK_NO_COPYABLE) == 0 &&
	    !hsm->policy[HSM_POLICY_NO_COPY]) {
		*quirks |= QUIRK_NO_COPYABLE;
	} else if ((*quirks & QUIRK_NO_ALLOWED) == 0 &&
	    !hsm->policy[HSM_POLICY_ALLOWED_MECHANISMS]) {
		*quirks |= QUIRK_NO_ALLOWED;
	} else if ((may & U_UNWRAP_TEMPLATE) != 0 &&
	    (*quirks & QUIRK_NO_UNWRAP_TEMPLATE) == 0 &&
	    !hsm->policy[HSM_POLICY_UNWRAP_TEMPLATE]) {
		*quirks |= QUIRK_NO_UNWRAP_TEMPLATE;
	} else {
		return false;
	}
	return true;
}

typedef CK_RV try_fn(struct hsm *hsm, void *arg);

/* Try, giving in step by step; may says what the key may do. */
static CK_RV
try_relaxed(struct hsm *hsm, bool token, unsigned may, try_fn *try, void *arg)
{
	unsigned *quirks = &hsm->quirks[token];
	unsigned before = *quirks;
	CK_RV first = try(hsm, arg);
	CK_RV rv = first;

	while (rv != CKR_OK && relax(hsm, rv, may, quirks)) {
		rv = try(hsm, arg);
	}
	if (rv == CKR_OK) {
		return CKR_OK;
	}
	/* It was not the template: nothing is learnt from it. */
	*quirks = before;
	return first;
}

struct making {
	const struct template_spec *spec;
	template_maker *make;
	void *arg;
	CK_OBJECT_HANDLE *out;
};

static CK_RV
make_once(struct hsm *hsm, void *arg)
{
	const struct making *m = arg;
	struct template t;

	template_build(&t, hsm, m->spec);
	return m->make(hsm, &t, m->arg, m->out);
}

CK_RV
template_make(struct hsm *hsm, const struct template_spec *spec,
    template_maker *make, void *arg, CK_OBJECT_HANDLE *out)
{
	struct making m = { spec, make, arg, out };
	CK_RV rv;

	if (spec->token) {
		write_begin(hsm);
	}
	rv = try_relaxed(
	    hsm, spec->token, template_table[spec->row].may, make_once, &m);
	if (spec->token) {
		write_end(hsm);
	}
	return rv;
}

/* The half that stays: may unwrap by OAEP, nothing else. */
static void
build_import_private(
    struct template *t, const struct hsm *hsm, const struct hsm_id *id)
{
	unsigned quirks = hsm->quirks[1];

	*t = (struct template){ .allowed = { CKM_RSA_PKCS_OAEP } };
	put_bool(t, CKA_TOKEN, true);
	put_bool(t, CKA_PRIVATE, true);
	put_bool(t, CKA_SENSITIVE, true);
	put_bool(t, CKA_EXTRACTABLE, false);
	put_bool(t, CKA_DECRYPT, false);
	put_bool(t, CKA_SIGN, false);
	put_bool(t, CKA_SIGN_RECOVER, false);
	put_bool(t, CKA_UNWRAP, true);
	put_bool(t, CKA_DERIVE, false);
	put(t, CKA_ID, id->b, id->len);
	put(t, CKA_LABEL, id->b, id->len);
	if ((quirks & QUIRK_NO_ALLOWED) == 0) {
		put(t, CKA_ALLOWED_MECHANISMS, t->allowed,
		    sizeof(t->allowed[0]));
	}
	if ((quirks & QUIRK_NO_COPYABLE) == 0) {
		put_bool(t, CKA_COPYABLE, false);
	}
	put_bool(t, CKA_MODIFIABLE, false);
}

struct pair {
	const struct hsm_id *id;
	CK_OBJECT_HANDLE *public, *private;
};

static CK_RV
make_pair(struct hsm *hsm, void *arg)
{
	static const CK_BYTE exponent[] = { 1, 0, 1 };
	CK_MECHANISM generate = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	struct template pub = { .len = 3072 };
	struct template priv;
	const struct pair *p = arg;

	/* A session object: it is the private half that says who it is. */
	put_bool(&pub, CKA_TOKEN, false);
	put_bool(&pub, CKA_PRIVATE, false);
	put(&pub, CKA_MODULUS_BITS, &pub.len, sizeof(pub.len));
	put(&pub, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	put_bool(&pub, CKA_ENCRYPT, true);
	put_bool(&pub, CKA_VERIFY, false);
	put_bool(&pub, CKA_WRAP, false);
	build_import_private(&priv, hsm, p->id);
	return P11(hsm,
	    C_GenerateKeyPair(hsm->anchor, &generate, pub.attr, pub.count,
		priv.attr, priv.count, p->public, p->private));
}

CK_RV
template_import_pair(struct hsm *hsm, const struct hsm_id *id,
    CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private)
{
	struct pair p = { id, public, private };
	CK_RV rv;

	write_begin(hsm);
	rv = try_relaxed(hsm, true, 0, make_pair, &p);
	write_end(hsm);
	return rv;
}
