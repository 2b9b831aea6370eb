/* SPDX-License-Identifier: Apache-2.0 */
/* "joinery-sim home": ask, as a visited network, where a device is at home. */
#include "src/base/hex.h"
#include "tools/sim.h"

static enum jy_err
ask(struct client *c, const struct sim_options *o, Joinery__V1__Response **out,
    struct errctx *ec)
{
	Joinery__V1__HomeNsRequest call = JOINERY__V1__HOME_NS_REQUEST__INIT;
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__Sender sender = JOINERY__V1__SENDER__INIT;
	struct eui64 dev_eui = o->dev_eui.eui;
	struct eui64 join_eui = o->join_eui.eui;
	struct eui64 ns_id = o->ns_id.eui;

	call.has_dev_eui = call.has_join_eui = true;
	call.dev_eui.data = dev_eui.be;
	call.dev_eui.len = sizeof(dev_eui.be);
	call.join_eui.data = join_eui.be;
	call.join_eui.len = sizeof(join_eui.be);
	call.has_net_id = true;
	call.net_id = (uint32_t)o->net_id.value;
	sender.has_net_id = sender.has_ns_id = true;
	sender.net_id = call.net_id;
	sender.ns_id.data = ns_id.be;
	sender.ns_id.len = sizeof(ns_id.be);
	request.sender = o->ns_id.set ? &sender : NULL;
	request.call_case = JOINERY__V1__REQUEST__CALL_HOME_NS;
	request.home_ns = &call;
	return client_call(c, &request, out, ec);
}

static enum sim_status
show(struct sim_report *r, const struct sim_options *o,
    const Joinery__V1__Response *response)
{
	const Joinery__V1__HomeNsAnswer *home = response->home_ns;
	enum sim_status status = SIM_OK;
	char eui[EUI64_STR_LEN];

	sim_report_begin(r);
	sim_report_title(r, "home network");
	sim_report_fact(r, "dev_eui", "%s", eui64_str(&o->dev_eui.eui, eui));
	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_HOME_NS) {
		status = sim_refused(r, response);
	} else if (!sim_report_check(r, home->has_net_id, "HNetID",
		       home->has_net_id ? "%06x" : "missing", home->net_id)) {
		status = SIM_FAILED;
	} else if (home->has_ns_id) {
		hex_format(home->ns_id.data,
		    home->ns_id.len < 8 ? home->ns_id.len : 8, eui);
		(void)sim_report_check(
		    r, home->ns_id.len == 8, "HNSID", "%s", eui);
		status = home->ns_id.len == 8 ? SIM_OK : SIM_FAILED;
	}
	sim_report_end(r, "%s", status == SIM_OK ? "home known" : r->why);
	return status;
}

enum sim_status
sim_home_run(const struct sim_options *o, FILE *out)
{
	struct errctx ec = ERRCTX_INIT;
	Joinery__V1__Response *response;
	struct sim_report report;
	enum sim_status status;
	struct client *as;
	struct client *ns;
	enum jy_err err;

	sim_report_init(&report, out, sim_format_of(o));
	err = sim_connect(o, &ns, &as, &ec);
	if (err == JY_OK) {
		err = ask(ns, o, &response, &ec);
	}
	if (err != JY_OK) {
		status = sim_complain(SIM_CONNECTION, err, &ec);
	} else {
		status = show(&report, o, response);
		client_free(response);
	}
	client_close(ns);
	client_close(as);
	return status;
}
