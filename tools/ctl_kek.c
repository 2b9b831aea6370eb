/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs on KEKs.  A KEK comes from one of several sources; whichever it is,
 * only what is sealed or wrapped leaves this program.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/sys.h"
#include "tools/ctl.h"
#include "tools/ctl_component.h"
#include "tools/ctl_out.h"
#include "tools/seal_copy.h"

static enum ctl_exit
local_failed(struct ctl *ctl, enum jy_err err, const struct errctx *ec)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(ec, err));
}

/* ---- where a KEK comes from ---- */

/* As messages want it; end with source_fini, also after a failure. */
struct source {
	struct ctl_key key; /* sealed: key.sealed is not NULL */
	struct seal_copy copy;
	Joinery__V1__KekCopy copy_message;
	bool has_copy;
	uint32_t bits; /* generate; 0: do not */
	uint8_t *for_peer;
	size_t for_peer_len;
	char *wire_label;
};

static struct source
source_init(void)
{
	return (struct source){
		.key = { OPT_KEY, 0, NULL, JOINERY__V1__SEALED_KEY__INIT },
		.copy_message = JOINERY__V1__KEK_COPY__INIT,
	};
}

static void
source_fini(struct source *s)
{
	ctl_keys_fini(&s->key, 1);
	free(s->for_peer);
}

static enum ctl_exit
read_bits(struct ctl *ctl, struct source *s)
{
	enum ctl_exit exit = args_number(ctl, OPT_BITS, 128, 256, &s->bits);

	return exit == CTL_OK && s->bits % 64 != 0
	    ? ctl_fail(ctl, CTL_USAGE, NULL, "--bits is 128, 192 or 256")
	    : exit;
}

static enum ctl_exit
read_key(struct ctl *ctl, struct source *s)
{
	return ctl_keys_seal(ctl, &s->key, 1);
}

static enum ctl_exit
read_components(struct ctl *ctl, struct source *s)
{
	struct secret *kek = NULL;
	enum ctl_exit exit = component_read(ctl, &kek);

	if (exit == CTL_OK) {
		exit = ctl_key_seal(ctl, kek, &s->key);
	}
	secret_free(kek);
	return exit;
}

static enum ctl_exit
read_copy(struct ctl *ctl, struct source *s)
{
	struct errctx ec = ERRCTX_INIT;
	struct seal_copy *c = &s->copy;
	Joinery__V1__KekCopy *m = &s->copy_message;
	enum jy_err err = seal_copy_read(ctl_value(ctl, SEALED), c, &ec);

	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	s->has_copy = true;
	m->has_bits = 1;
	m->bits = c->bits;
	m->has_check_value = 1;
	m->check_value =
	    (ProtobufCBinaryData){ sizeof(c->check_value), c->check_value };
	m->oaep_hash = c->oaep_hash;
	m->has_public_key = 1;
	m->public_key =
	    (ProtobufCBinaryData){ sizeof(c->public_key), c->public_key };
	m->has_wrapped_key = 1;
	m->wrapped_key =
	    (ProtobufCBinaryData){ c->wrapped_key_len, c->wrapped_key };
	return CTL_OK;
}

static const struct {
	enum ctl_option option;
	enum ctl_exit (*read)(struct ctl *ctl, struct source *s);
} sources[] = {
	{ OPT_KEY, read_key },
	{ OPT_SEALED, read_copy },
	{ OPT_COMPONENT, read_components },
	{ OPT_COMPONENTS, read_components },
	{ OPT_BITS, read_bits },
};

static enum ctl_exit
read_for_peer(struct ctl *ctl, struct source *s)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err = seal_read_pem(
	    ctl_value(ctl, FOR_PEER), &s->for_peer, &s->for_peer_len, &ec);

	return err == JY_OK ? CTL_OK : local_failed(ctl, err, &ec);
}

