/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joinery-sim join" and "rejoin": devices take turns, requests go out while
 * answers come in, every answer is checked.  A turn is a join, then its
 * rejoins, or rejoins alone: as many steps, each sent when the answer to the
 * one before is there.  One thread; a slot for each turn under way, found
 * again by the id of its request.
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
	uint8_t steps[SIM_TYPES_MAX + 1]; /* JoinReqTypes of a turn */
	size_t step_count;
	uint64_t requests; /* sent so far */
	uint64_t count;    /* turns to make */
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

/* What a turn consists of. */
static void
plan_turn(struct run *run, bool join)
{
	const struct sim_types *t = &run->o->types;

	if (join) {
		run->steps[run->step_count++] = SIM_JOIN_REQ_TYPE;
	}
	for (size_t i = 0; i < t->count; i++) {
		run->steps[run->step_count++] = t->items[i];
	}
	if (run->step_count == 0) { /* a rejoin of any type, to be repeated */
		run->steps[run->step_count++] = SIM_REJOIN_ROAMING;
	}
}

static bool
is_join_alone(const struct run *run)
{
	return run->step_count == 1 && run->steps[0] == SIM_JOIN_REQ_TYPE;
}

/* Why a device cannot even begin, or NULL. */
static const char *
device_lacks(const struct run *run, const struct sim_device *d, uint64_t turns)
{
	bool join = run->steps[0] == SIM_JOIN_REQ_TYPE;
	bool opt_neg = sim_attempt_opt_neg(run->o, d) || !is_join_alone(run);

	/* Raw octets may come from a device that cannot rejoin. */
	if (run->o->raw_phy.set && run->step_count == 1) {
		opt_neg = sim_attempt_opt_neg(run->o, d);
		join = true;
	}
	if (!sim_spec_roots_ok(d->roots, opt_neg)) {
		return "a root key for this join";
	}
	if (run->o->repeat_last) {
		return join
		    ? d->accepted == 0 ? "an accepted join to repeat" : NULL
		    : d->last_rejoin_len == 0 ? "an accepted rejoin to repeat"
					      : NULL;
	}
	if (join) {
		return d->next + turns > 65536 ? "DevNonces" : NULL;
	}
	if (run->steps[0] != SIM_REJOIN_WITH_EUI && !d->session.set) {
		return "a session to rejoin from: it has to join first";
	}
	if (run->steps[0] == SIM_REJOIN_WITH_EUI && d->rj_count1 > UINT16_MAX) {
		return "an RJcount1: it has used all";
	}
	if (run->steps[0] != SIM_REJOIN_WITH_EUI && d->rj_count0 > UINT16_MAX) {
		return "an RJcount0: its session has used all";
	}
	return NULL;
}

/* Each device must be able to make its part of the turns. */
static enum jy_err
check_fleet(const struct run *run, struct errctx *ec)
{
	const struct sim_fleet *f = &run->fleet;

	for (size_t i = 0; i < f->count; i++) {
		const struct sim_device *d = &f->devices[i];
		uint64_t turns =
		    run->count / f->count + (i < run->count % f->count ? 1 : 0);
		char eui[EUI64_STR_LEN];
		const char *lack;

		(void)eui64_str(&d->dev_eui, eui);
		lack = device_lacks(run, d, turns);
		if (lack != NULL) {
			return err_set(
			    ec, JY_EINVAL, "device %s lacks %s", eui, lack);
		}
	}
	return JY_OK;
}

static void
set_rj_counts(struct run *run)
{
	const struct sim_number *n = &run->o->rj_count;

	for (size_t i = 0; n->set && i < run->fleet.count; i++) {
		run->fleet.devices[i].rj_count0 = (uint32_t)n->value;
		run->fleet.devices[i].rj_count1 = (uint32_t)n->value;
	}
}

static enum jy_err
run_init(struct run *run, const struct sim_options *o, bool join, FILE *out,
    struct errctx *ec)
{
	enum jy_err err;

