/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery.conf, the one door to libconfuse.  conf.def makes the table of
 * options, their ranges and the printer; the checks at the end of this file
 * are those that need more than a range.
 *
 * libconfuse gives its callbacks no pointer of ours, so a load in progress
 * stands in a static variable: configuration is read by one thread.
 */
#include "src/conf/conf.h"

#include <sys/stat.h>

#include <confuse.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/sys.h"
#include "src/conf/admin.h"

enum option {
#define STR(name, field, def, help) OPTION_##field,
#define NUM(name, field, def, min, max, help) OPTION_##field,
#define BOOL(name, field, def, help) OPTION_##field,
#define LIST(name, field, help) OPTION_##field,
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
	OPTION_COUNT
};

enum kind {
	KIND_TEXT,
	KIND_NUMBER,
	KIND_BOOL,
	KIND_LIST
};

static const struct {
	const char *name;
	enum kind kind;
	int64_t min, max;
} options[] = {
#define STR(name, field, def, help) { name, KIND_TEXT, 0, 0 },
#define NUM(name, field, def, min, max, help) { name, KIND_NUMBER, min, max },
#define BOOL(name, field, def, help) { name, KIND_BOOL, 0, 0 },
#define LIST(name, field, help) { name, KIND_LIST, 0, 0 },
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
};

/* A load in progress: where each option was set, and the first error. */
struct loading {
	const char *path;
	struct errctx *ec;
	int lines[OPTION_COUNT]; /* 0: not set, the default holds */
};

static struct loading *loading;

static enum jy_err fault(const struct loading *ld, enum option option,
    const char *fmt, ...) JY_PRINTF(3, 4);

/* Refuse the value of an option, with the line where it was set. */
static enum jy_err
fault(const struct loading *ld, enum option option, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (ld->lines[option] == 0) {
		return err_set(ld->ec, JY_ECONFIG, "%s: %s: %s", ld->path,
		    options[option].name, text);
	}
	return err_set(ld->ec, JY_ECONFIG, "%s:%d: %s: %s", ld->path,
	    ld->lines[option], options[option].name, text);
}

/* ---- what libconfuse calls while it reads ---- */

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) JY_PRINTF(2, 0);

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[160];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	(void)err_set(loading->ec, JY_ECONFIG, "%s:%d: %s", loading->path,
	    cfg->line, text);
}

static enum option
option_find(const char *name)
{
	size_t i = 0;

	while (strcmp(options[i].name, name) != 0) {
		i++;
		jy_assert(i < OPTION_COUNT);
	}
	return (enum option)i;
}

/* Called when a value is set; of a list, for each of its items. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	enum option option = option_find(cfg_opt_name(opt));
	int64_t min = options[option].min, max = options[option].max;
	int64_t value;

	if (loading->lines[option] != 0 && options[option].kind != KIND_LIST) {
		cfg_error(cfg, "%s: already set in line %d",
		    options[option].name, loading->lines[option]);
		return -1;
	}
	loading->lines[option] = cfg->line;
	if (options[option].kind == KIND_NUMBER) {
		value = cfg_opt_getnint(opt, 0);
		if (value < min || value > max) {
			cfg_error(cfg,
			    "%s: %" PRId64 " is not within %" PRId64
			    " to %" PRId64,
			    options[option].name, value, min, max);
			return -1;
		}
	}
	return 0;
}

static cfg_t *
parser_new(void)
{
	cfg_opt_t opts[] = {
#define STR(name, field, def, help) CFG_STR(name, def, CFGF_NONE),
#define NUM(name, field, def, min, max, help) CFG_INT(name, def, CFGF_NONE),
#define BOOL(name, field, def, help) \
	CFG_BOOL(name, (def) ? cfg_true : cfg_false, CFGF_NONE),
#define LIST(name, field, help) CFG_STR_LIST(name, NULL, CFGF_NONE),
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
		CFG_END()
	};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);

	jy_assert(cfg != NULL);
	(void)cfg_set_error_function(cfg, on_error);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		(void)cfg_set_validate_func(cfg, options[i].name, on_value);
	}
	return cfg;
}

/* ---- from libconfuse to struct conf ---- */