/* What is wrong without a look at any key: nobody shall type one in vain. */
static enum ctl_exit
check_options(struct ctl *ctl, uint8_t expected[4])
{
	const char *text = ctl_value(ctl, EXPECT);

	if (ctl_given(ctl, FOR_PEER) && !ctl_given(ctl, BITS)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--for-peer goes with --bits: a copy is made of a key "
		    "that the token generates");
	}
	if (ctl_given(ctl, OUT) && !ctl_given(ctl, FOR_PEER)) {
		return ctl_fail(
		    ctl, CTL_USAGE, NULL, "--out goes with --for-peer");
	}
	if (!ctl_given(ctl, EXPECT)) {
		return CTL_OK;
	}
	if (ctl_given(ctl, BITS)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "nobody can expect a check value of a key that is made "
		    "only now");
	}
	if (strlen(text) != 8 || !hex_parse(text, 8, expected, 4)) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "--expect-check-value is 8 hexadecimal digits, not \"%s\"",
		    args_shown(text));
	}
	return CTL_OK;
}

/* The check value that somebody else told us must be that of the key. */
static enum ctl_exit
check_expected(
    struct ctl *ctl, const struct source *s, const uint8_t expected[4])
{
	const uint8_t *has =
	    s->has_copy ? s->copy.check_value : s->key.sealed->check_value;
	char hex[HEX_STR_LEN(4)];

	if (memcmp(has, expected, 4) == 0) {
		return CTL_OK;
	}
	hex_format(has, 4, hex);
	return ctl_fail(ctl, CTL_LOCAL,
	    "nothing was sent; another key was meant, or a component is wrong",
	    "the key has the check value %s, not %s", hex,
	    ctl_value(ctl, EXPECT));
}

/* Read the one source that is given, and what goes with it. */
static enum ctl_exit
source_read(struct ctl *ctl, struct source *s)
{
	size_t given = 0, which = 0;
	uint8_t expected[4];
	enum ctl_exit exit;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if ((ctl->args.given & CTL_BIT(sources[i].option)) != 0) {
			which = i;
			given++;
		}
	}
	if (given != 1) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    "%s needs one of --key, --sealed, --component, "
		    "--components%s",
		    ctl->args.verb->words,
		    (ctl->args.verb->optional & O(BITS)) != 0 ? " and --bits"
							      : "");
	}
	exit = check_options(ctl, expected);
	if (exit == CTL_OK) {
		exit = sources[which].read(ctl, s);
	}
	if (exit == CTL_OK && ctl_given(ctl, EXPECT)) {
		exit = check_expected(ctl, s, expected);
	}
	if (exit == CTL_OK && ctl_given(ctl, FOR_PEER)) {
		exit = read_for_peer(ctl, s);
	}
	if (exit == CTL_OK && ctl_given(ctl, WIRE_LABEL)) {
		exit = args_text(
		    ctl, OPT_WIRE_LABEL, STORE_LABEL_MAX, &s->wire_label);
	}
	return exit;
}

/* ---- the copy for the partner ---- */

/* It must be for the partner we meant. */
static enum ctl_exit
copy_take(struct ctl *ctl, const Joinery__V1__KekCopy *m,
    const struct source *s, struct seal_copy *out)
{
	uint8_t fingerprint[SEAL_FINGERPRINT_LEN];
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	if (m == NULL || m->oaep_hash == NULL || m->wire_label == NULL ||
	    strlen(m->oaep_hash) > SEAL_HASH_NAME_MAX ||
	    m->check_value.len != sizeof(out->check_value) ||
	    m->public_key.len != sizeof(out->public_key) ||
	    m->wrapped_key.len == 0 ||
	    m->wrapped_key.len > sizeof(out->wrapped_key)) {
		return ctl_fail(ctl, CTL_CONNECT,
		    "are the server and this program of the same version?",
		    "the answer holds no copy of the KEK");
	}
	err = seal_fingerprint(s->for_peer, s->for_peer_len, fingerprint, &ec);
	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	if (memcmp(m->public_key.data, fingerprint, sizeof(fingerprint)) != 0) {
		return ctl_fail(ctl, CTL_LOCAL,
		    "do not use this KEK; find out what the server is",
		    "the server made the copy for another key than the one in "
		    "%s",
		    ctl_value(ctl, FOR_PEER));
	}
	*out = (struct seal_copy){ .label = m->wire_label,
		.bits = m->bits,
		.wrapped_key_len = m->wrapped_key.len };
	memcpy(out->check_value, m->check_value.data, sizeof(out->check_value));
	memcpy(out->oaep_hash, m->oaep_hash, strlen(m->oaep_hash) + 1);
	memcpy(out->public_key, m->public_key.data, sizeof(out->public_key));
	memcpy(out->wrapped_key, m->wrapped_key.data, m->wrapped_key.len);
	return CTL_OK;
}

