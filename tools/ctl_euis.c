/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl_euis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/sys.h"
#include "tools/ctl_euis_json.h"

#define CELLS_MAX 64
#define BLANKS " \t"

#define KEYFILE_BEGIN "joinery-keyfile 1"
#define KEYFILE_DEVICE "device "

struct reader {
	struct ctl *ctl;
	FILE *in;
	const char *name;
	euis_bad *bad;
	void *arg;
	struct euis *out;
	uint32_t line;
	/* How to take a line; NULL until the first tells. */
	const char *(*take)(struct reader *r, char *text, struct euis_row *row);
	size_t cells; /* CSV: how many the header has */
	size_t join_eui_at;
	size_t dev_eui_at;
	char text[EUIS_LINE_MAX + 1];
	char why[160];
};

/* ---- lines ---- */

enum line_kind {
	LINE_END,
	LINE_GOOD,
	LINE_BAD
};

/* The next line without its end; of one that is too long only the length. */
static enum line_kind
line_next(struct reader *r)
{
	bool nul = false;
	size_t len = 0;
	int c = getc(r->in);

	if (c == EOF) {
		return LINE_END;
	}
	r->line++;
	for (; c != EOF && c != '\n'; c = getc(r->in)) {
		nul = nul || c == '\0';
		if (len < EUIS_LINE_MAX) {
			r->text[len] = (char)c;
		}
		len += len <= EUIS_LINE_MAX;
	}
	if (len > EUIS_LINE_MAX || nul) {
		(void)snprintf(r->why, sizeof(r->why),
		    nul ? "it has a NUL" : "it is longer than %u octets",
		    EUIS_LINE_MAX);
		return LINE_BAD;
	}
	if (len > 0 && r->text[len - 1] == '\r') {
		len--;
	}
	r->text[len] = '\0';
	return LINE_GOOD;
}

/* ---- what a line names; each returns why it names nothing, or NULL ---- */

static const char *
eui_take(
    struct reader *r, const char *what, const char *text, struct eui64 *out)
{
	if (eui64_parse(text, out)) {
		return NULL;
	}
	(void)snprintf(r->why, sizeof(r->why),
	    "%s is 16 hexadecimal digits, not \"%.40s\"", what,
	    args_shown(text));
	return r->why;
}

static const char *
euis_take(struct reader *r, const char *join_eui, const char *dev_eui,
    struct euis_row *row)
{
	const char *why = eui_take(r, "JoinEUI", join_eui, &row->join_eui);

	return why != NULL ? why
			   : eui_take(r, "DevEUI", dev_eui, &row->dev_eui);
}

static const char *
plain_take(struct reader *r, char *text, struct euis_row *row)
{
	char *save = NULL;
	char *join_eui = strtok_r(text, BLANKS ",", &save);
	char *dev_eui = strtok_r(NULL, BLANKS ",", &save);

	if (dev_eui == NULL || strtok_r(NULL, BLANKS ",", &save) != NULL) {
		return "a line is a JoinEUI and a DevEUI";
	}
	return euis_take(r, join_eui, dev_eui, row);
}

/*
 * Take a cell off a line of CSV, in place.  *text is behind its comma then, or
 * NULL after the last one.  NULL if its quotes are wrong.
 */
static char *
cell_take(char **text)
{
	char *cell = *text;
	char *to = cell;
	char *p = cell;

	if (*p != '"') {
		p += strcspn(p, ",");
		to = p;
	} else {
		for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
			p += *p == '"';
			*to++ = *p;
		}
		if (*p++ != '"' || (*p != ',' && *p != '\0')) {
			return NULL;
		}
	}
	*text = *p == ',' ? p + 1 : NULL;
	*to = '\0';
	return cell;
}

/* All cells of a line; 0 if it is no CSV, or has too many. */
static size_t
cells_take(char *text, char *cells[CELLS_MAX])
{
	size_t n = 0;

	while (text != NULL) {
		char *cell = n < CELLS_MAX ? cell_take(&text) : NULL;

		if (cell == NULL) {
			return 0;
		}
		cells[n++] = cell;
	}
	return n;
}

static const char *
csv_take(struct reader *r, char *text, struct euis_row *row)
{
	char *cells[CELLS_MAX];
	size_t n = cells_take(text, cells);

	if (n == 0) {
		return "its quotes are wrong, or it has too many columns";
	}
	if (n != r->cells) {
		(void)snprintf(r->why, sizeof(r->why),
		    "it has %zu columns, the header %zu", n, r->cells);
		return r->why;
	}
	return euis_take(r, cells[r->join_eui_at], cells[r->dev_eui_at], row);
}

/* A line of a key file: of a device, or one that names none. */
static const char *
keyfile_take(struct reader *r, char *text, struct euis_row *row)
{
	char *save = NULL;
	char *join_eui, *dev_eui;

	(void)strtok_r(text, BLANKS, &save); /* "device" */
	join_eui = strtok_r(NULL, BLANKS, &save);
	dev_eui = strtok_r(NULL, BLANKS, &save);
	return dev_eui != NULL ? euis_take(r, join_eui, dev_eui, row)
			       : "a device line has a JoinEUI and a DevEUI";
}

static const char *
json_take(struct reader *r, char *text, struct euis_row *row)
{
	char join_eui[EUIS_TEXT_LEN];
	char dev_eui[EUIS_TEXT_LEN];
	const char *why =
	    euis_json(text, join_eui, dev_eui, r->why, sizeof(r->why));

	return why != NULL ? why : euis_take(r, join_eui, dev_eui, row);
}

