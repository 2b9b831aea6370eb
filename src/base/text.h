/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that people chose: names, labels, identifiers. */
#ifndef JY_BASE_TEXT_H
#define JY_BASE_TEXT_H

#include <stdbool.h>

#include "src/base/err.h"

/*
 * True for well-formed UTF-8 without control characters (C0, DEL, C1): what
 * every peer, log and file can hold.  True for the empty text.
 */
bool text_is_clean(const char *text) JY_CHECK;

#endif
