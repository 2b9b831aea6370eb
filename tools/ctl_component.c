/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Components of a KEK.  At the terminal their holders take turns: what one
 * types is not shown, and the screen is cleared before the next one comes.
 * The terminal gives character by character and no signals meanwhile, so ^C
 * ends us with the terminal as it was.
 */
#include "tools/ctl_component.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define TYPED_MAX 128
#define TRIES_MAX 3

/* ---- putting them together ---- */

static bool
is_zero(const struct secret *s)
{
	uint8_t any = 0;

	for (size_t i = 0; i < secret_len(s); i++) {
		any |= secret_bytes(s)[i];
	}
	return any == 0;
}

static enum jy_err
check_parts(struct secret *const parts[], size_t n, struct errctx *ec)
{
	if (n < COMPONENTS_MIN || n > COMPONENTS_MAX) {
		return err_set(ec, JY_EINVAL,
		    "a KEK has %d or %d components, not %zu", COMPONENTS_MIN,
		    COMPONENTS_MAX, n);
	}
	for (size_t i = 0; i < n; i++) {
		if (secret_len(parts[i]) != secret_len(parts[0])) {
			return err_set(ec, JY_EINVAL,
			    "component %zu has %zu bits, component 1 has %zu",
			    i + 1, secret_len(parts[i]) * 8,
			    secret_len(parts[0]) * 8);
		}
		if (is_zero(parts[i])) {
			return err_set(ec, JY_EINVAL,
			    "component %zu is zero and adds nothing", i + 1);
		}
		for (size_t k = 0; k < i; k++) {
			if (secret_eq(secret_bytes(parts[i]),
				secret_bytes(parts[k]), secret_len(parts[i]))) {
				return err_set(ec, JY_EINVAL,
				    "components %zu and %zu are the same",
				    k + 1, i + 1);
			}
		}
	}
	return JY_OK;
}

enum jy_err
component_join(struct secret *const parts[], size_t n, struct secret **out,
    struct errctx *ec)
{
	struct secret *sum = NULL;
	enum jy_err err = check_parts(parts, n, ec);
	size_t len;

	if (err != JY_OK) {
		return err;
	}
	len = secret_len(parts[0]);
	err = secret_new(len, &sum, ec);
	if (err != JY_OK) {
		return err;
	}
	secret_set_len(sum, len);
	memset(secret_data(sum), 0, len);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < len; k++) {
			secret_data(sum)[k] ^= secret_bytes(parts[i])[k];
		}
	}
	if (is_zero(sum)) {
		secret_free(sum);
		return err_set(ec, JY_EINVAL,
		    "the components cancel each other out: the KEK would be "
		    "zero");
	}
	*out = sum;
	return JY_OK;
}

static enum ctl_exit
local_failed(struct ctl *ctl, enum jy_err err, const struct errctx *ec)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "%s", err_detail(ec, err));
}

/* What its holder may compare; never the component. */
static enum ctl_exit
check_value_text(
    struct ctl *ctl, const struct secret *part, char hex[HEX_STR_LEN(4)])
{
	struct errctx ec = ERRCTX_INIT;
	uint8_t value[4];
	enum jy_err err = seal_check_value(part, value, &ec);

	if (err != JY_OK) {
		return local_failed(ctl, err, &ec);
	}
	hex_format(value, sizeof(value), hex);
	return CTL_OK;
}

/* ---- from files ---- */

static enum ctl_exit
file_read(struct ctl *ctl, const char *value, struct secret **out)
{
	struct errctx ec = ERRCTX_INIT;
	const char *path = NULL;
	enum ctl_exit exit =
	    ctl_secret_path_of(ctl, OPT_COMPONENT, value, &path);
	enum jy_err err;

	if (exit != CTL_OK) {
		return exit;
	}
	ctl_secret_warn(path);
	err = seal_read_key(path, out, &ec);
	return err == JY_OK ? CTL_OK : local_failed(ctl, err, &ec);
}

static enum ctl_exit
files_read(struct ctl *ctl, struct secret *parts[], size_t *n)
{
	const struct ctl_list *files = &ctl->args.components;
	enum ctl_exit exit = CTL_OK;
	char hex[HEX_STR_LEN(4)];
	size_t from_stdin = 0;

	for (size_t i = 0; i < files->count; i++) {
		from_stdin += strcmp(files->items[i], "-") == 0;
	}
	if (from_stdin > 1 || files->count < COMPONENTS_MIN) {
		return ctl_fail(ctl, CTL_USAGE, NULL,
		    from_stdin > 1
			? "only one component can come from standard input"
			: "--component is given 2 or 3 times");
	}
	for (size_t i = 0; i < files->count && exit == CTL_OK; i++) {
		exit = file_read(ctl, files->items[i], &parts[i]);
		if (exit == CTL_OK) {
			*n = i + 1;
			exit = check_value_text(ctl, parts[i], hex);
		}
		if (exit == CTL_OK) {
			(void)fprintf(stderr,
			    "joineryctl: component %zu of %zu: check value "
			    "%s\n",
			    i + 1, files->count, hex);
		}
	}
	return exit;
}

/* ---- at the terminal ---- */

struct terminal {
	int fd;
	struct termios before;
};

