/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the audit log: made, chained and checked.  The token works between
 * two transactions, never within one; who finds the log grown meanwhile tries
 * again with its new end.
 */
#include "src/join/audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/base/secret.h"

#define TRIES_MAX 1000 /* each lost one is an event of somebody else's */
#define MAC_DOMAIN "joinery audit" /* its NUL is part of it */
#define MAC_FORMAT 1
#define MAC_INPUT_MAX 512

const char *
audit_event_name(uint8_t event)
{
	static const struct {
		const char *name;
		uint8_t event;
	} names[] = {
#define X(name, number) { #name, number },
#include "src/join/audit.def"
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].event == event) {
			return names[i].name;
		}
	}
	return "unknown";
}

static void
put_text(struct writer *w, const char *text)
{
	size_t len = strlen(text);

	writer_u8(w, (uint8_t)len);
	writer_copy(w, text, len);
}

/* The MAC of an event behind one whose MAC is previous. */
static enum jy_err
event_mac(const struct join_env *env, const struct audit_row *row,
    const uint8_t previous[STORE_AUDIT_MAC_LEN],
    uint8_t mac[STORE_AUDIT_MAC_LEN], struct errctx *ec)
{
	uint8_t octets[MAC_INPUT_MAX];
	struct writer w;

	writer_init(&w, octets, sizeof(octets));
	writer_copy(&w, MAC_DOMAIN, sizeof(MAC_DOMAIN));
	writer_u8(&w, MAC_FORMAT);
	writer_copy(&w, previous, STORE_AUDIT_MAC_LEN);
	writer_be(&w, row->seq, 8);
	writer_be(&w, row->time_ms, 8);
	writer_u8(&w, row->event);
	put_text(&w, row->who);
	put_text(&w, row->text);
	jy_assert(writer_ok(&w));
	return hsm_audit_mac(env->hsm, octets, w.len, mac, ec);
}

/* ---- adding ---- */

static void
copy_line(char *out, size_t cap, const char *text)
{
	(void)snprintf(out, cap, "%s", text);
	for (char *p = out; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7F) {
			*p = '?';
		}
	}
}

static enum jy_err
try_append(const struct join_env *env, struct audit_row *row, struct errctx *ec)
{
	struct audit_head head;
	enum jy_err err = store_audit_head(env->store, &head, ec);

	if (err == JY_OK && head.seq == UINT64_MAX) {
		err = err_set(ec, JY_ECORRUPT, "audit: the end of the log");
	}
	if (err != JY_OK) {
		return err;
	}
	row->seq = head.seq + 1;
	row->time_ms = env->sys->now_ms();
	err = event_mac(env, row, head.mac, row->mac, ec);
	return err == JY_OK ? store_audit_add(env->store, row, &head, ec) : err;
}

enum jy_err
audit_append(const struct join_env *env, enum audit_event event,
    const char *who, const char *text, struct audit_row *out, struct errctx *ec)
{
	struct audit_row row = { .event = (uint8_t)event };
	enum jy_err err = JY_ECONFLICT;

	jy_assert(event > AUDIT_ELSEWHERE);
	copy_line(row.who, sizeof(row.who), who);
	copy_line(row.text, sizeof(row.text), text);
	for (int i = 0; i < TRIES_MAX && err == JY_ECONFLICT; i++) {
		err = try_append(env, &row, ec);
	}
	if (err == JY_OK) {
		*out = row;
	}
	/* What is to be recorded is done: nobody is to do it again. */
	return err == JY_ECONFLICT
	    ? err_replace(ec, JY_EIO, "the audit log grows too fast")
	    : err;
}

/* ---- verifying ---- */

JY_PRINTF(3, 4)
static void
blame(struct audit_verdict *v, uint64_t seq, const char *fmt, ...)
{
	va_list ap;

	v->bad = seq;
	v->more = false;
	va_start(ap, fmt);
	(void)vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
}

/* Read an event; one that is not there or cannot be read is blamed. */
static enum jy_err
get_event(const struct join_env *env, uint64_t seq, struct audit_row *row,
    struct audit_verdict *v, struct errctx *ec)
{
	struct errctx why = ERRCTX_INIT;
	enum jy_err err = store_audit_get(env->store, seq, row, &why);

	if (err == JY_ENOTFOUND) {
		blame(v, seq, "it is missing");
	} else if (err == JY_ECORRUPT) {
		blame(v, seq, "it cannot be read: %s", err_detail(&why, err));
	} else if (err != JY_OK) {
		return err_set(ec, err, "%s", err_detail(&why, err));
	}
	return JY_OK;
}

/* One event behind another; its MAC becomes *previous. */
static enum jy_err
verify_one(const struct join_env *env, uint64_t seq,
    uint8_t previous[STORE_AUDIT_MAC_LEN], struct audit_verdict *v,
    struct errctx *ec)
{
	uint8_t mac[STORE_AUDIT_MAC_LEN];
	struct audit_row row;
	enum jy_err err = get_event(env, seq, &row, v, ec);

	if (err != JY_OK || v->bad != 0) {
		return err;
	}
	err = event_mac(env, &row, previous, mac, ec);
	if (err != JY_OK) {
		return err;
	}
	if (!secret_eq(mac, row.mac, sizeof(mac))) {
		blame(v, seq,
		    "its MAC is wrong: it, or its place in the log, was "
		    "changed");
		return JY_OK;
	}
	memcpy(previous, row.mac, sizeof(row.mac));
	v->last = seq;
	return JY_OK;
}

/* The last event is good; is it the last, and nothing lies behind it? */
static enum jy_err
verify_end(const struct join_env *env, const struct audit_head *head,
    const uint8_t last_mac[STORE_AUDIT_MAC_LEN], struct audit_verdict *v,
    struct errctx *ec)
{
	struct audit_head now;
	struct audit_row row;
	enum jy_err err;
	size_t n;
	bool more;

	if (memcmp(head->mac, last_mac, sizeof(head->mac)) != 0) {
		blame(v, head->seq,
		    "it is not the one that the end of the log names");
		return JY_OK;
	}
	err = store_audit_list(env->store, head->seq, &row, 1, &n, &more, ec);
	if (err == JY_OK && n > 0) {
		err = store_audit_head(env->store, &now, ec);
	}
	if (err != JY_OK || n == 0) {
		return err;
	}
	if (now.seq > head->seq) {
		v->more = true; /* it has grown meanwhile */
	} else {
		blame(v, row.seq, "it lies beyond the end of the log");
	}
	return JY_OK;
}

enum jy_err
audit_verify(const struct join_env *env, uint64_t after,
    struct audit_verdict *out, struct errctx *ec)
{
	struct audit_verdict v = { .last = after };
	struct audit_row start = { 0 }; /* before the first: a MAC of zeros */
	struct audit_head head;
	enum jy_err err = store_audit_head(env->store, &head, ec);

	if (err == JY_OK && after > head.seq) {
		err = err_set(ec, JY_EINVAL,
		    "the audit log ends with event %" PRIu64, head.seq);
	}
	if (err == JY_OK && after > 0) {
		err = get_event(env, after, &start, &v, ec);
	}
	for (int i = 0; i < AUDIT_VERIFY_MAX && err == JY_OK && v.bad == 0 &&
	     v.last < head.seq;
	     i++) {
		err = verify_one(env, v.last + 1, start.mac, &v, ec);
	}
	if (err == JY_OK && v.bad == 0) {
		v.more = v.last < head.seq;
		if (!v.more) {
			err = verify_end(env, &head, start.mac, &v, ec);
		}
	}
	if (err == JY_OK) {
		*out = v;
	}
	return err;
}
