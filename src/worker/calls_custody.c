/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about what the token keeps, and under which storage key. */
#include <stdio.h>
#include <string.h>

#include "src/base/bytes.h"
#include "src/join/orphans.h"
#include "src/join/resident.h"
#include "src/join/roots.h"
#include "src/join/storage.h"
#include "src/worker/calls.h"
#include "src/worker/convert.h"

#define CURSOR_LEN 21 /* DevEUI 8, JoinEUI 8, role 1, generation 4 */

/* The number of a storage key, as people see it; 0: none. */
static void
to_number(struct arena *arena, uint32_t number, protobuf_c_boolean *has,
    ProtobufCBinaryData *out)
{
	uint8_t octets[4];
	struct writer w;

	if (number != 0) {
		writer_init(&w, octets, sizeof(octets));
		writer_be(&w, number, sizeof(octets));
		jy_assert(writer_ok(&w));
		convert_binary(arena, octets, sizeof(octets), has, out);
	}
}

enum jy_err
call_custody(struct call *c, struct errctx *ec)
{
	Joinery__V1__CustodyAnswer *m;
	struct storage_state state;
	uint64_t wrapped, resident;
	enum jy_err err;

	err = store_storage_get(c->env->store, &state, ec);
	if (err == JY_OK) {
		err = store_root_count(c->env->store, &wrapped, ec);
	}
	if (err == JY_OK) {
		err = resident_count(c->env, &resident, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(c->arena, &joinery__v1__custody_answer__descriptor);
	m->custody = arena_text(c->arena,
	    c->env->custody == CUSTODY_WRAPPED ? "wrapped" : "resident");
	m->has_wrapped_keys = m->has_resident_keys = 1;
	m->wrapped_keys = wrapped;
	m->resident_keys = resident;
	m->has_resident_max = c->env->resident_max != 0;
	m->resident_max = c->env->resident_max;
	to_number(
	    c->arena, state.current, &m->has_storage_key, &m->storage_key);
	to_number(c->arena, state.old, &m->has_storage_key_replaced,
	    &m->storage_key_replaced);
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_CUSTODY;
	c->response->custody = m;
	return JY_OK;
}

enum jy_err
call_storage_replace(struct call *c, struct errctx *ec)
{
	struct storage_state state;
	enum jy_err err = storage_replace(c->env, &state, ec);

	if (err != JY_OK) {
		return err;
	}
	c->changed = true;
	(void)snprintf(c->note, CALL_NOTE_MAX, "new=%08x old=%08x",
	    state.current, state.old);
	return call_custody(c, ec);
}

/* A cursor is the place of a row; peers hand it back as they got it. */
static enum jy_err
convert_cursor(
    const ProtobufCBinaryData *in, struct root_row *row, struct errctx *ec)
{
	struct reader r;

	if (in->len != CURSOR_LEN) {
		return err_set(ec, JY_EINVAL,
		    "after is no cursor: it has %zu octets", in->len);
	}
	reader_init(&r, in->data, in->len);
	*row = (struct root_row){ .storage = 0 };
	reader_copy(&r, row->device.dev_eui.be, 8);
	reader_copy(&r, row->device.join_eui.be, 8);
	row->key.role = reader_u8(&r);
	row->key.generation = (uint32_t)reader_be(&r, 4);
	return JY_OK;
}

static void
answer_move(struct call *c, const struct storage_move *move)
{
	Joinery__V1__StorageMoveAnswer *m = convert_new(
	    c->arena, &joinery__v1__storage_move_answer__descriptor);
	uint8_t cursor[CURSOR_LEN];
	struct writer w;

	m->has_moved = m->has_failed = m->has_more = 1;
	m->moved = move->moved;
	m->failed = move->failed;
	m->more = move->more;
	if (move->failed > 0) {
		m->bad = convert_to_device_id(c->arena, &move->bad.device);
	}
	if (move->more) {
		writer_init(&w, cursor, sizeof(cursor));
		writer_copy(&w, move->last.device.dev_eui.be, 8);
		writer_copy(&w, move->last.device.join_eui.be, 8);
		writer_u8(&w, move->last.key.role);
		writer_be(&w, move->last.key.generation, 4);
		jy_assert(writer_ok(&w));
		convert_binary(
		    c->arena, cursor, sizeof(cursor), &m->has_next, &m->next);
	}
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_STORAGE_MOVE;
	c->response->storage_move = m;
}

enum jy_err
call_storage_move(struct call *c, struct errctx *ec)
{
	const Joinery__V1__StorageMoveRequest *q = c->request->storage_move;
	struct storage_move move;
	struct root_row after;
	enum jy_err err = JY_OK;

	if (q->has_after) {
		err = convert_cursor(&q->after, &after, ec);
	}
	if (err == JY_OK) {
		err = storage_move(
		    c->env, q->has_after ? &after : NULL, &move, ec);
	}
	if (err == JY_OK) {
		answer_move(c, &move);
	}
	return err;
}

enum jy_err
call_storage_finish(struct call *c, struct errctx *ec)
{
	enum jy_err err = storage_finish(c->env, ec);

	/* The token is asked last. */
	c->changed = err == JY_ETOKEN || err == JY_ETOKENREQ;
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return err;
}

enum jy_err
call_device_settle(struct call *c, struct errctx *ec)
{
	struct device_row row;
	struct device_id id;
	uint32_t settled = 0;
	enum jy_err err;

	err = convert_device_id(c->request->device_settle->id, &id, ec);
	if (err == JY_OK) {
		err = store_device_get(c->env->store, &id, &row, ec);
	}
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no such device");
	}
	if (err == JY_OK) {
		err = roots_settle(c->env, &row, &settled, ec);
	}
	/* Of several keys, some may be in the token for good. */
	c->changed = settled > 0;
	if (err == JY_OK) {
		call_answer_done(c);
	}
	return err;
}

static Joinery__V1__TokenOrphan *
to_orphan(struct arena *arena, const struct orphan *orphan)
{
	static const char *const kinds[] = {
		[ORPHAN_ROOT_KEY] = "root-key",
		[ORPHAN_KEK] = "kek",
		[ORPHAN_STORAGE_KEY] = "storage-key",
	};
	Joinery__V1__TokenOrphan *m =
	    convert_new(arena, &joinery__v1__token_orphan__descriptor);

	m->kind = arena_text(arena, kinds[orphan->kind]);
	convert_binary(
	    arena, orphan->id.b, orphan->id.len, &m->has_key_id, &m->key_id);
	if (orphan->kind == ORPHAN_ROOT_KEY) {
		m->device = convert_to_device_id(arena, &orphan->device);
	}
	return m;
}

enum jy_err
call_token_orphans(struct call *c, struct errctx *ec)
{
	const Joinery__V1__TokenOrphansRequest *q = c->request->token_orphans;
	struct orphan orphans[ORPHANS_MAX];
	Joinery__V1__TokenOrphansAnswer *m;
	struct hsm_id after = { .len = 0 };
	size_t n;
	bool more;
	enum jy_err err;

	if (q->after.len > sizeof(after.b)) {
		return err_set(ec, JY_EINVAL,
		    "after is no CKA_ID of ours: it has %zu octets",
		    q->after.len);
	}
	if (q->after.len > 0) {
		after.len = (uint8_t)q->after.len;
		memcpy(after.b, q->after.data, after.len);
	}
	err = orphans_find(c->env, &after, orphans, &n, &more, ec);
	if (err != JY_OK) {
		return err;
	}
	m = convert_new(
	    c->arena, &joinery__v1__token_orphans_answer__descriptor);
	m->orphans = arena_alloc(c->arena, (n + 1) * sizeof(m->orphans[0]));
	m->n_orphans = n;
	for (size_t i = 0; i < n; i++) {
		m->orphans[i] = to_orphan(c->arena, &orphans[i]);
	}
	m->has_more = 1;
	m->more = more;
	c->response->result_case = JOINERY__V1__RESPONSE__RESULT_TOKEN_ORPHANS;
	c->response->token_orphans = m;
	return JY_OK;
}
