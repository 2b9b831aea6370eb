/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input of "seal", taken in pieces: a file of any size needs two buffers.
 * Both are wiped when they are freed, and nothing is read through stdio,
 * whose buffers are not.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/ctl_seal.h"

#define CHUNK_LEN 65536
#define END_OF_FILE (-1)

/* Where between objects we are: values of seal_input.array. */
enum place {
	OUTSIDE,      /* objects stand one behind the other */
	ARRAY_BEGUN,  /* behind "[" */
	ARRAY_OBJECT, /* behind an object in an array */
	ARRAY_COMMA,  /* behind a comma */
	ARRAY_ENDED   /* nothing may follow */
};

/* ---- octets ---- */

/* Read what comes next behind what there is, until there is enough or EOF. */
static enum jy_err
fill(struct seal_input *in, struct errctx *ec)
{
	size_t len = 0;
	ssize_t n;

	in->at = 0;
	secret_wipe(secret_data(in->chunk), secret_len(in->chunk));
	do {
		n = read(in->fd, secret_data(in->chunk) + len, CHUNK_LEN - len);
		if (n < 0) {
			return err_set(ec, JY_EIO, "%s: %s", in->name,
			    errno == EINTR ? "interrupted" : strerror(errno));
		}
		len += (size_t)n;
	} while (n > 0 && len < CHUNK_LEN);
	secret_set_len(in->chunk, len);
	return JY_OK;
}

/* The next octet into *c, END_OF_FILE if there is none. */
static inline enum jy_err
next(struct seal_input *in, int *c, struct errctx *ec)
{
	if (in->at == secret_len(in->chunk)) {
		enum jy_err err = in->at > 0 ? fill(in, ec) : JY_OK;

		if (err != JY_OK) {
			return err;
		}
		if (secret_len(in->chunk) == 0) {
			*c = END_OF_FILE;
			return JY_OK;
		}
	}
	*c = secret_bytes(in->chunk)[in->at++];
	in->line += *c == '\n' ? 1 : 0;
	if (*c == '\0') {
		return err_set(ec, JY_EIO,
		    "%s: line %llu: an octet 0; only UTF-8 can be read",
		    in->name, (unsigned long long)in->line);
	}
	return JY_OK;
}

/* Keep an octet of the text, and room for a NUL. */
static inline enum jy_err
keep(struct seal_input *in, int c, uint64_t line, struct errctx *ec)
{
	size_t len = secret_len(in->text);

	if (len == SEAL_TEXT_MAX) {
		return err_set(ec, JY_EIO,
		    "%s: line %llu: what begins here is longer than %d octets",
		    in->name, (unsigned long long)line, SEAL_TEXT_MAX);
	}
	secret_data(in->text)[len] = (uint8_t)c;
	secret_set_len(in->text, len + 1);
	return JY_OK;
}

/* The next text may be shorter, and would leave an end of the last one. */
static void
text_begin(struct seal_input *in)
{
	secret_wipe(secret_data(in->text), secret_len(in->text));
	secret_set_len(in->text, 0);
}

/* ---- the file ---- */

/* A byte order mark: of UTF-8 it is skipped, of UTF-16 it is the end. */
static enum jy_err
skip_bom(struct seal_input *in, struct errctx *ec)
{
	const uint8_t *p = secret_bytes(in->chunk);
	size_t len = secret_len(in->chunk);

	if (len >= 2 &&
	    (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0)) {
		return err_set(ec, JY_EIO,
		    "%s: this is UTF-16; only UTF-8 can be read", in->name);
	}
	in->bom = len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0;
	in->at = in->bom ? 3 : 0;
	return JY_OK;
}

enum jy_err
seal_input_open(struct seal_input *in, const char *path, struct errctx *ec)
{
	bool is_stdin = strcmp(path, "-") == 0;
	enum jy_err err;

	*in = (struct seal_input){ .fd = STDIN_FILENO,
		.name = is_stdin ? "standard input" : path,
		.line = 1 };
	if (!is_stdin) {
		in->fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (in->fd < 0) {
		return err_set(ec, JY_EIO, "%s: %s", path, strerror(errno));
	}
	err = secret_new(CHUNK_LEN, &in->chunk, ec);
	if (err == JY_OK) {
		err = secret_new(SEAL_TEXT_MAX + 1, &in->text, ec);
	}
	if (err == JY_OK) {
		err = fill(in, ec);
	}
	return err == JY_OK ? skip_bom(in, ec) : err;
}

void
seal_input_close(struct seal_input *in)
{
	if (in->fd > STDIN_FILENO) {
		(void)close(in->fd);
	}
	secret_free(in->chunk);
	secret_free(in->text);
}

enum jy_err
seal_input_peek(struct seal_input *in, char *first, struct errctx *ec)
{
	int c = ' ';

	*first = '\0';
	while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
		enum jy_err err = next(in, &c, ec);

		if (err != JY_OK) {
			return err;
		}
	}
	if (c != END_OF_FILE) {
		in->at--; /* no line feed, so the line is still the same */
		*first = (char)c;
	}
	return JY_OK;
}

