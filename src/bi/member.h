/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of a JSON message, for bi_read.c.  What is wrong with one refuses
 * the message, and the first thing wrong says how; reading may go on.
 *
 * A member that is null counts as absent: some peers write optional ones so.
 */
#ifndef JY_BI_MEMBER_H
#define JY_BI_MEMBER_H

#include <jansson.h>

#include "src/bi/bi.h"

/* A message that is being read; all borrowed. */
struct reading {
	const json_t *msg;
	struct bi_request *q;
	struct errctx *ec;
	bool refused;
};

/*
 * How a message has to be loaded.  Integers are read as reals, so that one
 * beyond 64 bits makes its member wrong, not the message; uint32 is exact in a
 * double.
 */
#define MEMBER_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL)

/* Say why, unless something was wrong before; false, always. */
#define MEMBER_REFUSE(r, result, ...) \
	((void)err_set((r)->ec, JY_EINVAL, __VA_ARGS__), \
	    member_refuse((r), BI_RESULT_##result))
bool member_refuse(struct reading *r, enum bi_result result);

/* NULL if it is absent. */
const json_t *member_get(const struct reading *r, const char *name);

/* NULL if it is absent, or no string: the latter refuses the message. */
const char *member_optional_text(struct reading *r, const char *name);

/* These have to be there.  NULL and false: the message is refused. */
const char *member_text(struct reading *r, const char *name);
bool member_octets(struct reading *r, const char *name, void *out, size_t n);
bool member_number(
    struct reading *r, const char *name, uint32_t max, uint32_t *out);

/* n octets exactly, of a member's text that the caller has. */
bool member_parse_octets(
    struct reading *r, const char *name, const char *text, void *out, size_t n);

/* The digits of a text: what is behind the 0x that some peers write. */
const char *member_digits(const char *text);

/* Whether those are whole octets; none are. */
bool member_is_hex(const char *digits);

bool member_is_printable(const char *text);

/* The beginning of what a peer wrote, fit for people's eyes; returns out. */
#define MEMBER_SHOWN_MAX 48U
const char *member_shown(const char *text, char out[MEMBER_SHOWN_MAX + 1]);

#endif
