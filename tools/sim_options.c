/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.  A table says which reader fills which field; keys are
 * only ever read from files or standard input, never from the command line,
 * which every process of the machine can see.
 */
#include "tools/sim_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/seal.h"
#include "tools/sim_auth.h"
#include "tools/sim_device.h"

struct option_def;

typedef enum jy_err option_reader(
    void *field, const struct option_def *def, char *arg, struct errctx *ec);

struct option_def {
	const char *name;
	const char *arg; /* NULL: takes none */
	option_reader *read;
	size_t field; /* offset in struct sim_options */
	uint64_t max;
	unsigned commands;
	const char *help;
};

static enum jy_err
refuse(const struct option_def *def, const char *wanted, struct errctx *ec)
{
	return err_set(ec, JY_EINVAL, "--%s: %s", def->name, wanted);
}

static enum jy_err
read_text(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	const char **out = field;

	if (arg[0] == '\0') {
		return refuse(def, "empty", ec);
	}
	*out = arg;
	return JY_OK;
}

static enum jy_err
read_flag(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	bool *out = field;

	(void)def;
	(void)arg;
	(void)ec;
	*out = true;
	return JY_OK;
}

static enum jy_err
read_number(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_number *out = field;
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 10);
	if (arg[0] < '0' || arg[0] > '9' || *end != '\0' || errno != 0 ||
	    value > def->max) {
		return err_set(ec, JY_EINVAL,
		    "--%s: a number from 0 to %llu is wanted", def->name,
		    (unsigned long long)def->max);
	}
	*out = (struct sim_number){ .set = true, .value = value };
	return JY_OK;
}

/* As many hexadecimal digits as the largest value has octets. */
static enum jy_err
read_hex(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_number *out = field;
	uint64_t value = 0;
	size_t len = 0;
	uint8_t b[8];

	for (uint64_t m = def->max; m > 0; m >>= 8) {
		len++;
	}
	if (!hex_parse(arg, strlen(arg), b, len)) {
		return err_set(ec, JY_EINVAL,
		    "--%s: %zu hexadecimal digits are wanted", def->name,
		    2 * len);
	}
	for (size_t i = 0; i < len; i++) {
		value = value << 8 | b[i];
	}
	if (value > def->max) {
		return err_set(ec, JY_EINVAL, "--%s: at most %llx is possible",
		    def->name, (unsigned long long)def->max);
	}
	*out = (struct sim_number){ .set = true, .value = value };
	return JY_OK;
}

static enum jy_err
read_octets(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_octets *out = field;
	size_t len = strlen(arg) / 2;

	if (len > sizeof(out->b) || !hex_parse(arg, strlen(arg), out->b, len) ||
	    (def->max != 0 && len != def->max)) {
		return refuse(def, "not that many hexadecimal digits", ec);
	}
	out->set = true;
	out->len = len;
	return JY_OK;
}

static enum jy_err
read_eui(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_opt_eui *out = field;

	if (!eui64_parse(arg, &out->eui)) {
		return refuse(def, "16 hexadecimal digits are wanted", ec);
	}
	out->set = true;
	return JY_OK;
}

static enum jy_err
read_version(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	return sim_version_parse(arg, field)
	    ? JY_OK
	    : refuse(def, "1.0.0 to 1.0.4 or 1.1 is wanted", ec);
}

static enum jy_err
read_choice(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	enum sim_choice *out = field;
	bool yes = strcmp(arg, "yes") == 0;

	if (!yes && strcmp(arg, "no") != 0) {
		return refuse(def, "yes or no is wanted", ec);
	}
	*out = yes ? SIM_YES : SIM_NO;
	return JY_OK;
}

/* "0,1,2": digits with commas between them. */
static enum jy_err
read_types(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_types *out = field;
	size_t len = strlen(arg);

	out->count = 0;
	for (size_t i = 0; i < len; i++) {
		bool digit = i % 2 == 0;

		if ((digit ? arg[i] < '0' || arg[i] > '2' : arg[i] != ',') ||
		    out->count == SIM_TYPES_MAX) {
			out->count = 0;
			break;
		}
		if (digit) {
			out->items[out->count++] = (uint8_t)(arg[i] - '0');
		}
	}
	return out->count > 0 && len % 2 == 1
	    ? JY_OK
	    : refuse(
		  def, "0, 1, 2 or several of them, as in 0,1 are wanted", ec);
}

