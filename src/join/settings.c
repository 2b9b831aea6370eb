/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applications and peers as admins change them, and what their settings and
 * those of devices must be like.
 */
#include "src/join/settings.h"

#include <string.h>

#include "src/join/registry.h"

enum jy_err
settings_check_kek(struct store *store, const char *label, struct errctx *ec)
{
	struct kek_set set;
	enum jy_err err;

	if (label[0] == '\0') {
		return JY_OK;
	}
	err = store_kek_get(store, label, &set, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(
		    ec, JY_EKEK, "no KEK %s; import it first", label);
	}
	return err;
}

enum jy_err
settings_check_activation(
    struct store *store, const struct activation *a, struct errctx *ec)
{
	enum jy_err err;

	if (a->roaming_net_id_count > 0 && a->roaming != ROAMING_LISTED) {
		return err_set(ec, JY_EINVAL,
		    "roaming NetIDs are for roaming mode \"listed\" only");
	}
	err = settings_check_kek(store, a->ns_kek, ec);
	return err == JY_OK ? settings_check_kek(store, a->as_kek, ec) : err;
}

enum jy_err
registry_app_set(
    const struct join_env *env, const struct app_row *row, struct errctx *ec)
{
	enum jy_err err;

	if (row->name[0] == '\0') {
		return err_set(ec, JY_EINVAL, "an application needs a name");
	}
	err = settings_check_activation(env->store, &row->activation, ec);
	return err == JY_OK ? store_app_put(env->store, row, ec) : err;
}

/* ---- peers ---- */

static bool
is_ns(const struct peer_row *p)
{
	return peer_role_is(p->role, PEER_NS);
}

static bool
is_as(const struct peer_row *p)
{
	return peer_role_is(p->role, PEER_AS);
}

static bool
has_basic_hash(const struct peer_row *p)
{
	static const uint8_t none[STORE_HASH_LEN];

	return memcmp(p->basic_hash, none, sizeof(none)) != 0;
}

static bool
is_nameless(const struct peer_row *p)
{
	return p->name[0] == '\0';
}

static bool
is_roleless(const struct peer_row *p)
{
	return p->role == PEER_NONE;
}

static bool
proves_nothing(const struct peer_row *p)
{
	return p->cert_san[0] == '\0' && !p->has_fingerprint && !p->has_uid &&
	    !p->has_bearer && p->basic_user[0] == '\0' && !has_basic_hash(p);
}

static bool
has_half_basic(const struct peer_row *p)
{
	return (p->basic_user[0] != '\0') != has_basic_hash(p);
}

static bool
lacks_net_id(const struct peer_row *p)
{
	return is_ns(p) && p->net_id_count == 0;
}

static bool
lacks_as_id(const struct peer_row *p)
{
	return is_as(p) && p->as_id_count == 0;
}

static bool
has_foreign_net_ids(const struct peer_row *p)
{
	return !is_ns(p) && (p->net_id_count > 0 || p->ns_id_count > 0);
}

static bool
has_foreign_as_ids(const struct peer_row *p)
{
	return !is_as(p) && p->as_id_count > 0;
}

static bool
has_foreign_url(const struct peer_row *p)
{
	return p->answer_url[0] != '\0' && !is_ns(p) && !is_as(p);
}

/* Where the host begins, or NULL. */
static const char *
behind(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(url, scheme, len) == 0 ? url + len : NULL;
}

static bool
has_bad_url(const struct peer_row *p)
{
	const char *host = behind(p->answer_url, "https://");

	if (p->answer_url[0] == '\0') {
		return false;
	}
	if (host == NULL) {
		host = behind(p->answer_url, "http://");
	}
	if (host == NULL || host[0] == '\0' || host[0] == '/') {
		return true;
	}
	for (const char *c = host; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~') {
			return true;
		}
	}
	return false;
}

static bool
leaks_keys(const struct peer_row *p)
{
	return p->clear_keys && behind(p->answer_url, "http://") != NULL;
}

static bool
has_half_certificate(const struct peer_row *p)
{
	return (p->answer_cert[0] != '\0') != (p->answer_key[0] != '\0');
}

/* In the log an admin without a row is called "uid N". */
static bool
is_named_as_uid(const struct peer_row *p)
{
	return strncmp(p->name, "uid ", 4) == 0;
}

/* What a peer must not be; the first that holds is said. */
static const struct {
	bool (*holds)(const struct peer_row *p);
	const char *text;
} peer_faults[] = {
	{ is_nameless, "a peer needs a name" },
	{ is_named_as_uid, "a peer's name does not begin with \"uid \"" },
	{ is_roleless, "a peer needs a role" },
	{ proves_nothing,
	    "a peer needs a credential: certificate name, fingerprint, uid, "
	    "bearer token or basic user and password" },
	{ has_half_basic, "basic user and basic hash go together" },
	{ lacks_net_id, "a Network Server needs a NetID" },
	{ lacks_as_id, "an Application Server needs an AS-ID" },
	{ has_foreign_net_ids, "only a Network Server has NetIDs and NSIDs" },
	{ has_foreign_as_ids, "only an Application Server has AS-IDs" },
	{ has_foreign_url,
	    "only a Network or Application Server has an answer URL" },
	{ has_bad_url,
	    "an answer URL is https:// or http:// and host, in printable "
	    "ASCII without blanks" },
	{ leaks_keys, "keys in clear must not be answered to an http:// URL" },
	{ has_half_certificate,
	    "answer certificate and answer key go together" },
};

enum jy_err
registry_peer_set(
    const struct join_env *env, const struct peer_row *row, struct errctx *ec)
{
	enum jy_err err;

	for (size_t i = 0; i < ARRAY_LEN(peer_faults); i++) {
		if (peer_faults[i].holds(row)) {
			return err_set(
			    ec, JY_EINVAL, "%s", peer_faults[i].text);
		}
	}
	err = settings_check_kek(env->store, row->kek, ec);
	return err == JY_OK ? store_peer_put(env->store, row, ec) : err;
}
