dnl SPDX-License-Identifier: Apache-2.0
dnl JY_PROBE_CFLAGS(FLAGS): add to JY_CFLAGS each flag the compiler takes.
AC_DEFUN([JY_PROBE_CFLAGS], [
	JY_CFLAGS="$JY_CFLAGS -std=c17"
	for jy_flag in m4_normalize([$1]); do
		AC_MSG_CHECKING([whether $CC takes $jy_flag])
		jy_saved=$CFLAGS
		CFLAGS="$CFLAGS -Werror $jy_flag"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
			[AC_MSG_RESULT([yes]); JY_CFLAGS="$JY_CFLAGS $jy_flag"],
			[AC_MSG_RESULT([no])])
		CFLAGS=$jy_saved
	done
])
