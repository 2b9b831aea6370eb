/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For clang-tidy only, which includes this first: what its analyzer cannot
 * see because it looks at one file at a time.  A function that sets an error
 * returns that error, so its caller's results are not used.
 */
#include "src/base/err.h"

#define err_set(ec, err, ...) ((void)(err_set)((ec), (err), __VA_ARGS__), (err))
#define err_replace(ec, err, ...) \
	((void)(err_replace)((ec), (err), __VA_ARGS__), (err))
