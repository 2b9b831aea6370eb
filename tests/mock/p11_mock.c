/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that stands before another one and misbehaves on order.
 *
 *   P11_MOCK_MODULE  path of the real module
 *   P11_MOCK_SCRIPT  what to do, or @PATH of a file that is read before every
 *                    call, so that a running test can change it; a file that
 *                    is missing is an empty script
 *   P11_MOCK_LOG     file to which the name of each call is added, a line each
 *
 * A script is a list of items between ';' or white space:
 *
 *   C_Sign#3=CKR_DEVICE_REMOVED    the third call answers this instead
 *   C_Sign#3+=CKR_DEVICE_REMOVED   the third and all later ones
 *   C_Sign*=0x30                   every call
 *   C_DeriveKey:delay_us=2000      every call takes that much longer
 *   *:delay_us=500                 every call of every function
 *   C_Sign#5:hang                  never comes back
 *   C_Sign#2:crash                 aborts the process
 *
 * Calls are counted per function, from 1, and anew when the script changes.
 * Functions that Joinery does not use are handed through as they are.
 */
#include <p11-kit/pkcs11.h>

#include <ctype.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT_MAX 4096

/* X(function, parameters, arguments) */
#define MOCK_FUNCTIONS(X) \
	X(C_Initialize, (void *init), (init)) \
	X(C_Finalize, (void *reserved), (reserved)) \
	X(C_GetInfo, (CK_INFO * info), (info)) \
	X(C_GetSlotList, \
	    (unsigned char present, CK_SLOT_ID *list, unsigned long *count), \
	    (present, list, count)) \
	X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO * info), \
	    (slot, info)) \
	X(C_InitToken, \
	    (CK_SLOT_ID slot, unsigned char *pin, unsigned long len, \
		unsigned char *label), \
	    (slot, pin, len, label)) \
	X(C_InitPIN, \
	    (CK_SESSION_HANDLE s, unsigned char *pin, unsigned long len), \
	    (s, pin, len)) \
	X(C_OpenSession, \
	    (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, \
		CK_SESSION_HANDLE *s), \
	    (slot, flags, app, notify, s)) \
	X(C_CloseSession, (CK_SESSION_HANDLE s), (s)) \
	X(C_GetSessionInfo, (CK_SESSION_HANDLE s, CK_SESSION_INFO * info), \
	    (s, info)) \
	X(C_Login, \
	    (CK_SESSION_HANDLE s, CK_USER_TYPE user, unsigned char *pin, \
		unsigned long len), \
	    (s, user, pin, len)) \
	X(C_Logout, (CK_SESSION_HANDLE s), (s)) \
	X(C_CreateObject, \
	    (CK_SESSION_HANDLE s, CK_ATTRIBUTE * attr, unsigned long n, \
		CK_OBJECT_HANDLE *out), \
	    (s, attr, n, out)) \
	X(C_CopyObject, \
	    (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE * attr, \
		unsigned long n, CK_OBJECT_HANDLE *out), \
	    (s, o, attr, n, out)) \
	X(C_DestroyObject, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o)) \
	X(C_GetAttributeValue, \
	    (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE * attr, \
		unsigned long n), \
	    (s, o, attr, n)) \
	X(C_SetAttributeValue, \
	    (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE * attr, \
		unsigned long n), \
	    (s, o, attr, n)) \
	X(C_FindObjectsInit, \
	    (CK_SESSION_HANDLE s, CK_ATTRIBUTE * attr, unsigned long n), \
	    (s, attr, n)) \
	X(C_FindObjects, \
	    (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE * out, unsigned long cap, \
		unsigned long *n), \
	    (s, out, cap, n)) \
	X(C_FindObjectsFinal, (CK_SESSION_HANDLE s), (s)) \
	X(C_EncryptInit, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE o), \
	    (s, m, o)) \
	X(C_Encrypt, \
	    (CK_SESSION_HANDLE s, unsigned char *in, unsigned long in_len, \
		unsigned char *out, unsigned long *out_len), \
	    (s, in, in_len, out, out_len)) \
	X(C_DecryptInit, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE o), \
	    (s, m, o)) \
	X(C_Decrypt, \
	    (CK_SESSION_HANDLE s, unsigned char *in, unsigned long in_len, \
		unsigned char *out, unsigned long *out_len), \
	    (s, in, in_len, out, out_len)) \
	X(C_DigestInit, (CK_SESSION_HANDLE s, CK_MECHANISM * m), (s, m)) \
	X(C_Digest, \
	    (CK_SESSION_HANDLE s, unsigned char *in, unsigned long in_len, \
		unsigned char *out, unsigned long *out_len), \
	    (s, in, in_len, out, out_len)) \
	X(C_SignInit, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE o), \
	    (s, m, o)) \
	X(C_Sign, \
	    (CK_SESSION_HANDLE s, unsigned char *in, unsigned long in_len, \
		unsigned char *out, unsigned long *out_len), \
	    (s, in, in_len, out, out_len)) \
	X(C_GenerateKey, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_ATTRIBUTE * attr, \
		unsigned long n, CK_OBJECT_HANDLE *out), \
	    (s, m, attr, n, out)) \
	X(C_GenerateKeyPair, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_ATTRIBUTE * pub, \
		unsigned long pub_n, CK_ATTRIBUTE *priv, unsigned long priv_n, \
		CK_OBJECT_HANDLE *pub_out, CK_OBJECT_HANDLE *priv_out), \
	    (s, m, pub, pub_n, priv, priv_n, pub_out, priv_out)) \
	X(C_WrapKey, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE kek, \
		CK_OBJECT_HANDLE o, unsigned char *out, \
		unsigned long *out_len), \
	    (s, m, kek, o, out, out_len)) \
	X(C_UnwrapKey, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE kek, \
		unsigned char *in, unsigned long in_len, CK_ATTRIBUTE *attr, \
		unsigned long n, CK_OBJECT_HANDLE *out), \
	    (s, m, kek, in, in_len, attr, n, out)) \
	X(C_DeriveKey, \
	    (CK_SESSION_HANDLE s, CK_MECHANISM * m, CK_OBJECT_HANDLE base, \
		CK_ATTRIBUTE * attr, unsigned long n, CK_OBJECT_HANDLE *out), \
	    (s, m, base, attr, n, out))

