/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of joineryctl share: the command line taken apart, the
 * connection, the output and the one error that ends a run.
 */
#ifndef JY_TOOLS_CTL_H
#define JY_TOOLS_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"
#include "src/base/prefix.h"
#include "src/store/rows.h"
#include "tools/client.h"
#include "tools/ctl_show.h"
#include "tools/seal.h"

/* Exit statuses; documented, never to change their meaning. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1,   /* the server answered with an error */
	CTL_USAGE = 2,     /* the command line is wrong */
	CTL_CONNECT = 3,   /* no connection, or it was lost */
	CTL_NOT_FOUND = 4, /* the server knows no such thing */
	CTL_LOCAL = 5      /* a file or a key here */
};

enum ctl_option {
#define OPTION(id, name, value, help) OPT_##id,
#include "tools/ctl.def"
#undef OPTION
	OPT_COUNT
};

/* A set of options: a bit each.  Joinery's database wants 64 bits anyway. */
__extension__ typedef unsigned __int128 ctl_set;

_Static_assert(OPT_COUNT <= 128, "too many options for one set");

#define CTL_BIT(option) ((ctl_set)1 << (option))
#define O(id) CTL_BIT(OPT_##id)
#define CTL_GLOBAL \
	(O(SOCKET) | O(TCP) | O(CA) | O(CERT) | O(TLS_KEY) | O(CONFIG) | \
	    O(TIMEOUT) | O(JSON) | O(HELP) | O(SHOW_VERSION))

struct option_row {
	const char *name;
	const char *value; /* "" for a flag */
	const char *help;
};

extern const struct option_row ctl_options[OPT_COUNT];

struct ctl;

typedef enum ctl_exit verb_run(struct ctl *ctl);

struct verb {
	const char *words;
	const char *operand;
	ctl_set required;
	ctl_set optional;
	verb_run *run;
	const char *help;
};

extern const struct verb ctl_verbs[];
extern const size_t ctl_verb_count;

#define CTL_WORDS_MAX 4
#define CTL_COMPONENTS_MAX 3           /* of a KEK */
#define CTL_LIST_MAX STORE_NET_IDS_MAX /* the longest there is */

/* The values of an option that may be repeated. */
struct ctl_list {
	const char *items[CTL_LIST_MAX];
	size_t count;
};

struct ctl_args {
	const char *words[CTL_WORDS_MAX]; /* verb and operand as given */
	size_t word_count;
	const struct verb *verb; /* NULL until it is known */
	const char *operand;     /* NULL if the verb takes none */
	ctl_set given;
	const char *value[OPT_COUNT]; /* of options given; the last one */
	struct ctl_list net_ids;
	struct ctl_list roaming_net_ids;
	struct ctl_list as_ids;
	struct ctl_list ns_ids;
	struct ctl_list columns;
	struct ctl_list components;
};

struct ctl_error {
	char code[32]; /* of the server, or "USAGE", "CONNECT", "LOCAL" */
	char text[400];
	char hint[320];      /* what to do next; "" if unknown */
	char request_id[64]; /* "" if the server gave none */
};

struct ctl {
	struct ctl_args args;
	struct show show;
	struct client *client; /* NULL until the first call */
	struct ctl_error error;
};

#define ctl_given(ctl, id) (((ctl)->args.given & O(id)) != 0)
#define ctl_value(ctl, id) ((ctl)->args.value[OPT_##id])

/* ---- ctl.c ---- */

/*
 * Record why the run ends and return exit, for "return ctl_fail(...)"; main
 * prints it.  hint says what to do next; NULL for nothing.
 */
enum ctl_exit ctl_fail(struct ctl *ctl, enum ctl_exit exit, const char *hint,
    const char *fmt, ...) JY_PRINTF(4, 5) JY_CHECK;

/* ---- ctl_args.c ---- */

/* Take the command line apart; help and version leave args.verb NULL. */
enum ctl_exit args_parse(struct ctl *ctl, int argc, char **argv) JY_CHECK;

/*
 * Values of options; each fails with CTL_USAGE and what it would have to be.
 * The _text ones take a limit in octets.
 */
enum ctl_exit args_number(struct ctl *ctl, enum ctl_option option, uint32_t min,
    uint32_t max, uint32_t *out) JY_CHECK;
enum ctl_exit args_bool(
    struct ctl *ctl, enum ctl_option option, protobuf_c_boolean *out) JY_CHECK;
enum ctl_exit args_text(
    struct ctl *ctl, enum ctl_option option, size_t max, char **out) JY_CHECK;

/* Texts, each if its option was given. */
struct args_text_row {
	enum ctl_option option;
	size_t max;
	char **out;
};
enum ctl_exit args_texts(
    struct ctl *ctl, const struct args_text_row *rows, size_t n) JY_CHECK;

