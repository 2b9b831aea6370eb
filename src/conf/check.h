/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the options of a configuration make sense; private to src/conf. */
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

/* The option at fault, and why. */
struct conf_fault {
	enum conf_option option;
	char text[160];
};

/* True if nothing is wrong, else the first fault. */
bool conf_check(const struct conf *conf, struct conf_fault *fault) JY_CHECK;

#endif
