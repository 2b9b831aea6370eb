/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the lines of a sealed key file, strictly. */
#include "tools/keyfile.h"

#include <string.h>

#include "src/lorawan/frame.h"

/* What the next line has to be. */
enum state {
	EXPECT_VERSION,
	EXPECT_IMPORT_KEY,
	EXPECT_SEAL,
	EXPECT_TRANSPORT_KEY,
	EXPECT_DEVICE,
	EXPECT_NOTHING,
	FAILED
};

/* A stretch of a line. */
struct span {
	const char *p;
	size_t len;
};

static bool
span_is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* Take the octets before the next separator from *rest, and it; or all. */
static struct span
cut(struct span *rest, char separator)
{
	const char *at = memchr(rest->p, separator, rest->len);
	struct span word = { rest->p,
		at != NULL ? (size_t)(at - rest->p) : rest->len };
	size_t taken = word.len + (at != NULL ? 1 : 0);

	rest->p += taken;
	rest->len -= taken;
	return word;
}

/* ---- values ---- */

/* Lower-case digits for 2 * n characters; there is one way to write octets. */
static bool
read_hex(struct span s, uint8_t *out, size_t n)
{
	unsigned bad = 0;

	for (size_t i = 0; i < s.len; i++) {
		bad |= s.p[i] >= 'A' && s.p[i] <= 'F';
	}
	return bad == 0 && hex_parse(s.p, s.len, out, n);
}

/* Decimal digits without leading zeros. */
static bool
read_number(struct span s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > 19 || (s.p[0] == '0' && s.len > 1)) {
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9') {
			return false;
		}
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	if (n > max) {
		return false;
	}
	*out = n;
	return true;
}

static int
upper_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	    : c >= 'A' && c <= 'F'  ? c - 'A' + 10
				    : -1;
}

/* One octet of a text, plain or as %XX; which of the two is no choice. */
static bool
read_octet(struct span *rest, char *out)
{
	char c = rest->p[0];
	size_t taken = 1;

	if (c == '%') {
		int high = rest->len >= 3 ? upper_digit(rest->p[1]) : -1;
		int low = rest->len >= 3 ? upper_digit(rest->p[2]) : -1;

		if (high < 0 || low < 0) {
			return false;
		}
		c = (char)(high << 4 | low);
		taken = 3;
	}
	if (keyfile_plain(c) != (taken == 1)) {
		return false;
	}
	*out = c;
	rest->p += taken;
	rest->len -= taken;
	return true;
}

static bool
read_text(struct span s, char *out, size_t max)
{
	size_t n = 0;

	while (s.len > 0) {
		if (n == max || !read_octet(&s, &out[n])) {
			return false;
		}
		if (out[n] == '\0') {
			return false;
		}
		n++;
	}
	out[n] = '\0';
	return keyfile_text_ok(out, max);
}

/* ---- the words of a device line ---- */

static bool
read_key(struct span s, struct keyfile_key *out)
{
	struct span wrapped = cut(&s, ':');

	if (!read_hex(wrapped, out->wrapped, sizeof(out->wrapped)) ||
	    !read_hex(s, out->check_value, sizeof(out->check_value))) {
		return false;
	}
	out->present = true;
	return true;
}

static bool
read_nwk(struct span s, struct keyfile_device *d)
{
	return read_key(s, &d->nwk);
}

static bool
read_app(struct span s, struct keyfile_device *d)
{
	return read_key(s, &d->app);
}

