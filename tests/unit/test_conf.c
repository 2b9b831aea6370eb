/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: defaults, every refusal with its line, round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/conf/admin.h"
#include "src/conf/conf.h"

#define FINGERPRINT \
	"0123456789abcdef0123456789ABCDEF" \
	"0123456789abcdef0123456789abcdef"
#define TOKEN "token-uri = 'pkcs11:token=t'\n"

/* Load a text as a worker does: from a memfd, through its descriptor. */
static enum jy_err
load(const char *text, struct conf **out, struct errctx *ec)
{
	int fd = memfd_create("joinery.conf", 0);
	enum jy_err err;
	char path[32];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	err = conf_load(path, out, ec);
	(void)close(fd);
	return err;
}

static struct conf *
load_ok(const char *text)
{
	struct errctx ec = ERRCTX_INIT;
	struct conf *conf = NULL;

	if (load(text, &conf, &ec) != JY_OK) {
		fail_msg("%s", ec.text);
	}
	return conf;
}

static void
test_defaults(void **state)
{
	struct conf *conf = load_ok(TOKEN);

	(void)state;
	assert_string_equal(conf->socket, "/run/joinery/joinery.sock");
	assert_int_equal(conf->socket_mode, 0660);
	assert_string_equal(conf->token_uri, "pkcs11:token=t");
	assert_int_equal(conf->admin_uids.count, 0);
	assert_int_equal(conf->worker_queue, 1024);
	assert_string_equal(conf->app_s_key, "auto");
	assert_string_equal(conf->bi_listen, "");
	assert_string_equal(conf->bi_plain_listen, "");
	assert_string_equal(conf->bi_client_certificate, "optional");
	assert_string_equal(conf->bi_proxy_header, "X-Joinery-Peer");
	assert_int_equal(conf->bi_proxies.count, 0);
	assert_int_equal(conf->bi_peer_connections, 64);
	assert_int_equal(conf->bi_answer_queue, 1024);
	assert_int_equal(conf->bi_answer_deadline_s, 10);
	assert_int_equal(conf->join_euis.count, 0);
	assert_string_equal(conf->default_join_eui, "");
	assert_string_equal(conf->rejoin_mic, "check");
	assert_int_equal(conf->repeat_window_ms, 10000);
	conf_free(conf);
	conf_free(NULL);
	conf_free(load_ok(TOKEN "sessions = 32\nkey-cache = 128\n"));
	conf = load_ok(TOKEN "sessions = 3\n");
	assert_int_equal(conf_key_cache(conf), 256);
	conf_free(conf);
	conf = load_ok(TOKEN "sessions = 256\n");
	assert_int_equal(conf_key_cache(conf), 2048);
	conf_free(conf);
	conf = load_ok(TOKEN "key-cache = 16\n");
	assert_int_equal(conf_key_cache(conf), 16);
	conf_free(conf);
}

static void
test_values(void **state)
{
	struct conf *conf = load_ok("# a comment\n" TOKEN "socket = ''\n"
				    "tls-listen = '[::1]:8443'\n"
				    "tls-certificate = a.pem\n"
				    "tls-key = b.pem\n"
				    "tls-client-ca = c.pem\n"
				    "socket-mode = 0600\n"
				    "session-lifetime = 4294967295\n"
				    "admin-uids = {'1000', '1001'}\n"
				    "app-s-key = no\n");

	(void)state;
	assert_int_equal(conf->socket_mode, 0600);
	assert_int_equal(conf->session_lifetime_s, 4294967295);
	assert_int_equal(conf->admin_uids.count, 2);
	assert_string_equal(conf->admin_uids.items[1], "1001");
	assert_string_equal(conf->tls_listen, "[::1]:8443");
	assert_string_equal(conf->app_s_key, "no");
	conf_free(conf);
}

