/* SPDX-License-Identifier: Apache-2.0 */
/* What an option must be like that is not told by a range. */
#include "src/conf/check.h"

#include <arpa/inet.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/prefix.h"
#include "src/conf/admin.h"

#define HOST_MAX 64

static bool refuse(struct conf_fault *fault, enum conf_option option,
    const char *fmt, ...) JY_PRINTF(3, 4);

/* Always false, for the caller to return. */
static bool
refuse(struct conf_fault *fault, enum conf_option option, const char *fmt, ...)
{
	va_list ap;

	fault->option = option;
	va_start(ap, fmt);
	(void)vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- where to listen ---- */

/* An address and a port; whether the address is one, listening tells. */
static bool
check_tcp(enum conf_option option, const char *where, struct conf_fault *fault)
{
	const char *port = strrchr(where, ':');
	char *end = NULL;
	unsigned long n;

	if (port == NULL || port == where || port[1] < '0' || port[1] > '9') {
		return refuse(fault, option,
		    "write it as address:port or [address]:port");
	}
	n = strtoul(port + 1, &end, 10);
	if (*end != '\0' || n < 1 || n > 65535) {
		return refuse(fault, option, "port %s is not within 1 to 65535",
		    port + 1);
	}
	return true;
}

/* An address that other hosts cannot reach; where has a port. */
static bool
is_loopback(const char *where)
{
	bool brackets = where[0] == '[';
	const char *first = where + (brackets ? 1 : 0);
	const char *end = strrchr(where, ':') - (brackets ? 1 : 0);
	char host[HOST_MAX];
	struct in6_addr v6;
	struct in_addr v4;

	if (end <= first || end - first >= (ptrdiff_t)sizeof(host) ||
	    (brackets && *end != ']')) {
		return false;
	}
	memcpy(host, first, (size_t)(end - first));
	host[end - first] = '\0';
	if (inet_pton(AF_INET, host, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127;
	}
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Plain HTTP: only where the reverse proxy on this host can come. */
static bool
check_plain(const char *where, struct conf_fault *fault)
{
	if (where[0] == '/') {
		return true;
	}
	if (!check_tcp(OPTION_bi_plain_listen, where, fault)) {
		return false;
	}
	return is_loopback(where)
	    ? true
	    : refuse(fault, OPTION_bi_plain_listen,
		  "plain HTTP is for a loopback address or, as a path that "
		  "begins with /, for a Unix socket");
}

static bool
check_listeners(const struct conf *conf, struct conf_fault *fault)
{
	const struct {
		enum conf_option option;
		const char *where;
	} tcp[] = {
		{ OPTION_tls_listen, conf->tls_listen },
		{ OPTION_bi_listen, conf->bi_listen },
	};
	bool any = conf->socket[0] != '\0' || conf->bi_plain_listen[0] != '\0';

	for (size_t i = 0; i < ARRAY_LEN(tcp); i++) {
		if (tcp[i].where[0] == '\0') {
			continue;
		}
		any = true;
		if (!check_tcp(tcp[i].option, tcp[i].where, fault)) {
			return false;
		}
	}
	if (!any) {
		return refuse(fault, OPTION_socket,
		    "name a socket or something else to listen on, else "
		    "nobody can ask");
	}
	return conf->bi_plain_listen[0] == '\0' ||
	    check_plain(conf->bi_plain_listen, fault);
}

/* The three files of TLS stand together, and with a listener for it. */
static bool
check_tls_files(const struct conf *conf, struct conf_fault *fault)
{
	const struct {
		enum conf_option option;
		const char *value;
	} files[] = {
		{ OPTION_tls_certificate, conf->tls_certificate },
		{ OPTION_tls_key, conf->tls_key },
		{ OPTION_tls_client_ca, conf->tls_client_ca },
	};
	bool listening =
	    conf->tls_listen[0] != '\0' || conf->bi_listen[0] != '\0';

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		bool named = files[i].value[0] != '\0';

		if (listening && !named) {
			return refuse(fault, files[i].option, "%s needs it",
			    conf->tls_listen[0] != '\0' ? "tls-listen"
							: "bi-listen");
		}
		if (!listening && named) {
			return refuse(fault, files[i].option,
			    "has no use without tls-listen or bi-listen");
		}
	}
	return true;
}

/* ---- reverse proxies ---- */

static bool
is_address(const char *text)
{
	uint8_t octets[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, octets) == 1 ||
	    inet_pton(AF_INET6, text, octets) == 1;
}

/* RFC 9110, clause 5.6.2: what a header's name is made of. */
static bool
is_token(const char *text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (const char *c = text; *c != '\0'; c++) {
		if ((*c < '0' || *c > '9') && (*c < 'A' || *c > 'Z') &&
		    (*c < 'a' || *c > 'z') && strchr(others, *c) == NULL) {
			return false;
		}
	}
	return text[0] != '\0';
}

static bool
check_proxies(const struct conf *conf, struct conf_fault *fault)
{
	for (size_t i = 0; i < conf->bi_proxies.count; i++) {
		const char *text = conf->bi_proxies.items[i];

		if (strcmp(text, "unix") == 0) {
			if (conf->bi_plain_listen[0] != '/') {
				return refuse(fault, OPTION_bi_proxies,
				    "'unix' has no use unless bi-plain-listen "
				    "is a Unix socket");
			}
		} else if (!is_address(text)) {
			return refuse(fault, OPTION_bi_proxies,
			    "'%s' is neither a numeric address nor unix", text);
		}
	}
	if (conf->bi_proxies.count > 0 && conf->bi_listen[0] == '\0' &&
	    conf->bi_plain_listen[0] == '\0') {
		return refuse(fault, OPTION_bi_proxies,
		    "has no use without bi-plain-listen or bi-listen");
	}
	return is_token(conf->bi_proxy_header)
	    ? true
	    : refuse(fault, OPTION_bi_proxy_header,
		  "'%s' is not the name of an HTTP header",
		  conf->bi_proxy_header);
}

/* ---- JoinEUIs ---- */

static bool
check_join_euis(const struct conf *conf, struct conf_fault *fault)
{
	const char *text = conf->default_join_eui;
	struct eui64_prefix prefix;

	for (size_t i = 0; i < conf->join_euis.count; i++) {
		if (!eui64_prefix_parse(conf->join_euis.items[i], &prefix)) {
			return refuse(fault, OPTION_join_euis,
			    "'%s' is no prefix; write 16 digits, a slash and "
			    "the number of bits that count, the others 0",
			    conf->join_euis.items[i]);
		}
	}
	if (text[0] == '\0') {
		return true;
	}
	if (strchr(text, '/') != NULL || !eui64_prefix_parse(text, &prefix)) {
		return refuse(fault, OPTION_default_join_eui,
		    "'%s' is not 16 hexadecimal digits", text);
	}
	return conf->join_euis.count > 0
	    ? true
	    : refuse(fault, OPTION_default_join_eui,
		  "has no use without join-euis: all are served");
}

/* ---- the rest ---- */

static bool
check_admin_uids(const struct conf *conf, struct conf_fault *fault)
{
	for (size_t i = 0; i < conf->admin_uids.count; i++) {
		uint32_t uid;

		if (!conf_uid_parse(conf->admin_uids.items[i], &uid)) {
			return refuse(fault, OPTION_admin_uids,
			    "'%s' is not a user id; write its number",
			    conf->admin_uids.items[i]);
		}
	}
	return true;
}

static bool
check_token(const struct conf *conf, struct conf_fault *fault)
{
	const char *query = strchr(conf->token_uri, '?');

	if (conf->token_uri[0] == '\0') {
		return refuse(fault, OPTION_token_uri, "name the token");
	}
	if (strncmp(conf->token_uri, "pkcs11:", 7) != 0) {
		return refuse(
		    fault, OPTION_token_uri, "does not begin with pkcs11:");
	}
	if (query != NULL && strcasestr(query, "pin-value") != NULL) {
		return refuse(fault, OPTION_token_uri,
		    "a PIN does not belong here; put it in a file and write "
		    "pin-source=file:/path");
	}
	return true;
}

/* Each session pins a few keys at a time. */
static bool
check_key_cache(const struct conf *conf, struct conf_fault *fault)
{
	return conf->key_cache >= 4 * conf->sessions
	    ? true
	    : refuse(fault, OPTION_key_cache,
		  "%" PRId64 " is less than 4 for each of %" PRId64 " sessions",
		  conf->key_cache, conf->sessions);
}

/* One of the words of a list like "yes, no, auto". */
static bool
is_word_of(const char *word, const char *list)
{
	size_t len = strlen(word);

	for (const char *p = list; *p != '\0'; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ",");

		if (n == len && memcmp(p, word, n) == 0) {
			return true;
		}
		p += n;
	}
	return false;
}

static bool
check_words(const struct conf *conf, struct conf_fault *fault)
{
	const struct {
		enum conf_option option;
		const char *value;
		const char *words;
	} words[] = {
		{ OPTION_app_s_key, conf->app_s_key, "yes, no, auto" },
		{ OPTION_bi_client_certificate, conf->bi_client_certificate,
		    "required, optional" },
		{ OPTION_rejoin_mic, conf->rejoin_mic, "check, ns" },
		{ OPTION_log_level, conf->log_level,
		    "error, warn, notice, info, debug" },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!is_word_of(words[i].value, words[i].words)) {
			return refuse(fault, words[i].option,
			    "'%s' is none of %s", words[i].value,
			    words[i].words);
		}
	}
	return conf->store[0] != '\0'
	    ? true
	    : refuse(fault, OPTION_store, "name a directory");
}

bool
conf_check(const struct conf *conf, struct conf_fault *fault)
{
	static bool (*const checks[])(
	    const struct conf *, struct conf_fault *) = {
		check_listeners,
		check_tls_files,
		check_proxies,
		check_admin_uids,
		check_token,
		check_key_cache,
		check_join_euis,
		check_words,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (!checks[i](conf, fault)) {
			return false;
		}
	}
	return true;
}
