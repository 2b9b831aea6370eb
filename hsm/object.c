/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which token objects there are: an index by CKA_ID, read in one search.
 * SoftHSM takes milliseconds to seconds for a search, so none is made for an
 * ID that is known.  Only AES keys are indexed.
 *
 * Two objects of one ID are an attack or an accident; neither is used.
 */
#include <stdlib.h>
#include <string.h>

#include "hsm/internal.h"
#include "src/base/sys.h"

#define FIND_BATCH 256
#define PURGE_MAX 64 /* a token that destroys nothing must not hold us */

uint32_t
id_hash(const struct hsm_id *id)
{
	uint32_t h = 2166136261U; /* FNV-1a; IDs are not chosen by peers */

	for (size_t i = 0; i < id->len; i++) {
		h = (h ^ id->b[i]) * 16777619U;
	}
	return h ^ h >> 15;
}

bool
id_eq(const struct hsm_id *a, const struct hsm_id *b)
{
	return a->len == b->len && memcmp(a->b, b->b, a->len) == 0;
}

struct hsm_id
id_of_text(const char *text)
{
	struct hsm_id id = { .len = (uint8_t)strlen(text) };

	jy_assert(strlen(text) <= HSM_ID_MAX);
	memcpy(id.b, text, id.len);
	return id;
}

/* ---- the index: open addressing, never more than half full ---- */

static struct index_row *
index_slot(const struct index *index, const struct hsm_id *id)
{
	size_t i = id_hash(id) & (index->cap - 1);

	while (index->rows[i].id.len != 0 && !id_eq(&index->rows[i].id, id)) {
		i = (i + 1) & (index->cap - 1);
	}
	return &index->rows[i];
}

static void
index_grow(struct index *index)
{
	struct index old = *index;

	index->cap = old.cap == 0 ? 256 : 2 * old.cap;
	index->rows = sys_xcalloc(index->cap, sizeof(*index->rows));
	for (size_t i = 0; i < old.cap; i++) {
		if (old.rows[i].id.len != 0) {
			*index_slot(index, &old.rows[i].id) = old.rows[i];
		}
	}
	free(old.rows);
}

void
index_put(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE handle)
{
	struct index *index = &hsm->index;
	struct index_row *row;

	if (2 * (index->used + 1) > index->cap) {
		index_grow(index);
	}
	row = index_slot(index, id);
	if (row->id.len == 0) {
		row->id = *id;
		index->used++;
	}
	row->handle = handle;
}

size_t
hsm_key_count(struct hsm *hsm, const char *letters, size_t len)
{
	size_t n = 0;

	lane_enter(hsm);
	for (size_t i = 0; i < hsm->index.cap; i++) {
		const struct index_row *row = &hsm->index.rows[i];

		n += row->id.len == len && row->handle != CK_INVALID_HANDLE &&
		    strchr(letters, row->id.b[0]) != NULL;
	}
	lane_leave(hsm);
	return n;
}

void
index_free(struct index *index)
{
	free(index->rows);
	*index = (struct index){ 0 };
}

/* An object_fn.  Of an ID that is there twice no handle is kept. */
static void
index_add(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE handle,
    void *arg)
{
	struct index *index = &hsm->index;
	bool twice = index->cap > 0 && index_slot(index, id)->id.len != 0;

	(void)arg;
	index_put(hsm, id, twice ? CK_INVALID_HANDLE : handle);
}

/* Takes each object that has an ID. */
typedef void object_fn(struct hsm *hsm, const struct hsm_id *id,
    CK_OBJECT_HANDLE handle, void *arg);

static CK_RV
object_tell(
    struct hsm *hsm, CK_OBJECT_HANDLE handle, object_fn *take, void *arg)
{
	struct hsm_id id = { 0 };
	uint8_t value[256];
	CK_ATTRIBUTE attr = { CKA_ID, value, sizeof(value) };
	CK_RV rv;

	rv = P11(
	    hsm, C_GetAttributeValue(hsm->scratch.handle, handle, &attr, 1));
	if (rv != CKR_OK) {
		/* Not one of ours, or destroyed by another meanwhile. */
		return rv_class(rv) == RV_TOKEN || rv_class(rv) == RV_SESSION
		    ? rv
		    : CKR_OK;
	}
	if (attr.ulValueLen == 0 || attr.ulValueLen > HSM_ID_MAX) {
		return CKR_OK;
	}
	id.len = (uint8_t)attr.ulValueLen;
	memcpy(id.b, value, id.len);
	take(hsm, &id, handle, arg);
	return CKR_OK;
}

/* All AES keys of the token. */
static CK_RV
objects_each(struct hsm *hsm, object_fn *take, void *arg)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_BBOOL token = CK_TRUE;
	CK_ATTRIBUTE query[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &token, sizeof(token) },
	};
	CK_OBJECT_HANDLE found[FIND_BATCH], *all = NULL;
	CK_ULONG n = 0;
	size_t count = 0;
	CK_RV rv;

	rv = session_ready(&hsm->scratch);
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm,
	    C_FindObjectsInit(hsm->scratch.handle, query, ARRAY_LEN(query)));
	if (rv != CKR_OK) {
		return rv;
	}
	/* No other call may come between, so handles are collected first. */
	do {
		rv = P11(hsm,
		    C_FindObjects(hsm->scratch.handle, found, FIND_BATCH, &n));
		if (rv == CKR_OK && n > 0) {
			all = reallocarray(all, count + n, sizeof(*all));
			jy_assert(all != NULL);
			memcpy(all + count, found, n * sizeof(*all));
			count += n;
		}
	} while (rv == CKR_OK && n > 0);
	(void)P11(hsm, C_FindObjectsFinal(hsm->scratch.handle));
	for (size_t i = 0; rv == CKR_OK && i < count; i++) {
		rv = object_tell(hsm, all[i], take, arg);
	}
	free(all);
	return rv;
}

