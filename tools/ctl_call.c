/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the server, and what to do when it says no or nothing. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/errcode.h"
#include "tools/ctl.h"

#define DEFAULT_SOCKET "/run/joinery/joinery.sock"
#define DEFAULT_TIMEOUT_MS 10000
#define TIMEOUT_MAX_MS 600000

/* ---- connecting ---- */

static const char connect_hint[] =
    "is joineryd running, and is this where it listens? See \"socket\" and "
    "\"tls-listen\" in joinery.conf; --socket, --tcp or $JOINERY_SOCKET name "
    "another place";

/* What a failed connection means to us, and what to do about it. */
static const struct {
	enum jy_err err;
	enum ctl_exit exit;
	const char *hint;
} connect_errors[] = {
	{ JY_EACCESS, CTL_CONNECT,
	    "your user may not open the socket: ask for membership of the "
	    "group that owns it" },
	{ JY_EPEER, CTL_CONNECT,
	    "--ca must be the CA of the server's certificate, and --tcp the "
	    "name or address that the certificate carries" },
	{ JY_ECONFIG, CTL_LOCAL, NULL },
	{ JY_ETIMEOUT, CTL_CONNECT,
	    "\"joineryctl status\" tells whether the server is overloaded; "
	    "--timeout waits longer" },
	{ JY_EINVAL, CTL_CONNECT, "is it joineryd that listens there?" },
	{ JY_EIO, CTL_CONNECT, connect_hint },
};

enum ctl_exit
ctl_connection_failed(struct ctl *ctl, enum jy_err err, const struct errctx *ec)
{
	for (size_t i = 0; i < ARRAY_LEN(connect_errors); i++) {
		if (connect_errors[i].err == err) {
			return ctl_fail(ctl, connect_errors[i].exit,
			    connect_errors[i].hint, "%s", err_detail(ec, err));
		}
	}
	return ctl_fail(ctl, CTL_CONNECT, NULL, "%s", err_detail(ec, err));
}

static const char *
socket_path(struct ctl *ctl)
{
	const char *env = getenv("JOINERY_SOCKET");

	if (ctl_given(ctl, SOCKET)) {
		return ctl_value(ctl, SOCKET);
	}
	return env != NULL && env[0] != '\0' ? env : DEFAULT_SOCKET;
}

enum ctl_exit
ctl_connect(struct ctl *ctl)
{
	struct client_config config = { .timeout_ms = DEFAULT_TIMEOUT_MS };
	struct errctx ec = ERRCTX_INIT;
	uint32_t timeout_ms;
	enum ctl_exit exit;
	enum jy_err err;

	if (ctl->client != NULL) {
		return CTL_OK;
	}
	if (ctl_given(ctl, TIMEOUT)) {
		exit = args_number(
		    ctl, OPT_TIMEOUT, 1, TIMEOUT_MAX_MS, &timeout_ms);
		if (exit != CTL_OK) {
			return exit;
		}
		config.timeout_ms = timeout_ms;
	}
	if (!ctl_given(ctl, TCP)) {
		config.socket = socket_path(ctl);
	} else if (ctl_given(ctl, SOCKET)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--socket and --tcp exclude each other");
	} else if (!ctl_given(ctl, CA) || !ctl_given(ctl, CERT) ||
	    !ctl_given(ctl, TLS_KEY)) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--tcp needs --ca, --cert and --key");
	}
	config.tcp = ctl_value(ctl, TCP);
	config.ca = ctl_value(ctl, CA);
	config.cert = ctl_value(ctl, CERT);
	config.key = ctl_value(ctl, TLS_KEY);
	err = client_open(&config, &ctl->client, &ec);
	return err == JY_OK ? CTL_OK : ctl_connection_failed(ctl, err, &ec);
}

void
ctl_disconnect(struct ctl *ctl)
{
	client_close(ctl->client);
	ctl->client = NULL;
}

/* ---- errors answered ---- */

#define HINT_LATER "try again later; \"joineryctl status\" tells what is wrong"
#define HINT_TOKEN \
	"\"joineryctl status\" and \"joineryctl doctor\" tell what the token " \
	"lacks"
/* No doctor here: if the PIN was refused, that would try it once more. */
#define HINT_LOG "\"joineryctl status\" and the server's log tell what is wrong"
#define HINT_ADMIN \
	"admins are root, the server's user, the uids in \"admin-uids\" of " \
	"joinery.conf, and peers of role admin"