/* ---- which of the forms it is ---- */

/* True if the line is a CSV header; *exit when one that we cannot use. */
static bool
header_take(struct reader *r, enum ctl_exit *exit)
{
	char text[EUIS_LINE_MAX + 1];
	char *cells[CELLS_MAX];
	size_t join_euis = 0;
	size_t dev_euis = 0;

	memcpy(text, r->text, strlen(r->text) + 1);
	r->cells = cells_take(text, cells);
	for (size_t i = 0; i < r->cells; i++) {
		if (strcasecmp(cells[i], "join_eui") == 0) {
			r->join_eui_at = i;
			join_euis++;
		} else if (strcasecmp(cells[i], "dev_eui") == 0) {
			r->dev_eui_at = i;
			dev_euis++;
		}
	}
	if (join_euis + dev_euis == 0) {
		return false;
	}
	if (join_euis != 1 || dev_euis != 1) {
		*exit = ctl_fail(r->ctl, CTL_LOCAL, NULL,
		    "%s: the header needs join_eui and dev_eui, once each",
		    r->name);
	}
	return true;
}

/* The first line that says something; true if it names no device itself. */
static bool
form_find(struct reader *r, enum ctl_exit *exit)
{
	if (strcmp(r->text, KEYFILE_BEGIN) == 0) {
		r->take = keyfile_take;
		return true;
	}
	if (header_take(r, exit)) {
		r->take = csv_take;
		return true;
	}
	r->take =
	    r->text[strspn(r->text, BLANKS)] == '{' ? json_take : plain_take;
	return false;
}

/* ---- the file ---- */

enum ctl_exit
euis_add(struct ctl *ctl, const char *name, struct euis *euis,
    const struct euis_row *row)
{
	if (euis->count == EUIS_MAX) {
		return ctl_fail(ctl, CTL_LOCAL, "split it",
		    "%s names more than %d devices", name, EUIS_MAX);
	}
	if (euis->count == euis->room) {
		euis->room = euis->room > 0 ? euis->room * 2 : 1024;
		euis->rows =
		    realloc(euis->rows, euis->room * sizeof(euis->rows[0]));
		jy_assert(euis->rows != NULL);
	}
	euis->rows[euis->count++] = *row;
	return CTL_OK;
}

/* A line that begins with #, but in CSV, where a name may. */
static bool
is_comment(const struct reader *r)
{
	return r->take != csv_take && r->take != keyfile_take &&
	    r->text[strspn(r->text, BLANKS)] == '#';
}

static enum ctl_exit
line_take(struct reader *r)
{
	struct euis_row row = { .line = r->line };
	enum ctl_exit exit = CTL_OK;
	const char *why;

	/* In JSON and in CSV a # may stand in a name. */
	if (r->take == plain_take || is_comment(r)) {
		r->text[strcspn(r->text, "#")] = '\0';
	}
	if (r->text[strspn(r->text, BLANKS)] == '\0') {
		return CTL_OK;
	}
	if (r->take == NULL && form_find(r, &exit)) {
		return exit;
	}
	if (r->take == plain_take) {
		r->text[strcspn(r->text, "#")] = '\0';
	}
	if (r->take == keyfile_take &&
	    strncmp(r->text, KEYFILE_DEVICE, strlen(KEYFILE_DEVICE)) != 0) {
		return CTL_OK;
	}
	why = r->take(r, r->text, &row);
	if (why == NULL) {
		return euis_add(r->ctl, r->name, r->out, &row);
	}
	r->out->bad++;
	r->bad(r->arg, r->line, why);
	return CTL_OK;
}

static enum ctl_exit
lines_take(struct reader *r)
{
	static const char mark[] = "\xef\xbb\xbf";
	enum ctl_exit exit = CTL_OK;
	enum line_kind kind;

	while (exit == CTL_OK && (kind = line_next(r)) != LINE_END) {
		if (kind == LINE_BAD) {
			r->out->bad++;
			r->bad(r->arg, r->line, r->why);
			continue;
		}
		if (r->line == 1 && strncmp(r->text, mark, 3) == 0) {
			memmove(r->text, r->text + 3, strlen(r->text + 3) + 1);
		}
		exit = line_take(r);
	}
	if (exit == CTL_OK && ferror(r->in) != 0) {
		exit = ctl_fail(r->ctl, CTL_LOCAL, NULL, "%s: %s", r->name,
		    strerror(errno));
	}
	return exit;
}

enum ctl_exit
euis_read(struct ctl *ctl, const char *path, euis_bad *bad, void *arg,
    struct euis *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct reader *r = sys_xcalloc(1, sizeof(*r));
	enum ctl_exit exit;

	*out = (struct euis){ 0 };
	r->ctl = ctl;
	r->name = is_stdin ? "standard input" : path;
	r->in = is_stdin ? stdin : fopen(path, "re");
	r->bad = bad;
	r->arg = arg;
	r->out = out;
	if (r->in == NULL) {
		exit = ctl_fail(
		    ctl, CTL_LOCAL, NULL, "%s: %s", path, strerror(errno));
	} else {
		exit = lines_take(r);
	}
	if (r->in != NULL && !is_stdin) {
		(void)fclose(r->in);
	}
	free(r);
	if (exit != CTL_OK) {
		euis_fini(out);
	}
	return exit;
}

void
euis_fini(struct euis *euis)
{
	free(euis->rows);
	*euis = (struct euis){ 0 };
}
