/* SPDX-License-Identifier: Apache-2.0 */
/* What bi_write.c needs of the table of results beside bi.h. */
#ifndef JY_BI_BI_RESULT_H
#define JY_BI_BI_RESULT_H

#include "src/bi/bi.h"

/* What a peer's people are told, without the request id; a static string. */
const char *bi_result_description(enum bi_result result);

#endif
