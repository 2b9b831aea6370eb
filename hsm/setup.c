/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparing a token, and finding what was prepared: the import key, which
 * unwraps what admins send; the audit key; and the canary, which tells by a
 * known answer that the token lives and is the one it was.
 */
#include <string.h>

#include "hsm/internal.h"

#define SLOTS_MAX 256

/* ---- finding ---- */

/* A lane_work: the canary and its answer. */
static CK_RV
canary_find(struct hsm *hsm, void *arg)
{
	struct hsm_id id = id_of_text(ID_CANARY);
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	(void)arg;
	rv = object_find(hsm, hsm->scratch.handle, CKO_SECRET_KEY, &id, &key);
	if (rv == CKR_OK) {
		rv =
		    check_value(hsm, hsm->scratch.handle, key, hsm->canary_kcv);
	}
	if (rv == CKR_OK) {
		hsm->canary = key;
		hsm->canary_known = true;
	}
	return rv;
}

/*
 * Run a search for something prepared.  There is no canary to ask yet, so
 * that it is missing is taken at its word here.
 */
static enum jy_err
find_prepared(
    struct hsm *hsm, lane_work *work, const char *what, struct errctx *ec)
{
	char name[RV_NAME_MAX];
	CK_RV rv = session_ready(&hsm->scratch);

	if (rv == CKR_OK) {
		rv = work(hsm, NULL);
	}
	if (rv == CKR_OK) {
		return JY_OK;
	}
	session_drop(&hsm->scratch);
	if (rv == RV_NONE) {
		return err_set(ec, JY_ENOKEY,
		    "the token was not prepared: it has no %s; \"joineryctl "
		    "token init\" makes it",
		    what);
	}
	return err_set(ec,
	    rv == RV_MANY                    ? JY_ENOKEY
		: rv_class(rv) == RV_REQUEST ? JY_EMECH
					     : JY_ETOKEN,
	    "%s: %s", what, rv_name(rv, name));
}

enum jy_err
setup_find(struct hsm *hsm, struct errctx *ec)
{
	enum jy_err err = find_prepared(hsm, canary_find, "canary key", ec);

	if (err == JY_OK) {
		err = find_prepared(hsm, audit_find, "audit key", ec);
	}
	return err != JY_OK ? err
			    : find_prepared(hsm, import_scan, "import key", ec);
}

/* ---- making ---- */

static CK_RV
first_import_make(struct hsm *hsm)
{
	uint32_t generation = 1;

	return import_make(hsm, &generation);
}

/* A key that makes MACs, whose CKA_ID is its label. */
static CK_RV
mac_key_make(struct hsm *hsm, const char *label, CK_ULONG len)
{
	struct hsm_id id = id_of_text(label);
	const struct template_spec spec = { .row = TEMPLATE_CANARY,
		.origin = ORIGIN_GENERATE,
		.len = len,
		.token = true,
		.id = &id,
		.label = label };
	CK_OBJECT_HANDLE key;

	return template_make(hsm, &spec, generate_make, NULL, &key);
}

static CK_RV
canary_make(struct hsm *hsm)
{
	return mac_key_make(hsm, ID_CANARY, 16);
}

static CK_RV
audit_make(struct hsm *hsm)
{
	return mac_key_make(hsm, ID_AUDIT, 32);
}

/* See that the object is there; *made says whether it had to be made. */
static enum jy_err
ensure(struct hsm *hsm, lane_work *find, CK_RV (*make)(struct hsm *hsm),
    const char *what, bool *made, struct errctx *ec)
{
	struct errctx first = ERRCTX_INIT;
	enum jy_err err = find_prepared(hsm, find, what, &first);
	char name[RV_NAME_MAX];
	CK_RV rv;

	*made = false;
	if (err != JY_ENOKEY) {
		return err == JY_OK ? JY_OK
				    : err_set(ec, err, "%s", first.text);
	}
	rv = make(hsm);
	if (rv != CKR_OK) {
		return err_set(ec, JY_ETOKENREQ, "make the %s: %s", what,
		    rv_name(rv, name));
	}
	*made = true;
	return find_prepared(hsm, find, what, ec);
}

