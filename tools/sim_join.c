/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joinery-sim join": devices take turns, requests go out while answers come
 * in, every answer is checked.  One thread; a slot for each request under way,
 * found again by the request's id.
 */
#include "tools/sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/errcode.h"
#include "tools/sim_fetch.h"
#include "tools/sim_state.h"
#include "tools/sim_stats.h"
#include "tools/sim_verify.h"

struct run {
	const struct sim_options *o;
	struct sim_crypto *crypto;
	struct sim_fleet fleet;
	struct sim_report report;
	struct sim_verifier verifier;
	struct sim_stats stats;
	struct client *ns;
	struct client *as;
	struct sim_attempt *slots;
	size_t slot_count;
	struct sim_attempt *free; /* slots not in use */
	size_t in_flight;
	uint64_t count; /* joins to make */
	uint64_t sent;
	uint64_t done;
};

/* ---- setting up ---- */

static void
slot_release(struct run *run, struct sim_attempt *a)
{
	a->id = 0;
	a->next_free = run->free;
	run->free = a;
}

/* The one device that the command line describes. */
static enum jy_err
device_from_options(struct run *run, struct errctx *ec)
{
	const struct sim_options *o = run->o;
	struct sim_roots roots = { .v10_is_app = o->v10_is_app };
	struct sim_device *d;
	enum jy_err err;

	roots.has_nwk = o->nwk_key != NULL;
	roots.has_app = o->app_key != NULL;
	if (roots.has_nwk) {
		memcpy(roots.nwk.b, secret_bytes(o->nwk_key), 16);
	}
	if (roots.has_app) {
		memcpy(roots.app.b, secret_bytes(o->app_key), 16);
	}
	err = sim_fleet_add(&run->fleet, &roots, &d, ec);
	secret_wipe(&roots, sizeof(roots));
	if (err != JY_OK) {
		return err;
	}
	d->join_eui = o->join_eui.eui;
	d->dev_eui = o->dev_eui.eui;
	d->version = o->version;
	d->random_nonces =
	    sim_device_random_nonces(d->version) && !o->dev_nonce.set;
	d->next = (uint32_t)sim_options_number(&o->dev_nonce, 0);
	sys_real.random(&d->seed, sizeof(d->seed));
	return JY_OK;
}

static bool
opt_neg_of(const struct sim_options *o, const struct sim_device *d)
{
	return o->opt_neg == SIM_UNSET
	    ? d->version == JOINERY__V1__MAC_VERSION__MAC_1_1_0
	    : o->opt_neg == SIM_YES;
}

/* Each device must be able to make its part of the joins. */
static enum jy_err
check_fleet(const struct run *run, struct errctx *ec)
{
	const struct sim_fleet *f = &run->fleet;

	for (size_t i = 0; i < f->count; i++) {
		const struct sim_device *d = &f->devices[i];
		uint64_t joins =
		    run->count / f->count + (i < run->count % f->count ? 1 : 0);
		char eui[EUI64_STR_LEN];

		(void)eui64_str(&d->dev_eui, eui);
		if (!sim_spec_roots_ok(d->roots, opt_neg_of(run->o, d))) {
			return err_set(ec, JY_EINVAL,
			    "device %s lacks a root key for this join", eui);
		}
		if (run->o->repeat_last && d->accepted == 0) {
			return err_set(ec, JY_EINVAL,
			    "device %s has no accepted join to repeat", eui);
		}
		if (!run->o->repeat_last && d->next + joins > 65536) {
			return err_set(ec, JY_EINVAL,
			    "device %s has only %u DevNonces left", eui,
			    65536 - d->next);
		}
	}
	return JY_OK;
}

static enum sim_format
format_of(const struct sim_options *o)
{
	if (o->quiet) {
		return SIM_QUIET;
	}
	return o->json ? SIM_JSON : SIM_HUMAN;
}

static enum jy_err
run_init(
    struct run *run, const struct sim_options *o, FILE *out, struct errctx *ec)
{
	enum jy_err err;

