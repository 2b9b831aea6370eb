/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a sealed key file for "joineryctl import". */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/ctl_import.h"
#include "tools/eui_set.h"

#define READ_SIZE 65536

struct import_file {
	const char *path;
	int fd;
	size_t start, end; /* of what was read and not used */
	bool eof;
	struct keyfile_reader reader;
	struct eui_set *seen;
	struct seal_digest *digest, *check_values;
	struct import_sums sums;
	char buf[READ_SIZE];
};

enum ctl_exit
import_file_open(struct ctl *ctl, const char *path, struct import_file **out)
{
	struct import_file *f;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) != 0) {
		enum ctl_exit exit = ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", path, strerror(errno));

		if (fd >= 0) {
			(void)close(fd);
		}
		return exit;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)close(fd);
		return ctl_fail(ctl, CTL_LOCAL,
		    "the file is read twice, so it cannot be a pipe",
		    "%s: not a regular file", path);
	}
	f = sys_xcalloc(1, sizeof(*f));
	f->path = path;
	f->fd = fd;
	*out = f;
	return import_file_rewind(ctl, f);
}

/* Drop what a reading needed. */
static void
reading_end(struct import_file *f)
{
	uint8_t unused[SEAL_DIGEST_LEN];

	eui_set_free(f->seen);
	if (f->digest != NULL) {
		seal_digest_end(f->digest, unused);
	}
	if (f->check_values != NULL) {
		seal_digest_end(f->check_values, unused);
	}
	f->seen = NULL;
	f->digest = f->check_values = NULL;
}

void
import_file_close(struct import_file *f)
{
	if (f != NULL) {
		reading_end(f);
		(void)close(f->fd);
		free(f);
	}
}

enum ctl_exit
import_file_rewind(struct ctl *ctl, struct import_file *f)
{
	if (lseek(f->fd, 0, SEEK_SET) != 0) {
		return ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", f->path, strerror(errno));
	}
	reading_end(f);
	f->start = f->end = 0;
	f->eof = false;
	keyfile_reader_init(&f->reader);
	f->seen = eui_set_new();
	f->digest = seal_digest_new();
	f->check_values = seal_digest_new();
	f->sums = (struct import_sums){ 0 };
	return CTL_OK;
}

const struct import_sums *
import_file_sums(const struct import_file *f)
{
	return &f->sums;
}

/* ---- octets ---- */

/* Have a line, or all that is left, in the buffer. */
static enum ctl_exit
fill(struct ctl *ctl, struct import_file *f)
{
	ssize_t n;

	if (f->eof ||
	    memchr(f->buf + f->start, '\n', f->end - f->start) != NULL) {
		return CTL_OK;
	}
	memmove(f->buf, f->buf + f->start, f->end - f->start);
	f->end -= f->start;
	f->start = 0;
	while (!f->eof && f->end < KEYFILE_LINE_MAX) {
		n = read(f->fd, f->buf + f->end, sizeof(f->buf) - f->end);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return ctl_fail(ctl, CTL_LOCAL, NULL, "%s: %s", f->path,
			    strerror(errno));
		}
		f->eof = n == 0;
		f->end += (size_t)n;
	}
	return CTL_OK;
}

/* The next line with its LF; *p NULL at the end. */
static enum ctl_exit
next_line(struct ctl *ctl, struct import_file *f, const char **p, size_t *len)
{
	enum ctl_exit exit = fill(ctl, f);
	const char *lf;
	size_t have = f->end - f->start;

	*p = NULL;
	if (exit != CTL_OK || have == 0) {
		return exit;
	}
	lf = memchr(f->buf + f->start, '\n', have);
	*len = lf != NULL ? (size_t)(lf - (f->buf + f->start)) + 1 : have;
	if (*len > KEYFILE_LINE_MAX) {
		return ctl_fail(ctl, CTL_LOCAL, NULL,
		    "%s: line %llu is longer than %d octets", f->path,
		    (unsigned long long)f->reader.line + 1, KEYFILE_LINE_MAX);
	}
	if (lf == NULL) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "the file was cut: get it again",
		    "%s: line %llu does not end with LF", f->path,
		    (unsigned long long)f->reader.line + 1);
	}
	*p = f->buf + f->start;
	f->start += *len;
	return CTL_OK;
}