static bool
read_net_id(struct span s, struct keyfile_device *d)
{
	uint8_t b[3];

	if (d->net_id_count == STORE_NET_IDS_MAX ||
	    !read_hex(s, b, sizeof(b))) {
		return false;
	}
	d->net_ids[d->net_id_count++] =
	    (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
	return true;
}

static bool
read_as_id(struct span s, struct keyfile_device *d)
{
	return read_text(s, d->as_id, STORE_AS_ID_MAX);
}

static bool
read_ns_kek(struct span s, struct keyfile_device *d)
{
	return read_text(s, d->ns_kek, STORE_LABEL_MAX);
}

static bool
read_as_kek(struct span s, struct keyfile_device *d)
{
	return read_text(s, d->as_kek, STORE_LABEL_MAX);
}

static bool
read_app_name(struct span s, struct keyfile_device *d)
{
	return read_text(s, d->app_name, STORE_LABEL_MAX);
}

static bool
read_device_name(struct span s, struct keyfile_device *d)
{
	return read_text(s, d->device_name, STORE_LABEL_MAX);
}

static bool
read_v10_root(struct span s, struct keyfile_device *d)
{
	d->v10_root = span_is(s, "nwk") ? KEYFILE_V10_ROOT_NWK
	    : span_is(s, "app")         ? KEYFILE_V10_ROOT_APP
	    : span_is(s, "default")     ? KEYFILE_V10_ROOT_DEFAULT
					: KEYFILE_V10_ROOT_ABSENT;
	return d->v10_root != KEYFILE_V10_ROOT_ABSENT;
}

static bool
read_resets(struct span s, struct keyfile_device *d)
{
	d->has_resets_join_nonces = true;
	d->resets_join_nonces = span_is(s, "yes");
	return d->resets_join_nonces || span_is(s, "no");
}

static bool
read_join_nonce(struct span s, struct keyfile_device *d)
{
	uint64_t n;

	if (!read_number(s, LW_JOIN_NONCE_MAX, &n)) {
		return false;
	}
	d->has_join_nonce = true;
	d->join_nonce = (uint32_t)n;
	return true;
}

static bool
read_dev_nonce(struct span s, struct keyfile_device *d)
{
	uint64_t n;

	if (!read_number(s, UINT16_MAX, &n)) {
		return false;
	}
	d->has_dev_nonce = true;
	d->dev_nonce = (uint16_t)n;
	return true;
}

static const struct word {
	const char *name;
	bool (*read)(struct span s, struct keyfile_device *d);
	const char *what; /* a right value is */
	bool repeats;
} words[] = {
	{ "nwk", read_nwk, "48 lower-case hexadecimal digits, ':' and 8",
	    false },
	{ "app", read_app, "48 lower-case hexadecimal digits, ':' and 8",
	    false },
	{ "net-id", read_net_id,
	    "6 lower-case hexadecimal digits, 16 times at most", true },
	{ "as-id", read_as_id, "percent-encoded UTF-8, 1 to 128 octets",
	    false },
	{ "ns-kek", read_ns_kek, "percent-encoded UTF-8, 1 to 64 octets",
	    false },
	{ "as-kek", read_as_kek, "percent-encoded UTF-8, 1 to 64 octets",
	    false },
	{ "app-name", read_app_name, "percent-encoded UTF-8, 1 to 64 octets",
	    false },
	{ "device-name", read_device_name,
	    "percent-encoded UTF-8, 1 to 64 octets", false },
	{ "v10-root", read_v10_root, "nwk, app or default", false },
	{ "resets-join-nonces", read_resets, "yes or no", false },
	{ "join-nonce", read_join_nonce, "a number from 0 to 16777215", false },
	{ "dev-nonce", read_dev_nonce, "a number from 0 to 65535", false },
};

static const struct word *
word_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_is(name, words[i].name)) {
			return &words[i];
		}
	}
	return NULL;
}

/* seen: a bit for each row of words. */
static enum jy_err
read_word(struct keyfile_reader *r, struct span s, unsigned *seen,
    struct keyfile_device *d, struct errctx *ec)
{
	bool assigns = memchr(s.p, '=', s.len) != NULL;
	struct span name = cut(&s, '=');
	const struct word *word = assigns ? word_find(name) : NULL;
	unsigned bit;

