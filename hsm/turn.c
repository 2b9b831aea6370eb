/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: of the processes of one server, one at a time opens the token or
 * changes what is in it.  For the sake of SoftHSM, which
 *
 * - numbers the changes of a token in a file; whoever makes or destroys an
 *   object takes the next number without a look at what came before it, and
 *   would never see what another had made just then.  So who has the turn
 *   looks first;
 * - writes the token's own file anew at each login, and empties it before
 *   that; who starts meanwhile finds no token.
 *
 * Any other token is only opened in turns: it may be slow to write to, and
 * well able to do several things at once.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hsm/internal.h"

/* The store, where the file lies, is made after the token is first opened. */
static bool
turn_file_open(struct hsm *hsm)
{
	char path[PATH_MAX];

	if (hsm->turn_fd < 0 && hsm->turn_dir != NULL) {
		(void)snprintf(
		    path, sizeof(path), "%s/token.lock", hsm->turn_dir);
		hsm->turn_fd =
		    open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
	}
	return hsm->turn_fd >= 0;
}

static bool
take(struct hsm *hsm)
{
	if (!turn_file_open(hsm)) {
		return false;
	}
	while (flock(hsm->turn_fd, LOCK_EX) != 0 && errno == EINTR) {
	}
	return true;
}

void
turn_take(struct hsm *hsm)
{
	(void)take(hsm);
}

void
turn_leave(struct hsm *hsm)
{
	if (hsm->turn_fd >= 0) {
		(void)flock(hsm->turn_fd, LOCK_UN);
	}
}

/* Any token object will do: before SoftHSM answers it reads the number. */
static void
look(struct hsm *hsm)
{
	CK_OBJECT_CLASS class;
	CK_ATTRIBUTE attr = { CKA_CLASS, &class, sizeof(class) };

	if (hsm->canary_known) {
		(void)P11(hsm,
		    C_GetAttributeValue(
			hsm->anchor, atomic_load(&hsm->canary), &attr, 1));
	}
}

void
turn_to_write(struct hsm *hsm)
{
	if (hsm->writes_in_turns && take(hsm)) {
		look(hsm);
	}
}

void
turn_written(struct hsm *hsm)
{
	if (hsm->writes_in_turns) {
		turn_leave(hsm);
	}
}

void
turn_learn(struct hsm *hsm)
{
	static const char softhsm[] = "SoftHSM";
	CK_INFO info;

	hsm->writes_in_turns = P11(hsm, C_GetInfo(&info)) == CKR_OK &&
	    memcmp(info.manufacturerID, softhsm, sizeof(softhsm) - 1) == 0;
}
