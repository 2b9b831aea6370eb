# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For integration tests; a test starts with
#
#   # shellcheck source=tests/integration/lib.sh
#   . "$(dirname "$0")/lib.sh"
#   server_start
#
# and is a scenario from there on, in one file.  Everything it makes is in
# $work, which goes away with the test, as do the servers.  The programs are
# those of $JOINERY_BUILDDIR, so "make check" of any build tests itself.
set -euo pipefail

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${JOINERY_BUILDDIR:-$tests/../build}
export JOINERY_BUILDDIR=$bin

if [[ ${JOINERY_INTEGRATION-} == no ]]; then
	echo "skipped: JOINERY_INTEGRATION=no"
	exit 77
fi

# Not below the build: a Unix socket has a short name only.
work=$(mktemp -d /tmp/joinery.XXXXXX)
servers=()

clean_up()
{
	local status=$? dir
	trap - EXIT
	for dir in "${servers[@]}"; do
		if [[ $status -ne 0 && -f $dir/joineryd.log ]]; then
			echo "--- the end of $dir/joineryd.log"
			tail -n 40 "$dir/joineryd.log"
		fi
		"$tests/instance.sh" down "$dir" || status=1
	done
	rm -rf "$work"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# ---- assertions; each says what it wanted and ends the test ----

fail()
{
	echo "FAILED, line ${BASH_LINENO[1]}: $*" >&2
	exit 1
}

# assert_eq GOT WANTED [WHAT]
assert_eq()
{
	[[ $1 == "$2" ]] || fail "${3:-value} is '$1', wanted '$2'"
}

# assert_match TEXT REGEX
assert_match()
{
	[[ $1 =~ $2 ]] || fail "nothing like '$2' in: $1"
}

# assert_status N COMMAND...: it ends with that status; $output is what it
# said, both streams.
assert_status()
{
	local wanted=$1 status=0
	shift
	output=$("$@" 2>&1 </dev/null) || status=$?
	[[ $status -eq $wanted ]] ||
		fail "$* ended with $status, wanted $wanted: $output"
}

assert_ok()
{
	assert_status 0 "$@"
}

# assert_fails COMMAND...: with whatever status but 0, and not by a signal.
assert_fails()
{
	local status=0
	output=$("$@" 2>&1 </dev/null) || status=$?
	[[ $status -ne 0 ]] || fail "$* succeeded: $output"
	[[ $status -lt 126 ]] || fail "$* ended with $status: $output"
}

# assert_absent KEY-FILE PATH...: neither the digits nor the octets of a key
# stand anywhere in the files.
assert_absent()
{
	local digits octets found
	digits=$(tr -d '[:space:]' <"$1")
	# shellcheck disable=SC2001 # each pair of digits, which ${//} cannot
	octets=$(sed 's/../\\x&/g' <<<"$digits")
	shift
	found=$(grep -rlaiF -- "$digits" "$@" || true)
	found+=$(LC_ALL=C grep -rlaP -- "$octets" "$@" || true)
	[[ -z $found ]] || fail "a key stands in clear in $found"
}

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[[ $SECONDS -lt $deadline ]] || fail "did not come true: $*"
		sleep 0.1
	done
}

# ---- servers ----

# server_start [OPTION]...: as "./dev up"; the variables of its env are set.
server_start()
{
	local dir
	dir=$work/s${#servers[@]}
	servers+=("$dir")
	"$tests/instance.sh" up "$dir" "$@" || fail "no server"
	# shellcheck disable=SC1091 # made a moment ago
	. "$dir/env"
}

# Stop the server that was started last; its directory stays.
server_stop()
{
	"$tests/instance.sh" down "$JOINERY_DIR" || fail "the server did not stop"
}

ctl()
{
	"$bin/joineryctl" --socket "$JOINERY_SOCKET" "$@" </dev/null
}

# ---- devices ----

random_hex()
{
	openssl rand -hex "$1"
}

# add_device MAC-VERSION [OPTION-OF-DEVICE-SET]...: a new device with random
# keys.  Sets dev_eui, join_eui, dev_version and dev_keys, the last as options
# that joineryctl and joinery-sim both take.
add_device()
{
	local name
	dev_version=$1
	shift
	join_eui=70b3d57ed0000000
	dev_eui=$(random_hex 8)
	dev_keys=()
	for name in nwk app; do
		if [[ $name == nwk && $dev_version != 1.1* ]]; then
			continue
		fi
		(umask 077 && random_hex 16 >"$work/$dev_eui.$name")
		dev_keys+=("--$name-key" "@$work/$dev_eui.$name")
	done
	ctl device set --join-eui "$join_eui" --dev-eui "$dev_eui" \
		--mac-version "$dev_version" --net-id 000013 \
		--as-id as.example.org "${dev_keys[@]}" "$@" >/dev/null ||
		fail "device set"
}

# sim_join [OPTION]...: that device joins over TLS; its counters are kept from
# one join to the next.
sim_join()
{
	"$bin/joinery-sim" join --tcp "$JOINERY_TCP" --ca "$JOINERY_CA" \
		--cert "$JOINERY_NS_CERT" --key "$JOINERY_NS_KEY" \
		--as-cert "$JOINERY_AS_CERT" --as-key "$JOINERY_AS_KEY" \
		--join-eui "$join_eui" --dev-eui "$dev_eui" \
		--mac-version "$dev_version" "${dev_keys[@]}" \
		--state "$work/$dev_eui.state" --net-id 000013 \
		--ns-kek "ns-kek=@$JOINERY_NS_KEK" \
		--as-kek "as-kek=@$JOINERY_AS_KEK" "$@" </dev/null
}
