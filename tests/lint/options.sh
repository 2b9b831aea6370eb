#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What stands in a table of the source stands in the documentation too.
set -euo pipefail
cd "$(dirname "$0")/../.."

bad=0

# The first string of each row of a table $2 that begins with $1: KIND("name"
rows()
{
	sed -nE "s/^($1)\\(\"([^\"]+)\".*/\\2/p" "$2"
}

# need WHAT FILE...: each line of input stands, as a whole word, in a FILE.
need()
{
	local what=$1 name text
	shift
	local files=()
	for name in "$@"; do
		if [[ -f $name ]]; then
			files+=("$name")
		fi
	done
	if [[ ${#files[@]} -eq 0 ]]; then
		echo "$*: missing, so no $what is documented"
		bad=1
		return
	fi
	# In roff a hyphen may be written \-, a word of two as separate macro
	# arguments; neither matters here.
	text=$(sed 's/\\-/-/g; s/\\&//g' "${files[@]}" | tr -s ' \t' ' ')
	while read -r name; do
		if ! grep -qE -- "(^|[^A-Za-z0-9_])$name([^A-Za-z0-9_-]|$)" \
			<<<"$text"; then
			echo "$*: $what $name is missing"
			bad=1
		fi
	done
}

man_pages=(man/*.[1-9])

need option man/joinery.conf.5 < <(
	rows 'STR|NUM|BOOL|LIST' src/conf/conf.def)

# Counters: X(name, meaning).
need counter "${man_pages[@]}" < <(
	for table in proto/counters.def src/front/stats.def; do
		if [[ -f $table ]]; then
			sed -nE 's/^X\(([a-z0-9_]+),.*/\1/p' "$table"
		fi
	done)

need 'error code' PROTOCOL.md < <(
	sed -nE '/^enum ErrorCode/,/^}/s/^  ([A-Z_]+) = .*/\1/p' \
		proto/joinery.proto | grep -v UNSPECIFIED)

# Calls: the members of the oneof, which PROTOCOL.md explains one by one.
need call PROTOCOL.md < <(
	sed -nE '/oneof call/,/}/s/^ +[A-Za-z]+ ([a-z_]+) = .*/\1/p' \
		proto/joinery.proto)

if [[ -f tools/ctl.def ]]; then
	need verb man/joineryctl.1 < <(rows VERB tools/ctl.def)
	need option man/joineryctl.1 < <(
		sed -nE 's/^OPTION\([A-Z0-9_]+, "([^"]+)".*/\1/p' tools/ctl.def)
fi
if [[ -f tools/sim_options.def ]]; then
	need option man/joinery-sim.1 < <(rows OPT tools/sim_options.def)
fi

exit "$bad"
