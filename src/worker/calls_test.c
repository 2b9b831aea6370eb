/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would be answered to a request of a peer: the same functions as in
 * earnest, as dry runs.  Nothing is stored, derived or counted.
 */
#include <string.h>

#include "proto/errcode.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

/* The request that is tried, and what is found out. */
struct trial {
	const struct call *call;
	const Joinery__V1__Request *request;
	struct peer_row peer;
	struct sender sender;
	Joinery__V1__PeerTestAnswer *answer;
};

static char *
kek_of(struct arena *arena, const struct delivery *to)
{
	return arena_text(arena, to->clear ? "" : to->kek.wire_label);
}

static enum jy_err
try_join(struct trial *t, struct errctx *ec)
{
	struct arena *arena = t->call->arena;
	struct join *j = arena_alloc(arena, sizeof(*j));
	enum jy_err err;

	*j = (struct join){ .env = t->call->env, .peer = &t->peer };
	err = call_join_begin(t->request, &t->sender, arena, &j->in, ec);
	if (err != JY_OK) {
		return err;
	}
	j->in.dry_run = true;
	join_run_batch(&j, 1);
	t->answer->step = arena_text(arena, join_step_name(j->step));
	if (j->step > JOIN_STEP_parse) {
		t->answer->device = convert_to_device_id(arena, &j->device);
	}
	if (j->err != JY_OK) {
		return err_set(ec, j->err, "%s", err_detail(&j->ec, j->err));
	}
	t->answer->has_join_nonce = 1;
	t->answer->join_nonce = j->commit.session.join_nonce;
	t->answer->ns_kek = kek_of(arena, &j->to_ns);
	if (j->give_app_s_key) {
		t->answer->as_kek = kek_of(arena, &j->to_as);
	}
	return JY_OK;
}

static enum jy_err
try_app_s_key(struct trial *t, struct errctx *ec)
{
	struct arena *arena = t->call->arena;
	struct session_query query;
	struct session_keys keys;
	struct session_row row;
	enum jy_err err;

	err = call_session_query(
	    t->request, &t->peer, &t->sender, arena, &query, ec);
	if (err == JY_OK) {
		query.dry_run = true;
		err = session_retrieve(t->call->env, &query, &keys, ec);
	}
	if (err == JY_OK) {
		err =
		    store_session_get(t->call->env->store, query.id, &row, ec);
	}
	if (err == JY_OK) {
		t->answer->device = convert_to_device_id(arena, &row.device);
		t->answer->as_kek = arena_text(arena, keys.app_s_key.kek_label);
	}
	return err;
}

static enum jy_err
try_home_ns(struct trial *t, struct errctx *ec)
{
	struct device_id device;
	enum jy_err err;

	err = call_home_find(t->call->env, t->request->home_ns, &t->peer,
	    t->call->arena, &device, &t->answer->home_ns, ec);
	if (err == JY_OK) {
		t->answer->device =
		    convert_to_device_id(t->call->arena, &device);
	}
	return err;
}

/* The step that does the call itself; NULL: no call to be tried. */
static enum jy_err (*trial_of(Joinery__V1__Request__CallCase which))(
    struct trial *, struct errctx *)
{
	switch ((int)which) {
	case JOINERY__V1__REQUEST__CALL_JOIN:
	case JOINERY__V1__REQUEST__CALL_REJOIN:
		return try_join;
	case JOINERY__V1__REQUEST__CALL_APP_S_KEY:
		return try_app_s_key;
	case JOINERY__V1__REQUEST__CALL_HOME_NS:
		return try_home_ns;
	default:
		return NULL;
	}
}

/* As for a request in earnest: see begin() in work.c. */
static enum jy_err
try_request(struct trial *t, struct errctx *ec)
{
	struct arena *arena = t->call->arena;
	struct asker asker = { .peer = t->peer };
	enum jy_err err;

	memcpy(asker.name, t->peer.name, sizeof(asker.name));
	t->answer->step = arena_text(arena, "sender");
	err = convert_sender(t->request->sender, &t->sender, ec);
	if (err == JY_OK && t->request->sender != NULL) {
		err = access_sender(&t->peer, &t->sender, ec);
	}
	if (err == JY_OK) {
		t->answer->step = arena_text(arena, "role");
		err =
		    call_allowed(call_find(t->request->call_case), &asker, ec);
	}
	if (err == JY_OK) {
		t->answer->step = arena_text(arena, "call");
		err = trial_of(t->request->call_case)(t, ec);
	}
	return err;
}

/* The request that is tried; the caller frees it. */
static enum jy_err
unpack_request(const Joinery__V1__PeerTestRequest *q,
    Joinery__V1__Request **out, struct errctx *ec)
{
	Joinery__V1__Request *request = NULL;

	if (q->has_request) {
		request = joinery__v1__request__unpack(
		    NULL, q->request.len, q->request.data);
	}
	if (request == NULL || trial_of(request->call_case) == NULL) {
		if (request != NULL) {
			joinery__v1__request__free_unpacked(request, NULL);
		}
		return err_set(ec, JY_EINVAL,
		    "request holds no join, rejoin, app_s_key or home_ns");
	}
	*out = request;
	return JY_OK;
}

static void
try_and_tell(struct trial *t)
{
	struct arena *arena = t->call->arena;
	struct errctx why = ERRCTX_INIT;
	enum jy_err err = try_request(t, &why);

	if (err != JY_OK) {
		t->answer->has_code = 1;
		t->answer->code = errcode_of(err);
		t->answer->reason = arena_text(arena, err_detail(&why, err));
	}
}

enum jy_err
call_peer_test(struct call *c, struct errctx *ec)
{
	const Joinery__V1__PeerTestRequest *q = c->request->peer_test;
	char name[STORE_LABEL_MAX + 1];
	Joinery__V1__Request *request;
	struct trial t = { .call = c };
	enum jy_err err;

	err = convert_known_name("name", q->name, name, ec);
	if (err == JY_OK) {
		err = convert_absent("peer", name,
		    store_peer_get(c->env->store, name, &t.peer, ec), ec);
	}
	if (err == JY_OK) {
		err = unpack_request(q, &request, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	t.request = request;
	t.answer =
	    convert_new(c->arena, &joinery__v1__peer_test_answer__descriptor);
	try_and_tell(&t);
	joinery__v1__request__free_unpacked(request, NULL);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_PEER_TEST;
	c->response->peer_test = t.answer;
	return JY_OK;
}
