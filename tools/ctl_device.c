/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on devices, their nonces and their sessions. */
#include <string.h>

#include "tools/ctl.h"
#include "tools/ctl_value.h"

/* A device's name in a request, with room for its octets. */
struct device_name {
	struct eui64 join_eui;
	struct eui64 dev_eui;
	Joinery__V1__DeviceId message;
};

/* The server's default JoinEUI, for who does not name one. */
static enum ctl_exit
default_join_eui(struct ctl *ctl, struct eui64 *out)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinEuisRequest call =
	    JOINERY__V1__JOIN_EUIS_REQUEST__INIT;
	const ProtobufCBinaryData *eui;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_JOIN_EUIS;
	request.join_euis = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	eui = &response->join_euis->default_join_eui;
	if (response->join_euis->has_default_join_eui &&
	    eui->len == sizeof(out->be)) {
		memcpy(out->be, eui->data, sizeof(out->be));
	} else {
		exit = ctl_fail(ctl, CTL_USAGE,
		    "or name a \"default-join-eui\" in joinery.conf",
		    "%s needs --join-eui %s", ctl->args.verb->words,
		    ctl_options[OPT_JOIN_EUI].value);
	}
	client_free(response);
	return exit;
}

enum ctl_exit
device_euis_read(struct ctl *ctl, struct eui64 *join_eui, struct eui64 *dev_eui)
{
	enum ctl_exit exit = CTL_OK;

	if (ctl_given(ctl, JOIN_EUI)) {
		exit = args_eui(ctl, OPT_JOIN_EUI, join_eui);
	}
	if (exit == CTL_OK) {
		exit = args_eui(ctl, OPT_DEV_EUI, dev_eui);
	}
	if (exit == CTL_OK && !ctl_given(ctl, JOIN_EUI)) {
		exit = default_join_eui(ctl, join_eui);
	}
	return exit;
}

static enum ctl_exit
name_read(struct ctl *ctl, struct device_name *name)
{
	Joinery__V1__DeviceId *m = &name->message;
	enum ctl_exit exit =
	    device_euis_read(ctl, &name->join_eui, &name->dev_eui);

	joinery__v1__device_id__init(m);
	m->has_join_eui = 1;
	m->join_eui = (ProtobufCBinaryData){ 8, name->join_eui.be };
	m->has_dev_eui = 1;
	m->dev_eui = (ProtobufCBinaryData){ 8, name->dev_eui.be };
	return exit;
}

/* ---- device set ---- */

static enum ctl_exit
settings_texts(struct ctl *ctl, Joinery__V1__DeviceSettings *s)
{
	const struct args_text_row texts[] = {
		{ OPT_APP, STORE_LABEL_MAX, &s->app },
		{ OPT_NAME, STORE_LABEL_MAX, &s->name },
	};

	return args_texts(ctl, texts, ARRAY_LEN(texts));
}

static enum ctl_exit
settings_mac_version(struct ctl *ctl, Joinery__V1__DeviceSettings *s)
{
	const char *text = ctl_value(ctl, MAC_VERSION);
	enum lw_version version = LW_VERSION_NONE;

	if (text == NULL) {
		return CTL_OK;
	}
	if (text[0] != '\0' && !lw_version_parse(text, &version)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--mac-version is 1.0.0 to 1.0.4 or 1.1.0, not \"%s\"",
		    args_shown(text));
	}
	s->has_mac_version = 1;
	s->mac_version = (Joinery__V1__MacVersion)version;
	return CTL_OK;
}

static enum ctl_exit
settings_v10_root(struct ctl *ctl, Joinery__V1__DeviceSettings *s)
{
	const char *text = ctl_value(ctl, V10_ROOT);
	int root = JOINERY__V1__V10_ROOT__V10_ROOT_DEFAULT;

	if (text == NULL) {
		return CTL_OK;
	}
	/* A NwkKey comes first by default. */
	if (strcmp(text, "nwk") != 0 &&
	    !value_enum(&joinery__v1__v10_root__descriptor, text, &root)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--v10-root is nwk, app or default, not \"%s\"",
		    args_shown(text));
	}
	s->has_v10_root = 1;
	s->v10_root = (Joinery__V1__V10Root)root;
	return CTL_OK;
}