static enum jy_err
read_bi_version(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	bool *out = field;

	*out = strcmp(arg, "1.1") == 0;
	return *out || strcmp(arg, "1.0") == 0
	    ? JY_OK
	    : refuse(def, "1.0 or 1.1 is wanted", ec);
}

static enum jy_err
read_bearer(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct secret **out = field;

	if (arg[0] != '@') {
		return refuse(def, "a token is read from @FILE", ec);
	}
	secret_free(*out);
	*out = NULL;
	return sim_auth_bearer(arg + 1, out, ec);
}

static enum jy_err
read_basic(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct secret **out = field;
	char *colon = strchr(arg, ':');

	if (colon == NULL || colon == arg || colon[1] != '@') {
		return refuse(def, "USER:@FILE is wanted", ec);
	}
	*colon = '\0';
	secret_free(*out);
	*out = NULL;
	return sim_auth_basic(arg, colon + 2, out, ec);
}

static enum jy_err
read_v10_root(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	bool *out = field;

	*out = strcmp(arg, "app") == 0;
	return *out || strcmp(arg, "nwk") == 0
	    ? JY_OK
	    : refuse(def, "nwk or app is wanted", ec);
}

static enum jy_err
read_code(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	const ProtobufCEnumValue *v =
	    protobuf_c_enum_descriptor_get_value_by_name(
		&joinery__v1__error_code__descriptor, arg);
	Joinery__V1__ErrorCode *out = field;

	if (v == NULL || v->value == 0) {
		return refuse(def, "not an error code of the protocol", ec);
	}
	*out = (Joinery__V1__ErrorCode)v->value;
	return JY_OK;
}

/* A key from "@FILE" or "-". */
static enum jy_err
read_key(const struct option_def *def, const char *arg, struct secret **out,
    struct errctx *ec)
{
	if (arg[0] != '@' && strcmp(arg, "-") != 0) {
		return refuse(
		    def, "keys are read from @FILE or - (standard input)", ec);
	}
	return seal_read_key(arg[0] == '@' ? arg + 1 : arg, out, ec);
}

static enum jy_err
read_root(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct secret **out = field;
	struct secret *key = NULL;
	enum jy_err err = read_key(def, arg, &key, ec);

	if (err != JY_OK) {
		return err;
	}
	if (secret_len(key) != 16) {
		secret_free(key);
		return refuse(def, "32 hexadecimal digits are wanted", ec);
	}
	secret_free(*out);
	*out = key;
	return JY_OK;
}

static enum jy_err
read_kek(
    void *field, const struct option_def *def, char *arg, struct errctx *ec)
{
	struct sim_keks *keks = field;
	char *value = strchr(arg, '=');
	struct sim_kek *kek;
	enum jy_err err;

	if (value == NULL || value == arg) {
		return refuse(def, "LABEL=@FILE is wanted", ec);
	}
	if (keks->count == SIM_KEKS_MAX) {
		return refuse(def, "too many", ec);
	}
	kek = &keks->items[keks->count];
	err = read_key(def, value + 1, &kek->key, ec);
	if (err != JY_OK) {
		return err;
	}
	*value = '\0';
	kek->label = arg;
	keks->count++;
	return JY_OK;
}

#define J SIM_COMMAND_JOIN
#define R SIM_COMMAND_REJOIN
#define K SIM_COMMAND_KEYS
#define V SIM_COMMAND_VECTORS
#define H SIM_COMMAND_HOME
#define A (J | R | K | H)
#define OPT(name, arg, read, field, max, commands, help) \
	{ name, arg, read, offsetof(struct sim_options, field), max, commands, \
		help },

static const struct option_def option_defs[] = {
#include "tools/sim_options.def"
};

#undef OPT
#undef J
#undef R
#undef K
#undef V
#undef H
#undef A

uint64_t
sim_options_number(const struct sim_number *n, uint64_t def)
{
	return n->set ? n->value : def;
}

/* ---- what fits together ---- */

