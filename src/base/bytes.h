/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded reader and a bounded writer of octets, the only place where
 * frames, derivation blocks and stored rows are taken apart or put together.
 *
 * Errors are sticky: a read past the end gives zeros and marks the reader, a
 * write past the end is dropped and marks the writer, and the caller asks
 * once, at the end.  Both borrow their memory.
 */
#ifndef JY_BASE_BYTES_H
#define JY_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/hex.h"

struct reader {
	const uint8_t *p;
	size_t left;
	bool failed;
};

struct writer {
	uint8_t *buf;
	size_t cap;
	size_t len;
	bool failed;
};

void reader_init(struct reader *r, const void *buf, size_t len);
uint8_t reader_u8(struct reader *r);

/* An unsigned integer of n octets (1..8), little- or big-endian. */
uint64_t reader_le(struct reader *r, size_t n);
uint64_t reader_be(struct reader *r, size_t n);

/* Octets on air are reversed; the result is in printed order. */
void reader_eui_le(struct reader *r, struct eui64 *out);
void reader_copy(struct reader *r, void *out, size_t n);

/* True when nothing failed and every octet was consumed. */
bool reader_done(const struct reader *r) JY_CHECK;

void writer_init(struct writer *w, void *buf, size_t cap);
void writer_u8(struct writer *w, uint8_t v);
void writer_le(struct writer *w, uint64_t v, size_t n);
void writer_be(struct writer *w, uint64_t v, size_t n);
void writer_eui_le(struct writer *w, const struct eui64 *e);
void writer_copy(struct writer *w, const void *src, size_t n);
void writer_zeros(struct writer *w, size_t n);

/* True when everything fitted. */
bool writer_ok(const struct writer *w) JY_CHECK;

#endif