/* ---- lines ---- */

static void
text_done(struct seal_input *in, char **text, size_t *len)
{
	*len = secret_len(in->text);
	*text = (char *)secret_data(in->text);
	(*text)[*len] = '\0';
}

enum jy_err
seal_input_line(struct seal_input *in, char **text, size_t *len, uint64_t *line,
    struct errctx *ec)
{
	enum jy_err err;
	int c = 0;

	*line = in->line;
	text_begin(in);
	while ((err = next(in, &c, ec)) == JY_OK && c != '\n' &&
	    c != END_OF_FILE) {
		err = keep(in, c, *line, ec);
		if (err != JY_OK) {
			return err;
		}
	}
	if (err != JY_OK) {
		return err;
	}
	if (c == END_OF_FILE && secret_len(in->text) == 0) {
		*text = NULL;
		return JY_OK;
	}
	text_done(in, text, len);
	if (*len > 0 && (*text)[*len - 1] == '\r') {
		in->crlf = true;
		(*text)[--*len] = '\0';
	}
	return JY_OK;
}

/* ---- objects ---- */

static enum jy_err
misplaced(const struct seal_input *in, const char *what, struct errctx *ec)
{
	return err_set(ec, JY_EIO, "%s: line %llu: %s", in->name,
	    (unsigned long long)in->line, what);
}

/* The character that begins an object, or END_OF_FILE. */
static enum jy_err
to_object(struct seal_input *in, int *c, struct errctx *ec)
{
	/* By place: on which characters there is another place to go to. */
	static const struct {
		char on;
		int from;
		int to;
	} moves[] = {
		{ '[', OUTSIDE, ARRAY_BEGUN },
		{ ',', ARRAY_OBJECT, ARRAY_COMMA },
		{ ']', ARRAY_OBJECT, ARRAY_ENDED },
		{ ']', ARRAY_BEGUN, ARRAY_ENDED },
		{ '{', ARRAY_BEGUN, ARRAY_OBJECT },
		{ '{', ARRAY_COMMA, ARRAY_OBJECT },
		{ '{', OUTSIDE, OUTSIDE },
	};
	bool moved = true;

	while (moved) {
		enum jy_err err = next(in, c, ec);

		if (err != JY_OK) {
			return err;
		}
		if (*c == END_OF_FILE) {
			return in->array == OUTSIDE || in->array == ARRAY_ENDED
			    ? JY_OK
			    : misplaced(
				  in, "the file ends within an array", ec);
		}
		in->crlf = in->crlf || *c == '\r';
		moved = strchr(" \t\r\n", *c) != NULL;
		for (size_t i = 0; i < ARRAY_LEN(moves) && !moved; i++) {
			if (moves[i].on == *c && moves[i].from == in->array) {
				in->array = moves[i].to;
				moved = true;
				break;
			}
		}
		if (moved && *c == '{') {
			return JY_OK;
		}
	}
	return misplaced(in, "no object where one should begin", ec);
}

enum jy_err
seal_input_object(struct seal_input *in, char **text, size_t *len,
    uint64_t *line, struct errctx *ec)
{
	unsigned depth = 0;
	bool quoted = false;
	bool escaped = false;
	int c = 0;
	enum jy_err err = to_object(in, &c, ec);

	text_begin(in);
	*line = in->line;
	if (err == JY_OK && c == END_OF_FILE) {
		*text = NULL;
		return JY_OK;
	}
	while (err == JY_OK) {
		if (c == END_OF_FILE) {
			return err_set(ec, JY_EIO,
			    "%s: line %llu: the file ends within the object "
			    "that begins here",
			    in->name, (unsigned long long)*line);
		}
		err = keep(in, c, *line, ec);
		quoted = c == '"' && !escaped ? !quoted : quoted;
		escaped = quoted && c == '\\' && !escaped;
		depth += c == '{' && !quoted ? 1 : 0;
		depth -= c == '}' && !quoted ? 1 : 0;
		if (depth == 0) {
			break;
		}
		if (err == JY_OK) {
			err = next(in, &c, ec);
		}
	}
	if (err == JY_OK) {
		text_done(in, text, len);
	}
	return err;
}