static enum jy_err
prepare(struct hsm *hsm, bool *created_import, struct errctx *ec)
{
	struct hsm_report report = { 0 };
	enum jy_err err;
	bool made;

	err = anchor_open(hsm, ec);
	if (err == JY_OK) {
		err = policy_probe(hsm, &report, ec);
	}
	/* The import key last: that it is new must not get lost. */
	if (err == JY_OK) {
		err = ensure(
		    hsm, canary_find, canary_make, "canary key", &made, ec);
	}
	if (err == JY_OK) {
		err =
		    ensure(hsm, audit_find, audit_make, "audit key", &made, ec);
	}
	if (err == JY_OK) {
		err = ensure(hsm, import_scan, first_import_make, "import key",
		    created_import, ec);
	}
	return err;
}

/* ---- a blank token ---- */

static enum jy_err
blank_slot(struct hsm *hsm, CK_SLOT_ID *out, struct errctx *ec)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	CK_TOKEN_INFO info;

	if (P11(hsm, C_GetSlotList(CK_TRUE, slots, &count)) != CKR_OK) {
		return err_set(ec, JY_ETOKEN, "C_GetSlotList failed");
	}
	for (CK_ULONG i = 0; i < count; i++) {
		if (P11(hsm, C_GetTokenInfo(slots[i], &info)) == CKR_OK &&
		    (info.flags & CKF_TOKEN_INITIALIZED) == 0) {
			*out = slots[i];
			return JY_OK;
		}
	}
	return err_set(ec, JY_ECONFIG,
	    "no token matches, and there is no blank one to initialise");
}

static enum jy_err
token_initialise(
    struct hsm *hsm, const struct secret *so_pin, struct errctx *ec)
{
	const CK_TOKEN_INFO *named = p11_kit_uri_get_token_info(hsm->uri);
	unsigned char label[32];
	char name[RV_NAME_MAX];
	CK_SLOT_ID slot;
	enum jy_err err;
	CK_RV rv;

	if (named->label[0] == '\0' || named->serialNumber[0] != '\0') {
		return err_set(ec, JY_ECONFIG,
		    "to initialise a token the URI must name it by token= "
		    "alone");
	}
	err = blank_slot(hsm, &slot, ec);
	if (err != JY_OK) {
		return err;
	}
	memcpy(label, named->label, sizeof(label));
	(void)turn_take(&hsm->turn);
	rv = P11(hsm,
	    C_InitToken(
		slot, p11_in(secret_bytes(so_pin)), secret_len(so_pin), label));
	turn_leave(&hsm->turn);
	if (rv != CKR_OK) {
		return err_set(ec,
		    rv_class(rv) == RV_PIN ? JY_EPIN : JY_ETOKENREQ,
		    "C_InitToken: %s", rv_name(rv, name));
	}
	return module_restart(hsm, ec);
}

/* As the security officer, in a session of his own. */
static CK_RV
init_pin(struct hsm *hsm, CK_SESSION_HANDLE s, const struct secret *so_pin,
    const struct secret *pin)
{
	CK_RV rv;

	(void)turn_take(&hsm->turn);
	rv = P11(hsm,
	    C_Login(
		s, CKU_SO, p11_in(secret_bytes(so_pin)), secret_len(so_pin)));
	if (rv == CKR_OK) {
		rv = P11(hsm,
		    C_InitPIN(s, p11_in(secret_bytes(pin)), secret_len(pin)));
		(void)P11(hsm, C_Logout(s));
	}
	turn_leave(&hsm->turn);
	return rv;
}

