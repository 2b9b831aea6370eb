/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reading and writing of octets, with sticky errors. */
#include "src/base/bytes.h"

#include <string.h>

void
reader_init(struct reader *r, const void *buf, size_t len)
{
	*r = (struct reader){ .p = buf, .left = len, .failed = false };
}

/* The next n octets, or NULL (and the mark) when there are fewer. */
static const uint8_t *
reader_take(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || n > r->left) {
		r->failed = true;
		return NULL;
	}
	if (n > 0) {
		r->p += n;
		r->left -= n;
	}
	return p;
}

uint8_t
reader_u8(struct reader *r)
{
	return (uint8_t)reader_be(r, 1);
}

uint64_t
reader_le(struct reader *r, size_t n)
{
	const uint8_t *p = reader_take(r, n);
	uint64_t v = 0;

	jy_assert(n >= 1 && n <= 8);
	for (size_t i = n; p != NULL && i > 0; i--) {
		v = v << 8 | p[i - 1];
	}
	return v;
}

uint64_t
reader_be(struct reader *r, size_t n)
{
	const uint8_t *p = reader_take(r, n);
	uint64_t v = 0;

	jy_assert(n >= 1 && n <= 8);
	for (size_t i = 0; p != NULL && i < n; i++) {
		v = v << 8 | p[i];
	}
	return v;
}

void
reader_eui_le(struct reader *r, struct eui64 *out)
{
	const uint8_t *p = reader_take(r, 8);

	for (size_t i = 0; i < 8; i++) {
		out->be[i] = p != NULL ? p[7 - i] : 0;
	}
}

void
reader_copy(struct reader *r, void *out, size_t n)
{
	const uint8_t *p = reader_take(r, n);

	if (n == 0) {
		return;
	}
	if (p != NULL) {
		memcpy(out, p, n);
	} else {
		memset(out, 0, n);
	}
}

bool
reader_done(const struct reader *r)
{
	return !r->failed && r->left == 0;
}

void
writer_init(struct writer *w, void *buf, size_t cap)
{
	*w = (struct writer){ .buf = buf, .cap = cap };
}

/* Room for n more octets, or NULL (and the mark). */
static uint8_t *
writer_take(struct writer *w, size_t n)
{
	uint8_t *p;

	if (w->failed || n > w->cap - w->len) {
		w->failed = true;
		return NULL;
	}
	p = w->buf + w->len;
	w->len += n;
	return p;
}

void
writer_u8(struct writer *w, uint8_t v)
{
	writer_be(w, v, 1);
}

void
writer_le(struct writer *w, uint64_t v, size_t n)
{
	uint8_t *p = writer_take(w, n);

	jy_assert(n >= 1 && n <= 8);
	for (size_t i = 0; p != NULL && i < n; i++, v >>= 8) {
		p[i] = (uint8_t)v;
	}
}

void
writer_be(struct writer *w, uint64_t v, size_t n)
{
	uint8_t *p = writer_take(w, n);

	jy_assert(n >= 1 && n <= 8);
	for (size_t i = n; p != NULL && i > 0; i--, v >>= 8) {
		p[i - 1] = (uint8_t)v;
	}
}

void
writer_eui_le(struct writer *w, const struct eui64 *e)
{
	uint8_t *p = writer_take(w, 8);

	for (size_t i = 0; p != NULL && i < 8; i++) {
		p[i] = e->be[7 - i];
	}
}

void
writer_copy(struct writer *w, const void *src, size_t n)
{
	uint8_t *p = writer_take(w, n);

	if (p != NULL && n > 0) {
		memcpy(p, src, n);
	}
}

void
writer_zeros(struct writer *w, size_t n)
{
	uint8_t *p = writer_take(w, n);

	if (p != NULL && n > 0) {
		memset(p, 0, n);
	}
}

bool
writer_ok(const struct writer *w)
{
	return !w->failed;
}
