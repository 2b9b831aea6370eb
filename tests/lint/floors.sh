#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Floors and doors of ARCHITECTURE.md: who may include what.
#
#   floors.sh [ROOT]       check the tree at ROOT (default: this one)
set -euo pipefail

# FILES, as the beginning of their path: where they may include from.  Of two
# rows that fit the longer one counts.
floors='
src/base/:     src/base/
src/lorawan/:  src/base/ src/lorawan/
src/conf/:     src/base/ src/conf/
hsm/:          src/base/ hsm/
proto/:        src/base/ proto/
src/store/:    src/base/ src/lorawan/ src/store/
src/bi/:       src/base/ src/lorawan/ proto/ src/bi/
src/join/:     src/base/ src/lorawan/ hsm/ src/store/ src/join/
src/worker/:   src/base/ src/lorawan/ src/conf/ hsm/ proto/ src/store/ src/join/ src/worker/
src/front/:    src/base/ src/conf/ proto/ src/bi/ src/front/ src/worker/status.h
tools/:        src/base/ src/lorawan/ proto/ src/store/rows.h tools/
tools/ctl:     src/base/ src/lorawan/ proto/ src/store/rows.h src/bi/ tools/
tools/bench:   src/base/ src/lorawan/ src/conf/ hsm/ proto/ src/store/ src/join/ tools/
'

# HEADER: the folders, or beginnings of file names, that may include it.
doors='
confuse.h:    src/conf/
p11-kit/:     hsm/ tools/bench_fleet_floor.
lmdb.h:       src/store/lmdb
event2/:      src/front/
event.h:      src/front/
openssl/:     src/front/tls tools/client_link. tools/seal. tools/seal_copy. tools/seal_digest. tools/seal_file. tools/sim tools/bench_cert.
protobuf-c/:  proto/ src/worker/ src/front/ src/bi/ tools/
.pb-c.h:      proto/ src/worker/ src/front/ src/bi/ tools/
jansson.h:    src/bi/ tools/client_bi. tools/ctl_euis_json. tools/ctl_seal
'

# Folders of system headers; any other <folder/header.h> needs a door.
system='arpa/ linux/ net/ netinet/ sys/'

folders()
{
	sed -nE 's|^([^:]*)/:.*|\1|p' <<<"$floors"
}

# Print every #include of C files below the floors of root $1 that is wrong.
check()
{
	local folders
	folders=$(folders)
	(
		cd "$1"
		# shellcheck disable=SC2086 # folder names without blanks
		find $folders -name '*.[ch]' -o -name '*.def' |
			LC_ALL=C sort | xargs -r grep -HnE '^[ 	]*#[ 	]*include'
	) | awk -v floors="$floors" -v doors="$doors" -v system_dirs="$system" '
		# 1 if text begins with one of the words.
		function begins(text, words,   n, w, i) {
			n = split(words, w, " ")
			for (i = 1; i <= n; i++)
				if (index(text, w[i]) == 1)
					return 1
			return 0
		}
		function load(table, out,   n, line, i, at) {
			n = split(table, line, "\n")
			for (i = 1; i <= n; i++) {
				at = index(line[i], ":")
				if (at > 0)
					out[substr(line[i], 1, at - 1)] = \
					    substr(line[i], at + 1)
			}
		}
		# The row of doors for a header, "" if it needs none.
		function door_of(header,   d) {
			for (d in door)
				if (index(header, d) == 1 ||
				    (d ~ /^\./ && substr(header,
					length(header) - length(d) + 1) == d))
					return d
			return ""
		}
		function row_of(file,   f, best) {
			best = ""
			for (f in floor)
				if (index(file, f) == 1 && length(f) > length(best))
					best = f
			return best
		}
		function wrong(why) {
			print file ":" line_no ": " header ": " why
		}
		BEGIN { load(floors, floor); load(doors, door) }
		{
			split($0, part, ":")
			file = part[1]; line_no = part[2]
			if (!match($0, /[<"][^>"]*[>"]/)) next
			quote = substr($0, RSTART, 1)
			header = substr($0, RSTART + 1, RLENGTH - 2)
			row = row_of(file)
			d = door_of(header)
			if (d != "" && !begins(file, door[d]))
				wrong("this library has another door")
			else if (quote == "\"" && header != "config.h" &&
			    !begins(header, floor[row]))
				wrong("not on a floor below " row)
			else if (quote == "<" && d == "" && header ~ /\// &&
			    !begins(header, system_dirs))
				wrong("a library without a door")
		}'
}

# Each of these must be reported, or the check itself is broken.
self_test()
{
	local dir file header found=0 planted=0
	dir=$(mktemp -d)
	(cd "$dir" && folders | xargs mkdir -p)
	while read -r file header; do
		echo "#include $header" >>"$dir/$file"
		planted=$((planted + 1))
	done <<-'END'
		src/base/a.c "src/lorawan/frame.h"
		src/lorawan/a.c "src/store/rows.h"
		src/lorawan/a.c "proto/frame.h"
		src/store/a.c "hsm/hsm.h"
		src/store/store.c <lmdb.h>
		src/join/a.h "src/worker/pool.h"
		src/join/a.h "proto/joinery.pb-c.h"
		src/front/a.c "src/store/store.h"
		src/front/a.c "src/worker/pool.h"
		src/front/conn.c <openssl/ssl.h>
		src/worker/a.c "src/front/route.h"
		src/worker/a.c <event2/event.h>
		src/worker/a.c <p11-kit/p11-kit.h>
		hsm/a.c "src/lorawan/frame.h"
		hsm/a.def "a.h"
		tools/ctl.c <openssl/evp.h>
		tools/a.c "hsm/hsm.h"
		tools/bench.c "src/worker/pool.h"
		proto/a.c <curl/curl.h>
	END
	echo '#include "hsm/hsm.h"' >>"$dir/tools/bench.c"
	cat >"$dir/src/front/tls.c" <<-'END'
		#include "src/front/tls.h"
		#include <sys/types.h>
		#include <openssl/ssl.h>
		#include "config.h"
		#include "proto/joinery.pb-c.h"
		#include "src/worker/status.h"
	END
	found=$(check "$dir" | wc -l)
	rm -r "$dir"
	if [[ $found -ne $planted ]]; then
		echo "floors.sh: finds $found of $planted planted faults" >&2
		return 1
	fi
}

self_test
bad=$(check "${1:-$(dirname "$0")/../..}")
if [[ -n $bad ]]; then
	echo "$bad"
	exit 1
fi