static void
test_backend_interfaces(void **state)
{
	struct conf *conf = load_ok(
	    TOKEN "socket = ''\n"
		  "bi-listen = '[::]:8444'\n"
		  "bi-plain-listen = '/run/joinery/bi.sock'\n"
		  "bi-client-certificate = required\n"
		  "bi-proxies = {'127.0.0.1', '::1', unix}\n"
		  "bi-proxy-header = 'X-Peer-9'\n"
		  "bi-peer-connections = 65536\n"
		  "bi-answer-queue = 1\n"
		  "bi-answer-deadline = 600\n"
		  "tls-certificate = a.pem\n"
		  "tls-key = b.pem\n"
		  "tls-client-ca = c.pem\n"
		  "join-euis = {'70b3d57ed0000000/40', '0102030405060708'}\n"
		  "release-to = {'" FINGERPRINT "'}\n"
		  "default-join-eui = '70B3D57ED0000001'\n"
		  "rejoin-mic = ns\n"
		  "repeat-window = 0\n");

	(void)state;
	assert_string_equal(conf->bi_listen, "[::]:8444");
	assert_string_equal(conf->bi_plain_listen, "/run/joinery/bi.sock");
	assert_string_equal(conf->bi_client_certificate, "required");
	assert_int_equal(conf->bi_proxies.count, 3);
	assert_string_equal(conf->bi_proxies.items[2], "unix");
	assert_string_equal(conf->bi_proxy_header, "X-Peer-9");
	assert_int_equal(conf->bi_peer_connections, 65536);
	assert_int_equal(conf->bi_answer_queue, 1);
	assert_int_equal(conf->bi_answer_deadline_s, 600);
	assert_int_equal(conf->join_euis.count, 2);
	assert_string_equal(conf->default_join_eui, "70B3D57ED0000001");
	assert_string_equal(conf->rejoin_mic, "ns");
	assert_int_equal(conf->repeat_window_ms, 0);
	conf_free(conf);
}

/* Each listener alone will do, and what goes with a plain one. */
static void
test_listeners(void **state)
{
	static const char *const good[] = {
		"bi-plain-listen = '127.0.0.1:80'\n",
		"bi-plain-listen = '127.255.0.9:65535'\n",
		"bi-plain-listen = '[::1]:8080'\n",
		"bi-plain-listen = '/a:path'\n",
		"bi-plain-listen = '/s'\ntls-client-ca = c\n",
		"bi-plain-listen = '/s'\ntls-certificate = a\ntls-key = b\n",
		"bi-listen = '1.2.3.4:1'\ntls-certificate = a\n"
		"tls-key = b\ntls-client-ca = c\n",
		"tls-listen = '1.2.3.4:1'\ntls-certificate = a\n"
		"tls-key = b\ntls-client-ca = c\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[256];

		(void)snprintf(
		    text, sizeof(text), TOKEN "socket = ''\n%s", good[i]);
		conf_free(load_ok(text));
	}
}