bool
sim_options_as(const struct sim_options *o)
{
	return o->as_cert != NULL || o->as_authorization != NULL ||
	    o->as_http_header != NULL;
}

/* What only goes with Backend Interfaces. */
static enum jy_err
check_bi(const struct sim_options *o, struct errctx *ec)
{
	if (o->bi == NULL) {
		return o->authorization == NULL &&
			o->as_authorization == NULL && o->http_header == NULL &&
			o->as_http_header == NULL && !o->bi_1_1
		    ? JY_OK
		    : err_set(ec, JY_EINVAL,
			  "HTTP credentials and --bi-version want --bi");
	}
	if (strncmp(o->bi, "https:", 6) == 0 && o->ca == NULL) {
		return err_set(ec, JY_EINVAL, "--bi with https wants --ca");
	}
	if ((o->cert != NULL) != (o->key != NULL)) {
		return err_set(
		    ec, JY_EINVAL, "--cert and --key belong together");
	}
	if (sim_options_as(o) && o->as_id == NULL) {
		return err_set(ec, JY_EINVAL,
		    "an Application Server over --bi wants --as-id");
	}
	if (o->as_tcp != NULL) {
		return err_set(ec, JY_EINVAL, "--as-tcp does not go with --bi");
	}
	return JY_OK;
}

static enum jy_err
check_connection(const struct sim_options *o, struct errctx *ec)
{
	if ((o->socket != NULL) + (o->tcp != NULL) + (o->bi != NULL) != 1) {
		return err_set(ec, JY_EINVAL, "give --socket, --tcp or --bi");
	}
	if (o->tcp != NULL &&
	    (o->ca == NULL || o->cert == NULL || o->key == NULL)) {
		return err_set(
		    ec, JY_EINVAL, "--tcp wants --ca, --cert and --key");
	}
	if ((o->as_cert != NULL) != (o->as_key != NULL)) {
		return err_set(
		    ec, JY_EINVAL, "--as-cert and --as-key belong together");
	}
	if (o->as_cert != NULL && o->bi == NULL &&
	    (o->ca == NULL || (o->as_tcp == NULL && o->tcp == NULL))) {
		return err_set(ec, JY_EINVAL,
		    "--as-cert wants --ca, and --tcp or --as-tcp");
	}
	return check_bi(o, ec);
}

static enum jy_err
check_keys(const struct sim_options *o, struct errctx *ec)
{
	if (!o->session.set) {
		return err_set(ec, JY_EINVAL, "--session is wanted");
	}
	if (o->bi != NULL &&
	    (!o->join_eui.set || !o->dev_eui.set || !sim_options_as(o))) {
		return err_set(ec, JY_EINVAL,
		    "over --bi only an Application Server fetches keys: "
		    "--join-eui, --dev-eui and its credentials are wanted");
	}
	return JY_OK;
}

static enum jy_err
check_home(const struct sim_options *o, struct errctx *ec)
{
	return o->join_eui.set && o->dev_eui.set && o->net_id.set
	    ? JY_OK
	    : err_set(ec, JY_EINVAL,
		  "--net-id, --join-eui and --dev-eui are wanted");
}

static enum jy_err
check_device(const struct sim_options *o, struct errctx *ec)
{
	bool any = o->join_eui.set || o->dev_eui.set || o->version != 0 ||
	    o->nwk_key != NULL || o->app_key != NULL;
	bool all = o->join_eui.set && o->dev_eui.set && o->version != 0 &&
	    (o->nwk_key != NULL || o->app_key != NULL);

	if (o->devices != NULL && any) {
		return err_set(ec, JY_EINVAL,
		    "--devices says what a device is; give nothing beside it");
	}
	if (o->devices == NULL && !all) {
		return err_set(ec, JY_EINVAL,
		    "--join-eui, --dev-eui, --mac-version and a root key are "
		    "wanted, or --devices");
	}
	if (o->dev_nonce.set && o->devices != NULL) {
		return err_set(ec, JY_EINVAL, "--dev-nonce is for one device");
	}
	if (o->dev_nonce.set && o->state != NULL) {
		return err_set(ec, JY_EINVAL,
		    "--dev-nonce and --state exclude each other");
	}
	return JY_OK;
}

