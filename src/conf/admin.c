/* SPDX-License-Identifier: Apache-2.0 */
/* The rule that names admins by their user id. */
#include "src/conf/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/conf/conf.h"

bool
conf_uid_parse(const char *text, uint32_t *out)
{
	char *end = NULL;
	unsigned long long n;

	if (text[0] < '0' || text[0] > '9') {
		return false;
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	/* The largest uid_t stands for "none" in system calls. */
	if (errno != 0 || *end != '\0' || n >= UINT32_MAX) {
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

bool
conf_uid_is_admin(const struct conf *conf, uint32_t uid)
{
	if (uid == 0 || uid == (uint32_t)geteuid()) {
		return true;
	}
	for (size_t i = 0; i < conf->admin_uids.count; i++) {
		uint32_t admin;

		if (conf_uid_parse(conf->admin_uids.items[i], &admin) &&
		    admin == uid) {
			return true;
		}
	}
	return false;
}