static enum ctl_exit
copy_put(struct ctl *ctl, const Joinery__V1__KekAnswer *answer,
    const struct source *s, struct ctl_out *out)
{
	struct errctx ec = ERRCTX_INIT;
	struct seal_copy copy;
	enum ctl_exit exit = copy_take(ctl, answer->copy, s, &copy);
	enum jy_err err;

	if (exit != CTL_OK || (ctl->show.json && out->path == NULL)) {
		return exit; /* in JSON it is a part of the answer */
	}
	err = seal_copy_write(&copy, out->file, &ec);
	return err == JY_OK ? CTL_OK : local_failed(ctl, err, &ec);
}

/* ---- making one ---- */

/* Show the answer: people see the copy as a file, or not at all. */
static void
answer_show(struct ctl *ctl, Joinery__V1__KekAnswer *answer)
{
	Joinery__V1__KekCopy *copy = answer->copy;

	if (!ctl->show.json) {
		answer->copy = NULL;
	}
	show_message(&ctl->show, &answer->base);
	answer->copy = copy;
}

/*
 * Ask, and write the copy if there is one.  Where it goes to is opened first:
 * what cannot be written must not be made.
 */
static enum ctl_exit
ask(struct ctl *ctl, Joinery__V1__Request *request, const struct source *s)
{
	Joinery__V1__Response *response = NULL;
	struct ctl_out out = { .file = stdout };
	enum ctl_exit exit;
	bool made;

	exit = out_open(
	    ctl, ctl_given(ctl, OUT) ? ctl_value(ctl, OUT) : NULL, &out);
	if (exit != CTL_OK) {
		return exit;
	}
	exit = ctl_call(
	    ctl, request, JOINERY__V1__RESPONSE__RESULT_KEK, &response);
	if (exit == CTL_OK) {
		answer_show(ctl, response->kek);
	}
	if (exit == CTL_OK && s->for_peer != NULL) {
		exit = copy_put(ctl, response->kek, s, &out);
	}
	made = response != NULL;
	client_free(response);
	exit = out_close(ctl, &out, exit);
	if (exit != CTL_OK && made) {
		(void)fputs("joineryctl: the KEK is made, but its copy is "
			    "lost: delete or retire it, and make another\n",
		    stderr);
	}
	return exit;
}

enum ctl_exit
verb_kek_import(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekImportRequest call =
	    JOINERY__V1__KEK_IMPORT_REQUEST__INIT;
	struct source s = source_init();
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = source_read(ctl, &s);
	}
	if (exit == CTL_OK) {
		call.key = s.key.sealed != NULL ? &s.key.message : NULL;
		call.copy = s.has_copy ? &s.copy_message : NULL;
		call.wire_label = s.wire_label;
		request.call_case = JOINERY__V1__REQUEST__CALL_KEK_IMPORT;
		request.kek_import = &call;
		exit = ask(ctl, &request, &s);
	}
	source_fini(&s);
	return exit;
}

enum ctl_exit
verb_kek_generate(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekGenerateRequest call =
	    JOINERY__V1__KEK_GENERATE_REQUEST__INIT;
	struct source s = source_init();
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = source_read(ctl, &s);
	}
	if (exit == CTL_OK) {
		call.has_bits = 1;
		call.bits = s.bits;
		call.has_for_peer = s.for_peer != NULL;
		call.for_peer =
		    (ProtobufCBinaryData){ s.for_peer_len, s.for_peer };
		call.wire_label = s.wire_label;
		request.call_case = JOINERY__V1__REQUEST__CALL_KEK_GENERATE;
		request.kek_generate = &call;
		exit = ask(ctl, &request, &s);
	}
	source_fini(&s);
	return exit;
}

/* ---- rotation ---- */

