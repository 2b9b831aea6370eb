/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl_euis_json.h"

#include <stdio.h>

#include <jansson.h>

const char *
euis_json(const char *text, char join_eui[EUIS_TEXT_LEN],
    char dev_eui[EUIS_TEXT_LEN], char *why, size_t why_cap)
{
	json_error_t error;
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	const json_t *id = json_object_get(object, "id");
	const char *join_text;
	const char *dev_text;

	if (object == NULL) {
		(void)snprintf(why, why_cap, "it is no JSON: %s", error.text);
		return why;
	}
	id = id != NULL ? id : object;
	join_text = json_string_value(json_object_get(id, "join_eui"));
	dev_text = json_string_value(json_object_get(id, "dev_eui"));
	if (join_text == NULL || dev_text == NULL) {
		json_decref(object);
		return "it has no join_eui and dev_eui";
	}
	(void)snprintf(join_eui, EUIS_TEXT_LEN, "%s", join_text);
	(void)snprintf(dev_eui, EUIS_TEXT_LEN, "%s", dev_text);
	json_decref(object);
	return NULL;
}
