/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token layer when the token fails: every class of return value, through
 * tests/mock/p11_mock.so before SoftHSM.
 */
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "hsm/internal.h"
#include "src/base/sys.h"
#include "tests/unit/hsm_fixture.h"

static struct token token;
static char log_path[128];

static const uint8_t key_value[16] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2,
	0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c };
static const uint8_t block[16] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f,
	0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a };
static const uint8_t block_mic[4] = { 0x07, 0x0a, 0x16, 0xb4 };

/* What a test works with: an open token, a session, a key and a KEK. */
struct bench {
	struct hsm *hsm;
	struct hsm_session *s;
	struct hsm_key *root, *kek;
};

static void
script(const char *text)
{
	token_write(&token, "script", text, 0600);
	(void)unlink(log_path);
}

static unsigned
calls_of(const char *function)
{
	char line[64];
	unsigned n = 0;
	FILE *f = fopen(log_path, "r");

	if (f == NULL) {
		return 0;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		n += strcmp(line, function) == 0;
	}
	(void)fclose(f);
	return n;
}

static void
import_as(struct hsm *hsm, const char *name, enum hsm_template template)
{
	struct hsm_id id = id_of(name);
	struct errctx ec = ERRCTX_INIT;
	struct sealing s;
	enum jy_err err;

	seal_for(hsm, key_value, sizeof(key_value), &s);
	err = hsm_key_import(
	    hsm, &s.sealed, sizeof(key_value), template, &id, name, &ec);
	if (err != JY_OK) {
		print_error("import %s: %s\n", name, ec.text);
	}
	assert_int_equal(err, JY_OK);
}

static int
group_setup(void **state)
{
	static char script_env[160];
	struct hsm *hsm;

	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		return 0;
	}
	token_init_mocked(&token, TOKEN_SOFTHSM);
	(void)snprintf(log_path, sizeof(log_path), "%s/log", token.dir);
	(void)snprintf(script_env, sizeof(script_env), "@%s/script", token.dir);
	assert_int_equal(setenv("P11_MOCK_SCRIPT", script_env, 1), 0);
	assert_int_equal(setenv("P11_MOCK_LOG", log_path, 1), 0);
	token_prepare(&token);
	hsm = token_open(&token);
	import_as(hsm, "root", HSM_ROOT);
	import_as(hsm, "kek", HSM_KEK);
	hsm_close(hsm);
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	token_fini(&token);
	return 0;
}

static int
bench_setup(void **state)
{
	static struct bench b;
	struct hsm_id root = id_of("root"), kek = id_of("kek");
	uint8_t mic[4];

	*state = NULL;
	if (!token_available(TOKEN_SOFTHSM)) {
		return 0;
	}
	script("");
	b.hsm = token_open(&token);
	b.s = hsm_session_get(b.hsm);
	assert_int_equal(
	    hsm_key_get(b.hsm, &root, HSM_ROOT, &b.root, NULL), JY_OK);
	assert_int_equal(
	    hsm_key_get(b.hsm, &kek, HSM_KEK, &b.kek, NULL), JY_OK);
	assert_int_equal(
	    hsm_mic(b.s, b.root, block, sizeof(block), mic, NULL), JY_OK);
	script("");
	*state = &b;
	return 0;
}

static int
bench_teardown(void **state)
{
	struct bench *b = *state;

	if (b != NULL) {
		script("");
		hsm_key_put(b->hsm, b->root);
		hsm_key_put(b->hsm, b->kek);
		hsm_session_put(b->hsm, b->s);
		hsm_close(b->hsm);
	}
	return 0;
}

#define BENCH_OR_SKIP() \
	struct bench *b = *state; \
	if (b == NULL) { \
		skip(); \
	}

static void
expect_mic(struct bench *b, const char *text, enum jy_err want)
{
	struct errctx ec = ERRCTX_INIT;
	uint8_t mic[4] = { 0 }, untouched[4] = { 0 };
	enum jy_err err;

	script(text);
	err = hsm_mic(b->s, b->root, block, sizeof(block), mic, &ec);
	if (err != want) {
		print_error("%s: %s (%s)\n", text, err_name(err), ec.text);
	}
	assert_int_equal(err, want);
	assert_memory_equal(mic, want == JY_OK ? block_mic : untouched, 4);
}

