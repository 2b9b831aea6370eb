/* SPDX-License-Identifier: Apache-2.0 */
/* How an error code goes over the wire. */
#ifndef JY_PROTO_ERRCODE_H
#define JY_PROTO_ERRCODE_H

#include "proto/joinery.pb-c.h"
#include "src/base/err.h"

/* The wire code of an error; err is not JY_OK. */
Joinery__V1__ErrorCode errcode_of(enum jy_err err);

/* "MIC_FAILED"; "ERROR_UNKNOWN" for a code this build does not know. */
const char *errcode_name(Joinery__V1__ErrorCode code);

/* What an operator who finds the code in the log can do; never NULL. */
const char *errcode_hint(Joinery__V1__ErrorCode code);

#endif
