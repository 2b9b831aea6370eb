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

enum sim_status
sim_refused(struct sim_report *r, const Joinery__V1__Response *response)
{
	char text[256];

	(void)sim_report_check(r, false, "answer", "%s",
	    sim_refusal(response, text, sizeof(text)));
	return response->result_case == JOINERY__V1__RESPONSE__RESULT_ERROR
	    ? SIM_REFUSED
	    : SIM_FAILED;
}

enum sim_format
sim_format_of(const struct sim_options *o)
{
	if (o->quiet) {
		return SIM_QUIET;
	}
	return o->json ? SIM_JSON : SIM_HUMAN;
}

static const char *
text_of(const struct secret *s)
{
	return s != NULL ? (const char *)secret_bytes(s) : NULL;
}

static enum jy_err
open_one(
    const struct client_config *config, struct client **out, struct errctx *ec)
{
	return config->bi != NULL ? client_open_bi(config, out, ec)
				  : client_open(config, out, ec);
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
		.bi = o->bi,
		.bi_1_1 = o->bi_1_1,
		.authorization = text_of(o->authorization),
		.http_header = o->http_header,
		.connections = (unsigned)sim_options_number(&o->in_flight, 1),
	};
	const struct client_config as_config = {
		.tcp = o->as_tcp != NULL ? o->as_tcp : o->tcp,
		.ca = o->ca,
		.cert = o->as_cert,
		.key = o->as_key,
		.timeout_ms = timeout_ms,
		.bi = o->bi,
		.bi_1_1 = o->bi_1_1,
		.authorization = text_of(o->as_authorization),
		.http_header = o->as_http_header,
	};
	enum jy_err err;

	*ns = NULL;
	*as = NULL;
	err = open_one(&ns_config, ns, ec);
	if (err == JY_OK && sim_options_as(o)) {
		err = open_one(&as_config, as, ec);
	}
	return err;
}
