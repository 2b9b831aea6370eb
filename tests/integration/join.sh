#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Devices of both kinds join on both tokens, again and again; a DevNonce is
# taken once; no key stands in clear in what the server leaves behind.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"

for token in softhsm softokn; do
	server_start --token "$token" --conf "repeat-window = 0"

	for version in 1.0.3 1.0.4 1.1.0; do
		add_device "$version"
		sim_join
		sim_join --count 5
		sim_join --repeat-last --expect DEV_NONCE_REPLAYED
		sim_join --flip-mic --expect MIC_FAILED
		sim_join
		ctl device get --join-eui "$join_eui" --dev-eui "$dev_eui"
	done

	server_stop
	for key in "$work"/*.nwk "$work"/*.app "$JOINERY_NS_KEK" "$JOINERY_AS_KEK"; do
		assert_absent "$key" "$JOINERY_DIR/store" "$JOINERY_LOG"
	done
	assert_absent "$JOINERY_DIR/pin" "$JOINERY_DIR/store" "$JOINERY_LOG"
done
