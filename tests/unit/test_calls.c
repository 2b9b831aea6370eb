/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls: whatever changes something has an event of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/worker/calls.h"

#define CALLS_MAX 128

/*
 * Batches of an import name the event of their beginning; those of a release
 * have one each, its beginning and end none.
 */
static bool
has_event_elsewhere(const char *name)
{
	static const char *const names[] = { "import_batch", "release_begin",
		"release_end" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void
test_events(void **state)
{
	size_t calls = 0, events = 0;

	(void)state;
	for (int i = 1; i < CALLS_MAX; i++) {
		const struct call_def *def =
		    call_find((Joinery__V1__Request__CallCase)i);

		if (def == NULL) {
			continue;
		}
		calls++;
		if (def->audit == AUDIT_ELSEWHERE) {
			assert_true(has_event_elsewhere(def->name));
		} else if (def->audit != AUDIT_NOTHING) {
			assert_string_not_equal(
			    audit_event_name((uint8_t)def->audit), "unknown");
			assert_int_equal(def->who, CALL_ADMIN);
			events++;
		}
	}
	assert_true(calls > 30);
	assert_true(events >= 16);
	assert_null(call_find(JOINERY__V1__REQUEST__CALL__NOT_SET));
}

/* A note is said instead of the object; names of fields, never values. */
static void
test_text(void **state)
{
	Joinery__V1__Request q = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__PeerSetRequest set = JOINERY__V1__PEER_SET_REQUEST__INIT;
	Joinery__V1__Peer peer = JOINERY__V1__PEER__INIT;
	char name[] = "ns\"1", user[] = "secret-user";
	char note[CALL_NOTE_MAX] = "", text[CALL_NOTE_MAX];
	const struct call c = { .request = &q, .note = note };

	(void)state;
	q.call_case = JOINERY__V1__REQUEST__CALL_PEER_SET;
	q.peer_set = &set;
	call_audit_text(&c, text);
	assert_string_equal(text, "-");
	set.peer = &peer;
	peer.name = name;
	peer.basic_user = user;
	peer.has_uid = 1;
	call_audit_text(&c, text);
	assert_string_equal(text, "name=\"ns'1\" set=name,uid,basic_user");
	(void)strcpy(note, "new=1");
	call_audit_text(&c, text);
	assert_string_equal(
	    text, "name=\"ns'1\" new=1 set=name,uid,basic_user");
	q.call_case = JOINERY__V1__REQUEST__CALL_IMPORT_KEY_ROTATE;
	call_audit_text(&c, text);
	assert_string_equal(text, "new=1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
