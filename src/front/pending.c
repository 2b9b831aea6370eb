/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence number is a count in the upper bits and the place in the slab in
 * the lower ones: a reply finds its request at once, and a stray number finds
 * nothing.  Places never used yet are never touched, so that a large slab
 * costs memory only once it is needed.
 */
#include "src/front/pending.h"

#include <stdlib.h>

#include "src/base/hex.h"
#include "src/base/sys.h"

#define INDEX_BITS 24U
#define INDEX_MASK ((1U << INDEX_BITS) - 1U)
#define NO_INDEX UINT32_MAX

struct pending {
	struct request *requests;
	size_t cap;
	size_t fresh; /* from here on never used */
	size_t count;
	uint32_t first_free;
	uint64_t next_count;
	uint32_t run; /* random, tells this process from others in logs */
};

struct pending *
pending_new(size_t cap)
{
	struct pending *p = sys_xcalloc(1, sizeof(*p));

	jy_assert(cap > 0 && cap <= PENDING_MAX);
	p->requests = sys_xcalloc(cap, sizeof(*p->requests));
	p->cap = cap;
	p->first_free = NO_INDEX;
	sys_real.random(&p->run, sizeof(p->run));
	return p;
}

void
pending_free(struct pending *p)
{
	if (p != NULL) {
		free(p->requests);
		free(p);
	}
}

struct request *
pending_take(struct pending *p)
{
	uint32_t index = p->first_free;
	struct request *r;

	if (index != NO_INDEX) {
		p->first_free = p->requests[index].next_free;
	} else if (p->fresh < p->cap) {
		index = (uint32_t)p->fresh++;
	} else {
		return NULL;
	}
	r = &p->requests[index];
	*r = (struct request){ .used = true,
		.seq = ++p->next_count << INDEX_BITS | index };
	p->count++;
	return r;
}

void
pending_release(struct pending *p, struct request *r)
{
	jy_assert(r->used);
	r->used = false;
	r->next_free = p->first_free;
	p->first_free = (uint32_t)(r - p->requests);
	p->count--;
}

struct request *
pending_find(struct pending *p, uint64_t seq)
{
	size_t index = seq & INDEX_MASK;

	if (index >= p->fresh || !p->requests[index].used ||
	    p->requests[index].seq != seq) {
		return NULL;
	}
	return &p->requests[index];
}

size_t
pending_count(const struct pending *p)
{
	return p->count;
}

uint64_t
pending_seq(struct pending *p)
{
	return ++p->next_count << INDEX_BITS;
}

void
pending_request_id(
    const struct pending *p, uint64_t seq, char out[REQUEST_ID_STR_LEN])
{
	uint8_t id[12];

	for (unsigned i = 0; i < 4; i++) {
		id[i] = (uint8_t)(p->run >> (24 - 8 * i));
	}
	for (unsigned i = 0; i < 8; i++) {
		id[4 + i] = (uint8_t)(seq >> (56 - 8 * i));
	}
	hex_format(id, sizeof(id), out);
}
