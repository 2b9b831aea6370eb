#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a join costs, in counts: PKCS#11 calls, flushes, memory of the worker's
# own.  Joins that are ready during a flush share the next one, so a token that
# is slow, as SoftHSM under a sanitizer is, has fewer joins to a flush.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work
# A sanitizer's quarantine of freed memory would look like growth.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1

"$JOINERY_BUILDDIR/joinery-bench" --programs "$JOINERY_BUILDDIR" --json \
	--seconds 1 --joins 4000 --workers 2 --devices 64 >"$work/rows.json"
cat "$work/rows.json"
/usr/bin/python3 - "$work/rows.json" <<'END'
import json
import sys

rows = json.load(open(sys.argv[1]))
assert [row["token"] for row in rows] == ["softhsm", "softokn"], rows
for row in rows:
    assert row["joins"] == 4000, row
    assert row["bi_joins_per_s"] > 0, row
    assert 0 < row["bi_p50_us"] <= row["bi_p99_us"], row
    # And now and then one that asks whether the token is still there.
    assert row["pkcs11_calls_per_join"] < 12.05, row
    assert row["fsyncs_per_join"] < {"softhsm": 1.0, "softokn": 0.5}[row["token"]], row
# SoftHSM keeps some octets of every object it ever made; softokn none.
assert rows[1]["rss_growth_bytes"] < 2 << 20, rows[1]
END
