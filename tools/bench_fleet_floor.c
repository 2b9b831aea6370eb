/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of an import: what the token alone could do, by a program that
 * has nothing of the server in it, not even its way to the token.  For each
 * root key: unwrap it from under a transport key and compute its check value.
 * With resident custody it was unwrapped as an object of the token.  With
 * wrapped custody, wrap it by an object of the token that can only wrap, bind
 * the blob with a MAC, and let the key go.  Bare: the same without a MAC and
 * by objects of the session alone, as nobody would keep keys; it tells what
 * custody costs.
 */
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/sys.h"
#include "src/base/turn.h"
#include "src/conf/conf.h"
#include "tools/bench_fleet.h"

#define SLOTS_MAX 16
#define PIN_MAX 64
#define BLOB_LEN 24
#define BOUND_LEN (16 + 4 + 1 + 21 + BLOB_LEN) /* what binds it is over */
/* Objects a floor leaves in the token until its end, with resident custody. */
#define RESIDENT_MAX 4096

struct raw {
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
	struct turn writing;
	CK_OBJECT_HANDLE transport, storage, binding;
	CK_BYTE blob[BLOB_LEN]; /* a root key under transport */
	bool resident, bare;
	CK_OBJECT_HANDLE made[RESIDENT_MAX];
	size_t made_count;
};

static enum jy_err
check(CK_RV rv, const char *what, struct errctx *ec)
{
	return rv == CKR_OK ? JY_OK
			    : err_set(ec, JY_ETOKEN, "%s: 0x%lx", what, rv);
}

/* ---- the token ---- */

static enum jy_err
initialize(struct raw *t, const char *args, struct errctx *ec)
{
	/* NSS has one more member than the standard before pReserved. */
	struct {
		CK_C_INITIALIZE_ARGS args;
		void *nss_reserved;
	} init = { .args = { .flags = CKF_OS_LOCKING_OK } };
	char text[BENCH_PATH_MAX * 2];

	(void)snprintf(text, sizeof(text), "%s", args);
	if (text[0] != '\0') {
		init.args.pReserved = text;
	}
	return check(t->f->C_Initialize(&init), "C_Initialize", ec);
}

static enum jy_err
open_session(struct raw *t, P11KitUri *uri, struct errctx *ec)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	CK_TOKEN_INFO info;
	CK_RV rv = t->f->C_GetSlotList(CK_TRUE, slots, &count);

	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
		rv = t->f->C_GetTokenInfo(slots[i], &info);
		if (rv == CKR_OK && p11_kit_uri_match_token_info(uri, &info)) {
			return check(t->f->C_OpenSession(slots[i],
					 CKF_SERIAL_SESSION | CKF_RW_SESSION,
					 NULL, NULL, &t->session),
			    "C_OpenSession", ec);
		}
	}
	return rv == CKR_OK ? err_set(ec, JY_ETOKEN, "there is no such token")
			    : check(rv, "finding the token", ec);
}

static enum jy_err
login(struct raw *t, const char *source, struct errctx *ec)
{
	static const char file[] = "file:";
	char pin[PIN_MAX] = "";
	FILE *f = strncmp(source, file, sizeof(file) - 1) == 0
	    ? fopen(source + sizeof(file) - 1, "re")
	    : NULL;
	enum jy_err err = JY_OK;

	if (f == NULL || fgets(pin, sizeof(pin), f) == NULL) {
		err = err_set(ec, JY_EIO, "%s cannot be read", source);
	}
	if (f != NULL) {
		(void)fclose(f);
	}
	pin[strcspn(pin, "\n")] = '\0';
	if (err == JY_OK) {
		err = check(t->f->C_Login(t->session, CKU_USER, (CK_BYTE *)pin,
				strlen(pin)),
		    "C_Login", ec);
	}
	secret_wipe(pin, sizeof(pin));
	return err;
}

static enum jy_err
open_by_uri(
    struct raw *t, const struct conf *conf, P11KitUri *uri, struct errctx *ec)
{
	enum jy_err err;

