/* SPDX-License-Identifier: Apache-2.0 */
/* joinery.conf: whether the values have sense, and go with each other. */
#include "src/conf/check.h"

#include <netinet/in.h>

#include <arpa/inet.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/hex.h"
#include "src/base/log.h"
#include "src/base/prefix.h"
#include "src/conf/admin.h"

static enum jy_err fault(const struct conf_loading *ld, enum conf_option option,
    const char *fmt, ...) JY_PRINTF(3, 4);

/* Refuse the value of an option, with the line where it was set. */
static enum jy_err
fault(const struct conf_loading *ld, enum conf_option option, const char *fmt,
    ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (ld->lines[option] == 0) {
		return err_set(ld->ec, JY_ECONFIG, "%s: %s: %s", ld->path,
		    conf_option_name(option), text);
	}
	return err_set(ld->ec, JY_ECONFIG, "%s:%d: %s: %s", ld->path,
	    ld->lines[option], conf_option_name(option), text);
}

/* ---- where to listen ---- */

/* An address and a port: "1.2.3.4:443", "[::1]:443". */
static enum jy_err
check_address(
    const struct conf_loading *ld, enum conf_option option, const char *value)
{
	const char *port = strrchr(value, ':');
	char *end = NULL;
	unsigned long n;

	if (port == NULL || port == value || port[1] < '0' || port[1] > '9') {
		return fault(
		    ld, option, "write it as address:port or [address]:port");
	}
	n = strtoul(port + 1, &end, 10);
	if (*end != '\0' || n < 1 || n > 65535) {
		return fault(
		    ld, option, "port %s is not within 1 to 65535", port + 1);
	}
	return JY_OK;
}

/* Of address:port, whether the address is one of this host alone. */
static bool
is_loopback(const char *value)
{
	size_t len = (size_t)(strrchr(value, ':') - value);
	char text[INET_ADDRSTRLEN];
	struct in_addr v4;

	if (len == 5 && memcmp(value, "[::1]", len) == 0) {
		return true;
	}
	if (len >= sizeof(text)) {
		return false;
	}
	memcpy(text, value, len);
	text[len] = '\0';
	return inet_pton(AF_INET, text, &v4) == 1 &&
	    ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* What comes without TLS comes from this host. */
static enum jy_err
check_plain(const struct conf_loading *ld, const char *value)
{
	enum jy_err err;

	if (value[0] == '\0' || value[0] == '/') {
		return JY_OK;
	}
	err = check_address(ld, OPTION_bi_plain_listen, value);
	if (err == JY_OK && !is_loopback(value)) {
		err = fault(ld, OPTION_bi_plain_listen,
		    "plain HTTP is for an address of 127.0.0.0/8, for [::1] or "
		    "for /a/path; use bi-listen");
	}
	return err;
}

static enum jy_err
check_listeners(const struct conf_loading *ld, const struct conf *conf)
{
	enum jy_err err = JY_OK;

	if (conf->socket[0] == '\0' && conf->tls_listen[0] == '\0' &&
	    conf->bi_listen[0] == '\0' && conf->bi_plain_listen[0] == '\0') {
		return fault(ld, OPTION_socket,
		    "name a socket, tls-listen, bi-listen or bi-plain-listen, "
		    "else nobody can ask");
	}
	if (conf->tls_listen[0] != '\0') {
		err = check_address(ld, OPTION_tls_listen, conf->tls_listen);
	}
	if (err == JY_OK && conf->bi_listen[0] != '\0') {
		err = check_address(ld, OPTION_bi_listen, conf->bi_listen);
	}
	return err == JY_OK ? check_plain(ld, conf->bi_plain_listen) : err;
}

/*
 * The three files of TLS stand together for those who come with TLS.  Behind
 * bi-plain-listen some may stand alone: for answers to the URLs of peers.
 */
static enum jy_err
check_tls_files(const struct conf_loading *ld, const struct conf *conf)
{
	const struct {
		enum conf_option option;
		const char *value;
	} files[] = {
		{ OPTION_tls_certificate, conf->tls_certificate },
		{ OPTION_tls_key, conf->tls_key },
		{ OPTION_tls_client_ca, conf->tls_client_ca },
	};
	const char *needs = conf->tls_listen[0] != '\0' ? "tls-listen"
	    : conf->bi_listen[0] != '\0'                ? "bi-listen"
							: NULL;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		bool named = files[i].value[0] != '\0';

		if (needs != NULL && !named) {
			return fault(ld, files[i].option, "%s needs it", needs);
		}
		if (needs == NULL && named &&
		    conf->bi_plain_listen[0] == '\0') {
			return fault(ld, files[i].option,
			    "has no use without tls-listen, bi-listen or "
			    "bi-plain-listen");
		}
	}
	/* A certificate is shown with its key or not at all. */
	if ((conf->tls_certificate[0] != '\0') != (conf->tls_key[0] != '\0')) {
		return conf->tls_key[0] == '\0'
		    ? fault(ld, OPTION_tls_key, "tls-certificate needs it")
		    : fault(ld, OPTION_tls_certificate, "tls-key needs it");
	}
	return JY_OK;
}