/* One bad answer of each class, and that the next request is served. */
static void
test_classes(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_Sign#1=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_SignInit#1=CKR_MECHANISM_INVALID", JY_ETOKENREQ },
		{ "C_SignInit#1=CKR_KEY_HANDLE_INVALID", JY_OK },
		{ "C_SignInit#1=CKR_OBJECT_HANDLE_INVALID", JY_OK },
		{ "C_SignInit#1=CKR_KEY_FUNCTION_NOT_PERMITTED", JY_OK },
		{ "C_Sign#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		{ "C_Sign#1=CKR_SESSION_CLOSED", JY_OK },
		{ "C_SignInit#1=CKR_OPERATION_ACTIVE", JY_OK },
		{ "C_Sign#1=CKR_OPERATION_NOT_INITIALIZED", JY_OK },
		{ "C_SignInit#1=CKR_USER_NOT_LOGGED_IN", JY_OK },
		{ "C_Sign*=CKR_SESSION_HANDLE_INVALID", JY_ETOKEN },
		{ "C_Sign#1=CKR_PIN_LOCKED", JY_ETOKEN },
		{ "C_Sign#1=CKR_GENERAL_ERROR", JY_ETOKENREQ },
		{ "C_Sign#1=CKR_FUNCTION_FAILED", JY_ETOKENREQ },
		{ "C_Sign#1=CKR_ARGUMENTS_BAD", JY_ETOKENREQ },
		{ "C_Sign#1=0x80000123", JY_ETOKENREQ },
		{ "C_Sign*=CKR_GENERAL_ERROR", JY_ETOKEN },
		{ "C_Sign*=0x80000123", JY_ETOKEN },
		{ "C_SignInit*=CKR_KEY_HANDLE_INVALID", JY_ETOKEN },
		{ "C_Sign#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_Sign#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "C_Sign#1=CKR_DEVICE_MEMORY", JY_ETOKEN },
		{ "C_Sign#1=CKR_HOST_MEMORY", JY_ETOKEN },
		{ "C_Sign#1=CKR_TOKEN_NOT_PRESENT", JY_ETOKEN },
		{ "C_Sign#1=CKR_CRYPTOKI_NOT_INITIALIZED", JY_ETOKEN },
	};

	BENCH_OR_SKIP();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		expect_mic(b, cases[i].script, cases[i].want);
		expect_mic(b, "", JY_OK);
		assert_int_equal(calls_of("C_Login"), 0);
	}
}

/* A handle is found anew once, not for ever. */
static void
test_stale_handle_once(void **state)
{
	BENCH_OR_SKIP();
	expect_mic(b,
	    "C_SignInit#1=CKR_KEY_HANDLE_INVALID "
	    "C_SignInit#2=CKR_KEY_HANDLE_INVALID",
	    JY_ETOKENREQ);
	/* Two tries, and the canary. */
	assert_int_equal(calls_of("C_SignInit"), 3);
	assert_int_equal(calls_of("C_FindObjectsInit"), 1);
	expect_mic(b, "", JY_OK);
	assert_int_equal(calls_of("C_SignInit"), 1);
}

/* Whatever is asked says so, no login is tried, and the canary tells. */
static void
expect_lost(struct bench *b)
{
	struct hsm_id id = id_of("other");
	struct errctx ec = ERRCTX_INIT;
	struct hsm_key *key = NULL;
	struct sealing s;
	uint8_t kcv[HSM_KCV_LEN];

	seal_for(b->hsm, key_value, sizeof(key_value), &s);
	expect_mic(b, "", JY_ETOKEN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    hsm_key_get(b->hsm, &id, HSM_ROOT, &key, &ec), JY_ETOKEN);
		assert_int_equal(hsm_key_import(b->hsm, &s.sealed, 16, HSM_ROOT,
				     &id, "other", NULL),
		    JY_ETOKEN);
		assert_int_equal(hsm_key_generate(b->hsm, 16, HSM_KEK, &id,
				     "other", kcv, NULL),
		    JY_ETOKEN);
		assert_int_equal(hsm_key_destroy(b->hsm, &id, NULL), JY_ETOKEN);
		assert_int_equal(hsm_canary(b->hsm, b->s, NULL), JY_ETOKEN);
	}
	assert_int_equal(calls_of("C_Login"), 0);
}

