/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl_out.h"

#include <sys/stat.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/sys.h"

#define TEMPORARY_END ".XXXXXX"

/* ---- signals ---- */

static const int deadly[] = { SIGHUP, SIGINT, SIGTERM };
static const char *volatile to_remove;

/* Installed to run once: the signal raised again ends us. */
static void
on_signal(int number)
{
	if (to_remove != NULL) {
		(void)unlink(to_remove);
	}
	(void)raise(number);
}

static void
signals_take(void)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++) {
		/* Who runs us under nohup means it. */
		if (sigaction(deadly[i], NULL, &before) == 0 &&
		    before.sa_handler != SIG_IGN) {
			(void)sigaction(deadly[i], &action, NULL);
		}
	}
}

/* ---- files ---- */

static enum ctl_exit
failed(struct ctl *ctl, const char *path, int error)
{
	return ctl_fail(ctl, CTL_LOCAL, NULL, "%s: %s", path, strerror(error));
}

/* A rename puts a file in the place of whatever was there. */
static enum ctl_exit
check_place(struct ctl *ctl, const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0) {
		return errno == ENOENT ? CTL_OK : failed(ctl, path, errno);
	}
	return S_ISREG(st.st_mode)
	    ? CTL_OK
	    : ctl_fail(ctl, CTL_LOCAL, NULL,
		  "%s is there and is no regular file", path);
}

static void
forget(struct ctl_out *out)
{
	to_remove = NULL;
	free(out->temporary);
	out->temporary = NULL;
	out->file = NULL;
}

enum ctl_exit
out_open(struct ctl *ctl, const char *path, struct ctl_out *out)
{
	enum ctl_exit exit;
	size_t len;
	int fd;

	*out = (struct ctl_out){ .file = stdout };
	if (path == NULL || strcmp(path, "-") == 0) {
		return CTL_OK;
	}
	exit = check_place(ctl, path);
	if (exit != CTL_OK) {
		return exit;
	}
	len = strlen(path);
	out->path = path;
	out->temporary = sys_xmalloc(len + sizeof(TEMPORARY_END));
	memcpy(out->temporary, path, len);
	memcpy(out->temporary + len, TEMPORARY_END, sizeof(TEMPORARY_END));
	fd = mkstemp(out->temporary); /* mode 0600 */
	if (fd < 0) {
		exit = failed(ctl, path, errno);
		forget(out);
		return exit;
	}
	to_remove = out->temporary;
	signals_take();
	out->file = fdopen(fd, "w");
	jy_assert(out->file != NULL);
	return CTL_OK;
}

bool
out_flush(struct ctl_out *out)
{
	errno = EIO;
	if (out->error == 0 &&
	    (fflush(out->file) != 0 || ferror(out->file) != 0)) {
		out->error = errno;
	}
	return out->error == 0;
}

enum ctl_exit
out_close(struct ctl *ctl, struct ctl_out *out, enum ctl_exit exit)
{
	if (out->path == NULL) {
		return exit; /* main looks after standard output */
	}
	if (out_flush(out) && fsync(fileno(out->file)) != 0) {
		out->error = errno;
	}
	if (out->error != 0 && exit == CTL_OK) {
		exit = failed(ctl, out->path, out->error);
	}
	(void)fclose(out->file);
	if (exit == CTL_OK && rename(out->temporary, out->path) != 0) {
		exit = failed(ctl, out->path, errno);
	}
	if (exit != CTL_OK) {
		(void)unlink(out->temporary);
	}
	forget(out);
	return exit;
}