/* ---- reverse proxies ---- */

static bool
is_address(const char *text)
{
	struct in6_addr addr; /* room for both */

	return inet_pton(AF_INET, text, &addr) == 1 ||
	    inet_pton(AF_INET6, text, &addr) == 1;
}

static enum jy_err
check_proxies(const struct conf_loading *ld, const struct conf *conf)
{
	/* Of the tokens of RFC 9110, what header names are made of. */
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789-";
	const char *header = conf->bi_proxy_header;

	for (size_t i = 0; i < conf->bi_proxies.count; i++) {
		const char *text = conf->bi_proxies.items[i];

		if (strcmp(text, "unix") != 0 && !is_address(text)) {
			return fault(ld, OPTION_bi_proxies,
			    "'%s' is neither a numeric address nor unix", text);
		}
	}
	if (header[0] == '\0' || header[strspn(header, letters)] != '\0') {
		return fault(ld, OPTION_bi_proxy_header,
		    "'%s' is no name of a header: letters, digits and -",
		    header);
	}
	return JY_OK;
}

/* ---- the rest ---- */

static enum jy_err
check_join_euis(const struct conf_loading *ld, const struct conf *conf)
{
	const char *text = conf->default_join_eui;
	struct eui64_prefix prefix;
	uint8_t octets[8];

	for (size_t i = 0; i < conf->join_euis.count; i++) {
		if (!eui64_prefix_parse(conf->join_euis.items[i], &prefix)) {
			return fault(ld, OPTION_join_euis,
			    "'%s' is no prefix; write 16 hexadecimal digits, "
			    "a slash and the number of bits, with no bit set "
			    "behind them",
			    conf->join_euis.items[i]);
		}
	}
	if (text[0] != '\0' &&
	    !hex_parse(text, strlen(text), octets, sizeof(octets))) {
		return fault(ld, OPTION_default_join_eui,
		    "'%s' is not 16 hexadecimal digits", text);
	}
	return JY_OK;
}

static enum jy_err
check_admin_uids(const struct conf_loading *ld, const struct conf *conf)
{
	for (size_t i = 0; i < conf->admin_uids.count; i++) {
		uint32_t uid;

		if (!conf_uid_parse(conf->admin_uids.items[i], &uid)) {
			return fault(ld, OPTION_admin_uids,
			    "'%s' is not a user id; write its number",
			    conf->admin_uids.items[i]);
		}
	}
	return JY_OK;
}

