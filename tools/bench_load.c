/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load over one connection with a bounded number of requests in flight.
 * Answers are only looked at, not unpacked: what is measured is the server.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/frame.h"
#include "proto/joinery.pb-c.h"
#include "src/base/bytes.h"
#include "src/base/sys.h"
#include "tools/bench.h"
#include "tools/sim_crypto.h"

#define RING 4096 /* more than can be in flight */
#define REQUEST_MAX 256
#define OUT_MAX (64U * 1024U)
#define LATENCIES_MAX 2000000U

struct load {
	int fd;
	struct frame_stream *in;
	uint8_t out[OUT_MAX];
	size_t out_len;
	uint64_t sent;
	uint64_t done;
	uint64_t sent_us[RING];
	struct bench_latencies latencies;

	struct sim_crypto *crypto; /* joins only, as is the next */
	struct bench_joiners *joiners;
};

static enum jy_err
connect_to(const char *path, int *fd, struct errctx *ec)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	jy_assert(strlen(path) < sizeof(sun.sun_path));
	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (s < 0 ||
	    connect(s, (const struct sockaddr *)&sun, sizeof(sun)) != 0) {
		return err_set(
		    ec, JY_EIO, "connect to %s: %s", path, strerror(errno));
	}
	*fd = s;
	return JY_OK;
}

void
bench_join_request(struct sim_crypto *c, struct bench_device *d,
    uint8_t phy[BENCH_REQUEST_LEN])
{
	struct writer w;

	writer_init(&w, phy, BENCH_REQUEST_LEN);
	writer_u8(&w, 0x00);
	writer_eui_le(&w, &d->join_eui);
	writer_eui_le(&w, &d->dev_eui);
	writer_le(&w, d->dev_nonce++, 2);
	sim_crypto_mic(c, &d->key, phy, w.len, phy + w.len);
}

/* ---- latencies ---- */

void
bench_latencies_init(struct bench_latencies *l)
{
	l->us = sys_xcalloc(LATENCIES_MAX, sizeof(l->us[0]));
	l->count = 0;
}

void
bench_latencies_fini(struct bench_latencies *l)
{
	free(l->us);
}

