/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 (RFC 9112) over links, as much of it as a Join Server speaks. */
#include "tools/client_http.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/secret.h"
#include "src/base/sys.h"
#include "tools/client_link.h"

#define ANSWER_MAX 16384U /* head and body */
#define HEAD_MAX 2048U    /* of a request */
#define HOST_MAX 256U

struct conn {
	struct link *link; /* NULL: not open */
	bool busy;
	bool close_after; /* the server closes it behind the answer */
	size_t len;
	char *in; /* ANSWER_MAX and a NUL */
};

struct http_pool {
	struct client_config config; /* texts are copies, or NULL */
	char *texts[6];              /* those copies */
	const char *path;
	char host[HOST_MAX];
	bool tls;
	bool local; /* a Unix socket: path of it in config.socket */
	size_t count;
	size_t next; /* where to look for an answer first */
	struct conn *conns;
	struct pollfd *polls;
};

/* What the head of an answer says. */
struct head {
	unsigned status;
	bool has_length;
	bool is_json;
	bool closes;
	size_t body; /* where it starts */
	size_t length;
};

/* ---- where to ---- */

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 ||
	    strncmp(host, "localhost:", 10) == 0 ||
	    strncmp(host, "[::1]:", 6) == 0;
}

/* "host" becomes "host:port". */
static void
add_port(char host[HOST_MAX], const char *port)
{
	const char *colon = strrchr(host, ':');
	const char *bracket = strrchr(host, ']');
	size_t len = strlen(host);

	if (colon == NULL || (bracket != NULL && bracket > colon)) {
		(void)snprintf(host + len, HOST_MAX - len, ":%s", port);
	}
}

static enum jy_err
parse_url(struct http_pool *p, const char *url, struct errctx *ec)
{
	const char *rest = strstr(url, ":/");
	size_t scheme = rest != NULL ? (size_t)(rest - url) : 0;
	size_t len;

	p->tls = scheme == 5 && strncmp(url, "https://", 8) == 0;
	p->local = scheme == 9 && strncmp(url, "http+unix", 9) == 0;
	if (p->local) {
		p->config.socket = rest + 1;
		p->path = "/";
		(void)snprintf(p->host, sizeof(p->host), "localhost");
		return JY_OK;
	}
	if (!p->tls && strncmp(url, "http://", 7) != 0) {
		return err_set(ec, JY_ECONFIG,
		    "\"%s\" is not https://, http:// or http+unix:/", url);
	}
	rest += 3;
	len = strcspn(rest, "/");
	if (len == 0 || len > HOST_MAX - 8 || strcspn(rest, " \r\n") < len) {
		return err_set(ec, JY_ECONFIG, "no host in \"%s\"", url);
	}
	memcpy(p->host, rest, len);
	p->host[len] = '\0';
	p->path = rest[len] != '\0' ? rest + len : "/";
	add_port(p->host, p->tls ? "443" : "80");
	if (!p->tls && !is_loopback(p->host)) {
		return err_set(ec, JY_ECONFIG,
		    "http:// is for loopback: use https:// with %s", p->host);
	}
	p->config.tcp = p->host;
	return JY_OK;
}

static enum jy_err
conn_open(struct http_pool *p, struct conn *c, struct errctx *ec)
{
	if (c->in == NULL) {
		c->in = sys_xmalloc(ANSWER_MAX + 1);
	}
	c->close_after = false;
	return p->tls || p->local
	    ? link_open(&p->config, &c->link, ec)
	    : link_open_plain(p->host, p->config.timeout_ms, &c->link, ec);
}

static void
conn_close(struct conn *c)
{
	link_close(c->link);
	c->link = NULL;
	c->busy = false;
}

/* Keep a text for as long as the pool lives. */
static const char *
keep(struct http_pool *p, size_t i, const char *text)
{
	p->texts[i] = text != NULL ? sys_xstrdup(text) : NULL;
	return p->texts[i];
}

enum jy_err
http_open(const struct client_config *config, struct http_pool **out,
    struct errctx *ec)
{
	struct http_pool *p = sys_xcalloc(1, sizeof(*p));
	enum jy_err err;

