/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the framed protocol: one table says which there are, who may
 * make them and which function answers.  Handlers run on a token thread.
 */
#ifndef JY_WORKER_CALLS_H
#define JY_WORKER_CALLS_H

#include "proto/joinery.pb-c.h"
#include "src/base/arena.h"
#include "src/join/access.h"
#include "src/join/join.h"

/* One request while it is being answered. */
struct call {
	const struct join_env *env;
	const struct asker *asker;
	const Joinery__V1__Request *request;
	Joinery__V1__Response *response; /* what the handler fills in */
	struct arena *arena;             /* for what response points to */
};

enum call_who {
	CALL_ANYBODY, /* any registered peer, any admin */
	CALL_NS,
	CALL_AS,
	CALL_ADMIN
};

typedef enum jy_err call_fn(struct call *c, struct errctx *ec);

struct call_def {
	Joinery__V1__Request__CallCase which;
	const char *name;
	enum call_who who;
	bool changes; /* worth a line in the log when it is done */
	call_fn *run; /* NULL: join, which goes down the line in batches */
};

/* NULL for a call this build does not know. */
const struct call_def *call_find(Joinery__V1__Request__CallCase which);

/* JY_EACCESS when the asker is not of the role the call needs. */
enum jy_err call_allowed(const struct call_def *def, const struct asker *asker,
    struct errctx *ec) JY_CHECK;

#define CALL_OBJECT_MAX 96

/*
 * What a request is about, for the log: "dev_eui=... join_eui=...",
 * "session=..." or "name=...", "-" when it names nothing.
 */
void call_object(
    const Joinery__V1__Request *request, char out[CALL_OBJECT_MAX]);

/* The answer that says "done" and nothing else. */
void call_answer_done(struct call *c);

/* From the message to the join line, and back; in calls_session.c. */
enum jy_err call_join_begin(const Joinery__V1__JoinRequest *m,
    struct join_input *in, struct errctx *ec) JY_CHECK;
void call_join_end(const struct join_output *out, struct arena *arena,
    Joinery__V1__Response *response);

/* calls_session.c */
call_fn call_ping, call_network_keys, call_app_s_key, call_session_list,
    call_session_get;
/* calls_device.c */
call_fn call_device_set, call_device_get, call_device_delete, call_device_list,
    call_nonces_reset;
/* calls_admin.c */
call_fn call_import_key, call_kek_import, call_kek_generate, call_kek_list,
    call_kek_delete, call_peer_set, call_peer_get, call_peer_delete,
    call_peer_list;

#endif
