/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JoinEUIs that the server answers for, and the DNS records by which a
 * Network Server finds it (TS002-1.0.0, 19.1): the digits of a JoinEUI, last
 * one first, each a label, then a NAPTR with flag S and service LWNS, which
 * leads to an SRV, which leads to a host.
 */
#include <stdlib.h>
#include <string.h>

#include "src/base/prefix.h"
#include "src/base/sys.h"
#include "tools/ctl.h"

#define DEFAULT_DOMAIN "joineuis.lora-alliance.org"
#define DEFAULT_PORT 443
#define DEFAULT_TTL 3600
#define TTL_MAX 0x7fffffffU /* RFC 2181, 8 */
#define DNS_NAME_MAX 253U   /* without the last dot */
#define DNS_LABEL_MAX 63U
#define NIBBLES 16U
#define SRV_PREFIX "_lwns._tcp."
#define LABELS_MAX (2 * NIBBLES + 2) /* "*.", 16 times "f.", NUL */

static enum ctl_exit
ask(struct ctl *ctl, Joinery__V1__Response **out)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__JoinEuisRequest call =
	    JOINERY__V1__JOIN_EUIS_REQUEST__INIT;

	request.call_case = JOINERY__V1__REQUEST__CALL_JOIN_EUIS;
	request.join_euis = &call;
	return ctl_call(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_JOIN_EUIS, out);
}

enum ctl_exit
verb_join_eui_prefixes(struct ctl *ctl)
{
	Joinery__V1__Response *response;
	enum ctl_exit exit = ask(ctl, &response);

	if (exit != CTL_OK) {
		return exit;
	}
	if (response->join_euis->n_prefixes == 0) {
		show_said(&ctl->show,
		    "every JoinEUI: join-euis is empty in joinery.conf");
	}
	show_message(&ctl->show, ctl_result(response));
	client_free(response);
	return CTL_OK;
}

/* ---- what is asked for ---- */

struct zone {
	const char *target; /* without a dot at its end */
	const char *domain;
	int target_len;
	int domain_len;
	uint32_t port;
	uint32_t ttl;
};

static bool
is_host_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of letters, digits and hyphens; one dot at the end is left out. */
static enum ctl_exit
name_read(struct ctl *ctl, enum ctl_option option, size_t room,
    const char *text, int *len)
{
	size_t n = strlen(text);
	size_t label = 0;
	bool ok = true;

	n -= n > 0 && text[n - 1] == '.';
	for (size_t i = 0; i < n && ok; i++) {
		label = text[i] == '.' ? 0 : label + 1;
		ok = text[i] == '.'
		    ? i > 0 && text[i - 1] != '.'
		    : is_host_character(text[i]) && label <= DNS_LABEL_MAX;
	}
	*len = (int)n;
	if (!ok || label == 0 || n + room > DNS_NAME_MAX) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--%s is a DNS name, not \"%s\"", ctl_options[option].name,
		    args_shown(text));
	}
	return CTL_OK;
}

static enum ctl_exit
zone_read(struct ctl *ctl, struct zone *z)
{
	enum ctl_exit exit;

	z->target = ctl_value(ctl, TARGET);
	z->domain =
	    ctl_given(ctl, DOMAIN) ? ctl_value(ctl, DOMAIN) : DEFAULT_DOMAIN;
	z->port = DEFAULT_PORT;
	z->ttl = DEFAULT_TTL;
	exit = name_read(
	    ctl, OPT_TARGET, sizeof(SRV_PREFIX) - 1, z->target, &z->target_len);
	if (exit == CTL_OK) {
		exit = name_read(
		    ctl, OPT_DOMAIN, LABELS_MAX, z->domain, &z->domain_len);
	}
	if (exit == CTL_OK && ctl_given(ctl, PORT)) {
		exit = args_number(ctl, OPT_PORT, 1, 65535, &z->port);
	}
	if (exit == CTL_OK && ctl_given(ctl, TTL)) {
		exit = args_number(ctl, OPT_TTL, 0, TTL_MAX, &z->ttl);
	}
	return exit;
}

/* ---- records ---- */

static void
record_put(struct ctl *ctl, const struct zone *z, const char *name,
    const char *type, const char *data)
{
	struct json *j = &ctl->show.writer;

	if (!ctl->show.json) {
		(void)fprintf(
		    j->out, "%s %u IN %s %s\n", name, z->ttl, type, data);
		return;
	}
	json_object(j, NULL);
	json_text(j, "name", name);
	json_number(j, "ttl", z->ttl);
	json_text(j, "type", type);
	json_text(j, "data", data);
	json_end(j);
}

