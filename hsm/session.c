/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions.  The anchor session lives as long as the process: copies of keys
 * are its session objects, and while it is open the others may come and go
 * without logging the token out.  It is used under the lane only.  The pool's
 * sessions serve one thread at a time and are opened at first use.
 *
 * A session that gave an error is thrown away: after a failed call nobody can
 * say whether an operation is still active in it.
 *
 * One C_Login a process, when it opens the token: many processes serve one
 * token, and if each logged in again by itself, a PIN that was changed would
 * be locked.  So a session may be replaced only while the anchor stands; when
 * anchor or login is lost, everything is JY_ETOKEN until the process ends.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "hsm/internal.h"
#include "src/base/sys.h"

/* ---- the pool ---- */

void
session_pool_open(struct hsm *hsm, unsigned count)
{
	hsm->sessions = sys_xcalloc(count, sizeof(*hsm->sessions));
	hsm->session_count = count;
	for (unsigned i = 0; i < count; i++) {
		hsm->sessions[i].hsm = hsm;
		hsm->sessions[i].next = hsm->idle;
		hsm->idle = &hsm->sessions[i];
	}
}

struct hsm_session *
hsm_session_get(struct hsm *hsm)
{
	struct hsm_session *s;

	(void)pthread_mutex_lock(&hsm->pool_lock);
	while (hsm->idle == NULL) {
		(void)pthread_cond_wait(&hsm->pool_free, &hsm->pool_lock);
	}
	s = hsm->idle;
	hsm->idle = s->next;
	(void)pthread_mutex_unlock(&hsm->pool_lock);
	return s;
}

void
hsm_session_put(struct hsm *hsm, struct hsm_session *s)
{
	(void)pthread_mutex_lock(&hsm->pool_lock);
	s->next = hsm->idle;
	hsm->idle = s;
	(void)pthread_mutex_unlock(&hsm->pool_lock);
	(void)pthread_cond_signal(&hsm->pool_free);
}

CK_RV
session_ready(struct hsm_session *s)
{
	CK_RV rv;

	if (s->open) {
		return CKR_OK;
	}
	rv = P11(s->hsm,
	    C_OpenSession(
		s->hsm->slot, CKF_SERIAL_SESSION, NULL, NULL, &s->handle));
	s->open = rv == CKR_OK;
	return rv;
}

void
session_drop(struct hsm_session *s)
{
	if (s->open) {
		s->open = false;
		(void)P11(s->hsm, C_CloseSession(s->handle));
	}
}

/* ---- login ---- */

static enum jy_err
refuse_last_try(const struct hsm *hsm, struct errctx *ec)
{
	if ((hsm->token_flags & CKF_USER_PIN_LOCKED) != 0) {
		return err_set(ec, JY_EPIN, "the token has locked its PIN");
	}
	if ((hsm->token_flags & CKF_USER_PIN_FINAL_TRY) != 0) {
		return err_set(ec, JY_EPIN,
		    "the token's PIN has one try left; log in by hand first");
	}
	return JY_OK;
}

/*
 * Only an answer that cannot be about the PIN may be tried away by whoever
 * starts us again: some tokens say CKR_GENERAL_ERROR or CKR_FUNCTION_FAILED
 * of a bad PIN, and count it.
 */
