/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside src/conf: the checks that need more than an option's range, and how
 * they tell where an option was set.
 */
#ifndef JY_CONF_CHECK_H
#define JY_CONF_CHECK_H

#include "src/conf/conf.h"

enum conf_option {
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

/* A load in progress: where each option was set, and the first error. */
struct conf_loading {
	const char *path;
	struct errctx *ec;
	int lines[OPTION_COUNT]; /* 0: not set, the default holds */
};

/* As it stands in the file; a static string. */
const char *conf_option_name(enum conf_option option);

/* Whether each value has sense and goes with the others; see conf_load. */
enum jy_err conf_check(
    const struct conf_loading *ld, const struct conf *conf) JY_CHECK;

#endif
