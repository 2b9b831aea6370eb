/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joinery.conf: read, checked, printed.  joineryd reads the file and hands
 * the effective configuration, printed, to its workers, so that a file edited
 * meanwhile cannot make them differ.
 */
#ifndef JY_CONF_CONF_H
#define JY_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "src/base/err.h"

struct conf_list {
	char **items;
	size_t count;
};

struct conf {
#define STR(name, field, def, help) char *field;
#define NUM(name, field, def, min, max, help) int64_t field;
#define BOOL(name, field, def, help) bool field;
#define LIST(name, field, help) struct conf_list field;
#include "src/conf/conf.def"
#undef STR
#undef NUM
#undef BOOL
#undef LIST
};

/*
 * Read and check a file.  JY_ECONFIG, with file and line where there is one,
 * for a syntax error, an unknown option, a value out of its range or options
 * that do not fit together (tls-listen or bi-listen without certificate, no
 * token-uri, pin-value in it, a key-cache too small for the sessions, ...).
 * The caller frees.
 */
enum jy_err conf_load(
    const char *path, struct conf **out, struct errctx *ec) JY_CHECK;

void conf_free(struct conf *conf);

#define CONF_KEY_CACHE_MIN 16
#define CONF_KEY_CACHE_MAX 1000000
/* What 0 stands for with few sessions.  More are no gain: a device that was
 * heard is not back for long. */
#define CONF_KEY_CACHE 256

/* How many keys a worker has at hand: key-cache, or what 0 stands for. */
unsigned conf_key_cache(const struct conf *conf);

/* Print every option with its value, in a form that conf_load reads. */
void conf_print(const struct conf *conf, FILE *out);

#endif
