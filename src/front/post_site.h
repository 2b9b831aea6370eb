/* SPDX-License-Identifier: Apache-2.0 */
/* Where an answer is POSTed to: URL and TLS files. */
#ifndef JY_FRONT_POST_SITE_H
#define JY_FRONT_POST_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/corridor.pb-c.h"
#include "src/base/err.h"
#include "src/front/tls_client.h"

struct conf;

struct post_site {
	bool is_tls;
	char *host; /* without brackets */
	uint16_t port;
	struct tls_client_files files; /* "" without TLS */
};

/*
 * Read a URL and choose files.  The caller frees out->host and *path (with
 * the query); the files are borrowed from conf or to.  JY_EINVAL: not a URL
 * of http or https.
 */
enum jy_err post_site_read(const struct conf *conf,
    const Joinery__Corridor__AnswerTo *to, struct post_site *out, char **path,
    struct errctx *ec) JY_CHECK;

/* All of it; false, and nothing to be freed, when memory is short. */
bool post_site_copy(
    const struct post_site *site, struct post_site *out) JY_CHECK;
void post_site_fini(struct post_site *copy);

bool post_site_eq(const struct post_site *a, const struct post_site *b);

/* "js.example.org:8080", "[::1]"; the caller frees.  NULL: no memory. */
char *post_site_host_header(const struct post_site *site);

#endif
