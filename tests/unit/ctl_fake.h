/* SPDX-License-Identifier: Apache-2.0 */
/*
 * joineryctl run as a program, against a server that is this test: it
 * accepts, reads requests and lets the test's function answer each.
 */
#ifndef JY_TESTS_CTL_FAKE_H
#define JY_TESTS_CTL_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "proto/joinery.pb-c.h"

/* Fill in the answer; its id is set already.  False: hang up instead. */
typedef int fake_answer(
    const Joinery__V1__Request *request, Joinery__V1__Response *response);

/*
 * Answers that nobody asked for again: called with 0, 1 ... once a request was
 * answered; each is sent while it returns true.  Response's id is set.
 */
typedef bool fake_more(size_t i, Joinery__V1__Response *response);

struct fake_run {
	int status; /* exit status; 128 and more: a signal */
	size_t requests;
	uint8_t seen[262144]; /* every octet the server was sent */
	size_t seen_len;
	char out[65536];
	char err[16384];
};

/* Of the group of tests, as cmocka wants them. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Fails: it must not come to a question. */
fake_answer fake_nobody;

/* A path in the test's own directory, for files; a static buffer. */
const char *fake_path(const char *name);
const char *fake_file(const char *name, const char *text, unsigned mode);

/*
 * Run joineryctl with arguments separated by blanks, "%" for the directory,
 * input on its standard input (NULL: none).
 */
void fake_ctl(struct fake_run *run, fake_answer *answer, const char *input,
    const char *arguments);

/* The last request that came, kept until the next one. */
const Joinery__V1__Request *fake_last(void);

/* The one JSON object on standard output; the caller puts it away. */
json_t *fake_json(const struct fake_run *run);

/* Of the next run: answers that follow the first. */
void fake_follow(fake_more *more);

/* While it runs: wait until it printed the text; send it a signal. */
void fake_wait_out(const char *text);
void fake_signal(int signal_number);

#endif
