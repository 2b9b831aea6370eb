/* SPDX-License-Identifier: Apache-2.0 */
/* What an accepted join changes in its device's nonces. */
#include "src/store/advance.h"

#include "src/lorawan/frame.h"

static void
join_advance(struct nonce_row *row, const struct join_commit *c)
{
	uint16_t dev_nonce = c->session.counter;

	if (!row->has_dev_nonce || dev_nonce > row->dev_nonce) {
		row->has_dev_nonce = true;
		row->dev_nonce = dev_nonce;
	}
	if (c->counted && row->counted <= dev_nonce) {
		row->counted = dev_nonce + 1U;
	}
	row->has_rj_count0 = false;
	row->rj_count0 = 0;
	row->live = c->session.join_nonce;
}

/* Rejoin-requests of types 0 and 2 share RJcount0. */
static void
rejoin_02_advance(struct nonce_row *row, const struct join_commit *c)
{
	row->has_rj_count0 = true;
	row->rj_count0 = c->session.counter;
	row->live = c->live != 0 ? c->live : row->live;
}

static void
rejoin_1_advance(struct nonce_row *row, const struct join_commit *c)
{
	if (!row->has_rj_count1 || c->session.counter > row->rj_count1) {
		row->has_rj_count1 = true;
		row->rj_count1 = c->session.counter;
	}
}

void
nonces_advance(struct nonce_row *row, const struct join_commit *c)
{
	row->join_nonce = c->session.join_nonce;
	switch (c->session.join_type) {
	case LW_JOIN_REQUEST:
		join_advance(row, c);
		break;
	case LW_JOIN_REJOIN_1:
		rejoin_1_advance(row, c);
		break;
	default:
		rejoin_02_advance(row, c);
	}
}

bool
nonces_list_dev_nonce(const struct join_commit *c)
{
	return c->session.join_type == LW_JOIN_REQUEST && !c->counted;
}

void
nonces_forget(struct nonce_row *row)
{
	*row = (struct nonce_row){
		.join_nonce = row->join_nonce,
		.live = row->live,
	};
}

void
nonces_raise(struct nonce_row *row, const struct nonce_start *start)
{
	if (row->join_nonce < start->join_nonce) {
		row->join_nonce = start->join_nonce;
	}
	if (!start->has_dev_nonce) {
		return;
	}
	if (!row->has_dev_nonce || row->dev_nonce < start->dev_nonce) {
		row->has_dev_nonce = true;
		row->dev_nonce = start->dev_nonce;
	}
	if (start->counted && row->counted <= start->dev_nonce) {
		row->counted = start->dev_nonce + 1U;
	}
}