/* As the token has it after a reset: no session, no login, no copies. */
static void
test_all_sessions_lost(void **state)
{
	BENCH_OR_SKIP();
	assert_int_equal(b->hsm->f->C_CloseAllSessions(b->hsm->slot), CKR_OK);
	expect_lost(b);
}

static void
test_login_lost(void **state)
{
	BENCH_OR_SKIP();
	assert_int_equal(b->hsm->f->C_Logout(b->hsm->anchor), CKR_OK);
	expect_lost(b);
}

/* The others stay logged in, but the copies are gone with it. */
static void
test_anchor_lost(void **state)
{
	BENCH_OR_SKIP();
	assert_int_equal(b->hsm->f->C_CloseSession(b->hsm->anchor), CKR_OK);
	expect_lost(b);
}

/* Sessions answer, and say that nobody is logged in any more. */
static void
test_not_logged_in(void **state)
{
	BENCH_OR_SKIP();
	expect_mic(b, "C_SignInit*=CKR_USER_NOT_LOGGED_IN", JY_ETOKEN);
	assert_int_equal(hsm_canary(b->hsm, b->s, NULL), JY_ETOKEN);
	assert_int_equal(calls_of("C_Login"), 0);
	expect_mic(b,
	    "C_SignInit#1=CKR_USER_NOT_LOGGED_IN "
	    "C_GetSessionInfo#1=CKR_SESSION_CLOSED",
	    JY_ETOKEN);
	assert_int_equal(calls_of("C_SignInit"), 1);
	assert_int_equal(calls_of("C_Login"), 0);
}

/* The canary's session is replaced; the anchor is asked each time. */
static void
test_canary_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "", JY_OK },
		{ "C_SignInit#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		{ "C_SignInit#1=CKR_GENERAL_ERROR", JY_OK },
		{ "C_SignInit#1=CKR_KEY_HANDLE_INVALID", JY_OK },
		{ "C_SignInit#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "C_SignInit*=CKR_SESSION_HANDLE_INVALID", JY_ETOKEN },
		{ "C_SignInit#1=CKR_PIN_LOCKED", JY_OK },
		{ "C_SignInit*=CKR_PIN_LOCKED", JY_ETOKEN },
		{ "C_GetSessionInfo#1=CKR_SESSION_CLOSED", JY_ETOKEN },
	};

	BENCH_OR_SKIP();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		script(cases[i].script);
		assert_int_equal(hsm_canary(b->hsm, b->s, NULL), cases[i].want);
		assert_int_equal(calls_of("C_Login"), 0);
	}
}

/* What was destroyed before the session was lost counts as destroyed. */
static void
test_destroy_retried(void **state)
{
	struct hsm_id id = id_of("doomed");

	BENCH_OR_SKIP();
	import_as(b->hsm, "doomed", HSM_ROOT);
	script("C_FindObjects#2=CKR_SESSION_HANDLE_INVALID");
	assert_int_equal(hsm_key_destroy(b->hsm, &id, NULL), JY_OK);
	assert_int_equal(hsm_key_destroy(b->hsm, &id, NULL), JY_ENOKEY);
}

static void
test_wrong_pin(void **state)
{
	struct hsm_report report;
	struct hsm *hsm = NULL;

	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	(void)state;
	script("");
	token_write(&token, "pin", "not-the-pin\n", 0600);
	assert_int_equal(hsm_open(&token.config, &hsm, &report, NULL), JY_EPIN);
	assert_null(hsm);
	assert_false(report.ok);
	assert_int_equal(calls_of("C_Login"), 1);
	token_write(&token, "pin", "user-pin-1\n", 0644);
	script("");
	assert_int_equal(
	    hsm_open(&token.config, &hsm, &report, NULL), JY_ECONFIG);
	assert_int_equal(calls_of("C_Login"), 0);
	token_write(&token, "pin", "user-pin-1\n", 0600);
}