enum {
#define X(name, params, args) MOCK_##name,
	MOCK_FUNCTIONS(X)
#undef X
	MOCK_COUNT
};

static const char *const mock_names[] = {
#define X(name, params, args) #name,
	MOCK_FUNCTIONS(X)
#undef X
};

#define RV(name) \
	{ \
#name, name \
	}

static const struct {
	const char *name;
	CK_RV rv;
} rv_names[] = {
	RV(CKR_OK),
	RV(CKR_HOST_MEMORY),
	RV(CKR_GENERAL_ERROR),
	RV(CKR_FUNCTION_FAILED),
	RV(CKR_ARGUMENTS_BAD),
	RV(CKR_ATTRIBUTE_TYPE_INVALID),
	RV(CKR_DEVICE_ERROR),
	RV(CKR_DEVICE_MEMORY),
	RV(CKR_DEVICE_REMOVED),
	RV(CKR_FUNCTION_NOT_SUPPORTED),
	RV(CKR_KEY_HANDLE_INVALID),
	RV(CKR_KEY_SIZE_RANGE),
	RV(CKR_KEY_FUNCTION_NOT_PERMITTED),
	RV(CKR_KEY_UNEXTRACTABLE),
	RV(CKR_MECHANISM_INVALID),
	RV(CKR_OBJECT_HANDLE_INVALID),
	RV(CKR_OPERATION_ACTIVE),
	RV(CKR_OPERATION_NOT_INITIALIZED),
	RV(CKR_PIN_INCORRECT),
	RV(CKR_PIN_LOCKED),
	RV(CKR_SESSION_CLOSED),
	RV(CKR_SESSION_HANDLE_INVALID),
	RV(CKR_TEMPLATE_INCOMPLETE),
	RV(CKR_TEMPLATE_INCONSISTENT),
	RV(CKR_TOKEN_NOT_PRESENT),
	RV(CKR_USER_NOT_LOGGED_IN),
	RV(CKR_CRYPTOKI_NOT_INITIALIZED),
};

static CK_FUNCTION_LIST *mock_real;
static CK_FUNCTION_LIST mock_list;
static pthread_mutex_t mock_lock = PTHREAD_MUTEX_INITIALIZER;
static char mock_script[SCRIPT_MAX]; /* as it was at the last call */
static unsigned long mock_calls[MOCK_COUNT];

/* What is to happen to one call. */
struct fate {
	CK_RV rv;
	unsigned long delay_us;
	bool hang;
	bool crash;
};

/* A script nobody can follow is a broken test: stop at once. */
static void
die(const char *what, const char *detail)
{
	(void)fprintf(stderr, "p11_mock: %s: %s\n", what, detail);
	abort();
}

static CK_RV
parse_rv(const char *text)
{
	char *end;
	CK_RV rv;

	for (size_t i = 0; i < sizeof(rv_names) / sizeof(rv_names[0]); i++) {
		if (strcmp(text, rv_names[i].name) == 0) {
			return rv_names[i].rv;
		}
	}
	rv = strtoul(text, &end, 0);
	if (end == text || *end != '\0') {
		die("unknown return value", text);
	}
	return rv;
}

