/* SPDX-License-Identifier: Apache-2.0 */
/* A device of an input: values as text, taken apart and judged. */
#include <string.h>
#include <strings.h>

#include "src/lorawan/frame.h"
#include "tools/ctl_seal.h"

static const char *const column_names[] = {
#define X(id, name, option) name,
#include "tools/ctl_seal.def"
#undef X
};

/* A value, and where it goes. */
struct value {
	const char *name;
	const char *text;
	size_t len;
};

/* ---- values ---- */

static bool
all_digits(const char *text, size_t len, bool hexadecimal)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if ((c < '0' || c > '9') &&
		    (!hexadecimal ||
			((c < 'a' || c > 'f') && (c < 'A' || c > 'F')))) {
			return false;
		}
	}
	return true;
}

static enum jy_err
take_eui(const struct value *v, struct eui64 *out, bool *has, struct errctx *ec)
{
	char text[24] = "";

	if (v->len < sizeof(text)) {
		memcpy(text, v->text, v->len);
	}
	if (!eui64_parse(text, out)) {
		return err_set(ec, JY_EINVAL,
		    "%s is not 16 hexadecimal digits, '-' or ':' between "
		    "octets allowed",
		    v->name);
	}
	*has = true;
	return JY_OK;
}

static enum jy_err
take_key(const struct value *v, uint8_t out[16], bool *has, struct errctx *ec)
{
	if ((v->len == 48 || v->len == 64) &&
	    all_digits(v->text, v->len, true)) {
		return err_set(ec, JY_EINVAL,
		    "%s has %zu octets; root keys of LoRaWAN have 16", v->name,
		    v->len / 2);
	}
	if (v->len != 32) {
		return err_set(ec, JY_EINVAL,
		    "%s is not 32 hexadecimal digits, it has %zu characters",
		    v->name, v->len);
	}
	if (!hex_parse(v->text, v->len, out, 16)) {
		return err_set(ec, JY_EINVAL,
		    "%s has something that is no hexadecimal digit", v->name);
	}
	*has = true;
	return JY_OK;
}

/* "1.0.3", and as The Things Stack and ChirpStack write it. */
static enum jy_err
take_version(const struct value *v, enum lw_version *out, struct errctx *ec)
{
	static const char *const prefixes[] = { "MAC_V", "LORAWAN_" };
	char text[24] = "";
	char *p = text;

	if (v->len < sizeof(text)) {
		memcpy(text, v->text, v->len);
	}
	if (strcmp(text, "-") == 0) {
		*out = LW_VERSION_NONE;
		return JY_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
			p = text + strlen(prefixes[i]);
		}
	}
	for (char *c = p; p != text && *c != '\0'; c++) {
		*c = *c == '_' ? '.' : *c;
	}
	if (!lw_version_parse(p, out)) {
		return err_set(ec, JY_EINVAL,
		    "%s is none of 1.0.0 to 1.0.4, 1.1.0, MAC_V1_0_3 or "
		    "LORAWAN_1_0_3 and their like",
		    v->name);
	}
	return JY_OK;
}

/* A key in a wrong column must not be written in clear as a name. */
static enum jy_err
take_text(const struct value *v, char *out, size_t max, struct errctx *ec)
{
	if (v->len >= 32 && all_digits(v->text, v->len, true)) {
		return err_set(ec, JY_EINVAL,
		    "%s has nothing but hexadecimal digits and could be a key; "
		    "are columns mixed up?",
		    v->name);
	}
	if (memchr(v->text, '\0', v->len) != NULL || v->len > max) {
		return err_set(ec, JY_EINVAL, "%s is longer than %zu octets",
		    v->name, max);
	}
	memcpy(out, v->text, v->len);
	out[v->len] = '\0';
	if (!keyfile_text_ok(out, max)) {
		return err_set(ec, JY_EINVAL,
		    "%s is not UTF-8, or has control characters", v->name);
	}
	return JY_OK;
}

static enum jy_err
take_number(
    const struct value *v, uint32_t max, uint32_t *out, struct errctx *ec)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->len && i < 10; i++) {
		n = n * 10 + (uint64_t)(v->text[i] - '0');
	}
	if (!all_digits(v->text, v->len, false) || v->len > 9 || n > max) {
		return err_set(ec, JY_EINVAL, "%s is no number from 0 to %u",
		    v->name, max);
	}
	*out = (uint32_t)n;
	return JY_OK;
}

static bool
value_is(const struct value *v, const char *text)
{
	return v->len == strlen(text) &&
	    strncasecmp(v->text, text, v->len) == 0;
}

