/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of JSON that names a device.  Apart from the rest of joineryctl,
 * whose ctl_json.h has names that jansson.h has, too.
 */
#ifndef JY_TOOLS_CTL_EUIS_JSON_H
#define JY_TOOLS_CTL_EUIS_JSON_H

#include <stddef.h>

/* Longer than any EUI in whatever form. */
#define EUIS_TEXT_LEN 48

/*
 * The texts of join_eui and dev_eui in an object, or in its member "id", cut
 * off where they are too long to be an EUI.  NULL, or why there are none, in
 * why.
 */
const char *euis_json(const char *text, char join_eui[EUIS_TEXT_LEN],
    char dev_eui[EUIS_TEXT_LEN], char *why, size_t why_cap);

#endif
