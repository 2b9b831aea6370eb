/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that a device and its application share: home networks, AS, KEKs
 * and who may ask for the home network.
 */
#include "tools/ctl.h"
#include "tools/ctl_value.h"

/* ---- reading ---- */

static enum ctl_exit
read_texts(struct ctl *ctl, struct ctl_activation *out)
{
	const struct args_text_row texts[] = {
		{ OPT_AS_ID, STORE_AS_ID_MAX, &out->as_id },
		{ OPT_NS_KEK, STORE_LABEL_MAX, &out->ns_kek },
		{ OPT_AS_KEK, STORE_LABEL_MAX, &out->as_kek },
	};

	if (ctl->args.as_ids.count > 1 || ctl->args.ns_ids.count > 1) {
		return ctl_fail(ctl, CTL_USAGE, NULL, "%s has one --%s",
		    ctl->args.operand == NULL ? "a device" : "an application",
		    ctl->args.as_ids.count > 1 ? "as-id" : "ns-id");
	}
	return args_texts(ctl, texts, ARRAY_LEN(texts));
}

static enum ctl_exit
read_net_ids(struct ctl *ctl, struct ctl_activation *out)
{
	enum ctl_exit exit = args_exclude(ctl, OPT_NET_ID, OPT_NO_NET_IDS);

	if (exit != CTL_OK) {
		return exit;
	}
	out->net_ids_given =
	    ctl_given(ctl, NET_ID) || ctl_given(ctl, NO_NET_IDS);
	out->net_id_count = ctl->args.net_ids.count;
	return args_net_ids(ctl, OPT_NET_ID, &ctl->args.net_ids, out->net_ids);
}

static enum ctl_exit
read_ns_id(struct ctl *ctl, struct ctl_activation *out)
{
	if (!ctl_given(ctl, NS_ID)) {
		return CTL_OK;
	}
	out->ns_id_given = true;
	if (ctl_value(ctl, NS_ID)[0] == '\0') {
		return CTL_OK;
	}
	out->ns_id_len = sizeof(out->ns_id.be);
	return args_eui(ctl, OPT_NS_ID, &out->ns_id);
}

static enum ctl_exit
read_roaming(struct ctl *ctl, struct ctl_activation *out)
{
	const char *text = ctl_value(ctl, ROAMING);
	int roaming = JOINERY__V1__ROAMING__ROAMING_LISTED;

	/* A list that nobody heeds would be a trap. */
	if (text != NULL &&
	    (!value_enum(&joinery__v1__roaming__descriptor, text, &roaming) ||
		(ctl_given(ctl, ROAMING_NET_ID) &&
		    roaming != JOINERY__V1__ROAMING__ROAMING_LISTED))) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--roaming is none, listed, any or default, and only "
		    "listed goes with --roaming-net-id; not \"%s\"",
		    args_shown(text));
	}
	out->roaming_given = text != NULL || ctl_given(ctl, ROAMING_NET_ID);
	out->roaming = (Joinery__V1__Roaming)roaming;
	return CTL_OK;
}

static enum ctl_exit
read_roaming_net_ids(struct ctl *ctl, struct ctl_activation *out)
{
	enum ctl_exit exit =
	    args_exclude(ctl, OPT_ROAMING_NET_ID, OPT_NO_ROAMING_NET_IDS);

	if (exit != CTL_OK) {
		return exit;
	}
	out->roaming_net_ids_given = ctl_given(ctl, ROAMING_NET_ID) ||
	    ctl_given(ctl, NO_ROAMING_NET_IDS);
	out->roaming_net_id_count = ctl->args.roaming_net_ids.count;
	return args_net_ids(ctl, OPT_ROAMING_NET_ID, &ctl->args.roaming_net_ids,
	    out->roaming_net_ids);
}

enum ctl_exit
activation_read(struct ctl *ctl, struct ctl_activation *out)
{
	static enum ctl_exit (*const readers[])(
	    struct ctl * ctl, struct ctl_activation * out) = {
		read_texts,
		read_net_ids,
		read_ns_id,
		read_roaming,
		read_roaming_net_ids,
	};
	enum ctl_exit exit = CTL_OK;

	*out = (struct ctl_activation){ .as_id = NULL };
	for (size_t i = 0; i < ARRAY_LEN(readers) && exit == CTL_OK; i++) {
		exit = readers[i](ctl, out);
	}
	return exit;
}

/* ---- into messages ---- */

/*
 * Both messages have these fields, by these names; the compiler knows them as
 * two types.
 */
#define PUT(a, m) \
	do { \
		(m)->has_clear_net_ids = (a)->net_ids_given; \
		(m)->clear_net_ids = (a)->net_ids_given; \
		(m)->n_net_ids = (a)->net_id_count; \
		(m)->net_ids = (a)->net_ids; \
		(m)->as_id = (a)->as_id; \
		(m)->ns_kek = (a)->ns_kek; \
		(m)->as_kek = (a)->as_kek; \
		(m)->has_ns_id = (a)->ns_id_given; \
		(m)->ns_id = \
		    (ProtobufCBinaryData){ (a)->ns_id_len, (a)->ns_id.be }; \
		(m)->has_roaming = (a)->roaming_given; \
		(m)->roaming = (a)->roaming; \
		(m)->has_clear_roaming_net_ids = (a)->roaming_net_ids_given; \
		(m)->clear_roaming_net_ids = (a)->roaming_net_ids_given; \
		(m)->n_roaming_net_ids = (a)->roaming_net_id_count; \
		(m)->roaming_net_ids = (a)->roaming_net_ids; \
	} while (0)

void
activation_put_device(struct ctl_activation *a, Joinery__V1__DeviceSettings *m)
{
	PUT(a, m);
}

void
activation_put_app(struct ctl_activation *a, Joinery__V1__App *m)
{
	PUT(a, m);
}