	p->config = *config;
	p->config.socket = NULL;
	p->config.tcp = NULL;
	p->config.bi = keep(p, 0, config->bi);
	p->config.ca = keep(p, 1, config->ca);
	p->config.cert = keep(p, 2, config->cert);
	p->config.key = keep(p, 3, config->key);
	p->count = config->connections > 0 ? config->connections : 1;
	p->conns = sys_xcalloc(p->count, sizeof(*p->conns));
	p->polls = sys_xcalloc(p->count, sizeof(*p->polls));
	p->config.authorization = keep(p, 4, config->authorization);
	p->config.http_header = keep(p, 5, config->http_header);
	err = parse_url(p, p->config.bi, ec);
	if (err == JY_OK) {
		err = conn_open(p, &p->conns[0], ec);
	}
	if (err != JY_OK) {
		http_close(p);
		return err;
	}
	*out = p;
	return JY_OK;
}

void
http_close(struct http_pool *p)
{
	if (p == NULL) {
		return;
	}
	for (size_t i = 0; i < p->count; i++) {
		conn_close(&p->conns[i]);
		if (p->conns[i].in != NULL) {
			secret_wipe(p->conns[i].in, ANSWER_MAX);
			free(p->conns[i].in);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(p->texts); i++) {
		if (p->texts[i] != NULL) {
			secret_wipe(p->texts[i], strlen(p->texts[i]));
			free(p->texts[i]);
		}
	}
	free(p->conns);
	free(p->polls);
	free(p);
}

void
http_set_timeout(struct http_pool *p, unsigned timeout_ms)
{
	p->config.timeout_ms = timeout_ms;
}

size_t
http_connections(const struct http_pool *p)
{
	return p->count;
}

/* ---- requests ---- */

static enum jy_err
write_all(struct http_pool *p, struct conn *c, char *text, size_t len,
    struct errctx *ec)
{
	uint64_t deadline_us = link_deadline(p->config.timeout_ms);
	struct span left = { (uint8_t *)text, len };
	enum jy_err err = JY_OK;

	while (left.len > 0 && err == JY_OK) {
		err = link_move(c->link, LINK_WRITE, &left, deadline_us, ec);
	}
	return err;
}

/*
 * Close what the server closes behind its answer: not before the next call,
 * since the answer is still in its buffer.
 */
static void
drop_closing(struct http_pool *p)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->conns[i].close_after) {
			conn_close(&p->conns[i]);
			p->conns[i].close_after = false;
		}
	}
}

/* The next free connection: an open one, if there is. */
static struct conn *
conn_free(struct http_pool *p)
{
	struct conn *closed = NULL;

	for (size_t i = 0; i < p->count; i++) {
		struct conn *c = &p->conns[i];

		if (c->link != NULL && !c->busy) {
			return c;
		}
		if (c->link == NULL && closed == NULL) {
			closed = c;
		}
	}
	return closed;
}

static enum jy_err
post(struct http_pool *p, struct conn *c, const char *body, size_t len,
    struct errctx *ec)
{
	const struct client_config *config = &p->config;
	const char *auth = config->authorization;
	const char *more = config->http_header;
	char *text = sys_xmalloc(HEAD_MAX + len);
	enum jy_err err;
	int n;

	n = snprintf(text, HEAD_MAX,
	    "POST %s HTTP/1.1\r\nHost: %s\r\n"
	    "Content-Type: application/json\r\nAccept: application/json\r\n"
	    "Content-Length: %zu\r\n%s%s%s%s%s\r\n",
	    p->path, p->host, len, auth != NULL ? "Authorization: " : "",
	    auth != NULL ? auth : "", auth != NULL ? "\r\n" : "",
	    more != NULL ? more : "", more != NULL ? "\r\n" : "");
	if (n < 0 || (size_t)n >= HEAD_MAX) {
		err = err_set(ec, JY_ECONFIG, "path and headers are too long");
	} else {
		memcpy(text + n, body, len);
		err = write_all(p, c, text, (size_t)n + len, ec);
	}
	secret_wipe(text, HEAD_MAX + len);
	free(text);
	return err;
}

