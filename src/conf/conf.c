/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery.conf, the one door to libconfuse.  conf.def makes the table of
 * options, their ranges and the printer; check.c has the checks that need more
 * than a range.
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

#include "src/base/sys.h"
#include "src/conf/check.h"

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

static struct conf_loading *loading;

const char *
conf_option_name(enum conf_option option)
{
	return options[option].name;
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

static enum conf_option
option_find(const char *name)
{
	size_t i = 0;

	while (strcmp(options[i].name, name) != 0) {
		i++;
		jy_assert(i < OPTION_COUNT);
	}
	return (enum conf_option)i;
}

/* Called when a value is set; of a list, for each of its items. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	enum conf_option option = option_find(cfg_opt_name(opt));
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
	struct conf_loading ld = { .path = path, .ec = ec != NULL ? ec : &own };
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

unsigned
conf_key_cache(const struct conf *conf)
{
	int64_t by_sessions = 8 * conf->sessions;

	if (conf->key_cache != 0) {
		return (unsigned)conf->key_cache;
	}
	return by_sessions > CONF_KEY_CACHE ? (unsigned)by_sessions
					    : CONF_KEY_CACHE;
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
