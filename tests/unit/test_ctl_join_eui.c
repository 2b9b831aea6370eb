/* SPDX-License-Identifier: Apache-2.0 */
/* JoinEUI prefixes, and the DNS names made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/err.h"
#include "tests/unit/ctl_fake.h"

#define NAPTR " NAPTR 50 50 \"S\" \"LWNS\" \"\" _lwns._tcp.js.example.org.\n"
#define ALLIANCE "joineuis.lora-alliance.org."
#define ZONE "join-eui zone --target js.example.org"

static struct fake_run run;
static const char *prefixes[8]; /* the server's, up to a NULL */

static int
answer(const Joinery__V1__Request *q, Joinery__V1__Response *r)
{
	static uint8_t eui[] = { 0x70, 0xb3, 0xd5, 0x7e, 0xd0, 0, 0, 1 };
	static Joinery__V1__JoinEuisAnswer a =
	    JOINERY__V1__JOIN_EUIS_ANSWER__INIT;
	static char *rows[8];

	assert_int_equal(q->call_case, JOINERY__V1__REQUEST__CALL_JOIN_EUIS);
	for (a.n_prefixes = 0; prefixes[a.n_prefixes] != NULL;) {
		rows[a.n_prefixes] = (char *)(uintptr_t)prefixes[a.n_prefixes];
		a.n_prefixes++;
	}
	a.prefixes = rows;
	a.has_default_join_eui = a.n_prefixes > 0;
	a.default_join_eui = (ProtobufCBinaryData){ sizeof(eui), eui };
	r->result_case = JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS;
	r->join_euis = &a;
	return 1;
}

static void
serve(const char *a, const char *b, const char *c)
{
	prefixes[0] = a;
	prefixes[1] = b;
	prefixes[2] = c;
	prefixes[3] = NULL;
}

static size_t
count(const char *text)
{
	size_t n = 0;

	for (const char *p = run.out; (p = strstr(p, text)) != NULL; p++) {
		n++;
	}
	return n;
}

static void
test_prefixes(void **state)
{
	json_t *j;

	(void)state;
	serve("70b3d57ed0000000/40", "00005e100000002f/64", NULL);
	fake_ctl(&run, answer, NULL, "join-eui prefixes");
	assert_int_equal(run.status, 0);
	assert_string_equal(run.out,
	    "prefixes              70b3d57ed0000000/40, 00005e100000002f/64\n"
	    "default-join-eui      70b3d57ed0000001\n");
	fake_ctl(&run, answer, NULL, "join-eui prefixes --json");
	j = fake_json(&run);
	assert_int_equal(json_array_size(json_object_get(j, "prefixes")), 2);
	assert_string_equal(
	    json_string_value(json_object_get(j, "default_join_eui")),
	    "70b3d57ed0000001");
	json_decref(j);
	serve(NULL, NULL, NULL);
	fake_ctl(&run, answer, NULL, "join-eui prefixes");
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out, "join-euis is empty"));
}

/* The specification's own example, and a prefix that ends with a digit. */
static void
test_zone_of_digits(void **state)
{
	(void)state;
	serve("00005e100000002f/64", "70b3d57ed0000000/40", NULL);
	fake_ctl(&run, answer, NULL, ZONE);
	assert_int_equal(run.status, 0);
	assert_non_null(strstr(run.out,
	    "\nf.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0." ALLIANCE " 3600 IN" NAPTR));
	assert_non_null(strstr(
	    run.out, "\n*.0.d.e.7.5.d.3.b.0.7." ALLIANCE " 3600 IN" NAPTR));
	assert_non_null(strstr(run.out,
	    "\n_lwns._tcp.js.example.org. 3600 IN SRV 0 1 443 "
	    "js.example.org.\n"));
	assert_int_equal(count(" NAPTR 50"), 2);
	assert_int_equal(count(" SRV 0"), 1);
	assert_ptr_equal(strchr(run.out, ';'), run.out);
}