static const struct {
	const char *text;
	const char *line; /* ":N:" or, without a line, ": " */
	const char *says;
} refusals[] = {
	{ TOKEN "\nsocket = 'a\n", ":", "" },
	{ TOKEN "nonsense = 1\n", ":2: ", "no such option" },
	{ TOKEN "sessions = many\n", ":2: ", "sessions" },
	{ TOKEN "sessions = 0\n", ":2: ", "not within 1 to 256" },
	{ TOKEN "\nsessions = 257\n", ":3: ", "not within 1 to 256" },
	{ TOKEN "sessions = 99999999999999999999\n", ":2: ", "sessions" },
	{ TOKEN "socket-mode = 01000\n", ":2: ", "socket-mode" },
	{ TOKEN "sessions = 1\nsessions = 2\n",
	    ":3: ", "already set in line 2" },
	{ TOKEN "sessions 1\n", ":2: ", "" },
	{ "sessions = 1\n", ": token-uri: ", "name the token" },
	{ "\ntoken-uri = 'softhsm'\n", ":2: ", "begin with pkcs11:" },
	{ "token-uri = 'pkcs11:token=t?pin-value=1234'\n",
	    ":1: ", "pin-source" },
	{ "token-uri = 'pkcs11:token=t?module-name=m&PIN-Value=1'\n",
	    ":1: ", "pin-source" },
	{ TOKEN "socket = ''\n", ":2: ", "nobody can ask" },
	{ TOKEN "tls-listen = 'here'\n", ":2: ", "address:port" },
	{ TOKEN "tls-listen = ':'\n", ":2: ", "address:port" },
	{ TOKEN "tls-listen = '1.2.3.4:'\n", ":2: ", "address:port" },
	{ TOKEN "tls-listen = '1.2.3.4:70000'\n", ":2: ", "65535" },
	{ TOKEN "tls-listen = '1.2.3.4:80x'\n", ":2: ", "65535" },
	{ TOKEN "tls-listen = '::1:443'\n",
	    ": tls-certificate: ", "tls-listen needs it" },
	{ TOKEN "tls-listen = '::1:443'\ntls-certificate = a\n"
		"tls-key = b\n",
	    ": tls-client-ca: ", "tls-listen needs it" },
	{ TOKEN "\n\ntls-key = b\n",
	    ":4: ", "without tls-listen, bi-listen or bi-plain-listen" },
	{ TOKEN "bi-listen = 'here'\n", ":2: bi-listen: ", "address:port" },
	{ TOKEN "bi-listen = '/run/bi'\n", ":2: bi-listen: ", "address:port" },
	{ TOKEN "bi-listen = '1.2.3.4:0'\n",
	    ":2: bi-listen: ", "port 0 is not within" },
	{ TOKEN "bi-listen = '1.2.3.4:443'\n",
	    ": tls-certificate: ", "bi-listen needs it" },
	{ TOKEN "bi-listen = '1.2.3.4:443'\ntls-certificate = a\n"
		"bi-plain-listen = '/s'\n",
	    ": tls-key: ", "bi-listen needs it" },
	{ TOKEN "bi-plain-listen = 'bi.sock'\n",
	    ":2: bi-plain-listen: ", "address:port" },
	{ TOKEN "bi-plain-listen = '127.0.0.1:80x'\n",
	    ":2: bi-plain-listen: ", "65535" },
	{ TOKEN "bi-plain-listen = '0.0.0.0:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = '128.0.0.1:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = '127.1:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = '[::]:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = '::1:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = 'localhost:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = 'joinery.example.org:80'\n",
	    ":2: bi-plain-listen: ", "127.0.0.0/8" },
	{ TOKEN "bi-plain-listen = '/s'\ntls-certificate = a\n",
	    ": tls-key: ", "tls-certificate needs it" },
	{ TOKEN "bi-plain-listen = '/s'\ntls-key = a\n",
	    ": tls-certificate: ", "tls-key needs it" },
	{ TOKEN "bi-client-certificate = maybe\n",
	    ":2: bi-client-certificate: ",
	    "'maybe' is none of required, optional" },
	{ TOKEN "bi-proxies = {'::1', 'proxy.example.org'}\n",
	    ":2: bi-proxies: ", "'proxy.example.org' is neither" },
	{ TOKEN "bi-proxies = {'10.0.0.0/8'}\n",
	    ":2: bi-proxies: ", "neither a numeric address nor unix" },
	{ TOKEN "bi-proxies = {'[::1]'}\n", ":2: bi-proxies: ", "" },
	{ TOKEN "bi-proxies = {''}\n", ":2: bi-proxies: ", "" },
	{ TOKEN "bi-proxy-header = ''\n",
	    ":2: bi-proxy-header: ", "no name of a header" },
	{ TOKEN "bi-proxy-header = 'X-Peer:'\n",
	    ":2: bi-proxy-header: ", "'X-Peer:' is no name" },
	{ TOKEN "bi-proxy-header = 'X Peer'\n",
	    ":2: bi-proxy-header: ", "letters, digits and -" },
	{ TOKEN "bi-peer-connections = 0\n", ":2: ", "not within 1 to 65536" },
	{ TOKEN "bi-answer-queue = 0\n", ":2: ", "not within 1 to 65536" },
	{ TOKEN "bi-answer-deadline = 601\n", ":2: ", "not within 1 to 600" },
	{ TOKEN "join-euis = {'70b3d57ed0000000/40', '70b3d5/24'}\n",
	    ":2: join-euis: ", "'70b3d5/24' is no prefix" },
	{ TOKEN "join-euis = {'70b3d57ed0000001/40'}\n",
	    ":2: join-euis: ", "no bit set behind" },
	{ TOKEN "join-euis = {'70b3d57ed0000000/65'}\n",
	    ":2: join-euis: ", "is no prefix" },
	{ TOKEN "release-to = {'" FINGERPRINT "', '" FINGERPRINT "0'}\n",
	    ":2: release-to: ", "is no fingerprint of an import key" },
	{ TOKEN "release-to = {'any'}\n",
	    ":2: release-to: ", "'any' is no fingerprint" },
	{ TOKEN "release-to = {''}\n", ":2: release-to: ", "64 hexadecimal" },
	{ TOKEN "default-join-eui = '70b3d57ed000000'\n",
	    ":2: default-join-eui: ", "16 hexadecimal digits" },
	{ TOKEN "default-join-eui = '70b3d57ed000000g'\n",
	    ":2: default-join-eui: ", "16 hexadecimal digits" },
	{ TOKEN "rejoin-mic = never\n",
	    ":2: rejoin-mic: ", "'never' is none of check, ns" },
	{ TOKEN "repeat-window = 600001\n", ":2: ", "0 to 600000" },
	{ TOKEN "admin-uids = {'0', 'root'}\n",
	    ":2: ", "'root' is not a user id" },
	{ TOKEN "admin-uids = {'-1'}\n", ":2: ", "not a user id" },
	{ TOKEN "admin-uids = {'4294967295'}\n", ":2: ", "not a user id" },
	{ TOKEN "sessions = 32\nkey-cache = 127\n",
	    ":3: ", "127 is less than 4 for each of 32 sessions" },
	{ TOKEN "key-cache = 15\n",
	    ":2: key-cache: ", "15 is neither 0 nor 16 or more" },
	{ TOKEN "log-level = loud\n", ":2: ", "'loud' is none of" },
	{ TOKEN "app-s-key = maybe\n", ":2: ", "yes, no, auto" },
	{ TOKEN "store = ''\n", ":2: ", "name a directory" },
};

