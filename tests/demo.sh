#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# "./dev demo": a server made for the occasion, two devices, their joins and a
# rejoin over both protocols, and what there is to see of them.  --keep leaves
# the server running.
set -euo pipefail
umask 077

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
keep=no
case ${1-} in
'') ;;
--keep) keep=yes ;;
*)
	echo "usage: demo [--keep]" >&2
	exit 1
	;;
esac

work=$(mktemp -d /tmp/joinery-demo.XXXXXX)
dir=$work/instance

clean_up()
{
	local status=$?
	trap - EXIT
	if [[ $status -ne 0 && -f $dir/joineryd.log ]]; then
		echo "The demo failed.  The end of the server's log:" >&2
		tail -n 20 "$dir/joineryd.log" >&2
	fi
	if [[ $status -ne 0 || $keep == no ]]; then
		"$tests/instance.sh" down "$dir" || status=1
		rm -rf "$work"
	fi
	exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say()
{
	printf '\n== %s\n' "$*"
}

ctl()
{
	# shellcheck disable=SC2086 # a command line
	$JOINERY_CTL "$@" </dev/null
}

# new_device DEV-EUI MAC-VERSION ROOT...: keys of its own, into the token.
new_device()
{
	local dev_eui=$1 version=$2 root
	shift 2
	keys=()
	for root in "$@"; do
		openssl rand -hex 16 >"$work/$dev_eui.$root"
		keys+=("--$root-key" "@$work/$dev_eui.$root")
	done
	ctl device set --join-eui "$join_eui" --dev-eui "$dev_eui" \
		--mac-version "$version" --net-id 000013 \
		--as-id as.example.org "${keys[@]}"
	device=(--join-eui "$join_eui" --dev-eui "$dev_eui"
		--mac-version "$version" "${keys[@]}" --net-id 000013
		--state "$work/$dev_eui.state")
}

# sim VERB WORDS...: the device made last, with its NS and AS.
sim()
{
	"$JOINERY_SIM" "$@" "${device[@]}" --ca "$JOINERY_CA" \
		--cert "$JOINERY_NS_CERT" --key "$JOINERY_NS_KEY" \
		--as-cert "$JOINERY_AS_CERT" --as-key "$JOINERY_AS_KEY" \
		--ns-kek "ns-kek=@$JOINERY_NS_KEK" \
		--as-kek "as-kek=@$JOINERY_AS_KEK" </dev/null
	echo
}

join_eui=70b3d57ed0000000

say "A server: SoftHSM token, database, test certificates, all in $dir"
"$tests/instance.sh" up "$dir"
# shellcheck disable=SC1091 # made a moment ago
. "$dir/env"
ctl status | sed '/^COUNTER/,$d' # they are all young

say "A LoRaWAN 1.0.3 device: AppKey sealed into the token, then a join"
new_device 0004a30b00000103 1.0.3 app
sim join --tcp "$JOINERY_TCP"
ctl device get --join-eui "$join_eui" --dev-eui 0004a30b00000103

say "A LoRaWAN 1.1 device: NwkKey and AppKey; a join over Backend Interfaces"
new_device 0004a30b00000110 1.1.0 nwk app
sim join --bi "$JOINERY_BI_URL" --bi-version 1.1 --as-id as.example.org

say "The same device rejoins (types 0 and 1), over Backend Interfaces"
sim rejoin --type 0,1 --bi "$JOINERY_BI_URL" --bi-version 1.1 \
	--as-id as.example.org
ctl device get --join-eui "$join_eui" --dev-eui 0004a30b00000110

say "What happened"
cat <<'END'
joineryctl made two random sets of root keys, sealed them to the token's
import key and registered the devices.  The server saw no root key in clear;
they are now objects of the token that cannot be read.

joinery-sim then was each device, its Network Server and its Application
Server at once.  As the device it made join-requests and rejoin-requests; as
the Network Server it sent them over TLS with its own certificate, first in
Joinery's compact protocol, then as the JSON messages JoinReq and RejoinReq of
LoRaWAN Backend Interfaces; as the Application Server it asked for the AppSKey
by session key ID (AppSKeyReq).  It decrypted each join-accept and unwrapped
the session keys, computed all of them a second time in software, and
compared: what came out of the token is what LoRaWAN asks for.
END

if [[ $keep == yes ]]; then
	cat <<-END

	The server goes on running.  To talk to it, and to stop it:

	    . $dir/env
	    \$JOINERY_CTL device list
	    $tests/instance.sh down $dir && rm -r $work
	END
else
	cat <<-'END'

	The server is stopped and removed.  "./dev demo --keep" leaves it running,
	"./dev up DIR" starts an empty one; man/joineryctl.1 has the commands.
	END
fi