static enum ctl_exit
settings_read(struct ctl *ctl, Joinery__V1__DeviceSettings *s,
    struct ctl_activation *activation)
{
	enum ctl_exit exit = settings_texts(ctl, s);

	if (exit == CTL_OK) {
		exit = settings_mac_version(ctl, s);
	}
	if (exit == CTL_OK) {
		exit = settings_v10_root(ctl, s);
	}
	if (exit == CTL_OK) {
		exit = activation_read(ctl, activation);
	}
	if (exit == CTL_OK) {
		activation_put_device(activation, s);
	}
	if (exit == CTL_OK && ctl_given(ctl, RESETS)) {
		s->has_resets_join_nonces = 1;
		exit = args_bool(ctl, OPT_RESETS, &s->resets_join_nonces);
	}
	if (exit == CTL_OK && ctl_given(ctl, RELEASED)) {
		s->has_released = 1;
		exit = args_bool(ctl, OPT_RELEASED, &s->released);
	}
	return exit;
}

enum ctl_exit
verb_device_set(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceSetRequest call =
	    JOINERY__V1__DEVICE_SET_REQUEST__INIT;
	Joinery__V1__DeviceSettings settings =
	    JOINERY__V1__DEVICE_SETTINGS__INIT;
	struct ctl_key keys[2] = {
		{ OPT_NWK_KEY, 16, NULL, JOINERY__V1__SEALED_KEY__INIT },
		{ OPT_APP_KEY, 16, NULL, JOINERY__V1__SEALED_KEY__INIT },
	};
	struct ctl_activation activation;
	struct device_name name;
	enum ctl_exit exit = settings_read(ctl, &settings, &activation);

	if (exit == CTL_OK) {
		exit = name_read(ctl, &name);
	}
	if (exit == CTL_OK) {
		exit = ctl_keys_seal(ctl, keys, ARRAY_LEN(keys));
	}
	if (exit == CTL_OK) {
		request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SET;
		request.device_set = &call;
		call.id = &name.message;
		call.settings = &settings;
		call.nwk_key = keys[0].sealed != NULL ? &keys[0].message : NULL;
		call.app_key = keys[1].sealed != NULL ? &keys[1].message : NULL;
		exit = ctl_call_and_show(ctl, &request,
		    JOINERY__V1__RESPONSE__RESULT_DEVICE_SET, NULL);
	}
	ctl_keys_fini(keys, ARRAY_LEN(keys));
	return exit;
}

/* ---- verbs that need no more than the device's name ---- */

/* A device by the name it has in its application. */
static enum ctl_exit
name_in_app(struct ctl *ctl, Joinery__V1__DeviceGetRequest *call)
{
	const struct args_text_row texts[] = {
		{ OPT_APP, STORE_LABEL_MAX, &call->app },
		{ OPT_NAME, STORE_LABEL_MAX, &call->name },
	};

	if (!ctl_given(ctl, APP) || ctl_given(ctl, DEV_EUI) ||
	    ctl_given(ctl, JOIN_EUI)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--name goes with --app, and with no EUI");
	}
	return args_texts(ctl, texts, ARRAY_LEN(texts));
}

static enum ctl_exit
name_or_eui(struct ctl *ctl, struct device_name *name)
{
	if (!ctl_given(ctl, DEV_EUI) || ctl_given(ctl, APP)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "device get needs --dev-eui EUI, or --app NAME and --name "
		    "NAME");
	}
	return name_read(ctl, name);
}

