#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# joinery-sim: its vectors against those checked in and against the oracle in
# Python, then its verdicts on right and wrong answers.  Skipped without a
# Python that has the "cryptography" package.
set -eu

srcdir=${srcdir:-.}
sim=$(pwd)/joinery-sim
export PYTHONDONTWRITEBYTECODE=1

$sim vectors | cmp - "$srcdir/tests/vectors/lorawan_joins.jsonl"
$sim vectors --rejoins | cmp - "$srcdir/tests/vectors/lorawan_rejoins.jsonl"

for python in "${PYTHON:-python3}" /usr/bin/python3 ""; do
	if [ -z "$python" ]; then
		echo "no python3 with the cryptography package: skipped"
		exit 77
	fi
	if "$python" -c 'import cryptography' 2>/dev/null; then
		break
	fi
done

other=$(mktemp)
trap 'rm -f "$other"' EXIT
"$python" "$srcdir/tests/vectors/oracle.py" \
	"$srcdir/tests/vectors/lorawan_joins.jsonl"
"$python" "$srcdir/tests/vectors/oracle.py" \
	"$srcdir/tests/vectors/lorawan_rejoins.jsonl"
for seed in 1 20260131 4294967295; do
	$sim vectors --seed $seed >"$other"
	"$python" "$srcdir/tests/vectors/oracle.py" "$other"
	$sim vectors --rejoins --seed $seed >"$other"
	"$python" "$srcdir/tests/vectors/oracle.py" "$other"
done
JOINERY_SIM=$sim "$python" "$srcdir/tests/unit/test_sim_join.py"
JOINERY_SIM=$sim "$python" "$srcdir/tests/unit/test_sim_bi.py"