static void
test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct errctx ec = ERRCTX_INIT;
		struct conf *conf = NULL;

		assert_int_equal(
		    load(refusals[i].text, &conf, &ec), JY_ECONFIG);
		assert_null(conf);
		if (strncmp(ec.text, "/dev/fd/", 8) != 0 ||
		    strstr(ec.text, refusals[i].line) == NULL ||
		    strstr(ec.text, refusals[i].says) == NULL) {
			fail_msg("%s -> %s", refusals[i].text, ec.text);
		}
	}
}

static void
test_files(void **state)
{
	struct errctx ec = ERRCTX_INIT;
	struct conf *conf = NULL;

	(void)state;
	assert_int_equal(
	    conf_load("/nonexistent/joinery.conf", &conf, &ec), JY_ECONFIG);
	assert_non_null(strstr(ec.text, "No such file"));
	ec = (struct errctx)ERRCTX_INIT;
	assert_int_equal(conf_load("/", &conf, &ec), JY_ECONFIG);
	assert_non_null(strstr(ec.text, "is a directory"));
	assert_int_equal(conf_load("/", &conf, NULL), JY_ECONFIG);
	assert_null(conf);
}

static char *
printed(const struct conf *conf)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	conf_print(conf, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void
test_round_trip(void **state)
{
	static const char odd[] = "a\"b'c\\d\\n${HOME}#e/*f*/\\\\ \xc3\xa9";
	struct conf *conf =
	    load_ok(TOKEN "workers = 3\nsocket-mode = 0640\n"
			  "token-require = {'a', 'b \\'c\\' \\\\', ''}\n");
	struct conf *again;
	char *first, *second;

	(void)state;
	free(conf->store);
	conf->store = strdup(odd);
	first = printed(conf);
	again = load_ok(first);
	second = printed(again);
	assert_string_equal(first, second);
	assert_string_equal(again->store, odd);
	assert_int_equal(again->socket_mode, 0640);
	assert_int_equal(again->token_require.count, 3);
	assert_string_equal(again->token_require.items[1], "b 'c' \\");
	assert_string_equal(again->token_require.items[2], "");
	assert_non_null(strstr(first, "socket-mode = 0640\n"));
	free(first);
	free(second);
	conf_free(conf);
	conf_free(again);
}

static void
test_admins(void **state)
{
	struct conf *conf = load_ok(TOKEN "admin-uids = {'4000'}\n");

	(void)state;
	assert_true(conf_uid_is_admin(conf, 0));
	assert_true(conf_uid_is_admin(conf, (uint32_t)geteuid()));
	assert_true(conf_uid_is_admin(conf, 4000));
	assert_false(conf_uid_is_admin(conf, 4001));
	conf_free(conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_backend_interfaces),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_admins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