static enum jy_err
take_yes(const struct value *v, bool *out, struct errctx *ec)
{
	if (value_is(v, "yes") || value_is(v, "true")) {
		*out = true;
	} else if (value_is(v, "no") || value_is(v, "false")) {
		*out = false;
	} else {
		return err_set(
		    ec, JY_EINVAL, "%s is neither yes nor no", v->name);
	}
	return JY_OK;
}

static enum jy_err
take_v10_root(
    const struct value *v, enum keyfile_v10_root *out, struct errctx *ec)
{
	enum keyfile_v10_root root = value_is(v, "nwk") ? KEYFILE_V10_ROOT_NWK
	    : value_is(v, "app")                        ? KEYFILE_V10_ROOT_APP
	    : value_is(v, "default") ? KEYFILE_V10_ROOT_DEFAULT
				     : KEYFILE_V10_ROOT_ABSENT;

	if (root == KEYFILE_V10_ROOT_ABSENT) {
		return err_set(ec, JY_EINVAL,
		    "%s is none of nwk, app and default", v->name);
	}
	*out = root;
	return JY_OK;
}

static enum jy_err
take_net_id(const struct value *v, struct keyfile_device *d, struct errctx *ec)
{
	uint8_t b[3];

	if (d->net_id_count == STORE_NET_IDS_MAX) {
		return err_set(ec, JY_EINVAL, "%s: more than %d NetIDs",
		    v->name, STORE_NET_IDS_MAX);
	}
	if (!hex_parse(v->text, v->len, b, sizeof(b))) {
		return err_set(ec, JY_EINVAL,
		    "%s is not 6 hexadecimal digits, or several of them",
		    v->name);
	}
	d->net_ids[d->net_id_count++] =
	    (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
	return JY_OK;
}

static enum jy_err
take_net_ids(
    const struct value *v, struct seal_device *device, struct errctx *ec)
{
	struct value one = *v;
	enum jy_err err = JY_OK;
	size_t at = 0;

	if (device->net_ids_are_default) {
		device->net_ids_are_default = false;
		device->d.net_id_count = 0;
	}
	while (at < v->len && err == JY_OK) {
		one.text = v->text + at;
		for (one.len = 0; at + one.len < v->len &&
		     strchr(" ;", one.text[one.len]) == NULL;
		     one.len++) {
		}
		at += one.len + 1;
		if (one.len > 0) {
			err = take_net_id(&one, &device->d, ec);
		}
	}
	return err;
}

static enum jy_err
take_dev_nonce(
    const struct value *v, struct keyfile_device *d, struct errctx *ec)
{
	uint32_t n = 0;
	enum jy_err err = take_number(v, UINT16_MAX, &n, ec);

	if (err == JY_OK) {
		d->dev_nonce = (uint16_t)n;
		d->has_dev_nonce = true;
	}
	return err;
}

static enum jy_err
take_join_nonce(
    const struct value *v, struct keyfile_device *d, struct errctx *ec)
{
	enum jy_err err = take_number(v, LW_JOIN_NONCE_MAX, &d->join_nonce, ec);

	d->has_join_nonce = err == JY_OK;
	return err;
}

static enum jy_err
take_resets(const struct value *v, struct keyfile_device *d, struct errctx *ec)
{
	enum jy_err err = take_yes(v, &d->resets_join_nonces, ec);

	d->has_resets_join_nonces = err == JY_OK;
	return err;
}

#define TEXT(field) take_text(&v, d->field, sizeof(d->field) - 1, ec)

enum jy_err
seal_device_set(struct seal_device *device, enum seal_column column,
    const char *text, size_t len, struct errctx *ec)
{
	struct value v = { column_names[column], text, len };
	struct keyfile_device *d = &device->d;

	if (len == 0) {
		return JY_OK;
	}
	switch (column) {
	case SEAL_JOIN_EUI:
		return take_eui(&v, &d->join_eui, &device->has_join_eui, ec);
	case SEAL_DEV_EUI:
		return take_eui(&v, &d->dev_eui, &device->has_dev_eui, ec);
	case SEAL_MAC_VERSION:
		return take_version(&v, &d->mac_version, ec);
	case SEAL_NWK_KEY:
		return take_key(&v, device->nwk, &device->has_nwk, ec);
	case SEAL_APP_KEY:
		return take_key(&v, device->app, &device->has_app, ec);
	case SEAL_NET_ID:
		return take_net_ids(&v, device, ec);
	case SEAL_AS_ID:
		return TEXT(as_id);
	case SEAL_NS_KEK:
		return TEXT(ns_kek);
	case SEAL_AS_KEK:
		return TEXT(as_kek);
	case SEAL_APP:
		return TEXT(app_name);
	case SEAL_NAME:
		return TEXT(device_name);
	case SEAL_V10_ROOT:
		return take_v10_root(&v, &d->v10_root, ec);
	case SEAL_RESETS:
		return take_resets(&v, d, ec);
	case SEAL_JOIN_NONCE:
		return take_join_nonce(&v, d, ec);
	case SEAL_DEV_NONCE:
		return take_dev_nonce(&v, d, ec);
	case SEAL_COLUMN_COUNT:
		break;
	}
	return JY_OK;
}

/* ---- the whole ---- */

/*
 * Keys that stand in specifications, example code and manuals, beside those
 * with all octets equal.  Who knows the EUI, which is on air, has such a key.
 */
static const struct {
	const char *where;
	uint8_t key[17]; /* and a NUL */
} known_keys[] = {
	{ "counts up from 0",
	    "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e"
	    "\x0f" },
	{ "counts up from 1",
	    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
	    "\x10" },
	{ "counts down to 0",
	    "\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\x06\x05\x04\x03\x02\x01"
	    "\x00" },
	{ "is the example of The Things Stack's manual",
	    "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07"
	    "\x08" },
	{ "is the example of FIPS 197, RFC 4493 and LoRaMac-node",
	    "\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f"
	    "\x3c" },
	{ "counts 00 11 22 ... ff",
	    "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee"
	    "\xff" },
	{ "counts ff ee dd ... 00",
	    "\xff\xee\xdd\xcc\xbb\xaa\x99\x88\x77\x66\x55\x44\x33\x22\x11"
	    "\x00" },
	{ "repeats 0123456789abcdef",
	    "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd"
	    "\xef" },
	{ "is 0123456789abcdef there and back",
	    "\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32"
	    "\x10" },
	{ "repeats 1122334455667788",
	    "\x11\x22\x33\x44\x55\x66\x77\x88\x11\x22\x33\x44\x55\x66\x77"
	    "\x88" },
	{ "is a board maker's default",
	    "\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x88\x66"
	    "\x01" },
	{ "repeats deadbeef",
	    "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe"
	    "\xef" },
};

/* What makes the key weak; NULL if nothing does. */
static const char *
weakness(const uint8_t key[16])
{
	uint8_t differs = 0;

	for (size_t i = 1; i < 16; i++) {
		differs |= (uint8_t)(key[i] ^ key[0]);
	}
	if (differs == 0) {
		return key[0] == 0 ? "is all zero" : "has all octets equal";
	}
	for (size_t i = 0; i < ARRAY_LEN(known_keys); i++) {
		if (secret_eq(key, known_keys[i].key, 16)) {
			return known_keys[i].where;
		}
	}
	return NULL;
}

static enum jy_err
check_weak(const char *name, bool has, const uint8_t key[16], struct errctx *ec)
{
	const char *why = has ? weakness(key) : NULL;

	if (why != NULL) {
		return err_set(
		    ec, JY_EINVAL, "%s is a weak key: it %s", name, why);
	}
	return JY_OK;
}

enum jy_err
seal_device_check(
    const struct seal_device *device, bool allow_weak, struct errctx *ec)
{
	enum jy_err err;

	if (!device->has_dev_eui || !device->has_join_eui) {
		return err_set(ec, JY_EINVAL, "there is no %s",
		    device->has_dev_eui ? "join_eui" : "dev_eui");
	}
	if (!device->has_nwk && !device->has_app) {
		return err_set(ec, JY_EINVAL, "there is no key");
	}
	if (lw_version_is_1_1(device->d.mac_version) &&
	    (!device->has_nwk || !device->has_app)) {
		return err_set(ec, JY_EINVAL,
		    "there is no %s, and 1.1 needs both",
		    device->has_nwk ? "app_key" : "nwk_key");
	}
	if (device->d.device_name[0] != '\0' && device->d.app_name[0] == '\0') {
		return err_set(ec, JY_EINVAL,
		    "the device has a name, \"%s\", and no application (app): "
		    "give it one with --app, or take the name away",
		    device->d.device_name);
	}
	if (allow_weak) {
		return JY_OK;
	}
	err = check_weak("nwk_key", device->has_nwk, device->nwk, ec);
	return err == JY_OK
	    ? check_weak("app_key", device->has_app, device->app, ec)
	    : err;
}
