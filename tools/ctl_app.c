/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs on applications; their list is in ctl_list.c. */
#include "tools/ctl.h"

enum ctl_exit
verb_app_set(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AppSetRequest call = JOINERY__V1__APP_SET_REQUEST__INIT;
	Joinery__V1__App app = JOINERY__V1__APP__INIT;
	struct ctl_activation activation;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &app.name);

	if (exit == CTL_OK) {
		exit = activation_read(ctl, &activation);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	activation_put_app(&activation, &app);
	call.app = &app;
	request.call_case = JOINERY__V1__REQUEST__CALL_APP_SET;
	request.app_set = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_APP_SET, NULL);
}

enum ctl_exit
verb_app_get(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AppGetRequest call = JOINERY__V1__APP_GET_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.name);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_APP_GET;
	request.app_get = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_APP_GET, NULL);
}

enum ctl_exit
verb_app_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__AppDeleteRequest call =
	    JOINERY__V1__APP_DELETE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.name);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_APP_DELETE;
	request.app_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}