/* A derived key is destroyed, whatever becomes of it. */
static void
test_derived_is_destroyed(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_WrapKey#1=CKR_KEY_UNEXTRACTABLE", JY_ETOKENREQ },
		{ "C_WrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_DestroyObject#1=CKR_GENERAL_ERROR", JY_OK },
	};
	uint8_t out[HSM_WRAPPED_LEN];

	BENCH_OR_SKIP();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		script(cases[i].script);
		assert_int_equal(
		    hsm_derive_wrapped(b->s, b->root, block, b->kek, out, NULL),
		    cases[i].want);
		assert_true(calls_of("C_DestroyObject") >= 1);
		/* If that failed, it went with its session. */
		assert_int_equal(calls_of("C_CloseSession") >= 1, 1);
		script("");
		assert_int_equal(
		    hsm_derive_wrapped(b->s, b->root, block, b->kek, out, NULL),
		    JY_OK);
		assert_int_equal(calls_of("C_DeriveKey"), 1);
	}
}

static void
test_derive_mic_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_DeriveKey#1=CKR_TEMPLATE_INCONSISTENT", JY_ETOKENREQ },
		{ "C_DeriveKey#1=CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "C_DeriveKey#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		{ "C_Sign#1=CKR_KEY_UNEXTRACTABLE", JY_ETOKENREQ },
		{ "C_DestroyObject#1=CKR_GENERAL_ERROR", JY_OK },
	};
	uint8_t mic[4], want[4];

	BENCH_OR_SKIP();
	script("");
	assert_int_equal(
	    hsm_derive_mic(b->s, b->root, block, block, 16, want, NULL), JY_OK);
	assert_int_equal(calls_of("C_DestroyObject"), 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		memset(mic, 0x5A, sizeof(mic));
		script(cases[i].script);
		assert_int_equal(
		    hsm_derive_mic(b->s, b->root, block, block, 16, mic, NULL),
		    cases[i].want);
		if (cases[i].want == JY_OK) {
			assert_memory_equal(mic, want, sizeof(mic));
		} else {
			assert_int_equal(mic[0], 0x5A);
		}
		/* What was derived is destroyed, or gone with its session. */
		assert_true(strncmp(cases[i].script, "C_Sign", 6) != 0 ||
		    calls_of("C_DestroyObject") == 1);
	}
}

static void
test_decrypt_and_clear_faults(void **state)
{
	uint8_t out[16];

	BENCH_OR_SKIP();
	script("C_Decrypt#1=CKR_GENERAL_ERROR");
	assert_int_equal(
	    hsm_decrypt(b->s, b->root, block, 16, out, NULL), JY_ETOKENREQ);
	script("C_DecryptInit#1=CKR_SESSION_HANDLE_INVALID");
	assert_int_equal(
	    hsm_decrypt(b->s, b->root, block, 16, out, NULL), JY_OK);
	script("C_DeriveKey#1=CKR_TEMPLATE_INCONSISTENT");
	assert_int_equal(
	    hsm_derive_clear(b->s, b->root, block, out, NULL), JY_ETOKENREQ);
	script("C_DeriveKey#1=CKR_DEVICE_REMOVED");
	assert_int_equal(
	    hsm_derive_clear(b->s, b->root, block, out, NULL), JY_ETOKEN);
	script("");
	assert_int_equal(
	    hsm_derive_clear(b->s, b->root, block, out, NULL), JY_OK);
}

static void
test_no_session(void **state)
{
	BENCH_OR_SKIP();
	expect_mic(b,
	    "C_Sign#1=CKR_SESSION_HANDLE_INVALID "
	    "C_OpenSession*=CKR_SESSION_COUNT",
	    JY_ETOKEN);
	expect_mic(b, "", JY_OK);
}

/* An import that fails half-way leaves nothing, in the token or sessions. */
static void
test_import_faults(void **state)
{
	static const struct {
		const char *script;
		enum jy_err want;
	} cases[] = {
		{ "C_UnwrapKey#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#2=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#3=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#3+=CKR_GENERAL_ERROR", JY_ETOKENREQ },
		{ "C_Sign#1=CKR_KEY_SIZE_RANGE", JY_ETOKENREQ },
		{ "C_FindObjects#1=CKR_DEVICE_ERROR", JY_ETOKEN },
		{ "C_UnwrapKey#1=CKR_SESSION_HANDLE_INVALID", JY_OK },
		{ "C_FindObjectsInit#1=CKR_OPERATION_ACTIVE", JY_OK },
	};
	struct hsm_id id = id_of("incoming");
	struct hsm_key *key = NULL;
	struct sealing s;

	BENCH_OR_SKIP();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		seal_for(b->hsm, key_value, 16, &s);
		script(cases[i].script);
		assert_int_equal(hsm_key_import(b->hsm, &s.sealed, 16, HSM_ROOT,
				     &id, "incoming", NULL),
		    cases[i].want);
		script("");
		assert_int_equal(hsm_key_get(b->hsm, &id, HSM_ROOT, &key, NULL),
		    cases[i].want == JY_OK ? JY_OK : JY_ENOKEY);
		if (cases[i].want == JY_OK) {
			hsm_key_put(b->hsm, key);
			assert_int_equal(
			    hsm_key_destroy(b->hsm, &id, NULL), JY_OK);
		}
	}
}

