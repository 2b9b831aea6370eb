/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a sealed key file for "joineryctl import". */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"
#include "tools/ctl_import.h"

#define READ_SIZE 65536

/* Enough of a SHA-256 that nobody finds another line that has it. */
#define MARK_LEN 16
#define PLACES_FIRST 1024U

/* Where a device is, and what its line was when it was read first. */
struct place {
	uint8_t euis[16]; /* DevEUI, JoinEUI: the order of the database */
	uint8_t mark[MARK_LEN];
	uint64_t offset;
	uint32_t line; /* what is beyond 2^32 - 1 is told as that */
	uint32_t len;  /* with its LF */
};

struct import_file {
	const char *path;
	int fd;
	struct import_sums sums;
	struct seal_digest *marks;

	/* the first reading */
	size_t start, end; /* of what was read and not used */
	bool eof;
	uint64_t offset; /* in the file, of the next line */
	struct keyfile_reader reader;
	struct seal_digest *digest, *check_values; /* NULL at its end */
	char buf[READ_SIZE];

	/* the second */
	struct keyfile_reader behind_header;
	struct place *places;
	size_t n_places, room, next;
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
	if (S_ISDIR(st.st_mode)) {
		(void)close(fd);
		return ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", path, strerror(EISDIR));
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
	f->marks = seal_digest_new();
	f->digest = seal_digest_new();
	f->check_values = seal_digest_new();
	keyfile_reader_init(&f->reader);
	*out = f;
	return CTL_OK;
}

void
import_file_close(struct import_file *f)
{
	if (f != NULL) {
		(void)close(f->fd);
		seal_digest_free(f->marks);
		seal_digest_free(f->digest);
		seal_digest_free(f->check_values);
		free(f->places);
		free(f);
	}
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
	f->offset += *len;
	return CTL_OK;
}

/* ---- lines ---- */

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

static void
mark_of(
    struct import_file *f, const char *line, size_t len, uint8_t out[MARK_LEN])
{
	uint8_t digest[SEAL_DIGEST_LEN];

	seal_digest_of(f->marks, line, len, digest);
	memcpy(out, digest, MARK_LEN);
}

/* Have room for one more. */
static enum ctl_exit
make_room(struct ctl *ctl, struct import_file *f)
{
	size_t room = f->room == 0 ? PLACES_FIRST : 2 * f->room;
	struct place *places;

	if (f->n_places < f->room) {
		return CTL_OK;
	}
	places = reallocarray(f->places, room, sizeof(places[0]));
	if (places == NULL) {
		return ctl_fail(ctl, CTL_LOCAL, "split the file",
		    "%s: there is no memory for more than %zu devices", f->path,
		    f->n_places);
	}
	f->places = places;
	f->room = room;
	return CTL_OK;
}

/* Remember where a device is; p is its line. */
static enum ctl_exit
add_place(struct ctl *ctl, struct import_file *f,
    const struct keyfile_device *device, const char *p, size_t len)
{
	uint64_t line = f->reader.line;
	enum ctl_exit exit = make_room(ctl, f);
	struct place *place;

	if (exit != CTL_OK) {
		return exit;
	}
	place = &f->places[f->n_places++];
	place->offset = f->offset - len;
	place->line = line < UINT32_MAX ? (uint32_t)line : UINT32_MAX;
	place->len = (uint32_t)len;
	memcpy(place->euis, device->dev_eui.be, 8);
	memcpy(place->euis + 8, device->join_eui.be, 8);
	mark_of(f, p, len, place->mark);
	return CTL_OK;
}

static void
tell_wrong(struct import_file *f, struct progress *progress, uint64_t line,
    const char *why)
{
	f->sums.wrong++;
	import_show_refused(progress, line, "", why);
}

/* What keyfile_read says begins with the number of the line. */
static const char *
without_number(const struct errctx *ec)
{
	const char *text = err_detail(ec, JY_EINVAL);
	const char *colon = strstr(text, ": ");

	return colon != NULL ? colon + 2 : text;
}

/* One line; *kind says which. */
static enum ctl_exit
read_line(struct ctl *ctl, struct import_file *f, struct progress *progress,
    enum keyfile_line *kind)
{
	struct errctx ec = ERRCTX_INIT;
	struct keyfile_device device;
	const char *p;
	size_t len = 0;
	enum ctl_exit exit = next_line(ctl, f, &p, &len);
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	err = p == NULL
	    ? keyfile_read_done(&f->reader, &ec)
	    : keyfile_read(&f->reader, p, len - 1, kind, &device, &ec);
	if (err != JY_OK && (p == NULL || !is_device_line(p, len))) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "man joinery-keyfile says what the file has to be",
		    "%s: %s", f->path, err_detail(&ec, err));
	}
	jy_assert(p != NULL);
	if (err != JY_OK) {
		*kind = KEYFILE_DEVICE;
		tell_wrong(f, progress, f->reader.line, without_number(&ec));
	} else if (*kind == KEYFILE_HEADER_END) {
		f->sums.header = f->reader.header;
		f->behind_header = f->reader;
	} else if (*kind == KEYFILE_DEVICE) {
		seal_digest_add_keys(f->check_values, &device);
		exit = add_place(ctl, f, &device, p, len);
	}
	seal_digest_add(
	    f->digest, p, *kind == KEYFILE_END ? f->reader.end.covered : len);
	return exit;
}

