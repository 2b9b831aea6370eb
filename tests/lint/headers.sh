#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each header compiles alone.  JOINERY_BUILDDIR has the generated headers.
set -euo pipefail
cd "$(dirname "$0")/../.."
builddir=${JOINERY_BUILDDIR:-build}

libraries='libprotobuf-c libevent openssl p11-kit-1 lmdb libconfuse jansson'
# shellcheck disable=SC2086 # a list of names
read -ra flags <<<"$(pkg-config --cflags $libraries)"
flags+=(-std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. "-I$builddir")

find src hsm proto tools -name '*.h' -print0 | LC_ALL=C sort -z |
	xargs -0 -r -P "$(nproc)" -I{} \
		gcc "${flags[@]}" -fsyntax-only -include {} -x c /dev/null