	memset(run, 0, sizeof(*run));
	run->o = o;
	plan_turn(run, join);
	run->slot_count = (size_t)sim_options_number(&o->in_flight, 1);
	run->slots = sys_xcalloc(run->slot_count, sizeof(*run->slots));
	for (size_t i = 0; i < run->slot_count; i++) {
		slot_release(run, &run->slots[i]);
	}
	sim_report_init(&run->report, out, sim_format_of(o));
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
	set_rj_counts(run);
	run->count = sim_options_number(&o->count, 1);
	run->report.brief = run->count > 1;
	sim_stats_init(&run->stats, run->count * run->step_count);
	run->verifier = (struct sim_verifier){
		.crypto = run->crypto,
		.ns_keks = &o->ns_keks,
		.as_keks = &o->as_keks,
		.app_s_key = o->app_s_key != SIM_UNSET ? o->app_s_key
		    : o->as_keks.count > 0             ? SIM_YES
						       : SIM_UNSET,
		.no_switch = o->no_switch,
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

/* Make and send the request of the slot's step. */
static enum jy_err
send_step(struct run *run, struct sim_attempt *a, struct errctx *ec)
{
	enum jy_err err;

	a->id =
	    run->requests++ * run->slot_count + (size_t)(a - run->slots) + 1;
	a->final = a->step + 1 == run->step_count;
	err = sim_attempt_make(a, run->steps[a->step], run->o, run->crypto, ec);
	return err == JY_OK ? sim_attempt_send(a, run->o, run->ns, ec) : err;
}

static struct sim_device *
next_device(const struct run *run)
{
	return &run->fleet.devices[run->sent % run->fleet.count];
}

/* Begin the next turn. */
static enum jy_err
send_next(struct run *run, struct errctx *ec)
{
	struct sim_attempt *a = run->free;

	jy_assert(a != NULL); /* fewer are in flight than there are slots */
	run->free = a->next_free;
	memset(a, 0, sizeof(*a));
	a->device = next_device(run);
	/* Its rejoins need to know which session is in use. */
	a->device->busy = !is_join_alone(run);
	run->sent++;
	run->in_flight++;
	return send_step(run, a, ec);
}

/* ---- answers ---- */

/* The answer to a request that should be refused. */
static enum sim_status
handle_expected(struct run *run, const Joinery__V1__Response *response)
{
	Joinery__V1__ErrorCode expect = client_code(run->ns, run->o->expect);
	const char *wanted = errcode_name(run->o->expect);
	char text[256] = "accepted";
	bool ok = response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR;

	if (ok) {
		(void)sim_refusal(response, text, sizeof(text));
		ok = client_code(run->ns, response->error->code) == expect;
	}
	return sim_report_check(&run->report, ok, "refusal", "%s%s%s", text,
		   ok ? "" : ", but expected is ", ok ? "" : wanted)
	    ? SIM_OK
	    : SIM_FAILED;
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

/*
 * After a run of many joins, fetch the keys of each device's last session;
 * a single join did so in its own block.
 */
static enum jy_err
fetch_all(struct run *run, struct errctx *ec)
{
	/* Nothing that could be asked for. */
	if (run->o->bi != NULL && run->as == NULL) {
		return JY_OK;
	}
	for (size_t i = 0; i < run->fleet.count; i++) {
		struct sim_device *d = &run->fleet.devices[i];
		enum sim_status status = SIM_OK;
		char eui[EUI64_STR_LEN];
		enum jy_err err;

		if (run->o->no_fetch || run->count == 1 || !d->latest.set) {
			continue;
		}
		sim_report_begin(&run->report);
		sim_report_fact(
		    &run->report, "dev_eui", "%s", eui64_str(&d->dev_eui, eui));
		err = sim_fetch_session(
		    run->o, run->ns, run->as, &run->verifier, d, &status, ec);
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
	if (run->o->expect != 0 && a->final) {
		return handle_expected(run, response);
	}
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_JOIN) {
		return sim_refused(&run->report, response);
	}
	return handle_join(run, a, response->join);
}

/* The verdict on a request. */
static void
attempt_end(
    struct run *run, const struct sim_attempt *a, enum sim_status status)
{
	static const char *const verdicts[][2] = {
		[SIM_OK] = { "joined", "rejoined" },
		[SIM_FAILED] = { "not joined: ", "not rejoined: " },
		[SIM_REFUSED] = { "refused: ", "refused: " },
	};
	const char *verdict = status == SIM_OK && !a->accepted
	    ? "refused as expected"
	    : verdicts[status][sim_attempt_is_rejoin(a)];
	char eui[EUI64_STR_LEN];

	sim_stats_count(&run->stats, status);
	(void)eui64_str(&a->join.dev_eui, eui);
	if (run->count > 1) {
		sim_report_end(&run->report, "device %s, %s %u: %s%s", eui,
		    sim_attempt_counter(a), (unsigned)a->join.counter, verdict,
		    run->report.why);
	} else {
		sim_report_end(&run->report, "%s%s", verdict, run->report.why);
	}
}

/* The next step of a turn, or its end: a step that failed ends it. */
static enum jy_err
turn_go_on(struct run *run, struct sim_attempt *a, enum sim_status status,
    struct errctx *ec)
{
	if (status == SIM_OK && !a->final) {
		a->step++;
		return send_step(run, a, ec);
	}
	a->device->busy = false;
	slot_release(run, a);
	run->in_flight--;
	run->done++;
	return JY_OK;
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
	sim_attempt_describe(a, &run->report);
	status = handle_answer(run, a, response);
	client_free(response);
	if (a->accepted && run->count == 1 && !run->o->no_fetch) {
		err = sim_fetch_session(run->o, run->ns, run->as,
		    &run->verifier, a->device, &status, ec);
	}
	attempt_end(run, a, status);
	return err == JY_OK ? turn_go_on(run, a, status, ec) : err;
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
		bool room = run->sent < run->count &&
		    run->in_flight < run->slot_count && !next_device(run)->busy;

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

static enum sim_status
run_all(const struct sim_options *o, bool join, FILE *out)
{
	struct errctx ec = ERRCTX_INIT;
	struct errctx state_ec = ERRCTX_INIT;
	enum sim_status status;
	struct run run;
	enum jy_err err;

	err = run_init(&run, o, join, out, &ec);
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

enum sim_status
sim_join_run(const struct sim_options *o, FILE *out)
{
	return run_all(o, true, out);
}

enum sim_status
sim_rejoin_run(const struct sim_options *o, FILE *out)
{
	return run_all(o, false, out);
}
