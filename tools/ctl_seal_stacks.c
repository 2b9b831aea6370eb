/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices as two Network Servers know them.
 *
 * The Things Stack: EndDevice of its API, as ttn-lw-cli and ttn-lw-migrate
 * write it.  Members that are 0, false or empty may be left out, so a nonce of
 * 0 means that none was used.  Its 1.0.x devices are rooted in the AppKey,
 * even if a NwkKey stands beside it.
 *
 * ChirpStack 4: Device, DeviceKeys and DeviceProfile of its API, in one object
 * or each in one of its own within it, names in either spelling.  The AppKey
 * of a 1.0.x device is in nwk_key there, so nothing can be done without the
 * MAC version.
 */
#include <string.h>

#include <jansson.h>

#include "tools/ctl_seal.h"

/* ---- members ---- */

static const json_t *
within(const json_t *object, const char *outer, const char *inner)
{
	return json_object_get(json_object_get(object, outer), inner);
}

static bool
says_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

/* A nonce; 0 is none. */
static enum jy_err
set_nonce(struct seal_run *run, enum seal_column column, const json_t *value,
    struct errctx *ec)
{
	return json_is_integer(value) && json_integer_value(value) == 0
	    ? JY_OK
	    : seal_set_member(run, column, value, ec);
}

/* Raise *n to the highest of a number, an array or an object; null is none. */
static bool
raise_to(json_t *nonces, json_int_t *n)
{
	const char *name;
	json_t *value;
	size_t i;
	bool ok = json_is_integer(nonces) || json_is_array(nonces) ||
	    json_is_object(nonces) || nonces == NULL || json_is_null(nonces);

	if (json_is_integer(nonces) && json_integer_value(nonces) > *n) {
		*n = json_integer_value(nonces);
	}
	json_array_foreach(nonces, i, value)
	{
		ok = ok && raise_to(value, n);
	}
	json_object_foreach(nonces, name, value)
	{
		ok = ok && raise_to(value, n);
	}
	return ok;
}

/*
 * The DevNonces of a list, of which a sealed file has the highest only.  One
 * that was passed over could be replayed, so nothing unknown is.
 */
static enum jy_err
set_highest(
    struct seal_run *run, json_t *nonces, json_t *last, struct errctx *ec)
{
	json_int_t n = 0;
	json_t *value;
	enum jy_err err;

	if (!raise_to(nonces, &n) || !raise_to(last, &n)) {
		return err_set(
		    ec, JY_EINVAL, "a DevNonce that was used is no number");
	}
	value = json_integer(n);
	err = set_nonce(run, SEAL_DEV_NONCE, value, ec);
	json_decref(value);
	return err;
}

/* ---- The Things Stack ---- */

static enum jy_err
tts_key(struct seal_run *run, const json_t *object, const char *name,
    enum seal_column column, struct errctx *ec)
{
	const json_t *key = within(object, "root_keys", name);
	const json_t *clear = json_object_get(key, "key");
	const char *label =
	    json_string_value(json_object_get(key, "kek_label"));

	if (clear == NULL &&
	    (json_object_get(key, "encrypted_key") != NULL ||
		(label != NULL && label[0] != '\0'))) {
		return err_set(ec, JY_EINVAL,
		    "%s is wrapped under a KEK; only keys in clear can be "
		    "sealed",
		    name);
	}
	return seal_set_member(run, column, clear, ec);
}

static enum jy_err
tts_keys(struct seal_run *run, const json_t *object, struct errctx *ec)
{
	struct seal_device *device = run->device;
	enum jy_err err;

	err = tts_key(run, object, "nwk_key", SEAL_NWK_KEY, ec);
	if (err == JY_OK) {
		err = tts_key(run, object, "app_key", SEAL_APP_KEY, ec);
	}
	/* If the version is not said, should it prove to be 1.0.x. */
	if (err == JY_OK && device->has_nwk && device->has_app &&
	    !lw_version_is_1_1(device->d.mac_version)) {
		device->d.v10_root = KEYFILE_V10_ROOT_APP;
	}
	return err;
}

enum jy_err
seal_tts(
    struct seal_run *run, const json_t *object, bool *skip, struct errctx *ec)
{
	const json_t *ids = json_object_get(object, "ids");
	const struct {
		enum seal_column column;
		const json_t *value;
	} members[] = {
		{ SEAL_JOIN_EUI, json_object_get(ids, "join_eui") },
		{ SEAL_DEV_EUI, json_object_get(ids, "dev_eui") },
		{ SEAL_NAME, json_object_get(ids, "device_id") },
		{ SEAL_APP, within(ids, "application_ids", "application_id") },
		{ SEAL_MAC_VERSION,
		    json_object_get(object, "lorawan_version") },
		{ SEAL_NET_ID, json_object_get(object, "net_id") },
		{ SEAL_NS_KEK,
		    json_object_get(object, "network_server_kek_label") },
		{ SEAL_AS_KEK,
		    json_object_get(object, "application_server_kek_label") },
		{ SEAL_AS_ID,
		    json_object_get(object, "application_server_id") },
		{ SEAL_RESETS, json_object_get(object, "resets_join_nonces") },
	};
	enum jy_err err = JY_OK;