	memset(run, 0, sizeof(*run));
	run->o = o;
	run->slot_count = (size_t)sim_options_number(&o->in_flight, 1);
	run->slots = sys_xcalloc(run->slot_count, sizeof(*run->slots));
	for (size_t i = 0; i < run->slot_count; i++) {
		slot_release(run, &run->slots[i]);
	}
	sim_report_init(&run->report, out, format_of(o));
	err = sim_crypto_new(&run->crypto, ec);
	if (err == JY_OK) {
		err = o->devices != NULL
		    ? sim_fleet_read(
			  &run->fleet, o->devices, o->v10_is_app, &sys_real, ec)
		    : device_from_options(run, ec);
	}
	if (err == JY_OK && o->state != NULL) {
		err = sim_state_read(&run->fleet, o->state, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	run->count = sim_options_number(&o->count, 1);
	run->report.brief = run->count > 1;
	sim_stats_init(&run->stats, run->count);
	run->verifier = (struct sim_verifier){
		.crypto = run->crypto,
		.ns_keks = &o->ns_keks,
		.as_keks = &o->as_keks,
		.app_s_key = o->app_s_key != SIM_UNSET ? o->app_s_key
		    : o->as_keks.count > 0             ? SIM_YES
						       : SIM_UNSET,
		.show_keys = o->show_keys,
		.report = &run->report,
	};
	return check_fleet(run, ec);
}

static void
run_fini(struct run *run)
{
	client_close(run->ns);
	client_close(run->as);
	sim_fleet_fini(&run->fleet);
	sim_stats_fini(&run->stats);
	sim_crypto_free(run->crypto);
	free(run->slots);
}

/* ---- sending ---- */

/* What the Network Server will ask for, and the DevNonce to use. */
static void
attempt_init(struct run *run, struct sim_attempt *a, struct sim_device *d)
{
	const struct sim_options *o = run->o;
	struct sim_accept *f = &a->join.accept;
	uint32_t n = o->repeat_last ? d->accepted - 1 : d->next++;

	memset(a, 0, sizeof(*a));
	a->id = run->sent * run->slot_count + (size_t)(a - run->slots) + 1;
	a->device = d;
	a->number = n + 1;
	a->repeat = o->repeat_last;
	a->join_nonce_above = d->join_nonce;
	a->join.join_eui = d->join_eui;
	a->join.dev_eui = d->dev_eui;
	a->join.type = SIM_JOIN_REQ_TYPE;
	a->join.counter = sim_device_nonce(d, n);
	f->net_id = (uint32_t)o->net_id.value;
	f->dev_addr = (uint32_t)sim_options_number(&o->dev_addr, 0x26011BDA);
	f->dl_settings = (uint8_t)(o->dl_settings.value |
	    (opt_neg_of(o, d) ? SIM_OPT_NEG : 0U));
	f->rx_delay = (uint8_t)sim_options_number(&o->rx_delay, 1);
	f->has_cf_list = o->cf_list.set;
	memcpy(f->cf_list, o->cf_list.b, sizeof(f->cf_list));
}

static void
attempt_build(struct run *run, struct sim_attempt *a)
{
	const struct sim_octets *raw = &run->o->raw_phy;

	if (!raw->set) {
		sim_spec_request(
		    run->crypto, a->device->roots, &a->join, a->phy);
		a->phy_len = SIM_REQUEST_LEN;
	} else {
		memcpy(a->phy, raw->b, raw->len);
		a->phy_len = raw->len;
	}
	if (raw->set && raw->len == SIM_REQUEST_LEN) {
		a->join.counter = (uint16_t)(raw->b[17] | raw->b[18] << 8);
	}
	if (run->o->flip_mic && a->phy_len > 0) {
		a->phy[a->phy_len - 1] ^= 1;
	}
}

static enum jy_err
attempt_send(struct run *run, struct sim_attempt *a, struct errctx *ec)
{
	const struct sim_accept *f = &a->join.accept;
	Joinery__V1__JoinRequest join = JOINERY__V1__JOIN_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;

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
	request.has_id = true;
	request.id = a->id;
	request.call_case = JOINERY__V1__REQUEST__CALL_JOIN;
	request.join = &join;
	a->sent_us = sys_mono_us();
	return client_send(run->ns, &request, ec);
}

static enum jy_err
send_next(struct run *run, struct errctx *ec)
{
	struct sim_attempt *a = run->free;

	jy_assert(a != NULL); /* fewer are in flight than there are slots */
	run->free = a->next_free;
	attempt_init(run, a, &run->fleet.devices[run->sent % run->fleet.count]);
	attempt_build(run, a);
	run->sent++;
	run->in_flight++;
	return attempt_send(run, a, ec);
}

/* ---- answers ---- */

static void
describe(struct run *run, const struct sim_attempt *a)
{
	struct sim_report *r = &run->report;
	const struct sim_accept *f = &a->join.accept;
	char eui[EUI64_STR_LEN];
	char hex[HEX_STR_LEN(SIM_OCTETS_MAX)];

	sim_report_title(r, "join-request");
	sim_report_fact(r, "join_eui", "%s", eui64_str(&a->join.join_eui, eui));
	sim_report_fact(r, "dev_eui", "%s", eui64_str(&a->join.dev_eui, eui));
	sim_report_fact(
	    r, "mac_version", "%s", sim_version_str(a->device->version));
	sim_report_fact(r, "dev_nonce", "%u", (unsigned)a->join.counter);
	hex_format(a->phy, a->phy_len, hex);
	sim_report_fact(r, "request", "%s", hex);
	sim_report_fact(r, "asked",
	    "NetID %06x, DevAddr %08x, DLSettings %02x, RxDelay %u, %s CFList",
	    f->net_id, f->dev_addr, f->dl_settings, (unsigned)f->rx_delay,
	    f->has_cf_list ? "with" : "without");
}

/* The answer to a join-request that should be refused. */
static enum sim_status
handle_expected(struct run *run, const Joinery__V1__Response *response)
{
	const char *wanted = errcode_name(run->o->expect);
	char text[256] = "accepted";
	bool ok = response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR;

	if (ok) {
		(void)sim_refusal(response, text, sizeof(text));
		ok = response->error->code == run->o->expect;
	}
	return sim_report_check(&run->report, ok, "refusal", "%s%s%s", text,
		   ok ? "" : ", but expected is ", ok ? "" : wanted)
	    ? SIM_OK
	    : SIM_FAILED;
}

static enum sim_status
handle_refusal(struct run *run, const Joinery__V1__Response *response)
{
	char text[256];
	bool refused =
	    response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR;

	(void)sim_report_check(&run->report, false, "answer", "%s",
	    sim_refusal(response, text, sizeof(text)));
	return refused ? SIM_REFUSED : SIM_FAILED;
}

/* Octets as they came; the first of too many. */
static void
fact_octets(
    struct sim_report *r, const char *name, const ProtobufCBinaryData *octets)
{
	char hex[HEX_STR_LEN(SIM_ACCEPT_MAX)];

	hex_format(octets->data,
	    octets->len < SIM_ACCEPT_MAX ? octets->len : SIM_ACCEPT_MAX, hex);
	sim_report_fact(r, name, "%s", hex);
}

static enum sim_status
handle_join(struct run *run, struct sim_attempt *a,
    const Joinery__V1__JoinAnswer *answer)
{
	sim_report_title(&run->report, "join-accept");
	fact_octets(&run->report, "accept", &answer->phy_payload);
	fact_octets(&run->report, "session_key_id", &answer->session_key_id);
	return sim_verify_join(&run->verifier, a, answer) ? SIM_OK : SIM_FAILED;
}

/* ---- keys by session key ID ---- */

/* Ask for the keys of a device's session, as NS and, if we can, as AS. */
static enum jy_err
fetch(struct run *run, struct sim_device *d, enum sim_status *status,
    struct errctx *ec)
{
	Joinery__V1__Response *response;
	enum jy_err err;

	err = sim_fetch_network_keys(
	    run->ns, d->session_id, &d->dev_eui, &response, ec);
	if (err != JY_OK) {
		return err;
	}
	sim_report_title(&run->report, "network keys by session key ID");
	if (response->result_case !=
	    JOINERY__V1__RESPONSE__RESULT_NETWORK_KEYS) {
		*status = handle_refusal(run, response);
	} else if (!sim_verify_network_keys(
		       &run->verifier, d, response->network_keys)) {
		*status = SIM_FAILED;
	}
	client_free(response);
	if (run->as == NULL) {
		return JY_OK;
	}
	err = sim_fetch_app_s_key(
	    run->as, d->session_id, &d->dev_eui, &response, ec);
	if (err != JY_OK) {
		return err;
	}
	sim_report_title(&run->report, "AppSKey by session key ID");
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_APP_S_KEY) {
		*status = handle_refusal(run, response);
	} else if (!sim_verify_app_s_key(
		       &run->verifier, d, response->app_s_key)) {
		*status = SIM_FAILED;
	}
	client_free(response);
	return JY_OK;
}

/*
 * After a run of many joins, fetch the keys of each device's last session;
 * a single join did so in its own block.
 */
static enum jy_err
fetch_all(struct run *run, struct errctx *ec)
{
	for (size_t i = 0; i < run->fleet.count; i++) {
		struct sim_device *d = &run->fleet.devices[i];
		enum sim_status status = SIM_OK;
		char eui[EUI64_STR_LEN];
		enum jy_err err;

		if (run->o->no_fetch || run->count == 1 || !d->has_session) {
			continue;
		}
		sim_report_begin(&run->report);
		sim_report_fact(
		    &run->report, "dev_eui", "%s", eui64_str(&d->dev_eui, eui));
		err = fetch(run, d, &status, ec);
		if (err != JY_OK) {
			return err;
		}
		sim_stats_count(&run->stats, status);
		sim_report_end(&run->report, "device %s: %s%s", eui,
		    status == SIM_OK ? "keys fetched" : "keys not fetched: ",
		    run->report.why);
	}
	return JY_OK;
}

/* ---- the run ---- */

static enum sim_status
handle_answer(struct run *run, struct sim_attempt *a,
    const Joinery__V1__Response *response)
{
	if (run->o->expect != 0) {
		return handle_expected(run, response);
	}
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_JOIN) {
		return handle_refusal(run, response);
	}
	return handle_join(run, a, response->join);
}

