/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, by the tables of ctl.def.  Options may stand before,
 * between and behind the words of a verb, so it is taken apart first and
 * judged when the verb is known.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl.h"

const struct option_row ctl_options[OPT_COUNT] = {
#define OPTION(id, name, value, help) [OPT_##id] = { name, value, help },
#include "tools/ctl.def"
#undef OPTION
};

const struct verb ctl_verbs[] = {
#define VERB(words, operand, required, optional, run, help) \
	{ words, operand, required, optional, run, help },
#include "tools/ctl.def"
#undef VERB
};

const size_t ctl_verb_count = ARRAY_LEN(ctl_verbs);

const char *
args_shown(const char *arg)
{
	size_t digits = 0;

	for (const char *p = arg; *p != '\0'; p++) {
		digits += strchr("0123456789abcdefABCDEF", *p) != NULL;
	}
	return digits >= 32 ? "(not shown: it could be a key)" : arg;
}

/* ---- options ---- */

static bool
option_find(const char *name, size_t len, enum ctl_option *out)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		if (strlen(ctl_options[i].name) == len &&
		    memcmp(ctl_options[i].name, name, len) == 0) {
			*out = (enum ctl_option)i;
			return true;
		}
	}
	return false;
}

/* --key is a KEK where one is brought, else the key of our certificate. */
static enum ctl_option
option_meant(const struct ctl_args *a, enum ctl_option option)
{
	bool brought = a->word_count >= 2 && strcmp(a->words[0], "kek") == 0 &&
	    (strcmp(a->words[1], "import") == 0 ||
		strcmp(a->words[1], "rotate") == 0);

	return option == OPT_KEY && !brought ? OPT_TLS_KEY : option;
}

/* The list that an option's values go to; NULL if it is not repeatable. */
static struct ctl_list *
option_list(struct ctl_args *a, enum ctl_option option, size_t *max)
{
	const struct {
		enum ctl_option option;
		size_t max;
		struct ctl_list *list;
	} lists[] = {
		{ OPT_NET_ID, STORE_NET_IDS_MAX, &a->net_ids },
		{ OPT_ROAMING_NET_ID, STORE_NET_IDS_MAX, &a->roaming_net_ids },
		{ OPT_AS_ID, STORE_AS_IDS_MAX, &a->as_ids },
		{ OPT_NS_ID, STORE_NS_IDS_MAX, &a->ns_ids },
		{ OPT_COLUMN, CTL_LIST_MAX, &a->columns },
		{ OPT_COMPONENT, CTL_COMPONENTS_MAX, &a->components },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lists[i].option == option) {
			*max = lists[i].max;
			return lists[i].list;
		}
	}
	return NULL;
}

static enum ctl_exit
option_record(struct ctl *ctl, enum ctl_option option, const char *value)
{
	struct ctl_args *a = &ctl->args;
	ctl_set bit = CTL_BIT(option);
	size_t max = 0;
	struct ctl_list *list = option_list(a, option, &max);

	if ((a->given & bit) != 0 && list == NULL && value != NULL) {
		return ctl_fail(ctl, CTL_USAGE, NULL, "--%s is given twice",
		    ctl_options[option].name);
	}
	a->given |= bit;
	a->value[option] = value;
	if (list != NULL && list->count == max) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "more than %zu of the same option", max);
	}
	if (list != NULL) {
		list->items[list->count++] = value;
	}
	return CTL_OK;
}

static enum ctl_exit
option_unknown(struct ctl *ctl, const char *name, size_t len)
{
	char text[64] = "";
	char hint[64];

	memcpy(text, name, len < sizeof(text) ? len : sizeof(text) - 1);
	(void)snprintf(hint, sizeof(hint), "did you mean --%s?",
	    help_nearest_option(text));
	return ctl_fail(
	    ctl, CTL_USAGE, hint, "unknown option --%s", args_shown(text));
}

/* Take the option at argv[*i], and its value, which may be the next one. */
static enum ctl_exit
option_parse(struct ctl *ctl, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	enum ctl_option option;

	if (!option_find(name, len, &option)) {
		return option_unknown(ctl, name, len);
	}
	option = option_meant(&ctl->args, option);
	if (ctl_options[option].value[0] == '\0') {
		return value == NULL
		    ? option_record(ctl, option, NULL)
		    : ctl_fail(ctl, CTL_USAGE, NULL, "--%s takes no value",
			  ctl_options[option].name);
	}
	if (value == NULL && *i + 1 < argc) {
		value = argv[++*i];
	}
	return value != NULL
	    ? option_record(ctl, option, value)
	    : ctl_fail(ctl, CTL_USAGE, NULL, "--%s needs %s",
		  ctl_options[option].name, ctl_options[option].value);
}

