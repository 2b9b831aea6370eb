/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of "joineryctl seal" share.  Everything that is read may be a
 * key: it stays in struct secret from read(2) to the wrapped key, and no
 * message shows a value.
 *
 * What is wrong with one device is JY_EINVAL and a reason: it is told, and the
 * reading goes on, so that one run tells all.  Any other error ends the run.
 */
#ifndef JY_TOOLS_CTL_SEAL_H
#define JY_TOOLS_CTL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/secret.h"
#include "tools/keyfile.h"

enum seal_column {
#define X(id, name, option) SEAL_##id,
#include "tools/ctl_seal.def"
#undef X
	SEAL_COLUMN_COUNT
};

enum seal_format {
	SEAL_AUTO,
	SEAL_CSV,
	SEAL_JSONL,
	SEAL_TTS,
	SEAL_CHIRPSTACK
};

/* ---- ctl_seal_device.c ---- */

/* A device as far as it was read; lives in a struct secret. */
struct seal_device {
	struct keyfile_device d; /* its keys are not there yet */
	bool has_join_eui;
	bool has_dev_eui;
	bool net_ids_are_default; /* to be replaced by those of the device */
	bool has_nwk;
	bool has_app;
	uint8_t nwk[16];
	uint8_t app[16];
};

/*
 * Take a value; "" means that it is not there.  NetIDs are added to those
 * there are, several of them with blanks or ';' between.
 */
enum jy_err seal_device_set(struct seal_device *device, enum seal_column column,
    const char *text, size_t len, struct errctx *ec) JY_CHECK;

/*
 * Whether a device is complete and its keys are right for its MAC version,
 * and, without allow_weak, none that everybody knows.
 */
enum jy_err seal_device_check(const struct seal_device *device, bool allow_weak,
    struct errctx *ec) JY_CHECK;

/* ---- ctl_seal_input.c ---- */

#define SEAL_TEXT_MAX 65535 /* octets of a line or an object */

struct seal_input {
	int fd;
	const char *name;     /* for messages */
	struct secret *chunk; /* what was read and not yet taken */
	size_t at;
	struct secret *text; /* the line or object taken last, and a NUL */
	uint64_t line;       /* on which the next octet is, from 1 */
	bool bom;            /* there was a UTF-8 byte order mark */
	bool crlf;           /* some line ended with CR LF */
	int array;           /* of objects: see ctl_seal_input.c */
};

/* path: "-" for standard input.  Also after a failure end with _close. */
enum jy_err seal_input_open(
    struct seal_input *in, const char *path, struct errctx *ec) JY_CHECK;
void seal_input_close(struct seal_input *in);

/* The first character that is no white space, 0 if there is none. */
enum jy_err seal_input_peek(
    struct seal_input *in, char *first, struct errctx *ec) JY_CHECK;

/*
 * Take the next line, without its end, or the next JSON object, one behind
 * the other or in an array.  *text is NULL at the end of the file, else valid
 * until the next call, and NUL-terminated; it may be changed.
 */
enum jy_err seal_input_line(struct seal_input *in, char **text, size_t *len,
    uint64_t *line, struct errctx *ec) JY_CHECK;
enum jy_err seal_input_object(struct seal_input *in, char **text, size_t *len,
    uint64_t *line, struct errctx *ec) JY_CHECK;

/* ---- ctl_seal.c ---- */

/* Not ctl.h: names in there are also jansson's. */
struct ctl;
struct eui_set;
struct seal_file;

/* args_shown: a word of the input, unless it could be a key. */
const char *seal_shown(const char *text);

#define SEAL_NOTES_MAX 16

struct seal_run {
	struct ctl *ctl;
	struct seal_input input;
	enum seal_format format;
	const char *headers[SEAL_COLUMN_COUNT]; /* names in the input */
	bool mapped[SEAL_COLUMN_COUNT];         /* named by --column */
	struct seal_device defaults;
	struct secret *memory;      /* of *device */
	struct seal_device *device; /* the one being read */
	char fingerprint[2 * KEYFILE_FINGERPRINT_LEN + 1]; /* in hexadecimal */
	struct seal_file *file;
	struct eui_set *seen;
	struct seal_digest *check_values;
	bool allow_weak;
	uint64_t devices;
	uint64_t skipped;
	uint64_t refused;
	char *notes[SEAL_NOTES_MAX];
	size_t note_count;
};

/* Tell something that is no error, once, at the end. */
void seal_note(struct seal_run *run, const char *fmt, ...) JY_PRINTF(2, 3);

/* Begin a device, with the defaults of the command line. */
void seal_begin(struct seal_run *run);

/* seal_device_set for the device being read. */
enum jy_err seal_set(struct seal_run *run, enum seal_column column,
    const char *text, struct errctx *ec) JY_CHECK;

/*
 * End a device: read_err and read say how its reading went.  It is checked
 * and written, or refused; JY_OK either way, unless the run has to end.
 */
enum jy_err seal_end(struct seal_run *run, uint64_t line, enum jy_err read_err,
    struct errctx *read, struct errctx *ec) JY_CHECK;

/* ---- ctl_seal_csv.c, ctl_seal_json.c: the whole input ---- */

enum jy_err seal_csv(struct seal_run *run, struct errctx *ec) JY_CHECK;
enum jy_err seal_json(struct seal_run *run, struct errctx *ec) JY_CHECK;

/* ---- ctl_seal_json.c ---- */

struct json_t;

/* A member that is text, a number or a boolean; JY_OK if it is not there. */
enum jy_err seal_set_member(struct seal_run *run, enum seal_column column,
    const struct json_t *value, struct errctx *ec) JY_CHECK;

/* ---- ctl_seal_stacks.c: one device; *skip if it is not one to join ---- */

enum jy_err seal_tts(struct seal_run *run, const struct json_t *object,
    bool *skip, struct errctx *ec) JY_CHECK;
enum jy_err seal_chirpstack(struct seal_run *run, const struct json_t *object,
    bool *skip, struct errctx *ec) JY_CHECK;

/* Whose data an object is by its members. */
enum seal_format seal_guess(const struct json_t *object);

#endif
