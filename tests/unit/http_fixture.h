/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of HTTP: certificates, a configuration, the parts of joineryd
 * that HTTP needs, and a client that shares their thread.
 */
#ifndef JY_TESTS_HTTP_FIXTURE_H
#define JY_TESTS_HTTP_FIXTURE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/front/server.h"

#define PUMP_MS 5000

struct fixture {
	char dir[32];
	struct conf *conf;
	struct server server;
};

/* In dir: ca, other-ca (.pem); server, client, client2, stranger (.pem, .key)
 * of which stranger is of other-ca.  Made once for all tests. */
const char *fixture_certificates(void);
void fixture_certificates_remove(void);

/*
 * A server with that configuration;
 * in it "@/" is the certificates'
 * folder, "@:" a free port. */
struct fixture *fixture_new(const char *conf);
void fixture_free(struct fixture *f);

/* Let the event loop do what it can, once, and wait a little. */
void fixture_turn(struct fixture *f);

uint16_t port_of(int fd);

struct client {
	struct fixture *f;
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;   /* NULL: plain */
	bool ended; /* the server has closed */
	bool reset; /* in a rude way */
	size_t len;
	char in[200000];
};

struct client *client_tcp(struct fixture *f, uint16_t port);
struct client *client_unix(struct fixture *f, const char *path);

/* With a certificate of that name, or NULL; false: no handshake. */
bool client_tls(struct client *c, const char *name);
void client_send(struct client *c, const void *data, size_t len);
void client_say(struct client *c, const char *text);

/* Read until text was read, or the end, for a while; false: it was not. */
bool client_hears(struct client *c, const char *text);

bool client_hears_len(struct client *c, size_t len);

/* Read until the server closes. */
bool client_hears_end(struct client *c);
unsigned client_count(const struct client *c, const char *text);
void client_forget(struct client *c);
void client_free(struct client *c);

#endif