static void
test_zone_options(void **state)
{
	json_t *j;
	json_t *records;
	json_t *first;

	(void)state;
	serve("00005e100000002f/64", NULL, NULL);
	fake_ctl(&run, answer, NULL,
	    ZONE ". --port 8443 --ttl 60 --domain eui.example.org. --json");
	assert_int_equal(run.status, 0);
	j = fake_json(&run);
	records = json_object_get(j, "records");
	assert_int_equal(json_array_size(records), 2);
	first = json_array_get(records, 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")),
	    "f.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.eui.example.org.");
	assert_string_equal(
	    json_string_value(json_object_get(first, "type")), "NAPTR");
	assert_int_equal(json_integer_value(json_object_get(first, "ttl")), 60);
	assert_string_equal(json_string_value(json_object_get(
				json_array_get(records, 1), "data")),
	    "0 1 8443 js.example.org.");
	json_decref(j);
}

/* A prefix within a digit is as many names as the digit has values left. */
static void
test_zone_within_a_digit(void **state)
{
	static const struct {
		const char *prefix;
		size_t names;
		const char *first;
		const char *last;
	} cases[] = {
		{ "70b3d57ed0000000/41", 8, "\n*.0.0.d.e.7.5.d.3.b.0.7.j",
		    "\n*.7.0.d.e.7.5.d.3.b.0.7.j" },
		{ "70b3d57ed0800000/41", 8, "\n*.8.0.d.e.7.5.d.3.b.0.7.j",
		    "\n*.f.0.d.e.7.5.d.3.b.0.7.j" },
		{ "70b3d57ed0400000/42", 4, "\n*.4.0.d.e.7.5.d.3.b.0.7.j",
		    "\n*.7.0.d.e.7.5.d.3.b.0.7.j" },
		{ "70b3d57ed0000000/39", 2, "\n*.0.d.e.7.5.d.3.b.0.7.j",
		    "\n*.1.d.e.7.5.d.3.b.0.7.j" },
		{ "00005e100000002e/63", 2,
		    "\ne.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.j",
		    "\nf.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.j" },
		{ "0000000000000000/1", 8, "\n*.0.j", "\n*.7.j" },
		{ "0000000000000000/0", 1, "\n*.joineuis", "\n*.joineuis" },
		{ "00005e100000002f", 1, "\nf.2.0.0.0.0.0.0.0.1.e.5",
		    "\nf.2.0.0.0.0.0.0.0.1.e.5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		serve(cases[i].prefix, NULL, NULL);
		fake_ctl(&run, answer, NULL, ZONE);
		assert_int_equal(run.status, 0);
		assert_int_equal(count(" NAPTR 50"), cases[i].names);
		if (strstr(run.out, cases[i].first) == NULL ||
		    strstr(run.out, cases[i].last) == NULL) {
			fail_msg("%s: %s", cases[i].prefix, run.out);
		}
	}
}

/* A name below a wildcard would take JoinEUIs from it. */
static void
test_zone_of_nested_prefixes(void **state)
{
	(void)state;
	serve("70b3d57ed0000001/64", "70b3d57ed0000000/40",
	    "70b3d57ed0000000/40");
	fake_ctl(&run, answer, NULL, ZONE);
	assert_int_equal(run.status, 0);
	assert_int_equal(count(" NAPTR 50"), 1);
	assert_non_null(strstr(run.out, "\n*.0.d.e.7.5.d.3.b.0.7.j"));
}

static void
test_zone_refused(void **state)
{
	(void)state;
	serve(NULL, NULL, NULL);
	fake_ctl(&run, answer, NULL, ZONE);
	assert_int_equal(run.status, 1);
	assert_non_null(strstr(run.err, "join-euis is empty"));
	assert_string_equal(run.out, "");
	serve("70b3d57ed0000000/40/", NULL, NULL);
	fake_ctl(&run, answer, NULL, ZONE);
	assert_int_equal(run.status, 3);
	assert_non_null(strstr(run.err, "which is no prefix"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_zone_of_digits),
		cmocka_unit_test(test_zone_options),
		cmocka_unit_test(test_zone_within_a_digit),
		cmocka_unit_test(test_zone_of_nested_prefixes),
		cmocka_unit_test(test_zone_refused),
	};

	return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
