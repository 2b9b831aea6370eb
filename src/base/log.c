/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log.  A line is put together in a buffer on the stack, escaped, and
 * leaves in one write(2), so that lines of several processes and threads on
 * the same descriptor do not mix.
 *
 * A flood is cut: per second, level and area no more than LOG_BURST lines
 * leave; the first line of a later second says how many were left out.
 */
#include "src/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_BURST 200U
#define LOG_BUCKETS 64U

static const char *log_program = "joinery";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

static const struct {
	const char *name;
	int syslog;
} log_levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

/*
 * Lines of this second and those left out.  Areas have buckets of their own,
 * so that a flood of refusals does not hide what an admin did.
 */
static struct log_bucket {
	_Atomic long second;
	_Atomic unsigned lines;
	_Atomic unsigned dropped;
} log_buckets[LOG_BUCKETS];

void
log_init(const char *program, enum log_level max)
{
	log_program = program;
	log_max = max;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

bool
log_level_parse(const char *text, enum log_level *out)
{
	for (size_t i = 0; i < ARRAY_LEN(log_levels); i++) {
		if (strcmp(text, log_levels[i].name) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool
log_wants(enum log_level level)
{
	return level <= log_max;
}

static struct log_bucket *
bucket_of(enum log_level level, const char *area)
{
	unsigned h = (unsigned)level;

	for (; *area != '\0'; area++) {
		h = h * 31 + (unsigned char)*area;
	}
	return &log_buckets[h % LOG_BUCKETS];
}

/* Whether a line may leave now; *dropped says how many did not before. */
static bool
rate_allows(struct log_bucket *b, long now_s, unsigned *dropped)
{
	*dropped = 0;
	if (atomic_exchange(&b->second, now_s) != now_s) {
		atomic_store(&b->lines, 0);
		*dropped = atomic_exchange(&b->dropped, 0);
	}
	if (atomic_fetch_add(&b->lines, 1) < LOG_BURST) {
		return true;
	}
	atomic_fetch_add(&b->dropped, 1);
	return false;
}

/*
 * Append text to line[*len]; what is neither printable ASCII nor may be UTF-8
 * as \xNN, and so the control characters of both.
 */
static void
append_escaped(char *line, size_t cap, size_t *len, const char *text)
{
	unsigned tail = 0; /* octets that the character still needs */

	for (; *text != '\0' && *len + 5 < cap; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = c >= 0x20 && c < 0x7f;

		if (tail > 0 && (c & 0xc0) == 0x80) {
			plain = true;
			tail--;
		} else if (c >= 0xc3 && c <= 0xf4) { /* c2 leads to controls */
			plain = true;
			tail = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		} else {
			tail = 0;
		}
		if (plain) {
			line[(*len)++] = (char)c;
		} else {
			*len += (size_t)snprintf(line + *len, 5, "\\x%02x", c);
		}
	}
}

void
log_write(enum log_level level, const char *area, const char *msg,
    const char *fmt, ...)
{
	char pairs[1024], line[2048];
	struct timespec now;
	unsigned dropped;
	struct tm tm;
	size_t len = 0;
	va_list ap;

	if (level > log_max) {
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (!rate_allows(bucket_of(level, area), (long)now.tv_sec, &dropped)) {
		return;
	}
	if (log_journal) {
		len = (size_t)snprintf(
		    line, sizeof(line), "<%d>", log_levels[level].syslog);
	} else {
		(void)gmtime_r(&now.tv_sec, &tm);
		len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &tm);
	}
	len +=
	    (size_t)snprintf(line + len, sizeof(line) - len, "%s[%d] %s %s: %s",
		log_program, (int)getpid(), log_levels[level].name, area, msg);
	va_start(ap, fmt);
	(void)vsnprintf(pairs, sizeof(pairs), fmt, ap);
	va_end(ap);
	if (pairs[0] != '\0') {
		append_escaped(line, sizeof(line) - 40, &len, " ");
		append_escaped(line, sizeof(line) - 40, &len, pairs);
	}
	if (dropped > 0) {
		len += (size_t)snprintf(line + len, sizeof(line) - len,
		    " lines_left_out=%u", dropped);
	}
	line[len++] = '\n';
	/* Nothing can be done about a log that cannot be written. */
	if (write(STDERR_FILENO, line, len) < 0) {
		return;
	}
}