CK_RV
index_load(struct hsm *hsm)
{
	return objects_each(hsm, index_add, NULL);
}

struct listing {
	struct hsm_id *ids;
	size_t n, cap;
};

/* An object_fn. */
static void
list_add(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE handle,
    void *arg)
{
	struct listing *l = arg;

	(void)hsm;
	(void)handle;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? FIND_BATCH : 2 * l->cap;
		l->ids = reallocarray(l->ids, l->cap, sizeof(*l->ids));
		jy_assert(l->ids != NULL);
	}
	l->ids[l->n++] = *id;
}

/* A lane_work. */
static CK_RV
list_all(struct hsm *hsm, void *arg)
{
	struct listing *l = arg;

	l->n = 0;
	return objects_each(hsm, list_add, l);
}

enum jy_err
hsm_key_list(struct hsm *hsm, struct hsm_id **ids, size_t *n, struct errctx *ec)
{
	struct listing l = { .n = 0 };
	enum jy_err err;

	lane_enter(hsm);
	err = lane_run(hsm, list_all, &l, "list the token's keys", ec);
	lane_leave(hsm);
	if (err != JY_OK) {
		free(l.ids);
		return err;
	}
	*ids = l.ids;
	*n = l.n;
	return JY_OK;
}

/* ---- the token ---- */

/* Find up to cap token objects of class and ID. */
static CK_RV
find(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class,
    const struct hsm_id *id, CK_OBJECT_HANDLE *out, CK_ULONG cap,
    CK_ULONG *count)
{
	CK_BBOOL token = CK_TRUE;
	CK_ATTRIBUTE query[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &token, sizeof(token) },
		{ CKA_ID, p11_in(id->b), id->len },
	};
	CK_RV rv, final;

	rv = P11(hsm, C_FindObjectsInit(session, query, ARRAY_LEN(query)));
	if (rv != CKR_OK) {
		return rv;
	}
	rv = P11(hsm, C_FindObjects(session, out, cap, count));
	final = P11(hsm, C_FindObjectsFinal(session));
	return rv != CKR_OK ? rv : final;
}

CK_RV
object_find(struct hsm *hsm, CK_SESSION_HANDLE session, CK_OBJECT_CLASS class,
    const struct hsm_id *id, CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0;
	CK_RV rv;

	rv = find(hsm, session, class, id, found, ARRAY_LEN(found), &count);
	if (rv != CKR_OK) {
		return rv;
	}
	if (count != 1) {
		return count == 0 ? RV_NONE : RV_MANY;
	}
	*out = found[0];
	return CKR_OK;
}

CK_RV
object_list(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE *out,
    CK_ULONG cap, CK_ULONG *n)
{
	return find(hsm, hsm->scratch.handle, CKO_SECRET_KEY, id, out, cap, n);
}

CK_RV
object_lookup(struct hsm *hsm, const struct hsm_id *id, CK_OBJECT_HANDLE *out)
{
	const struct index_row *row;
	CK_RV rv;

	if (hsm->index.cap > 0) {
		row = index_slot(&hsm->index, id);
		if (row->id.len != 0 && row->handle != CK_INVALID_HANDLE) {
			*out = row->handle;
			return CKR_OK;
		}
	}
	rv = object_find(hsm, hsm->scratch.handle, CKO_SECRET_KEY, id, out);
	if (rv == CKR_OK) {
		index_put(hsm, id, *out);
	}
	return rv;
}

CK_RV
object_copy(struct hsm *hsm, CK_OBJECT_HANDLE original, CK_OBJECT_HANDLE *out,
    bool *owned)
{
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE session_object = { CKA_TOKEN, &no, sizeof(no) };
	CK_RV rv;

	rv = P11(
	    hsm, C_CopyObject(hsm->anchor, original, &session_object, 1, out));
	*owned = rv == CKR_OK;
	if (rv != CKR_OK && rv_class(rv) == RV_REQUEST) {
		/* It may not be copied: the original serves as well. */
		*out = original;
		return CKR_OK;
	}
	return rv;
}

CK_RV
object_erase(struct hsm *hsm, CK_OBJECT_HANDLE handle)
{
	CK_RV rv;

	write_begin(hsm);
	rv = P11(hsm, C_DestroyObject(hsm->anchor, handle));
	write_end(hsm);
	return rv;
}

CK_RV
object_purge(struct hsm *hsm, const struct hsm_id *id, size_t *count)
{
	CK_OBJECT_HANDLE found;
	CK_ULONG n = 0;
	CK_RV rv;

	if (hsm->index.cap > 0 && index_slot(&hsm->index, id)->id.len != 0) {
		index_put(hsm, id, CK_INVALID_HANDLE);
	}
	while (*count < PURGE_MAX) {
		rv = object_list(hsm, id, &found, 1, &n);
		if (rv != CKR_OK || n == 0) {
			return rv;
		}
		rv = object_erase(hsm, found);
		if (rv != CKR_OK) {
			return rv;
		}
		++*count;
	}
	return RV_MANY;
}