/* Fails if both options were given. */
enum ctl_exit args_exclude(
    struct ctl *ctl, enum ctl_option a, enum ctl_option b) JY_CHECK;

enum ctl_exit args_operand(struct ctl *ctl, size_t max, char **out) JY_CHECK;
enum ctl_exit args_eui(
    struct ctl *ctl, enum ctl_option option, struct eui64 *out) JY_CHECK;

/* The NetIDs of --net-id or --roaming-net-id. */
enum ctl_exit args_net_ids(struct ctl *ctl, enum ctl_option option,
    const struct ctl_list *list, uint32_t out[STORE_NET_IDS_MAX]) JY_CHECK;

/*
 * An argument as an error may show it: never one that could be a key.
 * A static text or arg itself.
 */
const char *args_shown(const char *arg);

/* ---- ctl_help.c ---- */

/* Help for the words of args: all, a group of verbs, or one verb. */
enum ctl_exit help_print(struct ctl *ctl, FILE *out) JY_CHECK;

void help_usage(FILE *out, const struct verb *verb);

/* What follows a word that several verbs begin with: "set, get"; "": none. */
void help_group(const char *word, char *out, size_t cap);

/* The verb, or the option, whose name is nearest to text; never NULL. */
const struct verb *help_nearest_verb(const char *text);
const char *help_nearest_option(const char *text);

/* ---- ctl_call.c ---- */

/*
 * Connect if we are not.  After a failure, and after ctl_disconnect, the next
 * call tries again.
 */
enum ctl_exit ctl_connect(struct ctl *ctl) JY_CHECK;
void ctl_disconnect(struct ctl *ctl);

/* End at an Error answer, with a hint. */
enum ctl_exit ctl_error_answered(
    struct ctl *ctl, const Joinery__V1__Error *error) JY_CHECK;

/* End for a connection that failed. */
enum ctl_exit ctl_connection_failed(
    struct ctl *ctl, enum jy_err err, const struct errctx *ec) JY_CHECK;

/*
 * Ask, connecting first if need be.  An Error answer is a failure here, with
 * a hint; any other answer than expected too.  Free *out with client_free.
 */
enum ctl_exit ctl_call(struct ctl *ctl, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected,
    Joinery__V1__Response **out) JY_CHECK;

/* Wait for one more answer, after a call that gets several. */
enum ctl_exit ctl_receive(struct ctl *ctl,
    Joinery__V1__Response__ResultCase expected,
    Joinery__V1__Response **out) JY_CHECK;

/*
 * For many requests: send one, connecting first if need be.  The caller
 * chooses request->id, and bounds how many are under way.
 */
enum ctl_exit ctl_send(
    struct ctl *ctl, const Joinery__V1__Request *request) JY_CHECK;

/* Put what ctl_send gathered on its way, before something else is done. */
enum ctl_exit ctl_flush(struct ctl *ctl) JY_CHECK;

/* The next answer, an Error too; free it with client_free. */
enum ctl_exit ctl_receive_any(
    struct ctl *ctl, Joinery__V1__Response **out) JY_CHECK;

/* Fail as ctl_call does for an Error answer, or for one nobody asked for. */
enum ctl_exit ctl_answer_unwanted(
    struct ctl *ctl, const Joinery__V1__Response *response) JY_CHECK;

/*
 * After a failure: true if it may be over soon (no connection, BUSY, TIMEOUT)
 * and *tries, which starts at 0, is not at its end.  The connection, and what
 * was under way on it, are gone then, and a while has passed, longer each
 * time; the next call connects anew.  People are told.
 */
bool ctl_wait_out(
    struct ctl *ctl, enum ctl_exit exit, unsigned *tries) JY_CHECK;

/* From here on wait for answers as long as it takes. */
void ctl_wait_forever(struct ctl *ctl);

/* Ask, and show the answer; human readers see said if it says nothing. */
enum ctl_exit ctl_call_and_show(struct ctl *ctl, Joinery__V1__Request *request,
    Joinery__V1__Response__ResultCase expected, const char *said) JY_CHECK;

/* The message inside of an answer. */
const ProtobufCMessage *ctl_result(const Joinery__V1__Response *response);

/* ---- ctl_activation.c ---- */

/* What --net-id, --as-id, --roaming and their like say. */
struct ctl_activation {
	bool net_ids_given;
	uint32_t net_ids[STORE_NET_IDS_MAX];
	size_t net_id_count;
	char *as_id; /* NULL: not given */
	char *ns_kek;
	char *as_kek;
	bool ns_id_given;
	struct eui64 ns_id;
	size_t ns_id_len; /* 0: take it away */
	bool roaming_given;
	Joinery__V1__Roaming roaming;
	bool roaming_net_ids_given;
	uint32_t roaming_net_ids[STORE_NET_IDS_MAX];
	size_t roaming_net_id_count;
};

