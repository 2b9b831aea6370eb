/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as RFC 4180 has it, with a line that names the columns; a field may not
 * go on over the end of its line.  Columns are separated by whichever of
 * comma, semicolon and tab comes first in that line.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/sys.h"
#include "tools/ctl_seal.h"

#define FIELDS_MAX 256

struct field {
	char *text;
	size_t len;
};

struct csv {
	char separator;
	size_t columns;
	int column_of[FIELDS_MAX]; /* an enum seal_column, -1 for none */
	struct field fields[FIELDS_MAX];
};

/* ---- a line ---- */

/* A quoted field, *p behind its first quote; "" within is a quote. */
static bool
take_quoted(char **p, struct field *out)
{
	char *to = *p;

	*out = (struct field){ *p, 0 };
	for (;; (*p)++) {
		if (**p == '\0') {
			return false;
		}
		if (**p == '"') {
			if ((*p)[1] != '"') {
				break;
			}
			(*p)++;
		}
		*to++ = **p;
	}
	(*p)++;
	out->len = (size_t)(to - out->text);
	return true;
}

static void
take_plain(char **p, char separator, struct field *out)
{
	*out = (struct field){ *p, 0 };
	while (**p != '\0' && **p != separator) {
		(*p)++;
	}
	out->len = (size_t)(*p - out->text);
	while (out->len > 0 && out->text[out->len - 1] == ' ') {
		out->len--;
	}
}

static enum jy_err
split(struct csv *csv, char *p, size_t *count, struct errctx *ec)
{
	size_t n = 0;

	for (;;) {
		if (n == FIELDS_MAX) {
			return err_set(
			    ec, JY_EINVAL, "more than %d columns", FIELDS_MAX);
		}
		p += strspn(p, " ");
		if (*p == '"') {
			p++;
			if (!take_quoted(&p, &csv->fields[n])) {
				return err_set(ec, JY_EINVAL,
				    "column %zu: the quotes do not end", n + 1);
			}
			p += strspn(p, " ");
		} else {
			take_plain(&p, csv->separator, &csv->fields[n]);
		}
		n++;
		if (*p == '\0') {
			break;
		}
		if (*p != csv->separator) {
			return err_set(ec, JY_EINVAL,
			    "column %zu: something behind the quotes", n);
		}
		p++;
	}
	*count = n;
	return JY_OK;
}

/* ---- the first line ---- */

/* How many columns have that name, and the last one that has. */
static size_t
find_header(const struct csv *csv, const char *header, size_t *at)
{
	size_t found = 0;

	for (size_t i = 0; i < csv->columns; i++) {
		const struct field *f = &csv->fields[i];

		if (f->len == strlen(header) &&
		    strncasecmp(f->text, header, f->len) == 0) {
			*at = i;
			found++;
		}
	}
	return found;
}

/* What --column names has to be there; a name in its own right need not. */
static enum jy_err
map_column(struct seal_run *run, struct csv *csv, size_t c, struct errctx *ec)
{
	size_t at = 0;
	size_t found = find_header(csv, run->headers[c], &at);

	if (found == 0 || (csv->column_of[at] != -1 && !run->mapped[c])) {
		return !run->mapped[c]
		    ? JY_OK
		    : err_set(ec, JY_EIO, "there is no column \"%s\"",
			  seal_shown(run->headers[c]));
	}
	if (found > 1 || csv->column_of[at] != -1) {
		return err_set(ec, JY_EIO, "%s \"%s\"",
		    found > 1 ? "there are two columns" : "taken twice: column",
		    seal_shown(run->headers[c]));
	}
	csv->column_of[at] = (int)c;
	return JY_OK;
}

/* Those that --column names come first, and may take another's name. */
static enum jy_err
map_columns(struct seal_run *run, struct csv *csv, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < csv->columns; i++) {
		csv->column_of[i] = -1;
	}
	for (size_t i = 0; i < (size_t)2 * SEAL_COLUMN_COUNT && err == JY_OK;
	     i++) {
		size_t c = i % SEAL_COLUMN_COUNT;

		if (run->mapped[c] == (i < SEAL_COLUMN_COUNT)) {
			err = map_column(run, csv, c, ec);
		}
	}
	return err;
}

static enum jy_err
read_header(struct seal_run *run, struct csv *csv, char *text, uint64_t line,
    struct errctx *ec)
{
	size_t first = strcspn(text, ",;\t");
	bool has_dev_eui = false;
	size_t unused = 0;
	enum jy_err err;

	csv->separator = text[first] != '\0' ? text[first] : ',';
	err = split(csv, text, &csv->columns, ec);
	if (err != JY_OK) {
		return err_replace(ec, JY_EIO,
		    "line %llu: the names of the columns cannot be read",
		    (unsigned long long)line);
	}
	err = map_columns(run, csv, ec);
	if (err != JY_OK) {
		return err;
	}
	for (size_t i = 0; i < csv->columns; i++) {
		has_dev_eui = has_dev_eui || csv->column_of[i] == SEAL_DEV_EUI;
		unused += csv->column_of[i] == -1 ? 1 : 0;
	}
	/* The line may be a device, so nothing of it is shown. */
	if (!has_dev_eui) {
		return err_set(ec, JY_EIO,
		    "line %llu: the first line does not name a column \"%s\"; "
		    "--column dev_eui=HEADER says what it is called",
		    (unsigned long long)line,
		    seal_shown(run->headers[SEAL_DEV_EUI]));
	}
	if (unused > 0) {
		seal_note(run, "%zu of %zu columns are not used", unused,
		    csv->columns);
	}
	return JY_OK;
}

/* ---- devices ---- */

static enum jy_err
read_device(
    struct seal_run *run, struct csv *csv, char *text, struct errctx *ec)
{
	size_t n = 0;
	enum jy_err err = split(csv, text, &n, ec);

	if (err != JY_OK) {
		return err;
	}
	if (n != csv->columns) {
		return err_set(ec, JY_EINVAL,
		    "%zu columns where the first line has %zu", n,
		    csv->columns);
	}
	for (size_t i = 0; i < n && err == JY_OK; i++) {
		if (csv->column_of[i] != -1) {
			err = seal_device_set(run->device,
			    (enum seal_column)csv->column_of[i],
			    csv->fields[i].text, csv->fields[i].len, ec);
		}
	}
	return err;
}

enum jy_err
seal_csv(struct seal_run *run, struct errctx *ec)
{
	struct csv *csv = sys_xcalloc(1, sizeof(*csv));
	bool have_header = false;
	char *text = NULL;
	enum jy_err err;
	uint64_t line = 0;
	size_t len = 0;

	while ((err = seal_input_line(&run->input, &text, &len, &line, ec)) ==
		JY_OK &&
	    text != NULL) {
		if (text[strspn(text, " ")] == '\0') {
			continue;
		}
		if (!have_header) {
			have_header = true;
			err = read_header(run, csv, text, line, ec);
		} else {
			struct errctx row = ERRCTX_INIT;
			enum jy_err read;

			seal_begin(run);
			read = read_device(run, csv, text, &row);
			err = seal_end(run, line, read, &row, ec);
		}
		if (err != JY_OK) {
			break;
		}
	}
	free(csv);
	return err;
}