enum jy_err
http_send(struct http_pool *p, const char *body, size_t len, size_t *connection,
    struct errctx *ec)
{
	enum jy_err err = JY_OK;
	struct conn *c;

	drop_closing(p);
	c = conn_free(p);
	if (c == NULL) {
		return err_set(ec, JY_EBUSY,
		    "all %zu connections wait for an answer", p->count);
	}
	if (c->link == NULL) {
		err = conn_open(p, c, ec);
	}
	if (err == JY_OK) {
		err = post(p, c, body, len, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	c->busy = true;
	c->len = 0;
	*connection = (size_t)(c - p->conns);
	return JY_OK;
}

/* ---- answers ---- */

static enum jy_err
broken(struct errctx *ec, const char *what)
{
	return err_set(ec, JY_EINVAL, "HTTP answer: %s", what);
}

/* "HTTP/1.1 200 OK", without its line end. */
static bool
parse_status(const char *line, unsigned *status)
{
	unsigned digits[3];

	if (strncmp(line, "HTTP/1.1 ", 9) != 0) {
		return false;
	}
	for (size_t i = 0; i < 3; i++) {
		if (line[9 + i] < '0' || line[9 + i] > '9') {
			return false;
		}
		digits[i] = (unsigned)(line[9 + i] - '0');
	}
	*status = 100 * digits[0] + 10 * digits[1] + digits[2];
	return *status >= 100 && (line[12] == ' ' || line[12] == '\0');
}

static bool
parse_length(const char *value, size_t *out)
{
	size_t len = strlen(value);

	*out = 0;
	if (len == 0 || len > 6) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9') {
			return false;
		}
		*out = *out * 10 + (size_t)(value[i] - '0');
	}
	return true;
}

/* Whether a media type is application/json, with parameters or without. */
static bool
is_json(const char *value)
{
	static const char type[] = "application/json";
	size_t len = sizeof(type) - 1;

	return strncasecmp(value, type, len) == 0 &&
	    (value[len] == '\0' || value[len] == ';' || value[len] == ' ');
}

/* One header line, without its end; it is cut at the colon. */
static enum jy_err
parse_header(char *line, struct head *h, struct errctx *ec)
{
	char *value = strchr(line, ':');
	char *end = line + strlen(line);

	if (value == NULL || value == line ||
	    strcspn(line, " \t") < (size_t)(value - line)) {
		return broken(ec, "a header line is none");
	}
	*value++ = '\0';
	value += strspn(value, " \t");
	while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
		*--end = '\0';
	}
	if (strcasecmp(line, "Content-Length") == 0) {
		if (h->has_length || !parse_length(value, &h->length)) {
			return broken(ec, "Content-Length twice, or no number");
		}
		h->has_length = true;
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		return broken(ec, "Transfer-Encoding, not Content-Length");
	} else if (strcasecmp(line, "Content-Type") == 0) {
		h->is_json = is_json(value);
	} else if (strcasecmp(line, "Connection") == 0) {
		h->closes = strcasecmp(value, "close") == 0;
	}
	return JY_OK;
}

/* All header lines; end is where the empty one stands. */
static enum jy_err
parse_head(char *text, char *end, struct head *h, struct errctx *ec)
{
	enum jy_err err = JY_OK;
	char *line = text;

	memset(h, 0, sizeof(*h));
	h->body = (size_t)(end - text) + 4;
	end[2] = '\0'; /* behind the last line and its end */
	while (err == JY_OK && *line != '\0') {
		char *stop = strchr(line, '\r');

		if (stop == NULL || stop[1] != '\n' ||
		    memchr(line, '\n', (size_t)(stop - line)) != NULL) {
			return broken(ec, "a line does not end with CR LF");
		}
		*stop = '\0';
		if (line != text) {
			err = parse_header(line, h, ec);
		} else if (!parse_status(line, &h->status)) {
			err = broken(ec, "no status line of HTTP/1.1");
		}
		line = stop + 2;
	}
	return err;
}