enum ctl_exit
verb_device_get(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceGetRequest call =
	    JOINERY__V1__DEVICE_GET_REQUEST__INIT;
	struct device_name name;
	enum ctl_exit exit;

	if (ctl_given(ctl, NAME)) {
		exit = name_in_app(ctl, &call);
	} else {
		exit = name_or_eui(ctl, &name);
		call.id = &name.message;
	}
	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_GET;
	request.device_get = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DEVICE_GET, NULL);
}

/* A verb on one device, or on those of a file. */
static enum ctl_exit
check_one(struct ctl *ctl)
{
	if (!ctl_given(ctl, DEV_EUI)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "%s needs --dev-eui EUI or --file FILE|-",
		    ctl->args.verb->words);
	}
	if (ctl_given(ctl, STRICT) || ctl_given(ctl, YES)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--strict and --yes go with --file only");
	}
	return CTL_OK;
}

enum ctl_exit
verb_device_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceDeleteRequest call =
	    JOINERY__V1__DEVICE_DELETE_REQUEST__INIT;
	struct device_name name;
	enum ctl_exit exit;

	if (ctl_given(ctl, DEVICES_FILE)) {
		return batch_delete(ctl);
	}
	exit = check_one(ctl);
	if (exit == CTL_OK) {
		exit = name_read(ctl, &name);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	call.id = &name.message;
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_DELETE;
	request.device_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}

enum ctl_exit
verb_device_settle(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__DeviceSettleRequest call =
	    JOINERY__V1__DEVICE_SETTLE_REQUEST__INIT;
	struct device_name name;
	enum ctl_exit exit;

	if (ctl_given(ctl, DEVICES_FILE)) {
		return batch_settle(ctl);
	}
	exit = check_one(ctl);
	if (exit == CTL_OK) {
		exit = name_read(ctl, &name);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	call.id = &name.message;
	request.call_case = JOINERY__V1__REQUEST__CALL_DEVICE_SETTLE;
	request.device_settle = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "settled");
}

enum ctl_exit
verb_nonces_reset(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__NoncesResetRequest call =
	    JOINERY__V1__NONCES_RESET_REQUEST__INIT;
	struct device_name name;
	enum ctl_exit exit = name_read(ctl, &name);

	if (exit != CTL_OK) {
		return exit;
	}
	call.id = &name.message;
	request.call_case = JOINERY__V1__REQUEST__CALL_NONCES_RESET;
	request.nonces_reset = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "nonces reset");
}

enum ctl_exit
verb_session_list(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__SessionListRequest call =
	    JOINERY__V1__SESSION_LIST_REQUEST__INIT;
	const Joinery__V1__SessionListAnswer *answer;
	Joinery__V1__Response *response;
	struct device_name name;
	enum ctl_exit exit = name_read(ctl, &name);

	if (exit != CTL_OK) {
		return exit;
	}
	call.id = &name.message;
	request.call_case = JOINERY__V1__REQUEST__CALL_SESSION_LIST;
	request.session_list = &call;
	exit = ctl_call(ctl, &request,
	    JOINERY__V1__RESPONSE__RESULT_SESSION_LIST, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	answer = response->session_list;
	show_rows_begin(
	    &ctl->show, "sessions", &joinery__v1__session__descriptor);
	for (size_t i = 0; i < answer->n_sessions; i++) {
		show_row(&ctl->show, &answer->sessions[i]->base);
	}
	show_rows_end(&ctl->show);
	client_free(response);
	return CTL_OK;
}

enum ctl_exit
verb_session_get(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__SessionGetRequest call =
	    JOINERY__V1__SESSION_GET_REQUEST__INIT;
	uint8_t id[STORE_ID_LEN];
	const char *text = ctl->args.operand;

	if (!hex_parse(text, strlen(text), id, sizeof(id))) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "a session key ID is 32 hexadecimal digits");
	}
	call.has_session_key_id = 1;
	call.session_key_id = (ProtobufCBinaryData){ sizeof(id), id };
	request.call_case = JOINERY__V1__REQUEST__CALL_SESSION_GET;
	request.session_get = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_SESSION_GET, NULL);
}