	if (p11_kit_uri_parse(conf->token_uri,
		P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_MODULE,
		uri) != P11_KIT_URI_OK) {
		return err_set(ec, JY_ECONFIG, "the token's URI");
	}
	t->f = p11_kit_module_load(p11_kit_uri_get_module_path(uri),
	    P11_KIT_MODULE_UNMANAGED | P11_KIT_MODULE_CRITICAL);
	if (t->f == NULL) {
		return err_set(ec, JY_ECONFIG, "load the token's module");
	}
	err = initialize(t, conf->token_init_args, ec);
	if (err == JY_OK) {
		err = open_session(t, uri, ec);
	}
	return err == JY_OK ? login(t, p11_kit_uri_get_pin_source(uri), ec)
			    : err;
}

static enum jy_err
token_open(struct raw *t, const char *path, struct errctx *ec)
{
	struct conf *conf = NULL;
	P11KitUri *uri = p11_kit_uri_new();
	enum jy_err err = conf_load(path, &conf, ec);

	if (err == JY_OK) {
		(void)turn_take(&t->writing);
		err = open_by_uri(t, conf, uri, ec);
		turn_leave(&t->writing);
	}
	p11_kit_uri_free(uri);
	conf_free(conf);
	return err;
}

static void
token_close(struct raw *t)
{
	(void)turn_take(&t->writing);
	for (size_t i = 0; i < t->made_count; i++) {
		(void)t->f->C_DestroyObject(t->session, t->made[i]);
	}
	turn_leave(&t->writing);
	if (t->f != NULL) {
		(void)t->f->C_Finalize(NULL);
		p11_kit_module_release(t->f);
	}
}

/* ---- keys ---- */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
static CK_KEY_TYPE aes = CKK_AES;

#define ATTR(type, value) \
	{ \
		(type), &(value), sizeof(value) \
	}

/* What a key is for; its lifetime is the session's unless it stays. */
struct use {
	CK_ULONG len;
	CK_BBOOL stays, leaves, wraps, unwraps, signs;
};

static CK_RV
generate(struct raw *t, struct use u, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ATTRIBUTE attrs[] = {
		ATTR(CKA_CLASS, secret_key),
		ATTR(CKA_KEY_TYPE, aes),
		ATTR(CKA_VALUE_LEN, u.len),
		ATTR(CKA_TOKEN, u.stays),
		ATTR(CKA_PRIVATE, yes),
		ATTR(CKA_SENSITIVE, yes),
		ATTR(CKA_EXTRACTABLE, u.leaves),
		ATTR(CKA_WRAP, u.wraps),
		ATTR(CKA_UNWRAP, u.unwraps),
		ATTR(CKA_SIGN, u.signs),
	};

	return t->f->C_GenerateKey(
	    t->session, &mechanism, attrs, ARRAY_LEN(attrs), out);
}

static CK_RV
wrap(struct raw *t, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key,
    CK_BYTE out[BLOB_LEN])
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_ULONG len = BLOB_LEN;

	return t->f->C_WrapKey(t->session, &mechanism, by, key, out, &len);
}

static CK_RV
unwrap(struct raw *t, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_BBOOL stays = t->resident ? CK_TRUE : CK_FALSE;
	CK_BBOOL leaves = t->resident ? CK_FALSE : CK_TRUE;
	CK_ATTRIBUTE attrs[] = {
		ATTR(CKA_CLASS, secret_key),
		ATTR(CKA_KEY_TYPE, aes),
		ATTR(CKA_TOKEN, stays),
		ATTR(CKA_PRIVATE, yes),
		ATTR(CKA_SENSITIVE, yes),
		ATTR(CKA_EXTRACTABLE, leaves),
		ATTR(CKA_ENCRYPT, no),
		ATTR(CKA_DECRYPT, stays),
		ATTR(CKA_SIGN, yes),
		ATTR(CKA_VERIFY, no),
		ATTR(CKA_WRAP, no),
		ATTR(CKA_UNWRAP, no),
		ATTR(CKA_DERIVE, stays),
	};

	return t->f->C_UnwrapKey(t->session, &mechanism, t->transport, t->blob,
	    sizeof(t->blob), attrs, ARRAY_LEN(attrs), out);
}

/* The key that wraps the others: with wrapped custody it stays. */
static CK_RV
make_storage(struct raw *t)
{
	const struct use u = { .len = 32,
		.stays = t->bare || t->resident ? no : yes,
		.wraps = yes };
	CK_RV rv;

	(void)turn_take(&t->writing);
	rv = generate(t, u, &t->storage);
	turn_leave(&t->writing);
	if (rv == CKR_OK && u.stays) {
		t->made[t->made_count++] = t->storage;
	}
	return rv;
}