static char *
take_text(cfg_t *cfg, const char *name)
{
	const char *value = cfg_getstr(cfg, name);

	return sys_xstrdup(value != NULL ? value : "");
}

static struct conf_list
take_list(cfg_t *cfg, const char *name)
{
	struct conf_list list = { .items = NULL, .count = cfg_size(cfg, name) };

	list.items = sys_xcalloc(list.count + 1, sizeof(*list.items));
	for (unsigned i = 0; i < list.count; i++) {
		list.items[i] = sys_xstrdup(cfg_getnstr(cfg, name, i));
	}
	return list;
}

static struct conf *
conf_take(cfg_t *cfg)
{
	struct conf *conf = sys_xcalloc(1, sizeof(*conf));

#define STR(name, field, def, help) conf->field = take_text(cfg, name);
#define NUM(name, field, def, min, max, help) \
	conf->field = cfg_getint(cfg, name);
#define BOOL(name, field, def, help) \
	conf->field = cfg_getbool(cfg, name) == cfg_true;
#define LIST(name, field, help) conf->field = take_list(cfg, name);
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
	return conf;
}

static void
list_free(struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i]);
	}
	free(list->items);
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL) {
		return;
	}
#define STR(name, field, def, help) free(conf->field);
#define NUM(name, field, def, min, max, help)
#define BOOL(name, field, def, help)
#define LIST(name, field, help) list_free(&conf->field);
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
	free(conf);
}

/* ---- checks ---- */

static enum jy_err
check_listeners(const struct loading *ld, const struct conf *conf)
{
	const char *port = strrchr(conf->tls_listen, ':');
	char *end = NULL;
	unsigned long n;

	if (conf->socket[0] == '\0' && conf->tls_listen[0] == '\0') {
		return fault(ld, OPTION_socket,
		    "name a socket or tls-listen, else nobody can ask");
	}
	if (conf->tls_listen[0] == '\0') {
		return JY_OK;
	}
	if (port == NULL || port == conf->tls_listen || port[1] < '0' ||
	    port[1] > '9') {
		return fault(ld, OPTION_tls_listen,
		    "write it as address:port or [address]:port");
	}
	n = strtoul(port + 1, &end, 10);
	if (*end != '\0' || n < 1 || n > 65535) {
		return fault(ld, OPTION_tls_listen,
		    "port %s is not within 1 to 65535", port + 1);
	}
	return JY_OK;
}

/* The three files of TLS stand together, and with tls-listen. */
static enum jy_err
check_tls_files(const struct loading *ld, const struct conf *conf)
{
	const struct {
		enum option option;
		const char *value;
	} files[] = {
		{ OPTION_tls_certificate, conf->tls_certificate },
		{ OPTION_tls_key, conf->tls_key },
		{ OPTION_tls_client_ca, conf->tls_client_ca },
	};
	bool listening = conf->tls_listen[0] != '\0';

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		bool named = files[i].value[0] != '\0';

		if (listening && !named) {
			return fault(
			    ld, files[i].option, "tls-listen needs it");
		}
		if (!listening && named) {
			return fault(ld, files[i].option,
			    "has no use without tls-listen");
		}
	}
	return JY_OK;
}

static enum jy_err
check_admin_uids(const struct loading *ld, const struct conf *conf)
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
check_token(const struct loading *ld, const struct conf *conf)
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

/* Each session pins a few keys at a time. */
static enum jy_err
check_key_cache(const struct loading *ld, const struct conf *conf)
{
	if (conf->key_cache < 4 * conf->sessions) {
		return fault(ld, OPTION_key_cache,
		    "%" PRId64 " is less than 4 for each of %" PRId64
		    " sessions",
		    conf->key_cache, conf->sessions);
	}
	return JY_OK;
}