static void
parse_fate(const char *text, struct fate *fate)
{
	if (text[0] == '=') {
		fate->rv = parse_rv(text + 1);
	} else if (strncmp(text, ":delay_us=", 10) == 0) {
		fate->delay_us += strtoul(text + 10, NULL, 10);
	} else if (strcmp(text, ":hang") == 0) {
		fate->hang = true;
	} else if (strcmp(text, ":crash") == 0) {
		fate->crash = true;
	} else {
		die("unknown action", text);
	}
}

/* Apply one item if it is about this call, the nth of function name. */
static void
apply(const char *item, const char *name, unsigned long nth, struct fate *fate)
{
	size_t len = strlen(name);
	char *end;

	if (strncmp(item, "*:", 2) == 0) {
		parse_fate(item + 1, fate);
		return;
	}
	if (strncmp(item, name, len) != 0 ||
	    isalnum((unsigned char)item[len])) {
		return;
	}
	item += len;
	if (*item == '*') {
		item++;
	} else if (*item == '#') {
		unsigned long which = strtoul(item + 1, &end, 10);
		bool later = *end == '+';

		if (later ? nth < which : nth != which) {
			return;
		}
		item = end + (later ? 1 : 0);
	}
	parse_fate(item, fate);
}

static void
read_script(char *out)
{
	const char *script = getenv("P11_MOCK_SCRIPT");
	ssize_t n = 0;
	int fd;

	out[0] = '\0';
	if (script == NULL) {
		return;
	}
	if (script[0] != '@') {
		(void)snprintf(out, SCRIPT_MAX, "%s", script);
		return;
	}
	fd = open(script + 1, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, out, SCRIPT_MAX - 1);
		(void)close(fd);
	}
	out[n > 0 ? n : 0] = '\0';
}

static void
log_call(const char *name)
{
	const char *path = getenv("P11_MOCK_LOG");
	int fd;

	if (path == NULL) {
		return;
	}
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || dprintf(fd, "%s\n", name) < 0) {
		die("cannot write", path);
	}
	(void)close(fd);
}

static struct fate
fate_of(unsigned function)
{
	struct fate fate = { .rv = CKR_OK };
	char script[SCRIPT_MAX], *save = NULL;

	(void)pthread_mutex_lock(&mock_lock);
	log_call(mock_names[function]);
	read_script(script);
	if (strcmp(script, mock_script) != 0) {
		memcpy(mock_script, script, sizeof(mock_script));
		memset(mock_calls, 0, sizeof(mock_calls));
	}
	mock_calls[function]++;
	for (char *item = strtok_r(script, "; \t\n", &save); item != NULL;
	     item = strtok_r(NULL, "; \t\n", &save)) {
		apply(item, mock_names[function], mock_calls[function], &fate);
	}
	(void)pthread_mutex_unlock(&mock_lock);
	return fate;
}

/* What every call does first; CKR_OK lets it through. */
static CK_RV
before(unsigned function)
{
	struct fate fate = fate_of(function);

	if (fate.delay_us > 0) {
		(void)usleep((useconds_t)fate.delay_us);
	}
	if (fate.crash) {
		die("crash as told", mock_names[function]);
	}
	while (fate.hang) {
		(void)pause();
	}
	return fate.rv;
}

#define X(name, params, args) \
	static CK_RV mock_##name params \
	{ \
		CK_RV rv = before(MOCK_##name); \
\
		return rv != CKR_OK ? rv : mock_real->name args; \
	}
MOCK_FUNCTIONS(X)
#undef X

static void
mock_load(void)
{
	const char *path = getenv("P11_MOCK_MODULE");
	CK_RV (*get_list)(CK_FUNCTION_LIST * *list);
	void *module, *symbol;

	module = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	symbol = module != NULL ? dlsym(module, "C_GetFunctionList") : NULL;
	if (symbol == NULL) {
		die("cannot load P11_MOCK_MODULE", path != NULL ? path : "");
	}
	memcpy(&get_list, &symbol, sizeof(get_list));
	if (get_list(&mock_real) != CKR_OK) {
		die("no function list in", path);
	}
	mock_list = *mock_real;
	mock_list.version.major = 2;
	mock_list.version.minor = 40;
#define X(name, params, args) mock_list.name = mock_##name;
	MOCK_FUNCTIONS(X)
#undef X
}

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	if (mock_real == NULL) {
		mock_load();
	}
	*list = &mock_list;
	return CKR_OK;
}