static enum jy_err
login_with(struct hsm *hsm, const struct secret *pin, struct errctx *ec)
{
	sigset_t all, before;
	char name[RV_NAME_MAX];
	CK_RV rv;

	(void)turn_take(&hsm->turn);
	/* SoftHSM writes the token's file: no signal ends us in the middle. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	rv = P11(hsm,
	    C_Login(hsm->anchor, CKU_USER,
		pin != NULL ? p11_in(secret_bytes(pin)) : NULL,
		pin != NULL ? secret_len(pin) : 0));
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	turn_leave(&hsm->turn);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		return JY_OK;
	}
	if (rv_class(rv) == RV_TOKEN || rv_class(rv) == RV_SESSION) {
		return err_set(ec, JY_ETOKEN, "C_Login: %s", rv_name(rv, name));
	}
	return err_set(ec, JY_EPIN,
	    "the token did not take the PIN: C_Login: %s", rv_name(rv, name));
}

/* The PIN, or NULL if it is typed at the token. */
static enum jy_err
login_pin(const struct hsm *hsm, struct secret **pin, struct errctx *ec)
{
	const char *source = p11_kit_uri_get_pin_source(hsm->uri);

	if (source != NULL) {
		return pin_read(source, pin, ec);
	}
	return (hsm->token_flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0
	    ? JY_OK
	    : err_set(ec, JY_ECONFIG, "token URI: pin-source= is missing");
}

static enum jy_err
login(struct hsm *hsm, struct errctx *ec)
{
	struct secret *pin = NULL;
	enum jy_err err;

	if ((hsm->token_flags & CKF_LOGIN_REQUIRED) == 0) {
		return JY_OK;
	}
	err = refuse_last_try(hsm, ec);
	if (err != JY_OK) {
		return err;
	}
	err = login_pin(hsm, &pin, ec);
	if (err == JY_OK) {
		err = login_with(hsm, pin, ec);
	}
	secret_free(pin);
	return err;
}

/* ---- the anchor ---- */

void
lane_enter(struct hsm *hsm)
{
	(void)pthread_mutex_lock(&hsm->lane);
}

void
lane_leave(struct hsm *hsm)
{
	(void)pthread_mutex_unlock(&hsm->lane);
}

enum jy_err
anchor_open(struct hsm *hsm, struct errctx *ec)
{
	char name[RV_NAME_MAX];
	enum jy_err err;
	CK_RV rv;

	rv = P11(hsm,
	    C_OpenSession(hsm->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		NULL, &hsm->anchor));
	if (rv != CKR_OK) {
		return err_set(
		    ec, JY_ETOKEN, "C_OpenSession: %s", rv_name(rv, name));
	}
	hsm->anchor_open = true;
	err = login(hsm, ec);
	if (err != JY_OK) {
		return err;
	}
	rv = index_load(hsm);
	return rv == CKR_OK
	    ? JY_OK
	    : err_set(ec, JY_ETOKEN, "search the token: %s", rv_name(rv, name));
}

void
anchor_close(struct hsm *hsm)
{
	session_drop(&hsm->scratch);
	if (hsm->anchor_open) {
		hsm->anchor_open = false;
		(void)P11(hsm, C_CloseSession(hsm->anchor));
	}
}

/* Under the lane: does the anchor live, and is it logged in? */
static bool
anchor_alive(struct hsm *hsm)
{
	CK_SESSION_INFO info;

	if (P11(hsm, C_GetSessionInfo(hsm->anchor, &info)) != CKR_OK) {
		return false;
	}
	return (hsm->token_flags & CKF_LOGIN_REQUIRED) == 0 ||
	    info.state == CKS_RW_USER_FUNCTIONS;
}

bool
anchor_stands(struct hsm *hsm)
{
	bool alive;

	lane_enter(hsm);
	alive = anchor_alive(hsm);
	lane_leave(hsm);
	return alive;
}

/* ---- what an error means ---- */

CK_RV
check_value(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
    uint8_t kcv[HSM_KCV_LEN])
{
	static const uint8_t zeros[16];
	struct secret_block mac AUTO_WIPE = { { 0 } };
	CK_RV rv;

	rv = op_cmac(hsm, session, key, zeros, sizeof(zeros), &mac);
	if (rv == CKR_OK) {
		memcpy(kcv, mac.b, HSM_KCV_LEN);
	}
	return rv;
}

CK_RV
canary_ask(struct hsm *hsm, CK_SESSION_HANDLE session)
{
	struct hsm_id id = id_of_text(ID_CANARY);
	CK_OBJECT_HANDLE key = atomic_load(&hsm->canary);
	uint8_t kcv[HSM_KCV_LEN];
	CK_RV rv;

	rv = check_value(hsm, session, key, kcv);
	if (rv != CKR_OK && rv_class(rv) == RV_HANDLE) {
		rv = object_find(hsm, session, CKO_SECRET_KEY, &id, &key);
		if (rv != CKR_OK) {
			return rv;
		}
		atomic_store(&hsm->canary, key);
		rv = check_value(hsm, session, key, kcv);
	}
	if (rv == CKR_OK && !secret_eq(kcv, hsm->canary_kcv, sizeof(kcv))) {
		rv = CKR_TOKEN_NOT_RECOGNIZED;
	}
	return rv;
}

/* Does the canary answer in s, which is opened for it? */
static CK_RV
canary_verdict(struct hsm_session *s)
{
	CK_RV rv;

	if (!s->hsm->canary_known) {
		return RV_NONE;
	}
	rv = session_ready(s);
	if (rv == CKR_OK) {
		rv = canary_ask(s->hsm, s->handle);
		if (rv != CKR_OK) {
			session_drop(s);
		}
	}
	return rv;
}

enum jy_err
session_fail(
    struct hsm_session *s, const char *what, CK_RV rv, struct errctx *ec)
{
	char name[RV_NAME_MAX], canary_name[RV_NAME_MAX];
	enum jy_err err;
	CK_RV canary;

	switch (rv_class(rv)) {
	case RV_REQUEST:
		err = JY_ETOKENREQ;
		break;
	case RV_FORGED:
		err = JY_EFORGED;
		break;
	case RV_PIN: /* of a login that was good */
	case RV_SESSION:
	case RV_TOKEN:
		err = JY_ETOKEN;
		break;
	case RV_HANDLE:
	case RV_AMBIGUOUS:
	case RV_ABSENT:
	default:
		canary = canary_verdict(s);
		if (canary != CKR_OK) {
			return err_set(ec, JY_ETOKEN,
			    "%s: %s; the canary key: %s", what,
			    rv_name(rv, name), rv_name(canary, canary_name));
		}
		err = rv_class(rv) == RV_ABSENT ? JY_ENOKEY : JY_ETOKENREQ;
		break;
	}
	return err_set(ec, err, "%s: %s", what, rv_name(rv, name));
}

/* Do work; the scratch session is open in it, and dropped if it fails. */
static CK_RV
lane_try(struct hsm *hsm, lane_work *work, void *arg)
{
	CK_RV rv = session_ready(&hsm->scratch);

	if (rv == CKR_OK) {
		rv = work(hsm, arg);
	}
	if (rv != CKR_OK) {
		session_drop(&hsm->scratch);
	}
	return rv;
}

enum jy_err
lane_run(struct hsm *hsm, lane_work *work, void *arg, const char *what,
    struct errctx *ec)
{
	CK_RV rv = lane_try(hsm, work, arg);

	if (rv != CKR_OK && rv_class(rv) == RV_SESSION && anchor_alive(hsm)) {
		rv = lane_try(hsm, work, arg);
	}
	return rv == CKR_OK ? JY_OK : session_fail(&hsm->scratch, what, rv, ec);
}

enum jy_err
hsm_canary(struct hsm *hsm, struct hsm_session *s, struct errctx *ec)
{
	CK_RV rv = canary_verdict(s);
	char name[RV_NAME_MAX];

	if (rv != CKR_OK && rv_class(rv) != RV_TOKEN) {
		rv = canary_verdict(s); /* in a session of its own */
	}
	if (rv != CKR_OK) {
		return err_set(
		    ec, JY_ETOKEN, "the canary key: %s", rv_name(rv, name));
	}
	return anchor_stands(hsm)
	    ? JY_OK
	    : err_set(ec, JY_ETOKEN, "the session that logged in is lost");
}
