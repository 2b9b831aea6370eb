/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking after KEKs.  A join that needs one that is gone is refused; this is
 * how somebody hears of it before.  Devices are not looked at: there may be
 * millions, and no call lets one name a KEK that is not there.
 */
#include "src/join/kek_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/base/log.h"
#include "src/join/kek.h"

#define KEKS_PAGE 16
#define PEERS_PAGE 8
#define APPS_PAGE 32

/* Remember what is wrong, by its text. */
static void
note(struct kek_watch *w, const char *what)
{
	uint64_t h = 14695981039346656037U; /* FNV-1a */

	for (const char *p = what; *p != '\0'; p++) {
		h = (h ^ (uint8_t)*p) * 1099511628211U;
	}
	w->sum += h;
	if (w->unfit < KEK_WATCH_SAID_MAX) {
		(void)snprintf(
		    w->said[w->unfit], sizeof(w->said[0]), "%s", what);
	}
	w->unfit++;
}

static enum jy_err
look_at_rows(const struct join_env *env, struct kek_watch *w,
    const struct kek_row *rows, size_t n, struct errctx *ec)
{
	uint8_t proof[STORE_PROOF_LEN];

	for (size_t i = 0; i < n; i++) {
		enum jy_err err = kek_prove(env, &rows[i], proof, ec);

		if (err == JY_EKEK || err == JY_EKCV || err == JY_ETOKENREQ) {
			note(w, err_detail(ec, err));
			err_clear(ec);
		} else if (err != JY_OK) {
			return err;
		}
	}
	return JY_OK;
}

/* Look at max rows; *more: there are others. */
static enum jy_err
look_at_keks(const struct join_env *env, struct kek_watch *w, size_t max,
    bool *more, struct errctx *ec)
{
	struct kek_row rows[KEKS_PAGE];
	enum jy_err err = JY_OK;

	*more = true;
	while (err == JY_OK && *more && max > 0) {
		size_t n = max < KEKS_PAGE ? max : KEKS_PAGE;

		err = store_kek_list(env->store,
		    w->at.label[0] != '\0' ? &w->at : NULL, rows, n, &n, more,
		    ec);
		if (err == JY_OK) {
			err = look_at_rows(env, w, rows, n, ec);
		}
		if (err == JY_OK && n > 0) {
			memcpy(w->at.label, rows[n - 1].label,
			    sizeof(w->at.label));
			w->at.generation = rows[n - 1].generation;
			max -= n;
		}
	}
	return err;
}

/* A label that somebody names; "" is none. */
static enum jy_err
look_at_name(const struct join_env *env, struct kek_watch *w, const char *who,
    const char *name, const char *label, struct errctx *ec)
{
	struct errctx missing = ERRCTX_INIT;
	struct kek_set set;
	enum jy_err err = label[0] == '\0'
	    ? JY_OK
	    : store_kek_get(env->store, label, &set, ec);

	if (err == JY_ENOTFOUND) {
		(void)err_set(&missing, err,
		    "%s %s names the KEK %s, which is not there", who, name,
		    label);
		note(w, missing.text);
		err_clear(ec);
		err = JY_OK;
	}
	return err;
}

static enum jy_err
look_at_peers(
    const struct join_env *env, struct kek_watch *w, struct errctx *ec)
{
	struct peer_row rows[PEERS_PAGE];
	char after[STORE_LABEL_MAX + 1] = "";
	enum jy_err err = JY_OK;
	bool more = true;
	size_t n;

	while (err == JY_OK && more) {
		err =
		    store_peer_list(env->store, after[0] != '\0' ? after : NULL,
			rows, PEERS_PAGE, &n, &more, ec);
		for (size_t i = 0; err == JY_OK && i < n; i++) {
			err = look_at_name(
			    env, w, "peer", rows[i].name, rows[i].kek, ec);
			memcpy(after, rows[i].name, sizeof(after));
		}
	}
	return err;
}

static enum jy_err
look_at_apps(const struct join_env *env, struct kek_watch *w, struct errctx *ec)
{
	struct app_row rows[APPS_PAGE];
	char after[STORE_LABEL_MAX + 1] = "";
	enum jy_err err = JY_OK;
	bool more = true;
	size_t n;

	while (err == JY_OK && more) {
		err =
		    store_app_list(env->store, after[0] != '\0' ? after : NULL,
			rows, APPS_PAGE, &n, &more, ec);
		for (size_t i = 0; err == JY_OK && i < n; i++) {
			const struct activation *a = &rows[i].activation;
			const char *name = rows[i].name;

			err = look_at_name(
			    env, w, "application", name, a->ns_kek, ec);
			if (err == JY_OK) {
				err = look_at_name(
				    env, w, "application", name, a->as_kek, ec);
			}
			memcpy(after, name, sizeof(after));
		}
	}
	return err;
}

/* An error a line, and how many there are. */
static void
say(const struct kek_watch *w)
{
	size_t n =
	    w->unfit < KEK_WATCH_SAID_MAX ? w->unfit : KEK_WATCH_SAID_MAX;

	for (size_t i = 0; i < n; i++) {
		log_error("kek", "joins that need it are refused",
		    "error=\"%s\" unfit=%zu", w->said[i], w->unfit);
	}
	if (w->unfit == 0) {
		log_notice("kek", "all KEKs are there again", "unfit=0");
	}
}

static void
end(struct kek_watch *w)
{
	if (w->unfit != w->last_unfit || w->sum != w->last_sum) {
		say(w);
	}
	*w = (struct kek_watch){ .last_unfit = w->unfit, .last_sum = w->sum };
}

enum jy_err
kek_watch_some(const struct join_env *env, struct kek_watch *w, size_t max,
    bool *ended, struct errctx *ec)
{
	bool more;
	enum jy_err err = look_at_keks(env, w, max, &more, ec);

	*ended = false;
	if (err == JY_OK && more) {
		return JY_OK;
	}
	if (err == JY_OK) {
		err = look_at_peers(env, w, ec);
	}
	if (err == JY_OK) {
		err = look_at_apps(env, w, ec);
	}
	if (err == JY_ECORRUPT) {
		/* What lies behind a damaged row cannot be seen. */
		note(w, err_detail(ec, err));
		err_clear(ec);
		err = JY_OK;
	}
	if (err == JY_OK) {
		end(w);
		*ended = true;
	} else {
		*w = (struct kek_watch){ .last_unfit = w->last_unfit,
			.last_sum = w->last_sum };
	}
	return err;
}
