/* SPDX-License-Identifier: Apache-2.0 */
/* Values of meta that mean something to the store, as octets, for backends. */
#include "src/base/bytes.h"
#include "src/store/backend.h"

void
storage_state_encode(
    const struct storage_state *state, uint8_t out[STORAGE_STATE_LEN])
{
	struct writer w;

	writer_init(&w, out, STORAGE_STATE_LEN);
	writer_be(&w, state->current, 4);
	writer_be(&w, state->old, 4);
	jy_assert(writer_ok(&w));
}

enum jy_err
storage_state_decode(const uint8_t *p, size_t len, struct storage_state *state,
    struct errctx *ec)
{
	struct storage_state s;
	struct reader r;

	reader_init(&r, p, len);
	s.current = (uint32_t)reader_be(&r, 4);
	s.old = (uint32_t)reader_be(&r, 4);
	if (!reader_done(&r)) {
		return err_set(ec, JY_ECORRUPT,
		    "the state of storage keys has %zu octets", len);
	}
	*state = s;
	return JY_OK;
}

enum jy_err
meta_number_add(uint8_t value[META_NUMBER_LEN], size_t len, int64_t delta,
    uint64_t max, uint64_t *now, struct errctx *ec)
{
	uint64_t n, step = delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta;
	struct reader r;
	struct writer w;

	reader_init(&r, value, len);
	n = len > 0 ? reader_be(&r, META_NUMBER_LEN) : 0;
	if (len > 0 && !reader_done(&r)) {
		return err_set(ec, JY_ECORRUPT, "a number has %zu octets", len);
	}
	if (delta > 0 && (n > max || step > max - n)) {
		return err_set(ec, JY_ELIMIT, "%llu of %llu are there",
		    (unsigned long long)n, (unsigned long long)max);
	}
	n = delta < 0 ? n - (step < n ? step : n) : n + step;
	writer_init(&w, value, META_NUMBER_LEN);
	writer_be(&w, n, META_NUMBER_LEN);
	jy_assert(writer_ok(&w));
	*now = n;
	return JY_OK;
}

/* No storage key that was named is forgotten. */
bool
storage_state_keeps(
    const struct storage_state *seen, const struct storage_state *state)
{
	const uint32_t numbers[] = { seen->current, seen->old };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (numbers[i] != 0 && numbers[i] != state->current &&
		    numbers[i] != state->old) {
			return false;
		}
	}
	return true;
}

enum jy_err
storage_state_allows(const struct storage_state *state,
    const struct root_row *row, struct errctx *ec)
{
	return row->storage == state->current || row->storage == state->old
	    ? JY_OK
	    : err_set(
		  ec, JY_ECONFLICT, "the storage key was replaced meanwhile");
}
