/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins over Backend Interfaces: keep-alive TLS connections, each with one
 * request at a time, as HTTP has it.  Answers are only looked at, not read:
 * what is measured is the server.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/sys.h"
#include "tools/bench.h"
#include "tools/client_link.h"
#include "tools/sim_crypto.h"

#define TIMEOUT_MS 30000U
#define REQUEST_MAX 1024
#define ANSWER_MAX 8192

struct conn {
	struct link *link;
	bool busy;
	uint32_t device; /* the next: each belongs to one connection */
	uint64_t sent_us;
	size_t len;
	char in[ANSWER_MAX + 1];
};

struct bi_load {
	struct sim_crypto *crypto;
	struct bench_device *devices;
	uint32_t device_count;
	struct conn *conns;
	struct pollfd *polls;
	uint32_t count; /* of connections */
	uint64_t sent;
	uint64_t done;
	struct bench_latencies latencies;
};

static enum jy_err
open_all(struct bi_load *l, const struct bench_instance *in, struct errctx *ec)
{
	char cert[BENCH_PATH_MAX + 16];
	const struct client_config config = {
		.tcp = in->bi_address,
		.ca = cert,
		.cert = cert,
		.key = cert,
		.timeout_ms = TIMEOUT_MS,
	};
	enum jy_err err = JY_OK;

	(void)snprintf(cert, sizeof(cert), "%s/%s", in->dir, BENCH_CERT);
	for (uint32_t i = 0; err == JY_OK && i < l->count; i++) {
		l->conns[i].device = i;
		err = link_open(&config, &l->conns[i].link, ec);
	}
	return err;
}

/*
 * The next JoinReq of a connection; returns its length.  A device has its own
 * connection: over two, one DevNonce might overtake the other.
 */
static size_t
make_request(struct bi_load *l, struct conn *c, char out[REQUEST_MAX])
{
	struct bench_device *d = &l->devices[c->device];
	uint8_t phy[BENCH_REQUEST_LEN];
	char phy_text[HEX_STR_LEN(sizeof(phy))];
	char dev_eui[EUI64_STR_LEN];
	char join_eui[EUI64_STR_LEN];
	char body[REQUEST_MAX / 2];
	int len;
	int n;

	bench_join_request(l->crypto, d, phy);
	hex_format(phy, sizeof(phy), phy_text);
	len = snprintf(body, sizeof(body),
	    "{\"ProtocolVersion\":\"1.0\",\"TransactionID\":%u,"
	    "\"MessageType\":\"JoinReq\",\"SenderID\":\"000013\","
	    "\"ReceiverID\":\"%s\",\"MACVersion\":\"1.0.4\","
	    "\"PHYPayload\":\"%s\",\"DevEUI\":\"%s\",\"DevAddr\":\"%08x\","
	    "\"DLSettings\":\"00\",\"RxDelay\":1}",
	    (unsigned)l->sent, eui64_str(&d->join_eui, join_eui), phy_text,
	    eui64_str(&d->dev_eui, dev_eui),
	    (unsigned)(0x26000000U + (uint32_t)l->sent));
	n = snprintf(out, REQUEST_MAX,
	    "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
	    len, body);
	jy_assert(n > 0 && n < REQUEST_MAX);
	c->device += l->count;
	if (c->device >= l->device_count) {
		c->device = (uint32_t)(c - l->conns);
	}
	l->sent++;
	return (size_t)n;
}

static enum jy_err
send_one(struct bi_load *l, struct conn *c, struct errctx *ec)
{
	char text[REQUEST_MAX];
	struct span left = { (uint8_t *)text, make_request(l, c, text) };
	enum jy_err err = JY_OK;

	c->sent_us = sys_mono_us();
	c->busy = true;
	c->len = 0;
	while (err == JY_OK && left.len > 0) {
		err = link_move(
		    c->link, LINK_WRITE, &left, link_deadline(TIMEOUT_MS), ec);
	}
	return err;
}

/* Behind the answer, as its head says; 0 while it is not all there. */
static size_t
answer_end(const struct conn *c)
{
	static const char name[] = "\r\nContent-Length:";
	const char *body = strstr(c->in, "\r\n\r\n");
	const char *length = strcasestr(c->in, name);
	size_t end;

	if (body == NULL || length == NULL || length > body) {
		return 0;
	}
	end = (size_t)(body + 4 - c->in) +
	    strtoul(length + sizeof(name) - 1, NULL, 10);
	return c->len >= end ? end : 0;
}

