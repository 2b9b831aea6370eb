/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves a device, and what its Network Server makes of it. */
#include "tools/sim_attempt.h"

#include <string.h>

#include "src/base/sys.h"

#define MHDR_REJOIN_REQUEST 0xC0U
#define TAIL_LEN 6 /* DevNonce or RJcount, and MIC */

bool
sim_attempt_opt_neg(const struct sim_options *o, const struct sim_device *d)
{
	return o->opt_neg == SIM_UNSET
	    ? d->version == JOINERY__V1__MAC_VERSION__MAC_1_1_0
	    : o->opt_neg == SIM_YES;
}

bool
sim_attempt_is_rejoin(const struct sim_attempt *a)
{
	return a->join.type != SIM_JOIN_REQ_TYPE;
}

const char *
sim_attempt_counter(const struct sim_attempt *a)
{
	if (!sim_attempt_is_rejoin(a)) {
		return "DevNonce";
	}
	return a->join.type == SIM_REJOIN_WITH_EUI ? "RJcount1" : "RJcount0";
}

/* What the Network Server will ask for. */
static void
ask(struct sim_accept *f, const struct sim_options *o,
    const struct sim_device *d)
{
	f->net_id = (uint32_t)o->net_id.value;
	f->dev_addr = (uint32_t)sim_options_number(&o->dev_addr, 0x26011BDA);
	f->dl_settings = (uint8_t)(o->dl_settings.value |
	    (sim_attempt_opt_neg(o, d) ? SIM_OPT_NEG : 0U));
	f->rx_delay = (uint8_t)sim_options_number(&o->rx_delay, 1);
	f->has_cf_list = o->cf_list.set;
	memcpy(f->cf_list, o->cf_list.b, sizeof(f->cf_list));
}

static enum jy_err
no_more(const struct sim_attempt *a, const char *what, struct errctx *ec)
{
	char eui[EUI64_STR_LEN];

	return err_set(ec, JY_EINVAL, "device %s has no %s",
	    eui64_str(&a->device->dev_eui, eui), what);
}

static enum jy_err
make_join(
    struct sim_attempt *a, bool repeat, struct sim_crypto *c, struct errctx *ec)
{
	struct sim_device *d = a->device;
	uint32_t n = repeat ? d->accepted - 1 : d->next;

	if (repeat && d->accepted == 0) {
		return no_more(a, "accepted join to repeat", ec);
	}
	if (n > UINT16_MAX) {
		return no_more(a, "DevNonce left", ec);
	}
	d->next += repeat ? 0 : 1;
	a->number = n + 1;
	a->join.counter = sim_device_nonce(d, n);
	sim_spec_request(c, d->roots, &a->join, a->phy);
	a->phy_len = SIM_REQUEST_LEN;
	return JY_OK;
}

/* Where a counter stands in the octets of a request, before the MIC. */
static uint16_t
counter_of(const uint8_t *phy, size_t len)
{
	return (uint16_t)(phy[len - TAIL_LEN] | phy[len - TAIL_LEN + 1] << 8);
}

static enum jy_err
repeat_rejoin(struct sim_attempt *a, struct errctx *ec)
{
	const struct sim_device *d = a->device;

	if (d->last_rejoin_len == 0) {
		return no_more(a, "accepted rejoin to repeat", ec);
	}
	memcpy(a->phy, d->last_rejoin, d->last_rejoin_len);
	a->phy_len = d->last_rejoin_len;
	a->join.type = a->phy[1];
	a->join.counter = counter_of(a->phy, a->phy_len);
	return JY_OK;
}

static enum jy_err
make_rejoin(struct sim_attempt *a, struct sim_crypto *c, struct errctx *ec)
{
	struct sim_device *d = a->device;

	if (a->join.type != SIM_REJOIN_WITH_EUI && !d->session.set) {
		return no_more(a, "session to rejoin from: it has to join", ec);
	}
	if (!sim_device_rj_count(d, a->join.type, &a->join.counter)) {
		return no_more(a, "RJcount left", ec);
	}
	a->phy_len =
	    sim_spec_rejoin(c, d->roots, &a->join, &d->session.join, a->phy);
	return JY_OK;
}

/* Octets of the command line instead; an answer is held against them. */
static void
put_raw(struct sim_attempt *a, const struct sim_octets *raw)
{
	bool rejoin = raw->len > 1 && raw->b[0] == MHDR_REJOIN_REQUEST &&
	    (raw->len == SIM_REJOIN_LEN || raw->len == SIM_REJOIN_EUI_LEN);

	memcpy(a->phy, raw->b, raw->len);
	a->phy_len = raw->len;
	if (rejoin) {
		a->join.type = raw->b[1];
	}
	if (rejoin || raw->len == SIM_REQUEST_LEN) {
		a->join.counter = counter_of(raw->b, raw->len);
	}
}

