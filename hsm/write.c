/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns at a token.  For the sake of SoftHSM, which
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
#include <string.h>

#include "hsm/internal.h"

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
write_begin(struct hsm *hsm)
{
	if (hsm->writes_in_turns && turn_take(&hsm->turn)) {
		look(hsm);
	}
}

void
write_end(struct hsm *hsm)
{
	if (hsm->writes_in_turns) {
		turn_leave(&hsm->turn);
	}
}

void
write_learn(struct hsm *hsm, const CK_TOKEN_INFO *token)
{
	static const char softhsm[] = "SoftHSM";

	hsm->writes_in_turns =
	    memcmp(token->manufacturerID, softhsm, sizeof(softhsm) - 1) == 0;
}