static enum jy_err
check_words(const struct loading *ld, const struct conf *conf)
{
	static const char *const answers[] = { "yes", "no", "auto" };
	enum log_level level;
	size_t i = 0;

	if (!log_level_parse(conf->log_level, &level)) {
		return fault(ld, OPTION_log_level,
		    "'%s' is none of error, warn, notice, info, debug",
		    conf->log_level);
	}
	while (i < ARRAY_LEN(answers) &&
	    strcmp(answers[i], conf->app_s_key) != 0) {
		i++;
	}
	if (i == ARRAY_LEN(answers)) {
		return fault(ld, OPTION_app_s_key,
		    "'%s' is none of yes, no, auto", conf->app_s_key);
	}
	if (conf->store[0] == '\0') {
		return fault(ld, OPTION_store, "name a directory");
	}
	return JY_OK;
}

static enum jy_err
conf_check(const struct loading *ld, const struct conf *conf)
{
	static enum jy_err (*const checks[])(
	    const struct loading *, const struct conf *) = {
		check_listeners,
		check_tls_files,
		check_admin_uids,
		check_token,
		check_key_cache,
		check_words,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		enum jy_err err = checks[i](ld, conf);

		if (err != JY_OK) {
			return err;
		}
	}
	return JY_OK;
}

/* ---- the door ---- */

/* libconfuse's scanner ends the process when it cannot read a directory. */
static enum jy_err
file_check(const char *path, struct errctx *ec)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		return err_set(ec, JY_ECONFIG, "%s: %s", path, strerror(errno));
	}
	if (S_ISDIR(st.st_mode)) {
		return err_set(ec, JY_ECONFIG, "%s: is a directory", path);
	}
	return JY_OK;
}

enum jy_err
conf_load(const char *path, struct conf **out, struct errctx *ec)
{
	struct errctx own = ERRCTX_INIT;
	struct loading ld = { .path = path, .ec = ec != NULL ? ec : &own };
	enum jy_err err = file_check(path, ld.ec);
	struct conf *conf = NULL;
	cfg_t *cfg;
	int result;

	if (err != JY_OK) {
		return err;
	}
	cfg = parser_new();
	loading = &ld;
	errno = 0;
	result = cfg_parse(cfg, path);
	loading = NULL;
	if (result == CFG_FILE_ERROR) {
		err =
		    err_set(ld.ec, JY_ECONFIG, "%s: %s", path, strerror(errno));
	} else if (result != CFG_SUCCESS) {
		err = err_set(ld.ec, JY_ECONFIG, "%s: cannot read it", path);
	} else {
		conf = conf_take(cfg);
		err = conf_check(&ld, conf);
	}
	(void)cfg_free(cfg);
	if (err != JY_OK) {
		conf_free(conf);
		return err;
	}
	*out = conf;
	return JY_OK;
}

/* ---- printing ---- */

/* In single quotes, where libconfuse expands nothing but \\ and \'. */
static void
print_text(const char *text, FILE *out)
{
	(void)fputc('\'', out);
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\') {
			(void)fputc('\\', out);
		}
		(void)fputc(*text, out);
	}
	(void)fputc('\'', out);
}

static void
print_str(const char *name, const char *value, FILE *out)
{
	(void)fprintf(out, "%s = ", name);
	print_text(value, out);
	(void)fputc('\n', out);
}

/* Permissions, known by their range, read best in octal. */
static void
print_num(const char *name, int64_t value, int64_t max, FILE *out)
{
	if (max == 0777) {
		(void)fprintf(
		    out, "%s = 0%" PRIo64 "\n", name, (uint64_t)value);
	} else {
		(void)fprintf(out, "%s = %" PRId64 "\n", name, value);
	}
}

static void
print_list(const char *name, const struct conf_list *list, FILE *out)
{
	(void)fprintf(out, "%s = {", name);
	for (size_t i = 0; i < list->count; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_text(list->items[i], out);
	}
	(void)fputs("}\n", out);
}

void
conf_print(const struct conf *conf, FILE *out)
{
#define STR(name, field, def, help) print_str(name, conf->field, out);
#define NUM(name, field, def, min, max, help) \
	print_num(name, conf->field, max, out);
#define BOOL(name, field, def, help) \
	(void)fprintf(out, "%s = %s\n", name, conf->field ? "true" : "false");
#define LIST(name, field, help) print_list(name, &conf->field, out);
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
}
