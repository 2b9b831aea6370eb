/* SPDX-License-Identifier: Apache-2.0 */
/* MAC versions, in every spelling that Network Servers use. */
#include "src/lorawan/version.h"

#include <stddef.h>
#include <string.h>

#include "src/base/err.h"

static const char *const version_names[] = {
	[LW_VERSION_NONE] = "",
	[LW_VERSION_1_0_0] = "1.0.0",
	[LW_VERSION_1_0_1] = "1.0.1",
	[LW_VERSION_1_0_2] = "1.0.2",
	[LW_VERSION_1_0_3] = "1.0.3",
	[LW_VERSION_1_0_4] = "1.0.4",
	[LW_VERSION_1_1_0] = "1.1.0",
};

const char *
lw_version_str(enum lw_version v)
{
	return (size_t)v < ARRAY_LEN(version_names) ? version_names[v] : "?";
}

bool
lw_version_parse(const char *text, enum lw_version *out)
{
	size_t len = strlen(text);

	if (strcmp(text, "1.0") == 0) {
		*out = LW_VERSION_1_0_0;
		return true;
	}
	if (strcmp(text, "1.1") == 0) {
		*out = LW_VERSION_1_1_0;
		return true;
	}
	/* A letter behind the number names a revision of its text. */
	if (len == 6 &&
	    ((text[5] >= 'a' && text[5] <= 'z') ||
		(text[5] >= 'A' && text[5] <= 'Z'))) {
		len = 5;
	}
	for (size_t i = LW_VERSION_1_0_0; i < ARRAY_LEN(version_names); i++) {
		if (len == 5 && memcmp(text, version_names[i], 5) == 0) {
			*out = (enum lw_version)i;
			return true;
		}
	}
	return false;
}

bool
lw_version_is_1_1(enum lw_version v)
{
	return v == LW_VERSION_1_1_0;
}

bool
lw_version_counts_dev_nonce(enum lw_version v)
{
	return v == LW_VERSION_1_0_4 || v == LW_VERSION_1_1_0;
}