/* ---- verbs ---- */

/* How many of the words make up the verb; 0 if it is another. */
static size_t
verb_matches(const struct verb *verb, const struct ctl_args *a)
{
	const char *space = strchr(verb->words, ' ');
	size_t len =
	    space != NULL ? (size_t)(space - verb->words) : strlen(verb->words);

	if (a->word_count == 0 || strlen(a->words[0]) != len ||
	    memcmp(a->words[0], verb->words, len) != 0) {
		return 0;
	}
	if (space == NULL) {
		return 1;
	}
	return a->word_count >= 2 && strcmp(a->words[1], space + 1) == 0 ? 2
									 : 0;
}

static enum ctl_exit
verb_unknown(struct ctl *ctl)
{
	const struct ctl_args *a = &ctl->args;
	char text[64];
	char hint[96];

	help_group(a->words[0], hint, sizeof(hint));
	if (a->word_count == 1 && hint[0] != '\0') {
		return ctl_fail(ctl, CTL_USAGE, NULL, "%s needs one of %s",
		    a->words[0], hint);
	}
	(void)snprintf(text, sizeof(text), "%s%s%s", args_shown(a->words[0]),
	    a->word_count > 1 ? " " : "",
	    a->word_count > 1 ? args_shown(a->words[1]) : "");
	(void)snprintf(hint, sizeof(hint), "did you mean \"%s\"?",
	    help_nearest_verb(text)->words);
	return ctl_fail(ctl, CTL_USAGE, hint, "unknown verb \"%s\"", text);
}

static enum ctl_exit
verb_find(struct ctl *ctl)
{
	struct ctl_args *a = &ctl->args;
	size_t taken = 0;
	size_t wanted;

	for (size_t i = 0; i < ctl_verb_count && taken == 0; i++) {
		taken = verb_matches(&ctl_verbs[i], a);
		a->verb = taken > 0 ? &ctl_verbs[i] : NULL;
	}
	if (taken == 0) {
		return verb_unknown(ctl);
	}
	wanted = taken + (a->verb->operand[0] != '\0' ? 1 : 0);
	if (a->word_count < wanted) {
		return ctl_fail(ctl, CTL_USAGE, NULL, "%s needs %s",
		    a->verb->words, a->verb->operand);
	}
	if (a->word_count > wanted) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "\"%s\" is one word too many",
		    args_shown(a->words[wanted]));
	}
	a->operand = wanted > taken ? a->words[taken] : NULL;
	return CTL_OK;
}

/* The verb has what it needs and nothing it does not know. */
static enum ctl_exit
verb_check_options(struct ctl *ctl)
{
	const struct verb *verb = ctl->args.verb;
	ctl_set known = verb->required | verb->optional | CTL_GLOBAL;

	for (size_t i = 0; i < OPT_COUNT; i++) {
		ctl_set bit = CTL_BIT(i);
		bool given = (ctl->args.given & bit) != 0;

		if (given && (known & bit) == 0) {
			return ctl_fail(ctl, CTL_USAGE, NULL,
			    "--%s does not go with %s", ctl_options[i].name,
			    verb->words);
		}
		if (!given && (verb->required & bit) != 0) {
			return ctl_fail(ctl, CTL_USAGE, NULL,
			    "%s needs --%s %s", verb->words,
			    ctl_options[i].name, ctl_options[i].value);
		}
	}
	return CTL_OK;
}

static enum ctl_exit
word_record(struct ctl *ctl, const char *word)
{
	struct ctl_args *a = &ctl->args;

	if (a->word_count == 0 && strcmp(word, "help") == 0) {
		a->given |= O(HELP);
		return CTL_OK;
	}
	if (a->word_count == CTL_WORDS_MAX) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "\"%s\" is one word too many", args_shown(word));
	}
	a->words[a->word_count++] = word;
	return CTL_OK;
}