/* "+90s", "+15m", "+2h", "+3d": from now on. */
static bool
parse_ahead(const char *text, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 },
		{ 'd', 86400000 } };
	char *end = NULL;
	unsigned long n;

	if (text[0] != '+' || text[1] < '0' || text[1] > '9') {
		return false;
	}
	n = strtoul(text + 1, &end, 10);
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (end[0] == units[i].unit && end[1] == '\0' && n < 1000000) {
			*out = sys_real.now_ms() + n * units[i].ms;
			return true;
		}
	}
	return false;
}

/* "2026-12-31T23:00:00Z" (RFC 3339), UTC. */
static bool
parse_time(const char *text, uint64_t *out)
{
	struct tm tm = { .tm_isdst = 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	int day = tm.tm_mday;
	time_t seconds;

	if (end == NULL || *end != '\0') {
		return false;
	}
	seconds = timegm(&tm);
	if (seconds <= 0 || tm.tm_mday != day) { /* the 30th of February */
		return false;
	}
	*out = (uint64_t)seconds * 1000;
	return true;
}

enum ctl_exit
verb_kek_rotate(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekRotateRequest call =
	    JOINERY__V1__KEK_ROTATE_REQUEST__INIT;
	struct source s = source_init();
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK && ctl_given(ctl, SWITCH_AT)) {
		const char *at = ctl_value(ctl, SWITCH_AT);

		call.has_switch_at_ms = 1;
		if (!parse_ahead(at, &call.switch_at_ms) &&
		    !parse_time(at, &call.switch_at_ms)) {
			return ctl_fail(ctl, CTL_USAGE, NULL,
			    "--switch-at is a time like 2026-12-31T23:00:00Z, "
			    "or +90s, +15m, +2h, +3d, not \"%s\"",
			    args_shown(at));
		}
	}
	if (exit == CTL_OK) {
		exit = source_read(ctl, &s);
	}
	if (exit == CTL_OK) {
		call.key = s.key.sealed != NULL ? &s.key.message : NULL;
		call.copy = s.has_copy ? &s.copy_message : NULL;
		call.has_bits = s.bits != 0;
		call.bits = s.bits;
		call.has_for_peer = s.for_peer != NULL;
		call.for_peer =
		    (ProtobufCBinaryData){ s.for_peer_len, s.for_peer };
		call.wire_label = s.wire_label;
		request.call_case = JOINERY__V1__REQUEST__CALL_KEK_ROTATE;
		request.kek_rotate = &call;
		exit = ask(ctl, &request, &s);
	}
	source_fini(&s);
	return exit;
}

/* ---- the rest ---- */

/* --generation, if it is given. */
static enum ctl_exit
read_generation(struct ctl *ctl, protobuf_c_boolean *has, uint32_t *out)
{
	*has = ctl_given(ctl, GENERATION);
	return *has ? args_number(ctl, OPT_GENERATION, 1, UINT32_MAX, out)
		    : CTL_OK;
}

enum ctl_exit
verb_kek_retire(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekRetireRequest call =
	    JOINERY__V1__KEK_RETIRE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = read_generation(
		    ctl, &call.has_generation, &call.generation);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	call.has_at_once = 1;
	call.at_once = ctl_given(ctl, AT_ONCE);
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_RETIRE;
	request.kek_retire = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "retired");
}

enum ctl_exit
verb_kek_test(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekTestRequest call = JOINERY__V1__KEK_TEST_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit == CTL_OK) {
		exit = read_generation(
		    ctl, &call.has_generation, &call.generation);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_TEST;
	request.kek_test = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_KEK_TEST, NULL);
}

enum ctl_exit
verb_kek_delete(struct ctl *ctl)
{
	Joinery__V1__Request request = JOINERY__V1__REQUEST__INIT;
	Joinery__V1__KekDeleteRequest call =
	    JOINERY__V1__KEK_DELETE_REQUEST__INIT;
	enum ctl_exit exit = args_operand(ctl, STORE_LABEL_MAX, &call.label);

	if (exit != CTL_OK) {
		return exit;
	}
	request.call_case = JOINERY__V1__REQUEST__CALL_KEK_DELETE;
	request.kek_delete = &call;
	return ctl_call_and_show(
	    ctl, &request, JOINERY__V1__RESPONSE__RESULT_DONE, "deleted");
}