/* "No such key" counts only while the canary answers. */
static void
test_token_moved_away(void **state)
{
	char from[128], to[128];
	struct hsm_id id = id_of("nobody");
	struct hsm_key *key = NULL;

	BENCH_OR_SKIP();
	assert_int_equal(
	    hsm_key_get(b->hsm, &id, HSM_ROOT, &key, NULL), JY_ENOKEY);
	(void)snprintf(from, sizeof(from), "%s/tokens", token.dir);
	(void)snprintf(to, sizeof(to), "%s/elsewhere", token.dir);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(
	    hsm_key_get(b->hsm, &id, HSM_ROOT, &key, NULL), JY_ETOKEN);
	assert_int_equal(hsm_canary(b->hsm, b->s, NULL), JY_ETOKEN);
	assert_int_equal(rename(to, from), 0);
}

/* ---- the mock itself: it crashes, hangs and delays as told ---- */

/* Run a child that opens the token under that script; its wait status. */
static int
child_status(const char *text, unsigned timeout_s)
{
	int status = 0;
	pid_t pid;

	script(text);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct hsm_report report;
		struct hsm *hsm = NULL;

		/* What it has to say is expected. */
		(void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		(void)alarm(timeout_s);
		_exit(hsm_open(&token.config, &hsm, &report, NULL) == JY_OK
			? 0
			: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_mock(void **state)
{
	uint64_t start;
	int status;

	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	status = child_status("C_Sign#1:crash", 30);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	status = child_status("C_Sign#2:hang", 1);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGALRM);
	start = sys_mono_us();
	status = child_status("C_Login:delay_us=30000", 30);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(sys_mono_us() - start >= 30000);
}

/* ---- two objects of one CKA_ID ---- */

#define FILES_MAX 64

struct files {
	char names[FILES_MAX][300];
	size_t count;
};

static void
list_objects(struct files *out)
{
	char path[512];
	DIR *tokens, *objects;
	const struct dirent *d, *o;

	out->count = 0;
	(void)snprintf(path, sizeof(path), "%s/tokens", token.dir);
	tokens = opendir(path);
	assert_non_null(tokens);
	while ((d = readdir(tokens)) != NULL) {
		if (d->d_name[0] == '.') {
			continue;
		}
		(void)snprintf(
		    path, sizeof(path), "%s/tokens/%s", token.dir, d->d_name);
		objects = opendir(path);
		assert_non_null(objects);
		while ((o = readdir(objects)) != NULL) {
			if (strstr(o->d_name, ".object") != NULL &&
			    strcmp(o->d_name, "token.object") != 0) {
				assert_true(out->count < FILES_MAX);
				(void)snprintf(out->names[out->count++],
				    sizeof(out->names[0]), "%.60s/%.200s",
				    d->d_name, o->d_name);
			}
		}
		(void)closedir(objects);
	}
	(void)closedir(tokens);
}

#define COPY_NAME "01234567-89ab-cdef-0123-456789abcdef"

/* A second object like that one; SoftHSM wants a lock file beside it. */
static void
copy_object(const char *name)
{
	char from[512], to[512], lock[512], buf[4096];
	const char *slash = strchr(name, '/');
	FILE *in, *out;
	size_t n;

	assert_non_null(slash);
	(void)snprintf(from, sizeof(from), "%s/tokens/%s", token.dir, name);
	(void)snprintf(to, sizeof(to), "%s/tokens/%.*s/" COPY_NAME ".object",
	    token.dir, (int)(slash - name), name);
	(void)snprintf(lock, sizeof(lock), "%s/tokens/%.*s/" COPY_NAME ".lock",
	    token.dir, (int)(slash - name), name);
	in = fopen(from, "r");
	out = fopen(to, "w");
	assert_non_null(in);
	assert_non_null(out);
	n = fread(buf, 1, sizeof(buf), in);
	assert_int_equal(fwrite(buf, 1, n, out), n);
	(void)fclose(in);
	(void)fclose(out);
	out = fopen(lock, "w");
	assert_non_null(out);
	(void)fclose(out);
}

static void
test_duplicate_id(void **state)
{
	static struct files before, after;
	struct hsm_id id = id_of("duplicate");
	struct errctx ec = ERRCTX_INIT;
	struct hsm_key *key = NULL;
	struct hsm *hsm;

	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	(void)state;
	script("");
	hsm = token_open(&token);
	list_objects(&before);
	import_as(hsm, "duplicate", HSM_ROOT);
	list_objects(&after);
	hsm_close(hsm);
	assert_int_equal(after.count, before.count + 1);
	for (size_t i = 0; i < after.count; i++) {
		bool old = false;

		for (size_t k = 0; k < before.count; k++) {
			old |= strcmp(after.names[i], before.names[k]) == 0;
		}
		if (!old) {
			copy_object(after.names[i]);
		}
	}
	hsm = token_open(&token);
	assert_int_equal(hsm_key_get(hsm, &id, HSM_ROOT, &key, &ec), JY_ENOKEY);
	assert_non_null(strstr(ec.text, "several"));
	/* An import clears it up. */
	import_as(hsm, "duplicate", HSM_ROOT);
	assert_int_equal(hsm_key_get(hsm, &id, HSM_ROOT, &key, NULL), JY_OK);
	hsm_key_put(hsm, key);
	assert_int_equal(hsm_key_destroy(hsm, &id, NULL), JY_OK);
	hsm_close(hsm);
}

/* ---- start-up ---- */

static void
expect_open(const char *text, enum jy_err want, const char *detail)
{
	struct errctx ec = ERRCTX_INIT;
	struct hsm_report report;
	struct hsm *hsm = NULL;
	enum jy_err err;

	script(text);
	err = hsm_open(&token.config, &hsm, &report, &ec);
	if (err != want || strstr(ec.text, detail) == NULL) {
		print_error("%s: %s (%s)\n", text, err_name(err), ec.text);
	}
	assert_int_equal(err, want);
	assert_non_null(strstr(ec.text, detail));
	assert_null(hsm);
	assert_false(report.ok);
}

static void
test_open_faults(void **state)
{
	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	expect_open(
	    "C_Initialize*=CKR_GENERAL_ERROR", JY_ETOKEN, "C_Initialize");
	expect_open(
	    "C_GetTokenInfo*=CKR_DEVICE_ERROR", JY_ETOKEN, "no token matches");
	expect_open("C_OpenSession*=CKR_DEVICE_REMOVED", JY_ETOKEN,
	    "CKR_DEVICE_REMOVED");
	expect_open("C_FindObjectsInit*=CKR_DEVICE_ERROR", JY_ETOKEN,
	    "CKR_DEVICE_ERROR");
	expect_open("C_WrapKey*=CKR_MECHANISM_INVALID", JY_EMECH,
	    "CKM_AES_KEY_WRAP wrap");
	expect_open("C_UnwrapKey*=CKR_MECHANISM_INVALID", JY_EMECH,
	    "CKM_RSA_PKCS_OAEP");
	expect_open(
	    "C_Decrypt*=CKR_DEVICE_ERROR", JY_ETOKEN, "CKR_DEVICE_ERROR");
	expect_open("C_DigestInit*=CKR_MECHANISM_INVALID", JY_EMECH,
	    "CKR_MECHANISM_INVALID");
	script("");
}

/* What may mean a bad PIN is told as one, and as what the token said. */
static void
test_login_faults(void **state)
{
	static const struct {
		const char *rv;
		enum jy_err want;
	} cases[] = {
		{ "CKR_PIN_INCORRECT", JY_EPIN },
		{ "CKR_PIN_LOCKED", JY_EPIN },
		{ "CKR_GENERAL_ERROR", JY_EPIN },
		{ "CKR_FUNCTION_FAILED", JY_EPIN },
		{ "CKR_ARGUMENTS_BAD", JY_EPIN },
		{ "CKR_MECHANISM_INVALID", JY_EPIN },
		{ "CKR_KEY_HANDLE_INVALID", JY_EPIN },
		{ "0x80000123", JY_EPIN },
		{ "CKR_DEVICE_REMOVED", JY_ETOKEN },
		{ "CKR_TOKEN_NOT_PRESENT", JY_ETOKEN },
		{ "CKR_SESSION_HANDLE_INVALID", JY_ETOKEN },
	};
	char text[64];

	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(text, sizeof(text), "C_Login*=%s", cases[i].rv);
		expect_open(text, cases[i].want, cases[i].rv);
		assert_int_equal(calls_of("C_Login"), 1);
	}
	script("");
}

static void
test_uri_refusals(void **state)
{
	static const struct {
		const char *uri, *detail;
	} cases[] = {
		{ "no uri", "token URI" },
		{ "pkcs11:token=lab", "module-path" },
		{ "pkcs11:?module-path=/x.so", "neither token= nor serial=" },
		{ "pkcs11:token=lab?module-path=/x.so&pin-value=1234",
		    "pin-value" },
		{ "pkcs11:token=lab?module-path=/x.so&x-colour=red",
		    "x-colour" },
		{ "pkcs11:token=lab;x-colour=red?module-path=/x.so",
		    "attribute" },
		{ "pkcs11:token=lab;object=key?module-path=/x.so",
		    "attribute" },
		{ "pkcs11:token=lab?module-path=/nowhere/x.so", "load module" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct hsm_config config = { .uri = cases[i].uri,
			.init_args = "",
			.sessions = 1,
			.cache = 16 };
		struct errctx ec = ERRCTX_INIT;
		struct hsm_report report;
		struct hsm *hsm = NULL;

		assert_int_equal(
		    hsm_open(&config, &hsm, &report, &ec), JY_ECONFIG);
		if (strstr(ec.text, cases[i].detail) == NULL) {
			print_error("%s: %s\n", cases[i].uri, ec.text);
		}
		assert_non_null(strstr(ec.text, cases[i].detail));
	}
}

static void
test_not_prepared(void **state)
{
	struct token blank;
	struct hsm_report report;
	struct errctx ec = ERRCTX_INIT;
	struct hsm_setup setup = { .config = &blank.config };
	struct hsm *hsm = NULL;
	bool created = false;

	(void)state;
	if (!token_available(TOKEN_SOFTHSM)) {
		skip();
	}
	script("");
	token_init_mocked(&blank, TOKEN_SOFTHSM);
	assert_int_equal(hsm_setup(&setup, &created, &ec), JY_ECONFIG);
	assert_non_null(strstr(ec.text, "no token matches"));
	/* The token is made, and then the module fails at the first key. */
	setup.create = true;
	setup.so_pin_source = blank.so_pin;
	script("C_GenerateKeyPair*=CKR_MECHANISM_INVALID");
	ec = (struct errctx)ERRCTX_INIT;
	assert_int_equal(hsm_setup(&setup, &created, &ec), JY_ETOKENREQ);
	assert_non_null(strstr(ec.text, "import key"));
	script("");
	ec = (struct errctx)ERRCTX_INIT;
	assert_int_equal(
	    hsm_open(&blank.config, &hsm, &report, &ec), JY_ENOKEY);
	assert_non_null(strstr(ec.text, "not prepared"));
	assert_false(created);
	token_fini(&blank);
}

int
main(void)
{
#define BENCH(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		BENCH(test_classes),
		BENCH(test_stale_handle_once),
		BENCH(test_all_sessions_lost),
		BENCH(test_login_lost),
		BENCH(test_anchor_lost),
		BENCH(test_not_logged_in),
		BENCH(test_canary_faults),
		BENCH(test_destroy_retried),
		BENCH(test_derived_is_destroyed),
		BENCH(test_derive_mic_faults),
		BENCH(test_decrypt_and_clear_faults),
		BENCH(test_no_session),
		BENCH(test_import_faults),
		BENCH(test_token_moved_away),
		cmocka_unit_test(test_mock),
		cmocka_unit_test(test_wrong_pin),
		cmocka_unit_test(test_duplicate_id),
		cmocka_unit_test(test_open_faults),
		cmocka_unit_test(test_login_faults),
		cmocka_unit_test(test_uri_refusals),
		/* Last: it points the module at another directory. */
		cmocka_unit_test(test_not_prepared),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