	if (!says_true(object, "supports_join") &&
	    json_object_get(object, "root_keys") == NULL) {
		*skip = true; /* activated by personalisation */
		return JY_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(members) && err == JY_OK; i++) {
		err = seal_set_member(
		    run, members[i].column, members[i].value, ec);
	}
	if (err == JY_OK) {
		err = tts_keys(run, object, ec);
	}
	if (err == JY_OK) {
		err = set_nonce(run, SEAL_JOIN_NONCE,
		    json_object_get(object, "last_join_nonce"), ec);
	}
	return err == JY_OK
	    ? set_highest(run, json_object_get(object, "used_dev_nonces"),
		  json_object_get(object, "last_dev_nonce"), ec)
	    : err;
}

/* ---- ChirpStack ---- */

/* Where its members may be: in the object, or in one of these in it. */
static const char *const cs_parts[] = { "device", "device_keys", "deviceKeys",
	"keys", "device_profile", "deviceProfile" };

static json_t *
cs_member(const json_t *object, const char *snake, const char *camel)
{
	json_t *found = json_object_get(object, snake);

	if (found == NULL) {
		found = json_object_get(object, camel);
	}
	for (size_t i = 0; i < ARRAY_LEN(cs_parts) && found == NULL; i++) {
		const json_t *part = json_object_get(object, cs_parts[i]);

		found = json_object_get(part, snake);
		if (found == NULL) {
			found = json_object_get(part, camel);
		}
	}
	return found;
}

/* Where ChirpStack has no key it writes zeros. */
static bool
is_zeros(const json_t *value)
{
	const char *text = json_string_value(value);

	return text == NULL || text[strspn(text, "0")] == '\0';
}

static enum jy_err
cs_keys(struct seal_run *run, const json_t *object, struct errctx *ec)
{
	const json_t *nwk = cs_member(object, "nwk_key", "nwkKey");
	const json_t *app = cs_member(object, "app_key", "appKey");
	enum jy_err err;

	if (run->device->d.mac_version == LW_VERSION_NONE) {
		return err_set(ec, JY_EINVAL,
		    "there is no MAC version, which says whether nwk_key is "
		    "the AppKey of 1.0; --mac-version gives it");
	}
	if (!lw_version_is_1_1(run->device->d.mac_version)) {
		return seal_set_member(run, SEAL_APP_KEY, nwk, ec);
	}
	err = seal_set_member(run, SEAL_NWK_KEY, nwk, ec);
	return err == JY_OK && !is_zeros(app)
	    ? seal_set_member(run, SEAL_APP_KEY, app, ec)
	    : err;
}

enum jy_err
seal_chirpstack(
    struct seal_run *run, const json_t *object, bool *skip, struct errctx *ec)
{
	const struct {
		enum seal_column column;
		const json_t *value;
	} members[] = {
		{ SEAL_JOIN_EUI, cs_member(object, "join_eui", "joinEui") },
		{ SEAL_DEV_EUI, cs_member(object, "dev_eui", "devEui") },
		{ SEAL_MAC_VERSION,
		    cs_member(object, "mac_version", "macVersion") },
		{ SEAL_APP,
		    cs_member(object, "application_name", "applicationName") },
	};
	const json_t *device = json_object_get(object, "device");
	enum jy_err err = JY_OK;

	/* A profile has a name, too. */
	if (device == NULL) {
		device = object;
	}
	*skip =
	    json_is_false(cs_member(object, "supports_otaa", "supportsOtaa"));
	if (*skip) {
		return JY_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(members) && err == JY_OK; i++) {
		err = seal_set_member(
		    run, members[i].column, members[i].value, ec);
	}
	if (err == JY_OK) {
		err = seal_set_member(
		    run, SEAL_NAME, json_object_get(device, "name"), ec);
	}
	if (err == JY_OK) {
		err = cs_keys(run, object, ec);
	}
	if (err == JY_OK) {
		err = set_nonce(run, SEAL_JOIN_NONCE,
		    cs_member(object, "join_nonce", "joinNonce"), ec);
	}
	return err == JY_OK
	    ? set_highest(
		  run, cs_member(object, "dev_nonces", "devNonces"), NULL, ec)
	    : err;
}

/* ---- whose ---- */

enum seal_format
seal_guess(const json_t *object)
{
	if (json_object_get(object, "ids") != NULL) {
		return SEAL_TTS;
	}
	for (size_t i = 0; i < ARRAY_LEN(cs_parts); i++) {
		if (json_is_object(json_object_get(object, cs_parts[i]))) {
			return SEAL_CHIRPSTACK;
		}
	}
	return json_object_get(object, "devEui") != NULL ? SEAL_CHIRPSTACK
							 : SEAL_JSONL;
}