static CK_RV
make_keys(struct raw *t)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv =
	    generate(t, (struct use){ .len = 32, .wraps = yes, .unwraps = yes },
		&t->transport);

	if (rv == CKR_OK) {
		rv = make_storage(t);
	}
	if (rv == CKR_OK) {
		rv = generate(
		    t, (struct use){ .len = 32, .signs = yes }, &t->binding);
	}
	if (rv == CKR_OK) {
		rv =
		    generate(t, (struct use){ .len = 16, .leaves = yes }, &key);
	}
	if (rv == CKR_OK) {
		rv = wrap(t, t->transport, key, t->blob);
	}
	return rv;
}

static CK_RV
cmac(struct raw *t, CK_OBJECT_HANDLE key, CK_BYTE *data, CK_ULONG len)
{
	CK_MECHANISM mechanism = { CKM_AES_CMAC, NULL, 0 };
	CK_ULONG mac_len = 16;
	CK_BYTE mac[16];
	CK_RV rv = t->f->C_SignInit(t->session, &mechanism, key);

	return rv == CKR_OK ? t->f->C_Sign(t->session, data, len, mac, &mac_len)
			    : rv;
}

static CK_RV
one_key(struct raw *t)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_BYTE zeros[16] = { 0 }, bound[BOUND_LEN] = { 0 };
	CK_RV rv = unwrap(t, &key);

	if (rv == CKR_OK) {
		rv = cmac(t, key, zeros, sizeof(zeros));
	}
	if (rv == CKR_OK && t->resident) {
		t->made[t->made_count++] = key;
		return CKR_OK;
	}
	if (rv == CKR_OK) {
		rv = wrap(t, t->storage, key, bound + BOUND_LEN - BLOB_LEN);
	}
	if (rv == CKR_OK && !t->bare) {
		rv = cmac(t, t->binding, bound, sizeof(bound));
	}
	return rv == CKR_OK ? t->f->C_DestroyObject(t->session, key) : rv;
}

/* ---- the floor ---- */

static CK_RV
run(struct raw *t, uint32_t seconds, double *keys_per_s)
{
	uint64_t start_us, now_us, count = 0;
	CK_RV rv = make_keys(t);

	if (rv != CKR_OK) {
		return rv;
	}
	bench_floor_wait();
	start_us = sys_mono_us();
	do {
		rv = one_key(t);
		count++;
		now_us = sys_mono_us();
	} while (rv == CKR_OK && now_us - start_us < seconds * 1000000ULL &&
	    t->made_count < RESIDENT_MAX);
	*keys_per_s = (double)count * 1e6 / (double)(now_us - start_us);
	return rv;
}

int
fleet_floor_child(const char *conf, const char *custody, uint32_t seconds)
{
	struct raw *t = sys_xcalloc(1, sizeof(*t));
	struct errctx ec = ERRCTX_INIT;
	char dir[BENCH_PATH_MAX];
	double keys_per_s = 0;
	enum jy_err err;

	t->resident = strcmp(custody, "resident") == 0;
	t->bare = strcmp(custody, FLEET_BARE) == 0;
	bench_floor_dir(conf, dir);
	turn_init(&t->writing, dir, "token.lock");
	err = token_open(t, conf, &ec);
	if (err == JY_OK) {
		err = check(
		    run(t, seconds, &keys_per_s), "the work of an import", &ec);
	}
	if (err == JY_OK) {
		(void)printf("%.3f\n", keys_per_s);
	} else {
		(void)fprintf(
		    stderr, "joinery-bench: floor: %s\n", err_detail(&ec, err));
	}
	token_close(t);
	turn_fini(&t->writing);
	free(t);
	return err == JY_OK ? 0 : 1;
}

enum jy_err
fleet_floor(const struct bench_instance *in, const char *custody,
    uint32_t seconds, double *keys_per_s, struct errctx *ec)
{
	char conf[BENCH_PATH_MAX], custody_text[16], seconds_text[16];
	char *argv[] = { (char[]){ "joinery-bench" },
		(char[]){ "--fleet-floor-child" }, conf, custody_text,
		seconds_text, NULL };

	(void)snprintf(conf, sizeof(conf), "%s", in->conf);
	(void)snprintf(custody_text, sizeof(custody_text), "%s", custody);
	(void)snprintf(seconds_text, sizeof(seconds_text), "%u", seconds);
	return bench_floor_run(in->workers, argv, keys_per_s, ec);
}