static enum jy_err
check_head(const struct head *h, struct errctx *ec)
{
	if (h->status < 200) {
		return broken(ec, "an interim status nobody asked for");
	}
	if (!h->has_length) {
		return broken(ec, "no Content-Length");
	}
	if (h->length > ANSWER_MAX - h->body) {
		return broken(ec, "too long");
	}
	return h->status == 200 && !h->is_json
	    ? broken(ec, "Content-Type is not application/json")
	    : JY_OK;
}

/* Read what there is, at least one octet. */
static enum jy_err
fill(struct conn *c, uint64_t deadline_us, struct errctx *ec)
{
	struct span room = { (uint8_t *)c->in + c->len, ANSWER_MAX - c->len };
	enum jy_err err;

	if (room.len == 0) {
		return broken(ec, "too long");
	}
	err = link_move(c->link, LINK_READ, &room, deadline_us, ec);
	if (err == JY_OK) {
		c->len = ANSWER_MAX - room.len;
		c->in[c->len] = '\0';
	}
	return err;
}

static enum jy_err
read_answer(struct conn *c, uint64_t deadline_us, struct http_answer *out,
    struct errctx *ec)
{
	enum jy_err err = JY_OK;
	char *end = NULL;
	struct head h = { 0 };

	while (err == JY_OK && end == NULL) {
		err = fill(c, deadline_us, ec);
		end =
		    err == JY_OK ? memmem(c->in, c->len, "\r\n\r\n", 4) : NULL;
	}
	if (err == JY_OK && memchr(c->in, '\0', (size_t)(end - c->in))) {
		err = broken(ec, "a NUL in its head");
	}
	if (err == JY_OK) {
		err = parse_head(c->in, end, &h, ec);
	}
	if (err == JY_OK) {
		err = check_head(&h, ec);
	}
	while (err == JY_OK && c->len < h.body + h.length) {
		err = fill(c, deadline_us, ec);
	}
	if (err == JY_OK && c->len > h.body + h.length) {
		err = broken(ec, "more than Content-Length says");
	}
	if (err == JY_OK) {
		out->status = h.status;
		out->body = c->in + h.body;
		out->len = h.length;
		c->close_after = h.closes;
	}
	return err;
}

/* A connection on which something came; they take turns. */
static enum jy_err
wait_any(struct http_pool *p, uint64_t deadline_us, struct conn **out,
    struct errctx *ec)
{
	uint64_t now = sys_mono_us();
	uint64_t left_ms = now < deadline_us ? (deadline_us - now) / 1000 : 0;
	int n;

	for (size_t i = 0; i < p->count; i++) {
		struct conn *c = &p->conns[i];

		p->polls[i].fd = c->busy ? link_fd(c->link) : -1;
		p->polls[i].events = POLLIN;
		p->polls[i].revents = 0;
		if (c->busy && link_has_pending(c->link)) {
			*out = c;
			return JY_OK;
		}
	}
	do {
		n = poll(p->polls, p->count,
		    deadline_us == UINT64_MAX ? -1 : (int)left_ms);
	} while (n < 0 && errno == EINTR);
	for (size_t i = 0; n > 0 && i < p->count; i++) {
		size_t k = (p->next + i) % p->count;

		if (p->polls[k].revents != 0) {
			p->next = k + 1;
			*out = &p->conns[k];
			return JY_OK;
		}
	}
	return err_set(ec, JY_ETIMEOUT, "the server did not react in time");
}

enum jy_err
http_receive(struct http_pool *p, struct http_answer *out, struct errctx *ec)
{
	uint64_t deadline_us = link_deadline(p->config.timeout_ms);
	struct conn *c;
	enum jy_err err;

	drop_closing(p);
	err = wait_any(p, deadline_us, &c, ec);
	if (err == JY_OK) {
		err = read_answer(c, deadline_us, out, ec);
	}
	if (err != JY_OK) {
		return err;
	}
	c->busy = false;
	out->connection = (size_t)(c - p->conns);
	return JY_OK;
}
