/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on KEKs and the server itself. */
#include <inttypes.h>
#include <string.h>

#include "src/base/sys.h"
#include "tools/ctl.h"

/* ---- KEKs ---- */

enum ctl_exit
verb_kek_import(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekImportRequest call =
	    JOINERY__V1__KEK_IMPORT_REQUEST__INIT;
	struct ctl_key key = { OPT_KEY, 0, NULL,
		JOINERY__V1__SEALED_KEY__INIT };
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = ctl_keys_seal(ctl, &key, 1);
	}
	if (exit == CTL_OK) {
		call.key = &key.message;
		request.call_case = JOINERY__V1__REQUEST__CALL_KEK_IMPORT;
		request.kek_import = &call;
		exit = ctl_call_and_show(
		    ctl, &request, JOINERY__V1__RESPONSE__RESULT_KEK, NULL);
	}
	ctl_keys_fini(&key, 1);
	return exit;
}

enum ctl_exit
verb_kek_generate(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekGenerateRequest call =
	    JOINERY__V1__KEK_GENERATE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = args_number(ctl, OPT_BITS, 128, 256, &call.bits);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	if (call.bits % 64 != 0) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--bits is 128, 192 or 256");
	}
	call.has_bits = 1;
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_GENERATE;
	request.kek_generate = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_KEK, NULL);
}

enum ctl_exit
verb_kek_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekDeleteRequest call =
	    JOINERY__V1__KEK_DELETE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_DELETE;
	request.kek_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}

/* ---- the server ---- */

/* Every counter, with the workers' added up, for people. */
static void
show_worker_counters(struct show *show, const Joinery__V1__StatusAnswer *status)
{
	FILE *out = show->writer.out;

	if (status->n_workers == 0 || status->workers[0]->n_counters == 0) {
		return;
	}
	(void)fputs("\nWORKERS TOGETHER\n", out);
	for (size_t i = 0; i < status->workers[0]->n_counters; i++) {
		const char *name = status->workers[0]->counters[i]->name;
		uint64_t sum = 0;

		for (size_t k = 0; k < status->n_workers; k++) {
			const Joinery__V1__WorkerStatus *w = status->workers[k];

			sum += i < w->n_counters ? w->counters[i]->value : 0;
		}
		show_text(out, name != NULL ? name : "?");
		(void)fprintf(out, "%*s%" PRIu64 "\n",
		    name != NULL && strlen(name) < 22 ? 22 - (int)strlen(name)
						      : 1,
		    "", sum);
	}
}

static bool
any_ready(const Joinery__V1__StatusAnswer *status)
{
	for (size_t i = 0; i < status->n_workers; i++) {
		const char *state = status->workers[i]->state;

		if (state != NULL && strcmp(state, "ready") == 0) {
			return true;
		}
	}
	return false;
}

enum ctl_exit
verb_status(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__StatusRequest call = JOINERY__V1__STATUS_REQUEST__INIT;
	Joinery__V1__Response *response;
	enum ctl_exit exit;

	request.call_case = JOINERY__V1__REQUEST__CALL_STATUS;
	request.status = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_STATUS, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	show_message(&ctl->show, ctl_result(response));
	if (any_ready(response->status)) {
		exit = custody_show(ctl);
	}
	if (!ctl->show.json) {
		show_worker_counters(&ctl->show, response->status);
	}
	client_free(response);
	return exit;
}

enum ctl_exit
verb_ping(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PingRequest call = JOINERY__V1__PING_REQUEST__INIT;
	Joinery__V1__Response *response;
	uint64_t start_us = sys_mono_us();
	enum ctl_exit exit;
	uint64_t us;

	request.call_case = JOINERY__V1__REQUEST__CALL_PING;
	request.ping = &call;
	exit = ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_PING, &response);
	if (exit != CTL_OK) {
		return exit;
	}
	client_free(response);
	us = sys_mono_us() - start_us;
	if (ctl->show.json) {
		json_number(&ctl->show.writer, "round_trip_us", us);
	} else {
		(void)fprintf(ctl->show.writer.out,
		    "a worker answered after %" PRIu64 ".%03u ms\n", us / 1000,
		    (unsigned)(us % 1000));
	}
	return CTL_OK;
}
