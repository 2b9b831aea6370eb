/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event on standard error, a fixed message and then
 * key=value pairs.  Control characters are escaped before a line is written,
 * so that no peer can forge one.  Safe from any thread.
 *
 * An error is logged once, where it is handled; below that it is returned.
 */
#ifndef JY_BASE_LOG_H
#define JY_BASE_LOG_H

#include <stdbool.h>

#include "src/base/err.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/*
 * Name the program in each line and say what is worth a line.  Under systemd
 * (JOURNAL_STREAM is set) lines start with <priority>, elsewhere with a UTC
 * time.  program is borrowed for the life of the process.
 */
void log_init(const char *program, enum log_level max);

/* "error", "warn", "notice", "info" or "debug". */
bool log_level_parse(const char *text, enum log_level *out) JY_CHECK;

/* Whether a line of that level would leave: before work for one is done. */
bool log_wants(enum log_level level);

/*
 * area names the part of the program, msg is a fixed text, fmt and the rest
 * make the pairs: log_write(LOG_LEVEL_WARN, "join", "refused",
 * "dev_eui=%s mic=%s", ...).  fmt may be "" for no pairs.
 */
void log_write(enum log_level level, const char *area, const char *msg,
    const char *fmt, ...) JY_PRINTF(4, 5);

#define log_error(area, msg, ...) \
	log_write(LOG_LEVEL_ERROR, area, msg, __VA_ARGS__)
#define log_warn(area, msg, ...) \
	log_write(LOG_LEVEL_WARN, area, msg, __VA_ARGS__)
#define log_notice(area, msg, ...) \
	log_write(LOG_LEVEL_NOTICE, area, msg, __VA_ARGS__)
#define log_info(area, msg, ...) \
	log_write(LOG_LEVEL_INFO, area, msg, __VA_ARGS__)
#define log_debug(area, msg, ...) \
	log_write(LOG_LEVEL_DEBUG, area, msg, __VA_ARGS__)

#endif