/* The verdict on an attempt, and its slot free again. */
static void
attempt_end(struct run *run, struct sim_attempt *a, enum sim_status status)
{
	static const char *const verdicts[] = {
		[SIM_OK] = "joined",
		[SIM_FAILED] = "not joined: ",
		[SIM_REFUSED] = "refused: ",
	};
	const char *verdict = status == SIM_OK && run->o->expect != 0
	    ? "refused as expected"
	    : verdicts[status];
	char eui[EUI64_STR_LEN];

	sim_stats_count(&run->stats, status);
	(void)eui64_str(&a->join.dev_eui, eui);
	if (run->count > 1) {
		sim_report_end(&run->report, "device %s, DevNonce %u: %s%s",
		    eui, (unsigned)a->join.counter, verdict, run->report.why);
	} else {
		sim_report_end(&run->report, "%s%s", verdict, run->report.why);
	}
	slot_release(run, a);
	run->in_flight--;
	run->done++;
}

static struct sim_attempt *
attempt_find(struct run *run, uint64_t id)
{
	struct sim_attempt *a =
	    id > 0 ? &run->slots[(id - 1) % run->slot_count] : NULL;

	return a != NULL && a->id == id ? a : NULL;
}

static enum jy_err
receive_next(struct run *run, struct errctx *ec)
{
	Joinery__V1__Response *response;
	struct sim_attempt *a;
	enum sim_status status;
	enum jy_err err;

	err = client_receive(run->ns, &response, ec);
	if (err != JY_OK) {
		return err;
	}
	a = attempt_find(run, response->has_id ? response->id : 0);
	if (a == NULL) {
		client_free(response);
		return err_set(ec, JY_EIO, "an answer to no request came");
	}
	sim_stats_latency(&run->stats, sys_mono_us() - a->sent_us);
	sim_report_begin(&run->report);
	describe(run, a);
	status = handle_answer(run, a, response);
	client_free(response);
	if (status == SIM_OK && run->count == 1 && a->device->has_session &&
	    !run->o->no_fetch) {
		err = fetch(run, a->device, &status, ec);
	}
	attempt_end(run, a, status);
	return err;
}