enum ctl_exit
args_parse(struct ctl *ctl, int argc, char **argv)
{
	enum ctl_exit exit = CTL_OK;
	bool words_only = false;

	for (int i = 1; i < argc && exit == CTL_OK; i++) {
		if (words_only || argv[i][0] != '-' || argv[i][1] == '\0') {
			exit = word_record(ctl, argv[i]);
		} else if (strcmp(argv[i], "--") == 0) {
			words_only = true;
		} else if (strcmp(argv[i], "-h") == 0) {
			ctl->args.given |= O(HELP);
		} else if (argv[i][1] == '-') {
			exit = option_parse(ctl, argc, argv, &i);
		} else {
			exit = ctl_fail(ctl, CTL_USAGE, NULL,
			    "unknown option %s", args_shown(argv[i]));
		}
	}
	if (exit != CTL_OK || ctl_given(ctl, HELP) ||
	    ctl_given(ctl, SHOW_VERSION)) {
		return exit;
	}
	if (ctl->args.word_count == 0) {
		return ctl_fail(ctl, CTL_USAGE,
		    "\"joineryctl help\" shows what there is", "no verb");
	}
	exit = verb_find(ctl);
	return exit != CTL_OK ? exit : verb_check_options(ctl);
}

/* ---- values ---- */

enum ctl_exit
args_number(struct ctl *ctl, enum ctl_option option, uint32_t min, uint32_t max,
    uint32_t *out)
{
	const char *text = ctl->args.value[option];
	char *end = NULL;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    n < min || n > max) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s is a number from %u to %u, not \"%s\"",
		    ctl_options[option].name, min, max, args_shown(text));
	}
	*out = (uint32_t)n;
	return CTL_OK;
}

enum ctl_exit
args_bool(struct ctl *ctl, enum ctl_option option, protobuf_c_boolean *out)
{
	const char *text = ctl->args.value[option];
	bool yes = strcmp(text, "yes") == 0;

	if (!yes && strcmp(text, "no") != 0) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s is yes or no, not \"%s\"", ctl_options[option].name,
		    args_shown(text));
	}
	*out = yes ? 1 : 0;
	return CTL_OK;
}

/* The structs of protobuf-c have no const; packing only reads. */
static char *
not_const(const char *text)
{
	return (char *)(uintptr_t)text;
}

enum ctl_exit
args_text(struct ctl *ctl, enum ctl_option option, size_t max, char **out)
{
	const char *text = ctl->args.value[option];

	if (strlen(text) > max) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s is longer than %zu octets", ctl_options[option].name,
		    max);
	}
	*out = not_const(text);
	return CTL_OK;
}

enum ctl_exit
args_texts(struct ctl *ctl, const struct args_text_row *rows, size_t n)
{
	enum ctl_exit exit = CTL_OK;

	for (size_t i = 0; i < n && exit == CTL_OK; i++) {
		if (ctl->args.value[rows[i].option] != NULL) {
			exit = args_text(
			    ctl, rows[i].option, rows[i].max, rows[i].out);
		}
	}
	return exit;
}

enum ctl_exit
args_exclude(struct ctl *ctl, enum ctl_option a, enum ctl_option b)
{
	const ctl_set both = CTL_BIT(a) | CTL_BIT(b);

	if ((ctl->args.given & both) == both) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s and --%s exclude each other", ctl_options[a].name,
		    ctl_options[b].name);
	}
	return CTL_OK;
}

enum ctl_exit
args_operand(struct ctl *ctl, size_t max, char **out)
{
	const char *text = ctl->args.operand;

	if (text[0] == '\0' || strlen(text) > max) {
		return ctl_fail(ctl, CTL_USAGE, NULL, "%s has 1 to %zu octets",
		    ctl->args.verb->operand, max);
	}
	*out = not_const(text);
	return CTL_OK;
}

enum ctl_exit
args_eui(struct ctl *ctl, enum ctl_option option, struct eui64 *out)
{
	const char *text = ctl->args.value[option];

	if (!eui64_parse(text, out)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s is 16 hexadecimal digits, not \"%s\"",
		    ctl_options[option].name, args_shown(text));
	}
	return CTL_OK;
}

enum ctl_exit
args_net_ids(struct ctl *ctl, enum ctl_option option,
    const struct ctl_list *list, uint32_t out[STORE_NET_IDS_MAX])
{
	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i];

		if (!net_id_parse(text, &out[i])) {
			return ctl_fail(ctl, CTL_USAGE, NULL,
			    "--%s is 6 hexadecimal digits, not \"%s\"",
			    ctl_options[option].name, args_shown(text));
		}
	}
	return CTL_OK;
}