/* The first n digits of an EUI as labels, last one first. */
static void
labels_put(const struct eui64 *eui, unsigned n, char out[LABELS_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 0;

	if (n < NIBBLES) {
		out[len++] = '*';
		out[len++] = '.';
	}
	while (n-- > 0) {
		out[len++] =
		    digits[eui->be[n / 2] >> (n % 2 == 0 ? 4 : 0) & 15];
		out[len++] = '.';
	}
	out[len] = '\0';
}

/*
 * The names of a prefix: one, or as many as the digit in which it ends has
 * values.
 */
static void
prefix_put(struct ctl *ctl, const struct zone *z, const struct eui64_prefix *p)
{
	unsigned open_bits = (4 - p->bits % 4U) % 4;
	unsigned n = (p->bits + open_bits) / 4;
	char name[LABELS_MAX + DNS_NAME_MAX + 2];
	char data[64 + DNS_NAME_MAX];

	(void)snprintf(data, sizeof(data),
	    "50 50 \"S\" \"LWNS\" \"\" " SRV_PREFIX "%.*s.", z->target_len,
	    z->target);
	for (unsigned i = 0; i < 1U << open_bits; i++) {
		struct eui64 eui = p->eui;
		char labels[LABELS_MAX];

		if (n > 0) {
			eui.be[(n - 1) / 2] |=
			    (uint8_t)(i << ((n - 1) % 2 == 0 ? 4 : 0));
		}
		labels_put(&eui, n, labels);
		(void)snprintf(name, sizeof(name), "%s%.*s.", labels,
		    z->domain_len, z->domain);
		record_put(ctl, z, name, "NAPTR", data);
	}
}

static void
target_put(struct ctl *ctl, const struct zone *z)
{
	char name[sizeof(SRV_PREFIX) + DNS_NAME_MAX + 2];
	char data[64 + DNS_NAME_MAX];

	(void)snprintf(
	    name, sizeof(name), SRV_PREFIX "%.*s.", z->target_len, z->target);
	(void)snprintf(data, sizeof(data), "0 1 %u %.*s.", z->port,
	    z->target_len, z->target);
	record_put(ctl, z, name, "SRV", data);
}

/*
 * Whether another prefix has all of this one.  Its name must then not stand
 * in the zone: below a name that exists no wildcard above it counts, and the
 * larger prefix would lose JoinEUIs.
 */
static bool
is_covered(const struct eui64_prefix *all, size_t n, size_t i)
{
	for (size_t k = 0; k < n; k++) {
		bool same = all[k].bits == all[i].bits;

		if (k != i && all[k].bits <= all[i].bits && (!same || k < i) &&
		    eui64_prefix_has(&all[k], &all[i].eui)) {
			return true;
		}
	}
	return false;
}

static const char notes[] =
    "; Names of a JoinEUI lead to a service, which leads to the host; the\n"
    "; host needs A or AAAA records of its own, and the SRV stands in its\n"
    "; zone.\n"
    "; A server that looks for no NAPTR asks for the address of the name\n"
    "; itself: give each name the host's A or AAAA records, too.  A CNAME\n"
    "; cannot stand beside a NAPTR.\n";

static void
zone_put(struct ctl *ctl, const struct zone *z, const struct eui64_prefix *all,
    size_t n)
{
	if (ctl->show.json) {
		json_array(&ctl->show.writer, "records");
	} else {
		(void)fputs(notes, ctl->show.writer.out);
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_covered(all, n, i)) {
			prefix_put(ctl, z, &all[i]);
		}
	}
	target_put(ctl, z);
	if (ctl->show.json) {
		json_end(&ctl->show.writer);
	}
}

/* Read what the server answered; *out, as many, is the caller's. */
static enum ctl_exit
prefixes_read(struct ctl *ctl, const Joinery__V1__JoinEuisAnswer *answer,
    struct eui64_prefix **out)
{
	if (answer->n_prefixes == 0) {
		return ctl_fail(ctl, CTL_REFUSED,
		    "name the JoinEUIs that are yours there",
		    "join-euis is empty in joinery.conf: the server answers "
		    "for every JoinEUI, and nobody can publish all");
	}
	*out = sys_xcalloc(answer->n_prefixes, sizeof(**out));
	for (size_t i = 0; i < answer->n_prefixes; i++) {
		if (!eui64_prefix_parse(answer->prefixes[i], &(*out)[i])) {
			return ctl_fail(ctl, CTL_CONNECT, NULL,
			    "the server says \"%s\", which is no prefix",
			    answer->prefixes[i]);
		}
	}
	return CTL_OK;
}

enum ctl_exit
verb_join_eui_zone(struct ctl *ctl)
{
	struct eui64_prefix *prefixes = NULL;
	Joinery__V1__Response *response = NULL;
	struct zone zone;
	enum ctl_exit exit = zone_read(ctl, &zone);

	if (exit == CTL_OK) {
		exit = ask(ctl, &response);
	}
	if (exit == CTL_OK) {
		exit = prefixes_read(ctl, response->join_euis, &prefixes);
	}
	if (exit == CTL_OK) {
		zone_put(ctl, &zone, prefixes, response->join_euis->n_prefixes);
	}
	free(prefixes);
	client_free(response);
	return exit;
}
