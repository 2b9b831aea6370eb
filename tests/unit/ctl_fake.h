/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joineryctl run as a program, against a server that is this test: it
 * accepts, reads requests and lets the test's function answer each.
 */
#ifndef JY_TESTS_CTL_FAKE_H
#define JY_TESTS_CTL_FAKE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"

/* Fill in the answer; its id is set already.  False: hang up instead. */
typedef int fake_answer(
    const Joinery__V1__Request *request, Joinery__V1__Response *response);

struct fake_run {
	int status; /* exit status; 128 and more: a signal */
	size_t requests;
	uint8_t seen[65536]; /* every octet the server was sent */
	size_t seen_len;
	char out[65536];
	char err[16384];
};

void fake_setup(void);
void fake_teardown(void);

/* A path in the test's own directory, for files; a static buffer. */
const char *fake_path(const char *name);
const char *fake_file(const char *name, const char *text, unsigned mode);

/*
 * Run joineryctl with arguments separated by blanks, "%" for the directory,
 * input on its standard input (NULL: none).
 */
void fake_ctl(struct fake_run *run, fake_answer *answer, const char *input,
    const char *arguments);

#endif
