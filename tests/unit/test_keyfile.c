/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a sealed key file, against a file that Python wrote without
 * any of this code, and against everything that is nearly such a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/keyfile.h"

#define EUIS "device 70b3d57ed0000001 0011223344556677 "
#define KEY "aea249231d083d354f8b92d16921aff849c8e65e7d2d9de6:8100dbe4"
#define HEAD EUIS "1.0.3 app=" KEY

static char *file; /* the vector */
static size_t file_len;

static int
setup(void **state)
{
	const char *srcdir = getenv("srcdir");
	char path[512];
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/tests/vectors/keyfile.txt",
	    srcdir != NULL ? srcdir : ".");
	f = fopen(path, "rb");
	assert_non_null(f);
	file = calloc(1, 65536);
	file_len = fread(file, 1, 65535, f);
	assert_true(file_len > 0);
	(void)fclose(f);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(file);
	return 0;
}

/* The header of the vector, read: what comes next are devices. */
static void
read_head(struct keyfile_reader *r)
{
	struct keyfile_device d;
	enum keyfile_line kind = KEYFILE_END;
	const char *p = file;

	keyfile_reader_init(r);
	for (int i = 0; i < 4; i++) {
		const char *lf = strchr(p, '\n');

		assert_int_equal(
		    keyfile_read(r, p, (size_t)(lf - p), &kind, &d, NULL),
		    JY_OK);
		assert_int_equal(
		    kind, i < 3 ? KEYFILE_HEADER : KEYFILE_HEADER_END);
		p = lf + 1;
	}
}

static enum jy_err
read_device(const char *line, struct keyfile_device *d, struct errctx *ec)
{
	struct keyfile_reader r;
	enum keyfile_line kind = KEYFILE_HEADER;
	enum jy_err err;

	read_head(&r);
	err = keyfile_read(&r, line, strlen(line), &kind, d, ec);
	assert_int_equal(kind, err == JY_OK ? KEYFILE_DEVICE : KEYFILE_HEADER);
	assert_int_equal(r.devices, 1);
	return err;
}

/* Everything read is written as it was. */
static void
test_vector_there_and_back(void **state)
{
	static char again[65536];
	struct keyfile_reader r;
	struct keyfile_device d;
	enum keyfile_line kind = KEYFILE_HEADER;
	size_t n = 0;
	char line[KEYFILE_LINE_MAX];

	(void)state;
	keyfile_reader_init(&r);
	for (const char *p = file; p < file + file_len;) {
		const char *lf = strchr(p, '\n');
		size_t len = 0;

		assert_int_equal(
		    keyfile_read(&r, p, (size_t)(lf - p), &kind, &d, NULL),
		    JY_OK);
		if (kind == KEYFILE_HEADER_END) {
			n += keyfile_write_header(&r.header, again + n);
		} else if (kind == KEYFILE_DEVICE) {
			assert_int_equal(
			    keyfile_write_device(&d, line, &len, NULL), JY_OK);
			memcpy(again + n, line, len);
			n += len;
		} else if (kind == KEYFILE_END) {
			n += keyfile_write_end(r.end.devices, line);
			assert_int_equal(r.end.covered, strlen(line));
			memcpy(again + n - strlen(line), line, strlen(line));
			len = keyfile_write_mac(r.end.mac, line);
			memcpy(again + n, line, len);
			n += len;
		}
		p = lf + 1;
	}
	assert_int_equal(keyfile_read_done(&r, NULL), JY_OK);
	assert_int_equal(r.devices, 3);
	assert_int_equal(n, file_len);
	assert_memory_equal(again, file, n);
}

static void
test_device_fields(void **state)
{
	struct keyfile_device d;

	(void)state;
	assert_int_equal(
	    read_device(HEAD " net-id=000013 net-id=c00001 as-id=as.example.org"
			     " ns-kek=a%20b as-kek=%C3%A4 app-name=%25"
			     " device-name=A-Z_.~:/ v10-root=nwk"
			     " resets-join-nonces=yes join-nonce=16777215"
			     " dev-nonce=65535",
		&d, NULL),
	    JY_OK);
	assert_int_equal(d.join_eui.be[0], 0x70);
	assert_int_equal(d.dev_eui.be[7], 0x77);
	assert_int_equal(d.mac_version, LW_VERSION_1_0_3);
	assert_false(d.nwk.present);
	assert_true(d.app.present);
	assert_int_equal(d.app.wrapped[0], 0xae);
	assert_int_equal(d.app.check_value[3], 0xe4);
	assert_int_equal(d.net_id_count, 2);
	assert_int_equal(d.net_ids[0], 0x13);
	assert_int_equal(d.net_ids[1], 0xc00001);
	assert_string_equal(d.as_id, "as.example.org");
	assert_string_equal(d.ns_kek, "a b");
	assert_string_equal(d.as_kek, "\xc3\xa4");
	assert_string_equal(d.app_name, "%");
	assert_string_equal(d.device_name, "A-Z_.~:/");
	assert_int_equal(d.v10_root, KEYFILE_V10_ROOT_NWK);
	assert_true(d.has_resets_join_nonces && d.resets_join_nonces);
	assert_true(d.has_join_nonce && d.join_nonce == 16777215);
	assert_true(d.has_dev_nonce && d.dev_nonce == 65535);
}