static enum jy_err
check_join(const struct sim_options *o, struct errctx *ec)
{
	enum jy_err err = check_device(o, ec);

	if (err != JY_OK) {
		return err;
	}
	if (!o->net_id.set) {
		return err_set(ec, JY_EINVAL, "--net-id is wanted");
	}
	if (o->repeat_last && o->state == NULL) {
		return err_set(ec, JY_EINVAL, "--repeat-last wants --state");
	}
	if ((o->repeat_last || o->raw_phy.set) &&
	    sim_options_number(&o->count, 1) != 1) {
		return err_set(ec, JY_EINVAL,
		    "--repeat-last and --raw-phy send one request");
	}
	if (sim_options_number(&o->count, 1) == 0 ||
	    sim_options_number(&o->in_flight, 1) == 0) {
		return err_set(
		    ec, JY_EINVAL, "--count and --in-flight start at 1");
	}
	return JY_OK;
}

static enum jy_err
check_all(
    enum sim_command command, const struct sim_options *o, struct errctx *ec)
{
	enum jy_err err;

	if (command == SIM_COMMAND_VECTORS) {
		return JY_OK;
	}
	err = check_connection(o, ec);
	if (err == JY_OK &&
	    (command == SIM_COMMAND_JOIN || command == SIM_COMMAND_REJOIN)) {
		err = check_join(o, ec);
	}
	if (err == JY_OK && command == SIM_COMMAND_REJOIN &&
	    (o->types.count == 0) != o->repeat_last) {
		err = err_set(ec, JY_EINVAL, "give --type or --repeat-last");
	}
	if (err == JY_OK && command == SIM_COMMAND_JOIN && o->repeat_last &&
	    o->types.count > 0) {
		err = err_set(ec, JY_EINVAL,
		    "--repeat-last and --then-rejoin exclude each other");
	}
	if (err == JY_OK && command == SIM_COMMAND_KEYS) {
		err = check_keys(o, ec);
	}
	if (err == JY_OK && command == SIM_COMMAND_HOME) {
		err = check_home(o, ec);
	}
	return err;
}

/* ---- reading ---- */

enum jy_err
sim_options_read(enum sim_command command, int argc, char **argv,
    struct sim_options *out, struct errctx *ec)
{
	struct option longs[ARRAY_LEN(option_defs) + 1];
	enum jy_err err;
	int i = 0;
	int c;

	memset(out, 0, sizeof(*out));
	memset(longs, 0, sizeof(longs));
	for (size_t n = 0; n < ARRAY_LEN(option_defs); n++) {
		longs[n].name = option_defs[n].name;
		longs[n].has_arg = option_defs[n].arg != NULL;
	}
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		const struct option_def *def = &option_defs[i];

		if (c != 0) {
			return err_set(ec, JY_EINVAL,
			    "%s: unknown, or wants "
			    "another number of arguments",
			    argv[optind - 1]);
		}
		if ((def->commands & command) == 0) {
			return refuse(def, "not an option of this command", ec);
		}
		err = def->read((char *)out + def->field, def, optarg, ec);
		if (err != JY_OK) {
			return err;
		}
	}
	if (optind != argc) {
		return err_set(ec, JY_EINVAL, "what is \"%s\"?", argv[optind]);
	}
	return check_all(command, out, ec);
}

static void
keks_fini(struct sim_keks *keks)
{
	for (size_t i = 0; i < keks->count; i++) {
		secret_free(keks->items[i].key);
	}
}

void
sim_options_fini(struct sim_options *o)
{
	secret_free(o->authorization);
	secret_free(o->as_authorization);
	secret_free(o->nwk_key);
	secret_free(o->app_key);
	keks_fini(&o->ns_keks);
	keks_fini(&o->as_keks);
	memset(o, 0, sizeof(*o));
}

void
sim_options_help(enum sim_command command, FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(option_defs); i++) {
		const struct option_def *def = &option_defs[i];
		char left[40];

		if ((def->commands & command) != 0) {
			(void)snprintf(left, sizeof(left), "--%s %s", def->name,
			    def->arg != NULL ? def->arg : "");
			(void)fprintf(out, "  %-24s %s\n", left, def->help);
		}
	}
}