static enum jy_err
check_token(const struct conf_loading *ld, const struct conf *conf)
{
	const char *query = strchr(conf->token_uri, '?');

	if (conf->token_uri[0] == '\0') {
		return fault(ld, OPTION_token_uri, "name the token");
	}
	if (strncmp(conf->token_uri, "pkcs11:", 7) != 0) {
		return fault(
		    ld, OPTION_token_uri, "does not begin with pkcs11:");
	}
	if (query != NULL && strcasestr(query, "pin-value") != NULL) {
		return fault(ld, OPTION_token_uri,
		    "a PIN does not belong here; put it in a file and write "
		    "pin-source=file:/path");
	}
	return JY_OK;
}

static enum jy_err
check_release_to(const struct conf_loading *ld, const struct conf *conf)
{
	uint8_t fingerprint[32];

	for (size_t i = 0; i < conf->release_to.count; i++) {
		const char *text = conf->release_to.items[i];

		if (!hex_parse(
			text, strlen(text), fingerprint, sizeof(fingerprint))) {
			return fault(ld, OPTION_release_to,
			    "'%s' is no fingerprint of an import key: 64 "
			    "hexadecimal digits",
			    text);
		}
	}
	return JY_OK;
}

/* Each session pins a few keys at a time. */
static enum jy_err
check_key_cache(const struct conf_loading *ld, const struct conf *conf)
{
	if (conf->key_cache == 0) {
		return JY_OK;
	}
	if (conf->key_cache < CONF_KEY_CACHE_MIN) {
		return fault(ld, OPTION_key_cache,
		    "%" PRId64 " is neither 0 nor %d or more", conf->key_cache,
		    CONF_KEY_CACHE_MIN);
	}
	if (conf->key_cache < 4 * conf->sessions) {
		return fault(ld, OPTION_key_cache,
		    "%" PRId64 " is less than 4 for each of %" PRId64
		    " sessions",
		    conf->key_cache, conf->sessions);
	}
	return JY_OK;
}

/* Options whose value is one of a few words. */
static enum jy_err
check_words(const struct conf_loading *ld, const struct conf *conf)
{
	const struct {
		enum conf_option option;
		const char *value;
		const char *words[4];
	} choices[] = {
		{ OPTION_bi_client_certificate, conf->bi_client_certificate,
		    { "required", "optional" } },
		{ OPTION_app_s_key, conf->app_s_key, { "yes", "no", "auto" } },
		{ OPTION_custody, conf->custody, { "resident", "wrapped" } },
		{ OPTION_rejoin_mic, conf->rejoin_mic, { "check", "ns" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		const char *const *words = choices[i].words;
		size_t n = 0;

		while (words[n] != NULL &&
		    strcmp(words[n], choices[i].value) != 0) {
			n++;
		}
		if (words[n] == NULL) {
			return fault(ld, choices[i].option,
			    "'%s' is none of %s, %s%s%s", choices[i].value,
			    words[0], words[1], words[2] != NULL ? ", " : "",
			    words[2] != NULL ? words[2] : "");
		}
	}
	return JY_OK;
}

static enum jy_err
check_misc(const struct conf_loading *ld, const struct conf *conf)
{
	enum log_level level;

	if (!log_level_parse(conf->log_level, &level)) {
		return fault(ld, OPTION_log_level,
		    "'%s' is none of error, warn, notice, info, debug",
		    conf->log_level);
	}
	if (conf->store[0] == '\0') {
		return fault(ld, OPTION_store, "name a directory");
	}
	return JY_OK;
}

enum jy_err
conf_check(const struct conf_loading *ld, const struct conf *conf)
{
	static enum jy_err (*const checks[])(
	    const struct conf_loading *, const struct conf *) = {
		check_listeners,
		check_tls_files,
		check_proxies,
		check_join_euis,
		check_admin_uids,
		check_token,
		check_release_to,
		check_key_cache,
		check_words,
		check_misc,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		enum jy_err err = checks[i](ld, conf);

		if (err != JY_OK) {
			return err;
		}
	}
	return JY_OK;
}