static enum ctl_exit
terminal_open(struct ctl *ctl, struct terminal *t)
{
	struct termios quiet;

	t->fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (t->fd < 0 || tcgetattr(t->fd, &t->before) != 0) {
		if (t->fd >= 0) {
			(void)close(t->fd);
		}
		return ctl_fail(ctl, CTL_LOCAL,
		    "--component @FILE reads components from files",
		    "--components needs a terminal");
	}
	quiet = t->before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
	quiet.c_cc[VMIN] = 1;
	quiet.c_cc[VTIME] = 0;
	(void)tcsetattr(t->fd, TCSAFLUSH, &quiet);
	return CTL_OK;
}

static void
terminal_close(struct terminal *t)
{
	(void)tcsetattr(t->fd, TCSAFLUSH, &t->before);
	(void)close(t->fd);
}

/* A line to the terminal; who cannot read it will not answer it either. */
static void JY_PRINTF(2, 3)
    terminal_say(const struct terminal *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vdprintf(t->fd, fmt, ap);
	va_end(ap);
}

/*
 * A line that is not shown; what does not fit is dropped, and too long then
 * for anything it could be.  False at ^C, ^D or the end of the terminal.
 */
static bool
terminal_read(const struct terminal *t, struct secret *line)
{
	size_t len = 0;
	char c;

	for (;;) {
		ssize_t n = read(t->fd, &c, 1);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n != 1 || c == 3 || c == 4) {
			return false;
		}
		if (c == '\n' || c == '\r') {
			break;
		}
		if (c == 8 || c == 127) {
			len -= len > 0 ? 1 : 0;
		} else if (len < secret_cap(line)) {
			secret_data(line)[len++] = (uint8_t)c;
		}
	}
	secret_set_len(line, len);
	return true;
}

static enum ctl_exit
given_up(struct ctl *ctl)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "given up; nothing was sent");
}

/* One component of its holder, who may mistype twice. */
static enum ctl_exit
typed_read(struct ctl *ctl, const struct terminal *t, struct secret *line,
    struct secret **out)
{
	struct errctx ec = ERRCTX_INIT;
	enum jy_err err;

	for (int i = 0; i < TRIES_MAX; i++) {
		if (!terminal_read(t, line)) {
			return given_up(ctl);
		}
		err_clear(&ec);
		err = seal_parse_key(line, "this component", out, &ec);
		if (err == JY_OK) {
			return CTL_OK;
		}
		terminal_say(t, "\n%s%s", err_detail(&ec, err),
		    i + 1 < TRIES_MAX ? "; once more: " : "\n");
	}
	return local_failed(ctl, JY_EINVAL, &ec);
}

static enum ctl_exit
turn(struct ctl *ctl, const struct terminal *t, struct secret *line, size_t i,
    size_t n, struct secret **out)
{
	char hex[HEX_STR_LEN(4)];
	enum ctl_exit exit;

	terminal_say(t,
	    "Component %zu of %zu: its holder types it now, 32, 48 or 64 "
	    "hexadecimal\ndigits, and presses Enter. It is not shown: ",
	    i + 1, n);
	exit = typed_read(ctl, t, line, out);
	if (exit == CTL_OK) {
		exit = check_value_text(ctl, *out, hex);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	terminal_say(
	    t, "\nComponent %zu of %zu: check value %s\n", i + 1, n, hex);
	if (i + 1 == n) {
		return CTL_OK;
	}
	terminal_say(t,
	    "The holder of component %zu comes next; press Enter for the "
	    "turn. ",
	    i + 2);
	if (!terminal_read(t, line)) {
		return given_up(ctl);
	}
	terminal_say(t, "\033[H\033[2J");
	return CTL_OK;
}

static enum ctl_exit
terminal_read_all(struct ctl *ctl, struct secret *parts[], size_t *n)
{
	struct secret *line = NULL;
	struct errctx ec = ERRCTX_INIT;
	struct terminal t;
	enum ctl_exit exit;
	uint32_t wanted;
	enum jy_err err;

	exit = args_number(
	    ctl, OPT_COMPONENTS, COMPONENTS_MIN, COMPONENTS_MAX, &wanted);
	if (exit == CTL_OK) {
		exit = terminal_open(ctl, &t);
	}
	if (exit != CTL_OK) {
		return exit;
	}
	err = secret_new(TYPED_MAX, &line, &ec);
	if (err != JY_OK) {
		exit = local_failed(ctl, err, &ec);
	}
	for (size_t i = 0; i < wanted && exit == CTL_OK; i++) {
		exit = turn(ctl, &t, line, i, wanted, &parts[i]);
		*n = i + (parts[i] != NULL ? 1 : 0);
	}
	secret_free(line);
	terminal_say(&t, "\n");
	terminal_close(&t);
	return exit;
}

enum ctl_exit
component_read(struct ctl *ctl, struct secret **out)
{
	struct secret *parts[COMPONENTS_MAX] = { NULL };
	struct errctx ec = ERRCTX_INIT;
	enum ctl_exit exit;
	enum jy_err err;
	size_t n = 0;

	exit = ctl_given(ctl, COMPONENTS) ? terminal_read_all(ctl, parts, &n)
					  : files_read(ctl, parts, &n);
	if (exit == CTL_OK) {
		err = component_join(parts, n, out, &ec);
		if (err != JY_OK) {
			exit = local_failed(ctl, err, &ec);
		}
	}
	for (size_t i = 0; i < COMPONENTS_MAX; i++) {
		secret_free(parts[i]);
	}
	return exit;
}