static void
test_device_bare(void **state)
{
	struct keyfile_device d;

	(void)state;
	assert_int_equal(read_device(EUIS "- nwk=" KEY, &d, NULL), JY_OK);
	assert_int_equal(d.mac_version, LW_VERSION_NONE);
	assert_true(d.nwk.present && !d.app.present);
	assert_int_equal(d.net_id_count, 0);
	assert_string_equal(d.as_id, "");
	assert_int_equal(d.v10_root, KEYFILE_V10_ROOT_ABSENT);
	assert_false(
	    d.has_resets_join_nonces || d.has_join_nonce || d.has_dev_nonce);
}

#define N8(s) s s s s s s s s
#define NET_IDS N8(" net-id=000013")

/* Each is refused, with the line and what is wrong, and no digit of a key. */
static void
test_devices_refused(void **state)
{
	static const struct {
		const char *line;
		const char *why;
	} rows[] = {
		{ "device", "an EUI is not" },
		{ "device ", "an EUI is not" },
		{ "device 70b3d57ed0000001", "an EUI is not" },
		{ "device 70B3d57ed0000001 0011223344556677 - app=" KEY,
		    "an EUI is not" },
		{ "device  70b3d57ed0000001 0011223344556677 - app=" KEY,
		    "an EUI is not" },
		{ EUIS, "the MAC version" },
		{ EUIS "1.0.5 app=" KEY, "the MAC version" },
		{ EUIS "1.0 app=" KEY, "the MAC version" },
		{ EUIS "1.0.3", "there is no key" },
		{ EUIS "1.0.3 ", "a word" },
		{ EUIS "1.0.3 as-id=x", "there is no key" },
		{ HEAD " ", "a word" },
		{ HEAD "  net-id=000013", "a word" },
		{ HEAD "\r", "app is not" },
		{ HEAD " net-id", "a word" },
		{ HEAD " color=red", "a word" },
		{ HEAD " =", "a word" },
		{ HEAD " APP=" KEY, "a word" },
		{ HEAD " app=" KEY, "app is there twice" },
		{ EUIS "- app=", "app is not" },
		{ EUIS "- app=aea249231d083d354f8b92d16921aff8:8100dbe4",
		    "app is not" },
		{ EUIS "- app=aea249231d083d354f8b92d16921aff849c8e65e7d2d9de6",
		    "app is not" },
		{ EUIS "- app=" KEY "00", "app is not" },
		{ EUIS "- app=" KEY ":00", "app is not" },
		{ EUIS "- app=AEA249231D083D354F8B92D16921AFF8"
		       "49C8E65E7D2D9DE6:8100DBE4",
		    "app is not" },
		{ HEAD NET_IDS NET_IDS " net-id=000014", "net-id is not" },
		{ HEAD " net-id=13", "net-id is not" },
		{ HEAD " as-id=", "as-id is not" },
		{ HEAD " as-id=a as-id=b", "as-id is there twice" },
		{ HEAD " as-id=a=b", "as-id is not" },
		{ HEAD " as-id=%41", "as-id is not" },
		{ HEAD " as-id=%c3%a4", "as-id is not" },
		{ HEAD " as-id=%C3", "as-id is not" },
		{ HEAD " as-id=%", "as-id is not" },
		{ HEAD " as-id=%4", "as-id is not" },
		{ HEAD " as-id=a%00", "as-id is not" },
		{ HEAD " as-id=%0A", "as-id is not" },
		{ HEAD " as-id=%7F", "as-id is not" },
		{ HEAD " as-id=%C2%85", "as-id is not" },
		{ HEAD " as-id=%C0%80", "as-id is not" },
		{ HEAD " as-id=%ED%A0%80", "as-id is not" },
		{ HEAD " as-id=%F4%90%80%80", "as-id is not" },
		{ HEAD " as-id=\xc3\xa4", "as-id is not" },
		{ HEAD " ns-kek=" N8("12345678") "9", "ns-kek is not" },
		{ HEAD " v10-root=both", "v10-root is not" },
		{ HEAD " resets-join-nonces=true", "resets-join-nonces is" },
		{ HEAD " join-nonce=16777216", "join-nonce is not" },
		{ HEAD " join-nonce=01", "join-nonce is not" },
		{ HEAD " join-nonce=-1", "join-nonce is not" },
		{ HEAD " join-nonce=", "join-nonce is not" },
		{ HEAD " dev-nonce=65536", "dev-nonce is not" },
		{ HEAD " dev-nonce=99999999999999999999", "dev-nonce is not" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errctx ec = ERRCTX_INIT;
		struct keyfile_device d;

		if (read_device(rows[i].line, &d, &ec) != JY_EINVAL) {
			fail_msg("accepted: %s", rows[i].line);
		}
		if (strncmp(ec.text, "line 5: ", 8) != 0 ||
		    strstr(ec.text, rows[i].why) == NULL) {
			fail_msg("%s: %s", rows[i].line, ec.text);
		}
		assert_null(strstr(ec.text, "aea249"));
	}
}

/* A wrong device does not end the reading; it counts for the end line. */
static void
test_goes_on_after_wrong_device(void **state)
{
	static const char end[] = "end 2 9431ce5ed7af58cda49c24012a16c99c";
	struct keyfile_reader r;
	struct keyfile_device d;
	enum keyfile_line kind = KEYFILE_HEADER;

	(void)state;
	read_head(&r);
	assert_int_equal(
	    keyfile_read(&r, EUIS, strlen(EUIS), &kind, &d, NULL), JY_EINVAL);
	assert_int_equal(
	    keyfile_read(&r, HEAD, strlen(HEAD), &kind, &d, NULL), JY_OK);
	assert_int_equal(kind, KEYFILE_DEVICE);
	assert_int_equal(keyfile_read_done(&r, NULL), JY_EINVAL);
	assert_int_equal(
	    keyfile_read(&r, end, strlen(end), &kind, &d, NULL), JY_OK);
	assert_int_equal(kind, KEYFILE_END);
	assert_int_equal(r.end.devices, 2);
	assert_int_equal(r.end.covered, 6);
	assert_int_equal(r.end.mac[15], 0x9c);
	assert_int_equal(keyfile_read_done(&r, NULL), JY_OK);
	/* Nothing may follow, not even an empty line. */
	assert_int_equal(keyfile_read(&r, "", 0, &kind, &d, NULL), JY_EINVAL);
	assert_int_equal(keyfile_read_done(&r, NULL), JY_EINVAL);
}

/* Lines that end the reading for good. */
static void
test_lines_refused(void **state)
{
	static char longer[KEYFILE_LINE_MAX + 1];
	static const char *const lines[] = { "", "# comment", "devices", "end",
		"end 0", "end 1 9431ce5ed7af58cda49c24012a16c99c",
		"end 00 9431ce5ed7af58cda49c24012a16c99c",
		"end 0 9431CE5ED7AF58CDA49C24012A16C99C",
		"end 0 9431ce5ed7af58cda49c24012a16c99",
		"end 0  9431ce5ed7af58cda49c24012a16c99c",
		"end 0 9431ce5ed7af58cda49c24012a16c99c\r",
		"end 99999999999999999999 9431ce5ed7af58cda49c24012a16c99c",
		"joinery-keyfile 1", longer };

	(void)state;
	memset(longer, 'x', KEYFILE_LINE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct errctx ec = ERRCTX_INIT;
		struct keyfile_reader r;
		struct keyfile_device d;
		enum keyfile_line kind = KEYFILE_HEADER;

		read_head(&r);
		if (keyfile_read(&r, lines[i], strlen(lines[i]), &kind, &d,
			&ec) != JY_EINVAL) {
			fail_msg("accepted: %s", lines[i]);
		}
		assert_ptr_equal(strstr(ec.text, "line 5: "), ec.text);
		assert_int_equal(
		    keyfile_read(&r, HEAD, strlen(HEAD), &kind, &d, NULL),
		    JY_EINVAL);
		assert_int_equal(keyfile_read_done(&r, NULL), JY_EINVAL);
	}
}

static void
test_headers_refused(void **state)
{
	static const struct {
		int line; /* the one to put there, from 1 */
		const char *text;
	} rows[] = {
		{ 1, "" },
		{ 1, "joinery-keyfile 2" },
		{ 1, "joinery-keyfile 1 " },
		{ 1, "\xef\xbb\xbfjoinery-keyfile 1" },
		{ 1, "joinery-keyfile 1\r" },
		{ 2, "import-key" },
		{ 2, "import-key 00" },
		{ 2, "seal rsa-oaep-sha1" },
		{ 3, "seal rsa-oaep-sha256" },
		{ 3, "seal rsa-oaep-sha1 x" },
		{ 4, "transport-key " },
		{ 4, "transport-key 0" },
		{ 4, "transport-key 0g" },
		{ 4, "transport-key 00 00" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errctx ec = ERRCTX_INIT;
		struct keyfile_reader r;
		struct keyfile_device d;
		enum keyfile_line kind = KEYFILE_HEADER;
		const char *p = file;

		keyfile_reader_init(&r);
		for (int n = 1; n < rows[i].line; n++) {
			const char *lf = strchr(p, '\n');

			assert_int_equal(keyfile_read(&r, p, (size_t)(lf - p),
					     &kind, &d, NULL),
			    JY_OK);
			p = lf + 1;
		}
		if (keyfile_read(&r, rows[i].text, strlen(rows[i].text), &kind,
			&d, &ec) != JY_EINVAL) {
			fail_msg("accepted: %s", rows[i].text);
		}
		assert_memory_equal(ec.text, "line ", 5);
		assert_int_equal(keyfile_read_done(&r, NULL), JY_EINVAL);
	}
}

/* A struct from elsewhere cannot make a line that nobody reads. */
static void
test_writer_refuses(void **state)
{
	struct keyfile_device good = { .app = { .present = true } };
	struct keyfile_device d;
	char line[KEYFILE_LINE_MAX] = "untouched";
	size_t len = 0;

	(void)state;
	d = good;
	d.app.present = false;
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	d = good;
	d.net_id_count = STORE_NET_IDS_MAX + 1;
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	d = good;
	d.net_id_count = 1;
	d.net_ids[0] = 0x1000000;
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	d = good;
	d.has_join_nonce = true;
	d.join_nonce = 0x1000000;
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	d = good;
	memset(d.as_id, 'x', sizeof(d.as_id)); /* no NUL */
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	d = good;
	memcpy(d.ns_kek, "\x1b[2J", 5);
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_EINVAL);
	assert_string_equal(line, "untouched");
	assert_int_equal(keyfile_write_device(&good, line, &len, NULL), JY_OK);
	assert_int_equal(len, strlen(line));
}

/* The longest there can be fits, and reads. */
static void
test_longest_line(void **state)
{
	struct keyfile_device d = { .nwk = { .present = true },
		.app = { .present = true },
		.mac_version = LW_VERSION_1_1_0,
		.net_id_count = STORE_NET_IDS_MAX,
		.v10_root = KEYFILE_V10_ROOT_DEFAULT,
		.has_resets_join_nonces = true,
		.has_join_nonce = true,
		.join_nonce = 0xffffff,
		.has_dev_nonce = true,
		.dev_nonce = 0xffff };
	struct keyfile_device again;
	char line[KEYFILE_LINE_MAX];
	size_t len = 0;

	(void)state;
	memset(d.as_id, ' ', sizeof(d.as_id) - 1);
	memset(d.ns_kek, ' ', sizeof(d.ns_kek) - 1);
	memset(d.as_kek, ' ', sizeof(d.as_kek) - 1);
	memset(d.app_name, ' ', sizeof(d.app_name) - 1);
	memset(d.device_name, ' ', sizeof(d.device_name) - 1);
	assert_int_equal(keyfile_write_device(&d, line, &len, NULL), JY_OK);
	assert_true(len > 1500 && len < KEYFILE_LINE_MAX);
	line[len - 1] = '\0';
	assert_int_equal(read_device(line, &again, NULL), JY_OK);
	assert_string_equal(again.device_name, d.device_name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector_there_and_back),
		cmocka_unit_test(test_device_fields),
		cmocka_unit_test(test_device_bare),
		cmocka_unit_test(test_devices_refused),
		cmocka_unit_test(test_goes_on_after_wrong_device),
		cmocka_unit_test(test_lines_refused),
		cmocka_unit_test(test_headers_refused),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_longest_line),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