/* Set the user's PIN in a token that has none. */
static enum jy_err
user_pin_set(struct hsm *hsm, const struct secret *so_pin,
    const struct secret *pin, struct errctx *ec)
{
	CK_SESSION_HANDLE s;
	char name[RV_NAME_MAX];
	CK_RV rv;

	rv = P11(hsm,
	    C_OpenSession(hsm->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		NULL, &s));
	if (rv != CKR_OK) {
		return err_set(
		    ec, JY_ETOKEN, "C_OpenSession: %s", rv_name(rv, name));
	}
	rv = init_pin(hsm, s, so_pin, pin);
	(void)P11(hsm, C_CloseSession(s));
	if (rv != CKR_OK) {
		return err_set(ec,
		    rv_class(rv) == RV_PIN ? JY_EPIN : JY_ETOKENREQ,
		    "set the user PIN: %s", rv_name(rv, name));
	}
	return JY_OK;
}

static enum jy_err
user_pin_ensure(struct hsm *hsm, const struct secret *so_pin,
    const struct token_info *token, struct errctx *ec)
{
	const char *source = p11_kit_uri_get_pin_source(hsm->uri);
	struct secret *pin = NULL;
	enum jy_err err;

	if ((token->info.flags & CKF_USER_PIN_INITIALIZED) != 0) {
		return JY_OK;
	}
	if (source == NULL) {
		return err_set(
		    ec, JY_ECONFIG, "token URI: pin-source= is missing");
	}
	err = pin_read(source, &pin, ec);
	if (err == JY_OK) {
		hsm->slot = token->slot;
		err = user_pin_set(hsm, so_pin, pin, ec);
	}
	secret_free(pin);
	return err;
}

/* Find the token, after making it what it must be if that was asked for. */
static enum jy_err
token_create(struct hsm *hsm, const char *so_pin_source, struct errctx *ec)
{
	struct token_info token;
	struct secret *so_pin = NULL;
	enum jy_err err;

	if (so_pin_source != NULL) {
		err = pin_read(so_pin_source, &so_pin, ec);
	} else {
		err = secret_new(1, &so_pin, ec); /* NSS: an empty one */
	}
	if (err != JY_OK) {
		return err;
	}
	err = module_find_token(hsm, &token, ec);
	if (err == JY_ENOTFOUND) {
		err = token_initialise(hsm, so_pin, ec);
		if (err == JY_OK) {
			err = module_find_token(hsm, &token, ec);
		}
	}
	if (err == JY_OK) {
		err = user_pin_ensure(hsm, so_pin, &token, ec);
	}
	secret_free(so_pin);
	return err;
}

static enum jy_err
set_up(struct hsm *hsm, const struct hsm_setup *setup, bool *created_import,
    struct errctx *ec)
{
	struct token_info token;
	enum jy_err err;
	bool created;

	err = module_open(hsm, setup->config, ec);
	if (err == JY_OK && setup->create) {
		err = token_create(hsm, setup->so_pin_source, ec);
	}
	if (err == JY_OK) {
		err = module_find_token(hsm, &token, ec);
		if (err == JY_ENOTFOUND) {
			err = err_set(ec, JY_ECONFIG,
			    "no token matches the URI; --create makes one");
		}
	}
	if (err == JY_OK) {
		hsm->slot = token.slot;
		hsm->token_flags = token.info.flags;
		err = prepare(hsm, &created, ec);
	}
	if (err == JY_OK) {
		*created_import = created;
	}
	return err;
}

/*
 * Two at once would both find that there is no canary, and make one each; if
 * there is a store already, so that they can take turns there, they do not.
 */
enum jy_err
hsm_setup(
    const struct hsm_setup *setup, bool *created_import, struct errctx *ec)
{
	struct hsm *hsm = token_new();
	struct turn alone;
	enum jy_err err;

	turn_init(&alone, setup->config->turn_dir, "setup.lock");
	(void)turn_take(&alone);
	err = set_up(hsm, setup, created_import, ec);
	token_free(hsm);
	turn_leave(&alone);
	turn_fini(&alone);
	return err;
}
