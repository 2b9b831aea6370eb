/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of joinery-sim share: connections and complaints. */
#include "tools/sim.h"

#include "proto/errcode.h"

enum sim_status
sim_complain(enum sim_status status, enum jy_err err, const struct errctx *ec)
{
	(void)fprintf(stderr, "joinery-sim: %s\n", err_detail(ec, err));
	return status;
}

const char *
sim_refusal(const Joinery__V1__Response *response, char *buf, size_t cap)
{
	const Joinery__V1__Error *e = response->error;

	if (response->result_case != JOINERY__V1__RESPONSE__RESULT_ERROR) {
		return "an answer to another call";
	}
	(void)snprintf(buf, cap, "%s%s%s", errcode_name(e->code),
	    e->message != NULL ? ": " : "",
	    e->message != NULL ? e->message : "");
	return buf;
}

enum jy_err
sim_connect(const struct sim_options *o, struct client **ns, struct client **as,
    struct errctx *ec)
{
	unsigned timeout_ms =
	    (unsigned)sim_options_number(&o->timeout_ms, 10000);
	const struct client_config ns_config = {
		.socket = o->socket,
		.tcp = o->tcp,
		.ca = o->ca,
		.cert = o->cert,
		.key = o->key,
		.timeout_ms = timeout_ms,
	};
	const struct client_config as_config = {
		.tcp = o->as_tcp != NULL ? o->as_tcp : o->tcp,
		.ca = o->ca,
		.cert = o->as_cert,
		.key = o->as_key,
		.timeout_ms = timeout_ms,
	};
	enum jy_err err;

	*ns = NULL;
	*as = NULL;
	err = client_open(&ns_config, ns, ec);
	if (err == JY_OK && o->as_cert != NULL) {
		err = client_open(&as_config, as, ec);
	}
	return err;
}