enum jy_err
sim_attempt_make(struct sim_attempt *a, uint8_t type,
    const struct sim_options *o, struct sim_crypto *c, struct errctx *ec)
{
	struct sim_device *d = a->device;
	enum jy_err err = JY_OK;

	memset(&a->join, 0, sizeof(a->join));
	a->join.join_eui = d->join_eui;
	a->join.dev_eui = d->dev_eui;
	a->join.type = type;
	a->join_nonce_above = d->join_nonce;
	a->repeat = o->repeat_last;
	a->accepted = false;
	ask(&a->join.accept, o, d);
	if (o->raw_phy.set && a->final) {
		put_raw(a, &o->raw_phy);
	} else if (type == SIM_JOIN_REQ_TYPE) {
		err = make_join(a, o->repeat_last, c, ec);
	} else {
		err = o->repeat_last ? repeat_rejoin(a, ec)
				     : make_rejoin(a, c, ec);
	}
	if (err == JY_OK && o->flip_mic && a->final && a->phy_len > 0) {
		a->phy[a->phy_len - 1] ^= 1;
	}
	return err;
}

enum jy_err
sim_attempt_send(struct sim_attempt *a, const struct sim_options *o,
    struct client *ns, struct errctx *ec)
{
	const struct sim_accept *f = &a->join.accept;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Sender sender = JOINERY__V1__SENDER__INIT;
	struct eui64 ns_id = o->ns_id.eui;
	bool rejoin = sim_attempt_is_rejoin(a);

	join.has_phy_payload = true;
	join.phy_payload.data = a->phy;
	join.phy_payload.len = a->phy_len;
	join.has_mac_version = true;
	join.mac_version = a->device->version;
	join.has_net_id = true;
	join.net_id = f->net_id;
	join.has_dev_addr = true;
	join.dev_addr = f->dev_addr;
	join.has_dl_settings = true;
	join.dl_settings = f->dl_settings;
	join.has_rx_delay = true;
	join.rx_delay = f->rx_delay;
	join.has_cf_list = f->has_cf_list;
	join.cf_list.data = a->join.accept.cf_list;
	join.cf_list.len = f->has_cf_list ? SIM_CF_LIST_LEN : 0;
	/* Not all rejoin-requests name the JoinEUI; Backend Interfaces does. */
	join.has_dev_eui = o->bi != NULL;
	join.dev_eui.data = a->join.dev_eui.be;
	join.dev_eui.len = sizeof(a->join.dev_eui.be);
	join.has_join_eui = rejoin || o->bi != NULL;
	join.join_eui.data = a->join.join_eui.be;
	join.join_eui.len = sizeof(a->join.join_eui.be);
	request.has_id = true;
	request.id = a->id;
	request.call_case = rejoin ? JOINERY__V1__REQUEST__CALL_REJOIN
				   : JOINERY__V1__REQUEST__CALL_JOIN;
	if (rejoin) {
		request.rejoin = &join;
	} else {
		request.join = &join;
	}
	sender.has_net_id = true;
	sender.net_id = f->net_id;
	sender.has_ns_id = true;
	sender.ns_id.data = ns_id.be;
	sender.ns_id.len = sizeof(ns_id.be);
	request.sender = o->ns_id.set ? &sender : NULL;
	a->sent_us = sys_mono_us();
	return client_send(ns, &request, ec);
}

void
sim_attempt_describe(const struct sim_attempt *a, struct sim_report *r)
{
	const struct sim_accept *f = &a->join.accept;
	char eui[EUI64_STR_LEN];
	char hex[HEX_STR_LEN(SIM_OCTETS_MAX)];

	if (sim_attempt_is_rejoin(a)) {
		sim_report_title(
		    r, "rejoin-request of type %u", (unsigned)a->join.type);
	} else {
		sim_report_title(r, "join-request");
	}
	sim_report_fact(r, "join_eui", "%s", eui64_str(&a->join.join_eui, eui));
	sim_report_fact(r, "dev_eui", "%s", eui64_str(&a->join.dev_eui, eui));
	sim_report_fact(
	    r, "mac_version", "%s", sim_version_str(a->device->version));
	sim_report_fact(r,
	    !sim_attempt_is_rejoin(a)                 ? "dev_nonce"
		: a->join.type == SIM_REJOIN_WITH_EUI ? "rj_count1"
						      : "rj_count0",
	    "%u", (unsigned)a->join.counter);
	hex_format(a->phy, a->phy_len, hex);
	sim_report_fact(r, "request", "%s", hex);
	sim_report_fact(r, "asked",
	    "NetID %06x, DevAddr %08x, DLSettings %02x, RxDelay %u, %s CFList",
	    f->net_id, f->dev_addr, f->dl_settings, (unsigned)f->rx_delay,
	    f->has_cf_list ? "with" : "without");
}