enum ctl_exit activation_read(
    struct ctl *ctl, struct ctl_activation *out) JY_CHECK;

/* Into a message, which borrows from a. */
void activation_put_device(
    struct ctl_activation *a, Joinery__V1__DeviceSettings *m);
void activation_put_app(struct ctl_activation *a, Joinery__V1__App *m);

/* ---- ctl_credential.c ---- */

/* What the credential options make of a peer's message. */
struct ctl_credentials {
	uint8_t bearer_hash[SEAL_HASH_LEN];
	uint8_t basic_hash[SEAL_HASH_LEN];
	/* Made here, to be shown once it is stored; NULL: given or none. */
	struct secret *new_token;
	struct secret *new_password;
};

/* Fill in the peer's fields; also after a failure end with _fini. */
enum ctl_exit credentials_read(struct ctl *ctl, Joinery__V1__Peer *p,
    struct ctl_credentials *out) JY_CHECK;
void credentials_show_new(
    struct ctl *ctl, const struct ctl_credentials *credentials);
void credentials_fini(struct ctl_credentials *credentials);

/* ---- ctl_key.c ---- */

/*
 * Where an option's secret comes from: "-", or the path behind "@"; anything
 * else might be the secret itself.  A warning if others may read the file.
 */
enum ctl_exit ctl_secret_path(
    struct ctl *ctl, enum ctl_option option, const char **path) JY_CHECK;

/* Likewise from one of the values of an option that may be repeated. */
enum ctl_exit ctl_secret_path_of(struct ctl *ctl, enum ctl_option option,
    const char *value, const char **path) JY_CHECK;
void ctl_secret_warn(const char *path);

/* A key on its way from a file into a request. */
struct ctl_key {
	enum ctl_option option;
	size_t len; /* octets it must have; 0: any length of AES */
	struct sealed_key *sealed; /* what message points at */
	Joinery__V1__SealedKey message;
};

/*
 * Read and seal those of the n keys whose option was given: their message is
 * then ready to be sent until ctl_keys_fini.
 */
enum ctl_exit ctl_keys_seal(
    struct ctl *ctl, struct ctl_key *keys, size_t n) JY_CHECK;

/* Seal a key that is at hand already, likewise. */
enum ctl_exit ctl_key_seal(
    struct ctl *ctl, const struct secret *clear, struct ctl_key *key) JY_CHECK;
void ctl_keys_fini(struct ctl_key *keys, size_t n);

/* ---- ctl_custody.c ---- */

/* Where root keys are kept, as a part of what "status" shows. */
enum ctl_exit custody_show(struct ctl *ctl) JY_CHECK;
/* ---- ctl_device.c ---- */

/* --dev-eui, and --join-eui or else the server's default. */
enum ctl_exit device_euis_read(
    struct ctl *ctl, struct eui64 *join_eui, struct eui64 *dev_eui) JY_CHECK;

/* ---- ctl_list.c ---- */

/* What a list of devices is asked for; a request borrows from it. */
struct ctl_query {
	struct eui64 dev_eui;
	struct eui64 join_eui;
	Joinery__V1__DeviceId after;
	char prefix[EUI64_PREFIX_STR_LEN];
};

/* Read --app, --prefix and --after into a request. */
enum ctl_exit query_read(struct ctl *ctl, struct ctl_query *query,
    Joinery__V1__DeviceListRequest *out) JY_CHECK;

/* A device as --after takes it; false if the message is none. */
#define CTL_CURSOR_LEN (2 * EUI64_STR_LEN)
bool query_cursor(
    const Joinery__V1__DeviceId *id, char out[CTL_CURSOR_LEN]) JY_CHECK;

/* ---- ctl_batch.c ---- */

/* "device delete --file" and "device settle --file". */
enum ctl_exit batch_delete(struct ctl *ctl) JY_CHECK;
enum ctl_exit batch_settle(struct ctl *ctl) JY_CHECK;

/*
 * ---- the verbs: ctl_admin.c ctl_app.c ctl_audit.c ctl_custody.c
 * ctl_device.c ctl_export.c ctl_import.c ctl_join_eui.c ctl_kek.c ctl_key.c
 * ctl_list.c ctl_local.c ctl_peer.c
 * ctl_peer_test.c ctl_release.c ctl_seal.c ctl_trace.c ----
 */

#define VERB(words, operand, required, optional, function, help) \
	verb_run function;
#include "tools/ctl.def"
#undef VERB

#endif
