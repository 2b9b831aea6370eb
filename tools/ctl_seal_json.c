/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of every kind, an object at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tools/ctl_seal.h"

/* ---- memory ---- */

/*
 * What jansson keeps of an object is wiped before it is freed; for that its
 * length stands before it.
 */
union box {
	size_t len;
	max_align_t align;
};

static void *
box_alloc(size_t len)
{
	union box *box = malloc(sizeof(*box) + len);

	if (box == NULL) {
		return NULL;
	}
	box->len = len;
	return box + 1;
}

static void
box_free(void *p)
{
	if (p != NULL) {
		union box *box = (union box *)p - 1;

		secret_wipe(p, box->len);
		free(box);
	}
}

/* ---- members ---- */

enum jy_err
seal_set_member(struct seal_run *run, enum seal_column column,
    const json_t *value, struct errctx *ec)
{
	char number[32];

	if (value == NULL || json_is_null(value)) {
		return JY_OK;
	}
	if (json_is_string(value)) {
		return seal_device_set(run->device, column,
		    json_string_value(value), json_string_length(value), ec);
	}
	if (json_is_boolean(value)) {
		return seal_set(
		    run, column, json_is_true(value) ? "yes" : "no", ec);
	}
	if (json_is_integer(value)) {
		(void)snprintf(number, sizeof(number), "%lld",
		    (long long)json_integer_value(value));
		return seal_set(run, column, number, ec);
	}
	return err_set(ec, JY_EINVAL, "%s is neither text nor number",
	    run->headers[column]);
}

/*
 * The column that a member is for, SEAL_COLUMN_COUNT for none; one that
 * --column names comes before one that has the name itself.
 */
static size_t
column_of(const struct seal_run *run, const char *name)
{
	size_t found = SEAL_COLUMN_COUNT;

	for (size_t c = 0; c < SEAL_COLUMN_COUNT; c++) {
		if (strcmp(run->headers[c], name) == 0 &&
		    (found == SEAL_COLUMN_COUNT || run->mapped[c])) {
			found = c;
		}
	}
	return found;
}

static enum jy_err
set_net_ids(struct seal_run *run, const json_t *array, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (size_t i = 0; i < json_array_size(array) && err == JY_OK; i++) {
		err = seal_set_member(
		    run, SEAL_NET_ID, json_array_get(array, i), ec);
	}
	return err;
}

/* Our own: a member we do not know would be a key that gets lost. */
static enum jy_err
read_members(struct seal_run *run, json_t *object, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		size_t c = column_of(run, name);

		if (c == SEAL_COLUMN_COUNT) {
			return err_set(ec, JY_EINVAL,
			    "no member is called \"%.40s\"; --column says what "
			    "members are called",
			    seal_shown(name));
		}
		err = c == SEAL_NET_ID && json_is_array(value)
		    ? set_net_ids(run, value, ec)
		    : seal_set_member(run, (enum seal_column)c, value, ec);
		if (err != JY_OK) {
			return err;
		}
	}
	return JY_OK;
}

/* ---- objects ---- */

static enum jy_err
read_object(struct seal_run *run, json_t *object, bool *skip, struct errctx *ec)
{
	if (run->format == SEAL_AUTO) {
		run->format = seal_guess(object);
	}
	return run->format == SEAL_TTS ? seal_tts(run, object, skip, ec)
	    : run->format == SEAL_CHIRPSTACK
	    ? seal_chirpstack(run, object, skip, ec)
	    : read_members(run, object, ec);
}

/* jansson's own words quote the text, which may be a key. */
static enum jy_err
parse(const char *text, size_t len, json_t **out, struct errctx *ec)
{
	json_error_t error;

	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (*out == NULL) {
		return err_set(ec, JY_EINVAL,
		    "not JSON, or a member twice: line %d of the object, "
		    "column %d",
		    error.line, error.column);
	}
	return JY_OK;
}

static enum jy_err
one_object(struct seal_run *run, const char *text, size_t len, uint64_t line,
    struct errctx *ec)
{
	struct errctx row = ERRCTX_INIT;
	json_t *object = NULL;
	bool skip = false;
	enum jy_err read;

	seal_begin(run);
	read = parse(text, len, &object, &row);
	if (read == JY_OK) {
		read = read_object(run, object, &skip, &row);
	}
	json_decref(object);
	if (read == JY_OK && skip) {
		run->skipped++;
		return JY_OK;
	}
	return seal_end(run, line, read, &row, ec);
}

enum jy_err
seal_json(struct seal_run *run, struct errctx *ec)
{
	json_malloc_t old_malloc;
	json_free_t old_free;
	char *text = NULL;
	enum jy_err err;
	uint64_t line = 0;
	size_t len = 0;

	json_get_alloc_funcs(&old_malloc, &old_free);
	json_set_alloc_funcs(box_alloc, box_free);
	while ((err = seal_input_object(&run->input, &text, &len, &line, ec)) ==
		JY_OK &&
	    text != NULL) {
		err = one_object(run, text, len, line, ec);
		if (err != JY_OK) {
			break;
		}
	}
	json_set_alloc_funcs(old_malloc, old_free);
	return err;
}