/* What an admin can do about an error; not every one has something. */
static const struct {
	Joinery__V1__ErrorCode code;
	const char *hint;
} error_hints[] = {
	{ JOINERY__V1__ERROR_CODE__PEER_UNKNOWN, HINT_ADMIN },
	{ JOINERY__V1__ERROR_CODE__NOT_ALLOWED, HINT_ADMIN },
	{ JOINERY__V1__ERROR_CODE__UNKNOWN_CALL,
	    "the server is older than this program" },
	{ JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE,
	    "\"joineryctl device list\" shows the devices there are" },
	{ JOINERY__V1__ERROR_CODE__UNKNOWN_SESSION,
	    "\"joineryctl session list\" shows those of a device; old ones "
	    "are dropped (\"session-keep\")" },
	{ JOINERY__V1__ERROR_CODE__KEK_MISSING,
	    "make it first: \"joineryctl kek import LABEL --key @FILE\" or "
	    "\"joineryctl kek generate LABEL --bits 256\"" },
	{ JOINERY__V1__ERROR_CODE__JOIN_EUI_NOT_SERVED,
	    "\"joineryctl join-eui prefixes\" shows the JoinEUIs there are; "
	    "\"join-euis\" in joinery.conf adds some" },
	{ JOINERY__V1__ERROR_CODE__NO_ROOT_KEY,
	    "give the device a key: \"joineryctl device set ... --nwk-key "
	    "@FILE\" or --app-key" },
	{ JOINERY__V1__ERROR_CODE__ALREADY_EXISTS,
	    "choose another name, or delete the one there is first" },
	{ JOINERY__V1__ERROR_CODE__IN_USE,
	    "take it from the devices, applications and peers that name "
	    "it first; of KEKs, \"joineryctl kek list\" shows what is in "
	    "use" },
	{ JOINERY__V1__ERROR_CODE__KEY_CHECK_FAILED,
	    "the token opened something else than was sealed: was the file "
	    "changed, or the import key replaced? \"joineryctl import-key "
	    "show\"" },
	{ JOINERY__V1__ERROR_CODE__DEVICE_RELEASED,
	    "\"joineryctl device set ... --released no\" takes it back" },
	{ JOINERY__V1__ERROR_CODE__ROOT_KEY_FORGED,
	    "somebody changed the database, or half of it was restored; import "
	    "the key again" },
	{ JOINERY__V1__ERROR_CODE__CONFLICT, "ask again" },
	{ JOINERY__V1__ERROR_CODE__STORE_UNAVAILABLE, HINT_LATER },
	{ JOINERY__V1__ERROR_CODE__STORE_FULL,
	    "raise \"store-max-size\" in joinery.conf, or make room on disk" },
	{ JOINERY__V1__ERROR_CODE__TOKEN_UNAVAILABLE, HINT_LOG },
	{ JOINERY__V1__ERROR_CODE__TOKEN_REFUSED, HINT_TOKEN },
	{ JOINERY__V1__ERROR_CODE__TOKEN_KEY_MISSING, HINT_TOKEN },
	{ JOINERY__V1__ERROR_CODE__TOKEN_FULL,
	    "raise \"resident-max\" in joinery.conf, or keep root keys outside "
	    "the token (\"custody\")" },
	{ JOINERY__V1__ERROR_CODE__BUSY, HINT_LATER },
	{ JOINERY__V1__ERROR_CODE__TIMEOUT, HINT_LATER },
};

static const char *
error_hint(Joinery__V1__ErrorCode code)
{
	for (size_t i = 0; i < ARRAY_LEN(error_hints); i++) {
		if (error_hints[i].code == code) {
			return error_hints[i].hint;
		}
	}
	return NULL;
}

static bool
is_not_found(Joinery__V1__ErrorCode code)
{
	return code == JOINERY__V1__ERROR_CODE__NOT_FOUND ||
	    code == JOINERY__V1__ERROR_CODE__UNKNOWN_DEVICE ||
	    code == JOINERY__V1__ERROR_CODE__UNKNOWN_SESSION;
}

enum ctl_exit
ctl_error_answered(struct ctl *ctl, const Joinery__V1__Error *error)
{
	enum ctl_exit exit =
	    is_not_found(error->code) ? CTL_NOT_FOUND : CTL_REFUSED;
	const char *name = errcode_name(error->code);

	exit = ctl_fail(ctl, exit, error_hint(error->code), "%s%s%s", name,
	    error->message != NULL ? ": " : "",
	    error->message != NULL ? error->message : "");
	(void)snprintf(ctl->error.code, sizeof(ctl->error.code), "%s", name);
	(void)snprintf(ctl->error.request_id, sizeof(ctl->error.request_id),
	    "%s", error->request_id != NULL ? error->request_id : "");
	return exit;
}

/* ---- failures that pass ---- */

/* How long to wait before each try: a server restarts within seconds. */
static const unsigned wait_ms[] = { 100, 300, 1000, 3000, 5000 };

static bool
may_pass(const struct ctl *ctl, enum ctl_exit exit)
{
	return exit == CTL_CONNECT ||
	    (exit == CTL_REFUSED &&
		(strcmp(ctl->error.code, "BUSY") == 0 ||
		    strcmp(ctl->error.code, "TIMEOUT") == 0));
}

