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
#include "src/join/audit.h"
#include "src/join/join.h"

/* One request while it is being answered. */
struct call {
	const struct join_env *env;
	const struct asker *asker;
	const struct sender *sender;
	const Joinery__V1__Request *request;
	Joinery__V1__Response *response; /* what the handler fills in */
	struct arena *arena;             /* for what response points to */
	enum audit_event event;          /* that of the table, unless changed */
	bool changed; /* something, even if the call fails: it is recorded */
	char *note;   /* CALL_NOTE_MAX octets: what the log and the audit log
			 say of it beside its object; "" for nothing more */
};

#define CALL_NOTE_MAX (STORE_AUDIT_TEXT_MAX + 1)

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
	/* Of a call that changes something: it has a line in the log when it
	 * is done, and this event in the audit log. */
	enum audit_event audit;
	call_fn *run; /* NULL: a join or rejoin, which goes down the line */
};

/* NULL for a call this build does not know. */
const struct call_def *call_find(Joinery__V1__Request__CallCase which);

/* JY_EACCESS when the asker is not of the role the call needs. */
enum jy_err call_allowed(const struct call_def *def, const struct asker *asker,
    struct errctx *ec) JY_CHECK;

#define CALL_OBJECT_MAX 96

/*
 * What a request says it is about, for the log: "dev_eui=... join_eui=...",
 * "session=..." or "name=...", "-" when it names nothing.
 */
void call_object(
    const Joinery__V1__Request *request, char out[CALL_OBJECT_MAX]);

/* The object, and what a call notes beside it; of the object "-" is none. */
void call_what(const char *object, const char *note, char out[CALL_NOTE_MAX]);

/*
 * What the audit log says of a call: its object, its note and, of a call that
 * sets something, the names of the fields that were given, of a yes or no also
 * which; never a value that could be a key.  In calls_audit.c.
 */
void call_audit_text(const struct call *c, char out[CALL_NOTE_MAX]);

/* The event is there: the answer may say so; in calls_import.c. */
void call_recorded(struct call *c, const struct audit_row *row);

/* Which devices of an import came out how. */
struct call_import_counts {
	uint32_t created, same, replaced, refused;
};

/* Zero if response is to another call; in calls_import.c. */
struct call_import_counts call_import_count(
    const Joinery__V1__Response *response);

/* Likewise of a release; in calls_release.c. */
struct call_release_counts {
	uint32_t released, refused, forged;
};

struct call_release_counts call_release_count(
    const Joinery__V1__Response *response);

/* The answer that says "done" and nothing else. */
void call_answer_done(struct call *c);

/*
 * From the message to the join line, and back; in calls_session.c.  The input
 * borrows the message and the sender, and keeps EUIs in the arena.
 */
enum jy_err call_join_begin(const Joinery__V1__Request *request,
    const struct sender *sender, struct arena *arena, struct join_input *in,
    struct errctx *ec) JY_CHECK;
void call_join_end(const struct join_output *out, struct arena *arena,
    Joinery__V1__Response *response);

/* A question for session keys, as a call asks it; in calls_session.c. */
enum jy_err call_session_query(const Joinery__V1__Request *request,
    const struct peer_row *peer, const struct sender *sender,
    struct arena *arena, struct session_query *out, struct errctx *ec) JY_CHECK;

/* The answer of a home network; in calls_session.c. */
enum jy_err call_home_find(const struct join_env *env,
    const Joinery__V1__HomeNsRequest *m, const struct peer_row *peer,
    struct arena *arena, struct device_id *device,
    Joinery__V1__HomeNsAnswer **out, struct errctx *ec) JY_CHECK;

/*
 * Lay what an admin says of a device's or an application's activation over
 * it, and back; in calls_app.c.  M is DeviceSettings or App.
 */
struct activation_message {
	size_t n_net_ids;
	uint32_t *net_ids;
	bool clear_net_ids;
	char *as_id;
	char *ns_kek;
	char *as_kek;
	protobuf_c_boolean has_ns_id;
	ProtobufCBinaryData ns_id;
	protobuf_c_boolean has_roaming;
	Joinery__V1__Roaming roaming;
	size_t n_roaming_net_ids;
	uint32_t *roaming_net_ids;
	bool clear_roaming_net_ids;
};

