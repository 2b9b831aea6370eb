/* SPDX-License-Identifier: Apache-2.0 */
/* What the values in rows mean. */
#include <string.h>

#include "src/store/rows.h"

bool
device_id_eq(const struct device_id *a, const struct device_id *b)
{
	return eui64_eq(&a->dev_eui, &b->dev_eui) &&
	    eui64_eq(&a->join_eui, &b->join_eui);
}

bool
activation_uses_kek(const struct activation *a, const char *label)
{
	return strcmp(a->ns_kek, label) == 0 || strcmp(a->as_kek, label) == 0;
}

bool
peer_role_is(enum peer_role role, enum peer_role wanted)
{
	return role == wanted ||
	    (role == PEER_NS_AS && (wanted == PEER_NS || wanted == PEER_AS));
}
