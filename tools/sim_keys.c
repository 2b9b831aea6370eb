/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "joinery-sim keys": ask for the keys of a session as NS and as AS and say
 * under which label each came.  There is no device here to compare with; a
 * KEK given shows that the key opens, and its check value.
 */
#include "tools/sim.h"

#include "proto/errcode.h"
#include "tools/sim_fetch.h"
#include "tools/sim_verify.h"

struct keys_run {
	const struct sim_options *o;
	struct sim_crypto *crypto;
	struct sim_report report;
	struct client *ns;
	struct client *as;
};

/* One key: its label, and what is in it if we can open it. */
static enum sim_status
show_key(struct keys_run *run, const char *name, const struct sim_keks *keks,
    const Joinery__V1__KeyEnvelope *e)
{
	AUTO_WIPE struct secret_block key;
	char text[HEX_STR_LEN(sizeof(key.b))];
	const char *label = e->kek_label != NULL ? e->kek_label : "(clear)";
	uint8_t kcv[SIM_KCV_LEN];
	const char *why;

	if (keks->count == 0 && e->kek_label != NULL) {
		sim_report_fact(
		    &run->report, name, "under %.64s, not opened", label);
		return SIM_OK;
	}
	why = sim_verify_open(run->crypto, keks, e, &key);
	if (why != NULL) {
		(void)sim_report_check(
		    &run->report, false, name, "%s: %.64s", why, label);
		return SIM_FAILED;
	}
	sim_crypto_check_value(run->crypto, &key, kcv);
	hex_format(kcv, sizeof(kcv), text);
	(void)sim_report_check(&run->report, true, name,
	    "under %.64s, check value %s", label, text);
	if (run->o->show_keys) {
		hex_format(key.b, sizeof(key.b), text);
		sim_report_fact(&run->report, name, "%s", text);
		secret_wipe(text, sizeof(text));
	}
	return SIM_OK;
}

static enum sim_status
show_network_keys(
    struct keys_run *run, const Joinery__V1__NetworkKeysAnswer *answer)
{
	const Joinery__V1__KeyEnvelope *const keys[SIM_APP_S_KEY] = {
		[SIM_NWK_S_KEY] = answer->nwk_s_key,
		[SIM_F_NWK_S_INT_KEY] = answer->f_nwk_s_int_key,
		[SIM_S_NWK_S_INT_KEY] = answer->s_nwk_s_int_key,
		[SIM_NWK_S_ENC_KEY] = answer->nwk_s_enc_key,
	};
	enum sim_status status = SIM_OK;

	for (int i = 0; i < SIM_APP_S_KEY; i++) {
		enum sim_status one = keys[i] == NULL
		    ? SIM_OK
		    : show_key(run, sim_spec_key_name((enum sim_key)i),
			  &run->o->ns_keks, keys[i]);

		status = one != SIM_OK ? one : status;
	}
	return status;
}

static enum sim_status
ask_network_keys(
    struct keys_run *run, const struct eui64 *dev_eui, struct errctx *ec)
{
	Joinery__V1__Response *response;
	enum sim_status status;
	enum jy_err err;

	err = sim_fetch_network_keys(
	    run->ns, run->o->session.b, dev_eui, &response, ec);
	if (err != JY_OK) {
		return sim_complain(SIM_CONNECTION, err, ec);
	}
	sim_report_title(&run->report, "as Network Server");
	status =
	    response->result_case == JOINERY__V1__RESPONSE__RESULT_NETWORK_KEYS
	    ? show_network_keys(run, response->network_keys)
	    : sim_refused(&run->report, response);
	client_free(response);
	return status;
}

static enum sim_status
ask_app_s_key(
    struct keys_run *run, const struct eui64 *dev_eui, struct errctx *ec)
{
	const char *name = sim_spec_key_name(SIM_APP_S_KEY);
	Joinery__V1__Response *response;
	enum sim_status status = SIM_FAILED;
	enum jy_err err;

	err = sim_fetch_app_s_key(run->as, run->o->session.b, dev_eui,
	    run->o->join_eui.set ? &run->o->join_eui.eui : NULL, run->o->as_id,
	    &response, ec);
	if (err != JY_OK) {
		return sim_complain(SIM_CONNECTION, err, ec);
	}
	sim_report_title(&run->report, "as Application Server");
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_APP_S_KEY) {
		status = sim_refused(&run->report, response);
	} else if (response->app_s_key->app_s_key == NULL) {
		(void)sim_report_check(&run->report, false, name, "missing");
	} else {
		status = show_key(run, name, &run->o->as_keks,
		    response->app_s_key->app_s_key);
	}
	client_free(response);
	return status;
}

static enum sim_status
ask_both(struct keys_run *run, struct errctx *ec)
{
	const struct eui64 *dev_eui =
	    run->o->dev_eui.set ? &run->o->dev_eui.eui : NULL;
	enum sim_status ns;
	enum sim_status as;

	sim_report_begin(&run->report);
	/* Backend Interfaces has no message for network keys. */
	ns = run->o->bi == NULL ? ask_network_keys(run, dev_eui, ec) : SIM_OK;
	as = run->as != NULL && ns != SIM_CONNECTION
	    ? ask_app_s_key(run, dev_eui, ec)
	    : SIM_OK;
	sim_report_end(&run->report, "%s",
	    ns == SIM_OK && as == SIM_OK ? "fetched" : run->report.why);
	return ns != SIM_OK ? ns : as;
}

enum sim_status
sim_keys_run(const struct sim_options *o, FILE *out)
{
	struct errctx ec = ERRCTX_INIT;
	struct keys_run run = { .o = o };
	enum sim_status status;
	enum jy_err err;

	sim_report_init(&run.report, out, sim_format_of(o));
	err = sim_crypto_new(&run.crypto, &ec);
	if (err != JY_OK) {
		return sim_complain(SIM_INTERNAL, err, &ec);
	}
	err = sim_connect(o, &run.ns, &run.as, &ec);
	status = err == JY_OK ? ask_both(&run, &ec)
			      : sim_complain(SIM_CONNECTION, err, &ec);
	client_close(run.ns);
	client_close(run.as);
	sim_crypto_free(run.crypto);
	return status;
}
