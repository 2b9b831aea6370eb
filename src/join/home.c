/* SPDX-License-Identifier: Apache-2.0 */
/* Backend Interfaces clause 9.2, HomeNSReq: which network a device is of. */
#include "src/join/home.h"

#include <string.h>

#include "src/join/device.h"

/* Find the home among what the device names, else its newest session's. */
static bool
find_home(const struct activation *a, const struct session_row *newest,
    uint32_t *net_id)
{
	if (newest == NULL) {
		*net_id = a->net_ids[0];
		return a->net_id_count > 0;
	}
	*net_id = a->net_id_count > 0 ? a->net_ids[0] : newest->net_id;
	for (size_t i = 0; i < a->net_id_count; i++) {
		if (a->net_ids[i] == newest->net_id) {
			*net_id = newest->net_id;
		}
	}
	return true;
}

enum jy_err
home_ns_find(const struct join_env *env, const struct peer_row *peer,
    uint32_t net_id, const struct eui64 *dev_eui, const struct eui64 *join_eui,
    struct home_ns *out, struct errctx *ec)
{
	struct home_ns home = { 0 };
	struct session_row newest;
	struct activation *a;
	struct join_view view;
	size_t n = 0;
	bool known;
	enum jy_err err;

	err = device_of_rejoin(env, dev_eui, join_eui, &home.device, ec);
	if (err == JY_OK) {
		err = device_view(
		    env, &home.device, LW_VERSION_NONE, 0, &view, ec);
	}
	if (err == JY_OK) {
		err = store_session_list(
		    env->store, &home.device, &newest, 1, &n, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	a = &view.device.activation;
	known = find_home(a, n > 0 ? &newest : NULL, &home.net_id);
	if (known && a->net_id_count == 0) {
		/* The network it joined may ask about its own device. */
		a->net_ids[a->net_id_count++] = home.net_id;
	}
	err = access_home(peer, a, net_id, ec);
	if (err != JY_OK) {
		return err;
	}
	if (!known) {
		return err_set(ec, JY_EROAMING,
		    "the device names no home NetID and has not joined yet");
	}
	home.has_ns_id = a->has_ns_id;
	home.ns_id = a->ns_id;
	*out = home;
	return JY_OK;
}
