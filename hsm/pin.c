/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a PIN comes from: file:PATH, fd:N, credential:NAME (a file in the
 * directory that systemd gives a service), prompt: (the terminal).
 *
 * A file must be a regular one that belongs to us or root and that nobody
 * else may read.  This is checked on the open descriptor, so that what was
 * checked is what is read.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "hsm/internal.h"

/* Read up to the end; one newline at the end is not part of the PIN. */
static enum jy_err
read_all(int fd, bool line, struct secret *pin, struct errctx *ec)
{
	uint8_t *data = secret_data(pin);
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, data + len, secret_cap(pin) - len);
		if (n < 0 && errno != EINTR) {
			return err_set(ec, JY_ECONFIG, "read the PIN: %s",
			    strerror(errno));
		}
		len += n > 0 ? (size_t)n : 0;
		if (line && len > 0 && data[len - 1] == '\n') {
			break;
		}
	} while (n != 0 && len < secret_cap(pin));
	if (len > 0 && data[len - 1] == '\n') {
		len--;
	}
	if (len > PIN_MAX) {
		return err_set(
		    ec, JY_ECONFIG, "PIN is longer than %d octets", PIN_MAX);
	}
	secret_set_len(pin, len);
	return JY_OK;
}

static enum jy_err
check_file(int fd, const char *path, struct errctx *ec)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return err_set(
		    ec, JY_ECONFIG, "PIN file %s: %s", path, strerror(errno));
	}
	if (!S_ISREG(st.st_mode)) {
		return err_set(
		    ec, JY_ECONFIG, "PIN file %s is not a regular file", path);
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		return err_set(ec, JY_ECONFIG,
		    "PIN file %s belongs to another user", path);
	}
	if ((st.st_mode & 077) != 0) {
		return err_set(ec, JY_ECONFIG,
		    "PIN file %s: others may read it (mode %03o, want 600)",
		    path, (unsigned)(st.st_mode & 0777));
	}
	return JY_OK;
}

static enum jy_err
read_file(const char *path, struct secret *pin, struct errctx *ec)
{
	enum jy_err err;
	int fd;

	/* O_NONBLOCK: a FIFO must not stop us before it is refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return err_set(
		    ec, JY_ECONFIG, "PIN file %s: %s", path, strerror(errno));
	}
	err = check_file(fd, path, ec);
	if (err == JY_OK) {
		err = read_all(fd, false, pin, ec);
	}
	(void)close(fd);
	return err;
}

static enum jy_err
read_credential(const char *name, struct secret *pin, struct errctx *ec)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	int n;

	if (dir == NULL || name[0] == '\0' || strchr(name, '/') != NULL) {
		return err_set(ec, JY_ECONFIG, "PIN credential \"%s\": %s",
		    name,
		    dir == NULL ? "no CREDENTIALS_DIRECTORY"
				: "not a credential's name");
	}
	n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		return err_set(ec, JY_ECONFIG, "PIN credential: long path");
	}
	return read_file(path, pin, ec);
}

static enum jy_err
read_fd(const char *number, struct secret *pin, struct errctx *ec)
{
	char *end = NULL;
	enum jy_err err;
	long fd;

	errno = 0;
	fd = strtol(number, &end, 10);
	if (errno != 0 || end == number || *end != '\0' || fd < 0 ||
	    fd > 65535) {
		return err_set(ec, JY_ECONFIG,
		    "pin-source: \"%s\" is no descriptor", number);
	}
	err = read_all((int)fd, false, pin, ec);
	/* Read once; nobody after us may find it. */
	(void)close((int)fd);
	return err;
}

static enum jy_err
read_prompt(const char *rest, struct secret *pin, struct errctx *ec)
{
	static const char text[] = "PIN: ";
	struct termios old, quiet;
	enum jy_err err;
	int fd;

	if (rest[0] != '\0') {
		return err_set(
		    ec, JY_ECONFIG, "pin-source: text after prompt:");
	}
	fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &old) != 0) {
		if (fd >= 0) {
			(void)close(fd);
		}
		return err_set(ec, JY_ECONFIG, "PIN prompt: no terminal");
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(fd, TCSAFLUSH, &quiet);
	if (write(fd, text, sizeof(text) - 1) < 0) {
		err =
		    err_set(ec, JY_ECONFIG, "PIN prompt: %s", strerror(errno));
	} else {
		err = read_all(fd, true, pin, ec);
	}
	(void)tcsetattr(fd, TCSAFLUSH, &old);
	(void)close(fd);
	return err;
}

static const struct {
	const char *prefix;
	enum jy_err (*read)(
	    const char *rest, struct secret *pin, struct errctx *ec);
} pin_sources[] = {
	{ "file:", read_file },
	{ "fd:", read_fd },
	{ "credential:", read_credential },
	{ "prompt:", read_prompt },
};

enum jy_err
pin_read(const char *source, struct secret **out, struct errctx *ec)
{
	struct secret *pin;
	enum jy_err err;

	for (size_t i = 0; i < ARRAY_LEN(pin_sources); i++) {
		size_t len = strlen(pin_sources[i].prefix);

		if (strncmp(source, pin_sources[i].prefix, len) != 0) {
			continue;
		}
		/* Room for the newline, and to see that it is too long. */
		err = secret_new(PIN_MAX + 2, &pin, ec);
		if (err != JY_OK) {
			return err;
		}
		err = pin_sources[i].read(source + len, pin, ec);
		if (err != JY_OK) {
			secret_free(pin);
			return err;
		}
		*out = pin;
		return JY_OK;
	}
	return err_set(ec, JY_ECONFIG,
	    "pin-source: want file:, fd:, credential: or prompt:");
}
