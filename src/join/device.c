/* SPDX-License-Identifier: Apache-2.0 */
/* From the EUIs of a frame or message to a registered device and its rows. */
#include "src/join/device.h"

#include "src/join/access.h"

bool
device_join_eui_served(
    const struct join_euis *served, const struct eui64 *join_eui)
{
	for (size_t i = 0; i < served->count; i++) {
		if (eui64_prefix_has(&served->prefixes[i], join_eui)) {
			return true;
		}
	}
	return served->count == 0;
}

static enum jy_err
refuse_join_eui(const struct eui64 *join_eui, struct errctx *ec)
{
	char join[EUI64_STR_LEN];

	return err_replace(ec, JY_EJOINEUI, "JoinEUI %s is not served here",
	    eui64_str(join_eui, join));
}

/* Neither said to be 1.1 nor registered as such. */
static bool
may_be_1_0(const struct device_row *device, enum lw_version mac_version)
{
	return !lw_version_is_1_1(mac_version) &&
	    !lw_version_is_1_1(device->mac_version);
}

/* The rows of exactly that device, or of the one under the default JoinEUI. */
static enum jy_err
find(const struct join_env *env, struct device_id *id, bool served,
    uint16_t dev_nonce, struct join_view *view, struct errctx *ec)
{
	struct device_id fallback = {
		.dev_eui = id->dev_eui,
		.join_eui = env->join_euis.default_eui,
	};
	enum jy_err err;

	err = store_join_view(env->store, id, dev_nonce, view, ec);
	if (err != JY_ENOTFOUND || served || !env->join_euis.has_default) {
		return err;
	}
	err_clear(ec);
	err = store_join_view(env->store, &fallback, dev_nonce, view, ec);
	if (err == JY_OK) {
		*id = fallback;
	}
	return err;
}

enum jy_err
device_view(const struct join_env *env, struct device_id *id,
    enum lw_version mac_version, uint16_t dev_nonce, struct join_view *view,
    struct errctx *ec)
{
	bool served = device_join_eui_served(&env->join_euis, &id->join_eui);
	char dev[EUI64_STR_LEN], join[EUI64_STR_LEN];
	struct device_id found = *id;
	enum jy_err err;

	err = find(env, &found, served, dev_nonce, view, ec);
	if (err == JY_ENOTFOUND && served) {
		return err_replace(ec, JY_EDEVICE,
		    "no device with DevEUI %s and JoinEUI %s",
		    eui64_str(&id->dev_eui, dev),
		    eui64_str(&id->join_eui, join));
	}
	if (!served &&
	    (err == JY_ENOTFOUND ||
		(err == JY_OK && !may_be_1_0(&view->device, mac_version)))) {
		return refuse_join_eui(&id->join_eui, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	access_inherit(&view->device.activation, &view->app.activation);
	*id = found;
	return JY_OK;
}

enum jy_err
device_of_rejoin(const struct join_env *env, const struct eui64 *dev_eui,
    const struct eui64 *join_eui, struct device_id *id, struct errctx *ec)
{
	char dev[EUI64_STR_LEN];
	enum jy_err err;

	if (join_eui != NULL) {
		*id = (struct device_id){
			.dev_eui = *dev_eui,
			.join_eui = *join_eui,
		};
		return JY_OK;
	}
	err = store_device_by_dev_eui(env->store, dev_eui, id, ec);
	if (err == JY_ENOTFOUND) {
		return err_replace(ec, JY_EDEVICE, "no device with DevEUI %s",
		    eui64_str(dev_eui, dev));
	}
	if (err == JY_EEXIST) {
		return err_replace(ec, JY_EINVAL,
		    "several devices have DevEUI %s; say the JoinEUI",
		    eui64_str(dev_eui, dev));
	}
	return err;
}

enum jy_err
device_fits(const struct join_env *env, const struct device_id *device,
    bool opt_neg, const struct eui64 *join_eui, bool *fits, struct errctx *ec)
{
	const struct join_euis *served = &env->join_euis;

	*fits = eui64_eq(join_eui, &device->join_eui);
	if (*fits || device_join_eui_served(served, join_eui)) {
		return JY_OK;
	}
	*fits = !opt_neg && served->has_default &&
	    eui64_eq(&device->join_eui, &served->default_eui);
	return *fits ? JY_OK : refuse_join_eui(join_eui, ec);
}