/* When the next request may leave. */
static uint64_t
due_us(const struct run *run)
{
	uint64_t rate = run->o->rate.value;

	return rate == 0 ? 0 : run->stats.start_us + run->sent * 1000000 / rate;
}

static void
sleep_until(uint64_t when_us)
{
	uint64_t now = sys_mono_us();
	uint64_t left = when_us > now ? when_us - now : 0;
	const struct timespec ts = {
		.tv_sec = (time_t)(left / 1000000),
		.tv_nsec = (long)(left % 1000000 * 1000),
	};

	(void)nanosleep(&ts, NULL);
}

static enum jy_err
run_joins(struct run *run, struct errctx *ec)
{
	enum jy_err err = JY_OK;

	sim_stats_start(&run->stats);
	while (err == JY_OK && run->done < run->count) {
		bool room =
		    run->sent < run->count && run->in_flight < run->slot_count;

		if (room && due_us(run) <= sys_mono_us()) {
			err = send_next(run, ec);
		} else if (run->in_flight > 0) {
			err = receive_next(run, ec);
		} else {
			sleep_until(due_us(run));
		}
	}
	sim_stats_stop(&run->stats);
	return err;
}

enum sim_status
sim_join_run(const struct sim_options *o, FILE *out)
{
	struct errctx ec = ERRCTX_INIT;
	struct errctx state_ec = ERRCTX_INIT;
	enum sim_status status;
	struct run run;
	enum jy_err err;

	err = run_init(&run, o, out, &ec);
	if (err != JY_OK) {
		status = sim_complain(SIM_USAGE, err, &ec);
		goto out;
	}
	err = sim_connect(o, &run.ns, &run.as, &ec);
	if (err == JY_OK) {
		err = run_joins(&run, &ec);
	}
	if (err == JY_OK) {
		err = fetch_all(&run, &ec);
	}
	status = err == JY_OK ? sim_stats_status(&run.stats)
			      : sim_complain(SIM_CONNECTION, err, &ec);
	if (run.count > 1) {
		sim_stats_print(&run.stats, run.report.format, out);
	}
	/* Even after a broken connection: its DevNonces are used. */
	err = o->state != NULL
	    ? sim_state_write(&run.fleet, o->state, &state_ec)
	    : JY_OK;
	if (err != JY_OK) {
		status = sim_complain(SIM_INTERNAL, err, &state_ec);
	}
out:
	run_fini(&run);
	return status;
}
