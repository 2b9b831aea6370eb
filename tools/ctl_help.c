/* SPDX-License-Identifier: Apache-2.0 */
/* Help and suggestions, all from the tables of ctl.def. */
#include <stdio.h>
#include <string.h>

#include "tools/ctl.h"

#define HELP_WIDTH 79

/* A place in a line that is broken before it gets too long. */
struct line {
	FILE *out;
	size_t indent;
	size_t at;
};

static void
line_put(struct line *line, const char *text)
{
	size_t len = strlen(text);

	if (line->at + 1 + len > HELP_WIDTH) {
		(void)fprintf(line->out, "\n%*s", (int)line->indent, "");
		line->at = line->indent;
	}
	(void)fprintf(line->out, " %s", text);
	line->at += 1 + len;
}

static void
put_option_usage(struct line *line, size_t i, bool required)
{
	const struct option_row *o = &ctl_options[i];
	char text[80];

	(void)snprintf(text, sizeof(text), "%s--%s%s%s%s", required ? "" : "[",
	    o->name, o->value[0] != '\0' ? " " : "", o->value,
	    required ? "" : "]");
	line_put(line, text);
}

void
help_usage(FILE *out, const struct verb *verb)
{
	struct line line = { .out = out, .indent = 11, .at = 17 };

	(void)fputs("usage: joineryctl", out);
	line_put(&line, verb->words);
	if (verb->operand[0] != '\0') {
		line_put(&line, verb->operand);
	}
	for (size_t i = 0; i < OPT_COUNT; i++) {
		if ((verb->required & CTL_BIT(i)) != 0) {
			put_option_usage(&line, i, true);
		}
	}
	for (size_t i = 0; i < OPT_COUNT; i++) {
		if ((verb->optional & CTL_BIT(i)) != 0) {
			put_option_usage(&line, i, false);
		}
	}
	(void)fputc('\n', out);
}

static void
put_options(FILE *out, ctl_set set)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		const struct option_row *o = &ctl_options[i];
		char text[64];

		if ((set & CTL_BIT(i)) != 0) {
			(void)snprintf(
			    text, sizeof(text), "--%s %s", o->name, o->value);
			(void)fprintf(out, "  %-30s %s\n", text, o->help);
		}
	}
}

static void
help_all(FILE *out)
{
	(void)fputs("usage: joineryctl [OPTION]... VERB ...\n\n", out);
	for (size_t i = 0; i < ctl_verb_count; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "%s %s", ctl_verbs[i].words,
		    ctl_verbs[i].operand);
		(void)fprintf(out, "  %-22s %s\n", text, ctl_verbs[i].help);
	}
	(void)fputs("\nOptions of every verb:\n", out);
	put_options(out, CTL_GLOBAL);
	(void)fputs("\n\"joineryctl help VERB\" says more of a verb; "
		    "joineryctl(1) says it all.\n",
	    out);
}

static void
help_verb(FILE *out, const struct verb *verb)
{
	help_usage(out, verb);
	(void)fprintf(out, "\n%s: %s.\n", verb->words, verb->help);
	if ((verb->required | verb->optional) != 0) {
		(void)fputc('\n', out);
		put_options(out, verb->required | verb->optional);
	}
}

/* True if the verb is, or begins with, the words. */
static bool
verb_begins(const struct verb *verb, const char *words)
{
	size_t len = strlen(words);

	return strncmp(verb->words, words, len) == 0 &&
	    (verb->words[len] == '\0' || verb->words[len] == ' ');
}

enum ctl_exit
help_print(struct ctl *ctl, FILE *out)
{
	const struct ctl_args *a = &ctl->args;
	size_t found = 0;
	char words[64];
	char hint[96];

	if (a->word_count == 0) {
		help_all(out);
		return CTL_OK;
	}
	(void)snprintf(words, sizeof(words), "%s%s%s", a->words[0],
	    a->word_count > 1 ? " " : "", a->word_count > 1 ? a->words[1] : "");
	for (size_t i = 0; i < ctl_verb_count; i++) {
		if (verb_begins(&ctl_verbs[i], words)) {
			(void)fputs(found++ > 0 ? "\n" : "", out);
			help_verb(out, &ctl_verbs[i]);
		}
	}
	if (found > 0) {
		return CTL_OK;
	}
	(void)snprintf(hint, sizeof(hint), "did you mean \"%s\"?",
	    help_nearest_verb(words)->words);
	return ctl_fail(
	    ctl, CTL_USAGE, hint, "no help on \"%s\"", args_shown(words));
}

/* ---- did you mean ---- */

void
help_group(const char *word, char *out, size_t cap)
{
	size_t len = strlen(word);
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ctl_verb_count; i++) {
		const char *words = ctl_verbs[i].words;

		if (verb_begins(&ctl_verbs[i], word) && words[len] == ' ' &&
		    at < cap) {
			at += (size_t)snprintf(out + at, cap - at, "%s%s",
			    at > 0 ? ", " : "", words + len + 1);
		}
	}
}

#define NAME_MAX_LEN 63

/* How many characters must change to make one text of the other. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1];
	size_t b_len = strnlen(b, NAME_MAX_LEN);

	for (size_t j = 0; j <= b_len; j++) {
		row[j] = j;
	}
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++) {
			size_t best = diagonal + (a[i] == b[j] ? 0 : 1);

			diagonal = row[j + 1];
			if (row[j] + 1 < best) {
				best = row[j] + 1;
			}
			if (diagonal + 1 < best) {
				best = diagonal + 1;
			}
			row[j + 1] = best;
		}
	}
	return row[b_len];
}

const struct verb *
help_nearest_verb(const char *text)
{
	const struct verb *best = &ctl_verbs[0];

	for (size_t i = 1; i < ctl_verb_count; i++) {
		if (distance(text, ctl_verbs[i].words) <
		    distance(text, best->words)) {
			best = &ctl_verbs[i];
		}
	}
	return best;
}

const char *
help_nearest_option(const char *text)
{
	const char *best = ctl_options[0].name;

	for (size_t i = 1; i < OPT_COUNT; i++) {
		if (distance(text, ctl_options[i].name) <
		    distance(text, best)) {
			best = ctl_options[i].name;
		}
	}
	return best;
}