	if (word == NULL) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: a word that is no NAME=VALUE with a known name",
		    (unsigned long long)r->line);
	}
	bit = 1U << (word - words);
	if ((*seen & bit) != 0 && !word->repeats) {
		return err_set(ec, JY_EINVAL, "line %llu: %s is there twice",
		    (unsigned long long)r->line, word->name);
	}
	*seen |= bit;
	if (!word->read(s, d)) {
		return err_set(ec, JY_EINVAL, "line %llu: %s is not %s",
		    (unsigned long long)r->line, word->name, word->what);
	}
	return JY_OK;
}

static bool
read_version(struct span s, enum lw_version *out)
{
	for (int v = LW_VERSION_1_0_0; v <= LW_VERSION_1_1_0; v++) {
		if (span_is(s, lw_version_str((enum lw_version)v))) {
			*out = (enum lw_version)v;
			return true;
		}
	}
	*out = LW_VERSION_NONE;
	return span_is(s, "-");
}

static enum jy_err
read_device(struct keyfile_reader *r, struct span rest,
    struct keyfile_device *out, struct errctx *ec)
{
	struct keyfile_device d = { .net_id_count = 0 };
	struct span join_eui = cut(&rest, ' ');
	struct span dev_eui = cut(&rest, ' ');
	struct span version = cut(&rest, ' ');
	unsigned seen = 0;
	enum jy_err err = JY_OK;

	if (!read_hex(join_eui, d.join_eui.be, 8) ||
	    !read_hex(dev_eui, d.dev_eui.be, 8)) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: an EUI is not 16 lower-case hexadecimal digits",
		    (unsigned long long)r->line);
	}
	if (!read_version(version, &d.mac_version)) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: the MAC version is not 1.0.0 to 1.0.4, 1.1.0 "
		    "or -",
		    (unsigned long long)r->line);
	}
	/* A blank at the end is an empty word, and wrong. */
	while (err == JY_OK && (rest.len > 0 || rest.p[-1] == ' ')) {
		err = read_word(r, cut(&rest, ' '), &seen, &d, ec);
	}
	if (err == JY_OK && !d.nwk.present && !d.app.present) {
		err = err_set(ec, JY_EINVAL, "line %llu: there is no key",
		    (unsigned long long)r->line);
	}
	if (err == JY_OK) {
		*out = d;
	}
	return err;
}

/* ---- the other lines ---- */

static bool
read_import_key(struct keyfile_reader *r, struct span rest)
{
	return read_hex(
	    rest, r->header.import_key, sizeof(r->header.import_key));
}

static bool
read_transport_key(struct keyfile_reader *r, struct span rest)
{
	size_t n = rest.len / 2;

	if (n == 0 || n > sizeof(r->header.transport_key) ||
	    !read_hex(rest, r->header.transport_key, n)) {
		return false;
	}
	r->header.transport_key_len = n;
	return true;
}

static enum jy_err
read_end(struct keyfile_reader *r, const char *line, struct span rest,
    struct errctx *ec)
{
	struct span count = cut(&rest, ' ');

	if (!read_number(count, UINT64_MAX, &r->end.devices) ||
	    !read_hex(rest, r->end.mac, sizeof(r->end.mac))) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: the end line is not a number of devices and a "
		    "MAC of 32 lower-case hexadecimal digits",
		    (unsigned long long)r->line);
	}
	r->end.covered = (size_t)(rest.p - line);
	if (r->end.devices != r->devices) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: the end line says %llu devices, here are %llu",
		    (unsigned long long)r->line,
		    (unsigned long long)r->end.devices,
		    (unsigned long long)r->devices);
	}
	return JY_OK;
}

/* A line behind the header. */
static enum jy_err
read_body(struct keyfile_reader *r, struct span s, enum keyfile_line *kind,
    struct keyfile_device *device, struct errctx *ec)
{
	const char *line = s.p;
	struct span first = cut(&s, ' ');
	enum jy_err err;