/* ---- lines ---- */

static void
add_check_values(struct import_file *f, const struct keyfile_device *d)
{
	const struct keyfile_key *keys[] = { &d->nwk, &d->app };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i]->present) {
			seal_digest_add(f->check_values, keys[i]->check_value,
			    sizeof(keys[i]->check_value));
		}
	}
}

/* Nothing may come behind the end line. */
static enum ctl_exit
finish(struct ctl *ctl, struct import_file *f)
{
	const char *more;
	size_t len;
	enum ctl_exit exit = next_line(ctl, f, &more, &len);

	if (exit == CTL_OK && more != NULL) {
		exit = ctl_fail(ctl, CTL_LOCAL, NULL,
		    "%s: line %llu: something comes behind the end line",
		    f->path, (unsigned long long)f->reader.line + 1);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	f->sums.devices = f->reader.devices;
	memcpy(f->sums.mac, f->reader.end.mac, sizeof(f->sums.mac));
	seal_digest_end(f->digest, f->sums.digest);
	seal_digest_end(f->check_values, f->sums.check_values);
	f->digest = f->check_values = NULL;
	return CTL_OK;
}

static bool
is_device_line(const char *p, size_t len)
{
	static const char word[] = "device ";

	return len >= sizeof(word) - 1 &&
	    memcmp(p, word, sizeof(word) - 1) == 0;
}

/* A line that was read: a device, and one the file did not name before? */
static enum import_line
take_device(
    struct ctl *ctl, struct import_file *f, const struct keyfile_device *device)
{
	uint64_t before = eui_set_add(
	    f->seen, &device->join_eui, &device->dev_eui, f->reader.line);

	if (before == 0) {
		add_check_values(f, device);
		return IMPORT_LINE;
	}
	f->sums.wrong++;
	(void)snprintf(ctl->error.text, sizeof(ctl->error.text),
	    "the device is on line %llu, too", (unsigned long long)before);
	return IMPORT_WRONG;
}

/* What keyfile_read says begins with the number of the line. */
static enum import_line
take_wrong(struct ctl *ctl, struct import_file *f, const struct errctx *ec)
{
	const char *text = err_detail(ec, JY_EINVAL);
	const char *colon = strstr(text, ": ");

	f->sums.wrong++;
	(void)snprintf(ctl->error.text, sizeof(ctl->error.text), "%s",
	    colon != NULL ? colon + 2 : text);
	return IMPORT_WRONG;
}

enum ctl_exit
import_file_next(struct ctl *ctl, struct import_file *f, enum import_line *out,
    struct keyfile_device *device, uint64_t *line)
{
	for (;;) {
		struct errctx ec = ERRCTX_INIT;
		enum keyfile_line kind = KEYFILE_HEADER;
		const char *p;
		size_t len = 0;
		enum ctl_exit exit = next_line(ctl, f, &p, &len);
		enum jy_err err;

		if (exit != CTL_OK) {
			return exit;
		}
		err = p == NULL
		    ? keyfile_read_done(&f->reader, &ec)
		    : keyfile_read(&f->reader, p, len - 1, &kind, device, &ec);
		*line = f->reader.line;
		if (err != JY_OK && (p == NULL || !is_device_line(p, len))) {
			return ctl_fail(ctl, CTL_LOCAL,
			    "man joinery-keyfile says what the file has to be",
			    "%s: %s", f->path, err_detail(&ec, err));
		}
		jy_assert(p != NULL);
		seal_digest_add(f->digest, p,
		    kind == KEYFILE_END && err == JY_OK ? f->reader.end.covered
							: len);
		if (err != JY_OK) {
			*out = take_wrong(ctl, f, &ec);
			return CTL_OK;
		}
		if (kind == KEYFILE_HEADER_END) {
			f->sums.header = f->reader.header;
		}
		if (kind == KEYFILE_DEVICE) {
			*out = take_device(ctl, f, device);
			return CTL_OK;
		}
		if (kind == KEYFILE_END) {
			*out = IMPORT_END;
			return finish(ctl, f);
		}
	}
}