#define ACTIVATION_MESSAGE(m) \
	&(struct activation_message) \
	{ \
		.n_net_ids = (m)->n_net_ids, .net_ids = (m)->net_ids, \
		.clear_net_ids = (m)->has_clear_net_ids && (m)->clear_net_ids, \
		.as_id = (m)->as_id, .ns_kek = (m)->ns_kek, \
		.as_kek = (m)->as_kek, .has_ns_id = (m)->has_ns_id, \
		.ns_id = (m)->ns_id, .has_roaming = (m)->has_roaming, \
		.roaming = (m)->roaming, \
		.n_roaming_net_ids = (m)->n_roaming_net_ids, \
		.roaming_net_ids = (m)->roaming_net_ids, \
		.clear_roaming_net_ids = (m)->has_clear_roaming_net_ids && \
		    (m)->clear_roaming_net_ids, \
	}

#define ACTIVATION_FILL(m, a) \
	do { \
		(m)->n_net_ids = (a)->n_net_ids; \
		(m)->net_ids = (a)->net_ids; \
		(m)->as_id = (a)->as_id; \
		(m)->ns_kek = (a)->ns_kek; \
		(m)->as_kek = (a)->as_kek; \
		(m)->has_ns_id = (a)->has_ns_id; \
		(m)->ns_id = (a)->ns_id; \
		(m)->has_roaming = (a)->has_roaming; \
		(m)->roaming = (a)->roaming; \
		(m)->n_roaming_net_ids = (a)->n_roaming_net_ids; \
		(m)->roaming_net_ids = (a)->roaming_net_ids; \
	} while (0)

enum jy_err call_apply_activation(const struct activation_message *m,
    struct activation *out, struct errctx *ec) JY_CHECK;
void call_fill_activation(struct arena *arena, const struct activation *a,
    struct activation_message *out);

/*
 * A sealed key as convert_sealed reads it, sealed for an import key that is
 * offered or was before; in calls_import_key.c.
 */
enum jy_err call_sealed(struct call *c, const char *field,
    const Joinery__V1__SealedKey *in, struct hsm_sealed *out,
    struct errctx *ec) JY_CHECK;

/* Lay the given settings over a row, and back; in calls_device.c. */
enum jy_err call_apply_settings(const Joinery__V1__DeviceSettings *m,
    struct device_row *row, struct errctx *ec) JY_CHECK;
Joinery__V1__DeviceSettings *call_to_settings(
    struct arena *arena, const struct device_row *row);

/* What the MAC of a sealed key file is made under; in calls_import.c. */
extern const uint8_t call_keyfile_block[16];

#define CALL_DIGEST_LEN 32 /* of a sealed key file */

/* calls_session.c */
call_fn call_ping, call_network_keys, call_app_s_key, call_home_ns,
    call_session_list, call_session_get;
/* calls_device.c */
call_fn call_device_set, call_device_get, call_device_delete, call_device_list,
    call_nonces_reset;
/* calls_app.c */
call_fn call_app_set, call_app_get, call_app_delete, call_app_list;
/* calls_admin.c */
call_fn call_join_euis;
/* calls_audit.c */
call_fn call_audit_list, call_audit_verify;
/* calls_import_key.c */
call_fn call_import_key, call_import_key_rotate;
/* calls_kek.c */
call_fn call_kek_import, call_kek_generate, call_kek_list, call_kek_delete,
    call_kek_rotate, call_kek_retire, call_kek_test;
/* calls_peer.c */
call_fn call_peer_set, call_peer_get, call_peer_delete, call_peer_list;
/* calls_custody.c */
call_fn call_custody, call_storage_replace, call_storage_move,
    call_storage_finish, call_device_settle, call_token_orphans;
/* calls_import.c */
call_fn call_import_begin, call_import_batch, call_import_end;
/* calls_release.c */
call_fn call_release_begin, call_release_batch, call_release_end;
/* calls_test.c */
call_fn call_peer_test;

#endif