bool
ctl_wait_out(struct ctl *ctl, enum ctl_exit exit, unsigned *tries)
{
	unsigned ms;

	if (!may_pass(ctl, exit) || *tries == ARRAY_LEN(wait_ms)) {
		return false;
	}
	ms = wait_ms[(*tries)++];
	client_close(ctl->client);
	ctl->client = NULL;
	(void)fputs("joineryctl: ", stderr);
	show_text(stderr, ctl->error.text);
	(void)fprintf(
	    stderr, "; trying again in %u.%u s\n", ms / 1000, ms % 1000 / 100);
	(void)poll(NULL, 0, (int)ms);
	return true;
}

/* ---- asking ---- */

enum ctl_exit
ctl_answer_unwanted(struct ctl *ctl, const Joinery__V1__Response *response)
{
	if (response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR) {
		return ctl_error_answered(ctl, response->error);
	}
	return ctl_fail(ctl, CTL_CONNECT,
	    "are the server and this program of the same version?",
	    "the answer is not one to this question");
}

/* Hand out the answer that was expected; end at any other. */
static enum ctl_exit
answer_check(struct ctl *ctl, Joinery__V1__Response *response,
    Joinery__V1__Response__ResultCase expected, Joinery__V1__Response **out)
{
	enum ctl_exit exit;

	if (response->result_case == expected) {
		*out = response;
		return CTL_OK;
	}
	exit = ctl_answer_unwanted(ctl, response);
	client_free(response);
	jy_assert(exit != CTL_OK);
	return exit;
}

enum ctl_exit
ctl_call(struct ctl *ctl, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected, Joinery__V1__Response **out)
{
	enum ctl_exit exit = ctl_connect(ctl);
	struct errctx ec = ERRCTX_INIT;
	Joinery__V1__Response *response;
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	err = client_call(ctl->client, request, &response, &ec);
	if (err != JY_OK) {
		exit = ctl_connection_failed(ctl, err, &ec);
		jy_assert(exit != CTL_OK);
		return exit;
	}
	return answer_check(ctl, response, expected, out);
}

enum ctl_exit
ctl_send(struct ctl *ctl, const Joinery__V1__Request *request)
{
	enum ctl_exit exit = ctl->client != NULL ? CTL_OK : ctl_connect(ctl);
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	err = client_send(ctl->client, request, &ec);
	return err == JY_OK ? CTL_OK : ctl_connection_failed(ctl, err, &ec);
}

enum ctl_exit
ctl_flush(struct ctl *ctl)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = client_flush(ctl->client, &ec);

	return err == JY_OK ? CTL_OK : ctl_connection_failed(ctl, err, &ec);
}

enum ctl_exit
ctl_receive_any(struct ctl *ctl, Joinery__V1__Response **out)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = client_receive(ctl->client, out, &ec);

	return err == JY_OK ? CTL_OK : ctl_connection_failed(ctl, err, &ec);
}

enum ctl_exit
ctl_receive(struct ctl *ctl, Joinery__V1__Response__ResultCase expected,
    Joinery__V1__Response **out)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = ctl_receive_any(ctl, &response);

	return exit == CTL_OK ? answer_check(ctl, response, expected, out)
			      : exit;
}

void
ctl_wait_forever(struct ctl *ctl)
{
	client_set_timeout(ctl->client, CLIENT_FOREVER);
}

const ProtobufCMessage *
ctl_result(const Joinery__V1__Response *response)
{
	/* Every member of the union is a pointer to some message. */
	return &response->done->base;
}

/* What people are told of a thing that was set; NULL for other answers. */
static const char *
set_text(const Joinery__V1__Response *response)
{
	switch ((int)response->result_case) {
	case JOINERY__V1__RESPONSE__RESULT_DEVICE_SET:
		return response->device_set->created ? "created" : "changed";
	case JOINERY__V1__RESPONSE__RESULT_PEER_SET:
		return response->peer_set->created ? "created" : "changed";
	case JOINERY__V1__RESPONSE__RESULT_APP_SET:
		return response->app_set->created ? "created" : "changed";
	default:
		return NULL;
	}
}

enum ctl_exit
ctl_call_and_show(struct ctl *ctl, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected, const char *said)
{
	Joinery__V1__Response *response = NULL;
	enum ctl_exit exit = ctl_call(ctl, request, expected, &response);
	const char *set;

	if (exit != CTL_OK) {
		return exit;
	}
	jy_assert(response != NULL);
	set = set_text(response);
	if (ctl->show.json || set == NULL) {
		show_message(&ctl->show, ctl_result(response));
	}
	if (set != NULL) {
		said = set;
	}
	if (said != NULL) {
		show_said(&ctl->show, said);
	}
	client_free(response);
	return CTL_OK;
}