void
bench_latency(struct bench_latencies *l, uint64_t us)
{
	if (l->count < LATENCIES_MAX) {
		l->us[l->count++] = (uint32_t)us;
	}
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
bench_latencies_sum(struct bench_latencies *l, uint64_t done, uint64_t took_us,
    struct bench_load *out)
{
	if (l->count == 0) {
		return;
	}
	out->done = done;
	out->per_s = (double)done * 1e6 / (double)took_us;
	qsort(l->us, l->count, sizeof(l->us[0]), compare_u32);
	out->p50_us = l->us[l->count / 2];
	out->p99_us = l->us[l->count * 99 / 100];
}

/* ---- framed ---- */

static size_t
pack_request(struct load *l, uint64_t id, uint8_t *out)
{
	Joinery__V1__PingRequest ping = JOINERY__V1__PING_REQUEST__INIT;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	uint8_t phy[BENCH_REQUEST_LEN];

	request.has_id = 1;
	request.id = id;
	if (l->joiners == NULL) {
		request.call_case = JOINERY__V1__REQUEST__CALL_PING;
		request.ping = &ping;
		return joinery__v1__request__pack(&request, out);
	}
	bench_join_request(l->crypto, l->joiners->next(l->joiners, id), phy);
	join.has_phy_payload = 1;
	join.phy_payload.data = phy;
	join.phy_payload.len = sizeof(phy);
	join.has_mac_version = 1;
	join.mac_version = JOINERY__V1__MAC_VERSION__MAC_1_0_4;
	join.has_net_id = join.has_dev_addr = 1;
	join.has_dl_settings = join.has_rx_delay = 1;
	join.net_id = BENCH_NET_ID;
	join.dev_addr = 0x26000000U + (uint32_t)id;
	join.rx_delay = 1;
	request.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	request.join = &join;
	return joinery__v1__request__pack(&request, out);
}

/* Send as much as may be in flight. */
static enum jy_err
send_some(struct load *l, uint64_t limit, uint32_t in_flight, struct errctx *ec)
{
	uint64_t now = sys_mono_us();

	l->out_len = 0;
	while (l->sent < limit && l->sent - l->done < in_flight &&
	    l->out_len + FRAME_HEAD_LEN + REQUEST_MAX <= OUT_MAX) {
		uint8_t *p = l->out + l->out_len;
		size_t len = pack_request(l, l->sent, p + FRAME_HEAD_LEN);

		frame_head_put(p, len);
		l->out_len += FRAME_HEAD_LEN + len;
		l->sent_us[l->sent % RING] = now;
		l->sent++;
	}
	return frame_write_all(l->fd, l->out, l->out_len, ec);
}

/*
 * Look at an answer: field 1, the id, as it is packed first; then the tag of
 * the result.  Anything but success is unpacked and reported.
 */
static enum jy_err
take_answer(struct load *l, const uint8_t *frame, size_t len, struct errctx *ec)
{
	uint8_t want = l->joiners == NULL ? 3 << 3 | 2 : 4 << 3 | 2;
	Joinery__V1__Response *r;
	uint64_t id = 0;
	size_t i = 1;

	for (unsigned shift = 0; i < len && i < 11; shift += 7, i++) {
		id |= (uint64_t)(frame[i] & 0x7FU) << shift;
		if ((frame[i] & 0x80U) == 0) {
			i++;
			break;
		}
	}
	if (frame[0] == 0x08 && i < len && frame[i] == want) {
		bench_latency(
		    &l->latencies, sys_mono_us() - l->sent_us[id % RING]);
		l->done++;
		return JY_OK;
	}
	r = joinery__v1__response__unpack(NULL, len, frame);
	(void)err_set(ec, JY_EINVAL, "answer %llu: %s",
	    (unsigned long long)l->done,
	    r != NULL && r->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR
		? r->error->message
		: "unexpected");
	if (r != NULL) {
		joinery__v1__response__free_unpacked(r, NULL);
	}
	return JY_EINVAL;
}

/* Go on until limit answers are there, or the time is over. */
static enum jy_err
run(struct load *l, uint64_t limit, uint64_t end_us, uint32_t in_flight,
    struct errctx *ec)
{
	const uint8_t *frame;
	enum jy_err err = JY_OK;
	size_t len;

	while (err == JY_OK && (l->sent < limit || l->done < l->sent)) {
		if (limit == UINT64_MAX && sys_mono_us() >= end_us) {
			limit = l->sent;
		}
		err = send_some(l, limit, in_flight, ec);
		if (err != JY_OK || l->done == l->sent) {
			continue;
		}
		do {
			err = frame_stream_next(l->in, &frame, &len, ec);
			if (err == JY_OK) {
				err = take_answer(l, frame, len, ec);
			}
		} while (err == JY_OK && frame_stream_ready(l->in));
	}
	return err;
}

static enum jy_err
load_run(const struct bench_instance *in, const struct bench_options *o,
    struct load *l, uint64_t limit, struct bench_load *out, struct errctx *ec)
{
	uint64_t start;
	enum jy_err err;

	err = connect_to(in->socket, &l->fd, ec);
	if (err != JY_OK) {
		return err;
	}
	l->in = frame_stream_new(l->fd, FRAME_MAX);
	bench_latencies_init(&l->latencies);
	start = sys_mono_us();
	err = run(l, limit, start + o->seconds * 1000000ULL, o->in_flight, ec);
	if (err == JY_OK) {
		bench_latencies_sum(
		    &l->latencies, l->done, sys_mono_us() - start, out);
	}
	bench_latencies_fini(&l->latencies);
	frame_stream_free(l->in);
	(void)close(l->fd);
	return err;
}

enum jy_err
bench_load_pings(const struct bench_instance *in, const struct bench_options *o,
    struct bench_load *out, struct errctx *ec)
{
	struct load *l = sys_xcalloc(1, sizeof(*l));
	enum jy_err err = load_run(in, o, l, UINT64_MAX, out, ec);

	free(l);
	return err;
}

enum jy_err
bench_load_joins(const struct bench_instance *in, const struct bench_options *o,
    struct bench_joiners *joiners, struct bench_load *out, struct errctx *ec)
{
	struct load *l = sys_xcalloc(1, sizeof(*l));
	enum jy_err err;

	l->joiners = joiners;
	err = sim_crypto_new(&l->crypto, ec);
	if (err == JY_OK) {
		err = load_run(
		    in, o, l, o->joins > 0 ? o->joins : UINT64_MAX, out, ec);
	}
	sim_crypto_free(l->crypto);
	free(l);
	return err;
}