/* Read what there is; *whole when that makes an answer, and a good one. */
static enum jy_err
read_some(struct conn *c, bool *whole, struct errctx *ec)
{
	struct span room = { (uint8_t *)c->in + c->len, ANSWER_MAX - c->len };
	enum jy_err err = JY_EINVAL;

	if (room.len > 0) {
		err = link_move(
		    c->link, LINK_READ, &room, link_deadline(TIMEOUT_MS), ec);
	}
	if (err != JY_OK) {
		return err;
	}
	c->len = ANSWER_MAX - room.len;
	c->in[c->len] = '\0';
	*whole = answer_end(c) > 0;
	if (*whole &&
	    (strncmp(c->in, "HTTP/1.1 200 ", 13) != 0 ||
		strstr(c->in, "\"Success\"") == NULL)) {
		const char *body = strstr(c->in, "\r\n\r\n");

		return err_set(ec, JY_EINVAL,
		    "Backend Interfaces: %.12s: %.200s", c->in, body + 4);
	}
	return JY_OK;
}

/* Take what is there on the connections that poll(2) names. */
static enum jy_err
take_answers(struct bi_load *l, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	for (uint32_t i = 0; err == JY_OK && i < l->count; i++) {
		struct conn *c = &l->conns[i];
		bool whole = false;

		if (l->polls[i].revents == 0) {
			continue;
		}
		err = read_some(c, &whole, ec);
		if (err == JY_OK && whole) {
			c->busy = false;
			l->done++;
			bench_latency(
			    &l->latencies, sys_mono_us() - c->sent_us);
		}
	}
	return err;
}

static enum jy_err
wait_for_answers(struct bi_load *l, struct errctx *ec)
{
	int n;

	for (uint32_t i = 0; i < l->count; i++) {
		l->polls[i].fd =
		    l->conns[i].busy ? link_fd(l->conns[i].link) : -1;
		l->polls[i].events = POLLIN;
		l->polls[i].revents = 0;
	}
	do {
		n = poll(l->polls, l->count, (int)TIMEOUT_MS);
	} while (n < 0 && errno == EINTR);
	return n > 0
	    ? JY_OK
	    : err_set(ec, JY_ETIMEOUT, "no answer over Backend Interfaces");
}

/* Go on until limit answers are there, or the time is over. */
static enum jy_err
run(struct bi_load *l, uint64_t limit, uint64_t end_us, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	while (err == JY_OK && (l->sent < limit || l->done < l->sent)) {
		if (limit == UINT64_MAX && sys_mono_us() >= end_us) {
			limit = l->sent;
		}
		for (uint32_t i = 0;
		     err == JY_OK && i < l->count && l->sent < limit; i++) {
			if (!l->conns[i].busy) {
				err = send_one(l, &l->conns[i], ec);
			}
		}
		if (err == JY_OK && l->done < l->sent) {
			err = wait_for_answers(l, ec);
		}
		if (err == JY_OK && l->done < l->sent) {
			err = take_answers(l, ec);
		}
	}
	return err;
}

enum jy_err
bench_load_bi(const struct bench_instance *in, const struct bench_options *o,
    struct bench_device *devices, struct bench_load *out, struct errctx *ec)
{
	struct bi_load l = {
		.devices = devices,
		.device_count = o->devices,
		.count = o->bi_connections < o->devices ? o->bi_connections
							: o->devices,
	};
	uint64_t start;
	enum jy_err err;

	l.conns = sys_xcalloc(l.count, sizeof(l.conns[0]));
	l.polls = sys_xcalloc(l.count, sizeof(l.polls[0]));
	bench_latencies_init(&l.latencies);
	err = sim_crypto_new(&l.crypto, ec);
	if (err == JY_OK) {
		err = open_all(&l, in, ec);
	}
	start = sys_mono_us();
	if (err == JY_OK) {
		err = run(&l, o->joins > 0 ? o->joins : UINT64_MAX,
		    start + o->seconds * 1000000ULL, ec);
	}
	if (err == JY_OK) {
		bench_latencies_sum(
		    &l.latencies, l.done, sys_mono_us() - start, out);
	}
	for (uint32_t i = 0; i < l.count; i++) {
		link_close(l.conns[i].link);
	}
	bench_latencies_fini(&l.latencies);
	sim_crypto_free(l.crypto);
	free(l.conns);
	free(l.polls);
	return err;
}
