/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed key file as anybody may write it, line by line.  Whatever is
 * refused has a reason, and what is read can be written, as a line that reads
 * as the same device.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool
same_key(const struct keyfile_key *a, const struct keyfile_key *b)
{
	return a->present == b->present &&
	    memcmp(a->wrapped, b->wrapped, sizeof(a->wrapped)) == 0 &&
	    memcmp(a->check_value, b->check_value, sizeof(a->check_value)) == 0;
}

static bool
same_device(const struct keyfile_device *a, const struct keyfile_device *b)
{
	return eui64_eq(&a->join_eui, &b->join_eui) &&
	    eui64_eq(&a->dev_eui, &b->dev_eui) &&
	    a->mac_version == b->mac_version && same_key(&a->nwk, &b->nwk) &&
	    same_key(&a->app, &b->app) && a->net_id_count == b->net_id_count &&
	    memcmp(a->net_ids, b->net_ids,
		a->net_id_count * sizeof(a->net_ids[0])) == 0 &&
	    strcmp(a->as_id, b->as_id) == 0 &&
	    strcmp(a->ns_kek, b->ns_kek) == 0 &&
	    strcmp(a->as_kek, b->as_kek) == 0 &&
	    strcmp(a->app_name, b->app_name) == 0 &&
	    strcmp(a->device_name, b->device_name) == 0 &&
	    a->v10_root == b->v10_root &&
	    a->has_resets_join_nonces == b->has_resets_join_nonces &&
	    a->resets_join_nonces == b->resets_join_nonces &&
	    a->has_join_nonce == b->has_join_nonce &&
	    a->join_nonce == b->join_nonce &&
	    a->has_dev_nonce == b->has_dev_nonce &&
	    a->dev_nonce == b->dev_nonce;
}

/* A reader that has read this header and waits for devices. */
static void
reader_at_devices(struct keyfile_reader *r, const struct keyfile_header *header)
{
	char text[KEYFILE_HEADER_LEN];
	size_t len = keyfile_write_header(header, text);
	struct keyfile_device device;
	enum keyfile_line kind = KEYFILE_END;

	keyfile_reader_init(r);
	for (char *p = text; p < text + len;) {
		char *lf = strchr(p, '\n');

		jy_assert(lf != NULL &&
		    keyfile_read(
			r, p, (size_t)(lf - p), &kind, &device, NULL) == JY_OK);
		p = lf + 1;
	}
	jy_assert(kind == KEYFILE_HEADER_END);
	jy_assert(memcmp(&r->header, header, sizeof(*header)) == 0);
}

static void
check_device(const struct keyfile_header *header,
    const struct keyfile_device *device, size_t line_len)
{
	struct keyfile_reader r;
	struct keyfile_device again;
	enum keyfile_line kind = KEYFILE_END;
	char line[KEYFILE_LINE_MAX];
	size_t len = 0;

	reader_at_devices(&r, header);
	jy_assert(keyfile_write_device(device, line, &len, NULL) == JY_OK);
	jy_assert(len == line_len + 1 && line[len - 1] == '\n');
	jy_assert(
	    keyfile_read(&r, line, len - 1, &kind, &again, NULL) == JY_OK);
	jy_assert(kind == KEYFILE_DEVICE && same_device(device, &again));
}

static void
check_end(const struct keyfile_end *end, const char *line, size_t len)
{
	char again[KEYFILE_LINE_MAX];
	size_t n = keyfile_write_end(end->devices, again);

	jy_assert(n == end->covered && memcmp(line, again, n) == 0);
	jy_assert(keyfile_write_mac(end->mac, again) == len - n + 1);
	jy_assert(memcmp(line + n, again, len - n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *p = (const char *)data;
	const char *stop = p + len;
	struct keyfile_reader r;
	struct keyfile_device device;
	enum keyfile_line kind = KEYFILE_HEADER;

	keyfile_reader_init(&r);
	while (p < stop) {
		struct errctx ec = ERRCTX_INIT;
		const char *lf = memchr(p, '\n', (size_t)(stop - p));
		size_t n = lf != NULL ? (size_t)(lf - p) : (size_t)(stop - p);
		enum jy_err err = keyfile_read(&r, p, n, &kind, &device, &ec);

		jy_assert((err == JY_OK) == (ec.text[0] == '\0'));
		if (err == JY_OK && kind == KEYFILE_DEVICE) {
			check_device(&r.header, &device, n);
		} else if (err == JY_OK && kind == KEYFILE_END) {
			check_end(&r.end, p, n);
			jy_assert(keyfile_read_done(&r, NULL) == JY_OK);
		}
		p += n + 1;
	}
	return 0;
}
