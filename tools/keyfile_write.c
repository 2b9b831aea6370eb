/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the lines of a sealed key file. */
#include "tools/keyfile.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/text.h"
#include "src/lorawan/frame.h"

/* ---- texts ---- */

bool
keyfile_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("._~:/-", c) != NULL);
}

bool
keyfile_text_ok(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	return len > 0 && len <= max && text_is_clean(text);
}

/* ---- a line that grows ---- */

/* Room is made for the longest there can be, so it always fits. */
struct line {
	char *p;
	size_t cap;
	size_t len;
};

static JY_PRINTF(2, 3) void put(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->p + l->len, l->cap - l->len, fmt, ap);
	va_end(ap);
	jy_assert(n >= 0 && (size_t)n < l->cap - l->len);
	l->len += (size_t)n;
}

static void
put_hex(struct line *l, const uint8_t *octets, size_t n)
{
	jy_assert(l->cap - l->len >= HEX_STR_LEN(n));
	hex_format(octets, n, l->p + l->len);
	l->len += 2 * n;
}

static void
put_key(struct line *l, const char *name, const struct keyfile_key *key)
{
	if (!key->present) {
		return;
	}
	put(l, " %s=", name);
	put_hex(l, key->wrapped, sizeof(key->wrapped));
	put(l, ":");
	put_hex(l, key->check_value, sizeof(key->check_value));
}

static void
put_text(struct line *l, const char *name, const char *text)
{
	if (text[0] == '\0') {
		return;
	}
	put(l, " %s=", name);
	for (const char *c = text; *c != '\0'; c++) {
		if (keyfile_plain(*c)) {
			put(l, "%c", *c);
		} else {
			put(l, "%%%02X", (unsigned)(unsigned char)*c);
		}
	}
}

/* ---- lines ---- */

size_t
keyfile_write_header(
    const struct keyfile_header *header, char out[KEYFILE_HEADER_LEN])
{
	struct line l = { out, KEYFILE_HEADER_LEN, 0 };

	put(&l, "joinery-keyfile 1\nimport-key ");
	put_hex(&l, header->import_key, sizeof(header->import_key));
	put(&l, "\nseal rsa-oaep-sha1\ntransport-key ");
	put_hex(&l, header->transport_key, header->transport_key_len);
	put(&l, "\n");
	return l.len;
}

/* The text fields: where they are, how long they may be. */
#define TEXT(d, field) \
	{ \
		(d)->field, sizeof((d)->field) - 1 \
	}

static enum jy_err
check_device(const struct keyfile_device *d, struct errctx *ec)
{
	const struct {
		const char *text;
		size_t max;
	} texts[] = { TEXT(d, as_id), TEXT(d, ns_kek), TEXT(d, as_kek),
		TEXT(d, app_name), TEXT(d, device_name) };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].text[0] != '\0' &&
		    !keyfile_text_ok(texts[i].text, texts[i].max)) {
			return err_set(ec, JY_EINVAL,
			    "a text is not UTF-8, has a control character or "
			    "is longer than %zu octets",
			    texts[i].max);
		}
	}
	for (size_t i = 0; i < d->net_id_count && i < STORE_NET_IDS_MAX; i++) {
		if (d->net_ids[i] > NET_ID_MAX) {
			return err_set(ec, JY_EINVAL, "a NetID has 24 bits");
		}
	}
	if (d->net_id_count > STORE_NET_IDS_MAX) {
		return err_set(
		    ec, JY_EINVAL, "more than %d NetIDs", STORE_NET_IDS_MAX);
	}
	if (!d->nwk.present && !d->app.present) {
		return err_set(ec, JY_EINVAL, "there is no key");
	}
	if (d->has_join_nonce && d->join_nonce > LW_JOIN_NONCE_MAX) {
		return err_set(ec, JY_EINVAL, "a JoinNonce has 24 bits");
	}
	return JY_OK;
}

enum jy_err
keyfile_write_device(const struct keyfile_device *d, char out[KEYFILE_LINE_MAX],
    size_t *len, struct errctx *ec)
{
	static const char *const roots[] = { "", "nwk", "app", "default" };
	struct line l = { out, KEYFILE_LINE_MAX, 0 };
	enum jy_err err = check_device(d, ec);
	char eui[EUI64_STR_LEN];

	if (err != JY_OK) {
		return err;
	}
	put(&l, "device %s ", eui64_str(&d->join_eui, eui));
	put(&l, "%s ", eui64_str(&d->dev_eui, eui));
	put(&l, "%s",
	    d->mac_version == LW_VERSION_NONE ? "-"
					      : lw_version_str(d->mac_version));
	put_key(&l, "nwk", &d->nwk);
	put_key(&l, "app", &d->app);
	for (size_t i = 0; i < d->net_id_count; i++) {
		put(&l, " net-id=%06" PRIx32, d->net_ids[i]);
	}
	put_text(&l, "as-id", d->as_id);
	put_text(&l, "ns-kek", d->ns_kek);
	put_text(&l, "as-kek", d->as_kek);
	put_text(&l, "app-name", d->app_name);
	put_text(&l, "device-name", d->device_name);
	if (d->v10_root != KEYFILE_V10_ROOT_ABSENT) {
		put(&l, " v10-root=%s", roots[d->v10_root]);
	}
	if (d->has_resets_join_nonces) {
		put(&l, " resets-join-nonces=%s",
		    d->resets_join_nonces ? "yes" : "no");
	}
	if (d->has_join_nonce) {
		put(&l, " join-nonce=%" PRIu32, d->join_nonce);
	}
	if (d->has_dev_nonce) {
		put(&l, " dev-nonce=%u", (unsigned)d->dev_nonce);
	}
	put(&l, "\n");
	*len = l.len;
	return JY_OK;
}

size_t
keyfile_write_end(uint64_t devices, char out[KEYFILE_LINE_MAX])
{
	struct line l = { out, KEYFILE_LINE_MAX, 0 };

	put(&l, "end %" PRIu64 " ", devices);
	return l.len;
}

size_t
keyfile_write_mac(
    const uint8_t mac[KEYFILE_MAC_LEN], char out[KEYFILE_LINE_MAX])
{
	struct line l = { out, KEYFILE_LINE_MAX, 0 };

	put_hex(&l, mac, KEYFILE_MAC_LEN);
	put(&l, "\n");
	return l.len;
}
