#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What every file of the tree must be like: licence line, length of files and
# functions, no leftovers, no names of a single machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

max_file=600
max_function=80
bad=0

complain()
{
	echo "$1"
	bad=1
}

# Files of the tree, one a line: what git knows or would take.
files()
{
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard | sort -u |
			while read -r f; do
				if [[ -f $f ]]; then
					echo "$f"
				fi
			done
	else
		find . -path './build*' -prune -o -type f -print | sed 's|^\./||'
	fi | grep -v '^tests/fuzz/corpus/'
}

sources()
{
	files | grep -E '(\.(c|h|def|proto|m4|sh|py)|^dev|^\.ci/run)$'
}

# The licence stands in the first line, or in the second below "#!".
licence()
{
	local f
	while read -r f; do
		if ! head -n 2 "$f" | awk '
			/SPDX-License-Identifier: Apache-2\.0/ { ok = NR == 1 || bang }
			NR == 1 { bang = /^#!/ }
			END { exit !ok }'; then
			complain "$f: no SPDX line at the top"
		fi
	done < <(sources)
}

# grep_all WHY PATTERN FILE...: no line of the files matches.
grep_all()
{
	local why=$1 pattern=$2 found
	shift 2
	found=$(printf '%s\n' "$@" | xargs -r grep -InE -- "$pattern" || true)
	if [[ -n $found ]]; then
		complain "$found"
		echo "($why)"
	fi
}

leftovers()
{
	local all
	mapfile -t all < <(files | grep -v -e '^LICENSE$' -e '^tests/lint/tree.sh$')
	grep_all 'left over' '\b(X''XX|TO''DO|FIX''ME)\b' "${all[@]}"
	grep_all 'white space at the end' '[ 	]+$' "${all[@]}"
	grep_all 'path of one machine' '(^|[^A-Za-z0-9_.])/(work|tmp/wt|home/[a-z]+|root)/' \
		"${all[@]}"
	grep_all 'carriage return' $'\r' "${all[@]}"
}

# A wire format stays in one file, however long.
long_files()
{
	local f n
	while read -r f; do
		n=$(wc -l <"$f")
		if [[ $n -gt $max_file ]]; then
			complain "$f: $n lines, $max_file are allowed"
		fi
	done < <(sources | grep -E '^(src|hsm|tools|proto)/' |
		grep -v '\.proto$')
}

# A body is what stands between "{" and "}" in the first column; the function
# has the name on the line above.  A table ends with "};" and is no function.
long_functions()
{
	local found
	# shellcheck disable=SC2016 # awk's dollars, not the shell's
	found=$(sources | grep -E '\.[ch]$' | xargs -r awk -v max="$max_function" '
		FNR == 1 { start = 0 }
		/^[a-z_]+.*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
		/^\{/ { start = FNR }
		/^\}$/ {
			if (start > 0 && FNR - start - 1 > max)
				print FILENAME ":" start ": " name " has " \
				    FNR - start - 1 " lines, " max " are allowed"
			start = 0
		}')
	if [[ -n $found ]]; then
		complain "$found"
	fi
}

executables()
{
	local f
	while read -r f; do
		if [[ $(head -c 2 "$f") == '#!' && ! -x $f ]]; then
			complain "$f: a script that is not executable"
		fi
	done < <(sources)
}

licence
leftovers
long_files
long_functions
executables
exit "$bad"