static int
by_euis(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = memcmp(x->euis, y->euis, sizeof(x->euis));

	return order != 0 ? order
			  : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Put the places into order; of those of one device, the first stays. */
static void
sort_places(struct import_file *f, struct progress *progress)
{
	size_t kept = 0;
	char why[64];

	if (f->n_places == 0) {
		return;
	}
	qsort(f->places, f->n_places, sizeof(f->places[0]), by_euis);
	for (size_t i = 1; i < f->n_places; i++) {
		const struct place *p = &f->places[i],
				   *before = &f->places[kept];

		if (memcmp(p->euis, before->euis, sizeof(p->euis)) != 0) {
			f->places[++kept] = *p;
			continue;
		}
		(void)snprintf(why, sizeof(why),
		    "the device is on line %" PRIu32 ", too", before->line);
		tell_wrong(f, progress, p->line, why);
	}
	f->n_places = kept + 1;
}

enum ctl_exit
import_file_read(
    struct ctl *ctl, struct import_file *f, struct progress *progress)
{
	enum keyfile_line kind = KEYFILE_HEADER;
	enum ctl_exit exit = CTL_OK;

	while (exit == CTL_OK && kind != KEYFILE_END) {
		exit = read_line(ctl, f, progress, &kind);
	}
	if (exit == CTL_OK) {
		exit = finish(ctl, f);
	}
	if (exit == CTL_OK) {
		sort_places(f, progress);
	}
	return exit;
}

/* ---- the second reading ---- */

/* All of a line or what there is of it; how much, or negative. */
static ssize_t
read_again(const struct import_file *f, const struct place *place,
    char line[KEYFILE_LINE_MAX])
{
	size_t have = 0;
	ssize_t n = 1;

	while (n > 0 && have < place->len) {
		n = pread(f->fd, line + have, place->len - have,
		    (off_t)(place->offset + have));
		if (n < 0 && errno == EINTR) {
			n = 1;
		} else if (n > 0) {
			have += (size_t)n;
		}
	}
	return n < 0 ? n : (ssize_t)have;
}

/* The device of a line that is what it was. */
static bool
parse_again(struct import_file *f, const struct place *place, const char *line,
    size_t len, struct keyfile_device *device)
{
	struct keyfile_reader reader = f->behind_header;
	enum keyfile_line kind;
	uint8_t mark[MARK_LEN];

	mark_of(f, line, len, mark);
	return memcmp(mark, place->mark, sizeof(mark)) == 0 &&
	    keyfile_read(&reader, line, len - 1, &kind, device, NULL) == JY_OK;
}

enum ctl_exit
import_file_next(struct ctl *ctl, struct import_file *f, bool *more,
    struct keyfile_device *device, uint64_t *number)
{
	const struct place *place;
	char line[KEYFILE_LINE_MAX];
	ssize_t len;

	if (f->next == f->n_places) {
		*more = false;
		return CTL_OK;
	}
	place = &f->places[f->next];
	len = read_again(f, place, line);
	if (len < 0) {
		return ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", f->path, strerror(errno));
	}
	if (!parse_again(f, place, line, (size_t)len, device)) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "get the file again; what was imported is what its maker "
		    "wrote",
		    "%s: line %" PRIu32 " was changed while the file was read",
		    f->path, place->line);
	}
	f->next++;
	*more = true;
	*number = place->line;
	return CTL_OK;
}