	if (span_is(first, "device")) {
		r->devices++;
		err = read_device(r, s, device, ec);
		*kind = err == JY_OK ? KEYFILE_DEVICE : *kind;
		return err;
	}
	if (!span_is(first, "end")) {
		r->state = FAILED;
		return err_set(ec, JY_EINVAL,
		    "line %llu: neither a device line nor the end line",
		    (unsigned long long)r->line);
	}
	err = read_end(r, line, s, ec);
	r->state = err == JY_OK ? EXPECT_NOTHING : FAILED;
	*kind = err == JY_OK ? KEYFILE_END : *kind;
	return err;
}

/* A line of the header, by the state that expects it. */
static const struct {
	const char *words; /* the line, or what it begins with */
	bool (*read)(struct keyfile_reader *r, struct span rest);
	const char *what;
} header_lines[] = {
	[EXPECT_VERSION] = { "joinery-keyfile 1", NULL,
	    "not \"joinery-keyfile 1\": no sealed key file, or one of another "
	    "version" },
	[EXPECT_IMPORT_KEY] = { "import-key ", read_import_key,
	    "not \"import-key\" and 64 lower-case hexadecimal digits" },
	[EXPECT_SEAL] = { "seal rsa-oaep-sha1", NULL,
	    "not \"seal rsa-oaep-sha1\"" },
	[EXPECT_TRANSPORT_KEY] = { "transport-key ", read_transport_key,
	    "not \"transport-key\" and 2 to 1024 lower-case hexadecimal "
	    "digits" },
};

static enum jy_err
read_header(struct keyfile_reader *r, struct span s, enum keyfile_line *kind,
    struct errctx *ec)
{
	const char *begin = header_lines[r->state].words;
	size_t n = strlen(begin);
	bool ok = s.len >= n && memcmp(s.p, begin, n) == 0;
	bool converted = s.len > 0 && s.p[s.len - 1] == '\r';

	s.p += ok ? n : 0;
	s.len -= ok ? n : 0;
	ok = ok &&
	    (header_lines[r->state].read == NULL
		    ? s.len == 0
		    : header_lines[r->state].read(r, s));
	if (!ok) {
		err_set(ec, JY_EINVAL, "line %llu: %s",
		    (unsigned long long)r->line,
		    converted ? "it ends with CR LF: the file was converted on "
				"its way, get it as it was"
			      : header_lines[r->state].what);
		r->state = FAILED;
		return JY_EINVAL;
	}
	r->state++;
	*kind = r->state == EXPECT_DEVICE ? KEYFILE_HEADER_END : KEYFILE_HEADER;
	return JY_OK;
}

void
keyfile_reader_init(struct keyfile_reader *r)
{
	*r = (struct keyfile_reader){ .state = EXPECT_VERSION };
}

enum jy_err
keyfile_read(struct keyfile_reader *r, const char *line, size_t len,
    enum keyfile_line *kind, struct keyfile_device *device, struct errctx *ec)
{
	struct span s = { line, len };

	r->line++;
	if (r->state >= EXPECT_NOTHING) {
		r->state = FAILED;
		return err_set(ec, JY_EINVAL,
		    "line %llu: something behind the end of the file",
		    (unsigned long long)r->line);
	}
	if (len >= KEYFILE_LINE_MAX) {
		r->state = FAILED;
		return err_set(ec, JY_EINVAL,
		    "line %llu: longer than %d octets",
		    (unsigned long long)r->line, KEYFILE_LINE_MAX);
	}
	return r->state < EXPECT_DEVICE ? read_header(r, s, kind, ec)
					: read_body(r, s, kind, device, ec);
}

enum jy_err
keyfile_read_done(const struct keyfile_reader *r, struct errctx *ec)
{
	if (r->line == 0) {
		return err_set(ec, JY_EINVAL, "the file is empty");
	}
	if (r->state != EXPECT_NOTHING) {
		return err_set(ec, JY_EINVAL,
		    "line %llu: the file ends here, without its end line",
		    (unsigned long long)r->line);
	}
	return JY_OK;
}
